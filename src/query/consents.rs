//! Gathering what a decision needs, and making it for each resource.

use super::beside::{Beside, MAX_BESIDE};
use super::page::ConsentState;
use super::{Candidate, not_found};
use crate::clock::Instant;
use crate::config as settings;
use crate::consent::{
    self, BrokenGlass, Code, Confidentiality, Decision, Directory, Governing, Ground, Labeller, Party, Permitted, Policy, Request, Rules,
};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, Value};
use crate::identity::Caller;
use crate::outcome::{Aside, Fault, FaultKind, Refusal};
use crate::pipeline::{Pipeline, asks_to_break, implicit_policies, is_glass_broken, majority_years, patient_ids};
use crate::registry::{DataKind, Identifier, Organisation, Purpose, Registry, Role};
use crate::search::Query;
use crate::store::{Reader, StoredVersion};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The system of purposes of use.
const PURPOSE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// Types whose resources say who belongs to whom.
const DIRECTORY_TYPES: [&str; 6] = ["Patient", "Organization", "Group", "CareTeam", "PractitionerRole", "Practitioner"];
/// So many patients and records are looked up where the question is asked; more are left to a thread that may block.
const FEW: usize = 4;
/// The type of a practitioner's role at an organisation.
const ROLE: &str = "PractitionerRole";
/// The most resources looked up to understand one patient's consents.
const MAX_DIRECTORY: usize = 200;

/// What becomes of a candidate.
pub enum Ruling {
    Permitted(Box<Permitted>),
    /// With why, where a consent was asked.
    Denied(Option<Aside>),
}

impl Ruling {
    pub fn permitted(self) -> Option<Permitted> {
        match self {
            Ruling::Permitted(permitted) => Some(*permitted),
            Ruling::Denied(_) => None,
        }
    }

    /// What is permitted, or the refusal of what may not be seen: why stands in the record of it alone.
    pub fn or_refuse(self, type_name: &str) -> Result<Permitted, Refusal> {
        match self {
            Ruling::Permitted(permitted) => Ok(*permitted),
            Ruling::Denied(aside) => Err(Refusal { aside, ..not_found(type_name) }),
        }
    }
}

/// Who wants something and why, as a decision sees it.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub organisation: Organisation,
    pub purposes: Vec<Purpose>,
    /// Whether it may see the trail: AuditEvents and Provenances of everybody.
    pub oversees: bool,
    /// What it may be told of the persons concerned.
    pub data: DataKind,
    /// Whether it may see what the gateway keeps for its operators: Tasks, Linkages, ConceptMaps of its own.
    pub operates: bool,
    /// Whose application it is, when it is a person's.
    pub person: Option<Identifier>,
    /// The client that may have broken the glass, where it asks for that and nothing else.
    pub breaks_glass: Option<String>,
}

impl Recipient {
    /// The same as the party a question names: what the operator says of partners is said of that one. Where several are named, or one that no
    /// operator could name, of nobody.
    pub(super) fn asked_for(self, actors: &[Party]) -> Recipient {
        if actors.iter().all(|actor| consent::is_same_party(actor, &self.party())) {
            return self;
        }
        let organisation = match actors {
            [actor] => Organisation {
                reference: actor.references.first().map(|reference| reference.as_str().to_owned()),
                identifier: actor
                    .identifiers
                    .first()
                    .map(|known| Identifier { system: known.system.to_string(), value: known.value.to_string() }),
                ..self.organisation
            },
            _ => Organisation { reference: None, identifier: None, ..self.organisation },
        };
        Recipient { organisation, ..self }
    }
}

/// What the operator's rules turn on, of whoever asks.
struct Partner {
    names: Vec<String>,
    breaks_glass: Option<String>,
}

impl Recipient {
    pub fn of(caller: &Caller) -> Recipient {
        Recipient {
            organisation: caller.organisation.clone(),
            purposes: caller.purposes.clone(),
            oversees: caller.has_role(Role::Regulator),
            data: caller.data,
            operates: caller.has_role(Role::Operator),
            person: caller.person.clone(),
            breaks_glass: asks_to_break(caller).then(|| caller.client_id.clone()),
        }
    }

