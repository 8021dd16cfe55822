//! What the contexts of extensions may call the element that an extension stands on: by type, by path, by kind, or by an element of a profile.

use super::super::path::Path;
use super::super::profiles::{self, Found, base_type};
use super::super::references::Scope;
use super::super::structure::{Surrounding, Walk};
use crate::fhir::path::TreeItem;
use crate::fhir::types::{ElementId, TypeTable};
use std::borrow::Cow;

/// Resources that have a canonical URL, as R4's own extensions and those of later releases call them.
const CANONICAL: [&str; 2] = ["CanonicalResource", "MetadataResource"];

/// What every resource with a canonical URL has, and no other; NamingSystem has all but the URL.
const OF_CANONICAL: [&str; 3] = ["status", "publisher", "useContext"];

/// Whether an element of a profile, or a type named by its URL, is what an extension stands on, or why that cannot be said.
pub fn is_of_profile(walk: &mut Walk<'_>, expression: &str, names: &[Cow<'_, str>], scope: &Scope<'_>) -> Result<bool, String> {
    let (url, path) = expression.split_once('#').map_or((expression, None), |(url, path)| (url, Some(path)));
    let definitions = walk.definitions;
    let is_named = |path: &str| names.contains(&without_choice(&without_slices(path)));
    let known = base_type(walk.types, url).map(|name| (name, false));
    let known = known.or_else(|| definitions.structure(url).map(|found| (found.type_name.as_str(), found.is_constraint)));
    let Some((type_name, is_profile)) = known else {
        return if path.is_some_and(|path| !is_named(path)) { Ok(false) } else { Err(format!("{url} is not in hand")) };
    };
    match path.unwrap_or(type_name) {
        path if !is_named(path) => Ok(false),
        path if path.contains(':') => Err("slices of profiles are not followed here".to_owned()),
        _ if !is_profile => Ok(true),
        _ => meets(walk, url, type_name, scope),
    }
}

/// Whether the resource that an extension stands in meets the profile whose element a context names. Profiles of other types are not followed.
fn meets(walk: &mut Walk<'_>, url: &str, type_name: &str, scope: &Scope<'_>) -> Result<bool, String> {
    let types = walk.types;
    let item = TreeItem::resource(types, scope.resource).filter(|item| types.is_kind_of(item.type_name(types), type_name));
    let Some(item) = item else { return Err(format!("whether the {type_name} around it meets {url} is not followed here")) };
    if let Some(known) = scope.contexts.borrow().met.get(url) {
        return Ok(*known);
    }
    let met = profiles::conforms(walk, url, Found::root(item), scope, &Path::root(type_name));
    scope.contexts.borrow_mut().met.insert(url.into(), met);
    Ok(met)
}

/// The path of an element's id: `Patient.name:official.family` goes through `Patient.name.family`.
fn without_slices(id: &str) -> Cow<'_, str> {
    if !id.contains(':') {
        return id.into();
    }
    let steps: Vec<&str> = id.split('.').map(|step| step.split(':').next().unwrap_or(step)).collect();
    steps.join(".").into()
}

pub fn without_choice(path: &str) -> Cow<'_, str> {
    if path.contains("[x]") { path.replace("[x]", "").into() } else { path.into() }
}

/// What contexts may call the element that an extension stands on: by its path, by its types, by what those specialise, and as any element.
pub fn names<'t>(types: &'t TypeTable, around: &Surrounding, path: &Path<'_>) -> Vec<Cow<'t, str>> {
    let of = |id: ElementId| types.element(id).path.as_str();
    let element = around.element.map(|id| types.element(id));
    let contents = [around.content].into_iter().chain(element.into_iter().flat_map(|element| &element.types).filter_map(|one| one.root));
    let codes = element.into_iter().flat_map(|element| &element.types).map(|one| one.code.as_str());
    let mut names: Vec<Cow<'t, str>> = vec!["*".into(), "Any".into(), "Element".into(), path.element_path().into()];
    names.push(without_choice(of(around.content)));
    for name in contents.map(of).chain(codes) {
        names.extend(kinds(types, name).map(Cow::from));
    }
    if around.element.is_none() && is_canonical(types, around.content) {
        names.extend(CANONICAL.map(Cow::from));
    }
    if let Some(path) = around.element.map(of) {
        names.push(without_choice(path));
        // `DomainResource.text` stands for `Patient.text` too.
        if let Some((owner, rest)) = path.split_once('.') {
            names.extend(kinds(types, owner).map(|kind| without_choice(&format!("{kind}.{rest}")).into_owned().into()));
        }
    }
    names
}

/// A type and those it specialises.
fn kinds<'t>(types: &'t TypeTable, name: &'t str) -> impl Iterator<Item = &'t str> {
    std::iter::successors(Some(name), |name| types.type_named(name).and_then(|definition| definition.base.as_deref()))
}

fn is_canonical(types: &TypeTable, resource: ElementId) -> bool {
    OF_CANONICAL.iter().all(|name| types.child_named(resource, name).is_some())
}
