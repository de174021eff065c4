//! Events that edit another resource of the template, or name what is outside of it: buckets, user
//! pools, log groups, things.

use serde_json::{Map, Value, json};

use crate::sam::function::Bound;
use crate::sam::link::Event;
use crate::sam::rules::{Is, mistyped};
use crate::sam::{Fault, Made, Sam, attribute, fields, reference, tag_list};

const BUCKET: &str = "AWS::S3::Bucket";
/// Attributes that an edited resource keeps.
const ATTRIBUTES: &[&str] = &[
    "Type",
    "DependsOn",
    "Properties",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "UpdatePolicy",
    "Metadata",
];
/// Properties of buckets that SAM knows: it refuses to edit a bucket with others.
const BUCKET_HAS: &[&str] = &[
    "AccessControl",
    "AccelerateConfiguration",
    "AnalyticsConfigurations",
    "BucketEncryption",
    "BucketName",
    "CorsConfiguration",
    "IntelligentTieringConfigurations",
    "InventoryConfigurations",
    "LifecycleConfiguration",
    "LoggingConfiguration",
    "MetricsConfigurations",
    "NotificationConfiguration",
    "ObjectLockConfiguration",
    "ObjectLockEnabled",
    "OwnershipControls",
    "PublicAccessBlockConfiguration",
    "ReplicationConfiguration",
    "Tags",
    "VersioningConfiguration",
    "WebsiteConfiguration",
];
/// Properties of user pools that SAM knows.
const POOL_HAS: &[&str] = &[
    "AccountRecoverySetting",
    "AdminCreateUserConfig",
    "AliasAttributes",
    "AutoVerifiedAttributes",
    "DeletionProtection",
    "DeviceConfiguration",
    "EmailAuthenticationMessage",
    "EmailAuthenticationSubject",
    "EmailConfiguration",
    "EmailVerificationMessage",
    "EmailVerificationSubject",
    "EnabledMfas",
    "LambdaConfig",
    "MfaConfiguration",
    "Policies",
    "Schema",
    "SmsAuthenticationMessage",
    "SmsConfiguration",
    "SmsVerificationMessage",
    "UserAttributeUpdateSettings",
    "UsernameAttributes",
    "UsernameConfiguration",
    "UserPoolAddOns",
    "UserPoolName",
    "UserPoolTags",
    "UserPoolTier",
    "VerificationMessageTemplate",
    "WebAuthnRelyingPartyID",
    "WebAuthnUserVerification",
];

