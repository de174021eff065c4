//! `kill -9` of `tidegate sync` at random moments: after the restart no hook runs twice and no step is lost.
//!
//! `TIDEGATE_KILLS` is the number of kills, `TIDEGATE_SEED` the seed. What happened is read from the sandbox's event log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::sandbox::{Change, ChangeKind, Changes, Objects, ResourceName};

use crate::kit::{Running, World, application, config_map, git, job, write};

/// Kills of an ordinary test run.
const KILLS: u64 = 20;
/// Most kills of one round.
const KILLS_PER_ROUND: u32 = 3;
/// Longest time that a sync may take before the test gives it up.
const LIMIT: Duration = Duration::from_secs(60);
const TRUE: &str = "['true']";
/// The annotation by which a hook belongs to one operation.
const OPERATION: &str = "tidegate.dev/operation-id";

/// The hooks, by name, and the phase in which they run.
const HOOKS: [(&str, &str, &str, i32); 4] = [
    ("check", "PreSync", "BeforeHookCreation", 0),
    ("migrate", "PreSync", "HookSucceeded", 1),
    ("load", "Sync", "BeforeHookCreation", 1),
    ("smoke", "PostSync", "HookSucceeded", 0),
];
/// Objects that stay, by name and wave.
const KEPT: [(&str, i32); 6] = [
    ("a0", 0),
    ("b0", 0),
    ("a1", 1),
    ("b1", 1),
    ("a2", 2),
    ("b2", 2),
];
/// Objects that leave Git in each second round, by name and wave.
const COMING_AND_GOING: [(&str, i32); 4] = [("g0", 0), ("g1", 1), ("h1", 1), ("g2", 2)];

/// Stages of one wave.
const WAVE: i32 = 10;

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse().expect("a number"))
}

