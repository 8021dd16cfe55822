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

/// Codes that other validators read as vital signs too, first those of LOINC, then those of SNOMED CT, by the last segment of the profile's URL.
const RELATED: [(&str, &[&str], &[&str]); 10] = [
    ("vitalspanel", &["85353-1"], &["46680005"]),
    (
        "resprate",
        &["9279-1", "76170-0", "76172-6", "76171-8", "19840-8", "33438-3", "76270-8", "11291-2"],
        &["86290005", "271625008", "271306003"],
    ),
    (
        "heartrate",
        &[
            "60978-4", "73795-7", "73799-9", "76476-1", "76477-9", "8867-4", "8889-8", "8890-6", "8891-4", "8892-2", "8893-0", "40443-4",
            "55425-3", "68999-2", "11328-2", "69000-8", "8886-4",
        ],
        &["249043002", "444981005", "399017001", "251670001", "429525003", "429614003"],
    ),
    (
        "oxygensat",
        &["2708-6", "19224-5", "20564-1", "2709-4", "2710-2", "2711-0", "2713-6", "51733-4", "59408-5", "59417-6", "89276-0", "97549-0"],
        &["103228002", "442349007", "442476006", "442440005", "431314004", "442734002", "713194001"],
    ),
    (
        "bodytemp",
        &[
            "8310-5", "60834-9", "60835-6", "60836-4", "60838-0", "60955-2", "61009-7", "75539-7", "75987-8", "76010-8", "76011-6",
            "76278-1", "8309-7", "8328-7", "8329-5", "8330-3", "8331-1", "8332-9", "8333-7", "8334-5", "91371-5", "98657-0", "98663-8",
        ],
        &[
            "386725007",
            "276885007",
            "300076005",
            "1222808002",
            "364246006",
            "307047009",
            "708499008",
            "431598003",
            "698831002",
            "698832009",
            "415882003",
            "415974002",
            "415929009",
            "415945006",
        ],
    ),
    (
        "bodyheight",
        &["8302-2", "3137-7", "3138-5", "8306-3", "8308-9"],
        &["1153637007", "1162419008", "50373000", "1162418000", "1230278008", "1162392001", "1162417005"],
    ),
    ("headcircum", &["9843-4", "8287-5"], &["363812007", "169876006", "1269262007"]),
    (
        "bodyweight",
        &["29463-7", "3141-9", "3142-7", "75292-3", "79348-9", "8350-1", "8351-9"],
        &["363811000", "735395000", "425024002", "424927000", "784399000", "1162416001", "1162415002"],
    ),
    ("bmi", &["39156-5", "59574-4", "89270-3"], &["60621009"]),
    (
        "bp",
        &["85354-9", "35094-2", "8459-0", "76534-7", "55284-4", "8480-6"],
        &[
            "75367002",
            "251076008",
            "163033001",
            "163035008",
            "386534000",
            "386536003",
            "271649006",
            "271650006",
            "407556006",
            "407554009",
            "716579001",
            "399304008",
        ],
    ),
];

/// The profile that other validators ask of an Observation by a code that is near to those of vital signs: the first that any coding names.
pub fn related(observation: &Node) -> Option<String> {
    let codings = observation.get("code").map(|code| code.items("coding")).unwrap_or_default();
    let has = |system: &str, codes: &[&str]| {
        let is_one = |coding: &Node| coding.text("code").is_some_and(|code| codes.contains(&code)) && coding.text("system") == Some(system);
        codings.iter().any(is_one)
    };
    let by_loinc = RELATED.iter().find(|(_, loinc, _)| has(LOINC, loinc));
    let found = by_loinc.or_else(|| RELATED.iter().find(|(.., snomed_ct)| has("http://snomed.info/sct", snomed_ct)));
    found.map(|(name, ..)| format!("http://hl7.org/fhir/StructureDefinition/{name}"))
}

/// The profiles that R4 asks of every Observation of a vital sign, claimed or not (<https://hl7.org/fhir/R4/observation-vitalsigns.html>): each once.
pub fn profiles(observation: &Node) -> Vec<&'static str> {
    let codings = observation.get("code").map(|code| code.items("coding")).unwrap_or_default();
    let mut asked = Vec::new();
    for (system, code) in codings.iter().filter_map(|coding| coding.text("system").zip(coding.text("code"))) {
        let found = VITAL_SIGNS.iter().find(|(of, one, _)| *of == system && *one == code);
        asked.extend(found.map(|(.., url)| *url).filter(|url| !asked.contains(url)));
    }
    asked
}
