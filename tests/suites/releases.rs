//! Resources of a release other than R4, by the definitions of that release.

use super::shared;
use hearthgate::definitions::Definitions;
use hearthgate::fhir::json;
use hearthgate::validate::{self, Options};

/// Resources, and what is found of each by the definitions of R4B. The last is none of R4.
const CASES: [(&str, &[&str]); 4] = [
    (
        r#"{"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Observation|4.3.0"]}}"#,
        &[],
    ),
    (
        r#"{"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/Observation|4.0.1"]}}"#,
        &["VALIDATION_VAL_PROFILE_UNKNOWN_NOT_POLICY Observation.meta.profile[0]"],
    ),
    (
        r#"{"resourceType": "Observation", "status": "done", "code": {"text": "x"}, "bogus": 1}"#,
        &["Terminology_TX_NoValid_16 Observation.status", "Unrecognised_property_ Observation"],
    ),
    (
        r#"{"resourceType": "Ingredient", "status": "active", "role": {"text": "r"}, "substance": {"strength": [{"textConcentration": "x"}]}}"#,
        &["Validation_VAL_Profile_Minimum_one Ingredient.substance"],
    ),
];

#[test]
fn resources_of_r4b_are_judged_by_its_definitions() {
    let Some(core) = shared("packages/hl7.fhir.r4b.core-4.3.0.tgz") else { return };
    let definitions = Definitions::of_release("4.3", &[&core]).unwrap().unwrap();
    assert_eq!(definitions.types().version, "4.3.0");
    for (resource, wanted) in CASES {
        let found = validate::check(&definitions, &json::parse(resource.as_bytes(), 16).unwrap(), &Options::default());
        let found: Vec<String> = found.iter().map(|one| format!("{} {}", one.message_id, one.expression)).collect();
        assert_eq!(found, wanted, "{resource}");
    }
}
