//! Spans that have ended, on their way to the collector. A collector that is slow or away costs spans, which are counted,
//! and never anything else: whoever ends a span puts it into a queue with a limit, and goes on.

use std::time::Duration;

use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::metrics::span_metrics;

/// Spans that may wait for the collector.
const WAITING_MAX: usize = 4096;

/// Spans that are told at a time.
const AT_A_TIME_MAX: usize = 512;

/// How long a span waits for others to be told with.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The way into the queue.
#[derive(Debug, Clone)]
pub(super) struct Queue(mpsc::Sender<Told>);

#[derive(Debug)]
enum Told {
    Ended(Box<SpanData>),
    /// All that was told before is with the collector, or lost.
    Flush(oneshot::Sender<()>),
}

impl Queue {
    /// Has all that ends told by `exporter`, in a task of its own.
    pub(super) fn start(exporter: impl SpanExporter + 'static) -> Self {
        let (told_in, told) = mpsc::channel(WAITING_MAX);
        tokio::spawn(tell(exporter, told));
        Self(told_in)
    }

    /// Waits until what has ended is told or lost, for `wait_max` at most.
    pub(super) async fn flush(&self, wait_max: Duration) {
        let (flushed_in, flushed) = oneshot::channel();
        let flush = async {
            if self.0.send(Told::Flush(flushed_in)).await.is_ok() {
                let _ = flushed.await;
            }
        };
        // A collector that does not answer is not waited for.
        let _ = timeout(wait_max, flush).await;
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(Told::Ended(Box::new(span))).is_err() {
            span_metrics().lost("queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Tells what ends, until nobody can tell any more.
async fn tell(exporter: impl SpanExporter, mut told: mpsc::Receiver<Told>) {
    let mut failing = false;
    while let Some(first) = told.recv().await {
        let (mut ended, mut flushed) = (Vec::new(), None);
        let mut take = |told| match told {
            Told::Ended(span) => {
                ended.push(*span);
                ended.len() < AT_A_TIME_MAX
            }
            Told::Flush(waits) => {
                flushed = Some(waits);
                false
            }
        };
        if take(first) {
            let more = async { while told.recv().await.is_some_and(&mut take) {} };
            let _all_that_came = timeout(TELL_EVERY, more).await;
        }
        let count = ended.len() as u64;
        if count > 0 {
            match exporter.export(ended).await {
                Ok(()) => {
                    failing = false;
                    span_metrics().told(count);
                }
                Err(error) => {
                    span_metrics().lost("collector", count);
                    if !failing {
                        tracing::warn!(%error, "spans not taken by the collector");
                    }
                    failing = true;
                }
            }
        }
        if let Some(waits) = flushed {
            let _ = waits.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tokio::sync::Semaphore;

    use super::*;

    /// Takes spans when it is let.
    #[derive(Debug, Clone)]
    struct Collector {
        asked: Arc<Semaphore>,
        let_in: Arc<Semaphore>,
        taken: Arc<Mutex<Vec<usize>>>,
    }

    impl SpanExporter for Collector {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.asked.add_permits(1);
            self.let_in.acquire().await.unwrap().forget();
            self.taken.lock().unwrap().push(batch.len());
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_collector_that_hangs_costs_spans_and_nothing_else() {
        let closed = || Arc::new(Semaphore::new(0));
        let collector = Collector { asked: closed(), let_in: closed(), taken: Arc::default() };
        let queue = Queue::start(collector.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(queue.clone()).build();
        let tracer = provider.tracer("test");
        let (told, lost) = span_metrics().counts("queue_full");
        // The first ones are with the collector, which says nothing.
        for _ in 0..AT_A_TIME_MAX {
            drop(tracer.start("step"));
        }
        collector.asked.acquire().await.unwrap().forget();
        for _ in 0..WAITING_MAX + 7 {
            drop(tracer.start("step"));
        }
        assert_eq!(span_metrics().counts("queue_full"), (told, lost + 7));
        queue.flush(Duration::from_millis(10)).await;
        assert_eq!(*collector.taken.lock().unwrap(), [0; 0], "the wait for it is over all the same");

        collector.let_in.add_permits(100);
        queue.flush(Duration::from_secs(60)).await;
        assert_eq!(*collector.taken.lock().unwrap(), [AT_A_TIME_MAX; 1 + WAITING_MAX / AT_A_TIME_MAX]);
        let all = (AT_A_TIME_MAX + WAITING_MAX) as u64;
        assert_eq!(span_metrics().counts("queue_full"), (told + all, lost + 7));
    }
}
