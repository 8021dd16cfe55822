//! What a holder's record names and lies there alone: the encounter, place or product that is its setting, and the clinic, team or role that did
//! something. It is asked for there, before the record is ruled on.
//!
//! Nothing is asked where nothing turns on the answer, and nothing is kept beyond the request. A setting of which nothing could be learnt is an
//! unknown one: what took place in it is decided as if it told the worst. Whoever did something and is not known is taken for somebody who tells the
//! worst, and is not named.

use super::beside::{SETTING_STEPS, name_of};
use super::named::is_literal;
use super::turning::Turning;
use super::{Candidate, Judge, QueryPath, reference};
use crate::consent::{NamedRecord, PatientReference, doers_of, named_settings, patients_of};
use crate::fhir::{Node, is_id};
use crate::forward::Capabilities;
use crate::identity::Caller;
use crate::normalise::Links;
use crate::outcome::{Fault, Finding, IssueType, Severity};
use crate::registry::Holder;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most settings, and others that may tell, that holders are asked for, for one answer. Further ones stay unknown.
pub(super) const MAX_SETTINGS: usize = 200;
/// How many settings are asked for in one search.
const BATCH: usize = 50;
/// How many questions about settings one holder is asked at once.
const ASKED_AT_ONCE: usize = 8;
/// What a setting told may open a record that names others, or lead to one that is stored here and names others; those are asked for then.
const ROUNDS: usize = 3;

/// By the gateway's name of it, the type and id that a holder has for what a record of its refers to; nothing where it cannot be asked for by that.
pub(super) type Spelled = HashMap<String, Option<(String, String)>>;

/// What a record names as its settings, whom else it names that may tell, at which holder these lie, and how patients are linked there.
#[derive(Clone)]
pub(crate) struct There {
    holder: String,
    settings: Vec<Telling>,
    doers: Vec<Telling>,
    links: Links,
}

/// A setting, or somebody who did something, as a record names it.
#[derive(Clone)]
struct Telling {
    /// The gateway's names for it: literally, and by identifier.
    names: Vec<String>,
    /// Type and id by which the holder can be asked for it.
    remote: Option<(String, String)>,
}

impl Telling {
    fn of(named: &NamedRecord, spelled: &Spelled) -> Option<Telling> {
        let names: Vec<String> = [&named.literal, &named.logical].into_iter().flatten().filter_map(name_of).collect();
        let remote = spelled.get(names.first()?).cloned().flatten();
        Some(Telling { names, remote })
    }

    /// Whether nothing is known of it here, for these patients, and nothing was learnt of it.
    fn is_open(&self, judge: &Judge, patients: &[String]) -> bool {
        !self.names.iter().any(|name| judge.knows(name, patients))
    }
}

/// How a record, as its holder sent it, spells what it names. `ours` makes the gateway's id of the holder's.
pub(super) fn spelled(resource: &Node, ours: impl Fn(&str, &str) -> String) -> Spelled {
    let mut spelled = Spelled::new();
    let named = named_settings(resource).chain(doers_of(resource));
    for literal in named.filter_map(|named| named.literal) {
        let Some((type_name, remote)) = literal.relative().and_then(|literal| literal.split_once('/')) else { continue };
        let asked = is_id(remote).then(|| (type_name.to_owned(), remote.to_owned()));
        spelled.insert(format!("{type_name}/{}", ours(type_name, remote)), asked);
    }
    spelled
}

impl There {
    /// What the same record names in the gateway's form; `None` where it names nothing that may tell.
    pub(super) fn of(resource: &Node, holder: &str, spelled: &Spelled, links: &Links) -> Option<There> {
        let settings: Vec<Telling> = named_settings(resource).filter_map(|named| Telling::of(&named, spelled)).collect();
        let is_setting = |doer: &Telling| settings.iter().any(|setting| setting.names == doer.names);
        let named = doers_of(resource);
        let doers = named.iter().filter_map(|named| Telling::of(named, spelled)).filter(|doer| !is_setting(doer));
        let doers: Vec<Telling> = doers.collect();
        There { holder: holder.to_owned(), settings, doers, links: links.clone() }.that_tells()
    }

    fn that_tells(self) -> Option<There> {
        (!self.settings.is_empty() || !self.doers.is_empty()).then_some(self)
    }

    /// The same, without what is not known to lie there.
    pub(super) fn of_known(mut self, spelled: &Spelled) -> Option<There> {
        let is_known = |one: &Telling| one.names.first().is_some_and(|name| spelled.contains_key(name));
        self.settings.retain(is_known);
        self.doers.retain(is_known);
        self.that_tells()
    }

    /// The settings alone.
    pub(super) fn of_settings(self) -> Option<There> {
        There { doers: Vec::new(), ..self }.that_tells()
    }

