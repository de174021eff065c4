//! JoinGroup and SyncGroup: the two barriers of a rebalance.
//!
//! Must not know: offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::broker::{Hub, State};
use crate::groups::{Group, Joined, Member, Phase, Share, Synced};
use crate::wire::{Call, Code, text};

/// Session timeouts that a group takes, in milliseconds (`group.min.session.timeout.ms`, `group.max.session.timeout.ms`).
const SESSIONS: std::ops::RangeInclusive<i32> = 6_000..=1_800_000;

/// An answer at once, or one that comes with the barrier.
enum Outcome<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

pub(crate) async fn join(
    hub: &Arc<Hub>,
    call: &Call,
    request: &JoinGroupRequest,
) -> JoinGroupResponse {
    let outcome = {
        let mut state = hub.state.lock();
        enter(hub, call, &mut state, request)
    };
    let joined = match outcome {
        Outcome::Now(joined) => joined,
        Outcome::Later(later) => later
            .await
            .unwrap_or_else(|_| Joined::failed(&request.member_id, Code::UnknownMemberId)),
    };
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_group_instance_id(instance.map(text))
            .with_metadata(metadata)
    });
    let no_protocol = (call.version < 7).then(|| text(""));
    JoinGroupResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_error_code(joined.error.map_or(0, |code| code.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(joined.protocol.map(text).or(no_protocol))
        .with_leader(text(joined.leader))
        .with_skip_assignment(joined.skip_assignment && call.version >= 9)
        .with_member_id(text(joined.member))
        .with_members(members.collect())
}

fn enter(hub: &Hub, call: &Call, state: &mut State, request: &JoinGroupRequest) -> Outcome<Joined> {
    let id = request.member_id.as_str();
    let refuse = |code| Outcome::Now(Joined::failed(id, code));
    if let Some(fault) = call.fault {
        return refuse(fault);
    }
    if request.group_id.is_empty() {
        return refuse(Code::InvalidGroupId);
    }
    if !SESSIONS.contains(&request.session_timeout_ms) {
        return refuse(Code::InvalidSessionTimeout);
    }
    let now = hub.clock.now();
    let limits = &hub.options.limits;
    let name = request.group_id.to_string();
    if !state.groups.contains_key(&name) {
        if !id.is_empty() {
            return refuse(Code::UnknownMemberId);
        }
        if state.groups.len() >= limits.groups {
            return refuse(Code::GroupMaxSizeReached);
        }
    }
    let group = state.groups.entry(name).or_default();
    let known =
        !id.is_empty() && (group.members.contains_key(id) || group.pending.contains_key(id));
    if !known && group.members.len() + group.pending.len() >= limits.members {
        return refuse(Code::GroupMaxSizeReached);
    }
    let attempt = Attempt {
        request,
        call,
        initial_ms: i64::from(hub.options.initial_rebalance_delay_ms),
        now,
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata.clone()))
            .collect(),
    };
    if id.is_empty() {
        attempt.newcomer(group)
    } else {
        attempt.returning(group)
    }
}

/// One join, while it is decided.
struct Attempt<'a> {
    request: &'a JoinGroupRequest,
    call: &'a Call,
    initial_ms: i64,
    now: i64,
    protocols: Vec<(String, Bytes)>,
}

