//! What can be wrong with a signature, each case with what the signer can do about it.

use crate::outcome::{IssueType, Reason, Refusal};

/// Why a signature, or what comes with one, is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A header or element that cannot be read; names it.
    Unreadable(&'static str),
    /// The same thing twice, so that it is not clear which one counts; names it.
    Repeated(&'static str),
    /// A part of a signature that must be there; names it.
    Missing(&'static str),
    /// More of something than is looked at; names it.
    TooMany(&'static str),
    /// A component, algorithm or canonicalisation that is not offered; names the kind.
    NotOffered(&'static str),
    /// A covered component the message does not have.
    AbsentComponent,
    /// The Content-Digest is not that of the body.
    WrongDigest,
    /// The key is not in the signer's key set, or not for this algorithm.
    UnknownKey,
    /// The signature's time has passed.
    Expired,
    /// The signature says it was made in the future.
    FromTheFuture,
    /// Key and bytes do not give this signature.
    DoesNotHold,
}

impl Problem {
    /// What the sender is told.
    pub fn refusal(&self) -> Refusal {
        let (code, text) = self.said();
        let text = match self {
            Problem::UnknownKey => {
                "The signature's key is not in the key set registered for this client, or that key is not for this algorithm.".to_owned()
            }
            Problem::DoesNotHold => format!("{text} Nothing was stored."),
            _ => text,
        };
        Refusal::new(Reason::BadSignature, code, text)
    }

    /// What anybody is told, wherever the signature is checked.
    fn said(&self) -> (IssueType, String) {
        match self {
            Problem::Unreadable(what) => (IssueType::Structure, format!("{what} cannot be read.")),
            Problem::Repeated(what) => {
                (IssueType::Duplicate, format!("{what} is there more than once, so it is not clear which one counts."))
            }
            Problem::Missing(what) => (IssueType::Required, format!("The signature needs {what}.")),
            Problem::TooMany(what) => (IssueType::TooLong, format!("There are too many {what}.")),
            Problem::NotOffered(what) => (IssueType::NotSupported, format!("The signature uses {what} that this gateway does not offer.")),
            Problem::AbsentComponent => {
                (IssueType::Security, "The signature covers a component that the request does not have, or has more than once.".to_owned())
            }
            Problem::WrongDigest => (
                IssueType::Security,
                "The Content-Digest is not that of the body: it was changed on the way, or another was digested.".to_owned(),
            ),
            Problem::UnknownKey => (
                IssueType::Security,
                "The signature's key is not among those that are believed, or that key is not for this algorithm.".to_owned(),
            ),
            Problem::Expired => (IssueType::Expired, "The signature has expired. Sign the request anew.".to_owned()),
            Problem::FromTheFuture => {
                (IssueType::Value, "The signature says it was made in the future. Set the signer's clock and sign anew.".to_owned())
            }
            Problem::DoesNotHold => (IssueType::Security, "The signature does not hold: this key did not sign these bytes.".to_owned()),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.said().1)
    }
}

impl std::error::Error for Problem {}
