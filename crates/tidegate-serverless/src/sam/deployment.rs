//! `DeploymentPreference`: the CodeDeploy resources that shift traffic between versions.

use serde_json::{Map, Value, json};

use crate::sam::role::{branches, trust};
use crate::sam::{
    Fault, Made, Sam, Subject, attribute, fields, is_intrinsic, is_no_value, is_truthy, reference,
    tag_list,
};

const APPLICATION: &str = "ServerlessDeploymentApplication";
const SERVICE_ROLE: &str = "CodeDeployServiceRole";
const CONDITION: &str = "ServerlessCodeDeployCondition";

/// Deployment types that CodeDeploy has for Lambda.
const PREDEFINED: &[&str] = &[
    "Canary10Percent5Minutes",
    "Canary10Percent10Minutes",
    "Canary10Percent15Minutes",
    "Canary10Percent30Minutes",
    "Linear10PercentEvery1Minute",
    "Linear10PercentEvery2Minutes",
    "Linear10PercentEvery3Minutes",
    "Linear10PercentEvery10Minutes",
    "AllAtOnce",
];

/// How a function wants its traffic shifted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Preference {
    pub(crate) id: String,
    pub(crate) is_enabled: bool,
    kind: Value,
    before: Option<Value>,
    after: Option<Value>,
    alarms: Option<Value>,
    role: Option<Value>,
    triggers: Option<Value>,
    condition: Option<String>,
    tags: Option<Value>,
    order: Vec<String>,
}

/// Reads the preference of a function.
pub(crate) fn read(sam: &Sam<'_>, subject: &Subject<'_>, given: &Value) -> Made<Preference> {
    let known = |name: &str| {
        let value = given.get(name).filter(|value| !value.is_null())?;
        Some(sam.mapped(&sam.resolved(value)))
    };
    let fault = |message: &str| Err(Fault::new(subject.id, message));
    passes_condition(sam, subject, given)?;
    let is_null = given.get("Enabled").is_some_and(Value::is_null);
    let is_off = match known("Enabled") {
        None => is_null,
        Some(Value::Bool(flag)) => !flag,
        Some(Value::String(text)) => text == "false" || text == "False",
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Null) => true,
    };
    if is_off {
        return Ok(Preference::default());
    }
    let Some(kind) = known("Type") else {
        return fault("'DeploymentPreference' is missing required Property 'Type'");
    };
    let hooks = given.get("Hooks").filter(|hooks| !hooks.is_null());
    if hooks.is_some_and(|hooks| !hooks.is_object()) {
        return fault("'Hooks' property of 'DeploymentPreference' must be a dictionary");
    }
    let hook = |name: &str| {
        let value = hooks?.get(name).filter(|value| !value.is_null())?;
        Some(value.clone())
    };
    let passes = passes_condition(sam, subject, given)?;
    let condition = subject.resource.get("Condition").and_then(Value::as_str);
    let propagates = subject.some("PropagateTags").is_some();
    let get = |name: &str| given.get(name).filter(|value| !value.is_null()).cloned();
    Ok(Preference {
        id: subject.id.to_owned(),
        is_enabled: true,
        kind,
        before: hook("PreTraffic"),
        after: hook("PostTraffic"),
        alarms: get("Alarms"),
        role: get("Role").filter(is_truthy),
        triggers: get("TriggerConfigurations").filter(is_truthy),
        condition: condition.filter(|_| passes).map(str::to_owned),
        tags: subject.some("Tags").filter(|_| propagates).cloned(),
        order: [
            sam.order(&["Globals", "Function", "Tags"]),
            sam.order(&["Resources", subject.id, "Properties", "Tags"]),
        ]
        .concat(),
    })
}

/// Whether the function's condition is that of its deployment too.
fn passes_condition(sam: &Sam<'_>, subject: &Subject<'_>, given: &Value) -> Made<bool> {
    let Some(value) = given.get("PassthroughCondition") else {
        return Ok(false);
    };
    let value = sam.mapped(&sam.resolved(value));
    match &value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" || text == "True" => Ok(true),
        Value::String(text) if text == "false" || text == "False" => Ok(false),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
        other if is_intrinsic(other) => Err(Fault::new(
            subject.id,
            "Unsupported intrinsic: the only intrinsic functions supported for property PassthroughCondition are FindInMap and parameter Refs.",
        )),
        _ => Err(Fault::new(
            subject.id,
            "Invalid value for property PassthroughCondition.",
        )),
    }
}

impl Preference {
    fn group(&self) -> String {
        format!("{}DeploymentGroup", self.id)
    }

    /// What the alias says to CloudFormation.
    pub(crate) fn update_policy(&self) -> Value {
        let update = fields([
            ("ApplicationName", Some(reference(APPLICATION))),
            ("DeploymentGroupName", Some(reference(&self.group()))),
            ("BeforeAllowTrafficHook", self.before.clone()),
            ("AfterAllowTrafficHook", self.after.clone()),
        ]);
        json!({"CodeDeployLambdaAliasUpdate": update})
    }

