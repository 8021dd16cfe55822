//! Whether the criteria of one rule hold for a request and a resource.
//!
//! The answer is twofold, because doubt goes the safe way: what is unknown satisfies no permit, and is taken to be what a denial meant.

use super::authored::{AllData, test_authors};
use super::classes::{test_classes, test_documents};
use super::code::{Identifier, Reference};
use super::codes::Codes;
use super::criteria::{Criteria, Data, KINDS, Kind, Meaning};
use super::directory::{KnownRoles, Member, Target};
use super::facts::ResourceFacts;
use super::naming::{is_same, is_untold_from, may_be_among};
use super::period::Period;
use super::references::References;
use super::request::{Party, Request};
use super::rules::{Consent, Polarity, Rules};
use super::vocabulary::{ACT_REASON, Concept, Confidentiality, are_akin, is_above, is_by_information, names_sensitivity};
use compact_str::CompactString;

/// How far a criterion holds. A rule holds as far as the weakest of its criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    No,
    /// It depends on the resource, and there is none yet.
    Deferred,
    /// It cannot be told.
    Unknown,
    Yes,
}

impl From<bool> for Match {
    fn from(holds: bool) -> Match {
        if holds { Match::Yes } else { Match::No }
    }
}

/// How far a criterion holds if a permit states it, and if a denial does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub permit: Match,
    pub deny: Match,
}

/// A criterion that is not stated holds for everything.
pub(super) const UNSTATED: Held = Held { permit: Match::Yes, deny: Match::Yes };

impl Held {
    pub(super) fn both(holds: bool) -> Held {
        Held { permit: holds.into(), deny: holds.into() }
    }

    /// There is no resource to test: the permit is conditional, the denial becomes an obligation.
    pub(super) const DEFERRED: Held = Held { permit: Match::Yes, deny: Match::Deferred };

    /// Nothing is known: no permit, and a denial may have meant it.
    pub(super) const UNKNOWN: Held = Held { permit: Match::No, deny: Match::Unknown };

    pub(super) fn of(self, polarity: Polarity) -> Match {
        match polarity {
            Polarity::Permit => self.permit,
            Polarity::Deny => self.deny,
        }
    }

    /// As far as it holds, but never so that it can be told.
    fn in_doubt(self) -> Held {
        Held { permit: self.permit.min(Match::No), deny: self.deny.min(Match::Unknown) }
    }

    pub(super) fn or(self, other: Held) -> Held {
        Held { permit: self.permit.max(other.permit), deny: self.deny.max(other.deny) }
    }
}

/// What the criteria are tested against.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub request: &'a Request,
    pub facts: Option<&'a ResourceFacts>,
    /// Who controls the data by the consent's own word, for requests that do not say who holds it.
    pub controllers: &'a [Party],
    pub roles: &'a KnownRoles,
    /// Whether somebody asks in a role that is not known, and so may be anybody.
    pub is_in_unknown_role: bool,
}

impl<'a> Asked<'a> {
    /// What is asked of one of the rules' consents.
    pub(super) fn of(rules: &'a Rules, consent: &'a Consent, request: &'a Request, facts: Option<&'a ResourceFacts>) -> Asked<'a> {
        let roles = &*rules.roles;
        let is_in_unknown_role = request.actors.iter().any(|actor| roles.are_unknown_of(actor));
        Asked { request, facts, controllers: &consent.controllers, roles, is_in_unknown_role }
    }
}

/// The criteria of one rule, tested.
#[derive(Clone, Copy)]
pub(super) struct Tests {
    pub held: [Held; KINDS],
    /// Whether one of its own criteria holds in no sense, so that no reading can make the rule speak.
    pub is_ruled_out: bool,
}

