//! What a Reference may point to (<https://hl7.org/fhir/R4/references.html>), as far as the reference itself and its document say.

mod bundled;

use super::contexts::Contexts;
use super::path::Path;
use super::primitives::{has_scheme, is_example_url};
use super::profiles::{Found, base_type, conforms, is_in_hand};
use super::report::Rule;
use super::structure::Walk;
use crate::definitions::ProfileType;
use crate::fhir::Node;
use crate::fhir::path::TreeItem;
use crate::fhir::types::TypeTable;
use crate::outcome::IssueType;
use compact_str::CompactString;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

const WRONG_TARGET: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType");
const TYPE_CONTRADICTS: Rule = Rule::error(IssueType::Structure, "Reference_REF_BadTargetType2");
const NO_PROFILE_MET: Rule = Rule::error(IssueType::Structure, "Reference_REF_CantMatchChoice");
const PROFILE_NOT_IN_HAND: Rule = Rule::error(IssueType::Structure, "Reference_REF_CantResolveProfile");
const AGGREGATION: Rule = Rule::error(IssueType::Structure, "Reference_REF_Aggregation");
const NAMES_NOBODY: Rule = Rule::warning(IssueType::Structure, "Reference_REF_NoDisplay");
const NOT_CONTAINED: Rule = Rule::error(IssueType::NotFound, "Reference_REF_CantResolve");

/// What references can be resolved in: the resource at hand, the Bundle or Parameters it stands in, and the resources beside the document.
pub struct Scope<'a> {
    pub resource: &'a Node,
    /// The resource itself, or the one that contains it.
    pub container: &'a Node,
    /// The outermost resource: the Bundle that the others are entries of.
    pub document: &'a Node,
    /// The resources of the entries by `fullUrl`, and those of parameters by type and id.
    entries: HashMap<Cow<'a, str>, &'a Node>,
    /// Full URLs that more than one entry has: versions of one resource.
    repeated: HashSet<&'a str>,
    /// Of a Bundle: the `fullUrl` of the entry that has the resource at an address.
    full_urls: HashMap<usize, Option<&'a str>>,
    /// Of a Bundle, made when it is first asked for: the entries by type and id of what they hold.
    named: OnceCell<HashMap<String, Vec<usize>>>,
    /// The places of what the container contains, by id, made when it is first asked for; of several with one id the first.
    contained: OnceCell<HashMap<CompactString, usize>>,
    /// How the resource, or the one around it, stands in a Bundle.
    pub entry: Option<Entry<'a>>,
    /// Resources beside the document, by the reference that names them; none when references are not followed.
    pub neighbours: Option<&'a HashMap<String, Node>>,
    /// Where its extensions may stand, as far as that was asked.
    pub contexts: RefCell<Contexts>,
    outer: Option<&'a Scope<'a>>,
}

/// The entry of a Bundle that a resource stands in.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    pub full_url: Option<&'a str>,
    /// `Bundle.type`.
    pub kind: &'a str,
}

impl<'a> Scope<'a> {
    /// The scope of a resource. A contained one has that of its container.
    pub fn of(resource: &'a Node, type_name: &str, outer: Option<&'a Scope<'a>>, is_contained: bool) -> Scope<'a> {
        let container = outer.filter(|_| is_contained).map_or(resource, |outer| outer.container);
        let document = outer.map_or(resource, |outer| outer.document);
        let (mut entries, mut full_urls, mut repeated) = (HashMap::new(), HashMap::new(), HashSet::new());
        match type_name {
            "Bundle" => {
                for entry in resource.items("entry") {
                    let Some(held) = entry.get("resource") else { continue };
                    let Some(url) = entry.text("fullUrl") else {
                        full_urls.insert(address(held), None);
                        continue;
                    };
                    full_urls.insert(address(held), Some(url));
                    if entries.insert(Cow::Borrowed(url), held).is_some() {
                        repeated.insert(url);
                    }
                }
            }
            "Parameters" => {
                let held = resource.items("parameter").iter().filter_map(|parameter| parameter.get("resource"));
                entries.extend(held.filter_map(|held| Some((format!("{}/{}", held.resource_type()?, held.text("id")?).into(), held))));
            }
            _ => {}
        }
        let entry = outer.and_then(|outer| match outer.full_urls.get(&address(resource)) {
            Some(full_url) => Some(Entry { full_url: *full_url, kind: outer.resource.text("type").unwrap_or_default() }),
            None => outer.entry,
        });
        let neighbours = outer.and_then(|outer| outer.neighbours);
        let (named, contained, contexts) = (OnceCell::new(), OnceCell::new(), RefCell::default());
        Scope { resource, container, document, entries, repeated, full_urls, named, contained, entry, neighbours, contexts, outer }
    }

    /// The resource that a reference leads to: of an entry, a parameter, or beside the document.
    fn entry(&self, reference: &str) -> Option<&'a Node> {
        let absolute = self.beside_entry(reference);
        self.held(absolute.as_deref().unwrap_or(reference)).or_else(|| self.held(reference)).or_else(|| self.beside(reference))
    }

