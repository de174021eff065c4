//! ACL bindings: CreateAcls, DescribeAcls, DeleteAcls. They are kept and told, not enforced.
//!
//! Must not know: who sends which request.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::delete_acls_response::{
    DeleteAclsFilterResult, DeleteAclsMatchingAcl,
};
use kafka_protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource};
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};

use crate::broker::{Hub, Refusal};
use crate::view::AclBinding;
use crate::wire::{Call, Code, text};

/// Numbers of the protocol that stand for "any", in every one of its lists.
const ANY: i8 = 1;
/// Pattern types.
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;
/// Resource types: topic, group, cluster, transactional id, delegation token, user.
const RESOURCES: std::ops::RangeInclusive<i8> = 2..=7;
const CLUSTER: i8 = 4;
const CLUSTER_NAME: &str = "kafka-cluster";
/// Operations: all, read … create and describe tokens, two-phase commit.
const OPERATIONS: std::ops::RangeInclusive<i8> = 2..=15;
/// Permissions: deny, allow.
const PERMISSIONS: std::ops::RangeInclusive<i8> = 2..=3;

/// One binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Acl {
    pub(crate) resource_type: i8,
    pub(crate) name: String,
    pub(crate) pattern: i8,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

/// All bindings.
pub(crate) type Acls = BTreeSet<Acl>;

/// What bindings are looked for.
struct Filter<'a> {
    resource_type: i8,
    name: Option<&'a str>,
    pattern: i8,
    principal: Option<&'a str>,
    host: Option<&'a str>,
    operation: i8,
    permission: i8,
}

impl Filter<'_> {
    /// Whether every number stands for something: a deletion wants that, a description finds nothing.
    fn check(&self) -> Result<(), Refusal> {
        let known = |number: i8, range: &std::ops::RangeInclusive<i8>| {
            number == ANY || range.contains(&number)
        };
        let invalid = |why: &str| Err(Refusal::new(Code::InvalidRequest, why));
        if !known(self.resource_type, &RESOURCES) || !(ANY..=PREFIXED).contains(&self.pattern) {
            return invalid("Unknown patternFilter.");
        }
        if !known(self.operation, &OPERATIONS) || !known(self.permission, &PERMISSIONS) {
            return invalid("Unknown entryFilter.");
        }
        Ok(())
    }

    fn takes(&self, acl: &Acl) -> bool {
        let number = |wanted: i8, is: i8| wanted == ANY || wanted == is;
        let word = |wanted: Option<&str>, is: &str| wanted.is_none_or(|wanted| wanted == is);
        number(self.resource_type, acl.resource_type)
            && number(self.operation, acl.operation)
            && number(self.permission, acl.permission)
            && word(self.principal, &acl.principal)
            && word(self.host, &acl.host)
            && self.takes_name(acl)
    }

    fn takes_name(&self, acl: &Acl) -> bool {
        if self.pattern != ANY && self.pattern != MATCH && self.pattern != acl.pattern {
            return false;
        }
        let Some(name) = self.name else {
            return true;
        };
        if self.pattern != MATCH {
            return name == acl.name;
        }
        match acl.pattern {
            LITERAL => acl.name == name || acl.name == "*",
            PREFIXED => name.starts_with(&acl.name),
            _ => false,
        }
    }
}

pub(crate) fn create(
    hub: &Arc<Hub>,
    call: &Call,
    request: &CreateAclsRequest,
) -> CreateAclsResponse {
    let mut state = hub.state.lock();
    // A binding of "any" is none at all: Kafka falls over it, and with it the whole request.
    let whole = !request.creations.iter().any(of_any);
    let results = request.creations.iter().map(|asked| {
        let made = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None if !whole => Err(Refusal::silent(Code::UnknownServerError)),
            None => checked(asked).and_then(|acl| {
                if !state.acls.contains(&acl) {
                    check_room(hub, state.acls.len() + 1)?;
                }
                state.acls.insert(acl);
                Ok(())
            }),
        };
        match made {
            Ok(()) => AclCreationResult::default(),
            Err(refusal) => AclCreationResult::default()
                .with_error_code(refusal.code.code())
                .with_error_message(refusal.said()),
        }
    });
    CreateAclsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_results(results.collect())
}

/// Whether the broker holds so many bindings.
///
/// # Errors
/// POLICY_VIOLATION.
pub(crate) fn check_room(hub: &Hub, wanted: usize) -> Result<(), Refusal> {
    let most = hub.options.limits.entries;
    if wanted <= most {
        return Ok(());
    }
    Err(Refusal::new(
        Code::PolicyViolation,
        format!("the sandbox holds at most {most} ACL bindings"),
    ))
}

/// A binding of one principal, checked as CreateAcls checks it.
///
/// # Errors
/// INVALID_REQUEST, also when the binding names another principal.
pub(crate) fn checked_binding(principal: &str, binding: &AclBinding) -> Result<Acl, Refusal> {
    if binding.principal != principal {
        return Err(Refusal::new(
            Code::InvalidRequest,
            "the binding is of another principal",
        ));
    }
    let asked = AclCreation::default()
        .with_resource_type(binding.resource_type)
        .with_resource_name(text(binding.name.as_str()))
        .with_resource_pattern_type(binding.pattern)
        .with_principal(text(principal))
        .with_host(text(binding.host.as_str()))
        .with_operation(binding.operation)
        .with_permission_type(binding.permission);
    checked(&asked)
}

/// Whether any of these numbers is the one that stands for "unknown": Kafka does not read such a request.
pub(crate) fn unknown(numbers: impl IntoIterator<Item = [i8; 4]>) -> bool {
    numbers.into_iter().any(|all| all.contains(&0))
}