    /// The organisation as a party to the exchange.
    pub(super) fn party(&self) -> Party {
        let actor: Node = crate::audit::organisation_reference(&self.organisation).into();
        Party::from_reference(&actor)
    }

    fn partner(&self) -> Partner {
        Partner { names: self.organisation.names().collect(), breaks_glass: self.breaks_glass.clone() }
    }

    /// The purposes of its token, or those of them the request names.
    pub(super) fn purpose_codes(&self) -> Vec<Code> {
        self.purposes.iter().map(|purpose| Code::new(PURPOSE_SYSTEM, purpose.code())).collect()
    }

    /// The parties that ask: the organisation, and the person whose application it is.
    pub(super) fn parties(&self) -> Vec<Party> {
        let person = self.person.as_ref().map(|person| {
            let identifier = Object::new().with("system", person.system.as_str()).with("value", person.value.as_str());
            Party::from_reference(&Object::new().with("identifier", identifier).into())
        });
        std::iter::once(self.party()).chain(person).collect()
    }

    fn request(&self, instant: Instant) -> Request {
        Request::new(self.parties(), self.purpose_codes(), instant)
    }
}

/// Everything one request's decisions need, gathered once.
pub(crate) struct Judge {
    recipient: Recipient,
    request: Request,
    rules: HashMap<String, PatientRules>,
    /// Which organisation each source and holder belongs to.
    registry: Arc<Registry>,
    /// The records that Provenances speak of, by `Type/id`: a Provenance may be seen by whoever may see its target.
    targets: HashMap<String, Candidate>,
    /// The patients for whom whoever asks speaks, as far as it matters here.
    spoken_for: BTreeSet<String>,
    /// What the candidates refer to.
    beside: Beside,
    labeller: Labeller,
}

/// What the consents of one patient record say, and which other records are the same person's.
struct PatientRules {
    rules: Rules,
    /// Whether any consent was filed about this record.
    has_spoken: bool,
    linked: Vec<String>,
    /// Which consents were filed about it, in which versions.
    filed: Vec<(String, u32)>,
}

