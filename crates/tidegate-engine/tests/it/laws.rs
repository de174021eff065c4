//! Laws over random applications: plans respect edges and are the same every time, a second sync is empty, pruning
//! never leaves the application.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tidegate_engine::{Plan, PlanAction, SyncRequest};

use crate::kit::{World, app};

/// Some objects on lines, with waves, hooks and references that never form a cycle.
fn lines() -> impl Strategy<Value = String> {
    let object = (0usize..5, -2i32..4, 0usize..8, prop::option::of(0usize..12));
    prop::collection::vec(object, 1..12).prop_map(|objects| {
        let mut text = String::new();
        for (number, (kind, wave, data, reference)) in objects.iter().enumerate() {
            let kind = ["ConfigMap", "Secret", "Deployment", "ConfigMap", "Job"][*kind];
            let hook = if kind == "Job" {
                [
                    "hook=PreSync ",
                    "hook=Sync ",
                    "hook=PostSync ",
                    "hook=SyncFail ",
                ][data % 4]
            } else {
                ""
            };
            let depends = match reference {
                Some(other) if *other < number && kind != "Job" && objects[*other].0 != 4 => {
                    let other_kind =
                        ["ConfigMap", "Secret", "Deployment", "ConfigMap"][objects[*other].0];
                    format!("depends={other_kind}:o{other} ")
                }
                _ => String::new(),
            };
            // A dependency of a later wave is a mistake of the user: here all are of the same wave.
            let wave = if depends.is_empty() && !objects.iter().any(|o| o.3 == Some(number)) {
                *wave
            } else {
                0
            };
            let value = if matches!(kind, "ConfigMap") {
                format!("data=d{data}")
            } else {
                String::new()
            };
            text.push_str(&format!(
                "{kind} o{number} wave={wave} {hook}{depends}{value}\n"
            ));
        }
        text
    })
}

/// Runs an async law for random inputs, on a clock of its own.
fn law<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value) -> Result<(), String>)
where
    S::Value: std::fmt::Debug,
{
    let mut runner = TestRunner::new(Config {
        cases,
        ..Config::default()
    });
    let outcome = runner.run(&strategy, |value| check(value).map_err(TestCaseError::fail));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(future)
}

async fn plan(world: &World, lines: &str) -> Plan {
    let desired = app(lines);
    let mut request = SyncRequest::manual(&desired.application, "tester");
    request.prune = true;
    let destination = world.destination();
    world
        .engine
        .plan(&destination, &desired, &request)
        .await
        .expect("a plan")
}

#[test]
fn plans_respect_every_edge_and_are_the_same_every_time() {
    law(60, (lines(), lines()), |(before, now)| {
        block(async {
            let world = World::new();
            world.sync(&app(&before)).await;
            let first = plan(&world, &now).await;
            let second = plan(&world, &now).await;
            if first.canonical() != second.canonical() || first.id() != second.id() {
                return Err("two plans of the same differ".to_owned());
            }
            let text = serde_json::to_string(&first).map_err(|e| e.to_string())?;
            let read: Plan = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            if read != first {
                return Err("a plan does not survive being written".to_owned());
            }
            for edge in &first.edges {
                let (before, after) = (&first.entries[edge.before], &first.entries[edge.after]);
                if (before.phase, before.wave) > (after.phase, after.wave) {
                    return Err(format!("{} comes too late", edge.reason));
                }
            }
            let place = |i: usize| (first.entries[i].phase, first.entries[i].wave);
            let sorted = (1..first.entries.len()).all(|i| place(i - 1) <= place(i));
            if sorted {
                Ok(())
            } else {
                Err("groups are out of order".to_owned())
            }
        })
    });
}

#[test]
fn a_second_sync_changes_nothing_but_hooks() {
    law(60, (lines(), lines()), |(before, now)| {
        block(async {
            let world = World::new();
            world.sync(&app(&before)).await;
            let state = world.sync(&app(&now)).await;
            if state.phase.as_str() != "Succeeded" {
                return Err(state.message);
            }
            let planned = plan(&world, &now).await;
            let changed = planned
                .entries
                .iter()
                .find(|entry| entry.action.is_change() && entry.action != PlanAction::Hook);
            if let Some(entry) = changed {
                return Err(format!("{} would be changed again", entry.key.short()));
            }
            world.log();
            world.sync(&app(&now)).await;
            let log = world.log();
            let touched = log.lines().find(|line| !line.contains("Job/"));
            touched.map_or(Ok(()), |line| Err(format!("it did {line}")))
        })
    });
}

#[test]
fn what_a_sync_does_is_what_the_plan_said() {
    law(60, (lines(), lines()), |(before, now)| {
        block(async {
            let world = World::new();
            world.sync(&app(&before)).await;
            let planned = plan(&world, &now).await;
            world.log();
            world.sync(&app(&now)).await;
            let mut expected: BTreeMap<String, String> = BTreeMap::new();
            for entry in &planned.entries {
                let verb = match entry.action {
                    PlanAction::Create => "create",
                    PlanAction::Update => "update",
                    PlanAction::Delete => "delete",
                    PlanAction::Replace => "recreate",
                    PlanAction::Hook | PlanAction::Nothing | PlanAction::Skip => continue,
                };
                let name = format!("{}/{}", entry.key.kind, entry.key.name);
                expected.insert(name, verb.to_owned());
            }
            let log = world.log();
            let done = log.lines().filter_map(|line| line.split_once(' '));
            let done: BTreeMap<String, String> = done
                .filter(|(verb, name)| *verb != "same" && !name.starts_with("Job/"))
                .map(|(verb, name)| (name.to_owned(), verb.to_owned()))
                .collect();
            if done == expected {
                Ok(())
            } else {
                Err(format!("planned {expected:?}, done {done:?}"))
            }
        })
    });
}

#[test]
fn pruning_never_leaves_the_application() {
    let foreign = prop::collection::vec((0usize..4, 0usize..12), 1..8);
    law(60, (lines(), lines(), foreign), |(before, now, foreign)| {
        block(async {
            let world = World::new();
            world.sync(&app(&before)).await;
            let mut kept = Vec::new();
            for (sort, number) in foreign {
                let name = format!("foreign-{sort}-{number}");
                let id = match sort {
                    0 => format!("other:/ConfigMap:shop/{name}"),
                    1 => "app:/ConfigMap:shop/elsewhere".to_owned(),
                    2 => format!("app-2:/ConfigMap:shop/{name}"),
                    _ => "app".to_owned(),
                };
                world.fake.put(
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
                    "name": name, "namespace": "shop",
                    "annotations": {"argocd.argoproj.io/tracking-id": id}}}),
                );
                kept.push(format!("ConfigMap/{name}"));
            }
            world.sync(&app(&now)).await;
            let names = world.fake.names();
            let lost = kept.iter().find(|name| !names.contains(name));
            lost.map_or(Ok(()), |name| Err(format!("{name} was pruned")))
        })
    });
}
