//! A second reading of patterns, to hold the first against: the plain backtracking of PCRE, written without looking at speed.
//!
//! It reads only what `Regex::compile` accepts, and panics at the rest.

use std::collections::BTreeSet;

/// A part of a pattern.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    One(BTreeSet<u8>),
    SubjectStart,
    SubjectEnd,
    LineStart,
    LineEnd,
    WordEdge(bool),
    Group(Option<usize>, Box<Node>),
    Either(Vec<Node>),
    Sequence(Vec<Node>),
    Repeat { node: Box<Node>, least: usize, most: usize, greedy: bool },
}

/// A whole pattern.
pub(crate) struct Pattern {
    root: Node,
}

/// The match and its groups.
pub(crate) type Groups = Vec<Option<(usize, usize)>>;

/// Steps after which a subject is given up.
const STEPS: usize = 300_000;

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    fold: bool,
    dot_all: bool,
    group: usize,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut reader = Reader { text: text.as_bytes(), at: 0, fold: false, dot_all: true, group: 0 };
        let root = reader.either();
        assert_eq!(reader.at, text.len(), "{text} was not read to its end");
        Self { root }
    }

    /// The first match; an error if that takes too many steps.
    pub(crate) fn find(&self, subject: &[u8]) -> Result<Option<Groups>, ()> {
        let mut run = Run { subject, steps: 0 };
        for start in 0..=subject.len() {
            let mut groups: Groups = vec![None; 100];
            let mut found = None;
            run.node(&self.root, start, &mut groups, &mut |end, groups| {
                let mut groups = groups.clone();
                groups[0] = Some((start, end));
                found = Some(groups);
                true
            });
            if run.steps > STEPS {
                return Err(());
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A string made by walking the pattern, which it will often match. `choose(n)` gives a number below n.
    pub(crate) fn walk(&self, choose: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        let mut out = Vec::new();
        walk(&self.root, choose, &mut out);
        out
    }
}

fn walk(node: &Node, choose: &mut impl FnMut(usize) -> usize, out: &mut Vec<u8>) {
    match node {
        Node::One(set) => {
            if let Some(byte) = set.iter().nth(choose(set.len().max(1))) {
                out.push(*byte);
            }
        }
        Node::LineStart => {
            if !out.is_empty() && choose(4) == 0 {
                out.push(b'\n');
            }
        }
        Node::Group(_, node) => walk(node, choose, out),
        Node::Either(nodes) => walk(&nodes[choose(nodes.len())], choose, out),
        Node::Sequence(nodes) => nodes.iter().for_each(|node| walk(node, choose, out)),
        Node::Repeat { node, least, most, .. } => {
            let more = (most - least).min(3);
            for _ in 0..least + choose(more + 1) {
                walk(node, choose, out);
            }
        }
        Node::SubjectStart | Node::SubjectEnd | Node::LineEnd | Node::WordEdge(_) => {}
    }
}

fn is_word(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

struct Run<'a> {
    subject: &'a [u8],
    steps: usize,
}

type Next<'n> = &'n mut dyn FnMut(usize, &mut Groups) -> bool;

impl Run<'_> {
    fn node(&mut self, node: &Node, at: usize, groups: &mut Groups, next: Next) -> bool {
        self.steps += 1;
        if self.steps > STEPS {
            return true;
        }
        let subject = self.subject;
        match node {
            Node::One(set) => subject.get(at).is_some_and(|byte| set.contains(byte)) && next(at + 1, groups),
            Node::SubjectStart => at == 0 && next(at, groups),
            Node::SubjectEnd => at == subject.len() && next(at, groups),
            Node::LineStart => {
                let inside = at > 0 && at < subject.len() && subject[at - 1] == b'\n';
                (at == 0 || inside) && next(at, groups)
            }
            Node::LineEnd => (at == subject.len() || subject[at] == b'\n') && next(at, groups),
            Node::WordEdge(is) => {
                let before = at.checked_sub(1).and_then(|before| subject.get(before));
                (is_word(before) != is_word(subject.get(at))) == *is && next(at, groups)
            }
            Node::Group(None, node) => self.node(node, at, groups, next),
            Node::Group(Some(number), node) => {
                let before = groups[*number];
                let matched = self.node(node, at, groups, &mut |end, groups| {
                    let inner = groups[*number];
                    groups[*number] = Some((at, end));
                    let matched = next(end, groups);
                    if !matched {
                        groups[*number] = inner;
                    }
                    matched
                });
                if !matched {
                    groups[*number] = before;
                }
                matched
            }
            Node::Either(nodes) => nodes.iter().any(|node| self.node(node, at, groups, next)),
            Node::Sequence(nodes) => self.sequence(nodes, at, groups, next),
            Node::Repeat { node, least, most, greedy } => self.repeat(node, *least, *most, *greedy, at, groups, next),
        }
    }

    fn sequence(&mut self, nodes: &[Node], at: usize, groups: &mut Groups, next: Next) -> bool {
        let Some((first, rest)) = nodes.split_first() else { return next(at, groups) };
        // The closure needs the run too: it is made anew, and its steps are added.
        let subject = self.subject;
        let steps = std::cell::Cell::new(0);
        let before = self.steps;
        let matched = self.node(first, at, groups, &mut |at, groups| {
            let mut run = Run { subject, steps: before + steps.get() };
            let matched = run.sequence(rest, at, groups, next);
            steps.set(run.steps - before);
            matched
        });
        self.steps += steps.get();
        matched
    }

    #[expect(clippy::too_many_arguments, reason = "a repetition has as many parts")]
    fn repeat(
        &mut self,
        node: &Node,
        least: usize,
        most: usize,
        greedy: bool,
        at: usize,
        groups: &mut Groups,
        next: Next,
    ) -> bool {
        if self.steps > STEPS {
            return true;
        }
        if least == 0 && !greedy && next(at, groups) {
            return true;
        }
        if most > 0 {
            let subject = self.subject;
            let steps = std::cell::Cell::new(0);
            let before = self.steps;
            let matched = self.node(node, at, groups, &mut |end, groups| {
                // A round that took nothing is the last.
                if end == at && least == 0 {
                    return next(end, groups);
                }
                let mut run = Run { subject, steps: before + steps.get() };
                let matched = run.repeat(node, least.saturating_sub(1), most - 1, greedy, end, groups, next);
                steps.set(run.steps - before);
                matched
            });
            self.steps += steps.get();
            if matched {
                return true;
            }
        }
        least == 0 && greedy && next(at, groups)
    }
}

impl Reader<'_> {
    fn either(&mut self) -> Node {
        let mut branches = vec![self.sequence()];
        while self.text.get(self.at) == Some(&b'|') {
            self.at += 1;
            branches.push(self.sequence());
        }
        if branches.len() == 1 { branches.remove(0) } else { Node::Either(branches) }
    }

    fn sequence(&mut self) -> Node {
        let mut nodes = Vec::new();
        while let Some(&byte) = self.text.get(self.at) {
            if byte == b'|' || byte == b')' {
                break;
            }
            if let Some(atom) = self.atom() {
                nodes.push(self.quantified(atom));
            }
        }
        Node::Sequence(nodes)
    }

    fn quantified(&mut self, node: Node) -> Node {
        let rest = &self.text[self.at..];
        let (least, most, length) = match rest.first() {
            Some(b'*') => (0, usize::MAX, 1),
            Some(b'+') => (1, usize::MAX, 1),
            Some(b'?') => (0, 1, 1),
            Some(b'{') if rest.len() > 1 && rest[1].is_ascii_digit() => {
                let Some(end) = rest.iter().position(|&byte| byte == b'}') else { return node };
                let inner = std::str::from_utf8(&rest[1..end]).unwrap();
                match inner.split_once(',') {
                    Some((least, "")) => (least.parse().unwrap(), usize::MAX, end + 1),
                    Some((least, most)) => (least.parse().unwrap(), most.parse().unwrap(), end + 1),
                    None => (inner.parse().unwrap(), inner.parse().unwrap(), end + 1),
                }
            }
            _ => return node,
        };
        self.at += length;
        let lazy = self.text.get(self.at) == Some(&b'?');
        self.at += usize::from(lazy);
        Node::Repeat { node: Box::new(node), least, most, greedy: !lazy }
    }

    fn one(&self, bytes: impl IntoIterator<Item = u8>) -> Node {
        let mut set: BTreeSet<u8> = bytes.into_iter().collect();
        self.folded(&mut set);
        Node::One(set)
    }

    fn folded(&self, set: &mut BTreeSet<u8>) {
        if self.fold {
            for byte in set.clone() {
                set.insert(byte.to_ascii_lowercase());
                set.insert(byte.to_ascii_uppercase());
            }
        }
    }

    fn atom(&mut self) -> Option<Node> {
        let byte = self.text[self.at];
        self.at += 1;
        Some(match byte {
            b'.' if self.dot_all => self.one(0..=255),
            b'.' => self.one((0..=255).filter(|&byte| byte != b'\n')),
            b'^' => Node::LineStart,
            b'$' => Node::LineEnd,
            b'[' => self.brackets(),
            b'(' => return self.group(),
            b'\\' => {
                let letter = self.text[self.at];
                let place = match letter {
                    b'b' => Some(Node::WordEdge(true)),
                    b'B' => Some(Node::WordEdge(false)),
                    b'A' => Some(Node::SubjectStart),
                    b'z' => Some(Node::SubjectEnd),
                    _ => None,
                };
                match place {
                    Some(place) => {
                        self.at += 1;
                        place
                    }
                    None => {
                        let bytes = self.escape();
                        self.one(bytes)
                    }
                }
            }
            other => self.one([other]),
        })
    }

    fn group(&mut self) -> Option<Node> {
        let outer = (self.fold, self.dot_all);
        let mut number = None;
        if self.text.get(self.at) == Some(&b'?') {
            let end = self.at + self.text[self.at..].iter().position(|byte| b":)".contains(byte)).unwrap();
            let mut on = true;
            for flag in &self.text[self.at + 1..end] {
                match flag {
                    b'-' => on = false,
                    b'i' => self.fold = on,
                    b's' => self.dot_all = on,
                    other => panic!("flag {other}"),
                }
            }
            self.at = end + 1;
            if self.text[end] == b')' {
                return None;
            }
        } else {
            self.group += 1;
            number = Some(self.group);
        }
        let inner = self.either();
        assert_eq!(self.text.get(self.at), Some(&b')'));
        self.at += 1;
        (self.fold, self.dot_all) = outer;
        Some(Node::Group(number, Box::new(inner)))
    }

    fn brackets(&mut self) -> Node {
        let negated = self.text[self.at] == b'^';
        self.at += usize::from(negated);
        let first = self.at;
        let mut set = BTreeSet::new();
        while self.text[self.at] != b']' || self.at == first {
            let low = self.member();
            let ranged = self.text[self.at] == b'-' && self.text[self.at + 1] != b']' && low.len() == 1;
            if ranged {
                self.at += 1;
                let high = self.member();
                set.extend(low[0]..=high[0]);
            } else {
                set.extend(low);
            }
        }
        self.at += 1;
        self.folded(&mut set);
        Node::One(if negated { (0..=255).filter(|byte| !set.contains(byte)).collect() } else { set })
    }

    fn member(&mut self) -> Vec<u8> {
        let byte = self.text[self.at];
        self.at += 1;
        if byte != b'\\' {
            return vec![byte];
        }
        if self.text[self.at] == b'b' {
            self.at += 1;
            return vec![8];
        }
        self.escape()
    }

    fn escape(&mut self) -> Vec<u8> {
        let letter = self.text[self.at];
        self.at += 1;
        let class = |is: fn(u8) -> bool| (0..=255).filter(|&byte| is(byte)).collect();
        let space = |byte: u8| matches!(byte, 9..=13 | 32);
        match letter {
            b'd' => class(|byte| byte.is_ascii_digit()),
            b'D' => class(|byte| !byte.is_ascii_digit()),
            b'w' => class(|byte| is_word(Some(&byte))),
            b'W' => class(|byte| !is_word(Some(&byte))),
            b's' => (0..=255).filter(|&byte| space(byte)).collect(),
            b'S' => (0..=255).filter(|&byte| !space(byte)).collect(),
            b'n' => vec![10],
            b'r' => vec![13],
            b't' => vec![9],
            b'f' => vec![12],
            b'v' => vec![10, 11, 12, 13, 0x85],
            b'x' => {
                let digits: &[u8] = if self.text[self.at] == b'{' {
                    let end = self.at + self.text[self.at..].iter().position(|&byte| byte == b'}').unwrap();
                    let digits = &self.text[self.at + 1..end];
                    self.at = end + 1;
                    digits
                } else {
                    let digits = &self.text[self.at..self.at + 2];
                    self.at += 2;
                    digits
                };
                vec![u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()]
            }
            other if other.is_ascii_alphanumeric() => panic!("escape {other}"),
            other => vec![other],
        }
    }
}
