//! Deletes an object and creates it anew (`Replace=true` with `Force=true`, or a change that is
//! refused in place).

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tidegate_applier::ChangeOutcome;
use tidegate_manifest::PropagationPolicy;
use tokio::time::{Instant, sleep};

use crate::apply::{Change, Item, rename_refusal, still_there};
use crate::cluster::Inner;
use crate::content::{digest, finalizers, metadata};
use crate::delete::delete_call;
use crate::failure::Failure;
use crate::transport::{Call, JSON};

/// The longest pause between two looks at an object that is going.
const MAX_POLL: Duration = Duration::from_secs(1);

impl Inner {
    pub(crate) async fn recreate(&self, item: Item<'_>, live: Value) -> Result<Change, Failure> {
        if item.dry_run {
            return self.preview_recreation(item, live).await;
        }
        // What cannot be created must not be deleted first.
        let preview = self.preview_recreation(item, live.clone()).await?;
        let uid = metadata(&live, "uid").to_owned();
        let path = item.path()?;
        let call = delete_call(
            path.clone(),
            PropagationPolicy::Background,
            &uid,
            None,
            false,
        );
        match self.transport().call(&call, item.deadline).await {
            Ok(_) => {}
            Err(failure) if failure.is_not_found() => {}
            Err(failure) => return Err(failure),
        }
        self.await_absence(&path, &uid, item.deadline).await?;
        let reply = self.send_apply(item, &item.body()?).await?;
        let after: Value = reply.json()?;
        let request = item.request;
        let uid = metadata(&after, "uid");
        self.note_recreated(&request.operation_id, &request.key, uid);
        Ok(Change {
            outcome: ChangeOutcome::Replaced,
            before: Some(live),
            after,
            warnings: reply.warnings(),
            has_status: preview.has_status,
        })
    }

    /// Waits until the object of this uid is gone.
    async fn await_absence(&self, path: &str, uid: &str, deadline: Instant) -> Result<(), Failure> {
        let mut wait = self.transport().policy().poll;
        loop {
            let Some(live) = self.get(path, deadline).await? else {
                return Ok(());
            };
            if metadata(&live, "uid") != uid {
                return Ok(());
            }
            if Instant::now() + wait >= deadline {
                return Err(still_there(&finalizers(&live)).into());
            }
            sleep(wait).await;
            wait = (wait * 2).min(MAX_POLL);
        }
    }

    /// What the new object would be: the server creates, as a dry run, a stand-in of another name.
    async fn preview_recreation(&self, item: Item<'_>, live: Value) -> Result<Change, Failure> {
        let name = &item.request.key.name;
        let mut body = item.body()?;
        let stand_in = stand_in(&body);
        body["metadata"]["name"] = stand_in.as_str().into();
        let parameters = Item {
            dry_run: true,
            ..item
        }
        .parameters();
        let place = item.endpoint.place(&item.request.key.namespace)?;
        let call = Call::write(Method::POST, format!("{place}?{parameters}"), JSON, &body);
        let (after, warnings) = match self.transport().call(&call, item.deadline).await {
            Ok(reply) => {
                let mut after: Value = reply.json()?;
                rename(&mut after, &stand_in, name);
                (after, reply.warnings())
            }
            // A kind that is particular about names: the object as it stands has to do.
            Err(Failure::Refused(refusal)) if refusal.message.contains("metadata.name") => {
                (item.body()?, Vec::new())
            }
            Err(Failure::Refused(refusal)) => return Err(rename_refusal(refusal, &stand_in, name)),
            Err(failure) => return Err(failure),
        };
        Ok(Change {
            outcome: ChangeOutcome::Replaced,
            before: Some(live),
            after,
            warnings,
            has_status: item.endpoint.has_status,
        })
    }
}

/// A name that nothing bears, and that every kind takes.
fn stand_in(body: &Value) -> String {
    let digest = digest(body);
    let tail: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    format!("tidegate-preview-{tail}")
}

/// Puts the true name in the place of the stand-in's, wherever the server wrote it.
fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(_, member)| rename(member, from, to)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_true_name_is_put_back() {
        let mut value = json!({"metadata": {"name": "tmp", "labels": {"job-name": "tmp", "x": "tmp-2"}}, "list": ["tmp"]});
        rename(&mut value, "tmp", "a");
        assert_eq!(
            value,
            json!({"metadata": {"name": "a", "labels": {"job-name": "a", "x": "tmp-2"}}, "list": ["a"]})
        );
    }
}
