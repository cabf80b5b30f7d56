//! Values: each transformation says truly whether it changed one and what could, chains of them stay within bounds, and the
//! readers of SQL, HTML and encodings take anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::bytes::ByteSet;
use portcullis_waf::operator::{encodings, sqli, words, xss};
use portcullis_waf::seclang::ast::{Transformation, UnicodeMap};

fuzz_target!(|data: &[u8]| {
    let Some((chain, value)) = data.split_at_checked(3) else { return };
    let map = UnicodeMap(vec![(0x27, b'\''), (0x3c, b'<'), (0xff07, b'\'')]);
    let bytes = ByteSet::of(value);
    let mut out = Vec::new();
    for &transformation in Transformation::ALL {
        let changed = transformation.apply(value, &mut out, &map);
        assert!(!changed || out != value, "{transformation:?}");
        assert!(!changed || value.is_empty() || transformation.touched_by().intersects(&bytes), "{transformation:?}");
        assert!(out.len() <= 4 * value.len() + 40, "{transformation:?}");
    }
    let mut current = value.to_vec();
    for step in chain {
        let transformation = Transformation::ALL[usize::from(*step) % Transformation::ALL.len()];
        if transformation.apply(&current, &mut out, &map) {
            std::mem::swap(&mut current, &mut out);
        }
    }
    for value in [value, &current] {
        if let Some(fingerprint) = sqli::detect(value) {
            assert!((1..=5).contains(&fingerprint.as_bytes().len()));
        }
        let _ = xss::detect(value);
        assert!(encodings::broken_utf8(value).is_none_or(|at| at < value.len()));
        assert!(encodings::broken_url_escape(value).is_none_or(|at| value[at] == b'%'));
        assert!(std::str::from_utf8(value).is_err() || encodings::broken_utf8(value).is_none());
        assert!(words::contains_word(value, chain).is_none_or(|found| &value[found] == chain));
    }
});
