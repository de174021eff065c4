//! Types that the sandbox implements as services: their models read from and written to the service itself.
//!
//! Must not know: requests of Cloud Control.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, refuse};

/// The services behind native types. Every method gives `None` for a type that is not native.
pub(crate) trait Natives {
    /// Is a type native?
    fn knows(&self, type_name: &str) -> bool;
    /// Makes a resource; gives its identifier.
    fn create(&self, type_name: &str, model: &Value) -> Option<Result<String, Refusal>>;
    /// What the service says of a resource; `Some(None)` when it has none. A null property is absent.
    fn read(&self, type_name: &str, identifier: &str) -> Option<Option<Value>>;
    /// Changes a resource to a new model.
    fn update(
        &self,
        type_name: &str,
        identifier: &str,
        model: &Value,
    ) -> Option<Result<(), Refusal>>;
    /// Deletes a resource.
    fn delete(&self, type_name: &str, identifier: &str) -> Option<Result<(), Refusal>>;
    /// The identifiers of all resources of a type.
    fn list(&self, type_name: &str) -> Option<Vec<String>>;
}

/// Calls an operation of a JSON service: service, operation, input.
pub(crate) type Caller<'a> = &'a dyn Fn(&str, &str, &Value) -> Result<Value, Refusal>;

/// [`Natives`] over calls of the services' own operations.
pub(crate) struct ByCalls<'a> {
    /// Calls a service.
    pub(crate) call: Caller<'a>,
}

const NATIVE: [&str; 5] = [
    "AWS::Kinesis::Stream",
    "AWS::SQS::Queue",
    "AWS::SNS::Topic",
    "AWS::DynamoDB::Table",
    "AWS::SSM::Parameter",
];

/// Settings of a queue that are numbers, and those that are flags.
const QUEUE_NUMBERS: [&str; 6] = [
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout",
    "KmsDataKeyReusePeriodSeconds",
];
const QUEUE_FLAGS: [&str; 3] = [
    "FifoQueue",
    "ContentBasedDeduplication",
    "SqsManagedSseEnabled",
];
const QUEUE_TEXTS: [&str; 3] = [
    "KmsMasterKeyId",
    "DeduplicationScope",
    "FifoThroughputLimit",
];
const QUEUE_DOCUMENTS: [&str; 2] = ["RedrivePolicy", "RedriveAllowPolicy"];
const TOPIC_TEXTS: [&str; 6] = [
    "DisplayName",
    "KmsMasterKeyId",
    "SignatureVersion",
    "TracingConfig",
    "FifoThroughputScope",
    "ContentBasedDeduplication",
];

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn tag_map(tags: &Value) -> BTreeMap<String, String> {
    tags.as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| Some((tag["Key"].as_str()?.to_owned(), text(&tag["Value"]))))
        .collect()
}

fn tag_list(tags: &Value) -> Value {
    match tags {
        Value::Object(map) => json!(
            map.iter()
                .map(|(key, value)| json!({"Key": key, "Value": value}))
                .collect::<Vec<_>>()
        ),
        Value::Array(list) => json!(list),
        _ => json!([]),
    }
}

/// A list, or nothing when it is empty: models leave empty lists out.
fn unless_empty(list: Value) -> Value {
    if list.as_array().is_some_and(Vec::is_empty) {
        Value::Null
    } else {
        list
    }
}

fn name_of(model: &Value, field: &str) -> Result<String, Refusal> {
    model[field].as_str().map(str::to_owned).ok_or_else(|| {
        refuse(
            "ValidationException",
            format!("#: required key [{field}] not found"),
        )
    })
}

fn queue_settings(model: &Value) -> Map<String, Value> {
    let mut settings = Map::new();
    for name in QUEUE_NUMBERS
        .iter()
        .chain(&QUEUE_FLAGS)
        .chain(&QUEUE_TEXTS)
        .chain(&QUEUE_DOCUMENTS)
    {
        if let Some(value) = model.get(*name) {
            settings.insert((*name).to_owned(), json!(text(value)));
        }
    }
    settings
}

