//! The story of one accepted submission: gather what it touches, normalise, validate, anchor, commit, answer.
//!
//! The only place where the accepting stages are called in order. A submission is one unit: it is stored with its evidence, its
//! Provenance, its audit record, its leaves and its deliveries, or it leaves nothing but the audit record of its refusal.

mod answer;
mod damaged;
mod desk;
mod dialect;
mod filing;
mod glass;
mod implicit;
mod kept_affiliations;
mod kept_rules;
mod people;
mod plan;
mod refused;
mod repeats;
mod replay;
mod represent;
mod settle;
mod sign_off;
mod work;

pub use answer::{Done, WriteAnswer};
pub(crate) use damaged::{is_damage, is_unreadable, leave_out, linked_as_far_as_known, readable};
pub use desk::{LoadedMap, MAX_MAPPINGS, input};
pub use dialect::Dialect;
pub(crate) use glass::{asks_to_break, is_glass_broken};
pub(crate) use implicit::implicit_policies;
pub(crate) use kept_affiliations::{Affiliated, Affiliations};
pub use kept_rules::KeptRules;
pub(crate) use kept_rules::{Asked, Compiled, Halt, Looked, Room};
pub(crate) use refused::Meant;
pub use replay::{MAX_DIFFERENCES, MAX_PAGE, ReplayAsked, ReplayPage};
pub(crate) use represent::majority_years;
pub use sign_off::{EXPIRY_PASS, Signed, Waiting, Waits};

use crate::anchor::{Act, Anchor, Anchored, AnchoredVersion, LeafKind, Sender, ToAnchor};
use crate::audit::{self, Closing, Outcome, organisation_reference};
use crate::clock::Clock;
use crate::config::Interaction as Permission;
use crate::consent::{self, Labeller};
use crate::definitions::Definitions;
use crate::fhir::temporal::DateTime;
use crate::fhir::{Node, Release};
use crate::identity::Caller;
use crate::intake::{Evidence, Format, Interaction, Limits, Received, Write};
use crate::normalise::{Context, GatewayIds, InR4, Links, Normalised, SourceRules, in_r4};
use crate::outcome::{Failure, Fault, FaultKind, Finding, IssueType, Reason, Refusal, Severity};
use crate::registry::{OnError, PatientFacts, Registry};
use crate::store::{Committed, IdempotencyDraft, LeafDraft, OutboxDraft, RawDraft, Store, StoredVersion, Target, Unit, VersionDraft};
use crate::validate::{self, OnInvalid, Options, Policy, Validated};
use crate::worklist::{self, Item};
use plan::{Plan, Planner};
use settle::Fate;
use std::collections::HashMap;
use std::sync::Arc;
use tracing::{Instrument, debug_span};

/// How often a submission is decided anew because what it was decided on had changed under it.
const MAX_ATTEMPTS: u32 = 20;

/// The accepting path. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    pub store: Store,
    pub registry: Arc<Registry>,
    pub definitions: &'static Definitions,
    pub anchor: Anchor,
    pub ids: GatewayIds,
    pub clock: Clock,
    /// The normalisation rules of each source, by name.
    pub rules: Arc<HashMap<String, SourceRules>>,
    /// What the operator decides about consents.
    pub consent: Arc<crate::config::Consent>,
    /// What was compiled of patients' consents by what the operator decides.
    pub kept_rules: Arc<KeptRules>,
    /// How what was held is read again.
    pub limits: Limits,
    /// Held by the one overtaken submission that is being decided anew.
    pub overtaken: Arc<tokio::sync::Mutex<()>>,
    /// What is asked about codes that the definitions in hand do not have.
    pub terminology: Option<Arc<crate::terminology::Server>>,
    /// What codes and words tell of sensitivity.
    pub labeller: Labeller,
}

impl Pipeline {
    /// Accepts a submission, or refuses it; either way the audit record is synced when this returns, unless storage itself failed.
    pub async fn accept(&self, caller: &Caller, received: Received, opened: audit::Opened) -> Result<Vec<WriteAnswer>, Failure> {
        match self.try_accept(caller, &received, &opened).await {
            Err(Failure::Refused(refusal)) => {
                let declared = received.evidence().declared;
                self.record_refused_submission(caller, (received.into_parts().1, declared), &opened, &refusal).await?;
                Err(Failure::Refused(refusal))
            }
            outcome => outcome,
        }
    }

