//! What the gateway judges by: its own definitions, packages from the cache, and a terminology server.

use super::{Fault, FaultKind, Path, Settings};
use crate::clock::Clock;
use crate::definitions::Definitions;
use crate::packages::{Cache, Coordinates};
use crate::terminology::{Reach, Server};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The terminology server of the configuration, if it names one.
pub fn terminology(settings: &Settings, clock: &Clock) -> Result<Option<Arc<Server>>, Fault> {
    let Some(configured) = &settings.terminology else { return Ok(None) };
    let reach = Reach {
        url: configured.url.as_str().to_owned(),
        time_out: Duration::from_millis(configured.timeout_ms),
        keep_for: Duration::from_secs(configured.keep_s),
    };
    Server::new(reach, clock.clone()).map(|server| Some(Arc::new(server)))
}

/// The definitions that the configuration asks for: the embedded ones, or those with its packages from the cache.
pub fn definitions(settings: &Settings) -> Result<&'static Definitions, Fault> {
    let wanted = &settings.definitions;
    if wanted.packages.is_empty() {
        return Ok(Definitions::embedded());
    }
    let fault = |problem: String| Fault::new(FaultKind::Internal, format!("[definitions] packages: {problem}"));
    let cache = wanted
        .cache_dir
        .clone()
        .map(Cache::new)
        .or_else(Cache::shared)
        .ok_or_else(|| fault("there is no home folder; set cache_dir".into()))?;
    let mut folders = Vec::new();
    for package in &wanted.packages {
        let wish = Coordinates::parse(package).ok_or_else(|| fault(format!("{package} is no NAME#VERSION")))?;
        let needed = cache.with_dependencies(&wish).map_err(|error| fault(error.to_string()))?;
        folders.extend(needed.into_iter().filter(|folder| !folders.contains(folder)).collect::<Vec<_>>());
    }
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let definitions = Definitions::with_packages(&folders).map_err(|error| fault(error.to_string()))?;
    // A process reads its definitions once and keeps them to its end.
    Ok(Box::leak(Box::new(definitions)))
}