impl Judge {
    pub async fn gather<'r>(pipeline: &Pipeline, caller: &Caller, resources: impl Iterator<Item = &'r Node>) -> Result<Judge, Fault> {
        let resources: Vec<&Node> = resources.collect();
        let mut spoken_for = BTreeSet::new();
        // Only the patient's own word, and what the gateway wrote to them, depends on it.
        let own_word = |resource: &&&Node| matches!(resource.resource_type(), Some("Communication" | "Consent"));
        for id in resources.iter().filter(own_word).flat_map(|one| patient_ids(one)) {
            if !spoken_for.contains(&id) && pipeline.represents(caller, &id).await? {
                spoken_for.insert(id);
            }
        }
        let judge = Judge::for_recipient(pipeline, Recipient::of(caller), resources.into_iter()).await?;
        Ok(Judge { spoken_for, ..judge })
    }

    pub async fn for_recipient<'r>(
        pipeline: &Pipeline,
        recipient: Recipient,
        resources: impl Iterator<Item = &'r Node>,
    ) -> Result<Judge, Fault> {
        let mut patients = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        let mut named = BTreeSet::new();
        let mut roles = BTreeSet::new();
        for resource in resources {
            patients.extend(patient_ids(resource));
            wanted.extend(provenance_target(resource).or_else(|| earlier_result(resource)));
            named.extend(Beside::named_by(resource));
            roles.extend(roles_in(resource));
        }
        let now = pipeline.clock.now();
        let settings = Arc::clone(&pipeline.consent);
        let mut place = Place { definitions: pipeline.definitions, settings, now, partner: recipient.partner(), roles };
        let are_few = patients.len() + wanted.len() + named.len() <= FEW;
        let definitions = pipeline.definitions;
        let gather = move |reader: &Reader<'_>| {
            let mut targets = HashMap::new();
            for (type_name, id) in wanted {
                if let Some(version) = reader.current(&type_name, &id)?.filter(|version| !version.deleted()) {
                    let candidate = Candidate::stored(&version)?;
                    patients.extend(patient_ids(&candidate.resource));
                    named.extend(Beside::named_by(&candidate.resource));
                    place.roles.extend(roles_in(&candidate.resource));
                    targets.insert(format!("{type_name}/{id}"), candidate);
                }
            }
            let beside = Beside::gather(reader, definitions, named, MAX_BESIDE)?;
            beside.records().for_each(|candidate| patients.extend(patient_ids(&candidate.resource)));
            let mut rules = HashMap::new();
            for patient in patients {
                let known = place.readable_rules_of(reader, &patient)?;
                for record in &known.linked {
                    if !rules.contains_key(record) {
                        rules.insert(record.clone(), place.readable_rules_of(reader, record)?);
                    }
                }
                rules.insert(patient, known);
            }
            Ok((targets, beside, rules))
        };
        let (targets, beside, rules) = if are_few { pipeline.store.glance(gather).await? } else { pipeline.store.read(gather).await? };
        let request = recipient.request(now);
        let (registry, labeller) = (Arc::clone(&pipeline.registry), pipeline.labeller.clone());
        let mut judge = Judge { recipient, request, rules, registry, targets, spoken_for: BTreeSet::new(), beside, labeller };
        judge.hide();
        Ok(judge)
    }

    /// Finds out which of the records that others refer to are hidden, and so must not be pointed at.
    fn hide(&mut self) {
        let is_hidden = |candidate: &&Candidate| matches!(self.rule(Candidate::clone(candidate)), Ruling::Denied(_));
        let hidden: Vec<String> = self.beside.records().filter(is_hidden).filter_map(|hidden| super::reference(&hidden.resource)).collect();
        self.beside.hide(hidden);
    }

    /// Whether anything at all of a patient might be released, so that holders need not be asked in vain.
    pub fn may_ask(&self, patient: &str) -> bool {
        let rules = self.speaking(patient);
        !rules.is_empty() && rules.iter().all(|rules| consent::decide_request(rules, &self.request).is_permit())
    }

    /// What the consents about patients and the other records of theirs are now.
    pub(super) fn consent_state<'p>(&self, patients: impl IntoIterator<Item = &'p str>) -> ConsentState {
        let mut filed = BTreeSet::new();
        for own in patients.into_iter().filter_map(|patient| self.rules.get(patient)) {
            let linked = own.linked.iter().filter_map(|record| self.rules.get(record));
            filed.extend(std::iter::once(own).chain(linked).flat_map(|known| &known.filed));
        }
        let mut digest = Sha256::new();
        filed.iter().for_each(|(id, version)| digest.update(format!("{id}/{version}\n")));
        digest.finalize().first_chunk().copied().unwrap_or_default()
    }

    /// The rules that a patient's data are decided by: those of every record of the person about which a consent was filed. All must permit, so
    /// that the strictest wins. Where none was filed, the record's own, which permit nothing. Empty for a patient that was not gathered.
    pub(super) fn speaking(&self, patient: &str) -> Vec<&Rules> {
        let Some(own) = self.rules.get(patient) else { return Vec::new() };
        let all = std::iter::once(own).chain(own.linked.iter().filter_map(|record| self.rules.get(record)));
        let spoken: Vec<&Rules> = all.filter(|known| known.has_spoken).map(|known| &known.rules).collect();
        if spoken.is_empty() { vec![&own.rules] } else { spoken }
    }

    /// The patients a resource tells of: those it is about, and those its target is about.
    pub(super) fn patients_of(&self, resource: &Node) -> Vec<String> {
        let target = self.target_of(resource).map(|target| patient_ids(&target.resource)).unwrap_or_default();
        patient_ids(resource).into_iter().chain(target).collect()
    }

    fn target_of(&self, resource: &Node) -> Option<&Candidate> {
        provenance_target(resource).and_then(|(type_name, id)| self.targets.get(&format!("{type_name}/{id}")))
    }

    /// Decides one candidate.
    pub fn rule(&self, candidate: Candidate) -> Ruling {
        let sender = self.registry.organisation_of(&candidate.source).map(Organisation::key).unwrap_or_default();
        let asker = self.recipient.organisation.key();
        let is_audit = candidate.resource.resource_type() == Some("AuditEvent");
        let is_own = candidate.source == crate::audit::SOURCE;
        let about = self.target_of(&candidate.resource).map(|target| patient_ids(&target.resource)).unwrap_or_default();
        let permitted = if is_own && self.recipient.operates && consent::is_operators(&candidate.resource) {
            consent::own_work(candidate.resource)
        } else if self.is_own_word(&candidate.resource, is_own) {
            consent::own_word(candidate.resource)
        } else if is_own && matches!(candidate.resource.resource_type(), Some("Task" | "ConceptMap" | "Communication")) {
            None
        } else if self.recipient.oversees && (is_audit || candidate.resource.resource_type() == Some("Provenance")) {
            consent::oversight(candidate.resource)
        } else if is_audit {
            // An audit record may name what its reader must not know of; only oversight sees it.
            None
        } else if !sender.is_empty() && sender == asker {
            consent::own_record(&sender, &asker, candidate.resource)
        } else if candidate.resource.resource_type().is_some_and(consent::is_administrative) {
            consent::no_patient(candidate.resource)
        } else {
            match self.decided(candidate) {
                Ok(permitted) => Some(permitted),
                Err(aside) => return Ruling::Denied(aside),
            }
        };
        let told = permitted.map(|permitted| self.told(permitted).telling_of(about));
        told.map_or(Ruling::Denied(None), |permitted| Ruling::Permitted(Box::new(permitted)))
    }

    /// Whether it is a consent of patients for all of whom whoever asks speaks, or the gateway's notice to them.
    fn is_own_word(&self, resource: &Node, is_own: bool) -> bool {
        let is_such = resource.resource_type() == Some("Consent") || (is_own && resource.resource_type() == Some("Communication"));
        let patients = if is_such && !self.spoken_for.is_empty() { patient_ids(resource) } else { Vec::new() };
        !patients.is_empty() && patients.iter().all(|id| self.spoken_for.contains(id))
    }

    /// What this kind of recipient may be told of what is permitted. Whoever sent a record knows what is in it.
    fn told(&self, permitted: Permitted) -> Permitted {
        let is_own = matches!(permitted.ground(), Ground::OwnRecord);
        let permitted = if is_own { permitted } else { permitted.without_links(|reference| self.may_see(reference)) };
        let permitted = if self.recipient.data == DataKind::Identified || is_own { permitted } else { permitted.without_free_text_codes() };
        if is_own { permitted } else { permitted.in_order() }
    }

    /// Whether the whole of a record that another links to would be released.
    fn may_see(&self, reference: &str) -> bool {
        let Some(target) = self.targets.get(reference).map(|target| &target.resource) else { return false };
        let released = self.decide(target).and_then(|decision| consent::release(&decision, target.clone()));
        released.is_some_and(|permitted| !permitted.is_redacted())
    }

    fn decided(&self, candidate: Candidate) -> Result<Permitted, Option<Aside>> {
        let resource = candidate.resource;
        let target = match provenance_target(&resource) {
            Some((type_name, id)) => Some(&self.targets.get(&format!("{type_name}/{id}")).ok_or(None)?.resource),
            None => None,
        };
        let asked = target.unwrap_or(&resource);
        let decision = self.decide(asked).ok_or(Some(Aside { reason: "patient-unresolved", consent: None }))?;
        let hidden = self.beside.hidden_from(asked);
        let released = match target {
            Some(target) => consent::release_provenance(&decision, target, &hidden, resource),
            None => consent::release_beside(&decision, resource, &hidden),
        };
        released.ok_or_else(|| Some(why(&decision)))
    }

    /// The decision for a resource: that of all its patients together. `None` when somebody it is about cannot be told.
    fn decide(&self, resource: &Node) -> Option<Decision> {
        let mut facts = consent::facts::of(resource);
        facts.add_meant(self.beside.meant_in(resource));
        facts.add_setting(self.beside.labels(resource, &self.labeller));
        self.labeller.label(resource, &mut facts);
        let mut decisions = Vec::new();
        for id in self.beside.patients_in(resource, &self.registry)? {
            let rules = self.speaking(&id);
            if rules.is_empty() {
                return None;
            }
            decisions.extend(rules.into_iter().map(|rules| consent::decide(rules, &self.request, &facts)));
        }
        Decision::all(decisions)
    }
}

