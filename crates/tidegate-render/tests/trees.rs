//! Trees and what is recorded of them.

use std::sync::Arc;

use proptest::prelude::*;
use tidegate_manifest::{ApplicationSource, Origin};
use tidegate_render::walk::{Resolved, clean_path, resolve};
use tidegate_render::{
    DirectoryTree, EntryKind, FileTree, MemoryTree, ReadSet, RecordedTree, RenderInput, Rendered,
    Renderers, TreeEntry, TreeError,
};

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

fn render(tree: Arc<dyn FileTree>) -> Rendered {
    let source = ApplicationSource {
        path: Some("app".to_owned()),
        ..ApplicationSource::default()
    };
    let input = RenderInput {
        tree,
        source,
        application: "shop".to_owned(),
        namespace: String::new(),
        origin: Origin::default(),
        aws: Arc::default(),
    };
    Renderers::default().render(&input).1
}

fn app() -> MemoryTree {
    MemoryTree::default()
        .with_file("app/a.yaml", config_map("a"))
        .with_file("app/notes.md", "x")
        .with_link("app/l.yaml", "../shared/s.yaml")
        .with_file("app/sub/deep.yaml", config_map("deep"))
        .with_file("shared/s.yaml", config_map("s"))
        .with_file("other/o.yaml", config_map("o"))
}

#[test]
fn a_result_holds_while_what_was_read_is_the_same() {
    let read_set = render(Arc::new(app())).read_set;
    for (what, tree) in [
        ("the same tree", app()),
        (
            "a file that was never read",
            app().with_file("other/o.yaml", "changed"),
        ),
        (
            "a file that was only listed",
            app().with_file("app/notes.md", "changed"),
        ),
        (
            "a folder that was not entered",
            app().with_file("app/sub/deep.yaml", "changed"),
        ),
    ] {
        assert!(read_set.still_valid(&tree), "{what} changes nothing");
    }
    for (what, tree) in [
        ("content", app().with_file("app/a.yaml", config_map("b"))),
        ("a new file", app().with_file("app/b.yaml", config_map("b"))),
        (
            "a new kustomization",
            app().with_file("app/kustomization.yaml", ""),
        ),
        (
            "an override",
            app().with_file("app/.argocd-source-shop.yaml", "{}"),
        ),
        ("a file gone", app().without("app/a.yaml")),
        (
            "the link's target",
            app().with_file("shared/s.yaml", config_map("t")),
        ),
        ("the link", app().with_link("app/l.yaml", "../other/o.yaml")),
        ("everything gone", MemoryTree::default()),
    ] {
        assert!(!read_set.still_valid(&tree), "{what} changes the result");
    }
}

#[test]
fn a_missing_directory_is_recorded_too() {
    let read_set = render(Arc::new(MemoryTree::default())).read_set;
    assert_ne!(read_set, ReadSet::default());
    assert!(read_set.still_valid(&MemoryTree::default().with_file("x.yaml", "")));
    assert!(!read_set.still_valid(&app()));
}

#[test]
fn the_digest_is_of_content_not_of_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = MemoryTree::default();
    for (path, content) in [
        ("app/a.yaml", config_map("a")),
        ("shared/s.yaml", config_map("s")),
    ] {
        let place = folder.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, &content).unwrap();
        memory = memory.with_file(path, content);
    }
    let on_disk = render(Arc::new(DirectoryTree::open(folder.path()).unwrap())).read_set;
    let in_memory = render(Arc::new(memory.clone())).read_set;
    assert_eq!(on_disk.digest(), in_memory.digest());
    assert!(on_disk.still_valid(&memory));
    let changed = render(Arc::new(memory.with_file("app/a.yaml", config_map("b")))).read_set;
    assert_ne!(changed.digest(), in_memory.digest());
    let json = serde_json::to_string(&in_memory).unwrap();
    assert_eq!(serde_json::from_str::<ReadSet>(&json).unwrap(), in_memory);
}

/// A tree that knows the identity of `app` and forbids reading.
#[derive(Debug)]
struct OnlyIds;

fn unreadable<T>(path: &str) -> Result<T, TreeError> {
    Err(TreeError::Unreadable {
        path: path.to_owned(),
        reason: "closed".to_owned(),
    })
}

impl FileTree for OnlyIds {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        unreadable(path)
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        unreadable(path)
    }

    fn read(&self, path: &str, _: u64) -> Result<Vec<u8>, TreeError> {
        unreadable(path)
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        unreadable(path)
    }

    fn id(&self, path: &str) -> Option<String> {
        (path == "app").then(|| "tree-1".to_owned())
    }
}

