//! Operators: what a rule asks of one value. Each is a function of bytes.
//!
//! What `ModSecurity` 3.0.15 answers holds here too, checked by running it; the differences are named where they are. Operators
//! that compile an argument do so once ([`regex::Regex`], [`phrases::Phrases`], [`addresses::Addresses`]).

pub mod addresses;
pub mod encodings;
pub mod numbers;
pub mod phrases;
pub mod regex;
pub mod sqli;
pub mod words;
pub mod xss;

/// A value as the cases under `specs/` write it: bytes as \xNN where they are not printable.
#[cfg(test)]
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut value = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at(2);
        value.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
        value.extend_from_slice(plain.as_bytes());
    }
    value
}
