//! What resources refer to, as far as the gateway keeps it: the setting tells how sensitive something is, and what points at hidden records must not
//! say so.

mod once;
mod walk;
mod wanted;

use super::Candidate;
use super::addresses::Addresses;
use super::named::{self, Named, Reading};
use crate::consent::{
    Concept, Labeller, PatientReference, Reference, definitions_behind, definitions_of, is_administrative, is_nobodys, is_setting,
    labels_of_inner_settings, labels_of_setting, labels_of_worst_setting, patient_identifiers_of, patients_of, patients_told_in,
    pointers_of, settings_of,
};
use crate::definitions::Definitions;
use crate::fhir::Node;
use crate::identity::crossref;
use crate::outcome::Fault;
use crate::pipeline::{is_damage, leave_out};
use crate::registry::Registry;
use crate::store::{Reader, StoredVersion};
use std::collections::{BTreeSet, HashMap, HashSet};
pub(super) use wanted::Wanted;
use wanted::{is_telling, said_by, said_of_setting};

/// The most records found because others refer to them, for one answer. References to further ones are not shown.
pub(super) const MAX_BESIDE: usize = 5_000;
/// So many names are looked up for one answer, whatever they mean: those first that tell what something is, and those of records that name little.
pub(super) const MAX_LOOKED_UP: usize = 30_000;
/// How many steps settings are followed: from a result to its encounter, from there to the place, what that is part of, and whose it is. What lies
/// farther is not known.
pub(super) const SETTING_STEPS: usize = 8;
/// Whoever made a record: references to them stay, but where their own record is hidden. A role is none: it leads to where somebody works.
const MAKER: &str = "Practitioner";
/// Who or what something was done with: references to those that are nobody's stay.
const MEANS: [&str; 2] = ["Device", "Person"];

/// The records that others refer to.
#[derive(Default)]
pub(super) struct Beside {
    records: HashMap<String, Candidate>,
    /// References to what was deleted, or to more than was looked up.
    gone: HashSet<String>,
    /// References to what is not here.
    absent: HashSet<String>,
    /// Settings of which it could not be learnt what they are: they lie at a holder, or more are named than were looked at.
    unknown: HashSet<String>,
    /// What logical references mean.
    meant: HashMap<String, Vec<String>>,
    /// How many names were looked up, and how many were not because there were too many.
    looked_up: usize,
    missed: usize,
    /// What they may have meant once: records that bore the identifier and do not any more. It hides and tells like these; nobody is known by it.
    once: HashMap<String, Vec<String>>,
    /// How many settings are damaged.
    unreadable: usize,
    /// What it tells of somebody to have to do with a place or a product, for those where that is anything.
    places: HashMap<String, Vec<Concept>>,
    /// What each of these tells by itself.
    own_labels: HashMap<String, Vec<Concept>>,
}

/// A record, and the source in whose words it may point.
pub(super) type Pointing<'a> = (&'a Node, &'a str);

/// Whether a type is one whose records may be hidden, or tell what others are.
pub(super) fn may_matter(type_name: &str) -> bool {
    type_name != MAKER && (is_setting(type_name) || !is_administrative(type_name))
}

/// Whether a record may be pointed at, whoever may see it.
pub(super) fn may_be_named(record: &Node) -> bool {
    record.resource_type().is_some_and(|type_name| MEANS.contains(&type_name)) && patients_of(record).is_empty()
}

/// Whether records of a type, or of an untold one, may tell what others are.
fn may_tell(type_name: &str) -> bool {
    type_name.is_empty() || is_setting(type_name)
}

