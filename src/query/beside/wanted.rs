//! What is to be looked up beside records: of what each names as much as is its share, and of all together those first on which most turns.

use super::{Beside, Pointing, may_tell};
use crate::consent::{Reference, definitions_of, named_settings, records_at};
use crate::fhir::Node;
use crate::query::addresses::Addresses;
use crate::query::named;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// So much of what one record names is looked up. What it names beyond that is not known, and hides nothing of what others say.
const MAX_NAMED: usize = 5_000;

/// What is to be looked up beside records.
#[derive(Default)]
pub(in crate::query) struct Wanted {
    /// Each with how much the record names that names the least of those that name it.
    pub names: BTreeMap<String, usize>,
    /// What some record names beyond its share.
    pub beyond: BTreeSet<String>,
    /// Where the URL of a definition is the address of a record: what that may be called here, in the words of the source of whichever record names it.
    pub addressed: HashMap<String, BTreeSet<String>>,
    /// What of that is not known where none of it is here: another system may have it, and is not asked for what a Bundle's entries name.
    pub needed: BTreeSet<String>,
    /// Whether makers may be hidden.
    with_makers: bool,
}

impl Wanted {
    /// Nothing yet; with whoever made a record, where they may be hidden.
    pub fn with_makers(with_makers: bool) -> Wanted {
        Wanted { with_makers, ..Wanted::default() }
    }

    /// What is named so.
    pub fn named(names: BTreeSet<String>) -> Wanted {
        let count = names.len();
        Wanted { names: names.into_iter().map(|name| (name, count)).collect(), ..Wanted::default() }
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Adds what a record names.
    pub fn add(&mut self, pointing: Pointing<'_>, addresses: &Addresses) {
        let mut named: Vec<String> = Beside::named_by(pointing, addresses, self.with_makers);
        named.sort_unstable();
        named.dedup();
        named.sort_by_key(|name| !is_telling(name));
        self.share(named);
        let (resource, source) = pointing;
        if resource.resource_type() == Some("Bundle") {
            self.add_entries_settings(pointing, addresses);
        }
        let mut last = (String::new(), Vec::new());
        for (type_name, url) in definitions_of(resource) {
            if last.0 != url {
                last = (url.to_string(), records_at(&url));
            }
            let records = last.1.iter().filter(|record| record.type_name() == Some(type_name));
            let names: Vec<String> = records.flat_map(|record| addresses.names_of(record, source)).collect();
            if !names.is_empty() {
                self.addressed.entry(said_by(resource, (type_name, &url))).or_default().extend(names);
            }
        }
    }

    /// Adds what the settings may be called here that a Bundle's entries name in their source's words.
    fn add_entries_settings(&mut self, (bundle, source): Pointing<'_>, addresses: &Addresses) {
        let is_elsewhere_too = addresses.registry.holder_of_source(source).is_some();
        for literal in named_settings(bundle).filter_map(|named| named.literal) {
            let said = said_of_setting(bundle, literal.as_str());
            if is_elsewhere_too && !holds(bundle, &literal) {
                self.needed.insert(said.clone());
            }
            let names = addresses.names_of(&literal, source);
            self.share(names.clone());
            self.addressed.entry(said).or_default().extend(names);
        }
    }

    /// Adds what one record names, as far as its share goes.
    fn share(&mut self, mut named: Vec<String>) {
        let count = named.len();
        self.beyond.extend(named.drain(MAX_NAMED.min(count)..));
        for name in named {
            let least = self.names.entry(name).or_insert(count);
            *least = count.min(*least);
        }
    }

    /// All names in the order in which they are looked up.
    pub fn in_order(&self) -> Vec<String> {
        let mut names: Vec<(&String, &usize)> = self.names.iter().collect();
        names.sort_by_key(|(name, count)| (!is_telling(name), **count));
        names.into_iter().map(|(name, _)| name.clone()).collect()
    }
}

/// What a record says that it was made by, as the name that it has for that.
pub(super) fn said_by(record: &Node, definition: (&str, &str)) -> String {
    format!("{} {}", crate::query::reference(record).unwrap_or_default(), named::by_url(definition))
}

/// A setting in the words of a Bundle's entries, as the name that the Bundle has for that.
pub(super) fn said_of_setting(bundle: &Node, literal: &str) -> String {
    format!("{} {literal}", crate::query::reference(bundle).unwrap_or_default())
}

/// Whether what a Bundle's entries name is one of them.
fn holds(bundle: &Node, literal: &Reference) -> bool {
    bundle.items("entry").iter().any(|entry| {
        let own = entry.get("resource").and_then(crate::query::reference);
        entry.text("fullUrl") == Some(literal.as_str()) || own.as_deref() == literal.relative()
    })
}

/// Whether what is named so may tell what others are.
pub(super) fn is_telling(name: &str) -> bool {
    let told = named::url_in(name).or_else(|| named::parts(name)).map(|(type_name, _)| type_name);
    told.or_else(|| Some(name.split_once('/')?.0)).is_some_and(may_tell)
}
