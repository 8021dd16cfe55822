//! The seal of a stored version: a keyed tag over what it is and what it says, so that damage and tampering show when it is read.
//!
//! It is the tag of AES-256-GCM-SIV (RFC 8452) under one nonce for all: that construction stays sound when nonces repeat, and tells no more
//! than that equal versions are equal. It costs a fraction of HMAC-SHA-256, by which stores sealed before; those seals still hold.

use super::keys::{Keyring, hmac};
use crate::outcome::{Fault, FaultKind};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// What a seal begins with; those of older stores are nothing but [`TAG_BYTES`] of a hash.
const MARK: u8 = 1;

/// Seals versions, and tells whether a seal holds.
pub(super) struct Sealer {
    key: LessSafeKey,
    /// The key of older seals, and of what waits for signatures.
    older: [u8; 32],
}

impl Sealer {
    pub(super) fn of(keyring: &Keyring) -> Result<Sealer, Fault> {
        Sealer::new(&keyring.derived("seal-of-versions"), keyring.derived("seal"))
    }

    fn new(key: &[u8; 32], older: [u8; 32]) -> Result<Sealer, Fault> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_| unusable())?;
        Ok(Sealer { key: LessSafeKey::new(key), older })
    }

    /// The key by which what waits for signatures is sealed.
    pub(super) fn of_waiting(&self) -> &[u8; 32] {
        &self.older
    }

    pub(super) fn seal(&self, type_name: &str, id: &str, version: u32, document: &str) -> Result<[u8; 1 + TAG_BYTES], Fault> {
        let mut head = head(type_name, id, version).into_bytes();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(document.as_bytes()), &mut head).map_err(|_| unusable())?;
        let mut seal = [MARK; 1 + TAG_BYTES];
        seal.iter_mut().skip(1).zip(tag.as_ref()).for_each(|(slot, byte)| *slot = *byte);
        Ok(seal)
    }

    /// Whether this is the seal of a version that says this.
    pub(super) fn holds(&self, found: &[u8], type_name: &str, id: &str, version: u32, document: &str) -> Result<bool, Fault> {
        let holds = if found.len() == TAG_BYTES {
            let mac = hmac(&self.older, &[head(type_name, id, version).as_bytes(), document.as_bytes()]);
            mac.get(..TAG_BYTES).is_some_and(|expected| verify_slices_are_equal(expected, found).is_ok())
        } else {
            verify_slices_are_equal(&self.seal(type_name, id, version, document)?, found).is_ok()
        };
        Ok(holds)
    }
}

fn head(type_name: &str, id: &str, version: u32) -> String {
    format!("{type_name}/{id}/{version}\0")
}

fn unusable() -> Fault {
    Fault::new(FaultKind::Internal, "sealing a version failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_what_was_sealed_and_nothing_else() {
        let sealer = Sealer::new(&[1; 32], [2; 32]).unwrap();
        let seal = sealer.seal("Patient", "1", 2, "{\"a\":1}").unwrap();
        let older = &hmac(&[2; 32], &[b"Patient/1/2\0", b"{\"a\":1}"])[..TAG_BYTES];
        for seal in [&seal[..], older] {
            let holds = |type_name, id, version, document| sealer.holds(seal, type_name, id, version, document).unwrap();
            assert!(holds("Patient", "1", 2, "{\"a\":1}"));
            for other in [("Person", "1", 2, "{\"a\":1}"), ("Patient", "12", 2, "{\"a\":1}"), ("Patient", "1", 1, "{\"a\":1}")] {
                assert!(!holds(other.0, other.1, other.2, other.3), "{other:?}");
            }
            assert!(!holds("Patient", "1", 2, "{\"a\":2}") && !holds("Patient", "1", 2, ""));
            let other_key = Sealer::new(&[3; 32], [4; 32]).unwrap();
            assert!(!other_key.holds(seal, "Patient", "1", 2, "{\"a\":1}").unwrap());
            for at in 0..seal.len() {
                let mut damaged = seal.to_vec();
                damaged[at] ^= 1;
                assert!(!sealer.holds(&damaged, "Patient", "1", 2, "{\"a\":1}").unwrap(), "{at}");
            }
        }
        for nothing in [&[][..], &[MARK], &[0; TAG_BYTES], &[0; 64]] {
            assert!(!sealer.holds(nothing, "Patient", "1", 2, "{\"a\":1}").unwrap());
        }
    }

    #[test]
    fn the_tag_is_that_of_the_standard() {
        // RFC 8452, appendix C.2: nothing at all, under the first key and nonce of its list.
        let mut key = [0; 32];
        key[0] = 1;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key).unwrap());
        let nonce = Nonce::assume_unique_for_key([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut []).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(tag.as_ref()), "07f5f4169bbf55a8400cd47ea6fd400f");
    }
}
