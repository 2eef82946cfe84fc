//! The process's metrics recorder, rendered as Prometheus text.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::telemetry::metric;

/// The recorder's rendering side; one a process.
#[derive(Clone)]
pub struct Metrics(Option<PrometheusHandle>);

static INSTALLED: OnceLock<Metrics> = OnceLock::new();

impl Metrics {
    /// Installs the recorder, once a process.
    #[must_use]
    pub fn install() -> Self {
        INSTALLED.get_or_init(Self::build).clone()
    }

    /// Renders everything counted so far.
    pub(crate) fn render(&self) -> String {
        self.0.as_ref().map(PrometheusHandle::render).unwrap_or_default()
    }

    /// Folds what histograms hold, so that memory stays bounded between two renderings.
    pub(crate) async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(5));
        loop {
            ticks.tick().await;
            if let Some(handle) = &self.0 {
                handle.run_upkeep();
            }
        }
    }

    fn build() -> Self {
        let histograms = Matcher::Suffix("_seconds".to_owned());
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(histograms, &BUCKETS)
            .map(PrometheusBuilder::build_recorder);
        let recorder = match recorder {
            Ok(recorder) => recorder,
            Err(error) => {
                tracing::error!(error = %error, "metrics cannot be kept");
                return Self(None);
            }
        };
        let handle = recorder.handle();
        if let Err(error) = metrics::set_global_recorder(recorder) {
            tracing::error!(error = %error, "metrics cannot be kept");
            return Self(None);
        }
        metric::describe_all();
        Self(Some(handle))
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// In seconds: from a refusal (50 µs) to a slow upstream (30 s).
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    2.5, 10.0, 30.0,
];
