//! Event notifications of a bucket: their configuration and the events that they send.
//!
//! Must not know: requests on objects.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::bucket::Bucket;
use super::xml::{Element, leaf};
use crate::effect::Effect;
use crate::refusal::{Refusal, refuse};
use crate::regions::Scope;
use crate::sqs::Outgoing;

/// Characters of a key that an event leaves as they are; a space is a plus.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// The element and the ARN's element of each kind of target.
const KINDS: [(&str, &str); 3] = [
    ("CloudFunctionConfiguration", "CloudFunction"),
    ("QueueConfiguration", "Queue"),
    ("TopicConfiguration", "Topic"),
];

/// One configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notification {
    id: String,
    kind: usize,
    pub(super) target: String,
    events: Vec<String>,
    prefix: Option<String>,
    suffix: Option<String>,
}

impl Notification {
    fn wants(&self, event: &str, key: &str) -> bool {
        let named = self.events.iter().any(|pattern| {
            let pattern = pattern.strip_prefix("s3:").unwrap_or(pattern);
            match pattern.strip_suffix('*') {
                Some(prefix) => event.starts_with(prefix),
                None => event == pattern,
            }
        });
        named
            && self
                .prefix
                .as_ref()
                .is_none_or(|prefix| key.starts_with(prefix))
            && self
                .suffix
                .as_ref()
                .is_none_or(|suffix| key.ends_with(suffix))
    }
}

/// Reads a configuration and whether events go to EventBridge.
///
/// # Errors
/// `InvalidArgument` for unknown events and filters.
pub(super) fn read(
    document: &Element,
    scope: &Scope,
) -> Result<(Vec<Notification>, bool), Refusal> {
    let mut all = Vec::new();
    for (kind, (element, target)) in KINDS.iter().enumerate() {
        for configuration in document.all(element) {
            let events: Vec<String> = configuration
                .all("Event")
                .map(|event| event.text.clone())
                .collect();
            for event in &events {
                if !event.starts_with("s3:") {
                    return Err(refuse(
                        "InvalidArgument",
                        format!("The event '{event}' is not supported for notifications"),
                    )
                    .with("ArgumentName", json!("Event"))
                    .with("ArgumentValue", json!(event)));
                }
            }
            let (prefix, suffix) = filters(configuration)?;
            let target = configuration.value(target).unwrap_or("").to_owned();
            let id = match configuration.value("Id") {
                Some(id) if !id.is_empty() => id.to_owned(),
                _ => scope.uuid(&format!("{target}/{kind}/{}", all.len())),
            };
            all.push(Notification {
                id,
                kind,
                target,
                events,
                prefix,
                suffix,
            });
        }
    }
    refuse_overlap(&all)?;
    Ok((all, document.child("EventBridgeConfiguration").is_some()))
}

fn filters(configuration: &Element) -> Result<(Option<String>, Option<String>), Refusal> {
    let (mut prefix, mut suffix) = (None, None);
    let rules = configuration
        .child("Filter")
        .and_then(|filter| filter.child("S3Key"))
        .into_iter()
        .flat_map(|key| key.all("FilterRule"));
    for rule in rules {
        let value = rule.value("Value").unwrap_or("").to_owned();
        match rule
            .value("Name")
            .unwrap_or("")
            .to_ascii_lowercase()
            .as_str()
        {
            "prefix" => prefix = Some(value),
            "suffix" => suffix = Some(value),
            _ => {
                return Err(refuse(
                    "InvalidArgument",
                    "filter rule name must be either prefix or suffix",
                ));
            }
        }
    }
    Ok((prefix, suffix))
}

/// Two configurations must not both want one event of one key.
fn refuse_overlap(all: &[Notification]) -> Result<(), Refusal> {
    let covers = |a: &str, b: &str| match a.strip_suffix('*') {
        Some(prefix) => b.starts_with(prefix),
        None => a == b,
    };
    for (index, a) in all.iter().enumerate() {
        for b in &all[index + 1..] {
            let events = a
                .events
                .iter()
                .any(|x| b.events.iter().any(|y| covers(x, y) || covers(y, x)));
            let empty = String::new();
            let (p, q) = (
                a.prefix.as_ref().unwrap_or(&empty),
                b.prefix.as_ref().unwrap_or(&empty),
            );
            let prefixes = p.starts_with(q.as_str()) || q.starts_with(p.as_str());
            let (s, t) = (
                a.suffix.as_ref().unwrap_or(&empty),
                b.suffix.as_ref().unwrap_or(&empty),
            );
            let suffixes = s.ends_with(t.as_str()) || t.ends_with(s.as_str());
            if events && prefixes && suffixes {
                return Err(refuse(
                    "InvalidArgument",
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
                ));
            }
        }
    }
    Ok(())
}

/// The configuration as it is read back.
pub(super) fn document(all: &[Notification], event_bridge: bool) -> String {
    let mut inner = String::new();
    for notification in all {
        let (element, target) = KINDS[notification.kind];
        let mut body = leaf("Id", &notification.id) + &leaf(target, &notification.target);
        for event in &notification.events {
            body.push_str(&leaf("Event", event));
        }
        let rules: String = [
            ("Prefix", &notification.prefix),
            ("Suffix", &notification.suffix),
        ]
        .into_iter()
        .filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!(
                "<FilterRule>{}{}</FilterRule>",
                leaf("Name", name),
                leaf("Value", value)
            ))
        })
        .collect();
        if !rules.is_empty() {
            body.push_str(&format!("<Filter><S3Key>{rules}</S3Key></Filter>"));
        }
        inner.push_str(&format!("<{element}>{body}</{element}>"));
    }
    if event_bridge {
        inner.push_str("<EventBridgeConfiguration/>");
    }
    format!(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</NotificationConfiguration>"
    )
}

