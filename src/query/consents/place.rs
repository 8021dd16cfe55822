//! Where and when a decision is taken: the consents of a patient, compiled with what they refer to and with what the operator rules.

use super::recipient::Partner;
use crate::clock::Instant;
use crate::config as settings;
use crate::consent::{self, BrokenGlass, Confidentiality, Directory, Policy, Rules, patient_identifiers_of};
use crate::definitions::Definitions;
use crate::fhir::{Node, Value};
use crate::outcome::{Fault, FaultKind};
use crate::pipeline::{Asked, Compiled, KeptRules, Looked, implicit_policies, is_glass_broken, majority_years, patient_ids};
use crate::search::{Handling, Query, escaped};
use crate::store::{Reader, StoredVersion};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Types whose resources say who belongs to whom.
const DIRECTORY_TYPES: [&str; 6] = ["Patient", "Organization", "Group", "CareTeam", "PractitionerRole", "Practitioner"];
/// The type of a practitioner's role at an organisation.
const ROLE: &str = "PractitionerRole";
/// The type of an institution, which may be a part of another.
const ORGANISATION: &str = "Organization";
/// The most resources looked up to understand one patient's consents. Of whom the rest are nobody could tell: then nothing is permitted.
const MAX_DIRECTORY: usize = 500;
/// The most roles looked up in which somebody made a patient's records. A rule about whoever stands behind further ones is in doubt about them.
const MAX_ROLES: usize = 500;
/// The most records that are looked at for the asking organisation, and of what it is a part of.
const MAX_AFFILIATIONS: usize = 32;

/// What the consents of one patient record say, and which other records are the same person's.
pub(super) struct PatientRules {
    pub rules: Rules,
    /// Whether any consent was filed about this record.
    pub has_spoken: bool,
    pub linked: Vec<String>,
    /// Which consents were filed about it, in which versions.
    pub filed: Vec<(String, u32)>,
}
/// The roles in which somebody made the records that are decided on, by the patients whose these are; under no patient those of records that name theirs
/// in another way than by a reference.
#[derive(Default)]
pub(super) struct RolesOf(HashMap<String, BTreeSet<(String, String)>>);

impl RolesOf {
    /// Takes in the roles that a record names.
    pub fn add(&mut self, record: &Node) {
        let roles: Vec<(String, String)> = roles_in(record).collect();
        if roles.is_empty() {
            return;
        }
        let mut patients = patient_ids(record);
        if patients.is_empty() || !patient_identifiers_of(record).is_empty() {
            patients.push(String::new());
        }
        for patient in patients {
            self.0.entry(patient).or_default().extend(roles.iter().cloned());
        }
    }

    /// Those that may matter to the rules of a patient's record: what is about another record of the person is decided by them too.
    fn of(&self, patient: &str, linked: &[String]) -> BTreeSet<(String, String)> {
        let records = ["", patient].into_iter().chain(linked.iter().map(String::as_str));
        records.filter_map(|record| self.0.get(record)).flatten().cloned().collect()
    }
}

/// Where and when a decision is taken.
pub(super) struct Place {
    pub definitions: &'static Definitions,
    pub settings: Arc<settings::Consent>,
    pub now: Instant,
    pub partner: Partner,
    /// A rule may mean who stands behind them.
    pub roles: RolesOf,
    /// What was compiled before, in this place.
    pub kept: Arc<KeptRules>,
}

