//! Who has signed, who is missing, and when it is enough. Plain data and plain decisions.

use crate::clock::Instant;
use crate::config::SignOff;
use crate::fhir::json;
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use crate::sign::{Attestation, kept_key_id};
use serde::{Deserialize, Serialize};

/// A signature of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Countersignature {
    pub client: String,
    /// The role it was given for.
    pub role: String,
    /// The key, whatever it is called.
    pub thumbprint: String,
    pub at: i64,
    /// The element of `Provenance.signature`, JSON, with the key it was checked with; nothing once it no longer waits.
    pub element: String,
}

/// Who signed, for which role and with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub client: String,
    pub role: String,
    /// What the key was called in the client's key set.
    pub key_id: String,
    /// The key, whatever it is called.
    pub thumbprint: String,
}

impl Countersignature {
    pub fn signed(&self) -> Signed {
        let element = json::parse(self.element.as_bytes(), json::DEFAULT_DEPTH).ok();
        let key_id = element.as_ref().and_then(kept_key_id).unwrap_or_default();
        Signed { client: self.client.clone(), role: self.role.clone(), key_id, thumbprint: self.thumbprint.clone() }
    }

    pub fn of(client: &str, attestation: &Attestation, at: Instant) -> Countersignature {
        Countersignature {
            client: client.to_owned(),
            role: String::new(),
            thumbprint: attestation.thumbprint().to_owned(),
            at: super::micros(at),
            element: json::write(&attestation.element()),
        }
    }
}

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum End {
    /// The versions that were made.
    Accepted(Vec<String>),
    /// The stable label of the reason.
    Refused(String),
    Expired,
}

/// How far a submission has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub signatures: Vec<Countersignature>,
    pub end: Option<End>,
}

impl Progress {
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    pub fn decode(bytes: &[u8]) -> Result<Progress, Fault> {
        postcard::from_bytes(bytes)
            .map_err(|_| Fault::new(FaultKind::StorageCorrupt, "the progress of a waiting submission cannot be read"))
    }

    /// Who signed, and when, without what was signed: a signature is over that, and whoever has it can try guesses.
    pub fn without_signed(&self) -> Progress {
        let signatures = self.signatures.iter().map(|known| Countersignature { element: String::new(), ..known.clone() });
        Progress { signatures: signatures.collect(), end: self.end.clone() }
    }

    /// One signature more. A party signs once, and a key stands for one party only.
    pub fn with(&self, rule: &SignOff, signature: Countersignature) -> Result<Progress, Refusal> {
        let refuse = |code, text: &str| Err(Refusal::new(Reason::IdempotencyConflict, code, text));
        let Some(party) = rule.party_of(&signature.client) else {
            return Err(Refusal::new(Reason::Forbidden, IssueType::Forbidden, "This client is none of the parties that sign here."));
        };
        if self.signatures.iter().any(|known| known.role == party.role) {
            return refuse(IssueType::Duplicate, "This party has signed already. The signature of another one is needed.");
        }
        if self.signatures.iter().any(|known| known.thumbprint == signature.thumbprint) {
            return refuse(IssueType::Duplicate, "Another party has signed with this key. Each party signs with a key of its own.");
        }
        let mut next = self.clone();
        next.signatures.push(Countersignature { role: party.role.clone(), ..signature });
        Ok(next)
    }

    pub fn is_complete(&self, rule: &SignOff) -> bool {
        self.signatures.len() as u64 >= rule.quorum
    }

    /// The roles that have not signed.
    pub fn missing<'a>(&self, rule: &'a SignOff) -> Vec<&'a str> {
        let signed = |role: &str| self.signatures.iter().any(|known| known.role == role);
        rule.party.iter().map(|party| party.role.as_str()).filter(|role| !signed(role)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SigningParty;

    fn rule(quorum: u64) -> SignOff {
        let party = |role: &str, clients: &[&str]| SigningParty {
            role: role.to_owned(),
            clients: clients.iter().map(|client| (*client).to_owned()).collect(),
        };
        let party = vec![party("laboratory", &["lab-1", "lab-2"]), party("clinician", &["dr"]), party("pharmacy", &["ph"])];
        SignOff { types: vec!["*".to_owned()], quorum, within_s: 60, party }
    }

    fn signature(client: &str, key: &str) -> Countersignature {
        Countersignature { client: client.to_owned(), role: String::new(), thumbprint: key.to_owned(), at: 0, element: "{}".to_owned() }
    }

    #[test]
    fn a_quorum_is_of_different_parties_with_different_keys() {
        let rule = rule(2);
        let one = Progress::default().with(&rule, signature("lab-1", "a")).unwrap();
        assert!(!one.is_complete(&rule));
        assert_eq!(one.missing(&rule), ["clinician", "pharmacy"]);
        for (again, reason) in [
            (signature("lab-1", "b"), Reason::IdempotencyConflict),
            (signature("lab-2", "b"), Reason::IdempotencyConflict),
            (signature("dr", "a"), Reason::IdempotencyConflict),
            (signature("stranger", "c"), Reason::Forbidden),
        ] {
            assert_eq!(one.with(&rule, again).unwrap_err().reason, reason);
        }
        let two = one.with(&rule, signature("dr", "b")).unwrap();
        assert!(two.is_complete(&rule));
        assert_eq!(two.missing(&rule), ["pharmacy"]);
        assert_eq!(Progress::decode(&two.encode()).unwrap(), two);
    }
}
