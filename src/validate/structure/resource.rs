//! A resource as a whole: what it is, what it claims to be, and what its type asks beyond its elements.

use super::super::path::Path;
use super::super::references::Scope;
use super::super::report::Rule;
use super::super::{Options, best_practice, bundle, conformance, contained, languages, profiles, questionnaire, vital_signs};
use super::{At, NOT_AN_OBJECT, Position, Shape, Walk};
use crate::definitions::without_version;
use crate::fhir::path::TreeItem;
use crate::fhir::types::{ElementId, TypeDefinition, TypeTable};
use crate::fhir::{Node, Object};
use crate::outcome::IssueType;
use std::collections::HashSet;

const A_TEMPLATE: Rule = Rule::error(IssueType::BusinessRule, "RESOURCE_MATCHETYPE_DISALLOWED");
const NO_RESOURCE_TYPE: Rule = Rule::fatal(IssueType::Invalid, "Unable_to_find_resourceType_property");
const OTHER_RELEASE: Rule = Rule::information(IssueType::Structure, "VALIDATION_VAL_PROFILE_OTHER_VERSION");
const THIS_RELEASE: Rule = Rule::information(IssueType::Structure, "VALIDATION_VAL_PROFILE_THIS_VERSION_OK");
const OTHER_TYPE: Rule = Rule::error(IssueType::Structure, "VALIDATION_VAL_PROFILE_THIS_VERSION_OTHER");
const UNKNOWN_TYPE: Rule = Rule::fatal(IssueType::Invalid, "This_does_not_appear_to_be_a_FHIR_resource_unknown_name");

/// The extension that says of a resource that others are compared with it.
const MATCHETYPE: &str = "http://hl7.org/fhir/tools/StructureDefinition/matchetype";

impl<'a> Walk<'a> {
    pub(super) fn resource(&mut self, node: &Node, at: At<'_>, outer: Option<&Scope<'_>>, position: Position) {
        let Some(object) = node.as_object() else {
            return self.report.add(NOT_AN_OBJECT, at.path, node, "A resource must be an object");
        };
        if let Some(model) = self.model_of(node).filter(|_| position == Position::Root) {
            return self.instance(node, object, model, at);
        }
        let Some(type_name) = object.get("resourceType").and_then(Node::as_text) else {
            return self.report.add(NO_RESOURCE_TYPE, at.path, node, "A resource must name its type in the member resourceType");
        };
        let Some(definition) = self.types.resource(type_name) else {
            let text = format!("The type named in resourceType is not a resource type of FHIR {}", self.types.version);
            return self.report.add(UNKNOWN_TYPE, at.path, node, text);
        };
        if position == Position::Contained {
            contained::check(self, node, object, at.path);
        }
        let mut scope = Scope::of(node, type_name, outer, position == Position::Contained);
        if outer.is_none() {
            let options: &Options = self.options;
            scope.neighbours = options.neighbours.as_ref();
        }
        let language = self.speak(node);
        let ids = (position != Position::Contained).then(|| std::mem::take(&mut self.ids));
        self.object(
            node,
            object,
            Shape { element: None, stands_at: None, content: definition.root, type_name, is_document: true },
            at,
            &scope,
        );
        self.template(node, at.path);
        languages::check(self, node, at.path);
        if position != Position::Contained {
            contained::check_all(self, node, at.path);
        }
        self.profiles(node, definition.root, at.path, &scope, position);
        if let Some(ids) = ids {
            self.ids = ids;
        }
        match type_name {
            "Bundle" => bundle::check(self, node, at.path),
            "Questionnaire" => {
                questionnaire::check_form(self, node, at.path);
                conformance::check(self, type_name, node, at.path);
            }
            "QuestionnaireResponse" => {
                let found = profiles::Found::root(TreeItem { node: Some(node), sibling: None, content: definition.root });
                questionnaire::check_response(self, found, &scope, at.path);
            }
            "Observation" => best_practice::check_observation(self, node, at.path),
            name => conformance::check(self, name, node, at.path),
        }
        self.language = language;
    }

    /// What resources are compared with in tests of HL7's is no resource for its validator. Here the extension is one that is not in hand.
    fn template(&mut self, node: &Node, path: &Path<'_>) {
        if self.options.as_hl7 && node.items("extension").iter().any(|one| one.text("url") == Some(MATCHETYPE)) {
            self.report.add(A_TEMPLATE, path, node, "This is what other resources are compared with, and no resource itself");
        }
    }

