//! Validated → Anchored: versions get their meta, their digests, their leaves and their Provenance.

use super::accounting::{accounting_commitment, accounting_key};
use super::leaf::{Leaf, LeafKind, Tags, commitment, counter_offsets};
use super::provenance::{Lineage, Provenance, Sender};
use super::receipt::{CANONICAL_DOMAIN, PROVENANCE_DOMAIN, RAW_DOMAIN, provenance_key};
use super::severed::Severed;
use super::tags::{Epoch, PatientTags, partner_tag};
use super::time::LedgerTime;
use crate::audit::Told;
use crate::clock::{Entropy, Instant};
use crate::definitions::Definitions;
use crate::definitions::profile::Profile;
use crate::fhir::{Node, Object, json};
use crate::normalise::GatewayIds;
use crate::outcome::{Fault, Finding};
use crate::search;
use crate::sign::{Attestation, GatewaySigner};
use crate::store::{Keyring, LeafDraft, Method, PatientKey, SealedRecord, Target, VersionDraft};
use crate::validate::Validated;
use sha2::{Digest, Sha256};

/// The release of the definitions.
const FHIR_VERSION: &str = "4.0.1";
/// The most profiles a Provenance names.
const MAX_PROFILES: usize = 32;

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
    /// Signs every version.
    pub signer: GatewaySigner,
    /// When leaves are made.
    pub time: LedgerTime,
}

/// One version to be anchored, with what is known about it.
pub struct ToAnchor<'a> {
    pub source: &'a str,
    /// Who sent it, for the Provenance.
    pub sender: &'a Object,
    /// The client that sent it for the sender.
    pub client: &'a str,
    /// The key of the organisation that sent it.
    pub partner: &'a str,
    pub at: Instant,
}

