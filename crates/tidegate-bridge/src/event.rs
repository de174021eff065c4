//! Event JSON as AWS shapes it for self-managed Kafka, MSK and Kinesis, and the exact size of a record in it.

use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::record::{Partition, Position, Record};

/// What a binding says about every event that it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventShape {
    /// A broker that one runs oneself.
    SelfManagedKafka {
        /// The word in `eventSource`: `SelfManagedKafka`, or `aws:SelfManagedKafka`.
        event_source: Arc<str>,
        /// `host:port`, with commas.
        bootstrap_servers: Arc<str>,
    },
    /// Amazon MSK.
    Msk {
        /// The cluster's ARN.
        cluster_arn: Arc<str>,
        /// `host:port`, with commas.
        bootstrap_servers: Arc<str>,
    },
    /// Kinesis.
    Kinesis {
        /// The stream's or the consumer's ARN.
        stream_arn: Arc<str>,
        /// The region.
        region: Arc<str>,
        /// The role that invokes.
        role_arn: Arc<str>,
    },
}

/// A tumbling window's part of a Kinesis event.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowPart {
    /// Start, milliseconds since 1970.
    pub start: i64,
    /// End, milliseconds since 1970.
    pub end: i64,
    /// The state that the function returned last.
    pub state: serde_json::Value,
    /// Whether the window ends with this invocation.
    pub is_final: bool,
    /// Whether it ends before its time, because its state grew too big.
    pub is_terminated_early: bool,
}

/// The event for `records`, as JSON text.
pub fn event_json(
    shape: &EventShape,
    partition: &Partition,
    records: &[Record],
    window: Option<&WindowPart>,
) -> String {
    let bytes: usize = records
        .iter()
        .map(|record| record_len(shape, partition, record) + 1)
        .sum();
    let mut out = String::with_capacity(bytes + 512);
    match shape {
        EventShape::SelfManagedKafka {
            event_source,
            bootstrap_servers,
        } => {
            out.push_str("{\"eventSource\":");
            push_text(&mut out, event_source);
            push_kafka(&mut out, bootstrap_servers, partition, records);
        }
        EventShape::Msk {
            cluster_arn,
            bootstrap_servers,
        } => {
            out.push_str("{\"eventSource\":\"aws:kafka\",\"eventSourceArn\":");
            push_text(&mut out, cluster_arn);
            push_kafka(&mut out, bootstrap_servers, partition, records);
        }
        EventShape::Kinesis { stream_arn, .. } => {
            out.push_str("{\"Records\":[");
            push_records(&mut out, shape, partition, records);
            out.push(']');
            if let Some(window) = window {
                push_window(&mut out, window, partition, stream_arn);
            }
            out.push('}');
        }
    }
    out
}

/// Bytes around the records of an event.
pub fn envelope_len(shape: &EventShape, partition: &Partition) -> usize {
    event_json(shape, partition, &[], None).len()
}

/// Bytes of a record in an event, without the comma.
pub fn record_len(shape: &EventShape, partition: &Partition, record: &Record) -> usize {
    match shape {
        EventShape::SelfManagedKafka { .. } | EventShape::Msk { .. } => {
            let fixed = "{\"topic\":,\"partition\":,\"offset\":,\"timestamp\":,\"timestampType\":\"\",\"headers\":[]}".len();
            let headers: usize = record
                .headers
                .iter()
                .map(|(name, value)| text_len(name) + 6 + signed_len(value.as_ref()))
                .sum();
            fixed
                + text_len(&partition.source)
                + partition.id.len()
                + position_len(&record.position)
                + digits(record.timestamp)
                + record.timestamp_type.as_str().len()
                + headers.saturating_sub(usize::from(headers > 0))
                + record
                    .key
                    .as_ref()
                    .map_or(0, |key| 9 + base64_len(key.len()))
                + record
                    .value
                    .as_ref()
                    .map_or(0, |value| 11 + base64_len(value.len()))
        }
        EventShape::Kinesis { .. } => {
            let mut out = String::new();
            let without = Record {
                value: None,
                ..record.clone()
            };
            push_kinesis(&mut out, shape, partition, &without);
            out.len() + base64_len(record.value.as_ref().map_or(0, Bytes::len))
        }
    }
}

fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Bytes of a JSON text, quotes included.
fn text_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0..=0x1F => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

fn position_len(position: &Position) -> usize {
    match position {
        Position::Offset(offset) => digits(*offset),
        Position::Sequence(number) => number.len(),
    }
}

/// Characters of a number.
fn digits(number: i64) -> usize {
    let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    usize::from(number < 0) + digits as usize
}

fn signed_len(value: Option<&Bytes>) -> usize {
    let Some(value) = value else { return 0 };
    let digits: usize = value
        .iter()
        .map(|byte| {
            let number = i8::from_ne_bytes([*byte]);
            let digits = match number.unsigned_abs() {
                0..=9 => 1,
                10..=99 => 2,
                _ => 3,
            };
            digits + usize::from(number < 0)
        })
        .sum();
    digits + value.len().saturating_sub(1)
}

