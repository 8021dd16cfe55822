//! The facts of HL7 v3 the decision rests on: purposes of use and sensitivities with their parents, and the order of confidentiality.

use super::code::Code;
use crate::definitions::{Definitions, Membership};
use compact_str::CompactString;

pub(super) const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
pub(super) const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
pub(super) const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
pub(super) const CONSENT_ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
pub(super) const CONSENT_SCOPE: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
pub(super) const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
pub(super) const PARTICIPATION_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";

/// `v3-Confidentiality`, from what anybody may see to what hardly anybody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidentiality {
    Unrestricted,
    Low,
    Moderate,
    Normal,
    Restricted,
    VeryRestricted,
}

impl Confidentiality {
    /// The code of v3-Confidentiality.
    pub fn code(self) -> &'static str {
        match self {
            Confidentiality::Unrestricted => "U",
            Confidentiality::Low => "L",
            Confidentiality::Moderate => "M",
            Confidentiality::Normal => "N",
            Confidentiality::Restricted => "R",
            Confidentiality::VeryRestricted => "V",
        }
    }

    pub(super) fn of(code: &Code) -> Option<Confidentiality> {
        (code.system == CONFIDENTIALITY).then(|| Confidentiality::of_letter(&code.code)).flatten()
    }

    /// The level that a code without a system may mean.
    pub(super) fn meant_by(code: &Code) -> Option<Confidentiality> {
        (!code.tells_system()).then(|| Confidentiality::of_letter(&code.code.to_ascii_uppercase())).flatten()
    }

    fn of_letter(letter: &str) -> Option<Confidentiality> {
        match letter {
            "U" => Some(Confidentiality::Unrestricted),
            "L" => Some(Confidentiality::Low),
            "M" => Some(Confidentiality::Moderate),
            "N" => Some(Confidentiality::Normal),
            "R" => Some(Confidentiality::Restricted),
            "V" => Some(Confidentiality::VeryRestricted),
            _ => None,
        }
    }
}

/// Every purpose of use with its parent. The last three are newer than the terminology of R4; training a model has no parent here, so that
/// nothing but its own name permits it.
const PURPOSES: [(&str, &str); 65] = [
    ("PurposeOfUse", ""),
    ("HMARKT", "PurposeOfUse"),
    ("HOPERAT", "PurposeOfUse"),
    ("HPAYMT", "PurposeOfUse"),
    ("HRESCH", "PurposeOfUse"),
    ("PATRQT", "PurposeOfUse"),
    ("PUBHLTH", "PurposeOfUse"),
    ("TREAT", "PurposeOfUse"),
    ("CAREMGT", "HOPERAT"),
    ("DONAT", "HOPERAT"),
    ("FRAUD", "HOPERAT"),
    ("GOV", "HOPERAT"),
    ("HACCRED", "HOPERAT"),
    ("HCOMPL", "HOPERAT"),
    ("HDECD", "HOPERAT"),
    ("HDIRECT", "HOPERAT"),
    ("HDM", "HOPERAT"),
    ("HLEGAL", "HOPERAT"),
    ("HOUTCOMS", "HOPERAT"),
    ("HPRGRP", "HOPERAT"),
    ("HQUALIMP", "HOPERAT"),
    ("HSYSADMIN", "HOPERAT"),
    ("LABELING", "HSYSADMIN"),
    ("METAMGT", "HSYSADMIN"),
    ("MEMADMIN", "HOPERAT"),
    ("MILCDM", "HOPERAT"),
    ("PATADMIN", "HOPERAT"),
    ("PATSFTY", "HOPERAT"),
    ("PERFMSR", "HOPERAT"),
    ("RECORDMGT", "HOPERAT"),
    ("SYSDEV", "HOPERAT"),
    ("HTEST", "SYSDEV"),
    ("TRAIN", "HOPERAT"),
    ("CLMATTCH", "HPAYMT"),
    ("COVAUTH", "HPAYMT"),
    ("COVERAGE", "HPAYMT"),
    ("ELIGDTRM", "COVERAGE"),
    ("ELIGVER", "COVERAGE"),
    ("ENROLLM", "COVERAGE"),
    ("MILDCRG", "COVERAGE"),
    ("REMITADV", "HPAYMT"),
    ("BIORCH", "HRESCH"),
    ("CLINTRCH", "HRESCH"),
    ("CLINTRCHNPC", "CLINTRCH"),
    ("CLINTRCHPC", "CLINTRCH"),
    ("PRECLINTRCH", "CLINTRCH"),
    ("DSRCH", "HRESCH"),
    ("POARCH", "HRESCH"),
    ("TRANSRCH", "HRESCH"),
    ("FAMRQT", "PATRQT"),
    ("PWATRNY", "PATRQT"),
    ("SUPNWK", "PATRQT"),
    ("DISASTER", "PUBHLTH"),
    ("THREAT", "PUBHLTH"),
    ("CLINTRL", "TREAT"),
    ("COC", "TREAT"),
    ("ETREAT", "TREAT"),
    ("BTG", "ETREAT"),
    ("ERTREAT", "ETREAT"),
    ("POPHLTH", "TREAT"),
    ("TREATDS", "TREAT"),
    ("PMTDS", "HPAYMT"),
    ("MLTRAINING", ""),
    ("SYSADMIN", "HSYSADMIN"),
    ("JUDICIAL", "HLEGAL"),
];

