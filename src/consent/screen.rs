//! What a decision keeps, so that the parts of a resource can be decided like the whole.

use super::code::{Code, Reference};
use super::decision::permits;
use super::facts::{self, Author, ResourceFacts, Share};
use super::label::{Labeller, holds_unreadable, level};
use super::patients::PatientReference;
use super::permitted::is_administrative;
use super::references::References;
use super::request::Request;
use super::rules::Rules;
use super::vocabulary::{Concept, Confidentiality, is_sensitivity};
use crate::fhir::Node;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many different parts of one resource are remembered with what was decided of them. Further ones are decided again.
const MEMORY_LIMIT: usize = 64;
/// How much is compared at most, over all rules, to decide on the parts of one record. What more would be needed for is withheld.
pub(super) const MAX_COST: usize = 8_000_000;

/// Stands for every record that no rule names.
const NO_OTHER: &str = "?";

/// Types that say who somebody is: a reference to one stays, whatever types the rules name.
const PARTIES: [&str; 4] = ["Device", "Patient", "Person", "RelatedPerson"];

/// One patient's rules and what was asked of them.
#[derive(Debug, Clone)]
struct Heard {
    rules: Rules,
    request: Arc<Request>,
}

/// The rules of all patients a resource is about, and the resource as it would be without the parts that may have to go.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    heard: Vec<Heard>,
    pub labeller: Option<Labeller>,
    bare: ResourceFacts,
    /// Whether some code, text or label in the resource may be withheld at all.
    pub is_telling: bool,
    /// Whether some reference may point at what is withheld.
    pub names_targets: bool,
    /// Whether it matters who wrote a part.
    pub names_authors: bool,
    /// Whether the recipient may know.
    pub is_revealed: bool,
    /// How much was compared by now: for the record and whatever stands inside it.
    spent: Arc<AtomicUsize>,
}

/// What a part of a resource tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    pub labels: Vec<Concept>,
    pub codes: Vec<Code>,
    /// Whether there is content in it that labelling cannot read.
    pub is_unreadable: bool,
    /// Whoever wrote it, where it says so itself.
    pub authors: Vec<Author>,
}

/// What was decided of parts, for one screen.
#[derive(Debug, Default)]
pub(super) struct Memory {
    parts: RefCell<Vec<(Part, bool)>>,
    targets: RefCell<HashMap<String, bool>>,
}

impl Screen {
    /// The screen of one patient's rules. `None` when they decide every resource alike.
    pub(super) fn of(rules: &Rules, request: &Request, facts: &ResourceFacts) -> Option<Screen> {
        let reach = &rules.reach;
        let is_named = || facts.all_codes.iter().any(|code| reach.may_name(code));
        reach.is_selective.then(|| Screen {
            heard: vec![Heard { rules: rules.clone(), request: Arc::new(request.clone()) }],
            labeller: facts.labeller.clone(),
            bare: bare(facts),
            is_telling: facts.holds_sensitive || ((!reach.codes.is_empty() || !reach.kinds.is_empty()) && is_named()),
            names_targets: reach.names_targets,
            names_authors: reach.names_authors,
            is_revealed: rules.policy.reveal_redaction,
            spent: Arc::default(),
        })
    }

    /// A screen without rules, which withholds what is known to be hidden and nothing else.
    pub(super) fn open(facts: &ResourceFacts) -> Screen {
        Screen {
            heard: Vec::new(),
            labeller: None,
            bare: bare(facts),
            is_telling: false,
            names_targets: false,
            names_authors: false,
            is_revealed: false,
            spent: Arc::default(),
        }
    }

    /// The screens of several patients on the same resource as one.
    pub(super) fn join(mut self, other: Screen) -> Screen {
        self.heard.extend(other.heard);
        self.labeller = self.labeller.or(other.labeller);
        self.is_telling |= other.is_telling;
        self.names_targets |= other.names_targets;
        self.names_authors |= other.names_authors;
        self.is_revealed &= other.is_revealed;
        self
    }

