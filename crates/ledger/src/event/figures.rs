//! Figures as the gate itself writes them, read field by field where they stand: nearly all records are such.
//!
//! Never says that something is wrong: whatever stands in another order, has an escape or a field more is left to serde, and what
//! is read here is what serde would have read.

use std::collections::BTreeMap;

use super::{Beat, Egress, Event, Probe, State, Statements, Traffic};

/// Reads one; none where it is another kind, or not quite as the gate writes it.
pub(super) fn read(json: &[u8]) -> Option<Event> {
    let rest = json.strip_prefix(br#"{"kind":""#)?;
    let kind = rest.split(|byte| *byte == b'"').next()?;
    let mut fields = Fields { rest: rest.get(kind.len() + 1..)? };
    let event = match kind {
        b"traffic" => Event::Traffic(traffic(&mut fields)?),
        b"beats" => Event::Beats { beats: fields.beats()? },
        b"egress" => Event::Egress(egress(&mut fields)?),
        b"probe" => Event::Probe(probe(&mut fields)?),
        b"statements" => Event::Statements(statements(&mut fields)?),
        _ => return None,
    };
    (fields.rest == b"}").then_some(event)
}

// The fields of each are read in the order in which they are declared, which is the one in which serde writes them.

fn traffic(fields: &mut Fields<'_>) -> Option<Traffic> {
    Some(Traffic {
        platform: fields.text("platform")?,
        route: fields.text("route")?,
        class: fields.text("class")?,
        audience: fields.text("audience")?,
        from: fields.number("from")?,
        until: fields.number("until")?,
        requests: fields.number("requests")?,
        served: fields.number("served")?,
        failed: fields.number_if_any("failed")?,
        refused: fields.counts_if_any("refused")?,
        challenged: fields.number_if_any("challenged")?,
        roomed: fields.number_if_any("roomed")?,
        delayed: fields.number_if_any("delayed")?,
        bytes_in: fields.number("bytes_in")?,
        bytes_out: fields.number("bytes_out")?,
        peak: fields.number("peak")?,
        micros: fields.numbers("micros")?,
        visitors: fields.numbers("visitors")?,
    })
}

fn egress(fields: &mut Fields<'_>) -> Option<Egress> {
    Some(Egress {
        path: fields.text("path")?,
        through: fields.text("through")?,
        from: fields.number("from")?,
        until: fields.number("until")?,
        answers: fields.number("answers")?,
        rows: fields.number_if_any("rows")?,
        bytes: fields.number("bytes")?,
        uninspected: fields.counts_if_any("uninspected")?,
        records: fields.counts_if_any("records")?,
        declared: fields.number_if_any("declared")?,
    })
}

fn probe(fields: &mut Fields<'_>) -> Option<Probe> {
    Some(Probe {
        platform: fields.text("platform")?,
        path: fields.text("path")?,
        from: fields.number("from")?,
        until: fields.number("until")?,
        asked: fields.number("asked")?,
        good: fields.number("good")?,
        micros: fields.numbers("micros")?,
    })
}

fn statements(fields: &mut Fields<'_>) -> Option<Statements> {
    Some(Statements {
        database: fields.text("database")?,
        role: fields.text("role")?,
        from: fields.number("from")?,
        until: fields.number("until")?,
        ran: fields.number("ran")?,
        refused: fields.counts_if_any("refused")?,
        observed: fields.counts_if_any("observed")?,
        cut: fields.number_if_any("cut")?,
    })
}

/// What is left of an object behind its first field.
struct Fields<'a> {
    rest: &'a [u8],
}

