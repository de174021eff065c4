//! Managed policies with their versions, the account's own and AWS's.
//!
//! Must not know: what policies grant.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_sandbox_aws::service::{Refusal, refuse};

use super::document::{self, Use};
use super::{
    Call, Iam, POLICIES, catalog, conflict, encoded, exists, limit, merge_tags, missing, stamp,
    tag_list,
};

/// Versions of a policy.
const VERSIONS: usize = 5;
/// Characters of a version, white space left out.
const SIZE: usize = 6_144;
/// When policies of AWS were made, as answers tell it: the day the language got its present version.
const EPOCH: &str = "2015-02-06T18:40:58Z";

/// A managed policy of the account.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) arn: String,
    pub(super) tags: BTreeMap<String, String>,
    name: String,
    path: String,
    id: String,
    description: Option<String>,
    created: Timestamp,
    updated: Timestamp,
    default: u64,
    last: u64,
    versions: BTreeMap<u64, (String, Timestamp)>,
}

impl Policy {
    fn shown(&self, attached: usize, bounds: usize, whole: bool) -> Value {
        let mut shown = json!({
            "PolicyName": self.name,
            "PolicyId": self.id,
            "Arn": self.arn,
            "Path": self.path,
            "DefaultVersionId": format!("v{}", self.default),
            "AttachmentCount": attached,
            "PermissionsBoundaryUsageCount": bounds,
            "IsAttachable": true,
            "CreateDate": stamp(self.created),
            "UpdateDate": stamp(self.updated),
        });
        if whole {
            if let Some(description) = &self.description {
                shown["Description"] = json!(description);
            }
            if !self.tags.is_empty() {
                shown["Tags"] = tag_list(&self.tags);
            }
        }
        shown
    }

    fn version(&self, number: u64, text: Option<&str>) -> Value {
        let mut shown = json!({
            "VersionId": format!("v{number}"),
            "IsDefaultVersion": number == self.default,
        });
        if let Some((_, at)) = self.versions.get(&number) {
            shown["CreateDate"] = stamp(*at);
        }
        if let Some(text) = text {
            shown["Document"] = encoded(text);
        }
        shown
    }
}

/// A policy of AWS as answers show it.
fn shown_of_aws(known: &str, attached: usize, bounds: usize) -> Value {
    let (path, name) = catalog::split(known);
    json!({
        "PolicyName": name,
        "PolicyId": "ANPA0AWSMANAGED000000",
        "Arn": format!("arn:aws:iam::aws:policy/{known}"),
        "Path": path,
        "DefaultVersionId": "v1",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounds,
        "IsAttachable": true,
        "CreateDate": EPOCH,
        "UpdateDate": EPOCH,
    })
}

impl Iam {
    /// Can the policy with this ARN be attached?
    pub(super) fn attachable(&self, arn: &str) -> bool {
        self.policies.contains_key(arn) || catalog::known(arn).is_some()
    }

    fn attached(&self, arn: &str) -> usize {
        let roles = self.roles.values();
        roles.filter(|role| role.attached.contains(arn)).count()
    }
}

