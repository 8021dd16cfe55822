//! The one integration binary: stories through real sockets, laws, faults, the shape of the code.
//!
//! Each test starts what it needs on ports of the system's choosing and in a folder of its own, and leaves nothing behind unless it
//! fails.

#![expect(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test says what must hold by failing")]

mod support;

mod architecture;
mod faults;
mod fuzzed;
mod golden;
mod laws;
mod leaks;
mod mutation;
mod other_readers;
mod readme;
mod story;
mod suites;
