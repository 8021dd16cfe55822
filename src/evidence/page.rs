//! The page of a package that a person reads. It holds no script and asks nothing of any network.
//!
//! It is made of the package's other files and nothing else, so that whoever verifies a package makes it again and compares. What is changed here
//! needs another [format](super::package::FORMAT), for the pages of older packages would no longer compare.

use super::package::{Lacking, Why};
use crate::anchor::{CHANGE_EXTENSION, FINDING_EXTENSION, LeafKind};
use crate::clock::Instant;
use crate::fhir::{Node, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const SECONDS_AN_HOUR: i64 = 3600;
/// The role of a consent among the entities of a record of what was done.
const CONSENT_ROLE: &str = "13";
/// The most records, and the most consents, that one line names.
const MAX_NAMED: usize = 10;
/// Of an instant, the day and the hour.
const HOUR_LETTERS: usize = 13;

/// What the page is made of.
pub(super) struct Page<'a> {
    pub subject: &'a str,
    pub origin: &'a str,
    pub size: u64,
    pub created: &'a str,
    pub asked_by: &'a str,
    /// How many leaves were looked through.
    pub covers: u64,
    pub rows: Vec<Row<'a>>,
    /// The names of the consents.
    pub consents: BTreeSet<&'a str>,
    /// What is not there, and why; nothing in a format whose page does not tell.
    pub lacking: Option<BTreeMap<&'a str, Why>>,
    /// Whether a line says what was done with which record, why and under which consent; not in older formats.
    pub tells_what: bool,
    /// How many records of what was done are left out.
    pub left_out: usize,
}

impl Page<'_> {
    /// Why a file is not there.
    fn why(&self, path: &str) -> Option<Why> {
        self.lacking.as_ref()?.get(path).copied()
    }

    /// The consents that are not there, by name.
    fn lacking_consents(&self) -> BTreeMap<&str, Why> {
        let lacking = self.lacking.iter().flatten();
        lacking.filter_map(|(path, why)| Some((path.strip_prefix("consents/")?.strip_suffix(".json")?, *why))).collect()
    }
}

/// What is not there, by path.
pub(super) fn by_path(lacking: &[Lacking]) -> BTreeMap<&str, Why> {
    lacking.iter().map(|one| (one.path.as_str(), one.why)).collect()
}

/// What a person reads of a file that is not there.
fn reason(why: Why) -> &'static str {
    match why {
        Why::Withheld => "withheld: the reader may not see it",
        Why::Erased => "erased",
        Why::Shortened => {
            "shortened: what led to an erased person was taken out of its record, which no longer is what the leaf commits to and is not in this package"
        }
    }
}

/// A leaf of the trail.
pub(super) struct Row<'a> {
    pub position: u64,
    pub kind: &'a str,
    /// The leaf's own time.
    pub hour: u32,
    pub target: Option<&'a str>,
    /// Whether it commits to the content of a version.
    pub has_content: bool,
    pub document: Option<&'a [u8]>,
    pub provenance: Option<&'a [u8]>,
}

/// Renders `index.html`.
pub(super) fn render(page: &Page<'_>) -> String {
    let mut out = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Evidence</title><style>body{font:15px/1.5 sans-serif;margin:2em auto;max-width:70em}table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.25em .7em;text-align:left}</style>",
    );
    out.push_str("<h1>Evidence of a provenance trail</h1><p>Check it with <code>hearthgate evidence verify FILE.zip --policy FILE</code>, offline, with a policy you trust; what this page says proves nothing by itself. The command also tells whether this is the page of the files beside it.</p><table>");
    let facts = [
        ("Subject", page.subject.to_owned()),
        ("Log", page.origin.to_owned()),
        ("Size of the log", page.size.to_string()),
        ("Made", page.created.to_owned()),
        ("Asked by", page.asked_by.to_owned()),
        ("Leaves of this trail", page.rows.len().to_string()),
        ("Leaves looked through", page.covers.to_string()),
    ];
    for (name, value) in facts {
        let _ = write!(out, "<tr><th>{name}<td>{}", escaped(&value));
    }
    if page.left_out > 0 {
        let _ = write!(
            out,
            "<tr><th>Left out<td>{} of what was done with several records at once: what led to an erased person was taken out",
            page.left_out
        );
    }
    out.push_str("</table><h2>What happened</h2><table><tr><th>Leaf<th>Kind<th>What<th>Files");
    page.rows.iter().for_each(|row| write_row(&mut out, page, row));
    out.push_str("</table>");
    let lacking = page.lacking_consents();
    if !page.consents.is_empty() || !lacking.is_empty() {
        out.push_str("<h2>Consents that governed disclosures</h2><ul>");
        for name in page.consents.iter().map(|name| escaped(name)) {
            let _ = write!(out, "<li><a href=\"consents/{name}.json\">{name}</a> <a href=\"consents/{name}.tlog-proof\">proof</a>");
        }
        for (name, why) in lacking {
            let _ = write!(out, "<li>{} · {}", escaped(name), reason(why));
        }
        out.push_str("</ul>");
    }
    out.push_str("</html>\n");
    out
}

