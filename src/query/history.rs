//! Histories: every version the caller may see, newest first.

use super::page::{ConsentState, Position};
use super::searchset::link;
use super::{Candidate, MAX_WITHHELD, QueryPath, Ruling, counted, disclosure, may, not_found, page};
use crate::audit;
use crate::clock::Instant;
use crate::config::Interaction as Permission;
use crate::consent::Permitted;
use crate::fhir::{Node, Object};
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Failure, Fault, IssueType, Reason, Refusal};
use crate::pipeline::readable;
use crate::store::{HistoryScope, StoredVersion};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How many versions are read at a time.
const CHUNK: usize = 500;
/// How often more are read for one page.
const MAX_CHUNKS: usize = 200;

/// A version that may be seen, with its resource unless it is a deletion.
type Shown = (StoredVersion, Option<Permitted>);

/// What is seen of a history: the versions, under which consents, and of whom something is withheld.
struct Seen {
    consents: ConsentState,
    shown: Vec<Shown>,
    withheld: BTreeSet<String>,
}

/// What `_history` may be asked.
pub(super) struct Asked {
    pub count: usize,
    pub since: Option<Instant>,
    /// The place to go on from: before a version of the store's, or behind so many of a holder's.
    pub after: Option<Position>,
}

impl Asked {
    /// Refuses to go on under other consents than there were.
    pub(super) fn under(&self, now: ConsentState) -> Result<(), Refusal> {
        self.after.map_or(Ok(()), |position| position.under(now))
    }
}

impl QueryPath {
    /// `_history` of an instance, a type or the whole system.
    pub async fn history(&self, caller: &Caller, scope: HistoryScope, pairs: Pairs, opened: &audit::Opened) -> Result<Node, Failure> {
        match &scope {
            HistoryScope::Instance { type_name, id } => {
                let asked = (type_name.clone(), id.clone());
                self.audited_of(caller, (&asked.0, &asked.1), opened, self.try_history(caller, scope, pairs, opened)).await
            }
            HistoryScope::Type { .. } | HistoryScope::System => self.audited(opened, self.try_history(caller, scope, pairs, opened)).await,
        }
    }

    async fn try_history(&self, caller: &Caller, scope: HistoryScope, pairs: Pairs, opened: &audit::Opened) -> Result<Node, Failure> {
        let steps = self.steps();
        let scope = self.permitted_scope(caller, scope)?;
        let asked = self.asked(caller, &scope, &pairs)?;
        if let HistoryScope::Instance { type_name, id } = &scope {
            let known = self.known(type_name, id, None).await?;
            if known.stored.is_none() && !known.held.is_empty() {
                return self.held_history(caller, (&scope, (type_name, id)), (&asked, &pairs), &known, opened).await;
            }
        }
        let Seen { consents, mut shown, withheld } = self.seen_in(caller, &scope, &asked).await?;
        // One more than the page holds was looked for, so that a next link is given only where something to see follows.
        let beyond: Vec<Permitted> = shown.drain(asked.count.min(shown.len())..).filter_map(|(_, permitted)| permitted).collect();
        let has_more = !beyond.is_empty();
        let more = if has_more { shown.last().map(|(version, _)| version.seq) } else { None };
        let permitted: Vec<Permitted> = shown.iter_mut().filter_map(|(_, permitted)| permitted.take()).collect();
        let mut closing = disclosure(permitted.iter(), None);
        counted::count_in(&mut closing, &beyond);
        // As of a search: what touches a crowd is about nobody in particular.
        if withheld.len() <= MAX_WITHHELD {
            closing.withheld = withheld.into_iter().collect();
        }
        self.disclose(opened, closing, Vec::new()).await?;
        steps.wait_where(shown.is_empty()).await;
        let meta = self.label_of(permitted.iter());
        let mut resources = permitted.into_iter();
        let entries: Vec<Node> = shown
            .iter()
            .map(|(version, _)| {
                let resource = if version.deleted() { None } else { resources.next() };
                self.history_entry(version, resource)
            })
            .collect();
        Ok(self.history_bundle((&scope, &pairs), meta, entries, self.history_link(caller, &scope, more, consents)))
    }

