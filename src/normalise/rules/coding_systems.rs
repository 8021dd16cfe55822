//! Rule 7. One name per code system: OIDs, v2 short names, old FHIR URLs and misspellings become the URI that R4 publishes.
//!
//! `L` and `99xxx` (v2 table 0396) say "local". Taking them for LOINC has put wrong tests into records, so they become systems of the source.

use super::super::facts;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::CODING_SYSTEMS;
use super::super::source::opaque;
use super::super::vocabulary::SNOMED;
use super::identifier_systems::{is_oid, malformed_oid, strip_prefix_ignoring_case};
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Severity};

/// Settles `Coding.system`.
pub(in super::super) fn apply(coding: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(CODING_SYSTEMS) {
        return;
    }
    let Some(system) = coding.get("system").and_then(Node::as_text) else { return };
    if facts::CODING_SYSTEMS.contains(system) {
        return;
    }
    if let Some(edition) = snomed_edition(system) {
        let edition = edition.to_owned();
        if coding.get("version").is_none() {
            work.set(CODING_SYSTEMS, coding, path, "version", edition);
        }
        work.set(CODING_SYSTEMS, coding, path, "system", SNOMED);
        return;
    }
    match settled(system, work.context.source.urn()) {
        Some(best) => work.set(CODING_SYSTEMS, coding, path, "system", best),
        None if !system.contains(':') => {
            let text = "the coding's system is a name this gateway has no URI for; it was left as it is";
            work.flag(Severity::Warning, IssueType::CodeInvalid, "coding-system-unknown", &path.member("system"), text);
        }
        None => {}
    }
}

/// The better name of a code system, `None` when there is none or none is known.
fn settled(system: &str, source_urn: &str) -> Option<String> {
    if is_local(system) {
        return Some(format!("{source_urn}:codes:{}", opaque(system)));
    }
    let oid = strip_prefix_ignoring_case(system, "urn:oid:").unwrap_or(system);
    if is_oid(oid) {
        return oid_system(oid).or_else(|| (!system.starts_with("urn:oid:")).then(|| format!("urn:oid:{oid}")));
    }
    if let Some(malformed) = strip_prefix_ignoring_case(system, "urn:oid:") {
        return Some(malformed_oid(malformed));
    }
    let folded = facts::folded(system);
    let known = facts::CODING_ALIASES.get(folded.as_str()).map(|&known| known.to_owned());
    known.or_else(|| old_hl7_system(&folded, system)).filter(|best| best != system)
}

/// Whether v2 calls the system local: `L`, or `99` and up to four letters or digits of the sender's.
fn is_local(system: &str) -> bool {
    system == "L" || system.strip_prefix("99").is_some_and(|rest| rest.len() <= 4 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// A published code system by OID; v2 tables are also known as `2.16.840.1.113883.12.N`.
pub(super) fn oid_system(oid: &str) -> Option<String> {
    if let Some(&known) = facts::CODING_OIDS.get(oid) {
        return Some(known.to_owned());
    }
    let table = oid.strip_prefix("2.16.840.1.113883.12.")?;
    v2_table(table)
}

/// Where DSTU2, STU3 and v2 keep tables that R4 has under terminology.hl7.org.
fn old_hl7_system(folded: &str, written: &str) -> Option<String> {
    if let Some(table) =
        folded.strip_prefix("hl7.org/fhir/v2/").or_else(|| folded.strip_prefix("hl7").filter(|rest| !rest.starts_with('.')))
    {
        return v2_table(table);
    }
    folded.strip_prefix("hl7.org/fhir/v3/")?;
    let name = written.trim().trim_end_matches('/').rsplit('/').next()?;
    let candidate = format!("http://terminology.hl7.org/CodeSystem/v3-{name}");
    facts::CODING_SYSTEMS.contains(candidate.as_str()).then_some(candidate)
}

fn v2_table(number: &str) -> Option<String> {
    let is_number = (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("http://terminology.hl7.org/CodeSystem/v2-{number:0>4}"))
}

/// The edition URI in place of the SNOMED CT system, which belongs into `Coding.version`.
fn snomed_edition(system: &str) -> Option<&str> {
    let module = system.strip_prefix("http://snomed.info/sct/")?.split('/').next()?;
    (module.len() > 5 && module.bytes().all(|b| b.is_ascii_digit())).then_some(system)
}

#[cfg(test)]
mod tests {
    use super::settled;

    #[test]
    fn settling() {
        for (system, best) in [
            ("http://LOINC.org", Some("http://loinc.org")),
            ("https://www.loinc.org/", Some("http://loinc.org")),
            ("urn:oid:2.16.840.1.113883.6.1", Some("http://loinc.org")),
            ("LN", Some("http://loinc.org")),
            ("SCT", Some("http://snomed.info/sct")),
            ("urn:oid:2.16.840.1.113883.6.90", Some("http://hl7.org/fhir/sid/icd-10-cm")),
            ("2.16.840.1.113883.5.83", Some("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation")),
            ("urn:oid:2.16.840.1.113883.12.78", Some("http://terminology.hl7.org/CodeSystem/v2-0078")),
            ("urn:oid:2.16.840.1.113883.12.292", Some("http://hl7.org/fhir/sid/cvx")),
            ("HL70078", Some("http://terminology.hl7.org/CodeSystem/v2-0078")),
            ("http://hl7.org/fhir/v2/0203", Some("http://terminology.hl7.org/CodeSystem/v2-0203")),
            ("http://hl7.org/fhir/v3/ActCode", Some("http://terminology.hl7.org/CodeSystem/v3-ActCode")),
            ("http://hl7.org/fhir/observation-category", Some("http://terminology.hl7.org/CodeSystem/observation-category")),
            ("L", Some("urn:s:codes:L")),
            ("99ACME", Some("urn:s:codes:99ACME")),
            ("1.2.3.4", Some("urn:oid:1.2.3.4")),
            ("urn:oid:2.16.840.1.113883.6.238", None),
            ("urn:oid:1.2.246.537.6.96", None),
            ("https://fhir.cerner.com/ec/codeSet/72", None),
            ("http://hl7.org/fhir/observation-status", None),
            ("ACME", None),
            ("urn:s:codes:L", None),
        ] {
            assert_eq!(settled(system, "urn:s").as_deref(), best, "{system}");
        }
    }
}
