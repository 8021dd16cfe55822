//! The decision: every consent answers, the answers are combined, and the way there is kept.

use super::code::Code;
use super::criteria::Kind;
use super::facts::ResourceFacts;
use super::matching::{Asked, Match};
use super::patients::PatientReference;
use super::policy::ImplicitPolicy;
use super::readings::{Answer, Tested};
use super::request::{Action, Party, Request};
use super::rules::{Consent, Polarity, Rules};
use super::screen::Screen;
use super::verdict::{Verdict, verdict};
use super::vocabulary::{ACT_REASON, Concept};
use std::sync::Arc;

pub use super::rules::Governing;

/// The reason of what is permitted without a part that is not.
pub(super) const IN_PART: &str = "permitted-in-part";
/// How many steps a trace keeps. A longer one says so in its last step.
const STEPS_LIMIT: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Permit,
    Deny,
}

/// What goes with a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obligation {
    /// The request may be made; what falls under this rule will be withheld. An empty list leaves that criterion open.
    Withhold { rule: Arc<str>, labels: Vec<Code>, classes: Vec<Code>, codes: Vec<Code> },
    /// The request may be made; nothing but what falls under this rule will be released. All lists empty where it says so by other criteria.
    ReleaseOnly { rule: Arc<str>, labels: Vec<Code>, classes: Vec<Code>, codes: Vec<Code> },
    /// The statement of 42 CFR 2.32 must accompany the disclosure.
    NoticePart2,
}

/// What one rule contributed, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The consent it is in.
    pub consent: Arc<Governing>,
    /// Where in it: `provision.provision[0]`.
    pub rule: Arc<str>,
    pub(super) matched: Match,
    pub(super) hindrance: Option<Kind>,
}

impl Step {
    /// `matched`, or `unknown`, `deferred` or `differs` and the criterion: `differs:purpose`.
    pub fn code(&self) -> String {
        let what = match self.matched {
            Match::Yes => "matched",
            Match::Unknown => "unknown",
            Match::Deferred => "deferred",
            Match::No => "differs",
        };
        self.hindrance.map_or_else(|| what.to_owned(), |kind| format!("{what}:{}", kind.label()))
    }
}

/// The answer for one request and, unless it was about the request alone, one resource as a whole. Only this room makes one.
#[derive(Debug, Clone)]
pub struct Decision {
    outcome: Outcome,
    is_ambiguous: bool,
    reason: &'static str,
    dissent: Option<&'static str>,
    governing: Option<Arc<Governing>>,
    steps: Vec<Step>,
    obligations: Vec<Obligation>,
    pub(super) subject: Option<Subject>,
    /// By what the parts of the resource are decided; `None` when they are no different from the whole.
    pub(super) screen: Option<Box<Screen>>,
}

/// The resource a decision is about, and how many of its patients have been heard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subject {
    pub type_name: compact_str::CompactString,
    pub id: Option<compact_str::CompactString>,
    pub version: Option<compact_str::CompactString>,
    pub patients: usize,
    pub heard: usize,
}

impl Decision {
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub fn is_permit(&self) -> bool {
        self.outcome == Outcome::Permit
    }

