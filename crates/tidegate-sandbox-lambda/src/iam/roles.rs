//! Roles: their life, trust policies, boundaries and tags.
//!
//! Must not know: what policies grant.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::{self, Use};
use super::{
    Call, ROLES, conflict, encoded, exists, invalid, limit, merge_tags, missing, stamp, tag_list,
};
use tidegate_sandbox_aws::service::{Refusal, refuse};

/// Characters of a trust policy, white space left out.
const TRUST: usize = 2_048;
/// Seconds of a session, at least and at most.
const SESSION: std::ops::RangeInclusive<u32> = 3_600..=43_200;

/// A role.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) arn: String,
    pub(super) id: String,
    pub(super) tags: BTreeMap<String, String>,
    /// Inline policies by name.
    pub(super) inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    pub(super) attached: BTreeSet<String>,
    /// When other services see the role.
    pub(super) seen: Timestamp,
    created: Timestamp,
    description: Option<String>,
    pub(super) session: u32,
    boundary: Option<String>,
    trust: String,
    /// The trust policy before the last change, and until when others still see it.
    before: Option<(String, Timestamp)>,
}

impl Role {
    /// The trust policy as other services see it.
    pub(super) fn trust_at(&self, now: Timestamp) -> &str {
        match &self.before {
            Some((before, until)) if now < *until => before,
            _ => &self.trust,
        }
    }

    /// The role as its answers show it; lists leave tags, boundary and use out.
    fn shown(&self, whole: bool) -> Value {
        let mut shown = json!({
            "Path": self.path,
            "RoleName": self.name,
            "RoleId": self.id,
            "Arn": self.arn,
            "CreateDate": stamp(self.created),
            "AssumeRolePolicyDocument": encoded(&self.trust),
            "MaxSessionDuration": self.session,
        });
        if let Some(description) = &self.description {
            shown["Description"] = json!(description);
        }
        if whole {
            if let Some(arn) = &self.boundary {
                shown["PermissionsBoundary"] =
                    json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn});
            }
            if !self.tags.is_empty() {
                shown["Tags"] = tag_list(&self.tags);
            }
            shown["RoleLastUsed"] = json!({});
        }
        shown
    }
}

fn unknown(name: &str) -> Refusal {
    missing(format!("The role with name {name} cannot be found."))
}

