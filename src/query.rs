//! The story of one query: who asks, what is known, who holds it, what consent lets through, what the answer looks like.
//!
//! The only place where the querying stages are called in order. Filters, totals, pages, links and sorts are the gateway's own and are
//! computed after hiding; what is hidden is answered exactly like what is absent. Nothing is returned before its disclosure is anchored.

mod addresses;
mod beside;
mod brought;
mod consents;
mod consult;
mod counted;
mod deleting;
mod everything;
mod foreseen;
mod held;
mod history;
mod holders;
mod linked;
mod named;
mod page;
mod pending;
mod person;
mod push;
mod receipt;
mod scope;
mod searchset;
mod settings;
mod steps;
mod stored;
mod turning;
mod unreadable;

pub use consents::Ruling;
pub use page::Pager;
pub use push::ConsentJudge;
pub(crate) use receipt::StoredTiles;
pub(crate) use scope::Scope;

use crate::anchor::LeafKind;
use crate::audit::{self, Closing, Outcome};
use crate::clock::Instant;
use crate::config::Interaction as Permission;
use crate::consent::{Notice, Permitted};
use crate::fhir::Node;
use crate::forward::Upstream;
use crate::identity::Caller;
use crate::intake::{self, Pairs};
use crate::normalise::SourceRules;
use crate::outcome::{Aside, Failure, Fault, IssueType, Reason, Refusal};
use crate::pipeline::{Pipeline, leave_out, readable};
use crate::registry::Role;
use crate::search::{Handling, Query};
use crate::store::{Elsewhere, Rows, StoredVersion, Unit};
use consents::Judge;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use searchset::damaged_outcome;
use settings::There;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use steps::Steps;

/// The querying path. Cheap to clone.
#[derive(Clone)]
pub struct QueryPath {
    pub pipeline: Pipeline,
    pub upstream: Upstream,
    pub pager: Pager,
    /// How each holder's answers are read, by the holder's name.
    pub holder_rules: Arc<HashMap<String, SourceRules>>,
    /// Public FHIR base, for links and fullUrls.
    pub base_url: Arc<str>,
}

/// One resource, as the caller may see it.
#[derive(Debug, Clone)]
pub struct Found {
    pub resource: Node,
    pub version: Option<u32>,
    pub at: Option<Instant>,
    /// What the law wants said with it.
    pub notices: &'static [Notice],
}

/// A resource before consent: what it is and whose it is.
#[derive(Clone)]
pub(crate) struct Candidate {
    pub resource: Node,
    /// The source or holder it comes from, for the own-record ground.
    pub source: String,
    pub version: Option<u32>,
    pub at: Option<Instant>,
    /// Where it lies when it is not in the gateway's own store.
    pub elsewhere: Option<Elsewhere>,
    /// What it names there as its settings.
    pub there: Option<Box<There>>,
}

impl Candidate {
    pub(crate) fn stored(version: &StoredVersion) -> Result<Candidate, Fault> {
        Ok(Candidate {
            resource: version.parse()?,
            source: version.source.clone(),
            version: Some(version.version),
            at: Some(version.at),
            elsewhere: None,
            there: None,
        })
    }
}

/// What the store knows of a resource.
struct Known {
    /// The version asked for, deleted or not.
    stored: Option<StoredVersion>,
    /// Where else its current version is to be had, and under which ids.
    held: Vec<(String, String)>,
}

/// What was found in one piece, and how many records of what was done are damaged in it.
struct Piece {
    sound: Vec<Candidate>,
    damaged: usize,
}

/// How many candidates are looked at together where there are very many, and how often.
const PIECE: usize = 5_000;
const MAX_PIECES: usize = 200;
/// The most patients of whom one search records that it was told nothing.
const MAX_WITHHELD: usize = 50;

/// What is escaped in a query string: everything but what RFC 3986 lets stand there and FHIR's values are full of.
pub(crate) const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':').remove(b',').remove(b'|').remove(b'$');

/// The one answer for what is not there and what may not be seen.
pub(crate) fn not_found(type_name: &str) -> Refusal {
    Refusal::new(
        Reason::NotFound,
        IssueType::NotFound,
        format!("No {type_name} with this id is known here, or it may not be shown to you."),
    )
}

