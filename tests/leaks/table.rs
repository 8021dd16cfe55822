//! The 48 ways in which a record that may not be seen could still be told of, each with the questions that would show it.

use super::stories;
use super::twins::{Probe, form_of, get, pages, send};
use crate::support::data::bundle;
use serde_json::json;

/// A search by the number of a visit that is hidden.
const BY_VISIT: &str = "Observation?encounter:identifier=urn:oid:1.3.6.1.4.1.99999.7|v-1";

/// How it is shown that one way is closed.
pub enum Shown {
    /// Questions that two gateways, with and without the record, answer alike; the sender, who may see it, is answered otherwise.
    Alike(fn() -> Vec<Probe>),
    /// The same, and nobody is told anything by this way: it is not offered.
    Refused(fn() -> Vec<Probe>),
    /// A test of its own, by name.
    Told(&'static str),
}

pub struct Leak {
    pub number: usize,
    /// What could tell.
    pub way: &'static str,
    /// What the gateway does about it.
    pub closed_by: &'static str,
    pub shown: Vec<Shown>,
}

impl Leak {
    /// Whether what is asked here is answered alike whoever asks.
    pub fn is_the_same_for_all(&self) -> bool {
        matches!(self.number, 46 | 47)
    }
}

/// The whole list, in order.
pub fn leaks() -> Vec<Leak> {
    let mut leaks = answers();
    leaks.extend(records());
    leaks.extend(around());
    leaks
}

fn leak(number: usize, way: &'static str, closed_by: &'static str, shown: Vec<Shown>) -> Leak {
    Leak { number, way, closed_by, shown }
}

/// Names a story that there is.
macro_rules! told {
    ($story:ident) => {{
        let _: fn() = stories::$story;
        Shown::Told(stringify!($story))
    }};
}

fn answers() -> Vec<Leak> {
    use Shown::{Alike, Refused};
    vec![
        leak(
            1,
            "totals and counts",
            "counted after hiding",
            vec![Alike(|| {
                vec![
                    get("Condition?patient={some}"),
                    get("Condition?patient={some}&_total=accurate"),
                    get("Condition?patient={some}&_total=estimate"),
                    get("Condition?patient={some}&_summary=count"),
                    get("Observation?_summary=count"),
                ]
            })],
        ),
        leak(
            2,
            "short pages",
            "pages are filled after hiding",
            vec![Alike(|| {
                vec![
                    pages("Observation?patient={some}&_count=2"),
                    pages("Condition?_count=1"),
                    pages("Observation?patient={some}&_sort=-date&_count=1"),
                    pages("Observation?patient={some}&_count=0"),
                    pages("Condition/_history?_count=1"),
                ]
            })],
        ),
        leak(
            3,
            "links of pages",
            "links are the gateway's own, and lead on only where something visible follows",
            vec![Alike(|| {
                vec![
                    pages("Condition?patient={quiet}&_count=1"),
                    pages("Claim?_count=1"),
                    pages("Patient/{some}/$everything?_count=3").makes(),
                ]
            })],
        ),
        leak(
            4,
            "page links in other hands",
            "sealed, bound to caller, purposes and the consents of whom the query names, decided anew on each page",
            vec![told!(page_links_are_for_one_caller)],
        ),
        leak(
            5,
            "reading what is hidden",
            "the same 404 as for what is not there",
            vec![Alike(|| {
                vec![
                    get("Condition/{condition}"),
                    get("Patient/{quiet}"),
                    get("Encounter/{visit}"),
                    get("Binary/{letter-text}"),
                    get("Binary/{scan}"),
                    get("Observation/{during}"),
                    get("Condition/{condition}?_format=xml"),
                    get("Condition/{condition}?_summary=true"),
                ]
            })],
        ),
        leak(
            6,
            "older versions",
            "hidden when the current version is, or would not be shown whole",
            vec![Alike(|| {
                vec![
                    get("Condition/{was-1}/_history/1"),
                    get("Condition/{was-1}/_history/2"),
                    get("Condition/{was-1}/_history/3"),
                    get("Condition/{was-1}/_history"),
                    get("Condition/_history"),
                    get("Observation/{noted}/_history"),
                    get("Observation/{noted}/_history/1"),
                ]
            })],
        ),
        leak(
            7,
            "deletions",
            "only the sender learns of them",
            vec![Alike(|| {
                vec![
                    get("Condition/{gone}"),
                    get("Condition/{gone}/_history"),
                    get("Condition/{gone}/_history/1"),
                    get("Condition/{gone}/_history/2"),
                    get("Condition?_id={gone}"),
                    get("_history").makes(),
                ]
            })],
        ),
        leak(
            8,
            "ETag, Last-Modified and preconditions",
            "looked at only after the decision",
            vec![
                Alike(|| {
                    vec![
                        get("Condition/{condition}").header("if-none-match", "W/\"1\""),
                        get("Condition/{condition}").header("if-modified-since", "Fri, 20 Nov 2026 12:00:12 GMT"),
                        get("Condition/{seen}").header("if-none-match", "W/\"1\""),
                    ]
                }),
                told!(writes_tell_nothing),
            ],
        ),
        leak(
            9,
            "HEAD and conditional reads",
            "answered like GET",
            vec![Alike(|| {
                vec![
                    get("Condition/{condition}").method("HEAD"),
                    get("Condition?patient={some}").method("HEAD"),
                    get("Condition/{condition}").method("HEAD").header("if-none-match", "W/\"1\""),
                ]
            })],
        ),
        leak(
            10,
            "_has",
            "what is behind it is put to the same decision",
            vec![Alike(|| {
                vec![
                    get("Patient?_has:Condition:patient:code=F11.20"),
                    get("Patient?_has:Observation:patient:code=http://loinc.org|3427-2"),
                    get("Patient?_has:MedicationRequest:patient:code=6813"),
                    get("Patient?_has:Observation:patient:_has:Encounter:patient:type:text=x"),
                ]
            })],
        ),
        leak(
            11,
            "_has and searches by value",
            "values of hidden records select nothing",
            vec![Alike(|| {
                vec![
                    get("Patient?_has:Observation:patient:value-quantity=lt6"),
                    get("Patient?_has:Observation:patient:date=2026-01-15"),
                    get("Observation?value-quantity=lt6"),
                    get("Observation?patient={some}&date=2026-01-15"),
                ]
            })],
        ),
        leak(
            12,
            "chains",
            "each link is put to the same decision",
            vec![Alike(|| {
                vec![
                    get("Encounter?diagnosis.code=F11.20"),
                    get("Encounter?diagnosis:Condition.code=F11.20"),
                    get("Observation?has-member.code=3427-2"),
                    get("Observation?encounter.type:text=substance"),
                    get("Observation?encounter.diagnosis:Condition.code=F11.20"),
                    get("Observation?subject:Patient.family=fell"),
                    get("EpisodeOfCare?condition.code=F11.20"),
                    get("Patient?link.family=fell"),
                ]
            })],
        ),
        leak(
            13,
            "other predicates",
            "looked up in what is shown, or refused",
            vec![
                Refused(|| {
                    vec![
                        get("Condition?_filter=code eq F11.20"),
                        get("Condition?_query=sensitive"),
                        get("Condition?_list={list}"),
                        get("Condition?_text=opioid"),
                        get("Condition?_content=opioid"),
                    ]
                }),
                Alike(|| {
                    vec![
                        get("Observation?has-member:missing=false"),
                        get("Observation?has-member:missing=true&patient={some}"),
                        get("Observation?encounter:missing=false"),
                        get("Observation?encounter=Encounter/{visit}"),
                        get("Observation?encounter=Encounter/{office}"),
                        get("Condition?code:not=38341003"),
                        get("Condition?code:missing=true"),
                        get("Observation?code-value-quantity=http://loinc.org|3427-2$lt6"),
                        get("Patient?general-practitioner:missing=false"),
                        get("Patient?link=Patient/{quiet}"),
                        get("List?item=Condition/{condition}"),
                        get("CarePlan?condition=Condition/{condition}"),
                        get("DiagnosticReport?result=Observation/{screen}"),
                        get("Composition?entry=Condition/{condition}"),
                        get("EpisodeOfCare?condition=Condition/{condition}"),
                    ]
                }),
            ],
        ),
        leak(
            14,
            "order",
            "sorted by what is shown",
            vec![Alike(|| {
                vec![
                    pages("Observation?patient={some}&_sort=date&_count=1"),
                    pages("Observation?_sort=-value-quantity&_count=2"),
                    get("Condition?_sort=code"),
                    get("Observation?patient={some}&_sort=_lastUpdated"),
                ]
            })],
        ),
        leak(
            15,
            "_include and _revinclude",
            "what comes along is decided like what is found; scores and modes are the gateway's",
            vec![Alike(|| {
                vec![
                    get("Observation?patient={some}&_include=Observation:has-member"),
                    get("Observation?patient={some}&_include=*"),
                    get("Observation?_id={panel}&_include:iterate=Observation:encounter&_include=Observation:has-member"),
                    get("Patient?_id={some}&_revinclude=Condition:patient"),
                    get("Patient?_id={some}&_revinclude=Claim:patient&_revinclude=Task:patient"),
                    get("Patient?_id={some}&_include=Patient:link"),
                    get("CarePlan?_include=CarePlan:condition"),
                ]
            })],
        ),
        leak(
            16,
            "_elements and _summary",
            "decided on the whole record, cut afterwards",
            vec![Alike(|| {
                vec![
                    get("Condition?patient={some}&_elements=code"),
                    get("Condition?patient={some}&_summary=data"),
                    get("Condition?patient={some}&_summary=text"),
                    get("Condition?patient={some}&_summary=true"),
                    get("Observation/{labelled}?_elements=interpretation"),
                ]
            })],
        ),
        leak(
            17,
            "searches by label",
            "found by labels that are shown only",
            vec![Alike(|| {
                vec![
                    get("Condition?_security=http://terminology.hl7.org/CodeSystem/v3-ActCode|SUD"),
                    get("Condition?_security=R"),
                    get("Condition?_security:not=R"),
                    get("Condition?_tag=x"),
                    get("Observation?_profile=http://example.org/sensitive"),
                ]
            })],
        ),
        leak(
            18,
            "the same question asked otherwise",
            "one normal form; X-HTTP-Method-Override is refused",
            vec![
                Alike(|| {
                    vec![
                        form_of("Condition/_search", "patient={some}"),
                        form_of("Condition/_search?code=F11.20", "patient={some}"),
                        form_of("Condition/_search?patient={open}", "patient={some}&_summary=count"),
                    ]
                }),
                Refused(|| vec![form_of("Condition/_search", "patient={some}").header("x-http-method-override", "GET")]),
            ],
        ),
        leak(
            19,
            "searches of all types and of compartments",
            "refused; the history of all types is decided record by record",
            vec![
                Refused(|| {
                    vec![
                        get("?_type=Condition"),
                        get("Patient/{some}/*"),
                        get("Patient/{some}/Condition"),
                        get("Encounter/{visit}/Condition"),
                    ]
                }),
                Alike(|| vec![pages("_history?_count=5").makes(), get("_history?_since=2026-11-20T12:00:20Z").makes()]),
            ],
        ),
        leak(
            20,
            "batches, and creates under a condition",
            "an entry is decided like a request; conditions see the caller's own records",
            vec![
                Alike(|| {
                    let read = |url: &str| json!({"request": {"method": "GET", "url": url}});
                    let entries = vec![
                        read("Condition/{condition}"),
                        read("Condition?patient={some}"),
                        read("Patient/{quiet}"),
                        read("Observation/{panel}"),
                    ];
                    vec![send("POST", "", &bundle("batch", entries))]
                }),
                told!(writes_tell_nothing),
            ],
        ),
        leak(21, "updates and deletions under a condition", "criteria see the caller's own records", vec![told!(writes_tell_nothing)]),
        leak(
            22,
            "operations over a whole record",
            "decided record by record, or not offered",
            vec![
                Alike(|| {
                    vec![
                        pages("Patient/{some}/$everything").makes(),
                        get("Patient/{quiet}/$everything"),
                        get("Patient/{some}/$everything?_type=Condition,Claim,Flag"),
                        get("Patient/{some}/$golden-record"),
                        get("Patient/{quiet}/$golden-record"),
                    ]
                }),
                Refused(|| {
                    vec![
                        get("Patient/{some}/$summary"),
                        get("$graphql?query={Condition(id:%22x%22){code}}"),
                        get("Composition/{composition}/$document"),
                        get("Encounter/{visit}/$everything"),
                    ]
                }),
            ],
        ),
    ]
}

fn records() -> Vec<Leak> {
    use Shown::Alike;
    vec![
        leak(
            23,
            "documents, their sections and attachments",
            "sections lose what is hidden; documents and Binaries are decided on their own, and attachments do not point at hidden ones",
            vec![Alike(|| {
                vec![
                    get("Composition/{composition}"),
                    get("Composition?patient={some}"),
                    get("DocumentReference/{letter}"),
                    get("DocumentReference?patient={some}"),
                    get("Binary/{letter-text}"),
                    get("DiagnosticReport/{printed}"),
                ]
            })],
        ),
        leak(
            24,
            "contained resources",
            "decided on their own and taken out, with the references to them",
            vec![Alike(|| {
                vec![get("Observation/{containing}"), get("Observation?_id={containing}"), get("Observation?focus:missing=false")]
            })],
        ),
        leak(
            25,
            "references and displays",
            "references to hidden records go, literal or by identifier, and addresses of them, with displays and items that make no sense without them",
            vec![Alike(|| {
                vec![
                    get("Observation/{panel}"),
                    get("Observation/{beside}"),
                    get("Observation/{during-named}"),
                    get(BY_VISIT),
                    get("Observation/{addressed}"),
                    get("List/{list}"),
                    get("CarePlan/{plan}"),
                    get("EpisodeOfCare/{episode}"),
                    get("DiagnosticReport/{report}"),
                    get("ClinicalImpression/{of-condition}"),
                ]
            })],
        ),
        leak(
            26,
            "narratives, notes, extensions, answers",
            "what says the same in words is taken out",
            vec![Alike(|| {
                vec![
                    get("Observation/{noted}"),
                    get("Observation/{narrated}"),
                    get("Observation/{extended}"),
                    get("QuestionnaireResponse/{answers}"),
                    get("QuestionnaireResponse?patient={some}"),
                ]
            })],
        ),
        leak(
            27,
            "facts derived from what is hidden",
            "labelled by their own codes, words, places and medications",
            vec![Alike(|| {
                vec![
                    get("Observation/{drawn}"),
                    get("Observation?performer=Organization/{clinic}"),
                    get("MedicationRequest?patient={some}"),
                    get("MedicationStatement?patient={some}"),
                    get("Claim?patient={some}"),
                    get("Appointment?patient={some}"),
                    get("Flag?patient={some}"),
                    get("Goal?patient={some}"),
                    get("DiagnosticReport?patient={some}"),
                    get("Encounter?patient={some}"),
                ]
            })],
        ),
        leak(
            28,
            "Provenance, AuditEvent, Consent, Task and messages that name it",
            "seen by whoever may see what they name; audits by oversight alone",
            vec![Alike(|| {
                vec![
                    get("Provenance?target=Condition/{condition}"),
                    get("Provenance?patient={some}").makes(),
                    get("Provenance?target=Observation/{noted}").makes(),
                    get("AuditEvent?entity=Condition/{condition}"),
                    get("AuditEvent?patient={some}"),
                    get("Consent?patient={some}"),
                    get("Consent?data=Condition/{named}"),
                    get("Consent/{named-consent}"),
                    get("Condition/{named}"),
                    get("Task?focus=Condition/{condition}"),
                    get("Task?patient={some}"),
                    get("Communication?patient={some}"),
                ]
            })],
        ),
        leak(
            29,
            "the Patient itself",
            "the same redaction: practitioners and linked records that tell go",
            vec![Alike(|| {
                vec![
                    get("Patient?general-practitioner=Organization/{clinic}"),
                    get("Patient?organization=Organization/{clinic}"),
                    get("Patient/{some}"),
                    get("Patient?_id={some}"),
                    get("Patient?identifier=urn:oid:1.3.6.1.4.1.99999.2|1"),
                    get("Patient"),
                ]
            })],
        ),
        leak(
            30,
            "several patients at once",
            "every patient concerned must permit",
            vec![Alike(|| {
                vec![
                    get("Group/{crowd}"),
                    get("Group?member=Patient/{some}"),
                    get("Observation?patient={some},{quiet},{open}"),
                    get("Patient?_id={quiet},{some},{open}"),
                    get("Condition?patient={quiet},{some}"),
                ]
            })],
        ),
        leak(
            31,
            "records filed under the wrong patient",
            "decided by everybody they name, and by all records of one person",
            vec![Alike(|| {
                vec![
                    get("Observation/{misfiled}"),
                    get("Observation/{of-both}"),
                    get("Observation?patient={open}"),
                    get("Observation?performer=Patient/{quiet}"),
                    get("Patient?identifier=2"),
                    send(
                        "POST",
                        "Patient/$match",
                        &json!({"resourceType": "Parameters", "parameter": [
                            {"name": "resource", "resource": {
                                "resourceType": "Patient", "name": [{"family": "Fell", "given": ["Ada"]}], "birthDate": "1970-03-01",
                                "identifier": [{"system": crate::support::data::MRN, "value": "2"}]
                            }}
                        ]}),
                    ),
                ]
            })],
        ),
    ]
}

fn around() -> Vec<Leak> {
    use Shown::{Alike, Refused};
    vec![
        leak(
            32,
            "bulk export",
            "not offered",
            vec![Refused(|| {
                vec![
                    get("$export").header("prefer", "respond-async"),
                    get("Patient/$export?_since=2026-01-01T00:00:00Z").header("prefer", "respond-async"),
                    get("Group/{crowd}/$export").header("prefer", "respond-async"),
                ]
            })],
        ),
        leak(
            33,
            "subscriptions",
            "criteria are not evaluated for subscribers; pushes are decided when they leave",
            vec![
                Refused(|| vec![get("Subscription/{condition}/$status"), get("Subscription/$events")]),
                told!(subscriptions_select_nothing),
            ],
        ),
        leak(
            34,
            "answers kept too long",
            "no decision is kept: each answer is decided on the consents in force",
            vec![told!(no_answer_outlives_its_consent)],
        ),
        leak(35, "consents that cannot be read", "deny, with the same outer shape", vec![told!(what_cannot_be_read_denies_alike)]),
        leak(36, "a denial that ends", "the end of a denial opens nothing", vec![told!(what_cannot_be_read_denies_alike)]),
        leak(
            37,
            "purposes",
            "none, several, unknown ones and breaking the glass open nothing hidden",
            vec![Alike(|| {
                vec![
                    get("Condition/{condition}").header("x-purpose-of-use", "TREAT"),
                    get("Condition/{condition}").header("x-purpose-of-use", "TREAT,HPAYMT"),
                    get("Condition/{condition}").header("x-purpose-of-use", "BTG"),
                    get("Condition/{condition}").header("x-purpose-of-use", "TREAT,BTG"),
                    get("Condition/{condition}").header("x-purpose-of-use", "NONSENSE"),
                    get("Condition?patient={some}").header("x-purpose-of-use", "HPAYMT"),
                    get("Condition/{condition}").header("x-purpose-of-use", ""),
                ]
            })],
        ),
        leak(
            38,
            "actors",
            "who asks is proved, not said; display, wrong system or role alone open nothing",
            vec![told!(what_cannot_be_read_denies_alike)],
        ),
        leak(
            39,
            "switches in the caller's hands",
            "none: unknown parameters are refused, headers change nothing",
            vec![Alike(|| {
                vec![
                    get("Condition?patient={some}&_consent=off"),
                    get("Condition?patient={some}&_consent=off").header("prefer", "handling=lenient"),
                    get("Condition/{condition}").header("x-consent", "permit"),
                    get("Condition/{condition}").header("x-patient-consent", "active"),
                    get("Condition/{condition}").header("cache-control", "no-cache"),
                    get("Condition/{condition}").header("x-forwarded-for", "127.0.0.1"),
                    get("Condition?patient={some}").header("prefer", "return=representation; handling=strict"),
                    get("Condition/..%2fCondition%2f{condition}"),
                    get("Condition//{condition}"),
                    get("Condition?patient={some}&_source=https://ehr.hospital-a.example/fhir"),
                ]
            })],
        ),
        leak(
            40,
            "names by which labelling could miss it",
            "systems, versions, case, words and extensions are brought into one form first",
            vec![Alike(|| {
                vec![
                    get("Condition/{by-oid}"),
                    get("Condition/{by-version}"),
                    get("Condition/{by-case}"),
                    get("Condition/{by-text}"),
                    get("Condition/{by-joined-text}"),
                    get("Condition/{by-translation}"),
                    get("Condition/{by-display}"),
                    get("Condition/{by-no-system}"),
                    get("Condition/{by-extension}"),
                    get("Condition/{by-label}"),
                    get("Condition?patient={some}"),
                ]
            })],
        ),
        leak(
            41,
            "labels on elements",
            "the element goes with its siblings; receipts of what was cut are not given",
            vec![
                Alike(|| {
                    vec![
                        get("Observation/{labelled}"),
                        get("Observation?_id={labelled}&_summary=text"),
                        get("Observation?patient={some}&interpretation:missing=false"),
                    ]
                }),
                told!(what_was_cut_has_no_receipt),
            ],
        ),
        leak(
            42,
            "errors",
            "one text for hidden and absent; nothing of a record is echoed",
            vec![
                Alike(|| {
                    vec![
                        get("Condition?patient={quiet}&_sort=nonsense"),
                        get("Condition?patient={quiet}&onset-date=yesterday"),
                        get("Condition/{condition}/_history/abc"),
                        get("Condition/{condition}/$receipt"),
                        get("Condition/{condition}/_history/1/$receipt"),
                        get("Condition/{condition}/$provenance-trail"),
                    ]
                }),
                told!(writes_tell_nothing),
            ],
        ),
        leak(
            43,
            "sizes, compressed or not",
            "made from what is shown alone",
            vec![Alike(|| {
                vec![
                    get("Condition?patient={some}").header("accept-encoding", "gzip"),
                    get("Observation?patient={some}").header("accept-encoding", "br, gzip, deflate"),
                    get("Patient/{some}/$everything").header("accept-encoding", "gzip"),
                    get("Condition/{condition}").header("accept-encoding", "gzip"),
                ]
            })],
        ),
        leak(
            44,
            "time",
            "what shows nothing leaves at steps of 25 ms, longer ones where holders take longer; measured",
            vec![told!(time_tells_nothing)],
        ),
        leak(
            45,
            "counters, limits and public pages",
            "limits count what may be seen; metrics are inside; the log shows leaves of everybody, blinded",
            vec![
                Alike(|| vec![get("metadata"), get("Condition?_count=1000"), get("Observation?code:missing=false&_count=1000")]),
                told!(counters_are_not_for_partners),
            ],
        ),
        leak(
            46,
            "accounts of who asked",
            "for the patient, delegates and oversight; no content is copied into them",
            vec![
                Alike(|| {
                    vec![get("Patient/{some}/$disclosures"), get("Patient/{quiet}/$disclosures"), get("Patient/{quiet}/$provenance-trail")]
                }),
                told!(audits_hold_no_content),
            ],
        ),
        leak(
            47,
            "asking why",
            "the caller learns nothing of hidden records by asking what a decision would be",
            vec![Alike(|| {
                let asked = json!({"resourceType": "Parameters", "parameter": [
                    {"name": "patient", "valueReference": {"reference": "Patient/{quiet}"}},
                    {"name": "resource", "valueReference": {"reference": "Condition/{condition}"}}
                ]});
                vec![send("POST", "Patient/{quiet}/$consent-decide", &asked), send("POST", "Consent/$consent-decide", &asked)]
            })],
        ),
        leak(48, "copies sent back", "a copy is labelled like the original, and its labels are kept", vec![told!(a_copy_is_as_sensitive)]),
    ]
}
