//! Every metric, in one table; the code names metrics by these constants only.

use metrics::Unit;

/// A metric's name, kind, unit and meaning.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit.
    pub unit: Unit,
    /// Meaning, with its labels.
    pub help: &'static str,
}

/// A metric's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
}

/// Declares the constants and the table of them.
macro_rules! metrics {
    ($($constant:ident $name:literal $kind:ident $unit:ident $help:literal)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*

        /// The table of all metrics.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, unit: Unit::$unit, help: $help },)*
        ];
    };
}

metrics! {
    REQUESTS "munjigi_requests_total" Counter Count "Requests, once each at the end of its answer, by site, route, status (499: the client left before) and reason: ok, a refusal's code, or how the answer ended."
    REQUEST_SECONDS "munjigi_request_seconds" Histogram Seconds "From a request's head to its answer's head, by site and route."
    UPSTREAM_SECONDS "munjigi_upstream_seconds" Histogram Seconds "From the request sent to the upstream's head, by upstream."
    UPSTREAM_ERRORS "munjigi_upstream_errors_total" Counter Count "Requests that an upstream did not answer, by upstream and kind."
    UPSTREAM_CONNECTIONS "munjigi_upstream_connections" Gauge Count "Open connections to upstreams, by upstream."
    CONNECTIONS "munjigi_connections" Gauge Count "Open client connections."
    BUFFERED_BYTES "munjigi_buffered_bytes" Gauge Bytes "Answers that were read from upstreams and not yet written to clients."
    HANDSHAKES "munjigi_handshakes_total" Counter Count "TLS handshakes, by result."
    HEADS_REFUSED "munjigi_heads_refused_total" Counter Count "Heads of HTTP/1.1 that were refused before they were a request, by reason: malformed (400), oversized (431, 414)."
    TOKEN_CACHE "munjigi_token_cache_total" Counter Count "Look-ups in the cache of verified tokens, by result."
    LOGINS "munjigi_logins_total" Counter Count "Logins, by site and result."
    THROTTLED "munjigi_throttled_total" Counter Count "Tries refused before they were checked, by kind: too many of an address, of an account and address, wrong codes, or mails."
    SOCIAL "munjigi_social_questions_total" Counter Count "Questions about a social provider's token, by provider and result."
    PASSWORD_WAITING "munjigi_password_waiting" Gauge Count "Password hashes waiting for a place."
    PASSWORD_RUNNING "munjigi_password_running" Gauge Count "Password hashes being computed."
    PASSWORD_SECONDS "munjigi_password_seconds" Histogram Seconds "Time of one password hash."
    REVOCATION_ENTRIES "munjigi_revocation_entries" Gauge Count "Revocations held in memory."
    REVOCATION_BYTES "munjigi_revocation_bytes" Gauge Bytes "Memory of the revocation list."
    REVOCATION_CAPACITY "munjigi_revocation_capacity" Gauge Count "Most revocations that may be held."
    REVOCATION_AGE "munjigi_revocation_contact_age_seconds" Gauge Seconds "Age of the last contact with the store."
    REVOCATION_INTERRUPTIONS "munjigi_revocation_interruptions_total" Counter Count "Interruptions of the revocation feed, by cause."
    STREAMS "munjigi_streams" Gauge Count "Open WebSockets and long bodies that go on under a token."
    STREAMS_ENDED "munjigi_streams_ended_total" Counter Count "Streams ended before their time, by reason."
    REVOCATION_LAG "munjigi_revocation_lag_entries" Gauge Count "Revocations that the store had recorded and this node had not read, at the last question (Redis)."
    JOURNAL_BYTES "munjigi_journal_bytes" Gauge Bytes "Size of this node's own file."
    JOURNAL_APPENDS "munjigi_journal_appends_total" Counter Count "Appends to this node's own file."
    JOURNAL_FAILURES "munjigi_journal_failures_total" Counter Count "Failures to write this node's own file."
    STORE_REFILLS "munjigi_store_refills_total" Counter Count "Times that this node put what it knew back into a store that had lost data."
    STALE_DECISIONS "munjigi_stale_decisions_total" Counter Count "Requests decided on stale revocations, by what was done."
    MAILS "munjigi_mails_total" Counter Count "Mails, by result: sent, postponed, given up."
    MAIL_SECONDS "munjigi_mail_seconds" Histogram Seconds "From a mail queued to its receipt by the mail server."
    AUDIT_DROPPED "munjigi_audit_dropped_total" Counter Count "Security events that did not reach the audit file: its disk was full, or too slow."
    RELOADS "munjigi_reloads_total" Counter Count "Reloads of the configuration, by result."
}

/// Describes every metric to the recorder.
pub fn describe_all() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}
