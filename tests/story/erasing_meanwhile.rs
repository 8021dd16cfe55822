//! A package that is made while something of its trail is erased proves what it has.

use super::erasing::Case;
use crate::support::Call;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many packages are made meanwhile.
const PACKAGES: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_made_while_something_is_erased_verifies() {
    let case = Case::new().await;
    let of = format!("Patient/{}", case.first);
    let is_done = AtomicBool::new(false);
    let erasing = async {
        let mut erased = 0;
        while !is_done.load(Ordering::Relaxed) {
            let path = case.created(&case.noted(&case.first, "meanwhile")).await;
            case.officer.call(Call::new("POST", &format!("{path}/$erase"))).await.expect(200);
            erased += 1;
        }
        erased
    };
    let packing = async {
        for _ in 0..PACKAGES {
            // Where too much was erased meanwhile it is asked for again.
            let made = case.regulator.get(&format!("{of}/$provenance-trail?_format=application/zip")).await;
            if made.status != 503 {
                let report = hearthgate::evidence::verify(&made.expect(200).bytes, &case.world.policy(), &Default::default()).unwrap();
                assert_eq!(report.problems, Vec::<String>::new());
            }
        }
        is_done.store(true, Ordering::Relaxed);
    };
    let (erased, ()) = tokio::join!(erasing, packing);
    assert!(erased > 0);
    case.report(&of).await;
}
