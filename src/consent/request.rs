//! What is asked: who, why, to do what, when. The caller builds it from a proved identity, never from what a request says of itself.

use super::code::{Code, Identifier, Reference, codings, items};
use super::vocabulary::{CONSENT_ACTION, Concept};
use crate::clock::Instant;
use crate::fhir::Node;
use compact_str::CompactString;

/// One party to an exchange under every name it is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Party {
    pub references: Vec<Reference>,
    pub identifiers: Vec<Identifier>,
    pub roles: Vec<Code>,
    /// The type of resource it is said to be, where it is.
    pub type_name: Option<CompactString>,
    /// Whether all its names are known.
    pub is_known_whole: bool,
}

impl Party {
    /// Reads a `Reference` with `reference`, `identifier`, and a `role` where the caller adds one.
    pub fn from_reference(node: &Node) -> Party {
        Party {
            references: Reference::from_node(node).into_iter().collect(),
            identifiers: node.get("identifier").and_then(Identifier::from_node).into_iter().collect(),
            roles: items(node, "role").iter().flat_map(codings).filter_map(Code::from_coding).collect(),
            type_name: node.text("type").map(CompactString::from),
            is_known_whole: false,
        }
    }

    /// Whether the other may be what this one is said to be. Who acts for an organisation need not be one.
    pub(super) fn may_be_of_type_of(&self, other: &Party) -> bool {
        let Some(own) = self.type_name.as_deref().filter(|name| *name != "Organization") else { return true };
        let referenced = other.references.iter().filter_map(Reference::type_name);
        let mut types = other.type_name.as_deref().into_iter().chain(referenced).peekable();
        types.peek().is_none() || types.any(|name| name == own)
    }

    /// Somebody known by one reference.
    pub(super) fn named(reference: &Reference) -> Party {
        Party { references: vec![reference.clone()], ..Party::default() }
    }

    /// Whether there is anything but a display to know the party by.
    pub fn is_identified(&self) -> bool {
        !self.references.is_empty() || self.identifiers.iter().any(Identifier::has_system)
    }
}

/// What the recipient wants to do (`consentaction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Action {
    Collect,
    #[default]
    Access,
    Use,
    Disclose,
    Correct,
}

impl Action {
    /// Reads a code of `consentaction`.
    pub fn from_code(code: &str) -> Option<Action> {
        match code {
            "collect" => Some(Action::Collect),
            "access" => Some(Action::Access),
            "use" => Some(Action::Use),
            "disclose" => Some(Action::Disclose),
            "correct" => Some(Action::Correct),
            _ => None,
        }
    }

    /// The action that a code stands for, where its system is that of actions.
    pub(super) fn of(code: &Code) -> Option<Action> {
        Action::from_code(&code.code).filter(|_| code.system == CONSENT_ACTION)
    }

    /// Access, use and disclosure are one act seen from three sides: whoever forbids one may have meant the others.
    pub(super) fn is_release(self) -> bool {
        matches!(self, Action::Access | Action::Use | Action::Disclose)
    }
}

/// A request in its normal form.
#[derive(Debug, Clone)]
pub struct Request {
    /// The recipient: the person, the organisation and the device that ask, as far as they are proved. Any of them may be the one a rule means.
    pub actors: Vec<Party>,
    /// Who holds the data, when that is known; otherwise the consent's own controller is taken for it.
    pub custodian: Option<Party>,
    /// Where the recipient is.
    pub locations: Vec<Reference>,
    /// Why it is asked for. One that is permitted is enough.
    pub purposes: Vec<Concept>,
    pub action: Action,
    /// The kinds of content asked for, when no resource is at hand yet.
    pub classes: Vec<Code>,
    /// The kinds of consent asked about (`scope` or `category`); empty for any.
    pub categories: Vec<Code>,
    pub instant: Instant,
}

impl Request {
    /// A request to read, by one party, for these purposes.
    pub fn new(actors: Vec<Party>, purposes: Vec<Code>, instant: Instant) -> Request {
        Request {
            actors,
            custodian: None,
            locations: Vec::new(),
            purposes: purposes.into_iter().map(Concept::new).collect(),
            action: Action::Access,
            classes: Vec::new(),
            categories: Vec::new(),
            instant,
        }
    }
}
