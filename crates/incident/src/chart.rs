//! A platform's requests over time as an inline SVG.
//!
//! Never the only place of a number: a table with the same stands beside each. Shapes differ by their dashes, not by colour alone.

use std::fmt::Write as _;

use crate::effect::{Flow, Point};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 14.0;

/// Rows of the table beside it.
pub(crate) const ROWS: usize = 24;

/// The chart of one platform; `number` makes its ids unique in the page.
pub(crate) fn requests(name: &str, number: usize, flow: &Flow) -> String {
    let points = &flow.series.points;
    let most = points.iter().map(|point| point.requests).max().unwrap_or(0).max(1);
    let seconds = (flow.series.step / 1000).max(1);
    let (name, id) = (escape(name), format!("chart-{number}"));
    let mut svg = format!(
        "<svg role=\"img\" aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" xmlns=\"http://www.w3.org/2000/svg\">\
         <title id=\"{id}-t\">Requests to {name}, each {seconds} seconds</title>\
         <desc id=\"{id}-d\">Three lines: requests that came, those that were served, and those that were refused, challenged or \
         sent to the waiting room. At most {most} came in {seconds} seconds. The table below has the figures.</desc>"
    );
    for share in [0.0, 0.5, 1.0] {
        let y = TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#bbb\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"12\">{:.0}</text>",
            LEFT - 6.0,
            y + 4.0,
            most as f64 * share
        );
    }
    let ends = flow.series.rows(points.len().max(1));
    for (at, anchor, row) in [(LEFT, "start", ends.first()), (WIDTH, "end", ends.last())] {
        if let Some((time, _)) = row {
            let _ = write!(
                svg,
                "<text x=\"{at}\" y=\"{:.1}\" text-anchor=\"{anchor}\" font-size=\"12\">{time}</text>",
                HEIGHT - 8.0
            );
        }
    }
    type Line = (fn(&Point) -> u64, &'static str, &'static str);
    let lines: [Line; 3] = [
        (|point| point.requests, "#222", ""),
        (|point| point.served, "#00609c", "8 3"),
        (|point| point.held, "#a33a00", "2 3"),
    ];
    for (value, colour, dashes) in lines {
        let mut path = String::new();
        for (place, point) in points.iter().enumerate() {
            let x = LEFT + (WIDTH - LEFT) * place as f64 / points.len().max(2).saturating_sub(1) as f64;
            let y = TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value(point) as f64 / most as f64);
            let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { "M" } else { "L" });
        }
        let _ = write!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>"
        );
    }
    svg.push_str("</svg>");
    svg
}

/// For text and attributes of SVG and HTML.
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
