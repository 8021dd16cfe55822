//! What those who ask are part of, by the records of their organisations: what is denied to a hospital is denied to its departments, whichever of them
//! the consent names.

use crate::consent::{Party, Reference};
use crate::definitions::Definitions;
use crate::outcome::Fault;
use crate::pipeline::Affiliations;
use crate::query::named::{self, Reading};
use crate::store::{Reader, StoredVersion};
use std::collections::BTreeSet;

const TYPE_NAME: &str = "Organization";
/// The most records that are looked at for those who ask together.
const MAX_RECORDS: usize = 64;
/// The most older versions of each that are.
const MAX_VERSIONS: u32 = 200;

/// The names by which the organisations that ask may be found: references, and their identifiers as they are searched for.
pub(super) fn names_of<'p>(parties: impl Iterator<Item = &'p Party>) -> Vec<String> {
    let names = parties.flat_map(|party| {
        let literal = party.references.iter().filter(|reference| reference.type_name() == Some(TYPE_NAME)).cloned();
        let logical = party.identifiers.iter().filter(|known| !known.system.is_empty());
        literal.chain(logical.map(|identifier| Reference::by_identifier(TYPE_NAME, identifier)))
    });
    names.filter_map(|name| crate::query::beside::name_of(&name)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Their records, and those of what they are, or were, part of. `None` where there are more than are looked at: nobody can tell then what they are part of.
pub(super) fn find(reader: &Reader<'_>, definitions: &'static Definitions, asking: &[String]) -> Result<Affiliations, Fault> {
    let mut found = BTreeSet::new();
    let mut open = asking.to_vec();
    while let Some(name) = open.pop() {
        let records = look_up(reader, definitions, &name)?;
        for record in records.iter().flatten() {
            if found.insert((record.type_name.clone(), record.id.clone())) {
                open.extend(wholes_of(reader, record)?);
            }
        }
        if records.is_none() || found.len() > MAX_RECORDS {
            tracing::warn!("an organisation that asks has too many records: any denial to an organisation holds for it");
            metrics::counter!("hearthgate_affiliations_unknown_total").increment(1);
            return Ok(None);
        }
    }
    Ok(Some(found.into_iter().collect()))
}

/// What an organisation is part of, or was in one of its latest versions.
fn wholes_of(reader: &Reader<'_>, newest: &StoredVersion) -> Result<Vec<String>, Fault> {
    let mut wholes = Vec::new();
    for number in newest.version.saturating_sub(MAX_VERSIONS).max(1)..=newest.version {
        let Some(version) = reader.version(TYPE_NAME, &newest.id, number)?.filter(|version| !version.deleted()) else { continue };
        let record = version.parse()?;
        let names = record.get("partOf").into_iter().flat_map(Reference::names_in);
        wholes.extend(names.filter_map(|name| crate::query::beside::name_of(&name)));
    }
    wholes.sort_unstable();
    wholes.dedup();
    Ok(wholes)
}

/// The records of this name, also those that had it once; `None` for more than are looked at.
fn look_up(reader: &Reader<'_>, definitions: &'static Definitions, name: &str) -> Result<Option<Vec<StoredVersion>>, Fault> {
    match (named::parts(name), name.split_once('/')) {
        (Some((_, token)), _) => {
            let found = named::bearers(&Reading::of(reader), definitions, TYPE_NAME, token)?;
            Ok((!found.is_more).then(|| found.versions.into_iter().chain(found.once).collect()))
        }
        (None, Some((TYPE_NAME, id))) => Ok(Some(reader.current(TYPE_NAME, id)?.into_iter().collect())),
        (None, _) => Ok(Some(Vec::new())),
    }
}