    /// A resource beside the document; what leads back to the document is the document, and no other of the same name.
    fn beside(&self, reference: &str) -> Option<&'a Node> {
        let neighbours = self.neighbours?;
        let (type_name, id) = reference.split_once('/').unwrap_or_default();
        let is_own = self.document.resource_type() == Some(type_name) && self.document.text("id") == Some(id);
        if is_own { Some(self.document) } else { neighbours.get(reference) }
    }

    /// What a relative reference is beside the `fullUrl` of the entry around it.
    fn beside_entry(&self, reference: &str) -> Option<String> {
        let full_url = self.entry.and_then(|entry| entry.full_url).filter(|_| !has_scheme(reference))?;
        absolute(full_url, reference)
    }

    /// The entries of the Bundle around it that hold what is named by type and id (`Patient/1`).
    fn entries_named(&self, name: &str) -> &[usize] {
        let mut around = std::iter::successors(Some(self), |scope| scope.outer);
        let Some(bundle) = around.find(|scope| !scope.full_urls.is_empty()) else { return &[] };
        let named = bundle.named.get_or_init(|| {
            let mut named: HashMap<String, Vec<usize>> = HashMap::new();
            for (index, entry) in bundle.resource.items("entry").iter().enumerate() {
                let held = entry.get("resource");
                if let Some((type_name, id)) = held.and_then(|held| held.resource_type().zip(held.text("id"))) {
                    named.entry(format!("{type_name}/{id}")).or_default().push(index);
                }
            }
            named
        });
        named.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn held(&self, url: &str) -> Option<&'a Node> {
        self.entries.get(url).copied().or_else(|| self.outer?.held(url))
    }

    /// Whether more than one entry is what a reference without a version names.
    fn names_several(&self, reference: &str) -> bool {
        let around = || std::iter::successors(Some(self), |scope| scope.outer);
        if around().all(|scope| scope.repeated.is_empty()) {
            return false;
        }
        let absolute = self.beside_entry(reference);
        let url = absolute.as_deref().unwrap_or(reference);
        around().any(|scope| scope.repeated.contains(url))
    }

    /// Whether a resource is one that the container contains. One without an id is not known to be.
    pub fn contains(&self, resource: &Node) -> bool {
        let named = resource.text("id").filter(|id| !id.is_empty()).and_then(|id| self.contained(id));
        named.is_some_and(|named| std::ptr::eq(named, resource))
    }

    /// The contained resource with an id; `#` alone is the container itself.
    fn contained(&self, id: &str) -> Option<&'a Node> {
        if id.is_empty() {
            return Some(self.container);
        }
        // What a container holds is looked up where its own scope is, so that the table is made once.
        let around = std::iter::successors(Some(self), |scope| scope.outer.filter(|outer| std::ptr::eq(outer.container, scope.container)));
        let own = around.last().unwrap_or(self);
        let all = self.container.items("contained");
        let places = own.contained.get_or_init(|| {
            let named = all.iter().enumerate().rev();
            named.filter_map(|(index, one)| Some((one.text("id")?.into(), index))).collect()
        });
        all.get(*places.get(id)?)
    }
}