impl Attempt<'_> {
    fn instance(&self) -> Option<String> {
        self.request
            .group_instance_id
            .as_ref()
            .map(ToString::to_string)
    }

    fn refused(&self, code: Code) -> Outcome<Joined> {
        Outcome::Now(Joined::failed(&self.request.member_id, code))
    }

    fn newcomer(self, group: &mut Group) -> Outcome<Joined> {
        if !group.fits(&self.request.protocol_type, &self.protocols) {
            return self.refused(Code::InconsistentGroupProtocol);
        }
        let prefix = self.instance().unwrap_or_else(|| self.call.client.clone());
        let id = format!("{prefix}-{}", Uuid::new_v4());
        if let Some(instance) = self.instance() {
            return match group.instance(&instance).map(str::to_owned) {
                Some(old) => self.replacing(group, &old, &id),
                None => self.admitted(group, id),
            };
        }
        if self.call.version >= 4 {
            group.promise(
                id.clone(),
                i64::from(self.request.session_timeout_ms),
                self.now,
            );
            return Outcome::Now(Joined::failed(&id, Code::MemberIdRequired));
        }
        self.admitted(group, id)
    }

    fn admitted(self, group: &mut Group, id: String) -> Outcome<Joined> {
        if group.members.is_empty() {
            group.protocol_type = Some(self.request.protocol_type.to_string());
        }
        let (sender, receiver) = oneshot::channel();
        let (initial_ms, now) = (self.initial_ms, self.now);
        let member = self.member(sender);
        group.admit(id, member, initial_ms, now);
        Outcome::Later(receiver)
    }

    fn member(self, join: oneshot::Sender<Joined>) -> Member {
        Member {
            instance: self.instance(),
            client: self.call.client.clone(),
            host: format!("/{}", self.call.host),
            session_ms: i64::from(self.request.session_timeout_ms),
            rebalance_ms: self.rebalance_ms(),
            protocols: self.protocols,
            assignment: Bytes::new(),
            deadline: 0,
            join: Some(join),
            sync: None,
        }
    }

    fn rebalance_ms(&self) -> i64 {
        // Version 0 has no rebalance timeout of its own.
        let own = self.request.rebalance_timeout_ms;
        i64::from(if own < 0 {
            self.request.session_timeout_ms
        } else {
            own
        })
    }

    /// A process with the instance id of a member that is there.
    fn replacing(self, group: &mut Group, old: &str, id: &str) -> Outcome<Joined> {
        group.replace(old, id.to_owned());
        let (before, leads) = (group.protocol.clone(), group.leader.as_deref() == Some(id));
        let Some(same) = self.update(group, id) else {
            return self.refused(Code::UnknownMemberId);
        };
        if group.phase == Phase::Stable && same && group.would_elect() == before {
            if let Some(member) = group.members.get_mut(id) {
                member.touch(self.now);
            }
            let mut joined = group.joined(id);
            if leads && self.call.version >= 9 {
                joined.skip_assignment = true;
            } else if leads {
                // Old clients must not assign again: they are told that somebody else leads.
                joined.leader = old.to_owned();
                joined.members.clear();
            }
            return Outcome::Now(joined);
        }
        self.rejoin(group, id)
    }

    /// Writes what the request says about a member; says whether its protocols stayed the same.
    fn update(&self, group: &mut Group, id: &str) -> Option<bool> {
        let member = group.members.get_mut(id)?;
        let same = member.protocols == self.protocols;
        member.protocols.clone_from(&self.protocols);
        member.session_ms = i64::from(self.request.session_timeout_ms);
        member.rebalance_ms = self.rebalance_ms();
        Some(same)
    }

    fn rejoin(self, group: &mut Group, id: &str) -> Outcome<Joined> {
        let (sender, receiver) = oneshot::channel();
        self.update(group, id);
        if let Some(member) = group.members.get_mut(id) {
            if let Some(earlier) = member.join.replace(sender) {
                let _ = earlier.send(Joined::failed(id, Code::UnknownMemberId));
            }
            member.touch(self.now);
        }
        group.rebalance(self.initial_ms, self.now);
        Outcome::Later(receiver)
    }

    fn returning(self, group: &mut Group) -> Outcome<Joined> {
        let id = self.request.member_id.to_string();
        if group.pending.contains_key(&id) {
            if !group.fits(&self.request.protocol_type, &self.protocols) {
                return self.refused(Code::InconsistentGroupProtocol);
            }
            return self.admitted(group, id);
        }
        if group.members.is_empty() && !group.fits(&self.request.protocol_type, &self.protocols) {
            return self.refused(Code::InconsistentGroupProtocol);
        }
        if let Err(code) = group.check_member(&id, self.instance().as_deref()) {
            return self.refused(code);
        }
        let others_agree =
            group
                .members
                .iter()
                .filter(|(other, _)| **other != id)
                .all(|(_, other)| {
                    self.protocols
                        .iter()
                        .any(|(name, _)| other.protocols.iter().any(|(theirs, _)| theirs == name))
                });
        if group.protocol_type.as_deref() != Some(self.request.protocol_type.as_str())
            || !others_agree
        {
            return self.refused(Code::InconsistentGroupProtocol);
        }
        let same = group
            .members
            .get(&id)
            .is_some_and(|member| member.protocols == self.protocols);
        let leads = group.leader.as_deref() == Some(id.as_str());
        match group.phase {
            Phase::Empty => self.refused(Code::UnknownMemberId),
            Phase::Completing if same => Outcome::Now(group.joined(&id)),
            Phase::Stable if same && !leads => Outcome::Now(group.joined(&id)),
            Phase::Preparing | Phase::Completing | Phase::Stable => self.rejoin(group, &id),
        }
    }
}

