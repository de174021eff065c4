//! Log streams and the events they hold, in the order of their times.
//!
//! Must not know: patterns, pages of events.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

use super::{
    Call, EVENT_BYTES, KEPT_BYTES, Region, constraint, exists, invalid, no_group, no_stream,
};

/// Streams of one group.
const STREAMS: usize = 5_000;

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Milliseconds, as its writer says.
    pub(super) at: i64,
    /// Its number among all events of the region.
    pub(super) number: u64,
    /// Milliseconds, when it came in.
    pub(super) came: i64,
    pub(super) message: String,
}

impl Event {
    pub(super) fn bytes(&self) -> usize {
        self.message.len() + EVENT_BYTES
    }
}

/// A log stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) bytes: usize,
    /// By time, then by number.
    pub(super) events: VecDeque<Event>,
    created: Timestamp,
    first: Option<i64>,
    last: Option<i64>,
    came: Option<i64>,
}

impl Stream {
    pub(super) fn new(created: Timestamp) -> Self {
        Self {
            bytes: 0,
            events: VecDeque::new(),
            created,
            first: None,
            last: None,
            came: None,
        }
    }

    fn push(&mut self, event: Event) {
        self.first = Some(self.first.map_or(event.at, |first| first.min(event.at)));
        self.last = Some(self.last.map_or(event.at, |last| last.max(event.at)));
        self.came = Some(event.came);
        self.bytes += event.bytes();
        let place = self.events.partition_point(|one| one.at <= event.at);
        self.events.insert(place, event);
    }

    fn shown(&self, group: &str, name: &str) -> Value {
        let mut shown = json!({
            "logStreamName": name,
            "creationTime": self.created.as_millisecond(),
            "arn": format!("{group}:log-stream:{name}"),
            "storedBytes": 0,
        });
        if let (Some(first), Some(last), Some(came)) = (self.first, self.last, self.came) {
            shown["firstEventTimestamp"] = json!(first);
            shown["lastEventTimestamp"] = json!(last);
            shown["lastIngestionTime"] = json!(came);
            shown["uploadSequenceToken"] = json!(format!("{came:056}"));
        }
        shown
    }
}

impl Region {
    /// Adds events to a stream that exists; the region's oldest make room.
    pub(super) fn add(
        &mut self,
        group: &str,
        stream: &str,
        now: Timestamp,
        events: Vec<(i64, String)>,
    ) {
        let mut count = self.count;
        let Some(found) = self
            .groups
            .get_mut(group)
            .and_then(|group| group.streams.get_mut(stream))
        else {
            return;
        };
        let before = found.bytes;
        for (at, message) in events {
            count += 1;
            found.push(Event {
                at,
                number: count,
                came: now.as_millisecond(),
                message,
            });
        }
        self.count = count;
        self.bytes += found.bytes - before;
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.bytes > KEPT_BYTES {
            let oldest = self
                .groups
                .values_mut()
                .flat_map(|group| group.streams.values_mut())
                .filter(|stream| !stream.events.is_empty())
                .min_by_key(|stream| stream.events.front().map(|event| event.number));
            let Some(stream) = oldest else {
                return;
            };
            // An eighth of the stream at once: the search costs more than what it finds.
            let many = stream.events.len().div_ceil(8);
            for event in stream.events.drain(..many) {
                stream.bytes -= event.bytes();
                self.bytes -= event.bytes();
            }
        }
    }

    /// A stream of a group, both made when they are not there.
    pub(super) fn ensure(&mut self, scope: &Scope, group: &str, stream: &str) -> bool {
        let Some(found) = self.group_or_new(scope, group) else {
            return false;
        };
        let mut gone = 0;
        if !found.streams.contains_key(stream) {
            if found.streams.len() >= STREAMS {
                let oldest = found
                    .streams
                    .iter()
                    .min_by_key(|(_, stream)| stream.created);
                if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                    gone = found.streams.remove(&name).map_or(0, |stream| stream.bytes);
                }
            }
            found
                .streams
                .insert(stream.to_owned(), Stream::new(scope.now));
        }
        self.bytes = self.bytes.saturating_sub(gone);
        true
    }
}

impl Call<'_> {
    pub(super) fn stream_name(&self) -> Result<String, Refusal> {
        let name = self.text("logStreamName")?;
        if name.is_empty() || name.len() > 512 || name.contains([':', '*']) {
            return Err(constraint(
                name,
                "logStreamName",
                "Member must satisfy regular expression pattern: [^:*]*",
            ));
        }
        Ok(name.to_owned())
    }

    pub(super) fn create_stream(&mut self) -> Result<Value, Refusal> {
        let name = self.stream_name()?;
        let now = self.scope.now;
        let group = self.group()?;
        if group.streams.contains_key(&name) {
            return Err(exists("log stream"));
        }
        if group.streams.len() >= STREAMS {
            return Err(refuse("LimitExceededException", "Resource limit exceeded."));
        }
        group.streams.insert(name, Stream::new(now));
        Ok(Value::Null)
    }

    pub(super) fn delete_stream(&mut self) -> Result<Value, Refusal> {
        let name = self.stream_name()?;
        let stream = self.group()?.streams.remove(&name).ok_or_else(no_stream)?;
        self.region.bytes = self.region.bytes.saturating_sub(stream.bytes);
        Ok(Value::Null)
    }

    pub(super) fn describe_streams(&mut self) -> Result<Value, Refusal> {
        let limit = self.limit(50, 50)?;
        let order = self.input["orderBy"].as_str().unwrap_or("LogStreamName");
        let descending = self.input["descending"].as_bool().unwrap_or(false);
        let prefix = self.input["logStreamNamePrefix"].as_str();
        let by_time = match order {
            "LogStreamName" => false,
            "LastEventTime" => true,
            other => {
                return Err(constraint(
                    other,
                    "orderBy",
                    "Member must satisfy enum value set: [LogStreamName, LastEventTime]",
                ));
            }
        };
        if by_time && prefix.is_some() {
            return Err(invalid(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        let name = self.group_name()?;
        let group = self.region.groups.get(&name).ok_or_else(no_group)?;
        let mut streams: Vec<(&String, &Stream)> = group
            .streams
            .iter()
            .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)))
            .collect();
        if by_time {
            streams.sort_by_key(|(_, stream)| stream.last);
        }
        if descending {
            streams.reverse();
        }
        // The token is a place in this order: names may go down the list or up.
        let entries = streams
            .into_iter()
            .enumerate()
            .map(|(place, (name, stream))| (format!("{place:010}"), stream.shown(&group.arn, name)))
            .collect();
        Ok(self.page("logStreams", entries, limit))
    }
}
