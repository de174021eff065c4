//! `up` and `sandbox`: the whole in one process, with its own targets.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kit::{Done, Running, application, config_map, reasons, tidegate, write};

const SERVER: &str = "syncPolicy: {syncOptions: [CreateNamespace=true]}";

/// A repository that `up` has a sandbox of its own for.
struct Repo(TempDir);

impl Repo {
    /// One Application `demo` with one object.
    fn new(manifest: &str) -> Self {
        let repo = Self(TempDir::new().unwrap());
        write(
            &repo.path().join("application.yaml"),
            &application("demo", "https://git.example.com/x.git", SERVER),
        );
        write(&repo.path().join("app/a.yaml"), manifest);
        repo
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("repo")
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = tidegate(self.0.path());
        command
            .arg("up")
            .arg(self.path())
            .arg("--dir")
            .arg(self.0.path().join("state"))
            .args(flags);
        command
    }

    fn up(&self, flags: &[&str]) -> Done {
        self.command(flags).output().unwrap().into()
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/streaming-analytics")
}

/// A Deployment; `annotation` is a fault of the sandbox.
fn deployment(annotation: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations: {{{annotation}}}\nspec:\n  selector: {{matchLabels: {{app: web}}}}\n  \
         template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: web, image: 'nginx:1.29'}}]}}\n"
    )
}

#[test]
fn up_brings_the_whole_example_to_healthy_twice() {
    let home = TempDir::new().unwrap();
    // The same folder serves a second time: the sandbox of the first is gone.
    for _ in 0..2 {
        let mut command = tidegate(home.path());
        let done: Done = command
            .arg("up")
            .arg(example())
            .arg("--dir")
            .arg(home.path().join("state"))
            .args(["-o", "json"])
            .output()
            .unwrap()
            .into();
        let lines = done.ends(0).lines();
        let told = reasons(&lines);
        assert_eq!(told.first().map(String::as_str), Some("SandboxReady"));
        let ready = &lines[0];
        assert!(
            ready["kubeconfig"]
                .as_str()
                .is_some_and(|path| path.ends_with("kubeconfig")),
            "{ready}"
        );
        for (target, place) in [("aws", "http://127.0.0.1:"), ("kafka", "127.0.0.1:")] {
            let told = ready[target].as_str();
            assert!(told.is_some_and(|told| told.starts_with(place)), "{ready}");
        }
        let summary = lines.last().unwrap();
        assert_eq!(summary["reason"], "Summary");
        let applications = summary["applications"].as_array().unwrap();
        assert!(applications.len() > 2, "{applications:?}");
        for one in applications {
            assert_eq!(
                (&one["sync"], &one["health"]),
                (&json!("Synced"), &json!("Healthy")),
                "{one}"
            );
        }
        assert!(
            !home.path().join("state/kubeconfig").exists(),
            "it ends with the sandbox"
        );
    }
}

