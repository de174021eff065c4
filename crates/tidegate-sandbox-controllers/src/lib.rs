//! The simulated controllers of the sandbox, on a clock that tests control.
//!
//! They bring workloads and the kinds of data pipelines to Ready through the states that the real controllers go
//! through, with their reasons and messages, in about two seconds: Kubernetes' own kinds, Strimzi, Flink, Spark, Knative,
//! Tekton, External Secrets, Sealed Secrets, cert-manager, Argo Rollouts, KEDA, and (in brief) Knative Eventing, Crossplane
//! and AWS Controllers. **No program runs, nothing is pulled, no address answers.** Any other custom resource is left alone.
//! With a [`Broker`], Strimzi's topics and users are real ones there, and its addresses answer.
//!
//! # How it is built
//! [`react`] is pure: an object, the [`World`] around it, what its controller remembers, the time; out come [`Action`]s,
//! a moment to look again, and what was looked at. [`Simulation`] turns that into a loop without waiting,
//! [`Controllers`] runs the loop in one task. It must not know the engine, nor speak HTTP.
//!
//! # Faults
//! Annotations on any simulated object; pods inherit those of their workload when they are made.
//!
//! | annotation | value | effect |
//! |---|---|---|
//! | `sandbox.tidegate.dev/fail` | a message | ends in the kind's failed state, with the message |
//! | `sandbox.tidegate.dev/fail-times` | a number | the first so many attempts fail (containers, Job pods, runs, reconciliations) |
//! | `sandbox.tidegate.dev/delay` | `30s` | the way to the final state takes so long, whatever the speed |
//! | `sandbox.tidegate.dev/stuck` | `true` | never leaves its first state |
//! | `sandbox.tidegate.dev/image-pull-backoff` | `true` | the pods' images cannot be pulled |
//! | `sandbox.tidegate.dev/crash-loop` | `true` | containers exit with 1 again and again |
//! | `sandbox.tidegate.dev/oom-killed` | `true` | containers are killed for their memory |
//! | `sandbox.tidegate.dev/finish` | `true` | a Flink job ends by itself, as one in batch mode does |
//!
//! What fails how: a Deployment or Rollout misses its progress deadline after two seconds; a pod crashes (restart policy
//! `Always`, `OnFailure`) or fails (`Never`); a Job reaches its backoff limit; a Strimzi kind is `NotReady` (a KafkaTopic
//! `Ready=False`); a Flink job is `FAILED`; a Spark application is `FAILED`; anything else has its condition `False`.
//!
//! # Exit codes
//! A container's command decides how it ends where it ends at all (restart policy `OnFailure` or `Never`): `false`, and a
//! shell script (`sh -c`) that ends with `exit N` or `false`, fail; everything else succeeds. With `Always`, a failing
//! command is a crash loop.
//!
//! # Shorter than life
//! Waits that are long on purpose are shortened: crash back-offs to a twentieth, a Job's back-off from 10 s to 0.5 s
//! (at most 5 s), Strimzi's retry to 1 s. Texts still name the real times.

mod broker;
mod cluster;
mod conditions;
mod context;
mod cron;
mod cron_job;
mod daemon_set;
mod deployment;
mod fault;
mod flink;
mod job;
mod kinds;
mod knative;
mod pod;
mod replica_set;
mod resources;
mod revision;
mod rollout;
mod runner;
mod secrets;
mod service;
mod simple;
mod simulation;
mod spark;
mod stateful_set;
mod storage;
mod strimzi;
mod tekton;
mod value;
mod workload;
mod world;

pub use broker::{Broker, BrokerRefusal, BrokerRule, BrokerTopic, BrokerUser};
pub use context::{Action, Memory, Pace, Reaction};
pub use fault::{Faults, PREFIX, parse_duration};
pub use kinds::{react, simulates};
pub use runner::Controllers;
pub use simulation::{ControllerOptions, Progress, Simulation};
pub use world::{Cache, Interest, Key, World};
