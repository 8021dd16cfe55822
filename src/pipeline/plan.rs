//! What a submission touches: which resource and version each write makes, what its references mean, and what all that relies on.

use super::dialect::Dialect;
use super::{is_damage, leave_out, readable};
use crate::clock::{Entropy, Instant};
use crate::consent::is_administrative;
use crate::definitions::Definitions;
use crate::fhir::{Node, Value};
use crate::intake::{Interaction, Pairs, Write, decode_pairs};
use crate::normalise::{GatewayIds, Links, SourceRules, is_gateway_id};
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal};
use crate::registry::Registry;
use crate::search::Query;
use crate::store::{Assumption, Method, Reader, StoredVersion, Target};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many conditional references one submission may have.
const MAX_CONDITIONAL_REFERENCES: usize = 5_000;

/// How many records of others one conditional deletion is put on record with.
const MAX_ATTEMPTED: usize = 100;

/// What will be written, and what becomes of each write asked for, in order.
pub(super) struct Plan {
    pub writes: Vec<(Write, Target)>,
    pub steps: Vec<Step>,
    pub links: Links,
    pub assumptions: Vec<Assumption>,
    pub withdrawn: Withdrawn,
    /// Records of others that were to be deleted: to whoever may not see them there is nothing.
    pub attempted: OfOthers,
}

/// Records of others.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfOthers {
    /// By type and id.
    pub records: Vec<(String, String)>,
    /// Whether there are more than are put on record.
    pub are_more: bool,
}

/// By `Type/id`, the last version of a result before the deletion that is current.
pub(super) type Withdrawn = HashMap<String, StoredVersion>;

/// What becomes of one write.
pub(super) enum Step {
    /// The write at this index of [`Plan::writes`].
    Write(usize),
    /// A write that changes nothing: what is current stays.
    Stays { version: Arc<StoredVersion>, finding: Option<Finding> },
    /// A conditional create that found its resource.
    Existing(Box<StoredVersion>),
    /// A deletion of what is not there.
    Nothing { type_name: String },
}

/// Plans the writes of one source.
pub(super) struct Planner {
    pub source: String,
    pub ids: GatewayIds,
    pub definitions: &'static Definitions,
    /// The normalisation rules of each source, by name.
    pub rules: Arc<HashMap<String, SourceRules>>,
    pub base_url: String,
    pub registry: Arc<Registry>,
    pub entropy: Entropy,
    pub at: Instant,
}

/// Whether planning needs to look anything up: plain creates without conditional references do not.
pub(super) fn needs_store(writes: &[Write]) -> bool {
    writes.iter().any(|write| {
        let plain = matches!(write.interaction, Interaction::Create { if_none_exist: None, .. });
        !plain || write.resource.as_ref().is_some_and(has_conditional_reference)
    })
}

impl Planner {
    pub fn plan(&self, writes: Vec<Write>, reader: Option<&Reader<'_>>) -> Result<Plan, Failure> {
        let mut work = Work {
            planner: self,
            reader,
            links: Links::new(),
            assumptions: Vec::new(),
            taken: HashSet::new(),
            withdrawn: Withdrawn::new(),
            attempted: OfOthers::default(),
        };
        let mut plan = Plan {
            writes: Vec::with_capacity(writes.len()),
            steps: Vec::new(),
            links: Links::new(),
            assumptions: Vec::new(),
            withdrawn: Withdrawn::new(),
            attempted: OfOthers::default(),
        };
        for write in writes {
            let decided = work.decide(&write).map_err(|failure| placed(failure, &write.path))?;
            if let Some(identity) = decided.identity() {
                work.claim(&write, &identity)?;
            }
            plan.steps.push(match decided {
                Decided::Write(target) => {
                    plan.writes.push((write, target));
                    Step::Write(plan.writes.len() - 1)
                }
                Decided::Existing(version) => Step::Existing(version),
                Decided::Nothing => Step::Nothing { type_name: write.interaction.type_name().unwrap_or_default().to_owned() },
            });
        }
        for (write, _) in &plan.writes {
            if let Some(resource) = &write.resource {
                work.resolve_references(resource).map_err(|failure| placed(failure, &write.path))?;
            }
        }
        plan.links = work.links;
        plan.assumptions = work.assumptions;
        plan.withdrawn = work.withdrawn;
        plan.attempted = work.attempted;
        Ok(plan)
    }
}

