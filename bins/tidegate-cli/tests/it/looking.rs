//! Commands that change nothing: render, graph, health, diff, plan, get, history, wait.

use serde_json::json;

use crate::kit::{World, config_map, job, tidegate, write};

const LIST: &str = "apiVersion: v1\nkind: List\nitems:\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: listed}}\n";

/// Runs `tidegate render` in a folder with some manifests.
fn render(flags: &[&str]) -> crate::kit::Done {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.yaml"), &config_map("a", 0, "0644"));
    write(
        &dir.path().join("b.json"),
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}"#,
    );
    write(&dir.path().join("c.yaml"), LIST);
    write(&dir.path().join("deep/d.yaml"), &config_map("d", 0, "4"));
    write(&dir.path().join("README.md"), "not a manifest");
    tidegate(dir.path())
        .arg("render")
        .arg(dir.path())
        .args(flags)
        .output()
        .unwrap()
        .into()
}

#[test]
fn render_prints_what_a_directory_holds() {
    for (flags, expected) in [
        (&[][..], &["a", "b", "listed"][..]),
        (&["--recurse"], &["a", "b", "listed", "d"]),
        (&["--recurse", "--include", "deep/*"], &["d"]),
        (&["--recurse", "--exclude", "{a,c}.yaml"], &["b", "d"]),
        (&["--as", "directory", "--include", "*.json"], &["b"]),
    ] {
        let mut all = flags.to_vec();
        all.extend(["-o", "json"]);
        let done = render(&all).ends(0);
        let array = done.json();
        let names: Vec<&str> = array
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["metadata"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{flags:?}");
        let stream =
            tidegate::yaml::parse_stream(render(flags).ends(0).out.as_bytes(), &<_>::default());
        let documents: Vec<_> = stream
            .documents
            .iter()
            .map(|document| document.root.to_json())
            .collect();
        assert_eq!(json!(documents), array, "the YAML stream says the same");
    }
}

#[test]
fn render_of_one_file_takes_just_that_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("odd[1].txt");
    write(&file, &config_map("odd", 0, "1"));
    write(&dir.path().join("other.yaml"), &config_map("other", 0, "1"));
    let done: crate::kit::Done = tidegate(dir.path())
        .arg("render")
        .arg(&file)
        .args(["-o", "name"])
        .output()
        .unwrap()
        .into();
    assert_eq!(done.ends(0).out.lines().count(), 1);
}

#[test]
fn a_broken_document_is_refused_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.yaml"), &config_map("a", 0, "1"));
    write(
        &dir.path().join("bad.yaml"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: [x\n",
    );
    let done: crate::kit::Done = tidegate(dir.path())
        .arg("render")
        .arg(dir.path())
        .output()
        .unwrap()
        .into();
    let done = done.ends(1);
    let place = done
        .err
        .lines()
        .find(|line| line.starts_with(" --> bad.yaml:"))
        .unwrap_or_else(|| panic!("{}", done.err));
    assert_eq!(place.matches(':').count(), 2, "PATH:LINE:COLUMN: {place}");
    assert!(done.err.starts_with("error[TG"), "{}", done.err);
}

#[test]
fn a_type_that_does_not_fit_is_refused() {
    render(&["--as", "sam"])
        .ends(1)
        .says(&["error[", "holds no template and no service"]);
    render(&["--as", "nonsense"])
        .ends(2)
        .says(&["nonsense", "kustomize"]);
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("kustomization.yaml"), "resources: []\n");
    let done: crate::kit::Done = tidegate(dir.path())
        .arg("render")
        .arg(dir.path())
        .arg("--recurse")
        .output()
        .unwrap()
        .into();
    done.ends(1).says(&["error[", "--as directory"]);
}

