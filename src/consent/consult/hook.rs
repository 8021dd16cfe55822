//! The CDS Hooks hook `patient-consent-consult`, as LEAP-CDS and SHARES spell its request and its card.
//!
//! LEAP-CDS gives `patientId` and `actor` as one `{system, value}`, later versions and SHARES as lists; `purposeOfUse` is a code or a list of
//! them. What a card says in `extension` is what programs act on: the decision, and `REDACT` with the `codes` to take out or, where only some
//! may stay, `exceptAnyOfCodes`. An empty `exceptAnyOfCodes` leaves nothing standing.

use super::{Consultation, Consulted, Told, bounded, collection, malformed, matter, purpose};
use crate::consent::code::{Code, Identifier, Reference, items};
use crate::consent::decision::{Decision, Obligation};
use crate::consent::request::{Action, Party};
use crate::consent::vocabulary::{ACT_CODE, CONSENT_SCOPE};
use crate::fhir::{Node, Object};
use crate::outcome::Refusal;

/// The hook, and the id of the service.
pub const HOOK: &str = "patient-consent-consult";

/// What a context may hold. `consent`, by which SHARES lets a caller bring consents of its own, is not among it.
const CONTEXT: [&str; 8] = ["patientId", "actor", "purposeOfUse", "scope", "category", "class", "content", "encounterId"];

/// What `GET /cds-services` answers (CDS Hooks 2.0, discovery).
pub fn services() -> Node {
    let service: Node = Object::new()
        .with("hook", HOOK)
        .with("title", "Patient consent consultation")
        .with("description", "Whether the patient's consents permit an actor to receive data for a purpose, and what must be withheld.")
        .with("id", HOOK)
        .with("usageRequirements", "An access token of this gateway. Asking about others than oneself needs the role consent-consult.")
        .into();
    Object::new().with("services", vec![service]).into()
}

impl Consultation {
    /// Reads the body of a request to the service.
    pub fn from_hook(body: &Node) -> Result<Consultation, Refusal> {
        if body.text("hook") != Some(HOOK) {
            return Err(malformed("The member 'hook' must be 'patient-consent-consult'.", "hook"));
        }
        if body.text("hookInstance").is_none_or(str::is_empty) {
            return Err(malformed("The member 'hookInstance' must name this call, with a UUID.", "hookInstance"));
        }
        let context = body.get("context").and_then(Node::as_object);
        let context = context.ok_or_else(|| malformed("The member 'context' must hold the question.", "context"))?;
        if let Some(stray) = context.members().iter().find(|member| !CONTEXT.contains(&&*member.name)) {
            let text = "This member of the context is not understood, and might change what is asked. Leave it out.";
            return Err(malformed(text, &format!("context.{}", stray.name)));
        }
        let context: Node = context.clone().into();
        let classes = bounded(codes(&context, "class")?, "context.class")?;
        let scopes = context.text("scope").map(|scope| Code::new(CONSENT_SCOPE, scope));
        Ok(Consultation {
            patient: patient(&context)?,
            actors: bounded(actors(&context)?, "context.actor")?,
            purposes: bounded(purposes(&context)?, "context.purposeOfUse")?,
            action: Action::Access,
            categories: bounded(codes(&context, "category")?, "context.category")?.into_iter().chain(scopes).collect(),
            at: None,
            matter: matter(&[], &[], &[], context.get("content").cloned())?,
            classes,
        })
    }
}

/// `{system, value}`, a list of them, or the id of a resource as other hooks have it.
fn patient(context: &Node) -> Result<Party, Refusal> {
    let missing = || malformed("'patientId' must hold the patient's identifier: system and value.", "context.patientId");
    let mut patient = Party::default();
    for named in bounded(items(context, "patientId").iter().collect(), "context.patientId")? {
        match named.as_text() {
            Some(id) if id.starts_with("Patient/") => patient.references.extend(Reference::new(id)),
            Some(id) => patient.references.extend(Reference::new(&format!("Patient/{id}"))),
            None => patient.identifiers.push(Identifier::from_node(named).ok_or_else(missing)?),
        }
    }
    if patient == Party::default() { Err(missing()) } else { Ok(patient) }
}

/// Each `{system, value}` is a name of the one actor, as LEAP-CDS and SHARES have it.
fn actors(context: &Node) -> Result<Vec<Party>, Refusal> {
    let named = items(context, "actor").iter().map(|node| {
        let unreadable = || malformed("An actor is given by system and value.", "context.actor");
        Ok(Party { identifiers: vec![Identifier::from_node(node).ok_or_else(unreadable)?], ..Party::default() })
    });
    named.collect()
}