    /// The alarms as CodeDeploy takes them.
    pub(crate) fn alarms(&self) -> Made<Option<Value>> {
        let some = |alarms: &&Value| is_truthy(alarms) && !is_no_value(alarms);
        let Some(alarms) = self.alarms.as_ref().filter(some) else {
            return Ok(None);
        };
        let built = |alarms: &Value| match alarms.as_array() {
            None => Err(Fault::new(&self.id, "Alarms must be a list")),
            Some(list) if list.first().is_none_or(is_no_value) => Ok(json!({})),
            Some(list) => {
                let named: Vec<Value> = list.iter().map(|alarm| json!({"Name": alarm})).collect();
                Ok(json!({"Enabled": true, "Alarms": named}))
            }
        };
        match branches(alarms) {
            Some([condition, then, otherwise]) => {
                let (then, otherwise) = (built(then)?, built(otherwise)?);
                Ok(Some(json!({"Fn::If": [condition, then, otherwise]})))
            }
            None if is_intrinsic(alarms) && alarms.get("Fn::If").is_some() => {
                Err(Fault::new(&self.id, "Fn::If requires 3 arguments"))
            }
            None => Ok(Some(built(alarms)?).filter(|built| *built != json!({}))),
        }
    }
}

/// The full names of predefined types, however deep they stand in functions.
fn config_name(value: &Value, key: Option<&str>) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|value| config_name(value, None)).collect(),
        Value::Object(map) if is_intrinsic(value) => map
            .iter()
            .map(|(key, value)| (key.clone(), config_name(value, Some(key))))
            .collect::<Map<_, _>>()
            .into(),
        Value::String(text) if PREDEFINED.contains(&text.as_str()) => {
            let argument = json!(["CodeDeployDefault.Lambda${ConfigName}", {"ConfigName": text}]);
            if key == Some("Fn::Sub") {
                argument
            } else {
                json!({"Fn::Sub": argument})
            }
        }
        other => other.clone(),
    }
}

impl Sam<'_> {
    /// The application, the service role and a group per function.
    pub(crate) fn add_deployments(&mut self) {
        let mut preferences = std::mem::take(&mut self.deployments);
        preferences.retain(|preference| preference.is_enabled);
        if preferences.is_empty() {
            return;
        }
        // These take the place of what has their ids, as they do in the reference.
        self.current.clear();
        let attributes = self.deployment_condition(&preferences);
        let (mut tags, mut order) = (Map::new(), Vec::new());
        for preference in &preferences {
            if let Some(Value::Object(own)) = &preference.tags {
                tags.extend(own.clone());
                order.extend(preference.order.clone());
            }
        }
        let tags = (!tags.is_empty()).then_some(Value::Object(tags));
        let tags = tag_list(None, tags.as_ref(), &order);
        let application = fields([
            ("ComputePlatform", Some(json!("Lambda"))),
            ("Tags", tags.clone()),
        ]);
        self.emit(
            APPLICATION,
            "AWS::CodeDeploy::Application",
            application,
            attributes.clone(),
        );
        if preferences
            .iter()
            .any(|preference| preference.role.is_none())
        {
            let is_iso = ["aws-iso", "aws-iso-b"].contains(&self.options.partition.as_str());
            let policy = if is_iso {
                "service-role/AWSCodeDeployRoleForLambdaLimited"
            } else {
                "service-role/AWSCodeDeployRoleForLambda"
            };
            let role = fields([
                (
                    "AssumeRolePolicyDocument",
                    Some(trust("codedeploy.amazonaws.com")),
                ),
                ("ManagedPolicyArns", Some(json!([self.managed_arn(policy)]))),
                ("Tags", tags),
            ]);
            self.emit(SERVICE_ROLE, "AWS::IAM::Role", role, attributes);
        }
        for preference in preferences {
            match preference.alarms() {
                Ok(alarms) => self.add_group(&preference, alarms),
                Err(fault) => self.faults.push(fault),
            }
        }
    }

    fn add_group(&mut self, preference: &Preference, alarms: Option<Value>) {
        let role = preference.role.clone();
        let properties = fields([
            ("AlarmConfiguration", alarms),
            ("ApplicationName", Some(reference(APPLICATION))),
            (
                "AutoRollbackConfiguration",
                Some(json!({"Enabled": true, "Events": ["DEPLOYMENT_FAILURE",
                    "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]})),
            ),
            (
                "DeploymentConfigName",
                Some(config_name(&preference.kind, None)),
            ),
            (
                "DeploymentStyle",
                Some(
                    json!({"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"}),
                ),
            ),
            (
                "ServiceRoleArn",
                Some(role.unwrap_or_else(|| attribute(SERVICE_ROLE, "Arn"))),
            ),
            ("TriggerConfigurations", preference.triggers.clone()),
            (
                "Tags",
                tag_list(None, preference.tags.as_ref(), &preference.order),
            ),
        ]);
        let condition = preference.condition.as_ref().map(|name| json!(name));
        let attributes = fields([("Condition", condition)]);
        let group = preference.group();
        self.emit(
            &group,
            "AWS::CodeDeploy::DeploymentGroup",
            properties,
            attributes,
        );
    }

    /// When every function is conditional, so is what they share.
    fn deployment_condition(&mut self, preferences: &[Preference]) -> Map<String, Value> {
        let names: Option<Vec<&String>> = preferences
            .iter()
            .map(|preference| preference.condition.as_ref())
            .collect();
        let Some(mut names) = names else {
            return Map::new();
        };
        names.sort();
        names.dedup();
        let name = match names.as_slice() {
            [only] => (*only).clone(),
            several => {
                let any: Vec<Value> = several
                    .iter()
                    .map(|name| json!({"Condition": name}))
                    .collect();
                self.conditions
                    .insert(CONDITION.to_owned(), json!({"Fn::Or": any}));
                CONDITION.to_owned()
            }
        };
        fields([("Condition", Some(json!(name)))])
    }
}
