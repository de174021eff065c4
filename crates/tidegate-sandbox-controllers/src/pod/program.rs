//! What a container's program would exit with. Programs are never run: the command and the fault annotations decide.

use crate::context::Context;
use crate::value::items;
use serde_json::Value;

/// How a container ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Exit {
    pub(super) code: i64,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Exit {
    fn new(code: i64, message: &str) -> Self {
        let reason = if code == 0 { "Completed" } else { "Error" };
        Self {
            code,
            reason,
            message: message.to_owned(),
        }
    }

    /// A container that was told to stop.
    pub(super) fn stopped() -> Self {
        Self::new(143, "")
    }
}

/// How a run of a container ends; `None` when it goes on for ever.
pub(super) fn exit(cx: &Context<'_>, container: &Value, run: i64, policy: &str) -> Option<Exit> {
    let attempt = u32::try_from(run).unwrap_or(u32::MAX);
    let limited = cx.faults.fail_times.is_some_and(|times| attempt >= times);
    if cx.faults.oom_killed && !limited {
        return Some(Exit {
            code: 137,
            reason: "OOMKilled",
            message: String::new(),
        });
    }
    if cx.faults.crash_loop && !limited {
        return Some(Exit::new(1, ""));
    }
    // An image that cannot be pulled uses up its attempts before any container starts.
    if let Some(message) = cx
        .faults
        .failure(attempt)
        .filter(|_| !cx.faults.image_pull_backoff)
    {
        return Some(Exit::new(1, message));
    }
    let words: Vec<&str> = items(container, "command")
        .iter()
        .chain(items(container, "args"))
        .filter_map(Value::as_str)
        .collect();
    match exit_code(&words) {
        0 if policy == "Always" => None,
        code => Some(Exit::new(code, "")),
    }
}

/// The exit code that a command line stands for: that of `false`, of a shell script that ends with `exit N` or
/// `false`, and 0 for everything else.
pub(super) fn exit_code(words: &[&str]) -> i64 {
    let base = |word: &str| word.rsplit('/').next().unwrap_or("").to_owned();
    let Some((first, rest)) = words.split_first() else {
        return 0;
    };
    match base(first).as_str() {
        "false" => 1,
        "sh" | "bash" | "ash" | "dash" | "zsh" => {
            let flag = rest
                .iter()
                .position(|word| word.starts_with('-') && word.contains('c'));
            flag.and_then(|at| rest.get(at + 1))
                .map_or(0, |script| script_code(script))
        }
        "env" | "exec" | "tini" | "timeout" => exit_code(rest),
        _ => 0,
    }
}

fn script_code(script: &str) -> i64 {
    const BRANCHES: [&str; 10] = [
        "if", "for", "while", "until", "case", "&&", "||", "{", "(", "function",
    ];
    let statements: Vec<&str> = script
        .split(['\n', ';'])
        .map(str::trim)
        .filter(|statement| !statement.is_empty() && !statement.starts_with('#'))
        .collect();
    let code = |statement: &str| {
        let mut words = statement.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("exit"), Some(number), None) => {
                number.parse::<i64>().ok().map(|code| code.rem_euclid(256))
            }
            (Some("exit"), None, None) => Some(0),
            _ => None,
        }
    };
    let straight = !statements.iter().any(|statement| {
        statement
            .split_whitespace()
            .any(|word| BRANCHES.contains(&word))
    });
    if straight && let Some(code) = statements.iter().find_map(|statement| code(statement)) {
        return code;
    }
    match statements.last() {
        Some(&"false") => 1,
        Some(last) => {
            // `check || exit 1` is taken to succeed; a plain last `exit N` counts.
            code(last).unwrap_or(0)
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_decide_the_exit_code() {
        for (words, expected) in [
            (&[][..], 0),
            (&["false"], 1),
            (&["/bin/false"], 1),
            (&["true"], 0),
            (&["python", "main.py"], 0),
            (&["sh", "-c", "exit 1"], 1),
            (&["/bin/bash", "-ec", "echo hi; exit 3"], 3),
            (&["sh", "-c", "echo hi\nexit 0\n"], 0),
            (&["sh", "-c", "exit 2; echo never; exit 0"], 2),
            (&["sh", "-c", "if broken; then exit 1; fi"], 0),
            (&["sh", "-c", "if broken; then exit 0; fi; exit 1"], 1),
            (&["sh", "-c", "test -f x || exit 1"], 0),
            (&["sh", "-c", "echo; false"], 1),
            (&["sh", "-c", "exit 256"], 0),
            (&["sh", "-c", "exit"], 0),
            (&["sh", "-c"], 0),
            (&["env", "sh", "-c", "exit 4"], 4),
            (&["sh", "script.sh"], 0),
        ] {
            assert_eq!(exit_code(words), expected, "{words:?}");
        }
    }
}
