//! Where values come from: what each variable of the language is made of.
//!
//! `ARGS` is what came in the query and in the body; both kinds are stored once, as values of a [`Place`], and every variable
//! that shows them reads the same ones.

use super::ast::Variable;

/// Where a value stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u8);

/// Members of collections come first, then every variable that is one value.
const KINDS: u8 = 22;

/// A set of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Places([u64; Place::COUNT.div_ceil(64)]);

impl Places {
    pub(crate) fn insert(&mut self, place: Place) {
        if let Some(word) = self.0.get_mut(place.index() / 64) {
            *word |= 1 << (place.index() % 64);
        }
    }

    pub(crate) fn has(self, place: Place) -> bool {
        self.0.get(place.index() / 64).is_some_and(|word| word >> (place.index() % 64) & 1 == 1)
    }
}

impl Place {
    pub(crate) const GET: Self = Self(0);
    pub(crate) const GET_NAME: Self = Self(1);
    pub(crate) const POST: Self = Self(2);
    pub(crate) const POST_NAME: Self = Self(3);
    pub(crate) const COOKIE: Self = Self(4);
    pub(crate) const COOKIE_NAME: Self = Self(5);
    pub(crate) const HEADER: Self = Self(6);
    pub(crate) const HEADER_NAME: Self = Self(7);
    pub(crate) const FILE: Self = Self(8);
    pub(crate) const FILE_FIELD: Self = Self(9);
    pub(crate) const FILE_SIZE: Self = Self(10);
    pub(crate) const FILE_CONTENT: Self = Self(11);
    pub(crate) const PART_HEADER: Self = Self(12);
    pub(crate) const PART_NAME: Self = Self(13);
    pub(crate) const PART_FILENAME: Self = Self(14);
    pub(crate) const XML_TEXT: Self = Self(15);
    pub(crate) const XML_ATTRIBUTE: Self = Self(16);
    pub(crate) const ANSWER_HEADER: Self = Self(17);
    pub(crate) const ANSWER_HEADER_NAME: Self = Self(18);
    pub(crate) const ENVIRONMENT: Self = Self(19);
    pub(crate) const ANSWER_ARG: Self = Self(20);

    /// How many there are.
    pub(crate) const COUNT: usize = KINDS as usize + Variable::ALL.len();

    /// The place of a variable that is one value.
    pub(crate) const fn of(variable: Variable) -> Self {
        Self(KINDS + variable as u8)
    }

    /// Whether it shows one value at a time.
    pub(crate) const fn is_single(self) -> bool {
        self.0 >= KINDS
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a variable is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    /// Values that stand somewhere in the request or the response.
    Of(&'static [Place]),
    /// One such value.
    One(Place),
    /// What rules have set: TX and the collections that outlive a transaction.
    Kept,
    /// What the rule matched until now.
    Matched,
    /// Of the rule itself.
    Rule,
}

impl Variable {
    #[inline]
    pub(crate) const fn made(self) -> Made {
        match self {
            Self::Args => Made::Of(&[Place::GET, Place::POST]),
            Self::ArgsNames => Made::Of(&[Place::GET_NAME, Place::POST_NAME]),
            Self::ArgsGet => Made::Of(&[Place::GET]),
            Self::ArgsGetNames => Made::Of(&[Place::GET_NAME]),
            Self::ArgsPost => Made::Of(&[Place::POST]),
            Self::ArgsPostNames => Made::Of(&[Place::POST_NAME]),
            Self::RequestCookies => Made::Of(&[Place::COOKIE]),
            Self::RequestCookiesNames => Made::Of(&[Place::COOKIE_NAME]),
            Self::RequestHeaders => Made::Of(&[Place::HEADER]),
            Self::RequestHeadersNames => Made::Of(&[Place::HEADER_NAME]),
            Self::ResponseHeaders => Made::Of(&[Place::ANSWER_HEADER]),
            Self::ResponseHeadersNames => Made::Of(&[Place::ANSWER_HEADER_NAME]),
            Self::ResponseArgs => Made::Of(&[Place::ANSWER_ARG]),
            Self::Files => Made::Of(&[Place::FILE]),
            Self::FilesNames => Made::Of(&[Place::FILE_FIELD]),
            Self::FilesSizes => Made::Of(&[Place::FILE_SIZE]),
            Self::FilesTmpContent => Made::Of(&[Place::FILE_CONTENT]),
            // Files are never written to a disk.
            Self::FilesTmpNames => Made::Of(&[]),
            Self::MultipartPartHeaders => Made::Of(&[Place::PART_HEADER]),
            Self::MultipartName => Made::Of(&[Place::PART_NAME]),
            Self::MultipartFilename => Made::Of(&[Place::PART_FILENAME]),
            // Which of the two a target means is its selector's to say.
            Self::Xml => Made::Of(&[Place::XML_TEXT, Place::XML_ATTRIBUTE]),
            Self::Env => Made::Of(&[Place::ENVIRONMENT]),
            Self::Tx | Self::Ip | Self::Global | Self::Resource | Self::Session | Self::User => Made::Kept,
            Self::MatchedVar | Self::MatchedVarName | Self::MatchedVars | Self::MatchedVarsNames => Made::Matched,
            Self::Rule => Made::Rule,
            single => Made::One(Place::of(single)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_share_a_place() {
        let last = Place::of(*Variable::ALL.last().expect("variables"));
        assert!(last.index() < Place::COUNT && Place::ANSWER_ARG.index() < usize::from(KINDS));
        let mut seen = [false; Place::COUNT];
        for variable in Variable::ALL {
            if let Made::One(place) = variable.made() {
                assert!(!std::mem::replace(&mut seen[place.index()], true), "{}", variable.name());
            }
        }
    }
}