/// What older consents call purposes (v3-ActReason, information privacy reasons and its kin), and the purpose of use that is meant.
const FORMER_PURPOSES: [(&str, &str); 12] = [
    ("ACCRED", "HACCRED"),
    ("COMPL", "HCOMPL"),
    ("LEGAL", "HLEGAL"),
    ("MARKT", "HMARKT"),
    ("OPERAT", "HOPERAT"),
    ("OUTCOMS", "HOUTCOMS"),
    ("PAYMT", "HPAYMT"),
    ("PRGRPT", "HPRGRP"),
    ("QUALIMP", "HQUALIMP"),
    ("RESCH", "HRESCH"),
    ("RSRCH", "HRESCH"),
    ("SYSADMN", "HSYSADMIN"),
];

/// The place of a purpose among all of them.
fn place_of_purpose(code: &str) -> Option<usize> {
    let code = FORMER_PURPOSES.iter().find(|(former, _)| *former == code).map_or(code, |(_, meant)| meant);
    PURPOSES.iter().position(|(purpose, _)| *purpose == code)
}

pub(super) const SENSITIVITY_COUNT: usize = 25;

/// Sensitivities with their parents. Substance use stands under both of its names, because sources use either.
const SENSITIVITIES: [(&str, &[&str]); SENSITIVITY_COUNT] = [
    ("ETH", &[]),
    ("GDIS", &[]),
    ("HIV", &[]),
    ("ADOL", &[]),
    ("SCA", &[]),
    ("SICKLE", &["SCA"]),
    ("SDV", &[]),
    ("SEX", &[]),
    ("STD", &[]),
    ("VIO", &[]),
    ("SPI", &[]),
    ("BH", &["SPI"]),
    ("COGN", &["BH"]),
    ("DVD", &["BH"]),
    ("EMOTDIS", &["BH"]),
    ("MH", &["BH"]),
    ("PSY", &["BH"]),
    ("PSYTHPN", &["BH"]),
    ("SUD", &["BH", "ETH"]),
    ("ETHUD", &["SUD"]),
    ("OPIOIDUD", &["SUD"]),
    ("MST", &["SDV"]),
    ("PREGNANT", &["SEX"]),
    ("TBOO", &[]),
    ("CEL", &[]),
];

