//! `FunctionUrlConfig`: a function's own address, and who may call it.

use serde_json::{Value, json};

use crate::sam::rules::{Is, mistyped};
use crate::sam::{Fault, Made, Sam, Subject, fields, is_intrinsic, is_truthy, reference};

/// Settings of `Cors`, what each is called in Python, and whether a value is one.
type Setting = (&'static str, &'static str, fn(&Value) -> bool);
const CORS: &[Setting] = &[
    ("AllowOrigins", "list", Value::is_array),
    ("AllowMethods", "list", Value::is_array),
    ("AllowCredentials", "bool", Value::is_boolean),
    ("AllowHeaders", "list", Value::is_array),
    ("ExposeHeaders", "list", Value::is_array),
    ("MaxAge", "int", is_int),
];

fn is_int(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.is_boolean()
}

impl Sam<'_> {
    pub(crate) fn url(
        &mut self,
        subject: &Subject<'_>,
        url: &Value,
        alias: Option<&str>,
    ) -> Made<()> {
        let id = subject.id;
        if !is_intrinsic(url) {
            check_authorisation(id, url)?;
            self.check_cors(id, url)?;
        }
        let kind = url.get("AuthType");
        let target = reference(alias.unwrap_or(id));
        let properties = fields([
            ("AuthType", kind.cloned()),
            (
                "Cors",
                url.get("Cors").filter(|cors| is_truthy(cors)).cloned(),
            ),
            ("InvokeMode", url.get("InvokeMode").cloned()),
            ("TargetFunctionArn", Some(target.clone())),
        ]);
        let name = format!("{id}Url");
        self.emit(&name, "AWS::Lambda::Url", properties, subject.passed_on());
        if kind.and_then(Value::as_str) != Some("NONE") || is_intrinsic(url) {
            return Ok(());
        }
        let permission = fields([
            ("Action", Some(json!("lambda:InvokeFunctionUrl"))),
            ("FunctionName", Some(target.clone())),
            ("FunctionUrlAuthType", kind.cloned()),
            ("Principal", Some(json!("*"))),
        ]);
        let invoke = fields([
            ("Action", Some(json!("lambda:InvokeFunction"))),
            ("FunctionName", Some(target)),
            ("InvokedViaFunctionUrl", Some(json!(true))),
            ("Principal", Some(json!("*"))),
        ]);
        for (suffix, properties) in [
            ("UrlPublicPermissions", permission),
            ("URLInvokeAllowPublicAccess", invoke),
        ] {
            let name = format!("{id}{suffix}");
            self.emit(
                &name,
                "AWS::Lambda::Permission",
                properties,
                subject.passed_on(),
            );
        }
        Ok(())
    }

    fn check_cors(&self, id: &str, url: &Value) -> Made<()> {
        let Some(cors) = url.get("Cors").filter(|cors| is_truthy(cors)) else {
            return Ok(());
        };
        if is_intrinsic(cors) {
            return Ok(());
        }
        let Some(cors) = cors.as_object() else {
            return Err(Fault::new(id, mistyped("FunctionUrlConfig.Cors", Is::Map)));
        };
        let mut order = self.order(&["Globals", "Function", "FunctionUrlConfig", "Cors"]);
        order.extend(self.order(&["Resources", id, "Properties", "FunctionUrlConfig", "Cors"]));
        for name in order.iter().filter(|name| cors.contains_key(*name)) {
            let Some((_, called, is)) = CORS.iter().find(|(known, _, _)| known == name) else {
                let message = format!("{name} is not a valid property for configuring Cors.");
                return Err(Fault::new(id, message));
            };
            if !is_intrinsic(&cors[name]) && !is(&cors[name]) {
                return Err(Fault::new(id, format!("{name} must be of type {called}.")));
            }
        }
        Ok(())
    }
}

fn check_authorisation(id: &str, url: &Value) -> Made<()> {
    let is_fine = url.get("AuthType").is_some_and(|kind| {
        is_intrinsic(kind) || matches!(kind.as_str(), Some("AWS_IAM" | "NONE"))
    });
    if is_fine {
        return Ok(());
    }
    let message = "AuthType is required to configure function property `FunctionUrlConfig`. Please provide either AWS_IAM or NONE.";
    Err(Fault::new(id, message))
}
