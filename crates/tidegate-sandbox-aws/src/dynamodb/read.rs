//! Query and Scan: candidates in key order, pages by count and size, filters, projections.
//!
//! Must not know: writes.

use serde_json::{Map, Value, json};

use super::expression::condition::holds;
use super::expression::key::{KeyCondition, split};
use super::expression::projection::project;
use super::expression::{Condition, Kind, Path, Step, Substitutions};
use super::expression::{parse_condition, parse_projection};
use super::items::{consumed, read_units};
use super::table::{Index, ItemKey, KeyPart, Keys, Table};
use super::value::{Item, item_json, item_size, read_item};
use super::{Call, invalid, legacy};
use crate::refusal::Refusal;

/// Bytes that one page evaluates.
const PAGE_BYTES: usize = 1 << 20;

/// The order of items in an index: by its key, then by the table's.
type Place = (ItemKey, ItemKey);

/// What a read asks for.
struct Request {
    key: Option<KeyCondition>,
    filter: Option<Condition>,
    projection: Option<Vec<Path>>,
    index: Option<Index>,
    keys: Keys,
    backwards: bool,
    limit: usize,
    count_only: bool,
    segment: Option<(u64, u64)>,
}

impl Call<'_> {
    pub(super) fn query(&mut self) -> Result<Value, Refusal> {
        self.read(true)
    }

    pub(super) fn scan(&mut self) -> Result<Value, Refusal> {
        self.read(false)
    }

    fn read(&mut self, query: bool) -> Result<Value, Refusal> {
        let input = self.input;
        let table = self.data_table()?;
        let request = read_request(table, input, query)?;
        let start = match input.get("ExclusiveStartKey").filter(|key| !key.is_null()) {
            Some(key) => Some(start_place(table, &request, key)?),
            None => None,
        };
        let page = page(table, &request, start.as_ref());
        let mut answer = Map::new();
        answer.insert("Count".into(), json!(page.items.len()));
        answer.insert("ScannedCount".into(), json!(page.scanned));
        if !request.count_only {
            let shown: Vec<Value> = page
                .items
                .iter()
                .map(|item| shown(table, &request, item))
                .collect();
            answer.insert("Items".into(), json!(shown));
        }
        if let Some(last) = page.last {
            answer.insert("LastEvaluatedKey".into(), item_json(&last));
        }
        let units = read_units(page.bytes, input["ConsistentRead"].as_bool() == Some(true));
        if let Some(consumed) = consumed(input, &table.name, units) {
            answer.insert("ConsumedCapacity".into(), consumed);
        }
        Ok(Value::Object(answer))
    }
}

