//! What rules remember from one transaction to the next: `IP`, `GLOBAL`, `RESOURCE`, `SESSION`, `USER`.
//!
//! A record is known by its collection and its key (`initcol:ip=%{REMOTE_ADDR}`). Counters add up over transactions that run at
//! the same time. Everything is bounded: where a record has no room the one goes that nobody wrote for longest, and is counted.

use std::collections::BTreeMap;

use super::ast::Variable;

/// Records of all collections, where nobody says otherwise.
const RECORDS: usize = 65_536;
/// Variables of one record.
const VARIABLES: usize = 64;
/// Bytes of a key, and of a name or a value of a variable; longer ones are cut.
const BYTES: usize = 256;

/// What a variable holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    Number(i64),
    Text(Box<[u8]>),
}

/// A change of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    Set(Held),
    /// More by so much, or less.
    Add(i64),
    Unset,
    /// It goes after so many seconds.
    Expire(u64),
}

/// The records of all collections. Moments are seconds since 1970.
#[derive(Debug)]
pub struct Collections {
    /// How many there are at most.
    room: usize,
    records: BTreeMap<Key, Record>,
    /// Records in the order in which they were written last.
    written: BTreeMap<u64, Key>,
    writes: u64,
    put_out: u64,
}

type Key = (u8, Box<[u8]>);

#[derive(Debug, Default)]
struct Record {
    /// Its number in `written`.
    written: u64,
    /// When it is forgotten.
    ends: u64,
    variables: BTreeMap<Box<[u8]>, Kept>,
}

#[derive(Debug)]
struct Kept {
    held: Held,
    ends: Option<u64>,
}

impl Default for Collections {
    fn default() -> Self {
        Self::with_room(RECORDS)
    }
}

impl Collections {
    /// With room for so many records.
    #[must_use]
    pub const fn with_room(room: usize) -> Self {
        Self { room, records: BTreeMap::new(), written: BTreeMap::new(), writes: 0, put_out: 0 }
    }

    /// How many records had to go before their time.
    #[must_use]
    pub const fn put_out(&self) -> u64 {
        self.put_out
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What a record holds now, in the order of its names.
    pub(crate) fn read(&self, collection: Variable, key: &[u8], now: u64) -> impl Iterator<Item = (&[u8], &Held)> {
        let record = self.records.get(&of(collection, key)).filter(|record| record.ends > now);
        let variables = record.into_iter().flat_map(|record| &record.variables);
        variables
            .filter(move |(_, kept)| kept.ends.is_none_or(|ends| ends > now))
            .map(|(name, kept)| (&**name, &kept.held))
    }

    /// Changes a variable of a record, which is then remembered for `timeout` seconds more; what the variable holds after it.
    pub(crate) fn turn(
        &mut self,
        collection: Variable,
        key: &[u8],
        name: &[u8],
        turn: Turn,
        (now, timeout): (u64, u64),
    ) -> Option<Held> {
        let key = of(collection, key);
        if !self.records.contains_key(&key) && self.records.len() >= self.room {
            self.make_room();
        }
        let record = self.records.entry(key.clone()).or_default();
        if record.ends <= now {
            record.variables.clear();
        }
        self.written.remove(&record.written);
        self.writes += 1;
        record.written = self.writes;
        record.ends = now.saturating_add(timeout);
        self.written.insert(self.writes, key);
        let name: Box<[u8]> = cut(name).into();
        record.variables.retain(|_, kept| kept.ends.is_none_or(|ends| ends > now));
        let before = record.variables.get(&name);
        let ends = before.and_then(|kept| kept.ends);
        let held = match turn {
            Turn::Unset => {
                record.variables.remove(&name);
                return None;
            }
            Turn::Expire(after) => {
                let kept = record.variables.get_mut(&name)?;
                kept.ends = Some(now.saturating_add(after));
                return Some(kept.held.clone());
            }
            Turn::Set(Held::Text(text)) => Held::Text(cut(&text).into()),
            Turn::Set(number) => number,
            Turn::Add(by) => Held::Number(before.map_or(0, |kept| kept.held.number()).saturating_add(by)),
        };
        if before.is_some() || record.variables.len() < VARIABLES {
            record.variables.insert(name, Kept { held: held.clone(), ends });
        }
        Some(held)
    }

    fn make_room(&mut self) {
        if let Some((_, key)) = self.written.pop_first() {
            self.records.remove(&key);
            self.put_out += 1;
        }
    }
}

impl Held {
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => crate::operator::numbers::integer(text),
        }
    }
}

fn of(collection: Variable, key: &[u8]) -> Key {
    (collection as u8, cut(key).into())
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..text.len().min(BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: Variable = Variable::Ip;

    fn held(collections: &Collections, key: &[u8], now: u64) -> Vec<(String, i64)> {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        collections.read(IP, key, now).map(|(known, held)| (name(known), held.number())).collect()
    }

    #[test]
    fn records_add_up_expire_and_are_forgotten() {
        let mut collections = Collections::default();
        let mut turn = |name: &[u8], turn, now| collections.turn(IP, b"192.0.2.7", name, turn, (now, 3600));
        assert_eq!(turn(b"a", Turn::Add(2), 100), Some(Held::Number(2)));
        assert_eq!(turn(b"a", Turn::Add(-3), 100), Some(Held::Number(-1)));
        assert_eq!(turn(b"b", Turn::Set(Held::Text((*b"7").into())), 100), Some(Held::Text((*b"7").into())));
        assert_eq!(turn(b"a", Turn::Expire(60), 100), Some(Held::Number(-1)));
        assert_eq!(turn(b"none", Turn::Expire(60), 100), None);
        assert_eq!(held(&collections, b"192.0.2.7", 159), [("a".to_owned(), -1), ("b".to_owned(), 7)]);
        assert_eq!(held(&collections, b"192.0.2.7", 160), [("b".to_owned(), 7)]);
        assert_eq!(held(&collections, b"192.0.2.8", 100), []);
        assert_eq!(held(&collections, b"192.0.2.7", 3700), []);
        // What was forgotten begins anew.
        assert_eq!(collections.turn(IP, b"192.0.2.7", b"b", Turn::Add(1), (3700, 3600)), Some(Held::Number(1)));
        assert_eq!(collections.turn(IP, b"192.0.2.7", b"b", Turn::Unset, (3701, 3600)), None);
        assert_eq!(held(&collections, b"192.0.2.7", 3702), []);
    }

    #[test]
    fn many_keys_put_out_those_written_first_and_are_counted() {
        const ROOM: usize = 100;
        let mut collections = Collections::with_room(ROOM);
        let key = |number: usize| number.to_string().into_bytes();
        for number in 0..ROOM + 10 {
            collections.turn(IP, &key(number), b"n", Turn::Add(1), (1, 60));
            // One that is written all the time stays.
            collections.turn(IP, &key(0), b"n", Turn::Add(1), (1, 60));
        }
        assert_eq!((collections.len(), collections.put_out()), (ROOM, 10));
        assert_eq!(collections.written.len(), ROOM);
        assert_eq!(held(&collections, &key(1), 2), []);
        assert_eq!(held(&collections, &key(0), 2).len(), 1);
        for name in 0..2 * VARIABLES {
            collections.turn(IP, b"x", &key(name), Turn::Add(1), (1, 60));
        }
        assert_eq!(held(&collections, b"x", 2).len(), VARIABLES);
        let long = [b'k'; 10 * BYTES];
        collections.turn(IP, &long, &long, Turn::Set(Held::Text(long.into())), (1, 60));
        assert!(collections.read(IP, &long, 2).all(|(name, _)| name.len() == BYTES));
    }
}
