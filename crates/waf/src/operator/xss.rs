//! `@detectXSS`: whether a browser would run something of a value that is put into a page, by libinjection's method.

/// Whether it would.
#[must_use]
pub fn detect(value: &[u8]) -> bool {
    // Elements begin with the one, and attributes have their values behind the other.
    memchr::memchr2(b'<', b'=', value).is_some() && libinjectionrs::detect_xss(value).is_injection()
}
