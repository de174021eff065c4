//! Cross-origin rules of REST APIs: what an event says, and the preflight method of a path.
//!
//! Must not know: other methods.

use serde_json::{Map, Value, json};
use tidegate_yaml::Node;

use crate::service::context::{Context, is_mapping, is_truthy};
use crate::service::events::common::{Properties, truthy};
use crate::service::events::script;

const HEADERS: &[&str] = &[
    "Content-Type",
    "X-Amz-Date",
    "Authorization",
    "X-Api-Key",
    "X-Amz-Security-Token",
    "X-Amz-User-Agent",
    "X-Amzn-Trace-Id",
];

/// The rules of an event, or of a path.
#[derive(Clone, Debug, Default)]
pub(super) struct Cors {
    pub(super) origin: Option<String>,
    pub(super) origins: Vec<String>,
    methods: Vec<String>,
    headers: Vec<String>,
    pub(super) allows_credentials: bool,
    max_age: Option<String>,
    cache_control: Option<String>,
}

/// A path's rules and the place where they are written.
pub(super) struct Preflight<'c> {
    pub(super) path: String,
    pub(super) cors: Cors,
    pub(super) event: &'c Node,
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        tidegate_yaml::Value::Sequence(items) => items.iter().map(script::text).collect(),
        _ => vec![script::text(node)],
    }
}

fn union(first: &[String], second: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for item in first.iter().chain(second) {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
    all
}

impl Cors {
    /// Reads `cors` of an event whose method is given.
    pub(super) fn read(node: &Node, method: &str) -> Cors {
        let or = |key: &str, default: &[&str]| {
            let default = || default.iter().map(|text| (*text).to_owned()).collect();
            truthy(node, key).map_or_else(default, texts)
        };
        let mut cors = Cors {
            origin: Some("*".to_owned()),
            methods: or(
                "methods",
                if is_mapping(node) && node.get("methods").is_some() {
                    &[]
                } else {
                    &["OPTIONS"]
                },
            ),
            headers: or("headers", HEADERS),
            origins: or("origins", &[]),
            allows_credentials: truthy(node, "allowCredentials").is_some(),
            max_age: truthy(node, "maxAge").map(script::text),
            cache_control: truthy(node, "cacheControl").map(script::text),
        };
        if truthy(node, "origins").is_some() {
            cors.origin = None;
        }
        if let Some(origin) = node.get("origin").filter(|origin| is_truthy(origin)) {
            cors.origin = Some(script::text(origin));
        }
        for method in ["OPTIONS", method] {
            if !cors.methods.iter().any(|known| known == method) {
                cors.methods.push(method.to_owned());
            }
        }
        cors
    }

    /// The origin that an answer names.
    pub(super) fn answer(&self) -> String {
        if self.origins.is_empty() {
            return format!("'{}'", self.origin.as_deref().unwrap_or("undefined"));
        }
        format!("'{}'", self.origins.join(","))
    }

    /// Adds the rules of another event of the same path.
    pub(super) fn join(&mut self, other: &Cors) {
        self.headers = union(&other.headers, &self.headers);
        self.methods = union(&other.methods, &self.methods);
        self.origins = union(&other.origins, &self.origins);
        self.origin.clone_from(&other.origin);
        self.allows_credentials |= other.allows_credentials;
        if other.max_age.is_some() {
            self.max_age.clone_from(&other.max_age);
        }
        if other.cache_control.is_some() {
            self.cache_control.clone_from(&other.cache_control);
        }
    }

    /// The origins that a preflight tells apart, and the one that it names.
    fn origins(&self) -> (Vec<String>, String) {
        let listed = match &self.origin {
            Some(origin) if origin.contains(',') => {
                origin.split(',').map(|one| one.trim().to_owned()).collect()
            }
            _ => self.origins.clone(),
        };
        let first = listed.first().or(self.origin.as_ref()).cloned();
        (listed, first.unwrap_or_else(|| "undefined".to_owned()))
    }
}

/// The method that answers a browser's preflight.
pub(super) fn method(context: &Context<'_>, cors: &Cors, resource: &Value) -> Value {
    let (origins, origin) = cors.origins();
    let mut methods = cors.methods.join(",");
    if cors.methods.iter().any(|method| method == "ANY") {
        methods = methods.replacen("ANY", "DELETE,GET,HEAD,PATCH,POST,PUT", 1);
    }
    let mut headers = Properties::default();
    headers.set("Access-Control-Allow-Origin", format!("'{origin}'"));
    headers.set(
        "Access-Control-Allow-Headers",
        format!("'{}'", cors.headers.join(",")),
    );
    headers.set("Access-Control-Allow-Methods", format!("'{methods}'"));
    if cors.allows_credentials {
        headers.set("Access-Control-Allow-Credentials", "'true'");
    }
    if let Some(age) = &cors.max_age {
        headers.set("Access-Control-Max-Age", format!("'{age}'"));
    }
    if let Some(cache) = &cors.cache_control {
        headers.set("Cache-Control", format!("'{cache}'"));
    }
    let named = |value: &dyn Fn(&Value) -> Value| -> Map<String, Value> {
        let headers = headers.0.iter();
        headers
            .map(|(name, text)| (format!("method.response.header.{name}"), value(text)))
            .collect()
    };
    json!({
        "Type": "AWS::ApiGateway::Method",
        "Properties": {
            "AuthorizationType": "NONE",
            "HttpMethod": "OPTIONS",
            "MethodResponses": [{
                "StatusCode": "200",
                "ResponseParameters": named(&|_| Value::Bool(true)),
                "ResponseModels": {},
            }],
            "RequestParameters": {},
            "Integration": {
                "Type": "MOCK",
                "RequestTemplates": {"application/json": "{statusCode:200}"},
                "ContentHandling": "CONVERT_TO_TEXT",
                "IntegrationResponses": [{
                    "StatusCode": "200",
                    "ResponseParameters": named(&Value::clone),
                    "ResponseTemplates": {"application/json": echo(&origins)},
                }],
            },
            "ResourceId": resource,
            "RestApiId": super::reference(context),
        },
    })
}

/// Answers with the origin that asks, if it is one of those listed.
fn echo(origins: &[String]) -> String {
    if origins.is_empty() {
        return String::new();
    }
    let tests = origins.iter().map(|origin| {
        let pattern = origin.replace('.', "[.]").replacen('*', ".+", 1);
        format!("$origin.matches(\"{pattern}\")")
    });
    let tests: Vec<String> = tests.collect();
    let header = "$context.responseOverride.header.Access-Control-Allow-Origin";
    [
        "#set($origin = $input.params(\"Origin\"))".to_owned(),
        "#if($origin == \"\") #set($origin = $input.params(\"origin\")) #end".to_owned(),
        format!("#if({}) #set({header} = $origin) #end", tests.join(" || ")),
    ]
    .join("\n")
}

/// The rules of all paths, in the order in which they come up.
pub(super) fn preflights<'c>(endpoints: &[super::endpoint::Endpoint<'c>]) -> Vec<Preflight<'c>> {
    let mut all: Vec<Preflight<'c>> = Vec::new();
    for endpoint in endpoints {
        let Some(cors) = &endpoint.cors else {
            continue;
        };
        match all.iter_mut().find(|one| one.path == endpoint.path) {
            Some(known) => known.cors.join(cors),
            None => all.push(Preflight {
                path: endpoint.path.clone(),
                cors: {
                    let mut own = Cors::default();
                    own.join(cors);
                    own
                },
                event: endpoint.event,
            }),
        }
    }
    all
}
