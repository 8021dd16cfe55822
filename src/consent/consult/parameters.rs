//! The operation `$consent-decide`: FHIR Parameters in, FHIR Parameters out.

use super::{Consultation, Consulted, Told, bounded, collection, malformed, matter, purpose};
use crate::clock::Instant;
use crate::consent::code::{Code, Identifier, Reference, codings};
use crate::consent::decision::{Obligation, Step};
use crate::consent::request::{Action, Party};
use crate::consent::vocabulary::RESOURCE_TYPES;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Reason, Refusal};

/// The most parameters one question may have.
const MAX_PARAMETERS: usize = 500;

/// What was read so far.
#[derive(Default)]
struct Read {
    patient: Party,
    actors: Vec<Party>,
    purposes: Vec<Code>,
    action: Option<Action>,
    classes: Vec<Code>,
    codes: Vec<Code>,
    labels: Vec<Code>,
    categories: Vec<Code>,
    at: Option<Instant>,
    content: Option<Node>,
}

impl Consultation {
    /// Reads `Parameters`; `of` is the patient the URL names, when it names one.
    pub fn from_parameters(parameters: &Node, of: Option<&str>) -> Result<Consultation, Refusal> {
        if parameters.resource_type() != Some("Parameters") {
            return Err(malformed("$consent-decide takes Parameters.", "Parameters"));
        }
        let list = parameters.items("parameter");
        if list.len() > MAX_PARAMETERS {
            let text = format!("More than {MAX_PARAMETERS} parameters.");
            return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text));
        }
        let mut read = Read::default();
        for (index, parameter) in list.iter().enumerate() {
            read.parameter(parameter, &format!("Parameters.parameter[{index}]"))?;
        }
        if let Some(id) = of {
            if read.patient != Party::default() {
                return Err(malformed("The URL names the patient already.", "Parameters.parameter"));
            }
            read.patient.references.extend(Reference::new(&format!("Patient/{id}")));
        }
        if read.patient == Party::default() {
            return Err(malformed("The parameter 'patient' is missing: a reference, or an identifier with its system.", "Parameters"));
        }
        Ok(Consultation {
            patient: read.patient,
            actors: bounded(read.actors, "actor")?,
            purposes: bounded(read.purposes, "purpose")?,
            action: read.action.unwrap_or_default(),
            matter: matter(&read.classes, &read.codes, &read.labels, read.content)?,
            classes: bounded(read.classes, "class")?,
            categories: bounded(read.categories, "category")?,
            at: read.at,
        })
    }
}

impl Read {
    fn parameter(&mut self, parameter: &Node, place: &str) -> Result<(), Refusal> {
        let bad = || malformed("The value of this parameter is missing or not of a kind it may have.", place);
        match parameter.text("name").unwrap_or_default() {
            "patient" => {
                let party = party(parameter).ok_or_else(bad)?;
                self.patient.references.extend(party.references);
                self.patient.identifiers.extend(party.identifiers);
            }
            "actor" => self.actors.push(party(parameter).ok_or_else(bad)?),
            "purpose" => self.purposes.extend(coded(parameter, purpose).ok_or_else(bad)?),
            "action" => {
                let codes = coded(parameter, |code| Code::new("", code)).ok_or_else(bad)?;
                let [code] = codes.as_slice() else { return Err(bad()) };
                self.action = Some(Action::from_code(&code.code).ok_or_else(bad)?);
            }
            "class" => self.classes.extend(coded(parameter, |code| Code::new(RESOURCE_TYPES, code)).ok_or_else(bad)?),
            "code" => self.codes.extend(coded(parameter, |code| Code::new("", code)).ok_or_else(bad)?),
            "label" => self.labels.extend(coded(parameter, |code| Code::new("", code)).ok_or_else(bad)?),
            "category" => self.categories.extend(coded(parameter, |code| Code::new("", code)).ok_or_else(bad)?),
            "at" if self.at.is_none() => self.at = Some(instant(parameter).ok_or_else(bad)?),
            "content" if self.content.is_none() => self.content = Some(parameter.get("resource").cloned().ok_or_else(bad)?),
            _ => {
                let text = "This parameter is not known here, or stands here twice. Known are patient, actor, purpose, action, class, code, \
                            label, category, at and content.";
                return Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(place));
            }
        }
        Ok(())
    }
}

