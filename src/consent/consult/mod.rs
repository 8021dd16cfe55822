//! What others ask to be decided, without data changing hands: the question in its three spellings, its decision, and the answer.
//!
//! The spellings are the FHIR operation `$consent-decide` ([`Consultation::from_parameters`]) and the CDS Hooks hook `patient-consent-consult`
//! as LEAP-CDS and SHARES send it ([`Consultation::from_hook`]). Whatever the spelling, a question says who, why, what and about whom; it never
//! brings consents of its own, and what is not understood is refused.

mod hook;
mod parameters;

use super::code::{Code, Identifier, items};
use super::decision::{Decision, decide_request, join};
use super::request::{Action, Party, Request};
use super::rules::Rules;
use super::vocabulary::{Concept, RESOURCE_TYPES};
use crate::clock::Instant;
use crate::fhir::{Node, Object};
use crate::outcome::{IssueType, Reason, Refusal};

pub use hook::{HOOK, services};

/// The most names, codes or purposes one list of a question may have.
const MAX_LISTED: usize = 100;
/// The most resources that may be brought along.
const MAX_CONTENT: usize = 1_000;

/// The patient of what is made up.
pub const MADE_UP: &str = "Patient/of-the-question";

/// How much of a decision its asker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Whether it is permitted, and nothing that tells one denial from another: for whoever asks about themselves.
    Outcome,
    /// The outcome as it is, with what must be withheld: for a system that is registered to enforce consents of others.
    Obligations,
    /// Everything, with the rules: for the patient, whoever acts for them, and oversight.
    Trace,
}

/// A question, read.
#[derive(Debug, Clone)]
pub struct Consultation {
    /// The patient under every name the question gives.
    pub patient: Party,
    /// Who would receive; empty for whoever asks.
    pub actors: Vec<Party>,
    /// Why; empty for what the asker's token says.
    pub purposes: Vec<Code>,
    pub action: Action,
    pub classes: Vec<Code>,
    pub categories: Vec<Code>,
    /// When, where it is not now.
    pub at: Option<Instant>,
    pub matter: Matter,
}

/// What a question is about.
#[derive(Debug, Clone)]
pub enum Matter {
    /// The request as a whole.
    Request,
    /// One resource, made up from a class, codes and labels, about the patient [`MADE_UP`].
    MadeUp(Node),
    /// One resource that is brought along.
    Resource(Node),
    /// The entries of a Bundle, each with its `fullUrl`.
    Content(Vec<(Option<String>, Node)>),
}

/// A question, decided.
#[derive(Debug)]
pub struct Consulted {
    decision: Decision,
    /// Whether the decision is about the request as a whole, so that single resources may still be withheld.
    is_whole: bool,
    /// What is left of the content, where some was brought and the request may be made.
    content: Option<Vec<(Option<String>, Node)>>,
}

impl Consultation {
    /// The requests that are decided, all of which must be permitted: by these actors, at this instant, each for any of some purposes. Where the question
    /// names its purposes it is for all of them, as whoever reads and names several must be permitted each.
    pub fn requests(&self, actors: &[Party], otherwise: Vec<Vec<Code>>, instant: Instant) -> Vec<Request> {
        let each = if self.purposes.is_empty() { otherwise } else { self.purposes.iter().map(|one| vec![one.clone()]).collect() };
        let request = |purposes| Request {
            action: self.action,
            classes: self.classes.clone(),
            categories: self.categories.clone(),
            ..Request::new(actors.to_vec(), purposes, instant)
        };
        each.into_iter().map(request).collect()
    }

    /// Whether the question goes beyond what somebody may ask about themselves: another action than access, another time, another kind of
    /// consent.
    pub fn is_hypothetical(&self) -> bool {
        self.at.is_some() || self.action != Action::Access
    }

    /// The answer, as it is decided by `by`. Without any rules, or for somebody who is not known, it is the denial of the unknown patient.
    pub fn decide(&self, by: Deciding<'_>) -> Consulted {
        let Some(whole) = by.whole else { return Consulted::unknown() };
        let on = |resource: &Node| (by.on)(resource).unwrap_or_else(|| Decision::denial("patient-unresolved"));
        match &self.matter {
            Matter::Request => Consulted { decision: whole, is_whole: true, content: None },
            Matter::MadeUp(resource) => Consulted { decision: on(resource), is_whole: false, content: None },
            Matter::Resource(resource) => Consulted::of_resource(on(resource), resource, by.release),
            Matter::Content(entries) => {
                let released = entries.iter().filter_map(|(url, resource)| Some((url.clone(), (by.release)(resource)?.0)));
                let content = whole.is_permit().then(|| released.collect());
                Consulted { decision: whole, is_whole: false, content }
            }
        }
    }

    /// Whether a record bears an identifier by which the question names its patient.
    pub fn is_named_by(&self, record: &Node) -> bool {
        let mut identifiers = items(record, "identifier").iter().filter_map(Identifier::from_node);
        identifiers.any(|identifier| identifier.has_system() && self.patient.identifiers.contains(&identifier))
    }
}

impl Consulted {
    /// The answer for a patient who is not known: the same denial as for one who permits nothing.
    pub fn unknown() -> Consulted {
        Consulted { decision: Decision::denial("no-consent"), is_whole: true, content: None }
    }

