//! What the configuration says about one source, as this room needs it.

use super::concept_map::ConceptMaps;
use super::rule::{RuleId, Switches, rule_named};
use super::versions::Release;
use super::vocabulary::SOURCE_URN;
use crate::fhir::decimal::Decimal;
use compact_str::CompactString;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{HashMap, HashSet};

/// Everything but the characters that may stand in a FHIR id and in RFC 3986's `unreserved`.
const OPAQUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What becomes of a reference that could only have been resolved inside its message, and was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dangling {
    /// An error: the sender should have sent both ends. Right for what is pushed.
    #[default]
    Refuse,
    /// A logical reference by identifier, and a warning. Right for what was fetched, where refusing would lose the resource.
    Logical,
}

/// How the rules treat one source. Made by [`new`](SourceRules::new); the other fields are set by whoever reads the configuration.
#[derive(Debug, Clone)]
pub struct SourceRules {
    /// The source's name in the configuration; part of every gateway id made for it.
    name: String,
    /// Base URLs the source uses for itself, without default ports and trailing slashes.
    bases: Vec<String>,
    /// What ids are made under: the source's name, and for entries of another server its base URL with it.
    id_scope: String,
    /// The base URL of the other server whose entries these rules are for; see [`abroad`](SourceRules::abroad).
    base_abroad: Option<String>,
    /// The gateway's own base URL: a partner may name what it was given by the URL it was given.
    gateway_base: Option<String>,
    /// Base URLs of the gateway's other sources.
    others: Vec<String>,
    /// `urn:hearthgate:source:NAME`.
    urn: String,
    /// The system of identifiers that come without one. `None`: a URN of the source and the identifier's type.
    pub identifier_system: Option<String>,
    /// The release of FHIR the source declares for all it sends. `None`: each resource tells by its own declaration and shape.
    pub release: Option<Release>,
    /// Where times without an offset were written. `None`: such times are cut to their date.
    pub time_zone: Option<TimeZone>,
    /// Whether `12/14/2022` is the fourteenth of December here.
    pub us_dates: bool,
    /// Modifier extensions the gateway's operator has declared understood.
    pub modifier_extensions: HashSet<CompactString>,
    /// Unit spellings of this source, before the general table.
    pub units: HashMap<CompactString, CompactString>,
    /// UCUM unit of results that come without one, by `system|code` of the test.
    pub default_units: HashMap<CompactString, CompactString>,
    /// Results that mean "no value" here, in lower case, and the data-absent-reason code of each.
    pub sentinels: HashMap<CompactString, CompactString>,
    /// Lowest and highest plausible value by test (LOINC code or name in lower case) and UCUM unit, before the general table.
    pub plausible: HashMap<(CompactString, CompactString), (Decimal, Decimal)>,
    /// Local codes with their portable equivalents.
    pub concept_maps: ConceptMaps,
    pub dangling: Dangling,
    pub switches: Switches,
}

impl SourceRules {
    /// A source with every rule on. `base_urls` are the service base URLs that its absolute references begin with, the canonical one first.
    pub fn new<S: AsRef<str>>(name: &str, base_urls: &[S]) -> SourceRules {
        SourceRules {
            name: name.to_owned(),
            bases: base_urls.iter().map(|base| plain_url(base.as_ref()).trim_end_matches('/').to_owned()).collect(),
            id_scope: name.to_owned(),
            base_abroad: None,
            gateway_base: None,
            others: Vec::new(),
            urn: format!("{SOURCE_URN}{}", opaque(name)),
            identifier_system: None,
            release: None,
            time_zone: None,
            us_dates: false,
            modifier_extensions: HashSet::new(),
            units: HashMap::new(),
            default_units: HashMap::new(),
            sentinels: HashMap::new(),
            plausible: HashMap::new(),
            concept_maps: ConceptMaps::default(),
            dangling: Dangling::default(),
            switches: Switches::default(),
        }
    }

    /// Switches a rule by its configuration word; answers the rule, or `None` when no rule has that name.
    pub fn switch(&mut self, rule: &str, on: bool) -> Option<RuleId> {
        let rule = rule_named(rule)?;
        self.switches.set(rule, on);
        Some(rule)
    }

