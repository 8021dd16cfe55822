//! The AuditEvent of one request (R4 §6.4; IHE Basic Audit Log Patterns).

use super::closing::{Closing, join};
use crate::clock::Instant;
use crate::fhir::{Node, Object, Value};
use crate::identity::Caller;
use crate::registry::Organisation;
use data_encoding::BASE64;

const ROLE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/extra-security-role-type";
/// Before the id of an access token.
const TOKEN: &str = "urn:hearthgate:token:";
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const RESTFUL: &str = "http://hl7.org/fhir/restful-interaction";
/// What FHIR has no interaction for: a token, a delivery, a request that could not be understood.
const OWN_INTERACTIONS: &str = "urn:hearthgate:interaction";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
/// The most resources one record names; a larger result is counted.
const MAX_ENTITIES: usize = 100;

/// `AuditEvent.entity.detail.type` of a patient of whom nothing was told.
pub const WITHHELD: &str = "withheld";

/// The source under which what the gateway records of itself is stored.
pub const SOURCE: &str = "hearthgate";

/// `AuditEvent.action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Read,
    Update,
    Delete,
    Execute,
}

impl Action {
    fn code(self) -> &'static str {
        match self {
            Action::Create => "C",
            Action::Read => "R",
            Action::Update => "U",
            Action::Delete => "D",
            Action::Execute => "E",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// The stable label of the refusal's reason.
    Refused(&'static str),
    /// The stable label of the fault.
    Failed(&'static str),
}

/// A record begun before the work.
#[derive(Debug, Clone)]
pub struct Opened {
    pub interaction: &'static str,
    pub action: Action,
    pub request_id: String,
    pub at: Instant,
    /// Network address of the peer.
    pub peer: String,
    /// Who asked; `None` when nobody was authenticated.
    pub caller: Option<Caller>,
    /// The query as sent, for searches.
    pub query: Option<String>,
}

/// A closed record, ready to be stored.
#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    pub event: Node,
    pub at: Instant,
}

/// What operators do on the admin interface, and the gateway on their behalf.
const OPERATED: [&str; 3] = ["operate", "reload", "replay"];

impl Opened {
    /// Whether an operator asked, proved by the key of the admin interface or by being on the machine.
    pub fn is_operated(&self) -> bool {
        OPERATED.contains(&self.interaction)
    }

    /// Closes the record with its outcome. `id` is a fresh resource id.
    pub fn close(&self, id: String, outcome: &Outcome, closing: &Closing) -> Record {
        let recorded = self.at.to_fhir_instant();
        let explained = closing.explained();
        let closing = explained.as_ref().unwrap_or(closing);
        let (code, description) = match outcome {
            Outcome::Success => ("0", closing.description.clone()),
            Outcome::Refused(label) => ("4", Some(join(label, closing.description.as_deref()))),
            Outcome::Failed(label) => ("8", Some(join(label, closing.description.as_deref()))),
        };
        let event = Object::resource("AuditEvent")
            .with("id", id.as_str())
            .with("meta", Object::new().with("versionId", "1").with("lastUpdated", recorded.as_str()))
            .with("type", coding(EVENT_TYPE, "rest"))
            .with("subtype", vec![coding(interaction_system(self.interaction), self.interaction)])
            .with("action", self.action.code())
            .with("recorded", recorded)
            .with("outcome", code)
            .with_some("outcomeDesc", description)
            .with_some("purposeOfEvent", self.purposes(closing))
            .with("agent", self.agents(closing))
            .with("source", source())
            .with("entity", self.entities(closing));
        Record { id, event: event.into(), at: self.at }
    }

    fn purposes(&self, closing: &Closing) -> Option<Vec<Node>> {
        let asked = self.caller.iter().flat_map(|caller| &caller.purposes);
        let purposes: Vec<Node> = asked.chain(&closing.purpose).map(|purpose| concept(PURPOSE, purpose.code())).collect();
        (!purposes.is_empty()).then_some(purposes)
    }

    fn agents(&self, closing: &Closing) -> Vec<Node> {
        let address = Object::new().with("address", self.peer.as_str()).with("type", "2");
        let unnamed = if self.is_operated() { "operator" } else { "anonymous" };
        let client = self.caller.as_ref().map_or(unnamed, |caller| caller.client_id.as_str());
        let who = Object::new().with("identifier", Object::new().with("value", client));
        // The token by its id, as BALP has it; the id proves nothing to anybody.
        let token = self.caller.as_ref().filter(|caller| !caller.token_id.is_empty());
        let token = token.map(|caller| vec![Node::from(format!("{TOKEN}{}", caller.token_id))]);
        let agent = Object::new().with("type", concept(DCM, "110153")).with("who", who).with("requestor", true);
        let mut agents = vec![agent.with_some("policy", token).with("network", address).into()];
        if let Some(person) = self.caller.as_ref().and_then(|caller| caller.person.as_ref()) {
            let identifier = Object::new().with("system", person.system.as_str()).with("value", person.value.as_str());
            let user =
                Object::new().with("type", concept(ROLE_TYPE, "humanuser")).with("who", Object::new().with("identifier", identifier));
            agents.push(user.with("requestor", false).into());
        }
        if let Some(caller) = &self.caller {
            let organisation =
                Object::new().with("type", concept(PARTICIPATION, "CST")).with("who", organisation_reference(&caller.organisation));
            agents.push(organisation.with("requestor", false).into());
        }
        if let Some(recipient) = &closing.recipient {
            let who = organisation_reference(recipient);
            agents.push(Object::new().with("type", concept(PARTICIPATION, "IRCP")).with("who", who).with("requestor", false).into());
        }
        let gateway = Object::new().with("type", concept(DCM, "110152")).with("who", Object::new().with("display", "hearthgate"));
        agents.push(gateway.with("requestor", false).into());
        if !closing.consents.is_empty() || !closing.withheld.is_empty() {
            let authoriser =
                Object::new().with("type", concept(DCM, "110150")).with("role", vec![Object::new().with("text", "authorizer").into()]);
            agents.push(authoriser.with("who", Object::new().with("display", "hearthgate")).with("requestor", false).into());
        }
        agents
    }

    fn entities(&self, closing: &Closing) -> Vec<Node> {
        let mut entities = vec![self.transaction()];
        entities.extend(closing.patients.iter().map(|id| person(&format!("Patient/{id}"))));
        entities.extend(closing.withheld.iter().map(|id| withheld(&format!("Patient/{id}"))));
        entities.extend(closing.resources.iter().take(MAX_ENTITIES).map(|reference| object(reference, "4")));
        entities.extend(closing.consents.iter().map(|reference| object(reference, "13")));
        if let Some(query) = &self.query {
            let entity = Object::new().with("type", coding(ENTITY_TYPE, "2")).with("role", coding(OBJECT_ROLE, "24"));
            entities.push(entity.with("query", BASE64.encode(query.as_bytes())).into());
        }
        if closing.resources.len() > MAX_ENTITIES {
            let entity = Object::new().with("type", coding(ENTITY_TYPE, "2"));
            entities.push(entity.with("description", format!("{} resources in all", closing.resources.len())).into());
        }
        entities
    }

    /// The request's correlation id, and the tail of the token's id: BALP's XrequestId entity.
    fn transaction(&self) -> Node {
        let identifier = Object::new().with("value", self.request_id.as_str());
        Object::new().with("what", Object::new().with("identifier", identifier)).with("type", coding(BALP_ENTITY, "XrequestId")).into()
    }
}

/// An organisation as a FHIR Reference.
pub fn organisation_reference(organisation: &Organisation) -> Object {
    let identifier = organisation.identifier.as_ref();
    Object::new()
        .with_some("reference", organisation.reference.as_deref())
        .with_some("identifier", identifier.map(|id| Object::new().with("system", id.system.as_str()).with("value", id.value.as_str())))
        .with_some("display", organisation.name.as_deref())
}

/// Whether a record of what was done names a resource, or a version of it.
pub fn names(event: &Node, reference: &str) -> bool {
    let mut named = event.items("entity").iter().filter_map(|entity| entity.text_at(&["what", "reference"]));
    named.any(|to| to.strip_prefix(reference).is_some_and(|rest| rest.is_empty() || rest.starts_with("/_history/")))
}

fn interaction_system(interaction: &str) -> &'static str {
    if matches!(
        interaction,
        "token" | "push" | "unreadable" | "erase" | "sign-off" | "consent-decide" | "consent-file" | "consent-revoke" | "break-glass"
    ) || OPERATED.contains(&interaction)
    {
        OWN_INTERACTIONS
    } else {
        RESTFUL
    }
}

fn source() -> Node {
    let observer = Object::new().with("display", "hearthgate");
    Object::new()
        .with("observer", observer)
        .with("type", vec![coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4")])
        .into()
}

fn person(reference: &str) -> Node {
    Object::new()
        .with("what", Object::new().with("reference", reference))
        .with("type", coding(ENTITY_TYPE, "1"))
        .with("role", coding(OBJECT_ROLE, "1"))
        .into()
}

/// A patient of whom nothing was told.
fn withheld(reference: &str) -> Node {
    let detail: Node = Object::new().with("type", WITHHELD).with("valueString", "everything").into();
    match person(reference).value {
        Value::Object(entity) => entity.with("detail", vec![detail]).into(),
        other => other.into(),
    }
}

fn object(reference: &str, role: &str) -> Node {
    Object::new()
        .with("what", Object::new().with("reference", reference))
        .with("type", coding(ENTITY_TYPE, "2"))
        .with("role", coding(OBJECT_ROLE, role))
        .into()
}

fn coding(system: &str, code: &str) -> Node {
    Object::new().with("system", system).with("code", code).into()
}

fn concept(system: &str, code: &str) -> Node {
    Object::new().with("coding", vec![coding(system, code)]).into()
}
