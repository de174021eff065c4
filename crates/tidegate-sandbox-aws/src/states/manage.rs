//! State machines, versions and aliases made, changed, listed and deleted.
//!
//! Must not know: executions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Alias, Call, MACHINES, Machine, Version, definition, read_tags, seconds, split, tag_list,
};
use crate::refusal::{Refusal, refuse};

/// Versions of one state machine.
const VERSIONS: usize = 1_000;
/// Bytes of all definitions of one region.
const DEFINITION_BYTES: usize = 128 << 20;
/// Entries of one page.
const PAGE: usize = 100;
/// Settings that are kept as they are given.
const SETTINGS: [&str; 3] = [
    "loggingConfiguration",
    "tracingConfiguration",
    "encryptionConfiguration",
];

fn check_definition(text: &str) -> Result<(), Refusal> {
    match definition::faults(text).first() {
        None => Ok(()),
        Some((code, words, place)) => Err(refuse(
            "InvalidDefinition",
            format!("Invalid State Machine Definition: '{code}: {words} at {place}'"),
        )),
    }
}

impl Machine {
    fn publish(&mut self, description: Option<String>, now: jiff::Timestamp) -> String {
        if let Some(last) = self.versions.last()
            && last.definition == self.definition
            && last.role == self.role
        {
            return format!("{}:{}", self.arn, last.number);
        }
        if self.versions.len() >= VERSIONS {
            self.versions.remove(0);
        }
        self.published += 1;
        self.versions.push(Version {
            number: self.published,
            definition: self.definition.clone(),
            role: self.role.clone(),
            description,
            created: now,
        });
        format!("{}:{}", self.arn, self.published)
    }
}

