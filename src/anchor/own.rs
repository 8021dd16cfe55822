//! What the gateway itself says in versions: who is who, what an operator decided. Anchored and with a Provenance like what partners send.

use super::provenance::{PARTICIPANT_TYPES, activity, concept, received};
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
        let canonical = resource.as_ref().map(json::write_canonical);
        let sender = Object::new().with("display", "hearthgate");
        let context = ToAnchor { source: own.source, sender: &sender, client: "", partner: "", at: own.at };
        let about = format!("{}/{}/_history/{version}", own.type_name, own.id);
        let statement = Statement { about: &about, done: Some(method), reason: own.reason, entity: None };
        let (provenance, stated) = self.stated(&statement, Some(canonical.as_deref().unwrap_or_default()), own.source, own.at)?;
        let canonical = canonical.as_deref().map(digest);
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
        let reason = "A late result: kept as evidence, not applied.";
        self.stated(&Statement { about: &about, done: None, reason, entity }, None, source, at).map(|(draft, _)| draft)
    }

    /// A Provenance without a sender, and its digest in canonical form. Of a version it is signed, with that in canonical form, empty for a deletion.
    fn stated(
        &self,
        statement: &Statement<'_>,
        version: Option<&str>,
        source: &str,
        at: Instant,
    ) -> Result<(VersionDraft, [u8; 32]), Fault> {
        let id = self.fresh_id(at);
        let who = Object::new().with("display", "hearthgate");
        let mut provenance = statement.written(&id, &who, at);
        let signature = version.map(|version| self.signer.sign(version, &provenance, at, &who));
        if let (Some(signature), Some(object)) = (signature, provenance.as_object_mut()) {
            object.set("signature", vec![signature]);
        }
        Ok((self.authored("Provenance", &id, &provenance, None, source, at)?, digest(&json::write_canonical(&provenance))))
    }
}

/// What the gateway states of a version.
struct Statement<'a> {
    about: &'a str,
    /// How it came about, where it is of the gateway's own making.
    done: Option<Method>,
    reason: &'a str,
    entity: Option<Node>,
}

impl Statement<'_> {
    fn written(&self, id: &str, who: &Object, at: Instant) -> Node {
        let recorded = at.to_fhir_instant();
        let agent: Node = Object::new().with("type", concept(PARTICIPANT_TYPES, "assembler")).with("who", who.clone()).into();
        let target: Node = Object::new().with("reference", self.about).into();
        let mut activity = self.done.map_or_else(|| Object::new().into(), activity);
        if let Some(object) = activity.as_object_mut() {
            object.set("text", self.reason);
        }
        Object::resource("Provenance")
            .with("id", id)
            .with("meta", Object::new().with("versionId", "1").with("lastUpdated", recorded.as_str()))
            .with("target", vec![target])
            .with_some("occurredDateTime", self.done.map(|_| recorded.clone()))
            .with("recorded", recorded)
            .with("activity", activity)
            .with("agent", vec![agent])
            .with_some("entity", self.entity.clone().map(|entity| vec![entity]))
            .into()
    }
}