pub(crate) async fn sync(
    hub: &Arc<Hub>,
    call: &Call,
    request: &SyncGroupRequest,
) -> SyncGroupResponse {
    let outcome = {
        let mut state = hub.state.lock();
        settle(hub, call, &mut state, request)
    };
    let synced = match outcome {
        Outcome::Now(synced) => synced,
        Outcome::Later(later) => later.await.unwrap_or(Err(Code::UnknownMemberId)),
    };
    let answer = SyncGroupResponse::default().with_throttle_time_ms(call.throttle);
    match synced {
        Ok(share) => answer
            .with_protocol_type(share.protocol_type.map(text))
            .with_protocol_name(share.protocol.map(text))
            .with_assignment(share.assignment),
        Err(code) => answer.with_error_code(code.code()),
    }
}

fn settle(
    hub: &Hub,
    call: &Call,
    state: &mut State,
    request: &SyncGroupRequest,
) -> Outcome<Synced> {
    let refuse = |code| Outcome::Now(Err(code));
    if let Some(fault) = call.fault {
        return refuse(fault);
    }
    let id = request.member_id.as_str();
    let Some(group) = state.groups.get_mut(request.group_id.as_str()) else {
        return refuse(Code::UnknownMemberId);
    };
    if let Err(code) = group.check_member(id, request.group_instance_id.as_deref()) {
        return refuse(code);
    }
    if group.generation != request.generation_id {
        return refuse(Code::IllegalGeneration);
    }
    let differs = |said: &Option<_>, is: &Option<String>| {
        let said: Option<&str> = said
            .as_ref()
            .map(|said: &kafka_protocol::protocol::StrBytes| said.as_str());
        said.is_some() && said != is.as_deref()
    };
    if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol)
    {
        return refuse(Code::InconsistentGroupProtocol);
    }
    let now = hub.clock.now();
    match group.phase {
        Phase::Empty => refuse(Code::UnknownMemberId),
        Phase::Preparing => refuse(Code::RebalanceInProgress),
        Phase::Stable => {
            let share = group.members.get_mut(id).map(|member| {
                member.touch(now);
                member.assignment.clone()
            });
            Outcome::Now(Ok(Share {
                protocol_type: group.protocol_type.clone(),
                protocol: group.protocol.clone(),
                assignment: share.unwrap_or_default(),
            }))
        }
        Phase::Completing => {
            let (sender, receiver) = oneshot::channel();
            if let Some(member) = group.members.get_mut(id)
                && let Some(earlier) = member.sync.replace(sender)
            {
                let _ = earlier.send(Err(Code::UnknownMemberId));
            }
            if group.leader.as_deref() == Some(id) {
                let shares: BTreeMap<String, Bytes> = request
                    .assignments
                    .iter()
                    .map(|share| (share.member_id.to_string(), share.assignment.clone()))
                    .collect();
                group.assign(&shares, now);
            }
            Outcome::Later(receiver)
        }
    }
}
