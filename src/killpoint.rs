//! Places at which the process can be made to die, so that tests can try a crash at every step of the very build that is shipped.
//!
//! `HEARTHGATE_DIE_AT=step` ends the process when it reaches that step the first time, `HEARTHGATE_DIE_AT=step:n` the n-th time; without any
//! tidying, as a power failure or `kill -9` would. Whoever sets a process's environment can end it in other ways too, so this gives nobody a power.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks a step. Steps are named where they are, and listed in `tests/faults/steps.rs`.
pub fn reached(step: &str) {
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("HEARTHGATE_DIE_AT").ok()?;
        let (name, number) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), number.parse().ok()?))
    });
    if let Some((name, number)) = wanted
        && name == step
        && COUNT.fetch_add(1, Ordering::Relaxed) + 1 == *number
    {
        std::process::abort();
    }
}
