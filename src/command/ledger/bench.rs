//! `hearthgate ledger bench`: how fast this machine appends, proves, verifies, starts and checks, on a log of its own in a folder.

use crate::anchor::LeafKeys;
use crate::clock::{Clock, Entropy};
use crate::demo::latencies::Latencies;
use crate::ledger::merkle::{leaf_hash, verify_inclusion};
use crate::ledger::{Algorithm, Folder, Hash, LogKeys, Policy, SigningKey, TreeHashes, fsck};
use crate::outcome::{Fault, FaultKind};
use crate::store::{Committed, Keyring, LeafDraft, Store, StoreSettings, Unit};
use crate::wire::{StoredLog, publish_folder};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const ORIGIN: &str = "bench.example/log";
/// Leaves of a unit while a log is only grown.
const GROWN_AT_ONCE: u64 = 5_000;
/// From so many leaves on, appending is measured again at each power of ten: it adds some hundred thousand.
const APPEND_FROM: u64 = 100_000;
/// Proofs made for one measurement.
const PROOFS: u64 = 1_000;

#[derive(Args)]
pub struct BenchArguments {
    /// An empty folder for the log.
    folder: PathBuf,
    /// Writers that each wait for their entry to be durable before they send the next.
    #[arg(long, default_value_t = 1024)]
    writers: usize,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Bytes of an entry.
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Grows the log to so many leaves afterwards and measures at every power of ten on the way: proofs, start-up, and from a hundred thousand
    /// on a second of appending by all writers.
    #[arg(long)]
    grow: Option<u64>,
}

pub fn bench(arguments: &BenchArguments) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &BenchArguments) -> Result<(), Fault> {
    let store = open(&arguments.folder)?;
    append(&store, arguments, arguments.seconds).await?;
    let Some(goal) = arguments.grow else {
        store.close().await;
        return Ok(());
    };
    let mut store = store;
    let mut step = 10_u64.pow(store.ledger_head().size().max(1).ilog10() + 1).min(goal);
    loop {
        grow(&store, step, arguments.bytes).await?;
        measure(&store).await?;
        store = reopened(store, &arguments.folder).await?;
        if step >= APPEND_FROM {
            append(&store, arguments, 1).await?;
        }
        if step == goal {
            break;
        }
        step = step.saturating_mul(10).min(goal);
    }
    check(&store, &arguments.folder).await?;
    store.close().await;
    Ok(())
}

fn open(folder: &Path) -> Result<Store, Fault> {
    let settings = StoreSettings {
        folder: folder.to_owned(),
        max_bytes: 1 << 46,
        max_group_units: 4096,
        max_waiting_units: 65_536,
        readers: 2,
        cache_bytes: 64 << 20,
        origin: ORIGIN.to_owned(),
        register: folder.join("keys/signed-tree"),
        anchor_within: Duration::ZERO,
        grows_by: 1,
        adopt: false,
        published: Vec::new(),
        leaf_form: LeafKeys::form,
    };
    let keyring = Keyring::open(&folder.join("keys"), [1; 32], Entropy::system())?;
    Store::open(settings, LogKeys::only(key()?).map_err(|error| ledger(&error))?, keyring)
}

/// Anybody may sign this log: it is for measuring.
fn key() -> Result<SigningKey, Fault> {
    SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, &[1; 32]).map_err(|error| ledger(&error))
}

fn ledger(error: &impl std::fmt::Display) -> Fault {
    Fault::new(FaultKind::Ledger, error.to_string())
}

fn entry(number: u64, bytes: usize) -> Vec<u8> {
    let mut entry = number.to_be_bytes().to_vec();
    entry.resize(bytes.max(8), 0xA5);
    entry
}

fn unit(entries: impl Iterator<Item = Vec<u8>>) -> Unit {
    Unit {
        leaves: entries.map(|entry| LeafDraft { entry, tags: Vec::new(), key: None, patient: None, is_unseen: false }).collect(),
        ..Unit::default()
    }
}