/// What no data are labelled with, for it is abstract: each with the abstract one above it.
const ABSTRACT: [(&str, &str); 6] = [
    ("_ActPolicyType", ""),
    ("_ActPrivacyPolicy", "_ActPolicyType"),
    (SENSITIVE_INFORMATION, "_ActPrivacyPolicy"),
    ("_ActInformationSensitivityPolicy", SENSITIVE_INFORMATION),
    ("_EntitySensitivityPolicyType", SENSITIVE_INFORMATION),
    ("_RoleInformationSensitivityPolicy", SENSITIVE_INFORMATION),
];
const SENSITIVE_INFORMATION: &str = "_InformationSensitivityPolicy";

/// By the abstract sensitivity above them, those that only sources label by, and those that stand under no narrower one.
const BELOW: [(&str, &[&str]); 3] = [
    (SENSITIVE_INFORMATION, &["ADOL", "CEL", "DIA", "DRGIS", "EMP", "PDS", "PHY", "PRS"]),
    ("_EntitySensitivityPolicyType", &["DEMO", "DOB", "GENDER", "LIVARG", "MARST", "RACE", "REL"]),
    ("_RoleInformationSensitivityPolicy", &["B", "EMPL", "LOCIS", "SSP"]),
];

/// The abstract sensitivity right above one that labels.
fn abstract_above(code: &Code) -> Option<&'static str> {
    let listed = BELOW.iter().find(|(_, codes)| codes.contains(&code.code.as_str())).map(|(above, _)| *above);
    let is_of_acts = || sensitivity_bit(&code.code) != 0;
    listed.or_else(|| is_of_acts().then_some("_ActInformationSensitivityPolicy"))
}

/// The abstract sensitivity, or what is above it, that somebody names, however they write it: its bit, or none.
fn abstract_named(code: &Code) -> u8 {
    let is_named = |name: &str| code.code.trim_start_matches('_').eq_ignore_ascii_case(name.trim_start_matches('_'));
    ABSTRACT.iter().position(|(name, _)| is_named(name)).map_or(0, |place| 1 << place)
}

/// The bits of the abstract sensitivities above one that labels.
fn abstracts_above(code: &Code) -> u8 {
    let above = |name: &str| ABSTRACT.iter().find(|(own, _)| *own == name).map(|(_, above)| *above);
    let chain = std::iter::successors(abstract_above(code), |name| above(name)).take(ABSTRACT.len());
    let places = chain.filter_map(|name| ABSTRACT.iter().position(|(own, _)| *own == name));
    places.fold(0, |bits, place| bits | 1 << place)
}

/// Whether somebody who names an abstract sensitivity means this label too.
pub(super) fn is_above(named: &Concept, label: &Concept) -> bool {
    named.abstracts.named & label.abstracts.above != 0
}

/// Whether it names a sensitivity, or an abstract one that data are not labelled with.
pub(super) fn names_sensitivity(label: &Concept) -> bool {
    is_sensitivity(label) || is_abstract(label) || says_information(label)
}

/// Whether it names an abstract sensitivity, or what is above these.
pub(super) fn is_abstract(label: &Concept) -> bool {
    label.abstracts.named != 0
}

/// What the systems of HL7 begin with.
const SYSTEMS_OF_HL7: [&str; 3] = ["http://terminology.hl7.org/", "http://hl7.org/", "urn:oid:2.16.840.1.113883.5."];
/// What data may be labelled with beside levels of confidentiality (R4 `security-labels`). The laws that R4 lists there too say nothing of what they are
/// about.
const SETS_OF_LABELS: [&str; 4] = [
    "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy",
    "http://terminology.hl7.org/ValueSet/v3-Compartment",
    "http://terminology.hl7.org/ValueSet/v3-SecurityIntegrityObservationValue",
    "http://terminology.hl7.org/ValueSet/v3-SecurityControlObservationValue",
];

