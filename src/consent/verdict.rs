//! What one consent answers: its rules' answer, limited by its period and its standing.

use super::code::Code;
use super::period::Period;
use super::readings::{Answer, Tested};
use super::request::Request;
use super::rules::{Consent, Edition, Polarity, Standing, Window};
use super::vocabulary::{ACT_REASON, Concept};

/// What one consent contributes.
pub(super) struct Verdict<'a> {
    pub consent: &'a Consent,
    pub polarity: Option<Polarity>,
    pub is_ambiguous: bool,
    pub reason: &'static str,
    pub dissent: Option<&'static str>,
    /// Whether an implicit policy must not permit past it.
    pub bars_implicit: bool,
    /// Whether it denied this while it was in force: breaking the glass does not get past its end.
    pub has_denied: bool,
    /// Whether it did until its time was over: that opens nothing that it closed.
    pub has_expired: bool,
}

/// The consent's answer to a request.
pub(super) fn verdict<'a>(consent: &'a Consent, request: &Request, tested: &Tested<'_>) -> Verdict<'a> {
    let answer = tested.declared();
    let dissent = tested.dissent(answer).or_else(|| exceeds_emergency(consent, answer, request));
    let polarity = if answer.permits() && dissent.is_some() { Some(Polarity::Deny) } else { answer.polarity };
    let is_ambiguous = dissent.is_some() || (answer.is_uncertain && polarity == Some(Polarity::Deny));
    let reason = match polarity {
        Some(Polarity::Permit) => "permitted",
        Some(Polarity::Deny) if is_ambiguous => "ambiguous",
        Some(Polarity::Deny) => "denied",
        None => "not-covered",
    };
    let bars_implicit = match polarity {
        Some(polarity) => polarity == Polarity::Deny,
        // A consent that permits says "only this"; one that denies something says nothing of the rest.
        None => consent.base != Some(Polarity::Deny) || is_ambiguous,
    };
    let verdict = Verdict { consent, polarity, is_ambiguous, reason, dissent, bars_implicit, has_denied: false, has_expired: false };
    match consent.standing {
        // What was withdrawn has no time in which it counts, and none that could end.
        Standing::Lapsed(_) => verdict.lapse(),
        _ => limit_by_standing(limit_by_window(verdict, answer, request), request),
    }
}

/// A consent that calls itself one for emergencies, and permits something else by its rules, says two things.
fn exceeds_emergency(consent: &Consent, answer: Answer, request: &Request) -> Option<&'static str> {
    let emergency = Concept::new(Code::new(ACT_REASON, "ETREAT"));
    let is_one = !request.purposes.is_empty() && request.purposes.iter().all(|purpose| emergency.covers(purpose));
    (consent.is_for_emergencies && answer.permits() && !is_one).then_some("reading-emergency-only")
}

/// Outside its period a consent answers nothing; at the edges, where a bound has no zone, only its denials count.
fn limit_by_window<'a>(verdict: Verdict<'a>, answer: Answer, request: &Request) -> Verdict<'a> {
    let period = match verdict.consent.window {
        Window::Open => return verdict,
        Window::Unreadable => return verdict.denials_only("period-unreadable"),
        Window::Bounded(period) => period,
    };
    if period.contains(request.instant) {
        return verdict;
    }
    if period.may_contain(request.instant) && answer.polarity == Some(Polarity::Deny) {
        return verdict;
    }
    if period.is_after(request.instant) {
        return Verdict { polarity: None, is_ambiguous: false, dissent: None, reason: "not-covered", bars_implicit: false, ..verdict };
    }
    let is_ambiguous = means_data_period(verdict.consent, &period);
    let has_expired = verdict.polarity == Some(Polarity::Deny);
    Verdict { is_ambiguous, dissent: is_ambiguous.then_some("reading-data-period"), has_expired, ..verdict.lapse() }
}

/// A validity that was over before the consent was given makes no sense as one: the period of the data was meant.
fn means_data_period(consent: &Consent, period: &Period) -> bool {
    let is_bare = consent.edition == Edition::R4 && consent.root_type.is_none() && consent.policy_rule.is_some();
    is_bare && consent.dated.is_some_and(|dated| period.is_over_by(dated))
}

fn limit_by_standing<'a>(verdict: Verdict<'a>, request: &Request) -> Verdict<'a> {
    let is_to_come = verdict.consent.not_before.is_some_and(|earliest| earliest > request.instant);
    let is_outgrown = verdict.consent.outgrown.is_some_and(|of_age| of_age <= request.instant);
    match verdict.consent.standing {
        Standing::InForce if is_outgrown => verdict.denials_only("outgrown"),
        Standing::InForce if is_to_come => verdict.not_yet(),
        Standing::InForce => verdict,
        Standing::DenialsOnly(code) => verdict.denials_only(code),
        Standing::Refuses(code) if verdict.polarity == Some(Polarity::Permit) => verdict.refuse(code),
        Standing::Refuses(_) => verdict,
        Standing::Unreadable(code) => verdict.refuse(code),
        Standing::Lapsed(_) => verdict.lapse(),
    }
}

impl Verdict<'_> {
    fn denials_only(self, reason: &'static str) -> Self {
        if self.polarity == Some(Polarity::Permit) {
            return Verdict { polarity: None, reason, bars_implicit: true, ..self };
        }
        self
    }

    /// What will permit opens nothing yet, and stands in the way of nothing.
    fn not_yet(self) -> Self {
        if self.polarity == Some(Polarity::Permit) {
            return Verdict { polarity: None, reason: "not-yet-given", bars_implicit: false, ..self };
        }
        self
    }

    fn refuse(self, reason: &'static str) -> Self {
        Verdict { polarity: Some(Polarity::Deny), reason, bars_implicit: true, ..self }
    }

    fn lapse(self) -> Self {
        let permitted = self.polarity == Some(Polarity::Permit);
        let has_denied = self.polarity == Some(Polarity::Deny);
        Verdict { polarity: None, reason: "lapsed", bars_implicit: !permitted, has_denied, ..self }
    }
}
