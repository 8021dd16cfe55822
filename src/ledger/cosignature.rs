//! Cosignatures: what a witness signs when it has seen a log grow consistently, and how that is packed into a note's signature.
//!
//! The signing itself is [`super::key`]'s; here are only the bytes.

use super::checkpoint::Checkpoint;
use super::error::{Format, Malformed};

/// The latest time that can be stated; others read it as a signed number.
pub const MAX_TIMESTAMP_SECONDS: u64 = i64::MAX as u64;

/// The message that an Ed25519 cosigner signs about a checkpoint's text: a header, the time in POSIX seconds, and the text itself.
///
/// It does not name the cosigner, so that one key must never serve two of them.
pub fn message(timestamp_seconds: u64, checkpoint_text: &str) -> String {
    format!("cosignature/v1\ntime {timestamp_seconds}\n{checkpoint_text}")
}

/// The message that an ML-DSA-44 cosigner signs about a checkpoint: `cosigned_message` of tlog-cosignature, for the whole tree.
///
/// # Errors
/// When the cosigner's name or the origin is longer than the 255 bytes it has room for.
pub fn tree_message(cosigner_name: &str, timestamp_seconds: u64, checkpoint: &Checkpoint) -> Result<Vec<u8>, Malformed> {
    let too_long = |_| Malformed::new(Format::Cosignature, "a name or an origin is longer than 255 bytes");
    let mut message = b"subtree/v1\n\0".to_vec();
    message.push(u8::try_from(cosigner_name.len()).map_err(too_long)?);
    message.extend_from_slice(cosigner_name.as_bytes());
    message.extend_from_slice(&timestamp_seconds.to_be_bytes());
    message.push(u8::try_from(checkpoint.origin.len()).map_err(too_long)?);
    message.extend_from_slice(checkpoint.origin.as_bytes());
    message.extend_from_slice(&0u64.to_be_bytes());
    message.extend_from_slice(&checkpoint.size.to_be_bytes());
    message.extend_from_slice(&checkpoint.root.0);
    Ok(message)
}

/// Packs time and signature for a signature line.
pub(super) fn pack(timestamp_seconds: u64, signature: &[u8]) -> Vec<u8> {
    let mut payload = timestamp_seconds.to_be_bytes().to_vec();
    payload.extend_from_slice(signature);
    payload
}

/// Takes time and signature out of a signature line's payload.
pub(super) fn unpack(payload: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let refuse = |rule| Malformed::new(Format::Cosignature, rule);
    let (timestamp, signature) = payload.split_first_chunk::<8>().ok_or(refuse("it is too short for a time"))?;
    let timestamp_seconds = u64::from_be_bytes(*timestamp);
    if timestamp_seconds > MAX_TIMESTAMP_SECONDS {
        return Err(refuse("its time is beyond what the format allows"));
    }
    Ok((timestamp_seconds, signature))
}
