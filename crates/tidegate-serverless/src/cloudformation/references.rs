//! What a resource names: references to resources of its own template and of others.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidegate_manifest::ResourceReference;

use crate::cloudformation::Evaluation;
use crate::physical::{invented, name_property};

impl Evaluation<'_> {
    /// The resources that properties and `DependsOn` name, by logical id.
    pub(super) fn references(
        &self,
        properties: &Map<String, Value>,
        depends_on: &[String],
    ) -> BTreeMap<String, ResourceReference> {
        let mut found = BTreeMap::new();
        for value in properties.values() {
            self.collect(value, &mut found);
        }
        for id in depends_on {
            found
                .entry(id.clone())
                .or_insert_with(|| self.reference(id));
        }
        found
    }

    fn collect(&self, value: &Value, found: &mut BTreeMap<String, ResourceReference>) {
        match value {
            Value::Object(map) => {
                let named = match (map.get("Ref"), map.get("Fn::GetAtt")) {
                    (Some(Value::String(id)), _) if map.len() == 1 => Some(id.as_str()),
                    (_, Some(Value::Array(list))) if map.len() == 1 => {
                        list.first().and_then(Value::as_str)
                    }
                    _ => None,
                };
                match named {
                    Some(id) => {
                        found
                            .entry(id.to_owned())
                            .or_insert_with(|| self.reference(id));
                    }
                    None => map.values().for_each(|value| self.collect(value, found)),
                }
            }
            Value::Array(list) => list.iter().for_each(|value| self.collect(value, found)),
            _ => {}
        }
    }

    fn reference(&self, id: &str) -> ResourceReference {
        let kind = self.active.get(id).cloned().unwrap_or_default();
        let body = self
            .template
            .section("Resources")
            .and_then(|all| all.get(id));
        let properties = body.and_then(|body| body.get("Properties"));
        let declared = name_property(&kind).and_then(|name| properties?.get(name));
        let physical_name = match declared {
            // Evaluated without telling its mistakes again: the resource itself does.
            Some(value) => self.quietly(value),
            None => {
                let empty = Map::new();
                let properties = properties.and_then(Value::as_object).unwrap_or(&empty);
                invented(&kind, self.stack, id, properties, self.environment)
            }
        };
        ResourceReference {
            resource_type: kind,
            stack: None,
            physical_name,
        }
    }

    fn quietly(&self, value: &Value) -> Option<String> {
        let before = self.diagnostics.borrow().len();
        let place = super::Place::new(&[], "", "");
        let found = self.value(value, &place, 0);
        self.diagnostics.borrow_mut().truncate(before);
        found.and_then(|value| value.as_str().map(str::to_owned))
    }
}
