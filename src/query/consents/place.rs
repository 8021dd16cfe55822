//! Where and when a decision is taken: the consents of a patient, compiled with what they refer to and with what the operator rules.

use super::{affiliation, recipient::Partner};
use crate::clock::Instant;
use crate::config as settings;
use crate::consent::{
    self, BrokenGlass, BySensitivity, Confidentiality, Directory, ImplicitPolicy, Known, MEMBERS_LIMIT, Policy, Reference, Rules,
    patient_identifiers_of,
};
use crate::definitions::Definitions;
use crate::fhir::{Node, Value};
use crate::outcome::{Fault, FaultKind};
use crate::pipeline::{
    Affiliated, Affiliations, Asked, Compiled, Halt, KeptRules, Looked, Room, implicit_policies, is_glass_broken, is_unreadable,
    majority_years, patient_ids,
};
use crate::query::named;
use crate::registry::Registry;
use crate::search::Query;
use crate::store::{CROWD, MAX_PERSON_RECORDS, PARTIES, Reader, StoredVersion};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The type of a practitioner's role at an organisation.
const ROLE: &str = "PractitionerRole";
const TEAM: &str = "CareTeam";
const ORGANISATION: &str = "Organization";
/// The type of people who made something.
const PERSON: &str = "Practitioner";
/// The most people that are looked for by their identifiers, for one patient's rules. Of more it is not known who they are.
const MAX_SOUGHT: usize = 1_000;
/// The most records that one patient's consents may name. What more of them say cannot be understood.
const MAX_DIRECTORY: usize = 2_000;
/// The most roles looked up behind one patient's records. Of more it is not known whose they are.
const MAX_ROLES: usize = 5_000;
/// The most older versions of one record that are looked at. Of more it is not known what they said.
const MAX_FORMER: u32 = 200;
/// The most records that were a person's whose consents are gone by. Where there are more, nothing is released.
pub(super) const MAX_PARTED: usize = MAX_PERSON_RECORDS;
/// The most records of which it is asked whether anything was filed about them.
const MAX_ASKED_OF: usize = 1_024;
/// The most records that are reached from one patient by what says that two are of one person. Where there are more, nothing is released.
const MAX_REACHED: usize = 4 * MAX_PERSON_RECORDS;
/// How many steps are looked behind groups, teams and roles, and the most records looked up in all. Of more members it is not known who they are.
const MEMBERSHIP_STEPS: usize = 4;
const MAX_MEMBERS: usize = 2 * MAX_ROLES;

/// What the consents of one patient record say, and which other records are the same person's.
pub(super) struct PatientRules {
    pub rules: Rules,
    /// Whether any consent was filed about this record.
    pub has_spoken: bool,
    pub linked: Vec<String>,
    /// Those that were: what was filed about them denies, and permits nothing.
    pub parted: Vec<String>,
    /// Which consents were filed about it, in which versions.
    pub filed: Vec<(String, u32)>,
}
/// The roles in which somebody made the records that are decided on, by the patients these are about; under no patient those of records that name theirs
/// in another way than by a reference.
#[derive(Default)]
pub(super) struct RolesOf {
    roles: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The names of whoever else did something there, likewise.
    makers: BTreeMap<String, BTreeSet<String>>,
}

impl RolesOf {
    pub fn add(&mut self, record: &Node) {
        let (mut roles, mut makers) = (Vec::new(), Vec::new());
        for reference in consent::references_of(record) {
            match reference.type_name().or_else(|| reference.sought().map(|(type_name, _)| type_name)) {
                Some(ROLE) => roles.extend(reference.relative().and_then(parts)),
                Some("Organization" | TEAM | PERSON | "Device" | "RelatedPerson") => {
                    makers.extend(crate::query::beside::name_of(&reference))
                }
                _ => {}
            }
        }
        if roles.is_empty() && makers.is_empty() {
            return;
        }
        let mut patients = patient_ids(record);
        if patients.is_empty() || !patient_identifiers_of(record).is_empty() {
            patients.push(String::new());
        }
        for patient in patients {
            self.roles.entry(patient.clone()).or_default().extend(roles.iter().cloned());
            self.makers.entry(patient).or_default().extend(makers.iter().cloned());
        }
    }