/// Whether nobody can tell what a label means: it is said to be HL7's, or nobody's, and is none that HL7 has. What a partner labels by a system of its own
/// is its own business.
pub(super) fn is_unheard_of(label: &Concept) -> bool {
    let Code { system, code } = &label.code;
    if names_sensitivity(label) || label.abstracts.above != 0 || label.confidentiality.or(Confidentiality::meant_by(&label.code)).is_some()
    {
        return false;
    }
    let is_label = |system: Option<&str>, code: &str| {
        SETS_OF_LABELS.iter().any(|set| matches!(Definitions::embedded().value_set_contains(set, system, code), Membership::Member { .. }))
    };
    match label.code.tells_system() {
        true => SYSTEMS_OF_HL7.iter().any(|base| system.starts_with(base)) && !is_label(Some(system), code),
        false => !is_label(None, code) && !in_capitals(ACT_CODE, code).is_some_and(|capitals| is_label(None, &capitals)),
    }
}

/// Sensitivities that are used for one another: a denial by one may mean what the other labels.
const AKIN: [&[&str]; 2] = [&["COGN", "DVD", "EMOTDIS", "MH", "PSY", "PSYTHPN"], &["SDV", "VIO"]];

/// Whether two sensitivities are used for one another.
pub(super) fn are_akin(one: &Concept, other: &Concept) -> bool {
    one.akin & other.akin != 0
}

/// In which groups of sensitivities a code is that are used for one another, by the bits of all it is a kind of.
fn akin(code: &Code, kinds: u128) -> u8 {
    let is_in = |names: &[&str]| code.system == ACT_CODE && names.iter().any(|name| kinds & sensitivity_bit(name) != 0);
    AKIN.iter().enumerate().filter(|(_, names)| is_in(names)).fold(0, |bits, (place, _)| bits | 1 << place)
}

/// How far up a hierarchy is followed; deeper than any of the tables.
const HIERARCHY_DEPTH: usize = 8;

/// The abstract sensitivities, each by a bit, that a code names and that stand above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Abstracts {
    named: u8,
    above: u8,
}

impl Abstracts {
    fn of(code: &Code) -> Abstracts {
        match code.system == ACT_CODE || !code.tells_system() {
            true => Abstracts { named: abstract_named(code), above: abstracts_above(code) },
            false => Abstracts::default(),
        }
    }
}

/// The codes of v3-Confidentiality that say a kind of information, as the sensitivity of the same name.
const BY_INFORMATION: [&str; 4] = ["ETH", "HIV", "PSY", "SDV"];

fn by_information(code: &Code) -> u128 {
    let named = BY_INFORMATION.iter().find(|name| code.system == CONFIDENTIALITY && code.code.eq_ignore_ascii_case(name));
    named.map_or(0, |name| sensitivity_bit(name))
}

/// Whether it says a kind of information by its confidentiality.
pub(super) fn says_information(label: &Concept) -> bool {
    label.by_information != 0
}

/// Whether somebody who names a kind of information by its confidentiality means this label.
pub(super) fn is_by_information(named: &Concept, label: &Concept) -> bool {
    label.is_any_of(named.by_information) && label.code.system == ACT_CODE
}

/// A code placed in its hierarchies, so that "is it a kind of" is one bit test however many are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concept {
    pub code: Code,
    /// The code's own bit; 0 when it is in no hierarchy known here.
    bit: u128,
    /// The bits of the code and of everything it is a kind of.
    kinds: u128,
    abstracts: Abstracts,
    akin: u8,
    /// The sensitivity that a code of v3-Confidentiality says by the kind of information.
    by_information: u128,
    pub(super) confidentiality: Option<Confidentiality>,
}

impl Concept {
    /// Places a code.
    pub fn new(code: Code) -> Concept {
        let (bit, kinds) = place(&code);
        let (abstracts, akin, by_information) = (Abstracts::of(&code), akin(&code, kinds), by_information(&code));
        Concept { bit, kinds, abstracts, akin, by_information, confidentiality: Confidentiality::of(&code), code }
    }

