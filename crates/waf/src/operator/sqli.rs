//! `@detectSQLi`: whether a value would change the meaning of an SQL statement, by libinjection's method.

/// What libinjection calls a value by the kinds of its first tokens: at most eight letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Its letters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

/// The fingerprint of a value that is an injection.
#[must_use]
pub fn detect(value: &[u8]) -> Option<Fingerprint> {
    // One word or number is none; most values are one.
    if value.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let found = libinjectionrs::detect_sqli(value);
    let mut letters = [0; 8];
    if let Some(fingerprint) = found.fingerprint.as_ref().filter(|_| found.is_injection()) {
        for (letter, &byte) in letters.iter_mut().zip(fingerprint.as_bytes()) {
            *letter = byte;
        }
    }
    found.is_injection().then_some(Fingerprint(letters))
}
