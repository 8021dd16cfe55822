//! What the gateway itself says in versions: who is who, what an operator decided. Anchored and with a Provenance like what partners send.

use super::provenance::{concept, received};
use super::stage::{Anchor, Digests, ToAnchor, digest, stamp};
use crate::clock::Instant;
use crate::fhir::{Node, Object, json};
use crate::outcome::Fault;
use crate::store::{LeafDraft, Method, StoredVersion, Target, VersionDraft};
use std::sync::Arc;

/// A version the gateway makes of itself.
pub struct OwnVersion<'a> {
    pub type_name: &'a str,
    pub id: &'a str,
    /// The version it replaces.
    pub previous: Option<StoredVersion>,
    /// What it says; nothing where it is a deletion.
    pub resource: Option<Node>,
    /// Ids of the patients it is about.
    pub patients: &'a [String],
    /// What was done and why, in a sentence for people.
    pub reason: &'a str,
    /// The source it is kept under.
    pub source: &'a str,
    pub at: Instant,
}

impl Anchor {
    /// The drafts of such a version and its Provenance, and its leaves. `place` is how many leaves the unit has already.
    pub fn own_version(&self, own: OwnVersion<'_>, place: usize) -> Result<(Vec<VersionDraft>, Vec<LeafDraft>), Fault> {
        let version = own.previous.as_ref().map_or(1, |previous| previous.version + 1);
        let method = match own.resource {
            None => Method::Delete,
            Some(_) if version == 1 => Method::Create,
            Some(_) => Method::Update,
        };
        let previous = own.previous.map(Arc::new);
        let target = Target { type_name: own.type_name.to_owned(), id: own.id.to_owned(), version, method, previous };
        let mut resource = own.resource;
        resource.iter_mut().for_each(|resource| stamp(resource, &target, own.at));
        let document = resource.as_ref().map(json::write).unwrap_or_default();
        let canonical = resource.as_ref().map(|resource| digest(&json::write_canonical(resource)));
        let sender = Object::new().with("display", "hearthgate");
        let context = ToAnchor { source: own.source, sender: &sender, client: "", partner: "", at: own.at };
        let about = format!("{}/{}/_history/{version}", own.type_name, own.id);
        let (provenance, stated) = self.statement(&about, own.reason, None, own.source, own.at)?;
        // Nothing was received: the bytes it was made from are the version itself.
        let digests = Digests { raw: &digest(&document), canonical, provenance: &stated };
        let leaves = self.version_leaves(&digests, (&target, own.patients), self.record_key(own.patients)?, &context)?;
        let draft = self.draft(&target, resource.as_ref(), &document, Some(place), &context)?;
        Ok((vec![draft, provenance], leaves))
    }

    /// The Provenance of bytes that are kept as evidence and made no version of the resource they were about. They are committed to under the
    /// key of the version that stays, so that they are forgotten with it.
    pub fn unapplied(&self, stays: &StoredVersion, raw: &[u8; 32], source: &str, at: Instant) -> Result<VersionDraft, Fault> {
        let about = format!("{}/{}/_history/{}", stays.type_name, stays.id, stays.version);
        let key = stays.key.map(|key| self.keyring.open_record(&key)).transpose()?.flatten();
        let entity = key.map(|key| received(&key, raw));
        self.statement(&about, "A late result: kept as evidence, not applied.", entity, source, at).map(|(draft, _)| draft)
    }

    /// A Provenance without a sender, and its digest in canonical form.
    fn statement(
        &self,
        about: &str,
        reason: &str,
        entity: Option<Node>,
        source: &str,
        at: Instant,
    ) -> Result<(VersionDraft, [u8; 32]), Fault> {
        let id = self.fresh_id(at);
        let recorded = at.to_fhir_instant();
        let who = Object::new().with("display", "hearthgate");
        let agent: Node = Object::new().with("type", concept(super::provenance::PARTICIPANT_TYPES, "assembler")).with("who", who).into();
        let target: Node = Object::new().with("reference", about).into();
        let node = Object::resource("Provenance")
            .with("id", id.as_str())
            .with("meta", Object::new().with("versionId", "1").with("lastUpdated", recorded.as_str()))
            .with("target", vec![target])
            .with("recorded", recorded)
            .with("activity", Object::new().with("text", reason))
            .with("agent", vec![agent])
            .with_some("entity", entity.map(|entity| vec![entity]));
        let node = node.into();
        Ok((self.authored("Provenance", &id, &node, None, source, at)?, digest(&json::write_canonical(&node))))
    }
}
