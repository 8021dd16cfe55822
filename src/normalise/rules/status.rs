//! Rule 17. Interpretations and statuses in FHIR's codes, v2's beside them; and which version of a result may follow which.

use super::super::facts;
use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::{SENTINELS, STATUS};
use super::super::vocabulary::{ABNORMAL_FLAGS, DATA_ABSENT_REASON, OBSERVATION_INTERPRETATION};
use super::profile_fill::is_answered;
use crate::fhir::{Node, Object};

/// `Observation.status`, and what HL7 v2 table 0085 (OBX-11) says for some of them.
const OBSERVATION: Statuses = Statuses {
    codes: &["registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"],
    v2: &[
        ("A", "amended"),
        ("C", "corrected"),
        ("D", "entered-in-error"),
        ("F", "final"),
        ("I", "registered"),
        ("N", "cancelled"),
        ("O", "registered"),
        ("P", "preliminary"),
        ("R", "preliminary"),
        ("S", "preliminary"),
        ("U", "final"),
        ("W", "entered-in-error"),
        ("X", "cancelled"),
    ],
};

/// What OBX-11 says of a result that is not there.
const ABSENT: [(&str, &str); 2] = [("N", "not-asked"), ("X", "not-performed")];

/// `DiagnosticReport.status`, and what HL7 v2 table 0123 (OBR-25) says for some of them.
const REPORT: Statuses = Statuses {
    codes: &[
        "registered",
        "partial",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "appended",
        "cancelled",
        "entered-in-error",
        "unknown",
    ],
    v2: &[
        ("A", "partial"),
        ("C", "corrected"),
        ("F", "final"),
        ("I", "registered"),
        ("O", "registered"),
        ("P", "preliminary"),
        ("R", "preliminary"),
        ("S", "registered"),
        ("X", "cancelled"),
    ],
};

struct Statuses {
    codes: &'static [&'static str],
    v2: &'static [(&'static str, &'static str)],
}

/// Settles the status of an Observation or DiagnosticReport.
pub(in super::super) fn apply(resource: &mut Object, type_name: &str, path: &Path<'_>, work: &mut Work<'_>) {
    let statuses = if type_name == "DiagnosticReport" { &REPORT } else { &OBSERVATION };
    if !work.on(STATUS) {
        return;
    }
    let Some(status) = resource.get("status").and_then(Node::as_text).filter(|status| !statuses.codes.contains(status)) else { return };
    let by_v2 = statuses.v2.iter().find(|(code, _)| *code == status).map(|&(_, status)| status);
    let by_case = || statuses.codes.iter().copied().find(|code| code.eq_ignore_ascii_case(status));
    let Some(meant) = by_v2.or_else(by_case) else { return };
    let absent = ABSENT.iter().find(|(code, _)| type_name == "Observation" && *code == status).map(|(_, reason)| *reason);
    work.set(STATUS, resource, path, "status", meant);
    if let Some(reason) = absent.filter(|_| work.on(SENTINELS) && !is_answered(resource)) {
        let coding = Object::new().with("system", DATA_ABSENT_REASON).with("code", reason);
        work.set(SENTINELS, resource, path, "dataAbsentReason", Object::new().with("coding", vec![coding.into()]));
    }
}

/// Puts the v3 code beside each v2 abnormal flag of `interpretation`.
pub(in super::super) fn interpret(holder: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(STATUS) {
        return;
    }
    let Some(concepts) = holder.get_mut("interpretation").and_then(Node::as_list_mut) else { return };
    let list_path = path.member("interpretation");
    for (index, concept) in concepts.iter_mut().enumerate() {
        let Some((code, display)) = missing_interpretation(concept) else { continue };
        let coding = Object::new().with("system", OBSERVATION_INTERPRETATION).with("code", code).with("display", display);
        if let Some(concept) = concept.as_object_mut() {
            work.append(STATUS, concept, &list_path.item(index), "coding", coding.into());
        }
    }
}

