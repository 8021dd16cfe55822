//! One item of the work list, and the Task that shows it.

use crate::clock::Instant;
use crate::fhir::{Node, Object};
use sha2::{Digest, Sha256};

/// The system of the kinds of work.
pub const SYSTEM: &str = "urn:hearthgate:work";
/// `Task.status` of what waits for a person.
pub const STATUS_OPEN: &str = "requested";
/// `Task.status` of what was seen to.
pub const STATUS_DONE: &str = "completed";
/// `Task.status` of what a person decided to leave as it is.
pub const STATUS_IGNORED: &str = "rejected";
/// The longest text an item keeps, in characters.
const MAX_TEXT: usize = 80;
/// So many digits in a row may be a date or somebody's number.
const TELLING_DIGITS: usize = 4;

/// What kind of decision is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A test code only its source understands.
    UnmappedCode,
    /// A value that is implausible in its unit, or a unit nobody knows.
    ImplausibleUnit,
    /// A release of FHIR that is not taken.
    RefusedVersion,
    /// Two patient records that may be one person's.
    UncertainMatch,
    /// A final result that came after the correction or withdrawal of the one it is, and says something else.
    LateResult,
}

/// Every kind.
pub const KINDS: [Kind; 5] = [Kind::UnmappedCode, Kind::ImplausibleUnit, Kind::RefusedVersion, Kind::UncertainMatch, Kind::LateResult];

impl Kind {
    /// The stable label: `Task.code`, the store's column, metrics.
    pub fn label(self) -> &'static str {
        match self {
            Kind::UnmappedCode => "unmapped-code",
            Kind::ImplausibleUnit => "implausible-unit",
            Kind::RefusedVersion => "refused-version",
            Kind::UncertainMatch => "uncertain-match",
            Kind::LateResult => "late-result",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Kind::UnmappedCode => {
                "A test has no code that other systems understand. Give the source's ConceptMap an equivalent, or leave it as it is."
            }
            Kind::ImplausibleUnit => {
                "A result is implausible in its unit, or its unit is not known. Ask the sender, or declare the unit of the source."
            }
            Kind::RefusedVersion => "A source sends a release of FHIR that is not taken. Ask it for R4, or have the conversion extended.",
            Kind::LateResult => {
                "A final result came after it had been corrected or withdrawn, and was set aside. Ask the sender which holds; a correction replaces the current one."
            }
            Kind::UncertainMatch => "Two patient records may be one person's. Decide whether to link them or to keep them apart.",
        }
    }
}

/// Something a person must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub kind: Kind,
    pub source: String,
    /// What makes two items the same.
    pub words: Vec<String>,
    /// What the person needs to know, as name and value.
    pub inputs: Vec<(&'static str, String)>,
    /// References of the first records it was met in.
    pub focus: Vec<String>,
}

impl Item {
    /// The same for items of one source, kind and words.
    pub fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for word in [self.kind.label(), self.source.as_str()].into_iter().chain(self.words.iter().map(String::as_str)) {
            hash.update((word.len() as u64).to_be_bytes());
            hash.update(word.as_bytes());
        }
        hash.finalize().into()
    }

    /// The Task of the item's first occurrence.
    pub fn to_task(&self, id: &str, at: Instant) -> Node {
        let at = at.to_fhir_instant();
        let mut focus = self.focus.iter();
        let first = focus.next().map(|reference| Object::new().with("reference", reference.as_str()));
        let mut inputs: Vec<Node> = self.inputs.iter().map(|(name, value)| text_input(name, value)).collect();
        inputs.extend(focus.map(|reference| {
            let value = Object::new().with("reference", reference.as_str());
            Object::new().with("type", concept("candidate")).with("valueReference", value).into()
        }));
        let source = Object::new().with("system", "urn:hearthgate:source").with("value", self.source.as_str());
        Object::resource("Task")
            .with("id", id)
            .with("meta", Object::new().with("versionId", "1").with("lastUpdated", at.as_str()))
            .with("groupIdentifier", source)
            .with("status", STATUS_OPEN)
            .with("intent", "order")
            .with("code", concept(self.kind.label()))
            .with("description", self.kind.description())
            .with_some("focus", first)
            .with("authoredOn", at.as_str())
            .with("lastModified", at.as_str())
            .with("requester", Object::new().with("display", "hearthgate"))
            .with_some("input", (!inputs.is_empty()).then_some(inputs))
            .into()
    }
}

