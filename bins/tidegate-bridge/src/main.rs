//! The `tidegate-bridge` command: parse, compose, exit code. What it does is in the library.

mod files;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tidegate_bridge::bridge::{Bridge, Change};
use tidegate_bridge::server::{Server, shown};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use files::Files;

/// Time between looks at the binding files.
const LOOK: Duration = Duration::from_secs(2);

/// Reads Kafka and Kinesis, calls functions: event-source mappings where Lambda's own poller cannot reach.
#[derive(Debug, Parser)]
#[command(name = "tidegate-bridge", version)]
struct Arguments {
    /// A file with EventSourceBinding documents, or a directory of such files (*.yaml, *.yml); may be repeated
    #[arg(long, short, required = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Only read the files and say what is wrong in them
    #[arg(long)]
    check: bool,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// What is logged: error, warn, info, debug, or a filter of tracing
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            drop(error.print());
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&arguments.log);
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // One TLS stack for every client in the process; a second call finds the first.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = runtime
        .context("starting the async runtime")
        .and_then(|runtime| {
            let done = runtime.block_on(run(&arguments));
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let mut files = Files::new(arguments.config.clone());
    let read = files.read();
    for finding in &read.findings {
        anstream::eprintln!("{finding}");
    }
    if read.has_errors() {
        bail!("the bindings are not whole; nothing was started");
    }
    if arguments.check {
        return Ok(());
    }
    if read.bindings.is_empty() {
        bail!("there is no EventSourceBinding in the files given");
    }
    let server = Server::bind(arguments.listen).await;
    let server = server.with_context(|| format!("listening on {}", arguments.listen))?;
    let address = server.address().context("reading the address")?;
    let (stop, stopped) = watch::channel(false);
    let (views, view) = shown();
    let serving = tokio::spawn(server.serve(view, stopped));
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let mut bridge = Bridge::default();
    tell(&bridge.replace(read.bindings).await);
    views.send_replace(bridge.view());
    tracing::info!(%address, "bridge ready");
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = looks.tick() => reload(&mut files, &mut bridge).await,
        }
        views.send_replace(bridge.view());
    }
    tracing::info!("draining");
    let change = bridge.stop().await;
    tell(&change);
    stop.send_replace(true);
    serving.await.context("ending the server")?;
    match change.unclean.first() {
        None => Ok(()),
        Some((name, why)) => {
            bail!("binding {name} did not end cleanly: {why}; its last records come again")
        }
    }
}

/// Takes changed files; files with mistakes change nothing.
async fn reload(files: &mut Files, bridge: &mut Bridge) {
    if !files.have_changed() {
        return;
    }
    let read = files.read();
    for finding in &read.findings {
        anstream::eprintln!("{finding}");
    }
    if read.has_errors() {
        tracing::error!("the bindings are not whole: those that run go on as they are");
        return;
    }
    tell(&bridge.replace(read.bindings).await);
}

fn tell(change: &Change) {
    for name in &change.stopped {
        tracing::info!(binding = %name, "stopped");
    }
    for (name, why) in &change.unclean {
        tracing::error!(binding = %name, "did not end cleanly: {why}");
    }
    for name in &change.started {
        tracing::info!(binding = %name, "started");
    }
}