fn read_request(table: &Table, input: &Value, query: bool) -> Result<Request, Refusal> {
    let index = match input["IndexName"].as_str() {
        Some(name) => Some(table.index(name).cloned().ok_or_else(|| {
            invalid(format!(
                "The table does not have the specified index: {name}"
            ))
        })?),
        None => None,
    };
    if index.as_ref().is_some_and(|index| index.global)
        && input["ConsistentRead"].as_bool() == Some(true)
    {
        return Err(invalid(
            "Consistent reads are not supported on global secondary indexes",
        ));
    }
    let keys = index
        .as_ref()
        .map_or_else(|| table.keys.clone(), |index| index.keys.clone());
    let text = |field: &str| input.get(field).and_then(Value::as_str);
    let any = [
        "KeyConditionExpression",
        "FilterExpression",
        "ProjectionExpression",
    ]
    .iter()
    .any(|field| text(field).is_some());
    let with = Substitutions::read(input, any).map_err(invalid)?;
    let filter = match text("FilterExpression") {
        Some(text) => Some(parse_condition(Kind::Filter, text, &with).map_err(invalid)?),
        None => {
            let field = if query { "QueryFilter" } else { "ScanFilter" };
            match input.get(field) {
                Some(_) if any => return Err(legacy::mixed(field)),
                Some(map) => legacy::conditions(map, input["ConditionalOperator"].as_str())?,
                None => None,
            }
        }
    };
    let key = match (query, text("KeyConditionExpression")) {
        (false, _) => None,
        (true, Some(text)) => {
            let condition = parse_condition(Kind::Key, text, &with).map_err(invalid)?;
            Some(split(&condition, &keys.hash, keys.range.as_deref()).map_err(invalid)?)
        }
        (true, None) => match input.get("KeyConditions") {
            Some(conditions) => {
                let condition =
                    legacy::conditions(conditions, None)?.ok_or_else(no_key_condition)?;
                Some(split(&condition, &keys.hash, keys.range.as_deref()).map_err(invalid)?)
            }
            None => return Err(no_key_condition()),
        },
    };
    if let Some(key) = &key {
        check_key_types(table, &keys, key)?;
    }
    if query && let Some(filter) = &filter {
        refuse_key_filter(filter, &keys)?;
    }
    let projection = match (
        text("ProjectionExpression"),
        input["AttributesToGet"].as_array(),
    ) {
        (Some(text), _) => Some(parse_projection(text, &with).map_err(invalid)?),
        (None, Some(list)) => Some(
            list.iter()
                .filter_map(Value::as_str)
                .map(|name| Path(vec![Step::Name(name.to_owned())]))
                .collect(),
        ),
        (None, None) => None,
    };
    with.all_used().map_err(invalid)?;
    check_select(input, index.as_ref(), projection.is_some())?;
    Ok(Request {
        key,
        filter,
        projection,
        index,
        keys,
        backwards: input["ScanIndexForward"].as_bool() == Some(false),
        limit: input["Limit"]
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX),
        count_only: text("Select") == Some("COUNT"),
        segment: read_segment(input)?,
    })
}

fn no_key_condition() -> Refusal {
    invalid(
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
    )
}

fn check_select(input: &Value, index: Option<&Index>, projection: bool) -> Result<(), Refusal> {
    match input["Select"].as_str() {
        Some("SPECIFIC_ATTRIBUTES") if !projection => Err(invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES",
        )),
        Some("ALL_PROJECTED_ATTRIBUTES") if index.is_none() => Err(invalid(
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        )),
        Some("ALL_ATTRIBUTES") if index.is_some_and(|i| i.global && i.projection != "ALL") => {
            Err(invalid(
                "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index \
                 because its projection type is not ALL",
            ))
        }
        Some(select) if projection && select != "SPECIFIC_ATTRIBUTES" && select != "COUNT" => {
            Err(invalid(format!(
                "Cannot specify the ProjectionExpression when choosing to get {select}"
            )))
        }
        _ => Ok(()),
    }
}

