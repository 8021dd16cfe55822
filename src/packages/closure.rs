//! The packages a package needs, found before anything is installed.

use super::archive::{self, Limits, Manifest, Rejected};
use super::name::Coordinates;
use std::fmt;
use std::sync::Arc;

/// How many packages may depend on one another in a row.
pub const DEPTH_MAX: usize = 32;
/// How many packages one closure may have.
pub const PACKAGES_MAX: usize = 200;

/// A package as it was brought.
#[derive(Debug, Clone)]
pub struct Brought {
    /// Shared, since what is offered may serve more than one need.
    pub bytes: Arc<Vec<u8>>,
    /// Where it came from, for the lock file: a file name or a URL.
    pub origin: String,
    /// What the source said its SHA-256 was, hexadecimal.
    pub expected_digest: Option<String>,
}

/// What a supplier says to a wish.
#[derive(Debug, Clone)]
pub enum Supply {
    Brought(Brought),
    /// It is here already.
    Here(Manifest),
    /// What it defines is part of the gateway, or is not asked for.
    Spared,
    /// There is no source that has it.
    Missing,
    /// A source has it, and what it gives out is not what it should be.
    Refused(Rejected),
}

/// A package that is to be installed.
#[derive(Debug)]
pub struct Planned {
    pub manifest: Manifest,
    pub digest: String,
    pub origin: String,
    pub bytes: Arc<Vec<u8>>,
}

/// What a closure found.
#[derive(Debug, Default)]
pub struct Plan {
    /// Dependencies before what depends on them.
    pub packages: Vec<Planned>,
    /// Wishes nobody could supply.
    pub missing: Vec<Coordinates>,
}

/// Why nothing is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplannable {
    Rejected {
        what: String,
        why: Rejected,
    },
    /// Packages that depend on one another in a circle, the first named again at the end.
    Cycle(Vec<String>),
    TooDeep,
    TooMany,
    /// The source failed: no connection, a wrong status.
    Source {
        what: String,
        problem: String,
    },
}

impl fmt::Display for Unplannable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unplannable::Rejected { what, why } => write!(f, "{what}: {why}"),
            Unplannable::Cycle(names) => {
                let circle = names.join(" → ");
                write!(
                    f,
                    "the packages depend on one another in a circle: {circle}; hearthgate package remove takes out what was added of it before"
                )
            }
            Unplannable::TooDeep => write!(f, "more than {DEPTH_MAX} packages depend on one another in a row"),
            Unplannable::TooMany => write!(f, "more than {PACKAGES_MAX} packages would be needed"),
            Unplannable::Source { what, problem } => write!(f, "{what}: {problem}"),
        }
    }
}

impl std::error::Error for Unplannable {}

/// Asks a supplier for a package and for all it needs.
pub struct Closure<'a> {
    limits: Limits,
    supply: &'a mut dyn FnMut(&Coordinates) -> Result<Supply, String>,
    plan: Plan,
    /// The packages whose dependencies are being followed.
    open: Vec<String>,
    /// The packages that are here already and whose dependencies were followed.
    followed: Vec<String>,
}

impl<'a> Closure<'a> {
    pub fn new(limits: Limits, supply: &'a mut dyn FnMut(&Coordinates) -> Result<Supply, String>) -> Closure<'a> {
        Closure { limits, supply, plan: Plan::default(), open: Vec::new(), followed: Vec::new() }
    }

    /// Adds a package that is at hand, and what it needs.
    pub fn add(&mut self, brought: Brought, expected: Option<&Coordinates>) -> Result<(), Unplannable> {
        let what = brought.origin.clone();
        let rejected = |why| Unplannable::Rejected { what: what.clone(), why };
        let digest = archive::digest(&brought.bytes);
        if let Some(expected) = brought.expected_digest.filter(|expected| !expected.eq_ignore_ascii_case(&digest)) {
            return Err(rejected(Rejected::Digest { expected, found: digest }));
        }
        let manifest = archive::judge(&brought.bytes, &self.limits).map_err(rejected)?;
        if let Some(expected) = expected.filter(|expected| !expected.is_met_by(&manifest.at)) {
            return Err(rejected(Rejected::Other { expected: expected.clone(), found: manifest.at.clone() }));
        }
        let name = manifest.at.to_string();
        if self.plan.packages.iter().any(|planned| planned.manifest.at == manifest.at) {
            return Ok(());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Unplannable::TooDeep);
        }
        if self.plan.packages.len() + self.open.len() == PACKAGES_MAX {
            return Err(Unplannable::TooMany);
        }
        self.open.push(name);
        for wish in &manifest.dependencies {
            self.need(wish)?;
        }
        self.open.pop();
        self.plan.packages.push(Planned { manifest, digest, origin: brought.origin, bytes: brought.bytes });
        Ok(())
    }

    /// Finds what a package wishes for, unless it is here.
    pub fn need(&mut self, wish: &Coordinates) -> Result<(), Unplannable> {
        let fits = |name: &str| Coordinates::parse(name).is_some_and(|at| wish.is_met_by(&at));
        if let Some(start) = self.open.iter().position(|name| fits(name)) {
            let circle = self.open.iter().skip(start).cloned();
            return Err(Unplannable::Cycle(circle.chain(self.open.get(start).cloned()).collect()));
        }
        if self.plan.packages.iter().any(|planned| fits(&planned.manifest.at.to_string())) {
            return Ok(());
        }
        match (self.supply)(wish).map_err(|problem| Unplannable::Source { what: wish.to_string(), problem })? {
            Supply::Brought(brought) => self.add(brought, Some(wish)),
            Supply::Here(manifest) => self.follow(&manifest),
            Supply::Spared => Ok(()),
            Supply::Refused(why) => Err(Unplannable::Rejected { what: wish.to_string(), why }),
            Supply::Missing => {
                if !self.plan.missing.contains(wish) {
                    self.plan.missing.push(wish.clone());
                }
                Ok(())
            }
        }
    }

    /// What is here already may need what is being added, or something that is here no more.
    fn follow(&mut self, manifest: &Manifest) -> Result<(), Unplannable> {
        let name = manifest.at.to_string();
        if self.followed.contains(&name) {
            return Ok(());
        }
        if self.open.len() == DEPTH_MAX {
            return Err(Unplannable::TooDeep);
        }
        if self.followed.len() == PACKAGES_MAX {
            return Err(Unplannable::TooMany);
        }
        self.open.push(name.clone());
        for wish in &manifest.dependencies {
            self.need(wish)?;
        }
        self.open.pop();
        self.followed.push(name);
        Ok(())
    }

    pub fn done(self) -> Plan {
        self.plan
    }
}
