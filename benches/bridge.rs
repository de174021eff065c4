//! The bridge from Kafka to a sink that does nothing, on one core, beside a plain consumer of the same client library and
//! `kcat`; its delay at 1,000 records a second; its memory with 1,000 partitions.
//!
//! The broker is the Apache Kafka that `TIDEGATE_TEST_KAFKA=HOST:PORT` names, else the sandbox's in a process of its own.
//! Every reader runs in a process of its own, which is this program again with a role.

use std::io::{BufRead as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tidegate_bridge::binding::{KafkaSettings, Start};
use tidegate_bridge::event::EventShape;
use tidegate_bridge::filter::Filter;
use tidegate_bridge::metrics::Metrics;
use tidegate_bridge::outcome::Outcome;
use tidegate_bridge::policy::Policy;
use tidegate_bridge::runtime::{self, Parts};
use tidegate_bridge::source::kafka::KafkaSource;
use tidegate_bridge::target::{Delivery, Discard, Target};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tokio::sync::watch;

const ROLE: &str = "TIDEGATE_BENCH_ROLE";
const BROKER: &str = "TIDEGATE_BENCH_BROKER";
const TOPIC: &str = "TIDEGATE_BENCH_TOPIC";
const COUNT: &str = "TIDEGATE_BENCH_COUNT";
/// Partitions of the topics that are read at full speed.
const PARTITIONS: i32 = 8;
/// Partitions of the topic that memory is measured with.
const MANY_PARTITIONS: i32 = 1_000;
/// Runs of each reader, in turns; the middle one is shown.
const RUNS: usize = 5;
/// The share of the plain consumer's speed that the design wants.
const SHARE: f64 = 0.9;
/// Records a second when delays are measured, and for how long.
const PACE: u64 = 1_000;
const PACE_SECONDS: u64 = 20;
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(180);

/// A line of what was measured.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn main() {
    match variable(ROLE).as_str() {
        "" => measure(),
        "broker" => runtime_of(2).block_on(broker()),
        "plain" | "plain-tuned" => speed(plain),
        "bridge" => speed(bridge),
        "kcat" => kcat(),
        "delay-plain" => delay(Reader::Plain),
        "delay-bridge" => delay(Reader::Bridge),
        "memory-plain" => memory(Reader::Plain),
        "memory-bridge" => memory(Reader::Bridge),
        other => say(&format!("there is no role {other}")),
    }
}

#[derive(Clone, Copy)]
enum Reader {
    Plain,
    Bridge,
}

fn runtime_of(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let built = builder.worker_threads(threads).enable_all().build();
    built.expect("a runtime")
}

// The parent.

struct Stage {
    servers: String,
    broker: Option<Child>,
    admin: AdminClient<DefaultClientContext>,
    topics: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let (servers, broker) = match std::env::var("TIDEGATE_TEST_KAFKA") {
            Ok(servers) => {
                say(&format!("Apache Kafka at {servers}"));
                (servers, None)
            }
            Err(_) => {
                say(
                    "THE SANDBOX'S BROKER, not Apache Kafka: TIDEGATE_TEST_KAFKA names none. Its speed bounds every figure below.",
                );
                let mut child = role("broker").spawn().expect("this program runs again");
                let output = child.stdout.take().expect("its output is piped");
                let line = std::io::BufReader::new(output).lines().next();
                let servers = line.expect("the broker says its address").expect("a line");
                (servers, Some(child))
            }
        };
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &servers);
        let admin = config.create().expect("an admin client");
        Self {
            servers,
            broker,
            admin,
            topics: Vec::new(),
        }
    }

    /// A topic of `count` records of `bytes` bytes each, keys included.
    fn topic(&mut self, name: &str, partitions: i32, count: usize, bytes: usize) -> String {
        let topic = format!("bench-{name}-{}", std::process::id());
        let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
        let made = self.admin.create_topics([&new], &AdminOptions::new());
        let made = runtime_of(1).block_on(made).expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        self.topics.push(topic.clone());
        fill(&self.servers, &topic, partitions, count, bytes);
        topic
    }

    fn run(&self, name: &str, topic: &str, count: usize) -> String {
        let mut command = role(name);
        command.env(BROKER, &self.servers).env(TOPIC, topic);
        command.env(COUNT, count.to_string());
        let child = command.stderr(Stdio::inherit()).spawn();
        let output = child.and_then(Child::wait_with_output);
        let output = output.expect("this program runs again");
        assert!(output.status.success(), "{name} failed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let gone = self.admin.delete_topics(&topics, &AdminOptions::new());
        drop(runtime_of(1).block_on(gone));
        if let Some(broker) = &mut self.broker {
            drop(broker.kill());
            drop(broker.wait());
        }
    }
}

fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the program's own path"));
    command.env(ROLE, name).stdout(Stdio::piped());
    command
}

/// Settings of a producer that fills partitions as fast as it can.
fn fill(servers: &str, topic: &str, partitions: i32, count: usize, bytes: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("linger.ms", "50")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    let value = vec![b'x'; bytes.saturating_sub(8)];
    for number in 0..count {
        let key = format!("{:08}", number % 1_000);
        let partition = i32::try_from(number).unwrap_or(i32::MAX) % partitions;
        let mut record = BaseRecord::to(topic)
            .key(&key)
            .payload(&value)
            .partition(partition);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    producer.flush(LIMIT).expect("all records are taken");
}

fn measure() {
    let mut stage = Stage::new();
    for (bytes, count) in [(100, 3_000_000), (1_024, 600_000)] {
        speeds(&mut stage, bytes, count);
    }
    for name in ["delay-plain", "delay-bridge"] {
        let topic = stage.topic(name, PARTITIONS, 0, 0);
        say(&format!("{name}: {}", stage.run(name, &topic, 0)));
    }
    let count = 200_000;
    let topic = stage.topic("memory", MANY_PARTITIONS, count, 100);
    for name in ["memory-plain", "memory-bridge"] {
        say(&format!("{name}: {}", stage.run(name, &topic, count)));
    }
}

fn speeds(stage: &mut Stage, bytes: usize, count: usize) {
    let topic = stage.topic(&format!("{bytes}"), PARTITIONS, count, bytes);
    let has_kcat = Command::new("kcat").arg("-V").output().is_ok();
    let names: &[&str] = if has_kcat {
        &["plain", "plain-tuned", "bridge", "kcat"]
    } else {
        say("SKIPPED: kcat is not installed");
        &["plain", "plain-tuned", "bridge"]
    };
    let mut found: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
    for _ in 0..RUNS {
        for (index, name) in names.iter().enumerate() {
            let begin = Instant::now();
            let answer = stage.run(name, &topic, count);
            // kcat says nothing: its whole run counts, a few hundredths of a second of start and end with it.
            let seconds = answer.parse().unwrap_or(begin.elapsed().as_secs_f64());
            found[index].push(seconds);
        }
    }
    let mut plain = Vec::new();
    for (name, seconds) in names.iter().zip(&mut found) {
        seconds.sort_by(f64::total_cmp);
        let middle = seconds[seconds.len() / 2];
        let rate = count as f64 / middle;
        let (slowest, fastest) = (seconds[seconds.len() - 1], seconds[0]);
        let mut line = format!(
            "{count} records of {bytes} bytes, {name}: {rate:.0} records/s, {:.1} MB/s (slowest to fastest {:.0} to {:.0} records/s)",
            rate * bytes as f64 / 1e6,
            count as f64 / slowest,
            count as f64 / fastest,
        );
        if name.starts_with("plain") {
            plain.push(rate);
        } else {
            let shares: Vec<String> = plain
                .iter()
                .map(|plain| format!("{:.2}", rate / plain))
                .collect();
            line.push_str(&format!(
                ", {} of the plain consumers",
                shares.join(" and ")
            ));
        }
        if *name == "bridge" {
            line.push_str(&format!(" (target {SHARE})"));
        }
        say(&line);
    }
}

// The children.

async fn broker() {
    let broker = SandboxKafka::start(KafkaOptions::default()).await;
    let broker = broker.expect("the broker starts");
    say(&broker.bootstrap());
    std::future::pending::<()>().await;
}

/// This process, threads that it starts later included, has one core.
fn one_core() {
    let mut cores = CpuSet::new();
    cores.set(0);
    sched_setaffinity(None, &cores).expect("the first core may be used");
}

fn kcat() {
    one_core();
    let mut command = Command::new("kcat");
    command.args(["-C", "-e", "-q", "-o", "beginning", "-f", "", "-b"]);
    command.args([&variable(BROKER), "-t", &variable(TOPIC)]);
    let error = command.stdout(Stdio::null()).exec();
    say(&format!("kcat does not run: {error}"));
}

/// Says how long reading took, from the first record to the last.
fn speed(read: fn(usize) -> Duration) {
    one_core();
    let count = variable(COUNT).parse().expect("a count");
    let took = read(count);
    let used = clock_gettime(ClockId::ProcessCPUTime);
    drop(writeln!(
        std::io::stderr(),
        "  {}: {took:.2?}, CPU {}.{:02} s",
        variable(ROLE),
        used.tv_sec,
        used.tv_nsec / 10_000_000
    ));
    say(&took.as_secs_f64().to_string());
}

fn group() -> String {
    format!("bench-{}", std::process::id())
}

fn consumer() -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", variable(BROKER));
    config.set("group.id", group());
    config.set("auto.offset.reset", "earliest");
    if variable(ROLE) == "plain-tuned" {
        // As the bridge has it: the client's own second leaves the queue empty.
        config.set("queued.max.messages.kbytes", "32768");
        config.set("fetch.queue.backoff.ms", "10");
    }
    let consumer: BaseConsumer = config.create().expect("a consumer");
    consumer
        .subscribe(&[&variable(TOPIC)])
        .expect("the topic is subscribed");
    consumer
}

