//! Where a request was signed for: service and region of its credential scope, and the address it was sent to.
//!
//! Must not know: services. Signatures are not verified: the sandbox takes any credentials.

use super::Incoming;
use crate::options::AwsOptions;

/// What the signature tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) service: Option<String>,
    pub(super) region: String,
    pub(super) endpoint: String,
}

/// Reads the credential scope of the header or of a presigned URL.
pub(super) fn read(request: &Incoming, options: &AwsOptions) -> Origin {
    let parameters = request.parameters();
    let credential = request
        .header("authorization")
        .and_then(|header| header.split_once("Credential="))
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or("").to_owned())
        .or_else(|| {
            parameters
                .iter()
                .find(|(name, _)| name == "X-Amz-Credential")
                .map(|(_, value)| value.clone())
        });
    let parts: Vec<&str> = credential
        .as_deref()
        .map(|text| text.rsplit('/').collect())
        .unwrap_or_default();
    let (service, region) = match parts[..] {
        ["aws4_request", service, region, ..] => (Some(service.to_owned()), region),
        _ => (None, ""),
    };
    let valid = !region.is_empty()
        && region.len() <= 40
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let host = request.header("host").unwrap_or("127.0.0.1");
    Origin {
        service,
        region: if valid { region } else { &options.region }.to_owned(),
        endpoint: format!("http://{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, query: &str, service: Option<&str>, region: &str) {
        let mut request = Incoming {
            query: query.into(),
            ..Incoming::default()
        };
        if !header.is_empty() {
            request
                .headers
                .insert("authorization".into(), header.into());
        }
        let origin = read(&request, &AwsOptions::default());
        assert_eq!(
            (origin.service.as_deref(), origin.region.as_str()),
            (service, region)
        );
    }

    #[test]
    fn credential_scopes() {
        check(
            "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host, Signature=0",
            "",
            Some("sqs"),
            "eu-west-1",
        );
        check(
            "",
            "X-Amz-Credential=k%2F20260101%2Fus-west-2%2Fs3%2Faws4_request",
            Some("s3"),
            "us-west-2",
        );
        check("", "", None, "us-east-1");
        check("nonsense Credential=/", "", None, "us-east-1");
    }
}
