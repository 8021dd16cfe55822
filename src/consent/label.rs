//! Labelling (HL7 DS4P): what a resource's codes and words tell of its sensitivity, before a decision is taken on it.
//!
//! The source's own labels are kept. Sensitive material is labelled with its sensitivity and as restricted. What is plainly not sensitive is
//! labelled as normal; what cannot be told stays without a level, and a decision takes that for restricted.

use super::code::{Code, HCPCS, PLACE_OF_SERVICE, codings, items};
use super::facts::{ResourceFacts, of};
use super::permitted::is_administrative;
use super::sensitivity::{List, ListError, PROFILES, TEXT_LIMIT_BYTES, is_ambiguous};
use super::vocabulary::{ACT_CODE, CONFIDENTIALITY, Concept, Confidentiality, is_sensitivity};
use crate::fhir::{Node, Value};
use crate::normalise::vocabulary::CVX;
use compact_str::CompactString;
use data_encoding::BASE64;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Types that are documents, conversations or containers: their codes do not tell what is in them.
const OPAQUE: [&str; 12] = [
    "Binary",
    "Bundle",
    "Communication",
    "CommunicationRequest",
    "Composition",
    "DocumentManifest",
    "DocumentReference",
    "List",
    "Media",
    "Parameters",
    "QuestionnaireResponse",
    "Task",
];

/// How sure it is that what was found tells what its label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// A code without a system.
    Low,
    /// Words.
    Medium,
    /// A code.
    High,
}

impl Confidence {
    /// As it is written out.
    pub fn code(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// A label that labelling found, and why it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// A sensitivity of v3-ActCode.
    pub code: CompactString,
    /// The law or policy it rests on, as far as the list says.
    pub basis: Option<CompactString>,
    pub confidence: Confidence,
}

/// A sensitivity list, ready for use. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Labeller(Arc<List>);

/// What labelling found in a resource or in a part of one.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub labels: BTreeMap<CompactString, Confidence>,
    pub is_too_long: bool,
}

impl Found {
    /// Keeps a label, and the best of the reasons for it.
    pub(super) fn note(&mut self, label: &str, confidence: Confidence) {
        match self.labels.get_mut(label) {
            Some(known) => *known = confidence.max(*known),
            None => _ = self.labels.insert(label.into(), confidence),
        }
    }

    /// What was found, as labels: the sensitivities.
    pub(super) fn concepts(&self) -> impl Iterator<Item = Concept> {
        self.labels.keys().map(|label| Concept::new(Code { system: ACT_CODE.into(), code: label.clone() }))
    }
}

