//! What becomes of CodeableReferences, which R4 does not have, and of lists of objects whose members are lists of their own in R4.

use super::Step;
use crate::fhir::{Node, Object, Value};
use crate::normalise::rule::VERSIONS;
use crate::normalise::versions::carried::{extensions, listed};
use crate::normalise::versions::table::{Carried, Place, is_codeable_reference};

impl Step<'_, '_, '_> {
    pub(super) fn split(&mut self, concept: Option<Place>, reference: Option<Place>) {
        // One in another would be taken for one again where its part has the member's own name.
        let nested = |part: &Node| [part.get("concept"), part.get("reference")].into_iter().flatten().any(is_codeable_reference);
        if !self.has_only(|name| matches!(name, "concept" | "reference")) || self.has(nested) {
            return self.refuse();
        }
        let Some(taken) = self.take() else { return };
        let (mut concepts, mut references) = (Vec::new(), Vec::new());
        for mut object in listed(taken).into_iter().filter_map(|item| item.as_object().cloned()) {
            concepts.extend(object.remove("concept"));
            references.extend(object.remove("reference"));
        }
        self.put(concept, concepts, "CodeableConcept");
        self.put(reference, references, "Reference");
    }

    /// Whether the member is made of objects that have such members and no others.
    fn has_only(&self, is_known: impl Fn(&str) -> bool) -> bool {
        let known = |item: &Node| item.as_object().is_some_and(|object| object.members().iter().all(|member| is_known(&member.name)));
        !self.has(|item| !known(item))
    }

    /// Whether the member or an item of it is such.
    pub(super) fn has(&self, is_such: impl Fn(&Node) -> bool) -> bool {
        let Some(node) = self.object.get(self.row.member) else { return false };
        let single = std::slice::from_ref(node);
        node.as_list().unwrap_or(single).iter().any(is_such)
    }

    fn put(&mut self, place: Option<Place>, mut nodes: Vec<Node>, type_name: &'static str) {
        match place {
            Some(Place { name, is_list: true }) if !nodes.is_empty() => self.place(name, nodes),
            Some(Place { name, is_list: false }) if !nodes.is_empty() => {
                let first = nodes.remove(0);
                self.place(name, first);
                if !nodes.is_empty() {
                    self.carry(Some(nodes.into()), None, &Carried::Value(type_name));
                }
            }
            None if !nodes.is_empty() => self.carry(Some(nodes.into()), None, &Carried::Value(type_name)),
            _ => {}
        }
    }

    pub(super) fn choose(&mut self, concept: &'static str, reference: &'static str) {
        let has_concept = self.object.get(self.row.member).is_some_and(|node| node.get("concept").is_some());
        let place = |name, wanted: bool| wanted.then_some(Place { name, is_list: false });
        self.split(place(concept, has_concept), place(reference, !has_concept));
    }

    /// R5's reasons of an encounter: what is used for stays on each.
    pub(super) fn reasons(&mut self) {
        if self
            .object
            .get(self.row.member)
            .is_some_and(|node| node.as_list().unwrap_or_default().iter().any(|item| item.get("value").is_none()))
        {
            return self.refuse();
        }
        let Some(Node { value: Value::List(items), .. }) = self.take() else { return self.refuse() };
        for item in items {
            let uses = item.get("use").cloned();
            let is_plain = item
                .as_object()
                .is_some_and(|object| object.members().iter().all(|member| matches!(member.name.as_str(), "use" | "value")));
            if !is_plain || item.items("value").is_empty() {
                return self.refuse();
            }
            for value in item.items("value") {
                self.reason(value, uses.clone());
            }
        }
    }

    fn reason(&mut self, value: &Node, uses: Option<Node>) {
        for (from, to) in [("concept", "reasonCode"), ("reference", "reasonReference")] {
            let Some(mut node) = value.get(from).cloned() else { continue };
            let url = format!("{}.use", self.row.url(self.release));
            let made = extensions(&url, uses.clone(), None, &Carried::Value("CodeableConcept")).unwrap_or_default();
            if let Some(object) = node.as_object_mut().filter(|_| !made.is_empty()) {
                object.set("extension", made);
            }
            self.work.append(VERSIONS, self.object, self.path, to, node);
        }
    }

    pub(super) fn spread(&mut self, names: &[(&'static str, &'static str)], rest: &[(&'static str, &'static str)]) {
        let nested = |item: &Node| names.iter().any(|(from, _)| item.items(from).iter().any(|inner| inner.get(from).is_some()));
        if !self.has_only(|name| names.iter().chain(rest).any(|(known, _)| *known == name)) || self.has(nested) {
            return self.refuse();
        }
        let Some(taken) = self.take() else { return };
        for item in listed(taken) {
            let Value::Object(object) = item.value else { continue };
            if object.members().iter().all(|member| names.iter().any(|(from, _)| *from == member.name)) {
                self.spread_one(object, names);
            } else {
                self.carry(Some(object.into()), None, &Carried::Members(rest.to_vec()));
            }
        }
    }

    fn spread_one(&mut self, mut object: Object, names: &[(&'static str, &'static str)]) {
        for (from, to) in names {
            for node in object.remove(from).map(listed).unwrap_or_default() {
                self.work.append(VERSIONS, self.object, self.path, to, node);
            }
        }
    }
}
