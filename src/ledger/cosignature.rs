//! Cosignatures v1: what a witness signs when it has seen a log grow consistently, and how that is packed into a note's signature.
//!
//! The signing itself is [`super::key`]'s; here are only the bytes.

use super::error::{Format, Malformed};

/// Bytes of a cosignature in a signature line, after the key id: the time and the Ed25519 signature.
pub const COSIGNATURE_BYTES: usize = 8 + 64;
/// The latest time that can be stated; others read it as a signed number.
pub const MAX_TIMESTAMP_SECONDS: u64 = i64::MAX as u64;

/// The message that an Ed25519 cosigner signs about a checkpoint's text: a header, the time in POSIX seconds, and the text itself.
///
/// It does not name the cosigner, so that one key must never serve two of them.
pub fn message(timestamp_seconds: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {timestamp_seconds}\n{checkpoint_text}")
}

/// Packs time and signature for a signature line.
pub(super) fn pack(timestamp_seconds: u64, signature: &[u8; 64]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(COSIGNATURE_BYTES);
    payload.extend_from_slice(&timestamp_seconds.to_be_bytes());
    payload.extend_from_slice(signature);
    payload
}

/// Takes time and signature out of a signature line's payload.
pub(super) fn unpack(payload: &[u8]) -> Result<(u64, &[u8; 64]), Malformed> {
    let refuse = |rule| Malformed::new(Format::Cosignature, rule);
    let (timestamp, signature) = payload.split_first_chunk::<8>().ok_or(refuse("it is not 72 bytes long"))?;
    let signature = signature.try_into().map_err(|_| refuse("it is not 72 bytes long"))?;
    let timestamp_seconds = u64::from_be_bytes(*timestamp);
    if timestamp_seconds > MAX_TIMESTAMP_SECONDS {
        return Err(refuse("its time is beyond what the format allows"));
    }
    Ok((timestamp_seconds, signature))
}
