//! The queue's laws by model, and its rules by example.
use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::policy::{Exhausted, Oversize};
use crate::record::TimestampType;

fn record(offset: i64, key: Option<u8>) -> Record {
    Record {
        position: Position::Offset(offset),
        timestamp: 1_000,
        timestamp_type: TimestampType::CreateTime,
        key: key.map(|key| Bytes::from(vec![key])),
        value: Some(Bytes::from_static(b"v")),
        headers: Arc::from([]),
        encryption: None,
    }
}

fn at(millis: u64) -> Moment {
    Moment {
        running: Duration::from_millis(millis),
        wall: 1_000 + i64::try_from(millis).unwrap(),
    }
}

fn offset(position: &Position) -> i64 {
    match position {
        Position::Offset(offset) => *offset,
        Position::Sequence(_) => panic!("the tests have offsets"),
    }
}

fn offsets(work: &Work) -> Vec<i64> {
    work.records
        .iter()
        .map(|record| offset(&record.position))
        .collect()
}

/// Runs a queue of `count` records; `answer` says what comes of a work. Gives a line per work.
fn transcript(policy: Policy, count: i64, answer: impl Fn(&Work) -> Finish) -> Vec<String> {
    let mut queue = Queue::new(Arc::new(policy), 0, 7);
    for number in 0..count {
        queue.push(record(number, None), 10, at(0));
    }
    let mut now = at(0);
    let mut lines = Vec::new();
    for _ in 0..200 {
        match queue.next(now) {
            Next::Work(work) => {
                let what = work.condition.map_or("try", Condition::as_str);
                lines.push(format!("{what} {:?} #{}", offsets(&work), work.invocations));
                queue.finish(work.lane, answer(&work), now);
            }
            Next::Wait(until) => {
                now = at(u64::try_from(until.as_millis()).unwrap() + 1);
            }
            Next::Idle => break,
        }
    }
    lines.push(format!("mark {:?}", queue.mark().map(offset)));
    lines
}

fn failed() -> Finish {
    Finish::Outcome(Outcome::Failed(Failure::default()))
}

fn delivered() -> Finish {
    Finish::Outcome(Outcome::Delivered)
}

fn policy() -> Policy {
    Policy {
        batch_size: 4,
        exhausted: Exhausted::Destination,
        ..Policy::default()
    }
}

#[test]
fn batches_close_by_size_then_by_window() {
    let lines = transcript(policy(), 6, |_| delivered());
    assert_eq!(
        lines,
        ["try [0, 1, 2, 3] #1", "try [4, 5] #1", "mark Some(5)"]
    );
}

#[test]
fn a_window_is_measured_from_the_first_record() {
    let mut queue = Queue::new(Arc::new(policy()), 0, 7);
    queue.push(record(0, None), 10, at(100));
    queue.push(record(1, None), 10, at(550));
    assert_eq!(queue.next(at(599)), Next::Wait(Duration::from_millis(600)));
    assert!(matches!(queue.next(at(600)), Next::Work(work) if offsets(&work) == [0, 1]));
}

#[test]
fn batches_close_by_bytes() {
    let policy = Policy {
        batch_bytes: 21,
        ..policy()
    };
    let lines = transcript(policy, 3, |_| delivered());
    assert_eq!(lines, ["try [0, 1] #1", "try [2] #1", "mark Some(2)"]);
}

