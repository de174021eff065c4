//! Roles that SAM makes: managed policies, inline policies, templates.

use serde_json::{Map, Value, json};

use crate::sam::{Fault, Made, Sam, Subject, fields, is_intrinsic, is_no_value, policies};

/// A role in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) trust: Value,
    pub(crate) managed: Vec<Value>,
    pub(crate) inline: Vec<Value>,
    pub(crate) path: Option<Value>,
    pub(crate) boundary: Option<Value>,
    pub(crate) tags: Option<Value>,
    pub(crate) attributes: Map<String, Value>,
}

impl Role {
    /// Adds a managed policy once.
    pub(crate) fn manage(&mut self, policy: Value) {
        if !self.managed.contains(&policy) {
            self.managed.push(policy);
        }
    }

    /// Adds an inline policy unless its document is there already.
    pub(crate) fn allow(&mut self, policy: Value) {
        let document = policy.get("PolicyDocument");
        let is_there = self.inline.contains(&policy)
            || self
                .inline
                .iter()
                .any(|other| document.is_some() && other.get("PolicyDocument") == document);
        if !is_there {
            self.inline.push(policy);
        }
    }

    pub(crate) fn properties(&self) -> Map<String, Value> {
        let list = |list: &[Value]| (!list.is_empty()).then(|| Value::Array(list.to_vec()));
        fields([
            ("AssumeRolePolicyDocument", Some(self.trust.clone())),
            (
                "ManagedPolicyArns",
                Some(Value::Array(self.managed.clone())),
            ),
            ("Policies", list(&self.inline)),
            ("Path", self.path.clone()),
            ("PermissionsBoundary", self.boundary.clone()),
            ("Tags", self.tags.clone()),
        ])
    }
}

/// Who may assume a role.
pub(crate) fn trust(service: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Action": ["sts:AssumeRole"], "Effect": "Allow",
        "Principal": {"Service": [service]}}]})
}

/// An inline policy with one statement and without a version, as SAM writes those for destinations.
pub(crate) fn allowing(name: &str, action: &str, resource: &Value) -> Value {
    json!({"PolicyName": name, "PolicyDocument": {"Statement": [
        {"Action": action, "Effect": "Allow", "Resource": resource}]}})
}

impl Sam<'_> {
    /// The ARN of a policy that AWS manages, by its path.
    pub(crate) fn managed_arn(&self, path: &str) -> Value {
        json!(format!(
            "arn:{}:iam::aws:policy/{path}",
            self.options.partition
        ))
    }

    fn managed_by_name(&self, name: &str) -> Value {
        let found = self.options.managed_policies.get(name).cloned();
        let found = found.or_else(|| policies::managed(name, &self.options.partition));
        Value::String(found.unwrap_or_else(|| name.to_owned()))
    }

    /// The entries of `Policies`, templates filled in; none of unknown kinds is refused here.
    pub(crate) fn policies(&self, subject: &Subject<'_>) -> Made<Vec<Value>> {
        let entries = match subject.some("Policies") {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list.clone(),
            Some(single) => vec![single.clone()],
        };
        let kinds: Made<Vec<Kind>> = entries
            .iter()
            .map(|entry| kind_of(subject.id, entry))
            .collect();
        let filled = entries.iter().zip(kinds?).map(|(entry, kind)| match kind {
            Kind::Template => filled(subject.id, entry),
            Kind::Statement | Kind::Managed | Kind::Unknown => Ok(entry.clone()),
        });
        filled.collect()
    }

    /// Adds policies whose templates are filled in to a role.
    pub(crate) fn add_policies(
        &self,
        subject: &Subject<'_>,
        policies: &[Value],
        role: &mut Role,
    ) -> Made<()> {
        for (index, entry) in policies.iter().enumerate() {
            self.add_policy(subject.id, index, entry, role)?;
        }
        Ok(())
    }

    fn add_policy(&self, id: &str, index: usize, entry: &Value, role: &mut Role) -> Made<()> {
        let name = format!("{}Policy{index}", role.id);
        let named = |document: &Value| json!({"PolicyName": name, "PolicyDocument": document});
        match kind_of(id, entry)? {
            Kind::Statement => match branches(entry) {
                Some([condition, then, otherwise]) => {
                    let branch = |value: &Value| {
                        if is_no_value(value) {
                            value.clone()
                        } else {
                            named(value)
                        }
                    };
                    role.inline
                        .push(json!({"Fn::If": [condition, branch(then), branch(otherwise)]}));
                }
                None => role.inline.push(named(entry)),
            },
            Kind::Managed => {
                let policy = match (entry, branches(entry)) {
                    (Value::String(name), _) => self.managed_by_name(name),
                    (_, Some([condition, then, otherwise])) => {
                        let branch = |value: &Value| match value {
                            Value::String(name) => self.managed_by_name(name),
                            other => other.clone(),
                        };
                        json!({"Fn::If": [condition, branch(then), branch(otherwise)]})
                    }
                    (other, None) => other.clone(),
                };
                role.manage(policy);
            }
            Kind::Template | Kind::Unknown => {
                let message =
                    format!("Policy at index {index} in the 'Policies' property is not valid");
                return Err(Fault::new(id, message));
            }
        }
        Ok(())
    }
}

/// A policy with its template filled in, also inside the branches of an `Fn::If`.
fn filled(id: &str, entry: &Value) -> Made<Value> {
    if is_no_value(entry) {
        return Ok(entry.clone());
    }
    if let Some([condition, then, otherwise]) = branches(entry) {
        let (then, otherwise) = (filled(id, then)?, filled(id, otherwise)?);
        return Ok(json!({"Fn::If": [condition, then, otherwise]}));
    }
    let named = entry.as_object().and_then(|map| map.iter().next());
    match named {
        Some((name, values)) => policies::expand(id, name, values),
        None => Ok(entry.clone()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Statement,
    Managed,
    Template,
    Unknown,
}

fn kind_of(id: &str, entry: &Value) -> Made<Kind> {
    if entry.is_string() {
        return Ok(Kind::Managed);
    }
    let map = entry.as_object();
    if map.is_some_and(|map| map.len() == 1 && map.contains_key("Fn::If")) {
        let wrong = |message: &str| Err(Fault::structure(id, message));
        let Some([_, then, otherwise]) = branches(entry) else {
            return wrong("Fn::If requires 3 arguments");
        };
        let kinds = (kind_of(id, then)?, kind_of(id, otherwise)?);
        return match kinds {
            (a, b) if a == b => Ok(a),
            (a, _) if is_no_value(otherwise) => Ok(a),
            (_, b) if is_no_value(then) => Ok(b),
            _ => wrong(
                "Different policy types within the same Fn::If statement is unsupported. Separate different policy types into different Fn::If statements",
            ),
        };
    }
    if is_intrinsic(entry) {
        return Ok(Kind::Managed);
    }
    Ok(match map {
        Some(map) if map.contains_key("Statement") => Kind::Statement,
        Some(map) if map.len() == 1 && map.keys().all(|name| policies::is_template(name)) => {
            Kind::Template
        }
        _ => Kind::Unknown,
    })
}

/// The three parts of an `Fn::If`.
pub(crate) fn branches(value: &Value) -> Option<[&Value; 3]> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let list = map.get("Fn::If")?.as_array()?;
    match list.as_slice() {
        [condition, then, otherwise] => Some([condition, then, otherwise]),
        _ => None,
    }
}
