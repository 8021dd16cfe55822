//! The blinded names under which leaves are found, and the epochs in which they change.

use crate::clock::Instant;
use crate::ledger::index::Tag;
use crate::sign::hmac;
use crate::store::{Keyring, PatientKey};

/// Tags change after this long, so that leaves of different epochs cannot be linked.
const EPOCH_SECONDS: i64 = 30 * 24 * 3600;
const SECONDS_AN_HOUR: i64 = 3600;

/// Thirty days, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

impl Epoch {
    pub fn of(at: Instant) -> Epoch {
        Epoch(at.seconds().div_euclid(EPOCH_SECONDS))
    }

    /// The epoch of a leaf, by its hour.
    pub fn of_hour(hour: u32) -> Epoch {
        Epoch((i64::from(hour) * SECONDS_AN_HOUR).div_euclid(EPOCH_SECONDS))
    }

    /// Every epoch from this one to another, both included.
    pub fn to(self, last: Epoch) -> impl Iterator<Item = Epoch> {
        (self.0..=last.0).map(Epoch)
    }
}

/// The secret from which a patient's tags of one epoch are made. Whoever is given it can find that patient's leaves of that epoch, and of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatientTags(pub [u8; 32]);

impl PatientTags {
    pub fn of(key: &PatientKey, epoch: Epoch) -> PatientTags {
        PatientTags(key.blind(&[b"epoch:".as_slice(), &epoch.0.to_be_bytes()].concat()))
    }

    /// The tag of a resource: `Patient/…` for the patient, `Observation/…` for a record of theirs.
    pub fn tag(&self, reference: &str) -> Tag {
        cut(&hmac(&self.0, [reference.as_bytes()]))
    }
}

/// The tag of an organisation, by its key.
pub(super) fn partner_tag(keyring: &Keyring, partner: &str, epoch: Epoch) -> Tag {
    cut(&hmac(&keyring.derived("partner tags"), [&epoch.0.to_be_bytes()[..], partner.as_bytes()]))
}

fn cut(whole: &[u8; 32]) -> Tag {
    let mut tag = Tag::default();
    tag.0.iter_mut().zip(whole).for_each(|(slot, byte)| *slot = *byte);
    tag
}
