//! Writes a pack in the layout that `blob` reads.

use super::blob::{Core, Index, Span};
use super::model::{CodeSystem, Pack};
use crate::fhir::types::TypeTable;
use serde::Serialize;

/// Writes a pack.
pub fn write(pack: Pack) -> Result<Vec<u8>, postcard::Error> {
    let Pack { version, types, elements, search_parameters, compartments, mut value_sets, mut code_systems, mut structures } = pack;
    value_sets.sort_by(|a, b| a.url.cmp(&b.url));
    code_systems.sort_by(|a, b| a.url.cmp(&b.url).then(b.version.cmp(&a.version)));
    let system_keys = keys(&code_systems);
    structures.sort_by(|a, b| a.url.cmp(&b.url));
    let mut payload = Vec::new();
    let core = Core { types: TypeTable::new(&version, types, elements), search_parameters, compartments };
    let index = Index {
        core: append(&core, &mut payload)?,
        value_sets: value_sets.iter().map(|one| Ok((one.url.as_str(), append(one, &mut payload)?))).collect::<Result<_, _>>()?,
        code_systems: system_keys
            .iter()
            .zip(&code_systems)
            .map(|(key, one)| Ok((key.as_str(), append(one, &mut payload)?)))
            .collect::<Result<_, _>>()?,
        structures: structures.iter().map(|one| Ok((one.url.as_str(), append(one, &mut payload)?))).collect::<Result<_, _>>()?,
    };
    let index = postcard::to_stdvec(&index)?;
    let mut blob = u32::try_from(index.len()).map_err(|_| postcard::Error::SerializeBufferFull)?.to_le_bytes().to_vec();
    blob.extend(index);
    blob.extend(payload);
    Ok(blob)
}

/// What each system is found by: the newest version of a URL by the URL, the others by `url|version`.
fn keys(newest_first: &[CodeSystem]) -> Vec<String> {
    let mut newest = "";
    let mut keys = Vec::with_capacity(newest_first.len());
    for system in newest_first {
        let is_older = system.url == newest;
        keys.push(if is_older { format!("{}|{}", system.url, system.version) } else { system.url.to_string() });
        newest = &system.url;
    }
    keys
}

fn append(value: &impl Serialize, payload: &mut Vec<u8>) -> Result<Span, postcard::Error> {
    let start = payload.len();
    let bytes = postcard::to_stdvec(value)?;
    payload.extend_from_slice(&bytes);
    let fits = |length: usize| u32::try_from(length).map_err(|_| postcard::Error::SerializeBufferFull);
    Ok(Span { start: fits(start)?, length: fits(bytes.len())? })
}
