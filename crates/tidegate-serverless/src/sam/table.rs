//! `AWS::Serverless::SimpleTable`.

use serde_json::{Map, Value, json};

use crate::sam::rules::{self, Is};
use crate::sam::{Fault, Made, Sam, Subject, fields, tag_list};

const RULES: &[rules::Rule] = &[
    ("PointInTimeRecoverySpecification", false, Is::Any),
    ("PrimaryKey", false, Is::Map),
    ("ProvisionedThroughput", false, Is::Map),
    ("TableName", false, Is::TextOrMap),
    ("Tags", false, Is::Map),
    ("SSESpecification", false, Is::Map),
];

impl Sam<'_> {
    pub(crate) fn table(&mut self, subject: &Subject<'_>) -> Made<()> {
        rules::check(subject, "AWS::Serverless::SimpleTable", RULES)?;
        let (name, kind) = match subject.get("PrimaryKey") {
            None => (json!("id"), "S"),
            Some(key) => {
                let fault = |message: &str| Err(Fault::new(subject.id, message));
                let Some(name) = key.get("Name") else {
                    return fault("'PrimaryKey' is missing required Property 'Name'.");
                };
                let kind = match key.get("Type").and_then(Value::as_str) {
                    Some("String") => "S",
                    Some("Number") => "N",
                    Some("Binary") => "B",
                    Some(other) => {
                        let message = format!("Invalid 'Type' \"{other}\".");
                        return Err(Fault::new(subject.id, message));
                    }
                    None => return fault("'PrimaryKey' is missing required Property 'Type'."),
                };
                (name.clone(), kind)
            }
        };
        let throughput = subject.get("ProvisionedThroughput").cloned();
        let billing = throughput.is_none().then(|| json!("PAY_PER_REQUEST"));
        let properties = fields([
            (
                "KeySchema",
                Some(json!([{"AttributeName": name, "KeyType": "HASH"}])),
            ),
            (
                "AttributeDefinitions",
                Some(json!([{"AttributeName": name, "AttributeType": kind}])),
            ),
            ("ProvisionedThroughput", throughput),
            ("BillingMode", billing),
            ("SSESpecification", subject.get("SSESpecification").cloned()),
            (
                "PointInTimeRecoverySpecification",
                subject.get("PointInTimeRecoverySpecification").cloned(),
            ),
            ("TableName", subject.get("TableName").cloned()),
            ("Tags", tag_list(None, subject.get("Tags"))),
        ]);
        let attributes: Map<String, Value> = subject.own();
        self.emit(subject.id, "AWS::DynamoDB::Table", properties, attributes);
        Ok(())
    }
}
