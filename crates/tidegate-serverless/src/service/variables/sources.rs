//! Where variables get their values: the service itself, its inputs, files of the repository.
//!
//! Nothing is asked of a network: values that live elsewhere are given as options, or refused.

use tidegate_manifest::Origin;
use tidegate_render::DEFAULT_REGION;
use tidegate_render::walk::{Resolved, clean_path, join, resolve};
use tidegate_yaml::{Key, Node, Span, Value};

use super::parse::string;
use super::resolve::{Resolver, Step, coerce, step_into};
use crate::service::load;

/// Largest file that a variable names.
const FILE_MAX: u64 = 8 << 20;
/// How deep strings with variables may lie on the way through a file.
const NEST_MAX: usize = 10;

/// A question to a source.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    pub(crate) kind: &'c str,
    pub(crate) params: Option<&'c [Node]>,
    pub(crate) address: Option<&'c str>,
    pub(crate) has_fallback: bool,
    pub(crate) path: &'c [String],
}

/// Asks a source; none when it has no value.
///
/// # Errors
/// In the framework's words, or why a value is not to be had without a network.
pub(crate) fn ask(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    match call.kind {
        "self" => {
            let path = call.address.filter(|address| !address.is_empty());
            let path = path.map_or_else(Vec::new, split);
            resolver.value_at(&path)
        }
        "opt" => Ok(option(resolver, call)),
        "env" => variable(resolver, call),
        "param" => param(resolver, call),
        "sls" => sls(resolver, call),
        "aws" => aws(resolver, call),
        "file" => file(resolver, call),
        "strToBool" => boolean(call).map(Some),
        "ssm" => ssm(resolver, call),
        "cf" | "s3" => remote(resolver, call, "give its value as an option of that name"),
        "git" => git(resolver, call),
        other => recorded(resolver, call)
            .map(Some)
            .ok_or_else(|| format!("Unrecognized configuration variable sources: \"{other}\"")),
    }
}

/// What to do about a failure.
pub(crate) fn help(message: &str) -> &'static str {
    const HELP: &[(&str, &str)] = &[
        (
            "Circular",
            "break the circle: one of the values must be written down",
        ),
        (
            "\"env\" source",
            "add a fallback (`${env:NAME, 'value'}`), or give the variable in `variables`: nothing else of the environment is read",
        ),
        (
            "\"opt\" source",
            "add a fallback (`${opt:name, 'value'}`), or give the option",
        ),
        (
            "\"param\" source",
            "add the parameter below `params`, or give it with `--parameter`",
        ),
        (
            "\"file\" source",
            "commit the file, or correct its path: it is relative to the service's folder",
        ),
        ("a program", "write what it gives into a YAML or JSON file"),
        (
            "Unrecognized",
            "a plugin would give it: write the value down, or give it as the option `source:address`",
        ),
        (
            "without a network",
            "give it as the option `source:address`",
        ),
        ("random", "write a value down"),
        (
            "syntax error",
            "mend the variable; write `\\${` for text that is none",
        ),
    ];
    let found = HELP.iter().find(|(part, _)| message.contains(part));
    found.map_or(
        "correct the variable, or add a fallback behind a comma",
        |(_, help)| help,
    )
}

fn split(address: &str) -> Vec<String> {
    address.split('.').map(str::to_owned).collect()
}

fn needed<'c>(call: &Call<'c>) -> Step<&'c str> {
    let address = call.address.filter(|address| !address.is_empty());
    address.ok_or_else(|| {
        format!(
            "Missing address argument in variable \"{}\" source",
            call.kind
        )
    })
}

fn option(resolver: &Resolver<'_>, call: &Call<'_>) -> Option<Node> {
    let environment = resolver.inputs.environment;
    let mut options: Vec<(&str, &str)> = Vec::new();
    if let Some(stage) = &environment.stage {
        options.push(("stage", stage));
    }
    if environment.region != DEFAULT_REGION {
        options.push(("region", &environment.region));
    }
    let given = environment.options.iter();
    options.extend(given.map(|(key, value)| (key.as_str(), value.as_str())));
    if let Some(name) = call.address {
        let found = options.iter().rev().find(|(key, _)| *key == name);
        return found.map(|(_, value)| string(value));
    }
    let entries = options.iter().map(|(key, value)| {
        let key = Key {
            text: (*key).into(),
            span: Span::default(),
        };
        (key, string(value))
    });
    Some(Node {
        value: Value::Mapping(entries.collect()),
        span: Span::default(),
    })
}

