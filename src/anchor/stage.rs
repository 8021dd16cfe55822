//! Validated → Anchored: versions get their meta, their digests, their leaves and their Provenance.

use super::leaf::{Leaf, LeafKind, commitment, counter_offset};
use super::provenance::{Lineage, Provenance};
use super::receipt::{CANONICAL_DOMAIN, RAW_DOMAIN};
use crate::clock::{Entropy, Instant};
use crate::definitions::Definitions;
use crate::fhir::{Node, Object, json};
use crate::normalise::GatewayIds;
use crate::outcome::{Fault, Finding};
use crate::search;
use crate::store::{Keyring, LeafDraft, Method, Target, VersionDraft};
use crate::validate::Validated;
use sha2::{Digest, Sha256};

/// The tag of a patient changes after this long, so that leaves of different epochs cannot be linked.
const EPOCH_SECONDS: i64 = 30 * 24 * 3600;

/// What anchoring needs besides the record. Cheap to clone.
#[derive(Clone)]
pub struct Anchor {
    pub keyring: Keyring,
    pub entropy: Entropy,
    pub definitions: &'static Definitions,
    pub ids: GatewayIds,
    /// Public FHIR base of the gateway, for receipts' links.
    pub base_url: String,
    /// The name of the log, as the assembler's identifier.
    pub origin: String,
}

/// One version to be anchored, with what is known about it.
pub struct ToAnchor<'a> {
    pub source: &'a str,
    /// Who sent it, for the Provenance.
    pub sender: &'a Object,
    pub at: Instant,
}

/// An accepted version as it will be stored.
#[derive(Debug, Clone)]
pub struct AnchoredVersion {
    pub target: Target,
    /// The resource as stored; `None` for a deletion.
    pub resource: Option<Node>,
    pub document: String,
    pub findings: Vec<Finding>,
    /// Ids of the patients it is about.
    pub patients: Vec<String>,
    pub at: Instant,
}

/// A whole submission, ready to be committed. Only [`Anchor::anchor`] makes one.
pub struct Anchored {
    versions: Vec<AnchoredVersion>,
    drafts: Vec<VersionDraft>,
    leaves: Vec<LeafDraft>,
}

impl Anchored {
    pub fn versions(&self) -> &[AnchoredVersion] {
        &self.versions
    }

    /// Hands on what the store writes: versions, then leaves.
    pub fn into_drafts(self) -> (Vec<AnchoredVersion>, Vec<VersionDraft>, Vec<LeafDraft>) {
        (self.versions, self.drafts, self.leaves)
    }
}

impl Anchor {
    /// Anchors every version of a validated submission.
    pub fn anchor(&self, validated: Validated, context: &ToAnchor<'_>) -> Result<Anchored, Fault> {
        let (evidence, entries) = validated.into_parts();
        let mut anchored = Anchored { versions: Vec::with_capacity(entries.len()), drafts: Vec::new(), leaves: Vec::new() };
        for entry in entries {
            let mut resource = entry.resource;
            if let Some(resource) = &mut resource {
                stamp(resource, &entry.target, context.at);
            }
            let document = resource.as_ref().map(json::write).unwrap_or_default();
            let canonical = resource.as_ref().map(|resource| digest(&json::write_canonical(resource)));
            let leaf = self.version_leaf(&evidence.digest, canonical, entry.patients.first().map(String::as_str), context.at)?;
            let place = anchored.leaves.len();
            anchored.leaves.push(leaf);
            anchored.drafts.push(self.draft(&entry.target, resource.as_ref(), &document, Some(place), context)?);
            let lineage = Lineage { raw_digest: &evidence.digest, changes: &entry.changes, target: &entry.target };
            anchored.drafts.push(self.provenance_draft(&lineage, context)?);
            anchored.versions.push(AnchoredVersion {
                target: entry.target,
                resource,
                document,
                findings: entry.findings,
                patients: entry.patients,
                at: context.at,
            });
        }
        Ok(anchored)
    }

