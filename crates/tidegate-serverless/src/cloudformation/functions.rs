//! The intrinsic functions and pseudo parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{DEPTH_MAX, Evaluation, Out, Place};

impl Evaluation<'_> {
    pub(crate) fn fields(
        &self,
        fields: &Map<String, Value>,
        place: &Place<'_>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut found = Map::new();
        for (name, value) in fields {
            place.out.borrow_mut().push(name.clone());
            if let Some(value) = self.value(value, place, depth + 1) {
                found.insert(name.clone(), value);
            }
            place.out.borrow_mut().pop();
        }
        found
    }

    /// Evaluates a value; None is `AWS::NoValue`.
    pub(crate) fn value(&self, value: &Value, place: &Place<'_>, depth: usize) -> Out {
        if depth > DEPTH_MAX {
            let message = format!("values are nested deeper than {DEPTH_MAX}");
            self.error(place, message, "flatten the value");
            return None;
        }
        match value {
            Value::Object(map) => match function(map) {
                Some((name, argument)) => self.function(name, argument, place, depth + 1),
                None => Some(Value::Object(self.fields(map, place, depth))),
            },
            Value::Array(list) => {
                let mut found: Vec<Value> = Vec::with_capacity(list.len());
                for item in list {
                    place.out.borrow_mut().push(found.len().to_string());
                    found.extend(self.value(item, place, depth + 1));
                    place.out.borrow_mut().pop();
                }
                Some(Value::Array(found))
            }
            Value::String(text) => {
                if text.contains("{{resolve:") {
                    place.hide();
                }
                Some(value.clone())
            }
            plain => Some(plain.clone()),
        }
    }

    fn function(&self, name: &str, argument: &Value, place: &Place<'_>, depth: usize) -> Out {
        let wrong = |what: &str| {
            let message = format!("Template error: {what}");
            self.error(
                place,
                message,
                "see the function's form in the CloudFormation guide",
            );
            None
        };
        let evaluated = |value: &Value| self.value(value, place, depth + 1);
        let list = || match evaluated(argument) {
            Some(Value::Array(list)) => Some(list),
            _ => None,
        };
        match name {
            "Ref" => match argument.as_str() {
                Some(name) => self.reference_to(name, place),
                None => wrong("every Ref object must have a single String value"),
            },
            "Fn::GetAtt" => self.attribute(argument, place, depth),
            "Fn::Sub" => self.substitute(argument, place, depth),
            "Fn::If" => match argument.as_array().map(Vec::as_slice) {
                Some([condition, then, otherwise]) => match condition.as_str() {
                    Some(condition) => {
                        let holds = self.condition(condition, place);
                        evaluated(if holds { then } else { otherwise })
                    }
                    None => wrong("Fn::If needs the name of a condition"),
                },
                _ => wrong("Fn::If requires a list argument with three entries"),
            },
            "Fn::Join" => match list().as_deref() {
                Some([Value::String(separator), parts]) => Some(join(separator, parts)),
                _ => wrong(
                    "every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined",
                ),
            },
            "Fn::Split" => match list().as_deref() {
                Some([Value::String(separator), Value::String(text)]) if !separator.is_empty() => {
                    let parts = text.split(separator.as_str()).map(Value::from);
                    Some(Value::Array(parts.collect()))
                }
                Some([Value::String(separator), rest]) if !separator.is_empty() => {
                    Some(json!({"Fn::Split": [separator, rest]}))
                }
                _ => wrong(
                    "every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split",
                ),
            },
            "Fn::Select" => match list().as_deref() {
                Some([index, Value::Array(items)]) => match integer(index) {
                    Some(at) if at < items.len() => items.get(at).cloned(),
                    Some(at) => wrong(&format!(
                        "Fn::Select cannot select nonexistent value at index {at}"
                    )),
                    None => wrong("Fn::Select requires a whole number as its index"),
                },
                Some([index, rest @ Value::Object(_)]) => {
                    Some(json!({"Fn::Select": [index, rest]}))
                }
                _ => wrong(
                    "Fn::Select requires a list argument with two elements: an integer index and a list",
                ),
            },
            "Fn::FindInMap" => self.find_in_map(argument, place, depth),
            "Fn::Base64" => match evaluated(argument) {
                Some(Value::String(text)) => Some(Value::String(STANDARD.encode(text))),
                Some(open @ Value::Object(_)) => Some(json!({"Fn::Base64": open})),
                _ => wrong("every Fn::Base64 object must have a String-typed value"),
            },
            "Fn::Cidr" => cidr(list())
                .or_else(|| wrong("Fn::Cidr needs an IP block, a count and the bits of a subnet")),
            "Fn::GetAZs" => {
                let region =
                    evaluated(argument).and_then(|value| value.as_str().map(str::to_owned));
                let region = region.filter(|region| !region.is_empty());
                let region = region.unwrap_or_else(|| self.environment.region.clone());
                // The first three, as every commercial region has them.
                let zones = ["a", "b", "c"].map(|zone| Value::from(format!("{region}{zone}")));
                Some(Value::Array(zones.to_vec()))
            }
            "Fn::ImportValue" => self.import(argument, place, depth),
            "Fn::Length" => match evaluated(argument) {
                Some(Value::Array(list)) => Some(Value::from(list.len())),
                Some(open @ Value::Object(_)) => Some(json!({"Fn::Length": open})),
                _ => wrong("Fn::Length needs a list"),
            },
            "Fn::ToJsonString" => evaluated(argument).map(|value| {
                if is_open(&value) {
                    json!({"Fn::ToJsonString": value})
                } else {
                    Value::String(value.to_string())
                }
            }),
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" | "Condition" => {
                let whole = Value::Object(Map::from_iter([(name.to_owned(), argument.clone())]));
                Some(Value::Bool(self.truth(&whole, place, depth)))
            }
            "Fn::Transform" => {
                let message = "Fn::Transform runs a macro in AWS, which is not run here".to_owned();
                self.error(
                    place,
                    message,
                    "write what the macro makes into the template",
                );
                None
            }
            other => wrong(&format!("{other} is not a function that templates have")),
        }
    }

    fn reference_to(&self, name: &str, place: &Place<'_>) -> Out {
        if let Some(parameter) = self.parameters.get(name) {
            if parameter.is_secret {
                place.hide();
            }
            if parameter
                .value
                .as_str()
                .is_some_and(|text| text.contains("{{resolve:"))
            {
                place.hide();
            }
            return Some(parameter.value.clone());
        }
        if name == "AWS::NoValue" {
            return None;
        }
        if let Some(value) = self.pseudo(name) {
            return Some(value);
        }
        if self.active.contains_key(name) {
            return Some(json!({"Ref": name}));
        }
        // Told already as a parameter without a value.
        let is_parameter = self.template.section("Parameters");
        if is_parameter.is_some_and(|all| all.contains_key(name)) {
            return None;
        }
        self.unresolved(name, place);
        None
    }

    fn unresolved(&self, name: &str, place: &Place<'_>) {
        let message = format!(
            "Unresolved resource dependencies [{name}] in the Resources block of the template"
        );
        let declared = self.template.section("Resources");
        let help = if declared.is_some_and(|all| all.contains_key(name)) {
            "the resource's condition does not hold: guard what names it with the same condition"
        } else {
            "correct the name, or declare the resource or parameter"
        };
        self.error(place, message, help);
    }

    fn pseudo(&self, name: &str) -> Option<Value> {
        let environment = self.environment;
        let (region, account) = (&environment.region, &environment.account_id);
        let partition = environment.partition();
        Some(match name {
            "AWS::AccountId" => json!(account),
            "AWS::Region" => json!(region),
            "AWS::Partition" => json!(partition),
            "AWS::URLSuffix" => json!(match partition {
                "aws-cn" => "amazonaws.com.cn",
                "aws-iso" => "c2s.ic.gov",
                "aws-iso-b" => "sc2s.sgov.gov",
                _ => "amazonaws.com",
            }),
            "AWS::StackName" => json!(self.stack),
            "AWS::StackId" => json!(format!(
                "arn:{partition}:cloudformation:{region}:{account}:stack/{}/tidegate",
                self.stack
            )),
            "AWS::NotificationARNs" => json!([]),
            _ => return None,
        })
    }

    fn attribute(&self, argument: &Value, place: &Place<'_>, depth: usize) -> Out {
        let parts: Option<(String, Value)> = match argument {
            Value::String(text) => text
                .split_once('.')
                .map(|(id, rest)| (id.to_owned(), Value::from(rest))),
            Value::Array(list) if list.len() >= 2 => {
                let id = list[0].as_str().map(str::to_owned);
                let rest: Option<Vec<&str>> = list[1..].iter().map(Value::as_str).collect();
                let rest = match rest {
                    Some(texts) => Some(Value::from(texts.join("."))),
                    None => self.value(&list[1], place, depth + 1),
                };
                id.zip(rest)
            }
            _ => None,
        };
        let Some((id, attribute)) = parts else {
            let message = "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute".to_owned();
            self.error(place, message, "write [LogicalId, Attribute]");
            return None;
        };
        if !self.active.contains_key(&id) {
            self.unresolved(&id, place);
            return None;
        }
        Some(json!({"Fn::GetAtt": [id, attribute]}))
    }

    fn substitute(&self, argument: &Value, place: &Place<'_>, depth: usize) -> Out {
        let (text, own) = match argument {
            Value::String(text) => (text, None),
            Value::Array(list) => match list.as_slice() {
                [Value::String(text), Value::Object(own)] => (text, Some(own)),
                [Value::String(text)] => (text, None),
                _ => return self.bad_sub(place),
            },
            _ => return self.bad_sub(place),
        };
        if text.contains("{{resolve:") {
            place.hide();
        }
        let mut parts: Vec<Value> = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, behind)) = rest.split_once("${") {
            parts.push(Value::from(before));
            let Some((name, after)) = behind.split_once('}') else {
                parts.push(Value::from("${"));
                rest = behind;
                continue;
            };
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                parts.push(Value::from(format!("${{{literal}}}")));
                continue;
            }
            let name = name.trim();
            let value = match own.and_then(|own| own.get(name)) {
                Some(value) => self.value(value, place, depth + 1),
                None => match name.split_once('.') {
                    Some(_) if !self.parameters.contains_key(name) => {
                        self.attribute(&Value::from(name), place, depth + 1)
                    }
                    _ => self.reference_to(name, place),
                },
            };
            match value {
                Some(Value::Array(list)) => parts.push(join(",", &Value::Array(list))),
                Some(value) => parts.push(value),
                None => parts.push(Value::from("")),
            }
        }
        parts.push(Value::from(rest));
        Some(join("", &Value::Array(parts)))
    }

    fn bad_sub(&self, place: &Place<'_>) -> Out {
        let message = "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, and an optional second argument to specify a mapping of values to replace in the string".to_owned();
        self.error(
            place,
            message,
            "write Fn::Sub: text, or [text, {name: value}]",
        );
        None
    }

    fn find_in_map(&self, argument: &Value, place: &Place<'_>, depth: usize) -> Out {
        let Some(list) = argument.as_array().filter(|list| list.len() >= 3) else {
            let message = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for return value".to_owned();
            self.error(place, message, "write [Map, Key, Attribute]");
            return None;
        };
        let text = |value: &Value| {
            let found = self.value(value, place, depth + 1)?;
            match found {
                Value::String(text) => Some(text),
                Value::Number(_) | Value::Bool(_) => Some(found.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            }
        };
        let keys = (text(&list[0]), text(&list[1]), text(&list[2]));
        let found = match &keys {
            (Some(map), Some(key), Some(attribute)) => self
                .template
                .section("Mappings")
                .and_then(|all| all.get(map))
                .and_then(|map| map.get(key))
                .and_then(|row| row.get(attribute)),
            _ => None,
        };
        if let Some(found) = found {
            return Some(found.clone());
        }
        if let Some(default) = list.get(3).and_then(|more| more.get("DefaultValue")) {
            return self.value(default, place, depth + 1);
        }
        let (map, key, attribute) = keys;
        let shown = [map, key, attribute].map(|part| part.unwrap_or_else(|| "?".to_owned()));
        let message = format!(
            "Template error: Unable to get mapping for {}",
            shown.join("::")
        );
        self.error(
            place,
            message,
            "add the key to Mappings, or give a DefaultValue",
        );
        None
    }

    fn import(&self, argument: &Value, place: &Place<'_>, depth: usize) -> Out {
        let Some(Value::String(name)) = self.value(argument, place, depth + 1) else {
            let message = "Template error: the attribute in Fn::ImportValue must not depend on any resources, imported values, or Fn::GetAZs".to_owned();
            self.error(place, message, "name the export by text and parameters");
            return None;
        };
        match self.environment.exports.get(&name) {
            Some(value) => Some(value.clone()),
            None => {
                let message = format!("No export named {name} found.");
                self.error(
                    place,
                    message,
                    "export it in a template of this run, or pass the value as a parameter",
                );
                None
            }
        }
    }

    /// The truth of a condition.
    pub(super) fn truth(&self, value: &Value, place: &Place<'_>, depth: usize) -> bool {
        let wrong = |what: &str| {
            self.error(
                place,
                format!("Template validation error: Template error: {what}"),
                "see the function's form in the CloudFormation guide",
            );
            false
        };
        if depth > DEPTH_MAX {
            return wrong("conditions are nested too deeply");
        }
        match value {
            Value::Bool(flag) => return *flag,
            Value::String(text) if text == "true" || text == "false" => return text == "true",
            _ => {}
        }
        // SAM writes a condition within a condition when it joins two of them.
        if let Some(name) = value
            .pointer("/Condition/Condition")
            .and_then(Value::as_str)
        {
            return self.condition(name, place);
        }
        let Some((name, argument)) = value.as_object().and_then(function) else {
            return wrong(
                "a condition is one of Fn::Equals, Fn::And, Fn::Or, Fn::Not and Condition",
            );
        };
        let operands = argument.as_array();
        match name {
            "Condition" => match argument.as_str() {
                Some(name) => self.condition(name, place),
                None => wrong("Condition needs the name of a condition"),
            },
            "Fn::Equals" => match operands.map(Vec::as_slice) {
                Some([a, b]) => {
                    let text = |value: &Value| match self.value(value, place, depth + 1) {
                        Some(Value::String(text)) => Some(text),
                        Some(other) => Some(other.to_string()),
                        None => None,
                    };
                    text(a) == text(b)
                }
                _ => wrong("every Fn::Equals object requires a list of 2 string parameters"),
            },
            "Fn::Not" => match operands.map(Vec::as_slice) {
                Some([only]) => !self.truth(only, place, depth + 1),
                _ => wrong("every Fn::Not object requires one boolean parameter"),
            },
            "Fn::And" | "Fn::Or" => match operands {
                Some(list) if (2..=10).contains(&list.len()) => {
                    let mut truths = list.iter().map(|one| self.truth(one, place, depth + 1));
                    if name == "Fn::And" {
                        truths.all(|truth| truth)
                    } else {
                        truths.any(|truth| truth)
                    }
                }
                _ => wrong(&format!(
                    "every {name} object requires a list of at least 2 and at most 10 boolean parameters"
                )),
            },
            "Ref" | "Fn::If" | "Fn::FindInMap" => {
                let found = self.value(value, place, depth + 1);
                matches!(found.as_ref(), Some(Value::Bool(true)))
                    || found.as_ref().and_then(Value::as_str) == Some("true")
            }
            other => wrong(&format!("{other} is no condition")),
        }
    }
}