    /// Those that may matter to the rules of a patient's record: what is about another record of the person is decided by them too.
    fn of<'r>(&self, patient: &'r str, others: impl Iterator<Item = &'r String>) -> BTreeSet<(String, String)> {
        among(&self.roles, patient, others).take(MAX_ROLES).cloned().collect()
    }

    /// The institutions and teams, likewise.
    fn makers_of<'m, 'r: 'm>(
        &'m self,
        patient: &'r str,
        others: impl Iterator<Item = &'r String> + 'm,
    ) -> impl Iterator<Item = &'m String> {
        among(&self.makers, patient, others).take(MAX_ROLES)
    }
}

fn among<'m, 'r: 'm, T>(
    named: &'m BTreeMap<String, BTreeSet<T>>,
    patient: &'r str,
    others: impl Iterator<Item = &'r String> + 'm,
) -> impl Iterator<Item = &'m T> {
    let records = ["", patient].into_iter().chain(others.map(String::as_str));
    records.filter_map(|record| named.get(record)).flatten()
}

/// Where and when a decision is taken.
pub(super) struct Place {
    pub definitions: &'static Definitions,
    pub settings: Arc<settings::Consent>,
    pub registry: Arc<Registry>,
    pub now: Instant,
    pub partner: Partner,
    /// A rule may mean who stands behind them.
    pub roles: RolesOf,
    /// What was compiled before, in this place.
    pub kept: Arc<KeptRules>,
    /// How much may yet be looked up.
    pub room: Room,
    /// The Patients that are decided on themselves. Such a one may be stored nowhere: it waits for signatures, or lies at a holder.
    pub at_hand: BTreeSet<String>,
}

impl Place {
    /// The compiled consents of one patient. Where they, or what they refer to, are damaged or cannot be read, everything is denied as any other denial
    /// is: what one of them denies must not be passed over, and nobody learns from a failure that there is something.
    pub fn readable_rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Halt> {
        match self.rules_of(reader, patient) {
            Err(Halt::Fault(fault)) if is_unreadable(&fault) => {
                tracing::error!(detail = %fault.detail, "consents cannot be read: what they are about is denied");
                metrics::counter!("hearthgate_consents_unreadable_total").increment(1);
                let rules = Rules::damaged(Policy::default());
                Ok(PatientRules { rules, has_spoken: true, linked: Vec::new(), parted: Vec::new(), filed: Vec::new() })
            }
            known => known,
        }
    }

    /// Adds the rules of a patient's record, of the others of the person, and of those that lead on from them.
    pub fn add_rules_of(&self, reader: &Reader<'_>, patient: &str, rules: &mut HashMap<String, PatientRules>) -> Result<(), Halt> {
        let mut open = vec![patient.to_owned()];
        let mut looked_at = 0;
        while let Some(record) = open.pop().filter(|_| looked_at <= MAX_REACHED) {
            if !rules.contains_key(&record) {
                rules.insert(record.clone(), self.readable_rules_of(reader, &record)?);
                looked_at += 1;
            }
            let known = rules.get(&record).into_iter().flat_map(|known| known.linked.iter().chain(&known.parted));
            open.extend(known.filter(|other| !rules.contains_key(*other)).cloned().collect::<Vec<_>>());
        }
        Ok(())
    }

