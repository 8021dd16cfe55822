//! What one rule of a consent states: the criteria of `Consent.provision`, read leniently and remembered where they could not be read.

use super::authored::AllData;
use super::code::{Code, Identifier, Reference, codings, items};
use super::codes::Codes;
use super::directory::{Directory, Target, contained_of};
use super::period::Period;
use super::request::Action;
use super::vocabulary::{Concept, PARTICIPATION_TYPE, is_unheard_of};
use crate::fhir::{Node, json};
use compact_str::CompactString;
use std::collections::HashSet;

/// The kinds of criteria, in the order in which they are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Recipient,
    Purpose,
    Action,
    Period,
    Custodian,
    Location,
    Class,
    /// R5 `documentType`, which narrows what `resourceType` names.
    Document,
    Label,
    Code,
    DataPeriod,
    Data,
    /// Whoever the content is by or from.
    Source,
    /// Something the gateway does not understand.
    Other,
}

pub(super) const KINDS: usize = 14;

impl Kind {
    /// Those that tell resources apart.
    pub(super) const SELECTING: [Kind; 7] =
        [Kind::Class, Kind::Document, Kind::Label, Kind::Code, Kind::DataPeriod, Kind::Data, Kind::Source];

    pub(super) const ALL: [Kind; KINDS] = [
        Kind::Recipient,
        Kind::Purpose,
        Kind::Action,
        Kind::Period,
        Kind::Custodian,
        Kind::Location,
        Kind::Class,
        Kind::Document,
        Kind::Label,
        Kind::Code,
        Kind::DataPeriod,
        Kind::Data,
        Kind::Source,
        Kind::Other,
    ];

    fn bit(self) -> u16 {
        1 << self as u16
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// The word used in traces.
    pub(super) fn label(self) -> &'static str {
        match self {
            Kind::Recipient => "actor",
            Kind::Purpose => "purpose",
            Kind::Action => "action",
            Kind::Period => "period",
            Kind::Custodian => "custodian",
            Kind::Location => "location",
            Kind::Class => "class",
            Kind::Document => "document-type",
            Kind::Label => "security-label",
            Kind::Code => "code",
            Kind::DataPeriod => "data-period",
            Kind::Data => "data",
            Kind::Source => "source",
            Kind::Other => "not-understood",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) fn add(&mut self, kind: Kind) {
        self.0 |= kind.bit();
    }

    fn remove(&mut self, kind: Kind) {
        self.0 &= !kind.bit();
    }

    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds in the set, in the order in which they are tested.
    pub(super) fn iter(self) -> impl Iterator<Item = Kind> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let kind = Kind::ALL.get(left.trailing_zeros() as usize).copied();
            left &= left.wrapping_sub(1);
            kind
        })
    }
}

/// How a record is meant by `provision.data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Instance,
    /// The instance and what belongs with it, read in both directions: PCF means what refers to it, the base specification what it refers to.
    Related,
    Dependents,
    AuthoredBy,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Data {
    pub meaning: Meaning,
    /// The literal reference, if there is one.
    pub reference: Option<Reference>,
    /// By what else the instance is known: its identifiers, each with the type that is told.
    pub bearing: Vec<(CompactString, Identifier)>,
    /// What the instance itself refers to, as far as it is known.
    pub points_to: Vec<Reference>,
    /// The one version that is meant.
    pub version: Option<CompactString>,
    /// Everybody the reference stands for, where it names an author.
    pub author: Target,
    /// Whether the record is here that is named literally.
    pub is_here: bool,
}

impl Data {
    /// Reads what an element's `reference` names.
    ///
    /// What belongs with a record is found by its literal reference alone: where an identifier beside it may be another's, nobody can tell what does.
    fn read(meaning: Meaning, node: &Node, contained: &[Node], directory: &Directory) -> Option<Data> {
        let named = node.get("reference")?;
        let reference = Reference::from_node(named);
        let points_to = reference.iter().flat_map(|reference| directory.points_to(reference)).cloned().collect();
        let version = reference.is_some().then(|| named.text("reference").and_then(Reference::version_in)).flatten();
        let is_by = meaning == Meaning::AuthoredBy;
        let author = if is_by { directory.author(named, contained) } else { Target::default() };
        let is_here = reference.as_ref().is_some_and(|reference| directory.has(reference));
        let bearing = if meaning == Meaning::Instance { identifiers_in(named, contained) } else { Vec::new() };
        let is_read = reference.is_some() || !bearing.is_empty() || (is_by && author.is_told());
        is_read.then_some(Data { meaning, reference, bearing, points_to, version, author, is_here })
    }

