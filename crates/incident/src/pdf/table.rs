//! A table over as many pages as it takes: its head stands on each of them, and is read aloud once.
//!
//! Never cuts a cell off: what is too wide is parted, and a row that is too high goes on overleaf.

use pdf_writer::types::{ArtifactType, StructRole, TableHeaderScope};

use super::sheet::{INK, LEFT, Line, RIGHT, RULE, Sheets, Style, shade};
use crate::content::{Piece, Table, Words};

/// Around what is in a cell.
const SIDE: f32 = 4.0;
const ABOVE: f32 = 2.0;
/// A row of up to so many lines is not torn, and none leaves fewer behind.
const TOGETHER: usize = 12;
/// Points that a word may claim for its column, and a column for all of its words.
const WORD: f32 = 96.0;
const COLUMN: f32 = 280.0;

/// How a table is set.
struct Plan {
    style: Style,
    /// The left edge of each column, and the right edge of the last.
    edges: Vec<f32>,
    numeric: Vec<bool>,
    head: Vec<Vec<Line>>,
}

pub(super) fn set(sheets: &mut Sheets, table: &Table) {
    let plan = Plan::of(sheets, table);
    let caption = Words::default().strong(&table.caption);
    let leading = plan.style.leading();
    let first =
        table.rows.first().map_or(1, |row| plan.cells(sheets, &row.cells).iter().map(Vec::len).max().unwrap_or(1));
    sheets.need(20.0 + plan.head_height() + first.min(TOGETHER) as f32 * leading + 2.0 * ABOVE);
    sheets.within(StructRole::Table, |sheets| {
        sheets.paragraph(StructRole::Caption, &caption, Style::plain(9.0), LEFT, 2.0);
        sheets.within(StructRole::THead, |sheets| plan.head(sheets));
        sheets.within(StructRole::TBody, |sheets| {
            for row in &table.rows {
                if !row.id.is_empty() {
                    // It leads to the page where the row begins, or to the end of the one before.
                    sheets.place(&row.id);
                }
                plan.row(sheets, &row.cells);
            }
            if table.rows.is_empty() {
                plan.empty(sheets, table.empty);
            }
        });
    });
    sheets.y -= 12.0;
}

impl Plan {
    fn of(sheets: &Sheets, table: &Table) -> Self {
        let style = Style::plain(if table.columns.len() > 8 { 6.8 } else { 8.0 });
        let bold = Style { bold: true, ..style };
        let titles: Vec<Words> = table.columns.iter().map(|column| Words::default().strong(column.title)).collect();
        // A title is not parted within a word; what stands below it is where it must be.
        let mut least: Vec<f32> = titles.iter().map(|title| sheets.widths(title, bold).0).collect();
        let mut ideal = least.clone();
        for row in &table.rows {
            for (column, cell) in row.cells.iter().enumerate().take(least.len()) {
                let (word, all) = sheets.widths(cell, style);
                least[column] = least[column].max(word.min(WORD));
                ideal[column] = ideal[column].max(all.min(COLUMN));
            }
        }
        let room = RIGHT - LEFT - 2.0 * SIDE * least.len() as f32;
        let widths = shares(&least, &ideal, room);
        let mut edges = vec![LEFT];
        for width in widths {
            edges.push(edges.last().unwrap_or(&LEFT) + width + 2.0 * SIDE);
        }
        let mut plan = Self {
            style,
            edges,
            numeric: table.columns.iter().map(|column| column.numeric).collect(),
            head: Vec::new(),
        };
        plan.head = plan.cells(sheets, &titles);
        plan
    }

    fn cells(&self, sheets: &Sheets, cells: &[Words]) -> Vec<Vec<Line>> {
        let widths = self.edges.windows(2).map(|edges| edges[1] - edges[0] - 2.0 * SIDE);
        // A hair more, so that what was measured fits.
        cells.iter().zip(widths).map(|(cell, width)| sheets.lines(cell, self.style, width + 0.1)).collect()
    }

    fn head_height(&self) -> f32 {
        self.head.iter().map(Vec::len).max().unwrap_or(1) as f32 * self.style.leading() + 2.0 * ABOVE
    }

    /// The head, tagged.
    fn head(&self, sheets: &mut Sheets) {
        let bottom = self.head_ground(sheets);
        sheets.within(StructRole::TR, |sheets| {
            for (column, lines) in self.head.iter().enumerate() {
                let tag = sheets.tag(StructRole::TH);
                sheets.tags[tag].scope = Some(TableHeaderScope::Column);
                sheets.inside(tag, |sheets| {
                    for (line, x, y) in self.places(column, lines, sheets.y) {
                        sheets.line(line, x, y);
                    }
                });
            }
        });
        sheets.y = bottom;
    }

    /// The head of the next page: seen, and not read aloud again.
    fn head_again(&self, sheets: &mut Sheets) {
        sheets.turn();
        let bottom = self.head_ground(sheets);
        for (column, lines) in self.head.iter().enumerate() {
            for (line, x, y) in self.places(column, lines, sheets.y) {
                sheets.line_again(line, x, y);
            }
        }
        sheets.y = bottom;
    }