impl Labeller {
    /// The value sets that come with the gateway.
    pub fn built_in() -> &'static Labeller {
        static LIST: LazyLock<Labeller> = LazyLock::new(|| Labeller(Arc::new(List::built_in().unwrap_or_default())));
        &LIST
    }

    /// Reads a ValueSet or a Bundle of them, as those in `profiles/sensitivity`; or lines of text: `system NAME URI`, `basis LABEL LAW`, and
    /// `LABEL NAME CODE`, `LABEL NAME PREFIX*`, `LABEL words PHRASE`, `LABEL abbreviation LETTERS`, `LABEL profile URL`; `#` begins a comment line.
    pub fn parse(list: &str) -> Result<Labeller, ListError> {
        Ok(Labeller(Arc::new(List::parse(list)?)))
    }

    /// The labels that a resource's codes, profiles and words tell, each with why.
    pub fn explain(&self, resource: &Node) -> Vec<Labelled> {
        let found = self.find(resource, &of(resource));
        let labelled = |(code, confidence): (CompactString, Confidence)| {
            let basis = self.0.basis(&code).map(CompactString::from);
            Labelled { code, basis, confidence }
        };
        found.labels.into_iter().map(labelled).collect()
    }

    fn find(&self, resource: &Node, facts: &ResourceFacts) -> Found {
        let mut found = Found::default();
        facts.all_codes.iter().for_each(|code| self.0.look_up(code, &mut found));
        if BILLS.contains(&facts.type_name.as_str()) {
            facts.all_codes.iter().filter(|code| is_ambiguous(code)).for_each(|code| self.look_up_as_billed(code, &mut found));
        }
        facts.profiles.iter().for_each(|profile| self.0.look_up(&Code { system: PROFILES.into(), code: profile.clone() }, &mut found));
        self.0.read(resource, &mut found);
        found
    }

    /// On a bill a short code without a system is a place or a modifier.
    fn look_up_as_billed(&self, code: &Code, found: &mut Found) {
        let mut short = Found::default();
        for system in [PLACE_OF_SERVICE, HCPCS] {
            self.0.look_up(&Code { system: system.into(), code: code.code.clone() }, &mut short);
        }
        short.labels.keys().for_each(|label| found.note(label, Confidence::Low));
    }

    /// Adds to the facts what the resource's codes and words tell. Labels are only ever added, and the level only ever rises.
    pub fn label(&self, resource: &Node, facts: &mut ResourceFacts) {
        let found = self.find(resource, facts);
        let is_nameless = self.0.holds_nameless_product(resource);
        let is_plain = !found.is_too_long && !is_nameless && self.0.is_plain(resource, facts);
        facts.is_unreadable = is_nameless || holds_unreadable(resource);
        facts.holds_sensitive |= !found.labels.is_empty() || facts.is_unreadable;
        facts.labeller = Some(self.clone());
        let is_sensitive = !found.labels.is_empty();
        found.concepts().for_each(|label| facts.add_found(label));
        if is_sensitive && facts.confidentiality < Some(Confidentiality::Restricted) {
            facts.add_found(level("R"));
        } else if facts.confidentiality.is_none() && is_plain && !facts.labels.iter().any(is_sensitivity) {
            facts.add_found(level("N"));
        }
    }

    /// What the words and the given codes of a part of a resource tell.
    pub(super) fn survey(&self, part: &Node, codes: &[Code]) -> Found {
        let mut found = Found::default();
        codes.iter().for_each(|code| self.0.look_up(code, &mut found));
        match part.as_text() {
            Some(text) => self.0.search(text, &mut found),
            None => self.0.read(part, &mut found),
        }
        found
    }
}

/// A level of confidentiality as a label.
pub(super) fn level(code: &str) -> Concept {
    Concept::new(Code { system: CONFIDENTIALITY.into(), code: code.into() })
}

/// Whether a resource is coded, in systems that are known, so that what was not found is not there.
pub(super) fn is_plain(resource: &Node, facts: &ResourceFacts, is_known: &dyn Fn(&Code) -> bool) -> bool {
    if OPAQUE.contains(&facts.type_name.as_str()) || resource.get("presentedForm").is_some() {
        return false;
    }
    let is_told = |code: &Code| is_known(code) || is_plain_vaccine(code);
    let is_main_told = || !facts.has_uncoded && facts.main_codes.iter().any(is_told);
    let is_coded = match facts.type_name.as_str() {
        name if BILLS.contains(&name) => billed(resource, is_known) == Some(true),
        name if BILL_ANSWERS.contains(&name) => is_main_told() && billed(resource, is_known).is_some(),
        _ => is_main_told(),
    };
    let is_plain_inside =
        |inner: &Node| is_administrative(inner.resource_type().unwrap_or_default()) || is_plain(inner, &of(inner), is_known);
    (facts.is_timeless || is_coded) && items(resource, "contained").iter().all(is_plain_inside)
}

/// Vaccines against what is caught in intimacy (HPV, mpox): that somebody got one may tell. Of others no list has anything to say.
const TELLING_VACCINES: [&str; 7] = ["62", "75", "105", "118", "137", "165", "206"];

fn is_plain_vaccine(code: &Code) -> bool {
    code.system == CVX && !TELLING_VACCINES.contains(&code.code.as_str())
}

/// What is charged: of what type a bill is says nothing of what for.
const BILLS: [&str; 2] = ["Claim", "ExplanationOfBenefit"];
/// Elements of a bill that say what for it is, and of those in which they stand.
const BILLED: [&str; 5] = ["code", "diagnosisCodeableConcept", "packageCode", "procedureCodeableConcept", "productOrService"];
const BILLING: [&str; 10] =
    ["addItem", "careTeam", "detail", "diagnosis", "insurance", "item", "procedure", "subDetail", "subDetails", "supportingInfo"];
/// Elements of a bill that say where, under which programme, by whom or how: they tell as much as what it is for.
const BILLED_BESIDE: [&str; 7] = ["category", "locationCodeableConcept", "modifier", "programCode", "qualification", "revenue", "subType"];
/// What stands beside it in no code.
const UNCODED: [&str; 2] = ["valueAttachment", "valueString"];
/// What is asked before a bill and answered to one.
const BILL_ANSWERS: [&str; 3] = ["ClaimResponse", "CoverageEligibilityRequest", "CoverageEligibilityResponse"];