    /// Whether the patient's words can be read in more than one way, or something they turn on is not known.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// The code of the reason, for audit and metrics.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The name of the reading that differs, when one does.
    pub fn dissent(&self) -> Option<&'static str> {
        self.dissent
    }

    /// The consent that decided; `None` when none did.
    pub fn governing(&self) -> Option<&Governing> {
        self.governing.as_deref()
    }

    /// Rule by rule, what matched and what did not. For the patient, a delegate or an auditor, never for the recipient.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn obligations(&self) -> &[Obligation] {
        &self.obligations
    }

    /// The decision in a sentence, for people who may see it. It names no data.
    pub fn sentence(&self) -> String {
        let consent = self.governing.as_ref().map(|governing| format!(" (consent {})", governing.consent)).unwrap_or_default();
        let doubt = match (self.is_ambiguous, self.dissent) {
            (true, Some(_)) => " The consent can be read in more than one way, and one of them would not share.",
            (true, None) => " What the consent turns on is not known of this data or this request.",
            _ => "",
        };
        format!("{}{consent}.{doubt}", sentence_of(self.reason))
    }

    /// The decisions of several patients on one resource as one: it is released only if each of them permits.
    ///
    /// `None` without any, or when they are not about the same resource.
    pub fn all(decisions: Vec<Decision>) -> Option<Decision> {
        let same = |a: &Decision, b: &Decision| match (&a.subject, &b.subject) {
            (Some(a), Some(b)) => (&a.type_name, &a.id, &a.version, a.patients) == (&b.type_name, &b.id, &b.version, b.patients),
            _ => false,
        };
        if !decisions.windows(2).all(|pair| matches!(pair, [a, b] if same(a, b))) {
            return None;
        }
        join(decisions)
    }

    /// The same, for another reason.
    pub(super) fn because(self, reason: &'static str) -> Decision {
        Decision { reason, ..self }
    }

    /// The same, of the resource as a whole and not of its parts.
    pub(super) fn on_the_whole(self) -> Decision {
        Decision { screen: None, ..self }
    }

    /// The permit of what is left of a resource that is denied as a whole because of some part of it.
    pub(super) fn in_part(self) -> Decision {
        Decision { outcome: Outcome::Permit, reason: IN_PART, ..self }
    }

    /// Several decisions by the same patient's word on the same, each for another purpose, as one.
    pub fn for_all_purposes(decisions: Vec<Decision>) -> Option<Decision> {
        let mut decision = join(decisions)?;
        if let Some(subject) = &mut decision.subject {
            subject.heard = 1;
        }
        Some(decision)
    }

    /// A denial that no consent gave.
    pub(super) fn denial(reason: &'static str) -> Decision {
        Decision::plain(Outcome::Deny, reason)
    }
}

/// Several decisions on the same as one: a permit if each of them is.
pub(super) fn join(decisions: Vec<Decision>) -> Option<Decision> {
    let heard = decisions.iter().filter_map(|decision| decision.subject.as_ref()).map(|subject| subject.heard).sum();
    let mut obligations: Vec<Obligation> = Vec::new();
    for obligation in decisions.iter().flat_map(|decision| &decision.obligations) {
        if !obligations.contains(obligation) {
            obligations.push(obligation.clone());
        }
    }
    let steps = decisions.iter().flat_map(|decision| decision.steps.iter().cloned()).take(STEPS_LIMIT).collect();
    let is_ambiguous = decisions.iter().any(Decision::is_ambiguous);
    let screen = join_screens(&decisions);
    let mut decisive = decisions.into_iter().reduce(|first, next| if first.is_permit() { next } else { first })?;
    if let Some(subject) = &mut decisive.subject {
        subject.heard = heard;
    }
    Some(Decision { is_ambiguous, obligations, steps, screen, ..decisive })
}

/// What all the patients withhold of the parts. `None` when none of them tells parts apart, or one refuses whatever the parts are.
fn join_screens(decisions: &[Decision]) -> Option<Box<Screen>> {
    if decisions.iter().any(|decision| !decision.is_permit() && decision.screen.is_none()) {
        return None;
    }
    let screens = decisions.iter().filter_map(|decision| decision.screen.as_deref().cloned());
    screens.reduce(Screen::join).map(Box::new)
}

fn sentence_of(reason: &str) -> &'static str {
    match reason {
        "permitted" => "The patient's consent permits this",
        "denied" => "The patient's consent denies this",
        IN_PART => "The patient's consent permits this without a part of it",
        "ambiguous" => "The patient's consent does not clearly permit this, so it is withheld",
        "no-consent" => "The patient has given no consent that applies, so nothing is shared",
        "not-covered" => "The patient's consent does not cover this request",
        "not-yet-given" => "The consent that would permit this is dated later than the request",
        "lapsed" => "A consent that is no longer in force would not have permitted this, and its end opens nothing",
        "break-glass" => "Nobody has denied this, and it was opened in an emergency",
        "implicit-permit" => "The patient has said nothing about this, and the rules of the place permit it",
        "purpose-unknown" => "The request does not state a known purpose of use",
        "actor-unidentified" => "The recipient cannot be identified",
        "patient-unresolved" => "It cannot be told which patient this is about",
        "resource-unreadable" => "What was found is not a resource",
        "consents-unreadable" => "The patient's consents cannot be read, so nothing is shared",
        "setting-unknown" => "Where this took place could not be learnt, and the patient does not share what takes place just anywhere",
        "withheld" => "Nothing would be left of this without what the patient does not share",
        "too-large" => "The patient's consents are larger than can be read",
        _ => "The consent could not be read in full, so nothing is shared past it",
    }
}