    /// What a history shows, or how that of a record is refused of which nothing may be seen. Nothing is disclosed by that.
    async fn seen_in(&self, caller: &Caller, scope: &HistoryScope, asked: &Asked) -> Result<Seen, Failure> {
        let (consents, denial) = self.consents_of(caller, scope).await?;
        asked.under(consents)?;
        let mut withheld = BTreeSet::new();
        let shown = self.visible(caller, scope, asked, &mut withheld).await?;
        match denial.filter(|_| shown.is_empty()) {
            Some(denial) => Err(denial.into()),
            None => Ok(Seen { consents, shown, withheld }),
        }
    }

    /// Refuses the history of a record that would be refused.
    pub(super) async fn foresee_history(&self, caller: &Caller, (type_name, id): (&str, &str), pairs: &Pairs) -> Result<(), Failure> {
        let scope = HistoryScope::Instance { type_name: type_name.to_owned(), id: id.to_owned() };
        let scope = self.permitted_scope(caller, scope)?;
        let asked = self.asked(caller, &scope, pairs)?;
        let known = match &scope {
            HistoryScope::Instance { type_name, id } => self.known(type_name, id, None).await?,
            HistoryScope::Type { .. } | HistoryScope::System => return Ok(()),
        };
        match known.stored.is_none() && !known.held.is_empty() {
            true => self.readable(caller, type_name, id, None).await.map(drop),
            false => self.seen_in(caller, &scope, &asked).await.map(drop),
        }
    }

    /// The token of the page that goes on from a place, where there is one.
    pub(super) fn history_link(&self, caller: &Caller, scope: &HistoryScope, more: Option<i64>, consents: ConsentState) -> Option<String> {
        more.map(|place| self.pager.seal_position(caller, &path(scope), place, consents, self.pipeline.clock.now()))
    }

    pub(super) fn history_bundle(
        &self,
        (scope, pairs): (&HistoryScope, &Pairs),
        meta: Option<Node>,
        entries: Vec<Node>,
        more: Option<String>,
    ) -> Node {
        Object::resource("Bundle")
            .with_some("meta", meta)
            .with("type", "history")
            .with("link", self.history_links(scope, pairs, more))
            .with_some("entry", (!entries.is_empty()).then_some(entries))
            .into()
    }

    /// The newest versions the caller may see, one more than a page holds when there are as many.
    async fn visible(
        &self,
        caller: &Caller,
        scope: &HistoryScope,
        asked: &Asked,
        withheld: &mut BTreeSet<String>,
    ) -> Result<Vec<Shown>, Failure> {
        self.pipeline.store.settle().await?;
        let mut shown = Vec::new();
        let (mut before, since) = (asked.after.map(|position| position.from), asked.since);
        for _ in 0..MAX_CHUNKS {
            let wanted = scope.clone();
            let found = self.pipeline.store.read(move |reader| reader.history_apart(&wanted, before, since, CHUNK)).await?;
            let exhausted = found.len() < CHUNK;
            before = found.first();
            let stored = self.believed(caller, found).await?;
            self.append_visible(caller, stored, &mut shown, withheld).await?;
            if exhausted || shown.len() > asked.count {
                return Ok(shown);
            }
        }
        let text = "This history is too long to be looked through at once. Ask for one resource, or for a shorter time with _since.";
        Err(Refusal::new(Reason::TooLarge, IssueType::TooCostly, text).into())
    }