#[test]
fn a_kustomization_reads_the_bases_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(
        &root.join("base/kustomization.yaml"),
        "resources: [a.yaml]\n",
    );
    write(&root.join("base/a.yaml"), &config_map("a", 0, "1"));
    let overlay = root.join("envs/dev");
    write(
        &overlay.join("kustomization.yaml"),
        "namePrefix: dev-\nresources: [../../base]\n",
    );
    let render = |flags: &[&str]| -> crate::kit::Done {
        let mut command = tidegate(root);
        let command = command.arg("render").arg(&overlay).args(flags);
        command.output().unwrap().into()
    };
    let outside_of_git = render(&[]).ends(0).out;
    assert!(outside_of_git.contains("name: dev-a"), "{outside_of_git}");
    write(&root.join("base/a.yaml"), "kind: [\n");
    let said = render(&[]).ends(1).err;
    let place = root.join("base/a.yaml").canonicalize().unwrap();
    assert!(
        said.contains(&format!(" --> {}:", place.display())),
        "{said}"
    );

    write(&root.join("base/a.yaml"), &config_map("a", 0, "1"));
    std::fs::create_dir(root.join(".git")).unwrap();
    assert_eq!(render(&[]).ends(0).out, outside_of_git);
    let said = render(&["--kustomize-options", "--bogus"]).ends(1);
    said.says(&["error[", "unknown flag: --bogus"]);
    // A repository ends where it ends.
    std::fs::create_dir(root.join("envs/.git")).unwrap();
    render(&[]).ends(1).says(&["leaves the repository"]);
}

#[test]
fn a_graph_is_drawn_in_four_formats() {
    let dir = tempfile::tempdir().unwrap();
    write(
        &dir.path().join("a.yaml"),
        &(config_map("first", 0, "1")
            + &config_map("second", 1, "1")
            + &job("test", "PreSync", "HookSucceeded", 0, "['true']")),
    );
    for (format, begins) in [
        ("dot", "digraph"),
        ("mermaid", "flowchart"),
        ("svg", "<svg"),
        ("json", "{"),
    ] {
        let done: crate::kit::Done = tidegate(dir.path())
            .arg("graph")
            .arg(dir.path())
            .args(["-o", format])
            .output()
            .unwrap()
            .into();
        let done = done.ends(0);
        assert!(
            done.out.trim_start().starts_with(begins),
            "{format}: {}",
            done.out
        );
        for name in ["first", "second", "test"] {
            assert!(done.out.contains(name), "{name} is not in the {format}");
        }
    }
}

#[test]
fn a_cycle_in_the_graph_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let tied = |name: &str, to: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  annotations: {{tidegate.dev/depends-on: ConfigMap/{to}}}\n---\n"
        )
    };
    write(
        &dir.path().join("a.yaml"),
        &(tied("hen", "egg") + &tied("egg", "hen")),
    );
    let done: crate::kit::Done = tidegate(dir.path())
        .arg("graph")
        .arg(dir.path())
        .args(["-o", "json"])
        .output()
        .unwrap()
        .into();
    done.ends(1).says(&["error[", "hen", "egg", "a.yaml:"]);
}

/// A Job's condition decides; a ConfigMap has no health.
#[test]
fn health_judges_live_objects_offline() {
    let job = |kind: &str| {
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j, namespace: jobs}}, status: {{conditions: [{{type: {kind}, status: 'True', message: why}}]}}}}\n"
        )
    };
    for (text, code, expected) in [
        (
            job("Complete"),
            0,
            vec![
                json!({"group": "batch", "kind": "Job", "namespace": "jobs", "name": "j", "status": "Healthy", "message": "why"}),
            ],
        ),
        (
            job("Failed"),
            4,
            vec![
                json!({"group": "batch", "kind": "Job", "namespace": "jobs", "name": "j", "status": "Degraded", "message": "why"}),
            ],
        ),
        (
            LIST.to_owned(),
            0,
            vec![
                json!({"group": "", "kind": "ConfigMap", "namespace": "", "name": "listed", "status": "", "message": ""}),
            ],
        ),
        (String::new(), 0, vec![]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("live.yaml");
        write(&file, &text);
        let done: crate::kit::Done = tidegate(dir.path())
            .args(["health", "-o", "json", "-f"])
            .arg(&file)
            .output()
            .unwrap()
            .into();
        assert_eq!(done.ends(code).lines(), expected, "{text}");
    }
}

