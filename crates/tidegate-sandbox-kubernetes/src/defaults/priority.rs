//! The admission of pods by priority: the class that they name, or the default of the cluster, gives the numbers.

use serde_json::{Value, json};

use super::sub;
use crate::core::Core;
use crate::object;
use crate::resource::{Resource, ResourceName};
use crate::status::Status;

const CLASSES: ResourceName = ResourceName::new("scheduling.k8s.io", "priorityclasses");
const PODS: ResourceName = ResourceName::new("", "pods");
/// Classes that every cluster has.
const SYSTEM: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];
const PREEMPTS: &str = "PreemptLowerPriority";

/// Sets the priority of a new pod, or refuses it.
pub(super) fn admit(core: &Core, resource: &Resource, object: &mut Value) -> Result<(), Status> {
    if resource.name != PODS {
        return Ok(());
    }
    let pod = object::name(object).to_owned();
    let named = object::text(object, &["spec", "priorityClassName"]).to_owned();
    let (name, value, preemption) = if named.is_empty() {
        default_class(core).unwrap_or_else(|| (String::new(), 0, PREEMPTS.to_owned()))
    } else {
        class(core, &named).ok_or_else(|| {
            Status::forbidden(
                &PODS,
                &pod,
                &format!("no PriorityClass with name {named} was found"),
            )
        })?
    };
    let spec = sub(object::ensure(object), "spec");
    let asked = spec
        .get("preemptionPolicy")
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned();
    if !asked.is_empty() && asked != preemption {
        let why = format!(
            "the string value of PreemptionPolicy ({asked}) must not be provided in pod spec; priority admission controller computed {preemption} from the given PriorityClass name"
        );
        return Err(Status::forbidden(&PODS, &pod, &why));
    }
    if let Some(number) = spec
        .get("priority")
        .and_then(Value::as_i64)
        .filter(|number| *number != value)
    {
        let why = format!(
            "the integer value of priority ({number}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(Status::forbidden(&PODS, &pod, &why));
    }
    if !name.is_empty() {
        spec.insert("priorityClassName".to_owned(), json!(name));
    }
    spec.insert("priority".to_owned(), json!(value));
    spec.insert("preemptionPolicy".to_owned(), json!(preemption));
    Ok(())
}

type Class = (String, i64, String);

fn read(object: &Value) -> Class {
    let value = object.get("value").and_then(Value::as_i64).unwrap_or(0);
    let preemption = match object::text(object, &["preemptionPolicy"]) {
        "" => PREEMPTS,
        other => other,
    };
    (
        object::name(object).to_owned(),
        value,
        preemption.to_owned(),
    )
}

fn class(core: &Core, name: &str) -> Option<Class> {
    if let Some(stored) = core.store.get(&CLASSES, name) {
        return Some(read(&stored.object));
    }
    let (name, value) = SYSTEM.iter().find(|(system, _)| *system == name)?;
    Some(((*name).to_owned(), *value, PREEMPTS.to_owned()))
}

/// The lowest of the classes that claim to be the default.
fn default_class(core: &Core) -> Option<Class> {
    let (_, table) = core.store.table(&CLASSES);
    let defaults = table
        .values()
        .filter(|stored| stored.object.get("globalDefault") == Some(&Value::Bool(true)));
    defaults
        .map(|stored| read(&stored.object))
        .min_by_key(|(_, value, _)| *value)
}
