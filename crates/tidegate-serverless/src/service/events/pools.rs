//! Cognito user pools: `cognitoUserPool` events.
//!
//! Must not know: authorizers of APIs.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use super::common::{self, Properties, text, truthy};
use crate::service::context::{Composer, Context, Function};
use crate::service::names;

const SENDERS: &[&str] = &["CustomSMSSender", "CustomEmailSender"];
const SENDER_VERSIONS: &[&str] = &["V1_0"];
const TOKEN_VERSIONS: &[&str] = &["V1_0", "V2_0", "V3_0"];
const TOKENS: &str = "PreTokenGeneration";

/// A pool that calls a function.
struct Trigger<'c> {
    function: &'c Function,
    event: &'c Node,
    pool: &'c str,
    source: &'c str,
}

fn pool_id(pool: &str) -> String {
    format!("CognitoUserPool{}", names::alphanumeric(pool))
}

/// Adds what `cognitoUserPool` events make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    let mut triggers = Vec::new();
    for function in &context.functions {
        for event in common::events(function, "cognitoUserPool") {
            match read(context, function, event, template) {
                Some(trigger) => triggers.push(trigger),
                None => return,
            }
        }
    }
    let mut pools: Vec<&str> = triggers.iter().map(|trigger| trigger.pool).collect();
    pools.sort_unstable();
    pools.dedup();
    for pool in pools {
        let own: Vec<&Trigger<'_>> = triggers
            .iter()
            .filter(|trigger| trigger.pool == pool)
            .collect();
        add_pool(context, pool, &own, template);
    }
    for trigger in &triggers {
        let source = json!({"SourceArn": {"Fn::GetAtt": [pool_id(trigger.pool), "Arn"]}});
        let principal = "cognito-idp.amazonaws.com";
        let resource = common::permission(context, trigger.function, principal, source);
        let id = format!(
            "{}LambdaPermissionCognitoUserPool{}TriggerSource{}",
            names::normalize(&trigger.function.key),
            names::alphanumeric(trigger.pool),
            names::alphanumeric(trigger.source)
        );
        template.resource(id, resource, trigger.event.span);
    }
}

fn read<'c>(
    context: &Context<'_>,
    function: &'c Function,
    event: &'c Node,
    template: &mut Composer,
) -> Option<Trigger<'c>> {
    if truthy(event, "existing").is_some() {
        template.error(
            common::NOT_BUILT,
            format!("function {:?} is called by a user pool that is there already", function.key),
            context.place(event),
            "declare the pool in `resources` with its LambdaConfig and an AWS::Lambda::Permission: the framework ships a function of its own for this, which is not built here",
        );
        return None;
    }
    let (Some(pool), Some(source)) = (text(event, "pool"), text(event, "trigger")) else {
        common::missing(context, template, event, "`pool` and `trigger`");
        return None;
    };
    if let Some(message) = version_refusal(source, text(event, "lambdaVersion")) {
        let help = "leave `lambdaVersion` out, or choose one that the trigger knows";
        common::refuse(context, template, event, message, help);
        return None;
    }
    Some(Trigger {
        function,
        event,
        pool,
        source,
    })
}

fn version_refusal(source: &str, version: Option<&str>) -> Option<String> {
    let version = version?;
    let (known, who) = if SENDERS.contains(&source) {
        (SENDER_VERSIONS, "Custom sender triggers only support")
    } else if source == TOKENS {
        (TOKEN_VERSIONS, "PreTokenGeneration supports")
    } else {
        return Some(format!(
            "lambdaVersion is not supported for trigger \"{source}\". It's only supported for: CustomSMSSender, CustomEmailSender, and PreTokenGeneration"
        ));
    };
    (!known.contains(&version)).then(|| {
        let known = known.join(", ");
        format!("Invalid lambdaVersion \"{version}\" for trigger \"{source}\". {who}: {known}")
    })
}

fn add_pool(context: &Context<'_>, pool: &str, triggers: &[&Trigger<'_>], template: &mut Composer) {
    let mut config = Properties(Map::new());
    let mut key: Option<Value> = None;
    let mut waits = Vec::new();
    for trigger in triggers {
        let target = context.target(trigger.function);
        let version = text(trigger.event, "lambdaVersion");
        if SENDERS.contains(&trigger.source) {
            let own = truthy(trigger.event, "kmsKeyId").map(Node::to_json);
            let message = match (&own, &key) {
                (None, _) => Some(format!(
                    "KMS Key must be set when using a Custom Sender Source Trigger (CustomSMSSender and/or CustomEmailSender). Affected Cognito User Pool: \"{pool}\"."
                )),
                (Some(own), Some(key)) if own != key => Some(format!(
                    "Only one KMS Key for can be configured per Cognito User Pool. Affected Cognito User Pool: \"{pool}\"."
                )),
                _ => None,
            };
            if let Some(message) = message {
                let help = "give all senders of a pool the same `kmsKeyId`";
                return common::refuse(context, template, trigger.event, message, help);
            }
            let version = version.unwrap_or("V1_0");
            config.set(
                trigger.source,
                json!({"LambdaArn": target, "LambdaVersion": version}),
            );
            config.set("KMSKeyID", own.clone());
            key = own;
        } else if let Some(version) = version {
            let token = json!({"LambdaArn": target, "LambdaVersion": version});
            config.set("PreTokenGenerationConfig", token);
        } else {
            config.set(trigger.source, target);
        }
        let function = trigger.function;
        let alias = function
            .alias
            .as_ref()
            .map(|alias| alias.logical_id.clone());
        waits.push(alias.unwrap_or_else(|| function.logical_id.clone()));
    }
    let resource = json!({
        "Type": "AWS::Cognito::UserPool",
        "DependsOn": waits,
        "Properties": {"UserPoolName": pool, "LambdaConfig": config.0},
    });
    let at = triggers
        .first()
        .map(|trigger| trigger.event.span)
        .unwrap_or_default();
    template.resource(pool_id(pool), resource, at);
}
