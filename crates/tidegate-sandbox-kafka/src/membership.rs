//! Groups beside their barriers: where their coordinator is, heartbeats, leaving, looking at and deleting groups.
//!
//! Must not know: how a rebalance goes.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse,
};

use crate::broker::{Hub, State};
use crate::groups::{Group, Phase};
use crate::metadata::{HOST, NOT_ASKED};
use crate::wire::{Call, Code, text};

/// What a group's operations are to whoever may do everything: read, delete, describe, describe and alter configs.
const OPERATIONS: i32 = 0b1101_0100_1000;
/// Key types of FindCoordinator.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) fn find(
    hub: &Arc<Hub>,
    call: &Call,
    request: &FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let refusal = match (call.fault, request.key_type) {
        (Some(fault), _) => Some((fault, fault.to_string())),
        (None, GROUP) => None,
        (None, TRANSACTION) => Some((
            Code::InvalidRequest,
            "the sandbox's broker has no transactions".to_owned(),
        )),
        (None, _) => Some((
            Code::InvalidRequest,
            "only groups have a coordinator here".to_owned(),
        )),
    };
    let answer = FindCoordinatorResponse::default().with_throttle_time_ms(call.throttle);
    let node = hub.options.node_id;
    let port = i32::from(call.port);
    if call.version >= 4 {
        let found = request.coordinator_keys.iter().map(|key| {
            let found = Coordinator::default().with_key(key.clone());
            match &refusal {
                None => found
                    .with_node_id(BrokerId(node))
                    .with_host(text(HOST))
                    .with_port(port),
                Some((code, why)) => found
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
                    .with_error_code(code.code())
                    .with_error_message(Some(text(why.as_str()))),
            }
        });
        return answer.with_coordinators(found.collect());
    }
    match refusal {
        // The word is Kafka's.
        None => answer
            .with_error_message(Some(text("NONE")))
            .with_node_id(BrokerId(node))
            .with_host(text(HOST))
            .with_port(port),
        Some((code, why)) => answer
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(code.code())
            .with_error_message(Some(text(why))),
    }
}

pub(crate) fn heartbeat(
    hub: &Arc<Hub>,
    call: &Call,
    request: &HeartbeatRequest,
) -> HeartbeatResponse {
    let mut state = hub.state.lock();
    let beaten = call
        .fault
        .map_or_else(|| beat(hub, &mut state, request), Err);
    HeartbeatResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_code(beaten.map_or_else(|code| code.code(), |()| 0))
}

fn beat(hub: &Hub, state: &mut State, request: &HeartbeatRequest) -> Result<(), Code> {
    let group = state
        .groups
        .get_mut(request.group_id.as_str())
        .ok_or(Code::UnknownMemberId)?;
    let id = request.member_id.as_str();
    group.check_member(id, request.group_instance_id.as_deref())?;
    if group.generation != request.generation_id {
        return Err(Code::IllegalGeneration);
    }
    if let Some(member) = group.members.get_mut(id) {
        member.touch(hub.clock.now());
    }
    match group.phase {
        Phase::Empty => Err(Code::UnknownMemberId),
        Phase::Preparing => Err(Code::RebalanceInProgress),
        Phase::Completing | Phase::Stable => Ok(()),
    }
}

pub(crate) fn leave(
    hub: &Arc<Hub>,
    call: &Call,
    request: &LeaveGroupRequest,
) -> LeaveGroupResponse {
    let mut state = hub.state.lock();
    let now = hub.clock.now();
    let answer = LeaveGroupResponse::default().with_throttle_time_ms(call.throttle);
    if let Some(fault) = call.fault {
        return answer.with_error_code(fault.code());
    }
    let group = state.groups.get_mut(request.group_id.as_str());
    if call.version < 3 {
        let alone = MemberIdentity::default().with_member_id(request.member_id.clone());
        let left = group.map_or(Err(Code::UnknownMemberId), |group| go(group, &alone, now));
        return answer.with_error_code(left.map_or_else(|code| code.code(), |()| 0));
    }
    let Some(group) = group else {
        let unknown = request
            .members
            .iter()
            .map(|member| said(member, Code::UnknownMemberId.code()));
        return answer.with_members(unknown.collect());
    };
    let left = request.members.iter().map(|member| {
        let left = go(group, member, now);
        said(member, left.map_or_else(|code| code.code(), |()| 0))
    });
    answer.with_members(left.collect())
}