    /// The screen for a resource that stands inside this one's: what it does not say of itself, its container says.
    pub(super) fn inside(&self, facts: &ResourceFacts) -> Screen {
        let mut bare = bare(facts);
        bare.patients.extend(self.bare.patients.iter().cloned());
        Screen {
            heard: self.heard.clone(),
            labeller: self.labeller.clone(),
            bare,
            is_telling: self.is_telling,
            names_targets: self.names_targets,
            names_authors: self.names_authors,
            is_revealed: false,
            spent: Arc::clone(&self.spent),
        }
    }

    /// The screen for a record that speaks of this one, and is decided as this one is.
    pub(super) fn beside(&self, resource: &Node) -> Screen {
        let mut facts = self.facts_inside(resource);
        let tells = facts.holds_sensitive || !facts.all_codes.is_empty();
        facts.type_name.clone_from(&self.bare.type_name);
        facts.reference.clone_from(&self.bare.reference);
        facts.identifiers.clone_from(&self.bare.identifiers);
        facts.version.clone_from(&self.bare.version);
        facts.main_codes.clone_from(&self.bare.main_codes);
        facts.declared.extend(self.bare.declared.iter().cloned());
        facts.add_setting(self.bare.setting.clone());
        Screen { is_telling: tells, spent: Arc::default(), ..self.inside(&facts) }
    }

    /// The facts of what is left of the resource: of the same type, and telling as much of itself, as the decision on it was taken on.
    pub(super) fn facts_of_rest(&self, resource: &Node) -> ResourceFacts {
        let mut facts = self.facts_inside(resource);
        facts.type_name.clone_from(&self.bare.type_name);
        facts.reference.clone_from(&self.bare.reference);
        facts.identifiers.clone_from(&self.bare.identifiers);
        facts.version.clone_from(&self.bare.version);
        facts.main_codes.clone_from(&self.bare.main_codes);
        facts.add_setting(self.bare.setting.clone());
        facts
    }

    /// The facts of a resource that stands inside this one's.
    pub(super) fn facts_inside(&self, resource: &Node) -> ResourceFacts {
        let mut facts = self.facts(resource);
        let are_told = !facts.patients.is_empty() && !facts.patients.contains(&PatientReference::Unresolvable);
        if !are_told {
            facts.patients.clone_from(&self.bare.patients);
        }
        if facts.dates.is_empty() {
            facts.dates.clone_from(&self.bare.dates);
            facts.is_vaguely_dated |= self.bare.is_vaguely_dated;
        }
        if facts.authors.iter().all(|author| author.share != Share::Whole) {
            facts.authors = with_authors(&self.bare.authors, &facts.authors);
        }
        if is_administrative(&facts.type_name) {
            // A product, a place or a person is of no class of its own: it is part of what it is named in.
            facts.type_name.clone_from(&self.bare.type_name);
            facts.main_codes.extend(self.bare.main_codes.iter().cloned());
            facts.confidentiality = facts.confidentiality.max(Some(Confidentiality::Normal));
        }
        facts
    }

    /// The facts of a resource, labelled as the whole was.
    pub(super) fn facts(&self, resource: &Node) -> ResourceFacts {
        let mut facts = facts::of(resource);
        if let Some(definitions) = self.bare.definitions {
            facts.add_bases(definitions);
        }
        if let Some(labeller) = &self.labeller {
            labeller.label(resource, &mut facts);
        }
        facts
    }

    /// Whether every patient's rules permit it.
    pub(super) fn permits(&self, facts: &ResourceFacts) -> bool {
        let cost = self.heard.iter().map(|heard| heard.rules.reach.cost_of(facts)).fold(0, usize::saturating_add);
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(cost);
        self.spent.store(spent, Ordering::Relaxed);
        spent <= MAX_COST && self.heard.iter().all(|heard| permits(&heard.rules, &heard.request, facts))
    }

