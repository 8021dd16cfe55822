//! A signature that held, with all that somebody else needs to check it again.

use super::document::DocumentSignature;
use super::key::{Algorithm, PublicKey};
use crate::clock::Instant;
use crate::fhir::{Node, Object, json};
use data_encoding::BASE64;

/// Extension of a Signature: the public key it was checked with, as a JWK.
pub const KEY_EXTENSION: &str = "urn:hearthgate:extension:signature-key";
/// Extension of a Signature: the signature base of an HTTP message signature (RFC 9421 section 2.5), which is what was signed.
pub const BASE_EXTENSION: &str = "urn:hearthgate:extension:signature-base";
/// Extension of a Signature: the canonicalisation a JWS is over, where its header names none.
pub const CANON_EXTENSION: &str = "urn:hearthgate:extension:canonicalisation";
/// The purposes of signatures (ASTM E1762, R4's value set signature-type).
pub(super) const SIGNATURE_TYPES: &str = "urn:iso-astm:E1762-95:2013";
/// "Source Signature": of the system that sent it.
const SOURCE_SIGNATURE: &str = "1.2.840.10065.1.12.1.14";
/// RFC 9421 registers no media type; this names the form in `Signature.sigFormat`.
pub(super) const MESSAGE_FORMAT: &str = "application/http-message-signature";

/// The path of a Provenance that came in a header: what signs the body does not sign it.
pub const X_PROVENANCE: &str = "X-Provenance";

/// Which of what was received a signature is over.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// The bytes as received, whatever is in them.
    Everything,
    /// The resources at these paths: `Bundle.entry[3].resource`, or empty for the whole document.
    At(Vec<String>),
}

/// A signature that held. Only the checks of this room make one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    element: Object,
    scope: Scope,
    thumbprint: String,
}

impl Verified {
    pub(super) fn of_message(key: &PublicKey, algorithm: Algorithm, base: &str, signature: &[u8], created: Instant) -> Verified {
        let base = Object::new().with("url", BASE_EXTENSION).with("valueString", base);
        let key_used = key_extension(key, algorithm);
        let kind = Object::new().with("system", SIGNATURE_TYPES).with("code", SOURCE_SIGNATURE);
        let element = Object::new()
            .with("extension", vec![base.into(), key_used])
            .with("type", vec![kind.into()])
            .with("when", created.to_fhir_instant())
            .with("sigFormat", MESSAGE_FORMAT)
            .with("data", BASE64.encode(signature));
        Verified { element, scope: Scope::Everything, thumbprint: key.thumbprint() }
    }

    pub(super) fn of_document(signature: DocumentSignature, key: &PublicKey, paths: Vec<String>) -> Verified {
        let algorithm = signature.algorithm();
        let mut extensions = vec![key_extension(key, algorithm)];
        extensions.push(Object::new().with("url", CANON_EXTENSION).with("valueUri", signature.canonicalisation.uri()).into());
        let mut element = signature.element;
        element.set_at(0, "extension", extensions);
        Verified { element, scope: Scope::At(paths), thumbprint: key.thumbprint() }
    }

    /// The signature of a request as it was kept.
    pub(super) fn kept(element: &Node, key: &PublicKey) -> Verified {
        let element = element.as_object().cloned().unwrap_or_default();
        Verified { element, scope: Scope::Everything, thumbprint: key.thumbprint() }
    }

    /// Whether it is over the resource that stood at this path of what was received.
    pub fn covers(&self, path: &str) -> bool {
        match &self.scope {
            Scope::Everything => true,
            Scope::At(paths) => paths.iter().any(|covered| covered == path || covered.is_empty() && path != X_PROVENANCE),
        }
    }

    /// The key, whatever it is called (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The signature with whom its key belongs to.
    pub fn by(self, who: Object) -> Attestation {
        Attestation { verified: self, who }
    }

    fn element(&self, who: &Object) -> Node {
        let mut element = self.element.clone();
        let after_when = element.members().iter().position(|member| member.name == "when").map_or(0, |at| at + 1);
        element.remove("who");
        element.set_at(after_when, "who", who.clone());
        element.into()
    }
}

/// A signature that held, and the organisation it is of, as a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    verified: Verified,
    who: Object,
}

impl Attestation {
    /// Whether it is over the resource that stood at this path of what was received.
    pub fn covers(&self, path: &str) -> bool {
        self.verified.covers(path)
    }

    pub fn who(&self) -> &Object {
        &self.who
    }

    /// The key, whatever it is called (RFC 7638).
    pub fn thumbprint(&self) -> &str {
        self.verified.thumbprint()
    }

    /// The element for `Provenance.signature`.
    pub fn element(&self) -> Node {
        self.verified.element(&self.who)
    }
}

fn key_extension(key: &PublicKey, algorithm: Algorithm) -> Node {
    let name = algorithm.jws_names().first().copied().unwrap_or_default();
    let jwk = key.to_jwk().with("alg", name);
    Object::new().with("url", KEY_EXTENSION).with("valueString", json::write(&jwk.into())).into()
}
