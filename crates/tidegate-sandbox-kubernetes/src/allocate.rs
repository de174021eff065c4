//! What the server hands out at creation: cluster addresses of services.

use serde_json::{Value, json};

use crate::core::Core;
use crate::object;
use crate::resource::{Resource, ResourceName};

const SERVICES: ResourceName = ResourceName::new("", "services");
/// Addresses are 10.96.0.0/16; the first ten are kept for well-known services.
const FIRST: u16 = 10;

/// Gives a service its cluster address.
pub(crate) fn assign(core: &Core, resource: &Resource, object: &mut Value) {
    if resource.name != SERVICES {
        return;
    }
    let kind = object::text(object, &["spec", "type"]);
    let given = object::text(object, &["spec", "clusterIP"]).to_owned();
    if kind == "ExternalName" {
        return;
    }
    let address = if given.is_empty() { free_address(core, object) } else { given };
    let spec = object::child(object::ensure(object), "spec");
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), json!(address));
}

/// The first free address from a place that depends on the name, so that the same cluster gets the same addresses.
fn free_address(core: &Core, object: &Value) -> String {
    let (_, table) = core.store.table(&SERVICES);
    let taken: std::collections::HashSet<&str> = table
        .values()
        .map(|stored| object::text(&stored.object, &["spec", "clusterIP"]))
        .collect();
    let name = format!("{}/{}", object::namespace(object), object::name(object));
    let start = name.bytes().fold(0_u16, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u16::from(byte))
    });
    (0..=u16::MAX)
        .map(|step| start.wrapping_add(step))
        .filter(|number| *number >= FIRST && *number != u16::MAX)
        .map(|number| format!("10.96.{}.{}", number >> 8, number & 255))
        .find(|address| !taken.contains(address.as_str()))
        .unwrap_or_else(|| "None".to_owned())
}