    fn version_leaf(&self, raw: &[u8; 32], canonical: Option<[u8; 32]>, patient: Option<&str>, at: Instant) -> Result<LeafDraft, Fault> {
        let patient_key = self.keyring.patient(patient)?;
        let (secret, sealed) = self.keyring.record(&patient_key)?;
        let raw = commitment(&secret, RAW_DOMAIN, raw);
        let canonical = canonical.map_or([0; 32], |digest| commitment(&secret, CANONICAL_DOMAIN, &digest));
        let tag = tag(&patient_key.blind(&epoch(at)));
        let leaf = Leaf::new(LeafKind::Accept, at, tag, raw, canonical);
        Ok(LeafDraft { entry: leaf.encode(), counter_at: counter_offset(), tag, key: Some(sealed) })
    }

    /// The leaf of an AuditEvent. Its key is derived from the patient's, so that erasing the patient severs it too.
    pub fn audit_leaf(&self, kind: LeafKind, event_id: &str, event: &Node, patient: Option<&str>, at: Instant) -> Result<LeafDraft, Fault> {
        let patient_key = self.keyring.patient(patient)?;
        let secret = patient_key.blind(&[b"audit:", event_id.as_bytes()].concat());
        let tag = tag(&patient_key.blind(&epoch(at)));
        let canonical = commitment(&secret, CANONICAL_DOMAIN, &digest(&json::write_canonical(event)));
        let leaf = Leaf::new(kind, at, tag, [0; 32], canonical);
        Ok(LeafDraft { entry: leaf.encode(), counter_at: counter_offset(), tag, key: None })
    }

    fn draft(
        &self,
        target: &Target,
        resource: Option<&Node>,
        document: &str,
        leaf: Option<usize>,
        context: &ToAnchor<'_>,
    ) -> Result<VersionDraft, Fault> {
        let old_terms = match &target.previous {
            Some(previous) if !previous.deleted() => search::terms(self.definitions, &previous.parse()?),
            _ => Vec::new(),
        };
        Ok(VersionDraft {
            type_name: target.type_name.clone(),
            id: target.id.clone(),
            version: target.version,
            at: context.at,
            method: target.method,
            source: context.source.to_owned(),
            document: document.to_owned(),
            terms: resource.map(|resource| search::terms(self.definitions, resource)).unwrap_or_default(),
            old_terms,
            leaf,
        })
    }

    fn provenance_draft(&self, lineage: &Lineage<'_>, context: &ToAnchor<'_>) -> Result<VersionDraft, Fault> {
        let id = self.fresh_id(context.at);
        let provenance =
            Provenance { id: &id, lineage, sender: context.sender, at: context.at, base_url: &self.base_url, origin: &self.origin };
        self.authored("Provenance", &id, &provenance.to_node(), None, context.source, context.at)
    }

    /// An id for a resource that comes without one.
    pub fn fresh_id(&self, at: Instant) -> String {
        self.ids.fresh(at, self.entropy.bytes())
    }

    /// A resource the gateway itself authors, as version 1.
    pub fn authored(
        &self,
        type_name: &str,
        id: &str,
        resource: &Node,
        leaf: Option<usize>,
        source: &str,
        at: Instant,
    ) -> Result<VersionDraft, Fault> {
        Ok(VersionDraft {
            type_name: type_name.to_owned(),
            id: id.to_owned(),
            version: 1,
            at,
            method: Method::Create,
            source: source.to_owned(),
            document: json::write(resource),
            terms: search::terms(self.definitions, resource),
            old_terms: Vec::new(),
            leaf,
        })
    }
}

/// Gives the resource its id, version and time of acceptance.
fn stamp(resource: &mut Node, target: &Target, at: Instant) {
    let Some(object) = resource.as_object_mut() else { return };
    object.set_at(1, "id", target.id.as_str());
    let mut meta = match object.remove("meta") {
        Some(Node { value: crate::fhir::Value::Object(meta), .. }) => meta,
        _ => Object::new(),
    };
    meta.remove("versionId");
    meta.remove("lastUpdated");
    meta.set_at(0, "versionId", target.version.to_string());
    meta.set_at(1, "lastUpdated", at.to_fhir_instant());
    object.set_at(2, "meta", meta);
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn epoch(at: Instant) -> Vec<u8> {
    [b"epoch:".as_slice(), &at.seconds().div_euclid(EPOCH_SECONDS).to_be_bytes()].concat()
}

fn tag(blinded: &[u8; 32]) -> [u8; 16] {
    let mut tag = [0; 16];
    tag.copy_from_slice(&blinded[..16]);
    tag
}
