//! A platform's requests over time as lines: one drawing for every form that the report has, and the SVG of it.
//!
//! Never the only place of a number: a table with the same stands beside each. Lines differ by their dashes, not by colour alone.

use std::fmt::Write as _;

use serde::Serialize;

use crate::effect::{Flow, Point};
use crate::statement::spaced;

/// The drawing's size, in units that whoever draws it scales.
pub(crate) const WIDTH: f32 = 720.0;
pub(crate) const HEIGHT: f32 = 220.0;
/// Where lines are: right of the scale, below a margin, above the times.
pub(crate) const LEFT: f32 = 70.0;
const TOP: f32 = 14.0;
const BOTTOM: f32 = 30.0;
/// The height of letters in it.
pub(crate) const LETTERS: f32 = 12.0;

/// Rows of the table beside it.
pub(crate) const ROWS: usize = 24;

/// Requests to a platform over time.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    platform: String,
    /// The length of one point, in seconds.
    seconds: u64,
    /// The beginning of the first point and of the last.
    pub(crate) ends: Vec<String>,
    /// The most in one point.
    most: u64,
    pub(crate) lines: [Line; 3],
}

/// One line of it: a count for each point.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    what: &'static str,
    counts: Vec<u64>,
    /// Lengths of dashes and gaps; none of a solid line.
    #[serde(skip)]
    pub(crate) dashes: &'static [f32],
    /// Red, green and blue on white paper.
    #[serde(skip)]
    pub(crate) colour: [u8; 3],
}

impl Chart {
    pub(crate) fn of(platform: &str, flow: &Flow) -> Self {
        let points = &flow.series.points;
        let line = |what, dashes, colour, count: fn(&Point) -> u64| Line {
            what,
            counts: points.iter().map(count).collect(),
            dashes,
            colour,
        };
        let mut ends: Vec<String> = flow.series.rows(points.len().max(1)).into_iter().map(|(time, _)| time).collect();
        if ends.len() > 2 {
            ends.drain(1..ends.len() - 1);
        }
        Self {
            platform: platform.to_owned(),
            seconds: (flow.series.step / 1000).max(1),
            ends,
            most: points.iter().map(|point| point.requests).max().unwrap_or(0).max(1),
            lines: [
                line("came", &[], [0x1a, 0x1a, 0x1a], |point| point.requests),
                line("served", &[8.0, 3.0], [0x00, 0x60, 0x9c], |point| point.served),
                line("held", &[2.0, 3.0], [0xa3, 0x3a, 0x00], |point| point.held),
            ],
        }
    }

    /// What it is a chart of.
    pub(crate) fn title(&self) -> String {
        format!("Requests to {}, each {} seconds", self.platform, self.seconds)
    }

    /// What it shows, for who does not see it.
    pub(crate) fn description(&self) -> String {
        format!(
            "Three lines: requests that came, those that were served, and those that were refused, challenged or sent to the \
             waiting room. At most {} came in {} seconds. The table below has the figures.",
            spaced(self.most),
            self.seconds
        )
    }

    /// How its lines are told apart.
    pub(crate) const KEY: &str =
        "Solid: came. Long dashes: served. Dots: refused, challenged or sent to the waiting room.";

    /// The scale: heights in the drawing, and what they stand for.
    pub(crate) fn scale(&self) -> Vec<(f32, String)> {
        // Two halves of one request would both be none.
        let marks = if self.most > 1 { vec![0, self.most / 2, self.most] } else { vec![0, 1] };
        marks.into_iter().map(|count| (self.height(count), spaced(count))).collect()
    }

    /// The corners of a line in the drawing.
    pub(crate) fn corners(&self, line: &Line) -> Vec<(f32, f32)> {
        let last = line.counts.len().max(2) - 1;
        let corner =
            |(place, count): (usize, &u64)| (LEFT + (WIDTH - LEFT) * place as f32 / last as f32, self.height(*count));
        let mut corners: Vec<(f32, f32)> = line.counts.iter().enumerate().map(corner).collect();
        // One point alone is as long as all of the time there is.
        if let [(_, only)] = corners[..] {
            corners.push((WIDTH, only));
        }
        corners
    }

    /// Where the line of times stands.
    pub(crate) const TIMES: f32 = HEIGHT - 8.0;

    fn height(&self, count: u64) -> f32 {
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - count as f32 / self.most as f32)
    }

    /// As SVG within a page, which says the colours; `number` makes its ids unique there.
    pub(crate) fn svg(&self, number: usize) -> String {
        let id = format!("chart-{number}");
        let mut svg = format!(
            "<svg role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" xmlns=\"http://www.w3.org/2000/svg\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            escape(&self.title()),
            escape(&self.description())
        );
        for (y, count) in self.scale() {
            let _ = write!(
                svg,
                "<line class=\"scale\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"{LETTERS}\">{count}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for ((at, anchor), time) in [(LEFT, "start"), (WIDTH, "end")].into_iter().zip(&self.ends) {
            let y = Self::TIMES;
            let _ = write!(
                svg,
                "<text x=\"{at}\" y=\"{y}\" text-anchor=\"{anchor}\" font-size=\"{LETTERS}\">{time}</text>"
            );
        }
        for line in &self.lines {
            let corners: Vec<String> = self.corners(line).iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let dashes: Vec<String> = line.dashes.iter().map(f32::to_string).collect();
            let _ = write!(
                svg,
                "<polyline class=\"{}\" points=\"{}\" stroke-dasharray=\"{}\"/>",
                line.what,
                corners.join(" "),
                dashes.join(" ")
            );
        }
        svg.push_str("</svg>");
        svg
    }
}

/// For text and attributes of SVG and XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