    async fn append_visible(
        &self,
        caller: &Caller,
        stored: Vec<StoredVersion>,
        shown: &mut Vec<Shown>,
        withheld: &mut BTreeSet<String>,
    ) -> Result<(), Failure> {
        let live: Vec<Candidate> = stored.iter().filter(|version| !version.deleted()).map(Candidate::stored).collect::<Result<_, _>>()?;
        let judge = self.judge(caller, &live).await?;
        let hidden = self.hidden_now(caller, &stored).await?;
        let mut live = live.into_iter();
        for version in stored {
            if version.deleted() {
                // That something was deleted is told only to whoever sent it.
                if caller.source.as_deref() == Some(version.source.as_str()) {
                    shown.push((version, None));
                }
                continue;
            }
            let Some(candidate) = live.next() else { continue };
            let patients = judge.patients_of(&candidate.resource);
            match judge.rule(candidate) {
                Ruling::Permitted(permitted) if hidden.get(&key(&version)).is_none_or(|open| *open == Some(version.version)) => {
                    shown.push((version, Some(*permitted)));
                }
                _ => withheld.extend(patients),
            }
        }
        Ok(())
    }

    /// The resources among these whose current form may not be seen, or not whole, with the one version that may: labels added later hide older
    /// versions too.
    async fn hidden_now(&self, caller: &Caller, stored: &[StoredVersion]) -> Result<HashMap<(String, String), Option<u32>>, Fault> {
        let keys: HashSet<(String, String)> = stored.iter().map(key).collect();
        let wanted = keys.clone();
        let current = self
            .pipeline
            .store
            .read(move |reader| {
                let current = wanted.into_iter().map(|(type_name, id)| readable(reader.current(&type_name, &id)));
                current.filter_map(Result::transpose).collect::<Result<Vec<_>, Fault>>()
            })
            .await?;
        // What says nothing of itself now may be hidden by what it says.
        let known: HashSet<(String, String)> = current.iter().map(key).collect();
        let unread = keys.into_iter().filter(|key| !known.contains(key)).map(|key| (key, None));
        let live: Vec<&StoredVersion> = current.iter().filter(|version| !version.deleted()).collect();
        let candidates = live.iter().map(|version| Candidate::stored(version)).collect::<Result<Vec<_>, _>>()?;
        let judge = self.judge(caller, &candidates).await?;
        Ok(live
            .iter()
            .zip(candidates)
            .filter_map(|(version, candidate)| match judge.rule(candidate) {
                Ruling::Denied(_) => Some((key(version), None)),
                Ruling::Permitted(permitted) if permitted.is_redacted() => Some((key(version), Some(version.version))),
                Ruling::Permitted(_) => None,
            })
            .chain(unread)
            .collect())
    }

    /// What the parameters ask; a page link is good only for who was given it.
    fn asked(&self, caller: &Caller, scope: &HistoryScope, pairs: &Pairs) -> Result<Asked, Refusal> {
        let mut asked = asked(pairs)?;
        if let Some((_, token)) = pairs.iter().find(|(name, _)| name == page::PARAMETER) {
            asked.after = Some(self.pager.open_position(caller, &path(scope), token, self.pipeline.clock.now())?);
        }
        Ok(asked)
    }

    /// What the consents of whom one resource is about are now, and how its history is refused where nothing of it may be seen. The history of a type
    /// or of everything names nobody.
    async fn consents_of(&self, caller: &Caller, scope: &HistoryScope) -> Result<(ConsentState, Option<Refusal>), Fault> {
        let HistoryScope::Instance { type_name, id } = scope else { return Ok((ConsentState::default(), None)) };
        let Some(current) = self.own(type_name, id, None).await? else { return Ok((ConsentState::default(), Some(not_found(type_name)))) };
        let judge = self.judge(caller, std::slice::from_ref(&current)).await?;
        let patients = crate::pipeline::patient_ids(&current.resource);
        let consents = judge.consent_state(patients.iter().map(String::as_str));
        Ok((consents, Some(judge.rule(current).or_refuse(type_name).err().unwrap_or_else(|| not_found(type_name)))))
    }

