//! Fields of known kinds that hold the name of another object, as a table.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::path;
use crate::reader::{Identity, Need, Place, ReferenceReader, References, View};
use crate::{Relation, Strength};

type Kind = (&'static str, &'static str);

/// Where the named object lives.
#[derive(Clone, Copy, Debug)]
enum Home {
    /// In the namespace beside the name, else in that of the object.
    Same,
    /// As `Same`, and elsewhere when just one bears the name.
    Near,
    /// Outside namespaces.
    Cluster,
}

/// One field: the kind that has it, its path, what it names unless `kind` and `group` stand beside the name.
#[derive(Debug)]
struct Row {
    of: Kind,
    path: &'static str,
    to: Kind,
    home: Home,
    relation: Relation,
}

const fn row(of: Kind, path: &'static str, to: Kind, home: Home, relation: Relation) -> Row {
    Row {
        of,
        path,
        to,
        home,
        relation,
    }
}

const CORE: &str = "";
const ARGO: &str = "argoproj.io";
const CERT: &str = "cert-manager.io";
const ESO: &str = "external-secrets.io";
const FLINK: &str = "flink.apache.org";
const GATEWAY: &str = "gateway.networking.k8s.io";
const KEDA: &str = "keda.sh";
const EVENTING: &str = "eventing.knative.dev";

