//! Messages of Kubernetes' types into JSON, as Go would decode the one and encode the other. Non-pointer members are
//! always on the wire, so what JSON would leave out when empty is left out here.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::wire::{Reader, Wire, Wrong};
use crate::gotypes::json::print_time;
use crate::gotypes::{Field, GoType, Omit, StructId, Table};

/// How deep messages may nest.
const MAX_DEPTH: usize = 64;
/// How many values one body may stand for: a few bytes each on the wire, far more as JSON.
const MAX_VALUES: usize = 1_000_000;

/// Decodes one message.
pub(super) fn decode(
    table: &Table,
    id: StructId,
    bytes: &[u8],
) -> Result<Map<String, Value>, Wrong> {
    let mut decoder = Decoder {
        table,
        depth: 0,
        values: 0,
    };
    decoder.message(id, bytes)
}

struct Decoder<'t> {
    table: &'t Table,
    depth: usize,
    values: usize,
}

impl Decoder<'_> {
    fn message(&mut self, id: StructId, bytes: &[u8]) -> Result<Map<String, Value>, Wrong> {
        if self.depth >= MAX_DEPTH {
            return Err(Wrong::Depth);
        }
        self.depth += 1;
        let mut map = Map::new();
        let mut reader = Reader::new(bytes);
        let fields: HashMap<u32, &Field> = self
            .table
            .at(id)
            .fields
            .iter()
            .map(|field| (field.number, field))
            .collect();
        while let Some((number, wire)) = reader.next()? {
            let Some(field) = fields.get(&number) else {
                continue;
            };
            self.count()?;
            self.member(field, wire, &mut map)?;
        }
        self.depth -= 1;
        Ok(map)
    }

    fn count(&mut self) -> Result<(), Wrong> {
        self.values += 1;
        if self.values > MAX_VALUES {
            Err(Wrong::Size)
        } else {
            Ok(())
        }
    }

    fn member(
        &mut self,
        field: &Field,
        wire: Wire<'_>,
        map: &mut Map<String, Value>,
    ) -> Result<(), Wrong> {
        match &field.ty {
            GoType::Struct(inner) if field.inline => {
                let members = self.message(*inner, wire.bytes()?)?;
                map.extend(members);
            }
            GoType::List(element) => {
                let slot = map.entry(field.name).or_insert_with(|| json!([]));
                let Value::Array(items) = slot else {
                    return Ok(());
                };
                match (&**element, wire) {
                    (GoType::Int32 | GoType::Int64 | GoType::Bool, Wire::Bytes(bytes)) => {
                        let mut packed = Reader::new(bytes);
                        while let Some(wire) = packed.packed()? {
                            self.count()?;
                            items.push(self.value(element, wire)?);
                        }
                    }
                    _ => items.push(self.value(element, wire)?),
                }
            }
            GoType::Map(element) => {
                let (key, value) = self.entry(element, wire.bytes()?)?;
                if let Value::Object(entries) = map.entry(field.name).or_insert_with(|| json!({})) {
                    entries.insert(key, value);
                }
            }
            ty => {
                let value = self.value(ty, wire)?;
                if field.omit != Omit::Never && !field.pointer && is_empty(ty, &value) {
                    map.remove(field.name);
                } else if let (Some(Value::Object(old)), Value::Object(new)) =
                    (map.get_mut(field.name), &value)
                {
                    // A message that comes twice is merged.
                    old.extend(new.clone());
                } else {
                    map.insert(field.name.to_owned(), value);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, element: &GoType, bytes: &[u8]) -> Result<(String, Value), Wrong> {
        let mut key = String::new();
        let mut value = None;
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => wire.text()?.clone_into(&mut key),
                2 => value = Some(self.value(element, wire)?),
                _ => {}
            }
        }
        Ok((key, value.unwrap_or_else(|| absent(element))))
    }

    fn value(&mut self, ty: &GoType, wire: Wire<'_>) -> Result<Value, Wrong> {
        Ok(match ty {
            GoType::String(_) => json!(wire.text()?),
            GoType::Bool => json!(wire.varint()? != 0),
            GoType::Int32 => json!(wire.signed32()?),
            GoType::Int64 => json!(wire.signed()?),
            GoType::Float => json!(wire.double()?),
            GoType::Bytes => json!(STANDARD.encode(wire.bytes()?)),
            GoType::Struct(id) => Value::Object(self.message(*id, wire.bytes()?)?),
            GoType::Time | GoType::MicroTime => time(ty, wire.bytes()?)?,
            GoType::Duration => duration(wire.bytes()?)?,
            GoType::Quantity => json!(first(wire.bytes()?)?.map_or(Ok("0"), Wire::text)?),
            GoType::IntOrString => int_or_string(wire.bytes()?)?,
            GoType::Raw | GoType::FieldsV1 | GoType::Json => raw(wire.bytes()?)?,
            GoType::Wrapped => {
                let mut items = Vec::new();
                let mut reader = Reader::new(wire.bytes()?);
                while let Some((number, wire)) = reader.next()? {
                    if number == 1 {
                        self.count()?;
                        items.push(json!(wire.text()?));
                    }
                }
                Value::Array(items)
            }
            GoType::OneOrMany(id) | GoType::OneOrBool(id) | GoType::OneOrStrings(id) => {
                self.alternative(ty, *id, wire.bytes()?)?
            }
            GoType::List(_) | GoType::Map(_) | GoType::Any => return Err(Wrong::Mismatch),
        })
    }

    /// A schema or something else in its place.
    fn alternative(&mut self, ty: &GoType, id: StructId, bytes: &[u8]) -> Result<Value, Wrong> {
        let mut schema = None;
        let mut many = Vec::new();
        let mut allows = false;
        let schema_number = if matches!(ty, GoType::OneOrBool(_)) {
            2
        } else {
            1
        };
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            self.count()?;
            match (ty, number) {
                (_, number) if number == schema_number => {
                    schema = Some(Value::Object(self.message(id, wire.bytes()?)?));
                }
                (GoType::OneOrBool(_), 1) => allows = wire.varint()? != 0,
                (GoType::OneOrMany(_), 2) => {
                    many.push(Value::Object(self.message(id, wire.bytes()?)?));
                }
                (GoType::OneOrStrings(_), 2) => many.push(json!(wire.text()?)),
                _ => {}
            }
        }
        Ok(match (schema, ty) {
            (Some(schema), _) => schema,
            (None, GoType::OneOrBool(_)) => json!(allows),
            (None, _) => Value::Array(many),
        })
    }
}