/// Tests every stated criterion of a rule; of a rule `without_children`, whose criteria no other inherits, only up to the first that fails.
pub(super) fn test(criteria: &Criteria, without_children: bool, asked: &Asked<'_>) -> Tests {
    let mut tests = Tests { held: [UNSTATED; KINDS], is_ruled_out: false };
    for kind in criteria.stated.iter() {
        let mut held = test_kind(kind, criteria, asked);
        if criteria.unreadable.has(kind) || asked.facts.is_some_and(|facts| kind != Kind::Data && facts.untold.has(kind)) {
            held.deny = held.deny.max(Match::Unknown);
        }
        tests.is_ruled_out |= held == Held::both(false);
        if let Some(slot) = tests.held.get_mut(kind.index()) {
            *slot = held;
        }
        if tests.is_ruled_out && without_children {
            break;
        }
    }
    tests
}

fn test_kind(kind: Kind, criteria: &Criteria, asked: &Asked<'_>) -> Held {
    let request = asked.request;
    match kind {
        Kind::Recipient => any(&criteria.recipients, |target| test_recipient(target, asked)),
        Kind::Custodian => any(&criteria.custodians, |target| test_custodian(target, criteria.stated.has(Kind::Recipient), asked)),
        Kind::Purpose => test_purposes(criteria, &request.purposes),
        Kind::Action => test_action(criteria, request),
        Kind::Period => criteria.period.map_or(Held::UNKNOWN, |period| Held {
            permit: period.contains(request.instant).into(),
            deny: period.may_contain(request.instant).into(),
        }),
        Kind::Location => test_locations(&criteria.locations, &request.locations),
        Kind::Class => or_in_doubt(test_classes(&criteria.classes, asked), || test_documents(&criteria.documents, asked)),
        Kind::Document => or_in_doubt(test_documents(&criteria.documents, asked), || test_classes(&criteria.classes, asked)),
        Kind::Label => with_resource(asked, |facts| below_mark(&criteria.labels, facts, test_labels(&criteria.labels, facts))),
        Kind::Code => with_resource(asked, |facts| test_codes(&criteria.codes, facts)),
        Kind::DataPeriod => with_resource(asked, |facts| test_data_period(criteria, facts)),
        Kind::Data => with_resource(asked, |facts| test_all_data(&criteria.data, facts, asked.roles)),
        Kind::Source => with_resource(asked, |facts| test_all_data(&criteria.sources, facts, asked.roles)),
        Kind::Other => Held::UNKNOWN,
    }
}

/// R5 states kinds of documents and types of resources apart, which R4 states as alternatives: a denial that states both may mean either.
fn or_in_doubt(held: Held, other: impl Fn() -> Held) -> Held {
    if held.deny >= Match::Unknown { held } else { Held { deny: held.deny.max(other().deny.min(Match::Unknown)), ..held } }
}

pub(super) fn any<T>(alternatives: &[T], test: impl Fn(&T) -> Held) -> Held {
    alternatives.iter().fold(Held::both(false), |held, alternative| held.or(test(alternative)))
}

fn with_resource(asked: &Asked<'_>, test: impl Fn(&ResourceFacts) -> Held) -> Held {
    asked.facts.map_or(Held::DEFERRED, test)
}

fn test_recipient(target: &Target, asked: &Asked<'_>) -> Held {
    let held = test_target(target, &asked.request.actors, asked.request);
    if asked.is_in_unknown_role { held.or(Held::UNKNOWN) } else { held }
}

fn test_target(target: &Target, parties: &[Party], request: &Request) -> Held {
    let mut held = Held::both(parties.iter().any(|party| is_same(&target.party, party)));
    if held.permit == Match::Yes {
        return held;
    }
    for member in target.members.iter().filter(|member| parties.iter().any(|party| is_same(&member.party, party))) {
        let permits = member.may_permit && member.period.is_none_or(|period| period.contains(request.instant));
        let denies = member.period.is_none_or(|period| period.may_contain(request.instant));
        held = held.or(Held { permit: permits.into(), deny: denies.into() });
    }
    let is_current = |member: &Member| member.period.is_none_or(|period| period.may_contain(request.instant));
    let lists_roles = !target.party.roles.is_empty();
    let is_untold = is_untold_from(&target.party, parties)
        || target.members.iter().any(|member| is_current(member) && is_untold_from(&member.party, parties));
    let is_unknown = target.is_open
        || is_untold
        || !parties.iter().any(Party::is_identified)
        || parties.iter().any(|party| may_be_among(target, party, is_current) || (lists_roles && party.roles.is_empty()));
    if is_unknown { held.or(Held::UNKNOWN) } else { held }
}

