//! What goes wrong: hostile input, races, crashes, storage that fails.

mod consents;
mod counted;
mod damaged;
mod drain;
mod full;
mod hidden_damage;
mod input;
mod keys;
mod kill;
mod mirror;
mod noted;
mod owed;
mod people;
mod race;
mod replay;
mod restored;
mod revocation;
mod rows;
mod steps;
mod storage;
mod tampered;
