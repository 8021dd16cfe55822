//! The way out: asking holders, and delivering what was accepted to those who subscribed.
//!
//! In scope: the HTTP client towards other FHIR servers with every bound it needs, the outbox worker. Out of scope: whether something may
//! leave (`consent` makes the [`Permitted`](crate::consent::Permitted) that a delivery needs), and merging what holders answer (`query`).
//!
//! Invariants:
//! * Redirects are never followed, so credentials go to the configured base and nowhere else.
//! * A body is read up to the holder's limit and no further; a page link is followed only below the holder's own base, a bounded number of times.
//! * Nothing a holder says reaches a caller as it is: not its errors, headers, links or totals.
//! * A holder that fails five times in a row is left alone for ten seconds; at most one question in ten is asked twice, and reads alone.
//! * What a holder's capability statement does not offer is not asked of it; the filters it does not know are applied here.
//! * A delivery is made at least once, in order per patient and destination, under a key that never changes.

mod capability;
mod delivery;
mod health;
mod upstream;

pub use capability::Capabilities;
pub use delivery::{Courier, DeliveryJudge, Release, Sent};
pub use upstream::{Peer, Upstream, UpstreamProblem};
