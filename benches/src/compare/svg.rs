//! The ratios as an SVG chart.

use std::fmt::Write;

use super::case::Goal;
use super::results::Results;
use crate::args::CompareArgs;
use crate::format::three_digits;

const LEFT: f64 = 230.0;
const WIDTH: f64 = 520.0;
const ROW: f64 = 20.0;
const TOP: f64 = 64.0;

/// The ends of the axis as powers of ten.
const ENDS: (f64, f64) = (-2.5, 1.0);

const STYLE: &str = "\
svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#1c1e21}.dim{fill:#5b6168}\
.grid{stroke:#d5d9de}.one{stroke:#1c1e21;stroke-width:1.5}.ok{fill:#2b8a5c}.missed{fill:#c2541b}\
.goal{stroke:#3b5bdb;stroke-width:2.5}\
@media(prefers-color-scheme:dark){svg{background:#15181c}text{fill:#e6e8ea}.dim{fill:#9aa1a9}\
.grid{stroke:#343a41}.one{stroke:#e6e8ea}.ok{fill:#4cc38a}.missed{fill:#f0803c}.goal{stroke:#91a7ff}}";

/// Draws a bar for each case with a ratio on a logarithmic axis around 1. To the left, raddle is faster than the best peer. A
/// stroke on the bar marks the goal.
pub(super) fn chart(results: &[Results], args: &CompareArgs) -> String {
    let rows: Vec<_> = results.iter().filter_map(Row::of).collect();
    #[expect(clippy::cast_precision_loss, reason = "there are not that many cases")]
    let bottom = TOP + ROW * rows.len() as f64;
    let (width, height) = (LEFT + WIDTH + 70.0, bottom + 40.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>Time of raddle as a multiple of the best peer's</title>\n\
         <style>{STYLE}</style>\n"
    );
    text(&mut svg, (12.0, 24.0), "font-size=\"15\" font-weight=\"600\"", "raddle / best peer");
    let note =
        format!("medians of {} rounds; left of 1, raddle is faster; the stroke is the goal", args.rounds());
    text(&mut svg, (LEFT, 24.0), "class=\"dim\"", &note);
    axis(&mut svg, bottom);
    let mut y = TOP;
    for row in &rows {
        row.draw(&mut svg, y);
        y += ROW;
    }
    svg + "</svg>\n"
}

struct Row<'a> {
    name: &'a str,
    best: &'a str,
    ratio: f64,
    goal: Option<f64>,
    is_ok: bool,
}

impl<'a> Row<'a> {
    fn of(result: &'a Results) -> Option<Self> {
        let goal = match result.case.goal {
            Goal::Ratio(goal) => Some(goal),
            Goal::Most(_) | Goal::Least(_) => return None,
        };
        let best = &result.case.contenders[result.best_peer()?].name;
        let (ratio, is_ok) = (result.ratio()?, result.is_ok()?);
        Some(Self { name: &result.case.name, best, ratio, goal, is_ok })
    }

    fn draw(&self, svg: &mut String, y: f64) {
        let (one, end, middle) = (x(1.0), x(self.ratio), y + ROW * 0.7);
        let (from, width, class) =
            (one.min(end), (one - end).abs(), if self.is_ok { "ok" } else { "missed" });
        text(svg, (LEFT - 8.0, middle), "text-anchor=\"end\"", self.name);
        let tip = format!("{}: {} × {}", self.name, three_digits(self.ratio), self.best);
        push(
            svg,
            format_args!(
                "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\">\
             <title>{}</title></rect>",
                y + 4.0,
                ROW - 8.0,
                escaped(&tip),
            ),
        );
        if let Some(goal) = self.goal {
            line(svg, "goal", (x(goal), y + 1.0), (x(goal), y + ROW - 1.0));
        }
        let number = format!("{} {}", three_digits(self.ratio), if self.is_ok { "ok" } else { "missed" });
        text(svg, (LEFT + WIDTH + 6.0, middle), "", &number);
    }
}

fn axis(svg: &mut String, bottom: f64) {
    for mark in [0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0] {
        line(svg, "grid", (x(mark), TOP - 6.0), (x(mark), bottom + 4.0));
        for y in [TOP - 12.0, bottom + 20.0] {
            text(svg, (x(mark), y), "class=\"dim\" text-anchor=\"middle\"", &format!("{mark}"));
        }
    }
    line(svg, "one", (x(1.0), TOP - 6.0), (x(1.0), bottom + 4.0));
}

/// Returns the position of a ratio, clamped to the axis.
fn x(ratio: f64) -> f64 {
    let (low, high) = ENDS;
    LEFT + WIDTH * (ratio.log10().clamp(low, high) - low) / (high - low)
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, text: &str) {
    push(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escaped(text)));
}

fn line(svg: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    push(
        svg,
        format_args!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"),
    );
}

fn push(svg: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(svg, "{element}").expect("writing to a string does not fail");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