    /// The logical model that a document is an instance of: its `resourceType` names it, or a profile that is asked for where it names nothing.
    pub(super) fn model_of(&self, node: &Node) -> Option<&'a TypeDefinition> {
        match node.get("resourceType") {
            Some(name) => self.types.model(name.as_text()?),
            None => self.options.profiles.iter().find_map(|url| self.types.model(without_version(url))),
        }
    }

    /// An instance of a logical model: by its elements alone, and the profiles that are asked for.
    fn instance(&mut self, node: &Node, object: &Object, model: &'a TypeDefinition, at: At<'_>) {
        let scope = Scope::of(node, &model.name, None, false);
        let shape = Shape { element: None, stands_at: None, content: model.root, type_name: &model.name, is_document: true };
        self.object(node, object, shape, at, &scope);
        self.profiles(node, model.root, at.path, &scope, Position::Root);
    }

    /// A resource that claims to be of a type of a certain release is of that type, if it is this one.
    fn of_release(&mut self, node: &Node, root: ElementId, (release, name): (&str, &str), path: &Path<'_>) {
        let types = self.types;
        let (rule, text) = if !types.version.strip_prefix(release).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            (OTHER_RELEASE, "The type that is named here is of another release, so this was not held to it")
        } else if type_is(types, root, name) {
            (THIS_RELEASE, "The type that is named here is the resource's own")
        } else {
            (OTHER_TYPE, "The type that is named here is not the resource's")
        };
        self.report.add(rule, path, node, text);
    }

    /// The profiles a resource claims, and for a root those that are asked of it.
    fn profiles(&mut self, node: &Node, root: ElementId, path: &Path<'_>, scope: &Scope<'_>, position: Position) {
        let found = profiles::Found::root(TreeItem { node: Some(node), sibling: None, content: root });
        let claimed = node.get("meta").map(|meta| meta.items("profile")).unwrap_or_default();
        let (meta, name);
        if !claimed.is_empty() {
            meta = path.name("meta");
            name = meta.name("profile");
            let mut met = HashSet::new();
            let urls = claimed.iter().enumerate().filter_map(|(index, url)| Some((index, url.as_text()?)));
            for (index, url) in urls.filter(|(_, url)| met.insert(*url)) {
                let at = name.index(index);
                match released(url) {
                    Some(named) => self.of_release(node, root, named, &at),
                    None => profiles::check_url(self, url, found, scope, path, &at),
                }
            }
        }
        if type_is(self.types, root, "Observation") {
            let vital = vital_signs::profiles(node);
            for url in vital.iter().filter(|url| !claimed.iter().any(|claimed| claimed.as_text() == Some(**url))) {
                profiles::check_url(self, url, found, scope, path, path);
            }
            let related = vital_signs::related(node).filter(|_| self.options.related_vital_signs);
            let is_asked = |url: &String| claimed.iter().any(|one| one.as_text() == Some(url)) || vital.iter().any(|one| one == url);
            if let Some(url) = related.filter(|url| !is_asked(url)) {
                profiles::check_url(self, &url, found, scope, path, path);
            }
        }
        let definitions = self.definitions;
        if position != Position::Contained {
            for url in definitions.global_profiles(&self.types.element(root).path) {
                profiles::check_url(self, url, found, scope, path, path);
            }
        }
        if position == Position::Root {
            let options = self.options;
            for url in &options.profiles {
                match self.first_of_profile(node, url) {
                    Some(first) => self.first_entry(first, url, scope, path),
                    None => profiles::check_requested(self, url, found, scope, path),
                }
            }
        }
    }

    /// What a Bundle begins with, where that and not the Bundle is of the type of the profile that is asked for: HL7's validator holds it to the
    /// profile then.
    fn first_of_profile<'n>(&self, bundle: &'n Node, url: &str) -> Option<&'n Node> {
        let first = bundle.items("entry").first()?.get("resource")?;
        let is_bundle = bundle.resource_type() == Some("Bundle") && self.options.as_hl7;
        let is_of = |name: &str| first.resource_type() == Some(name) && bundle.resource_type() != Some(name);
        self.definitions.structure(url).filter(|profile| is_bundle && is_of(&profile.type_name)).map(|_| first)
    }

    fn first_entry(&mut self, first: &Node, url: &str, scope: &Scope<'_>, path: &Path<'_>) {
        let (Some(type_name), Some(item)) = (first.resource_type(), TreeItem::resource(self.types, first)) else { return };
        let scope = Scope::of(first, type_name, Some(scope), false);
        let entries = path.name("entry");
        profiles::check_requested(self, url, profiles::Found::root(item), &scope, &entries.index(0).name("resource"));
    }
}

/// The release and the type in the URL of a type of a certain release: `http://hl7.org/fhir/4.0/StructureDefinition/Patient`.
fn released(url: &str) -> Option<(&str, &str)> {
    let (release, name) = url.strip_prefix("http://hl7.org/fhir/")?.split_once("/StructureDefinition/")?;
    let (major, minor) = release.split_once('.')?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then_some((release, name))
}

fn type_is(types: &TypeTable, root: ElementId, name: &str) -> bool {
    types.element(root).path == name
}