impl Planner {
    fn work<'a>(&'a self, reader: &'a Reader<'a>, links: Links) -> Work<'a> {
        let (assumptions, attempted) = (Vec::new(), OfOthers::default());
        Work { planner: self, reader: Some(reader), links, assumptions, taken: HashSet::new(), withdrawn: Withdrawn::new(), attempted }
    }

    /// The records of others that a write would delete. None where it deletes its own, or is refused whatever it meets.
    pub fn attempted(&self, write: &Write, reader: &Reader<'_>) -> Result<Option<OfOthers>, Fault> {
        let mut work = self.work(reader, Links::new());
        match work.decide(write) {
            Ok(Decided::Nothing) => Ok(Some(work.attempted)),
            Ok(_) | Err(Failure::Refused(_)) => Ok(None),
            Err(Failure::Fault(fault)) => Err(fault),
        }
    }

    /// What a conditional deletion asks for, in the gateway's words.
    pub fn criteria(&self, type_name: &str, criteria: &Pairs) -> Result<Query, Refusal> {
        let pairs = self.dialect().pairs(type_name, criteria.clone());
        Query::criteria(self.definitions, type_name, &encode(&pairs))
    }

    /// The links of a resource that was planned before, with its conditional references resolved anew.
    pub fn relink(&self, resource: &Node, links: Links, reader: &Reader<'_>) -> Result<Links, Failure> {
        let mut work = self.work(reader, links);
        work.resolve_references(resource)?;
        Ok(work.links)
    }

    /// `Type/id` of the one resource that criteria find now.
    pub fn only_match(&self, type_name: &str, criteria: &str, reader: &Reader<'_>) -> Result<Option<String>, Failure> {
        let found = self.work(reader, Links::new()).only_match(type_name, criteria)?;
        Ok(found.map(|id| format!("{type_name}/{id}")))
    }

    /// The gateway's id for an id of the source.
    pub fn gateway_id(&self, type_name: &str, id: &str) -> String {
        self.dialect().id(type_name, id)
    }

    fn dialect(&self) -> Dialect<'_> {
        let rules = self.rules.get(&self.source);
        Dialect { source: Some(&self.source), ids: &self.ids, definitions: self.definitions, rules, base_url: &self.base_url }
    }
}

fn placed(failure: Failure, path: &str) -> Failure {
    match failure {
        Failure::Refused(refusal) => {
            let findings = refusal.findings.into_iter().map(|finding| finding.under(path)).collect();
            Failure::Refused(Refusal { findings, ..refusal })
        }
        fault => fault,
    }
}

enum Decided {
    Write(Target),
    Existing(Box<StoredVersion>),
    Nothing,
}

impl Decided {
    fn identity(&self) -> Option<String> {
        match self {
            Decided::Write(target) => Some(format!("{}/{}", target.type_name, target.id)),
            Decided::Existing(version) => Some(format!("{}/{}", version.type_name, version.id)),
            Decided::Nothing => None,
        }
    }
}

struct Work<'a> {
    planner: &'a Planner,
    reader: Option<&'a Reader<'a>>,
    links: Links,
    assumptions: Vec<Assumption>,
    /// Identities and criteria already claimed by an entry.
    taken: HashSet<String>,
    withdrawn: Withdrawn,
    attempted: OfOthers,
}

