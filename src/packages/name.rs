//! Names and versions of packages: `hl7.fhir.us.core#6.1.0`.

use std::cmp::Ordering;
use std::fmt;

/// Characters of a name or a version. They become the name of a folder.
const LENGTH_MAX: usize = 128;

/// The scope of HL7's packages on npm. No other scope is dropped: anybody may publish a package of HL7's name under a scope of their own.
const HL7_SCOPE: &str = "@hl7/";

/// A package by name and version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coordinates {
    pub name: String,
    /// As published: `6.1.0`. In a wish also `latest`, `6.1.x`, `6.x`.
    pub version: String,
}

impl Coordinates {
    /// Both parts, if they can be the name of a folder. HL7 publishes some packages to npm as well, under its scope there; they are the same packages.
    pub fn new(name: &str, version: &str) -> Option<Coordinates> {
        let name = name.strip_prefix(HL7_SCOPE).unwrap_or(name);
        (is_plain(name) && is_plain(version)).then(|| Coordinates { name: name.to_owned(), version: version.to_owned() })
    }

    /// Reads `name#version`, `name@version`, or a bare name, which wishes for the latest.
    pub fn parse(text: &str) -> Option<Coordinates> {
        let text = text.strip_prefix(HL7_SCOPE).unwrap_or(text);
        let (name, version) = text.split_once(['#', '@']).unwrap_or((text, "latest"));
        Coordinates::new(name, version)
    }

    /// The newest of the versions there are that this wish allows. A pre-release is taken only when nothing else fits, or when it is asked for.
    pub fn choose<'v>(&self, versions: impl Iterator<Item = &'v str>) -> Option<&'v str> {
        let fitting = versions.filter(|version| self.allows(version));
        fitting.max_by(|a, b| is_release(a).cmp(&is_release(b)).then_with(|| compare(a, b)))
    }

    /// Whether a package is what this wish asks for.
    pub fn is_met_by(&self, at: &Coordinates) -> bool {
        self.name == at.name && self.allows(&at.version)
    }

    fn allows(&self, version: &str) -> bool {
        if self.version == "latest" || self.version == "*" || self.version == version {
            return true;
        }
        let wish = self.version.strip_suffix(".x").or_else(|| self.version.strip_suffix(".*"));
        wish.is_some_and(|start| version.strip_prefix(start).is_some_and(|rest| rest.starts_with('.')))
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.name, self.version)
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+*".contains(&byte);
    (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with(['.', '-']) && !text.contains("..")
}

fn is_release(version: &str) -> bool {
    !version.contains('-')
}

/// Semantic versions in order: numbers by size, and what comes before a release before it (semver 2.0.0 §11).
pub fn compare(a: &str, b: &str) -> Ordering {
    let split = |version: &'_ str| -> (Vec<u64>, Option<String>) {
        let (numbers, label) = version.split_once('-').map_or((version, None), |(numbers, label)| (numbers, Some(label.to_owned())));
        (numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect(), label)
    };
    let ((mine, my_label), (theirs, their_label)) = (split(a), split(b));
    let labels = || match (&my_label, &their_label) {
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (mine, theirs) => mine.cmp(theirs),
    };
    mine.cmp(&theirs).then_with(labels)
}
