//! Defaults of pods and of everything inside a pod template: containers, probes, volumes.

use serde_json::{Map, Value, json};

use super::{is_empty, put, sub, text};

/// The permissions of projected files: 0644.
const FILE_MODE: i32 = 0o644;

pub(super) fn rules(name: &str, map: &mut Map<String, Value>) {
    match name {
        "core.v1.PodSpec" => spec(map),
        "core.v1.Container" | "core.v1.EphemeralContainer" => container(map),
        "core.v1.ContainerPort" => put(map, "protocol", "TCP"),
        "core.v1.Probe" => {
            put(map, "timeoutSeconds", 1);
            put(map, "periodSeconds", 10);
            put(map, "successThreshold", 1);
            put(map, "failureThreshold", 3);
        }
        "core.v1.HTTPGetAction" => {
            put(map, "path", "/");
            put(map, "scheme", "HTTP");
        }
        "core.v1.GRPCAction" => put(map, "service", ""),
        "core.v1.ObjectFieldSelector" => put(map, "apiVersion", "v1"),
        "core.v1.FileKeySelector" => put(map, "optional", false),
        _ => volume_rules(name, map),
    }
}

fn spec(map: &mut Map<String, Value>) {
    put(map, "dnsPolicy", "ClusterFirst");
    put(map, "restartPolicy", "Always");
    put(map, "securityContext", json!({}));
    put(map, "terminationGracePeriodSeconds", 30);
    put(map, "schedulerName", "default-scheduler");
    // The old name of the account is kept alongside.
    for (from, to) in [
        ("serviceAccountName", "serviceAccount"),
        ("serviceAccount", "serviceAccountName"),
    ] {
        if let Some(account) = map.get(from).cloned() {
            map.insert(to.to_owned(), account);
        }
    }
}

fn container(map: &mut Map<String, Value>) {
    let policy = pull_policy(text(map, "image"));
    put(map, "imagePullPolicy", policy);
    put(map, "terminationMessagePath", "/dev/termination-log");
    put(map, "terminationMessagePolicy", "File");
}

/// `Always` for images of the tag `latest`, also by omission; a digest alone is no tag.
fn pull_policy(image: &str) -> &'static str {
    let (named, digest) = match image.split_once('@') {
        Some((named, _)) => (named, true),
        None => (image, false),
    };
    let last = named.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
        // What is no image reference has no tag either.
        None if digest || !is_reference(image) => "IfNotPresent",
        None => "Always",
    }
}

/// Whether an image without tag and digest is a reference at all: lower-case parts between slashes.
fn is_reference(image: &str) -> bool {
    let part = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().next_back())
            && part
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            path.split('/').all(part)
        }
        _ => !image.is_empty() && image.split('/').all(part),
    }
}

fn volume_rules(name: &str, map: &mut Map<String, Value>) {
    match name {
        "core.v1.Volume" if map.keys().all(|key| key == "name") => {
            map.insert("emptyDir".to_owned(), json!({}));
        }
        "core.v1.ImageVolumeSource" => {
            let policy = pull_policy(text(map, "reference"));
            put(map, "pullPolicy", policy);
        }
        "core.v1.SecretVolumeSource"
        | "core.v1.ConfigMapVolumeSource"
        | "core.v1.DownwardAPIVolumeSource"
        | "core.v1.ProjectedVolumeSource" => put(map, "defaultMode", FILE_MODE),
        "core.v1.ServiceAccountTokenProjection" => put(map, "expirationSeconds", 3_600),
        "core.v1.HostPathVolumeSource" => put(map, "type", ""),
        "core.v1.ISCSIVolumeSource" | "core.v1.ISCSIPersistentVolumeSource" => {
            put(map, "iscsiInterface", "default");
        }
        "core.v1.RBDVolumeSource" | "core.v1.RBDPersistentVolumeSource" => {
            put(map, "pool", "rbd");
            put(map, "user", "admin");
            put(map, "keyring", "/etc/ceph/keyring");
        }
        "core.v1.AzureDiskVolumeSource" => {
            put(map, "cachingMode", "ReadWrite");
            put(map, "kind", "Shared");
            put(map, "fsType", "ext4");
            put(map, "readOnly", false);
        }
        "core.v1.ScaleIOVolumeSource" | "core.v1.ScaleIOPersistentVolumeSource" => {
            put(map, "storageMode", "ThinProvisioned");
            put(map, "fsType", "xfs");
        }
        "core.v1.ResourceFieldSelector" => put(map, "divisor", "0"),
        _ => {}
    }
}

/// What only a pod itself gets, not a template: requests from limits, host ports, service links.
pub(super) fn whole(map: &mut Map<String, Value>) {
    let spec = sub(map, "spec");
    put(spec, "enableServiceLinks", true);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers"] {
        let Some(Value::Array(containers)) = spec.get_mut(list) else {
            continue;
        };
        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
            request_limits(container);
            if host_network {
                host_ports(container);
            }
        }
    }
    request_limits(spec);
}

fn request_limits(owner: &mut Map<String, Value>) {
    let Some(Value::Object(resources)) = owner.get_mut("resources") else {
        return;
    };
    if is_empty(resources, "limits") {
        return;
    }
    let limits = resources
        .get("limits")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let requests = sub(resources, "requests");
    for (name, amount) in limits {
        requests.entry(name).or_insert(amount);
    }
}

fn host_ports(container: &mut Map<String, Value>) {
    let Some(Value::Array(ports)) = container.get_mut("ports") else {
        return;
    };
    for port in ports.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(number) = port.get("containerPort").cloned() {
            put(port, "hostPort", number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pull_policy;

    #[test]
    fn images_without_a_lasting_tag_are_always_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("127.0.0.1:5000/a/nginx", "Always"),
            ("127.0.0.1:5000/a/nginx:2", "IfNotPresent"),
            ("nginx@sha256:0123", "IfNotPresent"),
            ("nginx:latest@sha256:0123", "Always"),
            ("", "IfNotPresent"),
            ("Not An Image", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }
}
