//! The list of unmapped codes as people fill it in: a CSV sheet, or a draft of a ConceptMap.

use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Reason, Refusal};
use std::collections::BTreeMap;

/// The columns of the sheet.
const COLUMNS: [&str; 8] = ["system", "code", "text", "target_system", "target_code", "target_display", "count", "record"];
/// Where most unmapped tests belong.
const LOINC: &str = "http://loinc.org";
/// The most rows that one refusal names.
const MAX_NAMED: usize = 20;
/// The most rows a sheet may have.
pub const MAX_ROWS: usize = 50_000;

/// A code nobody else understands.
pub(super) struct UnmappedCode {
    pub system: String,
    pub code: String,
    pub text: String,
    pub count: u64,
    /// The first record it was met in, for whoever must see what it stands for.
    pub record: String,
}

/// The sheet, with the columns of the target to be filled.
pub(super) fn csv(codes: &[UnmappedCode]) -> String {
    let mut lines = COLUMNS.join(",") + "\r\n";
    for code in codes {
        let cells = [&code.system, &code.code, &code.text, LOINC, "", "", &code.count.to_string(), &code.record].map(cell);
        lines.push_str(&cells.join(","));
        lines.push_str("\r\n");
    }
    lines
}

/// A cell as RFC 4180 writes it; what a spreadsheet would take for a formula is kept from being one.
fn cell(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    let guarded = if text.starts_with(['=', '+', '-', '@', '\t']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

/// A draft ConceptMap: every code, no target yet.
pub(super) fn draft(source: &str, codes: &[UnmappedCode]) -> Node {
    let mut groups: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
    for code in codes.iter().filter(|code| !code.system.is_empty() && !code.code.is_empty()) {
        let display = Some(code.text.as_str()).filter(|text| !text.is_empty());
        groups.entry(&code.system).or_default().push(Object::new().with("code", code.code.as_str()).with_some("display", display).into());
    }
    let groups = groups.into_iter().map(|(system, elements)| group(system, LOINC, elements)).collect();
    map(source, "draft", groups)
}

/// The ConceptMap of a filled sheet: rows with a target, the others left out. One row that cannot be used refuses all, and every such row is named.
pub(super) fn read(source: &str, text: &str) -> Result<Node, Refusal> {
    let refuse = |row: usize, text: &str| Refusal::new(Reason::Malformed, IssueType::Invalid, format!("Row {row} of the sheet: {text}"));
    let rows = rows(text);
    if rows.len() > MAX_ROWS {
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, format!("The sheet has more than {MAX_ROWS} rows.")));
    }
    let mut rows = rows.into_iter();
    let header = rows.next().unwrap_or_default();
    let column =
        |name: &str| header.iter().position(|cell| cell.trim() == name).ok_or_else(|| refuse(1, &format!("there is no column '{name}'.")));
    let places = (column("system")?, column("code")?, column("target_system")?, column("target_code")?);
    let display = header.iter().position(|cell| cell.trim() == "target_display");
    let mut groups: BTreeMap<(String, String), Vec<Node>> = BTreeMap::new();
    let mut lacking: Vec<String> = Vec::new();
    for (row, number) in rows.zip(2usize..) {
        let cell = |place: usize| row.get(place).map(|cell| cell.trim().trim_start_matches('\'').to_owned()).unwrap_or_default();
        let (system, code, target_system, target) = (cell(places.0), cell(places.1), cell(places.2), cell(places.3));
        if target.is_empty() {
            continue;
        }
        if system.is_empty() || code.is_empty() || target_system.is_empty() {
            lacking.push(number.to_string());
            continue;
        }
        let shown = display.map(cell).filter(|text| !text.is_empty());
        let target: Node = Object::new().with("code", target).with_some("display", shown).with("equivalence", "equivalent").into();
        groups.entry((system, target_system)).or_default().push(Object::new().with("code", code).with("target", vec![target]).into());
    }
    if !lacking.is_empty() {
        return Err(lacking_cells(&lacking));
    }
    let groups = groups.into_iter().map(|((system, target), elements)| group(&system, &target, elements)).collect();
    Ok(map(source, "active", groups))
}