#[test]
fn two_retries_are_three_tries() {
    let policy = Policy {
        retries: Some(2),
        ..policy()
    };
    let lines = transcript(policy, 2, |work| match work.condition {
        None => failed(),
        Some(_) => Finish::GivenUp,
    });
    let expected = [
        "try [0, 1] #1",
        "try [0, 1] #2",
        "try [0, 1] #3",
        "RetryAttemptsExhausted [0, 1] #3",
        "mark Some(1)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_bisection_finds_the_bad_record_and_spends_no_retry() {
    let policy = Policy {
        retries: Some(1),
        bisect: true,
        ..policy()
    };
    let lines = transcript(policy, 4, |work| match work.condition {
        None if offsets(work).contains(&2) => failed(),
        None => delivered(),
        Some(_) => Finish::GivenUp,
    });
    let expected = [
        "try [0, 1, 2, 3] #1",
        "try [0, 1] #2",
        "try [2, 3] #2",
        "try [2] #3",
        "try [2] #4",
        "RetryAttemptsExhausted [2] #4",
        "try [3] #3",
        "mark Some(3)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_partial_failure_is_tried_from_its_first_record() {
    let policy = Policy {
        retries: Some(1),
        ..policy()
    };
    let lines = transcript(policy, 4, |work| match work.condition {
        None => match offsets(work).iter().position(|offset| *offset == 2) {
            Some(from) => Finish::Outcome(Outcome::Partial {
                from,
                failure: Failure::default(),
            }),
            None => delivered(),
        },
        Some(_) => Finish::GivenUp,
    });
    let expected = [
        "try [0, 1, 2, 3] #1",
        "try [2, 3] #2",
        "RetryAttemptsExhausted [2, 3] #2",
        "mark Some(3)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_record_that_stops_its_batch_is_given_up_alone() {
    let policy = Policy {
        retries: Some(1),
        ..policy()
    };
    let lines = transcript(policy, 4, |work| match work.condition {
        None => match offsets(work).iter().position(|offset| *offset == 1) {
            Some(at) => Finish::Outcome(Outcome::Stopped {
                at,
                then: Box::new(Outcome::Failed(Failure::default())),
            }),
            None => delivered(),
        },
        Some(_) => Finish::GivenUp,
    });
    let expected = [
        "try [0, 1, 2, 3] #1",
        "try [1] #2",
        "RetryAttemptsExhausted [1] #2",
        "try [2, 3] #1",
        "mark Some(3)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn without_a_destination_exhausted_records_hold_their_partition() {
    let policy = Policy {
        retries: Some(0),
        record_age: Some(Duration::from_secs(1)),
        exhausted: Exhausted::Block,
        ..policy()
    };
    let lines = transcript(policy, 1, |_| failed());
    assert!(lines.len() > 90, "it is tried on");
    assert!(
        lines
            .iter()
            .take(90)
            .all(|line| line.starts_with("try [0]"))
    );
    assert_eq!(lines.last().unwrap(), "mark None");
}

#[test]
fn a_busy_target_spends_no_retry() {
    let mut tries = 0;
    let policy = Policy {
        retries: Some(0),
        ..policy()
    };
    let tries = std::cell::RefCell::new(&mut tries);
    let lines = transcript(policy, 1, |_| {
        **tries.borrow_mut() += 1;
        if **tries.borrow() < 9 {
            return Finish::Outcome(Outcome::Unavailable {
                failure: Failure::default(),
                retry_after: None,
            });
        }
        delivered()
    });
    assert_eq!(lines.last().unwrap(), "mark Some(0)");
    assert_eq!(lines.len(), 10);
}

#[test]
fn old_records_at_the_front_are_given_up() {
    let mut queue = Queue::new(
        Arc::new(Policy {
            record_age: Some(Duration::from_secs(60)),
            batch_window: Duration::ZERO,
            ..policy()
        }),
        0,
        7,
    );
    queue.push(record(0, None), 10, at(0));
    let young = Record {
        timestamp: 50_000,
        ..record(1, None)
    };
    queue.push(young, 10, at(0));
    let Next::Work(work) = queue.next(at(60_000)) else {
        panic!("there is work");
    };
    assert_eq!(offsets(&work), [0]);
    assert_eq!(work.condition, Some(Condition::RecordAgeExceeded));
    queue.finish(work.lane, Finish::GiveUpFailed, at(60_000));
    assert_eq!(
        queue.mark(),
        None,
        "what is not safe is not behind the mark"
    );
    let Next::Wait(until) = queue.next(at(60_000)) else {
        panic!("a destination that fails is asked again later");
    };
    let later = Moment {
        running: until,
        wall: 61_000,
    };
    let Next::Work(work) = queue.next(later) else {
        panic!("there is work");
    };
    assert_eq!(work.condition, Some(Condition::RecordAgeExceeded));
    queue.finish(work.lane, Finish::GivenUp, later);
    let Next::Work(work) = queue.next(later) else {
        panic!("the young record is delivered");
    };
    assert_eq!((offsets(&work), work.condition), (vec![1], None));
}

#[test]
fn a_record_over_the_limit_is_given_up_alone() {
    let policy = Policy {
        batch_bytes: 9,
        oversize: Oversize::Refuse,
        ..policy()
    };
    let lines = transcript(policy, 1, |_| Finish::GivenUp);
    assert_eq!(lines, ["MaximumPayloadSizeExceeded [0] #0", "mark Some(0)"]);
}

#[test]
fn filtered_records_move_the_mark_but_not_past_open_ones() {
    let mut queue = Queue::new(Arc::new(policy()), 0, 7);
    queue.pass_over(Position::Offset(0));
    queue.push(record(1, None), 10, at(0));
    queue.pass_over(Position::Offset(2));
    assert_eq!(queue.mark(), Some(&Position::Offset(0)));
    assert!(matches!(queue.next(at(500)), Next::Work(_)));
    queue.finish(0, delivered(), at(500));
    assert_eq!(queue.mark(), Some(&Position::Offset(2)));
    assert_eq!((queue.outstanding(), queue.bytes()), (0, 0));
}

/// One step of the model.
#[derive(Clone, Debug)]
enum Step {
    Push { key: Option<u8>, passes: bool },
    Turn,
    Finish { which: usize, how: u8, from: usize },
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (proptest::option::of(0u8..6), any::<bool>())
            .prop_map(|(key, drop)| Step::Push { key, passes: drop || key.is_some() }),
        4 => Just(Step::Turn),
        4 => (any::<usize>(), 0u8..9, 0usize..6)
            .prop_map(|(which, how, from)| Step::Finish { which, how, from }),
        2 => (0u64..70_000).prop_map(Step::Later),
    ]
}

fn finish_of(work: &Work, how: u8, from: usize) -> Finish {
    let failure = Failure::default();
    if work.condition.is_some() {
        return if how < 4 {
            Finish::GivenUp
        } else {
            Finish::GiveUpFailed
        };
    }
    Finish::Outcome(match how {
        0 | 1 => Outcome::Delivered,
        2 | 3 => Outcome::Partial { from, failure },
        4 => Outcome::Failed(failure),
        5 => Outcome::Rejected(failure),
        7 => Outcome::Stopped {
            at: from,
            then: Box::new(Outcome::Failed(failure)),
        },
        8 => Outcome::Stopped {
            at: from,
            then: Box::new(Outcome::Delivered),
        },
        _ => Outcome::Unavailable {
            failure,
            retry_after: Some(Duration::from_secs(1)),
        },
    })
}

/// What the model knows.
#[derive(Default)]
struct Model {
    /// Lane of each record that passed the filters, as first seen in a work.
    lanes: BTreeMap<i64, usize>,
    settled: BTreeMap<i64, bool>,
    works: Vec<Work>,
}

impl Model {
    fn order(&mut self, work: Work) {
        assert!(
            self.works.iter().all(|other| other.lane != work.lane),
            "two works of a lane are in flight"
        );
        for pair in offsets(&work).windows(2) {
            assert!(pair[0] < pair[1], "a work is out of order");
        }
        let first = offsets(&work)[0];
        for (&offset, &lane) in &self.lanes {
            if lane == work.lane && offset < first {
                assert!(self.settled[&offset], "{offset} was overtaken by {first}");
            }
        }
        for offset in offsets(&work) {
            let lane = *self.lanes.entry(offset).or_insert(work.lane);
            assert_eq!(lane, work.lane, "{offset} changed its lane");
            assert!(!self.settled[&offset], "{offset} was done already");
        }
        self.works.push(work);
    }

    fn settle(&mut self, work: &Work, finish: &Finish) {
        let done = match finish {
            Finish::GivenUp | Finish::Outcome(Outcome::Delivered) => work.records.len(),
            Finish::Outcome(Outcome::Partial { from, .. }) if *from < work.records.len() => *from,
            Finish::Outcome(Outcome::Stopped { at, then }) => {
                let is_taken = **then == Outcome::Delivered;
                match *at < work.records.len() {
                    true => *at + usize::from(is_taken),
                    false if is_taken => work.records.len(),
                    false => 0,
                }
            }
            _ => 0,
        };
        for offset in offsets(work).into_iter().take(done) {
            self.settled.insert(offset, true);
        }
    }

    fn check(&self, queue: &Queue) {
        let mark = queue.mark().map_or(-1, offset);
        for (offset, settled) in &self.settled {
            assert!(
                *settled || *offset > mark,
                "{offset} is behind the mark {mark}"
            );
        }
        let open = self.settled.values().position(|settled| !settled);
        let expected = open.unwrap_or(self.settled.len());
        assert_eq!(mark, i64::try_from(expected).unwrap() - 1, "the mark lags");
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_overtaken(
        steps in proptest::collection::vec(step(), 1..160),
        lanes in 1usize..4,
        size in 1usize..6,
        bisect: bool,
        retries in proptest::option::of(0u64..3),
        age in proptest::option::of(Just(Duration::from_secs(60))),
        exhausted in prop_oneof![Just(Exhausted::Destination), Just(Exhausted::Block)],
    ) {
        let policy = Policy {
            batch_size: size, parallelization: lanes, bisect, retries, record_age: age, exhausted,
            ..Policy::default()
        };
        let mut queue = Queue::new(Arc::new(policy), 0, 3);
        let mut model = Model::default();
        let (mut now, mut next) = (0, 0);
        for step in steps {
            match step {
                Step::Push { key, passes } => {
                    model.settled.insert(next, !passes);
                    if passes {
                        queue.push(record(next, key), 10, at(now));
                    } else {
                        queue.pass_over(Position::Offset(next));
                    }
                    next += 1;
                }
                Step::Turn => {
                    if let Next::Work(work) = queue.next(at(now)) {
                        model.order(work);
                    }
                }
                Step::Finish { which, how, from } => {
                    if !model.works.is_empty() {
                        let index = which % model.works.len();
                        let work = model.works.remove(index);
                        let finish = finish_of(&work, how, from);
                        model.settle(&work, &finish);
                        queue.finish(work.lane, finish, at(now));
                    }
                }
                Step::Later(millis) => now += millis,
            }
            model.check(&queue);
        }
        // From here on all goes well: everything must come through.
        for _ in 0..10_000 {
            while let Some(work) = model.works.pop() {
                let finish = if work.condition.is_some() { Finish::GivenUp } else { delivered() };
                model.settle(&work, &finish);
                queue.finish(work.lane, finish, at(now));
            }
            match queue.next(at(now)) {
                Next::Work(work) => model.order(work),
                Next::Wait(until) => now = u64::try_from(until.as_millis()).unwrap() + 1,
                Next::Idle => break,
            }
        }
        model.check(&queue);
        prop_assert!(model.settled.values().all(|settled| *settled));
        prop_assert_eq!((queue.outstanding(), queue.bytes(), queue.in_flight()), (0, 0, 0));
    }
}
