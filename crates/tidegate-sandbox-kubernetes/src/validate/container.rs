//! Containers: names, images, ports, variables, mounts, resources, security.

use std::collections::HashSet;

use serde_json::{Value, json};
use tidegate_gocompat::Quantity;

use super::at::{At, Checks};
use super::{formats, probe};
use crate::status::Cause;

/// What containers of one pod share.
pub(super) struct Pod<'a> {
    /// Names of volumes, and whether a claim is behind.
    pub(super) volumes: Vec<(&'a str, bool)>,
    pub(super) host_network: bool,
}

/// The containers of a pod, all kinds.
pub(super) fn all(checks: &mut Checks, spec: &At<'_>, pod: &Pod<'_>) {
    let containers = spec.get("containers");
    if containers.is_empty() {
        checks.required(&containers, "");
    }
    let mut names: HashSet<&str> = HashSet::new();
    for container in containers.items() {
        common(checks, &container, pod);
        image_has_no_blanks(checks, &container);
        let name = container.get("name");
        if !names.insert(name.text()) && !name.is_empty() {
            checks.duplicate(&name);
        }
        if container.get("lifecycle").is_set() {
            probe::lifecycle(checks, &container.get("lifecycle"));
        }
        probe::all(checks, &container);
    }
    host_port_conflicts(checks, &containers.items());
    for container in spec.get("initContainers").items() {
        common(checks, &container, pod);
        init(checks, &container, &mut names);
    }
    for container in spec.get("ephemeralContainers").items() {
        common(checks, &container, pod);
        let name = container.get("name");
        if !names.insert(name.text()) && !name.is_empty() {
            checks.duplicate(&name);
        }
        for field in [
            "ports",
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            if container.get(field).is_set() {
                checks.forbidden(
                    &container.get(field),
                    "cannot be set for an Ephemeral Container",
                );
            }
        }
    }
}

fn init<'a>(checks: &mut Checks, container: &At<'a>, names: &mut HashSet<&'a str>) {
    let policy = container.get("restartPolicy");
    checks.one_of_if_set(&policy, &["Always", "Never", "OnFailure"]);
    let name = container.get("name");
    if !names.insert(name.text()) && !name.is_empty() {
        checks.duplicate(&name);
    }
    host_port_conflicts(checks, std::slice::from_ref(container));
    if policy.text() == "Always" {
        if container.get("lifecycle").is_set() {
            probe::lifecycle(checks, &container.get("lifecycle"));
        }
        probe::all(checks, container);
    } else {
        for field in [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ] {
            if container.get(field).is_set() {
                let why = "may not be set for init containers without restartPolicy=Always";
                checks.forbidden(&container.get(field), why);
            }
        }
    }
    image_has_no_blanks(checks, container);
}

