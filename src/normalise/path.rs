//! Where a rule stands in a resource. A path lives on the stack and becomes text only when something is recorded.

use std::fmt;

/// The part of a member's name that is shown. FHIR's names are shorter; others may be as long as the document.
const MAX_NAME: usize = 64;

/// One step and the steps before it.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root(&'p str),
    Member(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// The path of a resource of this type.
    pub fn root(type_name: &'p str) -> Path<'p> {
        Path { parent: None, step: Step::Root(type_name) }
    }

    /// The path of a member. The `_name` that carries a primitive's extensions is the same element as `name`.
    pub fn member(&'p self, name: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Member(name.strip_prefix('_').unwrap_or(name)) }
    }

    /// Whether the last member of the path, or the one it is in, has one of these names.
    pub fn is_within(&self, names: &[&str]) -> bool {
        let mut steps = std::iter::successors(Some(self), |path| path.parent).filter_map(|path| match path.step {
            Step::Member(name) => Some(name),
            Step::Root(_) | Step::Item(_) => None,
        });
        steps.by_ref().take(2).any(|name| names.contains(&name))
    }

    pub fn item(&'p self, index: usize) -> Path<'p> {
        Path { parent: Some(self), step: Step::Item(index) }
    }
}

/// Indexed FHIRPath: `Observation.component[0].code.coding[1]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Root(name) => f.write_str(shown(name)),
            Step::Member(name) => write!(f, ".{}", shown(name)),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

fn shown(name: &str) -> &str {
    name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name)
}
