//! Functions from container images: the image by its digest.

use super::context::{Context, Function, is_mapping, is_truthy};
use super::text::is_image;

/// An image of a function.
#[derive(Debug)]
pub(crate) struct Image {
    /// Where it lies, with its digest.
    pub(crate) uri: String,
    /// The digest in hexadecimal.
    pub(crate) digest: String,
}

/// The image that a function names.
///
/// # Errors
/// In words: it is not named, has no digest, or would have to be built.
pub(crate) fn image(context: &Context<'_>, function: &Function) -> Result<Image, String> {
    let Some(image) = function.setting("image") else {
        return Err("no image is named".to_owned());
    };
    let field = |name: &str| image.get(name).filter(|node| is_truthy(node));
    if is_mapping(image) {
        let key = &function.key;
        return match (field("uri"), field("name")) {
            (None, None) => Err(format!(
                "Either \"uri\" or \"name\" property needs to be set on image for function: {key}"
            )),
            (Some(_), Some(_)) => Err(format!(
                "Either \"uri\" or \"name\" property (not both) needs to be set on image for function: {key}"
            )),
            (Some(uri), None) => of_uri(uri.as_str().unwrap_or_default()),
            (None, Some(name)) => of_provider(context, name.as_str().unwrap_or_default()),
        };
    }
    let text = image.as_str().unwrap_or_default();
    if is_image(text) {
        of_uri(text)
    } else {
        of_provider(context, text)
    }
}

fn of_provider(context: &Context<'_>, name: &str) -> Result<Image, String> {
    let Some(image) = context.setting(&["ecr", "images", name]) else {
        return Err(format!(
            "Referenced \"{name}\" not defined in \"provider.ecr.images\""
        ));
    };
    let field = |name: &str| image.get(name).filter(|node| is_truthy(node));
    if !is_mapping(image) {
        let text = image.as_str().unwrap_or_default();
        return if is_image(text) {
            of_uri(text)
        } else {
            Err(built(name))
        };
    }
    match (field("uri"), field("path")) {
        (None, None) => Err(format!(
            "Either \"uri\" or \"path\" property needs to be set on image \"{name}\""
        )),
        (Some(_), Some(_)) => Err(format!(
            "Either \"uri\" or \"path\" property (not both) needs to be set on image \"{name}\""
        )),
        (None, Some(_)) => Err(built(name)),
        (Some(uri), None) => {
            let extra = ["buildArgs", "cacheFrom", "platform", "provenance"];
            if let Some(extra) = extra.iter().find(|extra| field(extra).is_some()) {
                return Err(format!(
                    "The \"{extra}\" property cannot be used with \"uri\" property \"{name}\""
                ));
            }
            if field("buildOptions").is_some() {
                return Err(format!(
                    "You can't use the \"buildOptions\" and the \"uri\" properties at the same time \"{name}\""
                ));
            }
            of_uri(uri.as_str().unwrap_or_default())
        }
    }
}

fn built(name: &str) -> String {
    format!(
        "the image \"{name}\" would have to be built from a Dockerfile, and no image is built on the way"
    )
}

fn of_uri(uri: &str) -> Result<Image, String> {
    let digest = uri.split_once("@sha256:").map(|(_, digest)| digest);
    match digest {
        Some(digest) if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(Image {
                uri: uri.to_owned(),
                digest: digest.to_owned(),
            })
        }
        _ => Err(format!(
            "the image {uri:?} has no digest: what its tag means can change"
        )),
    }
}
