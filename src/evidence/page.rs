//! The page of a package that a person reads. It holds no script and asks nothing of any network.

use super::package::Package;
use std::fmt::Write;

/// Renders `index.html`.
pub(super) fn render(package: &Package) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Evidence</title><style>body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em}table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.25em .7em;text-align:left}</style>",
    );
    let facts = [
        ("Subject", package.subject.clone()),
        ("Log", package.origin.clone()),
        ("Size of the log", package.size.to_string()),
        ("Made", package.created.clone()),
        ("Asked by", package.asked_by.clone()),
        ("Leaves of this trail", package.entries.len().to_string()),
        ("Leaves looked through", package.completeness.covers.to_string()),
    ];
    out.push_str("<h1>Evidence of a provenance trail</h1><p>Check it with <code>hearthgate evidence verify FILE.zip --policy FILE</code>, offline, with a policy you trust; what this page says proves nothing by itself.</p><table>");
    for (name, value) in facts {
        let _ = write!(out, "<tr><th>{name}<td>{}", escaped(&value));
    }
    out.push_str("</table><h2>What happened</h2><table><tr><th>Leaf<th>Kind<th>What<th>Files");
    for entry in &package.entries {
        let position = entry.position;
        let _ = write!(
            out,
            "<tr><td>{position}<td>{}<td>{}<td><a href=\"proofs/{position}.tlog-proof\">proof</a>",
            entry.kind.label(),
            escaped(&entry.line)
        );
        if entry.document.is_some() {
            let _ = write!(out, " <a href=\"documents/{position}.json\">document</a>");
        }
        if entry.provenance.is_some() {
            let _ = write!(out, " <a href=\"provenance/{position}.json\">provenance</a>");
        }
        for note in &entry.notes {
            let _ = write!(out, "<tr><td><td><td colspan=\"2\"><small>{}</small>", escaped(note));
        }
    }
    out.push_str("</table>");
    if !package.consents.is_empty() {
        out.push_str("<h2>Consents that governed disclosures</h2><ul>");
        for consent in &package.consents {
            let name = escaped(&consent.name);
            let _ = write!(out, "<li><a href=\"consents/{name}.json\">{name}</a> <a href=\"consents/{name}.tlog-proof\">proof</a>");
        }
        out.push_str("</ul>");
    }
    out.push_str("</html>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
