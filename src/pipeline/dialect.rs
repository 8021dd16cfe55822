//! A partner's own words for things, put into the gateway's: its ids, and other names of identifier and code systems.

use crate::definitions::{Definitions, SearchKind};
use crate::intake::Pairs;
use crate::normalise::{GatewayIds, SourceRules, canonical_system, is_gateway_id, plain_url};
use crate::search::LinkedName;
use compact_str::CompactString;
use std::borrow::Cow;

/// How one partner's words are to be understood.
#[derive(Clone, Copy)]
pub struct Dialect<'a> {
    /// Whose ids bare ids are; a partner without a source has none of its own.
    pub source: Option<&'a str>,
    pub ids: &'a GatewayIds,
    pub definitions: &'static Definitions,
    /// How that partner's resources are read, for the bases of its absolute URLs.
    pub rules: Option<&'a SourceRules>,
    /// The gateway's own base URL.
    pub base_url: &'a str,
}

impl Dialect<'_> {
    /// The gateway's id for an id the partner uses: its own ids are those of its source, everything else is taken as ours.
    pub fn id(&self, type_name: &str, id: &str) -> String {
        match self.source {
            Some(source) if !is_gateway_id(id) => self.ids.id(source, type_name, id),
            _ => id.to_owned(),
        }
    }

    /// Search parameters or criteria in the gateway's words. What is not understood is left for the query to refuse.
    pub fn pairs(&self, type_name: &str, pairs: Pairs) -> Pairs {
        pairs.into_iter().map(|(name, value)| self.pair(type_name, name, &value)).collect()
    }

    fn pair<'v>(&self, type_name: &str, name: String, value: &'v str) -> (String, String) {
        // Behind a link the words are those of the type it leads to.
        if let Some(linked) = LinkedName::of(&name) {
            let (other, rest) = match linked {
                LinkedName::Forward { parameter, type_name: None, rest } => (self.only_target(type_name, parameter), rest),
                LinkedName::Forward { type_name: named, rest, .. } => (named, rest),
                LinkedName::Reverse { type_name: named, rest, .. } => (Some(named), rest),
            };
            let value = other.map_or_else(|| value.to_owned(), |other| self.pair(other, rest.to_owned(), value).1);
            return (name, value);
        }
        let (code, modifier) = name.split_once(':').map_or((name.as_str(), None), |(code, modifier)| (code, Some(modifier)));
        if modifier == Some("missing") {
            return (name, value.to_owned());
        }
        let parameter = self.definitions.search_parameter(type_name, code);
        let each = |alternative: &'v str| match parameter.map(|parameter| parameter.kind) {
            _ if code == "_id" => Cow::from(self.id(type_name, alternative)),
            Some(SearchKind::Reference) => {
                let targets = parameter.map(|found| found.targets.as_slice()).unwrap_or_default();
                match alternative.split_once("/_history/") {
                    Some((record, version)) => format!("{}/_history/{version}", self.reference(record, modifier, targets)).into(),
                    None => self.reference(alternative, modifier, targets),
                }
            }
            Some(SearchKind::Token) => token(alternative),
            _ => Cow::from(alternative),
        };
        let value = value.split(',').map(each).collect::<Vec<_>>().join(",");
        (name, value)
    }

    /// A reference, or the value of a search for one; a bare id is of the type that `modifier` tells, or of one that may be meant.
    pub fn reference<'v>(&self, value: &'v str, modifier: Option<&str>, targets: &[CompactString]) -> Cow<'v, str> {
        if value.contains("://") {
            return self
                .local(&plain_url(value))
                .map_or(value.into(), |local| self.reference(local, modifier, targets).into_owned().into());
        }
        if let Some((type_name, id)) = value.split_once('/') {
            let local = self.definitions.types().resource(type_name).is_some() && !id.contains('/');
            return if local { format!("{type_name}/{}", self.id(type_name, id)).into() } else { value.into() };
        }
        let bare = !value.is_empty() && !value.contains([':', '|', '#']);
        let named = modifier.filter(|name| self.definitions.types().resource(name).is_some());
        match named.or(meant(targets)) {
            Some(type_name) if bare => self.id(type_name, value).into(),
            _ => value.into(),
        }
    }

    /// The type a reference leads to where the request does not say.
    fn only_target(&self, type_name: &str, parameter: &str) -> Option<&'static str> {
        meant(&self.definitions.search_parameter(type_name, parameter)?.targets)
    }

    /// What stands below a base of the partner or the gateway.
    fn local<'v>(&self, plain_url: &'v str) -> Option<&'v str> {
        let own = self.rules.and_then(|rules| rules.below_base(plain_url));
        own.or_else(|| plain_url.strip_prefix(self.base_url)?.strip_prefix('/'))
    }
}

/// A bare id is of the only type there can be, or of a patient where one can be meant at all.
fn meant(targets: &[CompactString]) -> Option<&str> {
    match targets {
        [only] => Some(only),
        _ => targets.iter().find(|target| *target == "Patient").map(CompactString::as_str),
    }
}

/// `system|code` with the system's canonical name.
fn token(value: &str) -> Cow<'_, str> {
    match value.split_once('|') {
        Some((system, code)) if !system.is_empty() => match canonical_system(system) {
            Some(canonical) => format!("{canonical}|{code}").into(),
            None => value.into(),
        },
        _ => value.into(),
    }
}
