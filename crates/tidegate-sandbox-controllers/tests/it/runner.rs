//! The task: starts, follows, comes to rest, ends.

use serde_json::{Value, json};
use std::time::Duration;
use tidegate_sandbox_controllers::{ControllerOptions, Controllers};
use tidegate_sandbox_kubernetes::{Clock, ManualClock, Objects, ResourceName};

const PODS: ResourceName = ResourceName::new("", "pods");

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    })
}

fn phase(objects: &Objects, name: &str) -> String {
    let pod = objects.get(&PODS, "default", name).unwrap();
    pod["status"]["phase"].as_str().unwrap_or("").to_owned()
}

#[tokio::test]
async fn the_task_follows_the_clock_and_ends_when_told() {
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
    let objects = Objects::in_memory(Clock::Manual(clock.clone()));
    objects
        .create(&PODS, "default", pod("early"), "test")
        .unwrap();
    let controllers = Controllers::start(objects.clone(), ControllerOptions::default());
    controllers.run_for(&clock, Duration::from_secs(5)).await;
    assert_eq!(phase(&objects, "early"), "Running");
    objects
        .create(&PODS, "default", pod("late"), "test")
        .unwrap();
    let progress = controllers.idle().await;
    assert!(
        progress.wake_at.is_some(),
        "the second pod has steps to come"
    );
    assert_eq!(phase(&objects, "late"), "Pending");
    controllers.run_for(&clock, Duration::from_secs(5)).await;
    assert_eq!(phase(&objects, "late"), "Running");
    assert_eq!(
        controllers.idle().await.wake_at,
        None,
        "quiet when nothing changes"
    );
    controllers.shutdown().await;
    objects
        .create(&PODS, "default", pod("never"), "test")
        .unwrap();
    clock.advance(Duration::from_secs(60));
    tokio::task::yield_now().await;
    assert_ne!(phase(&objects, "never"), "Running");
}

#[tokio::test]
async fn a_faster_simulation_takes_less_time() {
    let mut times = Vec::new();
    for speed in [1.0, 10.0] {
        let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().unwrap());
        let began = clock.now();
        let objects = Objects::in_memory(Clock::Manual(clock.clone()));
        objects.create(&PODS, "default", pod("p"), "test").unwrap();
        let options = ControllerOptions {
            speed,
            ..ControllerOptions::default()
        };
        let controllers = Controllers::start(objects.clone(), options);
        while let Some(due) = controllers.idle().await.wake_at {
            clock.advance(Duration::try_from(due.duration_since(clock.now())).unwrap());
        }
        assert_eq!(phase(&objects, "p"), "Running");
        times.push(clock.now().duration_since(began).as_secs_f64());
        controllers.shutdown().await;
    }
    assert!(times[0] > 0.2 && times[0] < 1.5, "{times:?}");
    assert!(times[1] < times[0] / 5.0, "{times:?}");
}
