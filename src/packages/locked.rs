//! The lock file: which archives the cache was filled from, by their digests, so that another machine can be filled alike.

use super::name::Coordinates;
use serde::{Deserialize, Serialize};

/// The file's name, beside the packages.
pub const FILE: &str = "hearthgate.lock";

/// The lock file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// By name, then version.
    #[serde(default, rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    pub name: String,
    pub version: String,
    /// SHA-256 of the archive, hexadecimal.
    pub sha256: String,
    /// SHA-256 over the paths and digests of its files, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A file name or a URL.
    pub origin: String,
    #[serde(default)]
    pub dependencies: Vec<String>,
}

impl Locked {
    pub fn read(text: &str) -> Result<Locked, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    pub fn write(&self) -> String {
        // Lists of tables of strings are what TOML can always hold.
        toml::to_string(self).unwrap_or_default()
    }

    pub fn find(&self, at: &Coordinates) -> Option<&LockedPackage> {
        self.packages.iter().find(|one| one.name == at.name && one.version == at.version)
    }

    pub fn put(&mut self, package: LockedPackage) {
        self.packages.retain(|one| (&one.name, &one.version) != (&package.name, &package.version));
        self.packages.push(package);
        self.packages.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| super::name::compare(&a.version, &b.version)));
    }

    pub fn remove(&mut self, at: &Coordinates) {
        self.packages.retain(|one| one.name != at.name || one.version != at.version);
    }
}
