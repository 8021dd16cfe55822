//! The seal of a stored version: a keyed tag over what it is, what it says and how it came to be, so that damage and tampering show when it is read.
//!
//! It is the tag of AES-256-GCM-SIV (RFC 8452) under one nonce for all: that construction stays sound when nonces repeat, and tells no more
//! than that equal versions are equal. It costs a fraction of HMAC-SHA-256, by which stores sealed at first. Its first byte says what it is over:
//! older seals are over type, id, version and document alone, and still hold.

use super::keys::{Keyring, derived, hmac};
use crate::outcome::{Fault, FaultKind};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Bytes of a tag.
const TAG_BYTES: usize = 16;
/// What a seal begins with that is over the whole row.
const WHOLE: u8 = 2;
/// And one over the whole row of a version that another took the place of: it cannot pass for the newest again where that one is taken away.
const OVERTAKEN: u8 = 3;
/// And one that is over type, id, version and document. Those of the first stores are nothing but [`TAG_BYTES`] of a hash.
const DOCUMENT: u8 = 1;

/// A row as it is sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub seq: i64,
    pub type_name: &'a str,
    pub id: &'a str,
    pub version: u32,
    pub at: i64,
    pub method: i64,
    pub source: &'a str,
    pub leaf: Option<u64>,
    pub leaves: u64,
    pub key: Option<&'a [u8]>,
    pub raw: Option<i64>,
    pub place: Option<&'a str>,
    pub document: &'a str,
}

impl Sealed<'_> {
    /// Everything but the document, so that no two rows have the same: what varies in length goes with it.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(192);
        let texts = [
            Some(self.type_name.as_bytes()),
            Some(self.id.as_bytes()),
            Some(self.source.as_bytes()),
            self.key,
            self.place.map(str::as_bytes),
        ];
        for text in texts {
            head.push(u8::from(text.is_some()));
            head.extend(text.map_or(0, <[u8]>::len).to_be_bytes());
            head.extend(text.unwrap_or_default());
        }
        for number in [Some(self.seq), Some(i64::from(self.version)), Some(self.at), Some(self.method), self.raw] {
            head.push(u8::from(number.is_some()));
            head.extend(number.unwrap_or_default().to_be_bytes());
        }
        head.push(u8::from(self.leaf.is_some()));
        head.extend(self.leaf.unwrap_or_default().to_be_bytes());
        head.extend(self.leaves.to_be_bytes());
        head
    }

    /// What older seals are over, beside the document.
    fn name(&self) -> Vec<u8> {
        format!("{}/{}/{}\0", self.type_name, self.id, self.version).into_bytes()
    }
}

/// A seal as it is stored.
pub(super) type Seal = [u8; 1 + TAG_BYTES];

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

    /// The same by the gateway's key alone, for whoever looks at data without a keyring.
    pub(super) fn of_gateway(gateway: &[u8; 32]) -> Result<Sealer, Fault> {
        Sealer::new(&derived(gateway, "seal-of-versions"), derived(gateway, "seal"))
    }

    fn new(key: &[u8; 32], older: [u8; 32]) -> Result<Sealer, Fault> {
        let key = UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_| unusable())?;
        Ok(Sealer { key: LessSafeKey::new(key), older })
    }

    /// The key by which what waits for signatures, and what is noted of consents, is sealed.
    pub(super) fn of_notes(&self) -> &[u8; 32] {
        &self.older
    }

    pub(super) fn seal(&self, row: &Sealed<'_>) -> Result<Seal, Fault> {
        self.tagged(WHOLE, row.head(), row.document)
    }

    /// The seal of a version that another takes the place of.
    pub(super) fn seal_overtaken(&self, row: &Sealed<'_>) -> Result<Seal, Fault> {
        self.tagged(OVERTAKEN, row.head(), row.document)
    }

    fn tagged(&self, mark: u8, mut head: Vec<u8>, document: &str) -> Result<Seal, Fault> {
        // One nonce for each kind, so that none can be taken for another.
        let mut nonce = [0; NONCE_LEN];
        nonce.iter_mut().take(1).for_each(|byte| *byte = mark - DOCUMENT);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(document.as_bytes()), &mut head).map_err(|_| unusable())?;
        let mut seal = [mark; 1 + TAG_BYTES];
        seal.iter_mut().skip(1).zip(tag.as_ref()).for_each(|(slot, byte)| *slot = *byte);
        Ok(seal)
    }

    /// Whether this is the seal of this row.
    pub(super) fn holds(&self, found: &[u8], row: &Sealed<'_>) -> Result<bool, Fault> {
        let expected = match found {
            [WHOLE, ..] if found.len() == 1 + TAG_BYTES => self.seal(row)?,
            [OVERTAKEN, ..] if found.len() == 1 + TAG_BYTES => self.seal_overtaken(row)?,
            [DOCUMENT, ..] if found.len() == 1 + TAG_BYTES => self.tagged(DOCUMENT, row.name(), row.document)?,
            _ if found.len() == TAG_BYTES => {
                let mac = hmac(&self.older, &[&row.name(), row.document.as_bytes()]);
                return Ok(mac.get(..TAG_BYTES).is_some_and(|expected| verify_slices_are_equal(expected, found).is_ok()));
            }
            _ => return Ok(false),
        };
        Ok(verify_slices_are_equal(&expected, found).is_ok())
    }
}

