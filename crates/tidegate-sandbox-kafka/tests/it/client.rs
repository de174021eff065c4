//! A client of a few lines: requests and answers of any version, record batches, a member of a group.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, ListOffsetsRequest,
    ProduceRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tidegate_sandbox_kafka::{KafkaOptions, SandboxKafka};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

pub(crate) fn topic(of: &str) -> TopicName {
    TopicName(text(of))
}

pub(crate) async fn broker() -> SandboxKafka {
    SandboxKafka::start(KafkaOptions::default()).await.unwrap()
}

/// One connection.
pub(crate) struct Client {
    pub(crate) address: String,
    stream: TcpStream,
    next: i32,
}

impl Client {
    pub(crate) async fn connect(to: &str) -> Self {
        let stream = TcpStream::connect(to).await.unwrap();
        // A frame goes out as it is: else every answer waits for an acknowledgement that is put off.
        stream.set_nodelay(true).unwrap();
        Self {
            address: to.to_owned(),
            stream,
            next: 0,
        }
    }

    /// Sends bytes as one frame and gives back the answer's frame; `None` when the broker hangs up.
    pub(crate) async fn raw(&mut self, frame: &[u8]) -> Option<Bytes> {
        let length = i32::try_from(frame.len()).unwrap().to_be_bytes();
        self.stream.write_all(&length).await.ok()?;
        self.stream.write_all(frame).await.ok()?;
        let length = self.stream.read_i32().await.ok()?;
        let mut answer = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut answer).await.ok()?;
        Some(answer.into())
    }

    /// One request in one version; `None` when the broker hangs up.
    pub(crate) async fn try_call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Option<R::Response> {
        self.next += 1;
        let frame = frame(version, self.next, request);
        let key = ApiKey::try_from(R::KEY).unwrap();
        let mut answer = self.raw(&frame).await?;
        let header =
            ResponseHeader::decode(&mut answer, key.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.next);
        let decoded = R::Response::decode(&mut answer, version).unwrap();
        assert!(answer.is_empty(), "{key:?} {version}: bytes are left over");
        Some(decoded)
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request)
            .await
            .expect("the broker hung up")
    }

    pub(crate) async fn create(
        &mut self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> CreateTopicsResponse {
        let configs = configs.iter().map(|(key, value)| {
            CreatableTopicConfig::default()
                .with_name(text(key))
                .with_value(Some(text(value)))
        });
        let asked = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());
        self.call(
            7,
            &CreateTopicsRequest::default()
                .with_topics(vec![asked])
                .with_timeout_ms(5_000),
        )
        .await
    }

    pub(crate) async fn produce(&mut self, name: &str, batch: Bytes) -> PartitionProduceResponse {
        let data = PartitionProduceData::default().with_records(Some(batch));
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![
                TopicProduceData::default()
                    .with_name(topic(name))
                    .with_partition_data(vec![data]),
            ]);
        let mut answer = self.call(9, &request).await;
        answer.responses.remove(0).partition_responses.remove(0)
    }

    pub(crate) async fn fetch(
        &mut self,
        name: &str,
        offset: i64,
        wait_ms: i32,
        least: i32,
    ) -> PartitionData {
        let asked = FetchPartition::default()
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(least)
            .with_max_bytes(1 << 24)
            .with_topics(vec![
                FetchTopic::default()
                    .with_topic(topic(name))
                    .with_partitions(vec![asked]),
            ]);
        let mut answer = self.call(11, &request).await;
        answer.responses.remove(0).partitions.remove(0)
    }

    /// Keys and values from an offset on.
    pub(crate) async fn read(
        &mut self,
        name: &str,
        offset: i64,
    ) -> Vec<(i64, String, Option<String>)> {
        let data = self.fetch(name, offset, 0, 0).await;
        assert_eq!(data.error_code, 0);
        records(data.records.unwrap_or_default())
            .into_iter()
            .filter(|record| record.offset >= offset)
            .map(|record| {
                let word = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
                (
                    record.offset,
                    record.key.map(word).unwrap_or_default(),
                    record.value.map(word),
                )
            })
            .collect()
    }

    pub(crate) async fn offset(&mut self, name: &str, timestamp: i64) -> (i64, i64) {
        let asked = ListOffsetsPartition::default().with_timestamp(timestamp);
        let request = ListOffsetsRequest::default().with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic(name))
                .with_partitions(vec![asked]),
        ]);
        let answer = self.call(7, &request).await;
        let found = &answer.topics[0].partitions[0];
        assert_eq!(found.error_code, 0);
        (found.timestamp, found.offset)
    }
}

/// A request's bytes.
pub(crate) fn frame<R: Request>(version: i16, correlation: i32, request: &R) -> BytesMut {
    let key = ApiKey::try_from(R::KEY).unwrap();
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(text("test")));
    header
        .encode(&mut frame, key.request_header_version(version))
        .unwrap();
    request.encode(&mut frame, version).unwrap();
    frame
}

/// What the records of a batch have in common.
#[derive(Clone, Copy)]
pub(crate) struct Of {
    pub(crate) codec: Compression,
    pub(crate) timestamp: i64,
    /// Producer, epoch, first sequence.
    pub(crate) producer: (i64, i16, i32),
}

impl Default for Of {
    fn default() -> Self {
        Self {
            codec: Compression::None,
            timestamp: now(),
            producer: (-1, -1, -1),
        }
    }
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// A batch of these keys and values; an empty key is none.
pub(crate) fn batch(of: Of, records: &[(&str, Option<&str>)]) -> Bytes {
    let records: Vec<Record> = records
        .iter()
        .zip(0..)
        .map(|((key, value), index)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: of.producer.0,
            producer_epoch: of.producer.1,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(index),
            sequence: if of.producer.2 < 0 {
                -1
            } else {
                of.producer.2 + index
            },
            timestamp: of.timestamp,
            key: (!key.is_empty()).then(|| Bytes::from((*key).to_owned())),
            value: value.map(|value| Bytes::from(value.to_owned())),
            headers: IndexMap::new(),
        })
        .collect();
    let options = RecordEncodeOptions {
        version: 2,
        compression: of.codec,
    };
    let mut bytes = BytesMut::new();
    if of.producer.0 >= 0 {
        RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
        return bytes.freeze();
    }
    // Records without a producer have no sequences of their own to line up: one batch all the same.
    let lined: Vec<Record> = records
        .into_iter()
        .map(|mut record| {
            record.sequence = i32::try_from(record.offset).unwrap() - 1;
            record
        })
        .collect();
    RecordBatchEncoder::encode(&mut bytes, &lined, &options).unwrap();
    bytes.freeze()
}

pub(crate) fn records(mut bytes: Bytes) -> Vec<Record> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        found.extend(RecordBatchDecoder::decode(&mut bytes).unwrap().records);
    }
    found
}

/// Configuration as a map.
pub(crate) fn configs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
