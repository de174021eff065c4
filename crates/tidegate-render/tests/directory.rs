//! Plain directories: which files are read, what is refused and in which words.

use std::sync::Arc;

use serde_json::json;
use tidegate_manifest::{ApplicationSource, Diagnostic, DirectoryOptions, Origin};
use tidegate_render::{
    DirectoryRenderer, EntryKind, FileTree, MemoryTree, RenderInput, Rendered, Renderer, Renderers,
    SourceType, TreeEntry, TreeError,
};

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn source(path: &str, directory: Option<DirectoryOptions>) -> ApplicationSource {
    ApplicationSource {
        repo_url: "https://example.com/repo.git".to_owned(),
        path: Some(path.to_owned()),
        directory,
        document: json!({"repoURL": "https://example.com/repo.git", "path": path}),
        ..ApplicationSource::default()
    }
}

fn input(tree: impl FileTree + 'static, source: ApplicationSource) -> RenderInput {
    RenderInput {
        tree: Arc::new(tree),
        source,
        application: "shop".to_owned(),
        namespace: "default".to_owned(),
        origin: Origin {
            commit: "abc".to_owned(),
            ..Origin::default()
        },
        aws: Arc::default(),
    }
}

fn render(tree: impl FileTree + 'static, source: ApplicationSource) -> Rendered {
    Renderers::default().render(&input(tree, source)).1
}

/// Names of the objects in order, then the findings as `CODE path:line message`.
fn transcript(rendered: &Rendered) -> String {
    let names = rendered
        .objects
        .iter()
        .map(|o| format!("{}@{}", o.name, o.origin.place()));
    let findings = rendered.diagnostics.iter().map(|d| {
        let word = if d.is_error() { "" } else { "warning " };
        format!("{word}{} {} {}", d.code, d.origin.place(), d.message)
    });
    names.chain(findings).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(tree: MemoryTree, options: DirectoryOptions, expected: &str) {
    let rendered = render(tree, source("app", Some(options)));
    assert_eq!(transcript(&rendered), expected);
    for finding in &rendered.diagnostics {
        assert!(finding.help.is_some(), "no help: {finding}");
        assert_eq!(finding.origin.commit, "abc");
    }
}

fn recurse() -> DirectoryOptions {
    DirectoryOptions {
        recurse: true,
        ..DirectoryOptions::default()
    }
}

fn some_files() -> MemoryTree {
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"er"}}"#;
    MemoryTree::default()
        .with_file("app/b.yml", config_map("b"))
        .with_file("app/a.yaml", config_map("a"))
        .with_file("app/README.md", "# no manifest")
        .with_file("app/a/deep.yaml", config_map("deep"))
        .with_file("app/z/er.json", secret)
        .with_file("other/x.yaml", config_map("x"))
}

#[test]
fn files_are_read_in_order_of_their_names() {
    check(
        some_files(),
        DirectoryOptions::default(),
        "a@app/a.yaml:1\nb@app/b.yml:1",
    );
    check(
        some_files(),
        recurse(),
        "deep@app/a/deep.yaml:1\na@app/a.yaml:1\nb@app/b.yml:1\ner@app/z/er.json:1",
    );
}

#[test]
fn globs_select_by_the_path_below_the_application() {
    let with = |include: &str, exclude: &str| DirectoryOptions {
        include: Some(include.to_owned()).filter(|g| !g.is_empty()),
        exclude: Some(exclude.to_owned()).filter(|g| !g.is_empty()),
        ..recurse()
    };
    check(
        some_files(),
        with("{a.yaml,b.yml}", ""),
        "a@app/a.yaml:1\nb@app/b.yml:1",
    );
    check(
        some_files(),
        with("*.yaml", ""),
        "deep@app/a/deep.yaml:1\na@app/a.yaml:1",
    );
    check(
        some_files(),
        with("", "{a/*,z/*}"),
        "a@app/a.yaml:1\nb@app/b.yml:1",
    );
    check(some_files(), with("a*", "a/*"), "a@app/a.yaml:1");
    check(some_files(), with("none", ""), "");
    check(
        some_files(),
        with("[z-a]", ""),
        "TG0505 app \"[z-a]\": syntax error in pattern: `a` should come after `z` in a range",
    );
}

#[test]
fn without_the_extension_filter_every_file_is_tried() {
    let tree = some_files().with_file("app/extra.txt", config_map("extra"));
    let options = DirectoryOptions {
        disable_extension_filter: true,
        ..<_>::default()
    };
    check(
        tree,
        options,
        "a@app/a.yaml:1\nb@app/b.yml:1\nextra@app/extra.txt:1",
    );
}

