//! Questions about users: SCRAM credentials, ACL bindings, quotas.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::*;

use super::Script;
use crate::client::text;

pub(super) async fn questions(script: &mut Script) {
    passwords(script).await;
    bindings(script).await;
    quotas(script).await;
}

async fn passwords(script: &mut Script) {
    let (u, v) = (script.name("u"), script.name("v"));
    let upsert = |name: &str, mechanism: i8, iterations: i32| {
        ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
            .with_iterations(iterations)
            .with_salt(bytes::Bytes::from_static(b"salt"))
            .with_salted_password(bytes::Bytes::from_static(b"salted"))
    };
    let drop = |name: &str, mechanism: i8| {
        ScramCredentialDeletion::default()
            .with_name(text(name))
            .with_mechanism(mechanism)
    };
    let request = AlterUserScramCredentialsRequest::default;
    for case in [
        request().with_upsertions(vec![upsert(&u, 1, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 1, 10)]),
        request().with_upsertions(vec![upsert(&v, 1, 99_999)]),
        request().with_upsertions(vec![upsert("", 1, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 9, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 1, 4_096), upsert(&v, 1, 4_096)]),
        request().with_deletions(vec![drop(&v, 1)]),
        request().with_deletions(vec![drop(&v, 9)]),
        request().with_deletions(vec![drop("", 1)]),
        request()
            .with_deletions(vec![drop(&u, 1)])
            .with_upsertions(vec![upsert(&u, 1, 4_096)]),
        request()
            .with_deletions(vec![drop(&u, 2)])
            .with_upsertions(vec![upsert(&u, 1, 4_096)]),
        request().with_deletions(vec![drop(&v, 1), drop(&v, 1)]),
        request().with_upsertions(vec![upsert(&u, 2, 16_384), upsert(&v, 1, 10)]),
        request().with_upsertions(vec![upsert(&v, 1, 4_095), upsert(&v, 2, 4_096)]),
        request().with_upsertions(vec![upsert(&v, 1, 16_385)]),
        request().with_upsertions(vec![upsert(&v, 0, 4_096)]),
        request().with_upsertions(vec![upsert("a,b=c", 0, 4_096)]),
        request(),
    ] {
        script.ask_but(0, &case, by_user).await;
    }
    for names in [
        vec![u.as_str()],
        vec![v.as_str()],
        vec![v.as_str(), v.as_str()],
        vec![u.as_str(), v.as_str()],
        vec![""],
    ] {
        let names = names.into_iter().map(|name| {
            describe_user_scram_credentials_request::UserName::default().with_name(text(name))
        });
        let request =
            DescribeUserScramCredentialsRequest::default().with_users(Some(names.collect()));
        let shows = |answer: &DescribeUserScramCredentialsResponse| {
            answer
                .results
                .iter()
                .all(|one| one.error_code != 0 || one.credential_infos.len() == 2)
        };
        script.learnt(0, &request, shows).await;
        script
            .ask_but(0, &request, |answer| {
                // Kafka keeps users and their mechanisms in hash maps.
                for result in &mut answer.results {
                    result.credential_infos.sort_by_key(|one| one.mechanism);
                }
                answer
                    .results
                    .sort_by(|one, other| one.user.cmp(&other.user));
            })
            .await;
    }
    for deletions in [
        vec![drop(&u, 1), drop(&u, 2)],
        vec![drop(&u, 1)],
        vec![drop(&u, 2)],
    ] {
        let request = request().with_deletions(deletions);
        script.ask_but(0, &request, by_user).await;
    }
}

fn by_user(answer: &mut AlterUserScramCredentialsResponse) {
    answer
        .results
        .sort_by(|one, other| one.user.cmp(&other.user));
}