/// Decides on one resource, without the account of why: [`explain`] gives the same answer with it.
pub fn decide(rules: &Rules, request: &Request, facts: &ResourceFacts) -> Decision {
    decided(rules, request, facts, false)
}

/// Decides on one resource, and accounts for every rule.
pub fn explain(rules: &Rules, request: &Request, facts: &ResourceFacts) -> Decision {
    decided(rules, request, facts, true)
}

fn decided(rules: &Rules, request: &Request, facts: &ResourceFacts, is_told: bool) -> Decision {
    let unresolved = facts.patients.is_empty() || facts.patients.contains(&PatientReference::Unresolvable);
    let mut decision = match refusal(rules, request) {
        Some(reason) => Decision::plain(Outcome::Deny, reason),
        None if facts.type_name.is_empty() => Decision::plain(Outcome::Deny, "resource-unreadable"),
        None if unresolved => Decision::plain(Outcome::Deny, "patient-unresolved"),
        None => {
            let screen = Screen::of(rules, request, facts).map(Box::new);
            Decision { screen, ..weigh(rules, request, Some(facts), is_told) }
        }
    };
    if decision.is_permit() && facts.tells_substance_use() {
        decision.obligations.push(Obligation::NoticePart2);
    }
    decision.subject = Some(Subject {
        type_name: facts.type_name.clone(),
        id: facts.id.clone(),
        version: facts.version.clone(),
        patients: facts.patients.len(),
        heard: 1,
    });
    decision
}

/// Decides whether the request may be made at all. A permit releases nothing: every resource is still decided on its own.
pub fn decide_request(rules: &Rules, request: &Request) -> Decision {
    match refusal(rules, request) {
        Some(reason) => Decision::plain(Outcome::Deny, reason),
        None => weigh(rules, request, None, true),
    }
}

/// Why the request cannot be decided at all.
fn refusal(rules: &Rules, request: &Request) -> Option<&'static str> {
    let is_named = |purpose: &Concept| {
        let criteria = rules.consents.iter().flat_map(|consent| &consent.rules).flat_map(|rule| &rule.own.purposes);
        criteria.into_iter().any(|stated| stated.code == purpose.code && !purpose.code.system.is_empty())
    };
    let states_purpose = request.purposes.iter().any(|purpose| purpose.is_known() || is_named(purpose));
    if rules.is_damaged {
        Some("consents-unreadable")
    } else if rules.is_overfull {
        Some("too-large")
    } else if !states_purpose && (rules.policy.purpose_required || !request.purposes.is_empty()) {
        Some("purpose-unknown")
    } else if !request.actors.iter().any(Party::is_identified) {
        Some("actor-unidentified")
    } else {
        None
    }
}

fn weigh(rules: &Rules, request: &Request, facts: Option<&ResourceFacts>, is_told: bool) -> Decision {
    let mut steps = Vec::new();
    let mut obligations = Vec::new();
    let mut verdicts = Vec::with_capacity(rules.consents.len());
    for consent in rules.consents.iter().filter(|consent| concerns(consent, request)) {
        let asked = Asked::of(rules, consent, request, facts);
        let tested = if is_told { Tested::new(consent, &asked) } else { Tested::open_only(consent, &asked) };
        let verdict = verdict(consent, request, &tested);
        if is_told {
            add_steps(consent, &tested, &mut steps);
        }
        if facts.is_none() && verdict.polarity == Some(Polarity::Permit) {
            add_obligations(&tested, &mut obligations);
            obligations.extend(limitation(consent, tested.declared()));
        }
        verdicts.push(verdict);
    }
    let mut decision = combine(&verdicts, rules, request, facts);
    if is_told && decision.governing.is_none() {
        steps.push(implicit_step(rules, &decision, facts));
    }
    decision.steps = steps;
    if decision.is_permit() {
        decision.obligations = obligations;
    }
    decision
}

