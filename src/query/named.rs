//! Records that are named by their business identifier (R4 logical references), looked up in the index.

mod reading;

use super::beside::may_matter;
use crate::consent::{Identifier, Reference, is_nobodys};
use crate::definitions::Definitions;
use crate::fhir::types::TypeKind;
use crate::identity::crossref::PatientIdentifiers;
use crate::normalise::vocabulary::SOURCE_URN;
use crate::outcome::Fault;
use crate::search::{Handling, Query, value_keys};
use crate::store::StoredVersion;
pub(super) use reading::Reading;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The most records of somebody that one identifier is taken to mean. Of more nobody can tell whether all may be pointed at.
pub(super) const MAX_MEANT: usize = 8;
/// The most records looked at that are indexed under an identifier's value: of any type, as whatever, and where there are more, of each type. So many
/// places and definitions, which are nobody's, may be meant by one name: every partner may have its copy of the same hospital.
const MAX_ALIKE: usize = 64;

/// Between a type and the URL that a publisher gave to a definition.
const BY_URL: &str = "?url=";

/// What a reference means.
#[derive(Default)]
pub(super) struct Named {
    pub versions: Vec<StoredVersion>,
    /// The newest versions, deletions too, of records that bore the identifier once.
    pub once: Vec<StoredVersion>,
    /// Whether there are more than were looked at.
    pub is_more: bool,
}

impl Named {
    pub fn of(version: Option<StoredVersion>) -> Named {
        Named { versions: version.into_iter().collect(), ..Named::default() }
    }

    /// No more of either than a name may mean.
    fn bounded(mut self) -> Named {
        for versions in [&mut self.versions, &mut self.once] {
            let (mut nobodys, mut others) = (0, 0);
            let before = versions.len();
            versions.retain(|version| {
                let (count, most) = if is_nobodys(&version.type_name) { (&mut nobodys, MAX_ALIKE) } else { (&mut others, MAX_MEANT) };
                *count += 1;
                *count <= most
            });
            self.is_more |= versions.len() < before;
        }
        self
    }
}

/// The type, empty where none is told, and the search value of a logical reference.
pub(super) fn parts(name: &str) -> Option<(&str, &str)> {
    name.split_once("?identifier=").filter(|(type_name, _)| !type_name.contains('/'))
}

/// The name of what a publisher named by a URL.
pub(super) fn by_url((type_name, url): (&str, &str)) -> String {
    format!("{type_name}{BY_URL}{url}")
}

/// The type and the URL in such a name.
pub(super) fn url_in(name: &str) -> Option<(&str, &str)> {
    name.split_once(BY_URL).filter(|(type_name, _)| !type_name.contains(['/', '?']))
}

