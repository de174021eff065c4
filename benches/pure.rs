//! Benchmarks of everything below the targets, in CPU time: reading, writing, rendering, the graph, merging, a comparison
//! that finds nothing. `benches/README.md` says what each is held against.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tidegate_benches::cpu::CpuTime;
use tidegate_benches::fixtures::{self, config_map, deployment, desired, mixed, objects, stream};
use tidegate_benches::place::{engine, sync};
use tidegate_benches::still::Still;
use tidegate_diff::managed::{KindVersions, OnConflict, Request, apply};
use tidegate_diff::schema::Schema;
use tidegate_engine::Destination;
use tidegate_graph::{Graph, GraphOptions, NodeInput};
use tidegate_manifest::{ApplicationSource, DirectoryOptions, Object, Origin, Target};
use tidegate_render::{
    DirectoryRenderer, DirectoryTree, FileTree, MemoryTree, RenderInput, Renderer,
};
use tidegate_yaml::{ParseOptions, parse_stream, stream_to_string};

type Bench = Criterion<CpuTime>;

/// Reading and writing YAML, beside serde_yaml.
fn yaml(bench: &mut Bench) {
    let text = stream(300, mixed);
    let values: Vec<Value> = objects(&text)
        .into_iter()
        .map(|object| object.body)
        .collect();
    let mut group = bench.benchmark_group("yaml");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let options = ParseOptions::default();
    group.bench_function("read: tidegate", |b| {
        b.iter(|| parse_stream(black_box(text.as_bytes()), &options));
    });
    group.bench_function("read to JSON values: tidegate", |b| {
        b.iter(|| {
            let documents = parse_stream(black_box(text.as_bytes()), &options).documents;
            documents
                .iter()
                .map(|document| document.root.to_json())
                .collect::<Vec<Value>>()
        });
    });
    group.bench_function("read to JSON values: serde_yaml", |b| {
        use serde::Deserialize as _;
        b.iter(|| {
            let documents = serde_yaml::Deserializer::from_str(black_box(&text));
            documents
                .map(|document| Value::deserialize(document).expect("it is YAML"))
                .collect::<Vec<Value>>()
        });
    });
    group.bench_function("write: tidegate", |b| {
        b.iter(|| stream_to_string(black_box(&values)));
    });
    group.bench_function("write: serde_yaml", |b| {
        b.iter(|| {
            let write = |value: &Value| serde_yaml::to_string(value).expect("it can be written");
            black_box(&values).iter().map(write).collect::<String>()
        });
    });
    group.finish();
}

fn input(tree: Arc<dyn FileTree>) -> RenderInput {
    RenderInput {
        tree,
        source: ApplicationSource {
            path: Some("app".to_owned()),
            directory: Some(DirectoryOptions {
                recurse: true,
                ..DirectoryOptions::default()
            }),
            ..ApplicationSource::default()
        },
        application: "bench".to_owned(),
        namespace: "streaming".to_owned(),
        origin: Origin::default(),
        aws: Arc::default(),
    }
}

/// Rendering 1,000 manifests, beside the bare reading of the same bytes.
fn render(bench: &mut Bench) {
    let files: Vec<(String, String)> = (0..1000)
        .map(|number| (format!("app/{}/{number}.yaml", number % 20), mixed(number)))
        .collect();
    let memory = files
        .iter()
        .fold(MemoryTree::default(), |tree, (path, text)| {
            tree.with_file(path, text.as_str())
        });
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    for (path, text) in &files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it has a folder"))
            .expect("the folder is ours");
        std::fs::write(path, text).expect("the folder is ours");
    }
    let disk = DirectoryTree::open(dir.path()).expect("the folder is there");
    let mut group = bench.benchmark_group("render 1,000 manifests");
    let options = ParseOptions::default();
    group.bench_function("limit: read the YAML", |b| {
        b.iter(|| {
            files
                .iter()
                .map(|(_, text)| parse_stream(text.as_bytes(), &options).documents.len())
                .sum::<usize>()
        });
    });
    let renderer = DirectoryRenderer::default();
    for (name, tree) in [
        ("from memory", Arc::new(memory) as Arc<dyn FileTree>),
        ("from a directory", Arc::new(disk)),
    ] {
        let input = input(tree);
        assert_eq!(renderer.render(&input).objects.len(), 1000);
        group.bench_function(name, |b| b.iter(|| renderer.render(black_box(&input))));
    }
    group.finish();
}

