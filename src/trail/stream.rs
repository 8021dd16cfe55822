//! A trail as a Bundle, written portion by portion, two portions at a time.

use super::Trail;
use super::gather::{Item, Subject};
use crate::consent::{Permitted, PermittedRecord};
use crate::fhir::{Node, Object, json};
use crate::identity::Caller;
use crate::outcome::{Failure, Fault, FaultKind};
use crate::store::LedgerHead;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use std::fmt::Write;
use std::sync::Arc;

/// Leaves read at a time: what one reading of the store takes, and what waits for a slow reader.
const PORTION: usize = 250;
/// Portions made at once.
const AT_ONCE: usize = 2;

/// An answer in pieces. A fault in the midst of it ends it before its end, so that it cannot be taken for whole.
pub type Pieces = BoxStream<'static, Result<Bytes, Fault>>;

/// What every portion of one trail is made from.
struct Writing {
    trail: Trail,
    caller: Caller,
    subject: Subject,
    head: LedgerHead,
}

impl Trail {
    pub(super) async fn stream(&self, caller: &Caller, subject: Subject) -> Result<Pieces, Failure> {
        let tags = self.tags(&subject, None).await?;
        let positions = self.positions(&tags).await?;
        let head = self.query.pipeline.store.ledger_head();
        let now = self.query.pipeline.clock.now().to_fhir_instant();
        let writing = Arc::new(Writing { trail: self.clone(), caller: caller.clone(), subject, head });
        let portions: Vec<Vec<u64>> = positions.chunks(PORTION).map(<[u64]>::to_vec).collect();
        let pieces = stream::iter(portions).map(move |portion| piece(Arc::clone(&writing), portion)).buffered(AT_ONCE);
        let pieces = pieces.enumerate().map(|(number, piece)| {
            // Every portion has an entry, and begins with what parts it from the one before.
            let whole = piece?;
            Ok(if number == 0 { whole.slice(1..) } else { whole })
        });
        let begin = format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"timestamp\":\"{now}\",\"entry\":[");
        let text = |text: String| stream::once(async move { Ok(Bytes::from(text)) });
        Ok(text(begin).chain(pieces).chain(text("]}".to_owned())).try_filter(|piece| std::future::ready(!piece.is_empty())).boxed())
    }
}

/// The entries of a portion, each with a comma before it, made on a thread of their own.
async fn piece(writing: Arc<Writing>, portion: Vec<u64>) -> Result<Bytes, Fault> {
    let made = tokio::spawn(async move {
        let Writing { trail, caller, subject, head } = &*writing;
        let items = trail.items(caller, subject, head, portion).await?;
        let mut out = String::new();
        items.into_iter().for_each(|item| write_entries(&mut out, item, &trail.query.base_url));
        Ok(Bytes::from(out))
    });
    made.await.map_err(|error| Fault::new(FaultKind::Internal, format!("writing a trail: {error}")))?
}

/// The entries of one leaf: the event, or the Provenance and the version with what else is stated of it, and then the receipt.
fn write_entries(out: &mut String, item: Item, base: &str) {
    let records: Vec<PermittedRecord> = item.event.into_iter().chain(item.provenance).collect();
    records.iter().for_each(|record| write_record(out, record, base));
    if let Some(content) = item.content {
        out.push(',');
        out.push_str(&json::write(&entry(content, base)));
    }
    item.statements.iter().for_each(|record| write_record(out, record, base));
    // What follows is letters, digits and `+/=` alone.
    let _infallible = write!(
        out,
        ",{{\"fullUrl\":\"urn:hearthgate:leaf:{}\",\"resource\":{{\"resourceType\":\"Binary\",\"contentType\":\"text/plain\",\"data\":\"",
        item.position
    );
    BASE64.encode_append(item.receipt.as_bytes(), out);
    out.push_str("\"}}");
}

/// A record as it is stored, under its address. Ids of what the gateway wrote need no escape.
fn write_record(out: &mut String, record: &PermittedRecord, base: &str) {
    let text = record.text();
    let part = |before: &str| text.split_once(before).and_then(|(_, after)| after.split_once('"')).map(|(part, _)| part);
    match (part("{\"resourceType\":\""), part("\"id\":\"")) {
        (Some(type_name), Some(id)) if !id.contains('\\') => {
            let _infallible = write!(out, ",{{\"fullUrl\":\"{base}/{type_name}/{id}\",\"resource\":{text}}}");
        }
        _ => {
            let _infallible = write!(out, ",{{\"resource\":{text}}}");
        }
    }
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