fn lacking_cells(rows: &[String]) -> Refusal {
    let beyond = rows.len().saturating_sub(MAX_NAMED);
    let named = rows.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = if beyond > 0 { format!(" and {beyond} more") } else { String::new() };
    let (rows, have) = if rows.len() == 1 { ("Row", "has") } else { ("Rows", "have") };
    let text = format!(
        "{rows} {named}{more} of the sheet {have} a target but not system, code and target_system. Fill or delete them and send the sheet again; nothing of it was loaded."
    );
    Refusal::new(Reason::Malformed, IssueType::Invalid, text)
}

fn group(source: &str, target: &str, elements: Vec<Node>) -> Node {
    Object::new().with("source", source).with("target", target).with("element", elements).into()
}

fn map(source: &str, status: &str, groups: Vec<Node>) -> Node {
    let map =
        Object::resource("ConceptMap").with("name", "LocalCodes").with("title", format!("Local codes of {source}")).with("status", status);
    map.with_some("group", (!groups.is_empty()).then_some(groups)).into()
}

/// The cells of a CSV text, quoted ones with their line ends.
fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.trim_start_matches('\u{FEFF}').chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if is_quoted || cell.is_empty() => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
        if rows.len() > MAX_ROWS {
            return rows;
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;

    fn code(system: &str, code: &str, text: &str) -> UnmappedCode {
        UnmappedCode { system: system.into(), code: code.into(), text: text.into(), count: 3, record: "Observation/hg-1".into() }
    }

    #[test]
    fn a_sheet_that_is_filled_becomes_a_map() {
        let sheet =
            csv(&[code("urn:lab", "CREA", "Creatinine, \"serum\""), code("urn:lab", "=HYPERLINK(1)", "x"), code("", "", "Glucose")]);
        assert!(sheet.contains("\"Creatinine, \"\"serum\"\"\"") && sheet.contains("'=HYPERLINK"), "{sheet}");
        let filled = sheet.replace("\"\"serum\"\"\",http://loinc.org,,", "\"\"serum\"\"\",http://loinc.org,2160-0,Creatinine");
        let map = json::write(&read("lab", &filled).unwrap());
        assert!(
            map.contains(r#""source":"urn:lab","target":"http://loinc.org","element":[{"code":"CREA","target":[{"code":"2160-0""#),
            "{map}"
        );
        assert!(!map.contains("HYPERLINK"), "a row without a target is left out");
    }

    #[test]
    fn a_sheet_that_cannot_be_read_says_where() {
        for (sheet, said) in [
            ("code,target_code\nx,y\n", "'system'"),
            ("system,code,target_system,target_code\n,x,http://loinc.org,2160-0\n", "Row 2 of the sheet has"),
            ("system,code,target_system,target_code\n,x,s,1\na,b,s,2\na,,s,3\n", "Rows 2, 4 of the sheet have"),
        ] {
            assert!(read("lab", sheet).unwrap_err().findings[0].text.contains(said), "{sheet}");
        }
        let long = format!("system,code,target_system,target_code\n{}", "a,b,c,d\n".repeat(MAX_ROWS + 1));
        assert_eq!(read("lab", &long).unwrap_err().reason, Reason::TooLarge);
    }

    #[test]
    fn a_draft_is_valid() {
        let draft = draft("lab", &[code("urn:lab", "CREA", "Creatinine"), code("urn:lab", "GLU", ""), code("", "", "no code")]);
        let findings = crate::validate::check(crate::definitions::Definitions::embedded(), &draft, &crate::validate::Options::default());
        assert!(!findings.iter().any(|finding| finding.is_error()), "{findings:?}");
        assert_eq!(draft.items("group")[0].items("element").len(), 2);
    }
}
