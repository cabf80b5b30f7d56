//! Lines on sheets of A4, and what each of them is: the tree of tags that is read aloud.
//!
//! Never puts anything on a sheet that is neither tagged nor called an ornament.

use std::collections::BTreeMap;

use pdf_writer::types::{ArtifactType, StructRole, TableHeaderScope};
use pdf_writer::{Content, Name, Rect, Str};

use super::face::Face;
use crate::content::{Piece, Words};

/// A4 in points.
pub(super) const WIDTH: f32 = 595.28;
pub(super) const HEIGHT: f32 = 841.89;
/// Margins of 18 mm; the foot of the page stands in the lower one.
pub(super) const LEFT: f32 = 51.0;
pub(super) const RIGHT: f32 = WIDTH - LEFT;
pub(super) const TOP: f32 = HEIGHT - 51.0;
pub(super) const BOTTOM: f32 = 62.0;
const FOOT: f32 = 38.0;
/// The distance of lines, as a share of the size of letters.
const LEADING: f32 = 1.38;
/// From the top of a line to the feet of its letters.
const RISE: f32 = 1.06;

/// What letters look like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) size: f32,
    pub(super) ink: [u8; 3],
}

pub(super) const INK: [u8; 3] = [0x1a, 0x1a, 0x1a];
pub(super) const QUIET: [u8; 3] = [0x4a, 0x4a, 0x4a];
const LINK: [u8; 3] = [0x00, 0x41, 0x7a];
pub(super) const RULE: [u8; 3] = [0xb0, 0xb0, 0xb0];

impl Style {
    pub(super) const fn plain(size: f32) -> Self {
        Self { bold: false, size, ink: INK }
    }

    pub(super) const fn bold(size: f32) -> Self {
        Self { bold: true, size, ink: INK }
    }

    pub(super) fn leading(self) -> f32 {
        self.size * LEADING
    }
}

/// Letters that look alike, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) x: f32,
    pub(super) text: String,
    pub(super) style: Style,
    /// What it leads to.
    pub(super) to: Option<String>,
}

/// A line, and its width without the spaces at its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    pub(super) runs: Vec<Run>,
    pub(super) width: f32,
}

/// A tag of the tree.
pub(super) struct Tag {
    pub(super) role: StructRole,
    pub(super) parent: Option<usize>,
    pub(super) kids: Vec<Kid>,
    pub(super) alt: Option<String>,
    pub(super) scope: Option<TableHeaderScope>,
    pub(super) bounds: Option<Rect>,
    /// Columns that a cell takes, where it is more than one.
    pub(super) span: usize,
}

impl Tag {
    fn new(role: StructRole, parent: Option<usize>) -> Self {
        Self { role, parent, kids: Vec::new(), alt: None, scope: None, bounds: None, span: 1 }
    }
}

/// What a tag holds.
pub(super) enum Kid {
    Tag(usize),
    /// A mark on a page.
    Mark {
        page: usize,
        mark: i32,
    },
    /// A link of a page.
    Link {
        page: usize,
        link: usize,
    },
}

/// Something to click on.
pub(super) struct Link {
    pub(super) bounds: Rect,
    pub(super) to: String,
    pub(super) tag: usize,
}

pub(super) struct Page {
    pub(super) content: Content,
    /// The tag of each mark, in the order of marks.
    pub(super) owners: Vec<usize>,
    pub(super) links: Vec<Link>,
}

/// An entry of the bookmarks: how deep, what, and where.
pub(super) struct Bookmark {
    pub(super) level: u8,
    pub(super) title: String,
    pub(super) page: usize,
    pub(super) y: f32,
}

/// All sheets.
pub(super) struct Sheets {
    pub(super) regular: Face,
    pub(super) bold: Face,
    pub(super) pages: Vec<Page>,
    pub(super) tags: Vec<Tag>,
    pub(super) bookmarks: Vec<Bookmark>,
    /// Where links lead: page and height.
    pub(super) places: BTreeMap<String, (usize, f32)>,
    /// The upper edge of what is free on the last page.
    pub(super) y: f32,
    open: Vec<usize>,
}

impl Sheets {
    pub(super) fn new() -> Result<Self, String> {
        let mut sheets = Self {
            regular: Face::new("NotoSans", ttf_noto_sans::REGULAR)?,
            bold: Face::new("NotoSans-Bold", ttf_noto_sans::BOLD)?,
            pages: Vec::new(),
            tags: vec![Tag::new(StructRole::Document, None)],
            bookmarks: Vec::new(),
            places: BTreeMap::new(),
            y: TOP,
            open: vec![0],
        };
        sheets.turn();
        Ok(sheets)
    }

    /// A new page.
    pub(super) fn turn(&mut self) {
        self.pages.push(Page { content: Content::new(), owners: Vec::new(), links: Vec::new() });
        self.y = TOP;
    }