impl ByCalls<'_> {
    fn run(&self, service: &str, operation: &str, input: &Value) -> Result<Value, Refusal> {
        (self.call)(service, operation, input)
    }

    fn create_queue(&self, model: &Value) -> Result<String, Refusal> {
        let name = match model["QueueName"].as_str() {
            Some(name) => name.to_owned(),
            None => model["QueueUrl"]
                .as_str()
                .and_then(|url| url.rsplit('/').next())
                .unwrap_or("")
                .to_owned(),
        };
        let input = json!({
            "QueueName": name,
            "Attributes": queue_settings(model),
            "tags": tag_map(&model["Tags"]),
        });
        Ok(text(&self.run("sqs", "CreateQueue", &input)?["QueueUrl"]))
    }

    fn read_queue(&self, url: &str) -> Option<Value> {
        let input = json!({"QueueUrl": url, "AttributeNames": ["All"]});
        let answer = self.run("sqs", "GetQueueAttributes", &input).ok()?;
        let settings = &answer["Attributes"];
        let mut model = json!({
            "QueueUrl": url,
            "QueueName": url.rsplit('/').next(),
            "Arn": settings["QueueArn"],
        });
        for name in QUEUE_NUMBERS {
            if let Some(number) = settings[name]
                .as_str()
                .and_then(|text| text.parse::<i64>().ok())
            {
                model[name] = json!(number);
            }
        }
        for name in QUEUE_FLAGS {
            if let Some(flag) = settings[name].as_str() {
                model[name] = json!(flag == "true");
            }
        }
        for name in QUEUE_TEXTS {
            model[name] = settings[name].clone();
        }
        for name in QUEUE_DOCUMENTS {
            model[name] = settings[name]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
        }
        let tags = self
            .run("sqs", "ListQueueTags", &json!({"QueueUrl": url}))
            .ok()?;
        model["Tags"] = unless_empty(tag_list(&tags["Tags"]));
        Some(model)
    }

    fn update_queue(&self, url: &str, model: &Value) -> Result<(), Refusal> {
        let mut settings = queue_settings(model);
        settings.remove("FifoQueue");
        let input = json!({"QueueUrl": url, "Attributes": settings});
        self.run("sqs", "SetQueueAttributes", &input)?;
        let old = self.run("sqs", "ListQueueTags", &json!({"QueueUrl": url}))?;
        let new = tag_map(&model["Tags"]);
        let gone: Vec<&String> = old["Tags"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key)
            .filter(|key| !new.contains_key(*key))
            .collect();
        self.run(
            "sqs",
            "UntagQueue",
            &json!({"QueueUrl": url, "TagKeys": gone}),
        )?;
        self.run("sqs", "TagQueue", &json!({"QueueUrl": url, "Tags": new}))?;
        Ok(())
    }

    fn create_stream(&self, model: &Value) -> Result<String, Refusal> {
        let name = name_of(model, "Name")?;
        let mut input = json!({"StreamName": name, "Tags": tag_map(&model["Tags"])});
        let mode = model["StreamModeDetails"]["StreamMode"].as_str();
        if let Some(mode) = mode {
            input["StreamModeDetails"] = json!({"StreamMode": mode});
        }
        if mode != Some("ON_DEMAND") {
            input["ShardCount"] = model.get("ShardCount").cloned().unwrap_or_else(|| json!(1));
        }
        if let Some(size) = model.get("MaxRecordSizeInKiB") {
            input["MaxRecordSizeInKiB"] = size.clone();
        }
        if input["Tags"].as_object().is_some_and(Map::is_empty)
            && let Some(map) = input.as_object_mut()
        {
            map.remove("Tags");
        }
        self.run("kinesis", "CreateStream", &input)?;
        Ok(name)
    }

    fn read_stream(&self, name: &str) -> Option<Value> {
        let by_name = json!({"StreamName": name});
        let answer = self
            .run("kinesis", "DescribeStreamSummary", &by_name)
            .ok()?;
        let summary = &answer["StreamDescriptionSummary"];
        let tags = self.run("kinesis", "ListTagsForStream", &by_name).ok()?;
        let mut model = json!({
            "Name": name,
            "Arn": summary["StreamARN"],
            "StreamModeDetails": summary["StreamModeDetails"],
            "RetentionPeriodHours": summary["RetentionPeriodHours"],
            "MaxRecordSizeInKiB": summary["MaxRecordSizeInKiB"],
            "DesiredShardLevelMetrics": unless_empty(summary["EnhancedMonitoring"][0]["ShardLevelMetrics"].clone()),
            "StreamEncryption": null,
            "Tags": unless_empty(tags["Tags"].clone()),
        });
        if summary["StreamModeDetails"]["StreamMode"] == "PROVISIONED" {
            model["ShardCount"] = summary["OpenShardCount"].clone();
        }
        if summary["EncryptionType"] == "KMS" {
            model["StreamEncryption"] = json!({"EncryptionType": "KMS", "KeyId": summary["KeyId"]});
        }
        Some(model)
    }

    /// One change of a stream at a time, as the service has it; the rest is refused until it is ACTIVE again.
    fn update_stream(&self, name: &str, model: &Value) -> Result<(), Refusal> {
        let old = self.read_stream(name).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                format!("Stream {name} not found."),
            )
        })?;
        let differs = |field: &str| model.get(field).is_some_and(|value| *value != old[field]);
        if differs("RetentionPeriodHours") {
            let more =
                model["RetentionPeriodHours"].as_i64() > old["RetentionPeriodHours"].as_i64();
            let operation = if more {
                "IncreaseStreamRetentionPeriod"
            } else {
                "DecreaseStreamRetentionPeriod"
            };
            let input =
                json!({"StreamName": name, "RetentionPeriodHours": model["RetentionPeriodHours"]});
            self.run("kinesis", operation, &input)?;
        }
        if differs("StreamModeDetails") {
            let input =
                json!({"StreamARN": old["Arn"], "StreamModeDetails": model["StreamModeDetails"]});
            self.run("kinesis", "UpdateStreamMode", &input)?;
        } else if differs("ShardCount") && old.get("ShardCount").is_some() {
            let input = json!({
                "StreamName": name, "TargetShardCount": model["ShardCount"], "ScalingType": "UNIFORM_SCALING",
            });
            self.run("kinesis", "UpdateShardCount", &input)?;
        }
        let new = tag_map(&model["Tags"]);
        let gone: Vec<String> = tag_map(&old["Tags"])
            .into_keys()
            .filter(|key| !new.contains_key(key))
            .collect();
        if !gone.is_empty() {
            self.run(
                "kinesis",
                "RemoveTagsFromStream",
                &json!({"StreamName": name, "TagKeys": gone}),
            )?;
        }
        if !new.is_empty() {
            self.run(
                "kinesis",
                "AddTagsToStream",
                &json!({"StreamName": name, "Tags": new}),
            )?;
        }
        Ok(())
    }

    fn create_topic(&self, model: &Value) -> Result<String, Refusal> {
        let name = match model["TopicName"].as_str() {
            Some(name) => name.to_owned(),
            None => model["TopicArn"]
                .as_str()
                .and_then(|arn| arn.rsplit(['/', ':']).next())
                .unwrap_or("")
                .to_owned(),
        };
        let mut attributes = topic_attributes(model);
        if model["FifoTopic"] == true {
            attributes.insert("FifoTopic".into(), json!("true"));
        }
        let input =
            json!({"Name": name, "Attributes": attributes, "Tags": tag_list(&model["Tags"])});
        Ok(text(&self.run("sns", "CreateTopic", &input)?["TopicArn"]))
    }

    fn read_topic(&self, arn: &str) -> Option<Value> {
        let answer = self
            .run("sns", "GetTopicAttributes", &json!({"TopicArn": arn}))
            .ok()?;
        let tags = self
            .run("sns", "ListTagsForResource", &json!({"ResourceArn": arn}))
            .ok()?;
        let attributes = &answer["Attributes"];
        let mut model = json!({
            "TopicArn": arn,
            "TopicName": arn.rsplit(':').next(),
            "Tags": unless_empty(tags["Tags"].clone()),
        });
        for name in TOPIC_TEXTS {
            model[name] = match attributes[name].as_str() {
                Some("") | None => Value::Null,
                Some(flag) if name == "ContentBasedDeduplication" => json!(flag == "true"),
                Some(text) => json!(text),
            };
        }
        if attributes["FifoTopic"] == "true" {
            model["FifoTopic"] = json!(true);
        }
        Some(model)
    }

    fn update_topic(&self, arn: &str, model: &Value) -> Result<(), Refusal> {
        for (name, value) in topic_attributes(model) {
            let input = json!({"TopicArn": arn, "AttributeName": name, "AttributeValue": value});
            self.run("sns", "SetTopicAttributes", &input)?;
        }
        let old = self.run("sns", "ListTagsForResource", &json!({"ResourceArn": arn}))?;
        let new = tag_map(&model["Tags"]);
        let gone: Vec<String> = tag_map(&old["Tags"])
            .into_keys()
            .filter(|key| !new.contains_key(key))
            .collect();
        self.run(
            "sns",
            "UntagResource",
            &json!({"ResourceArn": arn, "TagKeys": gone}),
        )?;
        self.run(
            "sns",
            "TagResource",
            &json!({"ResourceArn": arn, "Tags": tag_list(&model["Tags"])}),
        )?;
        Ok(())
    }

    fn create_table(&self, model: &Value) -> Result<String, Refusal> {
        let mut input = Map::new();
        for name in [
            "TableName",
            "AttributeDefinitions",
            "KeySchema",
            "BillingMode",
            "ProvisionedThroughput",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "TableClass",
            "DeletionProtectionEnabled",
        ] {
            if let Some(value) = model.get(name) {
                input.insert(name.into(), value.clone());
            }
        }
        if let Some(view) = model["StreamSpecification"]["StreamViewType"].as_str() {
            input.insert(
                "StreamSpecification".into(),
                json!({"StreamEnabled": true, "StreamViewType": view}),
            );
        }
        input.insert("Tags".into(), tag_list(&model["Tags"]));
        self.run("dynamodb", "CreateTable", &Value::Object(input))?;
        name_of(model, "TableName")
    }

    fn read_table(&self, name: &str) -> Option<Value> {
        let answer = self
            .run("dynamodb", "DescribeTable", &json!({"TableName": name}))
            .ok()?;
        let table = &answer["Table"];
        let tags = self
            .run(
                "dynamodb",
                "ListTagsOfResource",
                &json!({"ResourceArn": table["TableArn"]}),
            )
            .ok()?;
        let mut model = json!({
            "TableName": name,
            "Arn": table["TableArn"],
            "KeySchema": table["KeySchema"],
            "AttributeDefinitions": table["AttributeDefinitions"],
            "DeletionProtectionEnabled": table["DeletionProtectionEnabled"],
            "Tags": unless_empty(tags["Tags"].clone()),
        });
        if let Some(mode) = table["BillingModeSummary"]["BillingMode"].as_str() {
            model["BillingMode"] = json!(mode);
        }
        if let Some(arn) = table["LatestStreamArn"].as_str() {
            model["StreamArn"] = json!(arn);
        }
        Some(model)
    }

    fn update_table(&self, name: &str, model: &Value) -> Result<(), Refusal> {
        let old = self.read_table(name).ok_or_else(|| {
            refuse(
                "ResourceNotFoundException",
                format!("Table {name} not found"),
            )
        })?;
        let mut input = json!({"TableName": name});
        for field in ["BillingMode", "DeletionProtectionEnabled"] {
            if model.get(field).is_some_and(|value| *value != old[field]) {
                input[field] = model[field].clone();
            }
        }
        if input.as_object().is_some_and(|map| map.len() > 1) {
            if input["BillingMode"] == "PROVISIONED" {
                input["ProvisionedThroughput"] = model["ProvisionedThroughput"].clone();
            }
            self.run("dynamodb", "UpdateTable", &input)?;
        }
        let new = tag_map(&model["Tags"]);
        let gone: Vec<String> = tag_map(&old["Tags"])
            .into_keys()
            .filter(|key| !new.contains_key(key))
            .collect();
        let arn = &old["Arn"];
        self.run(
            "dynamodb",
            "UntagResource",
            &json!({"ResourceArn": arn, "TagKeys": gone}),
        )?;
        self.run(
            "dynamodb",
            "TagResource",
            &json!({"ResourceArn": arn, "Tags": tag_list(&model["Tags"])}),
        )?;
        Ok(())
    }

    fn put_parameter(&self, model: &Value, overwrite: bool) -> Result<String, Refusal> {
        let mut input = json!({
            "Name": model["Name"], "Value": model["Value"], "Type": model["Type"], "Overwrite": overwrite,
        });
        for field in ["Description", "AllowedPattern", "Tier", "DataType"] {
            if let Some(value) = model.get(field) {
                input[field] = value.clone();
            }
        }
        if let Some(Value::Object(tags)) = model.get("Tags").filter(|_| !overwrite) {
            input["Tags"] = tag_list(&Value::Object(tags.clone()));
        }
        self.run("ssm", "PutParameter", &input)?;
        name_of(model, "Name")
    }

    fn read_parameter(&self, name: &str) -> Option<Value> {
        let answer = self
            .run("ssm", "GetParameter", &json!({"Name": name}))
            .ok()?;
        let parameter = &answer["Parameter"];
        Some(json!({
            "Name": name,
            "Type": parameter["Type"],
            "Value": parameter["Value"],
            "DataType": parameter["DataType"],
        }))
    }

    fn names(&self, service: &str, operation: &str, field: &str) -> Vec<String> {
        let answer = self.run(service, operation, &json!({})).unwrap_or_default();
        answer[field]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|entry| match entry {
                Value::String(text) => Some(text.clone()),
                other => ["TopicArn", "Name"]
                    .iter()
                    .find_map(|name| other[*name].as_str().map(str::to_owned)),
            })
            .collect()
    }
}