impl Call<'_> {
    pub(super) fn create(&mut self) -> Result<Value, Refusal> {
        let name = self.text("name").unwrap_or("").to_owned();
        let text = self.text("definition").unwrap_or("").to_owned();
        let bad = |character: char| {
            character.is_whitespace()
                || character.is_control()
                || "<>{}[]?*\"#%\\^|~`$&,;:/".contains(character)
        };
        if name.contains(bad) {
            return Err(refuse("InvalidName", format!("Invalid Name: '{name}'")));
        }
        check_definition(&text)?;
        let role = self.text("roleArn").unwrap_or("").to_owned();
        let kind = self.text("type").unwrap_or("STANDARD").to_owned();
        let arn = self.scope.arn("states", &format!("stateMachine:{name}"));
        let count = self.count();
        if let Some(known) = self.machines.machines.get(&arn) {
            if known.definition == text && known.role == role && known.kind == kind {
                return Ok(json!({"stateMachineArn": arn, "creationDate": seconds(known.created)}));
            }
            return Err(refuse(
                "StateMachineAlreadyExists",
                format!("State Machine Already Exists: '{arn}'"),
            ));
        }
        if self.machines.machines.len() >= MACHINES || self.definitions() > DEFINITION_BYTES {
            return Err(refuse(
                "StateMachineLimitExceeded",
                format!("the sandbox keeps at most {MACHINES} state machines in a region"),
            ));
        }
        let mut machine = Machine {
            name,
            arn: arn.clone(),
            kind,
            definition: text,
            role,
            revision: self.scope.uuid(&format!("revision/{count}")),
            created: self.scope.now,
            settings: BTreeMap::new(),
            tags: read_tags(&self.input["tags"]),
            versions: Vec::new(),
            published: 0,
            aliases: BTreeMap::new(),
        };
        for name in SETTINGS {
            if let Some(value) = self.input.get(name) {
                machine.settings.insert(name.to_owned(), value.clone());
            }
        }
        let mut answer = json!({"stateMachineArn": arn, "creationDate": seconds(self.scope.now)});
        if self.input["publish"] == true {
            let description = self.text("versionDescription").map(str::to_owned);
            answer["stateMachineVersionArn"] = json!(machine.publish(description, self.scope.now));
        }
        self.machines.machines.insert(arn, machine);
        Ok(answer)
    }

    /// Bytes of all definitions.
    fn definitions(&self) -> usize {
        self.machines
            .machines
            .values()
            .map(|machine| {
                let versions: usize = machine
                    .versions
                    .iter()
                    .map(|one| one.definition.len())
                    .sum();
                machine.definition.len() + versions
            })
            .sum()
    }

    pub(super) fn update(&mut self) -> Result<Value, Refusal> {
        if self.definitions() > DEFINITION_BYTES {
            return Err(refuse(
                "ServiceQuotaExceededException",
                "the sandbox has no room for another definition",
            ));
        }
        let input = self.input;
        let now = self.scope.now;
        let count = self.count();
        let revision = self.scope.uuid(&format!("revision/{count}"));
        let machine = self.machine_of("stateMachineArn")?;
        if let Some(text) = input["definition"].as_str() {
            check_definition(text)?;
            text.clone_into(&mut machine.definition);
        }
        if let Some(role) = input["roleArn"].as_str() {
            role.clone_into(&mut machine.role);
        }
        for name in SETTINGS {
            if let Some(value) = input.get(name) {
                machine.settings.insert(name.to_owned(), value.clone());
            }
        }
        machine.revision.clone_from(&revision);
        let mut answer = json!({"updateDate": seconds(now), "revisionId": revision});
        if input["publish"] == true {
            let description = input["versionDescription"].as_str().map(str::to_owned);
            answer["stateMachineVersionArn"] = json!(machine.publish(description, now));
        }
        Ok(answer)
    }

    pub(super) fn delete(&mut self) -> Value {
        let (arn, _) = split(self.text("stateMachineArn").unwrap_or(""));
        let arn = arn.to_owned();
        self.machines.machines.remove(&arn);
        Value::Null
    }

    pub(super) fn describe(&mut self) -> Result<Value, Refusal> {
        let given = self.text("stateMachineArn").unwrap_or("").to_owned();
        let machine = self.machine_of("stateMachineArn")?;
        let mut described = json!({
            "stateMachineArn": given,
            "name": machine.name,
            "status": "ACTIVE",
            "definition": machine.definition,
            "roleArn": machine.role,
            "type": machine.kind,
            "creationDate": seconds(machine.created),
            "loggingConfiguration": {"level": "OFF", "includeExecutionData": false},
            "tracingConfiguration": {"enabled": false},
            "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
            "revisionId": machine.revision,
        });
        for (name, value) in &machine.settings {
            described[name] = value.clone();
        }
        if let (_, Some(part)) = split(&given) {
            let Some(version) = machine
                .versions
                .iter()
                .find(|version| part.parse() == Ok(version.number))
            else {
                return Err(refuse(
                    "StateMachineDoesNotExist",
                    format!("State Machine Does Not Exist: '{given}'"),
                ));
            };
            described["definition"] = json!(version.definition);
            described["roleArn"] = json!(version.role);
            if let Some(description) = &version.description {
                described["description"] = json!(description);
            }
        }
        Ok(described)
    }

    pub(super) fn list(&mut self) -> Value {
        let after = self.text("nextToken").unwrap_or("");
        let limit = match self.input["maxResults"].as_u64() {
            None | Some(0) => PAGE,
            Some(limit) => usize::try_from(limit).unwrap_or(PAGE),
        };
        let mut found: Vec<&Machine> = self
            .machines
            .machines
            .values()
            .filter(|machine| after.is_empty() || machine.arn.as_str() > after)
            .collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let list: Vec<Value> = found
            .iter()
            .map(|machine| {
                json!({
                    "stateMachineArn": machine.arn,
                    "name": machine.name,
                    "type": machine.kind,
                    "creationDate": seconds(machine.created),
                })
            })
            .collect();
        let mut answer = json!({"stateMachines": list});
        if more && let Some(last) = found.last() {
            answer["nextToken"] = json!(last.arn);
        }
        answer
    }

    pub(super) fn validate(&mut self) -> Value {
        let faults = definition::faults(self.text("definition").unwrap_or(""));
        let result = if faults.is_empty() { "OK" } else { "FAIL" };
        let diagnostics: Vec<Value> = faults
            .into_iter()
            .map(|(code, message, location)| {
                json!({
                    "severity": "ERROR", "code": code, "message": message, "location": location,
                })
            })
            .collect();
        json!({"result": result, "diagnostics": diagnostics, "truncated": false})
    }

    pub(super) fn publish(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let revision = self.text("revisionId").map(str::to_owned);
        let description = self.text("description").map(str::to_owned);
        let machine = self.machine_of("stateMachineArn")?;
        if revision.is_some_and(|revision| revision != machine.revision) {
            return Err(refuse(
                "ConflictException",
                "Failed to publish the State Machine version for revision. The current State Machine revision is another one.",
            ));
        }
        let arn = machine.publish(description, now);
        Ok(json!({"creationDate": seconds(now), "stateMachineVersionArn": arn}))
    }

    pub(super) fn list_versions(&mut self) -> Result<Value, Refusal> {
        let machine = self.machine_of("stateMachineArn")?;
        let versions: Vec<Value> = machine
            .versions
            .iter()
            .rev()
            .map(|version| {
                json!({
                    "stateMachineVersionArn": format!("{}:{}", machine.arn, version.number),
                    "creationDate": seconds(version.created),
                })
            })
            .collect();
        Ok(json!({"stateMachineVersions": versions}))
    }

    pub(super) fn delete_version(&mut self) -> Result<Value, Refusal> {
        let given = self.text("stateMachineVersionArn").unwrap_or("").to_owned();
        let Ok(machine) = self.machine_of("stateMachineVersionArn") else {
            return Ok(json!({}));
        };
        let used = machine
            .aliases
            .values()
            .any(|alias| alias.routing.to_string().contains(&format!("\"{given}\"")));
        if used {
            return Err(refuse(
                "ConflictException",
                "Version to be deleted must not be referenced by an alias.",
            ));
        }
        let (_, number) = split(&given);
        machine
            .versions
            .retain(|version| number.is_none_or(|number| number.parse() != Ok(version.number)));
        Ok(json!({}))
    }

    fn check_routing(&self, machine: &Machine, routing: &Value) -> Result<(), Refusal> {
        let list = routing.as_array().map_or(&[][..], Vec::as_slice);
        let weights: i64 = list.iter().filter_map(|one| one["weight"].as_i64()).sum();
        if !(1..=2).contains(&list.len()) || weights != 100 {
            return Err(refuse(
                "ValidationException",
                "The routing configuration needs one or two versions whose weights add up to 100.",
            ));
        }
        for one in list {
            let arn = one["stateMachineVersionArn"].as_str().unwrap_or("");
            let (of, number) = split(arn);
            let found = of == machine.arn
                && machine
                    .versions
                    .iter()
                    .any(|version| number.is_some_and(|n| n.parse() == Ok(version.number)));
            if !found {
                return Err(refuse(
                    "ResourceNotFound",
                    format!("Version not found: '{arn}'"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn create_alias(&mut self) -> Result<Value, Refusal> {
        let name = self.text("name").unwrap_or("").to_owned();
        let routing = self.input["routingConfiguration"].clone();
        let first = routing[0]["stateMachineVersionArn"].as_str().unwrap_or("");
        let (arn, _) = split(first);
        let arn = arn.to_owned();
        let Some(machine) = self.machines.machines.get(&arn) else {
            return Err(refuse(
                "ResourceNotFound",
                format!("State Machine not found: '{arn}'"),
            ));
        };
        self.check_routing(machine, &routing)?;
        let alias_arn = format!("{arn}:{name}");
        if let Some(known) = machine.aliases.get(&name) {
            if known.routing == routing {
                return Ok(
                    json!({"stateMachineAliasArn": alias_arn, "creationDate": seconds(known.created)}),
                );
            }
            return Err(refuse(
                "ConflictException",
                "Failed to create alias because an alias with the same name and a different routing configuration already exists.",
            ));
        }
        let now = self.scope.now;
        let alias = Alias {
            description: self.text("description").map(str::to_owned),
            routing,
            created: now,
            updated: now,
        };
        if let Some(machine) = self.machines.machines.get_mut(&arn) {
            machine.aliases.insert(name, alias);
        }
        Ok(json!({"stateMachineAliasArn": alias_arn, "creationDate": seconds(now)}))
    }

    fn alias(&mut self) -> Result<(&mut Alias, String, String), Refusal> {
        let given = self.text("stateMachineAliasArn").unwrap_or("").to_owned();
        let missing = refuse("ResourceNotFound", format!("Alias not found: '{given}'"));
        let name = split(&given).1.unwrap_or("").to_owned();
        match self
            .machine_of("stateMachineAliasArn")?
            .aliases
            .get_mut(&name)
        {
            Some(alias) => Ok((alias, given, name)),
            None => Err(missing),
        }
    }

    pub(super) fn update_alias(&mut self) -> Result<Value, Refusal> {
        let now = self.scope.now;
        let input = self.input;
        self.alias()?;
        if let Some(routing) = input.get("routingConfiguration") {
            let machine = self.machine_of("stateMachineAliasArn")?.clone();
            self.check_routing(&machine, routing)?;
        }
        let (alias, ..) = self.alias()?;
        if let Some(routing) = input.get("routingConfiguration") {
            alias.routing = routing.clone();
        }
        if let Some(description) = input["description"].as_str() {
            alias.description = Some(description.to_owned());
        }
        alias.updated = now;
        Ok(json!({"updateDate": seconds(now)}))
    }

    pub(super) fn describe_alias(&mut self) -> Result<Value, Refusal> {
        let (alias, arn, name) = self.alias()?;
        let mut described = json!({
            "stateMachineAliasArn": arn,
            "name": name,
            "routingConfiguration": alias.routing,
            "creationDate": seconds(alias.created),
            "updateDate": seconds(alias.updated),
        });
        if let Some(description) = &alias.description {
            described["description"] = json!(description);
        }
        Ok(described)
    }

    pub(super) fn delete_alias(&mut self) -> Result<Value, Refusal> {
        let (_, _, name) = self.alias()?;
        self.machine_of("stateMachineAliasArn")?
            .aliases
            .remove(&name);
        Ok(json!({}))
    }

    pub(super) fn list_aliases(&mut self) -> Result<Value, Refusal> {
        let machine = self.machine_of("stateMachineArn")?;
        let aliases: Vec<Value> = machine
            .aliases
            .iter()
            .map(|(name, alias)| {
                json!({
                    "stateMachineAliasArn": format!("{}:{name}", machine.arn),
                    "creationDate": seconds(alias.created),
                })
            })
            .collect();
        Ok(json!({"stateMachineAliases": aliases}))
    }

    fn tagged(&mut self) -> Result<&mut Machine, Refusal> {
        let arn = self.text("resourceArn").unwrap_or("").to_owned();
        self.machines
            .machines
            .get_mut(&arn)
            .ok_or_else(|| refuse("ResourceNotFound", format!("Resource not found: '{arn}'")))
    }

    pub(super) fn tag(&mut self) -> Result<Value, Refusal> {
        let tags = read_tags(&self.input["tags"]);
        crate::tags::merge(&mut self.tagged()?.tags, tags)?;
        Ok(json!({}))
    }

    pub(super) fn untag(&mut self) -> Result<Value, Refusal> {
        let keys = self.input["tagKeys"].clone();
        let machine = self.tagged()?;
        for key in keys
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            machine.tags.remove(key);
        }
        Ok(json!({}))
    }

    pub(super) fn list_tags(&mut self) -> Result<Value, Refusal> {
        Ok(json!({"tags": tag_list(&self.tagged()?.tags)}))
    }
}