    #[cfg(test)]
    pub(super) fn spent(&self) -> usize {
        self.spent.load(Ordering::Relaxed)
    }

    /// Whether so much had to be compared that something was withheld undecided.
    pub(super) fn is_exhausted(&self) -> bool {
        self.spent.load(Ordering::Relaxed) > MAX_COST
    }

    /// Whether the resource would be permitted if it had no parts.
    pub(super) fn permits_bare(&self) -> bool {
        self.permits(&self.bare)
    }

    /// Gives the bare resource what its defining elements tell: it cannot be without them.
    pub(super) fn define(&mut self, defining: &Part) {
        defining.labels.iter().for_each(|label| self.bare.add_found(label.clone()));
        self.bare.all_codes.extend(defining.codes.iter().cloned());
    }

    /// The labels the source put on the resource itself.
    pub(super) fn declared(&self) -> &[Concept] {
        &self.bare.declared
    }

    /// Takes labels off the bare resource.
    pub(super) fn disregard(&mut self, labels: &[Concept]) {
        let kept: Vec<Concept> = self.bare.declared.iter().filter(|label| !labels.contains(label)).cloned().collect();
        self.bare.declared.clear();
        self.bare.labels.clear();
        self.bare.confidentiality = Some(Confidentiality::Normal);
        kept.into_iter().for_each(|label| self.bare.add_label(label));
        self.bare.setting.clone().into_iter().for_each(|label| self.bare.add_found(label));
    }

    /// What a part tells by its codes and words.
    pub(super) fn part(&self, node: &Node) -> Part {
        let codes = facts::codes_of(node);
        let found = self.labeller.as_ref().map(|labeller| labeller.survey(node, &codes)).unwrap_or_default();
        let named = |code: &Code| self.heard.iter().any(|heard| heard.rules.reach.may_name(code));
        let is_unreadable = self.labeller.is_some() && holds_unreadable(node);
        Part {
            labels: with_level(found.concepts().collect()),
            codes: codes.into_iter().filter(named).collect(),
            is_unreadable,
            ..Part::default()
        }
    }

    /// Whether a part that tells this would not be permitted on its own.
    pub(super) fn withholds(&self, part: Part, memory: &Memory) -> bool {
        if part.labels.is_empty() && part.codes.is_empty() && part.authors.is_empty() && !part.is_unreadable {
            return false;
        }
        let known = memory.parts.borrow().iter().find(|(known, _)| *known == part).map(|(_, answer)| *answer);
        known.unwrap_or_else(|| {
            let mut facts = self.bare.clone();
            part.labels.iter().for_each(|label| facts.add_found(label.clone()));
            facts.all_codes.extend(part.codes.iter().cloned());
            facts.is_unreadable = part.is_unreadable;
            facts.authors = with_authors(&facts.authors, &part.authors);
            let answer = !self.permits(&facts);
            let mut parts = memory.parts.borrow_mut();
            if parts.len() < MEMORY_LIMIT {
                parts.push((part, answer));
            }
            answer
        })
    }

    /// Whether a label of the resource's own would keep it back if it were the only one.
    pub(super) fn withholds_label(&self, label: &Concept) -> bool {
        let mut facts = ResourceFacts { labels: Vec::new(), confidentiality: None, ..self.bare.clone() };
        with_level(vec![label.clone()]).into_iter().for_each(|label| facts.add_found(label));
        !self.permits(&facts)
    }

