//! Which findings of an acceptance are work for a person.

use super::item::{Item, Kind, may_be_personal};
use crate::fhir::Node;
use crate::normalise::{NormalisedEntry, Unmapped};
use crate::outcome::{Finding, Refusal};

/// How many items one submission may leave.
pub const MAX_ITEMS: usize = 1_000;

/// Findings about units and values that a person should look at.
const UNIT_FINDINGS: [&str; 4] = ["implausible-value", "unit-unknown", "unit-unmapped", "unit-ambiguous"];

/// What the findings about releases of FHIR begin with.
const VERSION_FINDING: &str = "version-";

/// Epic's own code systems. Codes in them that are no numbers are text that customers typed, names among it.
const EPIC_SYSTEMS: &str = "urn:oid:1.2.840.114350.";

/// The items that the entries of one submission leave.
pub fn items<'e>(source: &str, entries: impl IntoIterator<Item = &'e NormalisedEntry>) -> Vec<Item> {
    let of_entry = |entry: &'e NormalisedEntry| {
        let focus = vec![format!("{}/{}", entry.target.type_name, entry.target.id)];
        let unmapped = entry.unmapped.iter().map(|unmapped| unmapped_code(source, unmapped));
        let units = entry.findings.iter().filter(|finding| UNIT_FINDINGS.contains(&finding.message_id));
        let units = units.filter_map(|finding| implausible_unit(source, entry.resource.as_ref()?, finding));
        unmapped.chain(units).map(|item| Item { focus: focus.clone(), ..item }).collect::<Vec<_>>()
    };
    entries.into_iter().flat_map(of_entry).take(MAX_ITEMS).collect()
}

/// The items that a refused submission leaves.
pub fn refused(source: &str, refusal: &Refusal) -> Vec<Item> {
    let about_version = refusal.findings.iter().filter(|finding| finding.is_error() && finding.message_id.starts_with(VERSION_FINDING));
    let items = about_version.map(|finding| Item {
        kind: Kind::RefusedVersion,
        source: source.to_owned(),
        words: vec![finding.message_id.to_owned(), finding.text.clone()],
        inputs: vec![("finding", finding.message_id.to_owned()), ("text", finding.text.clone())],
        focus: Vec::new(),
    });
    items.take(MAX_ITEMS).collect()
}

/// The item that a result leaves which was set aside, though it is no preliminary one: the record it is of, its status, and that of the last one known.
pub fn late_result(source: &str, reference: &str, incoming: &str, known: &str) -> Item {
    Item {
        kind: Kind::LateResult,
        source: source.to_owned(),
        words: vec![reference.to_owned(), incoming.to_owned()],
        inputs: vec![("status", incoming.to_owned()), ("current-status", known.to_owned())],
        focus: vec![reference.to_owned()],
    }
}

/// What a person fills a map by: the code with its system where both may be shown, else the gateway's key, which leads to the record and no further.
fn unmapped_code(source: &str, unmapped: &Unmapped) -> Item {
    let coding = unmapped.coding.as_ref().filter(|(system, code)| is_shown(system, code));
    let (system, code) = coding.unwrap_or(&unmapped.key);
    // What stands beside a code is what the catalogue calls it. What stands alone may have been typed by somebody, about somebody: one word at most.
    let is_text_shown = |text: &&String| !is_typed_in(text) && (coding.is_some() || (unmapped.coding.is_none() && is_word(text)));
    let text = unmapped.text.as_ref().filter(is_text_shown).map(|text| ("text", text.clone()));
    let inputs = [("system", system.clone()), ("code", code.clone())].into_iter().chain(text).collect();
    Item { kind: Kind::UnmappedCode, source: source.to_owned(), words: vec![system.clone(), code.clone()], inputs, focus: Vec::new() }
}

/// Whether a code may be shown, and be a `code` of FHIR in a map. It is a number more often than not; only what was typed for it is somebody's.
fn is_shown(system: &str, code: &str) -> bool {
    let is_typed = system.starts_with(EPIC_SYSTEMS) && (code == "0" || !code.bytes().all(|byte| byte.is_ascii_digit()));
    let is_code = code.split(' ').all(|part| !part.is_empty() && !part.contains(char::is_whitespace));
    !system.is_empty() && is_code && !is_typed && !is_typed_in(code)
}

fn is_word(text: &str) -> bool {
    !text.contains(char::is_whitespace)
}

/// Whether what stands for a code reads like something a person typed about somebody: a name before a comma, a date, what is personal anywhere.
fn is_typed_in(code: &str) -> bool {
    let has_date =
        code.as_bytes().windows(3).any(|three| matches!(three, [a, b'/' | b'-' | b'.', c] if a.is_ascii_digit() && c.is_ascii_digit()));
    may_be_personal(code) || (code.contains(char::is_whitespace) && (code.contains(',') || has_date))
}

