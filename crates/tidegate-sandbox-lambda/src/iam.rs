//! IAM: roles with their inline and attached policies, and managed policies with their versions; one state for all regions.
//!
//! `document` checks policy documents, `roles`, `grants` and `policies` hold the operations. Must not know: HTTP, Lambda.
//! Nothing is ever denied for lack of a policy: documents are kept and checked for form, and decide only who may assume a role.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

mod catalog;
mod document;
mod grants;
mod policies;
mod roles;
mod service;

use policies::Policy;
use roles::Role;
use tidegate_sandbox_aws::service::{Refusal, Scope, refuse};

pub(crate) use service::Access;

/// Roles of the account.
const ROLES: usize = 1_000;
/// Managed policies of the account.
const POLICIES: usize = 1_500;
/// Tags of a role or a policy.
const TAGS: usize = 50;
/// Entries of a page when the request names no number.
const PAGE: usize = 100;

/// The state of IAM.
#[derive(Debug, Default)]
pub(crate) struct Iam {
    roles: BTreeMap<String, Role>,
    /// By ARN.
    policies: BTreeMap<String, Policy>,
}

/// What Lambda asks of roles.
pub(crate) trait Roles: Send + Sync + std::fmt::Debug {
    /// Does the role with this ARN exist, and does it let Lambda assume it, as seen from another service at `now`?
    fn assumable_by_lambda(&self, role_arn: &str, now: Timestamp) -> bool;
}

/// A role as STS needs it.
#[derive(Clone, Debug)]
pub(crate) struct Assumed {
    /// Its name.
    pub(crate) name: String,
    /// `AROA…`
    pub(crate) id: String,
    /// Seconds of its longest session.
    pub(crate) longest: u32,
}

/// Why a service cannot assume a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unassumable {
    /// There is no such role, or it is too young to be seen.
    Missing,
    /// Its trust policy does not name the service, or does so too recently to be seen.
    Untrusted,
}

impl Iam {
    /// Answers one operation; `spread` is how long a change takes to be seen by other services.
    ///
    /// # Errors
    /// The service's own refusal.
    pub(crate) fn call(
        &mut self,
        scope: &Scope,
        spread: SignedDuration,
        operation: &str,
        input: &Value,
    ) -> Result<Value, Refusal> {
        let mut call = Call {
            iam: self,
            scope,
            seen: scope.after(spread),
            input,
        };
        match operation {
            "CreateRole" => call.create_role(),
            "GetRole" => call.get_role(),
            "ListRoles" => call.list_roles(),
            "UpdateRole" => call.update_role(),
            "UpdateRoleDescription" => call.update_role_description(),
            "DeleteRole" => call.delete_role(),
            "UpdateAssumeRolePolicy" => call.update_trust(),
            "PutRolePermissionsBoundary" => call.put_boundary(),
            "DeleteRolePermissionsBoundary" => call.delete_boundary(),
            "TagRole" => call.tag_role(),
            "UntagRole" => call.untag_role(),
            "ListRoleTags" => call.list_role_tags(),
            "ListInstanceProfilesForRole" => call.list_instance_profiles(),
            "PutRolePolicy" => call.put_role_policy(),
            "GetRolePolicy" => call.get_role_policy(),
            "DeleteRolePolicy" => call.delete_role_policy(),
            "ListRolePolicies" => call.list_role_policies(),
            "AttachRolePolicy" => call.attach(),
            "DetachRolePolicy" => call.detach(),
            "ListAttachedRolePolicies" => call.list_attached(),
            "ListEntitiesForPolicy" => call.list_entities(),
            "CreatePolicy" => call.create_policy(),
            "GetPolicy" => call.get_policy(),
            "DeletePolicy" => call.delete_policy(),
            "ListPolicies" => call.list_policies(),
            "CreatePolicyVersion" => call.create_version(),
            "GetPolicyVersion" => call.get_version(),
            "ListPolicyVersions" => call.list_versions(),
            "SetDefaultPolicyVersion" => call.set_default(),
            "DeletePolicyVersion" => call.delete_version(),
            "TagPolicy" => call.tag_policy(),
            "UntagPolicy" => call.untag_policy(),
            "ListPolicyTags" => call.list_policy_tags(),
            other => Err(refuse(
                "InvalidAction",
                format!("the sandbox's IAM has no operation {other}"),
            )),
        }
    }

    /// May the service `principal` assume the role with this ARN now?
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn assume(
        &self,
        arn: &str,
        principal: &str,
        now: Timestamp,
    ) -> Result<(), Unassumable> {
        let role = self
            .role_by_arn(arn)
            .filter(|role| role.seen <= now)
            .ok_or(Unassumable::Missing)?;
        if document::admits(role.trust_at(now), principal) {
            Ok(())
        } else {
            Err(Unassumable::Untrusted)
        }
    }

    /// The role with this ARN, when it lets callers of `account` assume it.
    pub(crate) fn session_of(&self, arn: &str, account: &str, now: Timestamp) -> Option<Assumed> {
        let role = self.role_by_arn(arn)?;
        document::admits_account(role.trust_at(now), account).then(|| Assumed {
            name: role.name.clone(),
            id: role.id.clone(),
            longest: role.session,
        })
    }

    fn role_by_arn(&self, arn: &str) -> Option<&Role> {
        let name = arn.rsplit('/').next().unwrap_or("");
        self.roles.get(name).filter(|role| role.arn == arn)
    }
}

/// One request at the state it is for.
struct Call<'a> {
    iam: &'a mut Iam,
    scope: &'a Scope,
    /// When other services see what this request changes.
    seen: Timestamp,
    input: &'a Value,
}