impl Beside {
    /// What a resource refers to that may be hidden, or may tell what the resource is. Whose it is, is neither, unless an identifier beside the
    /// reference may mean somebody else.
    fn named_by((resource, source): Pointing<'_>, addresses: &Addresses, with_makers: bool) -> Vec<String> {
        let own = patients_of(resource);
        let own_told = own_told_in(resource, &own);
        let identifiers = patient_identifiers_of(resource);
        let names = named::of_patients(&identifiers);
        let may_matter = |type_name: &str| may_matter(type_name) || (with_makers && type_name == MAKER);
        let is_meant = |reference: &Reference| match reference.sought() {
            Some((type_name, _)) => type_name.is_empty() || may_matter(type_name),
            None if reference.by_urn().is_some() => true,
            None => reference.type_name().is_some_and(may_matter) && !is_among(reference, &own) && !own_told.contains(reference.as_str()),
        };
        let pointers = pointers_of(resource);
        let mut named: Vec<String> = pointers.iter().filter(|one| is_meant(one)).flat_map(|one| addresses.names_of(one, source)).collect();
        named.extend(definitions_of(resource).map(|(type_name, url)| named::by_url((type_name, &url))));
        if !names.is_empty() {
            named.extend(known(&own));
            named.extend(names);
        }
        named
    }

    /// Looks up what is named. What the gateway never had stays as it is.
    pub fn gather(reader: &Reader<'_>, definitions: &'static Definitions, wanted: &Wanted, limit: usize) -> Result<Beside, Fault> {
        let mut beside = Beside::default();
        let reading = Reading::of(reader);
        let mut open = wanted.in_order();
        for _ in 0..=SETTING_STEPS {
            let mut settings = BTreeSet::new();
            for reference in open {
                if !beside.knows(&reference) {
                    settings.extend(beside.look_up_within(&reading, definitions, reference, limit)?);
                }
            }
            open = settings.into_iter().collect();
        }
        let Wanted { names, beyond, addressed, needed, .. } = wanted;
        let beyond = open.into_iter().chain(beyond.iter().filter(|name| !names.contains_key(*name)).cloned());
        beyond.for_each(|name| beside.miss_beyond(name));
        for (said, names) in addressed {
            let known = names.iter().filter(|name| beside.records.contains_key(*name)).cloned().collect::<Vec<_>>();
            if known.is_empty() && needed.contains(said) {
                beside.unknown.insert(said.clone());
            }
            add_meant(&mut beside.meant, said.clone(), known);
        }
        beside.report();
        Ok(beside)
    }

    /// Looks up one reference if there is room for it.
    fn look_up_within(
        &mut self,
        reading: &Reading<'_, '_>,
        definitions: &'static Definitions,
        reference: String,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        if self.records.len() >= limit || self.looked_up >= MAX_LOOKED_UP {
            self.miss_beyond(reference);
            return Ok(Vec::new());
        }
        self.looked_up += 1;
        self.look_up(reading, definitions, reference)
    }

    /// Leaves out what there is no room for.
    fn miss_beyond(&mut self, reference: String) {
        if !self.knows(&reference) {
            self.missed += 1;
            self.miss(reference);
        }
    }

    /// Says how much was not looked up.
    fn report(&self) {
        if self.missed > 0 {
            tracing::warn!(
                count = self.missed,
                "records name more than is looked up for one answer: what is named beyond that is not shown"
            );
            metrics::counter!("hearthgate_references_missed_total").increment(self.missed as u64);
        }
    }

    /// Whether a reference was looked up and found.
    pub fn knows(&self, reference: &str) -> bool {
        self.records.contains_key(reference) || self.gone.contains(reference) || self.meant.contains_key(reference)
    }

    /// Leaves out what is more than was looked at.
    fn miss(&mut self, reference: String) {
        if is_telling(&reference) {
            self.unknown.insert(reference.clone());
        }
        self.gone.insert(reference);
    }

