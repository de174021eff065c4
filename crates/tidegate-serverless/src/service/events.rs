//! Events of functions: what invokes them.
//!
//! Each kind of event has its file and goes over all functions; the kinds follow one another as in
//! the Serverless Framework, since the order of the role's statements follows from it. Must not
//! know: how a function itself is made.

mod balancers;
mod brokers;
mod buckets;
mod common;
mod devices;
mod edge;
mod http_api;
mod logs;
mod pools;
mod rest;
mod rules;
mod schedules;
pub(super) mod script;
mod streams;
mod targets;
mod topics;
mod websockets;

use super::context::{Composer, Context};

/// Adds what the events of all functions make.
pub(crate) fn compile(context: &Context<'_>, template: &mut Composer) {
    schedules::compile(context, template);
    buckets::compile(context, template);
    rest::compile(context, template);
    websockets::compile(context, template);
    topics::compile(context, template);
    streams::streams(context, template);
    brokers::kafka(context, template);
    brokers::activemq(context, template);
    brokers::rabbitmq(context, template);
    brokers::msk(context, template);
    balancers::compile(context, template);
    devices::skills(context, template);
    devices::homes(context, template);
    devices::rules(context, template);
    devices::fleets(context, template);
    rules::cloudwatch(context, template);
    logs::compile(context, template);
    pools::compile(context, template);
    rules::event_bridge(context, template);
    streams::queues(context, template);
    edge::compile(context, template);
    http_api::compile(context, template);
}
