//! Built-in objects as they come in: unknown fields are found and dropped, the rest is decoded as into Go structs.

use serde_json::Value;
use tidegate_diff::typed;

use crate::gotypes::{Table, json};
use crate::write::Target;

/// Drops unknown fields, nulls and what is empty; returns the paths of the unknown fields, or why the body cannot be
/// decoded.
pub(crate) fn prune_builtin(target: &Target, body: &mut Value) -> Result<Vec<String>, String> {
    let version = target.resource.version(&target.version);
    let mut unknown = Vec::new();
    if let Some(ty) = version.and_then(|version| version.smd.as_ref()) {
        unknown = typed::unknown_fields(ty, body)
            .iter()
            .map(|path| path.to_string().trim_start_matches('.').to_owned())
            .collect();
        if !unknown.is_empty() {
            typed::drop_unknown(ty, body);
        }
    }
    decode(target, body)?;
    Ok(unknown)
}

/// Checks the types of a built-in object, and brings it into the form that decoding gives it.
pub(crate) fn decode(target: &Target, body: &mut Value) -> Result<(), String> {
    let (group, kind) = (target.resource.name.group(), &target.resource.kind);
    match Table::get().kind(group, &target.version, kind) {
        Some(id) => json::decode(id, body),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::resource::ResourceName;
    use crate::write::Part;
    use serde_json::json;

    fn run(resource: &ResourceName, mut body: Value) -> (Result<Vec<String>, String>, Value) {
        let resource = Registry::new(Vec::new()).get(resource).unwrap();
        let version = resource.storage().name.clone();
        let target = Target {
            resource,
            version,
            namespace: String::new(),
            name: String::new(),
            part: Part::Main,
        };
        let result = prune_builtin(&target, &mut body);
        (result, body)
    }

    const DEPLOYMENTS: ResourceName = ResourceName::new("apps", "deployments");
    const MAPS: ResourceName = ResourceName::new("", "configmaps");

    #[test]
    fn unknown_fields_and_nulls_go() {
        let body = json!({"spec": {"replicas": null, "replica": 1, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}});
        let (result, body) = run(&DEPLOYMENTS, body);
        assert_eq!(
            result.unwrap(),
            ["spec.replica", "spec.template.spec.containers[0].imag"]
        );
        assert_eq!(
            body,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}})
        );
        let (result, body) = run(&MAPS, json!({"data": {"a": null, "b": "1"}}));
        assert_eq!(result.unwrap(), Vec::<String>::new());
        assert_eq!(body, json!({"data": {"a": "", "b": "1"}}));
    }

    #[test]
    fn wrong_types_are_refused_as_go_does() {
        let check = |name: ResourceName, body: Value, expected: &str| {
            assert_eq!(run(&name, body).0.unwrap_err(), expected);
        };
        check(
            DEPLOYMENTS,
            json!({"spec": {"replicas": "three"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            MAPS,
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        check(
            DEPLOYMENTS,
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        );
    }
}