    /// Looks up one reference; answers the settings that are named in what it means.
    fn look_up(&mut self, reading: &Reading<'_, '_>, definitions: &'static Definitions, reference: String) -> Result<Vec<String>, Fault> {
        let reader = reading.reader;
        let is_published = named::url_in(&reference).is_some();
        let (is_telling, found) = match (named::url_in(&reference), named::parts(&reference), reference.split_once('/')) {
            (Some((type_name, url)), ..) => (true, named::published(reading, definitions, type_name, url)),
            (None, Some((type_name, token)), _) => (may_tell(type_name), named::find(reading, definitions, type_name, token)),
            (None, None, Some((type_name, id))) => (may_tell(type_name), reader.current(type_name, id).map(Named::of)),
            (None, None, None) => return Ok(Vec::new()),
        };
        let found = match found {
            // Nobody can tell whether it may be pointed at, nor, where it would say how sensitive something is, what that is.
            Err(fault) if is_damage(&fault) => {
                tracing::error!(detail = %fault.detail, "what is referred to cannot be read: references to it are not shown");
                metrics::counter!("hearthgate_damaged_records_total").increment(1);
                self.unreadable += usize::from(is_telling);
                self.miss(reference);
                return Ok(Vec::new());
            }
            found => found?,
        };
        if found.is_more {
            // More go by this name than are looked at.
            self.missed += 1;
            self.miss(reference.clone());
        }
        // What somebody else published need not be here.
        if found.versions.is_empty() && !is_published {
            self.absent.insert(reference.clone());
        }
        let last = found.versions.iter().chain(&found.once).filter(|version| version.deleted() && is_setting(&version.type_name));
        let last = last.map(|version| reader.version(&version.type_name, &version.id, version.version.saturating_sub(1)));
        let last = match last.collect::<Result<Vec<_>, Fault>>() {
            Err(fault) if is_damage(&fault) => {
                leave_out(&fault);
                self.unreadable += 1;
                self.miss(reference.clone());
                Vec::new()
            }
            last => last?,
        };
        let mut settings = self.keep_once(&reference, &found.once)?;
        settings.extend(self.keep(reference, &found.versions)?);
        // What took place in a setting did so, whatever became of its record.
        for version in last.into_iter().flatten().filter(|version| !version.deleted()) {
            settings.extend(self.keep_record(&version)?);
        }
        Ok(settings)
    }

    /// Keeps a record; answers the settings that it names.
    fn keep_record(&mut self, version: &StoredVersion) -> Result<Vec<String>, Fault> {
        let candidate = Candidate::stored(version)?;
        let definitions = definitions_behind(&candidate.resource).map(named::by_url);
        let settings = settings_of(&candidate.resource).iter().filter_map(name_of).chain(definitions).collect();
        self.records.insert(format!("{}/{}", version.type_name, version.id), candidate);
        Ok(settings)
    }

    /// Keeps what a reference means.
    fn keep(&mut self, reference: String, versions: &[StoredVersion]) -> Result<Vec<String>, Fault> {
        let mut settings = Vec::new();
        let mut meant = Vec::new();
        for version in versions {
            let literal = format!("{}/{}", version.type_name, version.id);
            if version.deleted() {
                // Who made something did so, whatever became of their record.
                if version.type_name != MAKER {
                    self.gone.insert(literal);
                }
                continue;
            }
            if !self.records.contains_key(&literal) {
                settings.extend(self.keep_record(version)?);
            }
            meant.push(literal);
        }
        if named::parts(&reference).is_some() || named::url_in(&reference).is_some() {
            self.meant.insert(reference, meant);
        }
        Ok(settings)
    }

    /// Whether what a name means is at hand, or it was found out that it cannot be. By an identifier no record of others is meant.
    pub fn has(&self, name: &str, is_of_theirs: &dyn Fn(&Node) -> bool) -> bool {
        let is_theirs = |literal: &String| self.records.get(literal).is_some_and(|candidate| is_of_theirs(&candidate.resource));
        self.records.contains_key(name) || self.unknown.contains(name) || self.meant_by(name).iter().any(is_theirs)
    }

    /// The record of this name.
    pub fn record(&self, name: &str) -> Option<&Candidate> {
        self.records.get(name)
    }

    /// Takes in what was learnt of a setting that is not here, or that nothing could be.
    pub fn learn(&mut self, name: String, setting: Option<Candidate>) {
        match setting {
            Some(setting) => _ = self.records.insert(name, setting),
            None => _ = self.unknown.insert(name),
        }
    }

    /// Takes in what else was looked up here.
    pub fn join(&mut self, other: Beside) {
        other.records.into_iter().for_each(|(name, record)| _ = self.records.entry(name).or_insert(record));
        self.gone.extend(other.gone);
        self.unknown.extend(other.unknown);
        other.meant.into_iter().for_each(|(name, meant)| add_meant(&mut self.meant, name, meant));
        self.once.extend(other.once);
        self.absent.extend(other.absent);
        self.unreadable += other.unreadable;
    }

