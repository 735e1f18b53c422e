//! Counters for Prometheus, in its text format (OpenMetrics 1.0).

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The media type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What requests are counted by: few values each, so that the number of series stays small.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Requested {
    /// The method.
    pub method: String,
    /// The first digit of the status, such as `2xx`.
    pub status: String,
}

/// The daemon's counters.
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Family<Requested, Counter>,
    /// Requests refused for their token.
    pub refused_logins: Counter,
    /// Event streams that are open.
    pub open_streams: Gauge,
    /// Operations that run in this daemon.
    pub running_operations: Gauge<i64, AtomicI64>,
    /// Tenants whose snapshot is due and could not begin in time.
    pub backups_overdue: Gauge<i64, AtomicI64>,
    /// Tenants whose last snapshot failed or was missed.
    pub backups_failed: Gauge<i64, AtomicI64>,
    /// Tenants whose drill is due and could not begin in time.
    pub drills_overdue: Gauge<i64, AtomicI64>,
    /// Tenants whose last drill failed or was missed.
    pub drills_failed: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("berth");
        let metrics = Self {
            requests: Family::default(),
            refused_logins: Counter::default(),
            open_streams: Gauge::default(),
            running_operations: Gauge::default(),
            backups_overdue: Gauge::default(),
            backups_failed: Gauge::default(),
            drills_overdue: Gauge::default(),
            drills_failed: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered, by method and status", metrics.requests.clone());
        registry.register(
            "refused_logins",
            "Requests refused for their token",
            metrics.refused_logins.clone(),
        );
        registry.register("open_streams", "Event streams that are open", metrics.open_streams.clone());
        let running = metrics.running_operations.clone();
        registry.register("running_operations", "Operations that run in this daemon", running);
        let (overdue, failed) = (metrics.backups_overdue.clone(), metrics.backups_failed.clone());
        registry.register("backups_overdue", "Tenants whose snapshot could not begin in time", overdue);
        registry.register("backups_failed", "Tenants without a whole snapshot since one failed", failed);
        let (overdue, failed) = (metrics.drills_overdue.clone(), metrics.drills_failed.clone());
        registry.register("drills_overdue", "Tenants whose drill could not begin in time", overdue);
        registry.register("drills_failed", "Tenants whose last drill did not bring everything back", failed);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// All of them as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// Counts an event stream for as long as the answer is held.
    pub fn stream_opened(&self) -> OpenStream {
        self.open_streams.inc();
        OpenStream(self.open_streams.clone())
    }

    /// Counts an answered request.
    pub fn answered(&self, method: &actix_web::http::Method, status: u16) {
        let known = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"];
        let method = known.iter().find(|known| **known == method.as_str()).copied().unwrap_or("other");
        let requested = Requested { method: method.to_owned(), status: format!("{}xx", status / 100) };
        self.requests.get_or_create(&requested).inc();
    }
}

/// An event stream that is open.
pub struct OpenStream(Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_told_and_strange_methods_make_no_new_series() {
        let metrics = Metrics::default();
        metrics.answered(&actix_web::http::Method::GET, 204);
        for odd in ["BREW", "PROPFIND"] {
            metrics.answered(&actix_web::http::Method::from_bytes(odd.as_bytes()).unwrap(), 405);
        }
        metrics.refused_logins.inc();
        let text = metrics.text();
        assert!(text.contains(r#"berth_requests_total{method="GET",status="2xx"} 1"#), "{text}");
        assert!(text.contains(r#"berth_requests_total{method="other",status="4xx"} 2"#), "{text}");
        assert!(text.contains("berth_refused_logins_total 1"), "{text}");
    }
}
