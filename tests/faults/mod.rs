//! What goes wrong: hostile input, races, crashes, storage that fails.

mod drain;
mod input;
mod kill;
mod race;
mod replay;
mod steps;
mod revocation;
mod storage;