#[test]
fn up_brings_overlays_of_one_base_to_healthy() {
    let home = TempDir::new().unwrap();
    let mut command = tidegate(home.path());
    let done: Done = command
        .arg("up")
        .arg(example().join("../kustomize-overlays"))
        .arg("--dir")
        .arg(home.path().join("state"))
        .args(["-o", "json"])
        .output()
        .unwrap()
        .into();
    let lines = done.ends(0).lines();
    let summary = lines.last().unwrap();
    let applications = summary["applications"].as_array().unwrap();
    let mut names: Vec<&str> = applications
        .iter()
        .filter(|one| one["sync"] == "Synced" && one["health"] == "Healthy")
        .filter_map(|one| one["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["orders-dev", "orders-prod", "orders-staging", "platform"],
        "{summary}"
    );
}

#[test]
fn up_tells_people_in_plain_lines() {
    let repo = Repo::new(&config_map("a", 0, "1"));
    let done = repo.up(&[]).ends(0);
    assert!(
        done.out.contains("demo") && done.out.contains("Synced") && done.out.contains("Healthy"),
        "{}",
        done.out
    );
    done.says(&[
        "https://git.example.com/x.git is read from",
        "applied ConfigMap demo/a",
        "sandbox",
    ]);
    for stream in [&done.out, &done.err] {
        assert!(
            !stream.contains('\u{1b}'),
            "escape codes in a pipe: {stream:?}"
        );
    }
}

#[test]
fn a_repository_without_applications_is_one() {
    let home = TempDir::new().unwrap();
    let repo = home.path().join("events");
    write(
        &repo.join("a.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n",
    );
    let done: Done = tidegate(home.path())
        .arg("up")
        .arg(&repo)
        .args(["-o", "json"])
        .output()
        .unwrap()
        .into();
    let summary = done.ends(0).lines().pop().unwrap();
    assert_eq!(
        summary["applications"],
        json!([{"name": "events", "sync": "Synced", "health": "Healthy", "revision": "unversioned"}])
    );
}

#[test]
fn up_gives_up_when_the_time_is_over() {
    let repo = Repo::new(&deployment("sandbox.tidegate.dev/stuck: 'true'"));
    let done = repo.up(&["--timeout", "15s", "-o", "json"]).ends(5);
    let lines = done.lines();
    assert!(
        reasons(&lines).contains(&"Waiting".to_owned()),
        "it says what it waits for: {lines:?}"
    );
    assert_eq!(
        lines.last().unwrap()["applications"][0]["health"],
        "Progressing"
    );
}

#[test]
fn up_of_something_degraded_is_no_success() {
    let repo = Repo::new(&deployment("sandbox.tidegate.dev/fail: 'no luck'"));
    let done = repo.up(&["--timeout", "60s", "-o", "json"]);
    assert!(
        matches!(done.code, Some(1 | 4)),
        "{:?}: {} {}",
        done.code,
        done.out,
        done.err
    );
    assert_eq!(
        done.lines().last().unwrap()["applications"][0]["health"],
        "Degraded"
    );
}

#[test]
fn what_comes_after_a_failed_application_does_not_wait_for_it() {
    let repo = Repo::new("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [x\n");
    let second = application("second", "https://git.example.com/x.git", SERVER)
        .replace("path: app", "path: second")
        .replace(
            "metadata:\n",
            "metadata:\n  annotations: {argocd.argoproj.io/sync-wave: '1'}\n",
        );
    write(&repo.path().join("second.yaml"), &second);
    write(&repo.path().join("second/b.yaml"), &config_map("b", 0, "1"));
    let mut command = repo.command(&["--timeout", "1h", "-o", "json"]);
    let (status, lines) = Running::start(&mut command, Stdio::null()).end();
    assert_eq!(status.code(), Some(1));
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failed: Vec<&Value> = lines
        .iter()
        .filter(|line| line["reason"] == "Failed")
        .collect();
    assert_eq!(failed.len(), 2, "each is told once: {failed:?}");
    assert_eq!(failed[0]["origin"]["path"], "app/a.yaml");
    assert_eq!(failed[1]["application"], "second");
    assert!(
        failed[1]["message"]
            .as_str()
            .is_some_and(|why| why.contains("demo")),
        "{failed:?}"
    );
    assert!(
        !lines.iter().any(|line| line["reason"] == "Applied"),
        "{lines:?}"
    );
}

#[test]
fn as_declared_leaves_what_has_no_automation() {
    let repo = Repo::new(&config_map("a", 0, "1"));
    let automated = application(
        "auto",
        "https://git.example.com/x.git",
        "syncPolicy: {automated: {}, syncOptions: [CreateNamespace=true]}",
    );
    write(&repo.path().join("auto.yaml"), &automated);
    let lines = repo.up(&["--as-declared", "-o", "json"]).ends(0).lines();
    let applied: Vec<&Value> = lines
        .iter()
        .filter(|line| line["reason"] == "Applied")
        .collect();
    assert!(
        !applied.is_empty() && applied.iter().all(|line| line["application"] == "auto"),
        "{applied:?}"
    );
}

#[test]
fn up_keeps_reconciling_until_a_signal() {
    let repo = Repo::new(&config_map("a", 0, "1"));
    let running = Running::start(
        &mut repo.command(&["--keep", "--poll-interval", "200ms", "-o", "json"]),
        Stdio::null(),
    );
    running.event("Summary");
    // Another process asks this one.
    let state = repo.0.path().join("state");
    let get = |what: &str| -> Done {
        tidegate(repo.0.path())
            .args([what, "demo", "-o", "json", "--repo"])
            .arg(repo.path())
            .arg("--dir")
            .arg(&state)
            .output()
            .unwrap()
            .into()
    };
    assert_eq!(
        get("get").ends(0).json()["status"]["sync"]["status"],
        "Synced"
    );
    assert_eq!(
        get("history").ends(0).json().as_array().map(Vec::len),
        Some(1)
    );
    let second: Done = repo.up(&[]);
    second.ends(1).says(&["error["]);
    write(
        &repo.path().join("application.yaml"),
        &application("demo", "https://git.example.com/x.git", SERVER),
    );
    running.signal("TERM");
    let (status, last) = running.end();
    assert_eq!(
        status.code(),
        Some(0),
        "ending what was to be kept is no failure"
    );
    assert!(
        last.last().is_some_and(|line| line.contains("\"Summary\"")),
        "{last:?}"
    );
    assert!(!state.join("kubeconfig").exists());
}

#[test]
fn up_can_be_interrupted() {
    let repo = Repo::new(&deployment("sandbox.tidegate.dev/stuck: 'true'"));
    let running = Running::start(&mut repo.command(&["-o", "json"]), Stdio::null());
    running.event("Waiting");
    running.signal("INT");
    let (status, last) = running.end();
    assert_eq!(status.code(), Some(130));
    assert!(
        last.last().is_some_and(|line| line.contains("\"Summary\"")),
        "{last:?}"
    );
}

#[test]
fn wrong_documents_are_told_on_both_streams() {
    let repo = Repo::new(&config_map("a", 0, "1"));
    write(
        &repo.path().join("bad.yaml"),
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: bad}\nspec: {source: 7}\n",
    );
    let done = repo.up(&["-o", "json"]).ends(1);
    let lines = done.lines();
    let failed = lines
        .iter()
        .find(|line| line["reason"] == "Failed")
        .unwrap_or_else(|| panic!("{lines:?}"));
    assert_eq!(failed["origin"]["path"], "bad.yaml", "{failed}");
    assert_eq!(lines.last().unwrap()["reason"], "Summary");
    done.says(&["error[TG", " --> bad.yaml:"]);
    let done = repo.up(&[]).ends(1);
    assert_eq!(
        done.err.matches(" --> bad.yaml:").count(),
        done.err.matches("error[TG").count(),
        "each is said once: {}",
        done.err
    );
}

#[test]
fn a_sandbox_says_where_it_is_and_ends_cleanly() {
    for signal in ["INT", "TERM"] {
        let home = TempDir::new().unwrap();
        let state = home.path().join("state");
        let mut command = tidegate(home.path());
        command.args(["sandbox", "-o", "json", "--dir"]).arg(&state);
        let running = Running::start(&mut command, Stdio::null());
        let ready: Value = serde_json::from_str(&running.line().unwrap()).unwrap();
        assert_eq!(ready["reason"], "SandboxReady");
        for (target, place) in [("aws", "http://127.0.0.1:"), ("kafka", "127.0.0.1:")] {
            let told = ready[target].as_str();
            assert!(told.is_some_and(|told| told.starts_with(place)), "{ready}");
        }
        let kubeconfig = PathBuf::from(ready["kubeconfig"].as_str().unwrap());
        assert!(kubeconfig.is_absolute() && kubeconfig.is_file());
        let second: Done = tidegate(home.path())
            .args(["sandbox", "--dir"])
            .arg(&state)
            .output()
            .unwrap()
            .into();
        second.ends(1).says(&["error[", "state"]);
        assert!(
            kubeconfig.is_file(),
            "a second one takes nothing from the first"
        );
        running.signal(signal);
        let (status, last) = running.end();
        assert_eq!(
            (status.code(), last),
            (Some(0), Vec::new()),
            "after SIG{signal}"
        );
        assert!(!kubeconfig.exists(), "it goes with the sandbox");
    }
}
