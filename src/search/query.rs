//! A query as it was asked, checked and ready to be put to documents.

use super::include::{Include, MAX_INCLUDES};
use super::link::{Link, LinkedName};
use super::lookup::{Lookup, lookups_of};
use super::matching::Filter;
use super::parameter::{Parameter, Source, parameter};
use super::project::{Projection, Summary};
use super::sort::{self, SortKey};
use super::value::{self, Modifier, Wanted};
use super::{MAX_ALTERNATIVES, MAX_LOOKUP_VALUES, MAX_PARAMETERS, MAX_VALUE_BYTES};
use crate::definitions::{Definitions, SearchKind};
use crate::fhir::Node;
use crate::outcome::{IssueType, Reason, Refusal};
use compact_str::CompactString;
use std::cmp::Ordering;
use std::sync::Arc;

/// What becomes of parameters nobody knows (`Prefer: handling=…`, FHIR R4 §3.1.1.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// They refuse the query.
    Strict,
    /// They are listed in [`Query::ignored`].
    Lenient,
}

/// `_total`: how much the client wants to know of the number of matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    None,
    Estimate,
    Accurate,
}

/// A search on one resource type.
#[derive(Debug, Clone)]
pub struct Query {
    type_name: CompactString,
    filters: Vec<Filter>,
    links: Vec<Link>,
    includes: Vec<Include>,
    sort: Vec<SortKey>,
    count: Option<u32>,
    total: Option<Total>,
    projection: Projection,
    used: Vec<(String, String)>,
    ignored: Vec<String>,
}

impl Query {
    /// Reads the decoded name-value pairs of a query string or form, in their order.
    ///
    /// Refused: unknown types; unknown parameters unless the handling is lenient; in either handling whatever this server cannot do and whose
    /// absence would change the answer (`_filter`, `_text`, modifiers it lacks); values that cannot be read; too much of anything.
    pub fn parse(
        definitions: &'static Definitions,
        type_name: &str,
        pairs: &[(String, String)],
        handling: Handling,
    ) -> Result<Query, Refusal> {
        Query::parse_at(definitions, type_name, pairs, handling, 0)
    }

    /// Reads a query that is `depth` links away from what is searched for.
    pub(super) fn parse_at(
        definitions: &'static Definitions,
        type_name: &str,
        pairs: &[(String, String)],
        handling: Handling,
        depth: usize,
    ) -> Result<Query, Refusal> {
        if definitions.types().resource(type_name).is_none() {
            return Err(Refusal::new(Reason::UnknownType, IssueType::NotSupported, "The resource type is not known."));
        }
        if pairs.len() > MAX_PARAMETERS {
            let text = format!("A query may have at most {MAX_PARAMETERS} parameters.");
            return Err(Refusal::new(Reason::Malformed, IssueType::TooCostly, text));
        }
        let mut reader = Reader { definitions, handling, depth, query: Query::on(type_name) };
        pairs.iter().try_for_each(|(name, value)| reader.pair(name, value))?;
        reader.finish()
    }

    fn on(type_name: &str) -> Query {
        Query {
            type_name: type_name.into(),
            filters: Vec::new(),
            links: Vec::new(),
            includes: Vec::new(),
            sort: Vec::new(),
            count: None,
            total: None,
            projection: Projection::default(),
            used: Vec::new(),
            ignored: Vec::new(),
        }
    }

    /// A query of one filter.
    pub(super) fn of(type_name: &str, filter: Filter) -> Query {
        Query { filters: vec![filter], ..Query::on(type_name) }
    }

    /// The resource type that is searched.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Whether a resource is of the type and meets every filter. While a link is not [joined](Query::joined) nothing does.
    pub fn matches(&self, resource: &Node) -> bool {
        self.links.is_empty()
            && resource.resource_type() == Some(&self.type_name)
            && self.filters.iter().all(|filter| filter.matches(resource))
    }

    /// Whether a resource meets every filter, or may come to by losing something.
    pub fn may_match(&self, resource: &Node) -> bool {
        self.links.is_empty()
            && resource.resource_type() == Some(&self.type_name)
            && self.filters.iter().all(|filter| filter.asks_for_absence() || filter.matches(resource))
    }

