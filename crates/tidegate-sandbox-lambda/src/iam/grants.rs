//! What roles are granted: inline policies, and managed policies attached to them.
//!
//! Must not know: what policies say.

use serde_json::{Value, json};

use super::document::{self, Use};
use super::{Call, conflict, encoded, limit, missing};
use tidegate_sandbox_aws::service::Refusal;

/// Characters of a role's inline policies together, white space left out.
const INLINE: usize = 10_240;
/// Managed policies attached to a role.
const ATTACHED: usize = 20;

impl Call<'_> {
    pub(super) fn put_role_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.name("PolicyName", 128)?.to_owned();
        self.role()?;
        let text = self.text("PolicyDocument")?.to_owned();
        document::check(&text, Use::Grants)?;
        let role = self.role()?;
        let others: usize = role
            .inline
            .iter()
            .filter(|(name, _)| **name != policy)
            .map(|(_, text)| document::size(text))
            .sum();
        if others + document::size(&text) > INLINE {
            let name = role.name.clone();
            return Err(limit(format!(
                "Maximum policy size of {INLINE} bytes exceeded for role {name}"
            )));
        }
        role.inline.insert(policy, text);
        Ok(Value::Null)
    }

    fn no_inline(policy: &str) -> Refusal {
        missing(format!(
            "The role policy with name {policy} cannot be found."
        ))
    }

    pub(super) fn get_role_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.name("PolicyName", 128)?.to_owned();
        let role = self.role()?;
        let text = role
            .inline
            .get(&policy)
            .ok_or_else(|| Self::no_inline(&policy))?;
        Ok(json!({
            "RoleName": role.name,
            "PolicyName": policy,
            "PolicyDocument": encoded(text),
        }))
    }

    pub(super) fn delete_role_policy(&mut self) -> Result<Value, Refusal> {
        let policy = self.name("PolicyName", 128)?.to_owned();
        let role = self.role()?;
        role.inline
            .remove(&policy)
            .ok_or_else(|| Self::no_inline(&policy))?;
        Ok(Value::Null)
    }

    pub(super) fn list_role_policies(&mut self) -> Result<Value, Refusal> {
        let role = self.role()?;
        let entries = role
            .inline
            .keys()
            .map(|name| (name.clone(), json!(name)))
            .collect();
        self.page("PolicyNames", entries)
    }

    pub(super) fn attach(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?.to_owned();
        self.role()?;
        if !self.iam.attachable(&arn) {
            return Err(missing(format!(
                "Policy {arn} does not exist or is not attachable."
            )));
        }
        let role = self.role()?;
        if role.attached.contains(&arn) {
            return Ok(Value::Null);
        }
        if role.attached.len() >= ATTACHED {
            return Err(limit(format!(
                "Cannot exceed quota for PoliciesPerRole: {ATTACHED}"
            )));
        }
        role.attached.insert(arn);
        Ok(Value::Null)
    }

    pub(super) fn detach(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?.to_owned();
        if !self.role()?.attached.remove(&arn) {
            return Err(missing(format!("Policy {arn} was not found.")));
        }
        Ok(Value::Null)
    }

    pub(super) fn list_attached(&mut self) -> Result<Value, Refusal> {
        let prefix = self.input["PathPrefix"].as_str().unwrap_or("/").to_owned();
        let role = self.role()?;
        let entries = role
            .attached
            .iter()
            .filter(|arn| {
                arn.split_once(":policy/")
                    .is_some_and(|(_, rest)| format!("/{rest}").starts_with(&prefix))
            })
            .map(|arn| {
                let name = arn.rsplit('/').next().unwrap_or("");
                (
                    name.to_owned(),
                    json!({"PolicyName": name, "PolicyArn": arn}),
                )
            })
            .collect();
        self.page("AttachedPolicies", entries)
    }

    pub(super) fn list_entities(&mut self) -> Result<Value, Refusal> {
        let arn = self.policy_arn()?.to_owned();
        self.known_policy(&arn)?;
        let wanted = self.input["EntityFilter"].as_str().unwrap_or("Role");
        let prefix = self.input["PathPrefix"].as_str().unwrap_or("/");
        let roles = self.iam.roles.values();
        let entries = roles
            .filter(|_| wanted == "Role")
            .filter(|role| role.attached.contains(&arn) && role.path.starts_with(prefix))
            .map(|role| {
                (
                    role.name.clone(),
                    json!({"RoleName": role.name, "RoleId": role.id}),
                )
            })
            .collect();
        let mut page = self.page("PolicyRoles", entries)?;
        page["PolicyGroups"] = json!([]);
        page["PolicyUsers"] = json!([]);
        Ok(page)
    }

    /// Refuses when a managed policy is in use.
    pub(super) fn unused(&self, arn: &str) -> Result<(), Refusal> {
        let attached = self
            .iam
            .roles
            .values()
            .any(|role| role.attached.contains(arn));
        if attached || self.bounds(arn) > 0 {
            return Err(conflict("Cannot delete a policy attached to entities."));
        }
        Ok(())
    }
}
