//! `tidegate graph`: the dependency graph of a directory or an Application.

use anyhow::Result;
use tidegate::engine::{Wanted, worlds};
use tidegate::graph::{Graph, GraphOptions, NodeInput};
use tidegate::manifest::{Diagnostic, Object, Target, TargetKind};
use tidegate::{Place, SANDBOX, Tidegate};

use super::common;
use crate::arguments::{GraphArguments, GraphOutput};
use crate::exit::Exit;
use crate::output;

/// The group of Strimzi's kinds.
const STRIMZI: &str = "kafka.strimzi.io";

pub(crate) async fn run(arguments: GraphArguments) -> Result<Exit> {
    let is_path = std::path::Path::new(&arguments.subject).exists();
    let repo = if is_path {
        &arguments.subject
    } else {
        &arguments.repository.repo
    };
    // A picture of what is in Git: no target is asked, not even for its account.
    let tidegate = common::builder(repo, None, &arguments.repository.map)?
        .place(Place::Appliers(Vec::new()))
        .build()
        .await?;
    let names: Vec<String> = if is_path {
        tidegate.names().into_iter().map(str::to_owned).collect()
    } else {
        vec![tidegate.find(Some(&arguments.subject))?.to_owned()]
    };
    let mut findings = tidegate.declared().diagnostics.clone();
    let mut objects = Vec::new();
    for name in &names {
        objects.extend(rendered(&tidegate, name, &mut findings).await?);
    }
    let targets = [TargetKind::Kubernetes, TargetKind::Aws, TargetKind::Kafka]
        .map(|kind| Target::new(kind, SANDBOX));
    // No cluster is asked whether it serves Strimzi's kinds: it does where the repository brings a Kafka or their definitions.
    let has_strimzi = objects.iter().any(|object| {
        object.gvk.group == STRIMZI && object.gvk.kind == "Kafka"
            || object.gvk.kind == "CustomResourceDefinition" && object.name.ends_with(STRIMZI)
    });
    let inputs = objects.iter().flat_map(|object| {
        let world = world(object, has_strimzi);
        let target = targets.iter().find(|target| target.kind == world);
        target
            .into_iter()
            .flat_map(|target| NodeInput::of_object(object, target))
    });
    let graph = Graph::build(inputs, &GraphOptions::default());
    findings.extend(graph.diagnostics().to_vec());
    match arguments.output {
        GraphOutput::Dot => output::raw(&graph.to_dot())?,
        GraphOutput::Mermaid => output::raw(&graph.to_mermaid())?,
        GraphOutput::Json => output::json(&graph.to_json())?,
        GraphOutput::Svg => {
            output::raw(
                &graph.to_svg(&graph.critical_path(|_| std::time::Duration::from_secs(1))),
            )?;
        }
    }
    output::refuse_all(&findings);
    Ok(if findings.iter().any(Diagnostic::is_error) {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

/// The world that an object goes to; what a cluster may serve goes to Kafka where none serves it.
fn world(object: &Object, has_strimzi: bool) -> TargetKind {
    let worlds = worlds(&object.gvk.group_kind());
    let is_passed_over =
        |world: &TargetKind| *world == TargetKind::Kubernetes && worlds.len() > 1 && !has_strimzi;
    let chosen = worlds.iter().find(|world| !is_passed_over(world));
    chosen.copied().unwrap_or(TargetKind::Kubernetes)
}

/// The objects of an Application, in the namespace that it sends them to.
async fn rendered(
    tidegate: &Tidegate,
    name: &str,
    findings: &mut Vec<Diagnostic>,
) -> Result<Vec<Object>> {
    let desired = tidegate.render(name, Wanted::Newest).await?;
    findings.extend(desired.diagnostics);
    let namespace = desired.application.destination.namespace.clone();
    let mut objects: Vec<Object> = desired
        .sources
        .into_iter()
        .flat_map(|source| source.objects)
        .collect();
    for object in &mut objects {
        if object.namespace.is_empty() && !tidegate::is_cluster_scoped(object) {
            object.set_namespace(&namespace);
        }
    }
    Ok(objects)
}
