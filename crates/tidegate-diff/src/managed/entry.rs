//! The entries of `metadata.managedFields`: read, write, sort. What they mean is decided elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::time::seconds;
use crate::fieldset::{CodecError, FieldSet};
use crate::value::{quote, write_go_string};

/// More entries than this are refused: API servers keep a dozen or two.
const MAX_ENTRIES: usize = 1_000;

/// The internal name of the write in progress.
const CURRENT_OPERATION: &str = "current-operation";

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// The identity of an entry. An applier keeps its identity over versions, an updater does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManagerKey {
    pub manager: String,
    pub operation: Operation,
    /// Only for updates.
    version: Option<String>,
    pub subresource: String,
}

impl ManagerKey {
    /// The identity of `manager` for an operation at `api_version`.
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: manager.to_owned(),
            operation,
            version: (operation == Operation::Update).then(|| api_version.to_owned()),
            subresource: subresource.to_owned(),
        }
    }

    pub(super) fn current_operation(api_version: &str) -> Self {
        Self::new(CURRENT_OPERATION, Operation::Update, api_version, "\0")
    }

    /// The identity as the API server spells it: the order of messages follows it.
    pub(super) fn identifier(&self) -> String {
        let mut out = String::from("{");
        let version = self.version.as_deref().unwrap_or_default();
        let parts = [
            ("manager", self.manager.as_str()),
            ("operation", self.operation.as_str()),
            ("apiVersion", version),
            ("subresource", self.subresource.as_str()),
        ];
        for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
            if out.len() > 1 {
                out.push(',');
            }
            write_go_string(&mut out, name, false);
            out.push(':');
            write_go_string(&mut out, text, true);
        }
        out.push('}');
        out
    }

    /// `"name"`, with its subresource, and for an update its version.
    pub(super) fn describe(&self) -> String {
        let mut out = quote(&self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {}", quote(&self.subresource)));
        }
        if let Some(version) = &self.version {
            out.push_str(&format!(" using {version}"));
        }
        out
    }
}

/// What a manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagerState {
    pub api_version: String,
    pub set: FieldSet,
    /// RFC 3339; a manager that changed nothing has none.
    pub time: Option<String>,
}

/// All managers of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managers {
    entries: BTreeMap<ManagerKey, ManagerState>,
}

/// Why managed fields cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("managed fields are a list of objects")]
    NotAList,
    #[error("more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    Version,
    #[error("missing fieldsType in managed fields entry {0}")]
    NoFieldsType(usize),
    #[error("invalid fieldsType {} in managed fields entry {index}", quote(kind))]
    FieldsType { kind: String, index: usize },
    #[error("error decoding versioned set: error decoding set: {0}")]
    Fields(#[from] CodecError),
}

impl Managers {
    /// Reads `metadata.managedFields`; null is no managers.
    ///
    /// # Errors
    /// At the first malformed entry.
    pub fn decode(list: &Value) -> Result<Self, EntryError> {
        let items = match list {
            Value::Null => return Ok(Self::default()),
            Value::Array(items) => items,
            _ => return Err(EntryError::NotAList),
        };
        if items.len() > MAX_ENTRIES {
            return Err(EntryError::TooMany);
        }
        let mut managers = Self::default();
        for (index, item) in items.iter().enumerate() {
            let (key, state) = decode_entry(item, index)?;
            managers.insert(key, state);
        }
        Ok(managers)
    }

    /// Writes `metadata.managedFields`: appliers first, then by time, manager, version and subresource.
    pub fn encode(&self) -> Vec<Value> {
        let mut sorted: Vec<_> = self.entries.iter().collect();
        sorted.sort_by(|(a, x), (b, y)| {
            let time =
                |state: &ManagerState| state.time.as_deref().and_then(seconds).unwrap_or_default();
            (a.operation.cmp(&b.operation))
                .then_with(|| time(x).cmp(&time(y)))
                .then_with(|| a.manager.cmp(&b.manager))
                .then_with(|| x.api_version.cmp(&y.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        sorted
            .into_iter()
            .map(|(key, state)| encode_entry(key, state))
            .collect()
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The state of one manager.
    pub fn get(&self, key: &ManagerKey) -> Option<&ManagerState> {
        self.entries.get(key)
    }

    /// The state of one manager, to change.
    pub fn get_mut(&mut self, key: &ManagerKey) -> Option<&mut ManagerState> {
        self.entries.get_mut(key)
    }

    /// Sets the state of one manager.
    pub fn insert(&mut self, key: ManagerKey, state: ManagerState) {
        self.entries.insert(key, state);
    }

    /// Forgets one manager.
    pub fn remove(&mut self, key: &ManagerKey) -> Option<ManagerState> {
        self.entries.remove(key)
    }

    /// All managers.
    pub fn iter(&self) -> impl Iterator<Item = (&ManagerKey, &ManagerState)> {
        self.entries.iter()
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&ManagerKey, &mut ManagerState) -> bool) {
        self.entries.retain(|key, state| keep(key, state));
    }
}

fn decode_entry(item: &Value, index: usize) -> Result<(ManagerKey, ManagerState), EntryError> {
    if !item.is_object() {
        return Err(EntryError::NotAList);
    }
    let text = |key: &str| item[key].as_str().unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err(EntryError::Operation),
    };
    let api_version = text("apiVersion");
    if api_version.is_empty() {
        return Err(EntryError::Version);
    }
    match text("fieldsType") {
        "FieldsV1" => {}
        "" => return Err(EntryError::NoFieldsType(index)),
        kind => {
            return Err(EntryError::FieldsType {
                kind: kind.to_owned(),
                index,
            });
        }
    }
    let set = match &item["fieldsV1"] {
        Value::Null => FieldSet::new(),
        fields => FieldSet::decode(fields)?,
    };
    let key = ManagerKey::new(text("manager"), operation, api_version, text("subresource"));
    let time = item["time"].as_str().map(str::to_owned);
    Ok((
        key,
        ManagerState {
            api_version: api_version.to_owned(),
            set,
            time,
        },
    ))
}

fn encode_entry(key: &ManagerKey, state: &ManagerState) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, text: &str| {
        if !text.is_empty() {
            entry.insert(name.to_owned(), Value::String(text.to_owned()));
        }
    };
    put("manager", &key.manager);
    put("operation", key.operation.as_str());
    put("apiVersion", &state.api_version);
    put("time", state.time.as_deref().unwrap_or_default());
    put("fieldsType", "FieldsV1");
    put("subresource", &key.subresource);
    entry.insert("fieldsV1".into(), state.set.encode());
    Value::Object(entry)
}
