//! What a binding runs with, made of what it says.

use std::sync::Arc;

use crate::binding::{
    Binding, CloudEventsMode, DestinationSettings, KafkaSettings, SourceSettings, TargetSettings,
};
use crate::destination::Destination;
use crate::destination::kafka::KafkaTopic;
use crate::event::EventShape;
use crate::filter::Filter;
use crate::metrics::Metrics;
use crate::runtime::Parts;
use crate::source::Source;
use crate::source::kafka::KafkaSource;
use crate::target::http::Http;
use crate::target::{Discard, Target};

/// Opens everything that a binding needs.
pub(super) async fn open(
    binding: &Binding,
    metrics: &Arc<Metrics>,
) -> Result<(Parts, Box<dyn Source>), String> {
    let SourceSettings::Kafka(kafka) = &binding.source;
    let (target, function) = target(binding)?;
    let parts = Parts {
        name: binding.name.as_str().into(),
        function: function.into(),
        shape: Arc::new(shape(kafka)),
        policy: Arc::new(binding.policy.clone()),
        filter: Arc::new(filter(binding)?),
        target,
        destination: destination(binding, kafka)?,
        metrics: Arc::clone(metrics),
        in_flight_max: binding.in_flight_max,
        drain: binding.drain,
    };
    let source = KafkaSource::open(kafka, binding.start)?;
    Ok((parts, Box::new(source)))
}

fn shape(kafka: &KafkaSettings) -> EventShape {
    let bootstrap_servers = Arc::clone(&kafka.bootstrap_servers);
    match &kafka.cluster_arn {
        Some(arn) => EventShape::Msk {
            cluster_arn: Arc::clone(arn),
            bootstrap_servers,
        },
        None => EventShape::SelfManagedKafka {
            event_source: Arc::clone(&kafka.event_source),
            bootstrap_servers,
        },
    }
}

fn filter(binding: &Binding) -> Result<Filter, String> {
    if binding.patterns.is_empty() {
        return Ok(Filter::default());
    }
    Err("FilterCriteria are not applied yet".to_owned())
}

fn target(binding: &Binding) -> Result<(Arc<dyn Target>, String), String> {
    let reports = binding.reports_item_failures;
    match &binding.target {
        TargetSettings::Discard => Ok((Arc::new(Discard), "discard".to_owned())),
        TargetSettings::Http {
            url,
            headers,
            timeout,
        } => Ok((
            Arc::new(Http::new(url, headers, *timeout, reports)?),
            url.clone(),
        )),
        TargetSettings::CloudEvents { mode, .. } => {
            let mode: &CloudEventsMode = mode;
            Err(format!("CloudEvents in mode {mode:?} are not sent yet"))
        }
        TargetSettings::Lambda { .. } => Err("Lambda is not invoked yet".to_owned()),
    }
}

fn destination(
    binding: &Binding,
    kafka: &KafkaSettings,
) -> Result<Option<Arc<dyn Destination>>, String> {
    match &binding.destination {
        None => Ok(None),
        Some(DestinationSettings::Kafka(topic)) => {
            Ok(Some(Arc::new(KafkaTopic::open(kafka, topic)?)))
        }
        Some(other) => Err(format!("{other:?} is no destination yet")),
    }
}