#[test]
fn streams_and_lists_give_their_objects_with_their_lines() {
    let stream = format!(
        "# head\n---\n{}---\n\n---\napiVersion: v1\nkind: List\nitems:\n\
         - apiVersion: v1\n  kind: Secret\n  metadata: {{name: s}}\n\
         - {{apiVersion: v1, kind: Service, metadata: {{name: t}}}}\n---\n\
         {{apiVersion: v1, kind: ConfigMapList, items: null}}\n",
        config_map("one")
    );
    let tree = MemoryTree::default().with_file("app/all.yaml", stream);
    check(
        tree,
        recurse(),
        "one@app/all.yaml:3\ns@app/all.yaml:13\nt@app/all.yaml:16",
    );
}

#[test]
fn the_marker_skips_a_file_and_utf16_is_read() {
    let marked = format!("# +argocd:skip-file-rendering\n{}", config_map("skipped"));
    let big: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let wide = format!("\u{FEFF}{}", config_map("wide"));
    let little: Vec<u8> = wide.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at_the_end = format!("{}# +argocd:skip-file-rendering\n", config_map("no"));
    let tree = MemoryTree::default()
        .with_file("app/skip.yaml", at_the_end)
        .with_file("app/skip16.yaml", big)
        .with_file("app/wide.yaml", little);
    check(tree, recurse(), "wide@app/wide.yaml:1");
}

#[test]
fn a_broken_manifest_is_an_error_and_other_yaml_is_not() {
    let half = format!("{}---\nkey: [1\n---\n{}", config_map("a"), config_map("c"));
    let tree = MemoryTree::default()
        .with_file("app/a.yaml", half)
        .with_file(
            "app/b.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n",
        )
        .with_file("app/c.yaml", "apiVersion: v1\nkind: {{ .Kind }}\n")
        .with_file("app/d.yaml", "replicas: 3\nimage: {tag: v1}\n")
        .with_file("app/e.yaml", "- just\n- a list\n")
        .with_file("app/f.yaml", "")
        .with_file(
            "app/g.yaml",
            format!("{}---\nname: no kind\n", config_map("g")),
        );
    check(
        tree,
        recurse(),
        "a@app/a.yaml:1\nc@app/a.yaml:8\ng@app/g.yaml:1\n\
         TG0514 app/a.yaml:7 did not find expected ',' or ']'\n\
         TG0514 app/b.yaml:4 found character that cannot start any token\n\
         TG0101 app/g.yaml:6 apiVersion is missing\n\
         TG0101 app/g.yaml:6 kind is missing\n\
         TG0101 app/g.yaml:6 metadata.name is missing",
    );
}

#[test]
fn repeated_keys_are_told_and_the_last_counts() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  name: b\n";
    check(
        MemoryTree::default().with_file("app/a.yaml", text),
        recurse(),
        "b@app/a.yaml:1\n\
         warning TG0515 app/a.yaml:5 mapping key \"name\" already defined at line 4; the last one counts",
    );
}

#[test]
fn json_files_hold_one_object() {
    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
    let image = r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;
    let list = format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{object}]}}");
    let tree = MemoryTree::default()
        .with_file("app/1.json", format!("{object}\n{object}"))
        .with_file("app/2.json", format!("[{object}]"))
        .with_file("app/3.json", "{\"apiVersion\": \"v1\",\n  oops}")
        .with_file("app/4.json", config_map("yaml"))
        .with_file("app/5.json", r#"{"name":"package"}"#)
        .with_file("app/6.json", image)
        .with_file("app/7.json", list)
        .with_file("app/8.json", format!("\u{FEFF}\t{object}"));
    check(
        tree,
        recurse(),
        "a@app/7.json:1\na@app/8.json:1\n\
         TG0514 app/1.json:2 found multiple objects: only single objects are allowed in JSON files\n\
         TG0514 app/2.json:1 expected one object, found a list\n\
         TG0514 app/3.json:2 invalid JSON: key must be a string\n\
         TG0514 app/4.json:1 invalid JSON: expected value\n\
         TG0101 app/5.json:1 apiVersion is missing\n\
         TG0101 app/5.json:1 kind is missing\n\
         TG0101 app/5.json:1 metadata.name is missing",
    );
}