/// Many writers, each with one entry under way.
async fn append(store: &Store, arguments: &BenchArguments, seconds: u64) -> Result<(), Fault> {
    if seconds == 0 {
        return Ok(());
    }
    let (before, counted, cpu) = (store.ledger_head().size(), store.counted(), writer_cpu());
    let whole = Clock::system().stopwatch();
    let limit = Duration::from_secs(seconds);
    let writers: Vec<_> = (0..arguments.writers)
        .map(|writer| {
            let (store, bytes) = (store.clone(), arguments.bytes);
            tokio::spawn(async move {
                let (mut waits, clock) = (Vec::new(), Clock::system());
                let writing = clock.stopwatch();
                while writing.elapsed() < limit {
                    let one = clock.stopwatch();
                    store.commit(unit(std::iter::once(entry(((writer as u64) << 32) + waits.len() as u64, bytes)))).await?;
                    waits.push(one.elapsed());
                }
                Ok::<_, Fault>(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await.map_err(|error| Fault::new(FaultKind::Internal, error.to_string()))??);
    }
    let (elapsed, waits) = (whole.elapsed(), Latencies::of(waits));
    let at = |share: f64| waits.at(share).as_secs_f64() * 1000.0;
    let (after, groups) = (store.counted(), store.counted().groups - counted.groups);
    answer!(
        "{before} leaves: append {} entries of {} bytes from {} writers in {:.1} s = {:.0}/s; p50 {:.1} ms, p99 {:.1} ms; {groups} groups, {} syncs; \
         sequencer {:.0} % of a core",
        store.ledger_head().size() - before,
        arguments.bytes,
        arguments.writers,
        elapsed.as_secs_f64(),
        waits.rate(elapsed),
        at(0.5),
        at(0.99),
        after.syncs - counted.syncs,
        (writer_cpu() - cpu) / elapsed.as_secs_f64() * 100.0,
    );
    Ok(())
}

/// Seconds of processor time the sequencer's thread has used, where the system tells.
fn writer_cpu() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    let stats = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    let writer = stats.filter_map(|stat| stat.split_once("(store-writer) ").map(|(_, rest)| rest.to_owned())).last();
    let fields: Vec<f64> = writer.unwrap_or_default().split(' ').filter_map(|field| field.parse().ok()).collect();
    // After the state come ten numbers, then user and system time.
    fields.iter().skip(10).take(2).sum::<f64>() / TICKS_A_SECOND
}

async fn grow(store: &Store, goal: u64, bytes: usize) -> Result<(), Fault> {
    let (from, watch) = (store.ledger_head().size(), Clock::system().stopwatch());
    let mut size = from;
    while size < goal {
        let next = (size + GROWN_AT_ONCE).min(goal);
        if let Committed::Done { .. } = store.commit(unit((size..next).map(|number| entry(number, bytes)))).await? {
            size = next;
        }
    }
    let elapsed = watch.elapsed().as_secs_f64();
    answer!("{goal} leaves: grown from {from} at {:.0}/s", goal.saturating_sub(from) as f64 / elapsed);
    Ok(())
}

/// Proofs of leaves all over the log, each read from the store, and then verified.
async fn measure(store: &Store) -> Result<(), Fault> {
    let (head, clock) = (store.ledger_head(), Clock::system());
    let (mut proving, mut verifying) = (Vec::new(), Vec::new());
    for number in 0..PROOFS {
        let index = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % head.size();
        let (edge, watch) = (Arc::clone(&head.edge), clock.stopwatch());
        let (proof, leaf) = store
            .read(move |reader| {
                let proof =
                    TreeHashes::new(&edge, &StoredLog(reader)).inclusion_proof(index, edge.size()).map_err(|error| ledger(&error))?;
                let entry = reader.leaves(index, 1)?.into_iter().next().unwrap_or_default();
                Ok((proof, leaf_hash(&entry)))
            })
            .await?;
        proving.push(watch.elapsed());
        let watch = clock.stopwatch();
        verify_inclusion(&leaf, index, head.size(), &proof, &head.edge.root()).map_err(|error| ledger(&error))?;
        verifying.push(watch.elapsed());
    }
    answer!("{} leaves: {} ; {}", head.size(), spread("prove", proving), spread("verify", verifying));
    Ok(())
}

fn spread(name: &str, times: Vec<Duration>) -> String {
    let times = Latencies::of(times);
    let at = |share: f64| times.at(share).as_secs_f64() * 1000.0;
    format!("{name} p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99))
}

async fn reopened(store: Store, folder: &Path) -> Result<Store, Fault> {
    let size = store.ledger_head().size();
    store.close().await;
    drop(store);
    let watch = Clock::system().stopwatch();
    let store = open(folder)?;
    answer!("{size} leaves: start-up {:.1} ms", watch.elapsed().as_secs_f64() * 1000.0);
    Ok(store)
}

/// Publishes the log as files, beside the key that others check them by, and checks them.
async fn check(store: &Store, folder: &Path) -> Result<(), Fault> {
    let (place, watch) = (folder.join("ledger"), Clock::system().stopwatch());
    publish_folder(store, &place).await?;
    answer!("{} leaves: published in {:.1} s", store.ledger_head().size(), watch.elapsed().as_secs_f64());
    let verifier = key()?.verifier().clone();
    let written = std::fs::write(folder.join("log.vkey"), format!("{verifier}\n"));
    written.map_err(|error| Fault::new(FaultKind::Storage, format!("log.vkey: {error}")))?;
    let policy = Policy::of_log(verifier);
    let watch = Clock::system().stopwatch();
    let report = fsck::fsck(&Folder::new(place), &policy, &mut |_| ()).map_err(|error| ledger(&error))?;
    let root = report.checkpoint.map_or(Hash::EMPTY_ROOT, |checkpoint| checkpoint.root);
    answer!("{} leaves: fsck {:.2} s, {} problems, root {root}", report.leaves, watch.elapsed().as_secs_f64(), report.problems.len());
    Ok(())
}
