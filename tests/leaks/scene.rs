//! What the sender has sent: an ordinary record, what a patient withholds in it, and what else could tell of that.

use crate::support::data::{MRN, observation, patient, permit, permit_to};
use serde_json::{Value, json};

/// The system of the numbers of visits.
const VISITS: &str = "urn:oid:1.3.6.1.4.1.99999.7";
const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const SNOMED: &str = "http://snomed.info/sct";
const LOINC: &str = "http://loinc.org";
const RXNORM: &str = "http://www.nlm.nih.gov/research/umls/rxnorm";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const INLINE_LABEL: &str = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label";

/// One record as it stands where there is something to hide, and as it stands where there is nothing.
pub struct Item {
    pub with: Value,
    pub without: Option<Value>,
    /// Whether the sender deletes it again.
    pub is_deleted: bool,
}

impl Item {
    pub fn name(&self) -> String {
        self.with["id"].as_str().unwrap().to_owned()
    }
}

/// The same in both.
fn seen(id: &str, resource: Value) -> Item {
    let resource = identified(id, resource);
    Item { without: Some(resource.clone()), with: resource, is_deleted: false }
}

/// Only where there is something to hide.
fn hidden(id: &str, resource: Value) -> Item {
    Item { with: identified(id, resource), without: None, is_deleted: false }
}

/// A record that may be seen, but for what `telling` adds to it.
fn telling(id: &str, resource: Value, add: impl FnOnce(&mut Value)) -> Item {
    let without = identified(id, resource);
    let mut with = without.clone();
    add(&mut with);
    Item { with, without: Some(without), is_deleted: false }
}

fn identified(id: &str, mut resource: Value) -> Value {
    resource["id"] = json!(id);
    resource
}

pub fn concept(system: &str, code: &str, display: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": display}]})
}

fn condition(patient: &str, code: Value) -> Value {
    json!({
        "resourceType": "Condition",
        "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
        "verificationStatus": concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed", "Confirmed"),
        "code": code,
        "subject": {"reference": format!("Patient/{patient}")},
        "onsetDateTime": "2026-03-01"
    })
}

fn opioid() -> Value {
    concept(ICD, "F11.20", "Opioid dependence, uncomplicated")
}

fn pressure() -> Value {
    concept(SNOMED, "38341003", "Hypertensive disorder")
}

fn measured(patient: &str, date: &str, value: f64) -> Value {
    let mut measured = observation(&format!("Patient/{patient}"));
    measured["effectiveDateTime"] = json!(date);
    measured["valueQuantity"]["value"] = json!(value);
    measured
}

fn about(kind: &str, patient: &str, members: Value) -> Value {
    let mut resource = members;
    resource["resourceType"] = json!(kind);
    resource["subject"] = json!({"reference": format!("Patient/{patient}")});
    resource
}

/// A consent that permits hospital B everything but what tells of substance use, mental health or HIV.
fn selective(patient: &str) -> Value {
    let mut consent = permit_to(patient, "hospital-b");
    let label = |code: &str| json!({"system": ACT_CODE, "code": code});
    consent["provision"]["provision"] = json!([{"type": "deny", "securityLabel": [label("ETH"), label("PSY"), label("HIV")]}]);
    consent
}

/// Everything, in the order in which it is sent.
pub fn scene() -> Vec<Item> {
    let mut items = patients();
    items.extend(withheld());
    items.extend(derived());
    items.extend(disguised());
    items.extend(pointing());
    items.extend(worded());
    items
}

/// One patient who withholds some things, one who permits nothing, one who permits everything.
fn patients() -> Vec<Item> {
    let mut quiet = patient("2");
    quiet["name"][0]["family"] = json!("Fell");
    vec![
        hidden("quiet", quiet),
        seen("clinic", json!({"resourceType": "Organization", "name": "Riverside methadone clinic"})),
        telling("some", patient("1"), |patient| {
            let clinic = json!({"reference": "Organization/clinic"});
            patient["generalPractitioner"] = json!([{"display": "Riverside methadone clinic"}, clinic]);
            patient["managingOrganization"] = clinic;
            patient["link"] = json!([{"other": {"reference": "Patient/quiet"}, "type": "seealso"}]);
        }),
        seen("open", patient("3")),
        seen("some-consent", selective("some")),
        seen("open-consent", permit("open")),
        seen("seen", measured("some", "2026-01-10", 13.0)),
        seen("seen-2", measured("some", "2026-01-20", 12.0)),
        seen("seen-3", measured("some", "2026-01-30", 11.0)),
        seen("ordinary", condition("some", pressure())),
        hidden("quiet-seen", measured("quiet", "2026-01-15", 9.0)),
        hidden("quiet-condition", condition("quiet", pressure())),
    ]
}