    /// The level it says. Without a system it may be one, where that is a high one.
    pub(super) fn level(&self) -> Option<Confidentiality> {
        let meant = || Confidentiality::meant_by(&self.code).filter(|level| *level >= Confidentiality::Restricted);
        self.confidentiality.or_else(meant)
    }

    /// Whether `other` is this concept or a kind of it.
    pub fn covers(&self, other: &Concept) -> bool {
        self.bit & other.kinds != 0 || self.code == other.code
    }

    /// Whether the code is one of those whose bits are given, or a kind of one.
    pub(super) fn is_any_of(&self, bits: u128) -> bool {
        self.kinds & bits != 0
    }

    /// The place of a sensitivity among all of them.
    pub(super) fn sensitivity_index(&self) -> Option<usize> {
        is_sensitivity(self).then(|| self.bit.trailing_zeros() as usize)
    }

    /// Whether the code stands in a hierarchy known here.
    pub fn is_known(&self) -> bool {
        self.bit != 0
    }
}

fn place(code: &Code) -> (u128, u128) {
    match code.system.as_str() {
        ACT_REASON => purpose_bits(&code.code),
        ACT_CODE => (sensitivity_bit(&code.code), sensitivity_kinds(&code.code, HIERARCHY_DEPTH)),
        _ => (0, 0),
    }
}

fn purpose_bits(code: &str) -> (u128, u128) {
    let Some(own) = place_of_purpose(code) else { return (0, 0) };
    let (mut kinds, mut current) = (0, Some(own));
    for _ in 0..HIERARCHY_DEPTH {
        let Some(index) = current else { break };
        kinds |= 1 << index;
        current = PURPOSES.get(index).and_then(|(_, parent)| place_of_purpose(parent));
    }
    (1 << own, kinds)
}

fn sensitivity_bit(code: &str) -> u128 {
    SENSITIVITIES.iter().position(|(name, _)| *name == code).map_or(0, |index| 1 << index)
}

/// The bit of a sensitivity; every bit for one that is not known.
pub(super) fn sensitivity(code: &str) -> u128 {
    match sensitivity_bit(code) {
        0 => u128::MAX,
        bit => bit,
    }
}

fn sensitivity_kinds(code: &str, depth: usize) -> u128 {
    let parents = SENSITIVITIES.iter().find(|(name, _)| *name == code).map_or(&[][..], |(_, parents)| parents);
    let inherited = if depth == 0 { 0 } else { parents.iter().fold(0, |bits, parent| bits | sensitivity_kinds(parent, depth - 1)) };
    sensitivity_bit(code) | inherited
}

/// Every sensitivity by its code.
pub(super) fn sensitivities() -> impl Iterator<Item = &'static str> {
    SENSITIVITIES.iter().map(|(code, _)| *code)
}

/// The bits of each sensitivity and of everything it is a kind of, in the order of their bits.
pub(super) fn kinds_of_sensitivities() -> [u128; SENSITIVITY_COUNT] {
    SENSITIVITIES.map(|(code, _)| sensitivity_kinds(code, HIERARCHY_DEPTH))
}

/// Whether a label says that the data is about substance use, and so falls under 42 CFR Part 2.
pub(super) fn is_substance_use(label: &Concept) -> bool {
    label.code.system == ACT_CODE && label.kinds & sensitivity_bit("ETH") != 0
}

/// A label or a purpose of HL7's in the capitals in which all of them are written; `None` for what is none.
pub(super) fn in_capitals(system: &str, code: &str) -> Option<CompactString> {
    let capitals = code.to_ascii_uppercase();
    let is_known = match system {
        ACT_REASON => place_of_purpose(&capitals).is_some(),
        CONFIDENTIALITY => Confidentiality::of_letter(&capitals).is_some(),
        ACT_CODE => sensitivity_bit(&capitals) != 0 || BELOW.iter().any(|(_, codes)| codes.contains(&capitals.as_str())),
        _ => false,
    };
    is_known.then(|| capitals.into())
}