/// The one key and its argument, when a mapping is a function.
pub(super) fn function(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = map.iter().next().filter(|_| map.len() == 1)?;
    let is_function = name == "Ref" || name.starts_with("Fn::");
    // `Condition: name` is a function, `Condition: {…}` is a field of a policy document.
    let is_condition = name == "Condition" && argument.is_string();
    (is_function || is_condition).then_some((name.as_str(), argument))
}

fn is_open(value: &Value) -> bool {
    match value {
        Value::Object(map) => function(map).is_some() || map.values().any(is_open),
        Value::Array(list) => list.iter().any(is_open),
        _ => false,
    }
}

/// Joins what is known; neighbours that are known are one text in what stays open.
fn join(separator: &str, parts: &Value) -> Value {
    let Value::Array(parts) = parts else {
        return json!({"Fn::Join": [separator, parts]});
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let texts: Option<Vec<String>> = parts.iter().map(text).collect();
    if let Some(texts) = texts {
        return Value::String(texts.join(separator));
    }
    let mut merged: Vec<Value> = Vec::new();
    for part in parts {
        match (merged.last_mut(), text(part)) {
            (Some(Value::String(last)), Some(text)) => {
                last.push_str(separator);
                last.push_str(&text);
            }
            (_, Some(text)) => merged.push(Value::String(text)),
            (_, None) => merged.push(part.clone()),
        }
    }
    if separator.is_empty() {
        merged.retain(|part| part.as_str() != Some(""));
        if let [only] = merged.as_slice() {
            return only.clone();
        }
    }
    json!({"Fn::Join": [separator, merged]})
}

fn integer(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Most subnets of one `Fn::Cidr`.
const SUBNETS_MAX: usize = 256;

fn cidr(list: Option<Vec<Value>>) -> Out {
    let list = list?;
    let (block, length) = list.first()?.as_str()?.split_once('/')?;
    let base: std::net::Ipv4Addr = block.parse().ok()?;
    let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
    let count = integer(list.get(1)?).filter(|count| (1..=SUBNETS_MAX).contains(count))?;
    let bits = match list.get(2) {
        Some(bits) => u32::try_from(integer(bits)?).ok()?,
        None => 8,
    };
    let subnet = 32_u32
        .checked_sub(bits)
        .filter(|subnet| *subnet >= length)?;
    let size = 1_u64 << bits;
    let mask = if length == 0 {
        0
    } else {
        u32::MAX << (32 - length)
    };
    let start = u64::from(u32::from(base) & mask);
    let room = (1_u64 << (32 - length)) / size;
    if count as u64 > room {
        return None;
    }
    let subnets = (0..count as u64).map(|n| {
        let address = u32::try_from(start + n * size).unwrap_or_default();
        Value::from(format!("{}/{subnet}", std::net::Ipv4Addr::from(address)))
    });
    Some(Value::Array(subnets.collect()))
}
