//! What a mirror goes through: force pushes, vanished branches, damage, many users at once.

use std::{fs, path::Path};

use tidegate_git::{Credentials, Error, Mirrors, ObjectId, Remote};

use crate::{
    server::{Behaviour, HttpServer},
    support::{Fixture, Repository, git_is_here, options},
};

#[test]
fn force_pushes_and_vanished_branches() {
    if !git_is_here("force_pushes_and_vanished_branches") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    let base = repository.commit(&[("a", "1")]);
    let lost = repository.commit(&[("a", "2")]);
    mirror.ensure(lost).expect("a fetch");
    repository.git(&["reset", "-q", "--hard", &base.to_string()]);
    let forced = repository.commit(&[("a", "3")]);
    assert_eq!(mirror.resolve("main", "").expect("main").commit, forced);
    mirror.ensure(forced).expect("a fetch over a force push");
    assert!(mirror.tree(lost).is_ok(), "what was fetched stays readable");
    assert_eq!(
        mirror.changed_paths(lost, forced).expect("a comparison"),
        ["a"]
    );
    // A branch makes way for a directory of branches with its name, and back.
    for name in ["x", "x/y", "x/y/z", "x"] {
        repository.git(&["checkout", "-q", "-b", name, "main"]);
        let commit = repository.commit(&[("b", name)]);
        assert_eq!(mirror.resolve(name, "").expect(name).commit, commit);
        mirror.ensure(commit).expect(name);
        repository.git(&["checkout", "-q", "main"]);
        repository.git(&["branch", "-q", "-D", name]);
        assert!(
            matches!(mirror.resolve(name, ""), Err(Error::UnknownRevision { .. })),
            "{name} has gone"
        );
    }
}

#[test]
fn a_commit_that_no_branch_reaches_is_fetched_by_its_name() {
    if !git_is_here("a_commit_that_no_branch_reaches_is_fetched_by_its_name") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let base = repository.commit(&[("a", "1")]);
    let lost = repository.commit(&[("a", "2")]);
    repository.git(&["reset", "-q", "--hard", &base.to_string()]);
    let server = HttpServer::start(&repository, Behaviour::default());
    for url in [
        server.url.as_str(),
        repository.path.to_str().expect("UTF-8"),
    ] {
        let mirror = fixture.open(url);
        mirror.ensure(lost).expect(url);
        assert_eq!(
            mirror
                .tree(lost)
                .expect("a tree")
                .read("a")
                .expect("a file"),
            b"2"
        );
    }
    let nowhere: ObjectId = "0123456789012345678901234567890123456789"
        .parse()
        .expect("a name");
    let error = fixture
        .open(&server.url)
        .ensure(nowhere)
        .expect_err("no such commit");
    assert!(
        matches!(&error, Error::UnknownRevision { revision, .. } if *revision == nowhere.to_string()),
        "{error}"
    );
    let blob: ObjectId = repository.id("HEAD:a");
    assert!(
        matches!(
            fixture.open(&server.url).ensure(blob),
            Err(Error::UnknownRevision { .. })
        ),
        "a blob is no commit"
    );
}

#[test]
fn a_tag_object_leads_to_its_commit() {
    if !git_is_here("a_tag_object_leads_to_its_commit") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let commit = repository.commit(&[("a", "1")]);
    repository.git(&["tag", "-a", "-m", "x", "one"]);
    repository.git(&["tag", "-a", "-m", "x", "two", "one"]);
    let mirror = fixture.of(&repository);
    let tag = repository.id("refs/tags/two");
    assert_ne!(tag, commit);
    assert_eq!(mirror.ensure(tag).expect("a fetch"), commit);
    assert_eq!(mirror.tree(tag).expect("a tree").commit(), commit);
    assert_eq!(mirror.resolve("two", "").expect("a tag").commit, commit);
}

#[test]
fn what_is_here_needs_no_network() {
    if !git_is_here("what_is_here_needs_no_network") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let commit = repository.commit(&[("a", "1")]);
    let server = HttpServer::start(&repository, Behaviour::default());
    let mirror = fixture.open(&server.url);
    mirror.ensure(commit).expect("a fetch");
    let asked = server.requests();
    mirror.ensure(commit).expect("it is here");
    assert_eq!(
        mirror
            .resolve(&commit.to_string(), "")
            .expect("itself")
            .commit,
        commit
    );
    assert_eq!(server.requests(), asked);
    mirror.poll().expect("a listing");
    assert_eq!(
        server.requests(),
        asked + 2,
        "a poll is a handshake and a listing"
    );
}