/// What a map entry without a value means.
fn absent(ty: &GoType) -> Value {
    match ty {
        GoType::String(_) | GoType::Bytes => json!(""),
        GoType::Bool => json!(false),
        GoType::Int32 | GoType::Int64 | GoType::Float => json!(0),
        GoType::Quantity => json!("0"),
        GoType::Struct(_) => json!({}),
        GoType::Wrapped => json!([]),
        _ => Value::Null,
    }
}

/// Whether `omitempty` leaves a non-pointer member out.
fn is_empty(ty: &GoType, value: &Value) -> bool {
    match (ty, value) {
        (GoType::Quantity, _) => false,
        (_, Value::Null) => true,
        (_, Value::Bool(flag)) => !flag,
        (GoType::Int32 | GoType::Int64 | GoType::Float, Value::Number(number)) => {
            number.as_f64() == Some(0.0)
        }
        (GoType::String(_) | GoType::Bytes, Value::String(text)) => text.is_empty(),
        (GoType::Struct(_), Value::Object(map)) => map.is_empty(),
        (_, Value::Array(items)) => items.is_empty(),
        _ => false,
    }
}

/// The value of field 1.
fn first(bytes: &[u8]) -> Result<Option<Wire<'_>>, Wrong> {
    let mut found = None;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            found = Some(wire);
        }
    }
    Ok(found)
}

/// The zero time is nothing on the wire, or the first second of year 1.
const ZERO_TIME: i64 = -62_135_596_800;

fn time(ty: &GoType, bytes: &[u8]) -> Result<Value, Wrong> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => seconds = wire.signed()?,
            2 => nanos = wire.signed32()?,
            _ => {}
        }
    }
    if bytes.is_empty() || (seconds == ZERO_TIME && nanos == 0) {
        return Ok(Value::Null);
    }
    let whole = if *ty == GoType::Time { 0 } else { nanos };
    let stamp = jiff::Timestamp::new(seconds, whole).map_err(|_| Wrong::Overflow)?;
    Ok(json!(print_time(ty, stamp)))
}

/// A `metav1.Duration` prints as Go does: `1m30s`.
fn duration(bytes: &[u8]) -> Result<Value, Wrong> {
    let nanos = first(bytes)?.map_or(Ok(0), Wire::signed)?;
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    let (hours, minutes) = (total / 3_600_000_000_000, total / 60_000_000_000 % 60);
    let (seconds, rest) = (total / 1_000_000_000 % 60, total % 1_000_000_000);
    let fraction = match rest {
        0 => String::new(),
        rest => format!(".{rest:09}").trim_end_matches('0').to_owned(),
    };
    Ok(json!(match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}{fraction}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}{fraction}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}{fraction}s"),
    }))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, Wrong> {
    let (mut is_text, mut number, mut text) = (false, 0, "");
    let mut reader = Reader::new(bytes);
    while let Some((field, wire)) = reader.next()? {
        match field {
            1 => is_text = wire.varint()? == 1,
            2 => number = wire.signed32()?,
            3 => text = wire.text()?,
            _ => {}
        }
    }
    Ok(if is_text { json!(text) } else { json!(number) })
}

/// JSON inside of protobuf.
fn raw(bytes: &[u8]) -> Result<Value, Wrong> {
    match first(bytes)?.map_or(Ok(&[][..]), Wire::bytes)? {
        [] => Ok(Value::Null),
        json => serde_json::from_slice(json).map_err(|_| Wrong::Json),
    }
}
