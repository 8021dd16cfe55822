//! The elements of narrative: those of HTML 4 that FHIR allows (<https://hl7.org/fhir/R4/narrative.html#xhtml>), what each may hold, where it may
//! stand and which attributes it may have, as the HL7 validator has them. It has `col` directly in a table only; HTML has it in a `colgroup` too.

/// What an element may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Anything,
    /// Text and what stands in text: no blocks, at any depth.
    Phrases,
    /// These elements, and no text.
    Only(&'static [&'static str]),
    Nothing,
}

/// An element of narrative.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    pub name: &'static str,
    pub holds: Holds,
    /// What it must stand in directly; anything when there is none.
    pub within: &'static [&'static str],
    /// Whether it may stand in one of its own name, at any depth.
    pub may_nest: bool,
    /// The attributes that it has beside those that every element has.
    attributes: &'static [&'static str],
}

impl Form {
    /// The element of a name.
    pub fn of(name: &str) -> Option<&'static Form> {
        FORMS.binary_search_by(|form| form.name.cmp(name)).ok().and_then(|at| FORMS.get(at))
    }

    /// Whether it is one that has no place in text.
    pub fn is_block(&self) -> bool {
        ["div", "ol", "pre", "table", "ul"].contains(&self.name)
    }

    pub fn has_attribute(&self, name: &str) -> bool {
        is_common_attribute(name) || self.attributes.contains(&name)
    }

    const fn new(name: &'static str, holds: Holds) -> Form {
        Form { name, holds, within: &[], may_nest: true, attributes: &[] }
    }

    const fn any(name: &'static str) -> Form {
        Form::new(name, Holds::Anything)
    }

    const fn text(name: &'static str) -> Form {
        Form::new(name, Holds::Phrases)
    }

    /// Part of a text, and none of its own kind.
    const fn phrase(name: &'static str) -> Form {
        Form { may_nest: false, ..Form::text(name) }
    }

    const fn only(name: &'static str, inner: &'static [&'static str]) -> Form {
        Form::new(name, Holds::Only(inner))
    }

    const fn empty(name: &'static str) -> Form {
        Form::new(name, Holds::Nothing)
    }

    const fn within(self, outer: &'static [&'static str]) -> Form {
        Form { within: outer, ..self }
    }

    const fn with(self, attributes: &'static [&'static str]) -> Form {
        Form { attributes, ..self }
    }
}

/// Whether every element has an attribute.
pub fn is_common_attribute(name: &str) -> bool {
    COMMON.binary_search(&name).is_ok()
}

/// Sorted, to be searched. `idref` is how a narrative names the data that it tells.
const COMMON: [&str; 22] = [
    "abbr",
    "accesskey",
    "align",
    "axis",
    "char",
    "charoff",
    "class",
    "colspan",
    "dir",
    "headers",
    "id",
    "idref",
    "lang",
    "rowspan",
    "scope",
    "span",
    "style",
    "tabindex",
    "title",
    "valign",
    "width",
    "xml:lang",
];

/// Sorted by name, to be searched.
#[rustfmt::skip]
static FORMS: [Form; 53] = [
    Form::phrase("a").with(&["charset", "coords", "href", "hreflang", "name", "rel", "rev", "shape", "type"]),
    Form::phrase("abbr"),
    Form::phrase("acronym"),
    Form::text("address"),
    Form::empty("area").with(&["alt", "coords", "href", "nohref", "shape"]),
    Form::phrase("b"),
    Form::phrase("bdo"),
    Form::phrase("big"),
    Form::any("blockquote").with(&["cite"]),
    Form::empty("br"),
    Form::text("caption").within(&["table"]),
    Form::phrase("cite"),
    Form::phrase("code"),
    Form::any("col").within(&["table", "colgroup"]),
    Form::any("colgroup").within(&["table"]),
    Form::text("dd").within(&["dl"]),
    Form::phrase("dfn"),
    Form::any("div"),
    Form::only("dl", &["dd", "dt"]),
    Form::text("dt").within(&["dl"]),
    Form::phrase("em"),
    Form::text("h1"),
    Form::text("h2"),
    Form::text("h3"),
    Form::text("h4"),
    Form::text("h5"),
    Form::text("h6"),
    Form::empty("hr"),
    Form::phrase("i"),
    Form::empty("img").with(&["alt", "border", "height", "ismap", "longdesc", "src", "usemap"]),
    Form::phrase("kbd"),
    Form::any("li").within(&["ul", "ol"]),
    Form::only("map", &["area"]).with(&["name"]),
    Form::only("ol", &["li"]),
    Form::text("p"),
    Form::text("pre").with(&["space"]),
    Form::phrase("q").with(&["cite"]),
    Form::phrase("samp"),
    Form::phrase("small"),
    Form::text("span"),
    Form::phrase("strong"),
    Form::phrase("sub"),
    Form::phrase("sup"),
    Form::only("table", &["caption", "col", "colgroup", "tbody", "tfoot", "thead", "tr"])
        .with(&["border", "cellpadding", "cellspacing", "frame", "rules", "summary"]),
    Form::only("tbody", &["tr"]).within(&["table"]),
    Form::any("td").within(&["tr", "thead", "tfoot"]).with(&["nowrap"]),
    Form::only("tfoot", &["tr"]).within(&["table"]),
    Form::any("th").within(&["tr", "thead", "tfoot"]),
    Form::only("thead", &["tr"]).within(&["table"]),
    Form::only("tr", &["td", "th"]).within(&["table", "tbody", "tfoot", "thead"]),
    Form::phrase("tt"),
    Form::only("ul", &["li"]),
    Form::phrase("var"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(FORMS.is_sorted_by_key(|form| form.name) && COMMON.is_sorted());
    }
}
