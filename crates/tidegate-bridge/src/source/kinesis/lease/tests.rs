//! Who takes, asks and waits; and that replicas come to a balance whatever order they look in.

use proptest::prelude::*;

use super::*;

fn lease(shard: &str, owner: Option<&str>) -> (Arc<str>, Lease) {
    let lease = Lease {
        shard: shard.into(),
        owner: owner.map(Into::into),
        counter: 1,
        checkpoint: Checkpoint::TrimHorizon,
        parents: Vec::new(),
        wanted_by: None,
    };
    (shard.into(), lease)
}

fn check(own: &str, leases: &Leases, stale: &[&str], expected: &[Step]) {
    let stale = stale.iter().map(|shard| Arc::from(*shard)).collect();
    assert_eq!(steps(own, leases, &stale), expected);
}

#[test]
fn checkpoints_are_read_as_they_are_written() {
    for checkpoint in [
        Checkpoint::TrimHorizon,
        Checkpoint::At(1_700_000_000_123),
        Checkpoint::After("49590338271490256608559692538361571095921575989136588898".into()),
        Checkpoint::Ended,
    ] {
        assert_eq!(Checkpoint::read(&checkpoint.to_string()), Some(checkpoint));
    }
    for text in ["", "LATEST", "12a", "AT_TIMESTAMP:x"] {
        assert_eq!(Checkpoint::read(text), None, "{text:?}");
    }
}

#[test]
fn children_wait_for_all_their_parents() {
    let mut leases = Leases::from([lease("a", Some("x")), lease("b", Some("x"))]);
    let (name, mut child) = lease("c", None);
    child.parents = vec!["a".into(), "b".into()];
    leases.insert(name, child);
    check("x", &leases, &[], &[]);
    for parent in ["a", "b"] {
        leases.get_mut(parent).unwrap().checkpoint = Checkpoint::Ended;
        leases.get_mut(parent).unwrap().owner = None;
        let expected: &[Step] = match parent {
            "a" => &[],
            _ => &[Step::Take("c".into())],
        };
        check("x", &leases, &[], expected);
    }
    leases.remove("a");
    leases.remove("b");
    check("x", &leases, &[], &[Step::Take("c".into())]);
}

#[test]
fn a_newcomer_asks_the_richest_and_asks_once() {
    let mut leases = Leases::from(["a", "b", "c"].map(|shard| lease(shard, Some("x"))));
    check("x", &leases, &[], &[]);
    check("y", &leases, &[], &[Step::Ask("a".into())]);
    leases.get_mut("a").unwrap().wanted_by = Some("y".into());
    check("y", &leases, &[], &[]);
    check("z", &leases, &[], &[Step::Ask("b".into())]);
    leases.get_mut("a").unwrap().owner = Some("y".into());
    leases.get_mut("a").unwrap().wanted_by = None;
    check("y", &leases, &[], &[]);
}

#[test]
fn what_a_lost_replica_had_is_shared() {
    let leases = Leases::from([
        lease("a", Some("x")),
        lease("b", Some("y")),
        lease("c", Some("lost")),
        lease("d", Some("lost")),
    ]);
    let taken = steps("x", &leases, &BTreeSet::from(["c".into(), "d".into()]));
    assert_eq!(taken.len(), 1, "one each: {taken:?}");
}

#[test]
fn only_finished_leases_are_forgotten() {
    let mut leases = Leases::from([lease("a", None), lease("b", None), lease("c", None)]);
    leases.get_mut("a").unwrap().checkpoint = Checkpoint::Ended;
    leases.get_mut("c").unwrap().checkpoint = Checkpoint::Ended;
    let listed = BTreeSet::from(["c".into()]);
    assert_eq!(forgotten(&leases, &listed), ["a".into()]);
}

proptest! {
    #[test]
    fn replicas_come_to_a_balance(
        shards in 1usize..24, replicas in 1usize..6, lost in 0usize..4,
        order in proptest::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let names: Vec<String> = (0..replicas).map(|number| format!("r{number}")).collect();
        let mut leases: Leases = (0..shards).map(|shard| lease(&format!("s{shard:02}"), None)).collect();
        let mut stale = BTreeSet::new();
        for (shard, lease) in leases.iter_mut().take(lost) {
            lease.owner = Some("lost".into());
            stale.insert(Arc::clone(shard));
        }
        for index in order {
            let own = index.get(&names);
            for step in steps(own, &leases, &stale) {
                match step {
                    Step::Take(shard) => {
                        let lease = leases.get_mut(&shard).unwrap();
                        prop_assert!(lease.owner.is_none() || stale.contains(&shard), "nothing is stolen");
                        lease.owner = Some(own.as_str().into());
                        stale.remove(&shard);
                    }
                    Step::Ask(shard) => {
                        leases.get_mut(&shard).unwrap().wanted_by = Some(own.as_str().into());
                    }
                }
            }
            // What is asked of the one that looks is handed over.
            for lease in leases.values_mut().filter(|lease| lease.owner.as_deref() == Some(own.as_str())) {
                if let Some(wanted) = lease.wanted_by.take() {
                    lease.owner = Some(wanted);
                }
            }
        }
        let counts: Vec<usize> = names
            .iter()
            .map(|name| leases.values().filter(|lease| lease.owner.as_deref() == Some(name.as_str())).count())
            .collect();
        prop_assert_eq!(counts.iter().sum::<usize>(), shards, "every shard is read");
        let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        prop_assert!(most - least <= 1, "{:?}", counts);
    }
}
