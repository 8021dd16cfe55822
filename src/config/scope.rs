//! SMART scopes of backend services, version 1 (`system/Observation.read`) and version 2 (`system/Observation.rs`).
//!
//! Only the `system/` context is known: `patient/` and `user/` scopes need a person who signed in. Scopes restricted by a query
//! (`system/Observation.rs?category=laboratory`) are refused, because ignoring the restriction would grant more than was asked for.
//! Follows SMART App Launch 2.2, "Scopes for requesting FHIR resources".

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest list of scopes that is read, in bytes.
pub const MAX_SCOPE_BYTES: usize = 8_192;
/// The longest FHIR type name there is stays well below this.
const MAX_TYPE_BYTES: usize = 64;

/// What is done to a type, in SMART's five letters. Read takes in vread and the history of one resource; search takes in the history of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interaction {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Interaction {
    /// In the order in which SMART writes them: `cruds`.
    pub const ALL: [Interaction; 5] =
        [Interaction::Create, Interaction::Read, Interaction::Update, Interaction::Delete, Interaction::Search];

    /// The letter of a version 2 scope.
    pub fn letter(self) -> char {
        match self {
            Interaction::Create => 'c',
            Interaction::Read => 'r',
            Interaction::Update => 'u',
            Interaction::Delete => 'd',
            Interaction::Search => 's',
        }
    }

    fn bit(self) -> u8 {
        match self {
            Interaction::Create => 1,
            Interaction::Read => 2,
            Interaction::Update => 4,
            Interaction::Delete => 8,
            Interaction::Search => 16,
        }
    }
}

/// A set of interactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interactions(u8);

impl Interactions {
    const V1_READ: Interactions = Interactions(2 | 16);
    const V1_WRITE: Interactions = Interactions(1 | 4 | 8);
    const EVERY: Interactions = Interactions(31);

    fn has(self, interaction: Interaction) -> bool {
        self.0 & interaction.bit() != 0
    }

    /// `rs`, `cud`, …: letters in their order, each at most once.
    fn from_letters(letters: &str) -> Option<Interactions> {
        let mut order = Interaction::ALL.into_iter();
        let mut bits = 0;
        for letter in letters.chars() {
            bits |= order.find(|interaction| interaction.letter() == letter)?.bit();
        }
        (bits != 0).then_some(Interactions(bits))
    }

    fn from_v1(word: &str) -> Option<Interactions> {
        match word {
            "read" => Some(Interactions::V1_READ),
            "write" => Some(Interactions::V1_WRITE),
            "*" => Some(Interactions::EVERY),
            _ => None,
        }
    }

    fn v1_word(self) -> Option<&'static str> {
        match self {
            Interactions::V1_READ => Some("read"),
            Interactions::V1_WRITE => Some("write"),
            Interactions::EVERY => Some("*"),
            _ => None,
        }
    }
}

/// One scope. `type_name` is `*` for every type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    type_name: CompactString,
    interactions: Interactions,
    /// Whether it was written in version 1, so that it is answered in version 1.
    is_v1: bool,
}

/// Why a scope was not understood. The offending scope is not repeated: it came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeError {
    TooLong,
    Empty,
    /// `patient/…` or `user/…`.
    NeedsPerson,
    /// `system/Type.rs?param=value`.
    Restricted,
    /// Anything else.
    Unknown,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScopeError::TooLong => "the list of scopes is too long",
            ScopeError::Empty => "names no scope",
            ScopeError::NeedsPerson => "patient/ and user/ scopes need a person who signed in; a backend service asks for system/ scopes",
            ScopeError::Restricted => "scopes restricted by a query (?parameter=value) are not supported",
            ScopeError::Unknown => "each scope must look like system/Observation.rs, system/*.cruds or system/Patient.read",
        })
    }
}

