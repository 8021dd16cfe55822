//! Replay: what the rules of today make of the bytes of yesterday.
//!
//! Replay runs inside the gateway, asked through the admin interface: the store has one owner, the rules shown are the ones in force, and what is
//! written passes the same stages, anchors and audit as anything else. The cursor is the place of a stored version, so a replay that was cut off
//! goes on where it was; what is as the rules would have it is not written again.

use super::plan::Planner;
use super::settle::content;
use super::{Pipeline, Prepared};
use crate::anchor::{LeafKind, Sender};
use crate::audit::{self, Closing, Outcome, organisation_reference};
use crate::clock::Instant;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Object, Value, json};
use crate::intake::{self, Evidence, Interaction, Limits, Media, Write, decode_pairs};
use crate::normalise::{Change, Context, Links, Normalised, repeats};
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal};
use crate::store::{Assumption, Committed, Method, Reader, StoredRaw, StoredVersion, Target, Unit};
use std::collections::HashMap;
use std::sync::Arc;

/// The most versions one call looks at.
pub const MAX_PAGE: usize = 500;
/// The most differences told of one resource.
pub const MAX_DIFFERENCES: usize = 500;

/// What was received passed these limits or narrower ones once.
const LIMITS: Limits = Limits { body_bytes: usize::MAX, depth: json::DEFAULT_DEPTH, bundle_entries: usize::MAX };

/// What is asked.
#[derive(Debug, Clone)]
pub struct ReplayAsked {
    pub source: String,
    /// Versions stored before are left alone.
    pub since: Instant,
    /// Where an earlier call ended; 0 at first.
    pub after: i64,
    pub is_dry: bool,
    pub limit: usize,
}

/// What one call found and did.
#[derive(Debug, Clone, Default)]
pub struct ReplayPage {
    /// An object for each resource that differs or cannot be replayed.
    pub lines: Vec<Node>,
    pub looked_at: usize,
    pub written: usize,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<i64>,
}

/// A stored version with what it was made from.
struct Original {
    version: StoredVersion,
    raw: Arc<Raw>,
    resource: Node,
    full_url: Option<String>,
    path: String,
    links: Links,
}

/// Received bytes, read again.
struct Raw {
    evidence: Evidence,
    document: Node,
    made: Vec<(String, String, String)>,
}

enum Found {
    Original(Box<Original>),
    /// The version cannot be made again, and why.
    Lost(Box<StoredVersion>, String),
}

