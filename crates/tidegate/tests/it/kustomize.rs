//! Kustomizations as sources: overlays are rendered anew only when what they read changed; bases of other repositories.

use std::path::Path;

use tempfile::TempDir;
use tidegate::Tidegate;
use tidegate::engine::{Desired, Wanted};
use tidegate::manifest::{
    DestinationSettings, HelmSettings, KubernetesTarget, KustomizeSettings, Settings,
};

use crate::cluster::config_map;

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn application(name: &str, path: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{name: {name}}}\nspec:\n  \
         source: {{repoURL: 'https://git.example.com/x.git', path: {path}}}\n  \
         destination: {{name: in-cluster, namespace: default}}\n---\n"
    )
}

async fn open(dir: &Path, mut settings: Settings) -> Tidegate {
    settings.destinations.push(DestinationSettings {
        name: "in-cluster".to_owned(),
        server: Some("https://kubernetes.default.svc".to_owned()),
        kubernetes: Some(KubernetesTarget::default()),
        ..DestinationSettings::default()
    });
    Tidegate::open(dir.to_str().unwrap())
        .settings(settings)
        .dir(Some(dir.join(".state")))
        .map("https://git.example.com/mapped.git", dir.join("mapped"))
        .build()
        .await
        .unwrap()
}

async fn render(tidegate: &Tidegate, name: &str) -> Desired {
    tidegate.render(name, Wanted::Newest).await.unwrap()
}

/// How often each Application was rendered.
fn renders(tidegate: &Tidegate) -> [u64; 3] {
    ["dev", "prod", "alone"].map(|name| tidegate.source(name).unwrap().renders())
}

async fn render_all(tidegate: &Tidegate) -> [Desired; 3] {
    [
        render(tidegate, "dev").await,
        render(tidegate, "prod").await,
        render(tidegate, "alone").await,
    ]
}

fn value(desired: &Desired) -> &str {
    let body = &desired.sources[0].objects[0].body;
    body["data"]
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .as_str()
        .unwrap()
}

#[tokio::test]
async fn a_change_renders_exactly_the_overlays_that_read_it() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("mapped")).unwrap();
    write(dir, "base/kustomization.yaml", "resources: [a.yaml]\n");
    write(dir, "base/a.yaml", &config_map("a", 0, "1"));
    write(dir, "other/kustomization.yaml", "resources: [b.yaml]\n");
    write(dir, "other/b.yaml", &config_map("b", 0, "1"));
    for (overlay, base) in [("dev", "base"), ("prod", "base"), ("alone", "other")] {
        let text = format!("namePrefix: {overlay}-\nresources: [../../{base}]\n");
        write(
            dir,
            &format!("overlays/{overlay}/kustomization.yaml"),
            &text,
        );
    }
    let names = ["dev", "prod", "alone"];
    let all: String = names
        .map(|name| application(name, &format!("overlays/{name}")))
        .concat();
    write(dir, "applications.yaml", &all);
    let tidegate = open(dir, Settings::default()).await;

    let first = render_all(&tidegate).await;
    let names = first
        .each_ref()
        .map(|d| d.sources[0].objects[0].name.as_str());
    assert_eq!(names, ["dev-a", "prod-a", "alone-b"]);
    assert_eq!(first[0].sources[0].source_type, "Kustomize");
    assert_eq!(renders(&tidegate), [1, 1, 1]);

    write(
        dir,
        "base/a.yaml",
        &config_map("a", 0, "changed in the base"),
    );
    let second = render_all(&tidegate).await;
    assert_eq!(renders(&tidegate), [2, 2, 1]);
    assert_eq!(value(&second[1]), "changed in the base");

    let text = "namePrefix: new-\nresources: [../../base]\n";
    write(dir, "overlays/dev/kustomization.yaml", text);
    let third = render_all(&tidegate).await;
    assert_eq!(renders(&tidegate), [3, 2, 1]);
    assert_eq!(third[0].sources[0].objects[0].name, "new-a");

    write(dir, "unread.yaml", &config_map("c", 0, "1"));
    render_all(&tidegate).await;
    assert_eq!(renders(&tidegate), [3, 2, 1]);
}