    /// One more base URL of the source, after the others.
    pub fn add_base(&mut self, base_url: &str) {
        let base = plain_url(base_url).trim_end_matches('/').to_owned();
        if !self.bases.contains(&base) {
            self.bases.push(base);
        }
    }

    pub fn has_base(&self) -> bool {
        !self.bases.is_empty()
    }

    /// The same rules for what the source sent on behalf of another server: ids, references and local names are that server's.
    pub fn abroad(&self, base_url: &str) -> SourceRules {
        SourceRules {
            id_scope: format!("{}\n{base_url}", self.name),
            urn: format!("{}/at/{}", self.urn, opaque(base_url)),
            base_abroad: Some(base_url.to_owned()),
            ..self.clone()
        }
    }

    /// What the source name of a gateway id is to be; see [`GatewayIds::id`](super::GatewayIds::id).
    pub(super) fn id_scope(&self) -> &str {
        &self.id_scope
    }

    /// The base URL of the server that is spoken of, when that is not the source's.
    pub(super) fn base_abroad(&self) -> Option<&str> {
        self.base_abroad.as_deref()
    }

    /// The gateway's own base URL, below which absolute references are as local as below the source's.
    pub fn set_gateway_base(&mut self, base_url: &str) {
        self.gateway_base = Some(plain_url(base_url).trim_end_matches('/').to_owned());
    }

    /// Base URLs of the gateway's other sources, whose records nobody names by their URLs there.
    pub fn set_others<S: AsRef<str>>(&mut self, base_urls: &[S]) {
        self.others = base_urls.iter().map(|base| plain_url(base.as_ref()).trim_end_matches('/').to_owned()).collect();
    }

    /// Whether a URL leads into the system of another source. A base that two share is each one's own.
    pub(super) fn is_anothers(&self, plain_url: &str) -> bool {
        self.others.iter().any(|base| plain_url.strip_prefix(base.as_str()).is_some_and(|rest| rest.starts_with('/')))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `urn:hearthgate:source:NAME`: the stem of everything the gateway names on behalf of the source.
    pub fn urn(&self) -> &str {
        &self.urn
    }

    /// What stands after one of the source's base URLs, or the gateway's: `Patient/1` for `https://ehr.example/r4/Patient/1`.
    pub fn below_base<'u>(&self, plain_url: &'u str) -> Option<&'u str> {
        self.bases.iter().chain(&self.gateway_base).find_map(|base| plain_url.strip_prefix(base.as_str())?.strip_prefix('/'))
    }

    /// The same where a URL has http for https or the other way round, as behind a proxy that encrypts, or slashes that say nothing.
    pub fn below_base_otherwise_written(&self, plain_url: &str) -> Option<String> {
        let plain = without_scheme_and_empty_steps(plain_url)?;
        self.bases.iter().chain(&self.gateway_base).find_map(|base| {
            let rest = plain.strip_prefix(&without_scheme_and_empty_steps(base)?)?.strip_prefix('/')?;
            Some(rest.to_owned())
        })
    }

    /// Whether a base URL leads to one of the source's servers, or to the gateway, however it is written.
    pub fn is_at(&self, base_url: &str) -> bool {
        self.bases.iter().chain(&self.gateway_base).any(|base| leads_to_same(base, base_url))
    }

    /// The source's own name for a resource, as `meta.source` carries it: below its first base URL, else below its URN.
    pub fn origin(&self, type_name: &str, id: &str) -> String {
        let stem = self.base_abroad.as_ref().or(self.bases.first()).unwrap_or(&self.urn);
        format!("{stem}/{type_name}/{}", opaque(id))
    }
}

/// Percent-encodes what may not stand in a URI segment.
pub(super) fn opaque(text: &str) -> String {
    utf8_percent_encode(text, OPAQUE).to_string()
}

/// An http(s) URL without its default port and with scheme and host in lower case; anything else as it is.
pub fn plain_url(url: &str) -> std::borrow::Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return url.into() };
    let default_port = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else if scheme.eq_ignore_ascii_case("http") {
        ":80"
    } else {
        return url.into();
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.strip_suffix(default_port).unwrap_or(authority);
    let already_plain = host.len() == authority.len() && ![scheme, host].iter().any(|part| part.bytes().any(|b| b.is_ascii_uppercase()));
    if already_plain {
        return url.into();
    }
    format!("{}://{}{path}", scheme.to_ascii_lowercase(), host.to_ascii_lowercase()).into()
}

