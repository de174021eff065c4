//! What a binding runs with, made of what it says.

use std::sync::Arc;

use tidegate_aws::{Aws, AwsOptions};

use crate::binding::{
    AwsSettings, Binding, DestinationSettings, KafkaSettings, SourceSettings, TargetSettings,
};
use crate::destination::Destination;
use crate::destination::aws::{Bucket, Queue, Topic};
use crate::destination::kafka::KafkaTopic;
use crate::event::EventShape;
use crate::filter::{Filter, Kind};
use crate::metrics::Metrics;
use crate::runtime::Parts;
use crate::source::Source;
use crate::source::kafka::KafkaSource;
use crate::target::cloudevents::{CloudEvents, CloudEventsOptions};
use crate::target::http::Http;
use crate::target::lambda::Lambda;
use crate::target::{Discard, Target};

/// Opens everything that a binding needs.
pub(super) async fn open(
    binding: &Binding,
    metrics: &Arc<Metrics>,
) -> Result<(Parts, Box<dyn Source>), String> {
    let SourceSettings::Kafka(kafka) = &binding.source;
    let mut aws = Lazy::new(&binding.aws);
    let (target, function) = target(binding, &mut aws).await?;
    let destination = destination(binding, kafka, &mut aws).await?;
    let parts = Parts {
        name: binding.name.as_str().into(),
        function: function.into(),
        shape: Arc::new(shape(kafka)),
        policy: Arc::new(binding.policy.clone()),
        filter: Arc::new(filter(binding)?),
        target,
        destination,
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
    Filter::new(Kind::Kafka, &binding.patterns).map_err(|(_, error)| error)
}

/// The connection to AWS, made when something wants it first.
struct Lazy<'a> {
    settings: &'a AwsSettings,
    aws: Option<Aws>,
}

impl<'a> Lazy<'a> {
    fn new(settings: &'a AwsSettings) -> Self {
        Self {
            settings,
            aws: None,
        }
    }

    async fn get(&mut self) -> Result<&Aws, String> {
        if self.aws.is_none() {
            let options = AwsOptions {
                region: self.settings.region.clone(),
                role_arn: self.settings.role_arn.clone(),
                endpoint_url: self.settings.endpoint_url.clone(),
                fixed_credentials: self.settings.fixed_credentials.clone(),
            };
            let connected = Aws::connect(&options).await;
            self.aws = Some(connected.map_err(|error| format!("AWS cannot be reached: {error}"))?);
        }
        self.aws.as_ref().ok_or_else(String::new)
    }
}

async fn target(
    binding: &Binding,
    aws: &mut Lazy<'_>,
) -> Result<(Arc<dyn Target>, String), String> {
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
        TargetSettings::CloudEvents {
            url,
            mode,
            kind,
            source,
            headers,
            timeout,
        } => {
            let options = CloudEventsOptions {
                url: url.clone(),
                mode: *mode,
                kind: kind.clone(),
                source: source.clone(),
                headers: headers.clone(),
                timeout: *timeout,
                reports_item_failures: reports,
            };
            Ok((Arc::new(CloudEvents::new(options)?), url.clone()))
        }
        TargetSettings::Lambda { function } => {
            let aws = aws.get().await?;
            let arn = function_arn(aws, function);
            Ok((Arc::new(Lambda::new(aws, function, reports)), arn))
        }
    }
}

/// The ARN of a function that is named by name, by `name:alias` or by ARN.
fn function_arn(aws: &Aws, function: &str) -> String {
    if function.starts_with("arn:") {
        return function.to_owned();
    }
    aws.arn("lambda", &format!("function:{function}"))
}

async fn destination(
    binding: &Binding,
    kafka: &KafkaSettings,
    aws: &mut Lazy<'_>,
) -> Result<Option<Arc<dyn Destination>>, String> {
    let Some(settings) = &binding.destination else {
        return Ok(None);
    };
    Ok(Some(match settings {
        DestinationSettings::Kafka(topic) => Arc::new(KafkaTopic::open(kafka, topic)?),
        DestinationSettings::Sqs(arn) => Arc::new(Queue::open(aws.get().await?, arn).await?),
        DestinationSettings::Sns(arn) => Arc::new(Topic::new(aws.get().await?, arn)),
        DestinationSettings::S3(name) => Arc::new(Bucket::new(aws.get().await?, name)),
    }))
}
