//! What an `http` event says, read and checked.
//!
//! Must not know: the resources that are made of it.

use serde_json::Value;
use tidegate_yaml::Node;

use super::authorizer::{self, Authorizer};
use super::cors::Cors;
use crate::service::context::{Context, Function, entries, is_mapping};
use crate::service::events::common::{text, truthy};
use crate::service::events::script;

/// A refusal: its message, and what to do.
pub(super) type Refusal = (String, &'static str);

/// An endpoint of a REST API.
pub(super) struct Endpoint<'c> {
    pub(super) function: &'c Function,
    pub(super) event: &'c Node,
    /// The path without slashes at its ends.
    pub(super) path: String,
    /// The method in upper case.
    pub(super) method: String,
    /// `AWS`, `AWS_PROXY`, `HTTP`, `HTTP_PROXY` or `MOCK`.
    pub(super) integration: String,
    pub(super) authorizer: Option<Authorizer>,
    pub(super) cors: Option<Cors>,
    /// The parameters of the method's request, in order.
    pub(super) parameters: Vec<(String, &'c Node)>,
    pub(super) connection: Option<String>,
    pub(super) statuses: Option<Vec<Status<'c>>>,
    pub(super) transfer: Option<String>,
    /// Whether settings of the request or response have no effect.
    pub(super) has_idle_settings: bool,
}

/// A status that an integration answers with.
#[derive(Clone)]
pub(super) struct Status<'c> {
    pub(super) code: String,
    pub(super) pattern: String,
    pub(super) settings: Option<&'c Node>,
}

/// What tells errors of a function by its message, by status.
const STATUSES: &[(&str, &str)] = &[
    ("200", ""),
    ("400", r"[\s\S]*\[400\][\s\S]*"),
    ("401", r"[\s\S]*\[401\][\s\S]*"),
    ("403", r"[\s\S]*\[403\][\s\S]*"),
    ("404", r"[\s\S]*\[404\][\s\S]*"),
    ("422", r"[\s\S]*\[422\][\s\S]*"),
    (
        "500",
        r"[\s\S]*(Process\s?exited\s?before\s?completing\s?request|\[500\])[\s\S]*",
    ),
    ("502", r"[\s\S]*\[502\][\s\S]*"),
    (
        "504",
        r"([\s\S]*\[504\][\s\S]*)|(.*Task timed out after \d+\.\d+ seconds$)",
    ),
];

impl<'c> Endpoint<'c> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// What the Serverless Framework refuses.
    pub(super) fn read(
        context: &'c Context<'_>,
        function: &'c Function,
        event: &'c Node,
    ) -> Result<Self, Refusal> {
        let (method, path) = method_and_path(event)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        let path = path.strip_suffix('/').unwrap_or(path).to_owned();
        let method = method.to_uppercase();
        let integration = integration(event);
        let authorizer = truthy(event, "authorizer");
        let authorizer = authorizer
            .map(|node| authorizer::read(context, node, &integration))
            .transpose()?;
        let cors = truthy(event, "cors").map(|node| Cors::read(node, &method));
        let mut endpoint = Endpoint {
            function,
            event,
            path,
            method,
            authorizer,
            cors,
            parameters: Vec::new(),
            connection: None,
            statuses: None,
            transfer: None,
            has_idle_settings: false,
            integration,
        };
        endpoint.read_transfer()?;
        endpoint.read_request()?;
        endpoint.read_statuses()?;
        Ok(endpoint)
    }

    /// The settings of the request.
    pub(super) fn request(&self) -> Option<&'c Node> {
        truthy(self.event, "request")
    }

    /// The settings of the response, where they count.
    pub(super) fn response(&self) -> Option<&'c Node> {
        self.statuses.as_ref()?;
        truthy(self.event, "response")
    }

    pub(super) fn is_proxy(&self) -> bool {
        self.integration.ends_with("_PROXY")
    }

    fn read_transfer(&mut self) -> Result<(), Refusal> {
        let response = truthy(self.event, "response");
        if let Some(mode) = response.and_then(|response| text(response, "transferMode")) {
            let key = &self.function.key;
            let upper = mode.to_uppercase();
            let help = "use BUFFERED or STREAM with a proxy integration, or leave it out";
            if !["BUFFERED", "STREAM"].contains(&upper.as_str()) {
                let message = format!(
                    "Invalid transferMode \"{mode}\" in function \"{key}\". Valid values are: BUFFERED, STREAM."
                );
                return Err((message, help));
            }
            if !self.is_proxy() {
                let integration = &self.integration;
                let message = format!(
                    "transferMode can only be used with AWS_PROXY or HTTP_PROXY integrations. Function \"{key}\" is using {integration} integration."
                );
                return Err((message, help));
            }
            self.transfer = Some(upper);
        }
        Ok(())
    }

    fn read_statuses(&mut self) -> Result<(), Refusal> {
        let response = truthy(self.event, "response");
        if self.is_proxy() {
            let keys = entries(response).iter();
            self.has_idle_settings |= keys
                .into_iter()
                .any(|(key, _)| &*key.text != "transferMode");
            return Ok(());
        }
        let named = response.and_then(|response| truthy(response, "statusCodes"));
        self.statuses = match (self.integration.as_str(), response, named) {
            ("MOCK", None, _) => None,
            ("MOCK", Some(_), Some(named)) => Some(statuses(named, false)),
            (_, Some(_), Some(named)) => Some(statuses(named, true)),
            ("AWS", _, None) | ("HTTP", Some(_), None) => Some(default_statuses()),
            _ => {
                let message = format!(
                    "the {} integration of function \"{}\" has no `response.statusCodes`",
                    self.integration, self.function.key
                );
                return Err((
                    message,
                    "say which statuses it answers with, `200: {pattern: ''}` for one",
                ));
            }
        };
        Ok(())
    }

    fn read_request(&mut self) -> Result<(), Refusal> {
        let request = self.request();
        if self.integration.starts_with("HTTP") {
            if request.and_then(|request| truthy(request, "uri")).is_none() {
                let integration = &self.integration;
                let message = format!(
                    "You need to set the request uri when using the {integration} integration."
                );
                return Err((message, "add `request.uri`"));
            }
            let connection = text(self.event, "connectionType");
            self.connection = connection.map(|kind| kind.to_uppercase().replacen('-', "_", 1));
            if self.connection.as_deref() == Some("VPC_LINK")
                && truthy(self.event, "connectionId").is_none()
            {
                let message = "You need to set connectionId when using VPC_LINK connectionType.";
                return Err((message.to_owned(), "add `connectionId`"));
            }
        }
        if self.is_proxy() {
            let allowed: &[&str] = match self.integration.as_str() {
                "AWS_PROXY" => &["parameters", "schema", "schemas"],
                _ => &["parameters", "uri", "schema", "schemas"],
            };
            let keys = entries(request).iter();
            self.has_idle_settings |= keys
                .into_iter()
                .any(|(key, _)| !allowed.contains(&&*key.text));
        }
        let parameters = request.and_then(|request| truthy(request, "parameters"));
        let Some(parameters) = parameters else {
            return Ok(());
        };
        if self.integration == "MOCK" {
            let raw = script::in_order(entries(Some(parameters))).into_iter();
            self.parameters = raw
                .map(|(key, node)| (key.text.to_string(), node))
                .collect();
            return Ok(());
        }
        for (plural, singular) in [
            ("querystrings", "querystring"),
            ("paths", "path"),
            ("headers", "header"),
        ] {
            for (key, node) in script::in_order(entries(truthy(parameters, plural))) {
                let name = format!("method.request.{singular}.{}", key.text);
                self.parameters.push((name, node));
            }
        }
        Ok(())
    }
}