async fn bindings(script: &mut Script) {
    let u = script.name("u");
    let acl = |kind: i8, name: &str, pattern: i8, principal: &str, operation: i8| {
        AclCreation::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
            .with_resource_pattern_type(pattern)
            .with_principal(text(principal))
            .with_host(text("*"))
            .with_operation(operation)
            .with_permission_type(3)
    };
    let owner = format!("User:{u}");
    for case in [
        acl(2, "orders", 3, &owner, 3),
        acl(2, "ord", 4, &owner, 3),
        acl(4, "elsewhere", 3, &owner, 3),
        acl(2, "", 3, &owner, 3),
        acl(2, "orders", 2, &owner, 3),
        acl(2, "orders", 3, "nobody", 3),
        acl(2, "orders", 3, &owner, 1),
        acl(1, "orders", 3, &owner, 3),
        acl(2, "orders", 1, &owner, 3),
        acl(2, "orders", 3, &owner, 3).with_permission_type(1),
        acl(4, "", 3, &owner, 3),
        acl(2, "orders", 3, "", 3),
        acl(2, "orders", 3, ":", 3),
        acl(2, "orders", 3, "User:", 3),
        acl(2, "orders", 3, "Planet:mars", 3),
        acl(2, "b d", 3, &owner, 3).with_host(text("")),
        acl(4, "kafka-cluster", 4, &owner, 3),
        acl(4, "kafka-cluster", 3, &owner, 3),
        acl(3, "*", 4, &owner, 3),
        acl(2, "orders", 3, &owner, 14),
        acl(6, "token", 3, &owner, 8),
        acl(7, "User:x", 3, &owner, 13),
        acl(9, "orders", 3, &owner, 3),
        acl(2, "orders", 9, &owner, 3),
        acl(2, "orders", 3, &owner, 99),
        acl(2, "orders", 3, &owner, 3).with_permission_type(9),
    ] {
        script
            .ask(3, &CreateAclsRequest::default().with_creations(vec![case]))
            .await;
    }
    let two = vec![
        acl(2, "orders", 3, &owner, 3),
        acl(2, "orders", 1, &owner, 3),
    ];
    script
        .ask(3, &CreateAclsRequest::default().with_creations(two))
        .await;
    for odd in [
        acl(0, "orders", 3, &owner, 3),
        acl(2, "orders", 0, &owner, 3),
        acl(2, "orders", 3, &owner, 0),
        acl(2, "orders", 3, &owner, 3).with_permission_type(0),
    ] {
        let request = CreateAclsRequest::default().with_creations(vec![odd]);
        script.refused(3, &request).await;
    }
    for (name, pattern) in [
        (None, 1),
        (Some("orders"), 2),
        (Some("orders"), 3),
        (Some("ord"), 4),
    ] {
        let filter = DescribeAclsRequest::default()
            .with_resource_type_filter(2)
            .with_resource_name_filter(name.map(text))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(Some(text(&owner)))
            .with_host_filter(None)
            .with_operation(1)
            .with_permission_type(1);
        script
            .learnt(3, &filter, |answer| !answer.resources.is_empty())
            .await;
        script.ask_but(3, &filter, in_hash_order).await;
        for odd in [
            filter.clone().with_resource_type_filter(0),
            filter.clone().with_operation(0),
            filter.clone().with_pattern_type_filter(0),
            filter.clone().with_permission_type(0),
        ] {
            script.refused(3, &odd).await;
        }
        for odd in [
            filter.clone().with_resource_type_filter(77),
            filter.clone().with_operation(77),
            filter.clone().with_pattern_type_filter(9),
            filter.with_permission_type(9),
        ] {
            script.ask(3, &odd).await;
        }
    }
    let all = delete_acls_request::DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_resource_name_filter(Some(text("orders")))
        .with_pattern_type_filter(3)
        .with_principal_filter(Some(text(&owner)))
        .with_host_filter(None)
        .with_operation(1)
        .with_permission_type(1);
    let with = |operation: i8| {
        let filters = vec![all.clone().with_operation(operation), all.clone()];
        DeleteAclsRequest::default().with_filters(filters)
    };
    script.refused(3, &with(0)).await;
    script.ask_but(3, &with(77), in_hash_order_too).await;
    for odd in [
        all.clone().with_resource_type_filter(77),
        all.clone().with_pattern_type_filter(77),
        all.clone().with_permission_type(77),
    ] {
        let request = DeleteAclsRequest::default().with_filters(vec![odd]);
        script.ask(3, &request).await;
    }
    for _ in 0..2 {
        script
            .ask(
                3,
                &DeleteAclsRequest::default().with_filters(vec![all.clone()]),
            )
            .await;
    }
    let rest = all
        .with_resource_name_filter(None)
        .with_pattern_type_filter(1);
    script
        .ask_but(
            3,
            &DeleteAclsRequest::default().with_filters(vec![rest]),
            in_hash_order_too,
        )
        .await;
}

/// Kafka keeps bindings in hash sets: their order says nothing.
fn in_hash_order(answer: &mut DescribeAclsResponse) {
    for resource in &mut answer.resources {
        resource.acls.sort_by_key(|one| format!("{one:?}"));
    }
    answer.resources.sort_by_key(|one| format!("{one:?}"));
}

/// The same of bindings that go.
fn in_hash_order_too(answer: &mut DeleteAclsResponse) {
    for result in &mut answer.filter_results {
        result.matching_acls.sort_by_key(|one| format!("{one:?}"));
    }
}