    fn head_ground(&self, sheets: &mut Sheets) -> f32 {
        let (page, top, bottom) = (sheets.last(), sheets.y, sheets.y - self.head_height());
        sheets.ornament(page, ArtifactType::Layout, |content| {
            let [red, green, blue] = shade(INK);
            content.set_fill_gray(0.92).rect(LEFT, bottom, RIGHT - LEFT, top - bottom).fill_nonzero();
            content.set_stroke_rgb(red, green, blue).set_line_width(0.7);
            content.move_to(LEFT, bottom).line_to(RIGHT, bottom).stroke();
        });
        bottom
    }

    /// Where the lines of a cell stand whose row begins at `top`.
    fn places<'a>(
        &self,
        column: usize,
        lines: &'a [Line],
        top: f32,
    ) -> impl Iterator<Item = (&'a Line, f32, f32)> + use<'a> {
        let (left, right) = (self.edges[column] + SIDE, self.edges[column + 1] - SIDE);
        let (numeric, style) = (self.numeric[column], self.style);
        lines.iter().enumerate().map(move |(number, line)| {
            let x = if numeric { right - line.width } else { left };
            (line, x, top - ABOVE - style.size * 1.06 - number as f32 * style.leading())
        })
    }

    fn row(&self, sheets: &mut Sheets, cells: &[Words]) {
        let cells = self.cells(sheets, cells);
        let all = cells.iter().map(Vec::len).max().unwrap_or(1);
        let row = sheets.tag(StructRole::TR);
        let tags: Vec<usize> = sheets.inside(row, |sheets| {
            (0..cells.len())
                .map(|column| {
                    let tag = sheets.tag(if column == 0 { StructRole::TH } else { StructRole::TD });
                    sheets.tags[tag].scope = (column == 0).then_some(TableHeaderScope::Row);
                    tag
                })
                .collect()
        });
        let mut from = 0;
        while from < all {
            let rest = all - from;
            let room = ((sheets.room() - 2.0 * ABOVE) / self.style.leading()).max(0.0) as usize;
            if room < rest.min(TOGETHER) {
                self.head_again(sheets);
                continue;
            }
            let until = from + rest.min(room);
            for (column, lines) in cells.iter().enumerate() {
                let some = &lines[from.min(lines.len())..until.min(lines.len())];
                sheets.inside(tags[column], |sheets| {
                    for (line, x, y) in self.places(column, some, sheets.y) {
                        sheets.line(line, x, y);
                    }
                });
            }
            sheets.y -= (until - from) as f32 * self.style.leading() + 2.0 * ABOVE;
            self.rule(sheets);
            from = until;
        }
    }

    /// What stands there instead of rows.
    fn empty(&self, sheets: &mut Sheets, words: &str) {
        let words = Words(vec![Piece::Plain { text: words.to_owned() }]);
        let lines = sheets.lines(&words, self.style, RIGHT - LEFT - 2.0 * SIDE);
        sheets.y -= ABOVE;
        sheets.within(StructRole::TR, |sheets| {
            let tag = sheets.tag(StructRole::TD);
            sheets.tags[tag].span = self.numeric.len();
            sheets.inside(tag, |sheets| sheets.stand(&lines, self.style, LEFT + SIDE));
        });
        sheets.y -= ABOVE;
        self.rule(sheets);
    }

    fn rule(&self, sheets: &mut Sheets) {
        let (page, y) = (sheets.last(), sheets.y);
        sheets.ornament(page, ArtifactType::Layout, |content| {
            let [red, green, blue] = shade(RULE);
            content.set_stroke_rgb(red, green, blue).set_line_width(0.4);
            content.move_to(LEFT, y).line_to(RIGHT, y).stroke();
        });
    }
}

/// Widths that fill the room: everybody's words whole where there is room for that, and the rest to those who want more.
fn shares(least: &[f32], ideal: &[f32], room: f32) -> Vec<f32> {
    let (words, all): (f32, f32) = (least.iter().sum(), ideal.iter().sum());
    let each = least.iter().zip(ideal);
    if all <= room {
        let more = if all > 0.0 { room / all } else { 1.0 };
        each.map(|(_, ideal)| ideal * more).collect()
    } else if words <= room {
        let share = (room - words) / (all - words);
        each.map(|(least, ideal)| least + (ideal - least) * share).collect()
    } else {
        least.iter().map(|least| least * room / words).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_the_room_and_keep_words_whole_where_they_can() {
        let table = [
            ([10.0, 10.0], [20.0, 60.0], 160.0, [40.0, 120.0]),
            ([10.0, 20.0], [10.0, 120.0], 80.0, [10.0, 70.0]),
            ([60.0, 60.0], [60.0, 90.0], 60.0, [30.0, 30.0]),
        ];
        for (least, ideal, room, widths) in table {
            assert_eq!(shares(&least, &ideal, room), widths);
        }
    }
}