/// The graph of 9,999 objects, each Deployment with three references.
fn graph(bench: &mut Bench) {
    let target = Target::kubernetes("bench");
    let objects: Vec<Object> = objects(&stream(9_999, mixed));
    let mut group = bench.benchmark_group("graph of 10,000 nodes");
    group.sample_size(20);
    let inputs = || {
        objects
            .iter()
            .flat_map(|object| NodeInput::of_object(object, &target))
            .collect::<Vec<_>>()
    };
    assert!(
        Graph::build(inputs(), &GraphOptions::default())
            .edges()
            .len()
            >= 3_333
    );
    group.bench_function("build", |b| {
        b.iter_batched(
            inputs,
            |inputs| Graph::build(inputs, &GraphOptions::default()),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// Server-side apply of a Deployment: to nothing, again, with a change, against another owner.
fn merge(bench: &mut Bench) {
    let ty = Schema::builtin("apps", "v1", "Deployment").expect("it is built in");
    let versions = KindVersions::one("apps/v1", ty);
    let request = |manager| Request {
        versions: &versions,
        api_version: "apps/v1",
        kind: "Deployment",
        subresource: "",
        manager,
        now: "2026-01-02T03:04:05Z",
    };
    let config = objects(&deployment(1)).remove(0).body;
    let mut changed = config.clone();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("registry.example/ingest:2.0.0");
    let run = |manager, live: Option<&Value>, config: &Value, on_conflict| {
        apply(&request(manager), live, config, on_conflict).map(|merged| merged.object)
    };
    let live = run("tidegate", None, &config, OnConflict::Fail).expect("nobody owns anything");
    let mut group = bench.benchmark_group("server-side apply of a Deployment");
    group.bench_function("limit: copy of the object", |b| {
        b.iter(|| black_box(&live).clone());
    });
    group.bench_function("create", |b| {
        b.iter(|| run("tidegate", None, &config, OnConflict::Fail));
    });
    group.bench_function("again", |b| {
        b.iter(|| run("tidegate", Some(&live), &config, OnConflict::Fail));
    });
    group.bench_function("changed image", |b| {
        b.iter(|| run("tidegate", Some(&live), &changed, OnConflict::Fail));
    });
    group.bench_function("conflict", |b| {
        b.iter(|| run("other", Some(&live), &changed, OnConflict::Fail));
    });
    group.bench_function("forced", |b| {
        b.iter(|| run("other", Some(&live), &changed, OnConflict::Force));
    });
    group.finish();
}

/// A comparison that finds nothing to do, of an application of four objects, with an applier that answers at once.
fn compare(bench: &mut Bench) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads");
    let mut group = bench.benchmark_group("comparison that finds nothing");
    for applications in [1, 1_000, 25_000] {
        let target = Target::kubernetes("bench");
        let destination = Destination::new().with(target.clone(), Arc::new(Still::new(target)));
        let engine = engine();
        let of = |number: usize| {
            let mut four = vec![fixtures::service(number), deployment(number)];
            four.extend([config_map(number), config_map(number + 1_000_000)]);
            desired(
                &format!("app-{number}"),
                "streaming",
                objects(&four.join("---\n")),
            )
        };
        let ours = of(0);
        runtime.block_on(async {
            for number in 0..applications {
                let other = of(number);
                sync(&engine, &destination, &other).await;
            }
        });
        let found = runtime
            .block_on(engine.compare(&destination, &ours))
            .expect("it compares");
        assert_eq!(found.sync.as_str(), "Synced", "{found:?}");
        group.bench_function(format!("4 of {} cached objects", applications * 4), |b| {
            b.iter(|| runtime.block_on(engine.compare(&destination, black_box(&ours))));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CpuTime)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
        .without_plots();
    targets = yaml, render, graph, merge, compare
}
criterion_main!(benches);
