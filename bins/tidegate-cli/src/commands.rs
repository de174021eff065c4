//! One module per command. Each gathers what it was given, calls the library, shows the result.

mod changes;
mod common;
mod compare;
mod delete;
mod failure;
mod get;
mod graph;
mod health;
mod history;
mod plan;
mod render;
mod sandbox;
mod sync;
mod up;

use anyhow::Result;

use crate::arguments::Command;
pub(crate) use failure::{failures, last_words};
pub(crate) use up::short;

use crate::exit::Exit;

/// Runs a command to its end.
pub(crate) async fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Up(arguments) => up::run(arguments).await,
        Command::Render(arguments) => render::run(&arguments),
        Command::Plan(arguments) => plan::run(arguments).await,
        Command::Sync(arguments) => sync::run(arguments).await,
        Command::Diff(arguments) => compare::diff(arguments).await,
        Command::Get(arguments) => get::run(arguments).await,
        Command::Wait(arguments) => compare::wait(arguments).await,
        Command::History(arguments) => history::list(arguments).await,
        Command::Rollback(arguments) => history::rollback(arguments).await,
        Command::Terminate(arguments) => delete::terminate(arguments).await,
        Command::Delete(arguments) => delete::run(arguments).await,
        Command::Graph(arguments) => graph::run(arguments).await,
        Command::Health(arguments) => health::run(&arguments),
        Command::Sandbox(arguments) => sandbox::run(arguments).await,
    }
}
