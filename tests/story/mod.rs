//! What the gateway is for, told over its own interface: who sends what, what comes back, what somebody else then sees.

mod audit;
mod bundles;
mod consent;
mod desk;
mod formats;
mod holders;
mod identity;
mod ledger;
mod linked;
mod metadata;
mod normalising;
mod operating;
mod operations;
mod people;
mod provenance;
mod push;
mod reading;
mod receipts;
mod reloading;
mod results;
mod searching;
mod shared_replay;
mod sign_off;
mod trail;
mod witness;
mod writing;