    /// Whether a reference points at a type or a record that is withheld.
    pub(super) fn withholds_target(&self, type_name: Option<&str>, reference: Option<&Reference>, memory: &Memory) -> bool {
        let is_exempt = |name: &str| is_administrative(name) || PARTIES.contains(&name);
        if !self.names_targets || type_name.is_some_and(is_exempt) {
            return false;
        }
        let type_name = type_name.unwrap_or(&self.bare.type_name);
        let names_records = self.heard.iter().any(|heard| heard.rules.reach.names_records);
        let reference = reference.filter(|_| names_records);
        if reference.is_none() && type_name == self.bare.type_name {
            return false;
        }
        // Of what no rule names all is decided alike.
        let name = reference.map(|reference| if self.may_mean(reference) { reference.as_str() } else { NO_OTHER });
        let key = format!("{type_name} {}", name.unwrap_or_default());
        let known = memory.targets.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let facts =
                ResourceFacts { type_name: type_name.into(), reference: reference.cloned(), identifiers: Vec::new(), ..self.bare.clone() };
            let answer = !self.permits(&facts);
            memory.targets.borrow_mut().insert(key, answer);
            answer
        })
    }

    /// Whether some rule names this record, or may.
    fn may_mean(&self, reference: &Reference) -> bool {
        let is_logical = reference.sought().is_some();
        let reaches = self.heard.iter().map(|heard| &heard.rules.reach);
        reaches.into_iter().any(|reach| reach.records.may_have(reference) || (is_logical && reach.names_by_identifier))
    }

    /// Whether a patient is not among those the resource is about.
    pub(super) fn is_stranger(&self, patient: &Reference) -> bool {
        let mut known = self.bare.patients.iter();
        patient.type_name() == Some("Patient")
            && !known
                .any(|known| matches!(known, PatientReference::Known(known) if known == patient || known.relative() == patient.relative()))
    }
}

/// A resource as it would be without its parts: what it is, when, by whom and about whom, and its own labels.
fn bare(facts: &ResourceFacts) -> ResourceFacts {
    let labels = || facts.declared.iter().chain(&facts.setting);
    let level = labels().filter_map(|label| label.confidentiality).max();
    ResourceFacts {
        type_name: facts.type_name.clone(),
        id: facts.id.clone(),
        reference: facts.reference.clone(),
        version: facts.version.clone(),
        profiles: facts.profiles.clone(),
        bases: facts.bases.clone(),
        definitions: facts.definitions,
        main_codes: facts.main_codes.clone(),
        all_codes: facts.main_codes.clone(),
        has_uncoded: facts.has_uncoded,
        labels: labels().cloned().collect(),
        declared: facts.declared.clone(),
        setting: facts.setting.clone(),
        confidentiality: level.or(Some(Confidentiality::Normal)),
        dates: facts.dates.clone(),
        is_vaguely_dated: facts.is_vaguely_dated,
        identifiers: facts.identifiers.clone(),
        authors: without_those_of_parts(&facts.authors),
        // What a record of a withheld one's kin belongs to cannot be taken from it; a Bundle's entries are decided one by one.
        references: if facts.type_name == "Bundle" { References::default() } else { facts.references.clone() },
        patients: facts.patients.clone(),
        is_timeless: facts.is_timeless,
        untold: facts.untold,
        ..ResourceFacts::default()
    }
}

/// Those who wrote the whole, with others.
fn with_authors(authors: &Arc<Vec<Author>>, others: &[Author]) -> Arc<Vec<Author>> {
    if others.is_empty() { Arc::clone(authors) } else { Arc::new(authors.iter().chain(others).cloned().collect()) }
}

/// Whoever wrote a part alone is not by whom the rest is.
fn without_those_of_parts(authors: &Arc<Vec<Author>>) -> Arc<Vec<Author>> {
    let is_of_part = |author: &Author| author.share == Share::Part;
    match authors.iter().any(is_of_part) {
        true => Arc::new(authors.iter().filter(|author| !is_of_part(author)).cloned().collect()),
        false => Arc::clone(authors),
    }
}

/// Sensitive material without a level counts as restricted.
pub(super) fn with_level(mut labels: Vec<Concept>) -> Vec<Concept> {
    let highest = labels.iter().filter_map(|label| label.confidentiality).max();
    if labels.iter().any(is_sensitivity) && highest < Some(Confidentiality::Restricted) {
        labels.push(level("R"));
    }
    labels
}