/// An audited act on one patient or nobody, as its leaf is made.
pub struct Act<'a> {
    pub kind: LeafKind,
    pub event_id: &'a str,
    pub event: &'a Node,
    pub patient: Option<&'a str>,
    /// The one record it is about.
    pub record: Option<&'a str>,
    /// The key of the organisation that acted.
    pub partner: Option<&'a str>,
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
    /// Ids of the patients in whose trails it stands: those it is about, or links, and those of the version before it.
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
            let mut patients = entry.patients;
            // A patient who came without an id has one only now.
            if entry.target.type_name == "Patient" && !patients.contains(&entry.target.id) {
                patients.insert(0, entry.target.id.clone());
            }
            let canonical = resource.as_ref().map(json::write_canonical);
            let canonical_digest = canonical.as_deref().map(digest);
            let attestations: Vec<&Attestation> = evidence.attestations.iter().filter(|one| one.covers(&entry.path)).collect();
            let profiles = resource.as_ref().map(|resource| profiles(self.definitions, resource)).unwrap_or_default();
            let key = self.record_key(&patients)?;
            let lineage = Lineage {
                raw_digest: &evidence.digest,
                key: &key.0,
                received: evidence.at,
                changes: &entry.changes,
                findings: &entry.findings,
                target: &entry.target,
                profiles: &profiles,
                attestations: &attestations,
            };
            let (provenance, provenance_digest) = self.provenance_draft(&lineage, canonical.as_deref().unwrap_or_default(), context)?;
            let digests = Digests { raw: &evidence.digest, canonical: canonical_digest, provenance: &provenance_digest };
            let place = anchored.leaves.len();
            anchored.leaves.extend(self.version_leaves(&digests, (&entry.target, &patients), key, context)?);
            let draft = self.draft(&entry.target, resource.as_ref(), &document, Some(place), context)?;
            anchored.drafts.push(VersionDraft { place: Some(entry.path), ..draft });
            anchored.drafts.push(provenance);
            anchored.versions.push(AnchoredVersion {
                target: entry.target,
                resource,
                document,
                findings: entry.findings,
                patients,
                at: context.at,
            });
        }
        Ok(anchored)
    }

    /// A key for a version about these patients: it goes with the first one's.
    pub(super) fn record_key(&self, patients: &[String]) -> Result<([u8; 32], SealedRecord), Fault> {
        self.keyring.record(&self.keyring.patient(patients.first().map(String::as_str))?)
    }

    /// The leaves of a version, one for each patient it is about, and one where it is about nobody.
    pub(super) fn version_leaves(
        &self,
        digests: &Digests<'_>,
        entry: (&Target, &[String]),
        (secret, sealed): ([u8; 32], SealedRecord),
        context: &ToAnchor<'_>,
    ) -> Result<Vec<LeafDraft>, Fault> {
        let (target, patients) = entry;
        let record = format!("{}/{}", target.type_name, target.id);
        let mut sealed = Some(sealed);
        let at = self.time.of(context.at);
        each(patients)
            .map(|patient| {
                let tags = self.tags(patient, Some(&record), Some(context.partner), at)?;
                let key = if sealed.is_some() { secret } else { shared_key(&secret, patient.unwrap_or_default()) };
                let canonical = digests.canonical.map_or([0; 32], |digest| commitment(&key, CANONICAL_DOMAIN, &digest));
                let provenance = commitment(&provenance_key(&key), PROVENANCE_DOMAIN, digests.provenance);
                let leaf = Leaf::version(at, tags, commitment(&key, RAW_DOMAIN, digests.raw), canonical, provenance);
                Ok(draft(&leaf, sealed.take(), self.keyring.patient_name(patient.unwrap_or_default())))
            })
            .collect()
    }

    /// The leaf of an AuditEvent. Its key is derived from the patient's, so that erasing the patient severs it too.
    pub fn audit_leaf(&self, act: &Act<'_>) -> Result<LeafDraft, Fault> {
        let at = self.time.of(act.at);
        let tags = self.tags(act.patient, act.record, act.partner, at)?;
        let secret = audit_key(&self.keyring.patient(act.patient)?, act.event_id);
        let canonical = commitment(&secret, CANONICAL_DOMAIN, &digest(&json::write_canonical(act.event)));
        let told = act.patient.filter(|_| act.kind.is_accounted()).map(|patient| {
            let told = Told::of(act.event, &format!("Patient/{patient}"));
            accounting_commitment(&accounting_key(&secret), &told)
        });
        Ok(draft(
            // Where nobody is told anything, what stands there is drawn: that nothing does would say that it is about nobody.
            &Leaf::new(act.kind, at, tags, told.unwrap_or_else(|| self.entropy.bytes()), canonical),
            None,
            self.keyring.patient_name(act.patient.unwrap_or_default()),
        ))
    }

    /// The leaf that says that something was destroyed. It commits to what of its patient's trail that was, if anything; else what stands there is drawn.
    pub fn erase_leaf(
        &self,
        patient: Option<&str>,
        record: Option<&str>,
        partner: Option<&str>,
        at: Instant,
        severed: Option<&Severed>,
    ) -> Result<LeafDraft, Fault> {
        let at = self.time.of(at);
        let tags = self.tags(patient, record, partner, at)?;
        let named = severed.and_then(Severed::commitment);
        let leaf = Leaf::new(LeafKind::Erase, at, tags, self.entropy.bytes(), named.unwrap_or_else(|| self.entropy.bytes()));
        Ok(draft(&leaf, None, self.keyring.patient_name(patient.unwrap_or_default())))
    }

    /// What a leaf is found by. What is about nobody is found under its record, by the key of what is nobody's, and under its partner.
    fn tags(&self, patient: Option<&str>, record: Option<&str>, partner: Option<&str>, at: Instant) -> Result<Tags, Fault> {
        let epoch = Epoch::of(at);
        let partner = partner.filter(|partner| !partner.is_empty()).map(|partner| partner_tag(&self.keyring, partner, epoch));
        let secret = PatientTags::of(&self.keyring.patient(patient)?, epoch);
        let own = patient.map(|patient| format!("Patient/{patient}"));
        // A person's own leaves are under their own key, or nobody's at all: that of one who is not here is in no trail.
        let is_own = |record: &str| own.as_deref().map_or_else(|| record.starts_with("Patient/"), |own| record == own);
        let record = record.filter(|record| !is_own(record)).map(|record| secret.tag(record));
        Ok(Tags { patient: own.map(|own| secret.tag(&own)), record, partner })
    }

    pub(super) fn draft(
        &self,
        target: &Target,
        resource: Option<&Node>,
        document: &str,
        leaf: Option<usize>,
        context: &ToAnchor<'_>,
    ) -> Result<VersionDraft, Fault> {
        let previous = match &target.previous {
            Some(previous) if !previous.deleted() => Some(previous.parse()?),
            _ => None,
        };
        let identifiers =
            |version: Option<&Node>| version.map(|version| search::identifier_keys(self.definitions, version)).unwrap_or_default();
        let (mut former, borne) = (identifiers(previous.as_ref()), identifiers(resource));
        former.retain(|key| !borne.contains(key));
        Ok(VersionDraft {
            type_name: target.type_name.clone(),
            id: target.id.clone(),
            version: target.version,
            at: context.at,
            method: target.method,
            source: context.source.to_owned(),
            document: document.to_owned(),
            terms: resource.map(|resource| search::terms(self.definitions, resource)).unwrap_or_default(),
            old_terms: previous.map(|previous| search::terms(self.definitions, &previous)).unwrap_or_default(),
            former,
            leaf,
            place: None,
        })
    }

    /// The Provenance of a version, and the digest that the version's leaves commit to.
    fn provenance_draft(&self, lineage: &Lineage<'_>, canonical: &str, context: &ToAnchor<'_>) -> Result<(VersionDraft, [u8; 32]), Fault> {
        let id = self.fresh_id(context.at);
        let sender = Sender { organisation: context.sender, client: context.client };
        let provenance = Provenance { id: &id, lineage, sender, at: context.at, base_url: &self.base_url, origin: &self.origin };
        let provenance = provenance.signed(canonical, &self.signer);
        let digest = digest(&json::write_canonical(&provenance));
        Ok((self.authored("Provenance", &id, &provenance, None, context.source, context.at)?, digest))
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
            former: Vec::new(),
            leaf,
            place: None,
        })
    }
}

