//! The setting of a holder's record: the encounter, place or product that it names and that lies there alone is asked for there, before the record is
//! ruled on.
//!
//! Nothing is asked where nothing turns on the answer, and nothing is kept beyond the request. A setting of which nothing could be learnt is an
//! unknown one: what took place in it is decided as if it told the worst.

use super::beside::{SETTING_STEPS, name_of};
use super::{Candidate, Judge, QueryPath, reference};
use crate::consent::{PatientReference, named_settings, patients_of};
use crate::fhir::{Node, is_id};
use crate::forward::Capabilities;
use crate::normalise::Links;
use crate::outcome::Fault;
use crate::registry::Holder;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap};

/// The most settings that holders are asked for, for one answer. Further ones stay unknown.
pub(super) const MAX_SETTINGS: usize = 200;
/// How many settings are asked for in one search.
const BATCH: usize = 50;
/// How many questions about settings one holder is asked at once.
const ASKED_AT_ONCE: usize = 8;

/// By the gateway's name of it, the type and id that a holder has for what a record of its refers to.
type Spelled = HashMap<String, (String, String)>;

/// What a holder's record names as its settings, and how its patients are linked.
#[derive(Clone)]
pub(crate) struct There {
    settings: Vec<Setting>,
    links: Links,
}

/// One setting as a record names it.
#[derive(Clone)]
struct Setting {
    /// The gateway's names for it: literally, and by identifier.
    names: Vec<String>,
    /// Type and id by which the holder can be asked for it.
    remote: Option<(String, String)>,
}

/// How a record, as its holder sent it, spells its settings. `ours` makes the gateway's id of the holder's.
pub(super) fn spelled(resource: &Node, ours: impl Fn(&str, &str) -> String) -> Spelled {
    let mut spelled = Spelled::new();
    for (type_name, remote) in named_settings(resource).filter_map(|named| Some(parts(named.literal?.relative()?))).flatten() {
        spelled.insert(format!("{type_name}/{}", ours(&type_name, &remote)), (type_name, remote));
    }
    spelled
}

fn parts(literal: &str) -> Option<(String, String)> {
    let (type_name, id) = literal.split_once('/')?;
    is_id(id).then(|| (type_name.to_owned(), id.to_owned()))
}

impl There {
    /// What the same record names in the gateway's form; `None` where it names no setting.
    pub(super) fn of(resource: &Node, spelled: &Spelled, links: &Links) -> Option<There> {
        let settings: Vec<Setting> = named_settings(resource)
            .map(|named| {
                let names: Vec<String> = [named.literal, named.logical].iter().flatten().filter_map(name_of).collect();
                let remote = names.first().and_then(|name| spelled.get(name)).cloned();
                Setting { names, remote }
            })
            .filter(|setting| !setting.names.is_empty())
            .collect();
        (!settings.is_empty()).then(|| There { settings, links: links.clone() })
    }

    /// The settings of which nothing is known here.
    fn unknown<'t>(&'t self, judge: &'t Judge) -> impl Iterator<Item = &'t Setting> {
        self.settings.iter().filter(|setting| !setting.names.iter().any(|name| judge.knows(name)))
    }
}

/// Settings that are asked for, and those that cannot be.
#[derive(Default)]
struct Wanted {
    /// By holder and type, each by the id it has there.
    asked: BTreeMap<(String, String), BTreeMap<String, Asked>>,
    hopeless: Vec<(String, Option<Candidate>)>,
}

/// One setting that is asked for.
#[derive(Clone)]
struct Asked {
    name: String,
    /// The patients of every record that names it: it may be no other's.
    patients: Vec<String>,
    links: Links,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.hopeless.is_empty()
    }

    /// All of them, as settings of which nothing is learnt.
    fn unasked(self) -> Vec<(String, Option<Candidate>)> {
        let asked = self.asked.into_values().flat_map(BTreeMap::into_values);
        asked.map(|one| (one.name, None)).chain(self.hopeless).collect()
    }

    /// Adds the settings of a candidate that are not known here, as far as there is room.
    fn add(&mut self, judge: &Judge, candidate: &Candidate, room: &mut usize) {
        let Some(there) = &candidate.there else { return };
        let patients = crate::pipeline::patient_ids(&candidate.resource);
        for setting in there.unknown(judge) {
            let Some(name) = setting.names.first() else { continue };
            let Some((type_name, remote)) = &setting.remote else {
                self.hopeless.push((name.clone(), None));
                continue;
            };
            let of_type = self.asked.entry((candidate.source.clone(), type_name.clone())).or_default();
            match of_type.get_mut(remote) {
                Some(asked) => asked.patients.retain(|patient| patients.contains(patient)),
                None if *room == 0 => self.hopeless.push((name.clone(), None)),
                None => {
                    *room -= 1;
                    let asked = Asked { name: name.clone(), patients: patients.clone(), links: there.links.clone() };
                    of_type.insert(remote.clone(), asked);
                }
            }
        }
    }
}