impl Work<'_> {
    fn reader(&self) -> Result<&Reader<'_>, Fault> {
        self.reader.ok_or_else(|| Fault::new(FaultKind::Internal, "a plan that needs the store was made without it"))
    }

    fn decide(&mut self, write: &Write) -> Result<Decided, Failure> {
        match &write.interaction {
            Interaction::Create { type_name, if_none_exist: None } => Ok(Decided::Write(self.fresh(type_name, Method::Create))),
            Interaction::Create { type_name, if_none_exist: Some(criteria) } => self.conditional_create(type_name, criteria),
            Interaction::Update { type_name, id, only_new: true, .. } => self.create_as(type_name, id),
            Interaction::Update { type_name, id, if_match, .. } => self.update(type_name, id, if_match.as_deref()),
            Interaction::ConditionalUpdate { type_name, criteria, if_match } => {
                self.conditional_update(type_name, criteria, if_match.as_deref(), write)
            }
            Interaction::Delete { type_name, id, if_match } => {
                let id = self.gateway_id(type_name, id);
                self.delete(type_name, &id, if_match.as_deref())
            }
            Interaction::ConditionalDelete { type_name, criteria } => self.conditional_delete(type_name, criteria),
            _ => Err(Refusal::new(Reason::NotSupported, IssueType::NotSupported, "Only writes can be submitted.").into()),
        }
    }

    fn fresh(&self, type_name: &str, method: Method) -> Target {
        let id = self.planner.ids.fresh(self.planner.at, self.planner.entropy.bytes());
        Target { type_name: type_name.to_owned(), id, version: 1, method, previous: None }
    }

    fn gateway_id(&self, type_name: &str, id: &str) -> String {
        self.planner.gateway_id(type_name, id)
    }

    /// Criteria in the gateway's words, as a query and as the text by which two entries are compared.
    fn query(&self, type_name: &str, criteria: &str) -> Result<(Query, String), Refusal> {
        let pairs = self.planner.dialect().pairs(type_name, decode_pairs(criteria)?);
        let criteria = encode(&pairs);
        Ok((Query::criteria(self.planner.definitions, type_name, &criteria)?, criteria))
    }

    fn conditional_create(&mut self, type_name: &str, criteria: &str) -> Result<Decided, Failure> {
        match self.only_match(type_name, criteria)? {
            None => Ok(Decided::Write(self.fresh(type_name, Method::Create))),
            Some(id) => match self.reader()?.current(type_name, &id)? {
                Some(version) => Ok(Decided::Existing(Box::new(version))),
                None => Err(Fault::new(FaultKind::StorageCorrupt, "the index names a resource that is not there").into()),
            },
        }
    }

    /// An update that must create: whatever is there, deleted or another's, is answered the same way.
    fn create_as(&mut self, type_name: &str, id: &str) -> Result<Decided, Failure> {
        let gateway_id = self.gateway_id(type_name, id);
        if is_gateway_id(id) || !matches!(self.held(type_name, &gateway_id)?, Held::Nothing) {
            let text = "There is such a resource already, and If-None-Match asks that there be none.";
            return Err(Refusal::new(Reason::StaleVersion, IssueType::Conflict, text).into());
        }
        self.update(type_name, id, None)
    }

    fn update(&mut self, type_name: &str, id: &str, if_match: Option<&str>) -> Result<Decided, Failure> {
        let gateway_id = self.gateway_id(type_name, id);
        match self.held(type_name, &gateway_id)? {
            Held::Own(current) => {
                self.remember_withdrawn(&current)?;
                Ok(Decided::Write(self.replace(*current, if_match)?))
            }
            Held::Damaged => Err(damaged().into()),
            // Another partner's resource is answered like one that does not exist.
            Held::Anothers => Err(not_yours().into()),
            Held::Nothing if is_gateway_id(id) => Err(not_yours().into()),
            Held::Nothing if if_match.is_some() => Err(stale().into()),
            Held::Nothing => {
                self.assumptions.push(Assumption::Absent { type_name: type_name.to_owned(), id: gateway_id.clone() });
                Ok(Decided::Write(Target {
                    type_name: type_name.to_owned(),
                    id: gateway_id,
                    version: 1,
                    method: Method::Update,
                    previous: None,
                }))
            }
        }
    }

    fn conditional_update(&mut self, type_name: &str, criteria: &Pairs, if_match: Option<&str>, write: &Write) -> Result<Decided, Failure> {
        let own_id = write.resource.as_ref().and_then(|resource| resource.text("id"));
        match (self.only_match(type_name, &encode(criteria))?, own_id) {
            (Some(id), Some(own)) if self.gateway_id(type_name, own) != id => {
                let text = "The criteria match another resource than the id in the body names.";
                Err(Refusal::new(Reason::Malformed, IssueType::Conflict, text).at(format!("{type_name}.id")).into())
            }
            (Some(id), _) => self.update(type_name, &id, if_match),
            (None, Some(own)) => self.update(type_name, own, if_match),
            (None, None) => Ok(Decided::Write(self.fresh(type_name, Method::Update))),
        }
    }

    /// Only what this source sent is looked for; what others sent that meets the criteria was to be deleted too.
    fn conditional_delete(&mut self, type_name: &str, criteria: &Pairs) -> Result<Decided, Failure> {
        if let Some(id) = self.only_match(type_name, &encode(criteria))? {
            return self.delete(type_name, &id, None);
        }
        let query = Arc::new(self.planner.criteria(type_name, criteria)?);
        let mut found = self.reader()?.matching_ids(&query, None, MAX_ATTEMPTED + 1)?;
        self.attempted.are_more |= found.len() > MAX_ATTEMPTED;
        found.truncate(MAX_ATTEMPTED);
        self.attempted.records.extend(found.into_iter().map(|id| (type_name.to_owned(), id)));
        Ok(Decided::Nothing)
    }

    fn delete(&mut self, type_name: &str, id: &str, if_match: Option<&str>) -> Result<Decided, Failure> {
        match self.held(type_name, id)? {
            Held::Own(current) if !current.deleted() => {
                let target = self.replace(*current, if_match)?;
                Ok(Decided::Write(Target { method: Method::Delete, ..target }))
            }
            Held::Damaged => Err(damaged().into()),
            Held::Nothing if type_name == "Task" && self.is_held(id)? => {
                let text = "A submission that was held for signatures is not withdrawn by deleting its Task. Let the time for signing pass, or correct what was accepted.";
                Err(Refusal::new(Reason::MethodNotAllowed, IssueType::NotSupported, text).into())
            }
            // To delete what its sender deleted is to delete nothing.
            Held::Anothers if readable(self.reader()?.current(type_name, id))?.is_none_or(|current| !current.deleted()) => {
                self.attempted.records.push((type_name.to_owned(), id.to_owned()));
                Ok(Decided::Nothing)
            }
            Held::Own(_) | Held::Anothers | Held::Nothing => Ok(Decided::Nothing),
        }
    }

    /// What there is under an id, for this source. Whoever did not send what is damaged must not learn that there is something; whoever did cannot mend it
    /// by sending it anew, for whose it is stands in what is damaged.
    fn held(&mut self, type_name: &str, id: &str) -> Result<Held, Failure> {
        match self.reader()?.current(type_name, id) {
            Ok(None) => Ok(Held::Nothing),
            Ok(Some(current)) if self.may_change(&current) => Ok(Held::Own(Box::new(current))),
            Ok(Some(_)) => Ok(Held::Anothers),
            Err(fault) if is_damage(&fault) => {
                leave_out(&fault);
                let is_own = self.reader()?.source_of(type_name, id)?.is_some_and(|source| source == self.planner.source);
                Ok(if is_own { Held::Damaged } else { Held::Anothers })
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether a Task stands for a submission of this source that is held, or was. To others there is none.
    fn is_held(&self, id: &str) -> Result<bool, Fault> {
        Ok(self.reader()?.pending(id)?.is_some_and(|pending| pending.source == self.planner.source))
    }

    /// A deletion makes nothing of what came before it undone: a late result is compared with what was deleted.
    fn remember_withdrawn(&mut self, current: &StoredVersion) -> Result<(), Fault> {
        let (true, Some(before)) = (current.deleted(), current.version.checked_sub(1)) else { return Ok(()) };
        let last = self.reader()?.version(&current.type_name, &current.id, before)?;
        if let Some(last) = last.filter(|last| !last.deleted() && !last.document.is_empty()) {
            self.withdrawn.insert(format!("{}/{}", current.type_name, current.id), last);
        }
        Ok(())
    }

    /// What this source sent. What the gateway recorded about it (its Provenance) is kept under the same source, but has no leaf of acceptance.
    fn may_change(&self, current: &StoredVersion) -> bool {
        current.source == self.planner.source && current.leaf.is_some()
    }

    fn replace(&mut self, current: StoredVersion, if_match: Option<&str>) -> Result<Target, Refusal> {
        if if_match.is_some_and(|tag| entity_tag(tag) != current.version.to_string()) {
            return Err(stale());
        }
        self.assumptions.push(Assumption::Version {
            type_name: current.type_name.clone(),
            id: current.id.clone(),
            version: current.version,
        });
        Ok(Target {
            type_name: current.type_name.clone(),
            id: current.id.clone(),
            version: current.version + 1,
            method: Method::Update,
            previous: Some(Arc::new(current)),
        })
    }

    /// The one resource of this source that the criteria match; more than one refuses. The answer becomes an assumption.
    fn only_match(&mut self, type_name: &str, criteria: &str) -> Result<Option<String>, Failure> {
        let (query, criteria) = self.query(type_name, criteria)?;
        if !self.taken.insert(format!("{type_name}?{criteria}")) {
            return Err(same_identity().into());
        }
        let scope = (!is_administrative(type_name)).then(|| self.planner.source.clone());
        self.single(Arc::new(query), scope)
    }

    fn single(&mut self, query: Arc<Query>, source: Option<String>) -> Result<Option<String>, Failure> {
        let ids = self.reader()?.matching_ids(&query, source.as_deref(), 2)?;
        if ids.len() > 1 {
            let text = "The criteria match more than one resource. Make them more specific.";
            return Err(Refusal::new(Reason::MultipleMatches, IssueType::MultipleMatches, text).into());
        }
        self.assumptions.push(Assumption::Matches { query, source, ids: ids.clone() });
        Ok(ids.into_iter().next())
    }

    /// An identity belongs to one entry only (R4 §3.1.0.11.2).
    fn claim(&mut self, write: &Write, identity: &str) -> Result<(), Refusal> {
        if !self.taken.insert(identity.to_owned()) {
            return Err(same_identity().at(write.path.clone()));
        }
        if let Some(full_url) = &write.full_url {
            self.links.insert_full_url(full_url, identity);
        }
        if let Interaction::Update { type_name, id, .. } = &write.interaction {
            self.links.insert_odd(type_name, id, identity);
        }
        Ok(())
    }

    fn resolve_references(&mut self, resource: &Node) -> Result<(), Failure> {
        let mut literals = Vec::new();
        collect_conditional(resource, &mut literals);
        for literal in literals {
            if self.links.get(&literal).is_some() {
                continue;
            }
            match odd_name(&literal) {
                Some((type_name, id)) => self.resolve_odd(&literal, type_name, id)?,
                None => self.resolve(&literal)?,
            }
        }
        Ok(())
    }

    /// An id that FHIR does not allow is one when a resource of the source has it; else the reference stays what it looks like.
    fn resolve_odd(&mut self, literal: &str, type_name: &str, id: &str) -> Result<(), Failure> {
        self.room_for_link()?;
        let gateway_id = self.gateway_id(type_name, id);
        if matches!(self.held(type_name, &gateway_id)?, Held::Own(_)) {
            self.links.insert(literal, &format!("{type_name}/{gateway_id}"));
        }
        Ok(())
    }

    fn room_for_link(&self) -> Result<(), Refusal> {
        if self.links.len() < MAX_CONDITIONAL_REFERENCES {
            return Ok(());
        }
        let text = format!("More than {MAX_CONDITIONAL_REFERENCES} conditional references in one submission.");
        Err(Refusal::new(Reason::TooLarge, IssueType::TooLong, text))
    }

    fn resolve(&mut self, literal: &str) -> Result<(), Failure> {
        self.room_for_link()?;
        let (type_name, criteria) = literal.split_once('?').unwrap_or((literal, ""));
        let (query, criteria) = self.query(type_name, criteria)?;
        let shared = is_administrative(type_name) || self.names_a_person(type_name, &criteria);
        let scope = (!shared).then(|| self.planner.source.clone());
        match self.single(Arc::new(query), scope)? {
            Some(id) => {
                self.links.insert(literal, &format!("{type_name}/{id}"));
                Ok(())
            }
            None => {
                let text = format!(
                    "A conditional reference to {type_name} matches no resource. Send that resource first, or in the same transaction."
                );
                Err(Refusal::new(Reason::UnresolvedReference, IssueType::NotFound, text).into())
            }
        }
    }

    /// A laboratory may name a patient it did not send by an identifier of which one value is one person.
    fn names_a_person(&self, type_name: &str, criteria: &str) -> bool {
        let Ok(pairs) = decode_pairs(criteria) else { return false };
        let [(name, token)] = pairs.as_slice() else { return false };
        let system = token.split_once('|').map(|(system, _)| system);
        type_name == "Patient" && name == "identifier" && system.is_some_and(|system| self.planner.registry.is_person_system(system))
    }
}

/// What there is under an id, for the source that writes.
enum Held {
    Nothing,
    Own(Box<StoredVersion>),
    Anothers,
    /// Its own, and not as it was stored.
    Damaged,
}

fn damaged() -> Refusal {
    let text = "What is stored under this id is damaged: it can be neither replaced nor deleted before the operator has restored it. \
                The operator finds it in the log under this request's X-Request-Id.";
    Refusal::new(Reason::RecordDamaged, IssueType::Exception, text)
}

fn not_yours() -> Refusal {
    let text = "This id is of the form the gateway gives, and names no resource of yours. Use your own id, or POST to create.";
    Refusal::new(Reason::NotFound, IssueType::NotFound, text)
}

fn stale() -> Refusal {
    let text = "The resource is not at the version named by If-Match. Read it again and repeat the change on its current version.";
    Refusal::new(Reason::StaleVersion, IssueType::Conflict, text)
}

fn same_identity() -> Refusal {
    let text = "Two entries of the transaction are about the same resource. Nothing of it was stored.";
    Refusal::new(Reason::Malformed, IssueType::Duplicate, text)
}

/// `W/"3"` → `3`.
fn entity_tag(tag: &str) -> &str {
    tag.trim().trim_start_matches("W/").trim_matches('"')
}

fn encode(pairs: &Pairs) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// `Practitioner?identifier=…`: a type name, a question mark, criteria (R4 §3.1.0.11.3).
fn is_conditional(reference: &str) -> bool {
    reference
        .split_once('?')
        .is_some_and(|(type_name, _)| !type_name.is_empty() && type_name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// `Type/id` with an id in which FHIR allows no `/`, `?` or `#`; not `Type/id/_history/version`.
fn odd_name(reference: &str) -> Option<(&str, &str)> {
    let (type_name, id) = reference.split_once('/')?;
    let is_type =
        type_name.starts_with(|first: char| first.is_ascii_uppercase()) && type_name.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_version = id.split_once("/_history/").is_some_and(|(id, version)| !id.contains('/') && !version.contains(['/', '?', '#']));
    (is_type && !is_version && id.contains(['/', '?', '#'])).then_some((type_name, id))
}

/// Whether what a reference leads to must be looked up.
fn is_looked_up(reference: &str) -> bool {
    is_conditional(reference) || odd_name(reference).is_some()
}

fn has_conditional_reference(node: &Node) -> bool {
    match &node.value {
        Value::Object(object) => object.members().iter().any(|member| {
            (member.name == "reference" && member.node.as_text().is_some_and(|text| is_looked_up(text.trim())))
                || has_conditional_reference(&member.node)
        }),
        Value::List(items) => items.iter().any(has_conditional_reference),
        _ => false,
    }
}

fn collect_conditional(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::Object(object) => {
            for member in object.members() {
                match member.node.as_text() {
                    Some(text) if member.name == "reference" && is_looked_up(text.trim()) => found.push(text.trim().to_owned()),
                    _ => collect_conditional(&member.node, found),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| collect_conditional(item, found)),
        _ => {}
    }
}
