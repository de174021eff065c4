//! Projections applied to an item.
//!
//! Must not know: text of expressions.

use super::{Path, Step};
use crate::dynamodb::value::{Attribute, Item};

/// The parts of an item that the paths name, in their nesting; list elements close ranks.
pub(in crate::dynamodb) fn project(paths: &[Path], item: &Item) -> Item {
    let mut projected = Item::new();
    let mut sorted: Vec<&Path> = paths.iter().collect();
    sorted.sort();
    for (name, value) in item {
        let below: Vec<&[Step]> = sorted
            .iter()
            .filter(|path| path.root() == name)
            .map(|path| &path.0[1..])
            .collect();
        if let Some(part) = part(value, &below) {
            projected.insert(name.clone(), part);
        }
    }
    projected
}

fn part(value: &Attribute, paths: &[&[Step]]) -> Option<Attribute> {
    if paths.is_empty() {
        return None;
    }
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value.clone());
    }
    match value {
        Attribute::Map(map) => {
            let mut kept = Item::new();
            for (name, value) in map {
                let below: Vec<&[Step]> = paths
                    .iter()
                    .filter(|path| matches!(&path[0], Step::Name(step) if step == name))
                    .map(|path| &path[1..])
                    .collect();
                if let Some(part) = part(value, &below) {
                    kept.insert(name.clone(), part);
                }
            }
            (!kept.is_empty()).then_some(Attribute::Map(kept))
        }
        Attribute::List(list) => {
            let kept: Vec<Attribute> = list
                .iter()
                .enumerate()
                .filter_map(|(index, value)| {
                    let below: Vec<&[Step]> = paths
                        .iter()
                        .filter(|path| path[0] == Step::Index(index))
                        .map(|path| &path[1..])
                        .collect();
                    part(value, &below)
                })
                .collect();
            (!kept.is_empty()).then_some(Attribute::List(kept))
        }
        _ => None,
    }
}
