//! What the operator decides: what holds where the patient has said nothing, and how strictly a request must state its purpose.

use super::facts::ResourceFacts;
use super::request::Request;
use super::vocabulary::{ACT_REASON, Concept, Confidentiality, SENSITIVITY_COUNT, is_sensitivity, kinds_of_sensitivities, sensitivity};

/// What is permitted when no consent speaks (IHE PCF, implicit options), from the strictest to the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum ImplicitPolicy {
    /// Nothing, not even to whoever breaks the glass.
    Deny,
    /// Nothing but what is within reach of a broken glass.
    #[default]
    BreakGlassOnly,
    /// Treatment, payment and operations, for data that is neither restricted nor sensitive.
    BasicNormal,
    /// Every known purpose, for data that is neither restricted nor sensitive.
    AllNormal,
}

impl ImplicitPolicy {
    /// The word for it, in the configuration and in traces.
    pub fn word(self) -> &'static str {
        match self {
            ImplicitPolicy::Deny => "deny",
            ImplicitPolicy::BreakGlassOnly => "break-glass-only",
            ImplicitPolicy::BasicNormal => "basic-normal",
            ImplicitPolicy::AllNormal => "all-normal",
        }
    }

    /// Whether it permits these purposes at all.
    fn is_for(self, purposes: &[Concept]) -> bool {
        let basic = ["TREAT", "HPAYMT", "HOPERAT"].map(|code| Concept::new(super::Code::new(ACT_REASON, code)));
        let is_meant = |purpose: &Concept| match self {
            ImplicitPolicy::Deny | ImplicitPolicy::BreakGlassOnly => false,
            ImplicitPolicy::BasicNormal => basic.iter().any(|known| known.covers(purpose)),
            ImplicitPolicy::AllNormal => purpose.is_known(),
        };
        !purposes.is_empty() && purposes.iter().all(is_meant)
    }
}

/// What holds for data of single sensitivities where no consent speaks, because the operator says so for them. Where it does, the data is not
/// out of reach for being sensitive; where several sensitivities meet in a record, the strictest policy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BySensitivity([Option<ImplicitPolicy>; SENSITIVITY_COUNT]);

impl BySensitivity {
    /// Adds what holds for a sensitivity of v3-ActCode and its kinds; where something holds already, the stricter stays. A code that is not
    /// known changes nothing, and no label is read as it.
    pub fn set(&mut self, code: &str, policy: ImplicitPolicy) {
        let meant = Some(sensitivity(code)).filter(|bits| *bits != u128::MAX).unwrap_or_default();
        for (slot, kinds) in self.0.iter_mut().zip(kinds_of_sensitivities()) {
            if kinds & meant != 0 {
                *slot = Some(slot.map_or(policy, |known| known.min(policy)));
            }
        }
    }

    /// The widest of them and of what holds for everything else.
    pub fn widest(&self, general: ImplicitPolicy) -> ImplicitPolicy {
        self.0.iter().flatten().copied().fold(general, ImplicitPolicy::max)
    }

    fn of(&self, label: &Concept) -> Option<ImplicitPolicy> {
        label.sensitivity_index().and_then(|index| self.0.get(index).copied().flatten())
    }
}

/// The parameters of a decision that are not the patient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub implicit: ImplicitPolicy,
    pub by_sensitivity: BySensitivity,
    /// Whether a request must declare a known purpose of use at all.
    pub purpose_required: bool,
    /// Whether a consent dated later than the request permits nothing yet. A question about another time than now leaves it aside.
    pub dates_bind: bool,
    /// Age in whole years at which a consent given by somebody else no longer permits.
    pub majority_years: u16,
    /// Whether it permits nothing either where no day of birth is known.
    pub age_required: bool,
    /// Whether a recipient may know that parts of what it gets were withheld: then it is marked `REDACTED` and `SUBSETTED`.
    pub reveal_redaction: bool,
    /// How far a broken glass reaches, while it is broken.
    pub glass: Option<BrokenGlass>,
}

/// What somebody who broke the glass reaches where the patient has not denied it. It holds for requests whose every purpose is to break it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenGlass {
    ceiling: Confidentiality,
    /// The sensitivities that are out of reach, with their kinds.
    never: u128,
}

impl BrokenGlass {
    /// Up to a level, and never to these sensitivities of v3-ActCode or what is a kind of them. A code that is not known closes everything
    /// sensitive, for it cannot be told what it was meant to keep.
    pub fn reaching(ceiling: Confidentiality, never: &[String]) -> BrokenGlass {
        BrokenGlass { ceiling, never: never.iter().fold(0, |bits, code| bits | sensitivity(code)) }
    }

    /// Whether data with this level and these labels is within reach. What has no level counts as restricted.
    pub(super) fn reaches(&self, level: Option<Confidentiality>, labels: &[Concept]) -> bool {
        level.unwrap_or(Confidentiality::Restricted) <= self.ceiling
            && !labels.iter().any(|label| is_sensitivity(label) && label.is_any_of(self.never))
    }
}

impl Policy {
    /// What holds for a resource where no consent speaks: the strictest of what holds for its sensitivities, or the policy for all.
    pub(super) fn holding(&self, facts: Option<&ResourceFacts>) -> ImplicitPolicy {
        let labels = facts.map_or(&[][..], |facts| facts.labels.as_slice());
        let of_labels =
            labels.iter().filter(|label| is_sensitivity(label)).map(|label| self.by_sensitivity.of(label).unwrap_or(self.implicit));
        match facts {
            Some(_) => of_labels.min().unwrap_or(self.implicit),
            // Nothing is known of the resource: the widest may hold, and each resource is still decided.
            None => self.by_sensitivity.widest(self.implicit),
        }
    }

    /// Whether anything at all may be permitted where no consent speaks.
    pub(super) fn may_permit(&self) -> bool {
        self.holding(None) > ImplicitPolicy::BreakGlassOnly
    }

    /// Whether this is permitted where no consent speaks: what is neither restricted nor sensitive, and what is sensitive in no way but those for
    /// which the operator says that it is.
    pub(super) fn permits_implicitly(&self, request: &Request, facts: Option<&ResourceFacts>) -> bool {
        let is_for = self.holding(facts).is_for(&request.purposes);
        let Some(facts) = facts else { return is_for };
        let mut sensitive = facts.labels.iter().filter(|label| is_sensitivity(label)).peekable();
        let ceiling = if sensitive.peek().is_some() { Confidentiality::Restricted } else { Confidentiality::Normal };
        let is_opened = sensitive.all(|label| self.by_sensitivity.of(label).is_some());
        is_for && is_opened && facts.confidentiality.is_some_and(|level| level <= ceiling)
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            implicit: ImplicitPolicy::default(),
            by_sensitivity: BySensitivity::default(),
            purpose_required: true,
            dates_bind: true,
            majority_years: 18,
            age_required: true,
            reveal_redaction: false,
            glass: None,
        }
    }
}
