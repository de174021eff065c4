//! ConfigMaps and Secrets of literals, files and env files, and the hash in their names.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::fault::{CODE_GENERATOR, Fault, Outcome};
use crate::go_json;
use crate::kustomization::{GeneratorArgs, GeneratorOptions};
use crate::loader::Loader;
use crate::node::{Key, Node, Scalar, Tag};
use crate::read;
use crate::resource::{Behavior, Resource, Source, quoted_where_typed};

/// Characters of a line of base64.
const BASE64_LINE: usize = 70;
/// Longest line of an env file; a longer one ends the file, as in the original.
const MAX_ENV_LINE: usize = 64 << 10;

/// What a generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    ConfigMap,
    Secret,
}

/// Makes the object of a generator.
pub(crate) fn make(
    made: Made,
    args: &GeneratorArgs,
    global: Option<&GeneratorOptions>,
    loader: &Loader,
    source: Source,
) -> Outcome<Resource> {
    let fault = |message: String| Fault::new(CODE_GENERATOR, message);
    if args.name.is_empty() {
        return Err(fault("a configmap must have a name".to_owned()));
    }
    let kind = match made {
        Made::ConfigMap => "ConfigMap",
        Made::Secret => "Secret",
    };
    let text = |text: &str| quoted_where_typed(Node::string(text));
    let mut metadata = vec![(Key::new("name"), text(&args.name))];
    if !args.namespace.is_empty() {
        metadata.push((Key::new("namespace"), text(&args.namespace)));
    }
    let mut entries = vec![
        (Key::new("apiVersion"), Node::string("v1")),
        (Key::new("kind"), Node::string(kind)),
        (Key::new("metadata"), Node::Map(metadata)),
    ];
    if made == Made::Secret {
        let name = if args.r#type.is_empty() {
            "Opaque"
        } else {
            &args.r#type
        };
        entries.push((Key::new("type"), Node::string(name)));
    }
    let pairs = pairs(args, loader)?;
    let (mut data, mut binary) = (Vec::new(), Vec::new());
    for (key, value) in &pairs {
        let key = Key::new(key);
        match (made, std::str::from_utf8(value)) {
            (Made::ConfigMap, Ok(text)) => data.push((key, Node::string(text))),
            (Made::ConfigMap, Err(_)) => binary.push((key, Node::string(&base64_lines(value)))),
            (Made::Secret, _) => data.push((key, Node::string(&base64_lines(value)))),
        }
    }
    if !data.is_empty() || made == Made::Secret {
        entries.push((Key::new("data"), Node::Map(data)));
    }
    if !binary.is_empty() {
        entries.push((Key::new("binaryData"), Node::Map(binary)));
    }
    let mut resource = Resource::new(Node::Map(entries), source);
    let options = merged_options(args.options.as_ref(), global);
    if let Some(options) = &options {
        if !options.labels.is_empty() {
            resource.set_texts("labels", &options.labels);
        }
        if !options.annotations.is_empty() {
            resource.set_texts("annotations", &options.annotations);
        }
        if options.immutable {
            let flag = Scalar {
                text: "true".into(),
                tag: Tag::Bool,
                ..Scalar::default()
            };
            resource.node.insert("immutable", Node::Scalar(flag));
        }
    }
    resource.needs_hash = !options.is_some_and(|options| options.disable_name_suffix_hash);
    resource.behavior = Some(Behavior::named(&args.behavior));
    Ok(resource)
}

/// A generator's own options, filled up with those for all.
fn merged_options(
    own: Option<&GeneratorOptions>,
    global: Option<&GeneratorOptions>,
) -> Option<GeneratorOptions> {
    let Some(global) = global else {
        return own.cloned();
    };
    let mut options = own.cloned().unwrap_or_default();
    let fill = |own: &mut BTreeMap<String, String>, more: &BTreeMap<String, String>| {
        for (key, value) in more {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    };
    fill(&mut options.labels, &global.labels);
    fill(&mut options.annotations, &global.annotations);
    options.disable_name_suffix_hash |= global.disable_name_suffix_hash;
    options.immutable |= global.immutable;
    Some(options)
}

fn pairs(args: &GeneratorArgs, loader: &Loader) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let loading = |what: &str, fault: Fault| fault.prefix(&format!("loading KV pairs: {what}"));
    let listed = |kind: &str, list: &[String]| format!("{kind} sources: [{}]", list.join(" "));
    let fault = |message: String| Fault::new(CODE_GENERATOR, message);
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for path in &args.envs {
        let (bytes, file) = loader
            .load(path)
            .map_err(|fault| loading(&listed("env", &args.envs), fault))?;
        let pairs = env_pairs(&bytes)
            .map_err(|message| loading(&listed("env", &args.envs), fault(message).at(&file)))?;
        all.extend(pairs);
    }
    for literal in &args.literals {
        let pair = literal_pair(literal)
            .map_err(|message| loading(&listed("literal", &args.literals), fault(message)))?;
        all.push(pair);
    }
    for file in &args.files {
        let (key, path) = file_pair(file)
            .map_err(|message| loading(&listed("file", &args.files), fault(message)))?;
        let (bytes, _) = loader
            .load(path)
            .map_err(|fault| loading(&listed("file", &args.files), fault))?;
        all.push((key.to_owned(), bytes));
    }
    let mut pairs = BTreeMap::new();
    for (key, value) in all {
        if pairs.contains_key(&key) {
            let name = &args.name;
            return Err(fault(format!(
                "configmap {name} illegally repeats the key `{key}`"
            )));
        }
        pairs.insert(key, value);
    }
    Ok(pairs)
}

