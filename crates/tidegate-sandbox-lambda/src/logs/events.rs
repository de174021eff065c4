//! Events put, read from one stream page by page, and searched over a group.
//!
//! Must not know: how streams hold events.

use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, refuse};

use super::pattern::Pattern;
use super::streams::Event;
use super::{Call, EVENT_BYTES, invalid, no_group, no_stream, null};

/// Events and bytes of one request.
const BATCH_EVENTS: usize = 10_000;
const BATCH_BYTES: usize = 1 << 20;
/// Milliseconds that an event may lie in the past and in the future, and that a batch may span.
const PAST: i64 = 14 * 86_400_000;
const FUTURE: i64 = 2 * 3_600_000;
const SPAN: i64 = 86_400_000;
/// Events and bytes of one page.
const PAGE_EVENTS: usize = 10_000;
const PAGE_BYTES: usize = 1 << 20;

/// A place between events: before the one with this time and number.
type Place = (i64, u64);

fn token(direction: char, place: Place) -> String {
    format!("{direction}/{:028}{:028}", place.0, place.1)
}

fn read_token(text: &str) -> Option<(char, Place)> {
    let (direction, digits) = text.split_once('/')?;
    let direction = match direction {
        "f" => 'f',
        "b" => 'b',
        _ => return None,
    };
    if digits.len() != 56 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((
        direction,
        (digits[..28].parse().ok()?, digits[28..].parse().ok()?),
    ))
}

