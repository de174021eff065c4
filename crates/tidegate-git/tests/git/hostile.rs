//! Trees that no honest repository holds.

use std::fmt::Write;

use tidegate_git::{EntryKind, Error, MAX_DEPTH, ObjectId, Tree};

use crate::support::{Fixture, Repository, git_is_here};

/// The tree of a commit made from `tree`, through a fetch: gix and git must let it pass for the reader to see it.
fn read(repository: &Repository, fixture: &Fixture, tree: &str) -> Tree {
    let commit = repository.commit_tree(tree);
    let mirror = fixture.of(repository);
    mirror.ensure(commit).expect("a fetch");
    mirror.tree(commit).expect("a tree")
}

#[test]
fn names_that_lead_astray_are_refused() {
    if !git_is_here("names_that_lead_astray_are_refused") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let blob = repository.blob(b"x");
    let empty = repository.pipe(&["mktree"], b"");
    let names: &[&[u8]] = &[
        b"..",
        b".",
        b"a/b",
        b"/etc",
        b"../x",
        b".git",
        b".GIT",
        b".Git",
        b"git~1",
        b".git ",
        b".git.",
        b".git::$INDEX_ALLOCATION",
        ".g\u{200c}it".as_bytes(),
        b"a\\b",
        b"..\\x",
        b"\xff\xfe",
    ];
    for name in names {
        for (mode, id) in [("100644", &blob), ("40000", &empty)] {
            let shown = String::from_utf8_lossy(name);
            let tree = repository.raw_tree(&[(mode, name, id)]);
            let tree = read(&repository, &fixture, &tree);
            for result in [
                tree.walk("").map(|_| ()),
                tree.list("").map(|_| ()),
                tree.read(&shown).map(|_| ()),
            ] {
                assert!(
                    matches!(&result, Err(Error::InvalidTree { .. })),
                    "{shown}: {result:?}"
                );
            }
        }
    }
}

#[test]
fn a_bad_entry_does_not_spoil_its_neighbours() {
    if !git_is_here("a_bad_entry_does_not_spoil_its_neighbours") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let blob = repository.blob(b"good");
    let bad = repository.raw_tree(&[("100644", b"..", &blob)]);
    let good = repository.raw_tree(&[("100644", b"f.yaml", &blob)]);
    let root = repository.raw_tree(&[("40000", b"bad", &bad), ("40000", b"good", &good)]);
    let tree = read(&repository, &fixture, &root);
    assert_eq!(tree.read("good/f.yaml").expect("a file"), b"good");
    assert_eq!(tree.walk("good").expect("a walk").len(), 1);
    assert!(
        matches!(tree.walk("bad"), Err(Error::InvalidTree { directory, .. }) if directory == "bad")
    );
    assert!(matches!(tree.walk(""), Err(Error::InvalidTree { .. })));
    assert!(
        tree.changed_paths(&tree)
            .expect("nothing to compare")
            .is_empty()
    );
}

#[test]
fn duplicate_names_are_refused() {
    if !git_is_here("duplicate_names_are_refused") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let blob = repository.blob(b"x");
    let sub = repository.raw_tree(&[("100644", b"f", &blob)]);
    for entries in [
        [("100644", b"a".as_slice(), &blob), ("100755", b"a", &blob)],
        [("100644", b"a", &blob), ("40000", b"a", &sub)],
    ] {
        let entries: Vec<_> = entries
            .iter()
            .map(|(mode, name, id)| (*mode, *name, id.as_str()))
            .collect();
        let tree = read(&repository, &fixture, &repository.raw_tree(&entries));
        assert!(
            matches!(tree.walk(""), Err(Error::InvalidTree { reason, .. }) if reason.contains("twice"))
        );
    }
}

#[test]
fn paths_that_no_tree_holds_find_nothing() {
    if !git_is_here("paths_that_no_tree_holds_find_nothing") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let commit = repository.commit(&[("a/b", "x")]);
    let mirror = fixture.of(&repository);
    mirror.ensure(commit).expect("a fetch");
    let tree = mirror.tree(commit).expect("a tree");
    let long = "a/".repeat(5000);
    for path in [
        "..",
        "../a",
        "/a",
        "a/",
        "a//b",
        "a/./b",
        "a/b/c",
        ".git/config",
        "a\0b",
        "A/b",
        &long,
    ] {
        assert_eq!(tree.entry(path).expect(path), None, "{path}");
        assert!(
            matches!(tree.read(path), Err(Error::PathNotFound { .. })),
            "{path}"
        );
    }
    assert!(matches!(
        tree.read("a"),
        Err(Error::WrongKind {
            found: "directory",
            wanted: "file",
            ..
        })
    ));
    assert!(matches!(
        tree.list("a/b"),
        Err(Error::WrongKind {
            found: "file",
            wanted: "directory",
            ..
        })
    ));
    assert!(matches!(
        tree.read_link("a/b"),
        Err(Error::WrongKind { .. })
    ));
}

