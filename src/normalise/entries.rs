//! Rules 3, 18 and 19. Whose server an entry of a document stands on, and which names lead to it.
//!
//! A fullUrl says the server as well as the resource, and a relative reference is read from the fullUrl of the entry it stands in (R4 Bundle,
//! "Resolving references in Bundles"). What stands on another server than the source's gets ids of its own, whatever its id is there: two servers'
//! `Patient/3` are two patients. Where the source has no base URLs configured, its server is the one most entries of the document name.

use super::{GatewayIds, Links, SourceRules};
use crate::fhir::Node;
use crate::outcome::{Finding, IssueType, Severity};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// Other servers than the source's whose entries one document may hold. Real ones hold none or one.
pub const MAX_SERVERS: usize = 64;

/// A resource and the fullUrl it stands under, without default port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'o> {
    pub full_url: Option<&'o str>,
    pub resource: &'o Node,
}

/// A URL in the form of a read: `base/Type/id`, with the version left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadUrl<'u> {
    pub base: &'u str,
    pub type_name: &'u str,
    pub id: &'u str,
}

impl<'u> ReadUrl<'u> {
    /// Reads the URL that a resource stands under. Its own type and id are found first, for ids may hold what FHIR does not allow.
    pub fn of(url: &'u str, resource: &Node) -> Option<ReadUrl<'u>> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return None;
        }
        let own = || {
            let id = resource.text("id").filter(|id| !id.is_empty())?;
            let rest = url.strip_suffix(id)?.strip_suffix('/')?;
            let base = rest.strip_suffix(resource.resource_type()?)?.strip_suffix('/')?;
            Some(ReadUrl { base, type_name: rest.get(base.len() + 1..)?, id: url.get(rest.len() + 1..)? })
        };
        own().or_else(|| ReadUrl::by_shape(url))
    }

    fn by_shape(url: &'u str) -> Option<ReadUrl<'u>> {
        let unversioned = url.split_once("/_history/").map_or(url, |(url, _)| url);
        let (rest, id) = unversioned.rsplit_once('/')?;
        let (base, type_name) = rest.rsplit_once('/')?;
        let is_type = type_name.starts_with(|first: char| first.is_ascii_uppercase()) && type_name.bytes().all(|b| b.is_ascii_alphabetic());
        (is_type && base.contains("://")).then_some(ReadUrl { base, type_name, id })
    }
}

impl fmt::Display for ReadUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.base, self.type_name, self.id)
    }
}

/// The base URL that most of the entries were named by, the first of those that are equally many.
pub(super) fn common_base<'o>(entries: impl Iterator<Item = Entry<'o>>) -> Option<&'o str> {
    let mut bases: Vec<(&str, usize)> = Vec::new();
    for base in entries.filter_map(|entry| Some(entry.read_url()?.base)) {
        if let Some((_, count)) = bases.iter_mut().find(|(known, _)| *known == base) {
            *count += 1;
        } else if bases.len() <= MAX_SERVERS {
            bases.push((base, 1));
        }
    }
    let most = bases.iter().map(|(_, count)| *count).max()?;
    bases.into_iter().find(|(_, count)| *count == most).map(|(base, _)| base)
}

/// The rules of a source, and of the source's entries that stand on other servers, by those servers' base URLs.
pub(super) struct Servers<'s> {
    own: &'s SourceRules,
    abroad: HashMap<String, SourceRules>,
}

impl<'s> Servers<'s> {
    /// `None` when the entries stand on more servers than a document may hold.
    pub fn of<'o>(own: &'s SourceRules, entries: impl Iterator<Item = Entry<'o>>) -> Option<Servers<'s>> {
        let mut servers = Servers { own, abroad: HashMap::new() };
        for entry in entries {
            let Some(base) = entry.base_abroad(own) else { continue };
            if !servers.abroad.contains_key(base) {
                if servers.abroad.len() == MAX_SERVERS {
                    return None;
                }
                servers.abroad.insert(base.to_owned(), own.abroad(base));
            }
        }
        Some(servers)
    }