fn implausible_unit(source: &str, resource: &Node, finding: &Finding) -> Option<Item> {
    // A unit elsewhere, in a dose or a reference range, does not change how a result reads.
    let is_of_result = resource.resource_type() == Some("Observation") && finding.expression.contains(".value");
    let holder = component(resource, &finding.expression).unwrap_or(resource);
    if !is_of_result {
        return None;
    }
    let coding = holder.get("code").and_then(crate::normalise::primary_coding);
    let of_coding = |name: &str| coding.and_then(|coding| coding.text(name)).unwrap_or_default().to_owned();
    let quantity = holder.get("valueQuantity");
    let unit = quantity.and_then(|quantity| quantity.text("code").or_else(|| quantity.text("unit"))).unwrap_or_default().to_owned();
    let unit = if may_be_personal(&unit) { String::new() } else { unit };
    let (system, code) = (of_coding("system"), of_coding("code"));
    let is_typed = system.starts_with(EPIC_SYSTEMS) && !code.bytes().all(|byte| byte.is_ascii_digit());
    let code = if is_typed || is_typed_in(&code) { String::new() } else { code };
    let words = vec![finding.message_id.to_owned(), system.clone(), code.clone(), unit.clone()];
    let inputs = [("finding", finding.message_id.to_owned()), ("system", system), ("code", code), ("unit", unit)];
    let inputs = inputs.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Some(Item { kind: Kind::ImplausibleUnit, source: source.to_owned(), words, inputs, focus: Vec::new() })
}

/// The component a path such as `Observation.component[2].value` speaks of.
fn component<'r>(resource: &'r Node, path: &str) -> Option<&'r Node> {
    let index = path.split_once(".component[")?.1.split_once(']')?.0;
    resource.items("component").get(index.parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json;
    use crate::outcome::{IssueType, Reason, Severity};
    use crate::store::{Method, Target};

    fn entry(resource: &str, findings: &[(&'static str, &str)], unmapped: Vec<Unmapped>) -> NormalisedEntry {
        let findings = findings.iter().map(|(id, path)| Finding::new(Severity::Warning, IssueType::Value, id, "text").at(*path)).collect();
        let target = Target { type_name: "Observation".into(), id: "hg-1".into(), version: 1, method: Method::Create, previous: None };
        let resource = Some(json::parse(resource.as_bytes(), 32).unwrap());
        NormalisedEntry { target, resource, changes: Vec::new(), findings, unmapped, path: String::new() }
    }

    fn code(system: &str, code: Option<&str>, text: Option<&str>) -> Unmapped {
        let coding = code.map(|code| (system.to_owned(), code.to_owned()));
        Unmapped { path: "Observation.code".into(), coding, text: text.map(str::to_owned), key: ("urn:keys".into(), "hg-0001".into()) }
    }

    #[test]
    fn unmapped_codes_say_what_a_person_needs_and_no_more() {
        let check = |unmapped: Unmapped, expected: &[(&str, &str)]| {
            let found = items("lab", [&entry("{}", &[], vec![unmapped])]);
            let inputs: Vec<(&str, &str)> = found[0].inputs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(inputs, expected);
            assert_eq!(found[0].focus, ["Observation/hg-1"]);
        };
        check(code("urn:lab", Some("CREA"), Some("Creatinine")), &[("system", "urn:lab"), ("code", "CREA"), ("text", "Creatinine")]);
        check(code("urn:lab", Some("CREA"), Some("Moor, Ada 19700301")), &[("system", "urn:lab"), ("code", "CREA")]);
        check(code("urn:lab", Some("CREA"), Some("Moor, Ada")), &[("system", "urn:lab"), ("code", "CREA")]);
        let key = [("system", "urn:keys"), ("code", "hg-0001")];
        check(code("urn:lab", None, Some("Ada Moor")), &key);
        check(code("urn:lab", None, Some("Creatinine")), &[key[0], key[1], ("text", "Creatinine")]);
        check(code("urn:lab", None, Some("Creatinine,Moor 1.3.")), &key);
        check(code("urn:lab", Some("A  B"), None), &key);
        check(code("urn:oid:1.2.840.114350.1", Some("Ada Moor"), Some("Ada Moor")), &key);
        check(code("urn:oid:1.2.840.114350.1", Some("0"), Some("Moor")), &key);
        check(code("urn:oid:1.2.840.114350.1", Some("17"), None), &[("system", "urn:oid:1.2.840.114350.1"), ("code", "17")]);
    }

    #[test]
    fn units_are_told_with_their_test() {
        let text = r#"{"resourceType":"Observation","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
            "component":[{"code":{"text":"x"}},{"code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"valueQuantity":{"value":15,"unit":"g/L","code":"g/L"}}]}"#;
        let found = items(
            "lab",
            [&entry(
                text,
                &[
                    ("implausible-value", "Observation.component[1].value"),
                    ("unit-unmapped", "Observation.component[1].value.unit"),
                    ("unit-unmapped", "Observation.referenceRange[0].low.unit"),
                    ("unmapped", "Observation.code"),
                ],
                Vec::new(),
            )],
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].words, ["implausible-value", "http://loinc.org", "718-7", "g/L"]);
        assert_eq!(found[1].words, ["unit-unmapped", "http://loinc.org", "718-7", "g/L"]);
    }

    #[test]
    fn one_submission_leaves_so_many() {
        let many = (0..MAX_ITEMS + 5).map(|number| code("urn:lab", Some(&format!("C{number}")), None)).collect();
        assert_eq!(items("lab", [&entry("{}", &[], many)]).len(), MAX_ITEMS);
    }

    #[test]
    fn releases_of_fhir_are_work() {
        let finding = |id| Finding::error(IssueType::NotSupported, id, "This is DSTU2.");
        let refusal = Refusal::of(Reason::Invalid, vec![finding("version-refused"), finding("other")]);
        assert_eq!(refused("lab", &refusal).len(), 1);
    }
}
