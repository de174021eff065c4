//! Consumer groups of the classic protocol as a state machine: members, generations, barriers, timeouts.
//!
//! Must not know: requests' versions, sockets. Waiting members are answered through their own channels.

use std::collections::BTreeMap;

use bytes::Bytes;
use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::wire::Code;

/// How long a member that got its id may take to come back with it, in milliseconds.
const NEW_MEMBER_MS: i64 = 300_000;

/// Where a group is between two rebalances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Empty,
    /// Waiting for every member to join.
    Preparing,
    /// Waiting for the leader's assignment.
    Completing,
    Stable,
}

impl Phase {
    /// The state's name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What a join is answered with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joined {
    pub(crate) error: Option<Code>,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: String,
    pub(crate) member: String,
    pub(crate) skip_assignment: bool,
    /// Id, instance and metadata of every member: only for the leader.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

impl Joined {
    pub(crate) fn failed(member: &str, code: Code) -> Self {
        Self {
            error: Some(code),
            generation: -1,
            member: member.to_owned(),
            ..Self::default()
        }
    }
}

/// What a sync is answered with.
pub(crate) type Synced = Result<Share, Code>;

/// A member's share of the work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Share {
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignment: Bytes,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) session_ms: i64,
    pub(crate) rebalance_ms: i64,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When it is taken for gone.
    pub(crate) deadline: i64,
    pub(crate) join: Option<oneshot::Sender<Joined>>,
    pub(crate) sync: Option<oneshot::Sender<Synced>>,
}

impl Member {
    fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol)
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    pub(crate) fn touch(&mut self, now: i64) {
        self.deadline = now.saturating_add(self.session_ms);
    }
}

/// An offset that a group committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) metadata: String,
}

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: IndexMap<String, Member>,
    /// Members that got an id and have not joined with it: when each is forgotten.
    pub(crate) pending: BTreeMap<String, i64>,
    pub(crate) offsets: BTreeMap<(String, i32), Committed>,
    /// When the present barrier, of joins or of the leader's sync, ends without those who are missing.
    barrier: i64,
    /// While set, the first members wait for others until then, even when all have joined.
    gathering: Option<i64>,
}