    /// Whether a resource may come to meet the query by losing something: what is asked for is that something is not there.
    pub fn asks_for_absence(&self) -> bool {
        self.filters.iter().any(Filter::asks_for_absence)
    }

    /// What must be searched before this can be: [`joined`](Query::joined) takes the answers in this order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The query with each link turned into a condition by the resources found for it.
    pub fn joined(mut self, definitions: &'static Definitions, answers: &[Vec<Node>]) -> Query {
        let links = std::mem::take(&mut self.links);
        for (index, link) in links.into_iter().enumerate() {
            let found = answers.get(index).map(Vec::as_slice).unwrap_or_default();
            match link.filter(definitions, &self.type_name, found.iter()) {
                Some(filter) => self.filters.push(filter),
                None => self.links.push(link),
            }
        }
        self
    }

    /// `_include` and `_revinclude`.
    pub fn includes(&self) -> &[Include] {
        &self.includes
    }

    /// The ids of the patients of whom alone matches can be, when the query names any: by `patient` or `subject`, or by `_id` for Patient itself.
    pub fn patients(&self) -> Vec<&str> {
        self.naming_patients().next().map(|filter| filter.alternatives.iter().filter_map(patient_in).collect()).unwrap_or_default()
    }

    /// Those of them whom every other condition names too that names nothing but patients.
    pub fn patients_named_throughout(&self) -> Vec<&str> {
        let mut patients = self.patients();
        for filter in self.naming_patients().skip(1) {
            let named: Vec<&str> = filter.alternatives.iter().filter_map(patient_in).collect();
            if named.len() == filter.alternatives.len() {
                patients.retain(|id| named.contains(id));
            }
        }
        patients
    }

    /// The conditions that name patients.
    fn naming_patients(&self) -> impl Iterator<Item = &Filter> {
        let is_patient = |code: &str| if self.type_name == "Patient" { code == "_id" } else { matches!(code, "patient" | "subject") };
        self.filters.iter().filter(move |filter| filter.modifier.is_plain() && is_patient(filter.parameter.code()))
    }

    /// Conditions on the index that every match satisfies, all of them; none for a query without filters.
    pub fn lookups(&self) -> Vec<Lookup> {
        let mut room = MAX_LOOKUP_VALUES;
        let within_room = |lookup: Lookup| match room.checked_sub(lookup.len()) {
            Some(left) => {
                room = left;
                lookup
            }
            None => Lookup::Scan,
        };
        self.filters.iter().flat_map(lookups_of).map(within_room).collect()
    }

    /// The order that `_sort` asks for, resources without a value last; ties, and queries without `_sort`, go by id.
    pub fn compare(&self, a: &Node, b: &Node) -> Ordering {
        sort::compare(&self.sort, a, b)
    }

    /// The resources in the order of [`compare`](Query::compare), each one's keys read only once.
    pub fn sorted(&self, resources: Vec<Node>) -> Vec<Node> {
        sort::sorted(&self.sort, resources)
    }

    /// Whether the client asked for an order.
    pub fn is_sorted(&self) -> bool {
        !self.sort.is_empty()
    }

    /// `_count`: resources on a page. Nought asks for the total alone.
    pub fn count(&self) -> Option<u32> {
        self.count
    }

    pub fn total(&self) -> Option<Total> {
        self.total
    }

    /// Whether only the number of matches is wanted: `_summary=count` or `_count=0`.
    pub fn is_count_only(&self) -> bool {
        self.count == Some(0) || self.projection.summary == Some(Summary::Count)
    }

    /// `_summary` and `_elements`.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// The pairs that were applied, as they came, for the self link.
    pub fn used(&self) -> &[(String, String)] {
        &self.used
    }

    /// Names of parameters that lenient handling passed over.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    pub(super) fn filters(&self) -> &[Filter] {
        &self.filters
    }
}

struct Reader {
    definitions: &'static Definitions,
    handling: Handling,
    /// Links between this query and what is searched for.
    depth: usize,
    query: Query,
}

pub(super) fn malformed(parameter: &str, problem: &str) -> Refusal {
    Refusal::new(Reason::Malformed, IssueType::Value, format!("The search parameter '{parameter}' {problem}.")).at(parameter)
}