impl Sam<'_> {
    /// A bucket of the same template is told to notify, and waits for the permission.
    pub(crate) fn bucket(&mut self, event: &Event<'_>, bound: &Bound) -> Made<()> {
        let id = self.linked(event, "Bucket")?;
        let account = reference("AWS::AccountId");
        let permission = self.permission(event, bound, "s3.amazonaws.com", None, Some(account));
        let condition = bound.attributes.get("Condition").cloned();
        let mut bucket = self.input.get(&id).cloned().unwrap_or_default();
        match &condition {
            None => wait_for(event, &mut bucket, &permission)?,
            Some(condition) => tag_dependency(&id, &mut bucket, &permission, condition)?,
        }
        let mut base = Map::from_iter([("Function".to_owned(), bound.arn())]);
        base.extend(fields([("Filter", event.copied("Filter"))]));
        let entries = listed(event.get("Events")).into_iter().map(|kind| {
            let mut entry = base.clone();
            entry.insert("Event".to_owned(), kind);
            match &condition {
                Some(condition) => json!({"Fn::If": [condition, entry, {"Ref": "AWS::NoValue"}]}),
                None => Value::Object(entry),
            }
        });
        let list = notifications(&id, &mut bucket)?;
        for entry in entries {
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        self.edited(&id, BUCKET, bucket)
    }

    /// A user pool of the same template calls the function.
    pub(crate) fn user_pool(&mut self, event: &Event<'_>, bound: &Bound) -> Made<()> {
        let id = self.linked(event, "UserPool")?;
        let source = attribute(&id, "Arn");
        let owner = bound.alias.as_ref().unwrap_or(&bound.id);
        let called = format!("{owner}Cognito");
        let as_called = Event {
            id: &called,
            ..*event
        };
        self.permission(
            &as_called,
            bound,
            "cognito-idp.amazonaws.com",
            Some(source),
            None,
        );
        let mut pool = self.input.get(&id).cloned().unwrap_or_default();
        let properties = below(&mut pool, "Properties");
        let config = properties.map(|properties| below(properties, "LambdaConfig"));
        let Some(Some(Value::Object(config))) = config else {
            return Err(Fault::new(&id, mistyped("LambdaConfig", Is::Map)));
        };
        for trigger in listed(event.get("Trigger")) {
            let name = trigger.as_str().unwrap_or_default();
            if config.contains_key(name) {
                let shown = event.get("Trigger").map(crate::sam::link::python_shown);
                return event.fault(format!(
                    "Cognito trigger \"{}\" defined multiple times.",
                    shown.unwrap_or_default()
                ));
            }
            config.insert(name.to_owned(), bound.arn());
        }
        self.edited(&id, "AWS::Cognito::UserPool", pool)
    }

    /// Keeps a resource of the template as an event has changed it.
    fn edited(&mut self, id: &str, kind: &str, resource: Value) -> Made<()> {
        let given = resource.get("Type").map(crate::sam::link::python_shown);
        let given = given.unwrap_or_default();
        if given != kind {
            let message = format!("Resource has incorrect Type; expected '{kind}', got '{given}'");
            return Err(Fault::new(id, message));
        }
        let known = if kind == BUCKET { BUCKET_HAS } else { POOL_HAS };
        let properties = resource.get("Properties").and_then(Value::as_object);
        let unknown = |name: &&String| !known.contains(&name.as_str());
        if let Some(name) = properties.and_then(|all| all.keys().find(unknown)) {
            let message = format!("property {name} not defined for resource of type {kind}");
            return Err(Fault::new(id, message));
        }
        self.made.push((id.to_owned(), kind.to_owned()));
        self.output.insert(id.to_owned(), rewritten(&resource));
        self.input.insert(id.to_owned(), resource);
        Ok(())
    }

    pub(crate) fn logs(&mut self, event: &Event<'_>, bound: &Bound) -> Made<()> {
        let group = event.copied("LogGroupName");
        let arn = format!(
            "arn:{}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{__LogGroupName__}}:*",
            self.options.partition
        );
        let source = json!({"Fn::Sub": [arn, {"__LogGroupName__": group}]});
        let permission = self.permission(event, bound, "logs.amazonaws.com", Some(source), None);
        let properties = fields([
            ("LogGroupName", group),
            ("FilterPattern", event.copied("FilterPattern")),
            ("DestinationArn", Some(bound.arn())),
        ]);
        let mut attributes = bound.attributes.clone();
        attributes.insert("DependsOn".to_owned(), json!([permission]));
        self.emit(
            event.id,
            "AWS::Logs::SubscriptionFilter",
            properties,
            attributes,
        );
        Ok(())
    }

    pub(crate) fn alexa(&mut self, event: &Event<'_>, bound: &Bound) {
        let id = self.permission(event, bound, "alexa-appkit.amazon.com", None, None);
        if let (Some(skill), Some(permission)) = (event.copied("SkillId"), self.output.get_mut(&id))
        {
            permission["Properties"]["EventSourceToken"] = skill;
        }
    }

    pub(crate) fn iot(&mut self, event: &Event<'_>, bound: &Bound) {
        let arn = format!(
            "arn:{}:iot:${{AWS::Region}}:${{AWS::AccountId}}:rule/${{RuleName}}",
            self.options.partition
        );
        let source = json!({"Fn::Sub": [arn, {"RuleName": reference(event.id)}]});
        let account = json!({"Fn::Sub": "${AWS::AccountId}"});
        self.permission(
            event,
            bound,
            "iot.amazonaws.com",
            Some(source),
            Some(account),
        );
        let payload = fields([
            ("Sql", event.copied("Sql")),
            ("RuleDisabled", Some(json!(false))),
            (
                "Actions",
                Some(json!([{"Lambda": {"FunctionArn": bound.arn()}}])),
            ),
            ("AwsIotSqlVersion", event.some("AwsIotSqlVersion").cloned()),
        ]);
        let properties = fields([("TopicRulePayload", Some(Value::Object(payload)))]);
        self.emit(
            event.id,
            "AWS::IoT::TopicRule",
            properties,
            bound.attributes.clone(),
        );
    }
}

