//! The data of a gateway that was stopped, to be changed behind it and put back.

use super::process::hearthgate;
use super::{Folder, World};
use hearthgate::clock::Clock;
use hearthgate::config::Settings;
use rusqlite::Connection;
use std::path::PathBuf;

pub struct AtRest {
    folder: Folder,
    settings: Settings,
    pub data: PathBuf,
    key: String,
    whole: Vec<u8>,
}

impl AtRest {
    /// Stops a gateway. Nothing is wrong with what it leaves.
    pub async fn of(world: World) -> AtRest {
        let at_rest = AtRest::left_by(world).await;
        let (code, told) = at_rest.fsck();
        assert_eq!((code, told.contains("seals: ")), (Some(0), true), "what was erased is not missed: {told}");
        at_rest
    }

    /// Stops a gateway, whatever it leaves.
    pub async fn left_by(world: World) -> AtRest {
        let key = world.running.verifier_key.trim().to_owned();
        let (folder, settings) = world.stop().await;
        let data = settings.storage.data_dir.clone();
        let whole = std::fs::read(data.join("data.db")).unwrap();
        AtRest { folder, settings, data, key, whole }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What `ledger fsck --data` answers and says.
    pub fn fsck(&self) -> (Option<i32>, String) {
        self.fsck_with(&[])
    }

    pub fn fsck_with(&self, more: &[&str]) -> (Option<i32>, String) {
        let (log, data) = (self.data.join("ledger").display().to_string(), self.data.display().to_string());
        let told = hearthgate(&[&["ledger", "fsck", &log, "--data", &data, "--key", &self.key], more].concat(), &self.data);
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    }

    /// Looks for something that this change is named by, and takes the change back.
    pub fn check(&self, change: &str, says: &str) {
        self.change(change);
        let (code, told) = self.fsck();
        assert_eq!((code, told.contains(says)), (Some(1), true), "{change}: {told}");
        self.put_back();
    }

    pub fn change(&self, sql: &str) {
        Connection::open(self.data.join("data.db")).unwrap().execute_batch(sql).unwrap();
    }

    pub fn put_back(&self) {
        std::fs::write(self.data.join("data.db"), &self.whole).unwrap();
    }

    /// The first column of the first row that a query finds.
    pub fn asked(&self, sql: &str) -> i64 {
        Connection::open(self.data.join("data.db")).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Starts a gateway on it.
    pub async fn start(self) -> World {
        World::try_open(self.folder, self.settings, Clock::system()).await.unwrap_or_else(|(_, fault)| panic!("{fault}"))
    }
}
