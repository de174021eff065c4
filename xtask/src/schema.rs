//! Turns an API server's own documents (OpenAPI v3, discovery) into the two data files of `tidegate-diff`.
//! Facts only: names, types, keys, defaults; no descriptions. No schema logic lives here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

/// Long package prefixes and their one-character stand-ins in the data file.
const PREFIXES: [(&str, &str); 4] = [
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.",
        "&",
    ),
    ("io.k8s.apimachinery.pkg.", "^"),
    ("io.k8s.api.", "~"),
    ("io.k8s.kube-aggregator.pkg.apis.apiregistration.", "%"),
];

/// `cargo xtask schema SOURCE [OUT-DIR]`: SOURCE is a kubeconfig, or the `api` folder of the Kubernetes module
/// (it holds `openapi-spec/v3` and `discovery`).
pub(crate) fn run(args: &[String]) -> Result<()> {
    let Some(source) = args.first() else {
        bail!("usage: cargo xtask schema KUBECONFIG|API-DIR [OUT-DIR]");
    };
    let out = args
        .get(1)
        .map_or("crates/tidegate-diff/data", String::as_str);
    let source = Source::open(source)?;
    let schemas = source.schemas()?;
    let text = render_schema(&schemas)?;
    let resources = render_resources(&source.discovery()?, &group_versions(&schemas))?;
    std::fs::write(Path::new(out).join("builtin-schema.txt"), text)
        .context("writing builtin-schema.txt")?;
    std::fs::write(Path::new(out).join("builtin-resources.json"), resources)
        .context("writing builtin-resources.json")?;
    Ok(())
}

/// Where the documents come from.
enum Source {
    Kubeconfig(String),
    Directory(std::path::PathBuf),
}

impl Source {
    fn open(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.join("openapi-spec/v3").is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        if path.is_file() {
            return Ok(Self::Kubeconfig(name.to_owned()));
        }
        bail!("{name} is neither a kubeconfig nor a folder with openapi-spec/v3 and discovery")
    }

    /// Every component schema of every group version, by name; the same name means the same type everywhere.
    fn schemas(&self) -> Result<BTreeMap<String, Value>> {
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for document in self.openapi()? {
            let Some(schemas) = document
                .pointer("/components/schemas")
                .and_then(Value::as_object)
            else {
                continue;
            };
            // What is not Kubernetes' own comes from custom resources that the server happens to have.
            for (name, schema) in schemas
                .iter()
                .filter(|(name, _)| name.starts_with("io.k8s."))
            {
                match all.get_mut(name) {
                    None => {
                        all.insert(name.clone(), schema.clone());
                    }
                    Some(known) => merge_kinds(known, schema),
                }
            }
        }
        if all.is_empty() {
            bail!("no component schemas found");
        }
        Ok(all)
    }

    fn openapi(&self) -> Result<Vec<Value>> {
        match self {
            Self::Directory(dir) => read_folder(&dir.join("openapi-spec/v3")),
            Self::Kubeconfig(_) => {
                let root = self.get("/openapi/v3")?;
                let paths = root["paths"]
                    .as_object()
                    .context("/openapi/v3 has no paths")?;
                paths
                    .values()
                    .filter_map(|p| p["serverRelativeURL"].as_str())
                    .map(|url| self.get(url))
                    .collect()
            }
        }
    }

    /// Every `APIResourceList` of the server.
    fn discovery(&self) -> Result<Vec<Value>> {
        match self {
            Self::Directory(dir) => Ok(read_folder(&dir.join("discovery"))?
                .into_iter()
                .filter(|d| d["kind"] == "APIResourceList")
                .collect()),
            Self::Kubeconfig(_) => {
                let mut lists = vec![self.get("/api/v1")?];
                let groups = self.get("/apis")?;
                for group in groups["groups"].as_array().into_iter().flatten() {
                    for version in group["versions"].as_array().into_iter().flatten() {
                        let gv = version["groupVersion"]
                            .as_str()
                            .context("a version without groupVersion")?;
                        lists.push(self.get(&format!("/apis/{gv}"))?);
                    }
                }
                Ok(lists)
            }
        }
    }