/// Copies the example, so that it can be changed.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn the_example_renders_again_what_reads_the_change() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kustomize-overlays");
    copy(&example, dir);
    std::fs::create_dir(dir.join("mapped")).unwrap();
    let tidegate = open(dir, Settings::default()).await;
    let mut last = [0; 3];
    let mut changed = async || {
        let names = ["orders-dev", "orders-staging", "orders-prod"];
        let mut desired = Vec::new();
        for name in names {
            let one = render(&tidegate, name).await;
            assert!(one.diagnostics.is_empty(), "{:?}", one.diagnostics);
            desired.push(one);
        }
        let now = names.map(|name| tidegate.source(name).unwrap().renders());
        let anew: Vec<&str> = (0..3)
            .filter(|n| now[*n] > last[*n])
            .map(|n| names[n].trim_start_matches("orders-"))
            .collect();
        last = now;
        (anew.join(" "), desired)
    };
    assert_eq!(changed().await.0, "dev staging prod");
    assert_eq!(changed().await.0, "");
    let seen = |name: &str| tidegate.source(name).unwrap().fingerprint_blocking();
    let before = ["orders-dev", "orders-prod"].map(seen);
    let spread = dir.join("pipeline/components/high-availability/spread.yaml");
    let text = std::fs::read_to_string(&spread).unwrap();
    std::fs::write(&spread, format!("{text}# seen\n")).unwrap();
    let after = ["orders-dev", "orders-prod"].map(seen);
    assert_eq!(before[0], after[0], "dev does not read it");
    assert_ne!(
        before[1], after[1],
        "what lies outside of the overlay is looked at too"
    );
    assert_eq!(changed().await.0, "staging prod");
    for (file, expected) in [
        ("pipeline/base/enricher.properties", "dev staging prod"),
        ("pipeline/base/reconcile.yaml", "dev staging prod"),
        (
            "pipeline/components/metrics/kustomization.yaml",
            "staging prod",
        ),
        (
            "pipeline/components/high-availability/spread.yaml",
            "staging prod",
        ),
        ("pipeline/overlays/prod/enricher.properties", "prod"),
        ("pipeline/overlays/dev/kustomization.yaml", "dev"),
        ("README.md", ""),
    ] {
        let path = dir.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}# changed\n")).unwrap();
        assert_eq!(changed().await.0, expected, "{file}");
    }
    let path = dir.join("pipeline/base/topic.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("partitions: 3", "partitions: 6")).unwrap();
    let (anew, desired) = changed().await;
    assert_eq!(anew, "dev staging prod");
    let partitions = desired.iter().map(|one| {
        let mut objects = one.sources[0].objects.iter();
        let topic = objects.find(|object| object.body["kind"] == "KafkaTopic");
        topic.unwrap().body["spec"]["partitions"].as_i64().unwrap()
    });
    assert_eq!(partitions.collect::<Vec<_>>(), [6, 6, 24]);
}

