//! `helmCharts`: what whoever renders charts is asked for, and what becomes of the answer.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use tidegate_kustomize::{BuildOptions, ChartAddress, ChartRequest, Charts, RemoteBase, build};
use tidegate_render::MemoryTree;

/// Notes what it is asked for; a chart gives a ConfigMap in the namespace of its release, behind some talk.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<String>>);

impl Charts for Noting {
    fn pull(&self, chart: &ChartAddress) -> Result<RemoteBase, String> {
        let text = format!(
            "pull {} {} {} {}",
            chart.repository, chart.name, chart.version, chart.devel
        );
        self.0.lock().unwrap().push(text);
        let tree = MemoryTree::default()
            .with_file("c/Chart.yaml", "name: c\n")
            .with_file("c/values.yaml", "pulled: true\n");
        Ok(RemoteBase {
            tree: Arc::new(tree),
            directory: "c".to_owned(),
        })
    }

    fn template(&self, request: &ChartRequest) -> Result<Vec<u8>, String> {
        let values = request.values.iter();
        let values: Vec<_> = values.map(|text| String::from_utf8_lossy(text)).collect();
        let text = format!(
            "{} {} {:?}",
            request.release_name,
            request.namespace,
            values.join("|")
        );
        self.0.lock().unwrap().push(text);
        let (release, namespace) = (&request.release_name, &request.namespace);
        Ok(format!(
            "some talk\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {release}, namespace: {namespace:?}}}\n"
        )
        .into_bytes())
    }
}

fn check(files: &[(&str, &str)], asked: &[&str], built: &str) {
    let charts = Arc::new(Noting::default());
    let options = BuildOptions {
        enable_helm: true,
        charts: Some(Arc::<Noting>::clone(&charts)),
        ..BuildOptions::default()
    };
    let mut tree = MemoryTree::default();
    for (path, text) in files {
        tree = tree.with_file(path, *text);
    }
    let made = build(Arc::new(tree), "", &options, &Default::default()).unwrap();
    assert_eq!(*charts.0.lock().unwrap(), asked);
    assert_eq!(made.to_yaml(), built);
}

const CHART: (&str, &str) = ("base/charts/c/values.yaml", "a: 1\n");

#[test]
fn a_namespace_is_the_releases_and_not_set_again() {
    let map = |name: &str, namespace: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        )
    };
    for (outer, base, chart, expected) in [
        ("out", "in", "own", "own"),
        ("out", "in", "", "in"),
        ("out", "", "", "out"),
    ] {
        let root = format!("resources: [base]\nnamespace: '{outer}'\nnamePrefix: p-\n");
        let inner = format!(
            "namespace: '{base}'\nhelmCharts: [{{name: c, releaseName: r, namespace: '{chart}'}}]\n"
        );
        check(
            &[
                ("kustomization.yaml", &root),
                ("base/kustomization.yaml", &inner),
                CHART,
            ],
            &[&format!("r {expected} \"a: 1\\n\"")],
            &map("p-r", expected),
        );
    }
}

#[test]
fn a_base_is_asked_for_in_each_namespace() {
    let overlay = |name: &str| format!("resources: [../base]\nnamespace: {name}\n");
    let (a, b, c) = (overlay("a"), overlay("b"), overlay("c"));
    let map = |name: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: r\n  namespace: {name}\n")
    };
    check(
        &[
            ("kustomization.yaml", "resources: [a, b, c]\n"),
            ("a/kustomization.yaml", &a),
            ("b/kustomization.yaml", &b),
            ("c/kustomization.yaml", &c),
            (
                "base/kustomization.yaml",
                "helmCharts: [{name: c, releaseName: r}]\n",
            ),
            CHART,
        ],
        &["r a \"a: 1\\n\"", "r b \"a: 1\\n\"", "r c \"a: 1\\n\""],
        &[map("a"), map("b"), map("c")].join("---\n"),
    );
}

#[test]
fn a_chart_that_is_not_there_is_pulled() {
    let chart = "helmCharts: [{name: c, repo: 'https://charts.example.com', version: 1.0.0, devel: true, releaseName: r, namespace: nn, valuesInline: {b: 2}}]\n";
    check(
        &[("kustomization.yaml", chart)],
        &[
            "pull https://charts.example.com c 1.0.0 true",
            "r nn \"b: 2\\npulled: true\\n\"",
        ],
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: r\n  namespace: nn\n",
    );
}
