//! Manifests as a data team writes them, and applications made of them. Every number gives another object.

use std::fmt::Write as _;
use std::sync::Arc;

use tidegate_engine::{Desired, RenderedSource};
use tidegate_manifest::{AppProject, Application, Documents, Object, Origin, read_documents};
use tidegate_yaml::{ParseOptions, parse_stream};

/// A Deployment of two containers; about 60 lines.
pub fn deployment(number: usize) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: ingest-{number}
  namespace: streaming
  labels: {{app.kubernetes.io/name: ingest, app.kubernetes.io/instance: ingest-{number}}}
  annotations:
    team: analytics
    argocd.argoproj.io/sync-wave: \"{wave}\"
spec:
  replicas: 3
  selector:
    matchLabels: {{app.kubernetes.io/instance: ingest-{number}}}
  strategy:
    rollingUpdate: {{maxSurge: 25%, maxUnavailable: 0}}
  template:
    metadata:
      labels: {{app.kubernetes.io/instance: ingest-{number}}}
    spec:
      serviceAccountName: ingest
      containers:
        - name: ingest
          image: registry.example/ingest:1.{number}.0
          args: [\"--topic\", \"clicks\", \"--group\", 'ingest-{number}']
          env:
            - name: BOOTSTRAP
              value: kafka-bootstrap:9092
            - name: PASSWORD
              valueFrom:
                secretKeyRef: {{name: ingest, key: password}}
          envFrom:
            - configMapRef:
                name: settings-{number}
          ports:
            - containerPort: 8080
              name: http
          resources:
            requests: {{cpu: 250m, memory: 512Mi}}
            limits: {{memory: 1Gi}}
          readinessProbe:
            httpGet: {{path: /ready, port: http}}
            periodSeconds: 5
          volumeMounts:
            - name: settings
              mountPath: /etc/ingest
        - name: exporter
          image: registry.example/exporter:2.1.0
          ports:
            - containerPort: 9100
              name: metrics
      volumes:
        - name: settings
          configMap:
            name: settings-{number}
",
        wave = number % 5
    )
}

/// A ConfigMap with a block of text and values that must stay strings; no namespace.
pub fn config_map(number: usize) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings-{number}
  labels: {{app.kubernetes.io/instance: ingest-{number}}}
data:
  mode: \"0644\"
  enabled: \"yes\"
  ingest.properties: |
    group.id=ingest-{number}
    auto.offset.reset=earliest
    max.poll.records=500
    # flushed every second
    flush.interval.ms=1000
"
    )
}

/// A Service before a Deployment.
pub fn service(number: usize) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: ingest-{number}, namespace: streaming}}
spec:
  selector: {{app.kubernetes.io/instance: ingest-{number}}}
  ports:
    - name: http
      port: 80
      targetPort: http
"
    )
}

/// The `number`th manifest of a mix: a Deployment, its ConfigMap, its Service, and again.
pub fn mixed(number: usize) -> String {
    let of = number / 3;
    match number % 3 {
        0 => deployment(of),
        1 => config_map(of).replace("  name:", "  namespace: streaming\n  name:"),
        _ => service(of),
    }
}

/// `count` manifests in one stream.
pub fn stream(count: usize, manifest: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = write!(text, "---\n{}", manifest(number));
        text
    })
}

/// The objects of a stream.
///
/// # Panics
/// When the fixture is no valid manifest.
pub fn objects(text: &str) -> Vec<Object> {
    let documents = read(text);
    assert!(
        documents.diagnostics.is_empty(),
        "{:?}",
        documents.diagnostics
    );
    documents.objects
}

fn read(text: &str) -> Documents {
    let origin = Origin {
        repository: "https://git.example/pipelines".to_owned(),
        commit: "5f2b6c1d0a9e8f7d6c5b4a39281706f5e4d3c2b1".to_owned(),
        path: "all.yaml".to_owned(),
        ..Origin::default()
    };
    let mut documents = Documents::default();
    for document in parse_stream(text.as_bytes(), &ParseOptions::default()).documents {
        read_documents(&document.root, &origin, &mut documents);
    }
    documents
}

/// An application that makes its namespace.
///
/// # Panics
/// When the fixture is no valid Application.
pub fn application(name: &str, namespace: &str) -> Arc<Application> {
    let text = format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: {name}}}
spec:
  project: default
  source: {{repoURL: https://git.example/pipelines, path: .}}
  destination: {{name: bench, namespace: {namespace}}}
  syncPolicy: {{syncOptions: [CreateNamespace=true]}}
"
    );
    let mut found = read(&text);
    Arc::new(
        found
            .applications
            .pop()
            .expect("the text is an Application"),
    )
}

/// The desired state of an application.
pub fn desired(name: &str, namespace: &str, objects: Vec<Object>) -> Desired {
    Desired {
        application: application(name, namespace),
        project: Arc::new(AppProject::permissive("default")),
        sources: vec![RenderedSource {
            revision: "5f2b6c1d0a9e8f7d6c5b4a39281706f5e4d3c2b1".to_owned(),
            source_type: "Directory".to_owned(),
            objects,
        }],
        diagnostics: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_another_object() {
        let found = objects(&stream(300, mixed));
        let names: std::collections::BTreeSet<String> = found.iter().map(Object::short).collect();
        assert_eq!(names.len(), 300);
        assert_eq!(application("a", "b").destination.namespace, "b");
    }
}
