//! `AWS::Serverless::SimpleTable`.

use serde_json::{Map, Value, json};

use crate::sam::link::python_shown;
use crate::sam::rules::{self, Is};
use crate::sam::{Fault, Made, Sam, Subject, fields};

const RULES: &[rules::Rule] = &[
    ("PointInTimeRecoverySpecification", false, Is::Any),
    ("PrimaryKey", false, Is::Texts),
    ("ProvisionedThroughput", false, Is::IntsOrMaps),
    ("TableName", false, Is::TextOrMap),
    ("Tags", false, Is::Map),
    ("SSESpecification", false, Is::Map),
];

impl Sam<'_> {
    pub(crate) fn table(&mut self, subject: &Subject<'_>) -> Made<()> {
        rules::check_subject(self, subject, "AWS::Serverless::SimpleTable", RULES)?;
        let (name, kind) = primary_key(subject)?;
        let throughput = subject.some("ProvisionedThroughput").cloned();
        let billing = throughput.is_none().then(|| json!("PAY_PER_REQUEST"));
        let some = |name: &str| subject.some(name).cloned();
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
            ("SSESpecification", some("SSESpecification")),
            (
                "PointInTimeRecoverySpecification",
                some("PointInTimeRecoverySpecification"),
            ),
            ("TableName", some("TableName")),
            ("Tags", self.tags(None, subject)),
        ]);
        let attributes: Map<String, Value> = subject.own();
        self.emit(subject.id, "AWS::DynamoDB::Table", properties, attributes);
        Ok(())
    }
}

/// The key's name, and the letter of its type.
fn primary_key(subject: &Subject<'_>) -> Made<(Value, &'static str)> {
    let Some(key) = subject.some("PrimaryKey") else {
        return Ok((json!("id"), "S"));
    };
    let needed = |name: &str| match key.get(name).filter(|value| !value.is_null()) {
        Some(value) => Ok(value),
        None => Err(Fault::new(
            subject.id,
            format!("Property 'PrimaryKey.{name}' is required."),
        )),
    };
    let name = needed("Name")?;
    let kind = needed("Type")?;
    let letter = match kind.as_str() {
        Some("String") => "S",
        Some("Number") => "N",
        Some("Binary") => "B",
        _ => {
            let shown = python_shown(kind);
            return Err(Fault::new(
                subject.id,
                format!("Invalid 'Type' \"{shown}\"."),
            ));
        }
    };
    Ok((name.clone(), letter))
}