/// `valueReference`, with an identifier or without, or `valueIdentifier`. Somebody given by display alone is a party nobody can identify.
fn party(parameter: &Node) -> Option<Party> {
    if let Some(identifier) = parameter.get("valueIdentifier") {
        return Some(Party { identifiers: vec![Identifier::from_node(identifier)?], ..Party::default() });
    }
    parameter.get("valueReference").map(Party::from_reference)
}

/// `valueCoding`, `valueCodeableConcept`, or `valueCode` in the system the parameter is for.
fn coded(parameter: &Node, of_code: impl Fn(&str) -> Code) -> Option<Vec<Code>> {
    if let Some(code) = parameter.text("valueCode") {
        return Some(vec![of_code(code)]);
    }
    let node = parameter.get("valueCoding").or_else(|| parameter.get("valueCodeableConcept"))?;
    let codes: Vec<Code> = codings(node).iter().filter_map(Code::from_coding).collect();
    (!codes.is_empty()).then_some(codes)
}

/// An instant, or a date and time with its offset: a partial one is no instant.
fn instant(parameter: &Node) -> Option<Instant> {
    let text = parameter.text("valueInstant").or_else(|| parameter.text("valueDateTime"))?;
    Some(Instant::from_micros(DateTime::parse_instant(text).ok()?.interval().low))
}

impl Consulted {
    /// The answer of the operation.
    pub fn parameters(&self, told: Told) -> Node {
        let decision = &self.decision;
        let is_told = told != Told::Outcome;
        let word = match (decision.is_permit(), decision.governing().is_none() && is_told) {
            (true, _) => "permit",
            (false, true) => "no-consent",
            (false, false) => "deny",
        };
        let mut list = vec![value("decision", "valueCode", word.into())];
        if told == Told::Trace {
            list.push(value("reason", "valueCode", decision.reason().into()));
            list.push(value("sentence", "valueString", decision.sentence().as_str().into()));
            list.push(value("ambiguous", "valueBoolean", decision.is_ambiguous().into()));
            list.extend(decision.dissent().map(|reading| value("dissent", "valueCode", reading.into())));
            list.extend(decision.governing().map(|governing| {
                let version = governing.version.as_ref().map(|version| format!("/_history/{version}")).unwrap_or_default();
                let reference = Object::new().with("reference", format!("Consent/{}{version}", governing.consent));
                value("basedOn", "valueReference", reference.into())
            }));
        }
        if (is_told || !self.is_whole) && decision.is_permit() && self.content.is_none() {
            list.extend(decision.obligations().iter().map(obligation));
        }
        if told == Told::Trace {
            list.extend(decision.steps().iter().map(step));
        }
        if let Some(content) = &self.content {
            list.push(Object::new().with("name", "content").with("resource", collection(content)).into());
        }
        Object::resource("Parameters").with("parameter", list).into()
    }
}

fn value(name: &str, kind: &str, node: Node) -> Node {
    Object::new().with("name", name).with(kind, node).into()
}

fn obligation(obligation: &Obligation) -> Node {
    let (kind, rule, lists) = match obligation {
        Obligation::NoticePart2 => ("notice-42-cfr-2.32", None, None),
        Obligation::Withhold { rule, labels, classes, codes } => ("withhold", Some(rule), Some((labels, classes, codes))),
        Obligation::ReleaseOnly { rule, labels, classes, codes } => ("release-only", Some(rule), Some((labels, classes, codes))),
    };
    let mut parts = vec![value("kind", "valueCode", kind.into())];
    parts.extend(rule.map(|rule| value("rule", "valueString", (&**rule).into())));
    if let Some((labels, classes, codes)) = lists {
        for (name, list) in [("label", labels), ("class", classes), ("code", codes)] {
            parts.extend(list.iter().map(|code| {
                let coding = Object::new().with("system", code.system.as_str()).with("code", code.code.as_str());
                value(name, "valueCoding", coding.into())
            }));
        }
    }
    Object::new().with("name", "obligation").with("part", parts).into()
}

fn step(step: &Step) -> Node {
    let reference = Object::new().with("reference", format!("Consent/{}", step.consent.consent));
    let parts = vec![
        value("consent", "valueReference", reference.into()),
        value("rule", "valueString", (&*step.rule).into()),
        value("result", "valueCode", step.code().as_str().into()),
        value("sentence", "valueString", step.sentence().into()),
    ];
    Object::new().with("name", "step").with("part", parts).into()
}
