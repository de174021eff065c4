//! Forms of text that settings are recognised by: ARNs, images, objects in S3.

/// The bucket and key of `s3://bucket/key`, or of the address of an object.
pub(crate) fn s3_object(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix("s3://") {
        return rest.split_once('/');
    }
    let rest = text.strip_prefix("https://")?;
    let (host, path) = rest.split_once('/')?;
    if host.starts_with("s3") && host.ends_with(".amazonaws.com") {
        return path.split_once('/');
    }
    let (bucket, service) = host.split_once(".s3")?;
    service
        .ends_with(".amazonaws.com")
        .then_some((bucket, path))
}

/// Whether a text names an image: in a registry of ECR, or by its digest.
pub(crate) fn is_image(text: &str) -> bool {
    if text
        .split_once("@sha256:")
        .is_some_and(|(name, _)| !name.contains(['@', ':']))
    {
        return true;
    }
    let Some((account, rest)) = text.split_once(".dkr.ecr.") else {
        return false;
    };
    account.bytes().all(|byte| byte.is_ascii_digit()) && rest.contains(".amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_in_s3_are_recognised() {
        assert_eq!(s3_object("s3://b/k/z.zip"), Some(("b", "k/z.zip")));
        assert_eq!(
            s3_object("https://s3.eu-west-1.amazonaws.com/b/k.zip"),
            Some(("b", "k.zip"))
        );
        assert_eq!(
            s3_object("https://b.s3.amazonaws.com/k.zip"),
            Some(("b", "k.zip"))
        );
        assert_eq!(s3_object("dist/a.zip"), None);
    }
}
