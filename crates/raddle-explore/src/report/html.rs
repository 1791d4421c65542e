//! The report as a self-contained HTML page.

use serde_json::Value;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(
    include_str!("page/model.js"),
    include_str!("page/grid.js"),
    include_str!("page/state.js"),
    include_str!("page/page.js")
);

/// The report is inserted last, since its texts may contain the placeholders.
pub(super) fn page(title: &str, report: &Value) -> String {
    let json = report.to_string().replace('<', "\\u003c");
    let page = PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", SCRIPT);
    page.replace("{{TITLE}}", &escaped(title)).replace("/*REPORT*/null", &json)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
