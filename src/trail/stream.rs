//! A trail as a Bundle, written portion by portion, two portions at a time.
//!
//! Each portion is read as the store is then. Where something of the trail is erased before the first is answered, it is begun anew; where that happens
//! later, the Bundle ends with an issue that says so.

use super::Trail;
use super::beside::{remark, said};
use super::gather::Item;
use super::reading::Reading;
use super::subject::{Place, Subject};
use crate::consent::{Permitted, PermittedRecord};
use crate::fhir::{Node, Object, json};
use crate::identity::Caller;
use crate::outcome::{Failure, Fault, FaultKind};
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use std::fmt::Write;
use std::sync::Arc;

/// Leaves read at a time: what one reading of the store takes, and what waits for a slow reader.
const PORTION: usize = 128;
/// Portions made at once.
const AT_ONCE: usize = 2;
/// About how many bytes stand around a record in the Bundle.
const RECORD_FRAME: usize = 200;

/// An answer in pieces. A fault in the midst of it ends it before its end, so that it cannot be taken for whole.
pub type Pieces = BoxStream<'static, Result<Bytes, Fault>>;

impl Trail {
    /// The Bundle; none where something of it was erased while its first portion was read.
    pub(super) async fn stream(&self, caller: &Caller, subject: Subject) -> Result<Option<Pieces>, Failure> {
        let related = {
            let (trail, caller, subject) = (self.clone(), caller.clone(), subject.clone());
            tokio::spawn(async move { trail.related(&caller, &subject, "$provenance-trail").await })
        };
        let tags = self.tags(&subject, None).await?;
        let covers = self.query.pipeline.store.ledger_head().size();
        let places = self.with_beside(&subject, self.places(&tags).await?).await?;
        let remark = remark(&places);
        let head = self.query.pipeline.store.ledger_head();
        let now = self.query.pipeline.clock.now().to_fhir_instant();
        let (trail, reading) = (self.clone(), Arc::new(Reading::new(caller, subject, head).over(&tags, &places, covers)));
        let read = Arc::clone(&reading);
        let portions: Vec<Vec<Place>> = places.chunks(PORTION).map(<[Place]>::to_vec).collect();
        let pieces = stream::iter(portions).map(move |portion| piece(trail.clone(), Arc::clone(&reading), portion)).buffered(AT_ONCE);
        let pieces = pieces.enumerate().map(|(number, piece)| {
            // Every portion has an entry, and begins with what parts it from the one before.
            let whole = piece?;
            Ok(if number == 0 { whole.slice(1..) } else { whole })
        });
        let mut pieces = pieces.boxed();
        // What shows in the first portion is answered as what it is; later it can only break the answer off.
        let first = pieces.next().await.transpose()?;
        if read.is_overtaken() {
            return Ok(None);
        }
        let begin = format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"timestamp\":\"{now}\",\"entry\":[");
        let text = |text: String| stream::once(async move { Ok(Bytes::from(text)) });
        let first = stream::iter(first.map(Ok));
        // What was found out by the last portion is said behind it.
        let end = stream::once(async move {
            let related =
                related.await.map_err(|error| Fault::new(FaultKind::Internal, format!("what leads on from a trail: {error}")))??;
            Ok(Bytes::from(ending(remark, read.is_overtaken(), related)))
        });
        let whole = text(begin).chain(first).chain(pieces).chain(end);
        Ok(Some(whole.try_filter(|piece| std::future::ready(!piece.is_empty())).boxed()))
    }
}

/// The end of the Bundle, with what is to be said of it, and with what it leads on to.
fn ending(remark: Option<Node>, is_overtaken: bool, related: Vec<Node>) -> String {
    const OVERTAKEN: &str =
        "Something of this trail was erased while it was read: what stands before this is of different states. Ask again.";
    let overtaken = is_overtaken.then(|| said("urn:hearthgate:overtaken", "warning", OVERTAKEN));
    let said: String = remark.into_iter().chain(overtaken).map(|entry| format!(",{}", json::write(&entry))).collect();
    let links = if related.is_empty() { String::new() } else { format!(",\"link\":{}", json::write(&Node::from(related))) };
    format!("{said}]{links}}}")
}

/// The entries of a portion, each with a comma before it, made on a thread of their own.
async fn piece(trail: Trail, reading: Arc<Reading>, portion: Vec<Place>) -> Result<Bytes, Fault> {
    let made = tokio::spawn(async move {
        let items = trail.items(&reading, portion).await?;
        let mut out = String::with_capacity(items.iter().map(length).sum());
        items.into_iter().for_each(|item| write_entries(&mut out, item, &trail.query.base_url));
        Ok(Bytes::from(out))
    });
    made.await.map_err(|error| Fault::new(FaultKind::Internal, format!("writing a trail: {error}")))?
}

/// About how many bytes the entries of a leaf take, but for a version's content.
fn length(item: &Item) -> usize {
    let records = item.event.iter().chain(&item.provenance).chain(&item.statements);
    records.map(|record| record.text().len() + RECORD_FRAME).sum::<usize>() + BASE64.encode_len(item.receipt.len()) + RECORD_FRAME
}

/// The entries of one leaf: the event, or the Provenance and the version with what else is stated of it, and then the receipt.
fn write_entries(out: &mut String, item: Item, base: &str) {
    item.event.iter().chain(&item.provenance).for_each(|record| write_record(out, record, base));
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
            out.extend([",{\"fullUrl\":\"", base, "/", type_name, "/", id, "\",\"resource\":", text, "}"]);
        }
        _ => {
            out.extend([",{\"resource\":", text, "}"]);
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
    proof_entry(format!("urn:hearthgate:leaf:{position}"), receipt)
}

/// The same under any name.
pub(super) fn proof_entry(url: String, proof: String) -> Node {
    let binary = Object::resource("Binary").with("contentType", "text/plain").with("data", BASE64.encode(proof.as_bytes()));
    Object::new().with("fullUrl", url).with("resource", binary).into()
}
