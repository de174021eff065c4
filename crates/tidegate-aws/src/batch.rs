//! One batch: what waits for nothing is worked on at once, the rest as soon as what it names is done.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tidegate_applier::{ApplierError, ErrorKind};

use crate::pace::Pace;

/// Runs `work` for every place so that it begins after all of its needs succeeded. A place whose
/// need failed is not begun: `blocked` makes its answer.
pub(crate) async fn run<T, F>(
    needs: &[BTreeSet<usize>],
    pace: &Pace,
    mut work: impl FnMut(usize) -> F,
    blocked: impl Fn(usize, usize) -> ApplierError,
) -> Vec<Result<T, ApplierError>>
where
    F: Future<Output = Result<T, ApplierError>>,
{
    let mut answers: Vec<Option<Result<T, ApplierError>>> = needs.iter().map(|_| None).collect();
    let mut waiting: BTreeSet<usize> = (0..needs.len()).collect();
    let mut running = FuturesUnordered::new();
    loop {
        let mut settled_one = false;
        let mut ready = Vec::new();
        for place in &waiting {
            let mut failed = needs[*place]
                .iter()
                .filter(|need| matches!(answers[**need], Some(Err(_))));
            if let Some(need) = failed.next() {
                ready.push((*place, Some(*need)));
            } else if needs[*place]
                .iter()
                .all(|need| matches!(answers[*need], Some(Ok(_))))
            {
                ready.push((*place, None));
            }
        }
        for (place, failed) in ready {
            match failed {
                Some(need) => {
                    waiting.remove(&place);
                    answers[place] = Some(Err(blocked(place, need)));
                    settled_one = true;
                }
                None if running.len() < pace.limit() => {
                    waiting.remove(&place);
                    let task = work(place);
                    running.push(async move { (place, task.await) });
                }
                None => {}
            }
        }
        if settled_one {
            continue;
        }
        match running.next().await {
            Some((place, answer)) => answers[place] = Some(answer),
            None => break,
        }
    }
    let circle = || {
        ApplierError::new(
            ErrorKind::Invalid,
            "it waits for itself through the resources that it names",
        )
        .help("break the circle: take one of the references out, or give one side a fixed name")
    };
    answers
        .into_iter()
        .map(|answer| answer.unwrap_or_else(|| Err(circle())))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn blocked(place: usize, need: usize) -> ApplierError {
        ApplierError::new(ErrorKind::Invalid, format!("{place} needs {need}"))
    }

    #[tokio::test]
    async fn order_follows_needs_and_failure_blocks_what_follows() {
        let needs = [
            BTreeSet::from([1]),
            BTreeSet::new(),
            BTreeSet::from([0]),
            BTreeSet::from([4]),
            BTreeSet::new(),
            BTreeSet::from([3]),
        ];
        let order = RefCell::new(Vec::new());
        let answers = run(
            &needs,
            &Pace::default(),
            |place| {
                order.borrow_mut().push(place);
                async move {
                    if place == 4 {
                        Err(ApplierError::new(ErrorKind::Invalid, "no"))
                    } else {
                        Ok(place)
                    }
                }
            },
            blocked,
        )
        .await;
        let text = |answer: &Result<usize, ApplierError>| match answer {
            Ok(place) => place.to_string(),
            Err(error) => error.to_string(),
        };
        let answers: Vec<String> = answers.iter().map(text).collect();
        assert_eq!(answers, ["0", "1", "2", "3 needs 4", "no", "5 needs 3"]);
        let order = order.into_inner();
        let at = |place| order.iter().position(|found| *found == place);
        assert!(at(1) < at(0) && at(0) < at(2));
    }

    #[tokio::test]
    async fn a_circle_is_told_and_the_rest_goes_on() {
        let needs = [BTreeSet::from([1]), BTreeSet::from([0]), BTreeSet::new()];
        let answers = run(
            &needs,
            &Pace::default(),
            |place| async move { Ok(place) },
            blocked,
        )
        .await;
        assert!(answers[0].is_err() && answers[1].is_err());
        assert_eq!(answers[2].as_ref().ok(), Some(&2));
    }
}