/// Whether a seal is of a version that another took the place of.
pub(super) fn is_overtaken(seal: &[u8]) -> bool {
    seal.first() == Some(&OVERTAKEN) && seal.len() == 1 + TAG_BYTES
}

fn unusable() -> Fault {
    Fault::new(FaultKind::Internal, "sealing a version failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Sealed<'static> = Sealed {
        seq: 9,
        type_name: "Patient",
        id: "1",
        version: 2,
        at: 1_790_000_000_000_000,
        method: 1,
        source: "hospital-a",
        leaf: Some(7),
        leaves: 1,
        key: Some(&[5; 16]),
        raw: Some(3),
        place: Some("Bundle.entry[3].resource"),
        document: "{\"a\":1}",
    };

    /// Rows that say something else of who, what and which.
    fn others() -> Vec<Sealed<'static>> {
        let document = |document| Sealed { document, ..ROW };
        vec![
            Sealed { type_name: "Person", ..ROW },
            Sealed { id: "12", ..ROW },
            Sealed { version: 1, ..ROW },
            document("{\"a\":2}"),
            document(""),
        ]
    }

    /// Rows that say something else of how it came about.
    fn retold() -> Vec<Sealed<'static>> {
        vec![
            Sealed { seq: 10, ..ROW },
            Sealed { at: 1, ..ROW },
            Sealed { method: 2, ..ROW },
            Sealed { source: "hospital-b", ..ROW },
            Sealed { leaf: Some(8), ..ROW },
            Sealed { leaf: None, ..ROW },
            Sealed { leaves: 2, ..ROW },
            Sealed { key: Some(&[6; 16]), ..ROW },
            Sealed { key: None, ..ROW },
            Sealed { raw: Some(4), ..ROW },
            Sealed { raw: None, ..ROW },
            Sealed { place: Some(""), ..ROW },
            Sealed { place: None, ..ROW },
            Sealed { source: "hospital-aB", place: Some("undle.entry[3].resource"), ..ROW },
        ]
    }

    #[test]
    fn a_seal_holds_for_what_was_sealed_and_nothing_else() {
        let sealer = Sealer::new(&[1; 32], [2; 32]).unwrap();
        let holds = |seal: &[u8], row: &Sealed<'_>| sealer.holds(seal, row).unwrap();
        let whole = sealer.seal(&ROW).unwrap();
        let document = sealer.tagged(DOCUMENT, ROW.name(), ROW.document).unwrap();
        let first = &hmac(&[2; 32], &[b"Patient/1/2\0", b"{\"a\":1}"])[..TAG_BYTES];
        let overtaken = sealer.seal_overtaken(&ROW).unwrap();
        for seal in [&whole[..], &overtaken, &document, first] {
            assert!(holds(seal, &ROW));
            for other in others() {
                assert!(!holds(seal, &other), "{other:?}");
            }
            assert!(retold().iter().all(|row| holds(seal, row) == (seal.len() == TAG_BYTES || seal[0] == DOCUMENT)), "{seal:?}");
            let other_key = Sealer::new(&[3; 32], [4; 32]).unwrap();
            assert!(!other_key.holds(seal, &ROW).unwrap());
            for at in 0..seal.len() {
                for bit in [1, 2, 3] {
                    let mut damaged = seal.to_vec();
                    damaged[at] ^= bit;
                    assert!(!holds(&damaged, &ROW), "{at}");
                }
            }
        }
        for nothing in [&[][..], &[WHOLE], &[DOCUMENT], &[0; TAG_BYTES], &[WHOLE; 17], &[0; 64]] {
            assert!(!holds(nothing, &ROW));
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