fn to_target(notification: &Notification, event: Value) -> Effect {
    match notification.kind {
        0 => Effect::Function {
            arn: notification.target.clone(),
            event,
        },
        1 => Effect::Queue {
            arn: notification.target.clone(),
            message: Outgoing {
                body: event.to_string(),
                ..Outgoing::default()
            },
        },
        _ => Effect::Topic {
            arn: notification.target.clone(),
            message: event.to_string(),
            subject: Some("Amazon S3 Notification".into()),
            group: None,
        },
    }
}

/// What a queue or topic gets when a configuration is set.
pub(super) fn test_event(
    notification: &Notification,
    bucket: &str,
    scope: &Scope,
) -> Option<Effect> {
    (notification.kind != 0).then(|| {
        to_target(
            notification,
            json!({
                "Service": "Amazon S3",
                "Event": "s3:TestEvent",
                "Time": time(scope),
                "Bucket": bucket,
                "RequestId": scope.stable_id("test", 16).to_ascii_uppercase(),
                "HostId": "sandbox",
            }),
        )
    })
}

fn time(scope: &Scope) -> String {
    scope.now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What happened to an object.
pub(super) struct Happening<'a> {
    /// `ObjectCreated:Put`
    pub(super) event: &'a str,
    /// The API call: `PutObject`…
    pub(super) reason: &'a str,
    pub(super) key: &'a str,
    /// Size and ETag; none for deletions.
    pub(super) object: Option<(usize, String)>,
    pub(super) version: Option<String>,
    pub(super) sequencer: u64,
}

/// The deliveries that an event of a bucket causes.
pub(super) fn effects(bucket: &Bucket, happening: &Happening<'_>, scope: &Scope) -> Vec<Effect> {
    let key = utf8_percent_encode(happening.key, KEY)
        .to_string()
        .replace(' ', "+");
    let mut object = json!({
        "key": key,
        "sequencer": format!("{:016X}", happening.sequencer),
    });
    if let Some((size, etag)) = &happening.object {
        object["size"] = json!(size);
        object["eTag"] = json!(etag);
    }
    if let Some(version) = &happening.version {
        object["versionId"] = json!(version);
    }
    let request = scope
        .stable_id(&happening.sequencer.to_string(), 16)
        .to_ascii_uppercase();
    let mut all: Vec<Effect> = bucket
        .notifications
        .iter()
        .filter(|notification| notification.wants(happening.event, happening.key))
        .map(|notification| {
            let record = json!({
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": bucket.region,
                "eventTime": time(scope),
                "eventName": happening.event,
                "userIdentity": {"principalId": format!("AWS:{}", scope.account)},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": request, "x-amz-id-2": "sandbox"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": notification.id,
                    "bucket": {
                        "name": bucket.name,
                        "ownerIdentity": {"principalId": scope.account},
                        "arn": bucket.arn(),
                    },
                    "object": object,
                },
            });
            to_target(notification, json!({"Records": [record]}))
        })
        .collect();
    if bucket.event_bridge {
        all.push(bridge_effect(bucket, happening, scope, &request));
    }
    all
}

fn bridge_effect(
    bucket: &Bucket,
    happening: &Happening<'_>,
    scope: &Scope,
    request: &str,
) -> Effect {
    let mut object = json!({
        "key": happening.key,
        "sequencer": format!("{:016X}", happening.sequencer),
    });
    if let Some((size, etag)) = &happening.object {
        object["size"] = json!(size);
        object["etag"] = json!(etag);
    }
    if let Some(version) = &happening.version {
        object["version-id"] = json!(version);
    }
    let mut detail = json!({
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": object,
        "request-id": request,
        "requester": scope.account,
        "source-ip-address": "127.0.0.1",
        "reason": happening.reason,
    });
    let created = happening.event.starts_with("ObjectCreated");
    if !created {
        detail["deletion-type"] = json!(if happening.event.ends_with("DeleteMarkerCreated") {
            "Delete Marker Created"
        } else {
            "Permanently Deleted"
        });
    }
    Effect::Bus {
        region: bucket.region.clone(),
        entry: json!({
            "Source": "aws.s3",
            "DetailType": if created { "Object Created" } else { "Object Deleted" },
            "Detail": detail.to_string(),
            "Resources": [bucket.arn()],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::xml::parse;
    use super::*;

    fn scope() -> Scope {
        Scope {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            endpoint: String::new(),
            now: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_configuration_is_read_back_and_filters() {
        let text = "<NotificationConfiguration><QueueConfiguration><Id>a</Id><Queue>arn:q</Queue>\
                    <Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>suffix</Name><Value>.csv</Value>\
                    </FilterRule></S3Key></Filter></QueueConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
        let (all, bridge) = read(&parse(text.as_bytes()).unwrap(), &scope()).unwrap();
        assert!(bridge);
        assert!(all[0].wants("ObjectCreated:Put", "x.csv"));
        assert!(!all[0].wants("ObjectCreated:Put", "x.json"));
        assert!(!all[0].wants("ObjectRemoved:Delete", "x.csv"));
        let (again, _) = read(&parse(document(&all, true).as_bytes()).unwrap(), &scope()).unwrap();
        assert_eq!(again, all);
    }

    #[test]
    fn overlapping_configurations_are_refused() {
        let one = |id: &str| {
            format!(
                "<QueueConfiguration><Id>{id}</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>"
            )
        };
        let text = format!(
            "<NotificationConfiguration>{}{}</NotificationConfiguration>",
            one("a"),
            one("b")
        );
        let refused = read(&parse(text.as_bytes()).unwrap(), &scope()).unwrap_err();
        assert!(refused.message.contains("overlap"));
    }
}