impl QueryPath {
    /// Reads the current version of a resource.
    pub async fn read(&self, caller: &Caller, type_name: &str, id: &str, opened: &audit::Opened) -> Result<Found, Failure> {
        self.audited_of(caller, (type_name, id), opened, self.try_read(caller, type_name, id, None, opened)).await
    }

    /// Reads one version of a resource.
    pub async fn read_version(
        &self,
        caller: &Caller,
        type_name: &str,
        id: &str,
        version: &str,
        opened: &audit::Opened,
    ) -> Result<Found, Failure> {
        self.audited_of(caller, (type_name, id), opened, self.try_read(caller, type_name, id, Some(version), opened)).await
    }

    /// The steps at which what shows nothing is answered, from now on.
    fn steps(&self) -> Steps {
        let usual = self.upstream.usual(self.pipeline.registry.holders().iter());
        Steps::begin(&self.pipeline.clock, usual)
    }

    /// A refusal leaves its audit record; success has left its own.
    async fn audited<T>(&self, opened: &audit::Opened, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let steps = self.steps();
        let outcome = work.await;
        if let Err(Failure::Refused(refusal)) = &outcome {
            self.pipeline.record_refusal(opened, refusal).await?;
            steps.wait_where(refusal.reason == Reason::NotFound).await;
        }
        outcome
    }

    /// The same for what is asked of one resource: whose it is must learn of the refusal.
    pub(crate) async fn audited_of<T>(
        &self,
        caller: &Caller,
        (type_name, id): (&str, &str),
        opened: &audit::Opened,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let steps = self.steps();
        let outcome = self.told_of(caller, (type_name, id), work.await).await;
        if let Err(Failure::Refused(refusal)) = &outcome {
            let id = self.pipeline.dialect(caller).id(type_name, id);
            let asked = match readable(self.own(type_name, &id, None).await)? {
                Some(candidate) => Closing {
                    resources: vec![format!("{type_name}/{id}")],
                    withheld: self.concerned(&candidate.resource).await?,
                    ..Closing::default()
                },
                None => Closing::default(),
            };
            self.pipeline.record_refusal_of(opened, refusal, asked).await?;
            steps.wait_where(refusal.reason == Reason::NotFound).await;
        }
        outcome
    }

    /// The patients a resource tells of: those it is about, and those that what it is the Provenance of is about.
    async fn concerned(&self, resource: &Node) -> Result<Vec<String>, Fault> {
        let mut patients = crate::pipeline::patient_ids(resource);
        if let Some((type_name, id)) = consents::provenance_target(resource) {
            let target = self.own(&type_name, &id, None).await?;
            patients.extend(target.map(|target| crate::pipeline::patient_ids(&target.resource)).unwrap_or_default());
        }
        Ok(patients)
    }

    async fn try_read(
        &self,
        caller: &Caller,
        type_name: &str,
        id: &str,
        version: Option<&str>,
        opened: &audit::Opened,
    ) -> Result<Found, Failure> {
        let (permitted, number, at) = self.readable(caller, type_name, id, version).await?;
        self.disclose(opened, disclosure(std::iter::once(&permitted), None), Vec::new()).await?;
        let notices = permitted.notices();
        Ok(Found { resource: permitted.into_resource(), version: number, at, notices })
    }

