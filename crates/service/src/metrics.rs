//! Figures for Prometheus: each role declares its instruments once, `/metrics` shows them all.
//!
//! Built on the `prometheus` crate alone. OpenTelemetry's metrics would bring a second SDK and a look-up by attributes
//! at every measurement; here an instrument is an atomic number that its owner holds, so counting a chunk costs one
//! addition and allocates nothing. Whoever wants the figures pushed lets a collector read `/metrics`.
//!
//! Names are `livetape_ROLE_WHAT_UNIT`, in base units (`_seconds`, `_bytes`), with `_total` for what only grows. Labels
//! hold only what is bounded: names of streams, routes, kinds; never an address or an id.
//! Not here: what is measured (`metrics` of each role), serving it ([`crate::ops`]).

use prometheus::core::{Collector, Desc};
use prometheus::{HistogramOpts, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, proto};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use prometheus::{Histogram, IntCounter as Counter, IntGauge as Gauge};

/// For waits for the disk and the network, in seconds: 1 ms to 30 s.
pub const SECONDS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// An instrument that cannot be declared: a bad name, or one that is taken. A bug of the role that declares it.
#[derive(Debug, thiserror::Error)]
#[error("metric {name}: {source}")]
pub struct MetricsError {
    name: &'static str,
    source: prometheus::Error,
}

/// The instruments of a role, and of others that were included. Clones share them.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    registry: Registry,
    included: Mutex<Vec<Metrics>>,
}

impl Metrics {
    /// Shows those of `role` too, from now on. Their names have to differ, which their prefix sees to.
    pub fn include(&self, role: Self) {
        self.0.included.lock().unwrap_or_else(PoisonError::into_inner).push(role);
    }

    /// A number that only grows; its name ends in `_total`.
    ///
    /// # Errors
    /// If the name cannot be used. True of all that declare something.
    pub fn counter(&self, name: &'static str, help: &str) -> Result<Counter, MetricsError> {
        self.register(name, Counter::new(name, help))
    }

    /// Counters that differ by the values of `labels`.
    ///
    /// # Errors
    /// If a name cannot be used.
    pub fn counters<const N: usize>(
        &self,
        name: &'static str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Counters<N>, MetricsError> {
        let unseen = Counter::new(name, help).map_err(|source| MetricsError { name, source })?;
        let family = self.register(name, IntCounterVec::new(Opts::new(name, help), &labels))?;
        Ok(Counters { family, unseen })
    }

    /// A number that goes up and down.
    ///
    /// # Errors
    /// If the name cannot be used.
    pub fn gauge(&self, name: &'static str, help: &str) -> Result<Gauge, MetricsError> {
        self.register(name, Gauge::new(name, help))
    }

    /// Gauges that differ by the values of `labels`.
    ///
    /// # Errors
    /// If a name cannot be used.
    pub fn gauges<const N: usize>(
        &self,
        name: &'static str,
        help: &str,
        labels: [&str; N],
    ) -> Result<Gauges<N>, MetricsError> {
        let unseen = Gauge::new(name, help).map_err(|source| MetricsError { name, source })?;
        let family = self.register(name, IntGaugeVec::new(Opts::new(name, help), &labels))?;
        Ok(Gauges { family, unseen })
    }

