//! What an element of a narrative stands in.

use super::{ATTRIBUTES_MAX, Defect, NAMESPACES_MAX};
use crate::fhir::xhtml::{Form, Holds};
use quick_xml::events::BytesStart;

/// The elements around a place in a narrative, the innermost last.
#[derive(Default)]
pub struct Around {
    open: Vec<Open>,
    /// The namespaces in force: prefix and URI, those of inner elements behind those of outer ones.
    declared: Vec<(String, String)>,
}

/// An element that has begun and not ended.
struct Open {
    /// None for an element that narrative does not have.
    form: Option<&'static Form>,
    /// How many namespaces were declared before it.
    declared_before: usize,
}

impl Around {
    /// Goes into an element, unless a limit keeps it from being looked at.
    pub fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), Defect> {
        self.open.push(Open { form: Form::of(element.local_name().as_ref()), declared_before: self.declared.len() });
        for (number, attribute) in element.attributes().enumerate() {
            if number == ATTRIBUTES_MAX {
                return Err(Defect::TooManyAttributes);
            }
            // One that cannot be read is reported where the element is judged.
            let Ok(attribute) = attribute else { continue };
            let key = attribute.key.as_ref();
            if let Some(prefix) = key.strip_prefix("xmlns").filter(|rest| rest.is_empty() || rest.starts_with(':')) {
                if self.declared.len() == NAMESPACES_MAX {
                    return Err(Defect::TooManyNamespaces);
                }
                self.declared.push((prefix.trim_start_matches(':').to_owned(), attribute.value.to_string()));
            }
        }
        Ok(())
    }

    pub fn leave(&mut self) {
        if let Some(left) = self.open.pop() {
            self.declared.truncate(left.declared_before);
        }
    }

    /// The innermost element.
    pub fn form(&self) -> Option<&'static Form> {
        self.open.last().and_then(|open| open.form)
    }

    /// The elements that narrative has around the innermost one, from the inside, without the narrative's own `div`.
    fn outer(&self) -> impl Iterator<Item = &'static Form> {
        self.open.iter().skip(1).rev().skip(1).filter_map(|open| open.form)
    }

    pub fn is_in_paragraph(&self) -> bool {
        self.open.iter().rev().skip(1).any(|open| open.form.is_some_and(|form| form.name == "p"))
    }

    /// The namespace of an element's name.
    pub fn namespace(&self, element: &BytesStart<'_>) -> Option<&str> {
        let name = element.name();
        let prefix = name.as_ref().split_once(':').map_or("", |(prefix, _)| prefix);
        self.declared.iter().rev().find(|(declared, _)| declared == prefix).map(|(_, uri)| uri.as_str())
    }

    /// What is wrong with the innermost element's standing where it does. The narrative's own `div` stands in nothing.
    pub fn misplacements(&self, name: &str) -> Vec<Defect> {
        let mut found = Vec::new();
        let Some(around) = self.open.len().checked_sub(2) else { return found };
        let parent = self.open.get(around).and_then(|open| open.form);
        match parent.map(|parent| (parent, parent.holds)) {
            Some((parent, Holds::Only(inner))) if !inner.contains(&name) => found.push(Defect::NotForIt(parent)),
            Some((parent, Holds::Nothing)) => found.push(Defect::NotEmpty(parent)),
            _ => {}
        }
        let Some(form) = self.form() else { return found };
        if !form.within.is_empty() && !parent.is_some_and(|parent| form.within.contains(&parent.name)) {
            found.push(Defect::OutOfPlace(form));
        }
        if !form.may_nest && self.outer().any(|outer| outer == form) {
            found.push(Defect::InItself(form));
        }
        if form.is_block() {
            found.extend(self.outer().filter(|outer| outer.holds == Holds::Phrases).map(Defect::BlockInText));
        }
        found
    }

    /// What is wrong with text directly in the innermost element.
    pub fn misplaced_text(&self, is_blank: bool) -> Option<Defect> {
        let form = self.form()?;
        match form.holds {
            Holds::Only(_) if !is_blank => Some(Defect::NotForIt(form)),
            Holds::Nothing => Some(Defect::NotEmpty(form)),
            _ => None,
        }
    }
}
