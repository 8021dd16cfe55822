//! Keys of signed notes: verifier keys as `name+id+key` texts, signing keys as the text kept in a key file, and their signatures.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::signature::{KeyPair, ML_DSA_44, ML_DSA_44_SIGNING, ParsedPublicKey, PqdsaKeyPair};
use data_encoding::HEXLOWER;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::checkpoint::Checkpoint;
use super::cosignature;
use super::encoding::{base64_decode, base64_encode, has_control};
use super::error::{Format, LedgerError, Malformed, SignatureError};
use super::note::NoteSignature;

/// The longest key name, in bytes; the format sets no limit.
pub const MAX_KEY_NAME_BYTES: usize = 1024;

const SIGNING_KEY_PREFIX: &str = "PRIVATE+KEY+";

/// How a key signs, by the type byte that goes into its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519 over the note's text: what a log signs its checkpoints with (type 0x01).
    Ed25519,
    /// Ed25519 over the text with a time: what a witness cosigns with (type 0x04).
    CosignatureV1,
    /// ML-DSA-44 over a checkpoint's origin, size and root, and the signer's name, with a time or without (type 0x06): what a witness
    /// cosigns with, and a log's second signature against the day when Ed25519 no longer holds.
    MlDsa44,
}

impl Algorithm {
    /// The type byte.
    pub fn byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::CosignatureV1 => 0x04,
            Algorithm::MlDsa44 => 0x06,
        }
    }

    fn from_byte(byte: u8) -> Option<Algorithm> {
        match byte {
            0x01 => Some(Algorithm::Ed25519),
            0x04 => Some(Algorithm::CosignatureV1),
            0x06 => Some(Algorithm::MlDsa44),
            _ => None,
        }
    }

    /// Whether signatures by it state a time, which is what a policy's witnesses must do.
    pub fn is_cosigner(self) -> bool {
        self != Algorithm::Ed25519
    }
}

/// A public key with its name. Its text form, by `Display` and `FromStr`, is the *vkey*: `name+hex(id)+base64(type ‖ key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    MlDsa44(Arc<[u8]>),
}

impl PublicKey {
    fn read(algorithm: Algorithm, bytes: &[u8]) -> Result<PublicKey, &'static str> {
        if algorithm == Algorithm::MlDsa44 {
            let is_key = bytes.len() == ML_DSA_44_SIGNING.public_key_len() && ParsedPublicKey::new(&ML_DSA_44, bytes).is_ok();
            return if is_key { Ok(PublicKey::MlDsa44(bytes.into())) } else { Err("the bytes are no ML-DSA-44 public key") };
        }
        let bytes = bytes.try_into().map_err(|_| "the public key is not 32 bytes long")?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| "the bytes are no Ed25519 public key")?;
        if key.is_weak() { Err("the Ed25519 public key is a weak one") } else { Ok(PublicKey::Ed25519(key)) }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            PublicKey::Ed25519(key) => key.as_bytes(),
            PublicKey::MlDsa44(bytes) => bytes,
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
            PublicKey::MlDsa44(bytes) => {
                ParsedPublicKey::new(&ML_DSA_44, bytes).is_ok_and(|key| key.verify_sig(message, signature).is_ok())
            }
        }
    }
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// When the name cannot stand in a signature line, or the bytes are no key of this kind, or a weak Ed25519 one, for which signatures
    /// over anything can be made up.
    pub fn new(name: &str, algorithm: Algorithm, public_key: &[u8]) -> Result<VerifierKey, Malformed> {
        let refuse = |rule| Malformed::new(Format::VerifierKey, rule);
        check_name(name).map_err(refuse)?;
        let key = PublicKey::read(algorithm, public_key).map_err(refuse)?;
        Ok(VerifierKey { name: name.to_owned(), id: key_id(name, algorithm, public_key), algorithm, key })
    }

    /// The key's name; for a log's key the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: with the name it tells whose signature a line claims to be.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bare public key: two keys with the same one are duplicates, whatever their names.
    pub fn public_key(&self) -> &[u8] {
        self.key.bytes()
    }

    /// Whether a signature line claims to be by this key.
    pub fn claims(&self, signature: &NoteSignature) -> bool {
        self.id == signature.key_id && self.name == signature.key_name
    }

    /// Checks a signature over a note's text; gives the time it states, for a cosignature, in POSIX seconds.
    ///
    /// # Errors
    /// When the signature is not this key's over this text.
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Result<Option<u64>, SignatureError> {
        let invalid = || SignatureError::Invalid { key_name: self.name.clone() };
        if !self.claims(signature) {
            return Err(invalid());
        }
        let (timestamp_seconds, message, bytes) = match self.algorithm {
            Algorithm::Ed25519 => (None, text.as_bytes().to_vec(), signature.payload.as_slice()),
            Algorithm::CosignatureV1 | Algorithm::MlDsa44 => {
                let (timestamp_seconds, bytes) = cosignature::unpack(&signature.payload).map_err(|_| invalid())?;
                (Some(timestamp_seconds), self.timed_message(text, timestamp_seconds).map_err(|_| invalid())?, bytes)
            }
        };
        if self.key.verifies(&message, bytes) { Ok(timestamp_seconds) } else { Err(invalid()) }
    }

    /// What is signed about a checkpoint together with a time.
    fn timed_message(&self, text: &str, timestamp_seconds: u64) -> Result<Vec<u8>, Malformed> {
        if self.algorithm == Algorithm::MlDsa44 {
            let checkpoint: Checkpoint = text.parse()?;
            return cosignature::tree_message(&self.name, timestamp_seconds, &checkpoint);
        }
        Ok(cosignature::message(timestamp_seconds, text).into_bytes())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, base64_encode(&typed(self.algorithm, self.key.bytes())))
    }
}

