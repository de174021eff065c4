//! Mapping templates of the `lambda` integration: the event that a function gets from an API.
//!
//! The fields are those that functions written for the Serverless Framework read; the text is our
//! own. Must not know: endpoints.

/// Stands for the claims that an endpoint asks for.
pub(super) const CLAIMS: &str = "extraCognitoPoolClaims";

/// Writes a map's entries as an object of texts.
const ENTRIES: &str = r##"#define($entries){#foreach($name in $source.keySet())"$util.escapeJavaScript($name)":"$util.escapeJavaScript($source.get($name)).replaceAll("\\'","'")"#if($foreach.hasNext),#end#end}#end
"##;

/// The fields of the event, each map by way of `$entries`.
const MAPS: &[(&str, &str)] = &[
    ("enhancedAuthContext", "$context.authorizer"),
    ("headers", "$input.params().header"),
    ("query", "$input.params().querystring"),
    ("path", "$input.params().path"),
    ("identity", "$context.identity"),
    ("stageVariables", "$stageVariables"),
];

/// Writes a form's fields as an object of texts.
const FORM: &str = r##"#define($body){#foreach($pair in $input.path('$').split('&'))#set($part=$pair.split('='))#if($part.size()>0)#set($value='')#if($part.size()>1)#set($value=$util.escapeJavaScript($util.urlDecode($part[1])).replaceAll("\\'","'"))#end"$util.escapeJavaScript($util.urlDecode($part[0]))":"$value"#if($foreach.hasNext),#end#end#end}#end
"##;

/// The template for JSON.
pub(super) fn json() -> String {
    event("#set($body=$input.json(\"$\"))\n")
}

/// The template for forms.
pub(super) fn form() -> String {
    event(FORM)
}

fn event(body: &str) -> String {
    let maps: String = MAPS
        .iter()
        .map(|(field, source)| format!("#set($source={source})\"{field}\":$entries,\n"))
        .collect();
    format!(
        "{body}{ENTRIES}{{\"body\":$body,\n\"method\":\"$context.httpMethod\",\n\"principalId\":\"$context.authorizer.principalId\",\n\"stage\":\"$context.stage\",\n\"cognitoPoolClaims\":{{{CLAIMS}\"sub\":\"$context.authorizer.claims.sub\"}},\n{maps}\"requestPath\":\"$context.resourcePath\"}}\n"
    )
}

/// A claim as a field.
pub(super) fn claim(claim: &str) -> String {
    match claim.split_once(':') {
        Some((_, name)) => format!("\"{name}\": \"$context.authorizer.claims['{claim}']\""),
        None => format!("\"{claim}\": \"$context.authorizer.claims.{claim}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_every_field() {
        for template in [json(), form()] {
            for field in [
                "body",
                "method",
                "principalId",
                "stage",
                "cognitoPoolClaims",
                "requestPath",
            ] {
                assert!(template.contains(&format!("\"{field}\":")), "{field}");
            }
            assert_eq!(template.matches("$entries,").count(), MAPS.len());
            assert_eq!(template.matches(CLAIMS).count(), 1);
        }
    }
}
