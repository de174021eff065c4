//! Benchmarks with an API server over loopback, in wall time and in CPU time of the whole process (the sandbox included).
//! `benches/README.md` says what each is held against.

use std::cell::Cell;
use std::time::Duration;

use criterion::measurement::Measurement;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::stream::{self, StreamExt as _};
use tidegate_benches::cpu::CpuTime;
use tidegate_benches::fixtures::{self, config_map, desired, objects};
use tidegate_benches::place::{Place, real};
use tidegate_engine::{Desired, SyncRequest};
use tidegate_sandbox_kubernetes::Server;
use tokio::runtime::Runtime;

/// Objects of one iteration.
const COUNT: usize = 1_000;
/// Requests under way at one time.
const CONCURRENCY: usize = 16;

fn runtime() -> Runtime {
    Runtime::new().expect("threads")
}

/// Sends `COUNT` requests, all of which must succeed.
async fn send_all(client: &reqwest::Client, request: impl Fn(usize) -> reqwest::RequestBuilder) {
    let send = |number| {
        let request = request(number).build().expect("a request");
        async move {
            let reply = client.execute(request).await.expect("the sandbox answers");
            assert!(reply.status().is_success(), "{}", reply.status());
            reply.bytes().await.expect("the reply is whole")
        }
    };
    stream::iter(0..COUNT)
        .map(send)
        .buffer_unordered(CONCURRENCY)
        .for_each(|_| async {})
        .await;
}

/// Raw server-side apply requests to the sandbox, beside requests that do nothing.
fn writes<M: Measurement>(bench: &mut Criterion<M>, measure: &str) {
    let runtime = runtime();
    let server = runtime
        .block_on(Server::start(<_>::default()))
        .expect("loopback has a free port");
    let client = reqwest::Client::new();
    let (url, token) = (server.url(), server.token().to_owned());
    let turn = Cell::new(0_u64);
    let write = |number: usize, turn: u64| {
        let body = config_map(number).replace("mode: \"0644\"", &format!("mode: \"{turn}\""));
        let name = format!("settings-{number}");
        client
            .patch(format!(
                "{url}/api/v1/namespaces/default/configmaps/{name}?fieldManager=bench&force=true"
            ))
            .header("content-type", "application/apply-patch+yaml")
            .bearer_auth(&token)
            .body(body)
    };
    let mut group = bench.benchmark_group(format!("requests to the sandbox ({measure})"));
    group
        .sample_size(10)
        .throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("limit: GET /version", |b| {
        b.iter(|| {
            runtime.block_on(send_all(&client, |_| {
                client.get(format!("{url}/version")).bearer_auth(&token)
            }));
        });
    });
    group.bench_function("apply that changes", |b| {
        b.iter(|| {
            turn.set(turn.get() + 1);
            runtime.block_on(send_all(&client, |number| write(number, turn.get())));
        });
    });
    group.bench_function("apply that changes nothing", |b| {
        b.iter(|| runtime.block_on(send_all(&client, |number| write(number, turn.get()))));
    });
    group.finish();
    runtime.block_on(server.shutdown());
}

fn config_maps(namespace: &str) -> Desired {
    desired(
        "bench",
        namespace,
        objects(&fixtures::stream(COUNT, config_map)),
    )
}

/// A namespace that no earlier run used.
fn fresh(number: &Cell<u64>) -> String {
    number.set(number.get() + 1);
    format!("bench-{}-{}", std::process::id(), number.get())
}

/// Plan and apply of 1,000 ConfigMaps through engine and applier, and the comparison after it.
fn engine<M: Measurement>(bench: &mut Criterion<M>, measure: &str) {
    let runtime = runtime();
    let real = real();
    let at = if real.is_some() {
        "a real cluster"
    } else {
        "the sandbox"
    };
    let number = Cell::new(0);
    let mut group = bench.benchmark_group(format!("1,000 ConfigMaps to {at} ({measure})"));
    group.sample_size(10);
    let place = runtime.block_on(Place::start(real.clone()));
    let wanted = config_maps(&fresh(&number));
    let plan = || {
        let request = SyncRequest::manual(&wanted.application, "bench");
        let plan = runtime
            .block_on(place.engine.plan(&place.destination, &wanted, &request))
            .expect("a plan");
        assert!(!plan.is_invalid());
        plan
    };
    group.bench_function("plan: all to create", |b| b.iter(plan));
    runtime.block_on(place.sync(&wanted));
    group.bench_function("plan: nothing to do", |b| b.iter(plan));
    group.bench_function("comparison that finds nothing", |b| {
        b.iter(|| runtime.block_on(place.engine.compare(&place.destination, &wanted)));
    });
    group.bench_function("apply, dry run and journal included", |b| {
        let setup = || {
            (
                runtime.block_on(Place::start(real.clone())),
                config_maps(&fresh(&number)),
            )
        };
        let routine = |(place, wanted): (Place, Desired)| {
            runtime.block_on(place.sync(&wanted));
            place
        };
        b.iter_batched(setup, routine, BatchSize::PerIteration);
    });
    group.finish();
}

fn wall(bench: &mut Criterion) {
    writes(bench, "wall");
    engine(bench, "wall");
}

fn cpu(bench: &mut Criterion<CpuTime>) {
    writes(bench, "CPU");
    engine(bench, "CPU");
}

criterion_group! {
    name = in_wall_time;
    config = Criterion::default().measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_secs(1)).without_plots();
    targets = wall
}
criterion_group! {
    name = in_cpu_time;
    config = Criterion::default().with_measurement(CpuTime).measurement_time(Duration::from_secs(5)).warm_up_time(Duration::from_secs(1)).without_plots();
    targets = cpu
}
criterion_main!(in_wall_time, in_cpu_time);
