//! What is named by a record that is stored here, or by one that it leads to, and is not here: a system that sends some of its records may be asked for the others.
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
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// A record, and a stored one, itself or one that it leads to, that names what is not here.
struct Lead<'c> {
    candidate: Cow<'c, Candidate>,
    carrier: Cow<'c, Candidate>,
    names: Vec<String>,
    by: By,
}

/// By what a record leads to another.
enum By {
    /// It is the other.
    Itself,
    Settings,
    Doers,
}

/// How holders spell what records name, by the holder.
type SpelledThere = HashMap<String, Spelled>;

impl QueryPath {
    /// What stored records name that is not here and lies at holders, where something turns on it: candidates, what these refer to, and what lies between
    /// them and where they took place. Each with the record that turns on it.
    pub(super) async fn there_of_stored<'c>(
        &self,
        judge: &Judge,
        candidates: &'c [Candidate],
    ) -> Result<Vec<(Cow<'c, Candidate>, There)>, Fault> {
        if self.pipeline.registry.holders().is_empty() || !judge.lacks_any() {
            return Ok(Vec::new());
        }
        let leads = leads(judge, candidates);
        let mut found = Vec::new();
        for (lead, spelled_there) in self.spelled_there(leads).await? {
            for (name, spelled) in spelled_there {
                let Some(holder) = self.pipeline.registry.holder(&name) else { continue };
                let links = self.links_to(holder, &crate::pipeline::patient_ids(&lead.candidate.resource)).await?;
                let there = There::of(&lead.carrier.resource, &name, &spelled, &links).and_then(|there| there.of_known(&spelled));
                let there = there.and_then(|there| match lead.by {
                    By::Itself => Some(there),
                    By::Settings => there.of_settings(),
                    By::Doers => there.behind_doers(),
                });
                found.extend(there.map(|there| (lead.candidate.clone(), there)));
            }
        }
        Ok(found)
    }

    /// At which holders what is not here can be asked for, and how, for each record that leads to it.
    async fn spelled_there<'c>(&self, leads: Vec<Lead<'c>>) -> Result<Vec<(Lead<'c>, SpelledThere)>, Fault> {
        if leads.is_empty() {
            return Ok(Vec::new());
        }
        let path = self.clone();
        let asked = |lead: &Lead<'_>| {
            let Candidate { resource, source, version, .. } = lead.carrier.as_ref();
            (super::reference(resource), source.clone(), *version, lead.names.clone())
        };
        let asked: Vec<_> = leads.iter().map(asked).collect();
        let reading = self.pipeline.store.read(move |reader| {
            let spelled = asked.into_iter().map(|(reference, source, version, names)| {
                let mut found = path.shown_before(reader, &names)?;
                let known: BTreeSet<String> = found.values().flat_map(HashMap::keys).cloned().collect();
                let rest: Vec<&String> = names.iter().filter(|name| !known.contains(*name)).collect();
                if !rest.is_empty()
                    && let (Some(reference), Some(version), Some(holder)) = (reference, version, path.holder_of(&source))
                {
                    let spelled = path.spelled_as_received(reader, &source, &reference, version)?;
                    let meant: Spelled = spelled.into_iter().filter(|(name, _)| rest.contains(&name)).collect();
                    if !meant.is_empty() {
                        found.entry(holder.name.clone()).or_default().extend(meant);
                    }
                }
                Ok(found)
            });
            spelled.collect::<Result<Vec<SpelledThere>, Fault>>()
        });
        Ok(leads.into_iter().zip(reading.await?).collect())
    }

    /// The ids of what was shown to somebody once, by the holder that has it.
    fn shown_before(&self, reader: &Reader<'_>, names: &[String]) -> Result<SpelledThere, Fault> {
        let mut found = SpelledThere::new();
        for name in names {
            let Some((type_name, id)) = name.split_once('/') else { continue };
            let held = reader.elsewhere(type_name, id)?.into_iter().find(|(holder, _)| self.pipeline.registry.holder(holder).is_some());
            if let Some((holder, remote)) = held {
                found.entry(holder).or_default().insert(name.clone(), Some((type_name.to_owned(), remote)));
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

/// The ways from candidates, and from what these refer to, to what is not here, as far as something turns on it.
fn leads<'c>(judge: &Judge, candidates: &'c [Candidate]) -> Vec<Lead<'c>> {
    let mut leads = Vec::new();
    for candidate in candidates {
        leads.extend(own_lead(judge, Cow::Borrowed(candidate), Some));
        let behind = judge.lacking_behind(candidate);
        if !behind.is_empty() && judge.turns_on_setting(candidate) {
            leads.extend(behind.into_iter().map(|lacking| lead(&Cow::Borrowed(candidate), lacking, By::Settings)));
        }
        let behind = judge.lacking_behind_doers(candidate);
        if !behind.is_empty() && judge.turns_on_doers(candidate) {
            leads.extend(behind.into_iter().map(|lacking| lead(&Cow::Borrowed(candidate), lacking, By::Doers)));
        }
    }
    // Whoever did something in what is only referred to is not named by that.
    for referred in judge.referred_to() {
        let behind = judge.lacking_behind(referred);
        let own = own_lead(judge, Cow::Owned(referred.clone()), There::of_settings);
        let turns = !behind.is_empty() && (own.is_some() || judge.turns_on_setting(referred));
        leads.extend(own);
        if turns {
            leads.extend(behind.into_iter().map(|lacking| lead(&Cow::Owned(referred.clone()), lacking, By::Settings)));
        }
    }
    leads
}

fn lead<'c>(candidate: &Cow<'c, Candidate>, (carrier, names): (&Candidate, Vec<String>), by: By) -> Lead<'c> {
    Lead { candidate: candidate.clone(), carrier: Cow::Owned(carrier.clone()), names, by }
}

/// What a stored record itself names that is not here.
fn own_lead<'c>(judge: &Judge, candidate: Cow<'c, Candidate>, part: impl FnOnce(There) -> Option<There>) -> Option<Lead<'c>> {
    let stored = Some(&candidate).filter(|candidate| candidate.elsewhere.is_none())?;
    let there = There::of(&stored.resource, &stored.source, &Spelled::new(), &Links::new()).and_then(part)?;
    let names = there.not_here(judge, stored);
    let by = By::Itself;
    (!names.is_empty()).then(|| Lead { carrier: candidate.clone(), candidate, names, by })
}
