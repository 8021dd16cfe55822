//! The rules' names: number in the reference's order, word, version. Lineage, metrics and the configuration use them.

use std::fmt;

/// One normalisation rule. A change of behaviour raises the version, so that stored lineage stays true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId {
    /// The place in the published order, 1 to 26.
    pub number: u8,
    /// The word used in the configuration and the file name under `rules/`.
    pub name: &'static str,
    pub version: u8,
}

/// `05-strings@1`: the stable label stored with every change.
impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{}@{}", self.number, self.name, self.version)
    }
}

impl RuleId {
    const fn new(number: u8, name: &'static str, version: u8) -> RuleId {
        RuleId { number, name, version }
    }
}

pub const BYTES: RuleId = RuleId::new(1, "bytes", 1);
pub const EMPTIES: RuleId = RuleId::new(2, "empties", 1);
pub const ENVELOPE: RuleId = RuleId::new(3, "envelope", 5);
pub const VERSIONS: RuleId = RuleId::new(4, "versions", 5);
pub const STRINGS: RuleId = RuleId::new(5, "strings", 3);
pub const IDENTIFIER_SYSTEMS: RuleId = RuleId::new(6, "identifier-systems", 3);
pub const CODING_SYSTEMS: RuleId = RuleId::new(7, "coding-systems", 2);
pub const CODE_SANITY: RuleId = RuleId::new(8, "code-sanity", 3);
pub const PRIMARY_CODING: RuleId = RuleId::new(9, "primary-coding", 1);
pub const LOCAL_CODES: RuleId = RuleId::new(10, "local-codes", 2);
pub const UNITS: RuleId = RuleId::new(11, "units", 5);
pub const NUMERIC_TEXT: RuleId = RuleId::new(12, "numeric-text", 3);
pub const SENTINELS: RuleId = RuleId::new(13, "sentinels", 3);
pub const COMPARATORS: RuleId = RuleId::new(14, "comparators", 5);
pub const DATES: RuleId = RuleId::new(15, "dates", 4);
pub const DECIMALS: RuleId = RuleId::new(16, "decimals", 4);
pub const STATUS: RuleId = RuleId::new(17, "status", 2);
pub const REFERENCES: RuleId = RuleId::new(18, "references", 6);
pub const RESOURCE_IDS: RuleId = RuleId::new(19, "resource-ids", 3);
pub const DUPLICATES: RuleId = RuleId::new(20, "duplicates", 2);
pub const EXTENSIONS: RuleId = RuleId::new(21, "extensions", 2);
pub const NARRATIVE: RuleId = RuleId::new(22, "narrative", 3);
pub const PROFILE_FILL: RuleId = RuleId::new(23, "profile-fill", 1);
pub const META: RuleId = RuleId::new(24, "meta", 3);
pub const FREE_TEXT_CODES: RuleId = RuleId::new(25, "free-text-codes", 1);
pub const VENDOR_ERRORS: RuleId = RuleId::new(26, "vendor-errors", 3);

/// Every rule of this room, in the published order.
pub const RULES: [RuleId; 26] = [
    BYTES,
    EMPTIES,
    ENVELOPE,
    VERSIONS,
    STRINGS,
    IDENTIFIER_SYSTEMS,
    CODING_SYSTEMS,
    CODE_SANITY,
    PRIMARY_CODING,
    LOCAL_CODES,
    UNITS,
    NUMERIC_TEXT,
    SENTINELS,
    COMPARATORS,
    DATES,
    DECIMALS,
    STATUS,
    REFERENCES,
    RESOURCE_IDS,
    DUPLICATES,
    EXTENSIONS,
    NARRATIVE,
    PROFILE_FILL,
    META,
    FREE_TEXT_CODES,
    VENDOR_ERRORS,
];

/// The rule of a configuration word.
pub fn rule_named(name: &str) -> Option<RuleId> {
    RULES.into_iter().find(|rule| rule.name == name)
}

/// Which rules run for a source. All do until switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// One bit per rule number, set when the rule is off.
    off: u32,
}

impl Switches {
    pub fn set(&mut self, rule: RuleId, on: bool) {
        let bit = 1 << rule.number;
        self.off = if on { self.off & !bit } else { self.off | bit };
    }

    pub fn is_on(self, rule: RuleId) -> bool {
        self.off & (1 << rule.number) == 0
    }
}
