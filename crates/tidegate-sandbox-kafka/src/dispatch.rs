//! From a frame to its answer: which requests are known, in which versions, and who answers them.
//!
//! Must not know: what an answer says.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, CreateAclsRequest, DeleteAclsRequest, ProduceRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::broker::Hub;
use crate::faults::FaultKind;
use crate::session::Session;
use crate::wire::{self, Bad, Call, Code, Reply};
use crate::{
    acls, altering, cluster, committed, fetch, growth, joining, membership, metadata, offsets,
    produce, producers, quotas, sasl, scram, shapes, topics,
};

/// The requests that are answered.
const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::OffsetDelete,
    ApiKey::ListGroups,
    ApiKey::DescribeGroups,
    ApiKey::DeleteGroups,
    ApiKey::InitProducerId,
    ApiKey::DeleteTopics,
    ApiKey::CreatePartitions,
    ApiKey::DeleteRecords,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::DescribeCluster,
    ApiKey::DescribeTopicPartitions,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeLogDirs,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::CreateAcls,
    ApiKey::DescribeAcls,
    ApiKey::DeleteAcls,
    ApiKey::AlterUserScramCredentials,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeClientQuotas,
    ApiKey::SaslHandshake,
    ApiKey::SaslAuthenticate,
];

/// Answers one frame.
pub(crate) async fn answer(hub: &Arc<Hub>, session: &mut Session, mut frame: Bytes) -> Reply {
    let (key, header) = match wire::header(&mut frame) {
        Ok(read) => read,
        Err(why) => return Reply::Hangup(why),
    };
    let mut call = Call {
        key,
        version: header.request_api_version,
        correlation: header.correlation_id,
        client: header
            .client_id
            .map(|id| id.to_string())
            .unwrap_or_default(),
        host: session.host.clone(),
        port: session.port,
        throttle: 0,
        fault: None,
    };
    let fault = (key != ApiKey::ApiVersions)
        .then(|| hub.faults.take(&format!("{key:?}")))
        .flatten();
    call.fault = fault.and_then(FaultKind::code);
    match fault {
        Some(FaultKind::Disconnect) => return Reply::Hangup("a fault was asked for"),
        Some(FaultKind::Delay(by)) => tokio::time::sleep(by).await,
        Some(FaultKind::Throttle(by)) => {
            call.throttle = i32::try_from(by.as_millis()).unwrap_or(i32::MAX);
        }
        _ => {}
    }
    let reply = route(hub, session, &call, &frame)
        .await
        .unwrap_or_else(Reply::Hangup);
    if fault == Some(FaultKind::LostAnswer) {
        return Reply::Hangup("a fault was asked for");
    }
    reply
}

/// Whether requests with this name are served, and can have faults.
pub(crate) fn serves(api: &str) -> bool {
    SERVED
        .iter()
        .any(|key| *key != ApiKey::ApiVersions && format!("{key:?}") == api)
}