    /// The rules for one entry.
    pub fn rules(&self, entry: Entry<'_>) -> &SourceRules {
        entry.base_abroad(self.own).and_then(|base| self.abroad.get(base)).unwrap_or(self.own)
    }

    /// What leads from one resource of the document to another: each fullUrl, and ids that only the document explains.
    pub fn links<'o>(&self, ids: &GatewayIds, entries: impl Iterator<Item = Entry<'o>> + Clone) -> Links {
        let mut links = Links::new();
        let mut taken = HashSet::new();
        for entry in entries.clone() {
            let (Some(type_name), Some(id)) = (entry.resource.resource_type(), entry.resource.text("id")) else { continue };
            let rules = self.rules(entry);
            let target = format!("{type_name}/{}", ids.id(rules.id_scope(), type_name, id));
            if let Some(url) = entry.full_url {
                links.insert(url, &target);
            }
            if let Some(url) = entry.read_url() {
                links.insert(&url.to_string(), &target);
            }
            if rules.base_abroad().is_none() {
                links.insert_odd(type_name, id, &target);
                taken.insert(target);
            }
        }
        for (name, target) in entries.filter_map(|entry| self.other_name(entry, ids)) {
            if !taken.contains(&name) && links.get(&name).is_none() {
                links.insert(&name, &target);
            }
        }
        links
    }

    /// The second name of an entry whose fullUrl has another id than the resource, and what it leads to; another entry may have it as its first.
    fn other_name(&self, entry: Entry<'_>, ids: &GatewayIds) -> Option<(String, String)> {
        let (type_name, id, url) = (entry.resource.resource_type()?, entry.resource.text("id")?, entry.read_url()?);
        if url.type_name != type_name || url.id == id || url.id.is_empty() {
            return None;
        }
        let rules = self.rules(entry);
        let name = |id: &str| format!("{type_name}/{}", ids.id(rules.id_scope(), type_name, id));
        let other = if rules.base_abroad().is_some() { ReadUrl { id, ..url }.to_string() } else { name(url.id) };
        Some((other, name(id)))
    }
}

impl<'o> Entry<'o> {
    pub fn read_url(self) -> Option<ReadUrl<'o>> {
        ReadUrl::of(self.full_url?, self.resource)
    }

    /// The base URL of the entry, when it is none of the source's. Of a source without base URLs only other sources' are known to be none.
    fn base_abroad(self, source: &SourceRules) -> Option<&'o str> {
        let is_abroad = |url: &&str| source.below_base(url).is_none() && (source.has_base() || source.is_anothers(url));
        ReadUrl::of(self.full_url.filter(is_abroad)?, self.resource).map(|url| url.base)
    }

    /// What is odd about the entry's name.
    pub fn name_finding(self, rules: &SourceRules) -> Option<Finding> {
        let type_name = self.resource.resource_type()?;
        if rules.base_abroad().is_some() {
            let text =
                "the entry's fullUrl is of another server than the source's: the resource is kept as that server's, under an id of its own";
            return Some(warning(IssueType::Informational, "full-url-foreign", text).at(type_name));
        }
        let url = self.read_url()?;
        if url.type_name != type_name {
            let text = "the entry's fullUrl names a resource of another type; the resource's own type and id hold";
            return Some(warning(IssueType::Value, "full-url-mismatch", text).at(type_name));
        }
        let id = self.resource.text("id")?;
        let text =
            "the entry's fullUrl ends in another id than the resource has; the resource's own holds, and references by either lead to it";
        (url.id != id).then(|| warning(IssueType::Value, "full-url-mismatch", text).at(format!("{type_name}.id")))
    }
}

fn warning(code: IssueType, message_id: &'static str, text: &str) -> Finding {
    Finding::new(Severity::Warning, code, message_id, text)
}

/// The entries stand on more than [`MAX_SERVERS`] servers.
pub(super) fn too_many() -> Finding {
    let text = format!("the entries stand on more than {MAX_SERVERS} other servers, so it cannot be told whose they are; none was used");
    Finding::error(IssueType::TooCostly, "envelope-too-many-servers", text)
}