/// Whether a label names a sensitivity, rather than a level of confidentiality or a handling instruction.
pub(super) fn is_sensitivity(label: &Concept) -> bool {
    label.code.system == ACT_CODE && label.bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_the_same_sensitivities() {
        let mut known = SENSITIVITIES.map(|(code, _)| code);
        known.sort_unstable();
        assert_eq!(known, crate::config::SENSITIVITIES);
    }

    #[test]
    fn what_is_abstract_means_what_is_below_it() {
        let label = |code: &str| Concept::new(Code::new(ACT_CODE, code));
        for (named, below, means) in [
            ("_InformationSensitivityPolicy", "PSY", true),
            ("_InformationSensitivityPolicy", "OPIOIDUD", true),
            ("_InformationSensitivityPolicy", "ADOL", true),
            ("_InformationSensitivityPolicy", "DIA", true),
            ("INFORMATIONSENSITIVITYPOLICY", "RACE", true),
            ("_ActPolicyType", "SSP", true),
            ("_ActInformationSensitivityPolicy", "HIV", true),
            ("_ActInformationSensitivityPolicy", "ADOL", false),
            ("_EntitySensitivityPolicyType", "DOB", true),
            ("_EntitySensitivityPolicyType", "HIV", false),
            ("_RoleInformationSensitivityPolicy", "LOCIS", true),
            ("_InformationSensitivityPolicy", "NORDSCLCD", false),
            ("PSY", "HIV", false),
        ] {
            assert_eq!(is_above(&label(named), &label(below)), means, "{named} {below}");
        }
        assert!(is_above(&Concept::new(Code::new("", "_InformationSensitivityPolicy")), &label("HIV")));
        assert!(!is_above(&Concept::new(Code::new("urn:x", "_InformationSensitivityPolicy")), &label("HIV")));
        assert!(!is_above(&label("_InformationSensitivityPolicy"), &Concept::new(Code::new("urn:x", "HIV"))));
        let by_information = |code: &str| Concept::new(Code::new(CONFIDENTIALITY, code));
        for (named, below, means) in [("HIV", "HIV", true), ("ETH", "OPIOIDUD", true), ("PSY", "HIV", false), ("R", "HIV", false)] {
            assert_eq!(is_by_information(&by_information(named), &label(below)), means, "{named} {below}");
        }
        assert!(names_sensitivity(&label("_InformationSensitivityPolicy")) && !is_sensitivity(&label("_InformationSensitivityPolicy")));
    }

    #[test]
    fn kinds_follow_the_hierarchy() {
        let purpose = |code: &str| Concept::new(Code::new(ACT_REASON, code));
        let label = |code: &str| Concept::new(Code::new(ACT_CODE, code));
        for (broad, narrow, covers) in [
            (purpose("TREAT"), purpose("BTG"), true),
            (purpose("HRESCH"), purpose("CLINTRCHNPC"), true),
            (purpose("BTG"), purpose("TREAT"), false),
            (purpose("TREAT"), purpose("HPAYMT"), false),
            (purpose("HOPERAT"), purpose("MLTRAINING"), false),
            (purpose("MARKT"), purpose("HMARKT"), true),
            (purpose("HRESCH"), purpose("RSRCH"), true),
            (purpose("RESCH"), purpose("CLINTRCHNPC"), true),
            (purpose("OPERAT"), purpose("TREAT"), false),
            (label("ETH"), label("OPIOIDUD"), true),
            (label("BH"), label("ETHUD"), true),
            (label("PSY"), label("ETHUD"), false),
            (label("BH"), label("PSY"), true),
            (label("BH"), label("PSYTHPN"), true),
            (label("SPI"), label("MH"), true),
            (label("made-up"), label("made-up"), true),
        ] {
            assert_eq!(broad.covers(&narrow), covers, "{broad:?} {narrow:?}");
        }
    }
}
