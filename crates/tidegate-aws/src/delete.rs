//! Deleting resources: what names another goes before it.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_applier::{ApplierError, DeleteOutcome, DeleteRequest, ErrorKind};

use crate::applier::{Inner, record_key};
use crate::apply::owner_of;
use crate::order::deletion_rank;
use crate::pace::Pace;
use crate::{Deletion, Lookup, Mark, Record, batch};

impl Inner {
    pub(crate) async fn delete_all(
        &self,
        requests: &[DeleteRequest],
    ) -> Vec<Result<DeleteOutcome, ApplierError>> {
        let needs = self.deletion_order(requests);
        let pace = Pace::default();
        let work = |place: usize| pace.keep(move || self.delete_one(&requests[place]));
        let blocked = |_: usize, need: usize| {
            let name = &requests[need].key.name;
            let message = format!("not deleted: {name}, which names it, is still there");
            ApplierError::new(ErrorKind::Conflict, message).retryable(true)
        };
        batch::run(&needs, &pace, work, blocked).await
    }

    /// For each request the requests that must be done before it.
    fn deletion_order(&self, requests: &[DeleteRequest]) -> Vec<BTreeSet<usize>> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (place, request) in requests.iter().enumerate() {
            let id = format!("{}/{}", request.key.namespace, request.key.name);
            places.insert(id, place);
        }
        let mut needs: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); requests.len()];
        for (place, request) in requests.iter().enumerate() {
            let owner = request
                .owner
                .as_ref()
                .map(|owner| owner.application.as_str());
            let Some(record) = self.record_of(request, owner) else {
                continue;
            };
            for need in &record.needs {
                if let Some(other) = places.get(need).filter(|other| **other != place) {
                    needs[*other].insert(place);
                }
            }
        }
        for (place, request) in requests.iter().enumerate() {
            let rank = deletion_rank(&request.key.kind);
            for (other, earlier) in requests.iter().enumerate() {
                let is_before = deletion_rank(&earlier.key.kind) < rank;
                // A recorded order the other way round counts more than the order of types.
                if is_before && !needs[other].contains(&place) {
                    needs[place].insert(other);
                }
            }
        }
        let circular = crate::order::circular(&needs);
        for place in &circular {
            needs[*place].retain(|need| !circular.contains(need));
        }
        needs
    }

    fn record_of(&self, request: &DeleteRequest, owner: Option<&str>) -> Option<Record> {
        let key = record_key(&request.key.kind, &request.key.namespace, &request.key.name);
        self.record_of_key(owner?, &key).ok()?
    }

    async fn delete_one(&self, request: &DeleteRequest) -> Result<DeleteOutcome, ApplierError> {
        let kind = &request.key.kind;
        let owner = request
            .owner
            .as_ref()
            .map(|owner| owner.application.as_str());
        let mark = Mark {
            application: owner.unwrap_or_default().to_owned(),
            stack: request.key.namespace.clone(),
            logical_id: request.key.name.clone(),
            ..Mark::default()
        };
        // What is remembered counts more than what the caller believes: that is checked below.
        let is_remembered = self.record(kind, &mark, owner)?.is_some();
        let uid = request.precondition.uid.as_deref();
        let uid = uid.filter(|_| !is_remembered);
        let lookup = Lookup {
            resource_type: kind.clone(),
            physical_id: uid.map(|uid| Record::physical_id_of(uid).to_owned()),
            physical_name: None,
            properties: <_>::default(),
            mark,
        };
        let (live, record) = self.find(lookup, owner).await?;
        let forget = || -> Result<(), ApplierError> {
            let Some(record) = &record else { return Ok(()) };
            let key = record_key(kind, &request.key.namespace, &request.key.name);
            self.remember(record_owner(record, owner), key, None)
        };
        let Some(live) = live else {
            if !request.dry_run {
                forget()?;
            }
            return Ok(DeleteOutcome::Absent);
        };
        let conflict = |message: String| Err(ApplierError::new(ErrorKind::Conflict, message));
        if request.precondition.exists == Some(false) {
            return conflict(format!("{} is there", live.physical_id));
        }
        let seen = crate::preview::live_object(&request.key, &live, record.as_ref(), &[], None);
        let version = request.precondition.version.as_ref();
        if version.is_some_and(|version| *version != seen.version) {
            return conflict(format!("{} was changed since", live.physical_id));
        }
        if let Some(uid) = &request.precondition.uid
            && *uid != seen.uid
        {
            return conflict(format!("{uid} is gone; {} is another", live.physical_id));
        }
        let mark = owner_of(&live, record.as_ref());
        if let Some(owner) = owner
            && mark.as_ref().map(|mark| mark.application.as_str()) != Some(owner)
        {
            let id = &live.physical_id;
            return conflict(format!("{kind} {id} does not bear the mark of {owner}"));
        }
        if request.dry_run {
            return Ok(DeleteOutcome::Deleted);
        }
        if mark.is_some_and(|mark| mark.retain) {
            // `DeletionPolicy: Retain`: it stays, and nobody manages it any more.
            forget()?;
            return Ok(DeleteOutcome::Absent);
        }
        let handler = self.handler(kind)?;
        match handler.delete(kind, &live.physical_id).await? {
            Deletion::Gone => {
                forget()?;
                Ok(DeleteOutcome::Deleted)
            }
            Deletion::Going => Ok(DeleteOutcome::Deleting {
                finalizers: Vec::new(),
            }),
        }
    }
}

/// Under whose name a record is kept.
fn record_owner<'r>(record: &'r Record, owner: Option<&'r str>) -> &'r str {
    match record.mark.application.as_str() {
        "" => owner.unwrap_or_default(),
        application => application,
    }
}