    /// The decision on one resource. Where it is permitted without some part of it, also where that part alone is why the whole is denied, what is left
    /// comes along: no code says which part that was.
    fn of_resource(decision: Decision, resource: &Node, release: &dyn Fn(&Node) -> Option<Rest>) -> Consulted {
        let (decision, content) = match (decision.is_permit(), release(resource)) {
            (true, None) => (Decision::denial("withheld"), None),
            (true, Some((_, false))) | (false, None | Some((_, false))) => (decision, None),
            (true, Some((rest, true))) => (decision, Some(rest)),
            (false, Some((rest, true))) => (decision.in_part(), Some(rest)),
        };
        Consulted { decision, is_whole: false, content: content.map(|rest| vec![(None, rest)]) }
    }

    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// What is left of a resource, and whether anything was taken out of it.
pub type Rest = (Node, bool);

/// How a question is decided: as any reading is.
pub struct Deciding<'d> {
    /// On the request as a whole; `None` where there are no rules to decide it by.
    pub whole: Option<Decision>,
    /// On one resource, with the account of why; `None` where it cannot be told that it is about the patient.
    pub on: &'d dyn Fn(&Node) -> Option<Decision>,
    /// What is released of one resource.
    pub release: &'d dyn Fn(&Node) -> Option<Rest>,
}

/// The decision on requests as a whole, all of which must be permitted by the rules of each of a patient's records; `None` without any of either.
pub fn decide_requests(rules: &[&Rules], requests: &[Request]) -> Option<Decision> {
    let by_each = rules.iter().filter_map(|rules| {
        let each = requests.iter().map(|request| decide_request(rules, request)).collect();
        Decision::for_all_purposes(each)
    });
    join(by_each.collect())
}

/// A resource of this kind, made up: of the class, about the patient, with these codes and labels.
fn made_up(class: &Code, codes: &[Code], labels: &[Code]) -> Node {
    let coding = |code: &Code| Object::new().with("system", code.system.as_str()).with("code", code.code.as_str()).into();
    let security: Vec<Node> = labels.iter().map(coding).collect();
    let codings: Vec<Node> = codes.iter().map(coding).collect();
    let subject = Object::new().with("reference", MADE_UP);
    let mut resource = Object::resource(&class.code);
    if class.code == "Patient" {
        resource = resource.with("id", "of-the-question");
    }
    resource
        .with_some("meta", (!security.is_empty()).then(|| Object::new().with("security", security)))
        .with_some("code", (!codings.is_empty()).then(|| Object::new().with("coding", codings)))
        .with("subject", subject)
        .into()
}

/// What is asked about, from the parts a question may have.
fn matter(classes: &[Code], codes: &[Code], labels: &[Code], resource: Option<Node>) -> Result<Matter, Refusal> {
    if let Some(resource) = resource {
        return content(resource);
    }
    if codes.is_empty() && labels.is_empty() {
        return Ok(Matter::Request);
    }
    match classes {
        [class] if class.system == RESOURCE_TYPES => Ok(Matter::MadeUp(made_up(class, codes, labels))),
        _ => Err(malformed("Codes and labels are those of one resource: give its type as the one class.", "class")),
    }
}

/// A Bundle stands for its entries, any other resource for itself.
fn content(resource: Node) -> Result<Matter, Refusal> {
    if resource.resource_type() != Some("Bundle") {
        return match resource.resource_type() {
            Some(_) => Ok(Matter::Resource(resource)),
            None => Err(malformed("What is brought along is not a resource.", "content")),
        };
    }
    let entries = items(&resource, "entry");
    if entries.len() > MAX_CONTENT {
        let text = format!("More than {MAX_CONTENT} resources are brought along. Ask about fewer at a time.");
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text).at("content"));
    }
    let named = entries.iter().filter_map(|entry| Some((entry.text("fullUrl").map(str::to_owned), entry.get("resource")?.clone())));
    Ok(Matter::Content(named.collect()))
}

fn malformed(text: &str, place: &str) -> Refusal {
    Refusal::new(Reason::Malformed, IssueType::Invalid, text).at(place)
}

/// A list that is within bounds.
fn bounded<T>(list: Vec<T>, place: &str) -> Result<Vec<T>, Refusal> {
    if list.len() > MAX_LISTED {
        let text = format!("More than {MAX_LISTED} of one kind are given. Ask about fewer at a time.");
        return Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text).at(place));
    }
    Ok(list)
}

/// The Bundle of what is left of the content.
fn collection(entries: &[(Option<String>, Node)]) -> Node {
    let entry = |(url, resource): &(Option<String>, Node)| {
        Object::new().with_some("fullUrl", url.as_deref()).with("resource", resource.clone()).into()
    };
    let entries: Vec<Node> = entries.iter().map(entry).collect();
    Object::resource("Bundle").with("type", "collection").with_some("entry", (!entries.is_empty()).then_some(entries)).into()
}

/// Whether every purpose is one of those.
pub fn are_among(asked: &[Code], held: &[Code]) -> bool {
    asked.iter().all(|purpose| held.contains(purpose))
}

/// Whether a party is another by the names it goes by: every name it has is one of the other's.
pub fn is_same_party(asked: &Party, own: &Party) -> bool {
    let known = |identifier: &Identifier| identifier.has_system() && own.identifiers.contains(identifier);
    asked.is_identified() && asked.references.iter().all(|name| own.references.contains(name)) && asked.identifiers.iter().all(known)
}

/// A purpose of use given by its bare code.
fn purpose(code: &str) -> Code {
    Concept::new(Code::new(super::vocabulary::ACT_REASON, code)).code
}
