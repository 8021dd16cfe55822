//! Rule 1. Bytes are UTF-8. A byte order mark in front is removed and on record; anything else that is not UTF-8 is refused, with its offset.
//!
//! The readers of JSON and XML do both while they parse ([`json::parse`](crate::fhir::json::parse), [`xml::parse`](crate::fhir::xml::parse)); here
//! it is told what they passed over.

use super::super::record::Change;
use super::super::rule::{BYTES, Switches};
use crate::fhir::{Node, Object};
use crate::outcome::{Finding, IssueType, Severity};

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The body behind its mark, where it has one.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// What the first bytes of a body add to the lineage and the findings of every resource in it.
#[derive(Debug, Clone, Default)]
pub struct Preamble {
    pub changes: Vec<Change>,
    pub findings: Vec<Finding>,
}

/// Reads the first bytes of a body. With the rule off a mark is refused, because RFC 8259 §8.1 does not let it be sent.
pub fn preamble(bytes: &[u8], switches: Switches) -> Preamble {
    if !bytes.starts_with(MARK) {
        return Preamble::default();
    }
    if !switches.is_on(BYTES) {
        let text = "the body begins with a byte order mark; send it without";
        return Preamble {
            changes: Vec::new(),
            findings: vec![Finding::error(IssueType::Structure, "byte-order-mark", text).at_offset(Some(0))],
        };
    }
    let text = "the body begins with a byte order mark, which was passed over";
    let finding = Finding::new(Severity::Information, IssueType::Structure, "byte-order-mark", text).at_offset(Some(0));
    let change = Change { rule: BYTES, path: String::new(), before: Some(Node::from("\u{FEFF}")), after: None };
    Preamble { changes: vec![change], findings: vec![finding] }
}

impl Preamble {
    /// Puts what was read before a resource's own lineage, which speaks of the whole by the resource's type.
    pub fn before(&self, resource: Option<&Object>, changes: &mut Vec<Change>, findings: &mut Vec<Finding>) {
        let type_name = resource.and_then(|object| object.get("resourceType")?.as_text()).unwrap_or("Resource");
        let placed = self.changes.iter().cloned().map(|change| Change { path: type_name.to_owned(), ..change });
        changes.splice(0..0, placed);
        findings.splice(0..0, self.findings.iter().cloned().map(|finding| finding.at(type_name)));
    }
}

#[cfg(test)]
mod tests {
    use super::preamble;
    use crate::definitions::Definitions;
    use crate::intake::{Format, Limits, document};
    use crate::normalise::Switches;
    use crate::normalise::rule::BYTES;
    use data_encoding::HEXLOWER_PERMISSIVE;

    const LIMITS: Limits = Limits { body_bytes: 1000, depth: 64, bundle_entries: 10 };

    /// Lines of name, format, bytes in hexadecimal, and what is said. With `HEARTHGATE_BLESS` set, what is said is written.
    #[test]
    fn bodies() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/normalise/01-bytes.tsv");
        let text = std::fs::read_to_string(&path).unwrap();
        let found: String = text.lines().map(|line| if line.starts_with('#') { format!("{line}\n") } else { body(line) }).collect();
        if std::env::var_os("HEARTHGATE_BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(path).unwrap());
    }

    fn body(line: &str) -> String {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, format, hex, _] = columns.as_slice() else { panic!("{line}") };
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.replace(' ', "").as_bytes()).unwrap();
        let read_as = if *format == "xml" { Format::Xml } else { Format::Json };
        let said = match document(&bytes, read_as, &LIMITS, Definitions::embedded().types()) {
            Ok(_) if preamble(&bytes, Switches::default()).changes.is_empty() => "read".to_owned(),
            Ok(_) => "read after a mark".to_owned(),
            Err(refusal) => {
                let finding = &refusal.findings[0];
                let place = finding.offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
                format!("byte {place}: {}", finding.text)
            }
        };
        format!("{name}\t{format}\t{hex}\t{said}\n")
    }

    #[test]
    fn a_mark_is_refused_when_the_rule_is_off() {
        let mut switches = Switches::default();
        switches.set(BYTES, false);
        let told = preamble(b"\xEF\xBB\xBF{}", switches);
        assert!(told.changes.is_empty() && told.findings[0].is_error());
        assert!(preamble(b"{}", switches).findings.is_empty());
    }
}
