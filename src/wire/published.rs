//! The log's files in an object store, a folder on this machine or a bucket, in the layout of tlog-tiles: whatever serves them serves the log.
//!
//! In a bucket the checkpoint is replaced only where it is still the one that was read, so that of two gateways that publish to one the second
//! fails, and says so. A folder has no such condition; it lies in the data folder, which one gateway holds at a time. Its files are put in their
//! places whole but are not waited for on the disk, since the data behind them is, and publishes them again.

use crate::config::Bucket;
use crate::killpoint;
use crate::ledger::note::MAX_NOTE_BYTES;
use crate::ledger::reader::CHECKPOINT_PATH;
use crate::ledger::{Malformed, Note, TilePath};
use crate::outcome::{Fault, FaultKind};
use crate::store::is_full;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};
use std::sync::Arc;

/// Files written at once.
const AT_ONCE: usize = 16;
/// What may be kept for ever.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// What must be asked for each time.
const FRESH: &str = "no-cache";

/// The log where it is published.
#[derive(Clone)]
pub(super) struct PublishedLog {
    place: Place,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// What a log is published in.
#[derive(Clone, Copy)]
enum Place {
    /// It replaces a file on no condition, and does not know what one is served with.
    Folder,
    Bucket,
}

impl Place {
    /// How an object is put: when it replaces another, and what it is served with.
    fn options(self, media: &'static str, caching: &'static str, mode: PutMode) -> PutOptions {
        match self {
            Place::Folder => PutOptions::from(PutMode::Overwrite),
            Place::Bucket => {
                let attributes = Attributes::from_iter([(Attribute::ContentType, media), (Attribute::CacheControl, caching)]);
                PutOptions { mode, attributes, ..PutOptions::default() }
            }
        }
    }
}

/// The checkpoint that is there, and which version of the object it is.
pub(super) struct Present {
    pub(super) note: Note,
    version: UpdateVersion,
}

impl PublishedLog {
    /// The log in a configured bucket.
    pub(super) fn in_bucket(bucket: &Bucket) -> Result<PublishedLog, Fault> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.bucket)
            .with_region(&bucket.region)
            .with_access_key_id(&bucket.access_key_id)
            .with_secret_access_key(bucket.secret_access_key.reveal())
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.with_endpoint(endpoint.as_str()).with_allow_http(endpoint.is_loopback());
        }
        let store = builder.build().map_err(|error| Fault::new(FaultKind::Internal, format!("[ledger.publish]: {error}")))?;
        Ok(PublishedLog::new(Arc::new(store), &bucket.prefix))
    }

    fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> PublishedLog {
        PublishedLog { place: Place::Bucket, store, prefix: Path::from(prefix) }
    }

    /// The log in a folder, which is made where there is none.
    pub(super) fn in_folder(folder: &std::path::Path) -> Result<PublishedLog, Fault> {
        let failed = |error: String| Fault::new(FaultKind::Storage, format!("the published log: {error}"));
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(error.to_string()))?;
        Ok(PublishedLog { place: Place::Folder, store: Arc::new(store.with_automatic_cleanup(true)), prefix: Path::default() })
    }

    /// The published checkpoint, if there is one.
    pub(super) async fn checkpoint(&self) -> Result<Option<Present>, Fault> {
        let got = match self.store.get(&self.path_of(CHECKPOINT_PATH)).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if got.meta.size > MAX_NOTE_BYTES as u64 {
            return Err(Fault::new(FaultKind::Ledger, "the published checkpoint is too large to be one"));
        }
        let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = got.bytes().await.map_err(|error| failed(&error))?;
        let unreadable = |error: Malformed| Fault::new(FaultKind::Ledger, format!("the published checkpoint: {error}"));
        Ok(Some(Present { note: Note::from_bytes(&bytes).map_err(unreadable)?, version }))
    }

    /// Writes tiles and bundles. One that is there already is there with the same bytes.
    pub(super) async fn put_tiles(&self, tiles: Vec<(TilePath, Vec<u8>)>) -> Result<(), Fault> {
        let puts = tiles.into_iter().map(|(path, bytes)| async move {
            let options = self.place.options("application/octet-stream", IMMUTABLE, PutMode::Overwrite);
            self.store.put_opts(&self.path_of(&path.to_string()), bytes.into(), options).await.map_err(|error| failed(&error))?;
            killpoint::reached("publish-tile");
            Ok(())
        });
        stream::iter(puts).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
    }

    /// Replaces the checkpoint that was read before.
    pub(super) async fn put_checkpoint(&self, note: &Note, present: Option<Present>) -> Result<(), Fault> {
        let mode = match present {
            None => PutMode::Create,
            Some(present) => PutMode::Update(present.version),
        };
        let options = self.place.options("text/plain; charset=utf-8", FRESH, mode);
        let put = self.store.put_opts(&self.path_of(CHECKPOINT_PATH), note.to_string().into_bytes().into(), options).await;
        put.map(drop).map_err(|error| match error {
            object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. } => {
                Fault::new(FaultKind::Ledger, "another checkpoint was published meanwhile: two gateways publish to this place")
            }
            other => failed(&other),
        })
    }

    /// Removes the partial tiles that these full ones replace: whoever still asks for them falls back to those.
    pub(super) async fn drop_partials(&self, full: &[TilePath]) -> Result<(), Fault> {
        for path in full {
            let partials = self.store.list(Some(&self.path_of(&path.partial_directory())));
            let places = partials.map_ok(|meta| meta.location).boxed();
            self.store.delete_stream(places).try_for_each(|_| async { Ok(()) }).await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    fn path_of(&self, path: &str) -> Path {
        Path::from(format!("{}/{path}", self.prefix))
    }
}

/// A store's own text may name keys and addresses: the kind of failure is enough.
fn failed(error: &object_store::Error) -> Fault {
    if lacks_room(error) {
        return Fault::new(FaultKind::StorageFull, "the published log: there is no room for its files");
    }
    let kind = match error {
        object_store::Error::NotFound { .. } => "something is not there",
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => "it does not let us",
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => "it cannot do what is needed",
        _ => "it does not answer as it should",
    };
    tracing::debug!(%error, "the object store failed");
    Fault::new(FaultKind::Upstream, format!("object store: {kind}"))
}

/// Whether the file system said, below all else, that it is full.
fn lacks_room(error: &object_store::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(is_full) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Tiles in memory at once: 256 full bundles of the gateway's own leaves are some six megabytes.
pub(super) const PIECE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tile::TileKind;
    use crate::ledger::{Algorithm, Checkpoint, Hash, SigningKey};
    use object_store::memory::InMemory;

    fn note(size: u64) -> Note {
        let key = SigningKey::from_seed("test/log", Algorithm::Ed25519, &[1; 32]).unwrap();
        Checkpoint::new("test/log", size, Hash([7; 32])).sign(&[&key]).unwrap()
    }

    fn tile(index: u64, width: u16) -> TilePath {
        TilePath { kind: TileKind::Hashes(0), index, width }
    }

    #[tokio::test]
    async fn the_second_of_two_publishers_fails() {
        let log = PublishedLog::new(Arc::new(InMemory::new()), "some/prefix");
        assert!(log.checkpoint().await.unwrap().is_none());
        log.put_checkpoint(&note(1), None).await.unwrap();
        assert!(log.put_checkpoint(&note(2), None).await.is_err(), "it is there already");
        let (first, second) = (log.checkpoint().await.unwrap(), log.checkpoint().await.unwrap());
        log.put_checkpoint(&note(3), first).await.unwrap();
        let refused = log.put_checkpoint(&note(4), second).await.unwrap_err();
        assert_eq!(refused.kind, FaultKind::Ledger);
        assert_eq!(log.checkpoint().await.unwrap().unwrap().note, note(3));
    }

    #[tokio::test]
    async fn files_lie_where_readers_look_and_partial_ones_go_when_full() {
        let folder = std::env::temp_dir().join(format!("hearthgate-published-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = PublishedLog::in_folder(&folder.join("log")).unwrap();
        let plain = async |path: &str, bytes: &'static [u8]| log.store.put(&log.path_of(path), bytes.into()).await;
        plain("tile/0/000.p/7", b"seven").await.unwrap();
        plain("tile/0/x001/234.p/9", b"nine").await.unwrap();
        assert_eq!(std::fs::read(folder.join("log/tile/0/x001/234.p/9")).unwrap(), b"nine");
        log.drop_partials(&[tile(0, 256)]).await.unwrap();
        assert!(!folder.join("log/tile/0/000.p").exists() && folder.join("log/tile/0/x001/234.p/9").exists());
        log.put_tiles(vec![(tile(1, 2), vec![1; 64])]).await.unwrap();
        log.put_checkpoint(&note(1), None).await.unwrap();
        log.put_checkpoint(&note(2), log.checkpoint().await.unwrap()).await.unwrap();
        assert_eq!(log.checkpoint().await.unwrap().unwrap().note, note(2));
        let names: Vec<_> = std::fs::read_dir(folder.join("log")).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing but checkpoint and tiles: {names:?}");
        let _ = std::fs::remove_dir_all(&folder);
    }

    #[tokio::test]
    async fn tiles_say_that_they_never_change_and_checkpoints_that_they_do() {
        let log = PublishedLog::new(Arc::new(InMemory::new()), "");
        log.put_tiles(vec![(tile(0, 3), vec![1; 96]), (tile(0, 256), vec![2; 8192])]).await.unwrap();
        log.put_checkpoint(&note(3), None).await.unwrap();
        for (path, caching) in [("tile/0/000.p/3", IMMUTABLE), ("tile/0/000", IMMUTABLE), ("checkpoint", FRESH)] {
            let got = log.store.get(&Path::from(path)).await.unwrap();
            assert_eq!(got.attributes.get(&Attribute::CacheControl).map(|value| value.to_string()), Some(caching.to_owned()), "{path}");
        }
    }
}
