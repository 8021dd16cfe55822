//! The cache folder: `<name>#<version>/package/…`, `packages.ini`, a lock per package while it is written, and the lock file of digests.

use super::archive::{self, Limits, Manifest};
use super::closure::Planned;
use super::content::Content;
use super::locked::{FILE, Locked, LockedPackage};
use super::name::{Coordinates, compare};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The layout this cache has, as other tools count it.
const LAYOUT: &str = "[cache]\nversion = 4\n";

/// A lock that is older was left by a process that is gone.
pub const LOCK_STALE_AFTER: Duration = Duration::from_secs(600);

/// A folder of packages.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A package of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: Coordinates,
    /// SHA-256 of its archive, if it was added by this program.
    pub digest: Option<String>,
    /// Whether its manifest is there and names it.
    pub is_whole: bool,
}

/// Why the cache cannot do what it was asked.
#[derive(Debug)]
pub enum CacheError {
    Io(PathBuf, io::Error),
    /// Another archive stands under this name and version.
    Conflict {
        at: Coordinates,
        here: String,
        given: String,
    },
    /// A process is at it.
    Busy(Coordinates),
    NotHere(Coordinates),
    /// The folder is there, its manifest is not.
    HalfWritten(Coordinates),
    /// What it holds is not what was added.
    Altered(Coordinates),
    LockFile(String),
    /// Packages that are here depend on it.
    Needed {
        at: Coordinates,
        by: Vec<String>,
    },
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CacheError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            CacheError::Conflict { at, here, given } => {
                write!(
                    f,
                    "{at} is here already from an archive with the digest {here}; the one given has {given}. Remove it first if it is to be replaced"
                )
            }
            CacheError::Busy(at) => write!(f, "{at} is being added by another process"),
            CacheError::NotHere(at) => write!(f, "{at} is not in the cache"),
            CacheError::HalfWritten(at) => write!(f, "{at} is in the cache only in part; add it again or remove it"),
            CacheError::Altered(at) => {
                write!(f, "{at} was altered in the cache after it was added; add it again, or remove it")
            }
            CacheError::LockFile(problem) => write!(
                f,
                "{FILE} cannot be read: {problem}. Mend it or remove it; without it, the packages that are here count as added by another tool"
            ),
            CacheError::Needed { at, by } => write!(f, "{at} is needed by {}", by.join(", ")),
        }
    }
}

impl std::error::Error for CacheError {}

fn at_path(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |error| CacheError::Io(path.to_owned(), error)
}