fn read_segment(input: &Value) -> Result<Option<(u64, u64)>, Refusal> {
    match (input["Segment"].as_u64(), input["TotalSegments"].as_u64()) {
        (None, None) => Ok(None),
        (Some(segment), Some(total)) if segment < total => Ok(Some((segment, total))),
        (Some(segment), Some(total)) => Err(invalid(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not less than TotalSegments: {total}"
        ))),
        (Some(_), None) => Err(invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
        (None, Some(_)) => Err(invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
    }
}

fn check_key_types(table: &Table, keys: &Keys, key: &KeyCondition) -> Result<(), Refusal> {
    let wanted = table.attributes.get(&keys.hash).map_or("S", String::as_str);
    if key.hash.kind() != wanted {
        return Err(invalid(
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        ));
    }
    Ok(())
}

/// A filter of a query must not speak of the key attributes.
fn refuse_key_filter(filter: &Condition, keys: &Keys) -> Result<(), Refusal> {
    use super::expression::Operand;
    let check = |path: &Path| -> Result<(), Refusal> {
        match keys.names().find(|name| *name == path.root()) {
            Some(name) => Err(invalid(format!(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
            ))),
            None => Ok(()),
        }
    };
    let operand = |operand: &Operand| match operand {
        Operand::Path(path) | Operand::Size(path) => check(path),
        _ => Ok(()),
    };
    match filter {
        Condition::And(a, b) | Condition::Or(a, b) => {
            refuse_key_filter(a, keys)?;
            refuse_key_filter(b, keys)
        }
        Condition::Not(inner) => refuse_key_filter(inner, keys),
        Condition::Compare(_, a, b) | Condition::BeginsWith(a, b) | Condition::Contains(a, b) => {
            operand(a)?;
            operand(b)
        }
        Condition::Between(a, b, c) => {
            operand(a)?;
            operand(b)?;
            operand(c)
        }
        Condition::In(a, all) => {
            operand(a)?;
            all.iter().try_for_each(operand)
        }
        Condition::Exists(path) | Condition::NotExists(path) | Condition::Type(path, _) => {
            check(path)
        }
    }
}

/// Where a page that goes on from a key begins.
fn start_place(table: &Table, request: &Request, key: &Value) -> Result<Place, Refusal> {
    let bad = || invalid("The provided starting key is invalid");
    let item = read_item(key).map_err(invalid)?;
    let expected = match &request.index {
        Some(index) => {
            let mut names: Vec<&String> = index.keys.names().chain(table.keys.names()).collect();
            names.sort();
            names.dedup();
            names.len()
        }
        None => table.keys.names().count(),
    };
    if item.len() != expected {
        return Err(bad());
    }
    let base = table.keys.key(&item).ok_or_else(bad)?;
    let place = request.keys.key(&item).ok_or_else(bad)?;
    Ok((place, base))
}

struct Page {
    items: Vec<Item>,
    scanned: usize,
    bytes: usize,
    last: Option<Item>,
}

fn page(table: &Table, request: &Request, start: Option<&Place>) -> Page {
    let wanted = request.key.as_ref().and_then(|key| KeyPart::of(&key.hash));
    let accepts = |place: &ItemKey, item: &Item| -> bool {
        wanted.as_ref().is_none_or(|hash| place.hash == *hash)
            && request
                .key
                .as_ref()
                .and_then(|key| key.range.as_ref())
                .is_none_or(|range| holds(range, item))
            && request
                .segment
                .is_none_or(|(segment, total)| u64::from(place.bucket[0]) * total / 256 == segment)
    };
    let mut candidates: Vec<(Place, &Item)> = Vec::new();
    let mut push = |base: &ItemKey, item| {
        if let Some(place) = request.keys.key(item)
            && accepts(&place, item)
        {
            candidates.push(((place, base.clone()), item));
        }
    };
    match (&request.index, &wanted) {
        (None, Some(hash)) => {
            let from = ItemKey::new(hash.clone(), None);
            for (base, item) in table.items.range(from..) {
                if base.hash != *hash {
                    break;
                }
                push(base, item);
            }
        }
        _ => {
            for (base, item) in &table.items {
                push(base, item);
            }
        }
    }
    if request.index.is_some() {
        candidates.sort_by(|a, b| a.0.cmp(&b.0));
    }
    if request.backwards {
        candidates.reverse();
    }
    let mut page = Page {
        items: Vec::new(),
        scanned: 0,
        bytes: 0,
        last: None,
    };
    for (place, item) in candidates {
        let passed = start.is_some_and(|start| {
            if request.backwards {
                place >= *start
            } else {
                place <= *start
            }
        });
        if passed {
            continue;
        }
        page.scanned += 1;
        page.bytes += item_size(item);
        if request
            .filter
            .as_ref()
            .is_none_or(|filter| holds(filter, item))
        {
            page.items.push(item.clone());
        }
        if page.scanned >= request.limit || page.bytes > PAGE_BYTES {
            let mut last = table.keys.of(item);
            last.extend(request.keys.of(item));
            page.last = Some(last);
            break;
        }
    }
    page
}

fn shown(table: &Table, request: &Request, item: &Item) -> Value {
    let held = match &request.index {
        Some(index) if index.global || request.projection.is_none() => {
            index.project(&table.keys, item)
        }
        _ => item.clone(),
    };
    match &request.projection {
        Some(paths) => item_json(&project(paths, &held)),
        None => item_json(&held),
    }
}
