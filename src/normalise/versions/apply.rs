//! What one row of a conversion table does to the object that holds its member.
//!
//! Every removal and addition goes through [`Work`], so that each is a step of the lineage.

mod parts;

use super::carried::{self, extensions, listed};
use super::table::{Action, Carried, Row};
use super::{Release, VERSIONS};
use crate::fhir::{Node, Object, Value};
use crate::normalise::path::Path;
use crate::normalise::record::Work;
use crate::normalise::vocabulary::{EPISODE_OF_CARE, OBSERVATION_REPLACES, OBSERVATION_SEQUEL};
use crate::outcome::{IssueType, Severity};

/// One row at work on one object.
struct Step<'s, 'w, 'c> {
    row: &'static Row,
    release: Release,
    object: &'s mut Object,
    path: &'s Path<'s>,
    work: &'w mut Work<'c>,
}

/// Applies a row where its member is there in the other release's form.
pub(super) fn row(row: &'static Row, release: Release, object: &mut Object, path: &Path<'_>, work: &mut Work<'_>) {
    let mut step = Step { row, release, object, path, work };
    if let Action::Required { type_name, is_list } = row.action {
        return step.require(type_name, is_list);
    }
    let (value, sibling) = (step.object.get(row.member), step.object.get(&step.sibling()));
    if value.is_none() && sibling.is_none() || value.is_some_and(|node| !row.is_due(node)) {
        return;
    }
    // A list in a list is no FHIR of any release.
    let is_nested = value.and_then(Node::as_list).is_some_and(|items| items.iter().any(|item| item.as_list().is_some()));
    if is_nested {
        return step.refuse();
    }
    if sibling.is_some()
        && !matches!(row.action, Action::Rename(_) | Action::Extension(Carried::Value(_)) | Action::Codes(_) | Action::Types(_))
    {
        return step.refuse();
    }
    step.run();
}