    /// The settings, as what those belong to who did something.
    pub(super) fn behind_doers(self) -> Option<There> {
        There { settings: Vec::new(), doers: self.settings, ..self }.that_tells()
    }

    /// The literal names of what is not here of what a stored candidate names, as far as something turns on it.
    pub(super) fn not_here<'j>(&self, turning: &mut Turning<'j>, candidate: &'j Candidate) -> Vec<String> {
        let judge = turning.judge();
        let is_lacking = |one: &&Telling| one.names.first().is_some_and(|name| is_literal(name) && judge.lacks(name));
        if !self.settings.iter().chain(&self.doers).any(|one| is_lacking(&one)) {
            return Vec::new();
        }
        let Open { settings, doers } = self.open(turning, candidate);
        settings.into_iter().chain(doers).filter(is_lacking).filter_map(|one| one.names.first().cloned()).collect()
    }

    /// What is not known of what a candidate names, as far as something turns on it.
    fn open<'t, 'j>(&'t self, turning: &mut Turning<'j>, candidate: &'j Candidate) -> Open<'t> {
        let judge = turning.judge();
        let patients = crate::pipeline::patient_ids(&candidate.resource);
        let open = |named: &'t [Telling]| named.iter().filter(|one| one.is_open(judge, &patients)).collect::<Vec<_>>();
        let (mut settings, mut doers) = (open(&self.settings), open(&self.doers));
        if !settings.is_empty() && !turning.on_setting(candidate) {
            settings.clear();
        }
        if !doers.is_empty() && !turning.on_doers(candidate) {
            doers.clear();
        }
        Open { settings, doers }
    }
}

/// What is not known of what a record names.
struct Open<'t> {
    settings: Vec<&'t Telling>,
    doers: Vec<&'t Telling>,
}

/// Settings that are asked for, and those that cannot be.
#[derive(Default)]
struct Wanted {
    /// By holder and type, each by the id it has there.
    asked: BTreeMap<(String, String), BTreeMap<String, Asked>>,
    /// Each with the holder of the record that names it.
    hopeless: BTreeSet<(String, String)>,
}

/// One setting that is asked for.
#[derive(Clone)]
struct Asked {
    name: String,
    /// The patients of every record that names it: it may be no other's.
    patients: Vec<String>,
    links: Links,
}

/// What was asked for, by its name: as it was found, or nothing where nothing could be learnt.
type Learnt = (String, Option<Candidate>);

impl Wanted {
    fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.hopeless.is_empty()
    }

    /// All of them, as settings of which nothing is learnt.
    fn unasked(mut self) -> Vec<Learnt> {
        for ((holder, _), asked) in std::mem::take(&mut self.asked) {
            self.hopeless.extend(asked.into_values().map(|one| (holder.clone(), one.name)));
        }
        self.unlearnt()
    }

    /// Those that cannot be asked for, as settings of which nothing is learnt.
    fn unlearnt(&mut self) -> Vec<Learnt> {
        let unlearnt = std::mem::take(&mut self.hopeless).into_iter();
        unlearnt.map(|(holder, name)| not_learnt(&holder, name)).collect()
    }

    /// Adds what a candidate names and is not known here, as far as there is room.
    fn add(&mut self, candidate: &Candidate, there: &There, named: &[&Telling], room: &mut usize) {
        let holder = &there.holder;
        let patients = crate::pipeline::patient_ids(&candidate.resource);
        for setting in named {
            let Some(name) = setting.names.first() else { continue };
            let Some((type_name, remote)) = &setting.remote else {
                self.hopeless.insert((holder.clone(), name.clone()));
                continue;
            };
            let of_type = self.asked.entry((holder.clone(), type_name.clone())).or_default();
            match of_type.get_mut(remote) {
                Some(asked) => asked.patients.retain(|patient| patients.contains(patient)),
                None if *room == 0 => _ = self.hopeless.insert((holder.clone(), name.clone())),
                None => {
                    *room -= 1;
                    let asked = Asked { name: name.clone(), patients: patients.clone(), links: there.links.clone() };
                    of_type.insert(remote.clone(), asked);
                }
            }
        }
        self.asked.retain(|_, of_type| !of_type.is_empty());
    }

    /// Adds the settings that a setting names in its turn.
    fn add_behind(&mut self, judge: &Judge, setting: &Candidate, room: &mut usize) {
        let Some(there) = &setting.there else { return };
        let patients = crate::pipeline::patient_ids(&setting.resource);
        let open: Vec<&Telling> = there.settings.iter().filter(|one| one.is_open(judge, &patients)).collect();
        self.add(setting, there, &open, room);
    }
}