fn without_scheme_and_empty_steps(plain_url: &str) -> Option<String> {
    let rest = plain_url.strip_prefix("https://").or_else(|| plain_url.strip_prefix("http://"))?;
    let (target, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let steps: Vec<&str> = target.split('/').filter(|step| !step.is_empty()).collect();
    Some(steps.join("/") + query)
}

/// Whether two base URLs lead to one server, however they are written.
pub fn leads_to_same(one: &str, other: &str) -> bool {
    server_and_path(one) == server_and_path(other)
}

/// Where an http(s) URL leads, as whoever follows it goes there: without the name of a user, the dot that ends a full host name, an encryption's usual
/// port, empty and dotted steps, and in small letters, since some servers do not tell them apart.
fn server_and_path(url: &str) -> (String, Vec<String>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest).trim_start_matches('/');
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let server = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let (host, port) =
        server.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit())).unwrap_or((server.as_str(), ""));
    let (host, port) = (host.trim_end_matches('.'), port.trim_start_matches('0'));
    let server = if matches!(port, "" | "80" | "443") { host.to_owned() } else { format!("{host}:{port}") };
    let mut steps: Vec<String> = Vec::new();
    for step in path.split('/').filter(|step| !matches!(*step, "" | ".")) {
        match step {
            ".." => _ = steps.pop(),
            step => steps.push(step.to_ascii_lowercase()),
        }
    }
    (server, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_default_ports_only() {
        for (url, plain) in [
            ("https://h:443/v2/Patient/1", "https://h/v2/Patient/1"),
            ("http://h:80", "http://h"),
            ("https://h:8443/x", "https://h:8443/x"),
            ("http://h:443/x", "http://h:443/x"),
            ("HTTPS://Ehr.Example/R4/x", "https://ehr.example/R4/x"),
            ("urn:uuid:A", "urn:uuid:A"),
            ("Patient/1", "Patient/1"),
        ] {
            assert_eq!(plain_url(url), plain);
        }
    }

    #[test]
    fn a_base_is_the_same_however_it_is_written() {
        let source = SourceRules::new("a", &["https://ehr.example/r4"]);
        for url in [
            "https://ehr.example/r4",
            "http://ehr.example/r4/",
            "HTTPS://EHR.Example:443/R4",
            "https://nurse:secret@ehr.example/r4",
            "https://ehr.example.:0443//r4/",
            "https://ehr.example:/x/../r4/.",
            "ehr.example/r4",
            "//ehr.example/r4",
        ] {
            assert!(source.is_at(url), "{url}");
        }
        for url in
            ["https://ehr.example", "https://ehr.example/r4/x", "https://ehr.example:8443/r4", "https://ehr.example@x.example/r4", ""]
        {
            assert!(!source.is_at(url), "{url}");
        }
    }

    #[test]
    fn bases_end_at_a_segment() {
        let source = SourceRules::new("a b", &["https://h:443/r4/"]);
        assert_eq!(source.below_base("https://h/r4/Patient/1"), Some("Patient/1"));
        assert_eq!(source.below_base("https://h/r4b/Patient/1"), None);
        for (url, rest) in [
            ("http://h/r4/Patient/1", Some("Patient/1")),
            ("https://h//r4//Patient/1", Some("Patient/1")),
            ("http://h/r4/Patient?identifier=http://s|1", Some("Patient?identifier=http://s|1")),
            ("http://h/r4b/Patient/1", None),
            ("ftp://h/r4/Patient/1", None),
            ("urn:uuid:1", None),
        ] {
            assert_eq!(source.below_base_otherwise_written(url).as_deref(), rest, "{url}");
        }
        assert_eq!(source.origin("Patient", "urn:oid:1"), "https://h/r4/Patient/urn%3Aoid%3A1");
        assert_eq!(SourceRules::new::<&str>("a b", &[]).origin("Patient", "1"), "urn:hearthgate:source:a%20b/Patient/1");
    }
}
