//! Content-Digest (RFC 9530): what the sender says the body hashes to.

use super::fields::{Bare, Member, dictionary};
use super::problem::Problem;
use sha2::{Digest, Sha256, Sha512};

const NAME: &str = "The Content-Digest header";

/// Checks the digests of a Content-Digest field against the body. Digests of other kinds are passed over; whether one was checked is answered.
pub(super) fn check(field: &str, body: &[u8]) -> Result<bool, Problem> {
    let mut checked = false;
    for (name, member) in dictionary(field, NAME)? {
        let Member::Item { bare: Bare::Bytes(stated), .. } = member else { return Err(Problem::Unreadable(NAME)) };
        let found = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            _ => continue,
        };
        if found != stated {
            return Err(Problem::WrongDigest);
        }
        checked = true;
    }
    Ok(checked)
}
