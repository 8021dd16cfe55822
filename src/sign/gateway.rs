//! The gateway's own signature on each version it accepts.
//!
//! A detached JWS over the canonical form of the version, as R4 has it for `Provenance.signature`; of a deletion, over nothing. A member of its
//! header also digests the Provenance it stands in, so that one signature vouches for both: others' tools check the version, ours the rest too.

use super::canonical::Canonicalisation;
use super::jws::{Detached, signing_input};
use super::key::PublicKey;
use super::problem::Problem;
use super::verified::SIGNATURE_TYPES;
use crate::clock::Instant;
use crate::fhir::{Node, Object, json};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Header member: SHA-256, in base64url, of the canonical Provenance without its signatures.
pub const PROVENANCE_DIGEST: &str = "urn:hearthgate:provenance-digest";
/// "Verification Signature": of one who has checked it.
const VERIFICATION_SIGNATURE: &str = "1.2.840.10065.1.12.1.5";

/// The key the gateway signs versions with. Cheap to clone.
#[derive(Clone)]
pub struct GatewaySigner {
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

impl std::fmt::Debug for GatewaySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GatewaySigner({})", self.public.id())
    }
}

impl GatewaySigner {
    /// The key of a seed; `None` if the seed is none.
    pub fn from_seed(seed: &[u8; 32]) -> Option<GatewaySigner> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey::ed25519(pair.public_key().as_ref());
        Some(GatewaySigner { pair: Arc::new(pair), public })
    }

    /// The public half as a JWK set, for whoever verifies.
    pub fn key_set(&self) -> Node {
        let key: Node = self.public.to_jwk().with("use", "sig").into();
        Object::new().with("keys", vec![key]).into()
    }

    /// The element for `Provenance.signature`. `canonical` is the version in canonical form, empty for a deletion; `provenance` has no signature yet.
    pub fn sign(&self, canonical: &str, provenance: &Node, at: Instant, who: &Object) -> Node {
        let signed_at = at.to_fhir_instant();
        let commitment = Object::new().with("id", format!("urn:oid:{VERIFICATION_SIGNATURE}"));
        let commitments: Vec<Node> = vec![Object::new().with("commId", commitment).into()];
        let header = Object::new()
            .with("alg", "EdDSA")
            .with("canon", Canonicalisation::Json.uri())
            .with("kid", self.public.id())
            .with("sigT", signed_at.as_str())
            .with("srCms", commitments)
            .with(PROVENANCE_DIGEST, digest(provenance));
        let protected = BASE64URL_NOPAD.encode(json::write(&header.into()).as_bytes());
        let signature = self.pair.sign(&signing_input(&protected, canonical.as_bytes()));
        let jws = format!("{protected}..{}", BASE64URL_NOPAD.encode(signature.as_ref()));
        let kind = Object::new().with("system", SIGNATURE_TYPES).with("code", VERIFICATION_SIGNATURE);
        Object::new()
            .with("type", vec![kind.into()])
            .with("when", signed_at)
            .with("who", who.clone())
            .with("targetFormat", "application/fhir+json")
            .with("sigFormat", "application/jose")
            .with("data", BASE64.encode(jws.as_bytes()))
            .into()
    }
}

/// Whether a signature is the gateway's own, which vouches for the Provenance it stands in.
pub fn is_gateways(signature: &Node) -> bool {
    let jws = signature.text("data").and_then(|data| BASE64.decode(data.as_bytes()).ok());
    let jws = jws.and_then(|jws| String::from_utf8(jws).ok());
    let detached = jws.and_then(|jws| Detached::read(&jws).ok());
    detached.is_some_and(|detached| detached.header().get(PROVENANCE_DIGEST).is_some())
}

/// Whether a JWS that vouches for its Provenance vouches for this one; `None` for one that says nothing of it.
pub fn check_gateway_signature(detached: &Detached, provenance: &Node) -> Option<Result<(), Problem>> {
    let stated = detached.header().text(PROVENANCE_DIGEST)?;
    let mut bare = provenance.clone();
    if let Some(object) = bare.as_object_mut() {
        object.remove("signature");
    }
    Some(if stated == digest(&bare) { Ok(()) } else { Err(Problem::DoesNotHold) })
}

fn digest(provenance: &Node) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(json::write_canonical(provenance)))
}
