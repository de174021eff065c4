//! Reviews: kinds that are only asked, never stored. The sandbox allows everything to whoever holds its token.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::respond::{Body, json_reply};
use super::{Call, USER, options, special};
use crate::object;
use crate::status::Status;

pub(crate) fn serve(call: &Call<'_>, verb: &str, body: &Bytes) -> Result<Response<Body>, Status> {
    if verb != "create" || !call.path.subresource.is_empty() {
        return Err(Status::method_not_allowed());
    }
    let (mut review, _) = options::decode(call, body)?;
    if call.resource.is("", "bindings") {
        let options = options::write_options(call, "CreateOptions")?;
        return special::bind(call, &review, &options);
    }
    let user = json!({"username": USER, "groups": ["system:masters", "system:authenticated"]});
    let status = match call.resource.name.resource() {
        "selfsubjectaccessreviews" | "subjectaccessreviews" | "localsubjectaccessreviews" => {
            json!({"allowed": true})
        }
        "selfsubjectrulesreviews" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "selfsubjectreviews" => json!({"userInfo": user}),
        "tokenreviews" => {
            let given = object::text(&review, &["spec", "token"]);
            if given == call.api.token {
                json!({"authenticated": true, "user": user})
            } else {
                json!({"user": {}, "error": "[invalid bearer token]"})
            }
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let api_version = call.resource.api_version(&call.path.version);
    let map = object::ensure(&mut review);
    map.insert("kind".to_owned(), Value::String(call.resource.kind.clone()));
    map.insert("apiVersion".to_owned(), Value::String(api_version));
    object::child(map, "metadata");
    map.insert("status".to_owned(), status);
    Ok(json_reply(StatusCode::CREATED, &review))
}