    /// The number of the last page, from none.
    pub(super) fn last(&self) -> usize {
        self.pages.len() - 1
    }

    /// What is free on the last page.
    pub(super) fn room(&self) -> f32 {
        self.y - BOTTOM
    }

    /// A new page where less than that is free.
    pub(super) fn need(&mut self, room: f32) {
        if self.room() < room && self.y < TOP {
            self.turn();
        }
    }

    /// A place that links lead to: the next line.
    pub(super) fn place(&mut self, id: &str) {
        self.places.insert(id.to_owned(), (self.last(), self.y));
    }

    /// What `inside` writes belongs to a new tag.
    pub(super) fn within<T>(&mut self, role: StructRole, inside: impl FnOnce(&mut Self) -> T) -> T {
        let tag = self.tag(role);
        self.inside(tag, inside)
    }

    /// A tag within the one that is open; its content may come later, with [`Self::inside`].
    pub(super) fn tag(&mut self, role: StructRole) -> usize {
        let (tag, parent) = (self.tags.len(), *self.open.last().unwrap_or(&0));
        self.tags.push(Tag::new(role, Some(parent)));
        self.tags[parent].kids.push(Kid::Tag(tag));
        tag
    }

    pub(super) fn inside<T>(&mut self, tag: usize, inside: impl FnOnce(&mut Self) -> T) -> T {
        self.open.push(tag);
        let made = inside(self);
        self.open.pop();
        made
    }

    /// Marks what `draw` puts on the last page as the content of the open tag.
    pub(super) fn marked(&mut self, draw: impl FnOnce(&mut Self)) {
        let (tag, page) = (*self.open.last().unwrap_or(&0), self.last());
        let mark = self.pages[page].owners.len() as i32;
        self.pages[page].owners.push(tag);
        self.tags[tag].kids.push(Kid::Mark { page, mark });
        let name = self.tags[tag].role.to_name();
        self.pages[page].content.begin_marked_content_with_properties(name).properties().identify(mark);
        draw(self);
        self.pages[page].content.end_marked_content();
    }

    /// Says that what `draw` puts on a page is an ornament.
    pub(super) fn ornament(&mut self, page: usize, kind: ArtifactType, draw: impl FnOnce(&mut Content)) {
        let content = &mut self.pages[page].content;
        content.begin_marked_content_with_properties(Name(b"Artifact")).properties().artifact().kind(kind);
        draw(content);
        content.end_marked_content();
    }

    /// Paragraphs of one kind: a tag, its lines, and the distance to what follows.
    pub(super) fn paragraph(&mut self, role: StructRole, words: &Words, style: Style, x: f32, after: f32) {
        let lines = self.lines(words, style, RIGHT - x);
        self.within(role, |sheets| sheets.stand(&lines, style, x));
        self.y -= after;
    }

    /// Lines one below the other, over as many pages as it takes.
    pub(super) fn stand(&mut self, lines: &[Line], style: Style, x: f32) {
        for line in lines {
            self.need(style.leading());
            self.line(line, x, self.y - style.size * RISE);
            self.y -= style.leading();
        }
    }

    /// A line of the open tag, by the feet of its letters.
    pub(super) fn line(&mut self, line: &Line, x: f32, y: f32) {
        for runs in line.runs.chunk_by(|one, next| one.to == next.to) {
            match runs.first().and_then(|run| run.to.clone()) {
                None => self.marked(|sheets| sheets.draw(runs, x, y)),
                Some(to) => self.within(StructRole::Link, |sheets| {
                    sheets.marked(|sheets| sheets.draw(runs, x, y));
                    sheets.link(runs, to, x, y);
                }),
            }
        }
    }

    /// The same of an ornament.
    pub(super) fn line_again(&mut self, line: &Line, x: f32, y: f32) {
        let page = self.last();
        self.foot_line(page, line, x, y);
    }

    fn link(&mut self, runs: &[Run], to: String, x: f32, y: f32) {
        let (Some(first), Some(end)) = (runs.first(), runs.last()) else { return };
        let until = end.x + self.face(end.style.bold).width_of(&end.text, end.style.size);
        let bounds = Rect::new(x + first.x, y - 0.3 * first.style.size, x + until, y + first.style.size);
        let (page, tag) = (self.last(), *self.open.last().unwrap_or(&0));
        self.tags[tag].kids.push(Kid::Link { page, link: self.pages[page].links.len() });
        self.pages[page].links.push(Link { bounds, to, tag });
    }

    fn foot_line(&mut self, page: usize, line: &Line, x: f32, y: f32) {
        let encoded: Vec<Vec<u8>> = line.runs.iter().map(|run| self.encode(run)).collect();
        self.ornament(page, ArtifactType::Pagination, |content| {
            for (run, text) in line.runs.iter().zip(&encoded) {
                show(content, run, text, x, y);
            }
        });
    }

