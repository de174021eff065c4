//! `xtask peers`: obtains the real peers from their package registries with the ordinary clients, keeps
//! them in a cache outside the checkout, starts and stops them on loopback. Nothing of them is committed.

mod install;
mod start;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{print, say};

/// Versions of the peers that Tidegate is checked against.
pub(crate) const KUBERNETES: &str = "1.36.3";
const ETCD: &str = "3.6.16";
const KWOK: &str = "0.8.0";
const HELM: &str = "4.3.1";
const KUSTOMIZE: &str = "5.8.1";
const KAFKA: &str = "4.1.0";

pub(crate) fn run(words: &[&str]) -> Result<()> {
    match words {
        ["install", names @ ..] if !names.is_empty() => {
            names.iter().try_for_each(|name| install::install(name))
        }
        ["start", "kubernetes", dir] => start::kubernetes(dir.as_ref()).map(|at| print(&at)),
        ["start", "kafka", dir] => start::kafka(dir.as_ref(), 19_092).map(|at| print(&at)),
        ["start", "kafka", dir, port] => {
            start::kafka(dir.as_ref(), port.parse().context("reading the port")?)
                .map(|at| print(&at))
        }
        ["start", "moto", dir] => start::moto(dir.as_ref(), 15_000).map(|at| print(&at)),
        ["start", "moto", dir, port] => {
            start::moto(dir.as_ref(), port.parse().context("reading the port")?)
                .map(|at| print(&at))
        }
        ["stop", dir] => start::stop(dir.as_ref()),
        ["path"] => {
            print(&bin().display().to_string());
            Ok(())
        }
        _ => bail!("usage: see `cargo xtask`"),
    }
}

/// The cache of peers: `$TIDEGATE_PEERS`, else a folder under the user's cache.
fn cache() -> PathBuf {
    if let Some(dir) = std::env::var_os("TIDEGATE_PEERS") {
        return dir.into();
    }
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.unwrap_or_else(std::env::temp_dir)
        .join("tidegate-peers")
}

/// The folder with the peers' programs.
pub(crate) fn bin() -> PathBuf {
    cache().join("bin")
}

/// Refuses early when a tool that a peer is made with is not there.
fn need(tool: &str) -> Result<()> {
    let found = Command::new(tool)
        .arg(if tool == "go" { "version" } else { "--version" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(_) => Ok(()),
        Err(_) => bail!("{tool} is needed for this peer and is not installed"),
    }
}

/// Runs a command to its end; its output goes to standard error.
fn run_to_end(command: &mut Command) -> Result<()> {
    let what = format!("{command:?}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("running {what}"))?;
    if !status.success() {
        bail!("{what} ended with {status}");
    }
    Ok(())
}

/// The trimmed standard output of a command.
fn output(command: &mut Command) -> Result<String> {
    let what = format!("{command:?}");
    let done = command
        .output()
        .with_context(|| format!("running {what}"))?;
    if !done.status.success() {
        bail!(
            "{what} ended with {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

fn announce(what: &str) {
    say(&format!("peers: {what}"));
}
