//! Conditions applied to an item.
//!
//! Must not know: text of expressions.

use std::cmp::Ordering;

use super::{Comparator, Condition, Operand, Path};
use crate::dynamodb::number::Number;
use crate::dynamodb::value::{Attribute, Item};

/// Does the item fulfil the condition? Missing attributes and unlike types make a comparison false, never an error.
pub(in crate::dynamodb) fn holds(condition: &Condition, item: &Item) -> bool {
    match condition {
        Condition::And(a, b) => holds(a, item) && holds(b, item),
        Condition::Or(a, b) => holds(a, item) || holds(b, item),
        Condition::Not(inner) => !holds(inner, item),
        Condition::Compare(comparator, a, b) => {
            compare(*comparator, value_of(a, item), value_of(b, item))
        }
        Condition::Between(operand, low, high) => {
            let operand = value_of(operand, item);
            compare(
                Comparator::GreaterOrEqual,
                operand.clone(),
                value_of(low, item),
            ) && compare(Comparator::LessOrEqual, operand, value_of(high, item))
        }
        Condition::In(operand, choices) => {
            let operand = value_of(operand, item);
            operand.is_some()
                && choices
                    .iter()
                    .any(|choice| value_of(choice, item) == operand)
        }
        Condition::Exists(path) => path.find(item).is_some(),
        Condition::NotExists(path) => path.find(item).is_none(),
        Condition::Type(path, kind) => path.find(item).is_some_and(|value| value.kind() == kind),
        Condition::BeginsWith(a, b) => match (value_of(a, item), value_of(b, item)) {
            (Some(Attribute::Text(a)), Some(Attribute::Text(b))) => a.starts_with(&b),
            (Some(Attribute::Binary(a)), Some(Attribute::Binary(b))) => a.starts_with(&b),
            _ => false,
        },
        Condition::Contains(a, b) => match (value_of(a, item), value_of(b, item)) {
            (Some(a), Some(b)) => contains(&a, &b),
            _ => false,
        },
    }
}

fn contains(outer: &Attribute, inner: &Attribute) -> bool {
    match (outer, inner) {
        (Attribute::Text(a), Attribute::Text(b)) => a.contains(b.as_str()),
        (Attribute::Binary(a), Attribute::Binary(b)) => {
            b.is_empty() || a.windows(b.len()).any(|part| part == b)
        }
        (Attribute::Texts(a), Attribute::Text(b)) => a.contains(b),
        (Attribute::Numbers(a), Attribute::Number(b)) => a.contains(b),
        (Attribute::Binaries(a), Attribute::Binary(b)) => a.contains(b),
        (Attribute::List(a), b) => a.contains(b),
        _ => false,
    }
}

fn compare(comparator: Comparator, a: Option<Attribute>, b: Option<Attribute>) -> bool {
    let (Some(a), Some(b)) = (a, b) else {
        return comparator == Comparator::NotEqual;
    };
    match comparator {
        Comparator::Equal => a == b,
        Comparator::NotEqual => a != b,
        Comparator::Less => a.compare(&b) == Some(Ordering::Less),
        Comparator::LessOrEqual => a.compare(&b).is_some_and(Ordering::is_le),
        Comparator::Greater => a.compare(&b) == Some(Ordering::Greater),
        Comparator::GreaterOrEqual => a.compare(&b).is_some_and(Ordering::is_ge),
    }
}

fn value_of(operand: &Operand, item: &Item) -> Option<Attribute> {
    match operand {
        Operand::Path(path) => path.find(item).cloned(),
        Operand::Value(value) => Some(value.clone()),
        Operand::Size(path) => size_of(path, item),
        Operand::IfNotExists(..)
        | Operand::ListAppend(..)
        | Operand::Plus(..)
        | Operand::Minus(..) => None,
    }
}

fn size_of(path: &Path, item: &Item) -> Option<Attribute> {
    let size = match path.find(item)? {
        Attribute::Text(text) => text.chars().count(),
        Attribute::Binary(bytes) => bytes.len(),
        Attribute::List(list) => list.len(),
        Attribute::Map(map) => map.len(),
        Attribute::Texts(set) => set.len(),
        Attribute::Numbers(set) => set.len(),
        Attribute::Binaries(set) => set.len(),
        Attribute::Number(_) | Attribute::Bool(_) | Attribute::Null => return None,
    };
    Number::parse(&size.to_string()).ok().map(Attribute::Number)
}
