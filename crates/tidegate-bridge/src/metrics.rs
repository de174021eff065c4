//! What a binding counts, and its text in Prometheus's form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::record::Partition;

/// Upper bounds of the buckets of delivery times, in seconds.
const SECONDS: [f64; 10] = [0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 900.0];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The sum.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is known of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionFacts {
    /// Records behind which nothing is open: the position to read next.
    pub next: Option<i64>,
    /// The position after the last record.
    pub end: Option<i64>,
    /// How long ago the newest record came that was not read yet, in milliseconds: streams say it.
    pub behind: Option<i64>,
    /// Records that are read and not done.
    pub outstanding: usize,
    /// Age of the oldest record that is not done, in milliseconds.
    pub age: Option<i64>,
    /// Whether reading waits for deliveries.
    pub is_paused: bool,
    /// Whether exhausted records hold it up.
    pub is_blocked: bool,
}

/// Counters of one binding. All methods may be called from anywhere.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Records read.
    pub records: Counter,
    /// Records that filters dropped.
    pub filtered: Counter,
    /// Batches delivered.
    pub batches: Counter,
    /// Records delivered.
    pub delivered: Counter,
    /// Deliveries that failed and are tried again.
    pub retries: Counter,
    /// Deliveries by failing functions.
    pub failures: Counter,
    /// Deliveries that found a busy or unreachable target.
    pub unavailable: Counter,
    /// Records that were given up and are safe.
    pub given_up: Counter,
    /// Records that were dropped as the binding says.
    pub dropped: Counter,
    /// Failures of the failure destination.
    pub destination_failures: Counter,
    /// Partitions that came or went.
    pub rebalances: Counter,
    /// Errors of the source.
    pub source_errors: Counter,
    /// Deliveries in flight.
    pub in_flight: AtomicU64,
    /// Whether the failure destination refused last.
    pub destination_refuses: AtomicBool,
    partitions: Mutex<BTreeMap<Partition, PartitionFacts>>,
    seconds: Mutex<([u64; SECONDS.len()], u64, f64)>,
}

impl Metrics {
    /// Takes the time that a delivery took.
    pub fn took(&self, seconds: f64) {
        if let Ok(mut histogram) = self.seconds.lock() {
            for (index, bound) in SECONDS.iter().enumerate() {
                if seconds <= *bound {
                    histogram.0[index] += 1;
                }
            }
            histogram.1 += 1;
            histogram.2 += seconds;
        }
    }

    /// Replaces what is known of the partitions.
    pub fn set_partitions(&self, facts: BTreeMap<Partition, PartitionFacts>) {
        if let Ok(mut partitions) = self.partitions.lock() {
            *partitions = facts;
        }
    }

    /// What is known of the partitions.
    pub fn partitions(&self) -> BTreeMap<Partition, PartitionFacts> {
        self.partitions
            .lock()
            .map(|partitions| partitions.clone())
            .unwrap_or_default()
    }
}