/// The numbers of a binding that is to be made.
pub(crate) fn made(asked: &AclCreation) -> [i8; 4] {
    [
        asked.resource_type,
        asked.resource_pattern_type,
        asked.operation,
        asked.permission_type,
    ]
}

/// The numbers of bindings that are looked for.
pub(crate) fn sought(asked: &DescribeAclsRequest) -> [i8; 4] {
    [
        asked.resource_type_filter,
        asked.pattern_type_filter,
        asked.operation,
        asked.permission_type,
    ]
}

/// The numbers of bindings that are to go.
pub(crate) fn gone(asked: &DeleteAclsFilter) -> [i8; 4] {
    [
        asked.resource_type_filter,
        asked.pattern_type_filter,
        asked.operation,
        asked.permission_type,
    ]
}

fn of_any(asked: &AclCreation) -> bool {
    made(asked).contains(&ANY) || asked.resource_pattern_type == MATCH
}

fn checked(asked: &AclCreation) -> Result<Acl, Refusal> {
    let invalid = |message: &str| Err(Refusal::new(Code::InvalidRequest, message));
    if !RESOURCES.contains(&asked.resource_type) {
        return invalid("Invalid resourceType UNKNOWN");
    }
    if asked.resource_pattern_type != LITERAL && asked.resource_pattern_type != PREFIXED {
        return invalid("Invalid patternType UNKNOWN");
    }
    if !OPERATIONS.contains(&asked.operation) {
        return invalid("Invalid operation UNKNOWN");
    }
    if !PERMISSIONS.contains(&asked.permission_type) {
        return invalid("Invalid permissionType UNKNOWN");
    }
    if asked.resource_type == CLUSTER && asked.resource_name.as_str() != CLUSTER_NAME {
        return invalid("The only valid name for the CLUSTER resource is kafka-cluster");
    }
    if asked.resource_name.is_empty() {
        return invalid("Invalid empty resource name");
    }
    if !asked.principal.contains(':') {
        return Err(Refusal::new(
            Code::InvalidRequest,
            format!(
                "Could not parse principal from `{}` (no colon is present separating the principal type from the principal name)",
                asked.principal.as_str()
            ),
        ));
    }
    Ok(Acl {
        resource_type: asked.resource_type,
        name: asked.resource_name.to_string(),
        pattern: asked.resource_pattern_type,
        principal: asked.principal.to_string(),
        host: asked.host.to_string(),
        operation: asked.operation,
        permission: asked.permission_type,
    })
}

pub(crate) fn describe(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DescribeAclsRequest,
) -> DescribeAclsResponse {
    let answer = DescribeAclsResponse::default().with_throttle_time_ms(call.throttle);
    if let Some(fault) = call.fault {
        return answer.with_error_code(fault.code());
    }
    let filter = Filter {
        resource_type: request.resource_type_filter,
        name: request.resource_name_filter.as_deref(),
        pattern: request.pattern_type_filter,
        principal: request.principal_filter.as_deref(),
        host: request.host_filter.as_deref(),
        operation: request.operation,
        permission: request.permission_type,
    };
    let state = hub.state.lock();
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    for acl in state.acls.iter().filter(|acl| filter.takes(acl)) {
        let described = AclDescription::default()
            .with_principal(text(acl.principal.as_str()))
            .with_host(text(acl.host.as_str()))
            .with_operation(acl.operation)
            .with_permission_type(acl.permission);
        // The set is sorted by resource first, so one resource's bindings stand together.
        match resources.last_mut() {
            Some(last)
                if last.resource_type == acl.resource_type
                    && last.resource_name.as_str() == acl.name
                    && last.pattern_type == acl.pattern =>
            {
                last.acls.push(described);
            }
            _ => resources.push(
                DescribeAclsResource::default()
                    .with_resource_type(acl.resource_type)
                    .with_resource_name(text(acl.name.as_str()))
                    .with_pattern_type(acl.pattern)
                    .with_acls(vec![described]),
            ),
        }
    }
    answer.with_resources(resources)
}

pub(crate) fn delete(
    hub: &Arc<Hub>,
    call: &Call,
    request: &DeleteAclsRequest,
) -> DeleteAclsResponse {
    let mut state = hub.state.lock();
    let results = request.filters.iter().map(|asked| {
        let result = DeleteAclsFilterResult::default();
        let filter = filter_of(asked);
        let checked = match call.fault {
            Some(fault) => Err(Refusal::new(fault, fault.to_string())),
            None => filter.check(),
        };
        if let Err(refusal) = checked {
            return result
                .with_error_code(refusal.code.code())
                .with_error_message(Some(text(refusal.message)));
        }
        let (gone, kept): (Acls, Acls) = std::mem::take(&mut state.acls)
            .into_iter()
            .partition(|acl| filter.takes(acl));
        state.acls = kept;
        result
            .with_error_message(None)
            .with_matching_acls(gone.into_iter().map(matching).collect())
    });
    DeleteAclsResponse::default()
        .with_throttle_time_ms(call.throttle)
        .with_filter_results(results.collect())
}

fn filter_of(asked: &DeleteAclsFilter) -> Filter<'_> {
    Filter {
        resource_type: asked.resource_type_filter,
        name: asked.resource_name_filter.as_deref(),
        pattern: asked.pattern_type_filter,
        principal: asked.principal_filter.as_deref(),
        host: asked.host_filter.as_deref(),
        operation: asked.operation,
        permission: asked.permission_type,
    }
}

fn matching(acl: Acl) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl::default()
        .with_error_message(None)
        .with_resource_type(acl.resource_type)
        .with_resource_name(text(acl.name))
        .with_pattern_type(acl.pattern)
        .with_principal(text(acl.principal))
        .with_host(text(acl.host))
        .with_operation(acl.operation)
        .with_permission_type(acl.permission)
}