    fn get(&self, path: &str) -> Result<Value> {
        let Self::Kubeconfig(config) = self else {
            bail!("not a server")
        };
        let output = Command::new("kubectl")
            .args(["--kubeconfig", config, "get", "--raw", path])
            .output()
            .context("running kubectl")?;
        if !output.status.success() {
            bail!(
                "kubectl get --raw {path}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("reading {path}"))
    }
}

fn read_folder(dir: &Path) -> Result<Vec<Value>> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .with_context(|| format!("reading {}", dir.display()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    names.sort();
    names
        .iter()
        .map(|p| {
            let bytes = std::fs::read(p).with_context(|| format!("reading {}", p.display()))?;
            serde_json::from_slice(&bytes).with_context(|| format!("parsing {}", p.display()))
        })
        .collect()
}

/// A shared type (`DeleteOptions`) lists other kinds in each document: keep their union.
fn merge_kinds(known: &mut Value, other: &Value) {
    const KINDS: &str = "x-kubernetes-group-version-kind";
    let Some(more) = other[KINDS].as_array() else {
        return;
    };
    let Some(object) = known.as_object_mut() else {
        return;
    };
    let kinds = object.entry(KINDS).or_insert_with(|| json!([]));
    if let Some(kinds) = kinds.as_array_mut() {
        for kind in more {
            if !kinds.contains(kind) {
                kinds.push(kind.clone());
            }
        }
    }
}

fn render_schema(schemas: &BTreeMap<String, Value>) -> Result<String> {
    let mut out = String::from(
        "# Built-in Kubernetes types. Generated by `cargo xtask schema`; the format is described in src/schema/builtin.rs.\n",
    );
    for (prefix, short) in PREFIXES {
        writeln!(out, "P {short} {prefix}")?;
    }
    for (name, schema) in schemas {
        writeln!(out, "T {} {}", abbreviate(name), named(name, schema)?)?;
        let mut kinds = BTreeSet::new();
        for kind in schema["x-kubernetes-group-version-kind"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let part = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
            let group = part("group");
            kinds.insert(format!(
                "G {} {} {}",
                if group.is_empty() { "-" } else { &group },
                part("version"),
                part("kind")
            ));
        }
        for line in kinds {
            writeln!(out, "{line}")?;
        }
        let required: BTreeSet<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let empty = Map::new();
        let mut fields: Vec<_> = schema["properties"]
            .as_object()
            .unwrap_or(&empty)
            .iter()
            .collect();
        fields.sort_by(|a, b| a.0.cmp(b.0));
        for (field, member) in fields {
            write!(
                out,
                "F {field} {} {}",
                flags(member, required.contains(field.as_str())),
                expression(member)?
            )?;
            if let Some(default) = member.get("default") {
                write!(out, " {default}")?;
            }
            out.push('\n');
        }
    }
    Ok(out)
}

fn named(name: &str, schema: &Value) -> Result<String> {
    if name.ends_with(".pkg.api.resource.Quantity") {
        return Ok("quantity".into());
    }
    if name.ends_with(".pkg.runtime.RawExtension") {
        return Ok("raw".into());
    }
    if schema.get("properties").is_some() {
        return Ok(format!("struct{}", map_type(schema)));
    }
    expression(schema)
}

/// One type expression without blanks.
fn expression(schema: &Value) -> Result<String> {
    let reference = schema["$ref"]
        .as_str()
        .or_else(|| schema.pointer("/allOf/0/$ref").and_then(Value::as_str));
    if let Some(reference) = reference {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return Ok(format!("@{}{}", abbreviate(name), map_type(schema)));
    }
    let format = schema["format"].as_str();
    Ok(match (schema["type"].as_str(), format) {
        (None, Some("int-or-string")) => "int-or-string".into(),
        (None, _) => "any".into(),
        (Some("string"), None) => "string".into(),
        (Some("string"), Some(format)) => format!("string.{format}"),
        (Some("integer"), format) => format!("integer.{}", format.unwrap_or("int64")),
        (Some("number"), format) => format!("number.{}", format.unwrap_or("double")),
        (Some("boolean"), _) => "boolean".into(),
        (Some("array"), _) => {
            let keys = schema["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten();
            let keys: Vec<&str> = keys.filter_map(Value::as_str).collect();
            let relation = match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => format!("map:{}", keys.join(",")),
                Some(other) => other.to_owned(),
                None => String::new(),
            };
            format!("[{relation}]{}", expression(&schema["items"])?)
        }
        (Some("object"), _) => match schema.get("additionalProperties") {
            Some(element) if element.is_object() => {
                let relation = schema["x-kubernetes-map-type"].as_str().unwrap_or_default();
                format!("{{{relation}}}{}", expression(element)?)
            }
            _ if schema.get("properties").is_some() => bail!("an inline struct: {schema}"),
            _ => format!("object{}", map_type(schema)),
        },
        (Some(other), _) => bail!("unknown type {other}"),
    })
}

fn map_type(schema: &Value) -> String {
    schema["x-kubernetes-map-type"]
        .as_str()
        .map(|t| format!("!{t}"))
        .unwrap_or_default()
}

fn flags(member: &Value, required: bool) -> String {
    let mut flags = String::new();
    if required {
        flags.push('r');
    }
    let strategy = member["x-kubernetes-patch-strategy"]
        .as_str()
        .unwrap_or_default();
    if strategy.split(',').any(|s| s == "retainKeys") {
        flags.push('k');
    }
    if strategy.split(',').any(|s| s == "merge") {
        flags.push('m');
    }
    if let Some(key) = member["x-kubernetes-patch-merge-key"].as_str() {
        flags.push(':');
        flags.push_str(key);
    }
    if flags.is_empty() { "-".into() } else { flags }
}

fn abbreviate(name: &str) -> String {
    for (prefix, short) in PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix) {
            return format!("{short}{rest}");
        }
    }
    name.to_owned()
}

/// The group versions that Kubernetes itself has kinds in.
fn group_versions(schemas: &BTreeMap<String, Value>) -> BTreeSet<(String, String)> {
    let kinds = schemas
        .values()
        .filter_map(|s| s["x-kubernetes-group-version-kind"].as_array())
        .flatten();
    kinds
        .map(|kind| {
            let part = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
            (part("group"), part("version"))
        })
        .collect()
}

/// One entry per group version and resource; subresources nested.
fn render_resources(lists: &[Value], own: &BTreeSet<(String, String)>) -> Result<String> {
    let mut all: BTreeMap<(String, String, String), Value> = BTreeMap::new();
    let mut subs: Vec<(String, String, Value)> = Vec::new();
    for list in lists {
        let gv = list["groupVersion"]
            .as_str()
            .context("a list without groupVersion")?;
        let (group, version) = gv.split_once('/').unwrap_or(("", gv));
        if !own.contains(&(group.to_owned(), version.to_owned())) {
            continue;
        }
        for resource in list["resources"].as_array().into_iter().flatten() {
            let name = resource["name"]
                .as_str()
                .context("a resource without a name")?;
            if name.contains('/') {
                subs.push((group.to_owned(), version.to_owned(), resource.clone()));
                continue;
            }
            let entry = json!({
                "group": group, "version": version, "resource": name,
                "singular": resource["singularName"], "kind": resource["kind"],
                "shortNames": resource.get("shortNames").cloned().unwrap_or_else(|| json!([])),
                "categories": resource.get("categories").cloned().unwrap_or_else(|| json!([])),
                "namespaced": resource["namespaced"], "verbs": resource["verbs"], "subresources": [],
            });
            all.insert(
                (group.to_owned(), version.to_owned(), name.to_owned()),
                entry,
            );
        }
    }
    subs.sort_by(|a, b| a.2["name"].as_str().cmp(&b.2["name"].as_str()));
    for (group, version, sub) in subs {
        let name = sub["name"]
            .as_str()
            .context("a subresource without a name")?;
        let (parent, child) = name
            .split_once('/')
            .context("a subresource without a parent")?;
        let part = |key: &str, default: &str| sub[key].as_str().unwrap_or(default).to_owned();
        let fact = json!({
            "name": child, "kind": sub["kind"], "verbs": sub["verbs"],
            "group": part("group", &group), "version": part("version", &version),
        });
        let key = (group.clone(), version.clone(), parent.to_owned());
        let entry = all
            .get_mut(&key)
            .with_context(|| format!("{name} has no parent"))?;
        entry["subresources"]
            .as_array_mut()
            .context("subresources is a list")?
            .push(fact);
    }
    let lines: Vec<String> = all.values().map(Value::to_string).collect();
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}
