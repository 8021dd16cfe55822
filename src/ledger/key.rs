//! Keys of signed notes: verifier keys as `name+id+key` texts, signing keys as the text kept in a key file, and their signatures.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};

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
}

impl Algorithm {
    /// The type byte.
    pub fn byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::CosignatureV1 => 0x04,
        }
    }

    fn from_byte(byte: u8) -> Option<Algorithm> {
        match byte {
            0x01 => Some(Algorithm::Ed25519),
            0x04 => Some(Algorithm::CosignatureV1),
            _ => None,
        }
    }
}

/// A public key with its name. Its text form, by `Display` and `FromStr`, is the *vkey*: `name+hex(id)+base64(type ‖ key)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    algorithm: Algorithm,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// When the name cannot stand in a signature line, or the bytes are no Ed25519 key or a weak one, for which signatures over
    /// anything can be made up.
    pub fn new(name: &str, algorithm: Algorithm, public_key: &[u8; 32]) -> Result<VerifierKey, Malformed> {
        let refuse = |rule| Malformed::new(Format::VerifierKey, rule);
        check_name(name).map_err(refuse)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(public_key).map_err(|_| refuse("the bytes are no Ed25519 public key"))?;
        if key.is_weak() {
            return Err(refuse("the Ed25519 public key is a weak one"));
        }
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

    /// The bare Ed25519 public key: two keys with the same one are duplicates, whatever their names.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
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
        match self.algorithm {
            Algorithm::Ed25519 => {
                let bytes = signature.payload.as_slice().try_into().map_err(|_| invalid())?;
                self.verify_bytes(text.as_bytes(), bytes).map(|()| None)
            }
            Algorithm::CosignatureV1 => {
                let (timestamp_seconds, bytes) = cosignature::unpack(&signature.payload).map_err(|_| invalid())?;
                let message = cosignature::message(timestamp_seconds, text);
                self.verify_bytes(message.as_bytes(), bytes).map(|()| Some(timestamp_seconds))
            }
        }
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).map_err(|_| SignatureError::Invalid { key_name: self.name.clone() })
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, self.id, base64_encode(&typed(self.algorithm, self.key.as_bytes())))
    }
}

impl FromStr for VerifierKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<VerifierKey, Malformed> {
        let refuse = |rule| Malformed::new(Format::VerifierKey, rule);
        let parts = KeyText::parse(text).map_err(refuse)?;
        let public_key = parts.key.as_slice().try_into().map_err(|_| refuse("the public key is not 32 bytes long"))?;
        let key = VerifierKey::new(parts.name, parts.algorithm, public_key)?;
        if key.id == parts.id { Ok(key) } else { Err(refuse("the id is not that of the name and key")) }
    }
}

/// A private key with its name. It shows only the name, and forgets its bytes when dropped.
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    verifier: VerifierKey,
}

impl SigningKey {
    /// Makes a key from 32 bytes of randomness, which are the key.
    ///
    /// # Errors
    /// When the name cannot stand in a signature line.
    pub fn from_seed(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<SigningKey, Malformed> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, algorithm, key.verifying_key().as_bytes())?;
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
        let data = base64_encode(&typed(self.verifier.algorithm, self.key.as_bytes()));
        format!("{SIGNING_KEY_PREFIX}{}+{:08x}+{data}", self.verifier.name, self.verifier.id)
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note's text, which must end in a line end.
    ///
    /// # Errors
    /// When this is a cosigner's key: it signs only with a time.
    pub fn sign(&self, text: &str) -> Result<NoteSignature, LedgerError> {
        self.require(Algorithm::Ed25519)?;
        Ok(self.line(self.key.sign(text.as_bytes()).to_bytes().to_vec()))
    }

    /// Cosigns a checkpoint's text at a time in POSIX seconds. The caller has checked that the log grew consistently.
    ///
    /// # Errors
    /// When this is not a cosigner's key, or the time is beyond what the format allows.
    pub fn cosign(&self, text: &str, timestamp_seconds: u64) -> Result<NoteSignature, LedgerError> {
        self.require(Algorithm::CosignatureV1)?;
        if timestamp_seconds > cosignature::MAX_TIMESTAMP_SECONDS {
            return Err(Malformed::new(Format::Cosignature, "its time is beyond what the format allows").into());
        }
        let signature = self.key.sign(cosignature::message(timestamp_seconds, text).as_bytes());
        Ok(self.line(cosignature::pack(timestamp_seconds, &signature.to_bytes())))
    }

    fn require(&self, algorithm: Algorithm) -> Result<(), SignatureError> {
        let fits = self.verifier.algorithm == algorithm;
        if fits { Ok(()) } else { Err(SignatureError::WrongAlgorithm { key_name: self.verifier.name.clone() }) }
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

fn key_id(name: &str, algorithm: Algorithm, public_key: &[u8; 32]) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(name);
    hasher.update(b"\n");
    hasher.update(typed(algorithm, public_key));
    let digest: [u8; 32] = hasher.finalize().into();
    let [first, second, third, fourth, ..] = digest;
    u32::from_be_bytes([first, second, third, fourth])
}

fn typed(algorithm: Algorithm, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = vec![algorithm.byte()];
    bytes.extend_from_slice(key);
    bytes
}