    /// What may be shown of a resource, or of one of its versions, before anything is.
    async fn readable(
        &self,
        caller: &Caller,
        type_name: &str,
        id: &str,
        version: Option<&str>,
    ) -> Result<(Permitted, Option<u32>, Option<Instant>), Failure> {
        may(caller, Permission::Read, type_name)?;
        let id = self.pipeline.dialect(caller).id(type_name, id);
        let known = self.known(type_name, &id, version).await?;
        let name = (type_name, id.as_str());
        let candidate = match known.stored {
            Some(stored) if !stored.deleted() => Candidate::stored(&stored)?,
            // That it was deleted is told only to whoever sent it (R4 §3.1.0.1.2).
            Some(stored) if caller.source.as_ref() == Some(&stored.source) => {
                let text = "The resource was deleted. Its earlier versions are in its history.";
                return Err(Refusal::new(Reason::Gone, IssueType::Deleted, text).into());
            }
            _ => self.read_from_holders(name, version, &known.held).await?.ok_or_else(|| not_found(type_name))?,
        };
        let (number, at) = (candidate.version, candidate.at);
        let is_open = match version {
            None => true,
            Some(version) if candidate.elsewhere.is_some() => self.held_is_open(caller, name, version, &known.held).await?,
            Some(_) => self.current_is_open(caller, type_name, &id, number).await?,
        };
        let judge = self.judge(caller, std::slice::from_ref(&candidate)).await?;
        let permitted = judge.rule(candidate).or_refuse(type_name)?;
        if !is_open {
            return Err(not_found(type_name).into());
        }
        Ok((permitted, number, at))
    }

    /// Whether the current form of a resource may be seen, so that labels added later hide older versions too: all of it, where another version
    /// than the current one is asked for. A deleted one hides nothing more.
    pub(crate) async fn current_is_open(&self, caller: &Caller, type_name: &str, id: &str, asked: Option<u32>) -> Result<bool, Fault> {
        let Some(current) = self.own(type_name, id, None).await? else { return Ok(true) };
        let is_asked = current.version == asked;
        let judge = self.judge(caller, std::slice::from_ref(&current)).await?;
        Ok(matches!(judge.rule(current), Ruling::Permitted(permitted) if is_asked || !permitted.is_redacted()))
    }

    /// What the store knows of a resource, or of one of its versions. What was ever stored here has no versions elsewhere.
    async fn known(&self, type_name: &str, id: &str, version: Option<&str>) -> Result<Known, Fault> {
        // The gateway's versions have numbers; a holder's may be called anything.
        let version = version.map(|version| version.parse::<u32>().ok());
        self.pipeline.store.settle_for(type_name).await?;
        let reading = self.pipeline.store.glance(|reader| {
            let current = reader.current(type_name, id)?;
            let is_here = current.as_ref().is_some_and(|current| version.is_some() || !current.deleted());
            let held = if is_here { Vec::new() } else { reader.elsewhere(type_name, id)? };
            let stored = match version {
                None => current,
                Some(Some(number)) if is_here => reader.version(type_name, id, number)?,
                Some(_) => None,
            };
            Ok(Known { stored, held })
        });
        reading.await
    }

    /// The stored candidate; a deleted or unknown one is none.
    pub(crate) async fn own(&self, type_name: &str, id: &str, version: Option<u32>) -> Result<Option<Candidate>, Fault> {
        let version = version.map(|version| version.to_string());
        let stored = self.known(type_name, id, version.as_deref()).await?.stored;
        stored.filter(|version| !version.deleted()).map(|version| Candidate::stored(&version)).transpose()
    }

    pub(crate) async fn judge(&self, caller: &Caller, candidates: &[Candidate]) -> Result<Judge, Fault> {
        let shown = candidates.iter().map(|candidate| (&candidate.resource, candidate.source.as_str()));
        let mut judge = Judge::gather(&self.pipeline, caller, shown).await?;
        self.settle(&mut judge, candidates).await?;
        judge.hide_among(candidates);
        Ok(judge)
    }

    /// Those of the candidates that consent lets through, as they may be shown.
    async fn permitted(&self, caller: &Caller, candidates: Vec<Candidate>) -> Result<Vec<Permitted>, Failure> {
        let judge = self.judge(caller, &candidates).await?;
        Ok(candidates.into_iter().filter_map(|candidate| judge.rule(candidate).permitted()).collect())
    }

    /// The current versions of resources, where there are any.
    async fn stored(&self, wanted: Vec<(String, String)>) -> Result<Vec<Candidate>, Failure> {
        for (type_name, _) in &wanted {
            self.pipeline.store.settle_for(type_name).await?;
        }
        let read = self.pipeline.store.read(move |reader| {
            let mut candidates = Vec::new();
            for (type_name, id) in wanted {
                // What comes along with something else is left out where it cannot be read.
                let found = readable(reader.current(&type_name, &id))?;
                if let Some(version) = found.filter(|version| !version.deleted()) {
                    candidates.push(Candidate::stored(&version)?);
                }
            }
            Ok(candidates)
        });
        Ok(read.await?)
    }

