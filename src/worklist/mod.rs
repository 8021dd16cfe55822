//! What the gateway cannot decide and a person must: items found while a submission is accepted, each a FHIR Task.
//!
//! In scope: which findings become items, what makes two of them the same, and the Task that says it. Out of scope: storing and counting them
//! (`store`, in the same unit as the acceptance), showing them (`query`, for operators only), what an operator does about them (`api`).
//!
//! Invariants: pure. A Task refers to records, it never copies them: it holds codes, units and names of sources, and text only where it cannot be
//! a person's. At most [`MAX_ITEMS`] items come of one submission.

mod found;
mod item;

pub use found::{MAX_ITEMS, items, late_result, refused};
pub use item::{Item, KINDS, Kind, STATUS_DONE, STATUS_IGNORED, STATUS_OPEN, SYSTEM, may_be_personal, resolved, text_input};