#[test]
fn health_reads_standard_input_and_refuses_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("live.json");
    write(
        &file,
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": {"phase": "Failed", "message": "gone"}}"#,
    );
    let done: crate::kit::Done = tidegate(dir.path())
        .args(["health", "-f", "-"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap()
        .into();
    assert!(done.ends(4).out.contains("Degraded"));
    write(&file, "{");
    let done: crate::kit::Done = tidegate(dir.path())
        .args(["health", "-f"])
        .arg(&file)
        .output()
        .unwrap()
        .into();
    done.ends(1).says(&["error[", "live.json"]);
    let done: crate::kit::Done = tidegate(dir.path())
        .args(["health", "-f", "absent"])
        .output()
        .unwrap()
        .into();
    done.ends(1).says(&["error[", "absent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_and_plan_end_3_when_something_differs() {
    let world = World::new("differs").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    let done = world.run("diff", &["-o", "json"]).ends(3);
    assert_eq!(done.json()[0]["key"]["name"], "a");
    world.run("plan", &[]).ends(0);
    world.run("plan", &["--exit-code"]).ends(3);
    world.run("sync", &[]).ends(0);
    assert_eq!(world.run("diff", &[]).ends(0).out, "");
    world.run("plan", &["--exit-code"]).ends(0);
    world.write("a.yaml", &config_map("a", 0, "2"));
    let done = world.run("diff", &[]).ends(3);
    assert!(
        done.out.contains("ConfigMap") && done.out.contains(".data.value \"1\" -> \"2\""),
        "{}",
        done.out
    );
    let plan = world.run("plan", &["-o", "json"]).ends(0).json();
    let entry = &plan["entries"][0];
    assert_eq!(
        (
            &entry["action"],
            &entry["origin"]["path"],
            &entry["origin"]["line"]
        ),
        (&json!("update"), &json!("app/a.yaml"), &json!(1)),
        "{entry}"
    );
    world.run("plan", &["-o", "name"]).ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_the_document_in_the_form_of_argo_cd() {
    let world = World::new("got").await;
    world.write(
        "a.yaml",
        &(config_map("a", 0, "1") + &job("test", "PreSync", "HookSucceeded", 0, "['true']")),
    );
    world.run("sync", &[]).ends(0);
    let document = world.run("get", &["-o", "json"]).ends(0).json();
    assert_eq!(
        (&document["apiVersion"], &document["kind"]),
        (&json!("argoproj.io/v1alpha1"), &json!("Application"))
    );
    let status = &document["status"];
    assert_eq!(
        (&status["sync"]["status"], &status["health"]["status"]),
        (&json!("Synced"), &json!("Healthy"))
    );
    assert_eq!(status["operationState"]["phase"], "Succeeded");
    assert_eq!(status["history"][0]["id"], 0);
    let rows = status["resources"].as_array().unwrap();
    assert!(
        rows.iter().any(|row| row["kind"] == "ConfigMap"
            && row["name"] == "a"
            && row["status"] == "Synced"),
        "{rows:?}"
    );
    let results = status["operationState"]["syncResult"]["resources"]
        .as_array()
        .unwrap();
    let hook = results.iter().find(|row| row["kind"] == "Job").unwrap();
    assert_eq!(
        (&hook["hookType"], &hook["hookPhase"], &hook["syncPhase"]),
        (&json!("PreSync"), &json!("Succeeded"), &json!("PreSync"))
    );
    let yaml = world.run("get", &["-o", "yaml"]).ends(0).out;
    let read = tidegate::yaml::parse_stream(yaml.as_bytes(), &<_>::default());
    assert_eq!(
        read.documents[0].root.to_json()["status"]["sync"]["status"],
        "Synced"
    );
    assert!(world.run("get", &[]).ends(0).out.starts_with(&world.name));
    assert!(
        world
            .run("get", &["-o", "name"])
            .ends(0)
            .out
            .contains("ConfigMap")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_ends_when_it_is_good_or_the_time_is_over() {
    let world = World::new("waited").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    world
        .run("wait", &["--timeout", "300ms"])
        .ends(5)
        .says(&["error[", "OutOfSync"]);
    let told = world
        .run("wait", &["--timeout", "300ms", "-o", "json"])
        .ends(5)
        .lines();
    assert_eq!(told.last().unwrap()["reason"], "Summary", "{told:?}");
    world.run("sync", &[]).ends(0);
    let told = world
        .run("wait", &["--timeout", "20s", "-o", "json"])
        .ends(0)
        .lines();
    let summary = told.last().unwrap();
    assert_eq!(
        (&summary["reason"], &summary["applications"][0]["health"]),
        (&json!("Summary"), &json!("Healthy")),
        "{told:?}"
    );
}
