//! Events before they are expanded: what kind each is, its properties, what of the template it names.

use serde_json::{Map, Value};

use crate::sam::event_rules::rules;
use crate::sam::{Fault, Made, Sam, Subject, python_type, rules as checks};

/// An event of a function, or of a state machine.
#[derive(Clone, Copy)]
pub(crate) struct Event<'e> {
    /// The resource that has it.
    pub(crate) owner: &'e str,
    /// Its own name.
    pub(crate) name: &'e str,
    /// `<owner><name>`.
    pub(crate) id: &'e str,
    pub(crate) properties: &'e Map<String, Value>,
    pub(crate) is_machine: bool,
}

impl<'e> Event<'e> {
    pub(crate) fn get(&self, name: &str) -> Option<&'e Value> {
        self.properties.get(name).filter(|value| !value.is_null())
    }

    /// A property, unless Python takes it for false.
    pub(crate) fn some(&self, name: &str) -> Option<&'e Value> {
        self.get(name).filter(|value| crate::sam::is_truthy(value))
    }

    pub(crate) fn copied(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }

    /// The event is wrong.
    pub(crate) fn fault<T>(&self, message: impl AsRef<str>) -> Made<T> {
        self.told(self.name, message.as_ref())
    }

    /// The event is wrong; it is called by the id of its resource.
    pub(crate) fn fault_by_id<T>(&self, message: impl AsRef<str>) -> Made<T> {
        self.told(self.id, message.as_ref())
    }

    fn told<T>(&self, called: &str, message: &str) -> Made<T> {
        let text = format!("Event with id [{called}] is invalid. {message}");
        let fault = if self.is_machine {
            Fault::whole(self.owner, text)
        } else {
            Fault::new(self.owner, text)
        };
        Err(fault.at(self.owner, self.name))
    }
}

/// Events that are out of scope.
const REFUSED: &[&str] = &["Api", "HttpApi", "WebSocketApi"];

impl Sam<'_> {
    /// Checks the events of a resource, in the order of the document.
    pub(crate) fn link_events(&self, subject: &Subject<'_>, is_machine: bool) -> Made<()> {
        let Some(Value::Object(events)) = subject.some("Events") else {
            return Ok(());
        };
        let order = self.order(&["Resources", subject.id, "Properties", "Events"]);
        let written = order.iter().filter_map(|name| events.get_key_value(name));
        let rest = events.iter().filter(|(name, _)| !order.contains(name));
        for (name, body) in written.chain(rest) {
            self.link_event(subject, name, body, is_machine)
                .map_err(|fault| fault.at(subject.id, name))?;
        }
        Ok(())
    }

    fn link_event(
        &self,
        subject: &Subject<'_>,
        name: &str,
        body: &Value,
        is_machine: bool,
    ) -> Made<()> {
        let owner = subject.id;
        let wrong = |message: String| {
            let text = format!("Event with id [{name}] is invalid. {message}");
            Err(Fault::new(owner, text))
        };
        let Some(fields) = body.as_object() else {
            let kind = python_type(body);
            return wrong(format!("'{kind}' object has no attribute 'get'"));
        };
        let kind = fields.get("Type");
        let known = kind
            .and_then(Value::as_str)
            .and_then(|kind| Some((kind, rules(kind, is_machine)?)));
        let Some((kind, rules)) = known else {
            let shown = kind.map_or_else(|| "None".to_owned(), |kind| shown(kind, true));
            return wrong(format!(
                "Resource dict has missing or invalid value for key Type. Event Type is: {shown}."
            ));
        };
        if REFUSED.contains(&kind) {
            return wrong(format!(
                "{kind} events are not transformed by this build: deploy the API by itself, with a permission to invoke the function"
            ));
        }
        let id = format!("{owner}{name}");
        let empty = Map::new();
        let properties = match fields.get("Properties") {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => {
                return Err(Fault::new(
                    &id,
                    "Properties of a resource must be an object.",
                ));
            }
        };
        let order = self.order(&[
            "Resources",
            owner,
            "Properties",
            "Events",
            name,
            "Properties",
        ]);
        checks::check(&id, properties, &order, kind, &rules)
            .map_err(|text| Fault::whole(owner, text))?;
        let event = Event {
            owner,
            name,
            id: &id,
            properties,
            is_machine,
        };
        match kind {
            "S3" => self.linked(&event, "Bucket").map(|_| ()),
            "Cognito" => self.linked(&event, "UserPool").map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The resource of the template that an event edits.
    pub(crate) fn linked(&self, event: &Event<'_>, property: &str) -> Made<String> {
        let is_bucket = property == "Bucket";
        match event.get(property).and_then(|given| given.get("Ref")) {
            Some(Value::String(id)) if self.input.contains_key(id) => Ok(id.clone()),
            Some(Value::String(_)) | None if is_bucket => {
                event.fault("S3 events must reference an S3 bucket in the same template.")
            }
            Some(Value::String(_)) | None => event
                .fault("Cognito events must reference a Cognito UserPool in the same template."),
            Some(_) if is_bucket => event.fault("'Ref' value in S3 events is not a valid string."),
            Some(_) => event.fault_by_id("Ref in Userpool is not a string."),
        }
    }
}

/// A value as Python shows it.
fn shown(value: &Value, is_outermost: bool) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) if is_outermost => text.clone(),
        Value::String(text) => format!("'{text}'"),
        Value::Number(number) => number.to_string(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|item| shown(item, false)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items = map.iter();
            let items = items.map(|(key, value)| format!("'{key}': {}", shown(value, false)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A value as Python formats it.
pub(crate) fn python_shown(value: &Value) -> String {
    shown(value, true)
}