    /// Whether it is one record that the reference and the identifier beside it name, as far as what belongs with it is asked for.
    fn names_one(&self, node: &Node, directory: &Directory) -> bool {
        let beside = || node.get("reference").and_then(|named| named.get("identifier")).and_then(Identifier::from_node);
        match (self.meaning, &self.reference) {
            (Meaning::Related | Meaning::Dependents, Some(reference)) => {
                beside().is_none_or(|identifier| directory.identifiers_of(reference).contains(&identifier))
            }
            _ => true,
        }
    }
}

/// Whether it is read what an entry of `data` names.
pub(super) fn is_read(data: &Node, contained: &[Node]) -> bool {
    meaning_of(data).is_some_and(|meaning| Data::read(meaning, data, contained, &Directory::default()).is_some())
}

fn meaning_of(data: &Node) -> Option<Meaning> {
    match data.text("meaning") {
        Some("instance") => Some(Meaning::Instance),
        Some("related") => Some(Meaning::Related),
        Some("dependents") => Some(Meaning::Dependents),
        Some("authoredby") => Some(Meaning::AuthoredBy),
        _ => None,
    }
}

/// By which identifiers a reference means a record, with its type as far as it is told: its own, and those of what is contained.
fn identifiers_in(named: &Node, contained: &[Node]) -> Vec<(CompactString, Identifier)> {
    let inner = contained_of(named, contained).into_iter().flat_map(|inner| {
        let type_name = inner.resource_type().unwrap_or_default();
        let own = items(inner, "identifier").iter().filter_map(Identifier::from_node);
        own.map(move |identifier| (CompactString::from(type_name), identifier))
    });
    let type_name = Reference::logical(named).and_then(|logical| logical.sought().map(|(type_name, _)| type_name.into()));
    let own = named.get("identifier").and_then(Identifier::from_node);
    own.map(|identifier| (type_name.unwrap_or_default(), identifier)).into_iter().chain(inner).collect()
}

/// The criteria of one rule. Within a kind they are alternatives; across kinds all must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Criteria {
    pub stated: Kinds,
    /// Kinds of which some entry could not be read: a permit does without it, a denial may have meant anything.
    pub unreadable: Kinds,
    pub recipients: Vec<Target>,
    pub custodians: Vec<Target>,
    pub actions: Vec<Action>,
    pub purposes: Vec<Concept>,
    /// The purposes that the rules above state.
    pub purposes_above: Vec<Concept>,
    pub labels: Vec<Concept>,
    pub classes: Vec<Code>,
    pub documents: Vec<Code>,
    pub codes: Codes,
    pub period: Option<Period>,
    pub data_period: Option<Period>,
    pub data: AllData,
    pub sources: AllData,
    pub locations: Vec<Reference>,
}

/// Roles in the content of a record, and not in the exchange: whoever wrote it, said it or was asked for it.
const SOURCE_ROLES: [(&str, &str); 9] = [
    (PARTICIPATION_TYPE, "AUT"),
    (PARTICIPATION_TYPE, "ENT"),
    (PARTICIPATION_TYPE, "INF"),
    (SIGNER_TYPE, "COAUTH"),
    (SIGNER_TYPE, "PRIMAUTH"),
    (SIGNER_TYPE, "REVIEWER"),
    (SIGNER_TYPE, "SOURCE"),
    (SIGNER_TYPE, "TRANS"),
    (SIGNER_TYPE, "VALID"),
];
const SIGNER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/contractsignertypecodes";

/// A role without a system is taken at its word here, because it makes nobody a recipient.
fn is_source(role: &Code) -> bool {
    SOURCE_ROLES.iter().any(|(system, code)| role.is(system, code) || (role.system.is_empty() && role.code == *code))
}

const LOCATION_EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/consent-location";

