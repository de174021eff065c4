//! Repositories: by address, with revisions, and what they may not name.

use std::path::Path;
use std::process::Command;

use tidegate::Tidegate;
use tidegate::engine::Wanted;

use crate::cluster::{config_map, text};

fn git(dir: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git runs");
    assert!(
        done.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn application(name: &str, repo: &str, revision: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  source: {{repoURL: '{repo}', path: app, targetRevision: '{revision}'}}\n  \
         destination: {{name: in-cluster, namespace: default}}\n---\n"
    )
}

/// A bare repository with two commits and a tag, and its working directory.
fn repository(dir: &Path) -> (std::path::PathBuf, [String; 2]) {
    let (work, bare) = (dir.join("work"), dir.join("bare.git"));
    std::fs::create_dir_all(work.join("app")).unwrap();
    git(&work, &["init", "-q"]);
    std::fs::write(work.join("app/a.yaml"), config_map("a", 0, "1")).unwrap();
    let here = text(&bare);
    let applications = application("head", &here, "")
        + &application("tagged", &here, "1.x")
        + &application("elsewhere", "/etc", "").replace("path: app", "path: ssl");
    std::fs::write(work.join("apps.yaml"), applications).unwrap();
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-qm", "one"]);
    git(&work, &["tag", "v1.2.0"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    std::fs::write(work.join("app/a.yaml"), config_map("a", 0, "2")).unwrap();
    git(&work, &["commit", "-qam", "two"]);
    let second = git(&work, &["rev-parse", "HEAD"]);
    git(dir, &["clone", "-q", "--bare", "work", "bare.git"]);
    (bare, [first, second])
}

async fn open(location: &Path, state: &Path) -> Tidegate {
    Tidegate::open(&text(location))
        .dir(Some(state.to_owned()))
        .build()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_resolve_per_source() {
    let dir = tempfile::tempdir().unwrap();
    let (bare, [first, second]) = repository(dir.path());
    let tidegate = open(&bare, &dir.path().join("state")).await;
    assert_eq!(tidegate.names(), ["elsewhere", "head", "tagged"]);
    for (name, commit, value) in [("head", &second, "2"), ("tagged", &first, "1")] {
        let desired = tidegate.render(name, Wanted::Newest).await.unwrap();
        assert_eq!(desired.revisions(), std::slice::from_ref(commit), "{name}");
        let object = &desired.sources[0].objects[0];
        assert_eq!(object.body["data"]["value"], *value, "{name}");
        assert_eq!(
            (
                object.origin.path.as_str(),
                object.origin.line,
                &object.origin.commit
            ),
            ("app/a.yaml", 1, commit)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_may_not_name_a_path_of_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let (bare, _) = repository(dir.path());
    let tidegate = open(&bare, &dir.path().join("state")).await;
    let refused = tidegate
        .render("elsewhere", Wanted::Newest)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("/etc") && refused.contains("--map"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_read_as_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (_, [_, second]) = repository(dir.path());
    let (work, state) = (dir.path().join("work"), dir.path().join("state"));
    let tidegate = open(&work, &state).await;
    let desired = tidegate.render("tagged", Wanted::Newest).await.unwrap();
    assert_eq!(
        desired.revisions(),
        std::slice::from_ref(&second),
        "the path exists here, so it is read from here"
    );
    std::fs::write(work.join("app/a.yaml"), config_map("a", 0, "3")).unwrap();
    let dirty = tidegate.render("tagged", Wanted::Newest).await.unwrap();
    assert_eq!(dirty.revisions(), [format!("{second}+dirty")]);
    assert_eq!(dirty.sources[0].objects[0].body["data"]["value"], "3");
    let earlier = tidegate
        .render("tagged", Wanted::Revisions(vec![second]))
        .await
        .unwrap();
    assert_eq!(
        earlier.sources[0].objects[0].body["data"]["value"], "2",
        "a committed revision can be read again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_applications_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("My_Pipeline");
    std::fs::create_dir_all(root.join("deep")).unwrap();
    std::fs::write(root.join("deep/a.yaml"), config_map("a", 0, "1")).unwrap();
    let tidegate = open(&root, &dir.path().join("state")).await;
    assert_eq!(tidegate.names(), ["my-pipeline"]);
    let desired = tidegate
        .render("my-pipeline", Wanted::Newest)
        .await
        .unwrap();
    assert_eq!(
        desired.sources[0].objects.len(),
        1,
        "{:?}",
        desired.diagnostics
    );
    assert_eq!(desired.revisions(), ["unversioned"]);
}
