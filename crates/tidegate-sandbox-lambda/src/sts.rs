//! STS: who a caller is, and temporary credentials of roles and sessions.
//!
//! Must not know: HTTP. Signatures are not verified: credentials only tell callers apart.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

use crate::iam::Iam;

/// Sessions that are remembered; the oldest are forgotten first.
const SESSIONS: usize = 10_000;
/// Seconds of a session when the request names none.
const ROLE_SECONDS: i64 = 3_600;
const TOKEN_SECONDS: i64 = 43_200;

/// Who acts with a temporary access key.
#[derive(Clone, Debug)]
struct Session {
    arn: String,
    user: String,
    expires: Timestamp,
}

/// The temporary credentials that were given out.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_key: BTreeMap<String, Session>,
    count: u64,
}

fn invalid(words: impl Into<String>) -> Refusal {
    refuse("ValidationError", words)
}

/// A number of seconds within bounds.
fn seconds(input: &Value, default: i64, least: i64, most: i64) -> Result<i64, Refusal> {
    let Some(text) = input["DurationSeconds"].as_str() else {
        return Ok(default);
    };
    let broken = |rule: &str| {
        invalid(format!(
            "1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: Member must have value {rule}"
        ))
    };
    match text.parse::<i64>() {
        Ok(number) if number < least => Err(broken(&format!("greater than or equal to {least}"))),
        Ok(number) if number > most => Err(broken(&format!("less than or equal to {most}"))),
        Ok(number) => Ok(number),
        Err(_) => Err(refuse("MalformedInput", "DurationSeconds is no number")),
    }
}

impl Sessions {
    /// Answers one operation for whoever signed with `key`.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        iam: &Iam,
        key: Option<&str>,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        match operation {
            "GetCallerIdentity" => self.identity(scope, key),
            "AssumeRole" => self.assume_role(scope, iam, key, input),
            "GetSessionToken" => {
                let seconds = seconds(input, TOKEN_SECONDS, 900, 129_600)?;
                let (arn, user) = self.caller(scope, key)?;
                Ok(json!({"Credentials": self.issue(scope, &arn, &user, seconds)}))
            }
            "GetAccessKeyInfo" => Ok(json!({"Account": scope.account})),
            other => Err(refuse(
                "InvalidAction",
                format!("the sandbox's STS has no operation {other}"),
            )),
        }
    }

    /// The ARN and user id of a caller; whoever has no temporary key is the account's root.
    fn caller(&self, scope: &Scope, key: Option<&str>) -> Result<(String, String), Refusal> {
        match key.and_then(|key| self.by_key.get(key)) {
            Some(session) if session.expires <= scope.now => Err(refuse(
                "ExpiredToken",
                "The security token included in the request is expired",
            )
            .status(403)),
            Some(session) => Ok((session.arn.clone(), session.user.clone())),
            None => {
                let root = format!("arn:{}:iam::{}:root", scope.partition(), scope.account);
                Ok((root, scope.account.clone()))
            }
        }
    }

    fn identity(&self, scope: &Scope, key: Option<&str>) -> Result<Value, Refusal> {
        let (arn, user) = self.caller(scope, key)?;
        Ok(json!({"Arn": arn, "UserId": user, "Account": scope.account}))
    }

    fn assume_role(
        &mut self,
        scope: &Scope,
        iam: &Iam,
        key: Option<&str>,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let text = |name: &str, member: &str| {
            input[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| {
                invalid(format!(
                    "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
                ))
            })
        };
        let arn = text("RoleArn", "roleArn")?;
        let name = text("RoleSessionName", "roleSessionName")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !(2..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(invalid(format!(
                "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            )));
        }
        if !arn.starts_with("arn:") || !arn.contains(":role/") {
            return Err(invalid(format!("{arn} is invalid")));
        }
        let (caller, _) = self.caller(scope, key)?;
        let denied = || {
            let words = format!(
                "User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            );
            refuse("AccessDenied", words).status(403)
        };
        let role = iam
            .session_of(arn, &scope.account, scope.now)
            .ok_or_else(denied)?;
        let seconds = seconds(input, ROLE_SECONDS, 900, 43_200)?;
        if seconds > i64::from(role.longest) {
            return Err(invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        let assumed = format!(
            "arn:{}:sts::{}:assumed-role/{}/{name}",
            scope.partition(),
            scope.account,
            role.name
        );
        let user = format!("{}:{name}", role.id);
        let credentials = self.issue(scope, &assumed, &user, seconds);
        Ok(json!({
            "Credentials": credentials,
            "AssumedRoleUser": {"AssumedRoleId": user, "Arn": assumed},
            "PackedPolicySize": 6,
        }))
    }

    fn issue(&mut self, scope: &Scope, arn: &str, user: &str, seconds: i64) -> Value {
        self.count += 1;
        let seed = format!("{arn}{}", self.count);
        let key = format!("ASIA{}", scope.stable_id(&seed, 16).to_ascii_uppercase());
        let expires = scope.after(SignedDuration::from_secs(seconds));
        self.by_key.retain(|_, session| session.expires > scope.now);
        if self.by_key.len() >= SESSIONS {
            let oldest = self
                .by_key
                .iter()
                .min_by_key(|(_, session)| session.expires);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.by_key.remove(&oldest);
            }
        }
        self.by_key.insert(
            key.clone(),
            Session {
                arn: arn.to_owned(),
                user: user.to_owned(),
                expires,
            },
        );
        json!({
            "AccessKeyId": key,
            "SecretAccessKey": scope.stable_id(&format!("secret{seed}"), 40),
            "SessionToken": format!("IQoJ{}", scope.stable_id(&format!("token{seed}"), 196)),
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        })
    }
}
