//! Which of many findings a person should read: an alternative that was not meant is not told.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::{Found, Mistake};

/// The findings that matter, in the framework's words, each once.
pub(super) fn explain(found: Vec<Found>) -> Vec<Mistake> {
    let mut all: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    events(&mut all);
    alternatives(&mut all);
    let mut told = BTreeSet::new();
    let mut mistakes = Vec::new();
    for found in all.into_iter().flatten() {
        let message = words(&found);
        let place = if found.at.is_empty() {
            "root".to_owned()
        } else {
            // The framework shows the steps of a JSON pointer as they are written in one.
            let steps = found.at.iter();
            let steps = steps.map(|step| step.replace('~', "~0").replace('/', "~1"));
            format!("'{}'", steps.collect::<Vec<_>>().join("."))
        };
        let message = format!("at {place}: {message}");
        if told.insert(message.clone()) {
            mistakes.push(Mistake {
                at: found.at,
                message,
                is_unknown: found.keyword == "additionalProperties",
            });
        }
    }
    mistakes
}

fn is_event(at: &[String]) -> bool {
    matches!(at, [functions, _, events, index]
        if functions == "functions" && events == "events" && index.bytes().all(|b| b.is_ascii_digit()))
}

fn words(found: &Found) -> String {
    match (found.keyword, &found.property) {
        ("additionalProperties", Some(name)) if found.at == ["functions"] => {
            format!("name '{name}' must be alphanumeric")
        }
        ("additionalProperties", Some(name)) => format!("unrecognized property '{name}'"),
        ("anyOf", _) if is_event(&found.at) => "unsupported function event".to_owned(),
        ("anyOf" | "oneOf", _) => match found.property.as_deref() {
            Some("const") => "unsupported value".to_owned(),
            Some(kind) => format!("unsupported {kind} format"),
            None => "unsupported configuration format".to_owned(),
        },
        _ => found.message.clone(),
    }
}

fn starts_with(at: &[String], start: &[String]) -> bool {
    at.len() >= start.len() && at[..start.len()] == *start
}

/// Of an event only the findings of the kind of event that was meant are kept.
fn events(all: &mut [Option<Found>]) {
    let mut by_event: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
    for (index, found) in all.iter().enumerate() {
        if let Some(found) = found
            && is_event(&found.at)
        {
            by_event.entry(found.at.clone()).or_default().push(index);
        }
    }
    for (event, indexes) in by_event {
        let none = indexes.iter().copied().find(|index| {
            all[*index]
                .as_ref()
                .is_some_and(|found| matches!(found.keyword, "anyOf" | "oneOf"))
        });
        let Some(none) = none else { continue };
        let root = all[none]
            .as_ref()
            .map_or(String::new(), |found| found.rule.clone());
        // In the order in which the kinds stand in the schema: the first that fits is meant.
        let mut kinds: IndexMap<String, Vec<usize>> = IndexMap::new();
        for index in &indexes {
            let Some(found) = &all[*index] else { continue };
            if found.rule == root {
                continue;
            }
            let behind = root.len() + 1;
            let end = found.rule.get(behind..).and_then(|rest| rest.find('/'));
            let end = end.map_or(found.rule.len(), |end| behind + end + 1);
            kinds
                .entry(found.rule[..end].to_owned())
                .or_default()
                .push(*index);
        }
        let meant = kinds.iter().find(|(_, indexes)| {
            let mut found = indexes.iter().filter_map(|index| all[*index].as_ref());
            found.all(|found| found.keyword != "required")
        });
        match meant {
            Some((meant, _)) => {
                let meant = meant.clone();
                for found in all.iter_mut() {
                    let drop = found.as_ref().is_some_and(|found| {
                        starts_with(&found.at, &event)
                            && !(found.at == event && found.rule.starts_with(&meant))
                    });
                    if drop {
                        *found = None;
                    }
                }
            }
            None => {
                let has_deeper = all
                    .iter()
                    .flatten()
                    .any(|found| found.at.len() > event.len() && starts_with(&found.at, &event));
                for index in indexes {
                    if has_deeper || index != none {
                        all[index] = None;
                    }
                }
            }
        }
    }
}

