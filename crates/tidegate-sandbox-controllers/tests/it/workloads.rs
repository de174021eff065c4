//! Workloads go through the same statuses as in a real Kubernetes 1.36 (recorded there, uids and times left out).

use crate::lab::Lab;
use serde_json::json;

const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:1"}]}
"#;

#[test]
fn look() {
    let mut lab = Lab::new();
    lab.run(1.0);
    lab.apply(DEPLOYMENT);
    lab.run(3.0);
    lab.patch("Deployment", "web", json!({"spec": {"template": {"metadata": {"labels": {"v": "2"}}}}}));
    lab.run(5.0);
    eprintln!("{}", lab.transcript("Deployment", "web", &["status.observedGeneration","status.replicas","status.updatedReplicas","status.readyReplicas","status.availableReplicas","status.unavailableReplicas","status.terminatingReplicas", "conditions"]));
    for pod in lab.list("Pod") { eprintln!("{}", lab.transcript("Pod", pod["metadata"]["name"].as_str().unwrap(), &["status.phase", "conditions"])); eprintln!("{}", serde_json::to_string_pretty(&*pod).unwrap()); break; }
    for e in lab.list("Event") { eprintln!("{} {} {}", e["involvedObject"]["name"], e["reason"], e["message"]); }
    eprintln!("{}", lab.seconds());
    panic!("look");
}
