//! Resources inside a resource: contained ones and a Bundle's entries. Each is decided as a resource of its own.

use super::super::code::{Reference, items};
use super::super::setting::names_of_contained;
use super::{Pass, Withheld, redact_at};
use crate::fhir::{Node, Value};
use compact_str::CompactString;
use std::collections::HashSet;

impl Pass<'_> {
    /// Decides on the contained resources; references to those that go are remembered.
    pub(super) fn redact_contained(&mut self, resource: &mut Node) -> Result<(), Withheld> {
        let Some(contained) = resource.get_mut("contained") else { return Ok(()) };
        let Some(list) = contained.as_list_mut() else { return Err(Withheld) };
        let before = std::mem::take(list);
        for inner in before {
            let fragment = inner.text("id").map(|id| format!("#{id}"));
            let gone = self.gone.clone();
            let is_gone = names_of_contained(&inner).any(|name| gone.has(name.as_str()));
            if is_gone {
                self.removed += 1;
                self.is_told = true;
            }
            match if is_gone { None } else { self.redact_inner(inner, gone) } {
                Some(kept) => list.push(kept),
                None => fragment.iter().for_each(|fragment| self.gone.add(fragment)),
            }
        }
        if list.is_empty() {
            remove(resource, "contained");
        }
        Ok(())
    }

    /// Decides on a Bundle's entries. The first entry of a document or a message is what the others hang on.
    pub(super) fn redact_entries(&mut self, bundle: &mut Node) -> Result<(), Withheld> {
        let is_led = matches!(bundle.text("type"), Some("document" | "message"));
        let Some(entries) = bundle.get_mut("entry") else { return Ok(()) };
        let Some(list) = entries.as_list_mut() else { return Err(Withheld) };
        let before = std::mem::take(list);
        let (count, removed) = (before.len(), self.removed);
        for (index, mut entry) in before.into_iter().enumerate() {
            let Some(inner) = entry.as_object_mut().and_then(|entry| entry.get_mut("resource")) else {
                list.push(entry);
                continue;
            };
            let names =
                [Reference::of_resource(inner).map(|reference| reference.as_str().to_owned()), entry.text("fullUrl").map(str::to_owned)];
            let gone = self.gone.outside();
            let inner = entry.get_mut("resource").map(|inner| std::mem::replace(inner, Value::Null.into()));
            match inner.and_then(|inner| self.redact_inner(inner, gone)) {
                Some(kept) => {
                    if let Some(object) = entry.as_object_mut() {
                        object.set("resource", kept);
                    }
                    list.push(entry);
                }
                None if is_led && index == 0 => return Err(Withheld),
                None => names.iter().flatten().for_each(|name| self.gone.add(name)),
            }
        }
        if list.is_empty() && count > 0 {
            return Err(Withheld);
        }
        if self.removed > removed {
            // Counts, links to further pages and signatures tell of what was there.
            ["total", "link", "signature"].iter().for_each(|name| remove(bundle, name));
        }
        Ok(())
    }

    /// What is left of a resource inside this one; `None` when it goes.
    fn redact_inner(&mut self, inner: Node, gone: super::Gone) -> Option<Node> {
        let facts = self.screen.facts_inside(&inner);
        let screen = self.screen.inside(&facts);
        let is_permitted = self.screen.permits(&facts);
        let rest = match self.depth {
            0 => Err(Withheld),
            depth => redact_at(depth - 1, screen, inner, is_permitted, gone),
        };
        match rest {
            Ok(rest) => {
                self.removed += usize::from(rest.facts.is_some());
                self.is_told |= rest.facts.is_some();
                Some(rest.resource)
            }
            Err(Withheld) => {
                self.removed += 1;
                self.is_told = true;
                self.removed_labels.extend(facts.labels);
                None
            }
        }
    }

    /// Takes out contained resources that nothing refers to any longer.
    pub(super) fn remove_orphans(&mut self, resource: &mut Node) {
        if self.removed == 0 || self.referred.is_empty() {
            return;
        }
        let still = fragments(resource);
        let Some(list) = resource.get_mut("contained").and_then(Node::as_list_mut) else { return };
        let before = list.len();
        list.retain(|inner| inner.text("id").is_none_or(|id| still.contains(id) || !self.referred.contains(id)));
        self.removed += before - list.len();
        if list.is_empty() {
            remove(resource, "contained");
        }
    }
}

/// The ids of contained resources that are referred to in a resource.
pub(super) fn fragments(resource: &Node) -> HashSet<CompactString> {
    let mut found = HashSet::new();
    if !items(resource, "contained").is_empty() {
        collect(resource, &mut found);
    }
    found
}

fn collect(node: &Node, found: &mut HashSet<CompactString>) {
    match &node.value {
        Value::Text(text) => found.extend(text.strip_prefix('#').map(CompactString::from)),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(object) => object.members().iter().for_each(|member| collect(&member.node, found)),
        _ => {}
    }
}

/// Takes a member out, with what goes beside it when it is a primitive.
pub(super) fn remove(node: &mut Node, name: &str) {
    if let Some(object) = node.as_object_mut() {
        object.remove(name);
        object.remove(&format!("_{name}"));
    }
}