#[test]
fn links_stay_inside_the_repository() {
    let tree = MemoryTree::default()
        .with_file("shared/one.yaml", config_map("one"))
        .with_file("shared/deep/two.yaml", config_map("two"))
        .with_link("app/a.yaml", "../shared/one.yaml")
        .with_link("app/b.yaml", "../link/two.yaml")
        .with_link("link", "shared/deep")
        .with_link("app/c.yaml", "missing.yaml")
        .with_link("app/d.yaml", "../../../etc/passwd")
        .with_link("app/e.yaml", "/etc/passwd")
        .with_link("app/f.yaml", "g.yaml")
        .with_link("app/g.yaml", "f.yaml")
        .with_link("app/h.yaml", "../shared")
        .with_link("app/notes", "../../outside")
        .with_link("app/sub", "../shared");
    let circle = "more than 8 symbolic links follow each other, or they go in a circle";
    let leaves = "the symbolic link leaves the repository: a symbolic link on the way";
    check(
        tree,
        recurse(),
        &format!(
            "one@app/a.yaml:1\ntwo@app/b.yaml:1\n\
             warning TG0510 app/c.yaml the symbolic link leads nowhere: \"app/missing.yaml\" does not exist\n\
             TG0507 app/d.yaml {leaves} climbs above the root\n\
             TG0507 app/e.yaml {leaves} names an absolute path\n\
             TG0507 app/f.yaml {circle}\nTG0507 app/g.yaml {circle}\n\
             TG0507 app/notes {leaves} climbs above the root"
        ),
    );
}

#[test]
fn pointers_submodules_and_jsonnet_are_refused_in_words() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    let tree = MemoryTree::default()
        .with_file("app/lfs.yaml", pointer)
        .with_file("app/x.jsonnet", "{}")
        .with_submodule("app/vendor");
    check(
        tree,
        recurse(),
        "TG0513 app/lfs.yaml this is a Git LFS pointer, not a manifest\n\
         warning TG0508 app/vendor this is a submodule, which is not fetched: its manifests are not part of the application\n\
         TG0511 app/x.jsonnet jsonnet is not evaluated by this build",
    );
}

#[test]
fn the_application_path_is_checked() {
    let tree = MemoryTree::default()
        .with_file("app/a.yaml", config_map("a"))
        .with_link("alias", "app")
        .with_submodule("sub");
    let told = |path: &str| transcript(&render(tree.clone(), source(path, None)));
    for fine in ["app", "./app/", "alias"] {
        assert_eq!(told(fine), "a@app/a.yaml:1", "{fine}");
    }
    for (path, message) in [
        (
            "nope/x",
            "app path \"nope/x\" does not exist: nothing stands at \"nope\"",
        ),
        ("app/a.yaml", "app path \"app/a.yaml\" is not a directory"),
        (
            "/app",
            "app path: /app leaves the repository: it is absolute",
        ),
        (
            "../x",
            "app path: ../x leaves the repository: it climbs above the root with `..`",
        ),
        (
            "sub/x",
            "app path \"sub/x\" is in the submodule \"sub\", which is not fetched",
        ),
    ] {
        assert_eq!(told(path), format!("TG0504 {path} {message}"));
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let tree = MemoryTree::default()
        .with_file("app/a.yaml", config_map("a"))
        .with_file("app/b.yaml", config_map("b"))
        .with_file("app/c.yaml", config_map("c"));
    let one = config_map("a").len() as u64;
    let limited = DirectoryRenderer {
        combined_bytes: 2 * one,
        ..DirectoryRenderer::default()
    };
    let rendered = limited.render(&input(tree.clone(), source("app", None)));
    assert_eq!(
        transcript(&rendered),
        "a@app/a.yaml:1\nb@app/b.yaml:1\n\
         TG0512 app/c.yaml with this file the manifests exceed the combined size that one application may have"
    );
    let few = DirectoryRenderer {
        entries: 2,
        ..DirectoryRenderer::default()
    };
    let rendered = few.render(&input(tree, source("app", None)));
    assert_eq!(
        transcript(&rendered),
        "a@app/a.yaml:1\nb@app/b.yaml:1\nTG0506 app the source has too many files and folders"
    );
    let deep = format!("app/{}x.yaml", "d/".repeat(70));
    let tree = MemoryTree::default().with_file(&deep, config_map("deep"));
    let rendered = render(tree, source("app", Some(recurse())));
    assert_eq!(rendered.diagnostics[0].code, "TG0506");
}

#[test]
fn every_mistake_of_an_object_names_its_field() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: 1\n  labels: {a: true}\n";
    let rendered = render(
        MemoryTree::default().with_file("app/a.yaml", text),
        source("app", None),
    );
    assert!(rendered.objects.is_empty());
    let fields: Vec<(u32, Option<&str>)> = rendered
        .diagnostics
        .iter()
        .map(|d| (d.origin.line, d.field.as_deref()))
        .collect();
    assert_eq!(
        fields,
        [(4, Some(".metadata.name")), (5, Some(".metadata.labels"))]
    );
    assert!(rendered.diagnostics.iter().all(Diagnostic::is_error));
}

