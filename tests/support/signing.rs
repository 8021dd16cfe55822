//! What parties sign with: requests by RFC 9421, documents by detached JWS.

use super::folder::Folder;
use super::party::{Call, FHIR_JSON};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hearthgate::clock::Clock;
use hearthgate::fhir::json::{parse, write_canonical};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A signer with an Ed25519 key of its own.
#[derive(Clone)]
pub struct Signer {
    pair: Arc<Ed25519KeyPair>,
    key_id: String,
}

impl Signer {
    pub fn new(key_id: &str) -> Signer {
        let seed = Sha256::digest(key_id.as_bytes()).into();
        let _: &[u8; 32] = &seed;
        Signer { pair: Arc::new(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap()), key_id: key_id.to_owned() }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let x = BASE64URL_NOPAD.encode(self.pair.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "x": x, "use": "sig"})
    }

    /// Lets a client sign with this key too, beside the one it proves itself by.
    pub fn register(&self, folder: &Folder, client: &str) {
        let path = folder.path().join(format!("{client}.jwks.json"));
        let mut set: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        set["keys"].as_array_mut().unwrap().push(self.jwk());
        std::fs::write(path, set.to_string()).unwrap();
    }

    /// A POST of a resource, its body signed for five minutes.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.signed_at(path, body, Clock::system().now().seconds())
    }

    pub fn signed_at(&self, path: &str, body: &Value, created: i64) -> Call {
        let body = body.to_string();
        let digest = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(&body)));
        let parameters = format!("(\"@method\" \"content-digest\");created={created};keyid=\"{}\"", self.key_id);
        let base = format!("\"@method\": POST\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}");
        let signature = BASE64.encode(self.pair.sign(base.as_bytes()).as_ref());
        Call::new("POST", path)
            .header("content-digest", &digest)
            .header("signature-input", &format!("sig1={parameters}"))
            .header("signature", &format!("sig1=:{signature}:"))
            .body(FHIR_JSON, body)
    }

    /// A detached JWS over a document, with this header beside its key's name.
    pub fn detached(&self, mut header: Value, document: &Value) -> String {
        header["alg"] = json!("EdDSA");
        header["kid"] = json!(self.key_id);
        header["sigT"] = json!(Clock::system().now().to_fhir_instant());
        let protected = BASE64URL_NOPAD.encode(header.to_string().as_bytes());
        let canonical = write_canonical(&parse(document.to_string().as_bytes(), 64).unwrap());
        let input = format!("{protected}.{}", BASE64URL_NOPAD.encode(canonical.as_bytes()));
        let signature = BASE64URL_NOPAD.encode(self.pair.sign(input.as_bytes()).as_ref());
        BASE64.encode(format!("{protected}..{signature}").as_bytes())
    }

    /// A Provenance of these targets that signs a document.
    pub fn provenance(&self, targets: &[&str], document: &Value) -> Value {
        let now = Clock::system().now().to_fhir_instant();
        let who = json!({"display": "signer"});
        let mut provenance = json!({
            "resourceType": "Provenance",
            "recorded": now,
            "agent": [{"who": who}],
            "signature": [{
                "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}],
                "when": now,
                "who": who,
                "sigFormat": "application/jose",
                "data": self.detached(json!({}), document)
            }]
        });
        if !targets.is_empty() {
            provenance["target"] = targets.iter().map(|target| json!({"reference": target})).collect();
        }
        provenance
    }
}