#[test]
fn an_unchanged_directory_is_not_read_again() {
    let mut read_set = ReadSet::default();
    read_set
        .directories
        .insert("app".to_owned(), Some("digest".to_owned()));
    read_set
        .files
        .insert("app/a.yaml".to_owned(), Some("digest".to_owned()));
    read_set.kinds.insert("app/sub".to_owned(), None);
    read_set.ids.insert("app".to_owned(), "tree-1".to_owned());
    assert!(read_set.still_valid(&OnlyIds));
    read_set.ids.insert("app".to_owned(), "tree-2".to_owned());
    assert!(!read_set.still_valid(&OnlyIds));
}

#[test]
fn what_could_not_be_read_never_holds() {
    let recorded = RecordedTree::new(Arc::new(OnlyIds));
    assert!(recorded.read("app/a.yaml", 1).is_err());
    assert!(recorded.read_set().is_incomplete);
    assert!(!recorded.read_set().still_valid(&app()));
}

#[test]
fn paths_are_cleaned_or_refused() {
    assert_eq!(clean_path("./a//b/../c/").as_deref(), Ok("a/c"));
    assert_eq!(clean_path(".").as_deref(), Ok(""));
    assert_eq!(
        clean_path(".github/x.gitignore").as_deref(),
        Ok(".github/x.gitignore")
    );
    let wrong = [
        "/a",
        "..",
        "a/../../b",
        ".git/config",
        "a/.GiT",
        "a\\b",
        "a/git~1",
        ".git ",
        ".git\u{200c}",
        ".git::$INDEX_ALLOCATION",
        "a\0",
    ];
    for path in wrong {
        assert!(
            matches!(clean_path(path), Err(TreeError::Escapes { .. })),
            "{path:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_directory_never_reads_outside_its_root() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("repo");
    std::fs::create_dir_all(root.join("app")).unwrap();
    std::fs::write(folder.path().join("secret.yaml"), config_map("secret")).unwrap();
    std::fs::write(root.join("app/a.yaml"), config_map("a")).unwrap();
    symlink(folder.path(), root.join("app/out")).unwrap();
    symlink("../../secret.yaml", root.join("app/s.yaml")).unwrap();
    symlink("a.yaml", root.join("app/b.yaml")).unwrap();
    let tree = DirectoryTree::open(&root).unwrap();
    let escapes = |result| matches!(result, Err(TreeError::Escapes { .. }));
    assert!(escapes(tree.read("app/out/secret.yaml", 100).map(|_| ())));
    assert!(escapes(tree.read("../secret.yaml", 100).map(|_| ())));
    assert!(escapes(resolve(&tree, "app/out/secret.yaml").map(|_| ())));
    assert!(tree.read("app/s.yaml", 100).is_err());
    assert!(matches!(
        tree.read("app/a.yaml", 3),
        Err(TreeError::Limit { .. })
    ));
    assert_eq!(
        resolve(&tree, "app/b.yaml"),
        Ok(Resolved::File("app/a.yaml".to_owned()))
    );
    let rendered = render(Arc::new(tree));
    let names: Vec<&str> = rendered.objects.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["a", "a"]);
    let codes: Vec<&str> = rendered
        .diagnostics
        .iter()
        .map(|d| d.code.as_str())
        .collect();
    assert_eq!(codes, ["TG0507", "TG0507"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn links_never_lead_out_or_on_for_ever(
        links in prop::collection::vec(
            ("[a-c](/[a-c])?", "(\\.\\./|[a-c]/|/){0,4}[a-c.]{1,2}"), 0..8),
        path in "[a-c](/[a-c]){0,3}",
    ) {
        let mut tree = MemoryTree::default().with_file("c/c/c", "x");
        for (at, target) in &links {
            tree = tree.with_link(at, target);
        }
        if let Ok(Resolved::File(place)) = resolve(&tree, &path) {
            prop_assert_eq!(clean_path(&place), Ok(place.clone()));
            prop_assert_eq!(tree.entry(&place), Ok(Some(EntryKind::File)));
        }
    }

    #[test]
    fn any_bytes_render_without_harm(
        bytes in any::<Vec<u8>>(),
        name in "[a-z]\\.(yaml|json|yml)",
    ) {
        let tree = MemoryTree::default().with_file(&format!("app/{name}"), bytes);
        let rendered = render(Arc::new(tree.clone()));
        prop_assert!(rendered.read_set.still_valid(&tree));
    }
}
