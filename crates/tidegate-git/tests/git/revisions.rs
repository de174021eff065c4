//! Target revisions against real repositories, with git as the judge.

use std::collections::BTreeMap;

use tidegate_git::{Error, Mirror};

use crate::support::{Fixture, Repository, git_is_here};

fn check(
    mirror: &Mirror,
    revision: &str,
    prefix: &str,
    expected: Result<tidegate_git::ObjectId, &str>,
) {
    match (mirror.resolve(revision, prefix), expected) {
        (Ok(resolved), Ok(commit)) => assert_eq!(resolved.commit, commit, "{revision:?}"),
        (Err(error), Err(words)) => {
            assert!(error.to_string().contains(words), "{revision:?}: {error}");
        }
        (got, expected) => panic!("{revision:?}: {got:?} instead of {expected:?}"),
    }
}

#[test]
fn names_versions_and_abbreviations() {
    if !git_is_here("names_versions_and_abbreviations") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    let one = repository.commit(&[("a", "1")]);
    repository.git(&["tag", "v1.0.0"]);
    let two = repository.commit(&[("a", "2")]);
    repository.git(&["tag", "-a", "-m", "x", "v1.1.0"]);
    let three = repository.commit(&[("a", "3")]);
    repository.git(&["tag", "v2.0.0-rc.1"]);
    repository.git(&["tag", "app/v0.9.0", "v1.0.0"]);
    repository.git(&["branch", "release-1.x", "v1.0.0"]);
    repository.git(&["update-ref", "refs/pull/7/head", &one.to_string()]);
    repository.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/release-1.x"]);
    check(&mirror, "", "", Ok(three));
    check(&mirror, "HEAD", "", Ok(three));
    check(&mirror, "main", "", Ok(three));
    check(&mirror, "release-1.x", "", Ok(one));
    check(&mirror, "alias", "", Ok(one));
    check(&mirror, "refs/tags/v1.1.0", "", Ok(two));
    check(&mirror, "v1.1.0", "", Ok(two));
    check(&mirror, "1.x", "", Ok(two));
    check(&mirror, ">=1.0.0-0", "", Ok(three));
    check(&mirror, ">=0.1.0", "app/v", Ok(one));
    check(&mirror, "refs/pull/7/head", "", Ok(one));
    check(&mirror, "pull/7/head", "", Ok(one));
    check(
        &mirror,
        "pull/8/head",
        "",
        Err("unable to resolve 'pull/8/head'"),
    );
    check(&mirror, "mian", "", Err("did you mean 'main'?"));
    check(&mirror, ">=9", "", Err("unable to resolve"));
    check(&mirror, "../../etc/passwd", "", Err("unable to resolve"));
    check(&mirror, &two.to_string(), "", Ok(two));
    check(&mirror, &two.to_string()[..8], "", Ok(two));
    check(&mirror, &two.to_string()[..7].to_uppercase(), "", Ok(two));
    check(&mirror, "0000000", "", Err("unable to resolve"));
    // A tree is no commit, although its name fits.
    check(
        &mirror,
        &repository.id("HEAD^{tree}").to_string()[..9],
        "",
        Err("unable to resolve"),
    );
}

#[test]
fn an_ambiguous_abbreviation_names_its_candidates() {
    if !git_is_here("an_ambiguous_abbreviation_names_its_candidates") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let first = repository.commit(&[("a", "1")]);
    // Objects are trusted by their file names until they are hashed, so a copy of the commit under a neighbour's name is a second one.
    let text = repository.git(&["cat-file", "commit", "HEAD"]);
    let mirror = fixture.of(&repository);
    mirror.ensure(first).expect("a fetch");
    let twin = format!("{}{}", &first.to_string()[..20], "0".repeat(20));
    let path = fixture.on_disk().join("objects").join(&twin[..2]);
    std::fs::create_dir_all(&path).expect("a directory");
    let loose = repository.pipe(
        &["hash-object", "-t", "commit", "-w", "--stdin"],
        format!("{text}\n").as_bytes(),
    );
    let stored = repository
        .path
        .join(".git/objects")
        .join(&loose[..2])
        .join(&loose[2..]);
    std::fs::copy(stored, path.join(&twin[2..])).expect("a copy");
    let error = mirror
        .resolve(&first.to_string()[..10], "")
        .expect_err("two commits");
    assert!(
        matches!(&error, Error::AmbiguousRevision { candidates, .. } if candidates.len() == 2),
        "{error}"
    );
}

#[test]
fn an_empty_repository_says_so() {
    if !git_is_here("an_empty_repository_says_so") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    assert!(mirror.poll().expect("a listing").is_empty());
    check(&mirror, "", "", Err("unable to resolve"));
    check(&mirror, "main", "", Err("unable to resolve"));
    let commit = repository.commit(&[("a", "1")]);
    check(&mirror, "main", "", Ok(commit));
}

#[test]
fn a_detached_head_is_head() {
    if !git_is_here("a_detached_head_is_head") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let first = repository.commit(&[("a", "1")]);
    let second = repository.commit(&[("a", "2")]);
    repository.git(&["checkout", "-q", "--detach", &first.to_string()]);
    let mirror = fixture.of(&repository);
    check(&mirror, "", "", Ok(first));
    check(&mirror, "main", "", Ok(second));
}

/// Every name that `git ls-remote` prints means the same commit to git and to the mirror.
#[test]
fn resolving_agrees_with_git() {
    if !git_is_here("resolving_agrees_with_git") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    for step in 0..12 {
        repository.commit(&[("a", &step.to_string())]);
        match step % 4 {
            0 => repository.git(&["branch", &format!("topic/{step}")]),
            1 => repository.git(&["tag", &format!("light-{step}")]),
            2 => repository.git(&["tag", "-a", "-m", "x", &format!("heavy-{step}")]),
            // The same name for a branch and a tag on different commits.
            _ => repository.git(&["branch", &format!("heavy-{}", step - 1), "HEAD~1"]),
        };
    }
    let mirror = fixture.of(&repository);
    let listed = repository.git(&["ls-remote", "."]);
    let by_name: BTreeMap<&str, &str> = listed
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(id, name)| (name, id))
        .collect();
    let mut compared = 0;
    for name in by_name.keys().filter(|name| !name.ends_with("^{}")) {
        let short = name
            .trim_start_matches("refs/heads/")
            .trim_start_matches("refs/tags/");
        for revision in [name, short] {
            let judged = repository.id(&format!("{revision}^{{commit}}"));
            check(&mirror, revision, "", Ok(judged));
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
    for commit in repository.git(&["rev-list", "--all"]).lines() {
        let abbreviated = repository.git(&["rev-parse", "--short=7", commit]);
        check(
            &mirror,
            &abbreviated,
            "",
            Ok(commit.parse().expect("a name")),
        );
    }
}