/// Who holds the data, as the request says, or else as the consent itself says of its controller. On the latter alone no permit rests that
/// names no recipient: it would open everything to everybody.
fn test_custodian(target: &Target, names_recipient: bool, asked: &Asked<'_>) -> Held {
    match &asked.request.custodian {
        Some(custodian) => test_target(target, std::slice::from_ref(custodian), asked.request),
        None if asked.controllers.iter().any(|controller| is_same(&target.party, controller)) => {
            Held { permit: if names_recipient { Match::Yes } else { Match::Unknown }, deny: Match::Yes }
        }
        None => Held::UNKNOWN,
    }
}

fn test_purposes(criteria: &Criteria, declared: &[Concept]) -> Held {
    let stated = &criteria.purposes;
    if declared.iter().any(|purpose| stated.iter().any(|rule| rule.covers(purpose))) {
        return Held::both(true);
    }
    let lacks_system = |concept: &Concept| !concept.code.tells_system();
    let is_doubtful = |purpose: &Concept| {
        !purpose.is_known()
            || stated.iter().any(|rule| rule.code.code == purpose.code.code && (lacks_system(rule) || lacks_system(purpose)))
    };
    // What HL7's vocabulary does not have may be meant for anything in it.
    let is_unknown = stated.iter().any(|rule| rule.code.system == ACT_REASON && !rule.is_known());
    match declared.is_empty() || declared.iter().any(is_doubtful) {
        true => Held::UNKNOWN,
        false => {
            let is_in_doubt = is_unknown || declared.iter().any(|purpose| may_be_for_less(criteria, purpose));
            Held { permit: Match::No, deny: if is_in_doubt { Match::Unknown } else { Match::No } }
        }
    }
}

/// Whether somebody who asks for a purpose may do so for a narrower one that is stated: nobody need say what is denied to them. Not where what the rule is
/// an exception from names the very purpose, and tells the two apart; and nobody breaks the glass who does not say so.
fn may_be_for_less(criteria: &Criteria, asked: &Concept) -> bool {
    let is_narrower = |stated: &&Concept| asked.covers(stated) && !stated.code.is(ACT_REASON, BREAK_THE_GLASS);
    criteria.purposes.iter().any(|stated| is_narrower(&stated)) && !criteria.purposes_above.contains(asked)
}

const BREAK_THE_GLASS: &str = "BTG";

fn test_action(criteria: &Criteria, request: &Request) -> Held {
    if criteria.actions.contains(&request.action) {
        return Held::both(true);
    }
    let is_related = request.action.is_release() && criteria.actions.iter().any(|action| action.is_release());
    if is_related { Held::UNKNOWN } else { Held::both(false) }
}

fn test_locations(stated: &[Reference], asking: &[Reference]) -> Held {
    if asking.is_empty() {
        return Held::UNKNOWN;
    }
    let is_there = asking.iter().any(|location| stated.contains(location));
    let may_be = asking.iter().any(|location| stated.iter().any(|meant| meant.may_be(location)));
    Held {
        permit: is_there.into(),
        deny: if is_there {
            Match::Yes
        } else if may_be {
            Match::Unknown
        } else {
            Match::No
        },
    }
}

/// Of the fields of a permit's label any will do, but where a level is among them nothing above it is permitted, whatever else it carries: it is a high-water
/// mark.
fn below_mark(stated: &[Concept], facts: &ResourceFacts, held: Held) -> Held {
    let level = |label: &Concept| label.confidentiality.or_else(|| Confidentiality::meant_by(&label.code));
    let mark = stated.iter().filter_map(level).max();
    let is_below = mark.is_none_or(|mark| facts.confidentiality.unwrap_or(Confidentiality::Restricted) <= mark);
    if is_below { held } else { Held { permit: held.permit.min(Match::No), ..held } }
}