/// How one run of the command ended.
enum End {
    Killed,
    Code(Option<i32>, String),
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sync_goes_on_where_it_was() {
    let (kills, seed) = (number("TIDEGATE_KILLS", KILLS), number("TIDEGATE_SEED", 1));
    let world = World::new("killed").await;
    let url = format!("file://{}", world.repo().display());
    let spec = "syncPolicy: {syncOptions: [CreateNamespace=true]}";
    write(
        &world.repo().join("application.yaml"),
        &application(&world.name, &url, spec),
    );
    git(&world.repo(), &["init", "-q"]);
    let objects = world.sandbox.kubernetes().objects();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut span = Duration::ZERO;
    let (mut killed, mut resumed, mut round) = (0, 0, 0);
    // The first two rounds are not disturbed: they show how long one takes, with and without prunes.
    while killed < kills || round < 2 {
        round += 1;
        let commit = change_git(&world, round);
        // Odd rounds read the directory, even ones a mirror of it.
        let source = if round % 2 == 0 {
            url.clone()
        } else {
            world.repo().display().to_string()
        };
        let before = objects
            .list(&ResourceName::of("", "configmaps"), Some(&world.name))
            .0;
        let began = Instant::now();
        let mut kills_left = if round > 2 { KILLS_PER_ROUND } else { 0 };
        let context =
            |killed: u64| format!("seed {seed}, round {round} ({commit}), after {killed} kills");
        loop {
            let is_killed_again = kills_left == KILLS_PER_ROUND || random.below(2) == 0;
            let at = (kills_left > 0 && is_killed_again).then(|| {
                Duration::from_micros(random.below(u64::try_from(span.as_micros()).unwrap()))
            });
            match sync(&world, &source, at) {
                End::Killed => {
                    killed += 1;
                    kills_left -= 1;
                    resumed += u64::from(!created(&objects, &world, before).is_empty());
                }
                End::Code(code, err) => {
                    assert_eq!(code, Some(0), "{}: {err}", context(killed));
                    break;
                }
            }
        }
        if round <= 2 {
            span = span.max(began.elapsed());
        }
        let log = Log::read(&objects, &world, before);
        let wrong = log.wrong(round);
        assert!(
            wrong.is_empty(),
            "{}: {wrong:#?}\n{}",
            context(killed),
            log.text()
        );
        settled(&objects, &world, round, &context(killed));
    }
    println!(
        "seed {seed}: {killed} kills in {round} rounds, {resumed} of them after a hook had begun; an undisturbed sync took {span:?}"
    );
}

/// Writes what Git has in a round and commits it.
fn change_git(world: &World, round: u64) -> String {
    let value = round.to_string();
    let kept: String = KEPT
        .iter()
        .map(|(name, wave)| config_map(name, *wave, &value))
        .collect();
    let hooks: String = HOOKS
        .iter()
        .map(|(name, hook, policy, wave)| job(name, hook, policy, *wave, TRUE))
        .collect();
    let going = COMING_AND_GOING.iter().filter(|_| round % 2 == 1);
    let going: String = going
        .map(|(name, wave)| config_map(name, *wave, &value))
        .collect();
    world
        .write("kept.yaml", &kept)
        .write("hooks.yaml", &hooks)
        .write("going.yaml", &going);
    git(&world.repo(), &["add", "-A"]);
    git(&world.repo(), &["commit", "-qm", &value]);
    git(&world.repo(), &["rev-parse", "HEAD"])
}

/// Runs a sync, to its end or until it is killed.
fn sync(world: &World, source: &str, kill_at: Option<Duration>) -> End {
    let mut command = crate::kit::tidegate(world.dir.path());
    command
        .args(["sync", &world.name, "--prune", "--repo", source, "--dir"])
        .arg(world.state());
    let told = world.dir.path().join("err");
    let err = std::fs::File::create(&told).unwrap();
    let running = Running::start(&mut command, err.into());
    let status = running.end_or_kill(kill_at.unwrap_or(LIMIT));
    let err = || std::fs::read_to_string(&told).unwrap();
    match status {
        Some(status) => End::Code(status.code(), err()),
        None if kill_at.is_some() => End::Killed,
        None => End::Code(None, format!("it does not end: {}", err())),
    }
}

/// What happened to the application's objects since a revision.
struct Log(Vec<Change>);

fn created(objects: &Objects, world: &World, since: u64) -> Vec<Change> {
    let Log(changes) = Log::read(objects, world, since);
    changes
        .into_iter()
        .filter(|change| change.kind == ChangeKind::Added && kind(change) == "Job")
        .collect()
}

fn kind(change: &Change) -> &str {
    text(&change.object, "/kind")
}

fn name(change: &Change) -> &str {
    text(&change.object, "/metadata/name")
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The operation of a hook, without its phase.
fn operation(change: &Change) -> &str {
    let mark = change.object["metadata"]["annotations"][OPERATION]
        .as_str()
        .expect("a hook has its mark");
    mark.rsplit_once('/')
        .expect("the mark ends with the phase")
        .0
}

impl Log {
    fn read(objects: &Objects, world: &World, since: u64) -> Self {
        let Changes::Known { changes, .. } = objects.changes_after(since) else {
            panic!("the sandbox forgot what happened in this round");
        };
        let is_ours = |change: &Change| text(&change.object, "/metadata/namespace") == world.name;
        let is_told = |change: &Change| {
            matches!(kind(change), "Job" | "ConfigMap") && name(change) != "kube-root-ca.crt"
        };
        Self(
            changes
                .into_iter()
                .filter(|change| is_ours(change) && is_told(change))
                .collect(),
        )
    }

    fn text(&self) -> String {
        let line = |change: &Change| {
            let mark = change.object["metadata"]["annotations"][OPERATION]
                .as_str()
                .unwrap_or_default();
            format!(
                "{} {:?} {} {} {mark} {}\n",
                change.revision,
                change.kind,
                kind(change),
                name(change),
                text(&change.object, "/data/value")
            )
        };
        self.0.iter().map(line).collect()
    }

    /// Where a change stands in the log.
    fn places(&self, is_meant: impl Fn(&Change) -> bool) -> Vec<usize> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, change)| is_meant(change))
            .map(|(place, _)| place)
            .collect()
    }

    /// Everything that is against the rules.
    fn wrong(&self, round: u64) -> Vec<String> {
        let mut wrong = self.wrong_hooks();
        let value = round.to_string();
        let is_going = round.is_multiple_of(2);
        let mut steps: Vec<(i32, String, usize)> = Vec::new();
        let expected = KEPT
            .iter()
            .chain(COMING_AND_GOING.iter().filter(|_| !is_going));
        for (object, wave) in expected {
            let is_write = |change: &Change| {
                kind(change) == "ConfigMap"
                    && name(change) == *object
                    && change.kind != ChangeKind::Deleted
            };
            let places = self.places(is_write);
            let is_right = |place: &usize| text(&self.0[*place].object, "/data/value") == value;
            match places.as_slice() {
                [place] if is_right(place) => {
                    steps.push((wave * WAVE, (*object).to_owned(), *place));
                }
                other => wrong.push(format!("{object} was written {} times", other.len())),
            }
        }
        for (object, wave) in COMING_AND_GOING.iter().filter(|_| is_going) {
            // That it is being deleted shows before it is gone.
            let places = self.places(|change| {
                name(change) == *object
                    && kind(change) == "ConfigMap"
                    && !(change.kind == ChangeKind::Modified && is_deleting(change))
            });
            match places.as_slice() {
                [place] if self.0[*place].kind == ChangeKind::Deleted => {
                    // Last wave first: the first with what wave 0 applies, the others one by one before wave 1.
                    steps.push((2 - wave, (*object).to_owned(), *place));
                }
                other => wrong.push(format!("{object} was touched {} times", other.len())),
            }
        }
        wrong.extend(self.wrong_order(&steps));
        wrong
    }

    /// Each operation that was begun was ended, so each has every hook once.
    fn wrong_hooks(&self) -> Vec<String> {
        let mut runs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut operations: BTreeSet<&str> = BTreeSet::new();
        for change in self
            .0
            .iter()
            .filter(|change| kind(change) == "Job" && change.kind == ChangeKind::Added)
        {
            operations.insert(operation(change));
            *runs.entry((operation(change), name(change))).or_default() += 1;
        }
        let mut wrong = Vec::new();
        if operations.is_empty() {
            wrong.push("no hook ran".to_owned());
        }
        for operation in operations {
            for (hook, ..) in HOOKS {
                match runs.get(&(operation, hook)) {
                    Some(1) => {}
                    times => wrong.push(format!(
                        "{hook} ran {} times in operation {operation}",
                        times.unwrap_or(&0)
                    )),
                }
            }
        }
        wrong
    }

    /// Waves one after the other; PreSync hooks before, PostSync hooks after, the Sync hook in its wave.
    fn wrong_order(&self, steps: &[(i32, String, usize)]) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut ordered: Vec<(i32, &str, usize, usize)> = steps
            .iter()
            .map(|(stage, name, place)| (*stage, name.as_str(), *place, *place))
            .collect();
        for (hook, phase, _, wave) in HOOKS {
            let Some(began) = self
                .places(|change| is_job(change, hook) && change.kind == ChangeKind::Added)
                .first()
                .copied()
            else {
                continue;
            };
            let ended = self.places(|change| is_job(change, hook) && is_complete(change));
            let ended = ended.into_iter().find(|place| *place > began);
            let Some(ended) = ended else {
                wrong.push(format!("{hook} did not end"));
                continue;
            };
            let stage = match phase {
                "PreSync" => (wave - 100) * WAVE,
                "PostSync" => (wave + 100) * WAVE,
                _ => wave * WAVE,
            };
            ordered.push((stage, hook, began, ended));
        }
        for (stage, name, _, ended) in &ordered {
            for (later, other, began, _) in &ordered {
                // Of one wave, a killed sync may prune the next of its own before the rest is applied.
                let is_mixed = stage / WAVE == later / WAVE;
                if stage < later
                    && ended > began
                    && !(is_mixed && is_pruned(name) != is_pruned(other))
                {
                    wrong.push(format!(
                        "{other} of stage {later} began before {name} of stage {stage} had ended"
                    ));
                }
            }
        }
        wrong
    }
}