impl Step<'_, '_, '_> {
    fn sibling(&self) -> String {
        format!("_{}", self.row.member)
    }

    fn run(&mut self) {
        let member = self.row.member;
        match &self.row.action {
            Action::Rename(name) => self.rename(name),
            Action::Many(name) => self.many(name),
            Action::One(carried) => self.one(carried),
            Action::Visit => self.visit(),
            Action::Concept { system, codes } => self.concept(system, codes),
            Action::CodeOf(codes) => self.code_of(codes),
            Action::Coding => self.coding(),
            Action::Only(codes) => self.only(codes),
            Action::Annotate(name) => self.annotate(name),
            Action::Related => self.related(),
            Action::Extension(carried) => self.carry_member(carried),
            Action::Unwrap { child, rest } => self.unwrap(child, rest),
            Action::Lift(names) => self.lift(names),
            Action::When { value, member, code, otherwise } => self.when(value, member, code, *otherwise),
            Action::Codes(codes) => self.codes(codes),
            Action::Split { concept, reference } => self.split(*concept, *reference),
            Action::Choose { concept, reference } => self.choose(concept, reference),
            Action::Into { container, is_list } => self.move_into(container, *is_list),
            Action::Beside { name, other, type_name } => {
                if self.object.get(other).is_some() {
                    self.carry_member(&Carried::Value(type_name))
                } else {
                    self.rename(name)
                }
            }
            Action::Reasons => self.reasons(),
            Action::Number => {
                let number =
                    self.object.get(member).and_then(Node::as_text).filter(|text| crate::fhir::json::is_number(text)).map(str::to_owned);
                if let Some(number) = number {
                    self.set(member, Value::Number(number.into()));
                }
            }
            Action::Types(names) => self.types(names),
            Action::Required { .. } => {}
            Action::Spread { names, rest } => self.spread(names, rest),
            Action::Nest(name) => {
                if let Some(list) = self.take() {
                    self.set(member, Object::new().with(name, list));
                }
            }
            Action::ValueOf => self.value_of(),
            // What is not so need not be said.
            Action::Refuse(_) if self.object.get(member).and_then(Node::as_bool) == Some(false) => drop(self.take()),
            Action::Refuse(_) => self.refuse(),
        }
    }

    fn take(&mut self) -> Option<Node> {
        self.work.remove(VERSIONS, self.object, self.path, self.row.member)
    }

    fn set(&mut self, name: &str, node: impl Into<Node>) {
        self.work.set(VERSIONS, self.object, self.path, name, node);
    }

    /// Sets a member that must not be there yet; when it is, the resource says two things and neither is chosen.
    fn place(&mut self, name: &str, node: impl Into<Node>) {
        if self.object.get(name).is_some() { self.refuse_at(name) } else { self.set(name, node) }
    }

    fn refuse(&mut self) {
        self.refuse_at(self.row.member);
    }

    fn refuse_at(&mut self, name: &str) {
        let text = format!(
            "R4 has no place for this element of FHIR {}, and leaving it out could change what the resource says; send the resource in R4",
            self.release.name()
        );
        self.work.flag(Severity::Error, IssueType::NotSupported, "version-element-refused", &self.path.member(name), text);
    }

    /// Carries a value in extensions on the object.
    fn carry(&mut self, node: Option<Node>, sibling: Option<Node>, carried: &Carried) {
        let url = self.row.url(self.release);
        self.carry_as(&url, node, sibling, carried);
    }

    fn carry_as(&mut self, url: &str, node: Option<Node>, sibling: Option<Node>, carried: &Carried) {
        match extensions(url, node, sibling, carried) {
            Some(made) => made.into_iter().for_each(|one| self.work.append(VERSIONS, self.object, self.path, "extension", one)),
            None => self.refuse(),
        }
    }

    /// Carries the member. What has a part whose type is not known stays where it is, and refuses the resource.
    fn carry_member(&mut self, carried: &Carried) {
        let (url, sibling) = (self.row.url(self.release), self.sibling());
        let (node, beside) = (self.object.get(self.row.member).cloned(), self.object.get(&sibling).cloned());
        let Some(made) = extensions(&url, node, beside, carried) else { return self.refuse() };
        self.take();
        self.work.remove(VERSIONS, self.object, self.path, &sibling);
        made.into_iter().for_each(|one| self.work.append(VERSIONS, self.object, self.path, "extension", one));
    }

    fn rename(&mut self, name: &str) {
        if let Some(node) = self.take() {
            self.place(name, node);
        }
        let sibling = self.sibling();
        if let Some(node) = self.work.remove(VERSIONS, self.object, self.path, &sibling) {
            self.place(&format!("_{name}"), node);
        }
    }

    fn many(&mut self, name: &str) {
        if let Some(node) = self.take() {
            self.place(name, vec![node]);
        }
    }

    fn one(&mut self, carried: &Carried) {
        let Some(Node { value: Value::List(items), .. }) = self.take() else { return };
        let mut items = items.into_iter();
        if let Some(first) = items.next() {
            self.set(self.row.member, first);
        }
        let others: Vec<Node> = items.collect();
        if !others.is_empty() {
            self.carry(Some(others.into()), None, carried);
        }
    }

    fn visit(&mut self) {
        let Some(context) = self.take() else { return };
        let literal = context.text("reference").unwrap_or_default();
        let target = self.work.context.links.get(literal).unwrap_or(literal);
        if target.starts_with("EpisodeOfCare/") || target.contains("/EpisodeOfCare/") {
            self.carry_as(EPISODE_OF_CARE, Some(context), None, &Carried::Value("Reference"));
        } else {
            self.place("encounter", context);
        }
    }

    fn concept(&mut self, system: &str, codes: &[&str]) {
        let Some(code) = self.take() else { return };
        if code.as_text().is_some_and(|code| codes.contains(&code)) {
            let coding = Object::new().with("system", system).with("code", code);
            self.set(self.row.member, Object::new().with("coding", vec![coding.into()]));
        } else {
            self.carry(Some(code), None, &Carried::Value("code"));
        }
    }

    fn code_of(&mut self, codes: &[&str]) {
        let Some(concept) = self.take() else { return };
        let code =
            concept.items("coding").iter().filter_map(|coding| coding.text("code")).find(|code| codes.contains(code)).map(str::to_owned);
        if let Some(code) = code {
            self.set(self.row.member, code);
        }
        self.carry(Some(concept), None, &Carried::Value("CodeableConcept"));
    }

    fn coding(&mut self) {
        let nested =
            |concept: &Node| concept.items("coding").iter().any(|coding| coding.get("coding").is_some() || coding.get("text").is_some());
        if self.has(nested) {
            return self.refuse();
        }
        let Some(taken) = self.take() else { return };
        let is_list = taken.as_list().is_some();
        let concepts = listed(taken);
        let mut codings: Vec<Node> = concepts.iter().filter_map(|concept| concept.items("coding").first()).cloned().collect();
        if is_list && !codings.is_empty() {
            self.set(self.row.member, codings);
        } else if let Some(only) = codings.pop() {
            self.set(self.row.member, only);
        }
        let is_more = |concept: &Node| concept.items("coding").len() != 1 || concept.as_object().is_some_and(|object| object.len() > 1);
        let more: Vec<Node> = concepts.into_iter().filter(is_more).collect();
        if !more.is_empty() {
            self.carry(Some(more.into()), None, &Carried::Value("CodeableConcept"));
        }
    }

    fn value_of(&mut self) {
        let Some(taken) = self.take() else { return };
        let single = std::slice::from_ref(&taken);
        let first = taken.as_list().unwrap_or(single).first().and_then(|identifier| identifier.text("value")).map(str::to_owned);
        if let Some(value) = first {
            self.set(self.row.member, value);
        }
        self.carry(Some(taken), None, &Carried::Value("Identifier"));
    }

    fn only(&mut self, codes: &[&str]) {
        let has =
            |concept: &Node| concept.items("coding").iter().any(|coding| coding.text("code").is_some_and(|code| codes.contains(&code)));
        let other = self.object.get(self.row.member).is_some_and(|concept| !concept.items("coding").is_empty() && !has(concept));
        if other {
            let concept = self.take();
            self.carry(concept, None, &Carried::Value("CodeableConcept"));
        }
    }

    fn annotate(&mut self, name: &str) {
        if let Some(text) = self.take() {
            self.work.append(VERSIONS, self.object, self.path, name, Object::new().with("text", text).into());
        }
    }

    fn related(&mut self) {
        let Some(Node { value: Value::List(items), .. }) = self.take() else { return self.refuse() };
        for item in items {
            let (kind, target) = (item.text("type").map(str::to_owned), item.get("target").cloned());
            let is_plain = item.as_object().is_some_and(|object| object.len() <= 2);
            match (kind.as_deref(), target) {
                (Some("has-member"), Some(target)) if is_plain => self.work.append(VERSIONS, self.object, self.path, "hasMember", target),
                (Some("derived-from"), Some(target)) if is_plain => {
                    self.work.append(VERSIONS, self.object, self.path, "derivedFrom", target)
                }
                (Some("sequel-to"), Some(target)) if is_plain => {
                    self.carry_as(OBSERVATION_SEQUEL, Some(target), None, &Carried::Value("Reference"));
                }
                (Some("replaces"), Some(target)) if is_plain => {
                    self.carry_as(OBSERVATION_REPLACES, Some(target), None, &Carried::Value("Reference"));
                }
                _ => self.carry(Some(item), None, &Carried::Members(vec![("type", "code"), ("target", "Reference")])),
            }
        }
    }

    fn unwrap(&mut self, child: &str, rest: &[(&'static str, &'static str)]) {
        let Some(taken) = self.take() else { return };
        let is_list = taken.as_list().is_some();
        let items = listed(taken);
        let unwrapped: Option<Vec<Node>> = items.into_iter().map(|item| self.unwrapped(item, child, rest)).collect();
        match unwrapped {
            Some(mut unwrapped) if !is_list && unwrapped.len() == 1 => {
                if let Some(only) = unwrapped.pop() {
                    self.set(self.row.member, only);
                }
            }
            Some(unwrapped) => self.set(self.row.member, unwrapped),
            None => self.refuse(),
        }
    }

    /// The child, with what stood beside it as extensions on it.
    fn unwrapped(&self, item: Node, child: &str, rest: &[(&'static str, &'static str)]) -> Option<Node> {
        let Value::Object(mut object) = item.value else { return None };
        let mut inner = object.remove(child)?;
        for member in object.members() {
            let (name, type_name) = rest.iter().find(|(name, _)| *name == member.name)?;
            let url = format!("{}.{name}", self.row.url(self.release));
            let made = extensions(&url, Some(member.node.clone()), None, &Carried::Value(type_name))?;
            let kept = inner.as_object_mut()?;
            let mut all = kept.get("extension").and_then(Node::as_list).unwrap_or_default().to_vec();
            all.extend(made);
            kept.set("extension", all);
        }
        Some(inner)
    }

    fn lift(&mut self, names: &[(&'static str, &'static str)]) {
        let Some(Node { value: Value::Object(object), .. }) = self.take() else { return self.refuse() };
        for member in object.members() {
            match names.iter().find(|(from, _)| *from == member.name) {
                Some((_, to)) => self.place(to, member.node.clone()),
                None if member.name == "id" => {}
                None => self.refuse(),
            }
        }
    }

    fn when(&mut self, value: &str, member: &str, code: &str, otherwise: Option<&'static str>) {
        let Some(flag) = self.take() else { return };
        let said = match &flag.value {
            Value::Bool(flag) => flag.to_string(),
            _ => flag.as_text().unwrap_or_default().to_owned(),
        };
        if said != value {
            if let Some(type_name) = otherwise {
                self.carry(Some(flag), None, &Carried::Value(type_name));
            } else if said != "false" {
                self.refuse();
            }
            return;
        }
        let before = self.object.get(member).and_then(Node::as_text).map(str::to_owned);
        match before.as_deref() {
            Some("entered-in-error") => {
                let type_name = otherwise.unwrap_or("boolean");
                self.carry(Some(flag), None, &Carried::Value(type_name));
            }
            Some(before) if before != code => {
                self.set(member, code);
                let type_name = self.row.container;
                let url = format!("http://hl7.org/fhir/{}/StructureDefinition/extension-{type_name}.{member}", self.release.number());
                self.carry_as(&url, Some(before.into()), None, &Carried::Value("code"));
            }
            _ => self.set(member, code),
        }
    }

    fn codes(&mut self, codes: &[(&'static str, &'static str, bool)]) {
        let Some(before) = self.object.get(self.row.member).cloned() else { return };
        let Some((_, to, is_other)) = codes.iter().find(|(from, ..)| before.as_text() == Some(from)) else { return };
        self.set(self.row.member, *to);
        if *is_other {
            self.carry(Some(before), None, &Carried::Value("code"));
        }
    }

    fn move_into(&mut self, container: &str, is_list: bool) {
        let Some(taken) = self.take() else { return };
        let mut holder = self.object.get(container).cloned().unwrap_or_else(|| {
            let empty: Node = Object::new().into();
            if is_list { vec![empty].into() } else { empty }
        });
        let inner = if is_list { holder.as_list_mut().and_then(|items| items.first_mut()) } else { Some(&mut holder) };
        match inner.and_then(Node::as_object_mut) {
            Some(object) if object.get(self.row.member).is_none() => object.set(self.row.member, taken),
            _ => return self.refuse(),
        }
        self.set(container, holder);
    }

    fn types(&mut self, names: &[(&'static str, &'static str)]) {
        let Some(literal) = self.object.get(self.row.member).and_then(Node::as_text) else { return };
        let mut segments: Vec<&str> = literal.split('/').collect();
        let Some(place) = segments.len().checked_sub(2) else { return };
        let Some(segment) = segments.get_mut(place) else { return };
        let Some((_, to)) = names.iter().find(|(from, _)| from == segment) else { return };
        *segment = to;
        let renamed = segments.join("/");
        self.set(self.row.member, renamed);
    }

    /// Says that what R4 demands was not sent. A choice is looked for by the type it would have.
    fn require(&mut self, type_name: &str, is_list: bool) {
        let member = self.row.member;
        let is_choice =
            |name: &str| name.strip_prefix(member).is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
        let is_there = self.object.members().iter().any(|held| {
            let name = held.name.trim_start_matches('_');
            name == member || is_choice(name)
        });
        if is_there {
            return;
        }
        let is_primitive = type_name.starts_with(|first: char| first.is_ascii_lowercase());
        let name = match member {
            "occurrence" => "_occurrenceDateTime".to_owned(),
            "doseNumber" => "_doseNumberPositiveInt".to_owned(),
            _ if is_primitive => format!("_{member}"),
            _ => member.to_owned(),
        };
        let absent = carried::absent();
        self.set(&name, if is_list { vec![absent].into() } else { absent });
    }
}