/// Codes of bills that say nothing of what for, by their systems. What else stands in these is a matter of the lists.
const ORDINARY: [(&str, &[&str]); 11] = [
    (
        PLACE_OF_SERVICE,
        &[
            "01", "02", "10", "11", "12", "13", "15", "17", "19", "20", "21", "22", "23", "24", "26", "31", "32", "41", "42", "49", "50",
            "60", "61", "62", "65", "71", "72", "81",
        ],
    ),
    ("http://terminology.hl7.org/CodeSystem/modifiers", &["a", "b", "c", "e", "rooh", "x"]),
    ("http://terminology.hl7.org/CodeSystem/ex-claimsubtype", &["ortho", "emergency"]),
    ("http://terminology.hl7.org/CodeSystem/ex-programcode", &["as", "hd", "none"]),
    ("http://terminology.hl7.org/CodeSystem/ex-providerqualification", &["311405", "604215", "604210"]),
    (
        "http://terminology.hl7.org/CodeSystem/ex-benefitcategory",
        &[
            "1", "2", "3", "4", "5", "14", "23", "24", "25", "26", "27", "28", "30", "35", "36", "37", "49", "55", "56", "61", "62", "63",
            "69", "76", "F1", "F3", "F4", "F6",
        ],
    ),
    (
        "http://terminology.hl7.org/CodeSystem/claiminformationcategory",
        &[
            "info",
            "discharge",
            "onset",
            "related",
            "exception",
            "material",
            "attachment",
            "missingtooth",
            "prosthesis",
            "other",
            "hospitalized",
            "employmentimpacted",
            "externalcause",
            "patientreasonforvisit",
        ],
    ),
    (
        "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBSupportingInfoType",
        &[
            "admissionperiod",
            "admtype",
            "billingnetworkcontractingstatus",
            "clmrecvddate",
            "discharge-status",
            "drg",
            "pointoforigin",
            "typeofbill",
        ],
    ),
    ("http://terminology.hl7.org/CodeSystem/v3-ActCode", &["MVA", "SCHOOL", "SPT", "WPA"]),
    // Of Medicare: the letters beyond include the treatment of mental illness.
    ("https://bluebutton.cms.gov/resources/variables/line_cms_type_srvc_cd", &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    ("https://bluebutton.cms.gov/resources/variables/line_place_of_srvc_cd", &["11", "12", "21", "22", "23"]),
];

fn is_ordinary(code: &Code) -> bool {
    ORDINARY.iter().any(|(system, codes)| code.system == *system && codes.contains(&code.code.as_str()))
}

/// Whether a bill says what for it is; `None` where not all it says is in systems that are known. What it refers to is decided by itself.
fn billed(bill: &Node, is_known: &dyn Fn(&Code) -> bool) -> Option<bool> {
    let is_known_concept = |concept: &Node, is_enough: &dyn Fn(&Code) -> bool| {
        codings(concept).iter().filter_map(Code::from_coding).any(|code| is_known(&code) || is_enough(&code))
    };
    let mut beside = items(bill, "accident").iter().flat_map(|accident| items(accident, "type"));
    if !beside.all(|concept| is_known_concept(concept, &is_ordinary)) {
        return None;
    }
    let mut open = vec![bill];
    let mut is_told = false;
    while let Some(node) = open.pop() {
        let mut beside = BILLED_BESIDE.iter().flat_map(|element| items(node, element));
        let mut what = BILLED.iter().flat_map(|element| items(node, element)).peekable();
        is_told |= what.peek().is_some();
        let is_open = UNCODED.iter().any(|element| node.get(element).is_some())
            || !what.all(|concept| is_known_concept(concept, &|_| false))
            || !beside.all(|concept| is_known_concept(concept, &is_ordinary));
        if is_open {
            return None;
        }
        open.extend(BILLING.iter().flat_map(|element| items(node, element)));
    }
    Some(is_told)
}

/// Whether content of a media type is text that can be searched.
fn is_text(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.starts_with("text/") || ["json", "xml", "rtf"].iter().any(|kind| media.ends_with(kind))
}

/// The text that stands encoded in a Binary or an Attachment, as much of it as is searched.
pub(super) fn enclosed_text(node: &Node) -> Option<String> {
    let data = node.get("contentType").and_then(Node::as_text).filter(|media| is_text(media)).and_then(|_| node.text("data"))?;
    Some(String::from_utf8_lossy(&encoded_bytes(data)?).into_owned())
}

/// Members that hold bytes, encoded.
const ENCODED: [&str; 2] = ["data", "valueBase64Binary"];

/// The text that stands encoded in a member, whether or not it is said to be text; `None` where it is none.
pub(super) fn encoded_text(node: &Node, name: &str) -> Option<String> {
    if !ENCODED.contains(&name) {
        return None;
    }
    let said = (name == "data").then(|| enclosed_text(node)).flatten();
    said.or_else(|| decoded_text(name, node.text(name)?))
}

/// The same, where nothing is known of what stands around the member.
pub(super) fn decoded_text(name: &str, data: &str) -> Option<String> {
    ENCODED.contains(&name).then(|| encoded_bytes(data)).flatten().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// As many of the bytes that a text encodes as are searched.
fn encoded_bytes(data: &str) -> Option<Vec<u8>> {
    let encoded: String = data.chars().filter(|letter| !letter.is_whitespace()).take(TEXT_LIMIT_BYTES.next_multiple_of(4)).collect();
    BASE64.decode(encoded.as_bytes()).ok()
}

/// Whether there is content in it that cannot be searched: an image, a PDF, text too long or badly encoded.
pub(super) fn holds_unreadable(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => items.iter().any(holds_unreadable),
        Value::Object(object) => {
            let is_content = object.get("data").is_some_and(|data| data.as_text().is_some()) && object.get("contentType").is_some();
            let is_long = object.get("data").and_then(Node::as_text).is_some_and(|data| data.len() > TEXT_LIMIT_BYTES);
            (is_content && (is_long || enclosed_text(node).is_none()))
                || object.members().iter().any(|member| holds_unreadable(&member.node))
        }
        _ => false,
    }
}

/// Members whose text tells nothing of what a resource is about, or, like the labels themselves, is read elsewhere.
const SILENT: [&str; 9] = ["resourceType", "security", "versionId", "lastUpdated", "contentType", "data", "hash", "status", "use"];

/// Whether the text of a member tells nothing of what a resource is about.
pub(super) fn is_silent(name: &str) -> bool {
    SILENT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::facts;
    use crate::fhir::json::{DEFAULT_DEPTH, parse};

    fn labels(resource: &str) -> Vec<String> {
        let resource = parse(resource.as_bytes(), DEFAULT_DEPTH).unwrap();
        let mut facts = facts::of(&resource);
        Labeller::built_in().label(&resource, &mut facts);
        facts.labels().iter().map(|label| label.code.code.to_string()).collect()
    }

    #[test]
    fn sensitive_material_is_found_under_its_names() {
        let check = |body: &str, expected: &[&str]| {
            let resource = format!(r#"{{"resourceType":"Condition","id":"1","subject":{{"reference":"Patient/1"}},{body}}}"#);
            assert_eq!(labels(&resource), expected, "{resource}");
        };
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"urn:oid:2.16.840.1.113883.6.90","code":" F11.20 "}]}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm|2024","code":"B20"}]}"#, &["HIV", "R"]);
        check(r#""code":{"coding":[{"code":"B20"}]}"#, &["HIV", "R"]);
        check(r#""code":{"text":"Opioid dependence, in remission"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"urn:local","code":"X1","display":"SUBSTANCE USE visit"}]}"#, &["SUD", "R"]);
        check(
            r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003"}]},"text":{"div":"<div>On methadone.</div>"}"#,
            &["OPIOIDUD", "R"],
        );
        check(r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003"}]}"#, &["N"]);
        check(
            r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"chivalry; HIV-negative"}]}"#,
            &["HIV", "R"],
        );
        check(r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003","display":"chivalry"}]}"#, &["N"]);
        check(r#""code":{"text":"opioid\n use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"f11.20"}]}"#, &["OPIOIDUD", "R"]);
        check(r#""x":{"contentType":"text/plain; charset=utf-8","data":"TWV0aGFkb25l"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"Opioid-use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"opioid&nbsp;use"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"metha\u200bdone"}"#, &["OPIOIDUD", "R"]);
        check(r#""code":{"text":"opioid of no use"}"#, &[]);
        check(r#""note":[{"text":"heroin"}]"#, &["OPIOIDUD", "R"]);
        check(r#""evidence":[{"detail":[{"reference":"Location/methadone-clinic"}]}]"#, &["OPIOIDUD", "R"]);
        check(r#""extension":[{"url":"urn:x","valueMarkdown":"*heroin*"}]"#, &["OPIOIDUD", "R"]);
        check(
            r#""extension":[{"url":"urn:x","valueCoding":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"SDV"}}]"#,
            &["SDV", "R"],
        );
        check(r#""code":{"coding":[{"system":"urn:local","code":"X1"}]}"#, &[]);
        check(r#""code":{"text":"Hypertension"}"#, &[]);
        check(
            r#""meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"V"}]},"code":{"text":"HIV"}"#,
            &["V", "HIV"],
        );
    }

    #[test]
    fn words_are_known_wherever_they_stand_and_however_they_are_written() {
        let check = |resource: &str, label: &str| {
            assert!(labels(resource).iter().any(|found| found == label), "{resource} is not {label}: {:?}", labels(resource));
        };
        let note = |text: &str| format!(r#"{{"resourceType":"Condition","note":[{{"text":"{text}"}}]}}"#);
        for text in ["ｍｅｔｈａｄｏｎｅ", "méthadone", "mеthadone", "metha-done", "oxycodone misuse", "opioid-misuse"] {
            check(&note(text), "OPIOIDUD");
        }
        for text in ["EtOH on breath", "history of AUD", "goes to AA meetings", "alcohol rehab"] {
            check(&note(text), "ETHUD");
        }
        for text in ["former IVDU", "drug rehab", "recovering addict", "overdose of sleeping pills"] {
            check(&note(text), "SUD");
        }
        check(&note("has AIDS"), "HIV");
        assert_eq!(labels(&note("hearing aids; aud. canal")), [""; 0]);
        for div in ["<div>meth&#97;done</div>", "<div>meth<b>adone</b></div>", "<div>opioid <b>use</b></div>"] {
            check(&format!(r#"{{"resourceType":"Condition","text":{{"div":"{div}"}}}}"#), "OPIOIDUD");
        }
        let ndc = r#"{"system":"http://hl7.org/fhir/sid/ndc","value":"12496-1208-1"}"#;
        check(&format!(r#"{{"resourceType":"MedicationRequest","medicationReference":{{"identifier":{ndc}}}}}"#), "OPIOIDUD");
        check(r#"{"resourceType":"QuestionnaireResponse","questionnaire":"http://example.org/Questionnaire/opioid-use"}"#, "OPIOIDUD");
        check(r#"{"resourceType":"QuestionnaireResponse","questionnaire":"http://example.org/Questionnaire/AlcoholUse|2"}"#, "ETHUD");
        check(r#"{"resourceType":"CareTeam","name":"Substance use recovery team"}"#, "SUD");
        check(r#"{"resourceType":"Coverage","payor":[{"display":"Methadone programme fund"}]}"#, "OPIOIDUD");
    }

    #[test]
    fn codes_that_clinicians_use_are_known() {
        let check = |system: &str, codes: &str, label: &str| {
            for code in codes.split_whitespace() {
                let resource = format!(r#"{{"resourceType":"Observation","code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}"#);
                assert!(labels(&resource).iter().any(|found| found == label), "{system} {code} is not {label}: {:?}", labels(&resource));
            }
        };
        const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
        check(ICD, "F10.20 F10.239 Z71.41 K70.30 T51.0X1A Y90.8", "ETHUD");
        check(ICD, "F11.10 F11.23 T40.1X1A T40.2X5A T40.3X1A R78.1", "OPIOIDUD");
        check(ICD, "F12.20 F13.10 F14.20 F15.10 F16.10 F18.10 F19.20 Z71.51 O99.320 P96.1 T43.621A", "SUD");
        check(ICD, "F20.9 F32.9 F33.1 F41.1 F43.10 F50.00 F90.0 R45.851 X78.1XXA Z91.51", "PSY");
        check(ICD, "B20 Z21 R75 O98.711 Z20.6 Z11.4 Z71.7", "HIV");
        check(ICD, "O04.5 Z30.09 Z33.2 Z64.0 F64.0 N97.9", "SEX");
        check(ICD, "A51.0 A60.00 A63.0", "STD");
        check(ICD, "T74.21XA T76.11XA Y07.03 Z69.11 Z04.41 Z91.410 O9A.311", "SDV");
        check(ICD, "Z15.01 Z14.1 Z13.79 Q90.9 G10 Z84.81", "GDIS");
        check(ICD, "D57.1", "SICKLE");
        check("http://hl7.org/fhir/sid/icd-9-cm", "303.90 291.81", "ETHUD");
        check("http://loinc.org", "3397-7 3349-8 3390-2 18282-4", "SUD");
        check("http://loinc.org", "5640-8 75626-2", "ETHUD");
        check("http://loinc.org", "3773-9 3414-0", "OPIOIDUD");
        check("http://loinc.org", "44249-1 69737-5", "PSY");
        check("http://loinc.org", "56888-1 25836-8 20447-9 75622-1", "HIV");
        check("http://www.nlm.nih.gov/research/umls/rxnorm", "6813 1819 7243 7242", "OPIOIDUD");
        check("http://www.nlm.nih.gov/research/umls/rxnorm", "3554 82819", "ETHUD");
        check("http://www.nlm.nih.gov/research/umls/rxnorm", "11413 68244 276237", "HIV");
        check("http://www.nlm.nih.gov/research/umls/rxnorm", "36437 4493 2626 6448", "PSY");
        check("http://snomed.info/sct", "75544000 231477003", "OPIOIDUD");
        check("http://snomed.info/sct", "7200002 25702006", "ETHUD");
        check("http://snomed.info/sct", "86406008 165816005", "HIV");
        check("http://snomed.info/sct", "706893006", "SDV");
        check("urn:oid:2.16.840.1.113883.6.285", "H0020 J0574", "OPIOIDUD");
        check("http://www.ama-assn.org/go/cpt", "99408", "SUD");
        check("http://www.ama-assn.org/go/cpt", "80305 80307 80324 80375", "SUD");
        check("http://www.ama-assn.org/go/cpt", "80320 80322", "ETHUD");
        check("http://www.ama-assn.org/go/cpt", "80348 80358 80365", "OPIOIDUD");
        check("http://terminology.hl7.org/CodeSystem/service-type", "105 106 108 111", "SUD");
        check("http://terminology.hl7.org/CodeSystem/service-type", "109", "OPIOIDUD");
        check("http://www.cms.gov/Medicare/Coding/ICD10", "HZ2ZZZZ HZ30ZZZ", "SUD");
        check("2.16.840.1.113883.6.4", "HZ81ZZZ", "SUD");
        check(
            "http://hl7.org/fhir/sid/ndc",
            "12496-1208-1 12496120803 12496-0100-1 65757-300-01 65757030001 69547-353-02 54123-986-30",
            "OPIOIDUD",
        );
        check("urn:oid:2.16.840.1.113883.6.69", "0054-4218-25 00054421825", "OPIOIDUD");
        check(ICD, "F1120", "OPIOIDUD");
        // What stands beside them is not.
        for code in ["F17.210", "I10", "E11.9", "Z00.00", "J45.909"] {
            let resource = format!(r#"{{"resourceType":"Condition","code":{{"coding":[{{"system":"{ICD}","code":"{code}"}}]}}}}"#);
            assert_eq!(labels(&resource), ["N"], "{code}");
        }
    }

    #[test]
    fn every_label_says_why_it_stands() {
        let check = |body: &str, expected: &[(&str, &str, Confidence)]| {
            let resource = parse(format!(r#"{{"resourceType":"Condition",{body}}}"#).as_bytes(), DEFAULT_DEPTH).unwrap();
            let found = Labeller::built_in().explain(&resource);
            let found: Vec<_> =
                found.iter().map(|label| (label.code.as_str(), label.basis.as_deref().unwrap_or_default(), label.confidence)).collect();
            assert_eq!(found, expected, "{body}");
        };
        let coded = r#""code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"F11.20"}]}"#;
        check(coded, &[("OPIOIDUD", "42 CFR Part 2", Confidence::High)]);
        check(r#""code":{"text":"Opioid dependence"}"#, &[("OPIOIDUD", "42 CFR Part 2", Confidence::Medium)]);
        check(r#""code":{"coding":[{"code":"F11.20"}]}"#, &[("OPIOIDUD", "42 CFR Part 2", Confidence::Low)]);
        check(r#""code":{"coding":[{"code":"F11.20"}],"text":"heroin"}"#, &[("OPIOIDUD", "42 CFR Part 2", Confidence::Medium)]);
        check(
            &format!(r#"{coded},"note":[{{"text":"HIV test done"}}]"#),
            &[("HIV", "State HIV law", Confidence::Medium), ("OPIOIDUD", "42 CFR Part 2", Confidence::High)],
        );
        check(r#""code":{"coding":[{"system":"http://snomed.info/sct","code":"38341003"}]}"#, &[]);
    }

    #[test]
    fn only_what_is_plain_is_normal() {
        let check = |resource: &str, expected: &[&str]| assert_eq!(labels(resource), expected, "{resource}");
        check(r#"{"resourceType":"Patient","id":"1"}"#, &["N"]);
        check(r#"{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/us/bser/x"]},"status":"final"}"#, &[]);
        check(r#"{"resourceType":"Encounter","id":"1"}"#, &[]);
        check(r#"{"resourceType":"DocumentReference","id":"1","type":{"coding":[{"system":"http://loinc.org","code":"34133-9"}]}}"#, &[]);
        let coded = r#""code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]}"#;
        check(&format!(r#"{{"resourceType":"Observation",{coded}}}"#), &["N"]);
        check(&format!(r#"{{"resourceType":"DiagnosticReport",{coded},"presentedForm":[{{}}]}}"#), &[]);
        let vaccine = |code: &str| format!(r#""vaccineCode":{{"coding":[{{"system":"http://hl7.org/fhir/sid/cvx","code":"{code}"}}]}}"#);
        check(&format!(r#"{{"resourceType":"Immunization",{}}}"#, vaccine("140")), &["N"]);
        check(&format!(r#"{{"resourceType":"Immunization",{},"note":[{{"text":"heroin"}}]}}"#, vaccine("140")), &["OPIOIDUD", "R"]);
        check(&format!(r#"{{"resourceType":"Immunization",{}}}"#, vaccine("207")), &["N"]);
        for telling in ["165", "105", "206"] {
            check(&format!(r#"{{"resourceType":"Immunization",{}}}"#, vaccine(telling)), &[]);
        }
        let bill = |more: &str| {
            format!(
                r#"{{"resourceType":"Claim","type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/claim-type","code":"professional"}}]}}{more}}}"#
            )
        };
        let icd = |code: &str| format!(r#"{{"coding":[{{"system":"http://hl7.org/fhir/sid/icd-10-cm","code":"{code}"}}]}}"#);
        let diagnosed = |code: &str| format!(r#","diagnosis":[{{"sequence":1,"diagnosisCodeableConcept":{}}}]"#, icd(code));
        check(&bill(""), &[]);
        check(&bill(&diagnosed("J45.909")), &["N"]);
        check(&bill(&diagnosed("F11.20")), &["OPIOIDUD", "R"]);
        // What stands beside the codes tells, too.
        for beside in [
            r#""valueAttachment":{"contentType":"application/pdf","data":"JVBERi0="}"#,
            r#""valueString":"see letter""#,
            r#""code":{"text":"letter"}"#,
        ] {
            check(&bill(&format!(r#"{},"supportingInfo":[{{"sequence":1,{beside}}}]"#, diagnosed("J45.909"))), &[]);
        }
        check(&bill(&diagnosed("J45.909").replace("}]", r#","packageCode":{"text":"Program 7"}}]"#)), &[]);
        check(&bill(&format!(r#"{},"item":[{{"productOrService":{{"text":"Visit"}}}}]"#, diagnosed("J45.909"))), &[]);
        check(
            &bill(&format!(
                r#"{},"item":[{{"productOrService":{},"detail":[{{"productOrService":{{"text":"Visit"}}}}]}}]"#,
                diagnosed("J45.909"),
                icd("Z00.00")
            )),
            &[],
        );
        let long = "word ".repeat(TEXT_LIMIT_BYTES);
        check(&format!(r#"{{"resourceType":"Observation",{coded},"text":{{"div":"{long}"}}}}"#), &[]);
    }

    #[test]
    fn what_stands_beside_what_a_bill_is_for_tells_too() {
        const REVENUES: &str = "https://www.nubc.org/CodeSystem/RevenueCodes";
        const CPT: &str = "http://www.ama-assn.org/go/cpt";
        const EXAMPLES: &str = "http://terminology.hl7.org/CodeSystem";
        let coded = |system: &str, code: &str| match system {
            "" => format!(r#"{{"coding":[{{"code":"{code}"}}]}}"#),
            _ => format!(r#"{{"coding":[{{"system":"{system}","code":"{code}"}}]}}"#),
        };
        let bill = |name: &str, item: &str, beside: &str| {
            let diagnosis = coded("http://hl7.org/fhir/sid/icd-10-cm", "Z00.00");
            let service = coded(CPT, "99213");
            labels(&format!(
                r#"{{"resourceType":"{name}","diagnosis":[{{"diagnosisCodeableConcept":{diagnosis}}}],"item":[{{"productOrService":{service}{item}}}]{beside}}}"#
            ))
        };
        let check = |element: &str, system: &str, codes: &str, expected: &[&str]| {
            for code in codes.split_whitespace() {
                for name in BILLS {
                    let item = format!(r#","{element}":[{}]"#, coded(system, code));
                    let item = if ["modifier", "programCode"].contains(&element) {
                        item
                    } else {
                        item.replace(":[{\"coding\":[", ":{\"coding\":[").replace("]}]", "]}")
                    };
                    assert_eq!(bill(name, &item, ""), expected, "{name} {element} {system} {code}");
                }
            }
        };
        for system in [PLACE_OF_SERVICE, "urn:oid:2.16.840.1.113883.6.50", &format!("{EXAMPLES}/ex-serviceplace"), ""] {
            check("locationCodeableConcept", system, "51 52 53 56", &["PSY", "R"]);
            check("locationCodeableConcept", system, "55 57", &["SUD", "R"]);
            check("locationCodeableConcept", system, "58", &["OPIOIDUD", "R"]);
        }
        check("locationCodeableConcept", PLACE_OF_SERVICE, "11 12 21 22 23", &["N"]);
        check("locationCodeableConcept", &format!("{EXAMPLES}/ex-serviceplace"), "11 19 21", &["N"]);
        check("revenue", REVENUES, "0114 0124 124 0513 0900 900 0914 0961 1000 1001 1003 1005", &["PSY", "R"]);
        check("revenue", REVENUES, "0116 0126 0136 0146 0156 116 0944 944 0953 1002", &["SUD", "R"]);
        check("revenue", REVENUES, "0945", &["ETHUD", "R"]);
        check("revenue", REVENUES, "0120 0300 0450 0636 0999", &["N"]);
        for system in [HCPCS, CPT, ""] {
            check("modifier", system, "HE HW he", &["PSY", "R"]);
            check("modifier", system, "HF HV", &["SUD", "R"]);
            check("modifier", system, "HG", &["OPIOIDUD", "R"]);
            check("modifier", system, "HH", &["PSY", "SUD", "R"]);
        }
        check("modifier", HCPCS, "GT LT", &["N"]);
        check("modifier", CPT, "25 59", &["N"]);
        check("category", "https://bluebutton.cms.gov/resources/variables/line_cms_type_srvc_cd", "1", &["N"]);
        // What no list knows cannot be told.
        for element in ["revenue", "modifier", "locationCodeableConcept", "category", "programCode"] {
            check(element, "urn:local", "9", &[]);
        }
        let unknown = coded("urn:local", "9");
        for beside in [
            format!(r#","subType":{unknown}"#),
            format!(r#","accident":{{"type":{unknown}}}"#),
            format!(r#","careTeam":[{{"qualification":{unknown}}}]"#),
            format!(r#","supportingInfo":[{{"category":{unknown}}}]"#),
        ] {
            BILLS.iter().for_each(|name| assert_eq!(bill(name, "", &beside), [""; 0], "{name} {beside}"));
        }
        let category = coded(&format!("{EXAMPLES}/claiminformationcategory"), "info");
        assert_eq!(bill("Claim", "", &format!(r#","supportingInfo":[{{"category":{category}}}]"#)), ["N"]);
        // Elsewhere a short code without a system is a language or a number.
        let hebrew = coded("", "he");
        assert_eq!(labels(&format!(r#"{{"resourceType":"Patient","communication":[{{"language":{hebrew}}}]}}"#)), ["N"]);
    }
}
