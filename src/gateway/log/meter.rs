//! Metric handles of one endpoint or route, made once, that count its requests.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use metrics::{Counter, Histogram};

use crate::gateway::log::members::Members;
use crate::telemetry::metric;

/// Counts of one endpoint's or route's answers. Labels are only made for a new status and reason:
/// the metrics macros allocate on every call.
#[derive(Debug)]
pub(crate) struct Meter {
    site: Arc<str>,
    route: Arc<str>,
    /// Both, for the log.
    place: Members,
    requests: DashMap<Outcome, Counter, BuildHasherDefault<StatusHasher>>,
    seconds: OnceLock<Histogram>,
}

/// A status and the reason for it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome(u16, &'static str);

impl Hash for Outcome {
    /// By the status alone, which has few reasons: hashing those takes longer than comparing them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u16(self.0);
    }
}

/// Spreads statuses over the upper bits as well, which choose the shard.
#[derive(Default)]
struct StatusHasher(u64);

impl Hasher for StatusHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u16(u16::from(*byte));
        }
    }

    fn write_u16(&mut self, status: u16) {
        // 2⁶⁴ over the golden ratio.
        self.0 = (self.0 ^ u64::from(status)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Meter {
    /// Makes a meter; nothing is registered before the first request.
    pub(crate) fn new(site: &Arc<str>, route: &str) -> Arc<Self> {
        Arc::new(Self {
            site: Arc::clone(site),
            route: route.into(),
            place: Members::new(&[("site", site), ("route", route)]),
            requests: DashMap::with_hasher_and_shard_amount(BuildHasherDefault::default(), 2),
            seconds: OnceLock::new(),
        })
    }

    /// The site's name.
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    /// The site and the route's path, for the log.
    pub(crate) const fn place(&self) -> &Members {
        &self.place
    }

    /// Counts an answer.
    pub(crate) fn count(&self, status: u16, reason: &'static str, time: Duration) {
        self.seconds
            .get_or_init(|| {
                metrics::histogram!(
                    metric::REQUEST_SECONDS,
                    "site" => Arc::clone(&self.site),
                    "route" => Arc::clone(&self.route)
                )
            })
            .record(time);
        if let Some(requests) = self.requests.get(&Outcome(status, reason)) {
            requests.increment(1);
            return;
        }
        let register = || {
            metrics::counter!(
                metric::REQUESTS,
                "site" => Arc::clone(&self.site),
                "route" => Arc::clone(&self.route),
                "status" => status.to_string(),
                "reason" => reason
            )
        };
        self.requests.entry(Outcome(status, reason)).or_insert_with(register).increment(1);
    }
}
