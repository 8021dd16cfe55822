//! The compiled form of one patient's consents.

use super::code::Code;
use super::codes::Codes;
use super::criteria::{Criteria, Data, KINDS, Kind, Meaning};
use super::directory::KnownRoles;
use super::facts::ResourceFacts;
use super::period::Period;
use super::policy::Policy;
use super::recipients::Recipients;
use super::references::References;
use super::request::Party;
use super::vocabulary::{ACT_REASON, Concept};
use crate::clock::Instant;
use crate::fhir::temporal::Interval;
use compact_str::CompactString;
use std::collections::HashSet;
use std::sync::Arc;

/// One patient's consents, compiled once and asked many times. Made by [`Rules::compile`].
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) consents: Arc<[Consent]>,
    pub(super) policy: Policy,
    /// Set when there was more than the limits allow: then nothing is permitted.
    pub(super) is_overfull: bool,
    /// Whether they are damaged, so that nobody can say what they are.
    pub(super) is_damaged: bool,
    /// How many different givers there are.
    pub(super) givers: usize,
    pub(super) reach: Arc<Reach>,
    /// The roles that were known when the rules were compiled.
    pub(super) roles: Arc<KnownRoles>,
    /// How many members those have in all whom the rules name.
    pub(super) members: usize,
}

/// What the rules tell resources apart by.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Whether two resources of the patient may be decided differently at all. Where not, what is permitted needs no second look.
    pub is_selective: bool,
    /// Whether two resources that differ in nothing but their labels may be decided differently.
    pub weighs_labels: bool,
    /// Whether a type or a record is named, so that a reference may point at what is withheld.
    pub names_targets: bool,
    /// Whether single records are named.
    pub names_records: bool,
    /// Whether anything is said of what somebody wrote.
    pub names_authors: bool,
    /// The codes that are named.
    pub codes: Codes,
    /// What names types and kinds of documents, which may be a record's code, too.
    pub kinds: HashSet<CompactString>,
    /// Whether an author goes by an identifier, so that it matters by which others go.
    pub names_authors_by_identifier: bool,
    /// Whether a record is meant by identifier.
    pub names_by_identifier: bool,
    /// The single records that are named, and what those point to as far as it is known.
    pub records: References,
    weights: Weights,
}

/// So many rules, most of which are not about whoever asks, cost as much as one comparison of what a record tells.
const RULES_AT_ONCE: usize = 8;

/// How much there is in all rules that is compared with what a resource tells.
#[derive(Debug, Clone, Copy, Default)]
struct Weights {
    rules: usize,
    labels: usize,
    codes: usize,
    data: usize,
    authors: usize,
}

impl Weights {
    fn of(consents: &[Consent]) -> Weights {
        let mut weights = Weights::default();
        for rule in consents.iter().flat_map(|consent| &consent.rules) {
            let data = || rule.own.data.iter().chain(rule.own.sources.iter());
            weights.rules += 1;
            weights.labels += rule.own.labels.len();
            weights.codes += usize::from(!rule.own.codes.is_empty());
            weights.data += data().count();
            weights.authors += rule.own.data.ways_to_tell_authors() + rule.own.sources.ways_to_tell_authors();
        }
        weights
    }
}

impl Reach {
    pub(super) fn of(consents: &[Consent], policy: &Policy) -> Reach {
        let rules = || consents.iter().flat_map(|consent| &consent.rules);
        let states = |kinds: &[Kind]| rules().any(|rule| kinds.iter().any(|kind| rule.own.stated.has(*kind)));
        let data = || rules().flat_map(|rule| rule.own.sources.iter().chain(rule.own.data.iter()));
        let authors = || data().filter(|data| data.meaning == Meaning::AuthoredBy);
        let is_open = policy.may_permit() || policy.glass.is_some();
        Reach {
            is_selective: is_open || states(&Kind::SELECTING),
            weighs_labels: is_open || states(&[Kind::Label]),
            names_targets: states(&[Kind::Class, Kind::Document, Kind::Data]),
            names_records: states(&[Kind::Data]),
            names_authors: authors().next().is_some(),
            codes: rules().flat_map(|rule| &*rule.own.codes).cloned().collect(),
            kinds: rules().flat_map(|rule| rule.own.classes.iter().chain(&rule.own.documents)).map(|code| code.code.clone()).collect(),
            names_authors_by_identifier: authors().any(Data::has_identified_author),
            names_by_identifier: data().any(|data| !data.bearing.is_empty()),
            records: data().flat_map(|data| data.reference.iter().chain(&data.points_to)).cloned().collect(),
            weights: Weights::of(consents),
        }
    }

