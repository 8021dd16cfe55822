//! Why data are asked for: the codes of the value set v3-PurposeOfUse.

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::fmt;

/// The code system of purposes of use.
pub const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// Every code under `PurposeOfUse` in the v3-ActReason of R4, sorted.
const CODES: &[&str] = &[
    "BIORCH",
    "BTG",
    "CAREMGT",
    "CLINTRCH",
    "CLINTRCHNPC",
    "CLINTRCHPC",
    "CLINTRL",
    "CLMATTCH",
    "COC",
    "COVAUTH",
    "COVERAGE",
    "DISASTER",
    "DONAT",
    "DSRCH",
    "ELIGDTRM",
    "ELIGVER",
    "ENROLLM",
    "ERTREAT",
    "ETREAT",
    "FAMRQT",
    "FRAUD",
    "GOV",
    "HACCRED",
    "HCOMPL",
    "HDECD",
    "HDIRECT",
    "HDM",
    "HLEGAL",
    "HMARKT",
    "HOPERAT",
    "HOUTCOMS",
    "HPAYMT",
    "HPRGRP",
    "HQUALIMP",
    "HRESCH",
    "HSYSADMIN",
    "HTEST",
    "LABELING",
    "MEMADMIN",
    "METAMGT",
    "MILCDM",
    "MILDCRG",
    "PATADMIN",
    "PATRQT",
    "PATSFTY",
    "PERFMSR",
    "POARCH",
    "POPHLTH",
    "PRECLINTRCH",
    "PUBHLTH",
    "PWATRNY",
    "RECORDMGT",
    "REMITADV",
    "SUPNWK",
    "SYSDEV",
    "THREAT",
    "TRAIN",
    "TRANSRCH",
    "TREAT",
];

/// One purpose of use: `TREAT`, `HRESCH`. What includes what is for `consent` to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Purpose(&'static str);

impl Purpose {
    /// Treatment.
    pub const TREATMENT: Purpose = Purpose("TREAT");

    /// The purpose of a code, `None` when v3-PurposeOfUse has no such code.
    pub fn from_code(code: &str) -> Option<Purpose> {
        CODES.binary_search(&code).ok().and_then(|index| CODES.get(index)).map(|code| Purpose(code))
    }

    /// The code in [`SYSTEM`].
    pub fn code(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for Purpose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Purpose, D::Error> {
        let code = String::deserialize(deserializer)?;
        Purpose::from_code(&code)
            .ok_or_else(|| D::Error::custom("must be a code of the value set v3-PurposeOfUse, such as TREAT or HRESCH"))
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found() {
        assert!(CODES.is_sorted(), "the search needs the table sorted");
        assert_eq!(Purpose::from_code("TREAT"), Some(Purpose::TREATMENT));
        for code in CODES {
            assert_eq!(Purpose::from_code(code).map(Purpose::code), Some(*code));
        }
        for unknown in ["", "treat", "TREAT ", "PurposeOfUse", "MARKT"] {
            assert_eq!(Purpose::from_code(unknown), None, "{unknown}");
        }
    }
}