fn missing_interpretation(concept: &Node) -> Option<(&'static str, &'static str)> {
    let codings = concept.items("coding");
    if codings.iter().any(|coding| coding.text("system") == Some(OBSERVATION_INTERPRETATION)) {
        return None;
    }
    let flag = codings.iter().find(|coding| coding.text("system") == Some(ABNORMAL_FLAGS))?.text("code")?;
    facts::INTERPRETATIONS.get_key_value(flag).map(|(&code, &display)| (code, display))
}

/// What a new version of a result does to the one the gateway has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// The new version becomes the current one.
    Supersedes,
    /// The new version is older than its arrival: it is kept as history and the current one stays.
    ArrivesLate,
}

/// Whether a result of status `incoming` may replace one of status `current`, both statuses of Observation or DiagnosticReport.
///
/// What has once been final is replaced only by what is final, corrects it or withdraws it; what was withdrawn, only by a withdrawal or a
/// correction. A late preliminary result therefore never hides a final one. What is no such status is not late: it is judged like any other write.
pub fn succession(current: &str, incoming: &str) -> Succession {
    let is_late = rank(current).zip(rank(incoming)).is_some_and(|(current, incoming)| incoming < current);
    if is_late { Succession::ArrivesLate } else { Succession::Supersedes }
}

/// How late a status comes in the life of a result; none for what is no status.
fn rank(status: &str) -> Option<u8> {
    Some(match status {
        "registered" | "unknown" => 0,
        "partial" => 1,
        "preliminary" => 2,
        "final" | "cancelled" => 3,
        "amended" | "appended" | "corrected" | "entered-in-error" => 4,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};
    use super::{Succession, succession};

    #[test]
    fn statuses() {
        for (type_name, before, after) in [
            ("Observation", "F", "final"),
            ("Observation", "W", "entered-in-error"),
            ("Observation", "Final", "final"),
            ("Observation", "final", "final"),
            ("Observation", "partial", "partial"),
            ("DiagnosticReport", "A", "partial"),
            ("DiagnosticReport", "X", "cancelled"),
            ("Encounter", "F", "F"),
        ] {
            let done = run(&format!(r#"{{"resourceType":"{type_name}","status":"{before}"}}"#), &source());
            assert_eq!(done.resource.text("status"), Some(after), "{type_name} {before}");
        }
    }

    #[test]
    fn what_was_not_done_or_asked_has_no_value() {
        for (status, value, reason) in
            [("X", "", Some("not-performed")), ("N", "", Some("not-asked")), ("X", r#","valueString":"clotted""#, None), ("F", "", None)]
        {
            let done = run(&format!(r#"{{"resourceType":"Observation","status":"{status}"{value}}}"#), &source());
            let found = done.resource.get("dataAbsentReason").and_then(|concept| concept.items("coding").first()?.text("code"));
            assert_eq!(found, reason, "{status} {value}");
        }
    }

    #[test]
    fn interpretations_stand_beside() {
        for (system, code, added) in [
            ("HL70078", "H", Some("High")),
            ("http://hl7.org/fhir/v2/0078", "<", Some("Off scale low")),
            ("L", "H", None),
            ("HL70078", "null", None),
        ] {
            let text =
                format!(r#"{{"resourceType":"Observation","interpretation":[{{"coding":[{{"system":"{system}","code":"{code}"}}]}}]}}"#);
            let done = run(&text, &source());
            let codings = done.resource.items("interpretation")[0].items("coding");
            assert_eq!(codings.get(1).and_then(|coding| coding.text("display")), added, "{system} {code}");
        }
    }

    #[test]
    fn late_results_do_not_hide_final_ones() {
        for (current, incoming, expected) in [
            ("preliminary", "final", Succession::Supersedes),
            ("final", "preliminary", Succession::ArrivesLate),
            ("final", "corrected", Succession::Supersedes),
            ("corrected", "final", Succession::ArrivesLate),
            ("final", "entered-in-error", Succession::Supersedes),
            ("entered-in-error", "preliminary", Succession::ArrivesLate),
            ("entered-in-error", "corrected", Succession::Supersedes),
            ("final", "final", Succession::Supersedes),
            ("final", "unknown", Succession::ArrivesLate),
            ("final", "bogus", Succession::Supersedes),
        ] {
            assert_eq!(succession(current, incoming), expected, "{current} {incoming}");
        }
    }
}
