//! Gateway ids: one per (source, type, source's id), the same for ever, and telling nothing about the source's id.

use crate::clock::Instant;
use data_encoding::BASE32_DNSSEC;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What every gateway id begins with.
const PREFIX: &str = "hg-";

/// Characters after the prefix: 128 bits in lower-case base32hex (RFC 4648 §7) without padding.
const ENCODED_LENGTH: usize = 26;

/// Bytes of the keyed hash that are used. 128 bits keep chance collisions out of reach of any population of records.
const ID_BYTES: usize = 16;

/// Bytes of a fresh id that are drawn.
const RANDOM_BYTES: usize = 10;

/// Separates this use of the key from any other.
const DOMAIN: &[u8] = b"hearthgate gateway id 1";

/// Makes gateway ids under one secret key. Ids are injective because every part is hashed behind its length.
#[derive(Clone)]
pub struct GatewayIds {
    keyed: Hmac<Sha256>,
}

impl std::fmt::Debug for GatewayIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatewayIds")
    }
}

impl GatewayIds {
    pub fn new(key: [u8; 32]) -> GatewayIds {
        // RFC 2104 pads a short key with zeros to the hash's block, so a padded key gives the same code.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(slot, byte)| *slot = byte);
        let mut keyed = Hmac::<Sha256>::new(&block.into());
        feed(&mut keyed, DOMAIN);
        GatewayIds { keyed }
    }

    /// The gateway's id for what `source` calls `type_name/source_id`. Any source id will do, also one that FHIR would not allow.
    pub fn id(&self, source: &str, type_name: &str, source_id: &str) -> String {
        let mut mac = self.keyed.clone();
        for part in [source, type_name, source_id] {
            feed(&mut mac, part.as_bytes());
        }
        let digest = mac.finalize().into_bytes();
        let mut bytes = [0; ID_BYTES];
        bytes.iter_mut().zip(digest).for_each(|(slot, byte)| *slot = byte);
        encode(bytes)
    }

    /// An id for a resource that came without one: 48 bits of time, so that what is stored together lies together, and 80 of the caller's entropy.
    pub fn fresh(&self, at: Instant, random: [u8; RANDOM_BYTES]) -> String {
        let millis = (at.micros() / 1000).max(0).to_be_bytes();
        let mut bytes = [0; ID_BYTES];
        let parts = millis.iter().skip(millis.len() + RANDOM_BYTES - ID_BYTES).chain(&random);
        bytes.iter_mut().zip(parts).for_each(|(slot, &byte)| *slot = byte);
        encode(bytes)
    }
}

fn feed(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

fn encode(bytes: [u8; ID_BYTES]) -> String {
    let mut id = String::with_capacity(PREFIX.len() + ENCODED_LENGTH);
    id.push_str(PREFIX);
    BASE32_DNSSEC.encode_append(&bytes, &mut id);
    id
}

/// Whether a string has the shape of a gateway id. It says nothing about whether the gateway made it or who may name it.
pub fn is_gateway_id(id: &str) -> bool {
    id.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == ENCODED_LENGTH && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v')))
}

/// What of a text has the shape of a gateway id, also within a longer word.
pub fn gateway_ids_in(text: &str) -> impl Iterator<Item = &str> {
    let found = text.match_indices(PREFIX).filter_map(|(at, _)| text.get(at..at + PREFIX.len() + ENCODED_LENGTH));
    found.filter(|id| is_gateway_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn stable_legal_and_injective() {
        let ids = GatewayIds::new([7; 32]);
        assert_eq!(ids.id("epic", "Patient", "1"), ids.id("epic", "Patient", "1"));
        assert_ne!(ids.id("epic", "Patient", "1"), GatewayIds::new([8; 32]).id("epic", "Patient", "1"));
        let parts = ["", "a", "ab", "b", "Patient", "urn:oid:1.2", "a-195900.E-51711"];
        let mut seen = HashSet::new();
        for source in parts {
            for type_name in parts {
                for id in parts {
                    let made = ids.id(source, type_name, id);
                    assert!(is_gateway_id(&made) && made.len() <= 64, "{made}");
                    assert!(seen.insert(made));
                }
            }
        }
    }

    #[test]
    fn shape() {
        let ids = GatewayIds::new([0; 32]);
        assert!(is_gateway_id(&ids.fresh(Instant::EPOCH, [0xFF; 10])));
        for wrong in ["", "hg-", "hg-0", "hg-zzzzzzzzzzzzzzzzzzzzzzzzzz", "HG-00000000000000000000000000", "00000000000000000000000000"] {
            assert!(!is_gateway_id(wrong), "{wrong}");
        }
    }
}