pub fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// A relative reference beside the `fullUrl` of the entry it stands in: on the same server, or with the id as a URN.
pub fn absolute(full_url: &str, reference: &str) -> Option<String> {
    if full_url.starts_with("urn:") {
        let (scheme, _) = full_url.rsplit_once(':')?;
        return Some(format!("{scheme}:{}", reference.split('/').nth(1)?));
    }
    let (front, _) = full_url.rsplit_once('/')?;
    let (base, _) = front.rsplit_once('/')?;
    Some(format!("{base}/{reference}"))
}

/// Judges the target of a Reference; `targets` are the types allowed, none meaning any.
pub fn check(walk: &mut Walk<'_>, targets: &[CompactString], reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let types = walk.types;
    let stated = reference.text("type").map(|name| name.rsplit('/').next().unwrap_or(name));
    let literal = reference.text("reference");
    let found = literal.and_then(|literal| target_type(types, literal, scope));
    if let (Some(stated), Some(found)) = (stated, found)
        && stated != found
    {
        let named = types.resource(stated).map_or("what is no resource type", |_| stated);
        let text = format!("The reference says it points to {named}, but it points to {found}");
        walk.report.add(TYPE_CONTRADICTS, path, reference, text);
    }
    if literal.is_none() && !says_whom(reference) {
        walk.report.add(
            NAMES_NOBODY,
            path,
            reference,
            "A reference that neither leads anywhere nor has an identifier should have a display",
        );
    }
    if let Some(literal) = literal
        && found.is_none()
        && literal.starts_with('#')
    {
        walk.report.add(NOT_CONTAINED, path, reference, "The reference points to a contained resource that is not there");
    }
    if let Some(literal) = literal.filter(|literal| !literal.starts_with('#')) {
        bundled::check(walk, literal, reference, scope, path);
        in_reach(walk, literal, reference, scope, path);
    }
    let Some(target) = found.or(stated.filter(|name| types.resource(name).is_some())) else { return };
    if !targets.is_empty() && !targets.iter().any(|allowed| types.is_kind_of(target, allowed)) {
        let text = format!("The reference points to a {target}; it may point to {}", targets.join(", "));
        let is_judged = is_judged(walk, stated, literal, scope);
        walk.report.add(WRONG_TARGET.grave_if(is_judged), path, reference, text);
    }
}

/// Whether a reference is held against the types that it may lead to. Where it is not taken as it stands, HL7's validator does not hold against them
/// what is named by identifier or in words alone, nor what is read off an address that nothing resolves.
fn is_judged(walk: &Walk<'_>, stated: Option<&str>, literal: Option<&str>, scope: &Scope<'_>) -> bool {
    walk.options.references_assumed || literal.is_some_and(|literal| stated.is_some() || target(literal, scope).is_some())
}

/// Whether a reference that leads nowhere says all the same what it is to: by an identifier, or in words.
fn says_whom(reference: &Node) -> bool {
    let has_text = |node: &Node, name: &str| node.text(name).is_some_and(|text| !text.is_empty());
    has_text(reference, "display") || reference.get("identifier").is_some_and(|one| has_text(one, "system") || has_text(one, "value"))
}

/// Where references are followed, what they lead to is in the document or beside it.
fn in_reach(walk: &mut Walk<'_>, literal: &str, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let is_missing = || !literal.contains('?') && scope.entry(literal).is_none();
    if scope.neighbours.is_some() && is_followed(walk, literal, scope) && is_missing() {
        walk.report.add(NOT_CONTAINED, path, reference, "What the reference leads to is neither in the document nor beside it");
    }
}

/// Whether what a reference leads to has to be there: not what stands for an example, nor another entry of the Bundle around it.
fn is_followed(walk: &Walk<'_>, literal: &str, scope: &Scope<'_>) -> bool {
    if !has_scheme(literal) {
        return true;
    }
    let is_example = !walk.options.refuse_example_urls && is_example_url(literal);
    let is_urn = literal.starts_with("urn:") && scope.entry.is_none();
    let is_web = literal.starts_with("http://") || literal.starts_with("https://");
    !walk.options.references_assumed && !is_example && (is_urn || is_web)
}

