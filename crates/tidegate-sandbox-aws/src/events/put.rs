//! Events put onto a bus and matched against its rules.
//!
//! Must not know: how rules are made.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, bus_name, targets};
use crate::effect::Effect;
use crate::filter;
use crate::refusal::{Refusal, refuse};

/// Bytes of one PutEvents request.
const REQUEST_BYTES: usize = 1 << 20;

impl Call<'_> {
    pub(super) fn put_events(&mut self, effects: &mut Vec<Effect>) -> Result<Value, Refusal> {
        let entries = self.input["Entries"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let size: usize = entries.iter().map(|entry| entry.to_string().len()).sum();
        if size > REQUEST_BYTES {
            return Err(super::invalid(format!(
                "Total size of the entries in the request is over the limit of {REQUEST_BYTES} bytes."
            )));
        }
        let mut answers = Vec::new();
        let mut failed = 0;
        for entry in &entries {
            match self.put_event(entry, effects) {
                Ok(id) => answers.push(json!({"EventId": id})),
                Err((code, words)) => {
                    failed += 1;
                    answers.push(json!({"ErrorCode": code, "ErrorMessage": words}));
                }
            }
        }
        Ok(json!({"FailedEntryCount": failed, "Entries": answers}))
    }

    fn put_event(
        &mut self,
        entry: &Value,
        effects: &mut Vec<Effect>,
    ) -> Result<String, (&'static str, String)> {
        let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
        for field in ["Source", "DetailType", "Detail"] {
            if text(field).is_none() {
                return Err((
                    "InvalidArgument",
                    format!(
                        "Parameter {field} is not valid. Reason: {field} is a required argument."
                    ),
                ));
            }
        }
        let detail: Value = match serde_json::from_str(text("Detail").unwrap_or("")) {
            Ok(detail @ Value::Object(_)) => detail,
            _ => return Err(("MalformedDetail", "Detail is malformed.".into())),
        };
        let time = entry["Time"]
            .as_f64()
            .and_then(|seconds| Timestamp::from_millisecond((seconds * 1_000.0) as i64).ok())
            .unwrap_or(self.scope.now);
        self.buses.counter += 1;
        let id = self.scope.uuid(&format!("event/{}", self.buses.counter));
        let resources = match &entry["Resources"] {
            Value::Array(list) => json!(list),
            _ => json!([]),
        };
        let event = json!({
            "version": "0",
            "id": id,
            "detail-type": text("DetailType"),
            "source": text("Source"),
            "account": self.scope.account,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": self.scope.region,
            "resources": resources,
            "detail": detail,
        });
        let bus = bus_name(text("EventBusName").unwrap_or("default"));
        // Events for a bus that does not exist are accepted and lost, as EventBridge does it.
        if let Some(bus) = self.buses.buses.get(bus) {
            for rule in bus.rules.values().filter(|rule| rule.state != "DISABLED") {
                let matched = rule
                    .pattern
                    .as_deref()
                    .is_some_and(|pattern| filter::matches_text(pattern, &event));
                if matched {
                    targets::deliver(rule, &event, self.scope, effects);
                }
            }
        }
        Ok(id)
    }

    pub(super) fn test_pattern(&mut self) -> Result<Value, Refusal> {
        let pattern = self.text("EventPattern").unwrap_or("");
        filter::check_text(pattern).map_err(|reason| {
            refuse(
                "InvalidEventPatternException",
                format!("Event pattern is not valid. Reason: {reason}"),
            )
        })?;
        let event: Value = serde_json::from_str(self.text("Event").unwrap_or(""))
            .map_err(|_| super::invalid("Parameter Event is not valid."))?;
        for field in [
            "id",
            "account",
            "source",
            "time",
            "region",
            "resources",
            "detail-type",
        ] {
            if event.get(field).is_none() {
                return Err(super::invalid(format!(
                    "Parameter {field} must be specified in the event."
                )));
            }
        }
        Ok(json!({"Result": filter::matches_text(pattern, &event)}))
    }
}
