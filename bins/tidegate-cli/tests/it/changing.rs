//! Commands on one Application that change the world: sync, rollback, delete, terminate.

use std::process::Stdio;

use serde_json::{Value, json};
use tidegate::sandbox::ResourceName;

use crate::kit::{Running, World, config_map, git, job, reasons};

/// The value of a live ConfigMap.
fn value(world: &World, name: &str) -> Option<String> {
    let objects = world.sandbox.kubernetes().objects();
    let found = objects.get(&ResourceName::of("", "configmaps"), &world.name, name)?;
    found["data"]["value"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_tells_its_events_one_a_line() {
    let world = World::new("told").await;
    world.write(
        "a.yaml",
        &(config_map("a", 0, "1") + &job("test", "PreSync", "HookSucceeded", 0, "['true']")),
    );
    let done = world.run("sync", &["-o", "json"]).ends(0);
    assert_eq!(done.err, "");
    let lines = done.lines();
    let told = reasons(&lines);
    for reason in [
        "Resolved",
        "Rendered",
        "Planned",
        "PhaseStarted",
        "WaveStarted",
        "HookStarted",
        "HookSucceeded",
        "Applied",
        "SyncSucceeded",
    ] {
        assert!(
            told.contains(&reason.to_owned()),
            "{reason} is missing: {told:?}"
        );
    }
    let applied = lines
        .iter()
        .find(|line| line["reason"] == "Applied" && line["object"]["name"] == "a")
        .unwrap();
    assert_eq!(
        (&applied["application"], &applied["phase"], &applied["wave"]),
        (&json!("told"), &json!("Sync"), &json!(0))
    );
    assert_eq!(
        applied["object"],
        json!({"target": "kubernetes:sandbox", "kind": "ConfigMap", "namespace": "told", "name": "a"})
    );
    assert_eq!(
        (&applied["origin"]["path"], &applied["origin"]["line"]),
        (&json!("app/a.yaml"), &json!(1))
    );
    for line in &lines {
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "no time: {line}"
        );
    }
    let summary = lines.last().unwrap();
    assert_eq!(summary["reason"], "Summary");
    assert_eq!(
        summary["applications"],
        json!([{"name": "told", "sync": "Synced", "health": "Healthy", "revision": "unversioned"}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_ends_1_and_says_why() {
    let world = World::new("fails").await;
    world.write(
        "a.yaml",
        &(config_map("a", 0, "1") + &job("test", "PreSync", "BeforeHookCreation", 0, "['false']")),
    );
    let lines = world.run("sync", &["-o", "json"]).ends(1).lines();
    let told = reasons(&lines);
    assert!(
        told.contains(&"HookFailed".to_owned()) && told.contains(&"SyncFailed".to_owned()),
        "{told:?}"
    );
    assert_eq!(told.last().unwrap(), "Summary");
    assert_eq!(value(&world, "a"), None);
    assert!(world.run("sync", &[]).ends(1).out.contains("Failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_documents_change_nothing() {
    let world = World::new("wrong").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    world.write(
        "b.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: b\n  name: [c\n",
    );
    let lines = world.run("sync", &["-o", "json"]).ends(1).lines();
    let failed = lines
        .iter()
        .find(|line| line["reason"] == "Failed")
        .unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(failed["origin"]["path"], "app/b.yaml", "{failed}");
    assert_eq!(value(&world, "a"), None);
    world
        .run("diff", &[])
        .ends(1)
        .says(&["error[TG", " --> app/b.yaml:"]);
    world
        .run("plan", &[])
        .ends(1)
        .says(&["error[TG", " --> app/b.yaml:"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn prune_dry_run_resource_and_options() {
    let world = World::new("flags").await;
    world
        .write("a.yaml", &config_map("a", 0, "1"))
        .write("b.yaml", &config_map("b", 0, "1"));
    world.run("sync", &["--dry-run"]).ends(0);
    assert_eq!(value(&world, "a"), None, "a dry run changes nothing");
    let told = reasons(
        &world
            .run("sync", &["--dry-run", "-o", "json"])
            .ends(0)
            .lines(),
    );
    assert_eq!(told.last().unwrap(), "Summary", "{told:?}");
    world.run("sync", &["--resource", ":ConfigMap:b"]).ends(0);
    assert_eq!(
        (value(&world, "a"), value(&world, "b").as_deref()),
        (None, Some("1"))
    );
    world.run("sync", &["--strategy", "apply"]).ends(0);
    std::fs::remove_file(world.repo().join("app/b.yaml")).unwrap();
    world.run("sync", &[]).ends(0);
    assert!(value(&world, "b").is_some(), "nothing is pruned unasked");
    world.run("sync", &["--prune"]).ends(0);
    assert!(value(&world, "b").is_none());
    world
        .run("sync", &["--sync-option", "Replace=true", "--force"])
        .ends(0);
    for wrong in [
        ["--resource", "nonsense"],
        ["--sync-option", "Nonsense=1"],
        ["--map", "nonsense"],
        ["--timeout", "soon"],
    ] {
        world.run("sync", &wrong).ends(2).says(&["error", wrong[0]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_exactly_or_refused() {
    let world = World::new("planned").await;
    let file = world.dir.path().join("plan.json");
    let file = file.to_str().unwrap();
    world.write("a.yaml", &config_map("a", 0, "1"));
    world.run("plan", &["--out", file]).ends(0);
    world.run("sync", &["--plan", file]).ends(0);
    assert_eq!(value(&world, "a").as_deref(), Some("1"));
    world
        .run("sync", &["--plan", file])
        .ends(1)
        .says(&["error[", "no longer holds", "help: "]);
    world.write("a.yaml", &config_map("a", 0, "2"));
    world.run("plan", &["--out", file]).ends(0);
    world.write("a.yaml", &config_map("a", 0, "3"));
    let lines = world
        .run("sync", &["--plan", file, "-o", "json"])
        .ends(1)
        .lines();
    assert!(
        reasons(&lines).contains(&"Failed".to_owned()),
        "a refusal is an event too: {lines:?}"
    );
    assert_eq!(lines.last().unwrap()["reason"], "Summary");
    assert_eq!(value(&world, "a").as_deref(), Some("1"));
    world
        .run("sync", &["--plan", "absent.json"])
        .ends(1)
        .says(&["error[", "absent.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_rollback() {
    let world = World::new("back").await;
    let commit = |text: &str| {
        world.write("a.yaml", &config_map("a", 0, text));
        git(&world.repo(), &["add", "-A"]);
        git(&world.repo(), &["commit", "-qm", text]);
        git(&world.repo(), &["rev-parse", "HEAD"])
    };
    git(&world.repo(), &["init", "-q"]);
    let first = commit("1");
    world
        .run("rollback", &[])
        .ends(1)
        .says(&["error[", "no earlier sync"]);
    world.run("sync", &[]).ends(0);
    let second = commit("2");
    world.run("sync", &[]).ends(0);
    let history = world.run("history", &["-o", "json"]).ends(0).json();
    let listed: Vec<(&Value, &Value)> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["id"], &entry["revisions"][0]))
        .collect();
    assert_eq!(
        listed,
        [(&json!(0), &json!(first)), (&json!(1), &json!(second))]
    );
    assert_eq!(world.run("history", &["-o", "name"]).ends(0).out, "0\n1\n");
    assert!(world.run("history", &[]).ends(0).out.contains(&first[..7]));
    world
        .run("rollback", &["--id", "7"])
        .ends(1)
        .says(&["error[", "7"]);
    let lines = world
        .run("rollback", &["--id", "0", "-o", "json"])
        .ends(0)
        .lines();
    assert_eq!(value(&world, "a").as_deref(), Some("1"));
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["reason"], &summary["applications"][0]["revision"]),
        (&json!("Summary"), &json!(first))
    );
    world.application("syncPolicy: {automated: {}, syncOptions: [CreateNamespace=true]}");
    world
        .run("rollback", &["--id", "0"])
        .ends(1)
        .says(&["error[", "auto-sync", "help: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_goes_by_the_finalizers() {
    for (name, finalizers, is_left) in [
        ("stays", "[]", true),
        ("goes", "[resources-finalizer.argocd.argoproj.io]", false),
    ] {
        let world = World::new(name).await;
        let path = world.repo().join("application.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            &path,
            text.replace(
                "metadata:\n",
                &format!("metadata:\n  finalizers: {finalizers}\n"),
            ),
        )
        .unwrap();
        world.write("a.yaml", &config_map("a", 0, "1"));
        world.run("sync", &[]).ends(0);
        world.run("delete", &[]).ends(0);
        assert_eq!(value(&world, "a").is_some(), is_left, "{name}");
        assert_eq!(
            world.run("history", &["-o", "json"]).ends(0).json(),
            json!([]),
            "what is deleted has no history"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_can_be_interrupted_given_up_and_terminated() {
    let world = World::new("held").await;
    let stuck = job("test", "PreSync", "BeforeHookCreation", 0, "['true']")
        .replace("delay: 100ms", "stuck: 'true'");
    world.write("a.yaml", &(stuck + &config_map("a", 0, "1")));
    world
        .run("sync", &["--timeout", "2s"])
        .ends(5)
        .says(&["error[TG0703]", "help: "]);
    for signal in ["INT", "TERM"] {
        let running = Running::start(world.command("sync").args(["-o", "json"]), Stdio::null());
        running.event("Waiting");
        running.signal(signal);
        let (status, _) = running.end();
        assert_eq!(status.code(), Some(130), "after SIG{signal}");
    }
    let phase = || {
        world.run("get", &["-o", "json"]).ends(0).json()["status"]["operationState"]["phase"]
            .clone()
    };
    assert_eq!(phase(), "Running", "the operation can be resumed");
    world.run("terminate", &[]).ends(0);
    assert_eq!(phase(), "Failed");
    assert!(
        world
            .run("terminate", &[])
            .ends(0)
            .out
            .contains("no running operation")
    );
}