    /// The records themselves.
    pub fn records(&self) -> impl Iterator<Item = &Candidate> {
        self.records.values()
    }

    /// How many settings could not be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// Whether something was looked for by this name and is not here.
    pub fn lacks(&self, name: &str) -> bool {
        self.absent.contains(name)
    }

    /// Whether anything was looked for and is not here.
    pub fn lacks_any(&self) -> bool {
        !self.absent.is_empty()
    }

    /// Leaves out of sight what is hidden: from now on references to it go.
    pub fn hide(&mut self, hidden: Vec<String>) {
        self.gone.extend(hidden);
    }

    /// Finds out what it tells to have to do with the places and products among them.
    pub fn label_places(&mut self, labeller: &Labeller) {
        let places = self.records.iter().filter(|(_, candidate)| candidate.resource.resource_type().is_some_and(is_nobodys));
        // Each is read once, however many records lead to it.
        self.own_labels = places.clone().map(|(literal, candidate)| (literal.clone(), own_labels(&candidate.resource, labeller))).collect();
        let told = places.map(|(literal, candidate)| {
            let own = self.labels_by_itself(&candidate.resource, labeller);
            let unknown = self.is_unsettled(&candidate.resource, &|_| true).then(labels_of_worst_setting);
            let behind = self.labels(&candidate.resource, labeller, &|_| true);
            (literal.clone(), own.into_iter().chain(behind).chain(unknown.into_iter().flatten()).collect::<Vec<_>>())
        });
        let told = told.filter(|(_, labels)| !labels.is_empty());
        self.places = told.chain(self.unknown.iter().map(|name| (name.clone(), labels_of_worst_setting()))).collect();
    }