/// Whether a name is `Type/id`, by which a record may be asked for where it lies.
pub(super) fn is_literal(name: &str) -> bool {
    parts(name).is_none() && url_in(name).is_none()
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

/// The records that a logical reference means, and those it may have meant once.
pub(super) fn find(reading: &Reading<'_, '_>, definitions: &'static Definitions, type_name: &str, token: &str) -> Result<Named, Fault> {
    let tokens = alternatives(token);
    let mut found = Named::default();
    let alike = if type_name.is_empty() { anywhere(reading, definitions, token, &tokens)? } else { None };
    let types = if type_name.is_empty() { identified(definitions) } else { &[type_name.to_owned()][..] };
    match alike {
        Some(versions) => found.versions = versions,
        None => types.iter().try_for_each(|type_name| of_type(reading, definitions, type_name, &tokens, &mut found))?,
    }
    bearers_of_before(reading, definitions, (type_name, token), &tokens, &mut found)?;
    Ok(found.bounded())
}

/// Records that bore the identifier once: what says so is an older version. Of persons the newest alone says who they are.
fn bearers_of_before(
    reading: &Reading<'_, '_>,
    definitions: &'static Definitions,
    (type_name, token): (&str, &str),
    tokens: &str,
    found: &mut Named,
) -> Result<(), Fault> {
    let bearers = match type_name {
        "Patient" => return Ok(()),
        "" => values_in(token).try_fold(Vec::new(), |mut bearers, keys| {
            bearers.extend(reading.reader.former_bearers_between(keys, MAX_ALIKE + 1)?);
            Ok::<_, Fault>(bearers)
        })?,
        _ => {
            let former = |query| reading.reader.former_bearers(&query, MAX_ALIKE + 1);
            query(definitions, type_name, tokens).map(former).transpose()?.unwrap_or_default()
        }
    };
    found.is_more |= bearers.len() > MAX_ALIKE;
    for read in reading.at(bearers)? {
        let bearer = &read.version;
        let is_known = |known: &StoredVersion| known.type_name == bearer.type_name && known.id == bearer.id;
        let is_sought = may_matter(&bearer.type_name) && bearer.type_name != "Patient";
        if !is_sought || found.versions.iter().chain(&found.once).any(is_known) {
            continue;
        }
        let Some(query) = query(definitions, &bearer.type_name, tokens) else { continue };
        if query.matches(&read.resource) {
            found.once.extend(reading.reader.current(&bearer.type_name, &bearer.id)?);
        }
    }
    Ok(())
}

/// The definitions of a type that are published under a URL.
pub(super) fn published(reading: &Reading<'_, '_>, definitions: &'static Definitions, type_name: &str, url: &str) -> Result<Named, Fault> {
    let escaped = url.replace('\\', "\\\\").replace(',', "\\,").replace('$', "\\$").replace('|', "\\|");
    let query = Query::parse(definitions, type_name, &[("url".to_owned(), escaped)], Handling::Strict).ok();
    let mut found = Named::default();
    query.map_or(Ok(()), |query| looked_for(reading, &query, &mut found))?;
    Ok(found.bounded())
}

/// The current records of a type that bear an identifier, and those that bore it once.
pub(super) fn bearers(reading: &Reading<'_, '_>, definitions: &'static Definitions, type_name: &str, token: &str) -> Result<Named, Fault> {
    let mut found = Named::default();
    let tokens = alternatives(token);
    of_type(reading, definitions, type_name, &tokens, &mut found)?;
    bearers_of_before(reading, definitions, (type_name, token), &tokens, &mut found)?;
    Ok(found)
}

fn of_type(
    reading: &Reading<'_, '_>,
    definitions: &'static Definitions,
    type_name: &str,
    tokens: &str,
    found: &mut Named,
) -> Result<(), Fault> {
    query(definitions, type_name, tokens).map_or(Ok(()), |query| looked_for(reading, &query, found))
}

fn looked_for(reading: &Reading<'_, '_>, query: &Query, found: &mut Named) -> Result<(), Fault> {
    let candidates = reading.reader.first_places(query, MAX_ALIKE + 1)?;
    found.is_more |= candidates.len() > MAX_ALIKE;
    let read = reading.at(candidates)?;
    found.versions.extend(read.iter().filter(|read| query.matches(&read.resource)).map(|read| read.version.clone()));
    Ok(())
}

/// Records of any type, by one look at all that is indexed under the value; `None` where that is too much to be looked at.
fn anywhere(
    reading: &Reading<'_, '_>,
    definitions: &'static Definitions,
    token: &str,
    tokens: &str,
) -> Result<Option<Vec<StoredVersion>>, Fault> {
    let mut queries: HashMap<String, Option<Query>> = HashMap::new();
    let mut found = Vec::new();
    for keys in values_in(token) {
        let alike = reading.reader.indexed_under_any(keys, MAX_ALIKE + 1)?;
        if alike.len() > MAX_ALIKE {
            return Ok(None);
        }
        for read in reading.at(alike)? {
            let version = &read.version;
            let is_meant = identified(definitions).contains(&version.type_name)
                && !version.deleted()
                && !found.iter().any(|known: &StoredVersion| known.type_name == version.type_name && known.id == version.id);
            let known = queries.entry(version.type_name.clone());
            let query = known.or_insert_with_key(|type_name| query(definitions, type_name, tokens)).as_ref();
            if is_meant && query.is_some_and(|query| query.matches(&read.resource)) {
                found.push(version.clone());
            }
        }
    }
    Ok(Some(found))
}

fn query(definitions: &'static Definitions, type_name: &str, tokens: &str) -> Option<Query> {
    Query::parse(definitions, type_name, &[("identifier".to_owned(), tokens.to_owned())], Handling::Strict).ok()
}

/// A search value with every form in which its namespace may be written. A system that the gateway gave to what came without one says nothing of
/// which is meant: any may be.
fn alternatives(token: &str) -> String {
    let Some((system, value)) = split(token) else { return values(token).join(",") };
    if system.starts_with(SOURCE_URN) {
        return values(value).join(",");
    }
    let written = values(value);
    let forms = systems(system).into_iter().flat_map(|system| written.iter().map(move |value| format!("{system}|{value}")));
    forms.collect::<Vec<_>>().join(",")
}

/// The forms of a namespace, first the one that is given.
fn systems(system: &str) -> Vec<String> {
    let bare = system.trim_end_matches('/');
    let forms = uuids(bare).unwrap_or_else(|| vec![bare.to_owned(), format!("{bare}/")]);
    std::iter::once(system.to_owned()).chain(forms.into_iter().filter(|form| form != system)).collect()
}

/// The forms of an identifier's value, first the one that is given.
fn values(value: &str) -> Vec<String> {
    let forms = uuids(value).unwrap_or_default();
    std::iter::once(value.to_owned()).chain(forms.into_iter().filter(|form| form != value)).collect()
}

/// The keys between which anything is indexed under the value of a search value.
fn values_in(token: &str) -> impl Iterator<Item = (i64, i64)> {
    values(split(token).map_or(token, |(_, value)| value)).into_iter().flat_map(|value| value_keys(&unescaped(&value)))
}

/// The forms of a UUID, whose letters are the same in both cases (RFC 4122 §3); `None` for anything else.
fn uuids(text: &str) -> Option<Vec<String>> {
    let (scheme, uuid) = text.split_at_checked(9)?;
    let is_uuid = scheme.eq_ignore_ascii_case("urn:uuid:");
    is_uuid.then(|| vec![format!("urn:uuid:{}", uuid.to_ascii_lowercase()), format!("urn:uuid:{}", uuid.to_ascii_uppercase())])
}

/// The system and the value of a search value, still escaped.
fn split(token: &str) -> Option<(&str, &str)> {
    let is_plain = |at: usize| token.get(..at).is_some_and(|before| (before.len() - before.trim_end_matches('\\').len()).is_multiple_of(2));
    let at = token.match_indices('|').map(|(at, _)| at).find(|at| is_plain(*at))?;
    token.split_at_checked(at).and_then(|(system, rest)| Some((system, rest.strip_prefix('|')?)))
}

/// A part of a search value as it is meant.
fn unescaped(value: &str) -> String {
    let mut letters = value.chars();
    let mut plain = String::with_capacity(value.len());
    while let Some(letter) = letters.next() {
        plain.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    plain
}

/// The types among which a reference that tells none may mean a record.
fn identified(definitions: &'static Definitions) -> &'static [String] {
    static TYPES: OnceLock<Vec<String>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let types = definitions.types();
        let resources = types.types().iter().filter(|definition| definition.kind == TypeKind::Resource && !definition.is_abstract);
        let names = resources.map(|definition| definition.name.as_str()).filter(|name| may_matter(name) && *name != "Patient");
        names.filter(|name| query(definitions, name, "x").is_some()).map(str::to_owned).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_sought_in_every_form() {
        for (token, expected) in [
            ("urn:x:ids|1", "urn:x:ids|1,urn:x:ids/|1"),
            ("http://x.example/ids/|1", "http://x.example/ids/|1,http://x.example/ids|1"),
            ("urn:uuid:0A|1", "urn:uuid:0A|1,urn:uuid:0a|1"),
            ("s/|URN:UUID:0a", "s/|URN:UUID:0a,s/|urn:uuid:0a,s/|urn:uuid:0A,s|URN:UUID:0a,s|urn:uuid:0a,s|urn:uuid:0A"),
            ("urn:uuid:0a", "urn:uuid:0a,urn:uuid:0A"),
            ("urn:hearthgate:source:a:identifier|a\\|1", "a\\|1"),
            ("a\\|1", "a\\|1"),
            ("s\\|t|1", "s\\|t|1,s\\|t/|1"),
            ("1", "1"),
        ] {
            assert_eq!(alternatives(token), expected);
        }
        assert_eq!(unescaped("a\\|b\\\\c"), "a|b\\c");
    }
}
