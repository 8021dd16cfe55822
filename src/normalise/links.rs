//! What reference strings mean here, as the Bundle and the store have already settled it.

use super::source::plain_url;
use compact_str::CompactString;
use std::collections::HashMap;

/// Literal reference strings and the `Type/gateway-id` each stands for: `urn:uuid:` and absolute fullUrls of the Bundle,
/// conditional references that the store resolved, and `Type/gateway-id` strings that identity has joined to another record.
///
/// A target is final: it is never looked up again, so the caller resolves chains before it fills this.
#[derive(Debug, Clone, Default)]
pub struct Links {
    targets: HashMap<CompactString, CompactString>,
}

impl Links {
    pub fn new() -> Links {
        Links::default()
    }

    /// `target` is `Type/gateway-id`. A later target for the same literal replaces the earlier.
    pub fn insert(&mut self, literal: &str, target: &str) {
        self.targets.insert(literal.into(), target.into());
    }

    /// Remembers a resource whose own id, as sent, would be read as something else in a reference: blanks around it are no padding then, and `/`,
    /// `?` and `#` begin no version, condition or fragment.
    pub fn insert_odd(&mut self, type_name: &str, id: &str, target: &str) {
        if id.trim().len() < id.len() || id.contains(['/', '?', '#']) {
            self.insert(&format!("{type_name}/{id}"), target);
        }
    }

    /// An entry's fullUrl, as it was written and in the plain form in which other entries' references are read.
    pub fn insert_full_url(&mut self, full_url: &str, target: &str) {
        let written = full_url.trim();
        let plain = plain_url(written);
        self.insert(written, target);
        if plain != written {
            self.insert(&plain, target);
        }
    }

    pub fn get(&self, literal: &str) -> Option<&str> {
        self.targets.get(literal).map(CompactString::as_str)
    }

    pub fn len(&self) -> usize {
        self.targets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}
