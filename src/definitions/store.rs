//! Writes a pack in the layout that `blob` reads.

use super::blob::{Core, Index, Span};
use super::model::Pack;
use super::versions;
use crate::fhir::types::TypeTable;
use serde::Serialize;

/// Writes a pack.
pub fn write(pack: Pack) -> Result<Vec<u8>, postcard::Error> {
    let Pack { version, types, elements, search_parameters, compartments, mut value_sets, mut code_systems, mut structures } = pack;
    value_sets.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| versions::in_order(&b.version, &a.version)));
    code_systems.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| versions::in_order(&b.version, &a.version)));
    structures.sort_by(|a, b| a.url.cmp(&b.url).then_with(|| versions::in_order(&b.version, &a.version)));
    let set_keys: Vec<String> = value_sets.iter().map(|one| key(&one.url, &one.version)).collect();
    let system_keys: Vec<String> = code_systems.iter().map(|one| key(&one.url, &one.version)).collect();
    let structure_keys: Vec<String> = structures.iter().map(|one| key(&one.url, &one.version)).collect();
    let mut payload = Vec::new();
    let core = Core { types: TypeTable::new(&version, types, elements), search_parameters, compartments };
    let index = Index {
        core: append(&core, &mut payload)?,
        value_sets: sections(&set_keys, &value_sets, &mut payload)?,
        code_systems: sections(&system_keys, &code_systems, &mut payload)?,
        structures: sections(&structure_keys, &structures, &mut payload)?,
    };
    let index = postcard::to_stdvec(&index)?;
    let mut blob = u32::try_from(index.len()).map_err(|_| postcard::Error::SerializeBufferFull)?.to_le_bytes().to_vec();
    blob.extend(index);
    blob.extend(payload);
    Ok(blob)
}

fn key(url: &str, version: &str) -> String {
    format!("{url}|{version}")
}

fn sections<'k>(keys: &'k [String], all: &[impl Serialize], payload: &mut Vec<u8>) -> Result<Vec<(&'k str, Span)>, postcard::Error> {
    keys.iter().zip(all).map(|(key, one)| Ok((key.as_str(), append(one, payload)?))).collect()
}

fn append(value: &impl Serialize, payload: &mut Vec<u8>) -> Result<Span, postcard::Error> {
    let start = payload.len();
    let bytes = postcard::to_stdvec(value)?;
    payload.extend_from_slice(&bytes);
    let fits = |length: usize| u32::try_from(length).map_err(|_| postcard::Error::SerializeBufferFull);
    Ok(Span { start: fits(start)?, length: fits(bytes.len())? })
}