    async fn try_accept(&self, caller: &Caller, received: &Received, opened: &audit::Opened) -> Result<Vec<WriteAnswer>, Failure> {
        let source = authorise(caller, received.writes())?;
        self.check_deletions(caller, received.writes()).await?;
        if let Some(answers) = self.answered_before(received, opened).await? {
            return Ok(answers);
        }
        if let Some(rule) = self.sign_off_rule(caller, received) {
            return self.hold(caller, source, received.clone(), rule, opened).await;
        }
        let mut turn = None;
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(caller, source, received.clone(), opened).await? {
                Attempt::Done(answers) => return Ok(answers),
                // Whoever was overtaken goes on one at a time, so that many writers of one resource do not overtake each other for ever.
                Attempt::Stale if turn.is_none() => turn = Some(self.overtaken.lock().await),
                Attempt::Stale => {}
                Attempt::Replayed => {
                    if let Some(answers) = self.answered_before(received, opened).await? {
                        return Ok(answers);
                    }
                }
            }
        }
        Err(Fault::new(FaultKind::Overloaded, "a submission kept being overtaken by others that touch the same resources").into())
    }

    async fn attempt(&self, caller: &Caller, source: &str, received: Received, opened: &audit::Opened) -> Result<Attempt, Failure> {
        self.attempt_with(caller, source, received, opened, |_, _| {}).await
    }

    /// The same with more in the unit, once the answers are known.
    async fn attempt_with(
        &self,
        caller: &Caller,
        source: &str,
        received: Received,
        opened: &audit::Opened,
        complete: impl FnOnce(&mut Unit, &[WriteAnswer]),
    ) -> Result<Attempt, Failure> {
        let (key, shared) = (received.idempotency(), received.is_shared());
        let (evidence, writes) = received.into_parts();
        let plan = self.plan(source, writes).await?;
        let prepared = self.prepare(caller, source, evidence.clone(), plan.writes, (&plan.links, &plan.withdrawn)).await?;
        self.may_file(caller, prepared.anchored.versions()).await?;
        let outbox = self.deliveries(caller, prepared.anchored.versions()).await?;
        let (versions, drafts, leaves) = prepared.anchored.into_drafts();
        let mut people = self.people(source, &versions, leaves.len()).await?;
        let mut answers = answer::answers(&settle::settled(plan.steps, &prepared.fates), &versions);
        self.tell_filers(&mut answers, &versions).await?;
        let late = settle::questions(source, &prepared.fates);
        let items: Vec<Item> = prepared.items.into_iter().chain(late).chain(std::mem::take(&mut people.items)).collect();
        let work = self.work(&items, self.clock.now())?;
        let mut unit = Unit {
            submits: true,
            assumptions: plan.assumptions.into_iter().chain(prepared.assumptions).collect(),
            versions: drafts,
            leaves,
            outbox,
            work,
            alike: prepared.alike,
            ..Unit::default()
        };
        people.join(&mut unit);
        unit.versions.extend(self.evidence_of_late(source, &evidence, &prepared.fates)?);
        let is_evidence = prepared.fates.is_empty() || prepared.fates.iter().any(|fate| !matches!(fate, Fate::Unchanged(..)));
        unit.raw = (is_evidence && !evidence.bytes.is_empty()).then(|| raw_draft(&evidence, source, shared));
        unit.idempotency =
            key.map(|key| IdempotencyDraft { key: key.0, body: evidence.digest, outcome: answer::encode(&answers), at: evidence.at });
        complete(&mut unit, &answers);
        let is_done = plan.attempted.records.is_empty() || answers.iter().any(|answer| answer.done != Done::Nothing);
        if !plan.attempted.records.is_empty() {
            let attempt = audit::Opened { interaction: "delete", action: audit::Action::Delete, ..opened.clone() };
            let refused = Outcome::Refused(Reason::Forbidden.label());
            for closing in self.attempt_on(plan.attempted).await? {
                self.close(&mut unit, &attempt, &refused, LeafKind::Refuse, closing)?;
            }
        }
        if is_done {
            self.close(&mut unit, opened, &Outcome::Success, LeafKind::Audit, closing(&answers, &versions, &prepared.fates))?;
        }
        match self.store.commit(unit).instrument(debug_span!("store")).await? {
            Committed::Done { .. } | Committed::Kept => Ok(Attempt::Done(answers)),
            Committed::Stale { .. } => Ok(Attempt::Stale),
            Committed::Replayed(_) => Ok(Attempt::Replayed),
        }
    }

    /// Normalise, validate, anchor: the stages that decide. Only what is there already is waited for.
    async fn prepare(
        &self,
        caller: &Caller,
        source: &str,
        evidence: Evidence,
        writes: Vec<(Write, crate::store::Target)>,
        (links, withdrawn): (&Links, &plan::Withdrawn),
    ) -> Result<Prepared, Failure> {
        let rules = self.rules.get(source).ok_or_else(|| Fault::new(FaultKind::Internal, "a source without rules"))?;
        let context = Context { source: rules, ids: &self.ids, links, types: self.definitions.types(), declared: evidence.declared };
        let normalised = debug_span!("normalise").in_scope(|| Normalised::apply(evidence, writes, &context))?;
        let (normalised, alike, assumptions) = self.link_repeats(source, normalised).await?;
        let (normalised, fates) = settle::settle(normalised, withdrawn)?;
        let sender = organisation_reference(&caller.organisation);
        let sender = Sender { organisation: &sender, client: &caller.client_id };
        let policy = self.informed_policy(source, &normalised).await;
        let mut stored = settle::stored(&fates);
        let is_stored = || stored.next().unwrap_or(true);
        let prepared = self.finish((&sender, &caller.organisation.key(), source), normalised, &policy, is_stored)?;
        drop(stored);
        Ok(Prepared { fates, alike, assumptions, ..prepared })
    }

    /// Validate everything, in order, and anchor what is to be stored.
    fn finish(
        &self,
        (sender, partner, source): (&Sender<'_>, &str, &str),
        normalised: Normalised,
        policy: &Policy,
        is_stored: impl FnMut() -> bool,
    ) -> Result<Prepared, Failure> {
        let items = worklist::items(source, normalised.entries());
        let validated =
            debug_span!("validate").in_scope(|| Validated::judge(normalised, self.definitions, policy, told_of))?.keep(is_stored);
        let context = ToAnchor { source, sender: sender.organisation, client: sender.client, partner, at: self.clock.now() };
        let anchored = debug_span!("anchor").in_scope(|| self.anchor.anchor(validated, &context))?;
        Ok(Prepared { anchored, fates: Vec::new(), items, alike: Vec::new(), assumptions: Vec::new() })
    }

    /// A Provenance for each late result: what was received says so much, and what is current stays.
    fn evidence_of_late(&self, source: &str, evidence: &Evidence, fates: &[Fate]) -> Result<Vec<VersionDraft>, Fault> {
        let late = fates.iter().filter_map(|fate| match fate {
            Fate::Late(version, _) => Some(version),
            _ => None,
        });
        late.map(|stays| self.anchor.unapplied(stays, &evidence.digest, source, self.clock.now())).collect()
    }

    /// What a source's resources are held to; one that is not configured, to FHIR's own rules.
    fn policy(&self, source: &str) -> Policy {
        let source = self.registry.source(source);
        let on_invalid = match source.map(|source| source.on_error()) {
            Some(OnError::Flag) => OnInvalid::Flag,
            Some(OnError::RejectStructure) => OnInvalid::RejectStructure,
            _ => OnInvalid::Reject,
        };
        let asked = source.map(|source| source.validate.clone()).unwrap_or_default();
        let options = Options {
            best_practice: asked.best_practice.then_some(Severity::Warning),
            security_checks: asked.security_checks,
            refuse_unknown_extensions: asked.refuse_unknown_extensions,
            mild_displays: !asked.refuse_wrong_displays,
            now: DateTime::parse(&self.clock.now().to_fhir_instant()).ok(),
            ..Options::default()
        };
        Policy { on_invalid, options, profiles: asked.profiles }
    }

    /// The same with what the terminology server says, for a source whose codes are asked about.
    async fn informed_policy(&self, source: &str, normalised: &Normalised) -> Policy {
        let mut policy = self.policy(source);
        policy.options.from_xml = normalised.evidence().format == Format::Xml;
        let asks = self.registry.source(source).is_some_and(|source| source.validate.ask_terminology);
        if let Some(server) = self.terminology.as_ref().filter(|_| asks) {
            let questions = validate::questions(normalised, self.definitions, &policy);
            policy.options.answers = Arc::new(server.answers(questions).await);
        }
        policy
    }

    /// What `$validate` answers: the findings of a resource as this caller's source would have them, and by the profiles asked for; nothing is
    /// stored. What could not be checked is said. What is written in another release is judged as what it would be converted to, and that is said.
    pub async fn examine(
        &self,
        caller: &Caller,
        (resource, is_stored): (Node, bool),
        profiles: &[String],
        (format, declared): (Format, Option<Release>),
    ) -> Vec<Finding> {
        let (links, plain) = (Links::new(), SourceRules::new::<&str>("", &[]));
        let rules = caller.source.as_ref().and_then(|source| self.rules.get(source));
        let types = self.definitions.types();
        let context = Context { source: rules.unwrap_or(&plain), ids: &self.ids, links: &links, types, declared };
        let (converted, said) = match in_r4(&resource, &context) {
            InR4::AsItIs => (None, Vec::new()),
            InR4::Converted(converted, said) => (Some(converted), said),
            InR4::Refused(said) => return said,
        };
        let judged = converted.as_ref().unwrap_or(&resource);
        let policy = self.policy(caller.source.as_deref().unwrap_or_default());
        let mut options = policy.options_for(judged.resource_type().unwrap_or_default()).into_owned();
        options.report_undecided = true;
        options.is_stored = is_stored;
        options.from_xml = format == Format::Xml;
        options.profiles.extend(profiles.iter().cloned());
        let found = match &self.terminology {
            Some(server) => server.examine(self.definitions, judged, &options).await,
            None => crate::validate::check(self.definitions, judged, &options),
        };
        let mut findings: Vec<Finding> = said.into_iter().chain(found).collect();
        if judged.resource_type() == Some("Consent") {
            findings.extend(self.told_of_consent(judged, None));
        }
        if rules.is_some() {
            let normalised = crate::normalise::normalise(resource, &context);
            findings.extend(normalised.findings.into_iter().filter(Finding::is_error));
        }
        findings
    }

    async fn plan(&self, source: &str, writes: Vec<Write>) -> Result<Plan, Failure> {
        let planner = self.planner(source);
        if plan::needs_store(&writes) {
            return self.store.read(move |reader| Ok(planner.plan(writes, Some(reader)))).await?;
        }
        planner.plan(writes, None)
    }

    fn planner(&self, source: &str) -> Planner {
        Planner {
            source: source.to_owned(),
            ids: self.ids.clone(),
            definitions: self.definitions,
            rules: Arc::clone(&self.rules),
            base_url: self.anchor.base_url.clone(),
            registry: Arc::clone(&self.registry),
            entropy: self.anchor.entropy.clone(),
            at: self.clock.now(),
        }
    }

    /// The first answer to this idempotency key, when there has been one; another body under the same key is a conflict.
    async fn answered_before(&self, received: &Received, opened: &audit::Opened) -> Result<Option<Vec<WriteAnswer>>, Failure> {
        let Some(key) = received.idempotency() else { return Ok(None) };
        let Some(replay) = self.store.read(move |reader| reader.replay(&key.0)).await? else { return Ok(None) };
        if replay.body != received.evidence().digest {
            let text = "This idempotency key was used before with another body. Use a new key for a new submission.";
            return Err(Refusal::new(Reason::IdempotencyConflict, IssueType::Conflict, text).into());
        }
        let mut answers =
            answer::decode(&replay.outcome).ok_or_else(|| Fault::new(FaultKind::StorageCorrupt, "a remembered answer cannot be read"))?;
        for answer in answers.iter_mut().filter(|answer| answer.version_reference().is_some()) {
            let (type_name, id, version) = (answer.type_name.clone(), answer.id.clone(), answer.version);
            let stored = self.store.read(move |reader| reader.version(&type_name, &id, version)).await?;
            answer.document = stored.map(|stored| stored.document).filter(|document| !document.is_empty());
        }
        let resources = answers.iter().filter_map(WriteAnswer::version_reference).collect();
        let closing = Closing { resources, description: Some("a resend of what was accepted before".to_owned()), ..Closing::default() };
        self.record(opened, &Outcome::Success, LeafKind::Audit, &closing).await?;
        Ok(Some(answers))
    }

    /// Outbox rows for every destination that subscribes to a version. Whether consent permits is decided when it is delivered.
    async fn deliveries(&self, caller: &Caller, versions: &[AnchoredVersion]) -> Result<Vec<OutboxDraft>, Fault> {
        let mut drafts = Vec::new();
        if self.registry.destinations().is_empty() {
            return Ok(drafts);
        }
        for version in versions {
            let patient = version.patients.first().filter(|_| version.resource.is_some()).map(String::as_str);
            let identifiers = self.patient_identifiers(patient, versions).await?;
            let reference = patient.map(|id| format!("Patient/{id}"));
            let facts = reference.as_deref().map(|reference| PatientFacts { reference, identifiers: &identifiers });
            for destination in self.registry.destinations_for(&version.target.type_name, facts) {
                if destination.organisation == caller.organisation {
                    continue;
                }
                drafts.push(OutboxDraft {
                    destination: destination.name.clone(),
                    type_name: version.target.type_name.clone(),
                    id: version.target.id.clone(),
                    version: version.target.version,
                    patient: patient.unwrap_or_default().to_owned(),
                    at: version.at,
                });
            }
        }
        Ok(drafts)
    }

    async fn patient_identifiers(
        &self,
        patient: Option<&str>,
        versions: &[AnchoredVersion],
    ) -> Result<Vec<crate::registry::Identifier>, Fault> {
        let Some(id) = patient.map(str::to_owned) else { return Ok(Vec::new()) };
        let here = versions.iter().find(|version| version.target.type_name == "Patient" && version.target.id == id);
        if let Some(resource) = here.and_then(|version| version.resource.as_ref()) {
            return Ok(crate::identity::crossref::patient_identifiers(resource).into_iter().collect());
        }
        let stored = self.store.read(move |reader| reader.current("Patient", &id)).await?;
        match stored.filter(|version| !version.deleted()) {
            Some(version) => Ok(crate::identity::crossref::patient_identifiers(&version.parse()?).into_iter().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// Adds the closed audit record and its leaf to a unit: one of each for every patient concerned.
    pub fn close(&self, unit: &mut Unit, opened: &audit::Opened, outcome: &Outcome, kind: LeafKind, closing: Closing) -> Result<(), Fault> {
        let organisation = closing.recipient.as_ref().or(opened.caller.as_ref().map(|caller| &caller.organisation));
        let partner = organisation.map(crate::registry::Organisation::key);
        for audit::Apart { closing, is_unseen } in closing.apart() {
            let audited = opened.close(self.anchor.fresh_id(opened.at), outcome, &closing);
            // A stranger must not be able to make the log grow; what the gateway does of itself is anchored like what it was asked to.
            let leaf = if opened.caller.is_some() || opened.is_operated() || kind == LeafKind::Deliver {
                let leaf = self.anchor.audit_leaf(&Act {
                    kind: if closing.withheld.is_empty() { kind } else { LeafKind::Refuse },
                    event_id: &audited.id,
                    event: &audited.event,
                    patient: closing.patients.first().or(closing.withheld.first()).map(String::as_str),
                    record: closing.only_record().as_deref(),
                    partner: partner.as_deref(),
                    at: opened.at,
                })?;
                unit.leaves.push(LeafDraft { is_unseen, ..leaf });
                unit.leaves.len().checked_sub(1)
            } else {
                None
            };
            unit.versions.push(self.anchor.authored("AuditEvent", &audited.id, &audited.event, leaf, audit::SOURCE, audited.at)?);
        }
        Ok(())
    }

    /// Stores the audit record of a request that was not carried out.
    pub async fn record_refusal(&self, opened: &audit::Opened, refusal: &Refusal) -> Result<(), Fault> {
        self.record_refusal_of(opened, refusal, Closing::default()).await
    }

    /// The same, where it is known what was asked for.
    pub async fn record_refusal_of(&self, opened: &audit::Opened, refusal: &Refusal, asked: Closing) -> Result<(), Fault> {
        let asked = match &refusal.aside {
            Some(aside) => asked.because([aside]),
            None => asked,
        };
        self.record(opened, &Outcome::Refused(refusal.reason.label()), LeafKind::Refuse, &asked).await
    }

    /// Stores and anchors an audit record on its own; synced when this returns.
    pub async fn record(&self, opened: &audit::Opened, outcome: &Outcome, kind: LeafKind, closing: &Closing) -> Result<(), Fault> {
        let mut unit = Unit::default();
        self.close(&mut unit, opened, outcome, kind, closing.clone())?;
        self.store.commit(unit).await.map(drop)
    }

    /// Like [`record`](Pipeline::record), with more to commit in the same unit.
    pub async fn record_with(
        &self,
        mut unit: Unit,
        opened: &audit::Opened,
        outcome: &Outcome,
        kind: LeafKind,
        closing: &Closing,
    ) -> Result<Committed, Fault> {
        self.close(&mut unit, opened, outcome, kind, closing.clone())?;
        self.store.commit(unit).await
    }

    /// How this caller's words are to be understood.
    pub fn dialect<'a>(&'a self, caller: &'a Caller) -> Dialect<'a> {
        let source = caller.source.as_deref();
        let rules = source.and_then(|source| self.rules.get(source));
        Dialect { source, ids: &self.ids, definitions: self.definitions, rules, base_url: &self.anchor.base_url }
    }
}

/// A submission after the stages that decide.
struct Prepared {
    anchored: Anchored,
    /// What becomes of each write, in order.
    fates: Vec<Fate>,
    /// What a person must look at.
    items: Vec<Item>,
    /// Keys under which later results find the ones they repeat.
    alike: Vec<([u8; 32], String)>,
    /// What that relies on.
    assumptions: Vec<crate::store::Assumption>,
}

enum Attempt {
    Done(Vec<WriteAnswer>),
    Stale,
    Replayed,
}

/// The source the caller's pushes count as, if its registration and its token allow every write.
fn authorise<'c>(caller: &'c Caller, writes: &[Write]) -> Result<&'c str, Refusal> {
    let forbidden = |text: String| Refusal::new(Reason::Forbidden, IssueType::Forbidden, text);
    for write in writes {
        let (permission, type_name) = match &write.interaction {
            Interaction::Create { type_name, .. } => (Permission::Create, type_name),
            Interaction::Update { type_name, .. } | Interaction::ConditionalUpdate { type_name, .. } => (Permission::Update, type_name),
            Interaction::Delete { type_name, .. } | Interaction::ConditionalDelete { type_name, .. } => (Permission::Delete, type_name),
            _ => return Err(forbidden("Only writes can be submitted.".to_owned())),
        };
        if !caller.scopes.allows(permission, type_name) {
            let scope = permission.letter();
            return Err(forbidden(format!("The token has no scope for this: system/{type_name}.{scope} is needed.")));
        }
        if type_name == "Consent" && !caller.files_consent && caller.acts_for.is_none() && caller.person.is_none() {
            return Err(forbidden("This client is not registered to file consents.".to_owned()));
        }
    }
    caller.source.as_deref().ok_or_else(|| forbidden("This client is registered to ask, not to push: it has no source.".to_owned()))
}

fn raw_draft(evidence: &Evidence, source: &str, shared: bool) -> RawDraft {
    RawDraft {
        digest: evidence.digest,
        media: evidence.media_type(),
        source: source.to_owned(),
        at: evidence.at,
        bytes: evidence.bytes.clone(),
        shared,
    }
}

/// What a submission that was accepted did, and whose it is: also of what stays as it is.
fn closing(answers: &[WriteAnswer], versions: &[AnchoredVersion], fates: &[Fate]) -> Closing {
    let resources = answers.iter().filter_map(WriteAnswer::version_reference).collect();
    let owner = |version: &AnchoredVersion| {
        let Target { type_name, id, version: number, .. } = &version.target;
        (format!("{type_name}/{id}/_history/{number}"), version.patients.clone())
    };
    let staying = |(version, patients): (&StoredVersion, &[String])| {
        (format!("{}/{}/_history/{}", version.type_name, version.id, version.version), patients.to_vec())
    };
    let owners: Vec<_> = versions.iter().map(owner).chain(fates.iter().filter_map(Fate::stays).map(staying)).collect();
    let mut patients: Vec<String> = owners.iter().flat_map(|(_, patients)| patients.clone()).collect();
    patients.sort_unstable();
    patients.dedup();
    Closing { resources, patients, owners, ..Closing::default() }
}

/// In whose trails a version of a resource stands: of those it is about and, where it is a Patient, of those it links, since a merge is both's.
pub fn told_of(resource: &Node) -> Vec<String> {
    let mut patients = patient_ids(resource);
    for linked in linked_patients(resource) {
        if !patients.contains(&linked) {
            patients.push(linked);
        }
    }
    patients
}

/// The ids of the Patients that a Patient links: those it replaces, is replaced by, or is the same person as. None of any other resource.
pub fn linked_patients(resource: &Node) -> Vec<String> {
    let links = if resource.resource_type() == Some("Patient") { resource.items("link") } else { &[] };
    let linked = links.iter().filter_map(|link| link.text_at(&["other", "reference"])?.strip_prefix("Patient/"));
    linked.filter_map(|id| id.split('/').next()).filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

/// The ids of the gateway's patients a resource is about.
pub fn patient_ids(resource: &Node) -> Vec<String> {
    let known = consent::patients_of(resource).into_iter().filter_map(|patient| match patient {
        consent::PatientReference::Known(reference) => {
            reference.relative().and_then(|text| text.strip_prefix("Patient/")).map(str::to_owned)
        }
        consent::PatientReference::Unresolvable => None,
    });
    known.collect()
}
