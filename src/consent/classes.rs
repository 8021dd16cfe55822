//! Classes of content: the resource types, profiles and kinds of document that a rule states, against what a record is and what is asked for.

use super::code::Code;
use super::facts::{ResourceFacts, bare_canonical};
use super::matching::{Asked, Held, Match, any};
use super::vocabulary::RESOURCE_TYPES;
use crate::definitions::{Definitions, without_version};
use compact_str::CompactString;

/// What stands before the name in the address of a definition.
const DEFINITION: &str = "StructureDefinition/";
/// What every record is, and what all are but those in [`NOT_OF_DOMAIN`].
const RESOURCE: &str = "Resource";
const DOMAIN_RESOURCE: &str = "DomainResource";
const NOT_OF_DOMAIN: [&str; 3] = ["Binary", "Bundle", "Parameters"];

/// How many steps from a profile to what it is derived from are followed.
const MAX_DERIVED: usize = 16;

impl ResourceFacts {
    /// Adds what the profiles that it says it conforms to are derived from.
    pub fn add_bases(&mut self, definitions: &'static Definitions) {
        self.definitions = Some(definitions);
        let base_of = |url: &CompactString| definitions.structure(url)?.base.as_deref().map(bare_canonical);
        let mut next: Vec<CompactString> = self.profiles.iter().filter_map(base_of).collect();
        for _ in 0..MAX_DERIVED {
            next.retain(|base| !self.bases.contains(base));
            let behind = next.iter().filter_map(base_of).collect();
            self.bases.extend(std::mem::replace(&mut next, behind));
        }
    }
}

/// Classes name resource types, profiles and kinds of document.
pub(super) fn test_classes(stated: &[Code], asked: &Asked<'_>) -> Held {
    match asked.facts {
        Some(facts) => any(stated, |class| test_record(class, facts)),
        None if asked.request.classes.is_empty() => Held::DEFERRED,
        None => any(stated, |class| any(&asked.request.classes, |asked| test_class(class, asked))),
    }
}

fn test_record(class: &Code, facts: &ResourceFacts) -> Held {
    let is_type = class.code == facts.type_name && class.system == RESOURCE_TYPES;
    let holds = is_type || facts.profiles.contains(&class.code) || facts.main_codes.contains(class);
    let conforms = || facts.profiles.iter().chain(&facts.bases).any(|profile| profile == without_version(&class.code));
    let denies = holds || covers_type(class, &facts.type_name) || facts.all_codes.contains(class) || conforms();
    let is_doubtful = || facts.all_codes.iter().any(|own| class.may_be(own));
    let deny = if denies {
        Match::Yes
    } else if is_doubtful() {
        Match::Unknown
    } else {
        Match::No
    };
    Held { permit: holds.into(), deny }
}

/// A class that a rule states and one that is asked for. Types are of one system and say nothing of what another names: only the resource does.
fn test_class(stated: &Code, asked: &Code) -> Held {
    let are_told = stated.tells_system() && asked.tells_system();
    match stated == asked {
        true if !stated.system.is_empty() => Held::both(true),
        _ if stated.code == asked.code && !are_told => Held::UNKNOWN,
        _ if asked.system == RESOURCE_TYPES && covers_type(stated, &asked.code) => Held { permit: Match::No, deny: Match::Yes },
        _ if stated.system == asked.system => Held::both(false),
        _ => Held { permit: Match::No, deny: Match::Deferred },
    }
}

/// Kinds of document. A request that names only types says nothing of them yet.
pub(super) fn test_documents(stated: &[Code], asked: &Asked<'_>) -> Held {
    match asked.facts {
        Some(_) => test_classes(stated, asked),
        None if asked.request.classes.iter().any(|class| stated.contains(class)) => Held::both(true),
        None => Held::DEFERRED,
    }
}

/// Whether a class names a type, or what all of that type are: by the name or by the address of its definition.
fn covers_type(class: &Code, type_name: &str) -> bool {
    match named_type(class) {
        RESOURCE => true,
        DOMAIN_RESOURCE => !NOT_OF_DOMAIN.contains(&type_name),
        name => name.eq_ignore_ascii_case(type_name),
    }
}

/// Whether a class names no single type, but what many are.
pub(super) fn is_base_type(class: &Code) -> bool {
    matches!(named_type(class), RESOURCE | DOMAIN_RESOURCE)
}

fn named_type(class: &Code) -> &str {
    let written = class.code.split('|').next().unwrap_or_default().trim_end_matches('/');
    written.rsplit_once(DEFINITION).map_or(written, |(_, name)| name)
}