static ROWS: &[Row] = &[
    row(
        (CORE, "PersistentVolumeClaim"),
        "spec.volumeName",
        (CORE, "PersistentVolume"),
        Home::Cluster,
        Relation::Volume,
    ),
    row(
        (CORE, "Secret"),
        "metadata.annotations.kubernetes/io~service-account/name",
        (CORE, "ServiceAccount"),
        Home::Same,
        Relation::ServiceAccount,
    ),
    row(
        ("networking.k8s.io", "IngressClass"),
        "spec.parameters.name",
        (CORE, ""),
        Home::Same,
        Relation::Reference,
    ),
    // Flink
    row(
        (FLINK, "FlinkSessionJob"),
        "spec.deploymentName",
        (FLINK, "FlinkDeployment"),
        Home::Same,
        Relation::Cluster,
    ),
    // Knative
    row(
        (EVENTING, "Trigger"),
        "spec.broker",
        (EVENTING, "Broker"),
        Home::Same,
        Relation::Broker,
    ),
    row(
        (EVENTING, "Trigger"),
        "spec.brokerRef.name",
        (EVENTING, "Broker"),
        Home::Same,
        Relation::Broker,
    ),
    // Argo Rollouts, Workflows, Events, CD
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.stableService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.canaryService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.pingPong.pingService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.pingPong.pongService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.blueGreen.activeService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.blueGreen.previewService",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.analysis.templates[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.steps[].analysis.templates[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.steps[].experiment.analyses[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.blueGreen.prePromotionAnalysis.templates[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.blueGreen.postPromotionAnalysis.templates[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.trafficRouting.nginx.stableIngress",
        ("networking.k8s.io", "Ingress"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.trafficRouting.alb.ingress",
        ("networking.k8s.io", "Ingress"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.trafficRouting.istio.virtualService.name",
        ("networking.istio.io", "VirtualService"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (ARGO, "Rollout"),
        "spec.strategy.canary.trafficRouting.istio.destinationRule.name",
        ("networking.istio.io", "DestinationRule"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (ARGO, "Experiment"),
        "spec.analyses[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "AnalysisTemplate"),
        "spec.templates[].templateName",
        (ARGO, "AnalysisTemplate"),
        Home::Same,
        Relation::Analysis,
    ),
    row(
        (ARGO, "Workflow"),
        "spec.workflowTemplateRef.name",
        (ARGO, "WorkflowTemplate"),
        Home::Same,
        Relation::Template,
    ),
    row(
        (ARGO, "CronWorkflow"),
        "spec.workflowSpec.workflowTemplateRef.name",
        (ARGO, "WorkflowTemplate"),
        Home::Same,
        Relation::Template,
    ),
    row(
        (ARGO, "EventSource"),
        "spec.eventBusName",
        (ARGO, "EventBus"),
        Home::Same,
        Relation::Broker,
    ),
    row(
        (ARGO, "Sensor"),
        "spec.eventBusName",
        (ARGO, "EventBus"),
        Home::Same,
        Relation::Broker,
    ),
    row(
        (ARGO, "Sensor"),
        "spec.dependencies[].eventSourceName",
        (ARGO, "EventSource"),
        Home::Same,
        Relation::Broker,
    ),
    row(
        (ARGO, "Application"),
        "spec.project",
        (ARGO, "AppProject"),
        Home::Near,
        Relation::Project,
    ),
    row(
        (ARGO, "ApplicationSet"),
        "spec.template.spec.project",
        (ARGO, "AppProject"),
        Home::Near,
        Relation::Project,
    ),
    // cert-manager
    row(
        (CERT, "Certificate"),
        "spec.issuerRef.name",
        (CERT, "Issuer"),
        Home::Same,
        Relation::Issuer,
    ),
    row(
        (CERT, "CertificateRequest"),
        "spec.issuerRef.name",
        (CERT, "Issuer"),
        Home::Same,
        Relation::Issuer,
    ),
    row(
        ("networking.k8s.io", "Ingress"),
        "metadata.annotations.cert-manager/io~issuer",
        (CERT, "Issuer"),
        Home::Same,
        Relation::Issuer,
    ),
    row(
        ("networking.k8s.io", "Ingress"),
        "metadata.annotations.cert-manager/io~cluster-issuer",
        (CERT, "ClusterIssuer"),
        Home::Cluster,
        Relation::Issuer,
    ),
    // External Secrets
    row(
        (ESO, "ExternalSecret"),
        "spec.secretStoreRef.name",
        (ESO, "SecretStore"),
        Home::Same,
        Relation::SecretStore,
    ),
    row(
        (ESO, "ExternalSecret"),
        "spec.data[].sourceRef.storeRef.name",
        (ESO, "SecretStore"),
        Home::Same,
        Relation::SecretStore,
    ),
    row(
        (ESO, "ExternalSecret"),
        "spec.dataFrom[].sourceRef.storeRef.name",
        (ESO, "SecretStore"),
        Home::Same,
        Relation::SecretStore,
    ),
    row(
        (ESO, "PushSecret"),
        "spec.secretStoreRefs[].name",
        (ESO, "SecretStore"),
        Home::Same,
        Relation::SecretStore,
    ),
    row(
        (ESO, "PushSecret"),
        "spec.selector.secret.name",
        (CORE, "Secret"),
        Home::Same,
        Relation::Secret,
    ),
    // KEDA
    row(
        (KEDA, "ScaledObject"),
        "spec.scaleTargetRef.name",
        ("apps", "Deployment"),
        Home::Same,
        Relation::ScaleTarget,
    ),
    row(
        (KEDA, "ScaledObject"),
        "spec.triggers[].authenticationRef.name",
        (KEDA, "TriggerAuthentication"),
        Home::Same,
        Relation::Authentication,
    ),
    row(
        (KEDA, "ScaledJob"),
        "spec.triggers[].authenticationRef.name",
        (KEDA, "TriggerAuthentication"),
        Home::Same,
        Relation::Authentication,
    ),
    // Gateway API
    row(
        (GATEWAY, "HTTPRoute"),
        "spec.parentRefs[].name",
        (GATEWAY, "Gateway"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (GATEWAY, "GRPCRoute"),
        "spec.parentRefs[].name",
        (GATEWAY, "Gateway"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (GATEWAY, "TCPRoute"),
        "spec.parentRefs[].name",
        (GATEWAY, "Gateway"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (GATEWAY, "TLSRoute"),
        "spec.parentRefs[].name",
        (GATEWAY, "Gateway"),
        Home::Same,
        Relation::Gateway,
    ),
    row(
        (GATEWAY, "HTTPRoute"),
        "spec.rules[].backendRefs[].name",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (GATEWAY, "GRPCRoute"),
        "spec.rules[].backendRefs[].name",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (GATEWAY, "TCPRoute"),
        "spec.rules[].backendRefs[].name",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    row(
        (GATEWAY, "TLSRoute"),
        "spec.rules[].backendRefs[].name",
        (CORE, "Service"),
        Home::Same,
        Relation::Service,
    ),
    // Ingress as it was before networking.k8s.io/v1, and its v1 form
    row(
        ("networking.k8s.io", "Ingress"),
        "spec.defaultBackend.resource.name",
        (CORE, ""),
        Home::Same,
        Relation::Service,
    ),
    // Policies
    row(
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicyBinding",
        ),
        "spec.policyName",
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        Home::Cluster,
        Relation::Template,
    ),
    row(
        (
            "admissionregistration.k8s.io",
            "MutatingAdmissionPolicyBinding",
        ),
        "spec.policyName",
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        Home::Cluster,
        Relation::Template,
    ),
];

/// Reads the table's fields.
#[derive(Debug)]
pub(crate) struct Table {
    rows: HashMap<Kind, Vec<&'static Row>>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut rows: HashMap<Kind, Vec<&'static Row>> = HashMap::new();
        for row in ROWS {
            rows.entry(row.of).or_default().push(row);
        }
        Self { rows }
    }
}

impl ReferenceReader for Table {
    fn read<'a>(&self, view: &View<'a>, found: &mut References<'a>) {
        let key = (view.key.group.as_str(), view.key.kind.as_str());
        for row in self.rows.get(&key).into_iter().flatten() {
            path::texts(view.body, row.path, |field, name, holder| {
                if !name.is_empty() {
                    found.need(need(view, row, field, name, holder));
                }
            });
        }
    }
}

fn need<'a>(view: &View<'a>, row: &Row, field: &str, name: &'a str, holder: &'a Value) -> Need<'a> {
    let beside = |key: &str| {
        holder
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    // Only a reference that is a mapping with `name` says more of itself beside the name.
    let is_reference = row.path.ends_with(".name");
    let kind = beside("kind").filter(|_| is_reference);
    let group = beside("apiVersion")
        .map(|version| version.rsplit_once('/').map_or("", |(group, _)| group))
        .or_else(|| beside("apiGroup"))
        .or_else(|| beside("group"))
        .filter(|_| is_reference);
    let is_cluster_scoped = holder.get("clusterScope") == Some(&Value::Bool(true));
    let kind = match kind {
        Some(kind) => Cow::Borrowed(kind),
        None if is_cluster_scoped => Cow::Owned(format!("Cluster{}", row.to.1)),
        None => Cow::Borrowed(row.to.1),
    };
    let group = match group {
        Some(group) => Some(Cow::Borrowed(group)),
        // Another kind than the usual one may be of another group.
        None if *kind != *row.to.1 && !kind.ends_with(row.to.1) => None,
        None => Some(Cow::Borrowed(row.to.0)),
    };
    let own = || Cow::Borrowed(beside("namespace").unwrap_or(&view.key.namespace));
    let place = match row.home {
        Home::Same if kind.starts_with("Cluster") => Place::Cluster,
        Home::Same => Place::Namespace(own()),
        Home::Near => Place::Nearest(own()),
        Home::Cluster => Place::Cluster,
    };
    Need {
        identity: Identity {
            group,
            kind,
            place,
            name: Cow::Borrowed(name),
        },
        relation: row.relation.clone(),
        field: field.to_owned(),
        strength: Strength::Firm,
    }
}