#[test]
fn links_and_submodules_are_told_but_not_followed() {
    if !git_is_here("links_and_submodules_are_told_but_not_followed") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let (link, file) = (
        repository.blob(b"../../etc/passwd"),
        repository.blob(b"#!/bin/sh\n"),
    );
    let huge = repository.blob(&vec![b'x'; 5000]);
    let module = "1234567890123456789012345678901234567890";
    let root = repository.raw_tree(&[
        ("120000", b"huge", &huge),
        ("120000", b"link", &link),
        ("160000", b"module", module),
        ("100755", b"run", &file),
    ]);
    let tree = read(&repository, &fixture, &root);
    let kinds: Vec<_> = tree
        .walk("")
        .expect("a walk")
        .into_iter()
        .map(|entry| (entry.path, entry.kind))
        .collect();
    let expected = [
        ("huge", EntryKind::Symlink),
        ("link", EntryKind::Symlink),
        ("module", EntryKind::Submodule),
        ("run", EntryKind::Executable),
    ];
    assert_eq!(kinds, expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(tree.read_link("link").expect("a link"), "../../etc/passwd");
    assert!(matches!(tree.read_link("huge"), Err(Error::Limit { .. })));
    assert!(matches!(
        tree.read("link"),
        Err(Error::WrongKind {
            found: "symbolic link",
            ..
        })
    ));
    assert!(matches!(
        tree.read("module"),
        Err(Error::WrongKind {
            found: "submodule",
            ..
        })
    ));
    assert_eq!(tree.entry("module/x").expect("nothing"), None);
    assert_eq!(
        tree.entry("module").expect("it").expect("there").id,
        module.parse::<ObjectId>().expect("a name")
    );
}

#[test]
fn a_tree_bomb_hits_the_limit() {
    if !git_is_here("a_tree_bomb_hits_the_limit") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mut id = repository.blob(b"x");
    for level in 0..8 {
        let mode = if level == 0 {
            "100644 blob"
        } else {
            "040000 tree"
        };
        let listing = (0..10).fold(String::new(), |mut listing, at| {
            let _ = writeln!(listing, "{mode} {id}\td{at}");
            listing
        });
        id = repository.pipe(&["mktree"], listing.as_bytes());
    }
    let tree = read(&repository, &fixture, &id);
    assert!(matches!(tree.walk(""), Err(Error::Limit { .. })));
    assert_eq!(
        tree.read("d0/d1/d2/d3/d4/d5/d6/d7").expect("a file"),
        b"x",
        "single files are still there"
    );
    let other = read(&repository, &fixture, &repository.pipe(&["mktree"], b""));
    assert!(matches!(
        tree.changed_paths(&other),
        Err(Error::Limit { .. })
    ));
}

#[test]
fn a_deep_tree_hits_the_limit() {
    if !git_is_here("a_deep_tree_hits_the_limit") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let mut id = repository.pipe(
        &["mktree"],
        format!("100644 blob {}\tf\n", repository.blob(b"x")).as_bytes(),
    );
    for _ in 0..MAX_DEPTH + 5 {
        id = repository.pipe(&["mktree"], format!("040000 tree {id}\td\n").as_bytes());
    }
    let tree = read(&repository, &fixture, &id);
    assert!(matches!(tree.walk(""), Err(Error::Limit { what, .. }) if what.contains("depth")));
}

#[test]
fn replacement_objects_and_grafts_have_no_effect() {
    if !git_is_here("replacement_objects_and_grafts_have_no_effect") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let good = repository.commit(&[("a", "good")]);
    let evil = repository.commit(&[("a", "evil")]);
    repository.git(&["replace", &good.to_string(), &evil.to_string()]);
    let mirror = fixture.of(&repository);
    mirror.ensure(good).expect("a fetch");
    assert_eq!(
        mirror
            .tree(good)
            .expect("a tree")
            .read("a")
            .expect("a file"),
        b"good"
    );
}

#[test]
fn walking_agrees_with_git() {
    if !git_is_here("walking_agrees_with_git") {
        return;
    }
    let (repository, fixture) = (Repository::new(), Fixture::new());
    let files: Vec<String> = (0..60)
        .map(|at| format!("d{}/e{}/f-{at}.yaml", at % 7, at % 3))
        .collect();
    let mut files: Vec<(&str, &str)> = files
        .iter()
        .map(|path| (path.as_str(), path.as_str()))
        .collect();
    // Where git's order of directories and the order of paths differ.
    files.extend([
        ("a-b", "1"),
        ("a/b", "2"),
        ("a.b", "3"),
        ("a0", "4"),
        ("ümlaut/é.yaml", "5"),
        ("aux.yaml", "6"),
        ("con", "7"),
        (".github/x", "8"),
        (".gitignore", ""),
    ]);
    let commit = repository.commit(&files);
    let mirror = fixture.of(&repository);
    mirror.ensure(commit).expect("a fetch");
    let tree = mirror.tree(commit).expect("a tree");
    let walked: Vec<String> = tree
        .walk("")
        .expect("a walk")
        .into_iter()
        .map(|entry| entry.path)
        .collect();
    let listed = repository.git(&[
        "-c",
        "core.quotePath=false",
        "ls-tree",
        "-r",
        "--name-only",
        "HEAD",
    ]);
    let mut judged: Vec<&str> = listed.lines().collect();
    judged.sort_unstable();
    assert_eq!(walked, judged);
    for (path, text) in files {
        assert_eq!(tree.read(path).expect(path), text.as_bytes());
    }
    assert_eq!(tree.walk("a").expect("a walk").len(), 1);
}
