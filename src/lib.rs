//! hearthgate
pub mod fhir;
pub mod outcome;