/// Whether a parameter has to be there, as the method says it.
pub(super) fn is_required(node: &Node) -> Value {
    if !is_mapping(node) {
        return super::super::common::scalar(node);
    }
    let required = super::super::common::given(node, "required");
    required.map_or(Value::Bool(true), super::super::common::scalar)
}

fn method_and_path(event: &Node) -> Result<(String, String), Refusal> {
    let help = "write METHOD path, or a mapping with `method` and `path`";
    let pair = if is_mapping(event) {
        let part = |key: &str| event.get(key).map(script::text);
        part("method").zip(part("path"))
    } else {
        let written = script::text(event);
        let mut words = written.split(' ').map(str::to_owned);
        words.next().zip(words.next())
    };
    pair.ok_or_else(|| {
        (
            "this http event has no `method` or no `path`".to_owned(),
            help,
        )
    })
}

fn integration(event: &Node) -> String {
    let Some(named) = text(event, "integration") else {
        let is_async = truthy(event, "async").is_some();
        return if is_async { "AWS" } else { "AWS_PROXY" }.to_owned();
    };
    match named.to_uppercase().replacen('-', "_", 1).as_str() {
        "LAMBDA" => "AWS".to_owned(),
        "LAMBDA_PROXY" => "AWS_PROXY".to_owned(),
        other => other.to_owned(),
    }
}

fn default_statuses<'c>() -> Vec<Status<'c>> {
    let statuses = STATUSES.iter().map(|(code, pattern)| Status {
        code: (*code).to_owned(),
        pattern: (*pattern).to_owned(),
        settings: None,
    });
    statuses.collect()
}

/// The statuses that a service names; one of them has to stand for success.
fn statuses(named: &Node, adds_success: bool) -> Vec<Status<'_>> {
    let entries = script::in_order(entries(Some(named)));
    let mut statuses: Vec<Status<'_>> = entries
        .into_iter()
        .map(|(code, settings)| Status {
            code: code.text.to_string(),
            pattern: text(settings, "pattern").unwrap_or_default().to_owned(),
            settings: Some(settings),
        })
        .collect();
    let is_success = |status: &Status<'_>| {
        let pattern = status.settings.and_then(|settings| settings.get("pattern"));
        pattern.and_then(Node::as_str) == Some("")
    };
    if adds_success && !statuses.iter().any(is_success) {
        statuses.retain(|status| status.code != "200");
        let place = statuses
            .partition_point(|status| status.code.parse::<u32>().is_ok_and(|code| code < 200));
        let success = default_statuses().swap_remove(0);
        statuses.insert(place, success);
    }
    statuses
}