async fn route(
    hub: &Arc<Hub>,
    session: &mut Session,
    call: &Call,
    body: &Bytes,
) -> Result<Reply, Bad> {
    let range = call.key.valid_versions();
    let known = (range.min..=range.max).contains(&call.version);
    if call.key == ApiKey::ApiVersions {
        return if known {
            wire::encode(call, &versions(None))
        } else {
            wire::encode_as(call, 0, &versions(Some(Code::UnsupportedVersion)))
        };
    }
    if !SERVED.contains(&call.key) || !known {
        return Err("the request's kind or version is not served");
    }
    let signing_in = matches!(call.key, ApiKey::SaslHandshake | ApiKey::SaslAuthenticate);
    if session.principal.is_none() && !signing_in {
        return Err("the connection has not authenticated");
    }
    shapes::check(call.key, call.version, body)?;
    match call.key {
        ApiKey::Metadata => reply(call, body, |request| metadata::answer(hub, call, &request)),
        ApiKey::CreateTopics => reply(call, body, |request| topics::create(hub, call, &request)),
        ApiKey::ListOffsets => reply(call, body, |request| offsets::list(hub, call, &request)),
        ApiKey::FindCoordinator => {
            reply(call, body, |request| membership::find(hub, call, &request))
        }
        ApiKey::Heartbeat => reply(call, body, |request| {
            membership::heartbeat(hub, call, &request)
        }),
        ApiKey::LeaveGroup => reply(call, body, |request| membership::leave(hub, call, &request)),
        ApiKey::ListGroups => reply(call, body, |request| membership::list(hub, call, &request)),
        ApiKey::DescribeGroups => reply(call, body, |request| {
            membership::describe(hub, call, &request)
        }),
        ApiKey::DeleteGroups => reply(call, body, |request| {
            membership::delete(hub, call, &request)
        }),
        ApiKey::OffsetCommit => reply(call, body, |request| committed::commit(hub, call, &request)),
        ApiKey::OffsetFetch => reply(call, body, |request| committed::fetch(hub, call, &request)),
        ApiKey::OffsetDelete => reply(call, body, |request| committed::delete(hub, call, &request)),
        ApiKey::InitProducerId => reply(call, body, |request| producers::init(hub, call, &request)),
        ApiKey::DeleteTopics => reply(call, body, |request| growth::delete(hub, call, &request)),
        ApiKey::CreatePartitions => reply(call, body, |request| growth::grow(hub, call, &request)),
        ApiKey::DeleteRecords => reply(call, body, |request| {
            growth::delete_records(hub, call, &request)
        }),
        ApiKey::DescribeConfigs => reply(call, body, |request| {
            altering::describe(hub, call, &request)
        }),
        ApiKey::AlterConfigs => reply(call, body, |request| altering::replace(hub, call, &request)),
        ApiKey::IncrementalAlterConfigs => reply(call, body, |request| {
            altering::incremental(hub, call, &request)
        }),
        ApiKey::DescribeCluster => {
            reply(call, body, |request| cluster::describe(hub, call, &request))
        }
        ApiKey::DescribeTopicPartitions => reply(call, body, |request| {
            cluster::topic_partitions(hub, call, &request)
        }),
        ApiKey::ListPartitionReassignments => {
            reply(call, body, |request| cluster::reassignments(call, &request))
        }
        ApiKey::DescribeLogDirs => {
            reply(call, body, |request| cluster::log_dirs(hub, call, &request))
        }
        ApiKey::OffsetForLeaderEpoch => {
            reply(call, body, |request| cluster::epochs(hub, call, &request))
        }
        ApiKey::CreateAcls | ApiKey::DescribeAcls | ApiKey::DeleteAcls => bindings(hub, call, body),
        ApiKey::AlterUserScramCredentials => {
            reply(call, body, |request| scram::alter(hub, call, &request))
        }
        ApiKey::DescribeUserScramCredentials => {
            reply(call, body, |request| scram::describe(hub, call, &request))
        }
        ApiKey::AlterClientQuotas => {
            reply(call, body, |request| quotas::alter(hub, call, &request))
        }
        ApiKey::DescribeClientQuotas => {
            reply(call, body, |request| quotas::describe(hub, call, &request))
        }
        ApiKey::SaslHandshake => reply(call, body, |request| sasl::handshake(session, &request)),
        ApiKey::SaslAuthenticate => reply(call, body, |request| {
            sasl::authenticate(hub, session, &request)
        }),
        ApiKey::JoinGroup => {
            let request = wire::decode(body, call.version)?;
            wire::encode(call, &joining::join(hub, call, &request).await)
        }
        ApiKey::SyncGroup => {
            let request = wire::decode(body, call.version)?;
            wire::encode(call, &joining::sync(hub, call, &request).await)
        }
        ApiKey::Produce => {
            let request: ProduceRequest = wire::decode(body, call.version)?;
            let answer = produce::answer(hub, call, &request);
            if request.acks == 0 {
                let failed = answer
                    .responses
                    .iter()
                    .flat_map(|topic| &topic.partition_responses)
                    .any(|one| one.error_code != 0);
                return Ok(if failed {
                    Reply::Hangup("a produce without answer failed")
                } else {
                    Reply::Silence
                });
            }
            wire::encode(call, &answer)
        }
        ApiKey::Fetch => {
            let request = wire::decode(body, call.version)?;
            wire::encode(call, &fetch::answer(hub, call, &request).await)
        }
        _ => Err("the request's kind is not served"),
    }
}

/// Requests about ACL bindings.
fn bindings(hub: &Arc<Hub>, call: &Call, body: &Bytes) -> Result<Reply, Bad> {
    const UNKNOWN: Bad = "a number in the request stands for nothing";
    match call.key {
        ApiKey::CreateAcls => {
            let request: CreateAclsRequest = wire::decode(body, call.version)?;
            if acls::unknown(request.creations.iter().map(acls::made)) {
                return Err(UNKNOWN);
            }
            wire::encode(call, &acls::create(hub, call, &request))
        }
        ApiKey::DescribeAcls => {
            let request = wire::decode(body, call.version)?;
            if acls::unknown([acls::sought(&request)]) {
                return Err(UNKNOWN);
            }
            wire::encode(call, &acls::describe(hub, call, &request))
        }
        _ => {
            let request: DeleteAclsRequest = wire::decode(body, call.version)?;
            if acls::unknown(request.filters.iter().map(acls::gone)) {
                return Err(UNKNOWN);
            }
            wire::encode(call, &acls::delete(hub, call, &request))
        }
    }
}

fn reply<Q: Decodable, A: Encodable>(
    call: &Call,
    body: &Bytes,
    answer: impl FnOnce(Q) -> A,
) -> Result<Reply, Bad> {
    let request = wire::decode(body, call.version)?;
    wire::encode(call, &answer(request))
}

fn versions(error: Option<Code>) -> ApiVersionsResponse {
    let keys = SERVED.iter().map(|key| {
        let range = key.valid_versions();
        // librdkafka takes a broker that lacks the oldest produce for one of long ago, so Kafka names it too.
        let least = if *key == ApiKey::Produce {
            0
        } else {
            range.min
        };
        ApiVersion::default()
            .with_api_key(*key as i16)
            .with_min_version(least)
            .with_max_version(range.max)
    });
    ApiVersionsResponse::default()
        .with_error_code(error.map_or(0, |code| code.code()))
        .with_api_keys(keys.collect())
        .with_finalized_features_epoch(-1)
}
