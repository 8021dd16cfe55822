//! Definitions of one kind, found by URL and version, and decoded when first asked for.

use super::blob::{Blob, Span};
use super::versions;
use compact_str::CompactString;
use serde::Deserialize;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::OnceLock;

pub struct Shelf<T> {
    entries: Vec<Entry<T>>,
    by_url: HashMap<Cow<'static, str>, Versions>,
}

struct Entry<T> {
    /// Where it lies in the blob; what was added later is decoded already.
    span: Option<Span>,
    version: CompactString,
    decoded: OnceLock<Option<T>>,
}

/// The places of one URL: of the version that counts where none is named, and of the others, the newest first.
struct Versions {
    first: usize,
    others: Vec<usize>,
}

impl Versions {
    fn places(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.first).chain(self.others.iter().copied())
    }
}

impl<T: Deserialize<'static>> Shelf<T> {
    /// What a blob holds: by `url|version`, the newest of a URL first.
    pub fn new(index: &[(&'static str, Span)]) -> Shelf<T> {
        let mut shelf = Shelf { entries: Vec::with_capacity(index.len()), by_url: HashMap::with_capacity(index.len()) };
        for (place, (key, span)) in index.iter().enumerate() {
            let (url, version) = key.split_once('|').unwrap_or((key, ""));
            shelf.entries.push(Entry { span: Some(*span), version: version.into(), decoded: OnceLock::new() });
            let versions = shelf.by_url.entry(Cow::Borrowed(url)).or_insert(Versions { first: place, others: Vec::new() });
            if versions.first != place {
                versions.others.push(place);
            }
        }
        shelf
    }

    pub fn get(&self, place: usize, blob: &Blob<'static>) -> Option<&T> {
        let entry = self.entries.get(place)?;
        // A section that does not decode cannot occur: build.rs wrote it from the same type.
        entry.decoded.get_or_init(|| blob.section(entry.span?).ok()).as_ref()
    }
}

impl<T> Shelf<T> {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The version that `url|version` names, or the newest where it names none.
    pub fn find(&self, url: &str) -> Option<usize> {
        match url.split_once('|') {
            Some((url, version)) => self.find_version(url, version),
            None => self.by_url.get(url).map(|versions| versions.first),
        }
    }

    /// That version of what a URL without one names.
    pub fn find_version(&self, url: &str, version: &str) -> Option<usize> {
        let versions = self.by_url.get(url)?;
        let is_named = |place: &usize| self.version(*place) == version;
        versions.places().find(is_named).or_else(|| versions.places().find(|place| versions::fits(version, self.version(*place))))
    }

    /// The version that is named if it is in hand, else the newest.
    pub fn find_any(&self, url: &str) -> Option<usize> {
        self.find(url).or_else(|| self.by_url.get(super::without_version(url)).map(|versions| versions.first))
    }

    /// What the release itself has under a URL, whatever was added.
    pub fn find_in_release(&self, url: &str) -> Option<usize> {
        let is_of_release = |place: &usize| self.entries.get(*place).is_some_and(|entry| entry.span.is_some());
        self.by_url.get(super::without_version(url))?.places().find(is_of_release)
    }

    fn version(&self, place: usize) -> &str {
        self.entries.get(place).map(|entry| entry.version.as_str()).unwrap_or_default()
    }

    /// Adds a definition. Where no version is named, it counts from now on, unless a newer one was added before.
    pub fn put(&mut self, url: CompactString, version: CompactString, one: T) {
        let place = self.entries.len();
        let known = self.by_url.remove(url.as_str());
        let mut places: Vec<usize> = known.iter().flat_map(Versions::places).collect();
        let is_newer = |other: &usize| {
            let is_added = self.entries.get(*other).is_some_and(|entry| entry.span.is_none());
            is_added && versions::compare(self.version(*other), &version) == Some(Ordering::Greater)
        };
        let newer = places.iter().take_while(|other| is_newer(other)).count();
        places.insert(newer, place);
        self.entries.push(Entry { span: None, version, decoded: OnceLock::from(Some(one)) });
        let first = places.remove(0);
        self.by_url.insert(String::from(url).into(), Versions { first, others: places });
    }
}