/// Whether a resource, or a part of one, would be permitted: the same answer as [`decide`]'s, without the account of it.
pub(super) fn permits(rules: &Rules, request: &Request, facts: &ResourceFacts) -> bool {
    let concerned = rules.consents.iter().filter(|consent| concerns(consent, request));
    let verdicts: Vec<Verdict<'_>> = concerned
        .map(|consent| {
            let asked = Asked::of(rules, consent, request, Some(facts));
            verdict(consent, request, &Tested::open_only(consent, &asked))
        })
        .collect();
    combine(&verdicts, rules, request, Some(facts)).is_permit()
}

/// Whether the consent is of a kind that is asked about.
fn concerns(consent: &Consent, request: &Request) -> bool {
    let is_research = |purpose: &Concept| Concept::new(Code::new(ACT_REASON, "HRESCH")).covers(purpose);
    let is_asked = request.categories.is_empty() || request.categories.iter().any(|category| consent.kinds.contains(category));
    is_asked && (!consent.is_research || (!request.purposes.is_empty() && request.purposes.iter().all(is_research)))
}

/// Deny wins, unless a newer consent of the same giver supersedes. Where none answers, the implicit policy does.
fn combine(verdicts: &[Verdict<'_>], rules: &Rules, request: &Request, facts: Option<&ResourceFacts>) -> Decision {
    let speaking = || verdicts.iter().filter(|verdict| verdict.polarity.is_some());
    let newest = newest_by_giver(verdicts, rules, request);
    let standing = || speaking().filter(|verdict| !is_superseded(verdict, &newest));
    let denial = standing().filter(|verdict| verdict.polarity == Some(Polarity::Deny)).min_by_key(order);
    let governing = denial.or_else(|| standing().min_by_key(order));
    // What a denial closed stays closed beyond its time, until whoever gave it says something newer.
    let expired = || verdicts.iter().filter(|verdict| verdict.has_expired && !is_superseded(verdict, &newest)).min_by_key(order);
    if denial.is_none()
        && governing.is_some()
        && let Some(verdict) = expired()
    {
        return Decision { governing: Some(Arc::clone(&verdict.consent.governing)), ..Decision::plain(Outcome::Deny, verdict.reason) };
    }
    if let Some(verdict) = governing {
        let outcome = if verdict.polarity == Some(Polarity::Permit) { Outcome::Permit } else { Outcome::Deny };
        let plain = Decision::plain(outcome, verdict.reason);
        let governing = Some(Arc::clone(&verdict.consent.governing));
        return Decision { is_ambiguous: verdict.is_ambiguous, dissent: verdict.dissent, governing, ..plain };
    }
    let silent = verdicts.iter().max_by_key(|verdict| (verdict.is_ambiguous, verdict.bars_implicit, order(verdict)));
    if reaches_broken_glass(rules, request, facts) && !verdicts.iter().any(|verdict| verdict.has_denied) {
        return Decision::plain(Outcome::Permit, "break-glass");
    }
    // What a consent says that is not asked about may be a denial all the same.
    let is_set_aside = verdicts.len() < rules.consents.len() && !request.categories.is_empty();
    let is_barred = is_set_aside || verdicts.iter().any(|verdict| verdict.bars_implicit);
    if !is_barred && rules.policy.permits_implicitly(request, facts) {
        return Decision::plain(Outcome::Permit, "implicit-permit");
    }
    let plain = Decision::plain(Outcome::Deny, silent.map_or("no-consent", |verdict| verdict.reason));
    Decision {
        is_ambiguous: silent.is_some_and(|verdict| verdict.is_ambiguous),
        dissent: silent.and_then(|verdict| verdict.dissent),
        ..plain
    }
}

/// Which of two verdicts that weigh the same is named, so that the order in which consents come in does not matter.
fn order<'a>(verdict: &&'a Verdict<'_>) -> (bool, &'static str, Option<&'static str>, &'a str) {
    (verdict.is_ambiguous, verdict.reason, verdict.dissent, &verdict.consent.governing.consent)
}

