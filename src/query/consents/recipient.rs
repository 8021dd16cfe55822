//! Who wants something and why, as a decision sees it.

use super::affiliation;
use crate::clock::Instant;
use crate::consent::{self, Code, Party, Request};
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::normalise::is_gateway_id;
use crate::pipeline::asks_to_break;
use crate::registry::{DataKind, Identifier, Organisation, Purpose, Registry, Role};

/// The system of purposes of use.
const PURPOSE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Who wants something and why, as a decision sees it.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub organisation: Organisation,
    pub purposes: Vec<Purpose>,
    /// Whether the request names them, and so is for all of them.
    pub names_purposes: bool,
    /// Whether it may see the trail: AuditEvents and Provenances of everybody.
    pub oversees: bool,
    /// What it may be told of the persons concerned.
    pub data: DataKind,
    /// Whether it may see what the gateway keeps for its operators: Tasks, Linkages, ConceptMaps of its own.
    pub operates: bool,
    /// Whose application it is, when it is a person's.
    pub person: Option<Identifier>,
    /// The client that may have broken the glass, where it asks for that and nothing else.
    pub breaks_glass: Option<String>,
}

impl Recipient {
    /// The same as the party a question names: what the operator says of partners is said of that one. Where several are named, or one that no
    /// operator could name, of nobody.
    pub(in crate::query) fn asked_for(self, actors: &[Party]) -> Recipient {
        if actors.iter().all(|actor| consent::is_same_party(actor, &self.party())) {
            return self;
        }
        let organisation = match actors {
            [actor] => Organisation {
                reference: actor.references.first().map(|reference| reference.as_str().to_owned()),
                identifier: actor
                    .identifiers
                    .first()
                    .map(|known| Identifier { system: known.system.to_string(), value: known.value.to_string() }),
                ..self.organisation
            },
            _ => Organisation { reference: None, identifier: None, ..self.organisation },
        };
        Recipient { organisation, ..self }
    }
}

/// What the operator's rules turn on, of whoever asks.
pub(super) struct Partner {
    pub names: Vec<String>,
    /// The names by which its records are found, and those of the others that are asked for.
    pub organisations: Vec<String>,
    /// The sources that are its own.
    pub sources: Vec<String>,
    pub breaks_glass: Option<String>,
}

impl Recipient {
    pub fn of(caller: &Caller) -> Recipient {
        Recipient {
            organisation: caller.organisation.clone(),
            purposes: caller.purposes.clone(),
            names_purposes: caller.names_purposes,
            oversees: caller.has_role(Role::Regulator),
            data: caller.data,
            operates: caller.has_role(Role::Operator),
            person: caller.person.clone(),
            breaks_glass: asks_to_break(caller).then(|| caller.client_id.clone()),
        }
    }

    /// The organisation as a party to the exchange.
    pub(in crate::query) fn party(&self) -> Party {
        let actor: Node = crate::audit::organisation_reference(&self.organisation).into();
        let mut party = Party { type_name: Some("Organization".into()), ..Party::from_reference(&actor) };
        // In another's ids it tells the organisation from none that a consent names: there references are in the gateway's.
        party
            .references
            .retain(|reference| reference.relative().and_then(|name| name.split_once('/')).is_some_and(|(_, id)| is_gateway_id(id)));
        party
    }

    pub(super) fn partner(&self, requests: &[Request], registry: &Registry) -> Partner {
        Partner {
            names: self.organisation.names().collect(),
            organisations: affiliation::names_of(requests.iter().flat_map(|request| &request.actors)),
            sources: registry.sources_of(&self.organisation).map(str::to_owned).collect(),
            breaks_glass: self.breaks_glass.clone(),
        }
    }

    /// The purposes of its token, or those of them the request names.
    pub(in crate::query) fn purpose_codes(&self) -> Vec<Code> {
        self.purposes.iter().map(|purpose| Code::new(PURPOSE_SYSTEM, purpose.code())).collect()
    }

    /// The parties that ask: the organisation, and the person whose application it is.
    pub(in crate::query) fn parties(&self) -> Vec<Party> {
        let person = self.person.as_ref().map(|person| {
            let identifier = Object::new().with("system", person.system.as_str()).with("value", person.value.as_str());
            Party::from_reference(&Object::new().with("identifier", identifier).into())
        });
        std::iter::once(self.party()).chain(person).collect()
    }

    /// Its purposes as they are decided for: each that the request names by itself, or all of its token together, any of which will do.
    pub(in crate::query) fn purposes_apart(&self) -> Vec<Vec<Code>> {
        let purposes = self.purpose_codes();
        if self.names_purposes { purposes.into_iter().map(|one| vec![one]).collect() } else { vec![purposes] }
    }

    /// What is asked: for every purpose that the request names by itself, or for any of those of the token.
    pub(super) fn requests(&self, instant: Instant) -> Vec<Request> {
        self.purposes_apart().into_iter().map(|purposes| Request::new(self.parties(), purposes, instant)).collect()
    }
}
