//! Places at which a test build can be made to die, so that tests can try a crash at every step. In a release build they are nothing.
//!
//! `HEARTHGATE_DIE_AT=step` ends the process when it reaches that step the first time, `HEARTHGATE_DIE_AT=step:n` the n-th time; without any
//! tidying, as a power failure or `kill -9` would.

/// Marks a step. Steps are named where they are, and listed in `tests/faults/steps.rs`.
#[cfg(debug_assertions)]
pub fn reached(step: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
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

/// Marks a step: nothing here.
#[cfg(not(debug_assertions))]
pub fn reached(_step: &str) {}
