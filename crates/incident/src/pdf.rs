//! The report as PDF: tagged, on A4, with its fonts in it, the same bytes each time.
//!
//! Never has words of its own but those on the foot of a page and above the contents: what it says is in `content`.

mod face;
mod file;
mod sheet;
mod table;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::Rect;
use pdf_writer::types::{ArtifactType, StructRole};

use self::sheet::{Bookmark, INK, LEFT, Line, QUIET, RIGHT, RULE, Run, Sheets, Style, shade};
use crate::assessment::Outcome;
use crate::chart::{self, Chart};
use crate::content::{Block, Content, Section, Words};
use crate::report::Report;

const BODY: Style = Style::plain(10.0);

/// The report as a file.
///
/// # Errors
/// When a font that is built in cannot be read, which any test would have shown.
pub fn pdf(report: &Report) -> Result<Vec<u8>, String> {
    let content = Content::of(report);
    let foot = format!("{} – written {}", content.heading, report.written);
    // Once to learn on which pages sections begin, and once to say so.
    let first = set(&content, &foot, &[])?;
    let pages: Vec<usize> =
        content.sections.iter().map(|section| first.places.get(section.id).map_or(0, |place| place.0)).collect();
    file::write(&set(&content, &foot, &pages)?, &content, report)
}

/// Everything on its sheets.
fn set(content: &Content, foot: &str, pages: &[usize]) -> Result<Sheets, String> {
    let mut sheets = Sheets::new()?;
    heading(&mut sheets, 1, &content.heading);
    sheets.paragraph(StructRole::P, &content.lead, BODY, LEFT, 8.0);
    contents(&mut sheets, &content.sections, pages);
    for section in &content.sections {
        sheets.need(110.0);
        sheets.place(section.id);
        sheets.within(StructRole::Sect, |sheets| {
            heading(sheets, 2, section.title);
            for part in &section.blocks {
                block(sheets, part, LEFT);
            }
        });
    }
    sheets.feet(foot);
    Ok(sheets)
}

fn contents(sheets: &mut Sheets, sections: &[Section], pages: &[usize]) {
    sheets.paragraph(StructRole::P, &Words::default().strong("Contents"), BODY, LEFT, 1.0);
    sheets.within(StructRole::TOC, |sheets| {
        for (number, section) in sections.iter().enumerate() {
            let page = pages.get(number).map_or_else(|| "0".to_owned(), |page| (page + 1).to_string());
            let run = |x: f32, text: String| Run { x, text, style: BODY, to: Some(section.id.to_owned()) };
            let at = RIGHT - LEFT - sheets.regular.width_of(&page, BODY.size);
            let line = Line { runs: vec![run(0.0, format!("{} ", section.title)), run(at, page)], width: 0.0 };
            sheets.within(StructRole::TOCI, |sheets| {
                sheets.within(StructRole::Reference, |sheets| sheets.stand(&[line], BODY, LEFT));
            });
        }
    });
    sheets.y -= 8.0;
}

fn heading(sheets: &mut Sheets, level: u8, title: &str) {
    let (role, style, before) = match level {
        1 => (StructRole::H1, Style::bold(20.0), 0.0),
        2 => (StructRole::H2, Style::bold(14.0), 12.0),
        _ => (StructRole::H3, Style::bold(11.0), 6.0),
    };
    // A heading does not stand alone at the end of a page.
    sheets.need(before + style.leading() + 60.0);
    sheets.y -= before;
    sheets.bookmarks.push(Bookmark { level, title: title.to_owned(), page: sheets.last(), y: sheets.y });
    sheets.paragraph(role, &Words::say(title), style, LEFT, 2.0);
    if level == 2 {
        let (page, y) = (sheets.last(), sheets.y);
        sheets.ornament(page, ArtifactType::Layout, |content| {
            let [red, green, blue] = shade(INK);
            content.set_stroke_rgb(red, green, blue).set_line_width(0.8);
            content.move_to(LEFT, y).line_to(RIGHT, y).stroke();
        });
        sheets.y -= 6.0;
    }
}

fn block(sheets: &mut Sheets, block: &Block, x: f32) {
    match block {
        Block::Heading { words } => heading(sheets, 3, words),
        Block::Text { words } => sheets.paragraph(StructRole::P, words, BODY, x, 5.0),
        Block::List { items } => list(sheets, items, x),
        Block::Verdict { outcome, blocks } => verdict(sheets, *outcome, blocks),
        Block::Table(table) => table::set(sheets, table),
        Block::Chart { chart, .. } => figure(sheets, chart),
    }
}