/// The text of several bindings' metrics.
pub fn prometheus(bindings: &BTreeMap<String, &Metrics>) -> String {
    type Read = fn(&Metrics) -> u64;
    const COUNTERS: [(&str, &str, Read); 12] = [
        ("records", "Records read.", |m| m.records.get()),
        ("filtered_records", "Records that filters dropped.", |m| {
            m.filtered.get()
        }),
        ("batches", "Batches delivered.", |m| m.batches.get()),
        ("delivered_records", "Records delivered.", |m| {
            m.delivered.get()
        }),
        (
            "retries",
            "Deliveries that failed and are tried again.",
            |m| m.retries.get(),
        ),
        (
            "function_errors",
            "Deliveries that the function failed.",
            |m| m.failures.get(),
        ),
        (
            "unavailable",
            "Deliveries that found a busy or unreachable target.",
            |m| m.unavailable.get(),
        ),
        (
            "given_up_records",
            "Records in the failure destination.",
            |m| m.given_up.get(),
        ),
        (
            "dropped_records",
            "Records dropped as the binding says.",
            |m| m.dropped.get(),
        ),
        (
            "destination_delivery_failures",
            "Failures of the failure destination.",
            |m| m.destination_failures.get(),
        ),
        ("rebalances", "Partitions that came or went.", |m| {
            m.rebalances.get()
        }),
        ("source_errors", "Errors of the source.", |m| {
            m.source_errors.get()
        }),
    ];
    let mut out = String::new();
    for (name, help, read) in COUNTERS {
        head(&mut out, &format!("{name}_total"), help, "counter");
        for (binding, metrics) in bindings {
            let value = read(metrics);
            line(
                &mut out,
                &format!("{name}_total"),
                &label("binding", binding),
                value,
            );
        }
    }
    head(&mut out, "in_flight", "Deliveries in flight.", "gauge");
    for (binding, metrics) in bindings {
        let value = metrics.in_flight.load(Ordering::Relaxed);
        line(&mut out, "in_flight", &label("binding", binding), value);
    }
    histogram(&mut out, bindings);
    gauges(&mut out, bindings);
    out
}

fn histogram(out: &mut String, bindings: &BTreeMap<String, &Metrics>) {
    head(
        out,
        "delivery_seconds",
        "Time that deliveries took.",
        "histogram",
    );
    for (binding, metrics) in bindings {
        let Ok(histogram) = metrics.seconds.lock() else {
            continue;
        };
        let binding = label("binding", binding);
        for (bound, count) in SECONDS.iter().zip(histogram.0) {
            let labels = format!("{binding},le=\"{bound}\"");
            line(out, "delivery_seconds_bucket", &labels, count);
        }
        let labels = format!("{binding},le=\"+Inf\"");
        line(out, "delivery_seconds_bucket", &labels, histogram.1);
        line(out, "delivery_seconds_sum", &binding, histogram.2);
        line(out, "delivery_seconds_count", &binding, histogram.1);
    }
}

fn gauges(out: &mut String, bindings: &BTreeMap<String, &Metrics>) {
    type Read = fn(&PartitionFacts) -> Option<f64>;
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
    const GAUGES: [(&str, &str, Read); 6] = [
        ("lag_records", "Records that are not done.", |facts| {
            Some(facts.end?.saturating_sub(facts.next?).max(0) as f64)
        }),
        (
            "read_behind_seconds",
            "How far the reading of a shard is behind its newest record.",
            |facts| facts.behind.map(|behind| behind as f64 / 1000.0),
        ),
        (
            "oldest_record_age_seconds",
            "Age of the oldest record that is read and not done.",
            |facts| facts.age.map(|age| age as f64 / 1000.0),
        ),
        (
            "outstanding_records",
            "Records read and not done.",
            |facts| Some(facts.outstanding as f64),
        ),
        (
            "partition_paused",
            "1: reading waits for deliveries.",
            |facts| Some(f64::from(u8::from(facts.is_paused))),
        ),
        (
            "partition_blocked",
            "1: exhausted records hold the partition.",
            |facts| Some(f64::from(u8::from(facts.is_blocked))),
        ),
    ];
    for (name, help, read) in GAUGES {
        head(out, name, help, "gauge");
        for (binding, metrics) in bindings {
            for (partition, facts) in metrics.partitions() {
                if let Some(value) = read(&facts) {
                    let labels = [
                        label("binding", binding),
                        label("source", &partition.source),
                        label("partition", &partition.id),
                    ];
                    line(out, name, &labels.join(","), value);
                }
            }
        }
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    writeln!(
        out,
        "# HELP tidegate_bridge_{name} {help}\n# TYPE tidegate_bridge_{name} {kind}"
    )
    .expect("text grows");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    writeln!(out, "tidegate_bridge_{name}{{{labels}}} {value}").expect("text grows");
}

fn label(name: &str, value: &str) -> String {
    let value = value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