impl Call<'_> {
    /// The policy ARN of the request.
    pub(super) fn policy_arn(&self) -> Result<&str, Refusal> {
        let arn = self.text("PolicyArn")?;
        let lengthy = arn.len() < 20 || arn.len() > 2_048;
        if lengthy || !arn.starts_with("arn:") || !arn.contains(":policy/") {
            return Err(refuse("InvalidInput", format!("ARN {arn} is not valid.")));
        }
        Ok(arn)
    }

    /// Refuses when there is no such policy.
    pub(super) fn known_policy(&self, arn: &str) -> Result<(), Refusal> {
        if self.iam.attachable(arn) {
            return Ok(());
        }
        Err(missing(format!("Policy {arn} was not found.")))
    }

    fn own_policy(&mut self) -> Result<&mut Policy, Refusal> {
        let arn = self.policy_arn()?.to_owned();
        if catalog::known(&arn).is_some() {
            return Err(refuse(
                "AccessDenied",
                format!("{arn} is a policy of AWS and cannot be changed"),
            )
            .status(403));
        }
        self.iam
            .policies
            .get_mut(&arn)
            .ok_or_else(|| missing(format!("Policy {arn} was not found.")))
    }

    fn policy_document(&self) -> Result<String, Refusal> {
        let text = self.text("PolicyDocument")?;
        document::check(text, Use::Grants)?;
        if document::size(text) > SIZE {
            return Err(limit(format!("Cannot exceed quota for PolicySize: {SIZE}")));
        }
        Ok(text.to_owned())
    }

    pub(super) fn create_policy(&mut self) -> Result<Value, Refusal> {
        let name = self.name("PolicyName", 128)?.to_owned();
        let path = self.path()?.to_owned();
        let text = self.policy_document()?;
        let mut tags = BTreeMap::new();
        merge_tags(&mut tags, self.tags()?)?;
        let mut names = self
            .iam
            .policies
            .values()
            .map(|policy| policy.name.as_str());
        if names.any(|known| known.eq_ignore_ascii_case(&name)) {
            return Err(exists(format!(
                "A policy called {name} already exists. Duplicate names are not allowed."
            )));
        }
        if self.iam.policies.len() >= POLICIES {
            return Err(limit(format!(
                "Cannot exceed quota for CustomerManagedPoliciesPerAccount: {POLICIES}"
            )));
        }
        let now = self.scope.now;
        let policy = Policy {
            arn: self.arn("policy", &path, &name),
            id: self.id("ANPA", &name),
            tags,
            name,
            path,
            description: self.input["Description"].as_str().map(str::to_owned),
            created: now,
            updated: now,
            default: 1,
            last: 1,
            versions: BTreeMap::from([(1, (text, now))]),
        };
        let shown = policy.shown(0, 0, true);
        self.iam.policies.insert(policy.arn.clone(), policy);
        Ok(json!({"Policy": shown}))
    }

    pub(super) fn get_policy(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?;
        self.known_policy(arn)?;
        let (attached, bounds) = (self.iam.attached(arn), self.bounds(arn));
        let shown = match (self.iam.policies.get(arn), catalog::known(arn)) {
            (Some(policy), _) => policy.shown(attached, bounds, true),
            (None, known) => shown_of_aws(known.unwrap_or(""), attached, bounds),
        };
        Ok(json!({"Policy": shown}))
    }

    pub(super) fn delete_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.own_policy()?;
        let (arn, versions) = (policy.arn.clone(), policy.versions.len());
        self.unused(&arn)?;
        if versions > 1 {
            return Err(conflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        self.iam.policies.remove(&arn);
        Ok(Value::Null)
    }

    pub(super) fn list_policies(&mut self) -> Result<Value, Refusal> {
        let scope = self.input["Scope"].as_str().unwrap_or("All");
        let only_attached = self.input["OnlyAttached"].as_str() == Some("true");
        let prefix = self.input["PathPrefix"].as_str().unwrap_or("/");
        let wanted = |arn: &str, path: &str| {
            path.starts_with(prefix) && (!only_attached || self.iam.attached(arn) > 0)
        };
        let mut entries: Vec<(String, Value)> = Vec::new();
        if scope != "AWS" {
            for policy in self.iam.policies.values() {
                if wanted(&policy.arn, &policy.path) {
                    let (attached, bounds) =
                        (self.iam.attached(&policy.arn), self.bounds(&policy.arn));
                    entries.push((policy.arn.clone(), policy.shown(attached, bounds, false)));
                }
            }
        }
        if scope != "Local" {
            for known in catalog::all() {
                let arn = format!("arn:aws:iam::aws:policy/{known}");
                if wanted(&arn, &catalog::split(known).0) {
                    let shown = shown_of_aws(known, self.iam.attached(&arn), self.bounds(&arn));
                    entries.push((arn, shown));
                }
            }
        }
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        self.page("Policies", entries)
    }

    pub(super) fn create_version(&mut self) -> Result<Value, Refusal> {
        self.own_policy()?;
        let text = self.policy_document()?;
        let default = self.input["SetAsDefault"].as_str() == Some("true");
        let now = self.scope.now;
        let policy = self.own_policy()?;
        if policy.versions.len() >= VERSIONS {
            return Err(limit(format!(
                "A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete an existing version."
            )));
        }
        policy.last += 1;
        policy.versions.insert(policy.last, (text, now));
        policy.updated = now;
        if default {
            policy.default = policy.last;
        }
        Ok(json!({"PolicyVersion": policy.version(policy.last, None)}))
    }

    /// The number of the version that the request names.
    fn version_number(&self) -> Result<u64, Refusal> {
        let text = self.text("VersionId")?;
        let number = text.strip_prefix('v').and_then(|rest| {
            let rest = rest.split('.').next().unwrap_or("");
            rest.parse().ok().filter(|number| *number > 0)
        });
        number.ok_or_else(|| {
            super::invalid(format!(
                "Value '{text}' at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?"
            ))
        })
    }

    fn no_version(arn: &str, number: u64) -> Refusal {
        missing(format!(
            "Policy {arn} version v{number} does not exist or is not attachable."
        ))
    }

    pub(super) fn get_version(&mut self) -> Result<Value, Refusal> {
        let number = self.version_number()?;
        let arn = self.policy_arn()?;
        self.known_policy(arn)?;
        let version = match (self.iam.policies.get(arn), catalog::known(arn)) {
            (Some(policy), _) => {
                let (text, _) = policy
                    .versions
                    .get(&number)
                    .ok_or_else(|| Self::no_version(arn, number))?;
                policy.version(number, Some(text))
            }
            (None, known) if number == 1 => {
                let text = known.and_then(catalog::document).ok_or_else(|| {
                    missing(format!("the sandbox does not hold the document of {arn}"))
                })?;
                json!({
                    "VersionId": "v1", "IsDefaultVersion": true, "CreateDate": EPOCH,
                    "Document": encoded(&text.to_string()),
                })
            }
            (None, _) => return Err(Self::no_version(arn, number)),
        };
        Ok(json!({"PolicyVersion": version}))
    }

    pub(super) fn list_versions(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?;
        self.known_policy(arn)?;
        let entries = match self.iam.policies.get(arn) {
            // Newest first; the marker is a key that grows down the list.
            Some(policy) => policy
                .versions
                .keys()
                .rev()
                .map(|number| {
                    (
                        format!("{:020}", u64::MAX - number),
                        policy.version(*number, None),
                    )
                })
                .collect(),
            None => vec![(
                "v1".to_owned(),
                json!({"VersionId": "v1", "IsDefaultVersion": true, "CreateDate": EPOCH}),
            )],
        };
        self.page("Versions", entries)
    }

    pub(super) fn set_default(&mut self) -> Result<Value, Refusal> {
        let number = self.version_number()?;
        let now = self.scope.now;
        let policy = self.own_policy()?;
        if !policy.versions.contains_key(&number) {
            return Err(Self::no_version(&policy.arn, number));
        }
        policy.default = number;
        policy.updated = now;
        Ok(Value::Null)
    }

    pub(super) fn delete_version(&mut self) -> Result<Value, Refusal> {
        let number = self.version_number()?;
        let policy = self.own_policy()?;
        if !policy.versions.contains_key(&number) {
            return Err(Self::no_version(&policy.arn, number));
        }
        if policy.default == number {
            return Err(conflict("Cannot delete the default version of a policy."));
        }
        policy.versions.remove(&number);
        Ok(Value::Null)
    }

    pub(super) fn tag_policy(&mut self) -> Result<Value, Refusal> {
        let tags = self.tags()?;
        merge_tags(&mut self.own_policy()?.tags, tags)?;
        Ok(Value::Null)
    }

    pub(super) fn untag_policy(&mut self) -> Result<Value, Refusal> {
        let keys: Vec<String> = self.tag_keys().into_iter().map(str::to_owned).collect();
        let policy = self.own_policy()?;
        policy
            .tags
            .retain(|key, _| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
        Ok(Value::Null)
    }

    pub(super) fn list_policy_tags(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?;
        self.known_policy(arn)?;
        let tags = self.iam.policies.get(arn).map(|policy| policy.tags.clone());
        let entries = tags
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
            .collect();
        self.page("Tags", entries)
    }
}
