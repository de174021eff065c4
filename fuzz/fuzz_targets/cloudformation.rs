//! Any template with parameters behind `%%` (`KEY=VALUE`, one a line): the evaluator never panics, and ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_manifest::Origin;
use tidegate_render::AwsEnvironment;
use tidegate_serverless::{Template, evaluate};

fuzz_target!(|text: &str| {
    let (text, parameters) = text.split_once("\n%%\n").unwrap_or((text, ""));
    let Ok(template) = Template::parse(text.as_bytes(), &Origin::default()) else { return };
    let parameters = parameters.lines().filter_map(|line| line.split_once('='));
    let environment = AwsEnvironment {
        parameters: parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        ..AwsEnvironment::default()
    };
    let _ = evaluate(&template, &environment, "stack");
});