    /// A distribution over the rising `bounds`.
    ///
    /// # Errors
    /// If the name or the bounds cannot be used.
    pub fn histogram(&self, name: &'static str, help: &str, bounds: &[f64]) -> Result<Histogram, MetricsError> {
        self.register(name, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec())))
    }

    /// What a role counts anyway: `read` is called when somebody asks, and gives the value for each value of `label`.
    /// A name that ends in `_total` is a counter, any other a gauge.
    ///
    /// # Errors
    /// If a name cannot be used.
    pub fn reading(
        &self,
        name: &'static str,
        help: &str,
        label: &'static str,
        read: impl Fn() -> Vec<(String, f64)> + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.read(name, help, Some(label), read)
    }

    /// As [`Metrics::reading`], for a single value.
    ///
    /// # Errors
    /// If the name cannot be used.
    pub fn value(
        &self,
        name: &'static str,
        help: &str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        self.read(name, help, None, move || vec![(String::new(), read())])
    }

    fn read(
        &self,
        name: &'static str,
        help: &str,
        label: Option<&'static str>,
        read: impl Fn() -> Vec<(String, f64)> + Send + Sync + 'static,
    ) -> Result<(), MetricsError> {
        let desc = Desc::new(name.into(), help.into(), label.iter().map(|l| (*l).into()).collect(), HashMap::new());
        let reading = desc.map(|desc| Reading { desc, name, label, read });
        let outcome = reading.and_then(|reading| self.0.registry.register(Box::new(reading)));
        outcome.map_err(|source| MetricsError { name, source })
    }

    fn register<C: Collector + Clone + 'static>(
        &self,
        name: &'static str,
        collector: prometheus::Result<C>,
    ) -> Result<C, MetricsError> {
        let registered = collector.and_then(|collector| {
            self.0.registry.register(Box::new(collector.clone()))?;
            Ok(collector)
        });
        registered.map_err(|source| MetricsError { name, source })
    }

    /// All of them now, in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.registry.gather(), text) {
            tracing::error!(%error, "metrics cannot be shown");
        }
        let included = self.0.included.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for role in included {
            role.write(text);
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// Counters of one name. Look one up once and keep it where counting has to be cheap.
#[derive(Clone, Debug)]
pub struct Counters<const N: usize> {
    family: IntCounterVec,
    unseen: Counter,
}

impl<const N: usize> Counters<N> {
    /// The counter with these values of the labels, in their order.
    pub fn with(&self, labels: [&str; N]) -> Counter {
        // Only a wrong number of labels could fail.
        self.family.get_metric_with_label_values(&labels).unwrap_or_else(|_| self.unseen.clone())
    }

    /// Shows the counter with these values no more.
    pub fn forget(&self, labels: [&str; N]) {
        drop(self.family.remove_label_values(&labels));
    }
}

/// Gauges of one name.
#[derive(Clone, Debug)]
pub struct Gauges<const N: usize> {
    family: IntGaugeVec,
    unseen: Gauge,
}

impl<const N: usize> Gauges<N> {
    /// The gauge with these values of the labels, in their order.
    pub fn with(&self, labels: [&str; N]) -> Gauge {
        self.family.get_metric_with_label_values(&labels).unwrap_or_else(|_| self.unseen.clone())
    }

    /// Shows the gauge with these values no more.
    pub fn forget(&self, labels: [&str; N]) {
        drop(self.family.remove_label_values(&labels));
    }
}

/// Holds a gauge one higher until it is dropped.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    /// One more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Reading<F> {
    desc: Desc,
    name: &'static str,
    label: Option<&'static str>,
    read: F,
}

impl<F: Fn() -> Vec<(String, f64)> + Send + Sync> Collector for Reading<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let counts = self.name.ends_with("_total");
        let metrics = (self.read)().into_iter().map(|(value, number)| {
            let label = self.label.map(|name| {
                let mut label = proto::LabelPair::default();
                label.set_name(name.into());
                label.set_value(value);
                label
            });
            let mut metric = proto::Metric::from_label(label.into_iter().collect());
            if counts {
                let mut counter = proto::Counter::default();
                counter.set_value(number);
                metric.set_counter(counter);
            } else {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(number);
                metric.set_gauge(gauge);
            }
            metric
        });
        let mut family = proto::MetricFamily::default();
        family.set_name(self.name.into());
        family.set_help(self.desc.help.clone());
        family.set_field_type(if counts { proto::MetricType::COUNTER } else { proto::MetricType::GAUGE });
        family.set_metric(metrics.collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests;
