//! The canonical forms of FHIR JSON that a signature may be over (<https://hl7.org/fhir/R4/json.html#canonical>).

use crate::fhir::{Node, json};

/// One canonicalisation method, known by its URI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Canonicalisation {
    /// The whole resource.
    #[default]
    Json,
    /// Without the narrative.
    Data,
    /// Without narrative and `meta`: what stays the same while a resource moves between servers.
    Static,
}

impl Canonicalisation {
    pub fn uri(self) -> &'static str {
        match self {
            Canonicalisation::Json => "http://hl7.org/fhir/canonicalization/json",
            Canonicalisation::Data => "http://hl7.org/fhir/canonicalization/json#data",
            Canonicalisation::Static => "http://hl7.org/fhir/canonicalization/json#static",
        }
    }

    pub fn of(uri: &str) -> Option<Canonicalisation> {
        [Canonicalisation::Json, Canonicalisation::Data, Canonicalisation::Static].into_iter().find(|one| one.uri() == uri)
    }

    /// The bytes that are signed. Numbers stay as they were written.
    pub fn bytes(self, resource: &Node) -> Vec<u8> {
        let dropped: &[&str] = match self {
            Canonicalisation::Json => return json::write_canonical(resource).into_bytes(),
            Canonicalisation::Data => &["text"],
            Canonicalisation::Static => &["text", "meta"],
        };
        let mut resource = resource.clone();
        if let Some(object) = resource.as_object_mut() {
            dropped.iter().for_each(|name| drop(object.remove(name)));
        }
        json::write_canonical(&resource).into_bytes()
    }
}
