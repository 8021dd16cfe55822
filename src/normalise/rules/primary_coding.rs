//! Rule 9. Of several codings, the portable one is found by its system, never by its place; the order and `userSelected` stay as sent.
//!
//! Cerner puts its own code first, Epic last, and both mean LOINC. Where a local coding stands before a portable one, the portable one gets a mark,
//! so that a reader who takes the first coding can be told he should not.

use super::super::path::Path;
use super::super::record::Work;
use super::super::rule::PRIMARY_CODING as RULE;
use super::super::vocabulary::{CPT, CVX, ICD_9_CM, ICD_10, ICD_10_CM, LOINC, NDC, PRIMARY_CODING, RXNORM, SNOMED};
use super::code_sanity::is_sane;
use crate::fhir::{Node, Object};

/// Systems that mean the same everywhere, the one to prefer first. An element asks for one order only, so one order serves all:
/// vaccines carry CVX and medications RxNorm beside SNOMED CT, tests LOINC.
const PORTABLE: [&str; 9] = [LOINC, CVX, RXNORM, SNOMED, ICD_10_CM, ICD_10, CPT, NDC, ICD_9_CM];

/// Marks the portable coding of a CodeableConcept when a local one stands first.
pub(in super::super) fn apply(concept: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    if !work.on(RULE) {
        return;
    }
    let Some(codings) = concept.get("coding").and_then(Node::as_list) else { return };
    let Some(index) = primary_index(codings) else { return };
    if index == 0 || codings.first().is_none_or(|first| !is_local(first)) {
        return;
    }
    let marked =
        codings.iter().any(|coding| coding.items("extension").iter().any(|extension| extension.text("url") == Some(PRIMARY_CODING)));
    if marked {
        return;
    }
    let Some(coding) = concept.get_mut("coding").and_then(|node| node.as_list_mut()?.get_mut(index)?.as_object_mut()) else { return };
    let mark = Object::new().with("url", PRIMARY_CODING).with("valueBoolean", true);
    work.append(RULE, coding, &path.member("coding").item(index), "extension", mark.into());
}

/// The coding of a CodeableConcept that travels best: by system, the first among equals; the first of all when none is portable.
pub fn primary_coding(concept: &Node) -> Option<&Node> {
    let codings = concept.items("coding");
    codings.get(primary_index(codings).unwrap_or(0))
}

fn primary_index(codings: &[Node]) -> Option<usize> {
    let ranked = codings.iter().enumerate().filter_map(|(index, coding)| Some((rank(coding)?, index)));
    ranked.min().map(|(_, index)| index)
}

fn rank(coding: &Node) -> Option<usize> {
    let (system, code) = (coding.text("system")?, coding.text("code")?);
    PORTABLE.iter().position(|&portable| portable == system).filter(|_| is_sane(system, code))
}

/// Whether at least one coding means the same everywhere.
pub(super) fn has_portable(concept: &Node) -> bool {
    primary_index(concept.items("coding")).is_some()
}

/// Codings under OIDs, vendors' URLs and the gateway's source URNs; HL7's own systems are no less portable than those listed.
fn is_local(coding: &Node) -> bool {
    rank(coding).is_none()
        && coding
            .text("system")
            .is_none_or(|system| !system.starts_with("http://terminology.hl7.org/") && !system.starts_with("http://hl7.org/"))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{run, source};

    #[test]
    fn marking() {
        let concept = |codings: &str| format!(r#"{{"resourceType":"Observation","code":{{"coding":[{codings}]}}}}"#);
        let local = r#"{"system":"https://fhir.cerner.com/x/codeSet/72","code":"1"}"#;
        let loinc = r#"{"system":"http://loinc.org","code":"2339-0"}"#;
        let snomed = r#"{"system":"http://snomed.info/sct","code":"73211009"}"#;
        for (codings, marked) in [
            (format!("{local},{loinc}"), Some(1)),
            (format!("{local},{snomed},{loinc},{loinc}"), Some(2)),
            (format!("{loinc},{local}"), None),
            (format!("{snomed},{loinc}"), None),
            (local.to_owned(), None),
        ] {
            let done = run(&concept(&codings), &source());
            let codings = done.resource.get("code").unwrap().items("coding");
            assert_eq!(codings.iter().position(|coding| coding.get("extension").is_some()), marked);
        }
    }
}