impl Criteria {
    /// Reads the criteria of a provision; `contained` are the consent's own resources.
    pub(super) fn from_provision(provision: &Node, contained: &[Node], directory: &Directory) -> Criteria {
        let mut criteria = Criteria::default();
        criteria.read_actors(provision, contained, directory);
        criteria.read_coded(provision);
        criteria.period = criteria.read_period(provision, "period", Kind::Period);
        criteria.data_period = criteria.read_period(provision, "dataPeriod", Kind::DataPeriod);
        criteria.read_data(provision, contained, directory);
        criteria.read_locations(provision);
        criteria.read_empty(provision);
        if provision.get("expression").is_some() {
            criteria.note(Kind::Other, false);
        }
        criteria
    }

    /// Takes what is stated in a part that is modified for what nobody can read: a denial by it may mean anything.
    pub(super) fn doubt(&mut self, is_doubtful: impl Fn(Kind) -> bool) {
        self.stated.iter().filter(|kind| is_doubtful(*kind)).for_each(|kind| self.unreadable.add(kind));
    }

    /// Takes the period out: the root's is the validity of the whole consent and is tested there.
    pub(super) fn forget_period(&mut self) {
        self.period = None;
        self.stated.remove(Kind::Period);
        self.unreadable.remove(Kind::Period);
    }

    /// Whether whoever is meant is named, so that somebody of another name is surely not.
    pub(super) fn names_recipients_only_by_name(&self) -> bool {
        let is_readable = self.stated.has(Kind::Recipient) && !self.unreadable.has(Kind::Recipient);
        is_readable && self.recipients.iter().all(super::recipients::is_named)
    }

    /// How many entries the lists have together.
    pub(super) fn entries(&self) -> usize {
        let actors = self.recipients.len() + self.custodians.len() + self.locations.len() + self.data.len() + self.sources.len();
        let kinds = self.classes.len() + self.documents.len() + self.codes.len();
        actors + kinds + self.actions.len() + self.purposes.len() + self.labels.len()
    }

    /// The types, profiles and kinds of document that are named.
    pub(super) fn kinds_of_content(&self) -> Vec<Code> {
        self.classes.iter().chain(&self.documents).cloned().collect()
    }

    /// Whether both state this kind in the same words.
    pub(super) fn restates(&self, other: &Criteria, kind: Kind) -> bool {
        let same = match kind {
            Kind::Recipient => self.recipients == other.recipients,
            Kind::Custodian => self.custodians == other.custodians,
            Kind::Purpose => self.purposes == other.purposes,
            Kind::Action => self.actions == other.actions,
            Kind::Period => self.period == other.period,
            Kind::Location => self.locations == other.locations,
            Kind::Class => self.classes == other.classes,
            Kind::Document => self.documents == other.documents,
            Kind::Label => self.labels == other.labels,
            Kind::Code => self.codes == other.codes,
            Kind::DataPeriod => self.data_period == other.data_period,
            Kind::Data => self.data == other.data,
            Kind::Source => self.sources == other.sources,
            Kind::Other => false,
        };
        same && self.stated.has(kind) && other.stated.has(kind)
    }

    /// An empty list is no FHIR. It does not say that nothing is stated, which would mean everybody or everything.
    fn read_empty(&mut self, provision: &Node) {
        const LISTS: [(&str, Kind); 9] = [
            ("actor", Kind::Recipient),
            ("action", Kind::Action),
            ("purpose", Kind::Purpose),
            ("securityLabel", Kind::Label),
            ("class", Kind::Class),
            ("resourceType", Kind::Class),
            ("documentType", Kind::Document),
            ("code", Kind::Code),
            ("data", Kind::Data),
        ];
        for (name, kind) in LISTS {
            if provision.get(name).and_then(Node::as_list).is_some_and(<[Node]>::is_empty) {
                self.note(kind, false);
            }
        }
    }

    fn note(&mut self, kind: Kind, readable: bool) {
        self.stated.add(kind);
        if !readable {
            self.unreadable.add(kind);
        }
    }