fn list(sheets: &mut Sheets, items: &[Words], x: f32) {
    const DOT: f32 = 12.0;
    sheets.within(StructRole::L, |sheets| {
        for item in items {
            let lines = sheets.lines(item, BODY, RIGHT - x - DOT);
            sheets.need(BODY.leading());
            sheets.within(StructRole::LI, |sheets| {
                let dot = sheets.lines(&Words::say("•"), BODY, DOT);
                let y = sheets.y;
                sheets.within(StructRole::Lbl, |sheets| sheets.stand(&dot, BODY, x + 2.0));
                sheets.y = y;
                sheets.within(StructRole::LBody, |sheets| sheets.stand(&lines, BODY, x + DOT));
            });
            sheets.y -= 1.5;
        }
    });
    sheets.y -= 4.0;
}

/// A judgement has a bar beside it; its colour says nothing that its words do not.
fn verdict(sheets: &mut Sheets, outcome: Outcome, blocks: &[Block]) {
    const BAR: f32 = 3.0;
    sheets.need(110.0);
    sheets.y -= 4.0;
    let (first, from) = (sheets.last(), sheets.y);
    sheets.within(StructRole::Div, |sheets| {
        for part in blocks {
            match part {
                Block::Heading { words } => {
                    let (page, y) = (sheets.last(), sheets.y);
                    sheets.bookmarks.push(Bookmark { level: 3, title: words.clone(), page, y });
                    sheets.paragraph(StructRole::H3, &Words::say(words), Style::bold(11.0), LEFT + 10.0, 2.0);
                }
                part => block(sheets, part, LEFT + 10.0),
            }
        }
    });
    let (last, until) = (sheets.last(), sheets.y);
    let [red, green, blue] = shade(match outcome {
        Outcome::Refused => [0x8f, 0x1d, 0x00],
        Outcome::Reduced | Outcome::CannotSay => [0x7a, 0x52, 0x00],
        _ => [0x00, 0x41, 0x7a],
    });
    for page in first..=last {
        let top = if page == first { from } else { sheet::TOP };
        let bottom = if page == last { until + 4.0 } else { sheet::BOTTOM };
        sheets.ornament(page, ArtifactType::Layout, |content| {
            content.set_fill_rgb(red, green, blue).rect(LEFT, bottom, BAR, top - bottom).fill_nonzero();
        });
    }
    sheets.y -= 4.0;
}

/// A chart is drawn, and said to whoever does not see it; its table follows.
fn figure(sheets: &mut Sheets, chart: &Chart) {
    let scale = (RIGHT - LEFT) / chart::WIDTH;
    let height = chart::HEIGHT * scale;
    sheets.need(height + 20.0);
    let (top, style) = (sheets.y, Style::plain(chart::LETTERS * scale));
    let at = |(x, y): (f32, f32)| (LEFT + x * scale, top - y * scale);
    let tag = sheets.tag(StructRole::Figure);
    let (alt, bounds) =
        (format!("{}. {}", chart.title(), chart.description()), Rect::new(LEFT, top - height, RIGHT, top));
    (sheets.tags[tag].alt, sheets.tags[tag].bounds) = (Some(alt), Some(bounds));
    let label = |sheets: &mut Sheets, text: &str, end: f32, x: f32, y: f32| {
        let text = sheets.regular.letters(text);
        let width = sheets.regular.width_of(&text, style.size);
        sheets.draw(&[Run { x: 0.0, text, style, to: None }], x - end * width, y);
    };
    sheets.inside(tag, |sheets| {
        sheets.marked(|sheets| {
            let page = sheets.last();
            for (y, count) in chart.scale() {
                let ((x, line), (until, _)) = (at((chart::LEFT, y)), at((chart::WIDTH, y)));
                let [red, green, blue] = shade(RULE);
                let content = &mut sheets.pages[page].content;
                content.set_stroke_rgb(red, green, blue).set_line_width(0.5);
                content.move_to(x, line).line_to(until, line).stroke();
                label(sheets, &count, 1.0, x - 4.0, line - 3.0);
            }
            for ((x, end), time) in [(chart::LEFT, 0.0), (chart::WIDTH, 1.0)].into_iter().zip(&chart.ends) {
                let (x, y) = at((x, Chart::TIMES));
                label(sheets, time, end, x, y);
            }
            let content = &mut sheets.pages[page].content;
            for line in &chart.lines {
                let [red, green, blue] = shade(line.colour);
                content.set_stroke_rgb(red, green, blue).set_line_width(1.3);
                content.set_dash_pattern(line.dashes.iter().map(|length| length * scale), 0.0);
                for (number, corner) in chart.corners(line).into_iter().enumerate() {
                    let (x, y) = at(corner);
                    if number == 0 {
                        content.move_to(x, y)
                    } else {
                        content.line_to(x, y)
                    };
                }
                content.stroke();
            }
            content.set_dash_pattern([], 0.0);
        });
    });
    sheets.y -= height + 2.0;
    sheets.paragraph(StructRole::P, &Words::say(Chart::KEY), Style { ink: QUIET, ..Style::plain(8.5) }, LEFT, 6.0);
}

/// As a stream of the file has it.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    // Into memory: it cannot fail.
    let _ = packer.write_all(bytes);
    packer.finish().unwrap_or_default()
}