/// A permit's level of confidentiality covers all below it; a denial's is met exactly, and may have meant what lies above it. A resource without
/// a level counts as restricted.
fn test_labels(stated: &[Concept], facts: &ResourceFacts) -> Held {
    if stated.len().saturating_mul(facts.labels.len()) > MAX_COMPARED {
        return Held::UNKNOWN;
    }
    any(stated, |label| {
        let carries = facts.labels.iter().any(|own| label.covers(own));
        match (label.confidentiality, facts.confidentiality) {
            (Some(_), None) => Held {
                permit: (label.confidentiality >= Some(Confidentiality::Restricted)).into(),
                deny: if label.confidentiality <= Some(Confidentiality::Restricted) { Match::Unknown } else { Match::No },
            },
            (Some(stated), Some(level)) => Held {
                permit: (level <= stated).into(),
                deny: match carries {
                    true => Match::Yes,
                    false if level >= stated => Match::Unknown,
                    false => Match::No,
                },
            },
            (None, _) => {
                // What cannot be read, and nobody vouches for, may be what the denial means.
                let is_unlabelled = || facts.is_unreadable && facts.declared.iter().all(|own| own.confidentiality.is_none());
                let may_be_level = Confidentiality::meant_by(&label.code)
                    .is_some_and(|meant| facts.confidentiality.unwrap_or(Confidentiality::Restricted) >= meant);
                let is_doubtful = facts.has_unread_label || may_be_level || (is_unlabelled() && names_sensitivity(label));
                let is_of_kind = facts.labels.iter().any(|own| is_above(label, own) || is_by_information(label, own));
                // A label that says less exactly what the resource tells may stand for what the denial means.
                let may_carry = facts.labels.iter().any(|own| own.covers(label) || are_akin(own, label) || label.code.may_be(&own.code));
                let deny = if carries || is_of_kind || carries_bare(label, facts) {
                    Match::Yes
                } else if is_doubtful || may_carry {
                    Match::Unknown
                } else {
                    Match::No
                };
                Held { permit: (carries && !label.code.system.is_empty()).into(), deny }
            }
        }
    })
}

/// Whether the resource carries the label's code where one of the two lacks its system.
fn carries_bare(label: &Concept, facts: &ResourceFacts) -> bool {
    let bare = |own: &Concept| !own.code.tells_system() || !label.code.tells_system();
    facts.labels.iter().any(|own| own.code.code == label.code.code && bare(own))
}

/// How many pairs of labels are compared for one rule. What more would find is not known.
const MAX_COMPARED: usize = 200_000;

fn test_codes(stated: &Codes, facts: &ResourceFacts) -> Held {
    let permits = facts.main_codes.iter().any(|own| !own.system.is_empty() && stated.have(own));
    let denies = facts.all_codes.iter().any(|own| stated.have(own));
    let is_doubtful = || facts.has_uncoded || facts.all_codes.iter().any(|own| stated.may_mean(own));
    Held {
        permit: permits.into(),
        deny: if denies {
            Match::Yes
        } else if is_doubtful() {
            Match::Unknown
        } else {
            Match::No
        },
    }
}

/// A permit needs all of the data's dates inside; a denial reaches data any of whose dates may be.
fn test_data_period(criteria: &Criteria, facts: &ResourceFacts) -> Held {
    let Some(period) = criteria.data_period else { return Held::UNKNOWN };
    if facts.dates.is_empty() {
        return if facts.is_timeless { Held::both(false) } else { Held::UNKNOWN };
    }
    let held = Held {
        permit: facts.dates.iter().all(|date| period.encloses(date)).into(),
        deny: facts.dates.iter().map(|date| reaches(&period, date)).max().unwrap_or(Match::No),
    };
    if facts.is_vaguely_dated { Held { permit: Match::No, deny: held.deny.max(Match::Unknown) } } else { held }
}