    /// The compiled consents of one patient, with what they refer to. The rows are read each time; what was compiled of the very same ones is used again.
    fn rules_of(&self, reader: &Reader<'_>, patient: &str) -> Result<PatientRules, Halt> {
        let is_glass_broken = self.is_glass_broken(reader, patient)?;
        let noted = reader.filed(patient)?;
        let (linked, parted) = (noted.linked, noted.parted);
        if reader.linked(patient)? != linked {
            return Err(Fault::new(FaultKind::StorageCorrupt, "which records are one person's is not as it was noted").into());
        }
        let beyond_reading = |linked, parted| {
            let rules = Rules::beyond_reading(Policy::default());
            PatientRules { rules, has_spoken: true, linked, parted, filed: Vec::new() }
        };
        let parted = if parted.len() > MAX_PARTED { that_spoke(reader, parted)? } else { parted };
        if parted.len() > MAX_PARTED || parted.iter().any(|record| record == CROWD) {
            tracing::warn!("a patient has more records of the same person than are looked at: nothing about them is shown");
            metrics::counter!("hearthgate_patients_beyond_reading_total").increment(1);
            return Ok(beyond_reading(linked, Vec::new()));
        }
        let patient_record = patient.to_owned();
        let roles = self.roles.of(patient, linked.iter().chain(&parted));
        let organisations = self.organisations(reader)?;
        let partner = self.partner.names.clone();
        let (of_person, of_once) = (linked.clone(), parted.clone());
        let is_at_hand = self.at_hand.contains(patient) && reader.newest("Patient", patient)?.is_none();
        let asked = Asked {
            patient: patient_record,
            linked: of_person,
            parted: of_once,
            partner,
            organisations,
            roles,
            is_glass_broken,
            is_at_hand,
        };
        let kept = self.kept.find(&asked);
        let query = match &kept {
            Some(kept) => Arc::clone(&kept.query),
            None => Arc::new(self.consents_about(patient)?),
        };
        let Some(stored) = reader.candidates(&query)? else {
            // More than can be looked at: what some of them deny must not be passed over.
            return Ok(beyond_reading(linked, parted));
        };
        check_filed(reader, patient, (&noted.consents, &stored))?;
        let mut rules = self.rules_under(reader, asked.clone(), (kept, &query), &stored)?;
        // Who is behind the institutions and teams that made something matters to a rule about what somebody wrote alone.
        if rules.are_of_authors() {
            let makers = self.makers(reader, &asked, rules.are_of_identified_authors())?;
            if !makers.is_subset(&asked.roles) {
                let asked = Asked { roles: asked.roles.into_iter().chain(makers).collect(), ..asked };
                let kept = self.kept.find(&asked);
                rules = self.rules_under(reader, asked, (kept, &query), &stored)?;
            }
        }
        let filed = stored.iter().map(|version| (version.id.clone(), version.version)).collect();
        Ok(PatientRules { rules, has_spoken: !stored.is_empty(), linked, parted, filed })
    }

    /// The rules as they were compiled before, where that was of the very same, or as they are compiled now.
    fn rules_under(
        &self,
        reader: &Reader<'_>,
        asked: Asked,
        (kept, query): (Option<Arc<Compiled>>, &Arc<Query>),
        stored: &[StoredVersion],
    ) -> Result<Rules, Halt> {
        if let Some(kept) = kept
            && kept.stands_on(reader, stored, &self.room)?
        {
            return Ok(kept.rules.clone());
        }
        let made = self.compiled(reader, &asked, Arc::clone(query), stored)?;
        let rules = made.rules.clone();
        self.kept.keep(asked, made);
        Ok(rules)
    }

    /// The records of whoever made what is decided on, and of what institutions among them are part of. Those of people who are named literally matter to
    /// rules alone that tell them by their identifiers; nobody is known by what whoever asks says of them.
    fn makers(&self, reader: &Reader<'_>, asked: &Asked, are_identified: bool) -> Result<Names, Halt> {
        let (mut makers, reading) = (Names::new(), named::Reading::of(reader));
        let is_others = |version: &StoredVersion| !version.deleted() && !self.partner.sources.contains(&version.source);
        let (mut sought, mut missed) = (0_usize, 0_u64);
        for name in self.roles.makers_of(&asked.patient, asked.linked.iter().chain(&asked.parted)) {
            self.room.take(1)?;
            match (named::parts(name), parts(name)) {
                (Some((PERSON, token)), _) if sought < MAX_SOUGHT => {
                    sought += 1;
                    let found = named::bearers(&reading, self.definitions, PERSON, token)?;
                    makers.extend(found.versions.into_iter().filter(is_others).map(|version| (version.type_name, version.id)));
                }
                (Some((PERSON, _)), _) => missed += 1,
                (None, Some(team)) if team.0 == TEAM => _ = makers.insert(team),
                (None, Some((type_name, id))) if type_name != ORGANISATION => {
                    let known = if are_identified { reader.current(&type_name, &id)?.filter(is_others) } else { None };
                    makers.extend(known.map(|_| (type_name, id)));
                }
                (Some((ORGANISATION | TEAM, _)), _) | (None, Some(_)) => {
                    let find = |names: &[String]| affiliation::find(reader, self.definitions, names);
                    let found = self.kept.affiliations.of(vec![name.clone()], reader.organisations(), find)?;
                    makers.extend(found.all().cloned());
                }
                _ => {}
            }
        }
        if missed > 0 {
            tracing::warn!(
                count = missed,
                "more authors are named by identifiers than are looked up for one answer: what further ones wrote is denied"
            );
            metrics::counter!("hearthgate_authors_missed_total").increment(missed);
        }
        Ok(makers)
    }

