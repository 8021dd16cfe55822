//! Which definitions a release is judged by.

use super::super::neighbours;
use super::{ValidateArguments, options};
use crate::clock::Clock;
use crate::command::named;
use crate::command::package::CacheArgument;
use crate::definitions::Definitions;
use crate::fhir::types::TypeTable;
use crate::fhir::{Node, Release};
use crate::normalise::versions::other_releases;
use crate::outcome::{Finding, IssueType, Severity};
use crate::packages::Coordinates;
use crate::terminology::{Reach, Server};
use crate::validate::shape::Shapes;
use crate::validate::{Options, check};
use std::path::Path;
use std::time::Duration;

/// What judges one run's documents.
pub struct Judge<'a> {
    definitions: &'a Definitions,
    options: Options,
    /// What documents of a release are held to whose definitions are not in hand.
    shapes: Option<Shapes>,
    /// A terminology server, with what waits for its answers.
    server: Option<(Server, tokio::runtime::Runtime)>,
}

/// How long one answer of a terminology server may take.
const TX_TIME_OUT: Duration = Duration::from_secs(20);
/// How long its answers hold: longer than any run.
const TX_KEEP_FOR: Duration = Duration::from_secs(86_400);

impl<'a> Judge<'a> {
    /// With definitions that were loaded, or with the embedded ones.
    pub fn new(loaded: Option<&'a Definitions>, arguments: &ValidateArguments) -> Result<Judge<'a>, String> {
        let server = if arguments.tx == "n/a" { None } else { Some(server(&arguments.tx)?) };
        let shapes = if is_by_schema(arguments, loaded) { arguments.schema.as_deref().map(shapes).transpose()? } else { None };
        Ok(Judge { definitions: loaded.unwrap_or_else(|| Definitions::embedded()), options: options(arguments), shapes, server })
    }

    pub fn definitions(&self) -> &Definitions {
        self.definitions
    }

    /// Whether documents are held to a JSON Schema.
    pub fn is_by_schema(&self) -> bool {
        self.shapes.is_some()
    }

    /// Judges a resource of a file; where references are followed, beside the files that they lead to.
    pub fn check(&self, file: &Path, is_xml: bool, resource: &Node) -> Vec<Finding> {
        if let Some(shapes) = &self.shapes {
            return shapes.check(resource);
        }
        let followed = self.options.neighbours.is_some();
        let own = (followed || is_xml).then(|| Options {
            neighbours: followed.then(|| neighbours::of(file, resource)),
            from_xml: is_xml,
            ..self.options.clone()
        });
        let options = own.as_ref().unwrap_or(&self.options);
        let found = match &self.server {
            Some((server, runtime)) => runtime.block_on(server.examine(self.definitions, resource, options)),
            None => check(self.definitions, resource, options),
        };
        self.of_other_releases(resource).into_iter().chain(found).collect()
    }

    /// What is said of a resource, and of the entries of a Bundle, that are judged as R4 and written in another release.
    fn of_other_releases(&self, resource: &Node) -> Vec<Finding> {
        let types = self.definitions.types();
        if !types.version.starts_with("4.0") {
            return Vec::new();
        }
        let entries = resource.items("entry").iter().enumerate().filter_map(|(index, entry)| {
            let told = judged_as_r4(entry.get("resource")?, types)?;
            Some(told.under(&format!("Bundle.entry[{index}].resource")))
        });
        judged_as_r4(resource, types).into_iter().chain(entries.filter(|_| resource.resource_type() == Some("Bundle"))).collect()
    }
}

fn judged_as_r4(resource: &Node, types: &TypeTable) -> Option<Finding> {
    let releases = other_releases(resource, types);
    let text = match releases.as_slice() {
        [] => return None,
        [one @ (Release::R4B | Release::R5)] => {
            let (name, number) = (one.name(), one.number());
            format!("This is written in FHIR {name}, and was judged as R4; --fhir-version {number} judges it by its own release")
        }
        several => {
            let names: Vec<&str> = several.iter().map(|release| release.name()).collect();
            format!("This is written in FHIR {}, and was judged as R4", names.join(" or "))
        }
    };
    let at = resource.resource_type().and_then(|name| types.resource(name)).map_or("Resource", |definition| definition.name.as_str());
    Some(Finding::new(Severity::Warning, IssueType::NotSupported, "version-judged-as-r4", text).at(at.to_owned()))
}

/// Whether a release other than R4 is asked for whose definitions were not loaded.
fn is_by_schema(arguments: &ValidateArguments, loaded: Option<&Definitions>) -> bool {
    let is_it = |loaded: &Definitions| loaded.types().version.starts_with(&arguments.fhir_version);
    !arguments.fhir_version.starts_with("4.0") && !loaded.is_some_and(is_it)
}

fn shapes(file: &Path) -> Result<Shapes, String> {
    let bytes = named::bytes(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Shapes::read(&bytes).map_err(|problem| format!("{}: {problem}", file.display()))
}

fn server(url: &str) -> Result<(Server, tokio::runtime::Runtime), String> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err("--tx takes the URL of a terminology server, or n/a".to_owned());
    }
    let reach = Reach { url: url.to_owned(), time_out: TX_TIME_OUT, keep_for: TX_KEEP_FOR };
    let server = Server::new(reach, Clock::system()).map_err(|fault| fault.to_string())?;
    // Several workers wait on it at the same time.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|error| error.to_string())?;
    Ok((server, runtime))
}

/// The core package of each release that is not embedded.
const CORE: [(&str, &str); 2] = [("4.3", "hl7.fhir.r4b.core"), ("5.0", "hl7.fhir.r5.core")];

/// The definitions of a release, and of the packages on top of it. The core of a release other than R4 is one of those packages, or in the cache.
pub fn definitions(version: &str, packages: &[&Path], cache: &CacheArgument, has_schema: bool) -> Result<Definitions, String> {
    if version.starts_with("4.0") {
        return Definitions::with_packages(packages).map_err(|error| error.to_string());
    }
    let (release, core) =
        CORE.iter().find(|(release, _)| version.starts_with(release)).ok_or("--fhir-version: 4.0, 4.3 and 5.0 are known")?;
    let mut folders: Vec<&Path> = Vec::new();
    let cached = Coordinates::parse(&format!("{core}#{release}.x")).and_then(|wish| cache.open().ok()?.find(&wish).ok());
    folders.extend(cached.as_deref());
    folders.extend(packages);
    let definitions = Definitions::of_release(version, &folders).map_err(|error| error.to_string())?;
    match definitions {
        Some(definitions) => Ok(definitions),
        None if has_schema => Definitions::with_packages(&[]).map_err(|error| error.to_string()),
        None => Err(format!(
            "the definitions of FHIR {release} are not in hand; add them with: hearthgate package add {core}#{release}.0 --registry URL, \
             or give --package, or --schema for the shape alone"
        )),
    }
}