/// The next message; a poll may end early when the group changes.
fn next(consumer: &BaseConsumer) -> BorrowedMessage<'_> {
    let limit = Instant::now() + LIMIT;
    let mut polled = None;
    while polled.is_none() && Instant::now() < limit {
        polled = consumer.poll(LIMIT);
    }
    let message = polled.expect("a record comes in time");
    message.expect("the broker answers")
}

fn plain(count: usize) -> Duration {
    let consumer = consumer();
    let mut begin = None;
    let (mut seen, mut bytes) = (0, 0);
    while seen < count {
        let message = next(&consumer);
        begin.get_or_insert_with(Instant::now);
        seen += 1;
        bytes += message.payload().map_or(0, <[u8]>::len);
    }
    assert!(bytes > 0, "records have values");
    begin.expect("a record came").elapsed()
}

/// Runs a bridge until `is_done`; gives the time from its first record.
fn bridged(
    policy: Policy,
    target: Arc<dyn Target>,
    is_done: impl Fn(&Metrics) -> bool,
) -> Duration {
    let metrics = Arc::new(Metrics::default());
    let settings = KafkaSettings {
        bootstrap_servers: variable(BROKER).into(),
        topics: vec![variable(TOPIC)],
        group: group(),
        cluster_arn: None,
        event_source: "SelfManagedKafka".into(),
        properties: std::collections::BTreeMap::new(),
    };
    let parts = Parts {
        name: "bench".into(),
        function: "discard".into(),
        shape: Arc::new(EventShape::SelfManagedKafka {
            event_source: "SelfManagedKafka".into(),
            bootstrap_servers: variable(BROKER).into(),
        }),
        policy: Arc::new(policy),
        filter: Arc::new(Filter::default()),
        target,
        destination: None,
        metrics: Arc::clone(&metrics),
        in_flight_max: 64,
        drain: Duration::from_secs(5),
    };
    runtime_of(2).block_on(async move {
        let source = KafkaSource::open(&settings, Start::TrimHorizon).expect("a consumer");
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(runtime::run(parts, Box::new(source), stopped));
        let limit = Instant::now() + LIMIT;
        let mut begin = None;
        while !is_done(&metrics) {
            assert!(Instant::now() < limit, "the bridge is not done in time");
            if metrics.records.get() > 0 {
                begin.get_or_insert_with(Instant::now);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = begin.map_or(Duration::ZERO, |begin| begin.elapsed());
        stop.send_replace(true);
        running.await.expect("no panic").expect("a clean end");
        took
    })
}

fn bridge(count: usize) -> Duration {
    bridged(Policy::default(), Arc::new(Discard), |metrics| {
        metrics.delivered.get() >= count as u64
    })
}

/// Delays of records that carry the time at which they were sent.
#[derive(Debug)]
struct Delays {
    begin: Instant,
    micros: Mutex<Vec<u64>>,
    count: AtomicUsize,
}

impl Delays {
    fn take(&self, value: &[u8]) {
        let Ok(sent) = <[u8; 8]>::try_from(value) else {
            return;
        };
        let now = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let delay = now.saturating_sub(u64::from_be_bytes(sent));
        self.micros.lock().expect("no panic").push(delay);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// The first seconds are the group's: they do not count.
    fn tell(&self) -> String {
        let all = self.micros.lock().expect("no panic");
        let skipped = usize::try_from(PACE * PACE_SECONDS / 4).unwrap_or(0);
        let mut delays: Vec<u64> = all.iter().skip(skipped).copied().collect();
        delays.sort_unstable();
        let at = |share: f64| {
            let index = (delays.len() as f64 * share) as usize;
            delays[index.min(delays.len() - 1)] as f64 / 1_000.0
        };
        format!(
            "{PACE} records/s, {} of them: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms from send to delivery",
            delays.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

#[async_trait]
impl Target for Delays {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        for record in &delivery.records {
            self.take(record.value.as_deref().unwrap_or_default());
        }
        Outcome::Delivered
    }
}

/// Sends in this process, so that one clock measures.
fn delay(reader: Reader) {
    let delays = Arc::new(Delays {
        begin: Instant::now(),
        micros: Mutex::new(Vec::new()),
        count: AtomicUsize::new(0),
    });
    let total = usize::try_from(PACE * PACE_SECONDS).unwrap_or(0);
    let sender = std::thread::spawn({
        let delays = Arc::clone(&delays);
        move || pace(delays.begin, total)
    });
    match reader {
        Reader::Bridge => {
            let policy = Policy {
                batch_window: Duration::ZERO,
                ..Policy::default()
            };
            let target = Arc::clone(&delays);
            bridged(policy, target, |_| {
                delays.count.load(Ordering::Relaxed) >= total
            });
        }
        Reader::Plain => {
            let consumer = consumer();
            while delays.count.load(Ordering::Relaxed) < total {
                let message = next(&consumer);
                delays.take(message.payload().unwrap_or_default());
            }
        }
    }
    sender.join().expect("no panic");
    say(&delays.tell());
}

fn pace(begin: Instant, total: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", variable(BROKER))
        .set("linger.ms", "0")
        .create()
        .expect("a producer");
    let topic = variable(TOPIC);
    let start = Instant::now();
    for number in 0..total {
        let due = start + Duration::from_secs(1) * u32::try_from(number).unwrap_or(0) / 1_000;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let now = u64::try_from(begin.elapsed().as_micros()).unwrap_or(0);
        let value = now.to_be_bytes();
        let partition = i32::try_from(number).unwrap_or(0) % PARTITIONS;
        let record = BaseRecord::<(), [u8]>::to(&topic)
            .payload(&value)
            .partition(partition);
        producer
            .send(record)
            .map_err(|(error, _)| error)
            .expect("there is room");
    }
    producer.flush(LIMIT).expect("all records are taken");
}

/// Resident memory now and at most, in MiB.
fn resident() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            / 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn memory(reader: Reader) {
    let count: usize = variable(COUNT).parse().expect("a count");
    let (before, _) = resident();
    let after = match reader {
        Reader::Bridge => {
            let after = Mutex::new((0, 0));
            bridged(Policy::default(), Arc::new(Discard), |metrics| {
                let is_done = metrics.delivered.get() >= count as u64;
                if is_done {
                    *after.lock().expect("no panic") = resident();
                }
                is_done
            });
            after.into_inner().expect("no panic")
        }
        Reader::Plain => {
            let consumer = consumer();
            for _ in 0..count {
                next(&consumer);
            }
            resident()
        }
    };
    say(&format!(
        "{MANY_PARTITIONS} partitions, {count} records: {before} MiB before, {} MiB after, {} MiB at most",
        after.0, after.1
    ));
}