    /// The records of the organisations that ask, and of what they are part of.
    fn organisations(&self, reader: &Reader<'_>) -> Result<Affiliations, Fault> {
        let find = |asking: &[String]| affiliation::find_of_asking(reader, self.definitions, asking);
        self.kept.affiliations.of(self.partner.organisations.clone(), reader.organisations(), find)
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
    fn compiled(&self, reader: &Reader<'_>, asked: &Asked, query: Arc<Query>, stored: &[StoredVersion]) -> Result<Compiled, Halt> {
        let patient = asked.patient.as_str();
        let consents = stored.iter().map(|version| version.parse()).collect::<Result<Vec<Node>, Fault>>()?;
        let own = std::iter::once(&asked.patient).chain(&asked.linked).chain(&asked.parted);
        let mut named: BTreeSet<_> = own.map(|id| ("Patient".to_owned(), id.clone())).collect();
        consents.iter().for_each(|consent| collect_references(consent, &mut named));
        if named.len() > MAX_DIRECTORY {
            // What some of it denies, and to whom, must not be passed over.
            return Ok(Compiled::new(reader, asked, query, (stored, Looked::default()), Rules::beyond_reading(Policy::default())));
        }
        let mut looked_up = Looked::default();
        let (records, known) = directory_of(reader, (&mut looked_up, &self.room), named, Names::new())?;
        let mut beside = Names::new();
        let mut former = Former::default();
        if !consents.is_empty() {
            let Affiliated { own, wholes, .. } = &*asked.organisations;
            let is_own = |newest: &StoredVersion| self.partner.sources.contains(&newest.source);
            former.add((reader, &self.room), known.iter().chain(own).filter(|name| !wholes.contains(name)), is_own)?;
            // What they are part of may have been changed by anybody: it is no less what was denied.
            former.add((reader, &self.room), wholes.iter(), |_| true)?;
            beside.extend(asked.organisations.all().chain(&asked.roles).cloned());
            beside.extend(former.versions.iter().flat_map(behind));
            beside.retain(|name| !known.contains(name));
        }
        let (others, _) = directory_of(reader, (&mut looked_up, &self.room), beside, known)?;
        let record = records.iter().find(|one| one.resource_type() == Some("Patient") && one.text("id") == Some(patient));
        let [same_person, once] =
            [&asked.linked, &asked.parted].map(|ids| ids.iter().filter_map(|id| Reference::new(&format!("Patient/{id}"))));
        let directory = Directory::of_known(Known { named: &records, beside: &others, former: &former.versions })
            .of_one_person(same_person, once)
            .with_registers(self.registry.registers())
            .with_unknown_parts(asked.organisations.is_unknown || former.is_more);
        let rules = Rules::compile(&consents, &directory, self.policy(asked, record));
        Ok(Compiled::new(reader, asked, query, (stored, looked_up), rules))
    }

    /// What the operator decides for this patient and this recipient, and how far the glass is broken for them.
    fn policy(&self, asked: &Asked, record: Option<&Node>) -> Policy {
        let is_known = record.is_some() || asked.is_at_hand;
        let majority = record.map_or(self.settings.majority_years, |record| u64::from(majority_years(&self.settings, record)));
        // Of somebody who is nobody here it cannot be told that they have said nothing.
        let (implicit, by_sensitivity) = match is_known {
            true => implicit_policies(&self.settings, &asked.partner, record),
            false => (ImplicitPolicy::Deny, BySensitivity::default()),
        };
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

/// Those of records about which something was filed, where they are not too many to be asked: others deny nothing.
fn that_spoke(reader: &Reader<'_>, records: Vec<String>) -> Result<Vec<String>, Fault> {
    if records.len() > MAX_ASKED_OF {
        return Ok(records);
    }
    let mut spoke = Vec::new();
    for record in records {
        if record == CROWD || !reader.filed(&record)?.consents.is_empty() {
            spoke.push(record);
        }
    }
    Ok(spoke)
}

/// What is filed about a record that another leads to denies for this one too, however many steps there are between them.
pub(super) fn close_over(patient: &str, rules: &mut HashMap<String, PatientRules>) {
    let Some(own) = rules.get(patient).filter(|own| !own.parted.is_empty() || !own.linked.is_empty()) else { return };
    let mut reached: BTreeSet<String> = BTreeSet::from([patient.to_owned()]);
    let mut open: Vec<&PatientRules> = vec![own];
    let mut is_beyond = false;
    while let Some(known) = open.pop() {
        for other in known.linked.iter().chain(&known.parted) {
            if reached.insert(other.clone()) {
                is_beyond |= !rules.contains_key(other);
                open.extend(rules.get(other));
            }
        }
    }
    let parted: Vec<String> = reached.into_iter().filter(|other| other != patient && !own.linked.contains(other)).collect();
    if let Some(own) = rules.get_mut(patient) {
        own.parted = parted;
        if is_beyond {
            // Nobody knows what those deny that were not looked at.
            own.rules = Rules::beyond_reading(Policy::default());
            own.has_spoken = true;
        }
    }
}

/// The names of records, by type and id.
type Names = BTreeSet<(String, String)>;

/// The records that consents are read with: those that are named, and who belongs to the groups, teams and roles among them. With the names of all that
/// is known by then.
fn directory_of(
    reader: &Reader<'_>,
    (looked_up, room): (&mut Looked, &Room),
    named: Names,
    mut known: Names,
) -> Result<(Vec<Node>, Names), Halt> {
    let mut directory = Vec::new();
    let mut open = named;
    for _ in 0..=MEMBERSHIP_STEPS {
        let found = looked_up.up(reader, &open, room)?;
        known.append(&mut open);
        let most = MAX_MEMBERS.saturating_sub(known.len());
        open = found.iter().flat_map(behind).filter(|name| !known.contains(name)).take(most).collect();
        directory.extend(found);
    }
    Ok((directory, known))
}

/// What records said before whoever asks changed them, or anybody those of what they are part of: a denial is not escaped by another name, nor by leaving
/// what is denied.
#[derive(Default)]
struct Former {
    versions: Vec<Node>,
    /// Whether there are more than are looked at.
    is_more: bool,
}

impl Former {
    /// Adds the older versions of those among these records whose newest is such.
    fn add<'n>(
        &mut self,
        (reader, room): (&Reader<'_>, &Room),
        names: impl Iterator<Item = &'n (String, String)>,
        is_meant: impl Fn(&StoredVersion) -> bool,
    ) -> Result<(), Halt> {
        for (type_name, id) in names.filter(|(type_name, _)| PARTIES.contains(&type_name.as_str())) {
            let Some(newest) = reader.current(type_name, id)?.filter(|newest| is_meant(newest)) else { continue };
            let first = newest.version.saturating_sub(MAX_FORMER).max(1);
            self.is_more |= first > 1;
            room.take((first..newest.version).len())?;
            for number in first..newest.version {
                let version = reader.version(type_name, id, number)?.filter(|version| !version.deleted());
                self.versions.extend(version.map(|version| version.parse()).transpose()?);
            }
        }
        Ok(())
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

/// Whose role it is, and where; who is in a group or a team.
fn behind(record: &Node) -> Vec<(String, String)> {
    // Of more it is not known who they are, whatever their records say.
    let members = |list: &str, member: &str| record.items(list).iter().take(MEMBERS_LIMIT).filter_map(|one| one.get(member)).collect();
    let named: Vec<&Node> = match record.resource_type() {
        Some(ROLE) => ["practitioner", "organization"].into_iter().filter_map(|name| record.get(name)).collect(),
        Some("Group") => members("member", "entity"),
        Some(TEAM) => members("participant", "member"),
        _ => Vec::new(),
    };
    named.into_iter().filter_map(|named| named.text("reference").and_then(parts)).collect()
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
            let is_party = |(type_name, _): &(&str, &str)| *type_name == "Patient" || PARTIES.contains(type_name);
            let found = party.and_then(|text| text.split_once('/')).filter(is_party).or(data.and_then(|text| text.split_once('/')));
            named.extend(found.map(|(type_name, id)| (type_name.to_owned(), id.to_owned())));
            object.members().iter().for_each(|member| collect_references(&member.node, named));
        }
        Value::List(items) => items.iter().for_each(|item| collect_references(item, named)),
        _ => {}
    }
}
