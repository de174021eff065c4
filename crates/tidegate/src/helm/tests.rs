//! A program in Helm's place: what it is run with, and how it is bounded.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use tidegate_render::MemoryTree;

use super::*;

/// A script in Helm's place.
struct Script {
    dir: TempDir,
    settings: HelmSettings,
}

impl Script {
    fn new(body: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("helm");
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = HelmSettings {
            command: Some(file.display().to_string()),
            timeout_seconds: Some(20),
            repositories: vec!["https://charts.example.com/*".to_owned()],
        };
        Self { dir, settings }
    }

    fn helm(&self) -> Helm {
        Helm::new(&self.settings, "")
    }
}

fn request() -> ChartRequest {
    let tree = MemoryTree::default()
        .with_file("charts/c/Chart.yaml", "name: c\n")
        .with_file("charts/c/templates/a.yaml", "a: 1\n");
    ChartRequest {
        tree: Arc::new(tree),
        directory: "charts/c".to_owned(),
        name: "c".to_owned(),
        release_name: "r".to_owned(),
        name_template: String::new(),
        namespace: "n; touch x".to_owned(),
        values: vec![b"v: 1\n".to_vec(), b"w: 2\n".to_vec()],
        api_versions: vec!["a/v1".to_owned()],
        kube_version: "v1.30".to_owned(),
        include_crds: true,
        skip_tests: true,
        skip_hooks: true,
        devel: true,
    }
}

fn address(repository: &str) -> ChartAddress {
    ChartAddress {
        name: "c".to_owned(),
        version: "1.0".to_owned(),
        repository: repository.to_owned(),
        devel: false,
    }
}

#[test]
fn helm_is_run_with_the_words_of_kustomize() {
    let script = Script::new(
        "for word in \"$@\"; do echo \"[$word]\" | sed \"s#$PWD#ROOM#\"; done; cat chart/templates/a.yaml values-1.yaml; env | cut -d= -f1 | sort | grep -v '^_$'",
    );
    let printed = script.helm().template(&request()).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let (words, variables) = printed.split_once("HELM_CACHE_HOME\n").unwrap();
    assert_eq!(
        words,
        "[template]\n[r]\n[ROOM/chart]\n[--namespace=n; touch x]\n[--values=ROOM/values-0.yaml]\n[--values=ROOM/values-1.yaml]\n\
         [--api-versions=a/v1]\n[--kube-version=v1.30]\n[--include-crds]\n[--skip-tests]\n[--no-hooks]\n[--devel]\na: 1\nw: 2\n"
    );
    for variable in variables.lines() {
        let is_known = variable.starts_with("HELM_")
            || ["HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL"].contains(&variable)
            || variable == "PATH"
            || variable.to_lowercase().ends_with("_proxy")
            || variable.starts_with("SSL_CERT_");
        assert!(is_known, "{variable} of this process is shown to it");
    }
}

#[test]
fn a_program_that_does_not_end_is_ended_with_what_it_started() {
    let mut script = Script::new("sleep 300 & echo $! > \"$(dirname \"$0\")/child\"; wait");
    let child = script.dir.path().join("child");
    script.settings.timeout_seconds = Some(1);
    let begun = Instant::now();
    let said = script.helm().template(&request()).unwrap_err();
    assert!(said.contains("longer than 1 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it was ended");
    let id = std::fs::read_to_string(&child).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    let is_gone = stat.map_or(true, |stat| stat.contains(") Z "));
    assert!(is_gone, "what it started ended too");
}

#[test]
fn output_without_end_is_refused() {
    let script = Script::new("exec cat /dev/zero");
    let said = script.helm().template(&request()).unwrap_err();
    assert!(said.contains("prints more than 67108864 bytes"), "{said}");
}

#[test]
fn a_failure_is_told_in_its_words() {
    let script = Script::new("echo half; echo \"Error: $PWD/chart is no chart\" >&2; exit 3");
    let said = script.helm().template(&request()).unwrap_err();
    assert!(
        said.ends_with("ended with exit status: 3: Error: chart is no chart"),
        "{said}"
    );
    let nowhere = HelmSettings {
        command: Some("/no/such/helm".to_owned()),
        ..HelmSettings::default()
    };
    let said = Helm::new(&nowhere, "").template(&request()).unwrap_err();
    assert!(said.contains("is it installed?"), "{said}");
}

#[test]
fn charts_are_pulled_from_named_repositories_once() {
    let script = Script::new(
        "for word in \"$@\"; do echo \"[$word]\" | sed \"s#$PWD#ROOM#\"; done >> \"$(dirname \"$0\")/log\"; mkdir -p charts/c; echo 'name: c' > charts/c/Chart.yaml",
    );
    let helm = script.helm();
    for _ in 0..2 {
        let pulled = helm
            .pull(&address("https://charts.example.com/stable/"))
            .unwrap();
        let chart = pulled.tree.read("c/Chart.yaml", 100).unwrap();
        assert_eq!(
            (chart.as_slice(), pulled.directory.as_str()),
            (b"name: c\n".as_slice(), "c")
        );
    }
    let log = std::fs::read_to_string(script.dir.path().join("log")).unwrap();
    assert_eq!(
        log,
        "[pull]\n[--untar]\n[--untardir]\n[ROOM/charts]\n[--repo]\n[https://charts.example.com/stable/]\n[c]\n[--version]\n[1.0]\n"
    );
    for (repository, expected) in [
        ("https://charts.example.com/a/b", "are not allowed"),
        ("https://other.example.com/stable", "are not allowed"),
        ("/srv/charts", "are not allowed"),
        ("--repo=x://y", "begins like a flag"),
    ] {
        let said = helm.pull(&address(repository)).unwrap_err();
        assert!(said.contains(expected), "{repository}: {said}");
    }
}

#[test]
fn charts_have_limits_and_stay_in_their_tree() {
    let script = Script::new("find chart -type f | sort");
    let mut request = request();
    let mut tree = MemoryTree::default()
        .with_file("shared/x.yaml", "x: 1\n")
        .with_file("charts/c/Chart.yaml", "name: c\n")
        .with_link("charts/c/inside", "../../shared")
        .with_link("charts/c/nowhere", "missing");
    request.tree = Arc::new(tree.clone());
    let printed = script.helm().template(&request).unwrap();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        "chart/Chart.yaml\nchart/inside/x.yaml\n"
    );
    request.tree = Arc::new(tree.clone().with_link("charts/c/outside", "../../../etc"));
    let said = script.helm().template(&request).unwrap_err();
    assert!(said.contains("climbs above the root"), "{said}");
    request.tree = Arc::new(tree.clone().with_link("charts/c/circle", "../c"));
    let said = script.helm().template(&request).unwrap_err();
    assert!(said.contains("deeper than 32 folders"), "{said}");
    for n in 0..=copy::FILES_MAX {
        tree = tree.with_file(&format!("charts/c/files/{n}"), "");
    }
    request.tree = Arc::new(tree);
    let said = script.helm().template(&request).unwrap_err();
    assert!(said.contains("more than 10000 files"), "{said}");
}

#[test]
fn without_an_operator_nothing_runs() {
    let said = NoHelm.template(&request()).unwrap_err();
    assert!(said.contains("`kustomize.helm` in the Settings"), "{said}");
    assert!(
        NoHelm
            .pull(&address("https://charts.example.com/a"))
            .is_err()
    );
}
