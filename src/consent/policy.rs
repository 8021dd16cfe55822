//! What the operator decides: what holds where the patient has said nothing, and how strictly a request must state its purpose.

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
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { implicit: ImplicitPolicy::Deny, purpose_required: true, majority_years: 18, reveal_redaction: false }
    }
}