/// What the patient withholds, by what it is.
fn withheld() -> Vec<Item> {
    let mut screen = measured("some", "2026-01-15", 5.0);
    screen["code"] = concept(LOINC, "3427-2", "Drugs of abuse screen");
    let mut gone = hidden("gone", condition("some", opioid()));
    gone.is_deleted = true;
    let mut instance = permit_to("some", "hospital-b");
    instance["provision"] = json!({
        "type": "deny",
        "actor": instance["provision"]["actor"],
        "data": [
            {"meaning": "instance", "reference": {"reference": "Condition/named"}},
            {"meaning": "instance", "reference": {"reference": "Encounter/office"}}
        ]
    });
    vec![
        hidden("condition", condition("some", opioid())),
        hidden("screen", screen),
        hidden(
            "methadone",
            about(
                "MedicationRequest",
                "some",
                json!({
                    "status": "active", "intent": "order", "medicationCodeableConcept": concept(RXNORM, "6813", "methadone")
                }),
            ),
        ),
        hidden(
            "visit",
            about(
                "Encounter",
                "some",
                json!({
                    "status": "finished",
                    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
                    "identifier": [{"system": VISITS, "value": "v-1"}],
                    "type": [{"text": "Substance use counselling"}],
                    "period": {"start": "2026-01-15", "end": "2026-01-15"},
                    "diagnosis": [{"condition": {"reference": "Condition/condition"}}]
                }),
            ),
        ),
        hidden(
            "letter",
            about(
                "DocumentReference",
                "some",
                json!({
                    "status": "current", "type": concept(LOINC, "34133-9", "Summary of episode note"), "description": "Methadone programme",
                    "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/letter-text"}}]
                }),
            ),
        ),
        hidden(
            "letter-text",
            json!({
                "resourceType": "Binary", "contentType": "text/plain", "data": "TWV0aGFkb25l",
                "securityContext": {"reference": "Patient/some"}
            }),
        ),
        hidden("was-1", condition("some", pressure())),
        gone,
        // The same record again, sensitive now: what it was before is hidden with it.
        Item { with: identified("was-1", condition("some", opioid())), without: None, is_deleted: false },
        hidden("named", condition("some", concept(SNOMED, "195967001", "Asthma"))),
        hidden(
            "office",
            about(
                "Encounter",
                "some",
                json!({
                    "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
                }),
            ),
        ),
        hidden(
            "scan",
            json!({
                "resourceType": "Binary", "contentType": "application/pdf", "data": "JVBERi0=", "securityContext": {"reference": "Patient/some"}
            }),
        ),
        hidden("named-consent", instance),
    ]
}

