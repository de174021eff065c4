//! What the command refuses, and how it says so; what the environment may not do; streams and colours.

use std::process::Stdio;

use tempfile::TempDir;

use crate::kit::{Done, World, application, config_map, tidegate, write};

fn run(arguments: &[&str]) -> Done {
    let home = TempDir::new().unwrap();
    tidegate(home.path())
        .args(arguments)
        .current_dir(home.path())
        .output()
        .unwrap()
        .into()
}

#[test]
fn a_wrong_command_line_ends_2() {
    for arguments in [
        &["frobnicate"][..],
        &["sync", "--frobnicate"],
        &["up"],
        &["graph", "x", "-o", "png"],
        &["up", ".", "--timeout", "soon"],
        &["sync", "x", "--plan", "p", "--revision", "r"],
        &["plan", "x", "--settings", "a", "--kubeconfig", "b"],
        &[],
    ] {
        let done = run(arguments).ends(2);
        assert_eq!(done.out, "", "{arguments:?}: usage is for people");
        assert!(
            done.err.contains("Usage") || done.err.contains("try '--help'"),
            "{arguments:?}: {}",
            done.err
        );
    }
    for arguments in [&["--help"][..], &["sync", "--help"], &["--version"]] {
        assert_eq!(run(arguments).ends(0).err, "", "{arguments:?}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_help() {
    for (arguments, parts) in [
        (
            &["up", "no/such/place"][..],
            &["error[TG", "no/such/place", "is not there"][..],
        ),
        (&["render", "no/such/place"], &["error[TG", "no/such/place"]),
        (&["sync", "x"], &["error[TG", "no sandbox", "help: "]),
        (
            &["up", ".", "--kubeconfig", "absent"],
            &["error[TG", "absent", "help: "],
        ),
        (
            &["up", ".", "--settings", "absent"],
            &["error[TG", "absent"],
        ),
    ] {
        run(arguments).ends(1).says(parts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_application_brings_the_near_one_to_mind() {
    let world = World::new("clickstream").await;
    for name in ["clikstream", "click", "Clickstream"] {
        let mut command = tidegate(world.dir.path());
        let done: Done = command
            .args(["plan", name, "--repo"])
            .arg(world.repo())
            .arg("--dir")
            .arg(world.state())
            .output()
            .unwrap()
            .into();
        done.ends(1)
            .says(&["error[TG0601]", name, "did you mean \"clickstream\"?"]);
    }
    let mut command = tidegate(world.dir.path());
    let done: Done = command
        .args(["plan", "zebra", "--repo"])
        .arg(world.repo())
        .arg("--dir")
        .arg(world.state())
        .output()
        .unwrap()
        .into();
    let done = done.ends(1);
    assert!(
        !done
            .says(&["help: ", "clickstream"])
            .err
            .contains("did you mean"),
        "{}",
        done.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_can_come_from_a_file_or_be_the_only_one() {
    let world = World::new("only").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    let plan = |flags: &[&str]| -> Done {
        let mut command = tidegate(world.dir.path());
        command
            .args(["plan", "-o", "name", "--repo"])
            .arg(world.repo())
            .arg("--dir")
            .arg(world.state())
            .args(flags)
            .output()
            .unwrap()
            .into()
    };
    assert!(plan(&[]).ends(0).out.contains("ConfigMap"));
    let file = world.dir.path().join("other.yaml");
    write(
        &file,
        &application("other", "https://git.example.com/x.git", "project: default"),
    );
    assert!(plan(&["-f", file.to_str().unwrap()]).code.is_some());
    write(
        &world.repo().join("second.yaml"),
        &application("second", "https://git.example.com/x.git", ""),
    );
    plan(&[]).ends(1).says(&["error[", "only", "second"]);
}

/// KUBECONFIG names a cluster that would answer: only a flag may choose it.
#[tokio::test(flavor = "multi_thread")]
async fn the_environment_alone_chooses_no_target() {
    let world = World::new("chosen").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    let kubeconfig = world.sandbox.ready().kubeconfig.clone();
    let empty = world.dir.path().join("empty");
    for variable in ["KUBECONFIG", "TIDEGATE_SETTINGS", "TIDEGATE_KUBECONFIG"] {
        let mut command = tidegate(world.dir.path());
        command
            .args(["plan", "chosen", "--repo"])
            .arg(world.repo())
            .arg("--dir")
            .arg(&empty)
            .env(variable, &kubeconfig);
        Done::from(command.output().unwrap())
            .ends(1)
            .says(&["no sandbox runs in"]);
    }
    let mut command = tidegate(world.dir.path());
    command
        .args(["plan", "chosen", "--repo"])
        .arg(world.repo())
        .arg("--dir")
        .arg(&empty)
        .arg("--kubeconfig")
        .arg(&kubeconfig);
    Done::from(command.output().unwrap()).ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_destination_stands_at_its_line() {
    let world = World::new("lost").await;
    let path = world.repo().join("application.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("server: 'https://kubernetes.default.svc'", "name: nowhere"),
    )
    .unwrap();
    world.write("a.yaml", &config_map("a", 0, "1"));
    let settings = world.dir.path().join("settings.yaml");
    write(
        &settings,
        "apiVersion: tidegate.dev/v1alpha1\nkind: Settings\ndestinations:\n  - name: prod\n    kubernetes: {context: prod}\n",
    );
    let done = world
        .run("plan", &["--settings", settings.to_str().unwrap()])
        .ends(1);
    done.says(&[
        "error[TG",
        " --> application.yaml:1:",
        "object: Application lost",
        "nowhere",
        "help: ",
    ]);
    write(&settings, "kind: Settings\n");
    world
        .run("plan", &["--settings", settings.to_str().unwrap()])
        .ends(1)
        .says(&["error[TG", "settings.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_escape_codes_where_nobody_sees_colours() {
    let world = World::new("plain").await;
    world.write("a.yaml", &config_map("a", 0, "1"));
    for command in ["plan", "diff", "sync", "get", "history", "wait"] {
        for colour in [None, Some("NO_COLOR")] {
            let mut child = world.command(command);
            if let Some(variable) = colour {
                child.env(variable, "1");
            }
            let done: Done = child.output().unwrap().into();
            assert!(
                !done.out.contains('\u{1b}') && !done.err.contains('\u{1b}'),
                "{command}: {done:?}"
            );
        }
    }
}

/// The reader takes one line and goes away.
#[test]
fn a_closed_pipe_ends_it_quietly() {
    let home = TempDir::new().unwrap();
    let many: String = (0..5000)
        .map(|number| config_map(&format!("c{number}"), 0, "1"))
        .collect();
    write(&home.path().join("a.yaml"), &many);
    for flags in [&["-o", "yaml"][..], &["-o", "json"], &["-o", "name"]] {
        let mut child = tidegate(home.path())
            .arg("render")
            .arg(home.path())
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let done: Done = child.wait_with_output().unwrap().into();
        assert_eq!(done.ends(0).err, "", "{flags:?}");
    }
}