/// What a client may do to which types: a union of scopes, in the order given, one entry for each type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads scopes separated by blanks.
    pub fn parse(text: &str) -> Result<Scopes, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        let mut scopes = Scopes::default();
        for word in text.split_ascii_whitespace() {
            scopes.add(Scope::parse(word)?);
        }
        if scopes.0.is_empty() { Err(ScopeError::Empty) } else { Ok(scopes) }
    }

    /// Everything: `system/*.cruds`.
    pub fn every() -> Scopes {
        Scopes(vec![Scope { type_name: CompactString::const_new("*"), interactions: Interactions::EVERY, is_v1: false }])
    }

    /// Whether an interaction with a type is allowed.
    pub fn allows(&self, interaction: Interaction, type_name: &str) -> bool {
        let covers = |scope: &&Scope| scope.type_name == "*" || scope.type_name == type_name;
        self.0.iter().filter(covers).any(|scope| scope.interactions.has(interaction))
    }

    /// Whether an interaction is allowed with any type at all.
    pub fn allows_any_type(&self, interaction: Interaction) -> bool {
        self.0.iter().any(|scope| scope.interactions.has(interaction))
    }

    /// What both allow, in the words of `self`: the grant for a request, given what is registered.
    pub fn intersection(&self, registered: &Scopes) -> Scopes {
        let mut granted = Scopes::default();
        for wanted in &self.0 {
            for held in &registered.0 {
                if let Some(scope) = wanted.intersection(held) {
                    granted.add(scope);
                }
            }
        }
        granted
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, scope: Scope) {
        match self.0.iter_mut().find(|held| held.type_name == scope.type_name) {
            Some(held) => {
                held.interactions.0 |= scope.interactions.0;
                held.is_v1 &= scope.is_v1;
            }
            None => self.0.push(scope),
        }
    }
}

impl Scope {
    fn parse(word: &str) -> Result<Scope, ScopeError> {
        if word.starts_with("patient/") || word.starts_with("user/") {
            return Err(ScopeError::NeedsPerson);
        }
        let rest = word.strip_prefix("system/").ok_or(ScopeError::Unknown)?;
        if rest.contains('?') {
            return Err(ScopeError::Restricted);
        }
        let (type_name, wanted) = rest.split_once('.').ok_or(ScopeError::Unknown)?;
        if type_name != "*" && !is_type_name(type_name) {
            return Err(ScopeError::Unknown);
        }
        let v1 = Interactions::from_v1(wanted);
        let interactions = v1.or_else(|| Interactions::from_letters(wanted)).ok_or(ScopeError::Unknown)?;
        Ok(Scope { type_name: type_name.into(), interactions, is_v1: v1.is_some() })
    }

    fn intersection(&self, held: &Scope) -> Option<Scope> {
        let type_name = match (self.type_name.as_str(), held.type_name.as_str()) {
            ("*", name) | (name, "*") => name,
            (wanted, name) if wanted == name => name,
            _ => return None,
        };
        let interactions = Interactions(self.interactions.0 & held.interactions.0);
        (interactions.0 != 0).then(|| Scope { type_name: type_name.into(), interactions, is_v1: self.is_v1 })
    }
}