impl Cache {
    pub fn new(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// `~/.fhir/packages`, the folder that FHIR tools share. `None` without a home.
    pub fn shared() -> Option<Cache> {
        std::env::home_dir().filter(|home| !home.as_os_str().is_empty()).map(|home| Cache::new(home.join(".fhir/packages")))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn folder(&self, at: &Coordinates) -> PathBuf {
        self.root.join(at.to_string())
    }

    /// Every package, by name and then by version.
    pub fn list(&self) -> Result<Vec<Entry>, CacheError> {
        let locked = self.locked()?;
        let mut entries = Vec::new();
        let folders = match fs::read_dir(&self.root) {
            Ok(folders) => folders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
            Err(error) => return Err(CacheError::Io(self.root.clone(), error)),
        };
        for folder in folders {
            let folder = folder.map_err(at_path(&self.root))?;
            let name = folder.file_name().to_string_lossy().into_owned();
            let Some(at) = name.contains('#').then(|| Coordinates::parse(&name)).flatten() else { continue };
            if folder.path().is_dir() {
                let is_whole = self.manifest(&at).is_some();
                entries.push(Entry { digest: locked.find(&at).map(|one| one.sha256.clone()), at, is_whole });
            }
        }
        entries.sort_by(|a, b| a.at.name.cmp(&b.at.name).then_with(|| compare(&a.at.version, &b.at.version)));
        Ok(entries)
    }

    /// The manifest of a package that is here and whole. Others write versions into folder names that packages do not state; the name must agree.
    pub fn manifest(&self, at: &Coordinates) -> Option<Manifest> {
        let bytes = fs::read(self.folder(at).join("package/package.json")).ok()?;
        archive::read_manifest(&bytes, &Limits::default()).ok().filter(|manifest| manifest.at.name == at.name)
    }

    /// The folder with a package's definitions; the wish may be for the latest or a line of versions.
    pub fn find(&self, wish: &Coordinates) -> Result<PathBuf, CacheError> {
        let entries = self.list()?;
        let versions = entries.iter().filter(|entry| entry.at.name == wish.name).map(|entry| entry.at.version.as_str());
        let version = wish.choose(versions).ok_or_else(|| CacheError::NotHere(wish.clone()))?;
        let at = Coordinates { name: wish.name.clone(), version: version.to_owned() };
        match entries.iter().find(|entry| entry.at == at) {
            Some(entry) if entry.is_whole => Ok(self.folder(&at).join("package")),
            _ => Err(CacheError::HalfWritten(at)),
        }
    }

    /// Whether a package that this program added holds something else by now.
    pub fn is_altered(&self, at: &Coordinates) -> Result<bool, CacheError> {
        let locked = self.locked()?;
        let Some(added) = locked.find(at).and_then(|one| one.content.as_deref()) else { return Ok(false) };
        let found = Content::of_folder(&self.folder(at).join("package"), &Limits::default());
        Ok(found.is_none_or(|found| found.digest() != added))
    }

    /// A package that is here and whole, by its manifest.
    pub fn held(&self, wish: &Coordinates) -> Option<Manifest> {
        let name = self.find(wish).ok()?.parent()?.file_name()?.to_string_lossy().into_owned();
        self.manifest(&Coordinates::parse(&name)?)
    }

    /// The packages a package needs that are here, each after what it needs itself, and the package last: the order in which definitions take each
    /// other's place.
    pub fn with_dependencies(&self, wish: &Coordinates) -> Result<Vec<PathBuf>, CacheError> {
        let mut found = Vec::new();
        self.collect(wish, &mut found, 0)?;
        Ok(found)
    }

    fn collect(&self, wish: &Coordinates, found: &mut Vec<PathBuf>, depth: usize) -> Result<(), CacheError> {
        let folder = self.find(wish)?;
        if found.contains(&folder) || depth == super::closure::DEPTH_MAX {
            return Ok(());
        }
        let name = folder.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let at = Coordinates::parse(&name);
        if let Some(at) = &at
            && self.is_altered(at)?
        {
            return Err(CacheError::Altered(at.clone()));
        }
        let manifest = at.and_then(|at| self.manifest(&at));
        for dependency in manifest.iter().flat_map(|manifest| &manifest.dependencies) {
            match self.collect(dependency, found, depth + 1) {
                // What could not be had when it was added was said then.
                Ok(()) | Err(CacheError::NotHere(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if !found.contains(&folder) {
            found.push(folder);
        }
        Ok(())
    }

    /// The lock file; empty when there is none.
    pub fn locked(&self) -> Result<Locked, CacheError> {
        let path = self.root.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Locked::read(&text).map_err(CacheError::LockFile),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Locked::default()),
            Err(error) => Err(CacheError::Io(path, error)),
        }
    }

    /// Installs a judged package; `true` when it was not here before. `age` tells how old a file is, by the caller's clock.
    pub fn install(&self, planned: &Planned, age: impl Fn(&fs::Metadata) -> Duration) -> Result<bool, CacheError> {
        let at = &planned.manifest.at;
        let mut locked = self.locked()?;
        if self.is_same_here(planned, &locked)? && !self.is_altered(at)? {
            return Ok(false);
        }
        fs::create_dir_all(&self.root).map_err(at_path(&self.root))?;
        let layout = self.root.join("packages.ini");
        if !layout.exists() {
            fs::write(&layout, LAYOUT).map_err(at_path(&layout))?;
        }
        let guard = PackageLock::take(self.root.join(format!("{at}.lock")), at, age)?;
        let content = self.write(planned)?;
        locked.put(LockedPackage {
            name: at.name.clone(),
            version: at.version.clone(),
            sha256: planned.digest.clone(),
            content: Some(content),
            origin: planned.origin.clone(),
            dependencies: planned.manifest.dependencies.iter().map(ToString::to_string).collect(),
        });
        self.write_locked(&locked)?;
        drop(guard);
        Ok(true)
    }

    /// Refuses a package that is here under the same name and version with other bytes. Asked of all before the first is installed, it leaves nothing
    /// behind of what is refused.
    pub fn refuse_other(&self, planned: &Planned) -> Result<(), CacheError> {
        self.is_same_here(planned, &self.locked()?).map(drop)
    }

    /// Whether the package was added from these very bytes; an error where it was from others.
    fn is_same_here(&self, planned: &Planned, locked: &Locked) -> Result<bool, CacheError> {
        let at = &planned.manifest.at;
        match locked.find(at).filter(|_| self.manifest(at).is_some()) {
            None => Ok(false),
            Some(here) if here.sha256 == planned.digest => Ok(true),
            Some(here) => Err(CacheError::Conflict { at: at.clone(), here: here.sha256.clone(), given: planned.digest.clone() }),
        }
    }

    /// Unpacks beside the final place and renames, so that the package is there whole or not at all; answers the digest of its content.
    fn write(&self, planned: &Planned) -> Result<String, CacheError> {
        let at = &planned.manifest.at;
        let (target, draft) = (self.folder(at), self.root.join(format!(".{at}.part")));
        remove_folder(&draft)?;
        let (package, mut content) = (draft.join("package"), Content::default());
        fs::create_dir_all(&package).map_err(at_path(&package))?;
        let written = archive::walk(&planned.bytes, &Limits::default(), |path, bytes| {
            content.add(path, bytes);
            let file = package.join(path);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(file, bytes)
        });
        if let Err(problem) = written {
            remove_folder(&draft)?;
            return Err(CacheError::Io(draft, io::Error::other(problem.to_string())));
        }
        remove_folder(&target)?;
        fs::rename(&draft, &target).map_err(at_path(&target))?;
        Ok(content.digest())
    }

    fn write_locked(&self, locked: &Locked) -> Result<(), CacheError> {
        let (path, draft) = (self.root.join(FILE), self.root.join(format!(".{FILE}.part")));
        fs::write(&draft, locked.write()).map_err(at_path(&draft))?;
        fs::rename(&draft, &path).map_err(at_path(&path))
    }

    /// Removes a package that nothing else here depends on, unless that is insisted on.
    pub fn remove(&self, at: &Coordinates, insist: bool) -> Result<(), CacheError> {
        if !self.folder(at).is_dir() {
            return Err(CacheError::NotHere(at.clone()));
        }
        let needs =
            |entry: &Entry| self.manifest(&entry.at).is_some_and(|manifest| manifest.dependencies.iter().any(|wish| wish.is_met_by(at)));
        let by: Vec<String> = self.list()?.iter().filter(|entry| needs(entry)).map(|entry| entry.at.to_string()).collect();
        if !by.is_empty() && !insist {
            return Err(CacheError::Needed { at: at.clone(), by });
        }
        remove_folder(&self.folder(at))?;
        let mut locked = self.locked()?;
        if locked.find(at).is_some() {
            locked.remove(at);
            self.write_locked(&locked)?;
        }
        Ok(())
    }
}

fn remove_folder(path: &Path) -> Result<(), CacheError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(CacheError::Io(path.to_owned(), error)),
        _ => Ok(()),
    }
}

/// The file that says that a package is being written. It goes when this does.
struct PackageLock(PathBuf);

impl PackageLock {
    fn take(path: PathBuf, at: &Coordinates, age: impl Fn(&fs::Metadata) -> Duration) -> Result<PackageLock, CacheError> {
        if fs::metadata(&path).is_ok_and(|found| age(&found) > LOCK_STALE_AFTER) {
            fs::remove_file(&path).map_err(at_path(&path))?;
        }
        match fs::File::create_new(&path) {
            Ok(_) => Ok(PackageLock(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CacheError::Busy(at.clone())),
            Err(error) => Err(CacheError::Io(path, error)),
        }
    }
}

impl Drop for PackageLock {
    fn drop(&mut self) {
        // A lock that stays behind is stale after a while; nothing better can be done here.
        let _ = fs::remove_file(&self.0);
    }
}