    fn read_actors(&mut self, provision: &Node, contained: &[Node], directory: &Directory) {
        for actor in items(provision, "actor") {
            let role: Vec<Code> = items(actor, "role").iter().flat_map(codings).filter_map(Code::from_coding).collect();
            let is_custody = |role: &&Code| role.is(PARTICIPATION_TYPE, "CST");
            let (sources, custody) = (role.iter().filter(|role| is_source(role)).count(), role.iter().filter(is_custody).count());
            let is_custodian = custody > 0;
            if sources > 0 && sources == role.len() {
                self.read_source(actor, contained, directory);
                continue;
            }
            // Of the content and of the exchange, or giving and receiving, at once: which is meant cannot be told.
            if sources > 0 || (is_custodian && custody < role.len()) {
                self.note(Kind::Other, false);
                continue;
            }
            let mut target = actor.get("reference").map(|reference| directory.target_in(reference, contained)).unwrap_or_default();
            let is_named = target.is_told();
            if !is_named && actor.get("reference").is_none() && !is_custodian {
                target.party.roles = role;
            }
            let readable = is_named || !target.party.roles.is_empty();
            self.note(if is_custodian { Kind::Custodian } else { Kind::Recipient }, readable);
            let named = if is_custodian { &mut self.custodians } else { &mut self.recipients };
            if readable && named.iter().all(|known| known.party != target.party || known.members != target.members) {
                named.push(target);
            }
        }
    }

    fn read_coded(&mut self, provision: &Node) {
        for action in items(provision, "action") {
            let read: Vec<Action> = codings(action).iter().filter_map(Code::from_coding).filter_map(|code| Action::of(&code)).collect();
            self.note(Kind::Action, !read.is_empty());
            self.actions.extend(read);
        }
        let concepts = |node: &Node| codings(node).iter().filter_map(Code::from_coding).map(Concept::new).collect::<Vec<_>>();
        for purpose in items(provision, "purpose") {
            let read = concepts(purpose);
            self.note(Kind::Purpose, !read.is_empty());
            self.purposes.extend(read);
        }
        for label in items(provision, "securityLabel") {
            let read = concepts(label);
            // What nobody has heard of may be meant for any label there is.
            self.note(Kind::Label, !read.is_empty() && !read.iter().any(is_unheard_of));
            self.labels.extend(read);
        }
        for class in ["class", "resourceType"].iter().flat_map(|element| items(provision, element)) {
            let read: Vec<Code> = codings(class).iter().filter_map(Code::from_coding).collect();
            self.note(Kind::Class, !read.is_empty());
            self.classes.extend(read);
        }
        for document in items(provision, "documentType") {
            let read: Vec<Code> = codings(document).iter().filter_map(Code::from_coding).collect();
            self.note(Kind::Document, !read.is_empty());
            self.documents.extend(read);
        }
        for code in items(provision, "code") {
            let read: Vec<Code> = codings(code).iter().filter_map(Code::from_coding).collect();
            self.note(Kind::Code, !read.is_empty());
            self.codes.extend(read);
        }
    }

    fn read_period(&mut self, provision: &Node, name: &str, kind: Kind) -> Option<Period> {
        let period = Period::from_node(provision.get(name)?);
        self.note(kind, period.is_ok());
        period.ok()
    }

    fn read_data(&mut self, provision: &Node, contained: &[Node], directory: &Directory) {
        let mut known = HashSet::new();
        for data in items(provision, "data").iter().filter(|data| known.insert(words_of(data))) {
            let read = meaning_of(data).and_then(|meaning| Data::read(meaning, data, contained, directory));
            let read = read.filter(|read| read.names_one(data, directory));
            self.note(Kind::Data, read.is_some());
            self.data.extend(read);
        }
    }

    /// An actor who has a part in the content, as R4 has it, and not in the exchange: the rule is about what is by them.
    fn read_source(&mut self, actor: &Node, contained: &[Node], directory: &Directory) {
        let read = Data::read(Meaning::AuthoredBy, actor, contained, directory);
        self.note(Kind::Source, read.is_some());
        self.sources.extend(read);
    }

    fn read_locations(&mut self, provision: &Node) {
        for extension in items(provision, "extension").iter().filter(|extension| extension.text("url") == Some(LOCATION_EXTENSION)) {
            let location = extension.get("valueReference").and_then(Reference::from_node);
            self.note(Kind::Location, location.is_some());
            self.locations.extend(location);
        }
    }
}

/// What an entry of `data` says, to tell it from others that say the same.
fn words_of(data: &Node) -> String {
    json::write(data)
}