fn push_text(out: &mut String, text: &str) {
    match serde_json::to_string(text) {
        Ok(json) => out.push_str(&json),
        Err(_) => out.push_str("\"\""),
    }
}

fn push_base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

fn push_kafka(out: &mut String, servers: &str, partition: &Partition, records: &[Record]) {
    out.push_str(",\"bootstrapServers\":");
    push_text(out, servers);
    out.push_str(",\"records\":{");
    push_text(out, &partition.to_string());
    out.push_str(":[");
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_kafka_record(out, partition, record);
    }
    out.push_str("]}}");
}

fn push_kafka_record(out: &mut String, partition: &Partition, record: &Record) {
    out.push_str("{\"topic\":");
    push_text(out, &partition.source);
    write_all(
        out,
        format_args!(
            ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"timestampType\":\"{}\"",
            partition.id,
            record.position,
            record.timestamp,
            record.timestamp_type.as_str()
        ),
    );
    if let Some(key) = &record.key {
        out.push_str(",\"key\":");
        push_base64(out, key);
    }
    if let Some(value) = &record.value {
        out.push_str(",\"value\":");
        push_base64(out, value);
    }
    out.push_str(",\"headers\":[");
    for (index, (name, value)) in record.headers.iter().enumerate() {
        out.push_str(if index > 0 { ",{" } else { "{" });
        push_text(out, name);
        out.push_str(":[");
        for (index, byte) in value.iter().flat_map(|value| value.iter()).enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_all(out, format_args!("{}", i8::from_ne_bytes([*byte])));
        }
        out.push_str("]}");
    }
    out.push_str("]}");
}

fn push_records(out: &mut String, shape: &EventShape, partition: &Partition, records: &[Record]) {
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_kinesis(out, shape, partition, record);
    }
}

fn push_kinesis(out: &mut String, shape: &EventShape, partition: &Partition, record: &Record) {
    let EventShape::Kinesis {
        stream_arn,
        region,
        role_arn,
    } = shape
    else {
        return;
    };
    out.push_str("{\"kinesis\":{\"kinesisSchemaVersion\":\"1.0\",\"partitionKey\":");
    let key = record.key.as_deref().unwrap_or_default();
    push_text(out, &String::from_utf8_lossy(key));
    write_all(
        out,
        format_args!(",\"sequenceNumber\":\"{}\",\"data\":", record.position),
    );
    push_base64(out, record.value.as_deref().unwrap_or_default());
    out.push_str(",\"approximateArrivalTimestamp\":");
    push_seconds(out, record.timestamp);
    if let Some(encryption) = &record.encryption {
        out.push_str(",\"encryptionType\":");
        push_text(out, encryption);
    }
    out.push_str("},\"eventSource\":\"aws:kinesis\",\"eventVersion\":\"1.0\",\"eventID\":");
    push_text(out, &format!("{}:{}", partition.id, record.position));
    out.push_str(",\"eventName\":\"aws:kinesis:record\",\"invokeIdentityArn\":");
    push_text(out, role_arn);
    out.push_str(",\"awsRegion\":");
    push_text(out, region);
    out.push_str(",\"eventSourceARN\":");
    push_text(out, stream_arn);
    out.push('}');
}

fn push_seconds(out: &mut String, millis: i64) {
    let whole = millis.div_euclid(1000);
    let fraction = millis.rem_euclid(1000);
    if fraction == 0 {
        write_all(out, format_args!("{whole}.0"));
        return;
    }
    let digits = format!("{fraction:03}");
    write_all(
        out,
        format_args!("{whole}.{}", digits.trim_end_matches('0')),
    );
}

fn push_window(out: &mut String, window: &WindowPart, partition: &Partition, arn: &str) {
    write_all(
        out,
        format_args!(
            ",\"window\":{{\"start\":\"{}\",\"end\":\"{}\"}},\"state\":{},\"shardId\":\"{}\",\"eventSourceARN\":",
            seconds(window.start),
            seconds(window.end),
            window.state,
            partition.id
        ),
    );
    push_text(out, arn);
    write_all(
        out,
        format_args!(
            ",\"isFinalInvokeForWindow\":{},\"isWindowTerminatedEarly\":{}",
            window.is_final, window.is_terminated_early
        ),
    );
}

/// `2020-12-09T07:04:00Z`; times that no calendar holds are 1970.
pub(crate) fn seconds(millis: i64) -> String {
    let time = jiff::Timestamp::from_second(millis.div_euclid(1000)).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2020-12-09T07:04:00.123Z`; times that no calendar holds are 1970.
pub(crate) fn milliseconds(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn write_all(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("text grows");
}

#[cfg(test)]
mod tests;
