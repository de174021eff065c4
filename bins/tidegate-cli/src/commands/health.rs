//! `tidegate health`: health of live objects, offline.

use std::io::Read as _;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use tidegate::health::{HealthOptions, assess};
use tidegate::manifest::{GroupVersionKind, HealthStatus};

use crate::arguments::{HealthArguments, StreamOutput};
use crate::exit::Exit;
use crate::output::{self, Table, Tone};

/// Largest file that is read, in bytes.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) fn run(arguments: &HealthArguments) -> Result<Exit> {
    let bytes = read(&arguments.file)?;
    let stream = tidegate::yaml::parse_stream(&bytes, &<_>::default());
    if let Some(error) = stream.errors.first() {
        return Err(anyhow!("{}: {error}", arguments.file.display()));
    }
    let options = if arguments.compatible {
        HealthOptions::compatible()
    } else {
        HealthOptions::default()
    };
    let mut table = Table::new(&["KIND", "NAMESPACE", "NAME", "HEALTH", "MESSAGE"]);
    let mut is_unhealthy = false;
    for object in stream
        .documents
        .iter()
        .flat_map(|document| flat(document.root.to_json()))
    {
        let row = Row::of(&object, &options);
        is_unhealthy |= row
            .status
            .is_some_and(|status| status == HealthStatus::Degraded);
        match arguments.output {
            StreamOutput::Json => output::line(&row.json().to_string())?,
            StreamOutput::Table => table.row(row.cells()),
        }
    }
    if !table.is_empty() {
        output::raw(&table.render())?;
    }
    Ok(if is_unhealthy {
        Exit::Unhealthy
    } else {
        Exit::Ok
    })
}

fn read(file: &std::path::Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .take(BYTES_MAX)
            .read_to_end(&mut bytes)
            .context("reading standard input")?;
    } else {
        let open =
            std::fs::File::open(file).with_context(|| format!("reading {}", file.display()))?;
        open.take(BYTES_MAX)
            .read_to_end(&mut bytes)
            .with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(bytes)
}

/// A list as its items.
fn flat(value: Value) -> Vec<Value> {
    let is_list = value["kind"]
        .as_str()
        .is_some_and(|kind| kind.ends_with("List"));
    match value.get("items").and_then(Value::as_array) {
        Some(items) if is_list => items.clone(),
        Some(_) | None => vec![value],
    }
}

struct Row {
    gvk: GroupVersionKind,
    namespace: String,
    name: String,
    status: Option<HealthStatus>,
    message: String,
}

impl Row {
    fn of(object: &Value, options: &HealthOptions) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let health = assess(object, options);
        Self {
            gvk: GroupVersionKind::new(&text("/apiVersion"), text("/kind")),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            status: health.as_ref().map(|health| health.status),
            message: health.map(|health| health.message).unwrap_or_default(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "group": self.gvk.group, "kind": self.gvk.kind, "namespace": self.namespace, "name": self.name,
            "status": self.status.map_or("", HealthStatus::as_str), "message": self.message,
        })
    }

    fn cells(self) -> Vec<(String, Option<Tone>)> {
        let word = self
            .status
            .map_or("no check", HealthStatus::as_str)
            .to_owned();
        vec![
            (self.gvk.group_kind().to_string(), None),
            (self.namespace, None),
            (self.name, None),
            (word, self.status.map(Tone::from)),
            (self.message, Some(Tone::Dim)),
        ]
    }
}
