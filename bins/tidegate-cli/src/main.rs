//! The `tidegate` command: parse, compose, exit code. What it does is in the library; what it says is here.

mod arguments;
mod commands;
mod exit;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;
use exit::Exit;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return exit.into();
        }
    };
    log(arguments.log.as_deref());
    // One TLS stack for every client in the process; a second call finds the first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::note(&format!(
                "error[TG0901]: the async runtime cannot be started: {error}"
            ));
            return Exit::Failed.into();
        }
    };
    let is_json = arguments.command.tells_events_as_json();
    let done = runtime.block_on(commands::run(arguments.command));
    // Abandoned network calls have deadlines of their own; nobody waits for them here.
    runtime.shutdown_background();
    match done {
        Ok(exit) => exit.into(),
        Err(error) => fail(&error, is_json).into(),
    }
}

/// Shows why a command could not be done; findings in documents with their places. A reader of events gets events.
fn fail(error: &anyhow::Error, is_json: bool) -> Exit {
    let is_broken_pipe = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
    if is_broken_pipe {
        return Exit::Ok;
    }
    let (exit, failures) = commands::failures(error);
    if !is_json {
        output::refuse_events(&failures);
        return exit;
    }
    let sink = output::events(is_json);
    for failure in failures {
        sink.emit(failure);
    }
    sink.emit(commands::last_words(error));
    exit
}

fn log(level: Option<&str>) {
    use tracing_subscriber::EnvFilter;
    let filter = match level {
        Some(level) => EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("warn")),
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error")),
    };
    let made = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    debug_assert!(made.is_ok(), "only main installs a subscriber");
}
