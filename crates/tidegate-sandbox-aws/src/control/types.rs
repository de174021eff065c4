//! What the public registry says of each CloudFormation type: handlers, primary identifier, required, read-only,
//! create-only and write-only properties. One line a type in `types.txt`: name, handlers (CRUDL), identifier, then
//! `q=` `r=` `c=` `w=` lists.
//!
//! Must not know: resources.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The facts of one type.
#[derive(Debug)]
pub(super) struct TypeFacts {
    pub(super) name: &'static str,
    /// Some of C, R, U, D, L.
    pub(super) handlers: &'static str,
    /// Property paths that identify a resource, in order.
    pub(super) identifier: Vec<&'static str>,
    pub(super) required: Vec<&'static str>,
    /// Top-level properties that only the service writes.
    pub(super) read_only: Vec<&'static str>,
    /// Property paths that cannot change.
    pub(super) create_only: Vec<&'static str>,
    /// Property paths that are not read back.
    pub(super) write_only: Vec<&'static str>,
}

/// The facts of a type that can be provisioned.
pub(super) fn find(name: &str) -> Option<&'static TypeFacts> {
    static ALL: OnceLock<HashMap<&'static str, TypeFacts>> = OnceLock::new();
    ALL.get_or_init(|| {
        include_str!("types.txt")
            .lines()
            .filter_map(read)
            .map(|facts| (facts.name, facts))
            .collect()
    })
    .get(name)
}

fn read(line: &'static str) -> Option<TypeFacts> {
    let mut words = line.split(' ');
    let mut facts = TypeFacts {
        name: words.next()?,
        handlers: words.next()?,
        identifier: words.next()?.split(',').collect(),
        required: Vec::new(),
        read_only: Vec::new(),
        create_only: Vec::new(),
        write_only: Vec::new(),
    };
    for word in words {
        let (kind, list) = word.split_once('=')?;
        let list = list.split(',').collect();
        match kind {
            "q" => facts.required = list,
            "r" => facts.read_only = list,
            "c" => facts.create_only = list,
            "w" => facts.write_only = list,
            _ => return None,
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        let table = include_str!("types.txt");
        assert!(table.lines().all(|line| read(line).is_some()));
        let facts = find("AWS::Glue::Job").unwrap();
        assert_eq!(facts.identifier, ["Name"]);
        assert_eq!(facts.handlers, "CRUDL");
        assert!(find("AWS::No::Such").is_none());
    }
}