/// What the leaves of a version commit to.
pub(super) struct Digests<'a> {
    /// Of the bytes as received.
    pub raw: &'a [u8; 32],
    /// Of the version in canonical form; `None` for a deletion.
    pub canonical: Option<[u8; 32]>,
    /// Of its Provenance in canonical form.
    pub provenance: &'a [u8; 32],
}

/// Gives the resource its id, version and time of acceptance.
pub(super) fn stamp(resource: &mut Node, target: &Target, at: Instant) {
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

/// The profiles a resource was judged by: its type's own definition, and those it claims that are in hand.
fn profiles(definitions: &Definitions, resource: &Node) -> Vec<String> {
    let own = resource.resource_type().map(|name| format!("http://hl7.org/fhir/StructureDefinition/{name}|{FHIR_VERSION}"));
    let claimed = resource.get("meta").map(|meta| meta.items("profile")).unwrap_or_default();
    let known = claimed.iter().filter_map(|claim| definitions.profile(claim.as_text()?).map(Profile::canonical));
    own.into_iter().chain(known.take(MAX_PROFILES)).collect()
}

pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Each of the patients, or nobody where there are none.
fn each(patients: &[String]) -> impl Iterator<Item = Option<&str>> {
    let nobody = patients.is_empty().then_some(None);
    nobody.into_iter().chain(patients.iter().map(|patient| Some(patient.as_str())))
}

fn draft(leaf: &Leaf, key: Option<SealedRecord>, patient: [u8; 32]) -> LeafDraft {
    let slots = counter_offsets().into_iter().zip(leaf.tags.slots());
    LeafDraft {
        entry: leaf.encode(),
        tags: slots.filter_map(|(offset, tag)| Some((offset, tag?))).collect(),
        key,
        patient: Some(patient),
        is_unseen: false,
    }
}

/// The key of a version's leaf for another patient than the first: gone when the record's key is.
pub fn shared_key(record: &[u8; 32], patient: &str) -> [u8; 32] {
    commitment(record, "hearthgate/v1/shared", &Sha256::digest(patient.as_bytes()).into())
}

/// The key of an AuditEvent's leaf for a patient.
pub fn audit_key(patient: &PatientKey, event_id: &str) -> [u8; 32] {
    patient.blind(&[b"audit:", event_id.as_bytes()].concat())
}