/// Notes that nothing could be learnt of what a record of a holder's names.
fn not_learnt(holder: &str, name: String) -> Learnt {
    metrics::counter!("hearthgate_holder_settings_unknown_total", "holder" => holder.to_owned()).increment(1);
    (name, None)
}

impl QueryPath {
    /// Learns from the holders of candidates in which settings these took place and who did what, where it may matter.
    pub(super) async fn settle(&self, judge: &mut Judge, candidates: &[Candidate]) -> Result<(), Fault> {
        let mut room = MAX_SETTINGS;
        for _ in 0..ROUNDS {
            let wanted = self.wanted(judge, candidates, &mut room).await?;
            if wanted.is_empty() {
                return Ok(());
            }
            self.settle_wanted(judge, wanted, &mut room).await?;
        }
        let farther = self.wanted(judge, candidates, &mut room).await?;
        if !farther.is_empty() {
            judge.learn(&self.pipeline, farther.unasked()).await?;
            judge.hide();
        }
        Ok(())
    }

    /// What candidates name, and what they lead to by what is stored, that is not known and may matter.
    async fn wanted(&self, judge: &Judge, candidates: &[Candidate], room: &mut usize) -> Result<Wanted, Fault> {
        let mut turning = Turning::of(judge);
        let stored = self.there_of_stored(&mut turning, candidates).await?;
        let there = candidates.iter().filter_map(|candidate| Some((candidate, candidate.there.as_deref()?)));
        let there = there.chain(stored.iter().map(|(candidate, there)| (*candidate, there)));
        let open: Vec<_> = there.map(|(candidate, there)| (candidate, there, there.open(&mut turning, candidate))).collect();
        let mut wanted = Wanted::default();
        // Settings come first, because whole records turn on them.
        for (candidate, there, open) in &open {
            wanted.add(candidate, there, &open.settings, room);
        }
        for (candidate, there, open) in &open {
            wanted.add(candidate, there, &open.doers, room);
        }
        Ok(wanted)
    }

    /// Asks for what is wanted and for the settings behind it, as far as there is room.
    async fn settle_wanted(&self, judge: &mut Judge, mut wanted: Wanted, room: &mut usize) -> Result<(), Fault> {
        for _ in 0..SETTING_STEPS {
            if wanted.is_empty() {
                break;
            }
            let answers = self.ask_for_settings(std::mem::take(&mut wanted)).await;
            let names: Vec<String> = answers.iter().filter(|(_, setting)| setting.is_some()).map(|(name, _)| name.clone()).collect();
            judge.learn(&self.pipeline, answers).await?;
            names.iter().filter_map(|name| judge.known(name)).for_each(|setting| wanted.add_behind(judge, setting, room));
        }
        if !wanted.is_empty() {
            // What lies farther is not asked for, and so not known.
            judge.learn(&self.pipeline, wanted.unasked()).await?;
        }
        judge.hide();
        Ok(())
    }

    /// Says that something may be missing for what could not be learnt. That there is such a thing tells of hidden records, so only whoever may know of
    /// those is told.
    pub(super) fn unlearnt_outcome(&self, caller: &Caller, judge: &Judge) -> Option<Node> {
        let told = &self.pipeline.consent.told_of_redaction;
        let may_know = caller.organisation.names().any(|name| told.contains(&name));
        let text = "Of some records it could not be learnt where they took place or who took part; what turns on that is missing from this answer.";
        let finding = || Finding::new(Severity::Warning, IssueType::Incomplete, "setting-unknown", text);
        (judge.unlearnt() > 0 && may_know).then(|| crate::problem::outcome_node(&[finding()]))
    }

    /// Asks all holders at once; every setting that was wanted is answered, with nothing where nothing could be learnt.
    async fn ask_for_settings(&self, mut wanted: Wanted) -> Vec<Learnt> {
        let mut answers = wanted.unlearnt();
        let groups = wanted.asked.into_iter().map(|((holder, type_name), asked)| self.ask_for_type(holder, type_name, asked));
        answers.extend(join_all(groups).await.into_iter().flatten());
        answers
    }

    async fn ask_for_type(&self, name: String, type_name: String, mut asked: BTreeMap<String, Asked>) -> Vec<Learnt> {
        let mut answers = Vec::with_capacity(asked.len());
        if let Some(holder) = self.pipeline.registry.holder(&name) {
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
        answers.extend(asked.into_values().map(|one| not_learnt(&name, one.name)));
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

/// What the record of a disclosure says of what could not be learnt.
pub(super) fn unlearnt_note(judge: &Judge) -> Option<String> {
    let count = judge.unlearnt();
    (count > 0).then(|| format!("{count} setting(s) or parties could not be learnt"))
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