/// The type a literal reference names: in this document, or in its path (`Patient/1`, `https://…/Patient/1/_history/2`).
fn target_type<'a>(types: &'a TypeTable, literal: &'a str, scope: &'a Scope<'_>) -> Option<&'a str> {
    if let Some(id) = literal.strip_prefix('#') {
        return scope.contained(id)?.resource_type();
    }
    if let Some(found) = scope.entry(literal) {
        return found.resource_type();
    }
    let unversioned = literal.split("/_history/").next().unwrap_or(literal);
    let (front, _) = unversioned.rsplit_once('/')?;
    let name = front.rsplit('/').next().unwrap_or(front);
    types.resource(name).map(|definition| definition.name.as_str())
}

/// The resource a literal reference points to, where the document holds it.
pub fn target<'d>(literal: &str, scope: &Scope<'d>) -> Option<&'d Node> {
    if let Some(id) = literal.strip_prefix('#') {
        return scope.contained(id);
    }
    scope.entry(literal)
}

/// Judges a reference by what a profile asks of its target: which profiles it may meet, and how it may be held.
pub fn check_profiles(walk: &mut Walk<'_>, asked: &ProfileType, reference: &Node, scope: &Scope<'_>, path: &Path<'_>) {
    let Some(literal) = reference.text("reference") else { return };
    let found = target(literal, scope);
    aggregation(walk, asked, literal, found.is_some(), reference, path);
    if asked.target_profiles.is_empty() {
        return;
    }
    let types = walk.types;
    let type_of = |url: &str| match base_type(types, url) {
        Some(name) => Some(name.into()),
        None => walk.definitions.structure_in_any_version(url).map(|structure| structure.type_name.clone()),
    };
    let allowed: Vec<Option<CompactString>> = asked.target_profiles.iter().map(|url| type_of(url)).collect();
    let known = found.and_then(Node::resource_type).or_else(|| target_type(types, literal, scope));
    let Some(name) = known else { return };
    for url in &asked.target_profiles {
        if !is_in_hand(walk, url) {
            let text = format!("What the reference points to may have to meet the profile {url}, which is not in hand");
            walk.report.add(PROFILE_NOT_IN_HAND, path, reference, text);
        }
    }
    let fits = allowed.iter().any(|one| one.as_ref().is_none_or(|one| types.is_kind_of(name, one)));
    if !fits {
        let names: Vec<&str> = allowed.iter().flatten().map(CompactString::as_str).collect();
        let text = format!("The reference points to a {name}; the profile allows {}", names.join(", "));
        let is_judged = is_judged(walk, None, Some(literal), scope);
        return walk.report.add(WRONG_TARGET.grave_if(is_judged), path, reference, text);
    }
    let Some((resource, item)) = found.and_then(|node| Some((node, TreeItem::resource(types, node)?))) else { return };
    let candidates: Vec<&str> = asked.target_profiles.iter().map(CompactString::as_str).collect();
    let inner = Scope::of(resource, name, Some(scope), literal.starts_with('#'));
    let meets = candidates.iter().any(|url| conforms(walk, url, Found::root(item), &inner, path));
    if !meets {
        let text = format!("What the reference points to meets none of the profiles allowed: {}", candidates.join(", "));
        walk.report.add(NO_PROFILE_MET, path, reference, text);
    }
}

fn aggregation(walk: &mut Walk<'_>, asked: &ProfileType, literal: &str, is_held: bool, reference: &Node, path: &Path<'_>) {
    if asked.aggregation.is_empty() {
        return;
    }
    let held = match (literal.starts_with('#'), is_held) {
        (true, _) => "contained",
        (false, true) => "bundled",
        (false, false) => "referenced",
    };
    // What is bundled is also referenced.
    let fits = asked.aggregation.iter().any(|one| one == held || (one == "referenced" && held == "bundled"));
    if !fits {
        let text = format!("The target must be {} here, and it is {held}", asked.aggregation.join(" or "));
        walk.report.add(AGGREGATION, path, reference, text);
    }
}
