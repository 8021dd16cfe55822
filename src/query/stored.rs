//! What a record that is stored here names and is not here: a system that sends some of its records may be asked for the others.
//!
//! A name is the gateway's. Under which id its holder has the record is known where it was shown before, or told by the bytes the record came in. Of
//! what no holder can be asked for nothing is known, and the record goes by what is here.

use super::settings::{Spelled, There, spelled};
use super::{Candidate, Judge, QueryPath};
use crate::fhir::Node;
use crate::normalise::Links;
use crate::outcome::Fault;
use crate::registry::Holder;
use crate::store::Reader;
use std::collections::{BTreeSet, HashMap};

/// A stored candidate that names what is not here.
struct Lacking<'c> {
    candidate: &'c Candidate,
    names: Vec<String>,
}

/// How holders spell what records name, by the holder.
type SpelledThere = HashMap<String, Spelled>;

impl QueryPath {
    /// What stored candidates name that is not here and lies at holders, where something turns on it.
    pub(super) async fn there_of_stored<'c>(
        &self,
        judge: &Judge,
        candidates: &'c [Candidate],
    ) -> Result<Vec<(&'c Candidate, There)>, Fault> {
        if self.pipeline.registry.holders().is_empty() || !judge.lacks_any() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for lacking in candidates.iter().filter(|candidate| candidate.elsewhere.is_none()).filter_map(|candidate| lacking(judge, candidate))
        {
            let candidate = lacking.candidate;
            for (name, spelled) in self.spelled_there(lacking).await? {
                let Some(holder) = self.pipeline.registry.holder(&name).filter(|_| !spelled.is_empty()) else { continue };
                let links = self.links_to(holder, &crate::pipeline::patient_ids(&candidate.resource)).await?;
                found.extend(There::of(&candidate.resource, &name, &spelled, &links).map(|there| (candidate, there.that_can_be_asked())));
            }
        }
        Ok(found)
    }

    /// At which holders what a stored record names can be asked for, and how.
    async fn spelled_there(&self, lacking: Lacking<'_>) -> Result<SpelledThere, Fault> {
        let (path, names, candidate) = (self.clone(), lacking.names, lacking.candidate);
        let (source, version) = (candidate.source.clone(), candidate.version);
        let reference = super::reference(&candidate.resource);
        let reading = self.pipeline.store.read(move |reader| {
            let mut found = path.shown_before(reader, &names)?;
            let known: BTreeSet<String> = found.values().flat_map(HashMap::keys).cloned().collect();
            let rest: Vec<&String> = names.iter().filter(|name| !known.contains(*name)).collect();
            if !rest.is_empty()
                && let (Some(reference), Some(version), Some(holder)) = (reference, version, path.holder_of(&source))
            {
                let spelled = path.spelled_as_received(reader, &source, &reference, version)?;
                let meant = spelled.into_iter().filter(|(name, _)| rest.contains(&name));
                found.entry(holder.name.clone()).or_default().extend(meant);
            }
            Ok(found)
        });
        reading.await
    }

    /// The ids of what was shown to somebody once, by the holder that has it.
    fn shown_before(&self, reader: &Reader<'_>, names: &[String]) -> Result<SpelledThere, Fault> {
        let mut found = SpelledThere::new();
        for name in names {
            let Some((type_name, id)) = name.split_once('/') else { continue };
            let held = reader.elsewhere(type_name, id)?.into_iter().find(|(holder, _)| self.pipeline.registry.holder(holder).is_some());
            if let Some((holder, remote)) = held {
                found.entry(holder).or_default().insert(name.clone(), (type_name.to_owned(), remote));
            }
        }
        Ok(found)
    }

    /// The holder whose records are those of a source.
    fn holder_of(&self, source: &str) -> Option<&Holder> {
        let registry = &self.pipeline.registry;
        registry.holders().iter().find(|holder| registry.source_of_holder(holder).is_some_and(|(name, _)| name == source))
    }

    /// How what a record came in spells what it names.
    fn spelled_as_received(&self, reader: &Reader<'_>, source: &str, reference: &str, version: u32) -> Result<Spelled, Fault> {
        let Some((type_name, id)) = reference.split_once('/') else { return Ok(Spelled::new()) };
        let raw = reader.version(type_name, id, version)?.and_then(|version| version.raw);
        let Some(document) = raw.map(|raw| self.pipeline.received(reader, raw)).transpose()?.flatten() else { return Ok(Spelled::new()) };
        let inside = document.items("entry").iter().filter_map(|entry| entry.get("resource"));
        let ours = |type_name: &str, remote: &str| self.pipeline.ids.id(source, type_name, remote);
        Ok(inside.chain([&document]).flat_map(|resource: &Node| spelled(resource, ours)).collect())
    }
}

fn lacking<'c>(judge: &Judge, candidate: &'c Candidate) -> Option<Lacking<'c>> {
    let there = There::of(&candidate.resource, &candidate.source, &Spelled::new(), &Links::new())?;
    let names = there.lacking(judge, candidate);
    (!names.is_empty()).then_some(Lacking { candidate, names })
}