/// How far a denial of a period reaches what is dated so.
fn reaches(period: &Period, date: &Period) -> Match {
    match period.overlaps(date) {
        true => Match::Yes,
        false if period.may_overlap(date) => Match::Unknown,
        false => Match::No,
    }
}

fn test_all_data(stated: &AllData, facts: &ResourceFacts, roles: &KnownRoles) -> Held {
    let untold = if facts.untold.has(Kind::Data) { Held::UNKNOWN } else { Held::both(false) };
    let of_records = stated.iter().filter(|data| data.meaning != Meaning::AuthoredBy);
    let held = of_records.fold(Held::both(false), |held, data| held.or(test_record(data, facts)).or(untold));
    if stated.name_authors() { held.or(test_authors(stated, facts, roles)) } else { held }
}

fn test_record(data: &Data, facts: &ResourceFacts) -> Held {
    match data.meaning {
        Meaning::Instance | Meaning::AuthoredBy => test_instance(data, facts),
        Meaning::Dependents => test_instance(data, facts).or(facts.references.tested(data.reference.as_ref())),
        Meaning::Related => {
            let inward = test_instance(data, facts).or(facts.references.tested(data.reference.as_ref()));
            let is_pointed_at = facts.reference.as_ref().is_some_and(|own| data.points_to.contains(own));
            inward.or(Held { permit: Match::No, deny: is_pointed_at.into() })
        }
    }
}

/// Whether the resource is the one that is named, in the version that is named. Another version may tell the same.
fn test_instance(data: &Data, facts: &ResourceFacts) -> Held {
    let held = match &facts.reference {
        // Told by some attributes alone, it may itself be what is given as its reference.
        None if !facts.untold.is_empty() => facts.references.tested(data.reference.as_ref()).in_doubt(),
        own => test_literal(data, own.as_slice()),
    };
    let borne = any(&data.bearing, |meant| test_bearer(meant, facts));
    // Where a reference names one record, no other is permitted by the number beside it.
    let held = held.or(if data.reference.is_some() { Held { permit: Match::No, ..borne } } else { borne });
    if data.version.is_none() || data.version == facts.version { held } else { held.in_doubt() }
}

/// Whether the literal reference of what is meant is among these.
pub(super) fn test_literal(data: &Data, among: &[Reference]) -> Held {
    data.reference.as_ref().map_or(Held::both(false), |meant| test_references(meant, among))
}

/// Whether the resource bears the identifier by which one is meant, or is itself known by that alone. By one without a system nothing is permitted.
fn test_bearer((type_name, meant): &(CompactString, Identifier), facts: &ResourceFacts) -> Held {
    let is_of_type = |name: &str| type_name.is_empty() || name.is_empty() || type_name == name;
    let token = Reference::by_identifier("", meant);
    let is_named = |own: &Reference| own.sought().is_some_and(|(name, own)| is_of_type(name) && token.sought() == Some(("", own)));
    let borne = || facts.identifiers.iter().filter(|_| is_of_type(&facts.type_name));
    match borne().any(|own| own == meant) || facts.reference.as_ref().is_some_and(is_named) {
        true => Held { permit: meant.has_system().into(), deny: Match::Yes },
        false if borne().any(|own| own.may_be(meant)) => Held::UNKNOWN,
        false => Held::both(false),
    }
}

impl References {
    /// Whether what is meant is among them.
    fn tested(&self, meant: Option<&Reference>) -> Held {
        let Some(meant) = meant else { return Held::both(false) };
        if self.has(meant) {
            return Held::both(true);
        }
        if self.may_have(meant) { Held::UNKNOWN } else { Held::both(false) }
    }
}

fn test_references(meant: &Reference, among: &[Reference]) -> Held {
    if among.contains(meant) {
        return Held::both(true);
    }
    if among.iter().any(|reference| meant.may_be(reference)) { Held::UNKNOWN } else { Held::both(false) }
}
