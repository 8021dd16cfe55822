//! What the gateway judges by: its own definitions, packages from the cache, and a terminology server.

use super::{Fault, FaultKind, Path, Settings};
use crate::clock::Clock;
use crate::config::limits::MAX_POLICY_FILE_BYTES;
use crate::config::read_bounded;
use crate::consent::Labeller;
use crate::definitions::Definitions;
use crate::packages::{Cache, Coordinates};
use crate::terminology::{Reach, Server};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What tells how sensitive records are: the list of the configuration, or the one that comes with the gateway.
pub fn labeller(settings: &Settings) -> Result<Labeller, Fault> {
    let Some(path) = &settings.consent.sensitivities_file else { return Ok(Labeller::built_in().clone()) };
    let broken = |problem: String| Fault::new(FaultKind::Internal, format!("[consent] sensitivities_file: {problem}"));
    let list = read_bounded(path, MAX_POLICY_FILE_BYTES).map_err(broken)?;
    Labeller::parse(&list).map_err(|error| broken(format!("line {}: {}", error.line, error.problem)))
}

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

/// Every profile that is asked of a source is in hand and for the type it is asked of. Otherwise all that the source sends would be refused.
pub fn profiles_are_in_hand(settings: &Settings, definitions: &Definitions) -> Result<(), Fault> {
    for (name, source) in &settings.sources {
        let asked = source.validate.profiles.iter().flat_map(|(type_name, urls)| urls.iter().map(move |url| (type_name, url)));
        for (type_name, url) in asked {
            let fits = definitions.profile(url).is_some_and(|profile| definitions.types().is_kind_of(type_name, &profile.type_name));
            if !fits {
                let text = format!(
                    "[source.{name}.validate] profiles: {url} is no profile in hand for {type_name}; [definitions] packages adds the package that has it"
                );
                return Err(Fault::new(FaultKind::Internal, text));
            }
        }
    }
    Ok(())
}