async fn quotas(script: &mut Script) {
    let user = &script.name("u");
    let entity = |kind: &str, name: Option<&str>| {
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name(name.map(text))
    };
    let set = |key: &str, value: f64| OpData::default().with_key(text(key)).with_value(value);
    let unset = |key: &str| OpData::default().with_key(text(key)).with_remove(true);
    let mine = || vec![entity("user", Some(user))];
    for (entity, op) in [
        (mine(), set("producer_byte_rate", 1_024.0)),
        (mine(), set("producer_byte_rate", 1.5)),
        (mine(), set("producer_byte_rate", 0.0)),
        (mine(), set("producer_byte_rate", -1.0)),
        (mine(), set("what", 1.0)),
        (mine(), set("connection_creation_rate", 1.0)),
        (
            vec![entity("planet", Some("mars"))],
            set("producer_byte_rate", 1.0),
        ),
        (
            vec![entity("user", Some(""))],
            set("producer_byte_rate", 1.0),
        ),
        (
            vec![entity("ip", Some("127.0.0.1")), entity("user", Some(user))],
            set("connection_creation_rate", 1.0),
        ),
        (Vec::new(), set("producer_byte_rate", 1.0)),
        (
            vec![entity("ip", Some("not an address"))],
            set("connection_creation_rate", 1.0),
        ),
        (
            vec![entity("ip", Some("127.0.0.1"))],
            set("connection_creation_rate", 1.5),
        ),
        (
            vec![entity("ip", Some("127.0.0.1"))],
            set("producer_byte_rate", 1.0),
        ),
        (vec![entity("", Some("x"))], set("producer_byte_rate", 1.0)),
        (
            vec![entity("client-id", Some(""))],
            set("producer_byte_rate", 1.0),
        ),
        (
            vec![entity("user", Some("a")), entity("user", Some(user))],
            set("producer_byte_rate", 1.0),
        ),
        (mine(), set("request_percentage", 12.5)),
        (mine(), set("controller_mutation_rate", 0.5)),
        (mine(), set("producer_byte_rate", f64::NAN)),
        (mine(), set("producer_byte_rate", f64::INFINITY)),
        (mine(), set("producer_byte_rate", 1e300)),
        (mine(), set("request_percentage", f64::INFINITY)),
        (mine(), set("producer_byte_rate", 1_024.000_000_1)),
        (mine(), unset("what")),
        (mine(), unset("consumer_byte_rate")),
        (
            vec![entity("client-id", Some("c")), entity("user", Some(user))],
            set("consumer_byte_rate", 5.0),
        ),
    ] {
        let entry = EntryData::default().with_entity(entity).with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        script.ask_but(1, &request, in_order).await;
    }
    let tried = EntryData::default()
        .with_entity(mine())
        .with_ops(vec![set("consumer_byte_rate", 7.0)]);
    for entries in [vec![tried.clone()], vec![tried.clone(), tried], Vec::new()] {
        let request = AlterClientQuotasRequest::default()
            .with_entries(entries)
            .with_validate_only(true);
        script.ask_but(1, &request, in_order).await;
    }
    filters(script, user).await;
    let client = vec![entity("client-id", Some("c")), entity("user", Some(user))];
    for (entity, keys) in [
        (
            mine(),
            &[
                "producer_byte_rate",
                "request_percentage",
                "controller_mutation_rate",
            ][..],
        ),
        (client, &["consumer_byte_rate"]),
    ] {
        let entry = EntryData::default()
            .with_entity(entity)
            .with_ops(keys.iter().map(|key| unset(key)).collect());
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        script.ask_but(1, &request, in_order).await;
    }
}

/// Kafka keeps the parts of an entity in a hash map: their order says nothing.
fn in_order(answer: &mut AlterClientQuotasResponse) {
    for entry in &mut answer.entries {
        entry
            .entity
            .sort_by(|one, other| one.entity_type.cmp(&other.entity_type));
    }
}

/// Quotas looked for by what their entities are.
async fn filters(script: &mut Script, user: &str) {
    let part = |kind: &str, how: i8, word: Option<&str>| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(how)
            .with_match(word.map(text))
    };
    let settled = |answer: &DescribeClientQuotasResponse| {
        let values = answer
            .entries
            .iter()
            .flatten()
            .map(|entry| entry.values.len());
        answer.error_code != 0 || values.sum::<usize>() >= 1
    };
    let mine = || part("user", 0, Some(user));
    for (parts, strict) in [
        (vec![mine()], false),
        (vec![mine()], true),
        (vec![mine(), part("client-id", 0, Some("c"))], true),
        (vec![mine(), part("client-id", 2, None)], false),
    ] {
        let request = DescribeClientQuotasRequest::default()
            .with_components(parts)
            .with_strict(strict);
        script.learnt(1, &request, settled).await;
        script.ask_but(1, &request, quotas_in_order).await;
    }
    for parts in [
        vec![mine(), part("client-id", 1, None)],
        vec![mine(), mine()],
        vec![part("planet", 0, Some("mars"))],
        vec![part("", 0, Some("mars"))],
        vec![part("user", 0, None)],
        vec![part("user", 1, Some("x"))],
        vec![part("user", 2, Some("x"))],
        vec![part("user", 7, Some("x"))],
        vec![mine(), part("ip", 2, None)],
    ] {
        let request = DescribeClientQuotasRequest::default()
            .with_components(parts)
            .with_strict(true);
        script.ask_but(1, &request, quotas_in_order).await;
    }
}

/// The same of what is described.
fn quotas_in_order(answer: &mut DescribeClientQuotasResponse) {
    for entry in answer.entries.iter_mut().flatten() {
        entry
            .entity
            .sort_by(|one, other| one.entity_type.cmp(&other.entity_type));
        entry.values.sort_by(|one, other| one.key.cmp(&other.key));
    }
    if let Some(entries) = &mut answer.entries {
        entries.sort_by_key(|entry| format!("{entry:?}"));
    }
}
