//! The outbox worker: takes what is due, asks consent at that moment, sends, and writes down what came of it.

use super::upstream::{Peer, Upstream, UpstreamProblem};
use crate::clock::{Clock, Entropy, Instant};
use crate::consent::Permitted;
use crate::outcome::{Aside, Fault};
use crate::registry::{Destination, Registry, Retry};
use crate::store::{Delivery, DeliveryState, OutboxUpdate, SUPERSEDED, Store};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How many deliveries one round takes.
const ROUND: u32 = 64;
/// How long the worker sleeps when nothing wakes it.
const IDLE: Duration = Duration::from_millis(500);
/// How soon a delivery held for want of consent is looked at again: later and later, up to so many times as long.
const HELD_FOR: Duration = Duration::from_secs(5);
const HELD_TIMES_MAX: u32 = 12;
/// The largest answer a destination may send.
const ANSWER_LIMIT_BYTES: u64 = 1024 * 1024;

/// Decides at delivery time, and accounts for what is about to leave.
pub trait DeliveryJudge: Send + Sync + 'static {
    /// What may be sent; `None` when consent does not permit it now.
    fn permit(&self, delivery: &Delivery, destination: &Destination) -> impl Future<Output = Result<Release, Fault>> + Send;
    /// Anchors and audits what is about to be sent, or is held back; nothing is sent unless this succeeded.
    fn account(&self, delivery: &Delivery, destination: &Destination, what: Sent<'_>) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What is accounted for.
pub enum Sent<'a> {
    Version(&'a Permitted),
    /// That there is no such resource any more.
    Deletion,
    /// Nothing, for want of consent; with why, where a consent was asked.
    Withheld(Option<Aside>),
}

/// What a judge says of a delivery.
pub enum Release {
    Permitted(Box<Permitted>),
    /// The resource was deleted; a destination that was sent it is told.
    Deleted,
    /// With why, where a consent was asked.
    Denied(Option<Aside>),
    /// A later version exists or the record is gone: nothing to send.
    Superseded,
}

/// The worker.
pub struct Courier<J> {
    pub store: Store,
    pub registry: Arc<Registry>,
    pub upstream: Upstream,
    pub clock: Clock,
    pub entropy: Entropy,
    pub judge: J,
}

impl<J: DeliveryJudge> Courier<J> {
    /// Works until told to stop. A delivery under way is finished first.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut grown = self.store.grown();
        while !*stop.borrow() {
            let worked = match self.round().await {
                Ok(count) => count > 0,
                Err(fault) => {
                    tracing::error!(fault = fault.kind.label(), detail = %fault.detail, "delivery round failed");
                    false
                }
            };
            if worked {
                continue;
            }
            tokio::select! {
                // Whoever holds the other end may be gone without a word; that is a stop too.
                changed = stop.changed() => if changed.is_err() { return },
                _ = grown.changed() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    /// One round: every delivery that is due, destinations side by side.
    async fn round(&self) -> Result<usize, Fault> {
        let now = self.clock.now();
        let due = self.store.read(move |reader| reader.deliveries_due(now, ROUND)).await?;
        let updates = futures_util::future::join_all(due.iter().map(|delivery| self.deliver(delivery))).await;
        let unit = crate::store::Unit { outbox_updates: updates, ..Default::default() };
        let count = unit.outbox_updates.len();
        if count > 0 {
            self.store.commit(unit).await?;
        }
        Ok(count)
    }

    async fn deliver(&self, delivery: &Delivery) -> OutboxUpdate {
        let Some(destination) = self.registry.destination(&delivery.destination) else {
            return self.ended(delivery, DeliveryState::Dead, "the destination is no longer configured");
        };
        let sent = match self.judge.permit(delivery, destination).await {
            Ok(Release::Permitted(permitted)) => self.send(delivery, destination, &permitted).await,
            Ok(Release::Deleted) => self.send_deletion(delivery, destination).await,
            Ok(Release::Superseded) => return self.ended(delivery, DeliveryState::Delivered, SUPERSEDED),
            Ok(Release::Denied(why)) => match self.hold(delivery, destination, why).await {
                Ok(held) => return held,
                Err(_) => Err(None),
            },
            Err(_) => Err(None),
        };
        match sent {
            Ok(()) => {
                metrics::counter!("hearthgate_deliveries_total", "destination" => destination.name.clone(), "outcome" => "delivered")
                    .increment(1);
                self.ended(delivery, DeliveryState::Delivered, "")
            }
            Err(problem) => self.failed(delivery, destination.retry, problem),
        }
    }

    /// Accounts first, sends second: without a receipt nothing leaves.
    async fn send(&self, delivery: &Delivery, destination: &Destination, permitted: &Permitted) -> Result<(), Option<UpstreamProblem>> {
        self.judge.account(delivery, destination, Sent::Version(permitted)).await.map_err(|_| None)?;
        self.upstream.put(&peer(destination), &delivery.type_name, &delivery.id, permitted, &key(delivery)).await.map_err(Some)
    }

    fn ended(&self, delivery: &Delivery, state: DeliveryState, reason: &str) -> OutboxUpdate {
        self.update(delivery, state, attempts_of(delivery, DeliveryState::Waiting) + 1, self.clock.now(), reason)
    }

    async fn send_deletion(&self, delivery: &Delivery, destination: &Destination) -> Result<(), Option<UpstreamProblem>> {
        self.judge.account(delivery, destination, Sent::Deletion).await.map_err(|_| None)?;
        self.upstream.delete(&peer(destination), &delivery.type_name, &delivery.id, &key(delivery)).await.map_err(Some)
    }

    /// Holds it back, which is put on record when it is found out, and not each time it is looked at again.
    async fn hold(&self, delivery: &Delivery, destination: &Destination, why: Option<Aside>) -> Result<OutboxUpdate, Fault> {
        let looks = attempts_of(delivery, DeliveryState::Held) + 1;
        let wait = HELD_FOR * (1 + looks / HELD_TIMES_MAX).min(HELD_TIMES_MAX);
        if looks == 1 {
            self.judge.account(delivery, destination, Sent::Withheld(why)).await?;
        }
        Ok(self.update(delivery, DeliveryState::Held, looks, self.clock.now() + wait, "no consent permits it"))
    }

    /// Later again, with a doubling and jittered wait, until the attempts are used up. A refusal that will not change ends it at once.
    fn failed(&self, delivery: &Delivery, retry: Retry, problem: Option<UpstreamProblem>) -> OutboxUpdate {
        let attempts = attempts_of(delivery, DeliveryState::Waiting) + 1;
        let reason = problem.as_ref().map_or_else(|| "the gateway could not account for it".to_owned(), ToString::to_string);
        let hopeless = matches!(problem, Some(UpstreamProblem::Status(400 | 404 | 405 | 410 | 413 | 415 | 422)));
        if hopeless || u64::from(attempts) >= retry.max_attempts {
            metrics::counter!("hearthgate_deliveries_total", "destination" => delivery.destination.clone(), "outcome" => "dead")
                .increment(1);
            return self.update(delivery, DeliveryState::Dead, attempts, self.clock.now(), &reason);
        }
        let wait = backoff_ms(retry, attempts, u64::from_le_bytes(self.entropy.bytes()));
        self.update(delivery, DeliveryState::Waiting, attempts, self.clock.now() + Duration::from_millis(wait), &reason)
    }

    fn update(&self, delivery: &Delivery, state: DeliveryState, attempts: u32, next_at: Instant, reason: &str) -> OutboxUpdate {
        OutboxUpdate { row: delivery.row, state, attempts, next_at, reason: reason.to_owned() }
    }
}

/// How often a delivery was tried, or looked at while it was held; each is counted from anew when the state changes.
fn attempts_of(delivery: &Delivery, state: DeliveryState) -> u32 {
    if delivery.state == state { delivery.attempts } else { 0 }
}

fn peer(destination: &Destination) -> Peer<'_> {
    Peer {
        name: &destination.name,
        base_url: destination.base_url.as_str(),
        auth: &destination.auth,
        timeout: destination.timeout(),
        body_limit_bytes: ANSWER_LIMIT_BYTES,
    }
}

/// The same for every attempt, so that the destination can tell a repetition.
fn key(delivery: &Delivery) -> String {
    format!("{}-{}-{}", delivery.type_name, delivery.id, delivery.version)
}

/// Doubles from the first wait to the longest, then takes between half and all of it.
fn backoff_ms(retry: Retry, attempts: u32, random: u64) -> u64 {
    let doubled = retry.initial_ms.saturating_mul(1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX));
    let full = doubled.min(retry.max_ms).max(1);
    full / 2 + random % (full / 2 + 1)
}
