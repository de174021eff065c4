//! Update expressions applied to an item: every operand is read from the item as it was, then all actions are written.
//!
//! Must not know: text of expressions, keys of tables.

use super::{Action, Operand, Path, Step};
use crate::dynamodb::value::{Attribute, Item};

const TYPE: &str = "An operand in the update expression has an incorrect data type";
const MISSING: &str =
    "The provided expression refers to an attribute that does not exist in the item";
const PATH: &str = "The document path provided in the update expression is invalid for update";

/// Applies the actions.
///
/// # Errors
/// DynamoDB's own words (a `ValidationException`); the item is then untouched.
pub(in crate::dynamodb) fn apply(actions: &[Action], item: &Item) -> Result<Item, String> {
    let mut next = item.clone();
    let mut removals: Vec<&Path> = Vec::new();
    for action in actions {
        match action {
            Action::Set(path, operand) => {
                let value = evaluate(operand, item)?;
                write(&mut next, path, value)?;
            }
            Action::Remove(path) => removals.push(path),
            Action::Add(path, value) => {
                let sum = match path.find(item) {
                    None => value.clone(),
                    Some(old) => add(old, value)?,
                };
                write(&mut next, path, sum)?;
            }
            Action::Delete(path, value) => {
                let Some(old) = path.find(item) else {
                    continue;
                };
                match delete(old, value)? {
                    Some(left) => write(&mut next, path, left)?,
                    None => removals.push(path),
                }
            }
        }
    }
    // Later list positions first, so that the earlier ones keep their meaning.
    removals.sort();
    for path in removals.into_iter().rev() {
        remove(&mut next, path)?;
    }
    Ok(next)
}

fn evaluate(operand: &Operand, item: &Item) -> Result<Attribute, String> {
    match operand {
        Operand::Value(value) => Ok(value.clone()),
        Operand::Path(path) => path.find(item).cloned().ok_or_else(|| MISSING.into()),
        Operand::IfNotExists(path, default) => match path.find(item) {
            Some(value) => Ok(value.clone()),
            None => evaluate(default, item),
        },
        Operand::ListAppend(a, b) => match (evaluate(a, item)?, evaluate(b, item)?) {
            (Attribute::List(mut a), Attribute::List(b)) => {
                a.extend(b);
                Ok(Attribute::List(a))
            }
            _ => Err(TYPE.into()),
        },
        Operand::Plus(a, b) => match (evaluate(a, item)?, evaluate(b, item)?) {
            (Attribute::Number(a), Attribute::Number(b)) => Ok(Attribute::Number(a.plus(&b)?)),
            _ => Err(TYPE.into()),
        },
        Operand::Minus(a, b) => match (evaluate(a, item)?, evaluate(b, item)?) {
            (Attribute::Number(a), Attribute::Number(b)) => {
                Ok(Attribute::Number(a.plus(&b.negated())?))
            }
            _ => Err(TYPE.into()),
        },
        Operand::Size(_) => Err(TYPE.into()),
    }
}

fn add(old: &Attribute, value: &Attribute) -> Result<Attribute, String> {
    Ok(match (old, value) {
        (Attribute::Number(a), Attribute::Number(b)) => Attribute::Number(a.plus(b)?),
        (Attribute::Texts(a), Attribute::Texts(b)) => {
            Attribute::Texts(a.union(b).cloned().collect())
        }
        (Attribute::Numbers(a), Attribute::Numbers(b)) => {
            Attribute::Numbers(a.union(b).cloned().collect())
        }
        (Attribute::Binaries(a), Attribute::Binaries(b)) => {
            Attribute::Binaries(a.union(b).cloned().collect())
        }
        // Only the older AttributeUpdates can ask for this.
        (Attribute::List(a), Attribute::List(b)) => {
            Attribute::List(a.iter().chain(b).cloned().collect())
        }
        _ => return Err(TYPE.into()),
    })
}

/// What is left of a set, `None` when nothing is.
fn delete(old: &Attribute, value: &Attribute) -> Result<Option<Attribute>, String> {
    Ok(match (old, value) {
        (Attribute::Texts(a), Attribute::Texts(b)) => {
            let left: std::collections::BTreeSet<_> = a.difference(b).cloned().collect();
            (!left.is_empty()).then_some(Attribute::Texts(left))
        }
        (Attribute::Numbers(a), Attribute::Numbers(b)) => {
            let left: std::collections::BTreeSet<_> = a.difference(b).cloned().collect();
            (!left.is_empty()).then_some(Attribute::Numbers(left))
        }
        (Attribute::Binaries(a), Attribute::Binaries(b)) => {
            let left: std::collections::BTreeSet<_> = a.difference(b).cloned().collect();
            (!left.is_empty()).then_some(Attribute::Binaries(left))
        }
        _ => return Err(TYPE.into()),
    })
}

/// The place that holds the last step of a path.
enum Holder<'a> {
    Map(&'a mut Item, &'a str),
    List(&'a mut Vec<Attribute>, usize),
}

fn holder<'a>(item: &'a mut Item, path: &'a Path) -> Result<Holder<'a>, String> {
    let (Some(last), Some(Step::Name(first))) = (path.0.last(), path.0.first()) else {
        return Err(PATH.into());
    };
    if path.0.len() == 1 {
        return Ok(Holder::Map(item, first));
    }
    let mut at = item.get_mut(first).ok_or(PATH)?;
    for step in &path.0[1..path.0.len() - 1] {
        at = match (step, at) {
            (Step::Name(name), Attribute::Map(map)) => map.get_mut(name).ok_or(PATH)?,
            (Step::Index(index), Attribute::List(list)) => list.get_mut(*index).ok_or(PATH)?,
            _ => return Err(PATH.into()),
        };
    }
    match (last, at) {
        (Step::Name(name), Attribute::Map(map)) => Ok(Holder::Map(map, name)),
        (Step::Index(index), Attribute::List(list)) => Ok(Holder::List(list, *index)),
        _ => Err(PATH.into()),
    }
}

fn write(item: &mut Item, path: &Path, value: Attribute) -> Result<(), String> {
    match holder(item, path)? {
        Holder::Map(map, name) => {
            map.insert(name.to_owned(), value);
        }
        Holder::List(list, index) => match list.get_mut(index) {
            Some(place) => *place = value,
            None => list.push(value),
        },
    }
    Ok(())
}

fn remove(item: &mut Item, path: &Path) -> Result<(), String> {
    match holder(item, path)? {
        Holder::Map(map, name) => {
            map.remove(name);
        }
        Holder::List(list, index) => {
            if index < list.len() {
                list.remove(index);
            }
        }
    }
    Ok(())
}
