//! The functions that every resource, question or leaf goes through, each timed alone: `cargo bench`, or `cargo bench -- json` for a part.
//!
//! Inputs are the repository's fixtures, and the larger corpus where it lies beside the repository. Whole requests over sockets are
//! `deploy/measure.sh`.

#![expect(clippy::expect_used, reason = "a benchmark whose inputs are not there has nothing to measure")]

mod accept;
mod consent;
mod documents;
mod fhirpath;
mod ledger;
mod real;

use criterion::{criterion_group, criterion_main};

/// The one that `hearthgate` runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(
    benches,
    documents::json,
    documents::judgement,
    documents::synthetic_mix,
    documents::bundles,
    fhirpath::invariants,
    consent::decisions,
    ledger::tree,
    accept::pieces,
    accept::transaction
);
criterion_main!(benches);