fn is_deleting(change: &Change) -> bool {
    !text(&change.object, "/metadata/deletionTimestamp").is_empty()
}

fn is_pruned(name: &str) -> bool {
    COMING_AND_GOING.iter().any(|(other, _)| *other == name)
}

fn is_job(change: &Change, hook: &str) -> bool {
    kind(change) == "Job" && name(change) == hook
}

fn is_complete(change: &Change) -> bool {
    let conditions = change
        .object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one["type"] == "Complete" && one["status"] == "True")
    })
}

/// What is live is what Git has; hooks are there or gone as their policies say.
fn settled(objects: &Objects, world: &World, round: u64, context: &str) {
    let listed = |resource: ResourceName| -> Vec<(String, String)> {
        let (_, found) = objects.list(&resource, Some(&world.name));
        let pair = |object: &std::sync::Arc<Value>| {
            (
                text(object, "/metadata/name").to_owned(),
                text(object, "/data/value").to_owned(),
            )
        };
        found
            .iter()
            .map(pair)
            .filter(|(name, _)| name != "kube-root-ca.crt")
            .collect()
    };
    let going = COMING_AND_GOING.iter().filter(|_| round % 2 == 1);
    let mut expected: Vec<(String, String)> = KEPT
        .iter()
        .chain(going)
        .map(|(name, _)| ((*name).to_owned(), round.to_string()))
        .collect();
    expected.sort();
    assert_eq!(
        listed(ResourceName::of("", "configmaps")),
        expected,
        "{context}"
    );
    let jobs: Vec<String> = listed(ResourceName::of("batch", "jobs"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        jobs,
        ["check", "load"],
        "{context}: what BeforeHookCreation keeps and HookSucceeded deletes"
    );
}
