//! How long each stage of the accepting path took, taken from the spans the gateway opens around them.

use crate::clock::{Clock, Stopwatch};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::span::{Attributes, Id};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// The stages, in the order data meets them.
const STAGES: [&str; 5] = ["intake", "normalise", "validate", "anchor", "store"];

/// Collects the times of stages. Clones share what was collected.
#[derive(Clone)]
pub struct StageTimes {
    clock: Clock,
    closed: Arc<Mutex<Vec<(&'static str, Duration)>>>,
}

impl StageTimes {
    /// Listens to this process from now on. Where another listener is installed already, no times will be known.
    pub fn listen(clock: Clock) -> StageTimes {
        let times = StageTimes { clock, closed: Arc::default() };
        let _ = Registry::default().with(times.clone()).try_init();
        times
    }

    /// What was collected since the last call, in the order of the stages; the times of one stage are added up.
    pub fn take(&self) -> Vec<(&'static str, Duration)> {
        let closed = std::mem::take(&mut *self.closed.lock().unwrap_or_else(PoisonError::into_inner));
        let total = |stage: &'static str| {
            let mut of_stage = closed.iter().filter(|(name, _)| *name == stage).map(|(_, took)| *took).peekable();
            of_stage.peek().is_some().then(|| of_stage.sum())
        };
        STAGES.into_iter().filter_map(|stage| Some((stage, total(stage)?))).collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for StageTimes {
    /// Nothing but the stages: what others log would disturb the story.
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target().starts_with("hearthgate") && STAGES.contains(&metadata.name())
    }

    fn on_new_span(&self, _: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(self.clock.stopwatch());
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(stopwatch) = span.extensions().get::<Stopwatch>() {
            self.closed.lock().unwrap_or_else(PoisonError::into_inner).push((span.name(), stopwatch.elapsed()));
        }
    }
}