fn missing(words: impl Into<String>) -> Refusal {
    refuse("NoSuchEntity", words).status(404)
}

fn exists(words: impl Into<String>) -> Refusal {
    refuse("EntityAlreadyExists", words).status(409)
}

fn conflict(words: impl Into<String>) -> Refusal {
    refuse("DeleteConflict", words).status(409)
}

fn limit(words: impl Into<String>) -> Refusal {
    refuse("LimitExceeded", words).status(409)
}

fn invalid(words: impl Into<String>) -> Refusal {
    refuse("ValidationError", words)
}

/// A time as the query protocol writes it.
fn stamp(at: Timestamp) -> Value {
    json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A document as IAM's answers carry it: percent-encoded.
fn encoded(document: &str) -> Value {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    json!(utf8_percent_encode(document, KEPT).to_string())
}

fn tag_list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

fn too_long(value: &str, member: &str, most: usize) -> Refusal {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have length less than or equal to {most}"
    ))
}

impl Call<'_> {
    /// A text of the request that must be there.
    fn text(&self, name: &str) -> Result<&str, Refusal> {
        match self.input[name].as_str() {
            Some("") | None => Err(invalid(format!(
                "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
                lower_first(name)
            ))),
            Some(text) => Ok(text),
        }
    }

    /// A name of the request: characters and length as IAM takes them.
    fn name(&self, member: &str, most: usize) -> Result<&str, Refusal> {
        let name = self.text(member)?;
        let member = lower_first(member);
        if name.chars().count() > most {
            return Err(too_long(name, &member, most));
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if !name.bytes().all(fine) {
            return Err(invalid(format!(
                "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"
            )));
        }
        Ok(name)
    }

    /// The path of the request, `/` when it names none.
    fn path(&self) -> Result<&str, Refusal> {
        let path = self.input["Path"].as_str().unwrap_or("/");
        if path.len() > 512 {
            return Err(too_long(path, "path", 512));
        }
        let printable = path.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if path == "/"
            || printable && path.len() > 1 && path.starts_with('/') && path.ends_with('/')
        {
            return Ok(path);
        }
        Err(invalid(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.",
        ))
    }

    /// An ARN of IAM, which has no region.
    fn arn(&self, kind: &str, path: &str, name: &str) -> String {
        let (partition, account) = (self.scope.partition(), &self.scope.account);
        format!("arn:{partition}:iam::{account}:{kind}{path}{name}")
    }

    /// An id in IAM's form: a prefix and seventeen capital letters and digits.
    fn id(&self, prefix: &str, seed: &str) -> String {
        let rest = self.scope.stable_id(&format!("{prefix}{seed}"), 17);
        format!("{prefix}{}", rest.to_ascii_uppercase())
    }

    /// The tags of a request, checked.
    fn tags(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let mut tags = BTreeMap::new();
        let mut folded = std::collections::BTreeSet::new();
        for tag in self.input["Tags"].as_array().map_or(&[][..], Vec::as_slice) {
            let (key, value) = (
                tag["Key"].as_str().unwrap_or(""),
                tag["Value"].as_str().unwrap_or(""),
            );
            if key.is_empty() || key.chars().count() > 128 {
                return Err(too_long(key, "tags.1.member.key", 128));
            }
            if value.chars().count() > 256 {
                return Err(too_long(value, "tags.1.member.value", 256));
            }
            if key.to_lowercase().starts_with("aws:") {
                return Err(refuse(
                    "InvalidInput",
                    "Tag keys cannot start with the reserved prefix aws:",
                ));
            }
            if !folded.insert(key.to_lowercase()) {
                return Err(refuse(
                    "InvalidInput",
                    "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
                ));
            }
            tags.insert(key.to_owned(), value.to_owned());
        }
        Ok(tags)
    }

    /// The tag keys of a request.
    fn tag_keys(&self) -> Vec<&str> {
        let keys = self.input["TagKeys"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        keys.iter().filter_map(Value::as_str).collect()
    }

    /// One page of a list, its entries under `member`; marked by the key of the last entry given.
    fn page(&self, member: &str, entries: Vec<(String, Value)>) -> Result<Value, Refusal> {
        let most = match self.input["MaxItems"].as_str() {
            None => PAGE,
            Some(text) => match text.parse() {
                Ok(number @ 1..=1_000) => number,
                _ => {
                    return Err(invalid(format!(
                        "1 validation error detected: Value '{text}' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000"
                    )));
                }
            },
        };
        let after = self.input["Marker"].as_str();
        let mut given = Map::new();
        let mut list = Vec::new();
        let mut last = String::new();
        let mut more = false;
        for (key, entry) in entries {
            if after.is_some_and(|after| key.as_str() <= after) {
                continue;
            }
            if list.len() == most {
                more = true;
                break;
            }
            last = key;
            list.push(entry);
        }
        given.insert(member.to_owned(), Value::Array(list));
        given.insert("IsTruncated".into(), json!(more));
        if more {
            given.insert("Marker".into(), json!(last));
        }
        Ok(Value::Object(given))
    }
}

/// Adds tags to those of an entity.
fn merge_tags(
    tags: &mut BTreeMap<String, String>,
    more: BTreeMap<String, String>,
) -> Result<(), Refusal> {
    // Keys are told apart without case: a new spelling replaces the old one.
    let mut merged = tags.clone();
    for key in more.keys() {
        merged.retain(|old, _| !old.eq_ignore_ascii_case(key));
    }
    merged.extend(more);
    if merged.len() > TAGS {
        return Err(limit(format!(
            "The number of tags has reached the maximum limit of {TAGS}."
        )));
    }
    *tags = merged;
    Ok(())
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
