//! Expressions and phrases that programs share.
//!
//! Platforms differ in levels, thresholds and exclusions, hardly ever in rules. What takes the most time to compile and the most
//! memory to hold is made once for all programs that are compiled with one pool, and held for as long as one of them lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::collections::Collections;
use super::prefilter::Needs;
use crate::operator::phrases::{Phrases, TooMany};
use crate::operator::regex::{Options, Refused, Regex};

/// What programs compiled with it have in common. See [`super::compile_with()`].
#[derive(Debug, Default)]
pub struct Pool {
    expressions: BTreeMap<(String, bool, bool), Expression>,
    phrases: BTreeMap<Vec<Box<[u8]>>, Listed>,
    collections: Arc<Mutex<Collections>>,
}

/// An expression, and what every match of it contains.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) regex: Arc<Regex>,
    pub(crate) needs: Arc<Needs>,
}

/// Phrases, and what every match of one of them contains.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) phrases: Phrases,
    pub(crate) needs: Arc<Needs>,
}

impl Pool {
    /// One whose programs go on with what others remember.
    #[must_use]
    pub fn remembering(collections: Arc<Mutex<Collections>>) -> Self {
        Self { collections, ..Self::default() }
    }

    /// What its programs remember from one transaction to the next.
    #[must_use]
    pub fn collections(&self) -> Arc<Mutex<Collections>> {
        Arc::clone(&self.collections)
    }

    /// An expression, compiled now or before.
    pub(crate) fn expression(&mut self, text: &str, options: Options) -> Result<Expression, Refused> {
        let key = (text.to_owned(), options.ignore_case, options.groups);
        if let Some(known) = self.expressions.get(&key) {
            return Ok(known.clone());
        }
        let regex = Regex::compile_with(text, options)?;
        let sets = regex.required().all;
        let needs = sets.into_iter().map(|set| set.into_iter().map(Vec::from).collect()).collect();
        let made = Expression { regex: Arc::new(regex.without_source()), needs: Arc::new(needs) };
        self.expressions.insert(key, made.clone());
        Ok(made)
    }

    /// A set of phrases, compiled now or before.
    pub(crate) fn phrases(&mut self, phrases: &[Box<[u8]>]) -> Result<Listed, TooMany> {
        if let Some(known) = self.phrases.get(phrases) {
            return Ok(known.clone());
        }
        let lower =
            phrases.iter().filter(|phrase| !phrase.is_empty()).map(|phrase| phrase.to_ascii_lowercase()).collect();
        let made = Listed { phrases: Phrases::compile(phrases)?, needs: Arc::new(vec![lower]) };
        self.phrases.insert(phrases.to_vec(), made.clone());
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_made_once() {
        let mut pool = Pool::default();
        let first = pool.expression("ab+c", Options::default()).expect("an expression");
        let again = pool.expression("ab+c", Options::default()).expect("an expression");
        assert!(Arc::ptr_eq(&first.regex, &again.regex));
        let other = pool.expression("ab+c", Options { ignore_case: true, groups: true }).expect("an expression");
        assert!(!Arc::ptr_eq(&first.regex, &other.regex) && other.regex.is_match(b"ABBC"));
        assert!(pool.expression("(", Options::default()).is_err());
        let one = pool.phrases(&[b"Select".to_vec().into()]).expect("phrases");
        let two = pool.phrases(&[b"Select".to_vec().into()]).expect("phrases");
        assert!(Arc::ptr_eq(&one.needs, &two.needs));
        assert_eq!(*one.needs, vec![vec![b"select".to_vec()]]);
    }
}