/// Why a decision releases nothing: as it says, or because nothing is left of what it permits.
fn why(decision: &Decision) -> Aside {
    let reason = if decision.is_permit() { "withheld" } else { decision.reason() };
    Aside { reason, consent: decision.governing().map(reference_of) }
}

/// The version a Provenance is about, as type and id.
pub(super) fn provenance_target(resource: &Node) -> Option<(String, String)> {
    if resource.resource_type() != Some("Provenance") {
        return None;
    }
    let mut steps = resource.items("target").first()?.text("reference")?.split('/');
    Some((steps.next()?.to_owned(), steps.next()?.to_owned()))
}

/// The result that a result repeats, as type and id.
fn earlier_result(resource: &Node) -> Option<(String, String)> {
    let (type_name, id) = crate::normalise::repeats(resource)?.split_once('/')?;
    Some((type_name.to_owned(), id.to_owned()))
}

/// Where and when a decision is taken.
struct Place {
    definitions: &'static Definitions,
    settings: Arc<settings::Consent>,
    now: Instant,
    partner: Partner,
    /// The roles in which somebody made the records that are decided on: a rule may mean who stands behind them.
    roles: BTreeSet<(String, String)>,
}

impl Place {
    /// The compiled consents of one patient. Where they, or what they refer to, are damaged, everything is denied as any other denial is: what
    /// one of them denies must not be passed over, and nobody learns from a failure that there is something.
    fn readable_rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Fault> {
        match self.rules_of(reader, patient) {
            Err(fault) if fault.kind == FaultKind::StorageCorrupt => {
                tracing::error!(detail = %fault.detail, "consents cannot be read: what they are about is denied");
                metrics::counter!("hearthgate_consents_unreadable_total").increment(1);
                let rules = Rules::damaged(Policy::default());
                Ok(PatientRules { rules, has_spoken: true, linked: Vec::new(), filed: Vec::new() })
            }
            known => known,
        }
    }

