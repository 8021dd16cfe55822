//! What the gateway is for, told over its own interface: who sends what, what comes back, what somebody else then sees.

mod bundles;
mod formats;
mod reading;
mod searching;
mod writing;
