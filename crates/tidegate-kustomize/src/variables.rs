//! `commonAnnotationsEnvsubst`: Argo CD's build variables in the annotations of an Application. Nothing of the
//! process's environment is read.

use tidegate_render::RenderInput;

/// The project of an Application, which renderers are not told.
const PROJECT: &str = "ARGOCD_APP_PROJECT_NAME";

/// Replaces `$NAME` and `${NAME}` as Go's `os.Expand` does; `$$` is a dollar, a name that is not known is nothing.
///
/// # Errors
/// A variable that Argo CD has and that is not known here.
pub(crate) fn expand(text: &str, input: &RenderInput) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let after = &after[1..];
        if after.is_empty() {
            out.push('$');
            return Ok(out);
        }
        let (name, length) = name(after);
        match name {
            Some("") if length == 0 => out.push('$'),
            Some(name) => out.push_str(&value(name, input)?),
            None => {}
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The name at the front and how many bytes it takes, braces included; nothing for braces that hold none.
fn name(text: &str) -> (Option<&str>, usize) {
    let is_special = |byte: u8| b"*#$@!?-".contains(&byte) || byte.is_ascii_digit();
    let is_word = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    match bytes {
        [b'{', special, b'}', ..] if is_special(*special) => (Some(&text[1..2]), 3),
        [b'{', ..] => match text[1..].find('}') {
            Some(0) => (None, 2),
            Some(end) => (Some(&text[1..=end]), end + 2),
            // Go eats the brace.
            None => (None, 1),
        },
        [special, ..] if is_special(*special) => (Some(&text[..1]), 1),
        _ => {
            let length = bytes.iter().take_while(|byte| is_word(byte)).count();
            (Some(&text[..length]), length)
        }
    }
}

fn value(name: &str, input: &RenderInput) -> Result<String, String> {
    let revision = input.origin.commit.as_str();
    let front = |length: usize| revision.get(..length).unwrap_or(revision).to_owned();
    Ok(match name {
        "$" => "$".to_owned(),
        "ARGOCD_APP_NAME" => input.application.clone(),
        "ARGOCD_APP_NAMESPACE" => input.namespace.clone(),
        "ARGOCD_APP_REVISION" => revision.to_owned(),
        "ARGOCD_APP_REVISION_SHORT" => front(7),
        "ARGOCD_APP_REVISION_SHORT_8" => front(8),
        "ARGOCD_APP_SOURCE_REPO_URL" => input.source.repo_url.clone(),
        "ARGOCD_APP_SOURCE_PATH" => input.source.path.clone().unwrap_or_default(),
        "ARGOCD_APP_SOURCE_TARGET_REVISION" => input.source.target_revision.clone(),
        PROJECT => {
            return Err(format!(
                "{PROJECT} is not known where an Application is rendered"
            ));
        }
        _ => String::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_manifest::{ApplicationSource, Origin};
    use tidegate_render::MemoryTree;

    use super::*;

    #[test]
    fn variables_are_expanded_as_go_does() {
        let input = RenderInput {
            tree: Arc::new(MemoryTree::default()),
            source: ApplicationSource {
                repo_url: "https://x".to_owned(),
                path: Some("p/q".to_owned()),
                target_revision: "main".to_owned(),
                ..ApplicationSource::default()
            },
            application: "app".to_owned(),
            namespace: "ns".to_owned(),
            origin: Origin {
                commit: "0123456789abcdef".to_owned(),
                ..Origin::default()
            },
            aws: Arc::default(),
        };
        for (text, expected) in [
            ("none", "none"),
            ("$ARGOCD_APP_NAME.${ARGOCD_APP_NAMESPACE}", "app.ns"),
            (
                "$ARGOCD_APP_REVISION_SHORT $ARGOCD_APP_REVISION_SHORT_8",
                "0123456 01234567",
            ),
            ("${ARGOCD_APP_REVISION}", "0123456789abcdef"),
            (
                "$ARGOCD_APP_SOURCE_REPO_URL/$ARGOCD_APP_SOURCE_PATH@$ARGOCD_APP_SOURCE_TARGET_REVISION",
                "https://x/p/q@main",
            ),
            ("a$UNKNOWN-b ${}c ${d", "a-b c d"),
            ("$1e $$f ${$}g ${a b}c", "e $f $g c"),
            ("$ $- $é end$", "$  $é end$"),
        ] {
            assert_eq!(expand(text, &input).as_deref(), Ok(expected), "{text}");
        }
        assert!(expand("${ARGOCD_APP_PROJECT_NAME}", &input).is_err());
    }
}