fn is_type_name(name: &str) -> bool {
    name.len() <= MAX_TYPE_BYTES && name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphabetic())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system/{}.", self.type_name)?;
        if let Some(word) = self.interactions.v1_word().filter(|_| self.is_v1) {
            return f.write_str(word);
        }
        Interaction::ALL.into_iter().filter(|&interaction| self.interactions.has(interaction)).try_for_each(|i| write!(f, "{}", i.letter()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            write!(f, "{}{scope}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Scopes {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Scopes, ScopeError> {
        Scopes::parse(&text)
    }
}

impl From<Scopes> for String {
    fn from(scopes: Scopes) -> String {
        scopes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(scopes: &Scopes, type_name: &str) -> String {
        Interaction::ALL.into_iter().filter(|&i| scopes.allows(i, type_name)).map(Interaction::letter).collect()
    }

    #[test]
    fn scopes_allow_what_they_say() {
        let check = |text: &str, type_name: &str, allowed: &str| {
            assert_eq!(letters(&Scopes::parse(text).unwrap(), type_name), allowed, "{text} on {type_name}");
        };
        check("system/Observation.read", "Observation", "rs");
        check("system/Observation.write", "Observation", "cud");
        check("system/Observation.*", "Observation", "cruds");
        check("system/*.*", "Patient", "cruds");
        check("system/*.read", "Patient", "rs");
        check("system/Observation.cruds", "Observation", "cruds");
        check("system/Observation.rs", "Observation", "rs");
        check("system/Observation.r", "Observation", "r");
        check("system/Observation.s", "Observation", "s");
        check("system/Observation.rs", "Patient", "");
        check("system/Observation.rs", "ObservationDefinition", "");
        check("system/Observation.rs", "*", "");
        check("system/*.rs system/Observation.c", "Observation", "crs");
        check("system/*.rs system/Observation.c", "Patient", "rs");
        check("system/Observation.r  system/Observation.s", "Observation", "rs");
    }

    #[test]
    fn other_scopes_are_refused() {
        let check = |text: &str, error: ScopeError| assert_eq!(Scopes::parse(text), Err(error), "{text}");
        check("", ScopeError::Empty);
        check("   ", ScopeError::Empty);
        check("patient/Observation.rs", ScopeError::NeedsPerson);
        check("system/Patient.r user/*.*", ScopeError::NeedsPerson);
        check("system/Observation.rs?category=laboratory", ScopeError::Restricted);
        check("system/Observation.rs?", ScopeError::Restricted);
        for unknown in [
            "openid",
            "launch",
            "launch/patient",
            "system/Observation",
            "system/Observation.",
            "system/Observation.sr",
            "system/Observation.rr",
            "system/Observation.rx",
            "system/Observation.READ",
            "system/observation.rs",
            "system/.rs",
            "system/**.rs",
            "system/Observation.rs.rs",
            "System/Observation.rs",
            "system/Obs ervation.rs",
            "system//Observation.rs",
        ] {
            check(unknown, ScopeError::Unknown);
        }
        check(&format!("system/{}.r", "A".repeat(65)), ScopeError::Unknown);
        check(&"system/Patient.r ".repeat(MAX_SCOPE_BYTES / 17 + 1), ScopeError::TooLong);
    }

    #[test]
    fn a_grant_is_what_is_asked_for_and_registered() {
        let check = |asked: &str, registered: &str, granted: &str| {
            let grant = Scopes::parse(asked).unwrap().intersection(&Scopes::parse(registered).unwrap());
            assert_eq!(grant.to_string(), granted, "{asked} of {registered}");
        };
        check("system/*.read", "system/*.read", "system/*.read");
        check("system/*.read", "system/*.rs", "system/*.read");
        check("system/*.*", "system/Observation.rs system/Patient.r", "system/Observation.read system/Patient.r");
        check("system/Observation.rs", "system/*.cruds", "system/Observation.rs");
        check("system/Observation.cruds", "system/*.read", "system/Observation.rs");
        check("system/Observation.write", "system/Observation.c", "system/Observation.c");
        check("system/Observation.rs", "system/Patient.rs", "");
        check("system/Observation.c", "system/Observation.rs", "");
        check("system/Observation.rs", "system/*.r system/Observation.s", "system/Observation.rs");
        check("system/*.s system/Patient.r", "system/Patient.rs", "system/Patient.rs");
    }

    #[test]
    fn a_grant_never_allows_more_than_either_side() {
        let texts = [
            "system/*.*",
            "system/*.read",
            "system/Patient.cruds",
            "system/Patient.r system/*.s",
            "system/Observation.write",
            "system/Group.d",
        ];
        let pairs = texts.iter().flat_map(|a| texts.iter().map(move |b| (a, b)));
        for (asked, registered) in pairs {
            let (asked, registered) = (Scopes::parse(asked).unwrap(), Scopes::parse(registered).unwrap());
            let grant = asked.intersection(&registered);
            for type_name in ["Patient", "Observation", "Group", "Condition"] {
                for interaction in Interaction::ALL {
                    let both = asked.allows(interaction, type_name) && registered.allows(interaction, type_name);
                    assert_eq!(grant.allows(interaction, type_name), both, "{asked} of {registered}: {interaction:?} {type_name}");
                }
            }
        }
    }
}
