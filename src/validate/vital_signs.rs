//! Which Observations are of vital signs, by their codes.

use crate::fhir::Node;

const LOINC: &str = "http://loinc.org";

/// Codes of vital signs with the profile that goes with them.
const VITAL_SIGNS: [(&str, &str, &str); 11] = [
    (LOINC, "85353-1", "http://hl7.org/fhir/StructureDefinition/vitalspanel"),
    (LOINC, "9279-1", "http://hl7.org/fhir/StructureDefinition/resprate"),
    (LOINC, "8867-4", "http://hl7.org/fhir/StructureDefinition/heartrate"),
    (LOINC, "2708-6", "http://hl7.org/fhir/StructureDefinition/oxygensat"),
    (LOINC, "8310-5", "http://hl7.org/fhir/StructureDefinition/bodytemp"),
    (LOINC, "8302-2", "http://hl7.org/fhir/StructureDefinition/bodyheight"),
    (LOINC, "9843-4", "http://hl7.org/fhir/StructureDefinition/headcircum"),
    (LOINC, "29463-7", "http://hl7.org/fhir/StructureDefinition/bodyweight"),
    (LOINC, "39156-5", "http://hl7.org/fhir/StructureDefinition/bmi"),
    (LOINC, "85354-9", "http://hl7.org/fhir/StructureDefinition/bp"),
    ("http://snomed.info/sct", "276885007", "http://hl7.org/fhir/StructureDefinition/bodytemp"),
];

/// The profiles that R4 asks of every Observation of a vital sign, claimed or not (<https://hl7.org/fhir/R4/observation-vitalsigns.html>).
pub fn profiles(observation: &Node) -> impl Iterator<Item = &'static str> {
    let codings = observation.get("code").map(|code| code.items("coding")).unwrap_or_default();
    codings.iter().filter_map(|coding| {
        let (system, code) = (coding.text("system")?, coding.text("code")?);
        VITAL_SIGNS.iter().find(|(of, one, _)| *of == system && *one == code).map(|(.., url)| *url)
    })
}
