//! Kustomizations as sources: overlays are rendered anew only when what they read changed; bases of other repositories.

use std::path::Path;

use tempfile::TempDir;
use tidegate::Tidegate;
use tidegate::engine::{Desired, Wanted};
use tidegate::manifest::{DestinationSettings, KubernetesTarget, KustomizeSettings, Settings};

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
