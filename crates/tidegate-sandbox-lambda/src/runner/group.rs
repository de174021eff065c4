//! A process and all that it started: how much memory they hold, and their end.
//!
//! Must not know: handlers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Processes and threads of one function at once, as Lambda bounds them.
const PROCESSES: usize = 1_024;
/// How often memory is looked at.
const LOOKING: Duration = Duration::from_millis(25);
/// At every which look all members of the group are looked at, which costs more.
const ALL_MEMBERS: u64 = 6;
/// Rounds of a sweep, each ending what was started during the one before.
const ROUNDS: usize = 5;
/// The environment variable by which a process is known to be of a group, wherever it went.
pub(super) const MARK: &str = "TIDEGATE_SANDBOX_PROCESS";

/// A group of processes, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    mark: String,
}

impl Group {
    /// The group that a process leads; `mark` is the value of [`MARK`] in its environment.
    pub(super) fn new(leader: u32, mark: String) -> Option<Self> {
        let leader = Pid::from_raw(i32::try_from(leader).ok()?)?;
        Some(Self { leader, mark })
    }

    pub(super) fn leader(&self) -> Pid {
        self.leader
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process_group(self.leader, Signal::KILL);
        sweep(&self.mark);
    }
}

/// Ends processes that left their group.
fn sweep(mark: &str) {
    let mark = format!("{MARK}={mark}");
    for _ in 0..ROUNDS {
        let mut found = false;
        for pid in all_processes() {
            let environment = std::fs::read(proc(pid).join("environ")).unwrap_or_default();
            let is_ours = environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == mark.as_bytes());
            if is_ours && let Some(pid) = Pid::from_raw(pid) {
                found = true;
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if !found {
            return;
        }
    }
}

fn proc(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn all_processes() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The processes of the group that a process leads.
fn members(leader: Pid) -> Vec<i32> {
    let leader = leader.as_raw_nonzero().get();
    let is_member = |pid: &i32| {
        let stat = std::fs::read_to_string(proc(*pid).join("stat")).unwrap_or_default();
        // The command's name stands in parentheses and may hold anything; state, parent and group come after it.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let group = rest.split_ascii_whitespace().nth(2);
        group.and_then(|word| word.parse().ok()) == Some(leader)
    };
    all_processes().into_iter().filter(is_member).collect()
}

/// A number of kilobytes in a file of lines such as `VmHWM:  1234 kB`.
fn kilobytes(file: &Path, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The most memory that a process held, in bytes; 0 where the system does not tell.
pub(super) fn peak(leader: Pid) -> u64 {
    let status = proc(leader.as_raw_nonzero().get()).join("status");
    kilobytes(&status, "VmHWM:").unwrap_or(0) * 1_024
}

/// Returns once a group holds more than `most` bytes or has too many members.
pub(super) async fn overflow(leader: Pid, most: u64) {
    let mut ticks = tokio::time::interval(LOOKING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let held = |pid: i32| kilobytes(&proc(pid).join("status"), "VmRSS:").unwrap_or(0) * 1_024;
    for tick in 1_u64.. {
        ticks.tick().await;
        if held(leader.as_raw_nonzero().get()) > most {
            return;
        }
        if tick % ALL_MEMBERS != 0 {
            continue;
        }
        let members = members(leader);
        if members.len() > PROCESSES {
            return;
        }
        if members.iter().map(|pid| held(*pid)).sum::<u64>() <= most {
            continue;
        }
        // What forked processes share counts once.
        let share = |pid: &i32| {
            let rollup = proc(*pid).join("smaps_rollup");
            kilobytes(&rollup, "Pss:").map_or_else(|| held(*pid), |kilobytes| kilobytes * 1_024)
        };
        if members.iter().map(share).sum::<u64>() > most {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_a_member_of_its_group() {
        let own = rustix::process::getpgrp();
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        if Path::new("/proc/self/stat").exists() {
            assert!(members(own).contains(&pid));
            assert!(peak(rustix::process::getpid()) > 0);
        }
    }
}