impl FromStr for VerifierKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<VerifierKey, Malformed> {
        let refuse = |rule| Malformed::new(Format::VerifierKey, rule);
        let parts = KeyText::parse(text).map_err(refuse)?;
        let key = VerifierKey::new(parts.name, parts.algorithm, &parts.key)?;
        if key.id == parts.id { Ok(key) } else { Err(refuse("the id is not that of the name and key")) }
    }
}

/// A private key with its name. It shows only the name, and forgets its bytes when dropped.
#[derive(Clone)]
pub struct SigningKey {
    key: PrivateKey,
    verifier: VerifierKey,
}

#[derive(Clone)]
enum PrivateKey {
    Ed25519(ed25519_dalek::SigningKey),
    MlDsa44 { pair: Arc<PqdsaKeyPair>, seed: Zeroizing<[u8; 32]> },
}

impl PrivateKey {
    fn of(algorithm: Algorithm, seed: &[u8; 32]) -> Result<PrivateKey, &'static str> {
        if algorithm != Algorithm::MlDsa44 {
            return Ok(PrivateKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(seed)));
        }
        let pair = PqdsaKeyPair::from_seed(&ML_DSA_44_SIGNING, seed).map_err(|_| "the seed makes no ML-DSA-44 key")?;
        Ok(PrivateKey::MlDsa44 { pair: Arc::new(pair), seed: Zeroizing::new(*seed) })
    }

    fn public_key(&self) -> Vec<u8> {
        match self {
            PrivateKey::Ed25519(key) => key.verifying_key().as_bytes().to_vec(),
            PrivateKey::MlDsa44 { pair, .. } => pair.public_key().as_ref().to_vec(),
        }
    }

    fn seed(&self) -> &[u8; 32] {
        match self {
            PrivateKey::Ed25519(key) => key.as_bytes(),
            PrivateKey::MlDsa44 { seed, .. } => seed,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, LedgerError> {
        match self {
            PrivateKey::Ed25519(key) => Ok(key.sign(message).to_bytes().to_vec()),
            PrivateKey::MlDsa44 { pair, .. } => {
                let mut signature = vec![0; ML_DSA_44_SIGNING.signature_len()];
                let failed = |_| LedgerError::Storage { detail: "signing with ML-DSA-44 failed".to_owned() };
                pair.sign(message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl SigningKey {
    /// Makes a key from 32 bytes of randomness, which are the key.
    ///
    /// # Errors
    /// When the name cannot stand in a signature line.
    pub fn from_seed(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<SigningKey, Malformed> {
        let key = PrivateKey::of(algorithm, seed).map_err(|rule| Malformed::new(Format::SigningKey, rule))?;
        let verifier = VerifierKey::new(name, algorithm, &key.public_key())?;
        Ok(SigningKey { key, verifier })
    }

    /// Reads the text form that [`SigningKey::to_secret_text`] gives; white space around it is ignored.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_secret_text(text: &str) -> Result<SigningKey, Malformed> {
        let refuse = |rule| Malformed::new(Format::SigningKey, rule);
        let rest = text.trim().strip_prefix(SIGNING_KEY_PREFIX).ok_or(refuse("it does not begin with PRIVATE+KEY+"))?;
        let parts = KeyText::parse(rest).map_err(refuse)?;
        let seed = parts.key.as_slice().try_into().map_err(|_| refuse("the private key is not 32 bytes long"))?;
        let key = SigningKey::from_seed(parts.name, parts.algorithm, seed)?;
        if key.verifier.id == parts.id { Ok(key) } else { Err(refuse("the id is not that of the name and key")) }
    }

    /// The text kept in a key file: `PRIVATE+KEY+name+hex(id)+base64(type ‖ seed)`. It is the secret itself.
    pub fn to_secret_text(&self) -> String {
        let data = base64_encode(&typed(self.verifier.algorithm, self.key.seed()));
        format!("{SIGNING_KEY_PREFIX}{}+{:08x}+{data}", self.verifier.name, self.verifier.id)
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note's text, which must end in a line end. An ML-DSA-44 key signs a checkpoint, and states no time.
    ///
    /// # Errors
    /// When this is an Ed25519 cosigner's key: it signs only with a time.
    pub fn sign(&self, text: &str) -> Result<NoteSignature, LedgerError> {
        match self.verifier.algorithm {
            Algorithm::Ed25519 => Ok(self.line(self.key.sign(text.as_bytes())?)),
            Algorithm::MlDsa44 => self.cosign(text, 0),
            Algorithm::CosignatureV1 => Err(self.wrong_algorithm()),
        }
    }

    /// Cosigns a checkpoint's text at a time in POSIX seconds. The caller has checked that the log grew consistently.
    ///
    /// # Errors
    /// When this is not a cosigner's key, or the time is beyond what the format allows.
    pub fn cosign(&self, text: &str, timestamp_seconds: u64) -> Result<NoteSignature, LedgerError> {
        if !self.verifier.algorithm.is_cosigner() {
            return Err(self.wrong_algorithm());
        }
        if timestamp_seconds > cosignature::MAX_TIMESTAMP_SECONDS {
            return Err(Malformed::new(Format::Cosignature, "its time is beyond what the format allows").into());
        }
        let signature = self.key.sign(&self.verifier.timed_message(text, timestamp_seconds)?)?;
        Ok(self.line(cosignature::pack(timestamp_seconds, &signature)))
    }

    fn wrong_algorithm(&self) -> LedgerError {
        SignatureError::WrongAlgorithm { key_name: self.verifier.name.clone() }.into()
    }

    fn line(&self, payload: Vec<u8>) -> NoteSignature {
        NoteSignature { key_name: self.verifier.name.clone(), key_id: self.verifier.id, payload }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier.name)
    }
}

/// The three parts that both key texts have in common.
struct KeyText<'a> {
    name: &'a str,
    id: u32,
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl<'a> KeyText<'a> {
    fn parse(text: &'a str) -> Result<KeyText<'a>, &'static str> {
        // Only the first two plus signs part anything: base64 has plus signs of its own.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("it does not have three parts joined by +");
        };
        let id = HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok()).map(u32::from_be_bytes);
        let id = id.ok_or("the id is not eight lower-case hexadecimal digits")?;
        let data = base64_decode(data).ok_or("the key is not standard base64")?;
        let (algorithm, key) = data.split_first().ok_or("the key is empty")?;
        let algorithm = Algorithm::from_byte(*algorithm).ok_or("the signature type is not one that is supported here")?;
        Ok(KeyText { name, id, algorithm, key: key.to_vec() })
    }
}

/// Whether a name can stand in a signature line.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES {
        return Err("the name is empty or too long");
    }
    if name.contains(char::is_whitespace) || name.contains('+') || has_control(name) {
        return Err("the name has a space, a plus sign or a control character");
    }
    Ok(())
}

fn key_id(name: &str, algorithm: Algorithm, public_key: &[u8]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update(b"\n");
    hasher.update(typed(algorithm, public_key));
    let digest: [u8; 32] = hasher.finalize().into();
    let [first, second, third, fourth, ..] = digest;
    u32::from_be_bytes([first, second, third, fourth])
}

fn typed(algorithm: Algorithm, key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![algorithm.byte()];
    bytes.extend_from_slice(key);
    bytes
}
