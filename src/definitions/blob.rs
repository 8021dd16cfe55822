//! The one indexed file a [`Pack`] is stored in: its layout and how it is read. Shared with `build.rs`, which writes it (`store`).
//!
//! Layout: four bytes with the length of the index (little endian), the index, the payload. The index names the byte range of the core section
//! (types, search parameters, compartments: decoded at once) and of every value set, code system and structure (decoded on first use), by `url|version`, the newest of a URL first.
//! Everything is postcard; the index borrows its keys from the bytes.

use super::model::*;
use crate::fhir::types::TypeTable;
use serde::{Deserialize, Serialize};

/// Where a section lies in the payload.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Span {
    pub start: u32,
    pub length: u32,
}

/// What lies where.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index<'a> {
    pub core: Span,
    #[serde(borrow)]
    pub value_sets: Vec<(&'a str, Span)>,
    #[serde(borrow)]
    pub code_systems: Vec<(&'a str, Span)>,
    #[serde(borrow)]
    pub structures: Vec<(&'a str, Span)>,
}

/// The section that is always needed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Core {
    pub types: TypeTable,
    pub search_parameters: Vec<SearchParameter>,
    pub compartments: Vec<Compartment>,
}

/// A stored pack, its index read.
pub struct Blob<'a> {
    pub index: Index<'a>,
    payload: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Reads the index.
    pub fn open(bytes: &'a [u8]) -> Result<Blob<'a>, postcard::Error> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (index, payload) = rest.split_at_checked(length).ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        Ok(Blob { index: postcard::from_bytes(index)?, payload })
    }

    /// The section that is always needed, its type table linked.
    pub fn core(&self) -> Result<Core, postcard::Error> {
        let mut core: Core = self.section(self.index.core)?;
        core.types.link();
        Ok(core)
    }

    /// Decodes one section.
    pub fn section<T: Deserialize<'a>>(&self, span: Span) -> Result<T, postcard::Error> {
        let range = span.start as usize..span.start as usize + span.length as usize;
        postcard::from_bytes(self.payload.get(range).ok_or(postcard::Error::DeserializeUnexpectedEnd)?)
    }
}
