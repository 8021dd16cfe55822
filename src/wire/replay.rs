//! Where used client assertions are remembered: in memory, in the store for restarts, and in Redis for several gateways.

use super::{Assumption, Committed, Digest, Fault, FaultKind, Instant, ReplayGuard, ReplayRecord, Sha256, Store, Unit};
use crate::config::{Redis, read_secret};
use data_encoding::HEXLOWER;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, IntoConnectionInfo, RedisError};
use std::time::Duration;

/// How long Redis may take before the gateway goes on without it.
const REDIS_TIMEOUT: Duration = Duration::from_millis(500);

/// The record the gateway uses.
pub(super) struct SharedReplay {
    memory: ReplayGuard,
    store: Store,
    redis: Option<ConnectionManager>,
}

impl SharedReplay {
    /// Connects lazily: a Redis that is away does not keep the gateway from starting.
    pub fn new(store: Store, redis: Option<&Redis>) -> Result<SharedReplay, Fault> {
        let redis = redis.map(connect).transpose()?;
        Ok(SharedReplay { memory: ReplayGuard::new(), store, redis })
    }

    /// Whether the assertion is new to this gateway, by its own durable record.
    async fn record_here(&self, token: [u8; 32], now: Instant, expires: Instant) -> bool {
        let unit = Unit { assumptions: vec![Assumption::Unused { token, now, expires }], ..Unit::default() };
        matches!(self.store.commit(unit).await, Ok(Committed::Done { .. }))
    }

    /// Whether it is new to all gateways that share the Redis. When Redis is away the own record decides: nothing is lost with it but the sharing.
    async fn record_everywhere(&self, token: [u8; 32], now: Instant, expires: Instant) -> bool {
        let Some(mut redis) = self.redis.clone() else { return true };
        let millis = u64::try_from(expires.since(now).as_millis()).unwrap_or(u64::MAX).max(1);
        let key = format!("hearthgate:once:{}", HEXLOWER.encode(&token));
        let set: Result<Option<String>, RedisError> =
            redis::cmd("SET").arg(key).arg(1).arg("NX").arg("PX").arg(millis).query_async(&mut redis).await;
        match set {
            Ok(answer) => answer.is_some(),
            Err(error) => {
                tracing::warn!(kind = ?error.kind(), "Redis is away; replayed assertions are refused by this gateway's own record only");
                metrics::counter!("hearthgate_redis_failures_total").increment(1);
                true
            }
        }
    }
}

impl ReplayRecord for SharedReplay {
    fn record(&self, client_id: &str, jti: &str, until: Instant, now: Instant) -> bool {
        if !self.memory.record(client_id, jti, until, now) {
            return false;
        }
        let token = Sha256::digest([client_id.as_bytes(), b"\0", jti.as_bytes()].concat()).into();
        let asking = async { self.record_here(token, now, until).await && self.record_everywhere(token, now, until).await };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(asking))
    }
}

fn connect(settings: &Redis) -> Result<ConnectionManager, Fault> {
    let wrong = |text: String| Fault::new(FaultKind::Internal, format!("[redis]: {text}"));
    let mut info = settings.url.as_str().into_connection_info().map_err(|error| wrong(error.to_string()))?;
    if let Some(path) = &settings.password_file {
        let password = read_secret(path).map_err(wrong)?;
        let with_password = info.redis_settings().clone().set_password(password.reveal());
        info = info.set_redis_settings(with_password);
    }
    let client = Client::open(info).map_err(|error| wrong(error.to_string()))?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(REDIS_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT));
    ConnectionManager::new_lazy_with_config(client, config).map_err(|error| wrong(error.to_string()))
}
