//! What those who ask are part of, by the records of their organisations: what is denied to a hospital is denied to its departments, whichever of them
//! the consent names.

use crate::consent::{Party, Reference};
use crate::definitions::Definitions;
use crate::outcome::Fault;
use crate::pipeline::Affiliations;
use crate::query::named;
use crate::store::{Reader, StoredVersion};
use std::collections::BTreeSet;

const TYPE_NAME: &str = "Organization";
/// The most records that are looked at for those who ask together.
const MAX_RECORDS: usize = 64;

/// The names by which the organisations that ask may be found: references, and their identifiers as they are searched for.
pub(super) fn names_of<'p>(parties: impl Iterator<Item = &'p Party>) -> Vec<String> {
    let names = parties.flat_map(|party| {
        let literal = party.references.iter().filter(|reference| reference.type_name() == Some(TYPE_NAME)).cloned();
        let logical = party.identifiers.iter().filter(|known| !known.system.is_empty());
        literal.chain(logical.map(|identifier| Reference::by_identifier(TYPE_NAME, identifier)))
    });
    names.filter_map(|name| crate::query::beside::name_of(&name)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Their records, and those of what they are part of.
pub(super) fn find(reader: &Reader<'_>, definitions: &'static Definitions, asking: &[String]) -> Result<Affiliations, Fault> {
    let mut found = BTreeSet::new();
    let mut open = asking.to_vec();
    while let Some(name) = open.pop() {
        let Some(records) = look_up(reader, definitions, &name)? else { return Ok(None) };
        for record in records {
            if found.insert((record.type_name.clone(), record.id.clone())) {
                let record = record.parse()?;
                let names = record.get("partOf").into_iter().flat_map(Reference::names_in);
                open.extend(names.filter_map(|name| crate::query::beside::name_of(&name)));
            }
        }
        if found.len() > MAX_RECORDS {
            return Ok(None);
        }
    }
    Ok(Some(found.into_iter().collect()))
}

/// The records of this name; `None` for more than are looked at.
fn look_up(reader: &Reader<'_>, definitions: &'static Definitions, name: &str) -> Result<Option<Vec<StoredVersion>>, Fault> {
    match (named::parts(name), name.split_once('/')) {
        (Some((_, token)), _) => {
            named::bearers(reader, definitions, TYPE_NAME, token).map(|found| (!found.is_more).then_some(found.versions))
        }
        (None, Some((TYPE_NAME, id))) => Ok(Some(reader.current(TYPE_NAME, id)?.filter(|one| !one.deleted()).into_iter().collect())),
        (None, _) => Ok(Some(Vec::new())),
    }
}