pub(super) fn unknown(parameter: &str, type_name: &str) -> Refusal {
    let text = format!("The search parameter '{parameter}' is not known for {type_name}.");
    Refusal::new(Reason::UnknownParameter, IssueType::NotSupported, text).at(parameter)
}

pub(super) fn not_supported(parameter: &str, text: String) -> Refusal {
    Refusal::new(Reason::NotSupported, IssueType::NotSupported, text).at(parameter)
}

impl Reader {
    fn pair(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let shown = shown(name);
        if value.len() > MAX_VALUE_BYTES {
            return Err(malformed(&shown, &format!("has a value of more than {MAX_VALUE_BYTES} bytes")));
        }
        let is_applied = match name {
            "_sort" => self.sort(value)?,
            "_count" => self.count(value)?,
            "_total" => self.total(value)?,
            "_summary" | "_elements" => self.projection(name, value)?,
            // How the answer is written is settled by whoever writes it.
            "_format" | "_pretty" => true,
            "_contained" if value == "false" => true,
            "_containedType" => true,
            "_contained" | "_query" | "_filter" | "_text" | "_content" | "_list" => {
                return Err(not_supported(&shown, format!("The search parameter '{shown}' is not supported by this server.")));
            }
            _ if is_include(name) => self.include(name, value)?,
            _ if name.starts_with("_has") || LinkedName::of(name).is_some() => self.link(name, value)?,
            _ => self.filter(name, &shown, value)?,
        };
        if is_applied {
            self.query.used.push((name.to_owned(), value.to_owned()));
        } else {
            self.query.ignored.push(shown);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Query, Refusal> {
        self.query.projection = self.query.projection.checked()?;
        Ok(self.query)
    }

    /// A control parameter that stands twice has no one meaning.
    fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<bool, Refusal> {
        match slot.replace(value) {
            None => Ok(true),
            Some(_) => Err(malformed(name, "may stand only once")),
        }
    }

    fn count(&mut self, value: &str) -> Result<bool, Refusal> {
        let is_digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(count) if is_digits => Reader::once("_count", &mut self.query.count, count),
            _ => Err(malformed("_count", "must be a whole number from 0 on")),
        }
    }

    fn total(&mut self, value: &str) -> Result<bool, Refusal> {
        let total = match value {
            "none" => Total::None,
            "estimate" => Total::Estimate,
            "accurate" => Total::Accurate,
            _ => return Err(malformed("_total", "must be none, estimate or accurate")),
        };
        Reader::once("_total", &mut self.query.total, total)
    }

    fn projection(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        let is_applied = self.query.projection.read(name, value)?;
        let is_unknown = |element: &CompactString| !super::project::is_element(self.definitions, &self.query.type_name, element);
        if self.handling == Handling::Strict && self.query.projection.elements.iter().any(is_unknown) {
            return Err(malformed("_elements", "names something that is no element of the resource type"));
        }
        Ok(is_applied)
    }

    fn sort(&mut self, value: &str) -> Result<bool, Refusal> {
        if !self.query.sort.is_empty() {
            return Err(malformed("_sort", "may stand only once"));
        }
        self.query.sort = sort::parse(self.definitions, self.query.type_name(), value)?;
        Ok(true)
    }

    fn link(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        let link = Link::read(self.definitions, &self.query.type_name, name, value, self.depth)?;
        self.query.links.push(link);
        Ok(true)
    }

    fn include(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        if self.query.includes.len() == MAX_INCLUDES {
            return Err(malformed("_include", &format!("and _revinclude may stand at most {MAX_INCLUDES} times")));
        }
        self.query.includes.push(Include::read(self.definitions, &self.query.type_name, name, value)?);
        Ok(true)
    }

    /// A filter; answers `false` when lenient handling passes over it.
    fn filter(&mut self, name: &str, shown: &str, value: &str) -> Result<bool, Refusal> {
        let (code, modifier) = match name.split_once(':') {
            Some((code, modifier)) => (code, Some(modifier)),
            None => (name, None),
        };
        let Some(parameter) = parameter(self.definitions, self.query.type_name(), code) else {
            return self.unknown(shown);
        };
        if !parameter.is_supported() {
            return Err(not_supported(shown, format!("The search parameter '{shown}' is not supported by this server.")));
        }
        let modifier = self.modifier(parameter, modifier).ok_or_else(|| {
            not_supported(shown, format!("The modifier of the search parameter '{shown}' is not supported for this parameter."))
        })?;
        if value.is_empty() {
            return match self.handling {
                Handling::Strict => Err(malformed(shown, "has no value")),
                Handling::Lenient => Ok(false),
            };
        }
        let alternatives = alternatives(parameter, &modifier, value).map_err(|problem| malformed(shown, problem))?;
        self.query.filters.push(Filter { parameter: Arc::clone(parameter), modifier, alternatives });
        Ok(true)
    }

    fn unknown(&self, shown: &str) -> Result<bool, Refusal> {
        match self.handling {
            Handling::Lenient => Ok(false),
            Handling::Strict => Err(unknown(shown, self.query.type_name())),
        }
    }

    fn modifier(&self, parameter: &Parameter, text: Option<&str>) -> Option<Modifier> {
        let Some(text) = text else { return Some(Modifier::None) };
        let is_stored_apart = matches!(parameter.source, Source::Id | Source::LastUpdated);
        match (parameter.kind(), text) {
            _ if is_stored_apart => None,
            (_, "missing") => Some(Modifier::Missing),
            (SearchKind::String, "exact") => Some(Modifier::Exact),
            (SearchKind::String, "contains") => Some(Modifier::Contains),
            (SearchKind::Token, "text") => Some(Modifier::Text),
            (SearchKind::Token, "not") => Some(Modifier::Not),
            (SearchKind::Token, "of-type") => Some(Modifier::OfType),
            (SearchKind::Reference, "identifier") => Some(Modifier::Identifier),
            (SearchKind::Uri, "above") => Some(Modifier::Above),
            (SearchKind::Uri, "below") => Some(Modifier::Below),
            (SearchKind::Reference, type_name) => {
                let is_target = parameter.targets.is_empty() || parameter.targets.iter().any(|target| target == type_name);
                let is_type = self.definitions.types().resource(type_name).is_some();
                (is_target && is_type).then(|| Modifier::Type(type_name.to_owned()))
            }
            _ => None,
        }
    }
}

/// The alternatives of a value: split at commas, a composite's parts at dollar signs.
fn alternatives(parameter: &Parameter, modifier: &Modifier, text: &str) -> Result<Vec<Wanted>, &'static str> {
    let pieces = value::split(text, ',');
    if pieces.len() > MAX_ALTERNATIVES {
        return Err("has too many alternatives");
    }
    pieces.into_iter().map(|piece| alternative(parameter, modifier, piece)).collect()
}

