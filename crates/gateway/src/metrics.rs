//! What a gateway counts.

use crate::listener::Stop;
use http::StatusCode;
use livetape_service::Rejections;
use livetape_service::metrics::{Counter, Counters, Gauge, Histogram, Metrics, MetricsError, SECONDS};
use std::time::Duration;

/// Why replies are broken off. All are shown from the start, so that the first one of a kind is seen as an increase.
const RESETS: [&str; 9] = [
    "client_stalled",
    "deleted",
    "drain_over",
    "no_successor",
    "other_spec",
    "read_error",
    "shutdown",
    "source_silent",
    "tail_lost",
];

/// Limits on all clients together.
const OF_ALL: [&str; 9] = [
    "connections",
    "handshake_time",
    "listeners",
    "event_streams",
    "bodies",
    "head_size",
    "head_time",
    "body_size",
    "body_time",
];

/// The instruments of one gateway.
#[derive(Clone)]
pub(crate) struct Instruments {
    pub(crate) metrics: Metrics,
    pub(crate) connections: Gauge,
    pub(crate) rejections: Rejections,
    requests: Counters<2>,
    resets: Counters<1>,
    denied: Counters<1>,
    pub(crate) encoding: Encoding,
    live: Listening,
    recording: Listening,
}

/// Of compressed renditions.
#[derive(Clone)]
pub(crate) struct Encoding {
    pub(crate) encoders: Gauge,
    pub(crate) limit: Gauge,
    pub(crate) refused: Counter,
    blocks: Counters<1>,
    time: Histogram,
}

/// Of bodies of one kind.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) listeners: Gauge,
    pub(crate) sent: Counter,
}

impl Instruments {
    pub(crate) fn new() -> Result<Self, MetricsError> {
        let metrics = Metrics::default();
        let listeners =
            metrics.gauges("livetape_gateway_listeners", "Bodies with audio that are being sent.", ["kind"])?;
        let sent =
            metrics.counters("livetape_gateway_sent_bytes_total", "Audio handed over to connections.", ["kind"])?;
        let broken_off = "Replies that the gateway broke off, by reason.";
        let resets = metrics.counters("livetape_gateway_resets_total", broken_off, ["reason"])?;
        RESETS.iter().for_each(|reason| drop(resets.with([reason])));
        let rejections = Rejections::new(&metrics, "livetape_gateway_limit_rejections_total")?;
        OF_ALL.iter().for_each(|limit| drop(rejections.of(limit)));
        let listening = |kind| Listening { listeners: listeners.with([kind]), sent: sent.with([kind]) };
        Ok(Self {
            connections: metrics.gauge("livetape_gateway_connections", "Open connections.")?,
            rejections,
            requests: metrics.counters(
                "livetape_gateway_requests_total",
                "Requests that were answered, by route and status.",
                ["route", "status"],
            )?,
            resets,
            denied: metrics.counters(
                "livetape_gateway_denied_requests_total",
                "Requests that were not answered because of who asked, by reason.",
                ["reason"],
            )?,
            encoding: Encoding::new(&metrics)?,
            live: listening("live"),
            recording: listening("recording"),
            metrics,
        })
    }

    /// Shows whether Redis answers.
    pub(crate) fn redis(&self, works: impl Fn() -> bool + Send + Sync + 'static) -> Result<(), MetricsError> {
        let help = "1 while Redis answers; without it, tails come from the recorder.";
        self.metrics.value("livetape_gateway_redis_works", help, move || f64::from(u8::from(works())))
    }

    /// A request has its answer. A path that is no route must not become a label: anybody can make those up.
    pub(crate) fn answered(&self, route: Option<&str>, status: StatusCode) {
        self.requests.with([route.unwrap_or("none"), status.as_str()]).inc();
    }

    /// Somebody may not have what they asked for.
    pub(crate) fn denied(&self, reason: &str) {
        self.denied.with([reason]).inc();
    }

    /// A body ends early.
    pub(crate) fn stopped(&self, why: &Stop) {
        self.broken_off(match why {
            Stop::Draining => "shutdown",
            Stop::Silent(_) => "source_silent",
            Stop::Abandoned => "tail_lost",
            Stop::Deleted => "deleted",
            Stop::NoSuccessor => "no_successor",
            Stop::OtherSpec => "other_spec",
            Stop::Read(_) => "read_error",
        });
    }

    pub(crate) fn broken_off(&self, reason: &str) {
        self.resets.with([reason]).inc();
    }

    pub(crate) const fn listening(&self, live: bool) -> &Listening {
        if live { &self.live } else { &self.recording }
    }
}

impl Encoding {
    fn new(metrics: &Metrics) -> Result<Self, MetricsError> {
        let blocks = metrics.counters(
            "livetape_gateway_encoded_blocks_total",
            "Blocks of compressed audio that were made, each about a second; those that were at hand are not counted.",
            ["codec"],
        )?;
        Ok(Self {
            encoders: metrics.gauge("livetape_gateway_encoders", "Encoders in use.")?,
            limit: metrics.gauge("livetape_gateway_encoders_limit", "Encoders that may be in use.")?,
            refused: metrics.counter(
                "livetape_gateway_refused_encoders_total",
                "Requests for compressed audio for which there was no encoder.",
            )?,
            blocks,
            time: metrics.histogram("livetape_gateway_encoding_seconds", "Time that a block took.", SECONDS)?,
        })
    }

    /// A block was made.
    pub(crate) fn encoded(&self, codec: &str, took: Duration) {
        self.blocks.with([codec]).inc();
        self.time.observe(took.as_secs_f64());
    }
}