impl Call<'_> {
    pub(super) fn put_events(&mut self) -> Result<Value, Refusal> {
        let stream = self.stream_name()?;
        let group = self.group_name()?;
        let given = self.input["logEvents"]
            .as_array()
            .ok_or_else(|| null("logEvents"))?;
        if given.is_empty() || given.len() > BATCH_EVENTS {
            return Err(super::constraint(
                "[]",
                "logEvents",
                &format!("Member must have length between 1 and {BATCH_EVENTS}"),
            ));
        }
        let mut events = Vec::with_capacity(given.len());
        let mut bytes = 0;
        for event in given {
            let at = event["timestamp"]
                .as_i64()
                .ok_or_else(|| null("logEvents.1.member.timestamp"))?;
            let message = event["message"]
                .as_str()
                .ok_or_else(|| null("logEvents.1.member.message"))?;
            if message.is_empty() {
                return Err(super::constraint(
                    "",
                    "logEvents.1.member.message",
                    "Member must have length greater than or equal to 1",
                ));
            }
            bytes += message.len() + EVENT_BYTES;
            events.push((at, message.to_owned()));
        }
        if bytes > BATCH_BYTES {
            return Err(invalid(format!(
                "Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES}"
            )));
        }
        if events.windows(2).any(|pair| pair[0].0 > pair[1].0) {
            return Err(invalid(
                "Log events in a single PutLogEvents request must be in chronological order.",
            ));
        }
        if let (Some(first), Some(last)) = (events.first(), events.last())
            && last.0.saturating_sub(first.0) > SPAN
        {
            return Err(invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
            ));
        }
        let found = self.region.groups.get(&group).ok_or_else(no_group)?;
        if !found.streams.contains_key(&stream) {
            return Err(no_stream());
        }
        let now = self.scope.now.as_millisecond();
        let (old, horizon) = (now.saturating_sub(PAST), found.horizon(self.scope.now));
        let too_old = events.partition_point(|(at, _)| *at < old);
        let expired = events.partition_point(|(at, _)| *at < horizon);
        let too_new = events.partition_point(|(at, _)| *at <= now.saturating_add(FUTURE));
        let mut rejected = json!({});
        if too_old > 0 {
            rejected["tooOldLogEventEndIndex"] = json!(too_old);
        }
        if expired > 0 {
            rejected["expiredLogEventEndIndex"] = json!(expired);
        }
        if too_new < events.len() {
            rejected["tooNewLogEventStartIndex"] = json!(too_new);
        }
        events.truncate(too_new);
        events.drain(..too_old.max(expired).min(events.len()));
        self.region.add(&group, &stream, self.scope.now, events);
        let mut answer = json!({"nextSequenceToken": format!("{:056}", self.region.count)});
        if rejected.as_object().is_some_and(|map| !map.is_empty()) {
            answer["rejectedLogEventsInfo"] = rejected;
        }
        Ok(answer)
    }

    /// The bounds of time of a request, in milliseconds: from, and up to without.
    fn times(&self) -> (i64, i64) {
        let from = self.input["startTime"].as_i64().unwrap_or(i64::MIN);
        let to = self.input["endTime"].as_i64().unwrap_or(i64::MAX);
        (from, to)
    }

    pub(super) fn get_events(&mut self) -> Result<Value, Refusal> {
        let stream = self.stream_name()?;
        let limit = self.limit(PAGE_EVENTS, 10_000)?;
        let (from, to) = self.times();
        let now = self.scope.now;
        let name = self.group_name()?;
        let group = self.region.groups.get(&name).ok_or_else(no_group)?;
        let horizon = group.horizon(now);
        let stream = group.streams.get(&stream).ok_or_else(no_stream)?;
        let kept: Vec<&Event> = stream
            .events
            .iter()
            .filter(|event| event.at >= from.max(horizon) && event.at < to)
            .collect();
        let start_from_head = self.input["startFromHead"].as_bool().unwrap_or(false);
        let given = match self.input["nextToken"].as_str() {
            None => None,
            Some(text) => Some(
                read_token(text).ok_or_else(|| invalid("The specified nextToken is invalid."))?,
            ),
        };
        let (forward, begin) = match given {
            Some(('f', place)) => (true, place),
            Some((_, place)) => (false, place),
            None if start_from_head => (true, (i64::MIN, 0)),
            None => (false, (i64::MAX, u64::MAX)),
        };
        let split = kept.partition_point(|event| (event.at, event.number) < begin);
        let page: Vec<&Event> = if forward {
            within(kept[split..].iter().copied(), limit)
        } else {
            let mut page = within(kept[..split].iter().rev().copied(), limit);
            page.reverse();
            page
        };
        let before = page.first().map(|event| (event.at, event.number));
        let after = page.last().map(|event| (event.at, event.number + 1));
        let resting = match begin {
            (i64::MIN, _) => (0, 0),
            (i64::MAX, _) => (now.as_millisecond(), u64::MAX),
            place => place,
        };
        Ok(json!({
            "events": page.iter().map(|event| json!({
                "timestamp": event.at,
                "message": event.message,
                "ingestionTime": event.came,
            })).collect::<Value>(),
            "nextForwardToken": token('f', after.unwrap_or(resting)),
            "nextBackwardToken": token('b', before.unwrap_or(resting)),
        }))
    }

    pub(super) fn filter_events(&mut self) -> Result<Value, Refusal> {
        let limit = self.limit(PAGE_EVENTS, 10_000)?;
        let (from, to) = self.times();
        let pattern = Pattern::parse(self.input["filterPattern"].as_str().unwrap_or(""))?;
        let names: Option<Vec<&str>> = self.input["logStreamNames"]
            .as_array()
            .map(|list| list.iter().filter_map(Value::as_str).collect());
        let prefix = self.input["logStreamNamePrefix"].as_str();
        if names.is_some() && prefix.is_some() {
            return Err(invalid(
                "LogStreamNamePrefix and LogStreamNames cannot be used together.",
            ));
        }
        let begin = match self.input["nextToken"].as_str() {
            None => (i64::MIN, 0),
            Some(text) => match read_token(text) {
                Some(('f', place)) => place,
                _ => return Err(invalid("The specified nextToken is invalid.")),
            },
        };
        let name = self.group_name()?;
        let group = self.region.groups.get(&name).ok_or_else(no_group)?;
        for wanted in names.iter().flatten() {
            if !group.streams.contains_key(*wanted) {
                return Err(refuse(
                    "ResourceNotFoundException",
                    "The specified log stream does not exist.",
                ));
            }
        }
        let horizon = group.horizon(self.scope.now);
        let mut found: Vec<(&str, &Event)> = group
            .streams
            .iter()
            .filter(|(name, _)| {
                names
                    .as_ref()
                    .is_none_or(|names| names.contains(&name.as_str()))
            })
            .filter(|(name, _)| prefix.is_none_or(|prefix| name.starts_with(prefix)))
            .flat_map(|(name, stream)| {
                stream
                    .events
                    .iter()
                    .map(move |event| (name.as_str(), event))
            })
            .filter(|(_, event)| (event.at, event.number) >= begin)
            .filter(|(_, event)| event.at >= from.max(horizon) && event.at < to)
            .filter(|(_, event)| pattern.matches(&event.message))
            .collect();
        found.sort_by_key(|(_, event)| (event.at, event.number));
        let page = within(found.iter().map(|(_, event)| *event), limit).len();
        let events: Value = found[..page]
            .iter()
            .map(|(stream, event)| {
                json!({
                    "logStreamName": stream,
                    "timestamp": event.at,
                    "message": event.message,
                    "ingestionTime": event.came,
                    "eventId": format!("{:056}", event.number),
                })
            })
            .collect();
        let mut answer = json!({"events": events, "searchedLogStreams": []});
        if let Some((_, next)) = found.get(page) {
            answer["nextToken"] = json!(token('f', (next.at, next.number)));
        }
        Ok(answer)
    }
}

/// As many events as a page may have.
fn within<'a>(events: impl Iterator<Item = &'a Event>, limit: usize) -> Vec<&'a Event> {
    let mut bytes = 0;
    events
        .take(limit)
        .take_while(|event| {
            let first = bytes == 0;
            bytes += event.bytes();
            first || bytes <= PAGE_BYTES
        })
        .collect()
}