/// What follows from what is withheld, in other types.
fn derived() -> Vec<Item> {
    let some = json!({"reference": "Patient/some"});
    vec![
        hidden(
            "buprenorphine",
            about(
                "MedicationStatement",
                "some",
                json!({
                    "status": "active", "medicationCodeableConcept": concept(RXNORM, "1819", "buprenorphine")
                }),
            ),
        ),
        hidden(
            "claim",
            json!({
                "resourceType": "Claim", "status": "active", "use": "claim", "created": "2026-01-16", "patient": some,
                "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "professional", "Professional"),
                "provider": {"display": "Hospital A"}, "priority": {"coding": [{"code": "normal"}]},
                "insurance": [{"sequence": 1, "focal": true, "coverage": {"display": "Insurance"}}],
                "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": opioid()}],
                "item": [{"sequence": 1, "productOrService": concept("http://www.ama-assn.org/go/cpt", "99408", "SBIRT")}]
            }),
        ),
        hidden(
            "appointment",
            json!({
                "resourceType": "Appointment", "status": "booked", "serviceType": [{"text": "Methadone maintenance"}],
                "participant": [{"actor": some, "status": "accepted"}], "start": "2026-12-01T09:00:00Z", "end": "2026-12-01T09:20:00Z"
            }),
        ),
        hidden("flag", about("Flag", "some", json!({"status": "active", "code": {"text": "Opioid use: do not give opioids"}}))),
        hidden("goal", about("Goal", "some", json!({"lifecycleStatus": "active", "description": {"text": "Stay off heroin"}}))),
        hidden(
            "task",
            json!({
                "resourceType": "Task", "status": "requested", "intent": "order", "for": some,
                "focus": {"reference": "Condition/condition"}, "description": "Call about methadone"
            }),
        ),
        hidden(
            "message",
            about(
                "Communication",
                "some",
                json!({
                    "status": "completed", "about": [{"reference": "Condition/condition"}], "payload": [{"contentString": "Your methadone is ready"}]
                }),
            ),
        ),
        hidden(
            "crowd",
            json!({
                "resourceType": "Group", "type": "person", "actual": true,
                "member": [{"entity": some}, {"entity": {"reference": "Patient/quiet"}}]
            }),
        ),
        telling("drawn", measured("some", "2026-01-12", 12.5), |drawn| {
            drawn["performer"] = json!([{"reference": "Organization/clinic"}]);
        }),
        telling("misfiled", measured("open", "2026-01-15", 8.0), |misfiled| {
            misfiled["performer"] = json!([{"reference": "Patient/quiet"}]);
        }),
        hidden("of-both", {
            let mut of_both = measured("open", "2026-01-15", 7.0);
            of_both["focus"] = json!([{"reference": "Patient/quiet"}]);
            of_both
        }),
    ]
}

/// The same diagnosis under names by which a labelling stage could miss it.
fn disguised() -> Vec<Item> {
    let coding = |coding: Value| condition("some", json!({"coding": [coding]}));
    vec![
        hidden("by-oid", coding(json!({"system": "urn:oid:2.16.840.1.113883.6.90", "code": "F11.20"}))),
        hidden("by-version", coding(json!({"system": format!("{ICD}|2024"), "code": "F11.20"}))),
        hidden("by-case", coding(json!({"system": ICD, "code": "f11.20"}))),
        hidden("by-text", condition("some", json!({"text": "OPIOID\u{a0}Dependence"}))),
        hidden("by-joined-text", condition("some", json!({"text": "metha\u{200b}done maintenance"}))),
        hidden(
            "by-translation",
            condition(
                "some",
                json!({"coding": [
                    {"system": "urn:oid:1.3.6.1.4.1.99999.7", "code": "X17"}, {"system": ICD, "code": "F11.20"}
                ]}),
            ),
        ),
        hidden("by-display", coding(json!({"system": "urn:oid:1.3.6.1.4.1.99999.7", "code": "X17", "display": "Opioid dependence"}))),
        hidden("by-no-system", coding(json!({"code": "F11.20"}))),
        telling("by-extension", condition("some", pressure()), |extended| {
            extended["extension"] = json!([{"url": "http://example.org/reason", "valueCoding": {"system": ICD, "code": "F11.20"}}]);
        }),
        hidden("by-label", {
            let mut labelled = condition("some", pressure());
            labelled["meta"] = json!({"security": [{"system": ACT_CODE, "code": "SUD"}]});
            labelled
        }),
    ]
}

