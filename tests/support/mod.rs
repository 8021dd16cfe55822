//! What the tests stand on: a gateway in a folder of its own, the parties that call it, the systems behind it, and the data they send.

pub mod at_rest;
pub mod bucket;
pub mod chance;
pub mod data;
pub mod folder;
pub mod holder;
pub mod keys;
pub mod party;
pub mod process;
pub mod signing;
pub mod two_patients;
pub mod world;

pub use at_rest::AtRest;
pub use folder::Folder;
pub use party::{Answer, Call, Party};
pub use world::{Setup, World};

use std::time::{Duration, Instant};

/// How long anything that happens on its own may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something holds; says what was waited for when it never does.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