    /// Anchors and audits what is about to be shown. If this fails nothing is shown.
    async fn disclose(&self, opened: &audit::Opened, closing: Closing, elsewhere: Vec<Elsewhere>) -> Result<(), Fault> {
        let unit = Unit { elsewhere, ..Unit::default() };
        self.pipeline.record_with(unit, opened, &Outcome::Success, LeafKind::Disclose, &closing).await.map(drop)
    }

    /// Searches one type across the gateway's store and every holder that knows the patient.
    pub async fn search(
        &self,
        caller: &Caller,
        type_name: &str,
        pairs: Pairs,
        handling: Handling,
        opened: &audit::Opened,
    ) -> Result<Node, Failure> {
        let named = intake::asked_about(type_name, &pairs);
        let steps = self.steps();
        let outcome = self.try_search(caller, type_name, pairs, handling, opened).await;
        if let Err(Failure::Refused(refusal)) = &outcome {
            self.pipeline.record_refused_request(caller, (named, None), opened, refusal).await?;
            steps.wait_where(refusal.reason == Reason::NotFound).await;
        }
        outcome
    }

    async fn try_search(
        &self,
        caller: &Caller,
        type_name: &str,
        pairs: Pairs,
        handling: Handling,
        opened: &audit::Opened,
    ) -> Result<Node, Failure> {
        may(caller, Permission::Search, type_name)?;
        let steps = self.steps();
        let now = self.pipeline.clock.now();
        let resumed = self.pager.resume(pairs, caller, type_name, now)?;
        let pairs = self.pipeline.dialect(caller).pairs(type_name, resumed.pairs.clone());
        let asked = Query::parse(self.pipeline.definitions, type_name, &pairs, handling)?;
        // What is said of the query, its links and pages, speaks of what was asked; what is looked for may be more.
        let query = match self.with_linked(caller, type_name, &pairs).await? {
            Some(widened) => Query::parse(self.pipeline.definitions, type_name, &widened, handling)?,
            None => asked.clone(),
        };
        let query = Arc::new(self.joined(caller, query).await?);
        let (mut candidates, damaged) = self.own_candidates_apart(caller, &query).await?;
        let told = self.ask_holders_of_few(caller, (&asked, &query), &candidates, &pairs).await?;
        for candidate in told.found {
            if !candidates.iter().any(|known| same_identity(&known.resource, &candidate.resource)) && query.may_match(&candidate.resource) {
                candidates.push(candidate);
            }
        }
        candidates.sort_by(|a, b| query.compare(&a.resource, &b.resource));
        let judge = self.judge(caller, &candidates).await?;
        let consents = judge.consent_state(query.patients());
        resumed.under(consents)?;
        let (unlearnt, incomplete) = (settings::unlearnt_note(&judge), self.unlearnt_outcome(caller, &judge));
        let elsewhere = candidates.iter().filter_map(|candidate| candidate.elsewhere.clone()).chain(told.patients).collect();
        let (mut withheld, mut reasons) = (BTreeSet::new(), BTreeSet::new());
        let mut permitted: Vec<Permitted> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let patients = judge.patients_of(&candidate.resource);
            let is_met = query.matches(&candidate.resource);
            match judge.rule(candidate) {
                Ruling::Permitted(shown) => permitted.push(*shown),
                Ruling::Denied(aside) if is_met => {
                    let told = |aside: Aside| patients.iter().map(move |patient| (patient.clone(), aside.clone()));
                    reasons.extend(aside.into_iter().flat_map(told));
                    withheld.extend(patients.iter().cloned());
                }
                Ruling::Denied(_) => {}
            }
        }
        if is_unread(caller, &query) {
            // That it was asked is on record for whom it was asked about, whatever there would have been to find.
            for id in query.patients() {
                withheld.extend(readable(self.own("Patient", id, None).await)?.map(|_| id.to_owned()));
            }
        }
        if query.asks_for_absence() || permitted.iter().any(Permitted::is_redacted) {
            // What was taken out of a resource must neither find it nor place it.
            permitted.retain(|permitted| query.matches(permitted.resource()));
            permitted.sort_by(|a, b| query.compare(a.resource(), b.resource()));
        }
        let page = self.page(caller, &asked, permitted, resumed.from, consents, now);
        let along = self.along(caller, &asked, &page.shown).await?;
        let silent = (!told.silent.is_empty()).then(|| format!("{} holder(s) did not answer", told.silent.len()));
        let unasked = told.unasked.as_ref().map(|_| "no holder was asked: more patients were meant than these are asked for".to_owned());
        let notes: Vec<String> = silent.into_iter().chain(unasked).chain(unlearnt).collect();
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        let mut closing = disclosure(page.shown.iter().chain(&along.resources), note);
        counted::count_in(&mut closing, &page.beyond);
        // A search that touches a crowd is about nobody in particular, and must not cost a record for each.
        if withheld.len() <= MAX_WITHHELD {
            closing.reasons = reasons.into_iter().collect();
            closing.withheld = withheld.into_iter().collect();
        }
        self.disclose(opened, closing, elsewhere).await?;
        steps.wait_where(page.shown.is_empty() && page.beyond.is_empty()).await;
        let said = told.silent.into_iter().chain(told.unasked).chain(incomplete).chain(damaged_outcome(damaged)).collect();
        Ok(self.searchset(&asked, page, along, said))
    }

    async fn own_candidates(&self, caller: &Caller, query: &Arc<Query>) -> Result<Vec<Candidate>, Failure> {
        Ok(self.own_candidates_apart(caller, query).await?.0)
    }

    /// The candidates, and how many records of what was done are damaged, which oversight alone is told: one of them does not hide the others. Anything
    /// else that is damaged refuses the search of whoever may learn of it.
    async fn own_candidates_apart(&self, caller: &Caller, query: &Arc<Query>) -> Result<(Vec<Candidate>, usize), Failure> {
        if is_unread(caller, query) {
            // Nobody else is shown any but their own. How long looking through them takes would say how much is on record about somebody.
            return Ok((self.filed_events(caller, query).await?, 0));
        }
        self.pipeline.store.settle_for(query.type_name()).await?;
        let wanted = Arc::clone(query);
        let Some(found) = self.pipeline.store.read(move |reader| reader.candidates_apart(&wanted)).await? else {
            return self.visible_of_many(caller, query).await;
        };
        let (stored, damaged) = self.sound(caller, query, found).await?;
        Ok((candidates_of(query, &stored)?, damaged))
    }

    /// The AuditEvents that the caller filed itself.
    async fn filed_events(&self, caller: &Caller, query: &Arc<Query>) -> Result<Vec<Candidate>, Failure> {
        let Some(source) = caller.source.clone() else { return Ok(Vec::new()) };
        let wanted = Arc::clone(query);
        let found = self.pipeline.store.read(move |reader| reader.filed_events(&wanted, &source)).await?.ok_or_else(too_many)?;
        candidates_of(query, &self.believed(caller, found).await?)
    }

    /// The candidates where there are very many: those the caller may not see must not count, or the refusal would say that they are there.
    async fn visible_of_many(&self, caller: &Caller, query: &Arc<Query>) -> Result<(Vec<Candidate>, usize), Failure> {
        let mut visible = Vec::new();
        let (mut behind, mut damaged) = (0, 0);
        for _ in 0..MAX_PIECES {
            let (piece, next) = self.candidates_behind(caller, query, behind).await?;
            damaged += piece.damaged;
            let judge = self.judge(caller, &piece.sound).await?;
            visible.extend(piece.sound.into_iter().filter(|candidate| matches!(judge.rule(candidate.clone()), Ruling::Permitted(_))));
            if visible.len() > crate::store::MAX_CANDIDATES {
                break;
            }
            match next {
                Some(last) => behind = last,
                None => return Ok((visible, damaged)),
            }
        }
        Err(too_many().into())
    }

    /// The candidates of one piece, those behind a place, with the place behind which more may follow.
    async fn candidates_behind(&self, caller: &Caller, query: &Arc<Query>, behind: i64) -> Result<(Piece, Option<i64>), Failure> {
        let wanted = Arc::clone(query);
        let found = self.pipeline.store.read(move |reader| reader.candidates_behind(&wanted, behind, PIECE)).await?;
        let next = found.last().filter(|_| found.len() == PIECE);
        let (stored, damaged) = self.sound(caller, query, found).await?;
        Ok((Piece { sound: candidates_of(query, &stored)?, damaged }, next))
    }

    /// What of the found is as it was stored, and how many records of what was done are not.
    async fn sound(&self, caller: &Caller, query: &Query, found: Rows) -> Result<(Vec<StoredVersion>, usize), Fault> {
        if query.type_name() != "AuditEvent" {
            return Ok((self.believed(caller, found).await?, 0));
        }
        found.damaged.iter().for_each(|damaged| leave_out(&damaged.fault));
        Ok((found.sound, found.damaged.len()))
    }
}