fn topic_attributes(model: &Value) -> Map<String, Value> {
    TOPIC_TEXTS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), json!(text(model.get(*name)?)))))
        .collect()
}

impl Natives for ByCalls<'_> {
    fn knows(&self, type_name: &str) -> bool {
        NATIVE.contains(&type_name)
    }

    fn create(&self, type_name: &str, model: &Value) -> Option<Result<String, Refusal>> {
        Some(match type_name {
            "AWS::Kinesis::Stream" => self.create_stream(model),
            "AWS::SQS::Queue" => self.create_queue(model),
            "AWS::SNS::Topic" => self.create_topic(model),
            "AWS::DynamoDB::Table" => self.create_table(model),
            "AWS::SSM::Parameter" => self.put_parameter(model, false),
            _ => return None,
        })
    }

    fn read(&self, type_name: &str, identifier: &str) -> Option<Option<Value>> {
        Some(match type_name {
            "AWS::Kinesis::Stream" => self.read_stream(identifier),
            "AWS::SQS::Queue" => self.read_queue(identifier),
            "AWS::SNS::Topic" => self.read_topic(identifier),
            "AWS::DynamoDB::Table" => self.read_table(identifier),
            "AWS::SSM::Parameter" => self.read_parameter(identifier),
            _ => return None,
        })
    }

    fn update(
        &self,
        type_name: &str,
        identifier: &str,
        model: &Value,
    ) -> Option<Result<(), Refusal>> {
        Some(match type_name {
            "AWS::Kinesis::Stream" => self.update_stream(identifier, model),
            "AWS::SQS::Queue" => self.update_queue(identifier, model),
            "AWS::SNS::Topic" => self.update_topic(identifier, model),
            "AWS::DynamoDB::Table" => self.update_table(identifier, model),
            "AWS::SSM::Parameter" => self.put_parameter(model, true).map(drop),
            _ => return None,
        })
    }

    fn delete(&self, type_name: &str, identifier: &str) -> Option<Result<(), Refusal>> {
        let (service, operation, input) = match type_name {
            "AWS::Kinesis::Stream" => (
                "kinesis",
                "DeleteStream",
                json!({"StreamName": identifier, "EnforceConsumerDeletion": true}),
            ),
            "AWS::SQS::Queue" => ("sqs", "DeleteQueue", json!({"QueueUrl": identifier})),
            "AWS::SNS::Topic" => ("sns", "DeleteTopic", json!({"TopicArn": identifier})),
            "AWS::DynamoDB::Table" => ("dynamodb", "DeleteTable", json!({"TableName": identifier})),
            "AWS::SSM::Parameter" => ("ssm", "DeleteParameter", json!({"Name": identifier})),
            _ => return None,
        };
        Some(self.run(service, operation, &input).map(drop))
    }

    fn list(&self, type_name: &str) -> Option<Vec<String>> {
        Some(match type_name {
            "AWS::Kinesis::Stream" => self.names("kinesis", "ListStreams", "StreamNames"),
            "AWS::SQS::Queue" => self.names("sqs", "ListQueues", "QueueUrls"),
            "AWS::SNS::Topic" => self.names("sns", "ListTopics", "Topics"),
            "AWS::DynamoDB::Table" => self.names("dynamodb", "ListTables", "TableNames"),
            "AWS::SSM::Parameter" => self.names("ssm", "DescribeParameters", "Parameters"),
            _ => return None,
        })
    }
}