/// An edited resource as the reference writes it again: the attributes that it knows, and no nulls.
fn rewritten(resource: &Value) -> Value {
    let mut resource = resource.clone();
    if let Some(attributes) = resource.as_object_mut() {
        attributes.retain(|name, _| ATTRIBUTES.contains(&name.as_str()));
    }
    let properties = resource.get_mut("Properties");
    if let Some(properties) = properties.and_then(Value::as_object_mut) {
        properties.retain(|_, value| !value.is_null());
    }
    resource
}

/// A text or a list of them as a list.
fn listed(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    }
}

/// A field of a mapping, made when it is not there.
fn below<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    let field = value.as_object_mut()?.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = json!({});
    }
    Some(field)
}

fn wait_for(event: &Event<'_>, bucket: &mut Value, permission: &str) -> Made<()> {
    let mut names: Vec<Value> = match bucket.get("DependsOn") {
        Some(Value::String(name)) => vec![json!(name)],
        Some(Value::Array(list))
            if list
                .iter()
                .all(|name| !name.is_object() && !name.is_array()) =>
        {
            list.clone()
        }
        None => Vec::new(),
        Some(Value::Object(map)) => map.keys().map(|name| json!(name)).collect(),
        Some(_) => {
            let message =
                "Invalid type for field 'DependsOn'. Expected a string or list of strings.";
            let fault = Fault::new(event.id, message);
            return Err(fault.at(event.owner, event.name));
        }
    };
    if !names.contains(&json!(permission)) {
        names.push(json!(permission));
    }
    if let Some(fields) = bucket.as_object_mut() {
        fields.insert("DependsOn".to_owned(), Value::Array(names));
    }
    Ok(())
}

/// A dependency that holds only under a condition: a tag that names the permission.
fn tag_dependency(id: &str, bucket: &mut Value, permission: &str, condition: &Value) -> Made<()> {
    let name = format!("sam:ConditionalDependsOn:{permission}");
    let value = json!({"Fn::If": [condition, reference(permission), "no dependency"]});
    let tag = tag_list(None, Some(&json!({name: value})), &[]);
    let tags = below(bucket, "Properties").and_then(Value::as_object_mut);
    let tags = tags.map(|properties| {
        let tags = properties.entry("Tags").or_insert(Value::Null);
        if tags.is_null() {
            *tags = json!([]);
        }
        tags
    });
    match (tags, tag) {
        (Some(Value::Array(list)), Some(Value::Array(tag))) => {
            list.extend(tag);
            Ok(())
        }
        _ => Err(Fault::new(id, "Property 'Tags' should be a list.")),
    }
}

/// The notifications of a bucket that go to functions.
fn notifications<'b>(id: &str, bucket: &'b mut Value) -> Made<&'b mut Vec<Value>> {
    let Some(properties) = below(bucket, "Properties").filter(|value| value.is_object()) else {
        return Err(Fault::new(id, "Properties should be a map."));
    };
    let config = below(properties, "NotificationConfiguration");
    let Some(Value::Object(config)) = config else {
        return Err(Fault::new(
            id,
            mistyped("NotificationConfiguration", Is::Map),
        ));
    };
    let list = config.entry("LambdaConfigurations").or_insert(Value::Null);
    if list.is_null() {
        *list = json!([]);
    }
    match list {
        Value::Array(list) => Ok(list),
        _ => Err(Fault::new(
            id,
            "Invalid type for LambdaConfigurations. Must be a list.",
        )),
    }
}