fn too_many() -> Refusal {
    let text =
        format!("The search touches more than {} resources. Narrow it, for example by patient or date.", crate::store::MAX_CANDIDATES);
    Refusal::new(Reason::TooLarge, IssueType::TooCostly, text)
}

/// What the audit record says of a disclosure: the resources, whose they are, and the consents they are shown under.
fn disclosure<'p>(shown: impl Iterator<Item = &'p Permitted> + Clone, note: Option<String>) -> Closing {
    let distinct = |found: &mut Vec<String>| {
        found.sort_unstable();
        found.dedup();
    };
    let owner = |permitted: &Permitted| Some((reference(permitted.resource())?, whose(permitted)));
    let owners: Vec<(String, Vec<String>)> = shown.clone().filter_map(owner).collect();
    let mut patients: Vec<String> = owners.iter().flat_map(|(_, patients)| patients.iter().cloned()).collect();
    distinct(&mut patients);
    let resources = owners.iter().map(|(reference, _)| reference.clone()).collect();
    let mut closing = Closing { resources, patients, owners, description: note, ..Closing::default() };
    let governed = shown.filter_map(|permitted| Some((consents::governing(permitted)?, whose(permitted))));
    governed.collect::<BTreeSet<_>>().into_iter().for_each(|(consent, patients)| closing.govern(consent, patients));
    closing
}

