//! Finds resources by tag through the Resource Groups Tagging API; roles through their own, which it does not cover.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use tidegate_applier::{ApplierError, ErrorKind};

use crate::{Aws, Discovery, Lookup, TAG_APPLICATION, from_sdk, lookup_of_arn};

/// Most pages of one listing.
const PAGES_MAX: usize = 1_000;
/// Resources of a page.
const PAGE: i32 = 100;

/// Asks the Resource Groups Tagging API.
#[derive(Clone, Debug)]
pub struct TaggingDiscovery {
    client: Client,
}

impl TaggingDiscovery {
    /// Discovery in an account and region.
    pub fn new(aws: &Aws) -> Self {
        Self {
            client: Client::new(&aws.config),
        }
    }
}

#[async_trait]
impl Discovery for TaggingDiscovery {
    async fn marked(&self, application: &str) -> Result<Vec<Lookup>, ApplierError> {
        let filter = TagFilter::builder()
            .key(TAG_APPLICATION)
            .values(application)
            .build();
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .client
                .get_resources()
                .tag_filters(filter.clone())
                .resources_per_page(PAGE)
                .set_pagination_token(token.take())
                .send()
                .await
                .map_err(|error| from_sdk("GetResources", &error))?;
            for mapping in page.resource_tag_mapping_list() {
                let tags: BTreeMap<String, String> = mapping
                    .tags()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                    .collect();
                let arn = mapping.resource_arn().unwrap_or_default();
                found.extend(lookup_of_arn(arn, &tags));
            }
            match page.pagination_token() {
                Some(next) if !next.is_empty() => token = Some(next.to_owned()),
                Some(_) | None => return Ok(found),
            }
        }
        let message = format!("more than {PAGES_MAX} pages of resources bear one mark");
        Err(ApplierError::new(ErrorKind::Internal, message))
    }
}
