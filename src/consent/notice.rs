//! What must accompany a disclosure.

/// The header in which a notice goes with a single resource.
pub const NOTICE_HEADER: &str = "x-hearthgate-notice";

/// A statement that the recipient gets with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The prohibition on redisclosure of substance use disorder records, [42 CFR 2.32](https://www.ecfr.gov/current/title-42/section-2.32).
    Part2,
}

impl Notice {
    /// The code of the policy the notice belongs to, in the code system `http://terminology.hl7.org/CodeSystem/v3-ActCode`.
    pub fn code(self) -> &'static str {
        match self {
            Notice::Part2 => "42CFRPart2",
        }
    }

    /// The statement, in the short form that 42 CFR 2.32 allows for electronic records.
    pub fn text(self) -> &'static str {
        match self {
            Notice::Part2 => "42 CFR part 2 prohibits unauthorized use or disclosure of these records.",
        }
    }
}