impl Place {
    /// The compiled consents of one patient. Where they, or what they refer to, are damaged, everything is denied as any other denial is: what
    /// one of them denies must not be passed over, and nobody learns from a failure that there is something.
    pub fn readable_rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Fault> {
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

    /// The compiled consents of one patient, with what they refer to. The rows are read each time; what was compiled of the very same ones is used again.
    fn rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Fault> {
        let noted = reader.filed(patient)?;
        if reader.linked(patient)? != noted.linked {
            return Err(Fault::new(FaultKind::StorageCorrupt, "which records are one person's is not as it was noted"));
        }
        let linked = noted.linked;
        let is_glass_broken = self.is_glass_broken(reader, patient)?;
        let roles = self.roles.of(patient, &linked);
        let asked = Asked { patient: patient.to_owned(), partner: self.partner.names.clone(), roles, is_glass_broken };
        let kept = self.kept.find(&asked);
        let query = match &kept {
            Some(kept) => Arc::clone(&kept.query),
            None => Arc::new(self.consents_about(patient)?),
        };
        let Some(stored) = reader.candidates(&query)? else {
            // More than can be looked at: what some of them deny must not be passed over.
            let rules = Rules::beyond_reading(Policy::default());
            return Ok(PatientRules { rules, has_spoken: true, linked, filed: Vec::new() });
        };
        check_filed(reader, patient, (&noted.consents, &stored))?;
        let rules = match kept {
            Some(kept) if kept.stands_on(reader, &stored)? => kept.rules.clone(),
            _ => {
                let made = self.compiled(reader, &asked, query, &stored)?;
                let rules = made.rules.clone();
                self.kept.keep(asked, made);
                rules
            }
        };
        let filed = stored.iter().map(|version| (version.id.clone(), version.version)).collect();
        Ok(PatientRules { rules, has_spoken: !stored.is_empty(), linked, filed })
    }

    fn consents_about(&self, patient: &str) -> Result<Query, Fault> {
        let query = Query::criteria(self.definitions, "Consent", &format!("patient=Patient/{patient}"));
        query.map_err(|_| Fault::new(FaultKind::Internal, "the consent query does not parse"))
    }

    fn is_glass_broken(&self, reader: &Reader<'_>, patient: &str) -> Result<bool, Fault> {
        match &self.partner.breaks_glass {
            Some(client) => is_glass_broken(reader, self.definitions, client, patient, self.now),
            None => Ok(false),
        }
    }

    /// Compiles what was found of a patient's consents.
    fn compiled(&self, reader: &Reader<'_>, asked: &Asked, query: Arc<Query>, stored: &[StoredVersion]) -> Result<Compiled, Fault> {
        let patient = asked.patient.as_str();
        let consents = stored.iter().map(|version| version.parse()).collect::<Result<Vec<Node>, Fault>>()?;
        let mut named = BTreeSet::from([("Patient".to_owned(), patient.to_owned())]);
        consents.iter().for_each(|consent| collect_references(consent, &mut named));
        let mut looked_up = Looked::default();
        if named.len() > MAX_DIRECTORY {
            return Ok(Compiled::new((query, reader), stored, looked_up, Rules::beyond_reading(Policy::default())));
        }
        if !consents.is_empty() {
            let made_in: Vec<_> = asked.roles.difference(&named).take(MAX_ROLES).cloned().collect();
            named.extend(made_in);
        }
        let mut directory = looked_up.up(reader, named.iter())?;
        let behind: BTreeSet<_> = directory.iter().filter(|one| one.resource_type() == Some(ROLE)).flat_map(behind_role).collect();
        directory.extend(looked_up.up(reader, behind.difference(&named))?);
        if !consents.is_empty() {
            directory.extend(self.affiliations(reader)?);
        }
        let record = directory.iter().find(|one| one.resource_type() == Some("Patient") && one.text("id") == Some(patient));
        let rules = Rules::compile(&consents, &Directory::of(&directory), self.policy(asked, record));
        Ok(Compiled::new((query, reader), stored, looked_up, rules))
    }

    /// The records of the asking organisation, and of what it is a part of: whoever denies the whole denies its departments, and no consent need name these.
    fn affiliations(&self, reader: &Reader<'_>) -> Result<Vec<Node>, Fault> {
        let organisation = &self.partner.organisation;
        let mut found = Vec::new();
        let mut wanted: Vec<(String, String)> = organisation.reference.as_deref().and_then(parts).into_iter().collect();
        if let Some(identifier) = &organisation.identifier {
            let token = format!("{}|{}", escaped(&identifier.system), escaped(&identifier.value));
            let pairs = [("identifier".to_owned(), token)];
            let query = Query::parse(self.definitions, ORGANISATION, &pairs, Handling::Strict)
                .map_err(|_| Fault::new(FaultKind::Internal, "the query for an organisation does not parse"))?;
            for version in reader.first_candidates(&query, MAX_AFFILIATIONS)? {
                let record = version.parse()?;
                if query.matches(&record) {
                    wanted.extend(whole_of(&record));
                    found.push(record);
                }
            }
        }
        let mut known = BTreeSet::new();
        while let Some(name) = wanted.pop().filter(|_| found.len() < MAX_AFFILIATIONS) {
            if name.0 != ORGANISATION || !known.insert(name.clone()) {
                continue;
            }
            if let Some(version) = reader.current(&name.0, &name.1)?.filter(|version| !version.deleted()) {
                let record = version.parse()?;
                wanted.extend(whole_of(&record));
                found.push(record);
            }
        }
        Ok(found)
    }

    /// What the operator decides for this patient and this recipient, and how far the glass is broken for them.
    fn policy(&self, asked: &Asked, record: Option<&Node>) -> Policy {
        let majority = record.map_or(self.settings.majority_years, |record| u64::from(majority_years(&self.settings, record)));
        let (implicit, by_sensitivity) = implicit_policies(&self.settings, &asked.partner, record);
        Policy {
            implicit,
            by_sensitivity,
            majority_years: u16::try_from(majority).unwrap_or(Policy::default().majority_years),
            reveal_redaction: self.settings.told_of_redaction.iter().any(|name| asked.partner.contains(name)),
            glass: asked.is_glass_broken.then(|| glass(&self.settings.break_glass)),
            ..Policy::default()
        }
    }
}

/// Refuses to go by what the index found where a consent is not among it, or in an older version: it may be the one that denies. And where one is that
/// nobody filed, or that is gone: it was put there.
fn check_filed(reader: &Reader<'_>, patient: &str, (filed, found): (&[(String, u32)], &[StoredVersion])) -> Result<(), Fault> {
    let is_about = |consent: &Node| patient_ids(consent).iter().any(|about| about == patient);
    for (id, version) in filed {
        if found.iter().any(|consent| consent.id == *id && consent.version == *version) {
            continue;
        }
        let now = reader.current("Consent", id)?.filter(|consent| consent.version == *version);
        let is_elsewhere = match now {
            Some(consent) => consent.deleted() || !is_about(&consent.parse()?),
            None => false,
        };
        if !is_elsewhere {
            return Err(Fault::new(FaultKind::StorageCorrupt, format!("Consent/{id} was filed, and is not found as it was")));
        }
    }
    let is_filed = |consent: &StoredVersion| filed.iter().any(|(id, version)| (id, *version) == (&consent.id, consent.version));
    for consent in found.iter().filter(|consent| !is_filed(consent)) {
        if is_about(&consent.parse()?) {
            return Err(Fault::new(FaultKind::StorageCorrupt, format!("Consent/{} is found, and was not filed", consent.id)));
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

/// The roles that a record names.
fn roles_in(resource: &Node) -> impl Iterator<Item = (String, String)> {
    let roles = consent::references_of(resource).into_iter().filter(|reference| reference.type_name() == Some(ROLE));
    roles.filter_map(|reference| reference.relative().and_then(parts))
}

/// What an organisation is a part of.
fn whole_of(organisation: &Node) -> Option<(String, String)> {
    organisation.get("partOf")?.text("reference").and_then(parts)
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
