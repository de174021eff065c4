//! Kustomizations in CPU time: small, 117 objects, 500 objects, 50 overlays over shared bases; beside the real program
//! when it is installed, whose process is measured in the same run.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use tidegate_benches::cpu::CpuTime;
use tidegate_kustomize::{BuildOptions, build};
use tidegate_render::{DirectoryTree, FileTree};

/// Runs of the real program of which the median is told.
const PROGRAM_RUNS: usize = 5;

fn deployment(n: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{n}\nspec:\n  replicas: 1\n  selector: {{matchLabels: {{app: app-{n}}}}}\n  template:\n    metadata: {{labels: {{app: app-{n}}}}}\n    spec:\n      containers:\n      - name: main\n        image: registry.example.com/app:1\n        env:\n        - {{name: A, value: \"1\"}}\n        - name: B\n          valueFrom: {{configMapKeyRef: {{name: config-{n}, key: b}}}}\n        ports:\n        - containerPort: 8080\n"
    )
}

/// Every fourth object is a Deployment, the others are what it names.
fn objects(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let group = n / 4;
        let _ = match n % 4 {
            0 => write!(text, "---\n{}", deployment(group)),
            1 => write!(
                text,
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config-{group}}}\ndata: {{b: \"{n}\"}}\n"
            ),
            2 => write!(
                text,
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: app-{group}}}\nspec:\n  selector: {{app: app-{group}}}\n  ports:\n  - port: 80\n"
            ),
            _ => write!(
                text,
                "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: app-{group}}}\n"
            ),
        };
    }
    text
}

const OVERLAY: &str = "resources: [../base]\nnamespace: prod\nnamePrefix: p-\nlabels: [{pairs: {team: data}, includeSelectors: true}]\nimages: [{name: registry.example.com/app, newTag: \"2\"}]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 3}\n- target: {kind: Deployment}\n  patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: any}\n    spec: {template: {spec: {containers: [{name: main, env: [{name: C, value: c}]}]}}}\n";

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder can be made");
    fs::write(path, text).expect("the file can be written");
}

/// Writes a base of `count` objects and an overlay of it.
fn layout(root: &Path, count: usize) {
    write(root, "base/kustomization.yaml", "resources: [all.yaml]\n");
    write(root, "base/all.yaml", &objects(count));
    write(root, "overlay/kustomization.yaml", OVERLAY);
}

/// CPU seconds of all children that were waited for.
fn children() -> Duration {
    let usage = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = usage
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|f| f.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Duration::from_millis((ticks(13) + ticks(14)) * 10)
}

fn own() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.unsigned_abs(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

fn program() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let peers = std::env::var_os("TIDEGATE_PEERS")
        .map_or_else(|| home.join(".cache/tidegate-peers"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([peers.join("bin")])
        .map(|place| place.join("kustomize"))
        .find(|file| file.is_file())
}

#[expect(clippy::print_stderr, reason = "a benchmark tells what it measured")]
fn tell(text: &str) {
    eprintln!("{text}");
}

/// The median CPU time of the real program over some directories, beside one run of ours.
fn beside(name: &str, root: &Path, directories: &[String]) {
    let tree: Arc<dyn FileTree> = Arc::new(DirectoryTree::open(root).expect("it is there"));
    let before = own();
    directories
        .iter()
        .for_each(|directory| run(&tree, directory));
    let ours = own() - before;
    let Some(program) = program() else {
        tell(&format!(
            "kustomize {name}: SKIPPED the real program: it is not installed"
        ));
        return;
    };
    let mut times: Vec<Duration> = (0..PROGRAM_RUNS)
        .map(|_| {
            let before = children();
            for directory in directories {
                let done = Command::new(&program)
                    .arg("build")
                    .arg(root.join(directory))
                    .stdout(Stdio::null())
                    .status();
                assert!(
                    done.is_ok_and(|status| status.success()),
                    "the real program builds {directory}"
                );
            }
            children() - before
        })
        .collect();
    times.sort();
    tell(&format!(
        "kustomize {name}: the real program {:?} of CPU (median of {PROGRAM_RUNS}), ours {ours:?} in one cold run",
        times[PROGRAM_RUNS / 2]
    ));
}

fn run(tree: &Arc<dyn FileTree>, directory: &str) {
    let built = build(
        Arc::clone(tree),
        directory,
        &BuildOptions::default(),
        &Default::default(),
    );
    black_box(built.expect("it builds").to_yaml());
}

fn kustomize(bench: &mut Criterion<CpuTime>) {
    let mut group = bench.benchmark_group("kustomize");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    for (name, count) in [("5 objects", 5), ("117 objects", 117), ("500 objects", 500)] {
        let root = tempfile::tempdir().expect("a folder");
        layout(root.path(), count);
        let directories = ["overlay".to_owned()];
        beside(name, root.path(), &directories);
        let tree: Arc<dyn FileTree> =
            Arc::new(DirectoryTree::open(root.path()).expect("it is there"));
        group.bench_function(name, |b| b.iter(|| run(&tree, "overlay")));
    }
    let root = tempfile::tempdir().expect("a folder");
    layout(root.path(), 20);
    let directories: Vec<String> = (0..50).map(|n| format!("overlays/{n}")).collect();
    for (n, directory) in directories.iter().enumerate() {
        let text =
            format!("resources: [../../overlay]\nnameSuffix: \"-{n}\"\nnamespace: team-{n}\n");
        write(
            root.path(),
            &format!("{directory}/kustomization.yaml"),
            &text,
        );
    }
    beside("50 overlays", root.path(), &directories);
    let tree: Arc<dyn FileTree> = Arc::new(DirectoryTree::open(root.path()).expect("it is there"));
    group.bench_function("50 overlays", |b| {
        b.iter(|| {
            for directory in &directories {
                run(&tree, directory);
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().with_measurement(CpuTime);
    targets = kustomize
}
criterion_main!(all);
