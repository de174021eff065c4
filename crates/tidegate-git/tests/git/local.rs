//! Working directories, with `git status` as the judge.

use std::fs;

use tidegate_git::{Error, LocalRepository, describe};

use crate::support::{Repository, git_is_here};

fn check(repository: &Repository, expected: bool, what: &str) {
    let judged = !repository.git(&["status", "--porcelain"]).is_empty();
    assert_eq!(judged, expected, "git on {what}");
    let described = describe(&repository.path)
        .expect(what)
        .expect("a repository");
    assert_eq!(described.dirty, expected, "{what}");
}

#[test]
fn a_directory_outside_any_repository_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(describe(directory.path()).expect("no error"), None);
    assert!(
        LocalRepository::open(directory.path().join("missing"))
            .expect("no error")
            .is_none()
    );
}

#[test]
fn dirt_is_what_git_status_shows() {
    if !git_is_here("dirt_is_what_git_status_shows") {
        return;
    }
    let repository = Repository::new();
    assert_eq!(
        describe(&repository.path)
            .expect("unborn")
            .expect("a repository")
            .commit,
        None
    );
    let commit = repository.commit(&[("a/b", "1"), (".gitignore", "*.log\n")]);
    check(&repository, false, "a clean tree");
    let described = describe(repository.path.join("a"))
        .expect("below the root")
        .expect("a repository");
    assert_eq!(
        (described.commit, described.branch.as_deref()),
        (Some(commit), Some("main"))
    );
    repository.write("x.log", "ignored");
    check(&repository, false, "an ignored file");
    repository.write("new", "untracked");
    check(&repository, true, "an untracked file");
    fs::remove_file(repository.path.join("new")).expect("a file");
    repository.write("a/b", "2");
    check(&repository, true, "a change");
    repository.git(&["add", "-A"]);
    check(&repository, true, "a staged change");
    repository.git(&["commit", "-q", "-m", "x"]);
    fs::remove_file(repository.path.join("a/b")).expect("a file");
    check(&repository, true, "a missing file");
    repository.git(&["checkout", "-q", "--detach", "HEAD"]);
    repository.git(&["reset", "-q", "--hard"]);
    check(&repository, false, "a detached head");
    assert_eq!(
        describe(&repository.path)
            .expect("detached")
            .expect("a repository")
            .branch,
        None
    );
    let opened = LocalRepository::open(&repository.path)
        .expect("it opens")
        .expect("a repository");
    assert_eq!(
        opened
            .tree(repository.head())
            .expect("a tree")
            .read("a/b")
            .expect("a file"),
        b"2"
    );
    assert_eq!(
        opened
            .commit_info(repository.head())
            .expect("facts")
            .subject,
        "x"
    );
}

#[test]
fn worktrees_and_bare_repositories_are_understood() {
    if !git_is_here("worktrees_and_bare_repositories_are_understood") {
        return;
    }
    let repository = Repository::new();
    let commit = repository.commit(&[("a", "1")]);
    let other = repository.path.with_file_name("other");
    repository.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "side",
        other.to_str().expect("UTF-8"),
    ]);
    let described = describe(&other).expect("a worktree").expect("a repository");
    assert_eq!(
        (
            described.commit,
            described.dirty,
            described.branch.as_deref()
        ),
        (Some(commit), false, Some("side"))
    );
    fs::write(other.join("b"), "x").expect("a file");
    assert!(
        describe(&other)
            .expect("a worktree")
            .expect("a repository")
            .dirty
    );
    assert!(
        !describe(&repository.path)
            .expect("the main one")
            .expect("a repository")
            .dirty
    );
    let bare = repository.path.with_file_name("bare.git");
    repository.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("UTF-8")]);
    let described = describe(&bare).expect("bare").expect("a repository");
    assert_eq!((described.commit, described.dirty), (Some(commit), false));
}

#[test]
fn programs_in_the_configuration_of_a_repository_do_not_run() {
    if !git_is_here("programs_in_the_configuration_of_a_repository_do_not_run") {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("a", "1"), (".gitattributes", "* filter=evil\n")]);
    let marker = repository.path.with_file_name("marker");
    let evil = format!("touch '{}'; cat", marker.display());
    repository.git(&["config", "core.fsmonitor", &evil]);
    repository.git(&["config", "filter.evil.clean", &evil]);
    repository.git(&["config", "filter.evil.process", &evil]);
    let hook = repository.path.join(".git/hooks/post-index-change");
    fs::create_dir_all(hook.parent().expect("a parent")).expect("a directory");
    fs::write(&hook, format!("#!/bin/sh\n{evil}\n")).expect("a hook");
    #[cfg(unix)]
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("executable");
    repository.write("a", "2");
    assert!(
        describe(&repository.path)
            .expect("described")
            .expect("a repository")
            .dirty
    );
    assert!(!marker.exists());
}

#[test]
fn a_broken_repository_is_an_error() {
    if !git_is_here("a_broken_repository_is_an_error") {
        return;
    }
    let repository = Repository::new();
    repository.commit(&[("a", "1")]);
    fs::write(repository.path.join(".git/config"), "[core\n").expect("a file");
    let error = describe(&repository.path).expect_err("broken");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}
