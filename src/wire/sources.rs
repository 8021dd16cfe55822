//! The normalisation rules of sources and holders, from their configuration.

use super::files;
use crate::config::Source;
use crate::fhir::{Node, json};
use crate::normalise::{Dangling, SourceRules, configure};
use crate::outcome::{Fault, FaultKind};
use crate::registry::{Holder, Registry};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// The largest ConceptMap file that is read.
const MAX_CONCEPT_MAP_BYTES: u64 = 64 << 20;

/// The rules of every source that pushes, with the ConceptMaps operators gave. Each may also name resources by the URLs the gateway gave them.
pub(super) fn source_rules(registry: &Registry, base_url: &str, maps: &[(String, Node)]) -> Result<HashMap<String, SourceRules>, Fault> {
    let rules = |name: &str, source: &Source| -> Result<SourceRules, Fault> {
        let mut rules = rules_of(name, source)?;
        rules.set_gateway_base(base_url);
        rules.set_others(&bases_beside(registry, name));
        give_maps(&mut rules, maps);
        Ok(rules)
    };
    registry.sources().map(|(name, source)| Ok((name.to_owned(), rules(name, source)?))).collect()
}

/// The rules by which each holder's answers are read: its source's, or the general ones. What a holder's record points to need not be here.
pub(super) fn holder_rules(registry: &Registry, maps: &[(String, Node)]) -> Result<HashMap<String, SourceRules>, Fault> {
    let rules = |holder: &Holder| -> Result<SourceRules, Fault> {
        let mut rules = match registry.source_of_holder(holder) {
            Some((name, source)) => rules_of(name, source)?,
            None => SourceRules::new(&holder.name, &[holder.base_url.as_str()]),
        };
        rules.add_base(holder.base_url.as_str());
        rules.set_others(&bases_beside(registry, rules.name()));
        give_maps(&mut rules, maps);
        rules.dangling = Dangling::Logical;
        Ok(rules)
    };
    registry.holders().iter().map(|holder| Ok((holder.name.clone(), rules(holder)?))).collect()
}

/// The base URLs of every source but one.
fn bases_beside<'r>(registry: &'r Registry, name: &str) -> Vec<&'r str> {
    let others = registry.sources().filter(|(other, _)| *other != name);
    others.flat_map(|(_, source)| source.base_urls.iter().map(|base| base.as_str())).collect()
}

fn give_maps(rules: &mut SourceRules, maps: &[(String, Node)]) {
    let own: Vec<&Node> = maps.iter().filter(|(source, _)| source == rules.name()).map(|(_, map)| map).collect();
    for map in own {
        rules.concept_maps.add(map);
    }
}

/// The configuration of one source as normalisation takes it.
pub fn rules_of(name: &str, source: &Source) -> Result<SourceRules, Fault> {
    let bases: Vec<&str> = source.base_urls.iter().map(|base| base.as_str()).collect();
    let mut rules = SourceRules::new(name, &bases);
    rules.identifier_system = source.default_identifier_system.clone();
    rules.time_zone = source.time_zone.as_deref().map(files::time_zone).transpose()?;
    parameters(&mut rules, name, source)?;
    Ok(rules)
}

/// Says what is wrong with the `normalise` section of a source, on any machine; whether its time zone is known is for the machine that serves.
pub fn check_rules(name: &str, source: &Source) -> Result<(), Fault> {
    parameters(&mut SourceRules::new::<&str>(name, &[]), name, source)
}

fn parameters(rules: &mut SourceRules, name: &str, source: &Source) -> Result<(), Fault> {
    configure(rules, &source.normalise, &mut |path| concept_map(Path::new(path)))
        .map_err(|text| Fault::new(FaultKind::Internal, format!("[source.{name}.normalise] {text}")))
}

fn concept_map(path: &Path) -> Result<Node, String> {
    let failed = |problem: String| format!("{}: {problem}", path.display());
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_CONCEPT_MAP_BYTES + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_CONCEPT_MAP_BYTES {
        return Err(failed(format!("is larger than {MAX_CONCEPT_MAP_BYTES} bytes")));
    }
    json::parse(&bytes, json::DEFAULT_DEPTH).map_err(|error| failed(format!("{} at byte {}", error.kind, error.offset)))
}
