//! Results that repeat an earlier one under another id: linked to it, and both kept.

use super::Pipeline;
use crate::fhir::Node;
use crate::normalise::{Beside, Normalised, NormalisedEntry, ResultKey, result_key, rule};
use crate::outcome::Fault;
use crate::store::{Assumption, Reader};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// How many earlier results of one key are looked at.
const MAX_EARLIER: usize = 8;

/// A result by the store's key, with its id.
type Keyed = ([u8; 32], String);

/// Ids of the first results, by key.
type Firsts = HashMap<[u8; 32], String>;

impl Pipeline {
    /// Links the results of a submission to the ones they repeat, of the same source; answers the keys under which the others are found later, and
    /// what was known under each when that was decided.
    pub(super) async fn link_repeats(
        &self,
        source: &str,
        normalised: Normalised,
    ) -> Result<(Normalised, Vec<Keyed>, Vec<Assumption>), Fault> {
        let is_on = self.rules.get(source).is_some_and(|rules| rules.switches.is_on(rule::DUPLICATES));
        let keyed: Vec<Keyed> = normalised.entries().iter().filter(|_| is_on).filter_map(|entry| keyed(source, entry)).collect();
        if keyed.is_empty() {
            return Ok((normalised, Vec::new(), Vec::new()));
        }
        let (wanted, owner) = (keyed.clone(), source.to_owned());
        let (known, assumptions) = self.store.read(move |reader| earlier(reader, &owner, wanted)).await?;
        let mut repeats: HashMap<String, String> = HashMap::new();
        let mut firsts = Firsts::new();
        for (key, id) in keyed {
            // What is stored already stands first, then the order of the submission.
            match known.get(&key).cloned().or_else(|| firsts.get(&key).cloned()) {
                Some(first) if first != id => drop(repeats.insert(id, first)),
                Some(_) => {}
                None => drop(firsts.insert(key, id)),
            }
        }
        let normalised = normalised.linked(|entry| repeats.get(&entry.target.id).map(|first| format!("Observation/{first}")));
        Ok((normalised, firsts.into_iter().collect(), assumptions))
    }
}

fn keyed(source: &str, entry: &NormalisedEntry) -> Option<Keyed> {
    Some((of_source(source, entry.resource.as_ref()?)?, entry.target.id.clone()))
}

/// The key of a result within its source.
fn of_source(source: &str, result: &Node) -> Option<[u8; 32]> {
    let ResultKey(key) = result_key(result, Beside::default())?;
    Some(Sha256::digest([source.as_bytes(), b"\0", &key].concat()).into())
}

/// By key, the first result that is stored and still says what it said. A result that is the first itself is its own answer.
fn earlier(reader: &Reader<'_>, source: &str, wanted: Vec<Keyed>) -> Result<(Firsts, Vec<Assumption>), Fault> {
    let (mut found, mut assumptions) = (HashMap::new(), Vec::new());
    for (key, own) in wanted {
        let ids = reader.alike(&key, MAX_EARLIER)?;
        assumptions.push(Assumption::Alike { key, ids: ids.clone(), limit: MAX_EARLIER });
        if ids.contains(&own) {
            found.insert(key, own);
            continue;
        }
        for id in ids {
            let Some(current) = reader.current("Observation", &id)?.filter(|version| !version.deleted()) else { continue };
            if of_source(source, &current.parse()?) == Some(key) {
                found.insert(key, id);
                break;
            }
        }
    }
    Ok((found, assumptions))
}
