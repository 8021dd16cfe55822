//! The keyed hash by which the gateway alone can say of something that it is its own.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA-256 over these, one behind the other. Where they could be cut otherwise and mean something else, their lengths are the caller's to put between.
pub fn hmac<'p>(key: &[u8; 32], parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    // RFC 2104 pads a short key with zeros to the hash's block, so a padded key gives the same code.
    let mut block = [0; BLOCK_BYTES];
    block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = *byte);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.into_iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `hmac.digest(bytes(range(32)), b"hearthgate", "sha256")`.
    #[test]
    fn it_is_what_others_make() {
        let key = std::array::from_fn(|number| number as u8);
        let made = hmac(&key, [&b"hearth"[..], b"gate"]);
        assert_eq!(data_encoding::HEXLOWER.encode(&made), "b0df340a1f0713b607d966fe086894056f90c89093f0de896728fda7b270451f");
        assert_eq!(made, hmac(&key, [&b"hearthgate"[..]]));
    }
}
