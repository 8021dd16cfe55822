//! `hearthgate demo`: two hospitals, a laboratory and a regulator around one gateway, told as a story.
//!
//! In scope: people to play with (hospitals with servers, partners that call), invented records, the story and how it looks. Out of scope:
//! everything the gateway does. The gateway of the story is the real one, built by `wire`, spoken to through sockets, with keys drawn at the start.
//!
//! Invariants: the story says what was answered, never what was meant to be; what differs from what was expected is said and counted; nothing is left
//! behind on the disk.

mod ending;
pub mod forwarded;
mod hospital;
pub mod latencies;
mod partner;
mod records;
mod scene;
mod stages;
mod story;
mod teller;
mod view;

pub use hospital::serve_alone;
pub use records::BundleFile;

use crate::clock::{Clock, Entropy};
use crate::outcome::Fault;
use scene::Scene;
use stages::StageTimes;
use std::io::Write;
use story::Story;
use teller::Teller;

/// Tells the story with these bundles as hospital A's, or with the embedded one. Answers whether everything went as told.
///
/// The story is about the first patient of the bundles who has a social security number; when there is none, the embedded bundle is sent as well.
pub async fn tell(mut bundles: Vec<BundleFile>, out: &mut dyn Write, clock: Clock, entropy: Entropy) -> Result<bool, Fault> {
    let stages = StageTimes::listen(clock.clone());
    let found = bundles.iter().enumerate().find_map(|(index, bundle)| Some((index, bundle.person()?)));
    let (home, person) = match found {
        Some(found) => found,
        None => {
            bundles.push(BundleFile::embedded());
            let broken = || Fault::new(crate::outcome::FaultKind::Internal, "the embedded bundle names no patient");
            (bundles.len() - 1, bundles.last().and_then(BundleFile::person).ok_or_else(broken)?)
        }
    };
    let mut teller = Teller::new(out);
    teller.say("hearthgate: two hospitals, a laboratory and a regulator around one gateway, all on this machine.");
    teller.say("The keys were drawn a moment ago, the sockets are real, the people are invented, and nothing is left behind.");
    let scene = Scene::open(&person, &clock, &entropy).await?;
    Story::new(teller, scene, stages, person).tell(&bundles, home).await
}