    /// The references in records that must not be shown: to what is hidden, and to places and products that tell what is withheld.
    pub fn hidden_from(
        &self,
        shown: &[Pointing<'_>],
        addresses: &Addresses,
        [is_of_theirs, is_askers]: [&dyn Fn(&Candidate) -> bool; 2],
        is_withheld: &dyn Fn(&[Concept]) -> bool,
    ) -> Vec<Reference> {
        if self.gone.is_empty() && self.places.is_empty() {
            return Vec::new();
        }
        let own: Vec<PatientReference> = shown.iter().flat_map(|(resource, _)| patients_of(resource)).collect();
        let names: Vec<String> = shown.iter().flat_map(|(resource, _)| named::of_patients(&patient_identifiers_of(resource))).collect();
        let told: HashSet<String> = shown.iter().flat_map(|(resource, _)| own_told_in(resource, &own)).collect();
        let is_own = |reference: &Reference| {
            is_among(reference, &own) || told.contains(reference.as_str()) || names.iter().any(|name| name == reference.as_str())
        };
        let pointers = shown.iter().flat_map(|(resource, source)| pointers_of(resource).into_iter().map(move |one| (one, *source)));
        let named = pointers.filter(|(one, _)| !is_own(one)).map(|(one, source)| (addresses.names_of(&one, source), one));
        let named: Vec<(Vec<String>, Reference)> = named.collect();
        let all: HashSet<&String> = named.iter().flat_map(|(names, _)| names).collect();
        let is_named = |literal: &String| all.contains(literal);
        let is_hidden = |name: &String| self.is_gone(name, is_of_theirs, is_askers) || self.places_told(name, &is_named).any(is_withheld);
        named.iter().filter(|(names, _)| names.iter().any(is_hidden)).map(|(_, reference)| reference.clone()).collect()
    }

    /// What the places tell that a name means. Where an identifier is that of a place named beside it, others of that identifier are not meant.
    fn places_told<'b>(&'b self, name: &'b String, is_named: &dyn Fn(&String) -> bool) -> impl Iterator<Item = &'b [Concept]> {
        let meant: Vec<&String> = self.may_be_meant_by(name).collect();
        let told: Vec<&String> = meant.iter().copied().filter(|literal| is_named(literal)).collect();
        let places = std::iter::once(name).chain(if told.is_empty() { meant } else { told });
        places.filter_map(|literal| self.places.get(literal).map(Vec::as_slice))
    }

    /// A name, and the literal ones of what it means.
    pub fn meant_as<'b>(&'b self, name: &'b String) -> impl Iterator<Item = &'b String> {
        std::iter::once(name).chain(self.meant_by(name))
    }

    fn meant_by(&self, reference: &str) -> &[String] {
        self.meant.get(reference).map(Vec::as_slice).unwrap_or_default()
    }

    /// What a resource refers to by identifier, as literal references.
    pub fn meant_in(&self, resource: &Node) -> Vec<Reference> {
        if self.meant.is_empty() {
            return Vec::new();
        }
        let named = pointers_of(resource);
        named.iter().flat_map(|reference| self.meant_by(reference.as_str())).filter_map(|literal| Reference::new(literal)).collect()
    }

    /// The ids of the patients a resource is about: those it names, and those to whom the identifiers beside these belong. `None` where that
    /// cannot be told, or an identifier of persons is not that of the patient named with it.
    pub fn patients_in(&self, resource: &Node, registry: &Registry) -> Option<Vec<String>> {
        let own = patients_of(resource);
        let mut all = known(&own);
        if all.len() < own.len() {
            return None;
        }
        for identifier in patient_identifiers_of(resource) {
            let [name] = named::of_patients(std::slice::from_ref(&identifier)).try_into().ok().unwrap_or_default();
            if self.gone.contains(&name) {
                return None;
            }
            let meant = self.meant_by(&name);
            if meant.is_empty() && self.is_disowned(&named::of_person(&identifier), &own, registry) {
                return None;
            }
            let is_own = meant.iter().any(|literal| all.contains(literal));
            all.extend(meant.iter().filter(|_| !is_own).cloned());
        }
        all.iter().map(|literal| literal.strip_prefix("Patient/").map(str::to_owned)).collect()
    }

    /// Whether a person's identifier disagrees with those of every patient named.
    fn is_disowned(&self, identifier: &crossref::PatientIdentifiers, own: &[PatientReference], registry: &Registry) -> bool {
        let records: Vec<&Candidate> = known(own).iter().filter_map(|literal| self.records.get(literal)).collect();
        let disagrees = |candidate: &&Candidate| {
            let theirs = crossref::patient_identifiers(&candidate.resource);
            crossref::disagree(identifier, &theirs, |system| registry.is_person_system(system))
        };
        !records.is_empty() && records.iter().all(disagrees)
    }
}

/// What the kind of a setting tells, and what is contained in it.
fn own_labels(setting: &Node, labeller: &Labeller) -> Vec<Concept> {
    labels_of_setting(setting, labeller).into_iter().chain(labels_of_inner_settings(setting, labeller)).collect()
}

/// Adds what a name means to what is known of that.
fn add_meant(known: &mut HashMap<String, Vec<String>>, name: String, meant: Vec<String>) {
    let known = known.entry(name).or_default();
    known.extend(meant);
    known.sort_unstable();
    known.dedup();
}

fn is_among(reference: &Reference, patients: &[PatientReference]) -> bool {
    patients.iter().any(|patient| matches!(patient, PatientReference::Known(known) if known.relative() == reference.relative()))
}

/// How a Bundle's entries call those of these patients, in their source's words.
fn own_told_in(bundle: &Node, own: &[PatientReference]) -> HashSet<String> {
    let is_own = |patient: &str| Reference::new(patient).is_some_and(|patient| is_among(&patient, own));
    let told = patients_told_in(bundle).filter(|(_, patient)| is_own(patient));
    told.filter_map(|(name, _)| Some(Reference::new(name)?.as_str().to_owned())).collect()
}

/// The patients that are named literally, as `Patient/id`.
fn known(patients: &[PatientReference]) -> Vec<String> {
    let literal = patients.iter().filter_map(|patient| match patient {
        PatientReference::Known(reference) => reference.relative(),
        PatientReference::Unresolvable => None,
    });
    literal.filter(|text| text.starts_with("Patient/")).map(str::to_owned).collect()
}

/// What a reference is looked up by: `Type/id`, or a logical one whole.
pub(super) fn name_of(reference: &Reference) -> Option<String> {
    reference.relative().or(reference.sought().map(|_| reference.as_str())).map(str::to_owned)
}
