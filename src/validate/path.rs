//! Where the walk is: a linked list on the stack, made into text only when there is a finding.

/// One step of a path and the steps before it.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    /// The type of the resource at the root, or an element's name.
    Name(&'a str),
    /// The chosen type of a choice.
    OfType(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The path of a root resource.
    pub fn root(resource_type: &'a str) -> Path<'a> {
        Path { parent: None, step: Step::Name(resource_type) }
    }

    pub fn name(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    pub fn of_type(&'a self, type_name: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::OfType(type_name) }
    }

    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// Whether the element stands directly in an extension's list of extensions.
    pub fn is_in_extension(&self) -> bool {
        // extension[0].extension[1]: from the index up over the name to the index of the outer one and its name.
        let outer = self.parent.and_then(|name| name.parent).and_then(|index| index.parent);
        matches!(outer.map(|outer| outer.step), Some(Step::Name("extension" | "modifierExtension")))
    }

    /// The element that has this one, in a list or not.
    pub fn container(&self) -> Option<&Path<'a>> {
        match self.step {
            Step::Name(_) => self.parent,
            Step::Index(_) | Step::OfType(_) => self.parent.and_then(Path::container),
        }
    }

    /// Whether the path ends in `modifierExtension` (true) or `extension` (false).
    pub fn is_modifier_extension(&self) -> Option<bool> {
        match self.step {
            Step::Name("modifierExtension") => Some(true),
            Step::Name("extension") => Some(false),
            Step::Index(_) => self.parent.and_then(Path::is_modifier_extension),
            _ => None,
        }
    }

    /// The entry of the outermost Bundle that the element stands in.
    pub fn entry(&self) -> Option<&Path<'a>> {
        let above = self.parent?;
        above.entry().or_else(|| match (self.step, above.step, above.parent?.step) {
            (Step::Name("resource"), Step::Index(_), Step::Name("entry")) => Some(above),
            _ => None,
        })
    }

    /// The path of what an extension stands in, as definitions write paths: `Patient.name.family`.
    pub fn element_path(&self) -> String {
        let mut text = self.names();
        text.truncate(text.rfind('.').unwrap_or_default());
        text
    }

    fn names(&self) -> String {
        let mut text = self.parent.map(Path::names).unwrap_or_default();
        if let Step::Name(name) = self.step {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(name);
        }
        text
    }

    /// Indexed FHIRPath: `Bundle.entry[2].resource.value.ofType(Quantity)`.
    pub fn expression(&self) -> String {
        let mut text = self.parent.map(Path::expression).unwrap_or_default();
        match self.step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::OfType(type_name) => text.push_str(&format!(".ofType({type_name})")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        text
    }
}
