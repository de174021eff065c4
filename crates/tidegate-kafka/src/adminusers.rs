//! Users at the brokers: SCRAM passwords, ACL rules, quotas.
//!
//! Must not know: documents, ownership, where passwords come from.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, CreateAclsRequest,
    DeleteAclsRequest, DescribeAclsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::acl::Acl;
use crate::admin::{Item, unanswered};
use crate::client::{Client, Who};
use crate::error::Code;
use crate::user::{LiveUser, UserSpec};

/// The wire's number of any resource, pattern, operation, permission.
const ANY: i8 = 1;
const EXACT: i8 = 0;
/// The wire's number of SCRAM-SHA-512.
const SCRAM_SHA_512: i8 = 2;
/// Iterations of passwords that are set, as Strimzi sets them.
pub(crate) const ITERATIONS: u16 = 4_096;

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

fn words(of: Option<&StrBytes>) -> Option<&str> {
    of.map(StrBytes::as_str)
}

impl Client {
    /// What the brokers know of a user.
    pub(crate) async fn user(&self, name: &str) -> Item<LiveUser> {
        Ok(LiveUser {
            has_password: self.has_password(name).await?,
            acls: self.acls(name).await?,
            quotas: self.quotas(name).await?,
        })
    }

    async fn has_password(&self, name: &str) -> Item<bool> {
        let user = UserName::default().with_name(text(name));
        let request = DescribeUserScramCredentialsRequest::default().with_users(Some(vec![user]));
        let answer = self
            .ask(Who::Controller, &request, |answer| {
                let said = words(answer.error_message.as_ref());
                Code::new(answer.error_code).check("DescribeUserScramCredentials", said)
            })
            .await;
        let answer = match answer {
            // Brokers without SCRAM know no passwords.
            Err(error) if error.code() == Code::UNSUPPORTED_VERSION => return Ok(false),
            answer => answer?,
        };
        for result in answer.results {
            let code = Code::new(result.error_code);
            if code == Code::RESOURCE_NOT_FOUND {
                continue;
            }
            code.check(
                "DescribeUserScramCredentials",
                words(result.error_message.as_ref()),
            )?;
            let mut infos = result.credential_infos.iter();
            if infos.any(|info| info.mechanism == SCRAM_SHA_512) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn acls(&self, name: &str) -> Item<BTreeSet<Acl>> {
        let request = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(Some(text(&UserSpec::principal(name))))
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let answer = self
            .ask(Who::Any, &request, |answer| {
                let said = words(answer.error_message.as_ref());
                match Code::new(answer.error_code) {
                    // No authorizer, no rules.
                    Code::SECURITY_DISABLED => Ok(()),
                    code => code.check("DescribeAcls", said),
                }
            })
            .await?;
        let mut found = BTreeSet::new();
        for resource in answer.resources {
            for rule in resource.acls {
                found.insert(Acl {
                    resource: resource.resource_type,
                    name: resource.resource_name.to_string(),
                    pattern: resource.pattern_type,
                    host: rule.host.to_string(),
                    operation: rule.operation,
                    permission: rule.permission_type,
                });
            }
        }
        Ok(found)
    }

    async fn quotas(&self, name: &str) -> Item<BTreeMap<String, f64>> {
        let user = ComponentData::default()
            .with_entity_type(StrBytes::from_static_str("user"))
            .with_match_type(EXACT)
            .with_match(Some(text(name)));
        let request = DescribeClientQuotasRequest::default()
            .with_components(vec![user])
            .with_strict(true);
        let answer = self
            .ask(Who::Any, &request, |answer| {
                let said = words(answer.error_message.as_ref());
                Code::new(answer.error_code).check("DescribeClientQuotas", said)
            })
            .await?;
        let entries = answer.entries.into_iter().flatten();
        let values = entries.flat_map(|entry| entry.values);
        Ok(values
            .map(|value| (value.key.to_string(), value.value))
            .collect())
    }

    /// Sets a password, salted already.
    pub(crate) async fn set_password(
        &self,
        name: &str,
        salt: Vec<u8>,
        salted: Vec<u8>,
    ) -> Item<()> {
        let upsertion = ScramCredentialUpsertion::default()
            .with_name(text(name))
            .with_mechanism(SCRAM_SHA_512)
            .with_iterations(i32::from(ITERATIONS))
            .with_salt(Bytes::from(salt))
            .with_salted_password(Bytes::from(salted));
        let request = AlterUserScramCredentialsRequest::default().with_upsertions(vec![upsertion]);
        self.alter_passwords(&request).await
    }

    /// Takes a password away; none is no error.
    pub(crate) async fn drop_password(&self, name: &str) -> Item<()> {
        let deletion = ScramCredentialDeletion::default()
            .with_name(text(name))
            .with_mechanism(SCRAM_SHA_512);
        let request = AlterUserScramCredentialsRequest::default().with_deletions(vec![deletion]);
        match self.alter_passwords(&request).await {
            Err(error) if error.code() == Code::RESOURCE_NOT_FOUND => Ok(()),
            done => done,
        }
    }

    async fn alter_passwords(&self, request: &AlterUserScramCredentialsRequest) -> Item<()> {
        let answer = self.send(Who::Controller, request).await?;
        let result = answer.results.into_iter().next();
        let result = result.ok_or_else(|| unanswered("AlterUserScramCredentials"))?;
        let said = words(result.error_message.as_ref());
        Code::new(result.error_code)
            .check("AlterUserScramCredentials", said)
            .map_err(|error| error.after(answer.throttle_time_ms))
    }

    /// Adds rules of a user.
    pub(crate) async fn add_acls(&self, name: &str, rules: &BTreeSet<Acl>) -> Item<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let creations = rules.iter().map(|acl| {
            AclCreation::default()
                .with_resource_type(acl.resource)
                .with_resource_name(text(&acl.name))
                .with_resource_pattern_type(acl.pattern)
                .with_principal(text(&UserSpec::principal(name)))
                .with_host(text(&acl.host))
                .with_operation(acl.operation)
                .with_permission_type(acl.permission)
        });
        let request = CreateAclsRequest::default().with_creations(creations.collect());
        let answer = self.send(Who::Controller, &request).await?;
        for (acl, result) in rules.iter().zip(&answer.results) {
            let said = words(result.error_message.as_ref()).unwrap_or_default();
            let said = format!("{acl}: {said}");
            Code::new(result.error_code)
                .check("CreateAcls", Some(&said))
                .map_err(|error| error.after(answer.throttle_time_ms))?;
        }
        Ok(())
    }

    /// Takes these very rules of a user away.
    pub(crate) async fn remove_acls(&self, name: &str, rules: &BTreeSet<Acl>) -> Item<()> {
        if rules.is_empty() {
            return Ok(());
        }
        let filters = rules.iter().map(|acl| {
            DeleteAclsFilter::default()
                .with_resource_type_filter(acl.resource)
                .with_resource_name_filter(Some(text(&acl.name)))
                .with_pattern_type_filter(acl.pattern)
                .with_principal_filter(Some(text(&UserSpec::principal(name))))
                .with_host_filter(Some(text(&acl.host)))
                .with_operation(acl.operation)
                .with_permission_type(acl.permission)
        });
        let request = DeleteAclsRequest::default().with_filters(filters.collect());
        let answer = self.send(Who::Controller, &request).await?;
        for result in &answer.filter_results {
            let said = words(result.error_message.as_ref());
            Code::new(result.error_code)
                .check("DeleteAcls", said)
                .map_err(|error| error.after(answer.throttle_time_ms))?;
        }
        Ok(())
    }

    /// Sets and, for None, unsets quotas of a user.
    pub(crate) async fn set_quotas(
        &self,
        name: &str,
        quotas: &BTreeMap<String, Option<f64>>,
        dry_run: bool,
    ) -> Item<()> {
        if quotas.is_empty() {
            return Ok(());
        }
        let user = EntityData::default()
            .with_entity_type(StrBytes::from_static_str("user"))
            .with_entity_name(Some(text(name)));
        let ops = quotas.iter().map(|(key, value)| {
            OpData::default()
                .with_key(text(key))
                .with_value(value.unwrap_or_default())
                .with_remove(value.is_none())
        });
        let entry = EntryData::default()
            .with_entity(vec![user])
            .with_ops(ops.collect());
        let request = AlterClientQuotasRequest::default()
            .with_entries(vec![entry])
            .with_validate_only(dry_run);
        let answer = self.send(Who::Controller, &request).await?;
        let result = answer.entries.into_iter().next();
        let result = result.ok_or_else(|| unanswered("AlterClientQuotas"))?;
        let said = words(result.error_message.as_ref());
        Code::new(result.error_code)
            .check("AlterClientQuotas", said)
            .map_err(|error| error.after(answer.throttle_time_ms))
    }
}