impl Group {
    /// Whether members with these protocols can live beside the present ones.
    pub(crate) fn fits(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|(name, _)| self.everybody_speaks(name))
    }

    fn everybody_speaks(&self, protocol: &str) -> bool {
        self.members
            .values()
            .all(|member| member.protocols.iter().any(|(name, _)| name == protocol))
    }

    /// The member that has this instance id.
    pub(crate) fn instance(&self, instance: &str) -> Option<&str> {
        self.members
            .iter()
            .find(|(_, member)| member.instance.as_deref() == Some(instance))
            .map(|(id, _)| id.as_str())
    }

    /// Checks a member's id and instance.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub(crate) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), Code> {
        if let Some(instance) = instance {
            return match self.instance(instance) {
                None => Err(Code::UnknownMemberId),
                Some(known) if known != id => Err(Code::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(Code::UnknownMemberId)
        }
    }

    /// Lets a member remember an id until it joins with it.
    pub(crate) fn promise(&mut self, id: String, session_ms: i64, now: i64) {
        self.pending.insert(id, now.saturating_add(session_ms));
    }

    /// Takes a member in and begins, or goes on with, a rebalance.
    pub(crate) fn admit(&mut self, id: String, mut member: Member, initial_ms: i64, now: i64) {
        self.pending.remove(&id);
        member.deadline = now.saturating_add(NEW_MEMBER_MS);
        if self.leader.is_none() {
            self.leader = Some(id.clone());
        }
        self.members.insert(id, member);
        if let Some(until) = &mut self.gathering {
            // Each newcomer lets the first ones wait again, within their rebalance timeout.
            *until = now.saturating_add(initial_ms).min(self.barrier);
        }
        self.rebalance(initial_ms, now);
    }

    /// Begins a rebalance unless one is on, and ends it when all are there.
    pub(crate) fn rebalance(&mut self, initial_ms: i64, now: i64) {
        if self.phase == Phase::Completing {
            for member in self.members.values_mut() {
                if let Some(sync) = member.sync.take() {
                    // A client that hung up needs no answer.
                    let _ = sync.send(Err(Code::RebalanceInProgress));
                    member.touch(now);
                }
                member.assignment = Bytes::new();
            }
        }
        if self.phase != Phase::Preparing {
            let first = self.phase == Phase::Empty;
            let longest = self
                .members
                .values()
                .map(|member| member.rebalance_ms)
                .max()
                .unwrap_or(0);
            self.barrier = now.saturating_add(longest);
            self.gathering =
                (first && initial_ms > 0).then(|| now.saturating_add(initial_ms.min(longest)));
            self.phase = Phase::Preparing;
        }
        self.settle(now);
    }

    /// Ends the join barrier when everybody has come, or when its time is over.
    pub(crate) fn settle(&mut self, now: i64) {
        if self.phase != Phase::Preparing {
            return;
        }
        let all =
            self.pending.is_empty() && self.members.values().all(|member| member.join.is_some());
        let gathered = self.gathering.is_none_or(|until| now >= until);
        if (all && gathered) || now >= self.barrier {
            self.begin_generation(now);
        }
    }

    fn begin_generation(&mut self, now: i64) {
        self.gathering = None;
        // Static members keep their place until their session ends.
        self.members
            .retain(|_, member| member.join.is_some() || member.instance.is_some());
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.members.is_empty() {
            self.become_empty();
            return;
        }
        let present = |id: &str| {
            self.members
                .get(id)
                .is_some_and(|member| member.join.is_some())
        };
        if !self.leader.as_deref().is_some_and(present) {
            let next = self
                .members
                .iter()
                .find(|(_, member)| member.join.is_some());
            match next.map(|(id, _)| id.clone()) {
                Some(next) => self.leader = Some(next),
                None => {
                    // Only absent static members: wait for another round.
                    self.generation -= 1;
                    let longest = self
                        .members
                        .values()
                        .map(|member| member.rebalance_ms)
                        .max();
                    self.barrier = now.saturating_add(longest.unwrap_or(0).max(1));
                    return;
                }
            }
        }
        self.protocol = self.elected();
        self.phase = Phase::Completing;
        let longest = self
            .members
            .values()
            .map(|member| member.rebalance_ms)
            .max();
        self.barrier = now.saturating_add(longest.unwrap_or(0));
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(join) = member.join.take()
            {
                member.touch(now);
                // A client that hung up is found by its session.
                let _ = join.send(answer);
            }
        }
    }

    /// What a member of the present generation is told.
    pub(crate) fn joined(&self, id: &str) -> Joined {
        let leads = self.leader.as_deref() == Some(id);
        Joined {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member: id.to_owned(),
            skip_assignment: false,
            members: if leads { self.listed() } else { Vec::new() },
        }
    }

    fn listed(&self) -> Vec<(String, Option<String>, Bytes)> {
        let protocol = self.protocol.as_deref();
        self.members
            .iter()
            .map(|(id, member)| {
                (
                    id.clone(),
                    member.instance.clone(),
                    member.metadata(protocol),
                )
            })
            .collect()
    }

    /// The protocol all speak that most members like best; the leader's taste breaks a tie.
    fn elected(&self) -> Option<String> {
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id))?;
        for (name, _) in &leader.protocols {
            if self.everybody_speaks(name) {
                votes.insert(name, 0);
            }
        }
        for member in self.members.values() {
            let vote = member
                .protocols
                .iter()
                .find(|(name, _)| votes.contains_key(name.as_str()));
            if let Some(count) = vote.and_then(|(name, _)| votes.get_mut(name.as_str())) {
                *count += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes
            .iter()
            .find(|(_, count)| **count == most)
            .map(|(name, _)| (*name).to_owned())
    }

    /// Whether an election after a change of these protocols would have the same end.
    pub(crate) fn would_elect(&self) -> Option<String> {
        self.elected()
    }

    /// Takes the leader's assignment and answers everybody who waits for it.
    pub(crate) fn assign(&mut self, shares: &BTreeMap<String, Bytes>, now: i64) {
        self.phase = Phase::Stable;
        let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone());
        for (id, member) in &mut self.members {
            member.assignment = shares.get(id).cloned().unwrap_or_default();
            if let Some(sync) = member.sync.take() {
                member.touch(now);
                let _ = sync.send(Ok(Share {
                    protocol_type: protocol_type.clone(),
                    protocol: protocol.clone(),
                    assignment: member.assignment.clone(),
                }));
            }
        }
    }

    /// A member goes, by its will or not.
    pub(crate) fn remove(&mut self, id: &str, now: i64) {
        if self.pending.remove(id).is_some() {
            self.settle(now);
            return;
        }
        let Some(mut member) = self.members.shift_remove(id) else {
            return;
        };
        if let Some(join) = member.join.take() {
            let _ = join.send(Joined::failed(id, Code::UnknownMemberId));
        }
        if let Some(sync) = member.sync.take() {
            let _ = sync.send(Err(Code::UnknownMemberId));
        }
        if self.leader.as_deref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        match self.phase {
            Phase::Stable | Phase::Completing => self.rebalance(0, now),
            Phase::Preparing => self.settle(now),
            Phase::Empty => {}
        }
    }

    fn become_empty(&mut self) {
        self.phase = Phase::Empty;
        self.protocol = None;
        self.leader = None;
    }

    /// Another process takes a static member's place: the old one is fenced, the share stays.
    pub(crate) fn replace(&mut self, old: &str, new: String) {
        let Some(index) = self.members.get_index_of(old) else {
            return;
        };
        let Some((_, mut member)) = self.members.shift_remove_index(index) else {
            return;
        };
        if let Some(join) = member.join.take() {
            let _ = join.send(Joined::failed(old, Code::FencedInstanceId));
        }
        if let Some(sync) = member.sync.take() {
            let _ = sync.send(Err(Code::FencedInstanceId));
        }
        if self.leader.as_deref() == Some(old) {
            self.leader = Some(new.clone());
        }
        self.members.shift_insert(index, new, member);
    }

    /// Looks at sessions and barriers.
    pub(crate) fn tick(&mut self, now: i64) {
        let forgotten: Vec<String> = self
            .pending
            .iter()
            .filter(|(_, deadline)| now >= **deadline)
            .map(|(id, _)| id.clone())
            .collect();
        let gone = self.members.iter().filter(|(_, member)| {
            member.join.is_none() && member.sync.is_none() && now >= member.deadline
        });
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        for id in forgotten.iter().chain(&gone) {
            self.remove(id, now);
        }
        if self.phase == Phase::Completing && now >= self.barrier {
            // Whoever has not asked for its share within the rebalance timeout is gone.
            let late: Vec<String> = self
                .members
                .iter()
                .filter(|(_, member)| member.sync.is_none())
                .map(|(id, _)| id.clone())
                .collect();
            for id in late {
                self.remove(&id, now);
            }
        }
        self.settle(now);
    }
}