impl Pipeline {
    /// Looks at the next versions of a source, and writes what comes out differently unless it is a dry run.
    pub async fn replay(&self, asked: &ReplayAsked, opened: &audit::Opened) -> Result<ReplayPage, Failure> {
        if !self.rules.contains_key(&asked.source) {
            let refusal = Refusal::new(Reason::NotFound, IssueType::NotFound, "No source of this name is configured.");
            self.record_refusal(opened, &refusal).await?;
            return Err(refusal.into());
        }
        let limit = asked.limit.clamp(1, MAX_PAGE);
        let found = self.originals(asked, limit).await?;
        let mut page = ReplayPage { looked_at: found.len(), ..ReplayPage::default() };
        page.next = if found.len() == limit { found.last().map(|found| found.seq()) } else { None };
        for found in found {
            match found {
                Found::Lost(version, why) => page.lines.push(line(&version, &[("lost", why.into())])),
                Found::Original(original) => self.replay_one(*original, asked, opened, &mut page).await?,
            }
        }
        let text = format!("{} versions of {} looked at, {} written", page.looked_at, asked.source, page.written);
        let closing = Closing { description: Some(text), ..Closing::default() };
        self.record(opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(page)
    }

    async fn replay_one(
        &self,
        original: Original,
        asked: &ReplayAsked,
        opened: &audit::Opened,
        page: &mut ReplayPage,
    ) -> Result<(), Fault> {
        let Original { version, raw, resource, full_url, path, links } = original;
        let before = version.parse()?;
        let rules = self.rules.get(&asked.source).ok_or_else(|| Fault::new(FaultKind::Internal, "a source without rules"))?;
        let context =
            Context { source: rules, ids: &self.ids, links: &links, types: self.definitions.types(), declared: raw.evidence.declared };
        let target = Target {
            type_name: version.type_name.clone(),
            id: version.id.clone(),
            version: version.version + 1,
            method: Method::Update,
            previous: Some(Arc::new(version.clone())),
        };
        let interaction =
            Interaction::Update { type_name: version.type_name.clone(), id: version.id.clone(), if_match: None, only_new: false };
        let write = Write { interaction, resource: Some(resource), full_url, path };
        let normalised = match Normalised::apply(raw.evidence.clone(), vec![(write, target)], &context) {
            Ok(normalised) => normalised,
            Err(refusal) => {
                page.lines.push(line(&version, &[("refused", findings(&refusal).into())]));
                return Ok(());
            }
        };
        // Which result came first was settled when they came.
        let normalised = normalised.linked(|_| repeats(&before).map(str::to_owned));
        let Some(entry) = normalised.entries().first() else { return Ok(()) };
        let after = entry.resource.clone().unwrap_or_else(|| Object::new().into());
        if content(before.clone()) == content(after.clone()) {
            return Ok(());
        }
        let changes = differences(&before, &after, &version.type_name, &entry.changes, self.definitions.types());
        let organisation =
            self.registry.source(&asked.source).map(|source| organisation_reference(&source.organisation)).unwrap_or_default();
        let policy = self.informed_policy(&asked.source, &normalised).await;
        let prepared =
            match self.finish((&Sender { organisation: &organisation, client: "" }, "", &asked.source), normalised, &policy, || true) {
                Ok(prepared) => prepared,
                Err(Failure::Refused(refusal)) => {
                    page.lines.push(line(&version, &[("changes", changes.into()), ("refused", findings(&refusal).into())]));
                    return Ok(());
                }
                Err(Failure::Fault(fault)) => return Err(fault),
            };
        let mut members = vec![("changes", changes.into())];
        if !asked.is_dry {
            let is_written = self.write_again(&version, prepared, &asked.source, opened).await?;
            page.written += usize::from(is_written);
            members.push(("written", is_written.into()));
        }
        page.lines.push(line(&version, &members));
        Ok(())
    }

    /// `false` when the resource was changed meanwhile: what is newer stays.
    async fn write_again(&self, replaced: &StoredVersion, prepared: Prepared, source: &str, opened: &audit::Opened) -> Result<bool, Fault> {
        let (versions, drafts, leaves) = prepared.anchored.into_drafts();
        let mut people = self.people(source, &versions, leaves.len()).await?;
        let items: Vec<_> = prepared.items.into_iter().chain(std::mem::take(&mut people.items)).collect();
        let assumption = Assumption::Version { type_name: replaced.type_name.clone(), id: replaced.id.clone(), version: replaced.version };
        let work = self.work(&items, self.clock.now())?;
        let mut unit = Unit { assumptions: vec![assumption], versions: drafts, leaves, raw_row: replaced.raw, work, ..Unit::default() };
        people.join(&mut unit);
        let resources = versions.iter().map(|version| {
            let target = &version.target;
            format!("{}/{}/_history/{}", target.type_name, target.id, target.version)
        });
        let patients = versions.iter().flat_map(|version| version.patients.clone()).collect();
        let closing = Closing { resources: resources.collect(), patients, ..Closing::default() };
        let done = self.record_with(unit, opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(matches!(done, Committed::Done { .. }))
    }

    /// The next versions with the bytes they were made from.
    async fn originals(&self, asked: &ReplayAsked, limit: usize) -> Result<Vec<Found>, Fault> {
        let (planner, types, asked) = (self.planner(&asked.source), self.definitions.types(), asked.clone());
        self.store
            .read(move |reader| {
                let versions = reader.received(&asked.source, asked.since, asked.after, limit)?;
                let mut raws: HashMap<i64, Arc<Raw>> = HashMap::new();
                let mut found = Vec::new();
                for version in versions {
                    let Some(id) = version.raw else { continue };
                    if !raws.contains_key(&id) {
                        // Versions of one submission lie together: one body at a time is enough.
                        raws.clear();
                        raws.extend(read_raw(reader, id, version.at, types)?.map(|raw| (id, Arc::new(raw))));
                    }
                    found.push(match raws.get(&id) {
                        Some(raw) => original(&planner, reader, version, raw)?,
                        None => Found::Lost(Box::new(version), "the received bytes cannot be read".to_owned()),
                    });
                }
                Ok(found)
            })
            .await
    }
}

impl Pipeline {
    /// What was received under a number, read again; `None` where it cannot be.
    pub(crate) fn received(&self, reader: &Reader<'_>, raw: i64) -> Result<Option<Node>, Fault> {
        Ok(read_document(reader, raw, self.definitions.types())?.map(|(_, _, document)| document))
    }
}

impl Found {
    fn seq(&self) -> i64 {
        match self {
            Found::Original(original) => original.version.seq,
            Found::Lost(version, _) => version.seq,
        }
    }
}

/// Received bytes with what they are and say; `None` where they cannot be read.
fn read_document(reader: &Reader<'_>, id: i64, types: &TypeTable) -> Result<Option<(StoredRaw, Media, Node)>, Fault> {
    let Some(stored) = reader.raw(id)? else { return Ok(None) };
    let Some(media) = Media::of(&stored.media) else { return Ok(None) };
    let document = intake::document(&stored.bytes, media.format, &LIMITS, types).ok();
    Ok(document.map(|document| (stored, media, document)))
}

fn read_raw(reader: &Reader<'_>, id: i64, at: Instant, types: &TypeTable) -> Result<Option<Raw>, Fault> {
    let Some((stored, Media { format, declared }, document)) = read_document(reader, id, types)? else { return Ok(None) };
    let mut evidence = Evidence::new(stored.bytes.into(), format, at).declared(declared);
    // As it was when they were received.
    evidence.digest = stored.digest;
    Ok(Some(Raw { evidence, document, made: reader.made_from(id)? }))
}

/// The resource a version was made from, and what its references mean.
fn original(planner: &Planner, reader: &Reader<'_>, version: StoredVersion, raw: &Arc<Raw>) -> Result<Found, Fault> {
    let place = version.place.clone().unwrap_or_default();
    let Some(resource) = at_place(&raw.document, &place).filter(|found| found.resource_type() == Some(&version.type_name)) else {
        return Ok(Found::Lost(Box::new(version), "where it stood in what was received is not known".to_owned()));
    };
    let mut links = Links::new();
    let is_transaction = raw.document.text("type") == Some("transaction");
    for (index, entry) in raw.document.items("entry").iter().enumerate().filter(|_| is_transaction) {
        let Some(full_url) = entry.text("fullUrl") else { continue };
        let place = format!("Bundle.entry[{index}].resource");
        let made = raw.made.iter().find(|(known, ..)| *known == place).map(|(_, type_name, id)| format!("{type_name}/{id}"));
        let meant = match made {
            Some(made) => Some(made),
            None => match existing(planner, reader, entry) {
                Ok(existing) => existing,
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(Failure::Refused(_)) => None,
            },
        };
        if let Some(meant) = meant {
            links.insert_full_url(full_url, &meant);
        }
    }
    match planner.relink(resource, links, reader) {
        Ok(links) => {
            let resource = resource.clone();
            let full_url = entry_at(&raw.document, &place).and_then(|entry| entry.text("fullUrl")).map(str::to_owned);
            Ok(Found::Original(Box::new(Original { version, raw: Arc::clone(raw), resource, full_url, path: place, links })))
        }
        Err(Failure::Refused(refusal)) => Ok(Found::Lost(Box::new(version), findings(&refusal))),
        Err(Failure::Fault(fault)) => Err(fault),
    }
}

/// What an entry that made no version stands for: what its condition finds, or its own id.
fn existing(planner: &Planner, reader: &Reader<'_>, entry: &Node) -> Result<Option<String>, Failure> {
    let Some(request) = entry.get("request") else { return Ok(None) };
    let url = request.text("url").unwrap_or_default();
    if let Some(criteria) = request.text("ifNoneExist") {
        return planner.only_match(url, criteria, reader);
    }
    match url.split_once('/') {
        Some((type_name, id)) if request.text("method") == Some("PUT") => {
            Ok(Some(format!("{type_name}/{}", planner.gateway_id(type_name, id))))
        }
        _ => match url.split_once('?') {
            Some((type_name, criteria)) if decode_pairs(criteria).is_ok() => planner.only_match(type_name, criteria, reader),
            _ => Ok(None),
        },
    }
}

fn at_place<'d>(document: &'d Node, place: &str) -> Option<&'d Node> {
    if place.is_empty() {
        return Some(document);
    }
    entry_at(document, place)?.get("resource")
}