fn damage(fixture: &Fixture, how: &str) {
    let mirror = fixture.on_disk();
    let packs: Vec<_> = fs::read_dir(mirror.join("objects/pack"))
        .expect("packs")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let of_kind = |kind: &'static str| {
        packs
            .iter()
            .filter(move |path| path.extension().is_some_and(|extension| extension == kind))
    };
    // Never in place: a mapped file that shrinks kills its reader, and no fault of a disk does that.
    let replace = |path: &Path, data: Vec<u8>| {
        fs::remove_file(path).expect("a file");
        fs::write(path, data).expect("a file");
    };
    match how {
        "no HEAD" => fs::remove_file(mirror.join("HEAD")).expect("HEAD"),
        "no packs" => packs
            .iter()
            .for_each(|path| fs::remove_file(path).expect("a pack")),
        "no pack data" => of_kind("pack").for_each(|path| fs::remove_file(path).expect("a pack")),
        "garbage" => packs
            .iter()
            .for_each(|path| replace(path, b"garbage".to_vec())),
        "half a pack" => of_kind("pack").for_each(|path| {
            let data = fs::read(path).expect("a pack");
            replace(path, data[..data.len() / 2].to_vec());
        }),
        "flipped bytes" => of_kind("pack").for_each(|path| {
            let mut data = fs::read(path).expect("a pack");
            let end = data.len() - 20;
            data[12..end].iter_mut().for_each(|byte| *byte ^= 0x55);
            replace(path, data);
        }),
        "bad config" => fs::write(mirror.join("config"), "[core\n").expect("a file"),
        "bad refs" => fs::write(mirror.join("packed-refs"), "\u{1}nonsense\n").expect("a file"),
        _ => panic!("{how}"),
    }
}

#[test]
fn a_damaged_mirror_is_written_anew() {
    if !git_is_here("a_damaged_mirror_is_written_anew") {
        return;
    }
    for how in [
        "no HEAD",
        "no packs",
        "no pack data",
        "garbage",
        "half a pack",
        "flipped bytes",
        "bad config",
        "bad refs",
    ] {
        let (repository, fixture) = (Repository::new(), Fixture::new());
        let commit = repository.commit(&[("a", "1\n"), ("b", &"long ".repeat(500))]);
        fixture.of(&repository).ensure(commit).expect("a fetch");
        damage(&fixture, how);
        // A new process: nothing is open yet.
        let mirrors = Mirrors::new(fixture.directory.path().join("mirrors")).expect("a directory");
        let mirror = mirrors.open(
            Remote::local(&repository.path).expect("a path"),
            Credentials::None,
            options(),
        );
        let next = repository.commit(&[("a", "2\n")]);
        let read = |commit| -> Result<Vec<u8>, Error> {
            mirror.ensure(commit)?;
            mirror.tree(commit)?.read("a")
        };
        // At most one call fails, and it says why; the next one has repaired it.
        let again = |commit| {
            read(commit).or_else(|error| {
                assert!(matches!(error, Error::Corrupt { .. }), "{how}: {error}");
                read(commit)
            })
        };
        assert_eq!(
            again(commit).unwrap_or_else(|error| panic!("{how}: {error}")),
            b"1\n",
            "{how}"
        );
        assert_eq!(
            again(next).unwrap_or_else(|error| panic!("{how}: {error}")),
            b"2\n",
            "{how}"
        );
    }
}

#[test]
fn leftovers_of_a_killed_fetch_are_swept() {
    if !git_is_here("leftovers_of_a_killed_fetch_are_swept") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    let first = repository.commit(&[("a", "1")]);
    mirror.ensure(first).expect("a fetch");
    let disk = fixture.on_disk();
    let leftover = disk.join("objects/pack/.tmpABCDEF");
    fs::write(&leftover, "half").expect("a file");
    fs::create_dir_all(disk.with_extension("new").join("objects")).expect("half a mirror");
    let second = repository.commit(&[("a", "2")]);
    mirror.ensure(second).expect("a fetch");
    assert!(!leftover.exists());
}