/// The patients a resource tells of: those it is about, and those its target is about.
fn whose(permitted: &Permitted) -> Vec<String> {
    let mut patients = crate::pipeline::patient_ids(permitted.resource());
    patients.extend(permitted.about().iter().filter(|patient| !patients.contains(patient)).cloned().collect::<Vec<_>>());
    patients
}

/// Whether the token's scopes allow this at all.
pub(crate) fn may(caller: &Caller, permission: Permission, type_name: &str) -> Result<(), Refusal> {
    if caller.scopes.allows(permission, type_name) {
        return Ok(());
    }
    let text = format!("The token has no scope for this: system/{type_name}.{} is needed.", permission.letter());
    Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, text))
}

/// `Patient/hg-…` of a resource.
pub(crate) fn reference(resource: &Node) -> Option<String> {
    Some(format!("{}/{}", resource.resource_type()?, resource.text("id")?))
}

/// Whether the search is for audit records by somebody who is shown none that others filed, nor any of the gateway's.
fn is_unread(caller: &Caller, query: &Query) -> bool {
    query.type_name() == "AuditEvent" && !caller.has_role(Role::Regulator)
}

/// The stored versions that meet the query, or may once something is taken out of them.
fn candidates_of(query: &Query, stored: &[StoredVersion]) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = Vec::new();
    for version in stored {
        let candidate = Candidate::stored(version)?;
        if query.may_match(&candidate.resource) {
            candidates.push(candidate);
        }
    }
    Ok(candidates)
}

fn same_identity(a: &Node, b: &Node) -> bool {
    a.text("id") == b.text("id") && a.resource_type() == b.resource_type()
}