impl QueryPath {
    /// Learns from the holders of candidates in which settings these took place, where it may matter.
    pub(super) async fn settle(&self, judge: &mut Judge, candidates: &[Candidate]) -> Result<(), Fault> {
        let mut room = MAX_SETTINGS;
        let mut wanted = Wanted::default();
        let is_unsettled = |candidate: &&Candidate| candidate.there.as_ref().is_some_and(|there| there.unknown(judge).next().is_some());
        for candidate in candidates.iter().filter(is_unsettled).filter(|candidate| judge.turns_on_setting(candidate)) {
            wanted.add(judge, candidate, &mut room);
        }
        let mut learnt = Vec::new();
        for _ in 0..SETTING_STEPS {
            if wanted.is_empty() {
                break;
            }
            let answers = self.ask_for_settings(std::mem::take(&mut wanted)).await;
            let names: Vec<String> = answers.iter().filter(|(_, setting)| setting.is_some()).map(|(name, _)| name.clone()).collect();
            judge.learn(&self.pipeline, answers).await?;
            names.iter().filter_map(|name| judge.known(name)).for_each(|setting| wanted.add(judge, setting, &mut room));
            learnt.extend(names);
        }
        if !wanted.is_empty() {
            // What lies farther is not asked for, and so not known.
            judge.learn(&self.pipeline, wanted.unasked()).await?;
        }
        judge.hide_learnt(&learnt);
        Ok(())
    }

    /// Asks all holders at once; every setting that was wanted is answered, with nothing where nothing could be learnt.
    async fn ask_for_settings(&self, wanted: Wanted) -> Vec<(String, Option<Candidate>)> {
        let groups = wanted.asked.into_iter().map(|((holder, type_name), asked)| self.ask_for_type(holder, type_name, asked));
        let mut answers = wanted.hopeless;
        answers.extend(join_all(groups).await.into_iter().flatten());
        answers
    }

    async fn ask_for_type(
        &self,
        holder: String,
        type_name: String,
        mut asked: BTreeMap<String, Asked>,
    ) -> Vec<(String, Option<Candidate>)> {
        let mut answers = Vec::with_capacity(asked.len());
        if let Some(holder) = self.pipeline.registry.holder(&holder) {
            let known = self.upstream.capabilities(holder).await;
            let ids: Vec<String> = asked.keys().cloned().collect();
            for resource in self.settings_at(holder, &known, &type_name, ids).await {
                let Some((remote, one)) = resource.text("id").and_then(|remote| asked.get_key_value(remote)) else { continue };
                if let Some(setting) = self.translate(holder, resource.clone(), &one.links).filter(|setting| is_meant(setting, one)) {
                    answers.push((one.name.clone(), Some(setting)));
                    let remote = remote.clone();
                    asked.remove(&remote);
                }
            }
        }
        metrics::counter!("hearthgate_holder_settings_unknown_total", "holder" => holder).increment(asked.len() as u64);
        answers.extend(asked.into_values().map(|one| (one.name, None)));
        answers
    }

    /// What a holder answers: to one search for many where it says that it can be asked so, else to one question each.
    async fn settings_at(&self, holder: &Holder, known: &Capabilities, type_name: &str, ids: Vec<String>) -> Vec<Node> {
        let (can_be_read, can_be_listed) = (known.offers(type_name, "read"), known.lists(type_name, "_id"));
        if can_be_listed && (ids.len() > 1 || !can_be_read) {
            let batches: Vec<String> = ids.chunks(BATCH).map(|batch| batch.join(",")).collect();
            let asking = batches.into_iter().map(|batch| async move {
                let pages = self.upstream.search(holder, type_name, &[("_id".to_owned(), batch)]).await;
                pages.map(|pages| pages.resources).unwrap_or_default()
            });
            return stream::iter(asking).buffer_unordered(ASKED_AT_ONCE).concat().await;
        }
        let asking = ids.into_iter().filter(|_| can_be_read);
        let asking = asking.map(|id| async move { self.upstream.read(holder, type_name, &id, None).await.ok() });
        stream::iter(asking).buffer_unordered(ASKED_AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

/// Whether what a holder sent is the setting asked for, and of nobody but the patients whose records name it.
fn is_meant(setting: &Candidate, asked: &Asked) -> bool {
    let is_theirs = |patient: &PatientReference| match patient {
        PatientReference::Known(known) => known
            .relative()
            .and_then(|relative| relative.strip_prefix("Patient/"))
            .is_some_and(|id| asked.patients.iter().any(|patient| patient == id)),
        PatientReference::Unresolvable => false,
    };
    reference(&setting.resource).as_deref() == Some(asked.name.as_str()) && patients_of(&setting.resource).iter().all(is_theirs)
}
