//! What addresses in a partner's own words lead to: `https://ehr.example/fhir/Binary/7` is a record that the gateway keeps under an id of its own.
//! References are put into the gateway's words when they come in; links in texts, and URIs that are the address of a record, stay as they were written.

use crate::consent::Reference;
use crate::normalise::{GatewayIds, SourceRules, is_gateway_id, leads_to_same, plain_url};
use crate::registry::{Holder, Registry};
use std::collections::HashMap;
use std::sync::Arc;

/// How partners' addresses are to be understood.
#[derive(Clone)]
pub(super) struct Addresses {
    pub ids: GatewayIds,
    pub rules: Arc<HashMap<String, SourceRules>>,
    pub registry: Arc<Registry>,
}

impl Addresses {
    /// What a reference in a record of a source is looked up by: `Type/id`, in the gateway's words too where it is in a partner's, or a logical one
    /// whole.
    pub fn names_of(&self, reference: &Reference, source: &str) -> Vec<String> {
        if reference.sought().is_some() {
            return vec![reference.as_str().to_owned()];
        }
        if let Some(named) = reference.by_urn() {
            return vec![named.as_str().to_owned()];
        }
        let Some((type_name, id)) = reference.relative().and_then(|relative| relative.split_once('/')) else { return Vec::new() };
        let mut names = vec![format!("{type_name}/{id}")];
        if !is_gateway_id(id) {
            let scopes = self.scopes(reference.as_str(), &names, source);
            names.extend(scopes.iter().map(|scope| format!("{type_name}/{}", self.ids.id(scope, type_name, id))));
        }
        names
    }

    /// Whose words an address may be in: those of the record's source, of whichever source or holder has the base URL, or of the server that the source
    /// speaks of.
    fn scopes(&self, written: &str, local: &[String], source: &str) -> Vec<String> {
        let own = self.own_scopes(source);
        let base = written.contains("://").then(|| local.first().and_then(|local| written.strip_suffix(local.as_str()))).flatten();
        let Some(base) = base.map(|base| base.trim_end_matches('/')) else { return own.map(str::to_owned).collect() };
        let mut scopes: Vec<String> = self.rules.iter().filter(|(_, rules)| rules.is_at(base)).map(|(name, _)| name.clone()).collect();
        let holds = |holder: &&Holder| leads_to_same(base, holder.base_url.as_str());
        scopes.extend(self.registry.holders().iter().filter(holds).map(|holder| self.scope_of(holder).to_owned()));
        let plain = plain_url(base);
        scopes.extend(own.map(|scope| format!("{scope}\n{plain}")));
        scopes
    }

    /// Under which names ids are made of what a record's source calls its own. A holder's are made as those of the source it is read as.
    fn own_scopes<'s>(&'s self, source: &'s str) -> impl Iterator<Item = &'s str> + Clone {
        let as_holder = self.registry.holder(source).map(|holder| self.scope_of(holder)).filter(|scope| *scope != source);
        std::iter::once(source).chain(as_holder)
    }

    fn scope_of<'s>(&'s self, holder: &'s Holder) -> &'s str {
        self.registry.source_of_holder(holder).map_or(holder.name.as_str(), |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partners_addresses_lead_to_its_records() {
        let ids = GatewayIds::new([1; 32]);
        let of = |source: &str, id: &str| format!("Binary/{}", ids.id(source, "Binary", id));
        let rules = [("a", "https://a.example/fhir"), ("b", "https://b.example/fhir")];
        let rules = rules.map(|(name, base)| (name.to_owned(), SourceRules::new(name, &[base])));
        let addresses = Addresses { ids: ids.clone(), rules: Arc::new(rules.into()), registry: Arc::default() };
        let ours = of("a", "7");
        for (written, expected) in [
            ("Binary/7", vec!["Binary/7".to_owned(), of("a", "7")]),
            ("https://A.example:443/fhir/Binary/7/_history/2", vec![of("a", "7")]),
            ("https://b.example/fhir/Binary/7", vec![of("b", "7")]),
            ("http://a.example:80/fhir/Binary/7", vec![of("a", "7")]),
            ("https://nurse@a.example./fhir/./Binary/7", vec![of("a", "7")]),
            ("https://C.example/fhir/Binary/7", vec![of("a\nhttps://c.example/fhir", "7")]),
            ("https://c.example/fhir/Binary/7", vec![of("a\nhttps://c.example/fhir", "7")]),
            (ours.as_str(), vec![ours.clone()]),
            ("Binary?identifier=s|7", vec!["Binary?identifier=s|7".to_owned()]),
            ("urn:uuid:7", vec!["?identifier=urn:ietf:rfc:3986|urn:uuid:7".to_owned()]),
            ("urn:oid:1.2", vec!["?identifier=urn:ietf:rfc:3986|urn:oid:1.2".to_owned()]),
        ] {
            let names = addresses.names_of(&Reference::new(written).unwrap(), "a");
            assert!(expected.iter().all(|name| names.contains(name)), "{written}: {names:?}");
            assert!(names.len() <= expected.len() + 2, "{written}: {names:?}");
        }
    }
}
