//! The definitions that a run is asked to judge by: packages, and files that stand alone.

use super::{ValidateArguments, inputs, release};
use crate::command::named;
use crate::definitions::Definitions;
use crate::fhir::{Node, json};
use crate::packages::{CacheError, Coordinates, Limits, with_neighbours};
use crate::validate::reading;
use std::path::{Path, PathBuf};

/// Where a package says what it is.
const MANIFESTS: [&str; 2] = ["package.json", "package/package.json"];

/// The definitions beyond the embedded ones; none when none are asked for.
pub fn definitions(arguments: &ValidateArguments) -> Result<Option<Definitions>, String> {
    if arguments.packages.is_empty() && arguments.definitions.is_empty() && arguments.fhir_version.starts_with("4.0") {
        return Ok(None);
    }
    let (mut packages, mut alone) = (Vec::new(), arguments.definitions.clone());
    for given in &arguments.packages {
        match standing_alone(Path::new(given)).map_err(|error| format!("{given}: {error}"))? {
            Some(files) => alone.extend(files),
            None => packages.extend(located(given, arguments)?),
        }
    }
    let folders: Vec<&Path> = packages.iter().map(PathBuf::as_path).collect();
    let mut definitions = release::definitions(&arguments.fhir_version, &folders, &arguments.cache, arguments.schema.is_some())?;
    let single: Vec<Node> = alone.iter().map(|file| read(file, &definitions)).collect::<Result<_, _>>()?;
    definitions.add(&single);
    Ok(Some(definitions))
}

fn read(file: &Path, definitions: &Definitions) -> Result<Node, String> {
    let bytes = inputs::definition(file).map_err(|error| error.text)?;
    let read = reading::read(&bytes, is_of(file, "xml"), json::DEFAULT_DEPTH, definitions.types(), true);
    read.map(|(node, _)| node).map_err(|finding| format!("{}: {}", file.display(), finding.text))
}

/// The files with definitions that are given in the place of a package: one, or those of a folder that says of itself nowhere that it is a package.
fn standing_alone(given: &Path) -> std::io::Result<Option<Vec<PathBuf>>> {
    let is_definition = |path: &Path| is_of(path, "json") || is_of(path, "xml");
    if given.is_file() {
        return Ok(is_definition(given).then(|| vec![given.to_owned()]));
    }
    if !given.is_dir() || MANIFESTS.iter().any(|manifest| given.join(manifest).exists()) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(given)? {
        let path = entry?.path();
        if is_definition(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(Some(files).filter(|files| !files.is_empty()))
}

fn is_of(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// The files or folders of a package: itself with what it needs and lies beside it, or from the cache with all it needs.
fn located(package: &str, arguments: &ValidateArguments) -> Result<Vec<PathBuf>, String> {
    let path = PathBuf::from(package);
    if path.exists() {
        named::check(&path).map_err(|error| format!("{package}: {error}"))?;
        return Ok(with_neighbours(&path, &Limits::default()));
    }
    let wish = Coordinates::parse(package).ok_or_else(|| format!("{package}: there is no such file, folder or package"))?;
    let found = arguments.cache.open()?.with_dependencies(&wish);
    found.map_err(|error| match error {
        CacheError::NotHere(_) => format!("{error}; add it with: hearthgate package add"),
        // What else is wrong says itself what helps.
        _ => error.to_string(),
    })
}
