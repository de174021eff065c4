//! Windows of a queue: what is delivered with which state, when they end, and where the mark stands meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::outcome::{Failure, Outcome};
use crate::policy::{Backoff, Exhausted, Policy};
use crate::queue::{Finish, Moment, Next, Queue, Work};
use crate::record::TimestampType;
use crate::source::Progress;

fn record(number: u64, key: u8, second: i64) -> Record {
    Record {
        position: Position::Sequence(number.to_string().into()),
        timestamp: second * 1_000,
        timestamp_type: TimestampType::CreateTime,
        key: Some(Bytes::from(vec![key])),
        value: None,
        headers: Arc::from([]),
        encryption: None,
    }
}

fn policy() -> Policy {
    Policy {
        batch_window: Duration::ZERO,
        tumbling: Some(Duration::from_secs(10)),
        backoff: Backoff {
            first: Duration::ZERO,
            factor: 1.0,
            max: Duration::ZERO,
        },
        ..Policy::default()
    }
}

fn queue(policy: Policy, seconds: &[i64]) -> Queue {
    let mut queue = Queue::new(Arc::new(policy), 100, 1);
    for (number, second) in (1..).zip(seconds) {
        queue.push(record(number, 0, *second), 10, Moment::default());
    }
    queue
}

fn caught_up(queue: &mut Queue, second: i64) {
    queue.progress(Progress::Behind {
        millis: 0,
        asked: second * 1_000,
    });
}

fn failed() -> Finish {
    Finish::Outcome(Outcome::Failed(Failure::default()))
}

fn answered(state: Value, then: Outcome) -> Finish {
    let then = Box::new(then);
    Finish::Outcome(Outcome::Windowed { state, then })
}

/// A work in a line: positions, start and end in seconds, state, how it ends.
fn line(work: &Work) -> String {
    let positions: Vec<String> = work
        .records
        .iter()
        .map(|record| record.position.to_string())
        .collect();
    let Some(window) = &work.window else {
        return format!("{positions:?} without a window");
    };
    let end = match (window.is_final, window.is_terminated_early) {
        (false, _) => "",
        (true, false) => " final",
        (true, true) => " final early",
    };
    let condition = work.condition.map_or("", |condition| condition.as_str());
    let state = if window.bytes_of_state() > 100 {
        "large".to_owned()
    } else {
        window.state.to_string()
    };
    format!(
        "{} {}..{} {state}{end} {condition}",
        positions.join(","),
        window.start / 1_000,
        window.end / 1_000
    )
    .trim()
    .to_owned()
}

impl WindowPart {
    fn bytes_of_state(&self) -> usize {
        self.state.to_string().len()
    }
}

fn work(queue: &mut Queue) -> Work {
    match queue.next(Moment::default()) {
        Next::Work(work) => work,
        other => panic!("nothing to do: {other:?}"),
    }
}

/// The next work is `expected`; it is answered with `finish`; then the mark is `mark`.
fn step(queue: &mut Queue, expected: &str, finish: Finish, mark: &str) {
    let work = work(queue);
    assert_eq!(line(&work), expected);
    queue.finish(work.lane, finish, Moment::default());
    let found = queue.mark().map(ToString::to_string).unwrap_or_default();
    assert_eq!(found, mark, "after {expected}");
}

fn count(number: u64) -> Finish {
    answered(json!({ "n": number }), Outcome::Delivered)
}

fn delivered() -> Finish {
    Finish::Outcome(Outcome::Delivered)
}

#[test]
fn state_goes_through_a_window_and_the_mark_waits_for_its_end() {
    let mut queue = queue(policy(), &[1, 9, 12]);
    step(&mut queue, "1,2 0..10 {}", count(2), "");
    step(&mut queue, "0..10 {\"n\":2} final", delivered(), "2");
    step(&mut queue, "3 10..20 {}", count(1), "2");
    caught_up(&mut queue, 19);
    assert_eq!(queue.next(Moment::default()), Next::Idle);
    queue.push(record(4, 0, 19), 10, Moment::default());
    step(&mut queue, "4 10..20 {\"n\":1}", count(2), "2");
    caught_up(&mut queue, 20);
    step(&mut queue, "10..20 {\"n\":2} final", delivered(), "4");
    assert_eq!(queue.next(Moment::default()), Next::Idle);
}