#[test]
fn many_fetches_and_readers_at_once() {
    if !git_is_here("many_fetches_and_readers_at_once") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let commits: Vec<ObjectId> = (0..6)
        .map(|step| repository.commit(&[("a", &format!("{step}\n")), (&format!("f{step}"), "x")]))
        .collect();
    // Two of them, as two processes would have: nothing but the directory is shared.
    let others = Mirrors::new(fixture.directory.path().join("mirrors")).expect("a directory");
    let remote = || Remote::local(&repository.path).expect("a path");
    std::thread::scope(|scope| {
        for user in 0..6 {
            let mirrors = if user % 2 == 0 {
                &fixture.mirrors
            } else {
                &others
            };
            let mirror = mirrors.open(remote(), Credentials::None, options());
            let commits = &commits;
            scope.spawn(move || {
                for step in 0..commits.len() {
                    let at = (step + user) % commits.len();
                    mirror.ensure(commits[at]).expect("a fetch");
                    let tree = mirror.tree(commits[at]).expect("a tree");
                    assert_eq!(
                        tree.read("a").expect("a file"),
                        format!("{at}\n").into_bytes()
                    );
                    assert_eq!(tree.walk("").expect("a walk").len(), at + 2);
                }
            });
        }
    });
    let mirror = fixture.of(&repository);
    let tree = mirror.tree(commits[0]).expect("a tree");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                assert_eq!(tree.read("a").expect("a file"), b"0\n");
            }
        });
        for step in 0..5 {
            let commit = repository.commit(&[("a", &format!("more {step}"))]);
            mirror.ensure(commit).expect("a fetch");
        }
    });
    let checked = repository
        .command(&["fsck", "--full"])
        .env("GIT_DIR", fixture.on_disk())
        .output()
        .expect("git runs");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn a_shallow_remote_serves_what_it_has() {
    if !git_is_here("a_shallow_remote_serves_what_it_has") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    repository.commit(&[("a", "1")]);
    let tip = repository.commit(&[("a", "2")]);
    let shallow = fixture.directory.path().join("shallow");
    repository.git(&[
        "clone",
        "-q",
        "--depth=1",
        &format!("file://{}", repository.path.display()),
        shallow.to_str().expect("UTF-8"),
    ]);
    let mirror = fixture.open(shallow.to_str().expect("UTF-8"));
    mirror.ensure(tip).expect("a fetch");
    assert_eq!(
        mirror.tree(tip).expect("a tree").read("a").expect("a file"),
        b"2"
    );
    assert_eq!(mirror.log(tip, 10).expect("a log").len(), 1);
}

#[test]
fn changed_paths_agree_with_git() {
    if !git_is_here("changed_paths_agree_with_git") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    let mut commits = vec![repository.commit(&[
        ("a/b/c.yaml", "1"),
        ("a/b/d.yaml", "1"),
        ("z", "1"),
        ("dir", "a file"),
    ])];
    commits.push(repository.commit(&[("a/b/c.yaml", "2"), ("a/new.yaml", "1")]));
    repository.git(&["mv", "a/b/d.yaml", "a/moved.yaml"]);
    commits.push(repository.commit(&[]));
    repository.git(&["rm", "-q", "dir"]);
    commits.push(repository.commit(&[
        ("dir/now/a-directory", "1"),
        ("dir-not", "1"),
        ("dir.yaml", "1"),
    ]));
    repository.git(&["update-index", "--chmod=+x", "z"]);
    repository.git(&["commit", "-q", "-m", "mode"]);
    commits.push(repository.head());
    repository.git(&["reset", "-q", "--hard"]);
    repository.git(&["rm", "-q", "-r", "a"]);
    commits.push(repository.commit(&[]));
    mirror.ensure(repository.head()).expect("a fetch");
    for (older, newer) in commits
        .iter()
        .flat_map(|older| commits.iter().map(move |newer| (*older, *newer)))
    {
        let judged = repository.git(&[
            "diff-tree",
            "-r",
            "--no-renames",
            "--name-only",
            &older.to_string(),
            &newer.to_string(),
        ]);
        let mut judged: Vec<&str> = judged.lines().collect();
        judged.sort_unstable();
        assert_eq!(
            mirror.changed_paths(older, newer).expect("a comparison"),
            judged,
            "{older} {newer}"
        );
    }
}

#[test]
fn a_mirror_of_many_packs_is_written_anew() {
    if !git_is_here("a_mirror_of_many_packs_is_written_anew") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mirror = fixture.of(&repository);
    let first = repository.commit(&[("a", "1")]);
    mirror.ensure(first).expect("a fetch");
    let packs = fixture.on_disk().join("objects/pack");
    let count = || {
        fs::read_dir(&packs)
            .expect("packs")
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "pack"))
            .count()
    };
    let original: Vec<_> = fs::read_dir(&packs)
        .expect("packs")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // As many fetches would leave them.
    for copy in 0..250 {
        for path in &original {
            let extension = path
                .extension()
                .expect("an extension")
                .to_str()
                .expect("UTF-8");
            fs::copy(path, packs.join(format!("pack-{copy:040x}.{extension}"))).expect("a copy");
        }
    }
    let tree = mirror.tree(first).expect("a tree that stays open");
    let second = repository.commit(&[("a", "2")]);
    mirror.ensure(second).expect("a fetch");
    assert_eq!(count(), 1);
    assert_eq!(
        mirror
            .tree(second)
            .expect("a tree")
            .read("a")
            .expect("a file"),
        b"2"
    );
    assert_eq!(tree.read("a").expect("an old reader goes on"), b"1");
}
