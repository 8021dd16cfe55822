//! Records that are named by their business identifier (R4 logical references), looked up in the index.

use super::beside::may_matter;
use crate::consent::{Identifier, Reference};
use crate::definitions::Definitions;
use crate::fhir::types::TypeKind;
use crate::identity::crossref::PatientIdentifiers;
use crate::outcome::Fault;
use crate::search::{Handling, Query};
use crate::store::{Reader, StoredVersion};
use std::sync::OnceLock;

/// The most records that one identifier is taken to mean. Of more nobody can tell whether all may be pointed at.
pub(super) const MAX_MEANT: usize = 8;

/// What a reference means.
pub(super) struct Named {
    pub versions: Vec<StoredVersion>,
    /// Whether there are more than were looked at.
    pub is_more: bool,
}

impl Named {
    pub fn of(version: Option<StoredVersion>) -> Named {
        Named { versions: version.into_iter().collect(), is_more: false }
    }
}

/// The type, empty where none is told, and the search value of a logical reference.
pub(super) fn parts(name: &str) -> Option<(&str, &str)> {
    name.split_once("?identifier=").filter(|(type_name, _)| !type_name.contains('/'))
}

/// The names of the patients that have these identifiers. One without a system names nobody.
pub(super) fn of_patients(identifiers: &[Identifier]) -> Vec<String> {
    let named = identifiers.iter().filter(|identifier| !identifier.system.is_empty());
    named.map(|identifier| Reference::by_identifier("Patient", identifier).as_str().to_owned()).collect()
}

/// An identifier as persons are compared by it.
pub(super) fn of_person(identifier: &Identifier) -> PatientIdentifiers {
    let (system, value) = (identifier.system.to_string(), identifier.value.to_string());
    PatientIdentifiers::from([crate::registry::Identifier { system, value }])
}

/// The current records that a logical reference means.
pub(super) fn find(reader: &Reader<'_>, definitions: &'static Definitions, type_name: &str, token: &str) -> Result<Named, Fault> {
    let mut found = Named { versions: Vec::new(), is_more: false };
    let types = if type_name.is_empty() { identified(definitions) } else { &[type_name.to_owned()][..] };
    for type_name in types {
        let pairs = [("identifier".to_owned(), token.to_owned())];
        let Ok(query) = Query::parse(definitions, type_name, &pairs, Handling::Strict) else { continue };
        let candidates = reader.first_candidates(&query, MAX_MEANT + 1)?;
        found.is_more |= candidates.len() > MAX_MEANT;
        for version in candidates {
            if query.matches(&version.parse()?) {
                found.versions.push(version);
            }
        }
    }
    found.is_more |= found.versions.len() > MAX_MEANT;
    found.versions.truncate(MAX_MEANT);
    Ok(found)
}

/// The types among which a reference that tells none may mean a record.
fn identified(definitions: &'static Definitions) -> &'static [String] {
    static TYPES: OnceLock<Vec<String>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let types = definitions.types();
        let resources = types.types().iter().filter(|definition| definition.kind == TypeKind::Resource && !definition.is_abstract);
        let names = resources.map(|definition| definition.name.as_str()).filter(|name| may_matter(name) && *name != "Patient");
        let pairs = [("identifier".to_owned(), "x".to_owned())];
        names.filter(|name| Query::parse(definitions, name, &pairs, Handling::Strict).is_ok()).map(str::to_owned).collect()
    })
}
