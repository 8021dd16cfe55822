//! A trail as a Bundle, written portion by portion.

use super::Trail;
use super::gather::{Item, Met, Subject};
use crate::consent::Permitted;
use crate::fhir::{Node, Object, json};
use crate::identity::Caller;
use crate::outcome::{Failure, Fault};
use crate::store::LedgerHead;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

/// Leaves read at a time: what one reading of the store takes, and what waits for a slow reader.
const PORTION: usize = 500;

/// An answer in pieces. A fault in the midst of it ends it before its end, so that it cannot be taken for whole.
pub type Pieces = BoxStream<'static, Result<Bytes, Fault>>;

/// Where the writing of a Bundle stands.
struct Writing {
    trail: Trail,
    caller: Caller,
    subject: Subject,
    head: LedgerHead,
    left: std::vec::IntoIter<u64>,
    met: Met,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    First,
    More,
    Done,
}

impl Trail {
    pub(super) async fn stream(&self, caller: &Caller, subject: Subject) -> Result<Pieces, Failure> {
        let tags = self.tags(&subject, None).await?;
        let positions = self.positions(&tags).await?;
        let head = self.query.pipeline.store.ledger_head();
        let writing = Writing {
            trail: self.clone(),
            caller: caller.clone(),
            subject,
            head,
            left: positions.into_iter(),
            met: Met::default(),
            stage: Stage::Head,
        };
        Ok(stream::try_unfold(writing, |mut writing| async move {
            let piece = writing.next().await?;
            Ok(piece.map(|piece| (Bytes::from(piece), writing)))
        })
        .boxed())
    }
}

impl Writing {
    async fn next(&mut self) -> Result<Option<String>, Fault> {
        match self.stage {
            Stage::Done => Ok(None),
            Stage::Head => {
                self.stage = Stage::First;
                let now = self.trail.query.pipeline.clock.now().to_fhir_instant();
                Ok(Some(format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"timestamp\":\"{now}\",\"entry\":[")))
            }
            Stage::First | Stage::More => {
                let portion: Vec<u64> = self.left.by_ref().take(PORTION).collect();
                if portion.is_empty() {
                    self.stage = Stage::Done;
                    return Ok(Some("]}".to_owned()));
                }
                let met = std::mem::take(&mut self.met);
                let (items, met) = self.trail.items(&self.caller, &self.subject, &self.head, portion, met).await?;
                self.met = met;
                let mut piece = String::new();
                for item in items {
                    for entry in entries(item, &self.trail.query.base_url) {
                        if self.stage == Stage::More {
                            piece.push(',');
                        }
                        self.stage = Stage::More;
                        piece.push_str(&json::write(&entry));
                    }
                }
                Ok(Some(piece))
            }
        }
    }
}

/// The entries of one leaf: the event, or the Provenance and the version, and then the receipt.
fn entries(item: Item, base: &str) -> Vec<Node> {
    let parts = [item.event, item.provenance, item.content];
    let mut entries: Vec<Node> = parts.into_iter().flatten().map(|permitted| entry(permitted, base)).collect();
    entries.push(receipt_entry(item.position, item.receipt));
    entries
}

fn entry(permitted: Permitted, base: &str) -> Node {
    let resource = permitted.into_resource();
    let url = crate::query::reference(&resource).map(|reference| format!("{base}/{reference}"));
    Object::new().with_some("fullUrl", url).with("resource", resource).into()
}

/// A proof file as a Binary, under the number of its leaf.
pub(super) fn receipt_entry(position: u64, receipt: String) -> Node {
    let binary = Object::resource("Binary").with("contentType", "text/plain").with("data", BASE64.encode(receipt.as_bytes()));
    Object::new().with("fullUrl", format!("urn:hearthgate:leaf:{position}")).with("resource", binary).into()
}
