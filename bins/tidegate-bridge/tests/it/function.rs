//! A web service as a function: it keeps what it took, in order, and fails as it is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What the function is to say about a batch.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Take,
    /// Take those before this offset.
    TakeBefore(i64),
    Fail(StatusCode),
}

/// A batch as it came.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// `topic-partition`.
    pub(crate) partition: String,
    pub(crate) offsets: Vec<i64>,
}

/// What was taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Offsets by `topic-partition`, in the order in which they were taken, repetitions included.
    pub(crate) offsets: BTreeMap<String, Vec<i64>>,
    /// Distinct offsets.
    pub(crate) distinct: BTreeMap<String, std::collections::BTreeSet<i64>>,
    pub(crate) batches: usize,
    pub(crate) refused: usize,
}

impl Taken {
    pub(crate) fn count(&self) -> usize {
        self.distinct
            .values()
            .map(std::collections::BTreeSet::len)
            .sum()
    }

    fn take(&mut self, partition: &str, offset: i64) {
        self.offsets
            .entry(partition.to_owned())
            .or_default()
            .push(offset);
        self.distinct
            .entry(partition.to_owned())
            .or_default()
            .insert(offset);
    }
}

type Decide = dyn Fn(&Batch) -> Answer + Send + Sync;

/// The service.
pub(crate) struct Function {
    pub(crate) url: String,
    pub(crate) taken: Arc<Mutex<Taken>>,
    server: JoinHandle<()>,
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Function {
    pub(crate) async fn start(decide: impl Fn(&Batch) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Taken::default()));
        let server = tokio::spawn(serve(listener, Arc::new(decide), Arc::clone(&taken)));
        Self { url, taken, server }
    }

    /// Waits until so many distinct records were taken.
    pub(crate) async fn wait(&self, count: usize, limit: Duration) {
        let begin = Instant::now();
        loop {
            let now = self.taken.lock().unwrap().count();
            if now >= count {
                return;
            }
            assert!(
                begin.elapsed() < limit,
                "{now} of {count} records after {limit:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(listener: TcpListener, decide: Arc<Decide>, taken: Arc<Mutex<Taken>>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let (decide, taken) = (Arc::clone(&decide), Arc::clone(&taken));
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (decide, taken) = (Arc::clone(&decide), Arc::clone(&taken));
                async move { Ok::<_, Infallible>(answer(request, &*decide, &taken).await) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    decide: &Decide,
    taken: &Mutex<Taken>,
) -> Response<Full<Bytes>> {
    let Ok(body) = request.into_body().collect().await else {
        return reply(StatusCode::BAD_REQUEST, "the body ended early");
    };
    let batch = batch(&body.to_bytes());
    let answer = decide(&batch);
    let mut taken = taken.lock().unwrap();
    match answer {
        Answer::Fail(status) => {
            taken.refused += 1;
            reply(status, "refused")
        }
        Answer::Take => {
            taken.batches += 1;
            for offset in &batch.offsets {
                taken.take(&batch.partition, *offset);
            }
            reply(StatusCode::OK, "")
        }
        Answer::TakeBefore(first) => {
            taken.refused += 1;
            for offset in batch.offsets.iter().filter(|offset| **offset < first) {
                taken.take(&batch.partition, *offset);
            }
            let item = serde_json::json!({"partition": batch.partition, "offset": first});
            let body = serde_json::json!({"batchItemFailures": [{"itemIdentifier": item}]});
            reply(StatusCode::OK, &body.to_string())
        }
    }
}

fn batch(body: &[u8]) -> Batch {
    let event: Value = serde_json::from_slice(body).unwrap();
    if let Some(records) = event["Records"].as_array() {
        return stream_batch(records);
    }
    let records = event["records"].as_object().unwrap();
    assert_eq!(records.len(), 1, "a batch is of one partition");
    let (partition, records) = records.iter().next().unwrap();
    let records = records.as_array().unwrap();
    Batch {
        partition: partition.clone(),
        offsets: records
            .iter()
            .map(|record| record["offset"].as_i64().unwrap())
            .collect(),
    }
}

/// Records of a stream whose keys are numbers: those stand for offsets.
fn stream_batch(records: &[Value]) -> Batch {
    let first = records[0]["eventID"].as_str().unwrap();
    Batch {
        partition: first.split(':').next().unwrap().to_owned(),
        offsets: records
            .iter()
            .map(|record| {
                let key = record["kinesis"]["partitionKey"].as_str().unwrap();
                key.parse().unwrap()
            })
            .collect(),
    }
}

fn reply(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = status;
    response
}