impl Call<'_> {
    /// The role that the request names.
    pub(super) fn role(&mut self) -> Result<&mut Role, Refusal> {
        let name = self.name("RoleName", 64)?.to_owned();
        self.iam.roles.get_mut(&name).ok_or_else(|| unknown(&name))
    }

    fn trust(&self, member: &str) -> Result<String, Refusal> {
        let text = self.text(member)?;
        document::check(text, Use::Trust)?;
        if document::size(text) > TRUST {
            return Err(limit(format!(
                "Cannot exceed quota for ACLSizePerRole: {TRUST}"
            )));
        }
        Ok(text.to_owned())
    }

    fn session(&self) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.input["MaxSessionDuration"].as_str() else {
            return Ok(None);
        };
        match text.parse::<u32>() {
            Ok(seconds) if SESSION.contains(&seconds) => Ok(Some(seconds)),
            Ok(seconds) => {
                let (rule, bound) = if seconds < *SESSION.start() {
                    ("greater", SESSION.start())
                } else {
                    ("less", SESSION.end())
                };
                Err(invalid(format!(
                    "1 validation error detected: Value '{text}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value {rule} than or equal to {bound}"
                )))
            }
            Err(_) => Err(refuse(
                "MalformedInput",
                "Invalid value for MaxSessionDuration",
            )),
        }
    }

    fn description(&self) -> Result<Option<String>, Refusal> {
        match self.input["Description"].as_str() {
            Some(text) if text.chars().count() > 1_000 => {
                Err(super::too_long(text, "description", 1_000))
            }
            text => Ok(text.map(str::to_owned)),
        }
    }

    fn boundary(&self) -> Result<Option<String>, Refusal> {
        let Some(arn) = self.input["PermissionsBoundary"].as_str() else {
            return Ok(None);
        };
        if !self.iam.attachable(arn) {
            return Err(missing(format!(
                "Scope ARN: {arn} does not exist or is not attachable."
            )));
        }
        Ok(Some(arn.to_owned()))
    }

    pub(super) fn create_role(&mut self) -> Result<Value, Refusal> {
        let name = self.name("RoleName", 64)?.to_owned();
        let path = self.path()?.to_owned();
        let trust = self.trust("AssumeRolePolicyDocument")?;
        let (session, description, boundary) =
            (self.session()?, self.description()?, self.boundary()?);
        let mut tags = BTreeMap::new();
        merge_tags(&mut tags, self.tags()?)?;
        // Names are told apart without case.
        if self
            .iam
            .roles
            .keys()
            .any(|known| known.eq_ignore_ascii_case(&name))
        {
            return Err(exists(format!("Role with name {name} already exists.")));
        }
        if self.iam.roles.len() >= ROLES {
            return Err(limit(format!(
                "Cannot exceed quota for RolesPerAccount: {ROLES}"
            )));
        }
        let role = Role {
            arn: self.arn("role", &path, &name),
            id: self.id("AROA", &name),
            name: name.clone(),
            path,
            tags,
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
            seen: self.seen,
            created: self.scope.now,
            description,
            session: session.unwrap_or(*SESSION.start()),
            boundary,
            trust,
            before: None,
        };
        let mut shown = role.shown(true);
        if let Some(map) = shown.as_object_mut() {
            map.remove("RoleLastUsed");
        }
        self.iam.roles.insert(name, role);
        Ok(json!({"Role": shown}))
    }

    pub(super) fn get_role(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"Role": self.role()?.shown(true)}))
    }

    pub(super) fn list_roles(&mut self) -> Result<Value, Refusal> {
        let prefix = self.input["PathPrefix"].as_str().unwrap_or("/");
        let roles = self.iam.roles.values();
        let entries = roles
            .filter(|role| role.path.starts_with(prefix))
            .map(|role| (role.name.clone(), role.shown(false)))
            .collect();
        self.page("Roles", entries)
    }

    pub(super) fn update_role(&mut self) -> Result<Value, Refusal> {
        let (session, description) = (self.session()?, self.description()?);
        let role = self.role()?;
        if let Some(session) = session {
            role.session = session;
        }
        if let Some(description) = description {
            role.description = Some(description).filter(|text| !text.is_empty());
        }
        Ok(json!({}))
    }

    pub(super) fn update_role_description(&mut self) -> Result<Value, Refusal> {
        let description = self.description()?;
        let role = self.role()?;
        role.description = description.filter(|text| !text.is_empty());
        Ok(json!({"Role": role.shown(true)}))
    }

    pub(super) fn delete_role(&mut self) -> Result<Value, Refusal> {
        let role = self.role()?;
        if !role.attached.is_empty() {
            return Err(conflict(
                "Cannot delete entity, must detach all policies first.",
            ));
        }
        if !role.inline.is_empty() {
            return Err(conflict(
                "Cannot delete entity, must delete policies first.",
            ));
        }
        let name = role.name.clone();
        self.iam.roles.remove(&name);
        Ok(Value::Null)
    }

    pub(super) fn update_trust(&mut self) -> Result<Value, Refusal> {
        // A role that is missing is told before a document that is wrong.
        self.role()?;
        let trust = self.trust("PolicyDocument")?;
        let (now, seen) = (self.scope.now, self.seen);
        let role = self.role()?;
        let before = role.trust_at(now).to_owned();
        role.before = Some((before, seen));
        role.trust = trust;
        Ok(Value::Null)
    }

    pub(super) fn put_boundary(&mut self) -> Result<Value, Refusal> {
        self.role()?;
        self.text("PermissionsBoundary")?;
        let boundary = self.boundary()?;
        self.role()?.boundary = boundary;
        Ok(Value::Null)
    }

    pub(super) fn delete_boundary(&mut self) -> Result<Value, Refusal> {
        let role = self.role()?;
        if role.boundary.take().is_none() {
            let name = role.name.clone();
            return Err(missing(format!(
                "Role {name} does not have a permissions boundary."
            )));
        }
        Ok(Value::Null)
    }

    pub(super) fn tag_role(&mut self) -> Result<Value, Refusal> {
        let tags = self.tags()?;
        merge_tags(&mut self.role()?.tags, tags)?;
        Ok(Value::Null)
    }

    pub(super) fn untag_role(&mut self) -> Result<Value, Refusal> {
        let keys: Vec<String> = self.tag_keys().into_iter().map(str::to_owned).collect();
        let role = self.role()?;
        role.tags
            .retain(|key, _| !keys.iter().any(|gone| gone.eq_ignore_ascii_case(key)));
        Ok(Value::Null)
    }

    pub(super) fn list_role_tags(&mut self) -> Result<Value, Refusal> {
        let tags = self.role()?.tags.clone();
        let entries = tags
            .into_iter()
            .map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value})))
            .collect();
        self.page("Tags", entries)
    }

    /// The sandbox has no instance profiles; whoever deletes a role asks for them.
    pub(super) fn list_instance_profiles(&mut self) -> Result<Value, Refusal> {
        self.role()?;
        Ok(json!({"InstanceProfiles": [], "IsTruncated": false}))
    }

    /// Is a managed policy the boundary of a role?
    pub(super) fn bounds(&self, arn: &str) -> usize {
        let roles = self.iam.roles.values();
        roles
            .filter(|role| role.boundary.as_deref() == Some(arn))
            .count()
    }
}