    /// Whether some rule may mean a code.
    pub(super) fn may_name(&self, code: &Code) -> bool {
        self.kinds.contains(&code.code) || self.codes.have(code) || self.codes.may_mean(code)
    }

    /// How much is compared at most where all rules are asked of what tells this much.
    pub fn cost_of(&self, facts: &ResourceFacts) -> usize {
        let Weights { rules, labels, codes, data, authors } = self.weights;
        let pairs = [(labels, facts.labels.len()), (codes, facts.all_codes.len()), (authors, facts.authors.len())];
        pairs.iter().map(|(stated, told)| stated.saturating_mul(*told)).fold(rules / RULES_AT_ONCE + data, usize::saturating_add)
    }
}

/// What a rule says of what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Polarity {
    Permit,
    Deny,
}

impl Polarity {
    pub(super) fn opposite(self) -> Polarity {
        match self {
            Polarity::Permit => Polarity::Deny,
            Polarity::Deny => Polarity::Permit,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    R4,
    R5,
}

/// How much a consent's answer counts, before its validity in time is looked at. Each but the first carries the code that says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    InForce,
    /// Its permits do not count, its denials do.
    DenialsOnly(&'static str),
    /// Whatever it matches is refused.
    Refuses(&'static str),
    /// It could not be read whole: nothing is released past it.
    Unreadable(&'static str),
    /// It was in force once. It answers nothing, but what it would not have released, an implicit policy does not release either.
    Lapsed(&'static str),
}

/// When a consent as a whole is valid: `provision.period` of the R4 root, `period` in R5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    Open,
    Bounded(Period),
    Unreadable,
}

/// Which consent, in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governing {
    /// The logical id, or the first business identifier where there is none.
    pub consent: CompactString,
    pub version: Option<CompactString>,
}

#[derive(Debug, Clone)]
pub(super) struct Consent {
    pub governing: Arc<Governing>,
    pub edition: Edition,
    pub standing: Standing,
    pub window: Window,
    /// What holds where no rule matches more closely: the type of the R4 root or else the policy rule; the R5 decision.
    pub base: Option<Polarity>,
    pub root_type: Option<Polarity>,
    pub policy_rule: Option<Polarity>,
    /// `scope` and `category`.
    pub kinds: Vec<Code>,
    pub is_research: bool,
    /// Whether it says by its category or policy that it is for emergencies alone.
    pub is_for_emergencies: bool,
    /// Whether the consent declares a profile that fixes how it is to be read.
    pub reading_is_declared: bool,
    pub controllers: Vec<Party>,
    /// The number of whoever gave it, the same for all consents they gave; `None` when that cannot be told.
    pub giver: Option<usize>,
    pub dated: Option<Interval>,
    /// Before this it cannot have been given.
    pub not_before: Option<Instant>,
    /// When the patient came of age, for a consent that somebody else gave before.
    pub outgrown: Option<Instant>,
    /// The root first, then depth first. Never empty.
    pub rules: Vec<Rule>,
    pub shape: Shape,
    pub recipients: Recipients,
}

/// What can be told of a rule tree before anything is asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    pub depth: usize,
    pub has_placeholder: bool,
    /// Whether there are rules below the root and all of them state purposes and nothing else.
    pub lists_only_purposes: bool,
    /// Whether some rule of the first level states purposes and nothing else, treatment among them.
    pub lists_treatment: bool,
    /// Whether the root, which leaves it to the policy rule what holds, holds permits, each of them narrower than itself: under a policy rule that
    /// permits they add nothing. Denials beside them do not matter, so that one more never releases more.
    pub lists_permits: bool,
    /// Whether some rule of the first level states a period and nothing else.
    pub has_bare_period: bool,
    /// Rules all of whose children repeat some criterion of theirs, in order.
    pub refined: Vec<usize>,
}

impl Shape {
    pub(super) fn of(rules: &[Rule]) -> Shape {
        let is_refined = |index: usize| {
            let mut children = rules.iter().filter(|rule| rule.parent == Some(index));
            children.all(|child| child.restates_parent)
        };
        let inner = rules.iter().enumerate().skip(1).filter(|(_, rule)| rule.has_children);
        Shape {
            depth: rules.iter().map(|rule| rule.depth).max().unwrap_or(0),
            has_placeholder: rules.iter().any(Rule::is_placeholder),
            lists_only_purposes: rules.len() > 1 && rules.iter().skip(1).all(|rule| rule.depth == 1 && rule.states_only(Kind::Purpose)),
            lists_treatment: lists_treatment(rules),
            lists_permits: lists_permits(rules),
            has_bare_period: rules.iter().any(Rule::is_bare_period),
            refined: inner.map(|(index, _)| index).filter(|index| is_refined(*index)).collect(),
        }
    }
}

fn lists_treatment(rules: &[Rule]) -> bool {
    let treatment = Concept::new(Code::new(ACT_REASON, "TREAT"));
    let mut listing = rules.iter().filter(|rule| rule.depth == 1 && rule.states_only(Kind::Purpose));
    listing.any(|rule| rule.own.purposes.contains(&treatment))
}

fn lists_permits(rules: &[Rule]) -> bool {
    let Some((root, nested)) = rules.split_first() else { return false };
    let narrows = |rule: &Rule| {
        let says_again = |kind: &Kind| rule.own.stated.has(*kind) && root.own.stated.has(*kind);
        !rule.refuses && !rule.own.stated.is_empty() && !Kind::ALL.iter().any(says_again)
    };
    let mut permits = nested.iter().filter(|rule| rule.depth == 1 && rule.declared == Some(Polarity::Permit)).peekable();
    root.declared.is_none() && permits.peek().is_some() && permits.all(narrows)
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub parent: Option<usize>,
    pub depth: usize,
    /// The ancestor directly below the root, or the rule itself there; `None` for the root.
    pub branch: Option<usize>,
    /// `provision.type`.
    pub declared: Option<Polarity>,
    pub own: Criteria,
    /// Per kind, the nearest rule up the chain that states it.
    pub source: [Option<usize>; KINDS],
    /// Whether it, or a rule above it, carries a modifier that is not understood: then it refuses what it matches.
    pub refuses: bool,
    pub has_children: bool,
    /// Whether it repeats some criterion of its parent word for word.
    pub restates_parent: bool,
    pub path: Arc<str>,
}

impl Rule {
    /// A nested rule that states nothing of its own.
    pub(super) fn is_placeholder(&self) -> bool {
        self.parent.is_some() && self.own.stated.is_empty()
    }

    /// A rule of the first level that states a period and nothing else.
    pub(super) fn is_bare_period(&self) -> bool {
        self.depth == 1 && !self.has_children && self.states_only(Kind::Period)
    }

    pub(super) fn states_only(&self, kind: Kind) -> bool {
        Kind::ALL.iter().all(|other| self.own.stated.has(*other) == (*other == kind))
    }
}

impl Rules {
    /// Whether anything is said of what somebody wrote.
    pub fn are_of_authors(&self) -> bool {
        self.reach.names_authors
    }

    /// Whether anything is said of what somebody wrote who goes by an identifier.
    pub fn are_of_identified_authors(&self) -> bool {
        self.reach.names_authors_by_identifier
    }

    /// How much is to be kept of them: rules, what these name, and who is behind that.
    pub fn weight(&self) -> usize {
        let of_rule = |rule: &Rule| 1 + rule.own.entries();
        let of_consent = |consent: &Consent| consent.recipients.weight() + consent.rules.iter().map(of_rule).sum::<usize>();
        self.members + self.consents.iter().map(of_consent).sum::<usize>()
    }

    /// The rules of somebody with more consents than can be looked at: nothing is permitted.
    pub fn beyond_reading(policy: Policy) -> Rules {
        Rules { is_overfull: true, ..Rules::nothing(policy) }
    }

    /// The rules of somebody whose consents are damaged: nothing is permitted.
    pub fn damaged(policy: Policy) -> Rules {
        Rules { is_damaged: true, ..Rules::nothing(policy) }
    }

    fn nothing(policy: Policy) -> Rules {
        let (reach, roles) = (Arc::default(), Arc::default());
        Rules { consents: Arc::default(), policy, is_overfull: false, is_damaged: false, givers: 0, reach, roles, members: 0 }
    }

    /// Whether there is no consent that could say anything.
    pub fn is_empty(&self) -> bool {
        self.consents.is_empty() && !self.is_overfull && !self.is_damaged
    }
}