#[tokio::test]
async fn charts_need_an_operator() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("mapped")).unwrap();
    write(
        dir,
        "app/kustomization.yaml",
        "namespace: outer\nhelmCharts: [{name: c, releaseName: r, namespace: from-helm}]\n",
    );
    write(
        dir,
        "app/charts/c/Chart.yaml",
        "apiVersion: v2\nname: c\nversion: 1.0.0\n",
    );
    write(dir, "app/charts/c/values.yaml", "{}\n");
    write(dir, "applications.yaml", &application("app", "app"));
    let helm = dir.join("helm.sh");
    std::fs::write(&helm, "#!/bin/sh\nprintf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: %s, namespace: from-helm}\\n' $2\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helm, executable).unwrap();
    let of = |flags: &str, allowed: bool| Settings {
        kustomize: KustomizeSettings {
            build_options: format!("{flags} --helm-command {}", helm.display()),
            helm: allowed.then(HelmSettings::default),
            ..KustomizeSettings::default()
        },
        ..Settings::default()
    };
    for (flags, allowed, expected) in [
        ("", true, "must specify --enable-helm"),
        (
            "--enable-helm",
            false,
            "an operator allows it with `kustomize.helm` in the Settings",
        ),
    ] {
        let tidegate = open(dir, of(flags, allowed)).await;
        let message = &render(&tidegate, "app").await.diagnostics[0].message;
        assert!(message.contains(expected), "{message}");
    }
    let tidegate = open(dir, of("--enable-helm", true)).await;
    let desired = render(&tidegate, "app").await;
    let object = &desired.sources[0].objects[0];
    assert_eq!(
        (object.name.as_str(), object.namespace.as_str()),
        ("r", "from-helm")
    );
    write(dir, "app/charts/c/values.yaml", "a: 1\n");
    render(&tidegate, "app").await;
    assert_eq!(
        tidegate.source("app").unwrap().renders(),
        2,
        "a chart is read too"
    );
}

#[tokio::test]
async fn bases_of_other_repositories_are_mapped_or_allowed_or_refused() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    write(
        dir,
        "mapped/deploy/kustomization.yaml",
        "resources: [a.yaml]\n",
    );
    write(dir, "mapped/deploy/a.yaml", &config_map("a", 0, "1"));
    let base = |url: &str| format!("namePrefix: x-\nresources: ['{url}']\n");
    write(
        dir,
        "own/kustomization.yaml",
        &base("https://git.example.com/mapped.git//deploy?ref=v1"),
    );
    write(
        dir,
        "refused/kustomization.yaml",
        &base("https://127.0.0.1:9/team/other.git//deploy?ref=v1"),
    );
    write(
        dir,
        "applications.yaml",
        &(application("own", "own") + &application("refused", "refused")),
    );

    let tidegate = open(dir, Settings::default()).await;
    let own = render(&tidegate, "own").await;
    assert_eq!(own.sources[0].objects[0].name.as_str(), "x-a");
    let refused = render(&tidegate, "refused").await;
    let message = &refused.diagnostics[0].message;
    assert!(
        message.contains("is not allowed: pass --map https://127.0.0.1:9/team/other.git=DIR"),
        "{message}"
    );

    // Nobody answers at the address: that it is tried shows that it is allowed.
    let settings = Settings {
        kustomize: KustomizeSettings {
            remote_bases: vec!["https://127.0.0.1:9/team/*".to_owned()],
            ..KustomizeSettings::default()
        },
        ..Settings::default()
    };
    let tidegate = open(dir, settings).await;
    let tried = render(&tidegate, "refused").await;
    let message = &tried.diagnostics[0].message;
    assert!(
        message.contains("cannot be fetched") && !message.contains("is not allowed"),
        "{message}"
    );
}

#[tokio::test]
async fn build_options_of_the_settings_hold() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    write(dir, "shared/a.yaml", &config_map("a", 0, "1"));
    write(
        dir,
        "app/kustomization.yaml",
        "resources: [../shared/a.yaml]\n",
    );
    write(dir, "applications.yaml", &application("app", "app"));
    std::fs::create_dir(dir.join("mapped")).unwrap();
    let of = |flags: &str| Settings {
        kustomize: KustomizeSettings {
            build_options: flags.to_owned(),
            ..KustomizeSettings::default()
        },
        ..Settings::default()
    };
    let strict = open(dir, of("")).await;
    let message = &render(&strict, "app").await.diagnostics[0].message;
    assert!(
        message.contains("security; file 'shared/a.yaml' is not in or below"),
        "{message}"
    );
    let loose = open(dir, of("--load-restrictor LoadRestrictionsNone")).await;
    assert_eq!(render(&loose, "app").await.sources[0].objects.len(), 1);
    let error = Tidegate::open(dir.to_str().unwrap())
        .settings(of("--bogus"))
        .build()
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("unknown flag: --bogus")
    );
}
