//! What the operator decides: what holds where the patient has said nothing, and how strictly a request must state its purpose.

use super::vocabulary::{Concept, Confidentiality, is_sensitivity, sensitivity};

/// What is permitted when no consent speaks (IHE PCF, implicit options).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImplicitPolicy {
    /// Nothing.
    #[default]
    Deny,
    /// Breaking the glass, for data that is not very restricted.
    BreakGlassOnly,
    /// Treatment, payment and operations, for data that is neither restricted nor sensitive.
    BasicNormal,
    /// Every known purpose, for data that is neither restricted nor sensitive.
    AllNormal,
}

/// The parameters of a decision that are not the patient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub implicit: ImplicitPolicy,
    /// Whether a request must declare a known purpose of use at all.
    pub purpose_required: bool,
    /// Age in whole years at which a consent given by somebody else no longer permits.
    pub majority_years: u16,
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

impl Default for Policy {
    fn default() -> Policy {
        Policy { implicit: ImplicitPolicy::Deny, purpose_required: true, majority_years: 18, reveal_redaction: false, glass: None }
    }
}
