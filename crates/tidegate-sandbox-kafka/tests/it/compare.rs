//! The same requests to Apache Kafka and to the sandbox: the answers are the same.
//!
//! Runs where `TIDEGATE_TEST_KAFKA=HOST:PORT` names a Kafka 4.1 with one broker and an authorizer; elsewhere it says that it was skipped.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use kafka_protocol::messages::{
    ApiKey, DescribeAclsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId,
};
use kafka_protocol::protocol::Request;
use uuid::Uuid;

use crate::client::{Client, broker, text};

mod cluster;
mod configs;
mod groups;
mod records;
mod topics;
mod users;

/// How long a Kafka that has just started may take to load its groups.
const LOADING: Duration = Duration::from_secs(60);

/// How long a broker may take to learn what the controller has written.
const LEARNING: Duration = Duration::from_secs(15);

/// What was asked and what came back, with what differs by nature replaced.
struct Script {
    client: Client,
    prefix: String,
    /// The time that records get: the same on both sides, so that batches are the same bytes.
    stamp: i64,
    /// Ids that a broker draws: of topics, of members.
    ids: Vec<String>,
    lines: Vec<(String, String)>,
}

impl Script {
    fn name(&self, of: &str) -> String {
        format!("{}{of}", self.prefix)
    }

    /// The id of the topic that was created first, second…
    fn id(&self, index: usize) -> Uuid {
        self.ids[index].parse().unwrap()
    }

    async fn ask<R: Request + Debug>(&mut self, version: i16, request: &R) -> R::Response
    where
        R::Response: Debug,
    {
        self.ask_but(version, request, |_| ()).await
    }

    /// Asks, and takes out of the answer what no two brokers say alike.
    async fn ask_but<R: Request + Debug>(
        &mut self,
        version: i16,
        request: &R,
        alike: impl FnOnce(&mut R::Response),
    ) -> R::Response
    where
        R::Response: Debug,
    {
        let key = ApiKey::try_from(R::KEY).unwrap();
        let asked = self.plain(format!("{key:?} {version} {request:?}"));
        let answer = self.client.try_call(version, request).await;
        assert!(answer.is_some(), "no answer to {asked}");
        let mut answer = answer.unwrap();
        alike(&mut answer);
        let told = without_now(self.plain(format!("{answer:?}")));
        self.lines.push((asked, told));
        answer
    }

    /// Waits until an answer shows what was just written: brokers learn of it a moment after the controller.
    ///
    /// When it never does, the question that follows tells the difference.
    async fn learnt<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        shows: impl Fn(&R::Response) -> bool,
    ) {
        let until = Instant::now() + LEARNING;
        while Instant::now() < until && !shows(&self.client.call(version, request).await) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A request that no broker answers: it hangs up.
    async fn refused<R: Request + Debug>(&mut self, version: i16, request: &R) {
        let key = ApiKey::try_from(R::KEY).unwrap();
        let asked = self.plain(format!("{key:?} {version} {request:?}"));
        let mut client = Client::connect(&self.client.address).await;
        let answer = client.try_call(version, request).await.is_some();
        self.lines.push((asked, format!("answered: {answer}")));
    }

    fn plain(&self, mut told: String) -> String {
        for id in &self.ids {
            told = told.replace(id, "ID");
        }
        told.replace(&self.prefix, "P-")
            .replace(", unknown_tagged_fields: {}", "")
    }

    /// Waits until a group's coordinator has loaded what it holds: before that Kafka says 14, 15 or 16 to everything.
    async fn settled(&mut self, group: &str) {
        let until = Instant::now() + LOADING;
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        let look = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
        loop {
            let found = self.client.call(4, &find).await;
            let seen = self.client.call(5, &look).await;
            let codes = [found.coordinators[0].error_code, seen.groups[0].error_code];
            if !codes.iter().any(|code| (14..=16).contains(code)) {
                return;
            }
            assert!(
                Instant::now() < until,
                "the coordinator of {group} is not there: {codes:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An answer without the times that a broker took from its own clock.
fn without_now(mut told: String) -> String {
    const WINDOW: &str = "The timestamp should be within [";
    let mut from = 0;
    while let Some(at) = told[from..].find(WINDOW) {
        let begin = from + at + WINDOW.len();
        let end = begin + told[begin..].find(']').unwrap();
        told.replace_range(begin..end, "NOW");
        from = begin;
    }
    told
}

async fn transcript(to: &str, prefix: String, stamp: i64) -> Vec<(String, String)> {
    let mut script = Script {
        client: Client::connect(to).await,
        prefix,
        stamp,
        ids: Vec::new(),
        lines: Vec::new(),
    };
    for group in [script.name("g"), script.name("h"), "nobody".to_owned()] {
        script.settled(&group).await;
    }
    topics::creations(&mut script).await;
    // Kafka's brokers learn of topics a moment after the controller has made them.
    topics::known(&mut script, &["t", "c"]).await;
    topics::growth(&mut script).await;
    configs::of_topics(&mut script).await;
    configs::of_brokers(&mut script).await;
    records::questions(&mut script).await;
    groups::questions(&mut script).await;
    users::questions(&mut script).await;
    cluster::questions(&mut script).await;
    topics::ends(&mut script).await;
    script.lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_apache_kafka() {
    let Ok(kafka) = std::env::var("TIDEGATE_TEST_KAFKA") else {
        eprintln!("SKIPPED: TIDEGATE_TEST_KAFKA names no Apache Kafka to compare with");
        return;
    };
    let acls = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    let guarded = Client::connect(&kafka).await.call(3, &acls).await;
    assert_eq!(
        guarded.error_code, 0,
        "the Kafka of TIDEGATE_TEST_KAFKA needs an authorizer, as `cargo xtask peers` gives it: {guarded:?}"
    );
    let broker = broker().await;
    let stamp = crate::client::now();
    // Names of another run may still be there.
    let prefix = format!("compare-{stamp}-");
    let ours = transcript(&broker.bootstrap(), prefix.clone(), stamp).await;
    let theirs = transcript(&kafka, prefix, stamp).await;
    assert_eq!(ours.len(), theirs.len());
    let mut differences = 0;
    for ((asked, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        if ours != theirs {
            differences += 1;
            println!("asked   {asked}\nsandbox {ours}\nkafka   {theirs}\n");
        }
    }
    println!("{} answers compared, {differences} differ", ours.len());
    assert_eq!(differences, 0);
    broker.shutdown().await;
}