/// The places in a rule behind which an alternative is named.
fn forks(rule: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for word in ["/anyOf", "/oneOf"] {
        for (at, _) in rule.match_indices(word) {
            let end = at + word.len();
            let rest = &rule[end..];
            let digits = rest.strip_prefix('/').map(|rest| {
                rest.find('/').is_some_and(|end| {
                    end > 0 && rest[..end].bytes().all(|byte| byte.is_ascii_digit())
                })
            });
            if rest.is_empty() || digits == Some(true) {
                found.push(end);
            }
        }
    }
    found.sort_unstable();
    found
}

/// Of alternatives only the one that was meant is told, or that none fits.
fn alternatives(all: &mut [Option<Found>]) {
    let mut by_fork: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, found) in all.iter().enumerate() {
        let Some(found) = found else { continue };
        for end in forks(&found.rule) {
            let fork = &found.rule[..end];
            match by_fork.iter_mut().find(|(known, _)| known == fork) {
                Some((_, indexes)) => indexes.push(index),
                None => by_fork.push((fork.to_owned(), vec![index])),
            }
        }
    }
    // What an outer fork leaves out still counts for the inner ones.
    let before = all.to_vec();
    for (fork, mut indexes) in by_fork {
        if indexes.len() < 2 {
            continue;
        }
        let at = |index: usize| {
            before[index]
                .as_ref()
                .map_or_else(Vec::new, |found| found.at.clone())
        };
        indexes.sort_by_key(|index| at(*index));
        let mut groups: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
        for index in indexes {
            let place = at(index);
            match groups.last_mut() {
                Some((root, group)) if starts_with(&place, root) => group.push(index),
                _ => groups.push((place, vec![index])),
            }
        }
        for (_, group) in groups {
            if group.len() > 1 {
                one_group(all, &before, &fork, &group);
            }
        }
    }
}

fn one_group(all: &mut [Option<Found>], before: &[Option<Found>], fork: &str, group: &[usize]) {
    let mut root = None;
    let mut variants: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in group {
        let Some(found) = &before[*index] else {
            continue;
        };
        match found.rule.get(fork.len() + 1..) {
            None => root = root.or(Some(*index)),
            Some(rest) => {
                let variant = rest.split('/').next().unwrap_or_default();
                let variant = variant.parse().unwrap_or(usize::MAX);
                variants.entry(variant).or_default().push(*index);
            }
        }
    }
    let Some(root) = root else { return };
    if variants.is_empty() {
        return;
    }
    let mut variants: Vec<Vec<usize>> = variants.into_values().collect();
    if variants.len() > 1 {
        let is_other_type = |variant: &[usize]| match variant {
            [only] => before[*only].as_ref().is_some_and(|found| {
                let rest = found.rule[fork.len()..].trim_start_matches('/');
                found.keyword == "type" && rest.split('/').count() == 2
            }),
            _ => false,
        };
        let (others, kept): (Vec<_>, Vec<_>) = variants
            .into_iter()
            .partition(|variant| is_other_type(variant));
        others
            .into_iter()
            .flatten()
            .for_each(|index| all[index] = None);
        variants = kept;
        if variants.len() > 1 {
            let depth = |variant: &[usize]| {
                let depths = variant.iter().filter_map(|index| before[*index].as_ref());
                depths.map(|found| found.at.len()).max().unwrap_or(0)
            };
            let deepest = variants
                .iter()
                .map(|variant| depth(variant))
                .max()
                .unwrap_or(0);
            let (kept, others): (Vec<_>, Vec<_>) = variants
                .into_iter()
                .partition(|variant| depth(variant) == deepest);
            others
                .into_iter()
                .flatten()
                .for_each(|index| all[index] = None);
            variants = kept;
        }
    }
    match variants.as_slice() {
        [] => {}
        [_] => all[root] = None,
        _ => {
            // The last alternative whose findings are all of one type names it.
            for variant in variants {
                let kinds: BTreeSet<Option<String>> = variant
                    .iter()
                    .filter_map(|index| before[*index].as_ref())
                    .map(|found| found.kind.clone())
                    .collect();
                for index in variant {
                    all[index] = None;
                }
                if let (1, Some(root)) = (kinds.len(), &mut all[root]) {
                    root.property = kinds.into_iter().next().flatten();
                }
            }
        }
    }
}