fn purposes(context: &Node) -> Result<Vec<Code>, Refusal> {
    let texts = items(context, "purposeOfUse").iter().map(|node| {
        let unreadable = || malformed("'purposeOfUse' must be a code of v3-PurposeOfUse, or a list of them.", "context.purposeOfUse");
        node.as_text().map(purpose).ok_or_else(unreadable)
    });
    texts.collect()
}

fn codes(context: &Node, name: &str) -> Result<Vec<Code>, Refusal> {
    let read = items(context, name).iter().map(|node| {
        Code::from_coding(node).ok_or_else(|| malformed("Each entry must have a system and a code.", &format!("context.{name}")))
    });
    read.collect()
}

impl Consulted {
    /// The answer of the service: one card.
    pub fn cards(&self, told: Told, service_url: &str) -> Node {
        let (summary, indicator, detail) = self.headline(told);
        let source = Object::new().with("label", "hearthgate").with("url", service_url);
        let based_on = self.decision.governing().filter(|_| told == Told::Trace).map(|governing| format!("Consent/{}", governing.consent));
        let trace = (told == Told::Trace).then(|| {
            let steps = self.decision.steps().iter();
            steps.map(|step| Node::from(format!("{} {} {}", step.consent.consent, step.rule, step.code()).as_str())).collect::<Vec<Node>>()
        });
        let extension = Object::new()
            .with("decision", summary)
            .with("obligations", self.obligations(told))
            .with_some("basedOn", based_on.as_deref())
            .with_some("content", self.content.as_deref().map(collection))
            .with_some("reason", (told == Told::Trace).then(|| self.decision.reason()))
            .with_some("ambiguous", (told == Told::Trace).then(|| self.decision.is_ambiguous()))
            .with_some("trace", trace);
        let card: Node = Object::new()
            .with("summary", summary)
            .with("detail", detail)
            .with("indicator", indicator)
            .with("source", source)
            .with("extension", extension)
            .into();
        Object::new().with("cards", vec![card]).into()
    }

    /// Summary, indicator and detail. Whoever asks about themselves learns of no denial why it is one.
    fn headline(&self, told: Told) -> (&'static str, &'static str, String) {
        let decision = &self.decision;
        match (decision.is_permit(), told) {
            (true, Told::Trace) => ("CONSENT_PERMIT", "info", decision.sentence()),
            (true, _) => ("CONSENT_PERMIT", "info", PERMITTED.to_owned()),
            (false, Told::Outcome) => ("CONSENT_DENY", "critical", DENIED.to_owned()),
            (false, _) if decision.governing().is_none() => ("NO_CONSENT", "warning", NO_CONSENT.to_owned()),
            (false, Told::Obligations) => ("CONSENT_DENY", "critical", DENIED.to_owned()),
            (false, Told::Trace) => ("CONSENT_DENY", "critical", decision.sentence()),
        }
    }

    fn obligations(&self, told: Told) -> Vec<Node> {
        if !self.decision.is_permit() || self.content.is_some() {
            return Vec::new();
        }
        match told {
            _ if !self.is_whole => obligations(&self.decision),
            // The same for every patient: whether anything is withheld must not show. What is held has to be shown before it is used.
            Told::Outcome => vec![redact("exceptAnyOfCodes", Vec::new())],
            Told::Obligations | Told::Trace => obligations(&self.decision),
        }
    }
}

/// A permit that only some things may stand for leaves those; whatever else cannot be said in codes leaves nothing.
fn obligations(decision: &Decision) -> Vec<Node> {
    let written = decision.obligations().iter().map(|obligation| match obligation {
        Obligation::NoticePart2 => Object::new().with("id", id("urn:hearthgate:obligation", "notice-42-cfr-2.32")).into(),
        Obligation::Withhold { labels, classes, codes, .. } => match listed(&[labels, classes, codes]) {
            nothing if nothing.is_empty() => redact("exceptAnyOfCodes", nothing),
            codes => redact("codes", codes),
        },
        Obligation::ReleaseOnly { labels, classes, codes, .. } => redact("exceptAnyOfCodes", listed(&[labels, classes, codes])),
    });
    written.collect()
}

fn listed(lists: &[&Vec<Code>]) -> Vec<Node> {
    lists.iter().flat_map(|list| list.iter()).map(|code| id(&code.system, &code.code)).collect()
}

fn redact(parameter: &str, codes: Vec<Node>) -> Node {
    Object::new().with("id", id(ACT_CODE, "REDACT")).with("parameters", Object::new().with(parameter, codes)).into()
}

fn id(system: &str, code: &str) -> Node {
    Object::new().with("system", system).with("code", code).into()
}

const PERMITTED: &str = "The patient's consent permits this, as far as the obligations say.";
const DENIED: &str = "Nothing permits this. Do not share.";
const NO_CONSENT: &str = "No consent applies, and without one nothing is shared.";
