//! HTTP: one router per audience, each naming only the state it needs.
//!
//! In scope: [`fhir`](fhir_router) for partners, [`ledger`](ledger_router) for whoever verifies, [`witness`](witness_router) for other logs, [`admin`](admin_router) for operators;
//! content negotiation, headers, status. Out of scope: every decision. The routers turn requests into interactions, call the two paths,
//! and render what those answer; `problem` renders everything else.

mod admin;
mod batch;
mod capability;
mod cds;
mod consent;
mod fhir;
mod large;
mod ledger;
mod negotiate;
mod refusing;
mod render;
mod sign_off;
mod signing;
mod token;
mod trail;
mod validate;
mod witness;

pub use admin::{AdminState, Reload, ReloadRequest, Reloaded, router as admin_router};
pub use cds::router as cds_router;
pub use fhir::{FhirState, Shared, router as fhir_router};
pub use large::Room;
pub use ledger::{LedgerState, router as ledger_router};
pub use token::{TokenState, router as token_router};
pub use witness::{WitnessState, router as witness_router};