    /// The compiled consents of one patient, with what they refer to.
    fn rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Fault> {
        let query = Query::criteria(self.definitions, "Consent", &format!("patient=Patient/{patient}"));
        let query = query.map_err(|_| Fault::new(FaultKind::Internal, "the consent query does not parse"))?;
        let Some(stored) = reader.candidates(&query)? else {
            // More than can be looked at: what some of them deny must not be passed over.
            let rules = Rules::beyond_reading(Policy::default());
            return Ok(PatientRules { rules, has_spoken: true, linked: reader.linked(patient)?, filed: Vec::new() });
        };
        check_filed(reader, patient, &stored)?;
        let consents = stored.iter().map(|version| version.parse()).collect::<Result<Vec<Node>, Fault>>()?;
        let mut named = BTreeSet::from([("Patient".to_owned(), patient.to_owned())]);
        consents.iter().for_each(|consent| collect_references(consent, &mut named));
        if !consents.is_empty() {
            named.extend(self.roles.iter().cloned());
        }
        let mut directory = current(reader, named.iter().take(MAX_DIRECTORY))?;
        let behind: BTreeSet<_> = directory.iter().filter(|one| one.resource_type() == Some(ROLE)).flat_map(behind_role).collect();
        let room = MAX_DIRECTORY.saturating_sub(directory.len());
        directory.extend(current(reader, behind.difference(&named).take(room))?);
        let record = directory.iter().find(|one| one.resource_type() == Some("Patient") && one.text("id") == Some(patient));
        let policy = self.policy(reader, patient, record)?;
        let rules = Rules::compile(&consents, &Directory::of(&directory), policy);
        let filed = stored.iter().map(|version| (version.id.clone(), version.version)).collect();
        Ok(PatientRules { rules, has_spoken: !consents.is_empty(), linked: reader.linked(patient)?, filed })
    }

    /// What the operator decides for this patient and this recipient, and whether the glass is broken for them.
    fn policy(&self, reader: &Reader<'_>, patient: &str, record: Option<&Node>) -> Result<Policy, Fault> {
        let majority = record.map_or(self.settings.majority_years, |record| u64::from(majority_years(&self.settings, record)));
        let is_broken = match &self.partner.breaks_glass {
            Some(client) => is_glass_broken(reader, self.definitions, client, patient, self.now)?,
            None => false,
        };
        let (implicit, by_sensitivity) = implicit_policies(&self.settings, &self.partner.names, record);
        Ok(Policy {
            implicit,
            by_sensitivity,
            majority_years: u16::try_from(majority).unwrap_or(Policy::default().majority_years),
            reveal_redaction: self.settings.told_of_redaction.iter().any(|name| self.partner.names.contains(name)),
            glass: is_broken.then(|| glass(&self.settings.break_glass)),
            ..Policy::default()
        })
    }
}