    pub(super) fn draw(&mut self, runs: &[Run], x: f32, y: f32) {
        for run in runs {
            let text = self.encode(run);
            let page = self.last();
            show(&mut self.pages[page].content, run, &text, x, y);
        }
    }

    fn encode(&mut self, run: &Run) -> Vec<u8> {
        if run.style.bold { self.bold.encode(&run.text) } else { self.regular.encode(&run.text) }
    }

    pub(super) fn face(&self, bold: bool) -> &Face {
        if bold { &self.bold } else { &self.regular }
    }

    /// The foot of each page.
    pub(super) fn feet(&mut self, left: &str) {
        let (style, all) = (Style { ink: QUIET, ..Style::plain(7.5) }, self.pages.len());
        for page in 0..all {
            let right = format!("Page {} of {all}", page + 1);
            let width = self.regular.width_of(&right, style.size);
            let run = |x, text: &str| Run { x, text: text.to_owned(), style, to: None };
            let left = self.regular.letters(left);
            let line = Line { runs: vec![run(LEFT, &left), run(RIGHT - width, &right)], width: 0.0 };
            self.foot_line(page, &line, 0.0, FOOT);
        }
    }

    /// Words as lines of that width. They are parted at spaces, else behind a sign late in the line, else anywhere.
    pub(super) fn lines(&self, words: &Words, style: Style, width: f32) -> Vec<Line> {
        let letters = self.letters(words, style);
        let (mut lines, mut begin, mut x, mut at) = (Vec::new(), 0, 0.0, 0);
        let (mut space, mut sign) = (None, None);
        while let Some(letter) = letters.get(at) {
            if x + letter.width > width && at > begin && letter.c != ' ' {
                let end = space.or(sign).unwrap_or(at);
                lines.push(line(&letters[begin..end]));
                (begin, at, x, space, sign) = (end, end, 0.0, None, None);
                continue;
            }
            x += letter.width;
            at += 1;
            match letter.c {
                ' ' => space = Some(at),
                '/' | '-' | '.' | ',' | ':' | '_' | '=' | '&' | '?' if x > 0.6 * width => sign = Some(at),
                _ => {}
            }
        }
        lines.push(line(&letters[begin..]));
        lines
    }

    /// The widest word and the width of all in one line.
    pub(super) fn widths(&self, words: &Words, style: Style) -> (f32, f32) {
        let letters = self.letters(words, style);
        let word = |word: &[Letter<'_>]| word.iter().map(|letter| letter.width).sum::<f32>();
        let widest = letters.split(|letter| letter.c == ' ').map(word).fold(0.0, f32::max);
        (widest, word(&letters))
    }

    fn letters<'a>(&self, words: &'a Words, style: Style) -> Vec<Letter<'a>> {
        let mut letters = Vec::new();
        let mut add = |text: &str, style: Style, to: Option<&'a str>| {
            let face = self.face(style.bold);
            let shown = face.letters(text);
            letters.extend(shown.chars().map(|c| Letter { c, width: face.width(c, style.size), style, to }));
        };
        for piece in &words.0 {
            match piece {
                Piece::Plain { text } | Piece::Code { text } => add(text, style, None),
                Piece::Strong { text } => add(text, Style { bold: true, ..style }, None),
                Piece::Evidence { text } => add(text, Style { ink: QUIET, size: style.size * 0.88, ..style }, None),
                Piece::Figure { text, id } => {
                    add(text, Style { ink: LINK, ..style }, Some(id));
                    add(&format!(" {id}"), Style { ink: QUIET, size: style.size * 0.7, ..style }, Some(id));
                }
            }
        }
        letters
    }
}

struct Letter<'a> {
    c: char,
    width: f32,
    style: Style,
    to: Option<&'a str>,
}

fn line(letters: &[Letter<'_>]) -> Line {
    let (mut runs, mut x): (Vec<Run>, f32) = (Vec::new(), 0.0);
    for alike in letters.chunk_by(|one, next| one.style == next.style && one.to == next.to) {
        let text = alike.iter().map(|letter| letter.c).collect();
        let Some(first) = alike.first() else { continue };
        runs.push(Run { x, text, style: first.style, to: first.to.map(str::to_owned) });
        x += alike.iter().map(|letter| letter.width).sum::<f32>();
    }
    let spaces: f32 = letters.iter().rev().take_while(|letter| letter.c == ' ').map(|letter| letter.width).sum();
    Line { runs, width: x - spaces }
}

fn show(content: &mut Content, run: &Run, text: &[u8], x: f32, y: f32) {
    let [red, green, blue] = shade(run.style.ink);
    let font = if run.style.bold { Name(b"B") } else { Name(b"R") };
    content.set_fill_rgb(red, green, blue).begin_text().set_font(font, run.style.size);
    content.next_line(x + run.x, y).show(Str(text)).end_text();
}

/// A colour as PDF has it.
pub(super) fn shade(ink: [u8; 3]) -> [f32; 3] {
    ink.map(|part| f32::from(part) / 255.0)
}