fn said(member: &MemberIdentity, code: i16) -> MemberResponse {
    MemberResponse::default()
        .with_member_id(member.member_id.clone())
        .with_group_instance_id(member.group_instance_id.clone())
        .with_error_code(code)
}

fn go(group: &mut Group, member: &MemberIdentity, now: i64) -> Result<(), Code> {
    let id = member.member_id.as_str();
    let id = match member.group_instance_id.as_deref() {
        // An administrator names the instance alone.
        Some(instance) if id.is_empty() => group
            .instance(instance)
            .ok_or(Code::UnknownMemberId)?
            .to_owned(),
        instance => {
            if !group.pending.contains_key(id) {
                group.check_member(id, instance)?;
            }
            id.to_owned()
        }
    };
    group.remove(&id, now);
    Ok(())
}

pub(crate) fn list(hub: &Arc<Hub>, call: &Call, request: &ListGroupsRequest) -> ListGroupsResponse {
    let state = hub.state.lock();
    let wanted = |filter: &[kafka_protocol::protocol::StrBytes], is: &str| {
        filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(is))
    };
    let groups = state
        .groups
        .iter()
        .filter(|(_, group)| {
            wanted(&request.states_filter, group.phase.name())
                && wanted(&request.types_filter, "classic")
        })
        .map(|(name, group)| {
            ListedGroup::default()
                .with_group_id(GroupId(text(name.as_str())))
                .with_protocol_type(text(group.protocol_type.clone().unwrap_or_default()))
                .with_group_state(text(group.phase.name()))
                .with_group_type(text("classic"))
        });
    ListGroupsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_code(call.fault.map_or(0, |fault| fault.code()))
        .with_groups(groups.collect())
}

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let state = hub.state.lock();
    let groups = request.groups.iter().map(|id| {
        let described = DescribedGroup::default().with_group_id(id.clone());
        if let Some(fault) = call.fault {
            return described.with_error_code(fault.code());
        }
        match state.groups.get(id.as_str()) {
            Some(group) => described_group(described, group, request.include_authorized_operations),
            None => {
                let absent = described.with_group_state(text("Dead"));
                if call.version < 6 {
                    return absent;
                }
                absent
                    .with_error_code(Code::GroupIdNotFound.code())
                    .with_error_message(Some(text(format!("Group {} not found.", id.as_str()))))
            }
        }
    });
    DescribeGroupsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_groups(groups.collect())
}

fn described_group(described: DescribedGroup, group: &Group, operations: bool) -> DescribedGroup {
    let stable = group.phase == Phase::Stable;
    let protocol = group.protocol.as_deref().unwrap_or_default();
    let members = group.members.iter().map(|(id, member)| {
        let shown = DescribedGroupMember::default()
            .with_member_id(text(id.as_str()))
            .with_group_instance_id(member.instance.clone().map(text))
            .with_client_id(text(member.client.as_str()))
            .with_client_host(text(member.host.as_str()));
        if !stable {
            return shown;
        }
        let metadata = member.protocols.iter().find(|(name, _)| name == protocol);
        shown
            .with_member_metadata(
                metadata.map_or_else(Bytes::new, |(_, metadata)| metadata.clone()),
            )
            .with_member_assignment(member.assignment.clone())
    });
    described
        .with_group_state(text(group.phase.name()))
        .with_protocol_type(text(group.protocol_type.clone().unwrap_or_default()))
        .with_protocol_data(text(if stable { protocol } else { "" }))
        .with_members(members.collect())
        .with_authorized_operations(if operations { OPERATIONS } else { NOT_ASKED })
}

pub(crate) fn delete(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut state = hub.state.lock();
    let results = request.groups_names.iter().map(|id| {
        let code = match (call.fault, state.groups.get(id.as_str())) {
            (Some(fault), _) => fault.code(),
            (None, None) => Code::GroupIdNotFound.code(),
            (None, Some(group)) if group.phase != Phase::Empty => Code::NonEmptyGroup.code(),
            (None, Some(_)) => {
                state.groups.shift_remove(id.as_str());
                0
            }
        };
        DeletableGroupResult::default()
            .with_group_id(id.clone())
            .with_error_code(code)
    });
    DeleteGroupsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_results(results.collect())
}