fn common(checks: &mut Checks, container: &At<'_>, pod: &Pod<'_>) {
    checks.named(&container.get("name"), formats::label);
    checks.present(&container.get("image"));
    checks.one_of(
        &container.get("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(checks, &container.get("ports"), pod);
    env(checks, &container.get("env"));
    env_from(checks, &container.get("envFrom"));
    mounts(checks, container, pod);
    checks.one_of(
        &container.get("imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    resources(checks, &container.get("resources"));
    security(checks, &container.get("securityContext"));
}

fn image_has_no_blanks(checks: &mut Checks, container: &At<'_>) {
    let image = container.get("image");
    if image.text().trim() != image.text() {
        checks.invalid(&image, "must not have leading or trailing whitespace");
    }
}

fn ports(checks: &mut Checks, ports: &At<'_>, pod: &Pod<'_>) {
    let mut names = HashSet::new();
    for port in ports.items() {
        let name = port.get("name");
        if !name.is_empty() {
            let whys = formats::port_name(name.text());
            if whys.is_empty() {
                if !names.insert(name.text()) {
                    checks.duplicate(&name);
                }
            } else {
                checks.format(&name, formats::port_name);
            }
        }
        let number = port.get("containerPort");
        if number.number().unwrap_or(0) == 0 {
            checks.required(&number, "");
        } else {
            checks.in_range(&number, 1, 65_535);
        }
        let host = port.get("hostPort");
        if host.number().is_some_and(|number| number != 0) {
            checks.in_range(&host, 1, 65_535);
        }
        protocol(checks, &port.get("protocol"));
    }
    if pod.host_network {
        for port in ports.items() {
            let (host, number) = (port.get("hostPort"), port.get("containerPort"));
            if host.is_set() && host.value != number.value {
                let why = "must match `containerPort` when `hostNetwork` is true";
                checks.invalid(&host, why);
            }
        }
    }
}

pub(super) fn protocol(checks: &mut Checks, at: &At<'_>) {
    if at.is_empty() {
        checks.required(at, "");
    } else {
        checks.one_of(at, &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts(checks: &mut Checks, containers: &[At<'_>]) {
    let mut taken = HashSet::new();
    for port in containers
        .iter()
        .flat_map(|container| container.get("ports").items())
    {
        let host = port.get("hostPort");
        let Some(number) = host.number().filter(|number| *number != 0) else {
            continue;
        };
        let text = format!(
            "{}/{}/{number}",
            port.get("protocol").text(),
            port.get("hostIP").text()
        );
        if !taken.insert(text.clone()) {
            checks.add(Cause::duplicate(host.path.as_str(), &json!(text)));
        }
    }
}

fn env(checks: &mut Checks, list: &At<'_>) {
    for variable in list.items() {
        checks.named(&variable.get("name"), formats::env_name);
        let source = variable.get("valueFrom");
        if source.is_set() {
            env_source(checks, &variable, &source);
        }
    }
}

/// Paths of a pod that a variable may show.
const ENV_PATHS: [&str; 8] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
];

fn env_source(checks: &mut Checks, variable: &At<'_>, source: &At<'_>) {
    let mut sources = 0;
    let mut each = |name: &str| {
        let at = source.get(name);
        sources += usize::from(at.is_set());
        at.is_set().then_some(at)
    };
    if let Some(reference) = each("fieldRef") {
        field_ref(checks, &reference, &ENV_PATHS);
    }
    if let Some(reference) = each("resourceFieldRef") {
        resource_ref(checks, &reference);
    }
    for kind in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = each(kind) {
            checks.format(&reference.get("name"), formats::subdomain);
            checks.named(&reference.get("key"), formats::config_key);
        }
    }
    each("fileKeyRef");
    if variable.get("value").text() != "" {
        if sources > 0 {
            checks.invalid_as(
                source.path.as_str(),
                &json!(""),
                "may not be specified when `value` is not empty",
            );
        }
    } else if sources == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        checks.invalid_as(source.path.as_str(), &json!(""), why);
    } else if sources > 1 {
        checks.invalid_as(
            source.path.as_str(),
            &json!(""),
            "may not have more than one field specified at a time",
        );
    }
}

pub(super) fn field_ref(checks: &mut Checks, reference: &At<'_>, known: &[&str]) {
    let path = reference.get("fieldPath");
    if path.is_empty() {
        checks.required(&path, "");
        return;
    }
    let text = path.text();
    let subscript = text
        .strip_suffix(']')
        .and_then(|rest| rest.split_once("['").or_else(|| rest.split_once('[')));
    match subscript {
        Some((base, key)) => {
            let key = key.trim_end_matches('\'');
            match base {
                "metadata.annotations" => {
                    for why in formats::qualified(&key.to_lowercase()) {
                        checks.invalid(&path, &why);
                    }
                }
                "metadata.labels" => {
                    for why in formats::qualified(key) {
                        checks.invalid(&path, &why);
                    }
                }
                _ => checks.invalid(
                    &path,
                    &format!("field label does not support subscript: {base}"),
                ),
            }
        }
        None => {
            let labels = ["metadata.labels", "metadata.annotations"].contains(&text);
            let supported = ENV_PATHS.contains(&text) || labels || text == "status.podIPs";
            if !supported {
                let why = format!("error converting fieldPath: field label not supported: {text}");
                checks.invalid(&path, &why);
            } else if !known.contains(&text) && text != "status.podIPs" {
                let mut list: Vec<&str> = known.to_vec();
                if known.len() == ENV_PATHS.len() {
                    list.push("status.podIPs");
                }
                checks.add(Cause::not_supported(path.path.as_str(), path.value, &list));
            }
        }
    }
}

const RESOURCE_PATHS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub(super) fn resource_ref(checks: &mut Checks, reference: &At<'_>) {
    let resource = reference.get("resource");
    if resource.is_empty() {
        checks.required(&resource, "");
    } else if !resource.text().starts_with("limits.hugepages-")
        && !resource.text().starts_with("requests.hugepages-")
    {
        checks.one_of(&resource, &RESOURCE_PATHS);
    }
}

fn env_from(checks: &mut Checks, list: &At<'_>) {
    for source in list.items() {
        if !source.get("prefix").is_empty() {
            checks.format(&source.get("prefix"), formats::env_name);
        }
        let mut count = 0;
        for kind in ["configMapRef", "secretRef"] {
            let reference = source.get(kind);
            if reference.is_set() {
                count += 1;
                checks.format(&reference.get("name"), formats::subdomain);
            }
        }
        if count == 0 {
            let why = "must specify one of: `configMapRef` or `secretRef`";
            checks.invalid_as(list.path.as_str(), &json!(""), why);
        } else if count > 1 {
            let why = "may not have more than one field specified at a time";
            checks.invalid_as(list.path.as_str(), &json!(""), why);
        }
    }
}

fn mounts(checks: &mut Checks, container: &At<'_>, pod: &Pod<'_>) {
    let list = container.get("volumeMounts");
    let mut paths = HashSet::new();
    let known = |name: &str| pod.volumes.iter().any(|(volume, _)| *volume == name);
    for mount in list.items() {
        let name = mount.get("name");
        checks.present(&name);
        if !known(name.text()) {
            let shown = json!(name.text());
            checks.add(Cause::new(
                "FieldValueNotFound",
                name.path.as_str(),
                format!("Not found: {shown}"),
            ));
        }
        let path = mount.get("mountPath");
        checks.present(&path);
        if !paths.insert(path.text()) {
            checks.invalid(&path, "must be unique");
        }
        // The real server forgets the position here.
        for field in ["subPath", "subPathExpr"] {
            let at = mount.get(field);
            for why in formats::local_path(at.text()) {
                checks.invalid_as(list.path_of(field), at.value, &why);
            }
        }
        if !mount.get("subPath").is_empty() && !mount.get("subPathExpr").is_empty() {
            let value = mount.get("subPathExpr").value;
            checks.invalid_as(
                list.path_of("subPathExpr"),
                value,
                "subPathExpr and subPath are mutually exclusive",
            );
        }
        checks.one_of_if_set(
            &mount.get("mountPropagation"),
            &["Bidirectional", "HostToContainer", "None"],
        );
    }
    for device in container.get("volumeDevices").items() {
        let name = device.get("name");
        checks.present(&name);
        checks.present(&device.get("devicePath"));
        if !pod
            .volumes
            .iter()
            .any(|(volume, claim)| *volume == name.text() && *claim)
            && !name.is_empty()
        {
            if known(name.text()) {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                checks.invalid(&name, why);
            } else {
                checks.add(Cause::new(
                    "FieldValueNotFound",
                    name.path.as_str(),
                    format!("Not found: {}", name.value),
                ));
            }
        }
    }
}

/// Resources with a meaning for containers, next to hugepages and extended resources.
const STANDARD: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];

fn resources(checks: &mut Checks, at: &At<'_>) {
    let (limits, requests) = (at.get("limits"), at.get("requests"));
    for (name, amount) in limits.entries() {
        resource(checks, name, &amount);
    }
    for (name, amount) in requests.entries() {
        resource(checks, name, &amount);
        let limit = limits.value.get(name);
        let less = match (limit.and_then(amount_of), amount_of(amount.value)) {
            (Some(limit), Some(request)) => request > limit,
            _ => false,
        };
        let strict = !is_native(name) || name.starts_with("hugepages-");
        if let Some(limit) = limit.filter(|limit| strict && *limit != amount.value) {
            let why = format!(
                "must be equal to {name} limit of {}",
                limit.as_str().unwrap_or("")
            );
            checks.invalid_as(requests.path.as_str(), amount.value, &why);
        } else if let Some(limit) = limit.filter(|_| less) {
            let why = format!(
                "must be less than or equal to {name} limit of {}",
                limit.as_str().unwrap_or("")
            );
            checks.invalid_as(requests.path.as_str(), amount.value, &why);
        } else if limit.is_none() && strict {
            checks.required(
                &limits,
                "Limit must be set for non overcommitable resources",
            );
        }
    }
}

pub(super) fn amount_of(value: &Value) -> Option<Quantity> {
    Quantity::parse(value.as_str()?).ok()
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn resource(checks: &mut Checks, name: &str, amount: &At<'_>) {
    for why in formats::qualified(name) {
        checks.invalid_as(amount.path.as_str(), &json!(name), &why);
    }
    if !name.contains('/') {
        let hugepages = name.starts_with("hugepages-");
        if !STANDARD.contains(&name) && !hugepages {
            if !super::others::is_standard_resource(name) {
                let why = "must be a standard resource type or fully qualified";
                checks.invalid_as(amount.path.as_str(), &json!(name), why);
            }
            let why = "must be a standard resource for containers";
            checks.invalid_as(amount.path.as_str(), &json!(name), why);
        }
    }
    quantity(checks, name, amount);
}

/// An amount is not negative; of what cannot be divided it is whole.
pub(super) fn quantity(checks: &mut Checks, name: &str, amount: &At<'_>) {
    let Some(parsed) = amount_of(amount.value) else {
        return;
    };
    if parsed.as_f64() < 0.0 {
        checks.invalid(amount, "must be greater than or equal to 0");
    }
    let whole =
        super::others::is_counted(name) || (!is_native(name) && !name.starts_with("requests."));
    if whole && parsed.as_f64().fract() != 0.0 {
        checks.invalid(amount, "must be an integer");
    }
}

fn security(checks: &mut Checks, at: &At<'_>) {
    if !at.is_set() {
        return;
    }
    for field in ["runAsUser", "runAsGroup"] {
        let id = at.get(field);
        if id.is_set() {
            checks.in_range(&id, 0, i64::from(i32::MAX));
        }
    }
    checks.one_of_if_set(&at.get("procMount"), &["Default", "Unmasked"]);
    seccomp(checks, &at.get("seccompProfile"));
    let refused = at.get("allowPrivilegeEscalation");
    if *refused.value == Value::Bool(false) {
        if at.get("privileged").is_true() {
            let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            checks.invalid_shown(at, &shown_security(at), why);
        }
        let added = at.get("capabilities").get("add").items();
        if added.iter().any(|one| one.text() == "CAP_SYS_ADMIN") {
            let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            checks.invalid_shown(at, &shown_security(at), why);
        }
    }
}

/// A security context as the real server's errors show it: its internal type, in that type's order.
fn shown_security(at: &At<'_>) -> String {
    const FIELDS: [&str; 12] = [
        "capabilities",
        "privileged",
        "seLinuxOptions",
        "windowsOptions",
        "runAsUser",
        "runAsGroup",
        "runAsNonRoot",
        "readOnlyRootFilesystem",
        "allowPrivilegeEscalation",
        "procMount",
        "seccompProfile",
        "appArmorProfile",
    ];
    let shown = FIELDS.map(|field| {
        let name = match field {
            "seLinuxOptions" => "SELinuxOptions".to_owned(),
            other => format!("{}{}", other[..1].to_uppercase(), &other[1..]),
        };
        format!("\"{name}\":{}", at.get(field).value)
    });
    format!("{{{}}}", shown.join(","))
}

pub(super) fn seccomp(checks: &mut Checks, at: &At<'_>) {
    if !at.is_set() {
        return;
    }
    let (kind, file) = (at.get("type"), at.get("localhostProfile"));
    match kind.text() {
        "Localhost" => {
            if !file.is_set() {
                checks.required(&file, "must be set when seccomp type is Localhost");
            } else {
                checks.format(&file, formats::local_path);
            }
        }
        _ => {
            if file.is_set() {
                checks.invalid(&file, "can only be set when seccomp type is Localhost");
            }
            if kind.is_empty() {
                checks.required(&kind, "type is required when seccompProfile is set");
            } else {
                checks.one_of(&kind, &["Localhost", "RuntimeDefault", "Unconfined"]);
            }
        }
    }
}