fn write_row(out: &mut String, page: &Page<'_>, row: &Row<'_>) {
    let read = |document: Option<&[u8]>| json::parse(document?, json::DEFAULT_DEPTH).ok();
    let provenance = read(row.provenance);
    let is_version = row.kind == LeafKind::Accept.label();
    let event = if is_version { None } else { read(row.document) };
    let (position, kind) = (row.position, escaped(row.kind));
    let line = escaped(&line(page, row, event.as_ref().or(provenance.as_ref()).filter(|_| row.target.is_some()), is_version));
    let _ = write!(out, "<tr><td>{position}<td>{kind}<td>{line}<td><a href=\"proofs/{position}.tlog-proof\">proof</a>");
    if row.document.is_some() {
        let _ = write!(out, " <a href=\"documents/{position}.json\">document</a>");
    }
    if row.provenance.is_some() {
        let _ = write!(out, " <a href=\"provenance/{position}.json\">provenance</a>");
    }
    for note in provenance.iter().flat_map(notes) {
        let _ = write!(out, "<tr><td><td><td colspan=\"2\"><small>{}</small>", escaped(&note));
    }
}

/// What a person reads of an entry: when, who, what, and how it ended. Where nothing is shown that says when, the leaf does, to the hour.
fn line(page: &Page<'_>, row: &Row<'_>, about: Option<&Node>, is_version: bool) -> String {
    let text = |path: &[&str]| about.and_then(|node| node.text_at(path)).unwrap_or_default().to_owned();
    let agents = about.map(|node| node.items("agent")).unwrap_or_default();
    let who = agents.iter().filter_map(|agent| agent.text_at(&["who", "display"])).find(|name| *name != "hearthgate").unwrap_or_default();
    let when = if about.is_some() { text(&["recorded"]) } else { hour(row.hour) };
    let end = match (row.target, row.document, page.why(&format!("documents/{}.json", row.position))) {
        (Some(_), None, Some(why)) if !is_version => reason(why).to_owned(),
        (Some(_), None, None) if !is_version => "its record is not in this package".to_owned(),
        (Some(_), None, _) if page.lacking.is_some() && row.has_content => "its content is withheld: it is not in this package".to_owned(),
        _ => text(&["outcomeDesc"]),
    };
    let done = about.filter(|_| page.tells_what && !is_version).map(done).unwrap_or_default();
    let parts = [when, who.to_owned()].into_iter().chain(done).chain([row.target.unwrap_or("erased").to_owned(), end]);
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// What a record of what was done says of that: the kind of interaction, who received something unasked, which records, why, and under which consents.
fn done(event: &Node) -> Vec<String> {
    let code = |node: &Node| node.text("code").map(str::to_owned);
    let coded = |concept: &Node| concept.items("coding").first().and_then(code);
    let kind = event.items("subtype").first().and_then(code);
    let received = event.items("agent").iter().filter(|agent| agent.get("type").and_then(coded).as_deref() == Some("IRCP"));
    let received = received.filter_map(|agent| agent.text_at(&["who", "display"])).map(|name| format!("to {name}"));
    let purposes: Vec<String> = event.items("purposeOfEvent").iter().filter_map(coded).collect();
    let (consents, records): (Vec<&Node>, Vec<&Node>) =
        event.items("entity").iter().partition(|entity| entity.text_at(&["role", "code"]) == Some(CONSENT_ROLE));
    let named = |entities: Vec<&Node>| {
        let mut all: Vec<&str> = Vec::new();
        for name in entities.iter().filter_map(|entity| entity.text_at(&["what", "reference"])) {
            // A patient whose record was read is named as both.
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let more = all.len().saturating_sub(MAX_NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        all.iter().take(MAX_NAMED).map(|name| (*name).to_owned()).chain(more).collect::<Vec<_>>().join(", ")
    };
    let of = Some(named(records)).filter(|names| !names.is_empty()).map(|names| format!("of {names}"));
    let purpose = (!purposes.is_empty()).then(|| format!("for {}", purposes.join(", ")));
    let under = Some(named(consents)).filter(|names| !names.is_empty()).map(|names| format!("under {names}"));
    kind.into_iter().chain(received).chain(of).chain(purpose).chain(under).collect()
}

fn hour(hour: u32) -> String {
    let mut text = Instant::from_seconds(i64::from(hour) * SECONDS_AN_HOUR).to_fhir_instant();
    text.truncate(HOUR_LETTERS);
    text + "h"
}

/// What a person reads of how a version came about: what normalisation changed, and what validation found.
fn notes(provenance: &Node) -> Vec<String> {
    let said = |extension: &Node| -> Option<String> {
        let heading = match extension.text("url")? {
            CHANGE_EXTENSION => "changed",
            FINDING_EXTENSION => "found",
            _ => return None,
        };
        let parts = extension.items("extension").iter().filter_map(|part| {
            let name = part.text("url")?;
            let value = part.text("valueString").or(part.text("valueCode"))?;
            match name {
                "before" | "after" | "code" => None,
                "omitted" => Some(format!("and {value} more")),
                _ => Some(value.to_owned()),
            }
        });
        Some(format!("{heading}: {}", parts.collect::<Vec<_>>().join(" · ")))
    };
    provenance.items("extension").iter().filter_map(said).collect()
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

#[cfg(test)]
mod tests {
    use super::super::package::{FORMAT, FORMAT_OF_BRIEFER_PAGE, FORMAT_OF_SHORTER_LINES};
    use super::*;
    use sha2::{Digest, Sha256};

    /// A page of one format is made in one way. Whoever changes these digests raises the format, and keeps in mind that the pages of older packages
    /// then are not compared any more.
    #[test]
    fn the_page_of_a_format_is_always_the_same() {
        let lacking = [Lacking::event(4), Lacking::consent("c-2", Why::Withheld), Lacking::consent("c-3", Why::Erased)];
        let text = check(FORMAT, Some(&lacking), "0c09e2b39f2847aa2562851997fd13638f40b39887d57666876c32e65efb68a9");
        let told = "Hospital &lt;B&gt; · read · to Payer · of Patient/p, Observation/o/_history/1 · for TREAT, ETREAT · under Consent/c/_history/1 · AuditEvent/e · denied";
        assert!(text.contains(told), "{text}");
        let text = check(FORMAT_OF_SHORTER_LINES, Some(&lacking), "320b4733f4f9f3ddf2c71739b72080de1acfd503abe8a31dba8c146a2abffedd");
        for told in [
            "Observation/o/_history/1 · its content is withheld: it is not in this package",
            "AuditEvent/f · shortened: what led to an erased person",
            "AuditEvent/g · its record is not in this package",
            "<li>c-2 · withheld: the reader may not see it",
            "<li>c-3 · erased",
            "Left out<td>3 of what was done with several records",
        ] {
            assert!(text.contains(told), "{told} is missing: {text}");
        }
        let text = check(FORMAT_OF_BRIEFER_PAGE, None, "ba8135c368e46b24feb5e57ff32534c26356a8677e4eaa4be2ce0f492cd6af66");
        assert!(text.contains("AuditEvent/f · its record is not in this package"));
    }

    fn check(format: &str, lacking: Option<&[Lacking]>, digest: &str) -> String {
        let event = br#"{"resourceType":"AuditEvent","subtype":[{"code":"read"}],"recorded":"2026-01-01T00:00:00Z","outcomeDesc":"denied",
            "purposeOfEvent":[{"coding":[{"code":"TREAT"}]},{"coding":[{"code":"ETREAT"}]}],
            "agent":[{"who":{"display":"Hospital <B>"}},{"type":{"coding":[{"code":"IRCP"}]},"who":{"display":"Payer"}}],
            "entity":[{"what":{"identifier":{"value":"r"}}},{"what":{"reference":"Patient/p"},"role":{"code":"1"}},
                {"what":{"reference":"Observation/o/_history/1"},"role":{"code":"4"}},
                {"what":{"reference":"Consent/c/_history/1"},"role":{"code":"13"}}]}"#;
        let change = format!(
            r#"{{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","extension":[{{"url":"{CHANGE_EXTENSION}","extension":[{{"url":"rule","valueString":"dates"}},{{"url":"before","valueString":"x"}}]}}]}}"#
        );
        let row = |position, kind, target, document, provenance| {
            let has_content = position == 1;
            Row { position, kind, hour: 490_000, target, has_content, document, provenance }
        };
        let told_now = lacking.map(|_| row(6, "disclose", Some("AuditEvent/g"), None, None));
        let page = Page {
            subject: "Patient/p",
            origin: "log.example",
            size: 9,
            created: "2026-01-01T00:00:00Z",
            asked_by: "Health & Co",
            covers: 8,
            rows: [
                row(1, "accept", Some("Observation/o/_history/1"), None, Some(change.as_bytes())),
                row(2, "refuse", Some("AuditEvent/e"), Some(event.as_slice()), None),
                row(3, "accept", None, None, None),
                row(4, "disclose", Some("AuditEvent/f"), None, None),
                row(5, "erase", None, None, None),
            ]
            .into_iter()
            .chain(told_now)
            .collect(),
            consents: BTreeSet::from(["c-1"]),
            lacking: lacking.map(by_path),
            tells_what: format == FORMAT,
            left_out: lacking.map_or(0, <[Lacking]>::len),
        };
        let text = render(&page);
        for told in [
            "2026-01-01T00:00:00Z · Hospital &lt;B&gt; · ",
            "AuditEvent/e · denied",
            "2025-11-24T16h · erased",
            "changed: dates",
            "consents/c-1.json",
        ] {
            assert!(text.contains(told), "{told} is missing: {text}");
        }
        assert_eq!(data_encoding::HEXLOWER.encode(&Sha256::digest(&text)), digest, "{format}");
        text
    }
}
