//! What of an X.509 certificate (RFC 5280 §4.1) is looked at: its key, and until when it holds. Nobody is asked to vouch for it.

use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// `rsaEncryption` (RFC 8017 appendix A.1): the key of either kind of RSA signature.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// A certificate that has the form of one. Nothing in it is proved.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'c> {
    /// The key as the certificate has it (`SubjectPublicKeyInfo`).
    key: &'c [u8],
    /// The first and the last moment that it is good at; none where that is not written as it must be.
    validity: Option<(Timestamp, Timestamp)>,
    /// Whether bytes stand behind it.
    pub is_followed: bool,
}

impl<'c> Certificate<'c> {
    /// Reads one; `None` where it lacks a part of what a certificate has.
    pub fn read(bytes: &'c [u8]) -> Option<Certificate<'c>> {
        let mut beyond = Elements(bytes);
        let mut whole = Elements(beyond.next(SEQUENCE)?);
        let mut certified = Elements(whole.next(SEQUENCE)?);
        let (_algorithm, _signature) = (whole.next(SEQUENCE)?, whole.next(BIT_STRING)?);
        // The version is left out where it is the first.
        let _version = certified.next(VERSION);
        let (_serial, _algorithm, _issuer) = (certified.next(INTEGER)?, certified.next(SEQUENCE)?, certified.next(SEQUENCE)?);
        let mut validity = Elements(certified.next(SEQUENCE)?);
        let (first, last) = (validity.time()?, validity.time()?);
        let _subject = certified.next(SEQUENCE)?;
        let before_key = certified.0;
        let mut key = Elements(certified.next(SEQUENCE)?);
        let (_algorithm, _key) = (key.next(SEQUENCE)?, key.next(BIT_STRING)?);
        let key = before_key.get(..before_key.len() - certified.0.len())?;
        whole.0.is_empty().then(|| Certificate { key, validity: first.zip(last), is_followed: !beyond.0.is_empty() })
    }

    /// Whether it is good at a moment, as it says itself.
    pub fn is_valid_at(&self, moment: Timestamp) -> bool {
        self.validity.is_some_and(|(first, last)| first <= moment && moment <= last)
    }

    /// How many bits an RSA key has; none for another.
    pub fn rsa_bits(&self) -> Option<usize> {
        let mut key = Elements(Elements(self.key).next(SEQUENCE)?);
        Elements(key.next(SEQUENCE)?).next(OBJECT_IDENTIFIER).filter(|kind| *kind == RSA)?;
        // The first byte of a bit string says how many of its last bits are none.
        let bits = key.next(BIT_STRING)?.split_first()?.1;
        let modulus = Elements(Elements(bits).next(SEQUENCE)?).next(INTEGER)?;
        let zeros: usize = modulus.iter().take_while(|byte| **byte == 0).count();
        let (first, rest) = modulus.get(zeros..)?.split_first()?;
        Some(rest.len() * 8 + (8 - first.leading_zeros() as usize))
    }

    /// Whether its key made a signature.
    pub fn has_signed(&self, algorithm: &'static dyn VerificationAlgorithm, signed: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm, self.key).verify(signed, signature).is_ok()
    }
}

/// Elements of the distinguished encoding rules (X.690 §8.1), one behind another.
struct Elements<'c>(&'c [u8]);

impl<'c> Elements<'c> {
    /// Takes the content of the next, where it has a tag.
    fn next(&mut self, tag: u8) -> Option<&'c [u8]> {
        let (found, content, rest) = self.first()?;
        (found == tag).then(|| {
            self.0 = rest;
            content
        })
    }

    /// Takes a time, which is none where it is not written as it must be.
    fn time(&mut self) -> Option<Option<Timestamp>> {
        let (tag, content, rest) = self.first().filter(|(tag, ..)| matches!(*tag, UTC_TIME | GENERALIZED_TIME))?;
        self.0 = rest;
        Some(std::str::from_utf8(content).ok().and_then(|text| moment(text, tag == UTC_TIME)))
    }

    fn first(&self) -> Option<(u8, &'c [u8], &'c [u8])> {
        let (&tag, after) = self.0.split_first()?;
        let (&short, after) = after.split_first()?;
        let (length, content) = match short {
            0..=0x7f => (usize::from(short), after),
            // Nothing that is certified has a length of more than three bytes.
            0x81..=0x83 => {
                let (digits, content) = after.split_at_checked(usize::from(short & 0x7f))?;
                (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), content)
            }
            _ => return None,
        };
        let (content, rest) = content.split_at_checked(length)?;
        Some((tag, content, rest))
    }
}

/// A moment as certificates write it (RFC 5280 §4.1.2.5): to the second, in UTC; of a year with two digits those from 50 on are of the last century.
fn moment(text: &str, is_short: bool) -> Option<Timestamp> {
    let century = if !is_short {
        ""
    } else if text.get(..2)? < "50" {
        "20"
    } else {
        "19"
    };
    let whole = format!("{century}{}", text.strip_suffix('Z')?);
    let is_plain = whole.len() == 14 && whole.bytes().all(|byte| byte.is_ascii_digit());
    let time = DateTime::strptime("%Y%m%d%H%M%S", &whole).ok().filter(|_| is_plain)?;
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_of_their_century() {
        let written = |text, is_short| moment(text, is_short).map(|moment| moment.to_string());
        for (text, is_short, expected) in [
            ("490101000000Z", true, Some("2049-01-01T00:00:00Z")),
            ("500101000000Z", true, Some("1950-01-01T00:00:00Z")),
            ("20500101235959Z", false, Some("2050-01-01T23:59:59Z")),
            ("20501301000000Z", false, None),
            ("2050010123595Z", false, None),
            ("4901010000Z", true, None),
            ("490101000000+", true, None),
            ("é", true, None),
        ] {
            assert_eq!(written(text, is_short).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_lacks_a_part_is_no_certificate() {
        let element = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let sequence = |parts: &[Vec<u8>]| element(SEQUENCE, &parts.concat());
        let empty = sequence(&[]);
        let time = element(UTC_TIME, b"200101000000Z");
        let key = sequence(&[empty.clone(), element(BIT_STRING, &[0])]);
        let serial = element(INTEGER, &[1]);
        let certified = vec![serial, empty.clone(), empty.clone(), sequence(&[time.clone(), time]), empty.clone(), key];
        let whole = |certified: &[Vec<u8>]| sequence(&[sequence(certified), empty.clone(), element(BIT_STRING, &[0])]);
        assert!(Certificate::read(&whole(&certified)).is_some_and(|one| !one.is_followed && one.rsa_bits().is_none()));
        assert!(Certificate::read(&[whole(&certified), vec![0]].concat()).is_some_and(|one| one.is_followed));
        for place in 0..certified.len() {
            let mut other = certified.clone();
            other[place] = vec![0x05, 0x00];
            assert!(Certificate::read(&whole(&other)).is_none(), "{place}");
        }
        assert!(Certificate::read(&sequence(&[sequence(&certified)])).is_none(), "nobody signed it");
        (0..whole(&certified).len()).for_each(|length| assert!(Certificate::read(&whole(&certified)[..length]).is_none(), "{length}"));
    }
}