    pub(super) fn permitted_scope(&self, caller: &Caller, scope: HistoryScope) -> Result<HistoryScope, Refusal> {
        match scope {
            HistoryScope::Instance { type_name, id } => {
                may(caller, Permission::Read, &type_name)?;
                let id = self.pipeline.dialect(caller).id(&type_name, &id);
                Ok(HistoryScope::Instance { type_name, id })
            }
            HistoryScope::Type { type_name } => {
                may(caller, Permission::Search, &type_name)?;
                Ok(HistoryScope::Type { type_name })
            }
            HistoryScope::System => {
                may(caller, Permission::Search, "*")?;
                Ok(HistoryScope::System)
            }
        }
    }

    fn history_entry(&self, version: &StoredVersion, resource: Option<Permitted>) -> Node {
        let reference = format!("{}/{}", version.type_name, version.id);
        let url = if version.method == crate::store::Method::Create { version.type_name.clone() } else { reference.clone() };
        let status = match (version.method, version.version) {
            (crate::store::Method::Delete, _) => "204",
            (_, 1) => "201",
            _ => "200",
        };
        let response = Object::new()
            .with("status", status)
            .with("etag", format!("W/\"{}\"", version.version))
            .with("lastModified", version.at.to_fhir_instant());
        let request = Object::new().with("method", version.method.verb()).with("url", url);
        self.version_entry(&reference, resource, request, response)
    }

    pub(super) fn version_entry(&self, reference: &str, resource: Option<Permitted>, request: Object, response: Object) -> Node {
        Object::new()
            .with("fullUrl", format!("{}/{reference}", self.base_url))
            .with_some("resource", resource.map(Permitted::into_resource))
            .with("request", request)
            .with("response", response)
            .into()
    }

    fn history_links(&self, scope: &HistoryScope, pairs: &Pairs, more: Option<String>) -> Vec<Node> {
        let base = format!("{}/{}", self.base_url, path(scope));
        let kept: Vec<String> = pairs
            .iter()
            .filter(|(name, _)| name != page::PARAMETER)
            .map(|(name, value)| format!("{name}={}", percent_encoding::utf8_percent_encode(value, super::QUERY)))
            .collect();
        let with = |extra: Option<String>| {
            let all: Vec<String> = kept.iter().cloned().chain(extra).collect();
            if all.is_empty() { base.clone() } else { format!("{base}?{}", all.join("&")) }
        };
        let mut links = vec![link("self", &with(None))];
        links.extend(more.map(|token| link("next", &with(Some(format!("{}={token}", page::PARAMETER))))));
        links
    }
}

fn key(version: &StoredVersion) -> (String, String) {
    (version.type_name.clone(), version.id.clone())
}

fn path(scope: &HistoryScope) -> String {
    match scope {
        HistoryScope::Instance { type_name, id } => format!("{type_name}/{id}/_history"),
        HistoryScope::Type { type_name } => format!("{type_name}/_history"),
        HistoryScope::System => "_history".to_owned(),
    }
}

/// Refuses what a history cannot be asked.
pub(super) fn check_asked(pairs: Result<&Pairs, Refusal>) -> Result<(), Refusal> {
    pairs.and_then(asked).map(drop)
}

fn asked(pairs: &Pairs) -> Result<Asked, Refusal> {
    let mut asked = Asked { count: page::DEFAULT_PAGE, since: None, after: None };
    let bad =
        |name: &str| Refusal::new(Reason::Malformed, IssueType::Value, format!("The value of {name} cannot be read.")).at(name.to_owned());
    for (name, value) in pairs {
        match name.as_str() {
            "_count" => asked.count = value.parse::<usize>().map_err(|_| bad(name))?.clamp(1, page::MAX_PAGE),
            "_since" => asked.since = Some(Instant::from_fhir_instant(value).ok_or_else(|| bad(name))?),
            "_format" | "_pretty" | page::PARAMETER => {}
            _ => {
                let text = "This parameter is not supported for a history.";
                return Err(Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(name.clone()));
            }
        }
    }
    Ok(asked)
}
