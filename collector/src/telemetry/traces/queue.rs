//! From the bounded queue to the collector, in batches. Nothing waits for it: while the collector is
//! away the queue fills, and what finds no room is dropped where it was made.

use std::time::Duration;

use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};

use super::TraceMetrics;
use super::client::{ExportError, HttpExport};
use crate::settings::Otlp;

/// Spans of one request to the collector.
const BATCH_MAX: usize = 512;
/// How long a batch that is not full waits for more.
const BATCH_WAIT: Duration = Duration::from_secs(1);
/// How long a batch on its way may still take when the gateway stops, and those after it together.
const LAST_MAX: Duration = Duration::from_secs(2);

/// The far end of the queue.
#[derive(Debug)]
pub struct Export {
    queued: mpsc::Receiver<SpanData>,
    /// Taken from the queue for the next batch.
    batch: Vec<SpanData>,
    /// Spans of the batch that is on its way.
    on_its_way: u64,
    exporter: SpanExporter,
    metrics: TraceMetrics,
}

impl Export {
    pub(super) fn new(
        settings: &Otlp,
        endpoint: &str,
        queued: mpsc::Receiver<SpanData>,
        metrics: TraceMetrics,
    ) -> Result<Self, ExportError> {
        let timeout = Duration::from_millis(settings.timeout_ms);
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(HttpExport::new(timeout)?)
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(timeout)
            // Its pauses between tries would block the thread they happen on. A lost batch is counted.
            .with_retry_policy(RetryPolicy::disabled())
            .build()?;
        // With OTEL_RESOURCE_ATTRIBUTES, by which an orchestrator names the instance.
        let resource = Resource::builder()
            .with_service_name("tidegate")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        exporter.set_resource(&resource);
        Ok(Self {
            queued,
            batch: Vec::new(),
            on_its_way: 0,
            exporter,
            metrics,
        })
    }

    /// Sends until it has to stop, then what is queued by then.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                () = self.fill() => {}
            }
            let stopped = async {
                let _ = stopping.wait_for(|stop| *stop).await;
                tokio::time::sleep(LAST_MAX).await;
            };
            tokio::select! {
                () = self.send() => {}
                () = stopped => {
                    self.give_up();
                    break;
                }
            }
        }
        // From now on spans are counted as stopped where they are made.
        self.queued.close();
        let last = async {
            while self.take() {
                self.send().await;
            }
            self.send().await;
        };
        if tokio::time::timeout(LAST_MAX, last).await.is_err() {
            self.give_up();
            while self.take() {
                self.give_up();
            }
            self.give_up();
        }
    }

    /// The gateway ends before the collector has what is on its way and in the batch.
    fn give_up(&mut self) {
        let batched = std::mem::take(&mut self.batch).len() as u64;
        let left = batched + std::mem::take(&mut self.on_its_way);
        self.metrics.stopped.inc_by(left);
    }

    /// Returns with a full batch, or with what came within [`BATCH_WAIT`] of the first.
    async fn fill(&mut self) {
        if self.queued.recv_many(&mut self.batch, BATCH_MAX).await == 0 {
            return std::future::pending().await;
        }
        let more = async {
            while self.batch.len() < BATCH_MAX {
                let room = BATCH_MAX - self.batch.len();
                if self.queued.recv_many(&mut self.batch, room).await == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(BATCH_WAIT, more).await;
    }

    /// Fills the batch from what is queued; true where it is full.
    fn take(&mut self) -> bool {
        while self.batch.len() < BATCH_MAX {
            match self.queued.try_recv() {
                Ok(span) => self.batch.push(span),
                Err(_) => return false,
            }
        }
        true
    }

    async fn send(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let spans = batch.len() as u64;
        if spans == 0 {
            return;
        }
        self.on_its_way = spans;
        let exported = self.exporter.export(batch).await;
        self.on_its_way = 0;
        if let Err(error) = exported {
            self.metrics.failed.inc_by(spans);
            tracing::warn!(
                %error,
                spans,
                "the collector did not take a batch of spans: look at it, and at telemetry.otlp.endpoint"
            );
        } else {
            self.metrics.sent.inc_by(spans);
        }
    }
}
