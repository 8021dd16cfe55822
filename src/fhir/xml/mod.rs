//! XML in and out (FHIR R4 §2.6.2), into and from the same tree as JSON.
//!
//! In scope: elements to members by the type table, lists by cardinality, choices by name, `_name` siblings for the id and extensions of
//! primitives, contained resources, the narrative kept as its source text, and offsets of the start tags.
//! Out of scope: whether the values are valid; a `value` that is no number stays text, so that validation can name it.
//!
//! Refused, each with the byte where it stands: document types, entities other than the five predefined ones, processing instructions
//! other than the XML declaration, encodings other than UTF-8, unknown or misplaced elements and attributes, foreign namespaces,
//! repetitions that stand apart, text between elements, and nesting beyond the limit.
//! Passed over: a byte order mark, comments outside the narrative, namespace prefixes, `xsi:schemaLocation`, and elements that do not
//! stand in the order of the definition, since the official test data has some and nothing is lost by it.
//! [`parse_leniently`] reads on over most of what is refused, and says where it was, for validation.
//!
//! Attribute values are normalised as XML 1.0 §3.3.3 says. Narrative is never trimmed.

mod attributes;
mod lenient;
mod narrative;
mod outline;
mod read;
mod tokens;
mod write;

#[cfg(test)]
mod tests;

pub use attributes::attributes;
pub use lenient::{XmlSlip, XmlSlipKind};
pub use outline::{MAX_OUTLINED, Outlined, outline};
pub use read::{parse, parse_leniently};
pub use write::write;

/// The namespace of every FHIR element.
const FHIR: &str = "http://hl7.org/fhir";

/// The namespace of the narrative's `div`.
const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// The type whose one element is the narrative's source text.
const XHTML_TYPE: &str = "xhtml";

/// Whether an attribute holds this member, as `Element.id`, `Extension.url` and the `value` of primitives are held; `Resource.id` is an element.
fn is_attribute(parent_path: &str, parent_is_resource: bool, name: &str) -> bool {
    match name {
        "id" => !parent_is_resource,
        "url" => parent_path == "Extension",
        "value" => parent_path.starts_with(|first: char| first.is_ascii_lowercase()),
        _ => false,
    }
}