/// A named text of a Task.
pub fn text_input(name: &str, value: &str) -> Node {
    Object::new().with("type", concept(name)).with("valueString", value).into()
}

fn concept(code: &str) -> Node {
    let coding: Node = Object::new().with("system", SYSTEM).with("code", code).into();
    Object::new().with("coding", vec![coding]).into()
}

/// The next version of a Task, resolved: its status, and why in `output`.
pub fn resolved(mut task: Node, status: &str, note: &str, version: u32, at: Instant) -> Node {
    let Some(object) = task.as_object_mut() else { return task };
    let at = at.to_fhir_instant();
    object.set("meta", Object::new().with("versionId", version.to_string()).with("lastUpdated", at.as_str()));
    object.set("status", status);
    object.set("lastModified", at);
    object.set("output", vec![text_input("resolution", note)]);
    task
}

/// Whether a text may name a person or carry somebody's number, so that an item must not keep it: long ones, several lines, long numbers.
pub fn may_be_personal(text: &str) -> bool {
    let mut run = 0;
    let has_number = text.chars().any(|letter| {
        run = if letter.is_ascii_digit() { run + 1 } else { 0 };
        run >= TELLING_DIGITS
    });
    text.chars().count() > MAX_TEXT || text.contains(['\n', '\r', '@', '^']) || has_number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(source: &str, words: &[&str]) -> Item {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Item {
            kind: Kind::UnmappedCode,
            source: source.to_owned(),
            words,
            inputs: vec![("code", "CREA".into())],
            focus: vec!["Observation/1".into()],
        }
    }

    #[test]
    fn the_key_is_source_kind_and_words() {
        let base = item("lab", &["urn:lab", "CREA"]);
        let same = Item { focus: vec!["Observation/2".into()], inputs: Vec::new(), ..base.clone() };
        assert_eq!(base.key(), same.key());
        for other in [item("other", &["urn:lab", "CREA"]), item("lab", &["urn:lab", "CRE", "A"]), item("lab", &["urn:labC", "REA"])] {
            assert_ne!(base.key(), other.key());
        }
        assert_ne!(base.key(), Item { kind: Kind::ImplausibleUnit, ..base.clone() }.key());
    }

    #[test]
    fn texts_that_may_be_somebodys() {
        for (text, personal) in [
            ("Creatinine", false),
            ("Vitamin B12", false),
            ("CD4/CD8 ratio", false),
            ("MRN 1234567", true),
            ("born 1970-01-01", true),
            ("MOOR^ADA", true),
            ("ada@example.org", true),
            ("two\nlines", true),
        ] {
            assert_eq!(may_be_personal(text), personal, "{text}");
        }
        assert!(may_be_personal(&"x".repeat(MAX_TEXT + 1)) && !may_be_personal(&"x".repeat(MAX_TEXT)));
    }

    #[test]
    fn a_task_is_valid_and_resolves() {
        let definitions = crate::definitions::Definitions::embedded();
        let task = item("lab", &["x"]).to_task("t1", Instant::EPOCH);
        let errors = |task: &Node| {
            let findings = crate::validate::check(definitions, task, &crate::validate::Options::default());
            findings.into_iter().filter(|finding| finding.is_error()).collect::<Vec<_>>()
        };
        assert_eq!(errors(&task), []);
        let done = resolved(task, STATUS_DONE, "mapped", 2, Instant::EPOCH);
        assert_eq!(errors(&done), []);
        assert_eq!((done.text("status"), done.text_at(&["meta", "versionId"])), (Some(STATUS_DONE), Some("2")));
    }
}