/// Per giver, when the newest of the consents that speak of this request began to be said. One from the future does not count yet.
fn newest_by_giver(verdicts: &[Verdict<'_>], rules: &Rules, request: &Request) -> Vec<Option<i64>> {
    let mut newest = vec![None; rules.givers];
    for verdict in verdicts.iter().filter(|verdict| verdict.polarity.is_some()) {
        let said = verdict.consent.dated.map(|dated| dated.low).filter(|said| *said <= request.instant.micros());
        if let Some(slot) = verdict.consent.giver.and_then(|giver| newest.get_mut(giver)) {
            *slot = (*slot).max(said);
        }
    }
    newest
}

/// Whether a consent of the same giver that also speaks of this request is surely later.
fn is_superseded(verdict: &Verdict<'_>, newest: &[Option<i64>]) -> bool {
    let later = verdict.consent.giver.and_then(|giver| newest.get(giver).copied().flatten());
    verdict.consent.dated.zip(later).is_some_and(|(dated, later)| later >= dated.high)
}

/// Whether the glass is broken for this: in silence, for the sake of breaking it and nothing else, and within its reach.
fn reaches_broken_glass(rules: &Rules, request: &Request, facts: Option<&ResourceFacts>) -> bool {
    let is_breaking = |purpose: &Concept| purpose.code.is(ACT_REASON, "BTG");
    let is_meant = !request.purposes.is_empty() && request.purposes.iter().all(is_breaking) && request.action == Action::Access;
    let is_open = rules.policy.holding(facts) > ImplicitPolicy::Deny;
    rules
        .policy
        .glass
        .filter(|_| is_meant && is_open)
        .is_some_and(|glass| facts.is_none_or(|facts| glass.reaches(facts.confidentiality, &facts.labels)))
}

fn add_steps(consent: &Consent, tested: &Tested<'_>, steps: &mut Vec<Step>) {
    let room = STEPS_LIMIT.saturating_sub(steps.len());
    steps.extend(tested.account().take(room).map(|(rule, matched, hindrance)| Step {
        consent: Arc::clone(&consent.governing),
        rule: Arc::clone(&rule.path),
        matched,
        hindrance,
    }));
}

fn add_obligations(tested: &Tested<'_>, obligations: &mut Vec<Obligation>) {
    obligations.extend(tested.deferred().take(STEPS_LIMIT).map(|rule| Obligation::Withhold {
        rule: Arc::clone(&rule.path),
        labels: rule.own.labels.iter().map(|label| label.code.clone()).collect(),
        classes: rule.own.kinds_of_content(),
        codes: rule.own.codes.to_vec(),
    }));
}

/// What holds where no consent answers, and whether it was that which permitted.
fn implicit_step(rules: &Rules, decision: &Decision, facts: Option<&ResourceFacts>) -> Step {
    let policy = Governing { consent: "implicit-policy".into(), version: None };
    let matched = if decision.is_permit() { Match::Yes } else { Match::No };
    Step { consent: Arc::new(policy), rule: rules.policy.holding(facts).word().into(), matched, hindrance: None }
}

/// What a permit is limited to, where the rule that gave it tells resources apart.
fn limitation(consent: &Consent, answer: Answer) -> Option<Obligation> {
    let rule = consent.rules.get(answer.rule?)?;
    let source = |kind: Kind| rule.source.get(kind.index()).copied().flatten().and_then(|place| consent.rules.get(place));
    let is_limited = Kind::SELECTING.into_iter().any(|kind| source(kind).is_some());
    is_limited.then(|| Obligation::ReleaseOnly {
        rule: Arc::clone(&rule.path),
        labels: source(Kind::Label).map(|rule| rule.own.labels.iter().map(|label| label.code.clone()).collect()).unwrap_or_default(),
        classes: source(Kind::Class)
            .into_iter()
            .flat_map(|rule| rule.own.classes.iter())
            .chain(source(Kind::Document).into_iter().flat_map(|rule| rule.own.documents.iter()))
            .cloned()
            .collect(),
        codes: source(Kind::Code).map(|rule| rule.own.codes.to_vec()).unwrap_or_default(),
    })
}

impl Decision {
    /// How much was compared for the parts of what it was taken on.
    #[cfg(test)]
    pub(super) fn spent(&self) -> usize {
        self.screen.as_ref().map_or(0, |screen| screen.spent())
    }

    fn plain(outcome: Outcome, reason: &'static str) -> Decision {
        Decision {
            outcome,
            is_ambiguous: false,
            reason,
            dissent: None,
            governing: None,
            steps: Vec::new(),
            obligations: Vec::new(),
            subject: None,
            screen: None,
        }
    }
}