/// Records that may be seen and point at what may not.
fn pointing() -> Vec<Item> {
    let target = || json!({"reference": "Condition/condition"});
    vec![
        telling("panel", measured("some", "2026-02-01", 10.0), |panel| {
            panel["hasMember"] = json!([{"reference": "Observation/screen"}]);
        }),
        hidden("during", {
            let mut during = measured("some", "2026-02-02", 10.5);
            during["encounter"] = json!({"reference": "Encounter/visit"});
            during
        }),
        hidden("during-named", {
            let mut during = measured("some", "2026-02-03", 10.6);
            during["encounter"] = json!({"type": "Encounter", "identifier": {"system": VISITS, "value": "v-1"}});
            during
        }),
        telling("addressed", measured("some", "2026-02-04", 10.7), |addressed| {
            addressed["extension"] = json!([{"url": "http://example.org/reason", "valueUrl": "Condition/condition"}]);
        }),
        telling(
            "printed",
            about(
                "DiagnosticReport",
                "some",
                json!({
                    "status": "final", "code": concept(LOINC, "58410-2", "CBC panel"), "effectiveDateTime": "2026-02-05",
                    "result": [{"reference": "Observation/seen"}]
                }),
            ),
            |printed| printed["presentedForm"] = json!([{"contentType": "application/pdf", "url": "Binary/scan"}]),
        ),
        telling("beside", measured("some", "2026-02-02", 10.5), |beside| {
            beside["encounter"] = json!({"reference": "Encounter/office"});
        }),
        telling(
            "list",
            json!({
                "resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "Patient/some"},
                "entry": [{"item": {"reference": "Observation/seen"}}]
            }),
            |list| {
                list["entry"].as_array_mut().unwrap().push(json!({"item": {"reference": "Condition/condition"}}));
            },
        ),
        telling(
            "plan",
            about(
                "CarePlan",
                "some",
                json!({
                    "status": "active", "intent": "plan", "activity": [{"reference": {"reference": "ServiceRequest/other"}}],
                    "addresses": [{"reference": "Condition/ordinary"}]
                }),
            ),
            |plan| {
                plan["addresses"].as_array_mut().unwrap().push(target());
                plan["supportingInfo"] = json!([{"identifier": {"system": MRN, "value": "v-9"}, "display": "Visit to methadone clinic"}]);
            },
        ),
        telling(
            "episode",
            json!({
                "resourceType": "EpisodeOfCare", "status": "active", "patient": {"reference": "Patient/some"},
                "diagnosis": [{"condition": {"reference": "Condition/ordinary"}}]
            }),
            |episode| {
                episode["diagnosis"].as_array_mut().unwrap().push(json!({"condition": target()}));
            },
        ),
        telling(
            "report",
            about(
                "DiagnosticReport",
                "some",
                json!({
                    "status": "final", "code": concept(LOINC, "58410-2", "CBC panel"), "result": [{"reference": "Observation/seen"}]
                }),
            ),
            |report| {
                report["result"].as_array_mut().unwrap().push(json!({"reference": "Observation/screen"}));
            },
        ),
        telling(
            "composition",
            about(
                "Composition",
                "some",
                json!({
                    "status": "final", "type": concept(LOINC, "60591-5", "Patient summary"), "date": "2026-02-03", "title": "Summary",
                    "author": [{"display": "Hospital A"}],
                    "section": [{"title": "Problems", "entry": [{"reference": "Condition/ordinary"}]}]
                }),
            ),
            |composition| {
                composition["section"][0]["entry"].as_array_mut().unwrap().push(target());
            },
        ),
        // An encounter cannot be told from this one alone, and needs the condition it names.
        hidden(
            "of-condition",
            about(
                "ClinicalImpression",
                "some",
                json!({
                    "status": "completed", "problem": [target()], "description": "Opioid use"
                }),
            ),
        ),
    ]
}

/// Records that may be seen and say in their parts what may not.
fn worded() -> Vec<Item> {
    vec![
        telling("noted", measured("some", "2026-02-11", 10.1), |noted| noted["note"] = json!([{"text": "Is on methadone."}])),
        telling("narrated", measured("some", "2026-02-12", 10.2), |narrated| {
            narrated["text"] = json!({
                "status": "additional", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Haemoglobin; heroin in the history</div>"
            });
        }),
        telling("extended", measured("some", "2026-02-13", 10.3), |extended| {
            extended["extension"] = json!([{"url": "http://example.org/remark", "valueString": "methadone"}]);
        }),
        telling("containing", measured("some", "2026-02-14", 10.4), |containing| {
            let mut inner = condition("some", opioid());
            inner["id"] = json!("inner");
            containing["contained"] = json!([inner]);
            containing["focus"] = json!([{"reference": "#inner"}]);
        }),
        telling("labelled", measured("some", "2026-02-15", 10.6), |labelled| {
            labelled["interpretation"] = json!([{
                "extension": [{"url": INLINE_LABEL, "valueCoding": {"system": ACT_CODE, "code": "SUD"}}], "text": "as expected"
            }]);
        }),
        telling(
            "answers",
            json!({
                "resourceType": "QuestionnaireResponse", "status": "completed", "subject": {"reference": "Patient/some"},
                "authored": "2026-02-16T10:00:00Z",
                "item": [{"linkId": "1", "answer": [{"valueDecimal": 70.5}]}]
            }),
            |answers| {
                answers["item"].as_array_mut().unwrap().push(json!({"linkId": "2", "answer": [{"valueString": "I take methadone"}]}));
            },
        ),
    ]
}
