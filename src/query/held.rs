//! What only a holder has: its current version and its earlier ones, read there and brought into the gateway's ids.

use super::history::Asked;
use super::{Candidate, Known, QueryPath, Ruling, counted, disclosure, not_found, page};
use crate::audit;
use crate::clock::Instant;
use crate::consent::Permitted;
use crate::fhir::{Node, Object, is_id};
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::normalise::Links;
use crate::outcome::{Failure, Fault};
use crate::registry::Holder;
use crate::store::HistoryScope;

impl QueryPath {
    /// Reads a resource the gateway has shown before, or one of its versions, from the first holder that has it.
    pub(super) async fn read_from_holders(
        &self,
        (type_name, id): (&str, &str),
        version: Option<&str>,
        held: &[(String, String)],
    ) -> Result<Option<Candidate>, Fault> {
        // It becomes a step of a URL, where dots would lead elsewhere.
        if version.is_some_and(|version| !is_id(version) || version.bytes().all(|byte| byte == b'.')) {
            return Ok(None);
        }
        let interaction = if version.is_some() { "vread" } else { "read" };
        for (holder, remote) in self.that_offer(type_name, interaction, held).await {
            if let Ok(resource) = self.upstream.read(holder, type_name, remote, version).await
                && let Some(candidate) = self.brought(holder, resource, id).await?
            {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    /// Whether the current form of what a holder has may be seen, as for what is stored here. One that cannot be read hides the others.
    pub(super) async fn held_is_open(
        &self,
        caller: &Caller,
        name: (&str, &str),
        asked: &str,
        held: &[(String, String)],
    ) -> Result<bool, Fault> {
        let Some(current) = self.read_from_holders(name, None, held).await? else { return Ok(false) };
        let is_asked = version_of(&current.resource) == Some(asked);
        let judge = self.judge(caller, std::slice::from_ref(&current)).await?;
        Ok(matches!(judge.rule(current), Ruling::Permitted(permitted) if is_asked || !permitted.is_redacted()))
    }

    /// `_history` of what only a holder has. Its deletions are its own business.
    pub(super) async fn held_history(
        &self,
        caller: &Caller,
        (scope, name): (&HistoryScope, (&str, &str)),
        (asked, pairs): (&Asked, &Pairs),
        known: &Known,
        opened: &audit::Opened,
    ) -> Result<Node, Failure> {
        let versions = self.held_versions(name, &known.held).await?;
        let judge = self.judge(caller, &versions).await?;
        let patients = versions.first().map(|newest| crate::pipeline::patient_ids(&newest.resource)).unwrap_or_default();
        let consents = judge.consent_state(patients.iter().map(String::as_str));
        asked.under(consents)?;
        let ruled: Vec<Option<Permitted>> = versions.into_iter().map(|version| judge.rule(version).permitted()).collect();
        let is_after = |permitted: &Permitted| asked.since.is_none_or(|since| updated(permitted.resource()).is_some_and(|at| at >= since));
        let visible = visible(ruled).into_iter().filter(is_after).collect();
        let from = asked.after.and_then(|position| usize::try_from(position.from).ok()).unwrap_or(0);
        let (_, shown, mut beyond) = page::cut(visible, from, asked.count);
        if shown.is_empty() {
            return Err(not_found(name.0).into());
        }
        // The link to the next page tells that there is one more.
        beyond.truncate(1);
        let mut closing = disclosure(shown.iter(), None);
        counted::count_in(&mut closing, &beyond);
        self.disclose(opened, closing, Vec::new()).await?;
        let more = if beyond.is_empty() { None } else { i64::try_from(from + shown.len()).ok() };
        let meta = self.label_of(shown.iter());
        let entries = shown.into_iter().map(|permitted| self.held_entry(name, permitted)).collect();
        Ok(self.history_bundle((scope, pairs), meta, entries, self.history_link(caller, scope, more, consents)))
    }

    /// The versions a holder has, newest first. Each is one that can be asked for.
    async fn held_versions(&self, (type_name, id): (&str, &str), held: &[(String, String)]) -> Result<Vec<Candidate>, Fault> {
        let mut versions: Vec<Candidate> = Vec::new();
        for (holder, remote) in self.that_offer(type_name, "history-instance", held).await {
            let Ok(answer) = self.upstream.history(holder, type_name, remote).await else { continue };
            for resource in answer.resources.into_iter().filter(|resource| resource.resource_type() == Some(type_name)) {
                versions.extend(self.brought(holder, resource, id).await?.filter(|version| version_of(&version.resource).is_some()));
            }
            if !versions.is_empty() {
                break;
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(updated(&version.resource)));
        Ok(versions)
    }

    fn held_entry(&self, (type_name, id): (&str, &str), permitted: Permitted) -> Node {
        let request = Object::new().with("method", "PUT").with("url", format!("{type_name}/{id}"));
        let resource = permitted.resource();
        let tag = version_of(resource).map(|version| format!("W/\"{version}\""));
        let modified = updated(resource).map(Instant::to_fhir_instant);
        let response = Object::new().with("status", "200").with_some("etag", tag).with_some("lastModified", modified);
        self.version_entry(&format!("{type_name}/{id}"), Some(permitted), request, response)
    }

    /// The holders among these that say they can be asked so, with the id under which they have it.
    async fn that_offer<'h>(&'h self, type_name: &str, interaction: &str, held: &'h [(String, String)]) -> Vec<(&'h Holder, &'h str)> {
        let mut offering = Vec::new();
        for (name, remote) in held {
            let Some(holder) = self.pipeline.registry.holder(name) else { continue };
            if self.upstream.capabilities(holder).await.offers(type_name, interaction) {
                offering.push((holder, remote.as_str()));
            }
        }
        offering
    }

    /// A holder's resource in the gateway's form, if it is the one asked for. It keeps the version it has there, by which it can be asked for.
    async fn brought(&self, holder: &Holder, resource: Node, id: &str) -> Result<Option<Candidate>, Fault> {
        let links = self.patient_links(holder, &resource).await?;
        let [version, updated] = ["versionId", "lastUpdated"].map(|name| resource.text_at(&["meta", name]).map(str::to_owned));
        let brought = self.translate(holder, resource, &links).filter(|candidate| candidate.resource.text("id") == Some(id));
        Ok(brought.map(|mut candidate| {
            if let Some(meta) = candidate.resource.get_mut("meta").and_then(Node::as_object_mut) {
                version.into_iter().for_each(|version| meta.set("versionId", version));
                updated.into_iter().for_each(|updated| meta.set("lastUpdated", updated));
            }
            candidate
        }))
    }

    /// The patients of a holder's resource that the gateway knows under an id of its own.
    async fn patient_links(&self, holder: &Holder, resource: &Node) -> Result<Links, Fault> {
        let mut links = Links::new();
        for remote in crate::pipeline::patient_ids(resource) {
            if let Some(ours) = self.pipeline.store.glance(|reader| reader.ours(&holder.name, "Patient", &remote)).await? {
                links.insert(&format!("Patient/{remote}"), &format!("Patient/{ours}"));
            }
        }
        Ok(links)
    }
}

/// What may be seen of versions that were each ruled on, newest first: labels added later hide older versions too, so nothing where the newest
/// is hidden, and the newest alone where parts of it are.
fn visible(ruled: Vec<Option<Permitted>>) -> Vec<Permitted> {
    let mut ruled = ruled.into_iter();
    match ruled.next().flatten() {
        None => Vec::new(),
        Some(newest) if newest.is_redacted() => vec![newest],
        Some(newest) => std::iter::once(newest).chain(ruled.flatten()).collect(),
    }
}

fn version_of(resource: &Node) -> Option<&str> {
    resource.text_at(&["meta", "versionId"])
}

fn updated(resource: &Node) -> Option<Instant> {
    resource.text_at(&["meta", "lastUpdated"]).and_then(Instant::from_fhir_instant)
}
