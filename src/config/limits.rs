//! Every number an operator may set: its default and the range it is held to. [`ALL`] is the table the documentation and the tests read.

/// One bounded setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `section.key` as the file writes it; units are the last word of the key.
    pub name: &'static str,
    pub default: u64,
    pub min: u64,
    pub max: u64,
}

const fn limit(name: &'static str, default: u64, min: u64, max: u64) -> Limit {
    Limit { name, default, min, max }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// The largest request body that is read; a larger one is refused with 413 before it is buffered.
pub const BODY_BYTES: Limit = limit("server.body_limit_bytes", 64 * MIB, KIB, 1024 * MIB);
/// How long a request may take before it is answered with 503.
pub const REQUEST_TIMEOUT_MS: Limit = limit("server.request_timeout_ms", 30_000, 100, 600_000);
/// Requests worked on at once; more wait, then are turned away.
pub const CONCURRENCY: Limit = limit("server.max_concurrent_requests", 512, 1, 65_536);
/// Entries one Bundle may have.
pub const BUNDLE_ENTRIES: Limit = limit("server.max_bundle_entries", 20_000, 1, 100_000);
/// How deep JSON and XML documents may nest.
pub const DOCUMENT_DEPTH: Limit = limit("server.max_document_depth", 64, 8, 256);
/// How long running requests get to finish after SIGTERM.
pub const DRAIN_TIMEOUT_MS: Limit = limit("server.drain_timeout_ms", 10_000, 0, 300_000);

/// How long a terminology server may take for one answer.
pub const TERMINOLOGY_TIMEOUT_MS: Limit = limit("terminology.timeout_ms", 2_000, 50, 60_000);
/// How long its answers are taken as still true.
pub const TERMINOLOGY_KEEP_S: Limit = limit("terminology.keep_s", 3_600, 0, 604_800);

/// Units (a resource, or a whole transaction Bundle) that one group commit takes at most.
pub const GROUP_UNITS: Limit = limit("storage.max_group_units", 512, 1, 10_000);
/// Units that may wait for the next group commit; further ones are turned away with 503.
pub const QUEUE_UNITS: Limit = limit("storage.max_queued_units", 4_096, 1, 100_000);
/// Database connections that only read.
pub const READERS: Limit = limit("storage.readers", 4, 1, 64);
/// How large the database may grow.
pub const STORAGE_BYTES: Limit = limit("storage.max_bytes", 1 << 40, 1 << 20, 1 << 46);
/// The page cache of the writing connection. SQLite goes through all of it after most commits, while the data is smaller than a gigabyte.
pub const CACHE_BYTES: Limit = limit("storage.cache_bytes", 4 << 20, 1 << 20, 16 << 30);

/// The least time between two rounds of asking witnesses for cosignatures.
pub const WITNESS_INTERVAL_MS: Limit = limit("ledger.witness_interval_ms", 1_000, 10, 3_600_000);
/// How long the log may fail to be published before nothing new is taken. Where there is no room for it, that is so at once.
pub const UNPUBLISHED_MS: Limit = limit("ledger.max_unpublished_ms", 300_000, 0, 604_800_000);
/// How long the record of a read may wait, synced and acknowledged, for its place in the log.
pub const ANCHOR_WITHIN_MS: Limit = limit("ledger.anchor_within_ms", 20, 0, 1_000);
/// By how many leaves, or a multiple, the log grows at once.
pub const GROWS_BY: Limit = limit("ledger.grows_by", 16, 1, 256);
/// The least time between two visits to a log that is mirrored.
pub const MIRROR_INTERVAL_MS: Limit = limit("ledger.witness.mirror_interval_ms", 10_000, 10, 86_400_000);

/// The age at which a patient speaks for themselves.
pub const MAJORITY_YEARS: Limit = limit("consent.majority_years", 18, 12, 25);
/// Rules for what happens where no consent applies.
pub const IMPLICIT_RULES: Limit = limit("consent.implicit", 0, 0, 256);
/// How long one breaking of the glass lasts.
pub const BREAK_GLASS_S: Limit = limit("consent.break_glass.lasts_s", 3_600, 60, 86_400);

/// How long an access token lives. SMART Backend Services asks for at most five minutes.
pub const TOKEN_LIFETIME_S: Limit = limit("identity.token_lifetime_s", 300, 10, 300);
/// How far a caller's clock may differ from ours.
pub const CLOCK_SKEW_S: Limit = limit("identity.clock_skew_s", 30, 0, 60);
/// The largest JWKS that is read from a file or a URL.
pub const JWKS_BYTES: Limit = limit("identity.jwks_limit_bytes", 64 * KIB, KIB, MIB);
/// How long a fetched JWKS is used before it is fetched again.
pub const JWKS_MAX_AGE_S: Limit = limit("identity.jwks_max_age_s", 3_600, 60, 86_400);
/// The least time between two fetches of one JWKS, whatever key ids callers name.
pub const JWKS_MIN_INTERVAL_S: Limit = limit("identity.jwks_min_interval_s", 60, 10, 3_600);
/// How long one fetch of a JWKS may take.
pub const JWKS_TIMEOUT_MS: Limit = limit("identity.jwks_timeout_ms", 3_000, 100, 30_000);

/// How long a holder gets to answer one request.
pub const HOLDER_TIMEOUT_MS: Limit = limit("holder.timeout_ms", 5_000, 50, 120_000);
/// The largest body that is read from a holder.
pub const HOLDER_BODY_BYTES: Limit = limit("holder.body_limit_bytes", 64 * MIB, KIB, 1024 * MIB);

/// How long a destination gets to answer one delivery.
pub const DELIVERY_TIMEOUT_MS: Limit = limit("destination.timeout_ms", 10_000, 50, 120_000);
/// The wait before the first repeat of a delivery; it doubles from there.
pub const RETRY_INITIAL_MS: Limit = limit("destination.retry.initial_ms", 500, 10, 3_600_000);
/// The longest wait between two attempts.
pub const RETRY_MAX_MS: Limit = limit("destination.retry.max_ms", 300_000, 10, 86_400_000);
/// Attempts before a delivery becomes a dead letter.
pub const RETRY_ATTEMPTS: Limit = limit("destination.retry.max_attempts", 20, 1, 1_000);

/// How long the parties of a sign-off have.
pub const SIGN_OFF_WITHIN_S: Limit = limit("source.sign_off.within_s", 604_800, 1, 31_536_000);

/// Every bounded setting.
pub const ALL: &[Limit] = &[
    TERMINOLOGY_TIMEOUT_MS,
    TERMINOLOGY_KEEP_S,
    BODY_BYTES,
    REQUEST_TIMEOUT_MS,
    CONCURRENCY,
    BUNDLE_ENTRIES,
    DOCUMENT_DEPTH,
    DRAIN_TIMEOUT_MS,
    GROUP_UNITS,
    QUEUE_UNITS,
    READERS,
    STORAGE_BYTES,
    CACHE_BYTES,
    WITNESS_INTERVAL_MS,
    MIRROR_INTERVAL_MS,
    MAJORITY_YEARS,
    IMPLICIT_RULES,
    BREAK_GLASS_S,
    TOKEN_LIFETIME_S,
    CLOCK_SKEW_S,
    JWKS_BYTES,
    JWKS_MAX_AGE_S,
    JWKS_MIN_INTERVAL_S,
    JWKS_TIMEOUT_MS,
    HOLDER_TIMEOUT_MS,
    HOLDER_BODY_BYTES,
    DELIVERY_TIMEOUT_MS,
    RETRY_INITIAL_MS,
    RETRY_MAX_MS,
    RETRY_ATTEMPTS,
    SIGN_OFF_WITHIN_S,
];

/// The configuration file itself.
pub const MAX_FILE_BYTES: u64 = 4 * MIB;
/// A file that holds one secret, key or certificate chain.
pub const MAX_SECRET_FILE_BYTES: u64 = 64 * KIB;
/// A policy file of the log's.
pub const MAX_POLICY_FILE_BYTES: u64 = MIB;
/// Clients, sources, holders or destinations: so many of each.
pub const MAX_PARTIES: usize = 4_096;
/// Items of any list of names, scopes, systems or types.
pub const MAX_LIST_ITEMS: usize = 1_024;
/// Bytes of a name the operator gives to a party.
pub const MAX_NAME_BYTES: usize = 64;
