//! Paging links: sealed, so that they carry the query without showing it, and bound to who asked, for which purposes, to what the consents of
//! the patients asked about were then, and until when.

use crate::clock::Instant;
use crate::identity::Caller;
use crate::intake::Pairs;
use crate::outcome::{Fault, FaultKind, IssueType, Reason, Refusal};
use crate::search::Query;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The query parameter of a page link.
pub const PARAMETER: &str = "_page";
/// Entries on a page when `_count` does not say.
pub const DEFAULT_PAGE: usize = 50;
/// The most entries on a page, whatever `_count` says.
pub const MAX_PAGE: usize = 1000;
/// How long a page link is good for.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Makes and opens page links.
#[derive(Clone)]
pub struct Pager {
    key: Arc<RandomizedNonceKey>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// The type searched, or the path of a history or an operation.
    path: String,
    pairs: Pairs,
    /// The entry a page begins with, or the place in a history it goes on from. In as many bytes whatever it is: a longer link would say that more
    /// lies before it.
    from: [u8; 8],
    consents: ConsentState,
    until: i64,
}

/// What the consents of the patients that a query names were: a digest of their ids and versions. The link says as little as it did about others'.
pub type ConsentState = [u8; 8];

/// Where a query goes on.
pub struct Resumed {
    pub pairs: Pairs,
    pub from: usize,
    /// What the consents were when the link was made; none on a first page.
    consents: Option<ConsentState>,
}

impl Resumed {
    /// Refuses a link that was made under other consents than there are now.
    pub fn under(&self, now: ConsentState) -> Result<(), Refusal> {
        if self.consents.is_none_or(|then| then == now) { Ok(()) } else { Err(expired()) }
    }
}

/// Where a history goes on.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    pub from: i64,
    consents: ConsentState,
}

impl Position {
    /// Refuses a link that was made under other consents than there are now.
    pub fn under(self, now: ConsentState) -> Result<(), Refusal> {
        if self.consents == now { Ok(()) } else { Err(expired()) }
    }
}

impl Pager {
    /// `key` is 32 secret bytes. Nonces are drawn by the cryptographic library itself: they must never be scripted.
    pub fn new(key: &[u8; 32]) -> Result<Pager, Fault> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| Fault::new(FaultKind::Internal, "paging key"))?;
        Ok(Pager { key: Arc::new(key) })
    }

    /// The token of the page of a search that begins at entry `from`.
    pub fn seal(&self, caller: &Caller, query: &Query, from: usize, consents: ConsentState, now: Instant) -> String {
        self.seal_at(caller, query.type_name(), query.used().to_vec(), from, consents, now)
    }

    /// The token of the page of an operation's answer that begins at entry `from`.
    pub fn seal_at(&self, caller: &Caller, path: &str, pairs: Pairs, from: usize, consents: ConsentState, now: Instant) -> String {
        let from = i64::try_from(from).unwrap_or(i64::MAX).to_be_bytes();
        self.sealed(caller, Sealed { path: path.to_owned(), pairs, from, consents, until: (now + LIFETIME).micros() })
    }

    /// The token of the page of a history that goes on from a place.
    pub fn seal_position(&self, caller: &Caller, path: &str, from: i64, consents: ConsentState, now: Instant) -> String {
        let (path, until) = (path.to_owned(), (now + LIFETIME).micros());
        self.sealed(caller, Sealed { path, pairs: Pairs::new(), from: from.to_be_bytes(), consents, until })
    }

    fn sealed(&self, caller: &Caller, sealed: Sealed) -> String {
        let mut body = postcard::to_stdvec(&sealed).unwrap_or_default();
        match self.key.seal_in_place_append_tag(Aad::from(binding(caller)), &mut body) {
            Ok(nonce) => BASE64URL_NOPAD.encode(&[nonce.as_ref().as_slice(), &body].concat()),
            Err(_) => String::new(),
        }
    }

    /// The pairs and the first entry a search asks for: those of its page token when it has one, else its own from the beginning.
    pub fn resume(&self, pairs: Pairs, caller: &Caller, path: &str, now: Instant) -> Result<Resumed, Refusal> {
        let Some((_, token)) = pairs.iter().find(|(name, _)| name == PARAMETER) else {
            return Ok(Resumed { pairs, from: 0, consents: None });
        };
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !matches!(name.as_str(), PARAMETER | "_format" | "_pretty")) {
            let text = "A page link says all that is asked; nothing can be added to it. Start again from the first page.";
            return Err(Refusal::new(Reason::Malformed, IssueType::NotSupported, text).at(name.clone()));
        }
        let sealed = self.open(token, caller, path, now)?;
        let from = usize::try_from(i64::from_be_bytes(sealed.from)).unwrap_or(0);
        Ok(Resumed { pairs: sealed.pairs, from, consents: Some(sealed.consents) })
    }

    /// The place a history goes on from.
    pub fn open_position(&self, caller: &Caller, path: &str, token: &str, now: Instant) -> Result<Position, Refusal> {
        self.open(token, caller, path, now).map(|sealed| Position { from: i64::from_be_bytes(sealed.from), consents: sealed.consents })
    }

    fn open(&self, token: &str, caller: &Caller, path: &str, now: Instant) -> Result<Sealed, Refusal> {
        let sealed = self.decrypt(token, caller).filter(|sealed| sealed.path == path && sealed.until > now.micros());
        sealed.ok_or_else(expired)
    }

    fn decrypt(&self, token: &str, caller: &Caller) -> Option<Sealed> {
        let mut nonce = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        if nonce.len() <= NONCE_LEN {
            return None;
        }
        let mut body = nonce.split_off(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let plain = self.key.open_in_place(nonce, Aad::from(binding(caller)), &mut body).ok()?;
        postcard::from_bytes(plain).ok()
    }
}

fn expired() -> Refusal {
    let text = "This page link is not valid for you, or no longer. Start again from the first page.";
    Refusal::new(Reason::Malformed, IssueType::Expired, text)
}

/// Who a page link belongs to.
fn binding(caller: &Caller) -> Vec<u8> {
    let mut purposes: Vec<&str> = caller.purposes.iter().map(|purpose| purpose.code()).collect();
    purposes.sort_unstable();
    format!("page|{}|{}", caller.client_id, purposes.join(",")).into_bytes()
}

/// What stands before a page, on it, and after it.
pub(super) fn cut<T>(mut all: Vec<T>, from: usize, size: usize) -> (Vec<T>, Vec<T>, Vec<T>) {
    let mut shown = all.split_off(from.min(all.len()));
    let after = shown.split_off(size.min(shown.len()));
    (all, shown, after)
}
