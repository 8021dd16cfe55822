//! What those who ask are part of, by the records of their organisations: what is denied to a hospital is denied to its departments, whichever of them
//! the consent names.

use crate::consent::{Party, Reference};
use crate::definitions::Definitions;
use crate::outcome::Fault;
use crate::pipeline::{Affiliated, Affiliations};
use crate::query::named::{self, Reading};
use crate::store::{Reader, StoredVersion};
use std::collections::BTreeSet;
use std::sync::Arc;

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

/// Their records, and those of what they are, or were, part of.
pub(super) fn find(reader: &Reader<'_>, definitions: &'static Definitions, asking: &[String]) -> Result<Affiliations, Fault> {
    let mut search = Search { reader, definitions, found: BTreeSet::new(), open: Vec::new(), is_unknown: false };
    let own = search.records_of(asking)?;
    let mut wholes = Vec::new();
    while !search.open.is_empty() && !search.is_beyond() {
        let open = std::mem::take(&mut search.open);
        wholes.extend(search.records_of(&open)?);
    }
    Ok(Arc::new(match search.is_beyond() {
        true => Affiliated { is_unknown: true, ..Affiliated::default() },
        false => Affiliated { own, wholes, is_unknown: search.is_unknown },
    }))
}

/// The same for whoever asks; that it is not known what they are part of is said to the operator.
pub(super) fn find_of_asking(reader: &Reader<'_>, definitions: &'static Definitions, asking: &[String]) -> Result<Affiliations, Fault> {
    let found = find(reader, definitions, asking)?;
    if found.is_unknown {
        tracing::warn!("what an organisation that asks is part of is not known: any denial to an organisation holds for it");
        metrics::counter!("hearthgate_affiliations_unknown_total").increment(1);
    }
    Ok(found)
}

struct Search<'r> {
    reader: &'r Reader<'r>,
    definitions: &'static Definitions,
    found: BTreeSet<(String, String)>,
    /// What those that were found are part of, or were.
    open: Vec<String>,
    /// Whether something of that is not here: it may have been part of anything.
    is_unknown: bool,
}

impl Search<'_> {
    fn is_beyond(&self) -> bool {
        self.found.len() > MAX_RECORDS
    }

    /// The records of these names that were not found before.
    fn records_of(&mut self, names: &[String]) -> Result<Vec<(String, String)>, Fault> {
        let is_of_wholes = !self.found.is_empty();
        let mut new = Vec::new();
        for name in names {
            let Some(records) = look_up(self.reader, self.definitions, name)? else {
                self.is_unknown = true;
                continue;
            };
            self.is_unknown |= is_of_wholes && records.is_empty();
            for record in records {
                let key = (record.type_name.clone(), record.id.clone());
                if !self.is_beyond() && self.found.insert(key.clone()) {
                    self.open.extend(wholes_of(self.reader, &record)?);
                    new.push(key);
                }
            }
        }
        Ok(new)
    }
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