/// Refuses to go by what the index found where a consent is not among it, or in an older version: it may be the one that denies.
fn check_filed(reader: &Reader<'_>, patient: &str, found: &[StoredVersion]) -> Result<(), Fault> {
    for (id, version) in reader.filed(patient)? {
        if found.iter().any(|consent| consent.id == id && consent.version == version) {
            continue;
        }
        let now = reader.current("Consent", &id)?.filter(|consent| consent.version == version);
        let is_elsewhere = match now {
            Some(consent) if consent.deleted() => true,
            Some(consent) => !patient_ids(&consent.parse()?).iter().any(|about| about == patient),
            None => false,
        };
        if !is_elsewhere {
            return Err(Fault::new(FaultKind::StorageCorrupt, format!("Consent/{id} was filed, and is not found as it was")));
        }
    }
    Ok(())
}

/// How far the operator lets a broken glass reach.
fn glass(settings: &settings::BreakGlass) -> BrokenGlass {
    let ceiling = match settings.ceiling {
        settings::Ceiling::Normal => Confidentiality::Normal,
        settings::Ceiling::Restricted => Confidentiality::Restricted,
        settings::Ceiling::VeryRestricted => Confidentiality::VeryRestricted,
    };
    BrokenGlass::reaching(ceiling, &settings.never)
}

/// The current forms of what is named, where there are any.
fn current<'n>(reader: &Reader<'_>, named: impl Iterator<Item = &'n (String, String)>) -> Result<Vec<Node>, Fault> {
    let mut found = Vec::new();
    for (type_name, id) in named {
        if let Some(version) = reader.current(type_name, id)?.filter(|version| !version.deleted()) {
            found.push(version.parse()?);
        }
    }
    Ok(found)
}

/// The roles that a record names.
fn roles_in(resource: &Node) -> impl Iterator<Item = (String, String)> {
    let roles = consent::references_of(resource).into_iter().filter(|reference| reference.type_name() == Some(ROLE));
    roles.filter_map(|reference| reference.relative().and_then(parts))
}

/// Whose role it is, and where.
fn behind_role(role: &Node) -> impl Iterator<Item = (String, String)> {
    ["practitioner", "organization"].into_iter().filter_map(|name| role.get(name)?.text("reference").and_then(parts))
}

fn parts(reference: &str) -> Option<(String, String)> {
    reference.split_once('/').map(|(type_name, id)| (type_name.to_owned(), id.to_owned()))
}

fn collect_references(node: &Node, named: &mut BTreeSet<(String, String)>) {
    match &node.value {
        Value::Object(object) => {
            // `data` names the records themselves, whatever they are: what they point at may be meant with them.
            let data = object.get("meaning").and_then(|_| object.get("reference")).and_then(|reference| reference.text("reference"));
            let party = object.get("reference").and_then(Node::as_text);
            let is_party = |(type_name, _): &(&str, &str)| DIRECTORY_TYPES.contains(type_name);
            let found = party.and_then(|text| text.split_once('/')).filter(is_party).or(data.and_then(|text| text.split_once('/')));
            named.extend(found.map(|(type_name, id)| (type_name.to_owned(), id.to_owned())));
            object.members().iter().for_each(|member| collect_references(&member.node, named));
        }
        Value::List(items) => items.iter().for_each(|item| collect_references(item, named)),
        _ => {}
    }
}

/// Reference of the consent that governed a release.
pub fn governing(permitted: &Permitted) -> Option<String> {
    match permitted.ground() {
        Ground::Consent { governing, .. } => governing.as_ref().map(reference_of),
        Ground::OwnRecord | Ground::NoPatient | Ground::Oversight | Ground::Operation | Ground::OwnWord => None,
    }
}

/// A consent by its reference, with its version where it has one.
pub(super) fn reference_of(consent: &Governing) -> String {
    match &consent.version {
        Some(version) => format!("Consent/{}/_history/{version}", consent.consent),
        None => format!("Consent/{}", consent.consent),
    }
}
