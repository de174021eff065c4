//! Where the records of a mapping come from.
//!
//! Must not know: settings other than those that name the source.

use serde_json::{Map, Value, json};
use tidegate_sandbox_aws::service::{Neighbours, Refusal, Scope};

use crate::fault::invalid;

/// A source of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A Kinesis stream, or a consumer of one.
    Kinesis {
        /// The ARN as the request gave it.
        arn: String,
    },
    /// The change log of a table.
    Table {
        /// The stream's ARN.
        arn: String,
    },
    /// A queue.
    Queue {
        /// Its ARN.
        arn: String,
        /// Is it a FIFO queue?
        fifo: bool,
    },
    /// Kafka, managed or not, which the sandbox does not poll itself.
    Kafka,
}

impl Source {
    /// The source that a request names.
    ///
    /// # Errors
    /// It names none, or one that the sandbox does not have.
    pub(crate) fn of(input: &Value) -> Result<Self, Refusal> {
        let managed = input["EventSourceArn"].as_str();
        let own = input["SelfManagedEventSource"].as_object();
        let arn = match (managed, own) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "Only one of EventSourceArn and SelfManagedEventSource can be specified.",
                ));
            }
            (None, None) => return Err(invalid("Unrecognized event source.")),
            (None, Some(own)) => {
                let servers = own
                    .get("Endpoints")
                    .and_then(|ends| ends["KAFKA_BOOTSTRAP_SERVERS"].as_array())
                    .filter(|servers| !servers.is_empty() && servers.len() <= 10);
                if servers.is_none() {
                    return Err(invalid(
                        "SelfManagedEventSource must name 1 to 10 KAFKA_BOOTSTRAP_SERVERS.",
                    ));
                }
                return Ok(Self::Kafka);
            }
            (Some(arn), None) => arn.to_owned(),
        };
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let ["arn", _, service, _, _, resource] = parts[..] else {
            return Err(crate::fault::constraint(
                &arn,
                "eventSourceArn",
                "Member must satisfy regular expression pattern: arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)",
            ));
        };
        match service {
            "kinesis" if resource.starts_with("stream/") => Ok(Self::Kinesis { arn }),
            "dynamodb" if resource.contains("/stream/") => Ok(Self::Table { arn }),
            "sqs" => {
                let fifo = resource.ends_with(".fifo");
                Ok(Self::Queue { arn, fifo })
            }
            "kafka" => Ok(Self::Kafka),
            "mq" | "rds" => Err(invalid(format!(
                "the sandbox has no brokers or databases to read {arn} from"
            ))),
            _ => Err(invalid("Unrecognized event source.")),
        }
    }

    /// The ARN, when records come from one.
    pub(crate) fn arn(&self) -> &str {
        match self {
            Self::Kinesis { arn } | Self::Table { arn } | Self::Queue { arn, .. } => arn,
            Self::Kafka => "",
        }
    }

    /// Does it keep records in shards?
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Kinesis { .. } | Self::Table { .. })
    }

    /// Is this, as a request names it, the source of an existing mapping?
    pub(super) fn is_same(&self, other: &Self, shown: &Map<String, Value>, input: &Value) -> bool {
        match self {
            Self::Kafka => ["EventSourceArn", "SelfManagedEventSource", "Topics"]
                .iter()
                .all(|field| shown.get(*field).unwrap_or(&Value::Null) == &input[*field]),
            own => own == other,
        }
    }

    /// What is said of a second mapping between the same two.
    pub(super) fn duplicate(&self, function: &str, uuid: &str) -> String {
        let arn = self.arn();
        match self {
            Self::Queue { .. } => format!(
                "An event source mapping with SQS arn (\" {arn} \") and function (\" {function} \") already exists. Please update or delete the existing mapping with UUID {uuid}"
            ),
            Self::Kafka => format!(
                "An event source mapping with the given event source, topics and function (\" {function} \") already exists. Please update or delete the existing mapping with UUID {uuid}"
            ),
            _ => format!(
                "The event source arn (\" {arn} \") and function (\" {function} \") provided mapping already exists. Please update or delete the existing mapping with UUID {uuid}"
            ),
        }
    }

    /// Refuses when there is no such source, or when its messages come back before a function that runs for up to
    /// `seconds` is done with them.
    pub(super) fn check(
        &self,
        neighbours: &Neighbours,
        scope: &Scope,
        seconds: u64,
    ) -> Result<(), Refusal> {
        let feeds = neighbours.feeds();
        match self {
            Self::Kafka => Ok(()),
            Self::Kinesis { arn } => match feeds.shards(arn) {
                Some(_) => Ok(()),
                None => Err(invalid(format!("Stream not found: {arn}"))),
            },
            Self::Table { arn } => {
                match feeds.log_origin(arn, tidegate_sandbox_aws::feeds::LogOrigin::Latest) {
                    Some(_) => Ok(()),
                    None => Err(invalid(format!("Stream not found: {arn}"))),
                }
            }
            Self::Queue { arn, .. } => {
                let visible = visibility(neighbours, scope, arn).ok_or_else(|| {
                    invalid(
                        "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not exist.",
                    )
                })?;
                if visible < seconds {
                    return Err(invalid(format!(
                        "Queue visibility timeout: {visible} seconds is less than Function timeout: {seconds} seconds"
                    )));
                }
                Ok(())
            }
        }
    }
}

/// The seconds for which a queue hides what was received; `None` when there is no such queue.
pub(crate) fn visibility(neighbours: &Neighbours, scope: &Scope, arn: &str) -> Option<u64> {
    let region = arn.split(':').nth(3).unwrap_or(&scope.region);
    let scope = Scope {
        region: region.to_owned(),
        ..scope.clone()
    };
    let input =
        json!({"QueueUrl": arn.rsplit(':').next(), "AttributeNames": ["VisibilityTimeout"]});
    let answer = neighbours
        .call(&scope, "sqs", "GetQueueAttributes", &input)
        .ok()?;
    answer["Attributes"]["VisibilityTimeout"]
        .as_str()?
        .parse()
        .ok()
}