fn entry_at<'d>(document: &'d Node, place: &str) -> Option<&'d Node> {
    let index = place.strip_prefix("Bundle.entry[")?.strip_suffix("].resource")?;
    document.items("entry").get(index.parse::<usize>().ok()?)
}

fn findings(refusal: &Refusal) -> String {
    let errors = refusal.findings.iter().filter(|finding| finding.is_error()).take(5);
    errors.map(|finding: &Finding| format!("{}: {}", finding.expression, finding.text)).collect::<Vec<_>>().join("; ")
}

fn line(version: &StoredVersion, members: &[(&str, Node)]) -> Node {
    let reference = format!("{}/{}/_history/{}", version.type_name, version.id, version.version);
    let mut line = Object::new().with("resource", reference);
    for (name, value) in members {
        line.set(name, value.clone());
    }
    line.into()
}

/// Every element that is not as it was: path, the rule that says so today, before and after.
fn differences(before: &Node, after: &Node, type_name: &str, changes: &[Change], types: &TypeTable) -> Vec<Node> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), type_name, &mut found);
    let stamped = |path: &str| {
        let rest = path.strip_prefix(type_name).unwrap_or(path);
        matches!(rest, ".id" | ".meta.versionId" | ".meta.lastUpdated")
    };
    found.retain(|(path, ..)| !stamped(path));
    let total = found.len();
    let told = found.into_iter().take(MAX_DIFFERENCES).map(|(path, before, after)| -> Node {
        let rule = changes.iter().rev().find(|change| touches(&change.path, &path, types)).map(|change| change.rule.to_string());
        let line = Object::new().with("path", path).with_some("rule", rule);
        line.with_some("before", before).with_some("after", after).into()
    });
    let mut told: Vec<Node> = told.collect();
    if total > MAX_DIFFERENCES {
        told.push(Object::new().with("omitted", (total - MAX_DIFFERENCES) as u64).into());
    }
    told
}