// Inlined, so that a name is compared as the constant that it is.
impl Fields<'_> {
    #[inline(always)]
    fn text(&mut self, name: &str) -> Option<String> {
        self.name(name)?;
        self.string()
    }

    #[inline(always)]
    fn number(&mut self, name: &str) -> Option<u64> {
        self.name(name)?;
        self.digits()
    }

    /// 0 where the next field has another name.
    #[inline(always)]
    fn number_if_any(&mut self, name: &str) -> Option<u64> {
        if self.name(name).is_some() { self.digits() } else { Some(0) }
    }

    #[inline(always)]
    fn numbers<const N: usize>(&mut self, name: &str) -> Option<[u64; N]> {
        self.name(name)?;
        let mut numbers = [0; N];
        for (at, number) in numbers.iter_mut().enumerate() {
            self.literal(if at == 0 { b"[" } else { b"," })?;
            *number = self.digits()?;
        }
        self.literal(b"]")?;
        Some(numbers)
    }

    fn counts_if_any(&mut self, name: &str) -> Option<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        if self.name(name).is_none() {
            return Some(counts);
        }
        self.literal(b"{")?;
        loop {
            let name = self.string()?;
            self.literal(b":")?;
            counts.insert(name, self.digits()?);
            if self.literal(b",").is_none() {
                self.literal(b"}")?;
                return Some(counts);
            }
        }
    }

    fn beats(&mut self) -> Option<Vec<Beat>> {
        self.name("beats")?;
        self.literal(b"[")?;
        let mut beats = Vec::new();
        loop {
            self.literal(br#"{"sensor":"#)?;
            beats.push(Beat {
                sensor: self.string()?.into(),
                seq: self.number("seq")?,
                state: match self.text("state")?.as_str() {
                    "up" => State::Up,
                    "blind" => State::Blind,
                    "down" => State::Down,
                    _ => return None,
                },
                seen: self.number("seen")?,
                dropped: self.number_if_any("dropped")?,
                why: if self.name("why").is_some() { self.string()? } else { String::new() },
            });
            self.literal(b"}")?;
            if self.literal(b",").is_none() {
                self.literal(b"]")?;
                return Some(beats);
            }
        }
    }

    /// The name of the next field, with what stands around it.
    #[inline(always)]
    fn name(&mut self, name: &str) -> Option<()> {
        let rest = self.rest.strip_prefix(b",\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\":")?;
        self.rest = rest;
        Some(())
    }

    fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// One without escapes.
    fn string(&mut self) -> Option<String> {
        let rest = self.rest.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let (text, rest) = rest.split_at_checked(end)?;
        self.rest = rest.strip_prefix(b"\"")?;
        Some(str::from_utf8(text).ok()?.to_owned())
    }

    /// One of 64 bits, without a sign, a fraction or zeros before it.
    fn digits(&mut self) -> Option<u64> {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.rest.split_at_checked(end)?;
        if digits.is_empty() || digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        self.rest = rest;
        digits.iter().try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    /// Names as they come, and names that need an escape, or are longer than any.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z/*-]{0,12}", "\\PC{0,8}", any::<String>()]
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 1..1_000_u64, any::<u64>()]
    }

    fn counts() -> impl Strategy<Value = BTreeMap<String, u64>> {
        btree_map(name(), number(), 0..4)
    }

    fn beat() -> impl Strategy<Value = Beat> {
        let state = prop_oneof![Just(State::Up), Just(State::Blind), Just(State::Down)];
        let all = (name(), number(), state, number(), number(), name());
        all.prop_map(|(sensor, seq, state, seen, dropped, why)| Beat {
            sensor: sensor.into(),
            seq,
            state,
            seen,
            dropped,
            why,
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        let all = (vec(name(), 4), vec(number(), 16), counts(), counts(), vec(beat(), 0..4), 0..5);
        all.prop_map(|(names, numbers, refused, observed, beats, which)| {
            let (mut names, mut numbers) = (names.into_iter(), numbers.into_iter());
            let mut name = || names.next().unwrap();
            let mut n = || numbers.next().unwrap();
            match which {
                0 => Event::Beats { beats },
                1 => Event::Traffic(Traffic {
                    platform: name(),
                    route: name(),
                    class: name(),
                    audience: name(),
                    from: n(),
                    until: n(),
                    requests: n(),
                    served: n(),
                    failed: n(),
                    refused,
                    challenged: n(),
                    roomed: n(),
                    delayed: n(),
                    bytes_in: n(),
                    bytes_out: n(),
                    peak: n(),
                    micros: [n(), n(), n()],
                    visitors: [n(), n()],
                }),
                2 => Event::Egress(Egress {
                    path: name(),
                    through: name(),
                    from: n(),
                    until: n(),
                    answers: n(),
                    rows: n(),
                    bytes: n(),
                    uninspected: refused,
                    records: observed,
                    declared: n(),
                }),
                3 => Event::Probe(Probe {
                    platform: name(),
                    path: name(),
                    from: n(),
                    until: n(),
                    asked: n(),
                    good: n(),
                    micros: [n(), n()],
                }),
                _ => Event::Statements(Statements {
                    database: name(),
                    role: name(),
                    from: n(),
                    until: n(),
                    ran: n(),
                    refused,
                    observed,
                    cut: n(),
                }),
            }
        })
    }

    /// What serde reads, where it reads anything.
    fn serde(json: &[u8]) -> Option<Event> {
        serde_json::from_slice(json).ok()
    }

    #[test]
    fn what_the_gate_writes_is_not_left_to_serde() {
        let refused = BTreeMap::from([("rate-limited".to_owned(), 3), ("method".to_owned(), 1)]);
        let beat = Beat { sensor: "http/public".into(), seq: 4, seen: 9, ..Beat::default() };
        let blind = Beat { state: State::Blind, why: "the queue is full".into(), dropped: 3, ..beat.clone() };
        let route = "/d\u{f8}r/**".to_owned();
        let events = [
            Event::Beats { beats: vec![beat, blind] },
            Event::Traffic(Traffic { route, refused: refused.clone(), failed: u64::MAX, ..Traffic::default() }),
            Event::Egress(Egress { records: refused.clone(), bytes: 7, ..Egress::default() }),
            Event::Probe(Probe { micros: [5, 6], ..Probe::default() }),
            Event::Statements(Statements { observed: refused, cut: 1, ..Statements::default() }),
        ];
        for event in events {
            let json = serde_json::to_vec(&event).expect("JSON");
            assert_eq!(read(&json), Some(event));
            for length in 0..json.len() {
                assert_eq!(read(&json[..length]), None, "{length} bytes of it");
            }
        }
    }

    #[test]
    fn what_is_not_quite_as_the_gate_writes_it_is_left_to_serde() {
        let whole =
            r#"{"kind":"probe","platform":"p","path":"/","from":1,"until":2,"asked":3,"good":4,"micros":[5,6]}"#;
        assert!(read(whole.as_bytes()).is_some());
        for (part, other) in [
            (r#""p""#, r#""\u0070""#),
            (r#""p""#, "\"\t\""),
            (r#""from":1"#, r#""from": 1"#),
            (r#""from":1"#, r#""from":01"#),
            (r#""from":1"#, r#""from":-1"#),
            (r#""from":1"#, r#""from":1.0"#),
            (r#""from":1"#, r#""from":1e3"#),
            (r#""from":1"#, r#""from":18446744073709551616"#),
            (r#""from":1,"until":2"#, r#""until":2,"from":1"#),
            (r#""good":4"#, r#""good":4,"more":5"#),
            (r#""good":4"#, r#""good":4,"good":5"#),
            ("[5,6]", "[5,6,7]"),
            ("[5,6]", "[5]"),
            ("}", "} "),
            ("}", "}}"),
            ("probe", "prob"),
        ] {
            assert_eq!(read(whole.replacen(part, other, 1).as_bytes()), None, "{other}");
        }
    }

    proptest! {
        /// Whatever a record holds, and whatever became of its bytes: what is read here is what serde reads.
        #[test]
        fn what_is_read_is_what_serde_reads(event in event(), spoilt in vec((any::<usize>(), any::<u8>()), 0..3)) {
            let mut json = serde_json::to_vec(&event).expect("JSON");
            prop_assert_eq!(Event::read(&json).expect("one"), event);
            for (at, byte) in spoilt {
                let at = at % json.len();
                json[at] = byte;
            }
            if let Some(event) = read(&json) {
                prop_assert_eq!(Some(event), serde(&json));
            }
        }
    }
}