#[test]
fn other_types_are_refused_in_words() {
    let tree = MemoryTree::default()
        .with_file("k/kustomization.yaml", "resources: []\n")
        .with_file("k/Chart.yaml", "name: x\n")
        .with_file("h/MyChart.yaml", "name: x\n")
        .with_file("k/plain.yaml", config_map("plain"));
    let told = |source: ApplicationSource| {
        let (source_type, rendered) = Renderers::default().render(&input(tree.clone(), source));
        format!("{} {}", source_type.as_str(), transcript(&rendered))
    };
    let refused = |what: &str| format!("is {what}, which this build does not render");
    let kustomization = refused("a kustomization");
    assert_eq!(
        told(source("k", None)),
        format!("Kustomize TG0503 k \"k\" {kustomization}")
    );
    let chart = refused("a Helm chart");
    assert_eq!(
        told(source("h", None)),
        format!("Helm TG0503 h \"h\" {chart}")
    );
    let explicit = told(source("k", Some(DirectoryOptions::default())));
    assert_eq!(explicit, "Directory plain@k/plain.yaml:1");
    let both = ApplicationSource {
        helm: Some(json!({})),
        kustomize: Some(json!({})),
        ..source("k", None)
    };
    assert_eq!(
        told(both),
        "Kustomize TG0501 k multiple application sources defined: kustomize, helm"
    );
    let plugin = ApplicationSource {
        plugin: Some(json!({"name": "x"})),
        ..source("k", None)
    };
    let refusal = refused("a source for a config management plugin");
    assert_eq!(told(plugin), format!("Plugin TG0503 k \"k\" {refusal}"));
    let input = input(tree, source("k", None));
    let rendered = Renderers::none().render_as(SourceType::Directory, &input);
    assert_eq!(rendered.diagnostics[0].code, "TG0503");
}

#[test]
fn overrides_in_the_directory_change_the_source() {
    let general = "directory: {recurse: true, include: 'a.yaml'}\npath: elsewhere\n";
    let own = "directory: {include: null, exclude: 'z/*'}\n";
    let tree = some_files()
        .with_file("app/.argocd-source.yaml", general)
        .with_file("app/.argocd-source-shop.yaml", own)
        .with_file(
            "app/.argocd-source-other.yaml",
            "directory: {exclude: '*'}\n",
        );
    let rendered = render(tree.clone(), source("app", None));
    assert_eq!(
        transcript(&rendered),
        "deep@app/a/deep.yaml:1\na@app/a.yaml:1\nb@app/b.yml:1"
    );
    let two = tree
        .clone()
        .with_file("app/.argocd-source.yaml", "kustomize: {images: [x:1]}\n");
    let rendered = render(two, source("app", None));
    assert_eq!(
        rendered.diagnostics[0].code, "TG0501",
        "kustomize and directory at once"
    );
    let broken = tree.with_file("app/.argocd-source.yaml", "- no\n");
    let rendered = render(broken, source("app", None));
    assert_eq!(
        transcript(&rendered),
        "TG0502 app/.argocd-source.yaml:1 expected a mapping"
    );
}

/// A tree with entries that no Git program would write.
#[derive(Debug)]
struct Hostile;

impl FileTree for Hostile {
    fn entry(&self, path: &str) -> Result<Option<EntryKind>, TreeError> {
        Ok((path == "app").then_some(EntryKind::Directory))
    }

    fn list(&self, _: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let names = ["..", ".GIT", "a/b.yaml", "git~1", "x\\y.yaml", "ok.yaml"];
        let entry = |name: &str| TreeEntry {
            name: name.to_owned(),
            kind: EntryKind::File,
            id: None,
        };
        Ok(names.into_iter().map(entry).collect())
    }

    fn read(&self, path: &str, _: u64) -> Result<Vec<u8>, TreeError> {
        assert_eq!(path, "app/ok.yaml", "only the safe name may be read");
        Ok(config_map("ok").into_bytes())
    }

    fn read_link(&self, path: &str) -> Result<String, TreeError> {
        Err(TreeError::NotFound(path.to_owned()))
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let rendered = render(Hostile, source("app", Some(recurse())));
    assert_eq!(rendered.objects.len(), 1);
    let refused: Vec<&str> = rendered
        .diagnostics
        .iter()
        .map(|d| d.code.as_str())
        .collect();
    assert_eq!(refused, ["TG0507"; 5]);
}