#[test]
fn a_failure_changes_no_state_and_a_partial_one_keeps_what_was_taken() {
    let mut queue = queue(policy(), &[1, 2, 3]);
    step(&mut queue, "1,2,3 0..10 {}", failed(), "");
    let partial = Outcome::Partial {
        from: 2,
        failure: Failure::default(),
    };
    let state = json!({"n": 2});
    step(&mut queue, "1,2,3 0..10 {}", answered(state, partial), "");
    let partial = Outcome::Partial {
        from: 0,
        failure: Failure::default(),
    };
    let state = json!({"n": 9});
    step(
        &mut queue,
        "3 0..10 {\"n\":2}",
        answered(state, partial),
        "",
    );
    step(&mut queue, "3 0..10 {\"n\":2}", count(3), "");
    queue.progress(Progress::Over);
    step(&mut queue, "0..10 {\"n\":3} final early", delivered(), "3");
}

#[test]
fn a_state_that_is_too_big_ends_its_window_early() {
    let policy = Policy {
        batch_size: 1,
        ..policy()
    };
    let mut queue = queue(policy, &[1, 2]);
    let big = json!({"text": "x".repeat(STATE_BYTES_MAX)});
    step(
        &mut queue,
        "1 0..10 {}",
        answered(big, Outcome::Delivered),
        "",
    );
    step(&mut queue, "0..10 large final early", delivered(), "1");
    step(&mut queue, "2 0..10 {}", count(1), "1");
}

#[test]
fn an_end_that_fails_for_good_names_the_records_of_its_window() {
    let policy = Policy {
        retries: Some(1),
        exhausted: Exhausted::Destination,
        ..policy()
    };
    let mut queue = queue(policy, &[1, 2, 11]);
    step(&mut queue, "1,2 0..10 {}", count(2), "");
    step(&mut queue, "0..10 {\"n\":2} final", failed(), "");
    step(&mut queue, "0..10 {\"n\":2} final", failed(), "");
    let given_up = work(&mut queue);
    assert_eq!(
        line(&given_up),
        "0..10 {\"n\":2} final RetryAttemptsExhausted"
    );
    let span = given_up.span.unwrap();
    assert_eq!(
        (
            span.first.0.to_string(),
            span.last.0.to_string(),
            span.count
        ),
        ("1".to_owned(), "2".to_owned(), 2)
    );
    queue.finish(given_up.lane, Finish::GivenUp, Moment::default());
    step(&mut queue, "3 10..20 {}", count(1), "2");
}

proptest! {
    #[test]
    fn every_record_is_in_one_window_whose_end_knows_it(
        steps in proptest::collection::vec((0i64..6, 0u8..5, any::<bool>()), 1..60),
        fails in proptest::collection::vec(0u8..4, 400),
        lanes in 1usize..4, batch in 1usize..6, bisect in any::<bool>(),
    ) {
        let policy = Policy { parallelization: lanes, batch_size: batch, bisect, ..policy() };
        let mut queue = Queue::new(Arc::new(policy), 100, 1);
        let (mut second, mut total) = (0, 0);
        // Per lane: the start of the open window and its records.
        let mut open: BTreeMap<usize, (i64, u64)> = BTreeMap::new();
        let mut ended = 0;
        let mut fails = fails.into_iter();
        let mut run = |queue: &mut Queue| {
            while let Next::Work(work) = queue.next(Moment::default()) {
                let window = work.window.clone().unwrap();
                let (start, seen) = *open.entry(work.lane).or_insert((window.start, 0));
                prop_assert_eq!(start, window.start, "one window after the other");
                prop_assert_eq!(&window.state, &if seen == 0 { json!({}) } else { json!({"n": seen}) });
                if fails.next() == Some(0) {
                    queue.finish(work.lane, failed(), Moment::default());
                    continue;
                }
                if window.is_final {
                    prop_assert!(work.records.is_empty());
                    ended += seen;
                    open.remove(&work.lane);
                    queue.finish(work.lane, delivered(), Moment::default());
                    continue;
                }
                for record in &work.records {
                    prop_assert_eq!(start_of(record.timestamp, 10_000), start);
                }
                let seen = seen + work.records.len() as u64;
                open.insert(work.lane, (start, seen));
                queue.finish(work.lane, count(seen), Moment::default());
            }
            let mark: u64 = queue.mark().map_or(0, |mark| mark.to_string().parse().unwrap());
            let inside: u64 = open.values().map(|(_, seen)| seen).sum();
            prop_assert!(mark <= ended + inside, "the mark is behind what was delivered");
            prop_assert!(inside == 0 || mark < ended + inside, "records of open windows are not behind it");
            Ok(())
        };
        for (wait, key, is_caught_up) in steps {
            second += wait;
            total += 1;
            queue.push(record(total, key, second), 10, Moment::default());
            if is_caught_up {
                caught_up(&mut queue, second);
            }
            run(&mut queue)?;
        }
        queue.progress(Progress::Over);
        run(&mut queue)?;
        prop_assert_eq!(ended, total);
        prop_assert_eq!(queue.mark().unwrap().to_string(), total.to_string());
    }
}
