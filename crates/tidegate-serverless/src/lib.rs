//! SAM templates, `serverless.yml` and CloudFormation: a file tree in, CloudFormation resources out.
//!
//! Must not know: Git, network, AWS clients.
