//! Both ways of seeing changes agree.

use std::{fs, path::Path, process::Command};

use super::{dirty, dirty_by_gix, git_is_installed};

fn git(directory: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(arguments)
        .output()
        .expect("git runs");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn git_and_gix_agree_on_dirt() {
    if !git_is_installed() {
        eprintln!("SKIPPED git_and_gix_agree_on_dirt: the git program is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let check = |what: &str, expected: bool| {
        assert_eq!(dirty(root, "r").expect(what), expected, "git: {what}");
        assert_eq!(
            dirty_by_gix(root, "r").expect(what),
            expected,
            "gix: {what}"
        );
    };
    git(root, &["init", "-q"]);
    check("an empty repository", false);
    fs::write(root.join("a"), "1").expect("a file");
    check("an untracked file before the first commit", true);
    fs::write(root.join(".gitignore"), "*.log\nbuild/\n").expect("a file");
    git(root, &["add", "-A"]);
    check("staged files", true);
    git(root, &["commit", "-q", "-m", "x"]);
    check("a clean tree", false);
    fs::create_dir_all(root.join("build/x")).expect("a directory");
    fs::write(root.join("build/x/y"), "z").expect("a file");
    fs::write(root.join("x.log"), "z").expect("a file");
    check("ignored files", false);
    fs::create_dir_all(root.join("empty")).expect("a directory");
    check("an empty directory", false);
    fs::write(root.join("empty/b"), "z").expect("a file");
    check("an untracked directory", true);
    fs::remove_file(root.join("empty/b")).expect("a file");
    fs::write(root.join("a"), "22").expect("a file");
    check("a change", true);
    git(root, &["checkout", "-q", "a"]);
    check("a change taken back", false);
    fs::remove_file(root.join("a")).expect("a file");
    check("a missing file", true);
}

#[test]
fn gix_runs_no_filter_either() {
    if !git_is_installed() {
        eprintln!("SKIPPED gix_runs_no_filter_either: the git program is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (root, marker) = (directory.path().join("r"), directory.path().join("marker"));
    fs::create_dir(&root).expect("a directory");
    git(&root, &["init", "-q"]);
    fs::write(root.join("a"), "1").expect("a file");
    fs::write(root.join(".gitattributes"), "* filter=evil\n").expect("a file");
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "-q", "-m", "x"]);
    git(
        &root,
        &[
            "config",
            "filter.evil.clean",
            &format!("touch '{}'; cat", marker.display()),
        ],
    );
    fs::write(root.join("a"), "2").expect("a file of the same size");
    assert!(dirty_by_gix(&root, "r").expect("a verdict"));
    assert!(!marker.exists());
}