/// Whether a path of lineage is a path of a document or above or below it. Lineage has FHIRPath's names, so that its `value` is a `valueQuantity`.
fn touches(lineage: &str, written: &str, types: &TypeTable) -> bool {
    let is_type = |name: &str| {
        let primitive = || name.get(..1).zip(name.get(1..)).map(|(first, rest)| first.to_ascii_lowercase() + rest);
        types.type_named(name).is_some() || primitive().is_some_and(|name| types.type_named(&name).is_some())
    };
    let is_step = |step: &str, name: &str| {
        let rest = name.strip_prefix('_').unwrap_or(name).strip_prefix(step);
        rest.is_some_and(|rest| rest.is_empty() || is_type(rest))
    };
    lineage.split('.').zip(written.split('.')).all(|(step, name)| match (step.strip_suffix(']'), name.strip_suffix(']')) {
        (None, Some(item)) => item.rsplit_once('[').is_some_and(|(name, _)| name == step),
        (Some(item), None) => item.rsplit_once('[').is_some_and(|(step, _)| name == step),
        _ => is_step(step, name),
    })
}

fn compare(before: Option<&Node>, after: Option<&Node>, path: &str, found: &mut Vec<(String, Option<Node>, Option<Node>)>) {
    match (before.map(|node| &node.value), after.map(|node| &node.value)) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.members().iter().filter(|member| one.get(&member.name).is_none());
            for member in one.members().iter().chain(added) {
                compare(one.get(&member.name), other.get(&member.name), &format!("{path}.{}", member.name), found);
            }
        }
        (Some(Value::List(one)), Some(Value::List(other))) => {
            for index in 0..one.len().max(other.len()) {
                compare(one.get(index), other.get(index), &format!("{path}[{index}]"), found);
            }
        }
        _ => found.push((path.to_owned(), before.cloned(), after.cloned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_paths_and_rules() {
        let node = |text: &str| json::parse(text.as_bytes(), 32).unwrap();
        let before = node(r#"{"id":"a","meta":{"versionId":"1"},"code":{"coding":[{"system":"LN","code":"1"}]},"note":"x"}"#);
        let after = node(r#"{"code":{"coding":[{"system":"http://loinc.org","code":"1"},{"code":"2"}]}}"#);
        let types = crate::definitions::Definitions::embedded().types();
        let rule = crate::normalise::rule::CODING_SYSTEMS;
        let change = Change { rule, path: "Observation.code.coding[0].system".into(), before: None, after: None };
        let told: Vec<String> = differences(&before, &after, "Observation", &[change], types).iter().map(json::write).collect();
        assert_eq!(told.len(), 4, "{told:?}");
        let named = format!(r#"{{"path":"Observation.code.coding[0].system","rule":"{rule}","before":"LN","after":"http://loinc.org"}}"#);
        assert!(told.contains(&named), "{told:?}");
        assert!(told.contains(&r#"{"path":"Observation.note","before":"x"}"#.to_owned()), "{told:?}");
    }

    #[test]
    fn lineage_and_documents_name_one_element() {
        let types = crate::definitions::Definitions::embedded().types();
        for (lineage, written, same) in [
            ("Observation.value", "Observation.valueQuantity", true),
            ("Observation.value.code", "Observation.valueQuantity", true),
            ("Observation.value", "Observation.valueQuantity.code", true),
            ("Observation.component[1].value.code", "Observation.component[1].valueQuantity.code", true),
            ("Observation.component[1].value", "Observation.component[2].valueQuantity", false),
            ("Observation.effective", "Observation.effectiveDateTime", true),
            ("Observation.effective", "Observation._effectiveDateTime", true),
            ("Observation.code", "Observation.code", true),
            ("X.code", "X.codeFilter", false),
            ("X.item", "X.item[3]", true),
            ("X.item[3]", "X.item", true),
            ("X.item[1]", "X.item[10]", false),
            ("X.a", "X.ab", false),
        ] {
            assert_eq!(touches(lineage, written, types), same, "{lineage} {written}");
        }
    }

    #[test]
    fn so_many_differences_are_told() {
        let list = |text: &str| -> Node { vec![Node::from(text); MAX_DIFFERENCES + 7].into() };
        let (before, after) = (Object::new().with("a", list("x")).into(), Object::new().with("a", list("y")).into());
        let told = differences(&before, &after, "Basic", &[], &TypeTable::default());
        assert_eq!(told.len(), MAX_DIFFERENCES + 1);
        assert_eq!(json::write(told.last().unwrap()), r#"{"omitted":7}"#);
    }
}