fn alternative(parameter: &Parameter, modifier: &Modifier, piece: &str) -> Result<Wanted, &'static str> {
    if piece.is_empty() {
        return Err("has an empty alternative");
    }
    match &parameter.source {
        Source::Id => Ok(Wanted::Id(value::unescaped(piece)?)),
        Source::Composite(composite) if *modifier == Modifier::None => {
            let pieces = value::split(piece, '$');
            if pieces.len() != composite.parts.len() {
                return Err("must have as many values as parts, with '$' between them");
            }
            let parts = pieces.iter().zip(&composite.parts);
            let wanted = parts.map(|(piece, part)| value::parse(part.parameter.kind(), &Modifier::None, piece));
            Ok(Wanted::Parts(wanted.collect::<Result<_, _>>()?))
        }
        _ => value::parse(parameter.kind(), modifier, piece),
    }
}

fn is_include(name: &str) -> bool {
    matches!(name.split(':').next(), Some("_include" | "_revinclude"))
}

/// Characters of a parameter's name that an answer repeats.
const MAX_SHOWN_NAME_CHARS: usize = 64;

pub(super) fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN_NAME_CHARS).filter(|letter| !letter.is_control()).collect()
}

/// The patient whom an alternative names.
fn patient_in(wanted: &Wanted) -> Option<&str> {
    match wanted {
        Wanted::Id(id) => Some(id.as_str()),
        Wanted::Version { type_name, id, .. } if type_name == "Patient" => Some(id.as_str()),
        Wanted::Pointer { type_name, id } if type_name.as_deref().is_none_or(|name| name == "Patient") => Some(id.as_str()),
        _ => None,
    }
}