fn variable(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    let name = needed(call)?;
    if let Some(value) = resolver.inputs.environment.variables.get(name) {
        return Ok(Some(string(value)));
    }
    if call.has_fallback {
        let message = format!("the environment variable {name} is not given: its fallback is used");
        let help =
            "give it in `variables` if it should count: nothing else of the environment is read";
        resolver
            .warnings
            .entry(message)
            .or_insert_with(|| (call.path.to_vec(), help));
    }
    Ok(None)
}

fn param(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    let name = needed(call)?;
    if let Some(value) = resolver.inputs.environment.parameters.get(name) {
        return Ok(Some(string(value)));
    }
    let stage = resolver.stage()?;
    for stage in [stage.as_str(), "default"] {
        for path in [
            vec!["params", stage, name],
            vec!["stages", stage, "params", name],
        ] {
            let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
            let found = resolver.reach(&path)?;
            if found.as_ref().is_some_and(|node| node.value != Value::Null) {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

fn sls(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    match needed(call)? {
        "stage" => Ok(Some(string(&resolver.stage()?))),
        "instanceId" => Err("\"sls:instanceId\" is random in every run: the same commit would never give the same template".to_owned()),
        other => Err(format!(
            "Unsupported \"{other}\" address argument in variable \"sls\" source"
        )),
    }
}

fn aws(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    let environment = resolver.inputs.environment;
    match needed(call)? {
        "accountId" => Ok(Some(string(&environment.account_id))),
        "region" if environment.region != DEFAULT_REGION => Ok(Some(string(&environment.region))),
        "region" => {
            let path = vec!["provider".to_owned(), "region".to_owned()];
            let region = resolver.value_at(&path)?;
            let region = region.filter(|node| node.value != Value::Null);
            Ok(Some(region.unwrap_or_else(|| string(DEFAULT_REGION))))
        }
        other => Err(format!(
            "Unsupported \"{other}\" address argument in variable \"aws\" source"
        )),
    }
}

fn boolean(call: &Call<'_>) -> Step<Node> {
    let given = call.params.and_then(<[Node]>::first);
    let given = given.and_then(coerce);
    let given = given.ok_or_else(|| "Missing \"strToBool\" input".to_owned())?;
    let value = match given.trim().to_lowercase().as_str() {
        "true" | "1" => true,
        "false" | "0" => false,
        _ => {
            return Err(format!(
                "Invalid \"strToBool\" input: Expected either \"true\", \"false\", \"0\", or \"1\". Received: {given}"
            ));
        }
    };
    Ok(Node {
        value: Value::Bool(value),
        span: Span::default(),
    })
}

/// A value that was given for a source and an address: the option `source:address`.
fn recorded(resolver: &Resolver<'_>, call: &Call<'_>) -> Option<Node> {
    let name = format!("{}:{}", call.kind, call.address.unwrap_or_default());
    let value = resolver.inputs.environment.options.get(&name)?;
    Some(string(value))
}

fn remote(resolver: &Resolver<'_>, call: &Call<'_>, what: &str) -> Step<Option<Node>> {
    let address = needed(call)?;
    match recorded(resolver, call) {
        Some(value) => Ok(Some(value)),
        None => Err(format!(
            "\"{}:{address}\" lives in AWS and templates are read without a network: {what}",
            call.kind
        )),
    }
}

/// A parameter of Systems Manager is read when the template is applied: CloudFormation has a
/// reference for it.
fn ssm(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    const SECRETS: &str = "/aws/reference/secretsmanager/";
    let address = needed(call)?;
    if let Some(value) = recorded(resolver, call) {
        return Ok(Some(value));
    }
    let address = address.trim_end_matches("~true").trim_end_matches("~split");
    let is_name = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let region = call.params.unwrap_or_default().iter().find(|param| {
        let text = param.as_str();
        text.is_some() && !matches!(text, Some("raw" | "noDecrypt"))
    });
    if region.is_some() || !is_name(address) {
        return remote(
            resolver,
            call,
            "a reference reaches only parameters of the same region",
        );
    }
    let reference = match address.strip_prefix(SECRETS) {
        Some(secret) => format!("{{{{resolve:secretsmanager:{secret}}}}}"),
        None => format!("{{{{resolve:ssm:{address}}}}}"),
    };
    Ok(Some(string(&reference)))
}

/// The commit, as the plugin for Git names it.
fn git(resolver: &Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    if let Some(value) = recorded(resolver, call) {
        return Ok(Some(value));
    }
    let commit = resolver.inputs.origin.commit.trim_end_matches("+dirty");
    match (call.address, commit.get(..7)) {
        (Some("commit"), Some(_)) => Ok(Some(string(commit))),
        (Some("sha1"), Some(short)) => Ok(Some(string(short))),
        _ => Err("Unrecognized configuration variable sources: \"git\"".to_owned()),
    }
}

fn file(resolver: &mut Resolver<'_>, call: &Call<'_>) -> Step<Option<Node>> {
    let name = call.params.and_then(<[Node]>::first);
    let name = name.filter(|name| name.value != Value::Null);
    let name =
        name.ok_or_else(|| "Missing path argument in variable \"file\" source".to_owned())?;
    let name = coerce(name)
        .ok_or_else(|| "Non-string path argument in variable \"file\" source".to_owned())?;
    let content = match resolver.files.get(&name) {
        Some(content) => content.clone()?,
        None => {
            let content = read(resolver, &name);
            resolver.files.insert(name.clone(), content.clone());
            content?
        }
    };
    let Some(mut here) = content else {
        return Ok(None);
    };
    let address = call.address.filter(|address| !address.is_empty());
    for step in address.map(split).unwrap_or_default() {
        if let Some(text) = here.as_str().filter(|text| text.contains("${")) {
            here = resolver.text(text, call.path, NEST_MAX)?;
        }
        match step_into(&here, &step) {
            Some(next) => here = next.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(here))
}

fn read(resolver: &Resolver<'_>, name: &str) -> Step<Option<Node>> {
    let inputs = resolver.inputs;
    let extension = name
        .rsplit('/')
        .next()
        .and_then(|last| last.rsplit_once('.'));
    let extension = extension.map_or("", |(_, extension)| extension);
    if matches!(extension, "js" | "cjs" | "mjs" | "ts" | "mts") {
        return Err(format!("{name:?} is a program, which is not run"));
    }
    let outside = || format!("{name:?} lies outside the repository");
    if name.starts_with('/') || name.starts_with('~') {
        return Err(outside());
    }
    let path = clean_path(&join(inputs.directory, name)).map_err(|_| outside())?;
    let place = match resolve(inputs.tree, &path) {
        Ok(Resolved::File(place)) => place,
        Ok(Resolved::Missing(_)) => return Ok(None),
        Ok(Resolved::Directory(_) | Resolved::Submodule(_)) => {
            return Err(format!("Cannot parse \"{name}\": it is no file"));
        }
        Err(error) => return Err(format!("Cannot parse \"{name}\": {error}")),
    };
    let bytes = inputs
        .tree
        .read(&place, FILE_MAX)
        .map_err(|error| format!("Cannot parse \"{name}\": {error}"))?;
    match extension {
        "yml" | "yaml" | "json" | "tfstate" => {
            if bytes.iter().all(u8::is_ascii_whitespace) && extension.starts_with('y') {
                return Ok(None);
            }
            let origin = Origin {
                path: path.clone(),
                ..inputs.origin.clone()
            };
            load::parse(&bytes, &origin).map(Some).map_err(|errors| {
                let told: Vec<String> = errors
                    .into_iter()
                    .map(|error| format!("{} ({}:{})", error.message, path, error.origin.line))
                    .collect();
                told.join("; ")
            })
        }
        _ => String::from_utf8(bytes)
            .map(|text| Some(string(&text)))
            .map_err(|_| format!("Cannot parse \"{name}\": it is no text")),
    }
}
