//! hearthgate: a FHIR interoperability gateway.
//!
//! EHRs and laboratories push resources to it and query each other through it. It normalises what they send, validates it, anchors every
//! version in a transparency log, and lets nothing pass between two systems that the patient's consent does not permit.
//!
//! The rooms, in the order data meets them. Arrows between them point down this list's layers; a test reads the imports and says so.
//!
//! * Ground: [`outcome`] (the four kinds of "no"), [`fhir`] (the document model), [`clock`] (time and randomness), [`ledger`] (the tree), [`sign`] (signatures on records and requests),
//!   [`killpoint`] (where tests let it die).
//! * What is known: [`definitions`], [`packages`], [`config`], [`search`], [`store`], [`registry`], [`identity`], [`audit`].
//! * Stages: [`intake`] → [`normalise`] → [`validate`] → [`anchor`] → [`consent`] → [`forward`]; beside them [`evidence`], the package that proves a trail,
//!   and [`terminology`], which is asked what definitions cannot say.
//! * What people must decide: [`worklist`], and who is who: [`person`].
//! * What is told to others: [`problem`].
//! * The two paths: [`pipeline`] (one accepted submission) [`query`] (one answered question)
//!   and [`trail`] (what is on record, told and proved).
//! * The edge: [`api`], [`wire`], [`demo`], and the command line.
//!
//! What always holds is in `ARCHITECTURE.md`, each line with the code that keeps it and the test that would notice.

pub mod anchor;
pub mod api;
pub mod audit;
pub mod clock;
pub mod command;
pub mod config;
pub mod consent;
pub mod definitions;
pub mod demo;
pub mod evidence;
pub mod fhir;
pub mod forward;
pub mod identity;
pub mod intake;
pub mod killpoint;
pub mod ledger;
pub mod normalise;
pub mod outcome;
pub mod packages;
pub mod person;
pub mod pipeline;
pub mod problem;
pub mod query;
pub mod registry;
pub mod search;
pub mod sign;
pub mod store;
pub mod terminology;
pub mod trail;
pub mod validate;
pub mod wire;
pub mod worklist;
