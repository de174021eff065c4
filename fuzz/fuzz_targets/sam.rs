//! Any template: the SAM transform and the evaluation never panic, end, and give the same twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_manifest::Origin;
use tidegate_render::AwsEnvironment;
use tidegate_serverless::sam::{SamOptions, transform};
use tidegate_serverless::{Template, evaluate};

fuzz_target!(|bytes: &[u8]| {
    let Ok(template) = Template::parse(bytes, &Origin::default()) else { return };
    let environment = AwsEnvironment::default();
    let options = SamOptions::of(&environment);
    let (Ok((once, _)), Ok((twice, _))) = (transform(&template, &options), transform(&template, &options)) else { return };
    assert_eq!(once.body, twice.body);
    let _ = evaluate(&once, &environment, "stack");
});