fn literal_pair(source: &str) -> Result<(String, Vec<u8>), String> {
    let pair = source.split_once('=').filter(|(key, _)| !key.is_empty());
    let Some((key, value)) = pair else {
        return Err(format!(
            "invalid literal source {source}, expected key=value"
        ));
    };
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Ok((
        key.to_owned(),
        unquoted.unwrap_or(value).as_bytes().to_vec(),
    ))
}

fn file_pair(source: &str) -> Result<(&str, &str), String> {
    match source.matches('=').count() {
        0 => {
            let trimmed = source.trim_end_matches('/');
            Ok((trimmed.rsplit('/').next().unwrap_or(source), source))
        }
        1 => match source.split_once('=').unwrap_or((source, "")) {
            ("", path) => Err(format!(
                "missing key name for file path {path:?} in source {source:?}"
            )),
            (key, "") => Err(format!(
                "missing file path for key name {key:?} in source {source:?}"
            )),
            pair => Ok(pair),
        },
        _ => Err(format!(
            "source {source:?} key name or file path contains '='"
        )),
    }
}

fn env_pairs(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut pairs = Vec::new();
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.len() >= MAX_ENV_LINE {
            break;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(mut line) = std::str::from_utf8(line) else {
            return Err(format!("line {number} has invalid utf8 bytes"));
        };
        if number == 0 {
            line = line.trim_start_matches('\u{feff}');
        }
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if !key.is_empty() {
            pairs.push((key.to_owned(), value.as_bytes().to_vec()));
        }
    }
    Ok(pairs)
}

/// Base64, in lines when there is more than one.
fn base64_lines(bytes: &[u8]) -> String {
    let whole = base64::engine::general_purpose::STANDARD.encode(bytes);
    if whole.len() < BASE64_LINE {
        return whole;
    }
    let mut out = String::with_capacity(whole.len() + whole.len() / BASE64_LINE + 1);
    let mut rest = whole.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(BASE64_LINE));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out
}

/// Appends their hashes to the names of the objects that want one.
///
/// # Errors
/// Objects that JSON cannot hold.
pub(crate) fn add_hashes(list: &mut [Resource]) -> Result<(), String> {
    for resource in list.iter_mut().filter(|resource| resource.needs_hash) {
        let hash = hash_of(resource)?;
        resource.store_previous_id();
        let name = format!("{}-{hash}", resource.name());
        resource.set_name(&name);
    }
    Ok(())
}

fn hash_of(resource: &Resource) -> Result<String, String> {
    let value = |key: &str| -> Result<Value, String> {
        match resource.node.get(key) {
            None => Ok(Value::String(String::new())),
            Some(Node::Scalar(scalar)) => Ok(Value::String(scalar.text.to_string())),
            Some(other) => read::to_json(other),
        }
    };
    let mut map = Map::new();
    // The name never counts: the original looks for a field called `metadata/name`.
    map.insert("name".to_owned(), "".into());
    let kind = resource.kind();
    map.insert("kind".to_owned(), kind.into());
    let extra = match kind {
        "ConfigMap" => "binaryData",
        "Secret" => {
            map.insert("type".to_owned(), value("type")?);
            "stringData"
        }
        _ => {
            return Ok(encode(&go_json::to_string(
                &read::to_json(&resource.node)?,
                false,
            )));
        }
    };
    map.insert("data".to_owned(), value("data")?);
    let more = value(extra)?;
    if more.is_object() {
        map.insert(extra.to_owned(), more);
    }
    Ok(encode(&go_json::to_string(&Value::Object(map), false)))
}

/// The first ten digits of the hash, in letters that make no words.
fn encode(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .take(10)
        .map(|digit| match digit {
            0 => 'g',
            1 => 'h',
            3 => 'k',
            10 => 'm',
            14 => 't',
            digit => char::from_digit(u32::from(digit), 16).unwrap_or('0'),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> String {
        let node = read::documents(text.as_bytes()).unwrap().remove(0).root;
        hash_of(&Resource::new(node, Source::default())).unwrap()
    }

    #[test]
    fn hashes_are_those_of_kustomize() {
        assert_eq!(
            hash("kind: ConfigMap\ndata: {a: <b&c>, e: '', q: x}\n"),
            "6m5h44842f"
        );
        assert_eq!(
            hash("kind: ConfigMap\nmetadata: {name: any}\n"),
            "6ct58987ht"
        );
        assert_eq!(
            hash("kind: Secret\ntype: Opaque\ndata: {a: Yg==}\n"),
            "k695gkmbtk"
        );
    }

    #[test]
    fn env_files_are_read_by_line() {
        let read = env_pairs("\u{feff}A=1\r\n# no\n\n  B=\"x\" \nC\n".as_bytes()).unwrap();
        let pair = |k: &str, v: &str| (k.to_owned(), v.as_bytes().to_vec());
        assert_eq!(read, [pair("A", "1"), pair("B", "\"x\" "), pair("C", "")]);
    }

    #[test]
    fn base64_folds() {
        assert_eq!(base64_lines(b"b"), "Yg==");
        let long = base64_lines(&[b'x'; 60]);
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [70, 10]);
        assert!(long.ends_with('\n'));
    }
}
