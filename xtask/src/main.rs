//! `cargo xtask`: the workspace's own chores: the floors of the house, the real peers, the schema tables.

mod floors;
#[cfg(test)]
mod house;
mod kustomize_check;
mod peers;
mod schema;
mod templates_check;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask floors                          check that crates depend on lower floors only
cargo xtask peers install NAME...           obtain real peers: kubernetes helm kustomize kafka aws serverless
cargo xtask peers start kubernetes DIR      start a whole Kubernetes on loopback; prints its kubeconfig
cargo xtask peers start kafka DIR [PORT]    start Apache Kafka on loopback; prints its address
cargo xtask peers start moto DIR [PORT]     start moto's AWS server on loopback; prints its URL
cargo xtask peers stop DIR                  end what `start` began in DIR
cargo xtask peers path                      print the folder with the programs
cargo xtask kustomize-check [--kustomize PROGRAM] [DIR...]
                                            build kustomizations with our library and with the real program
cargo xtask templates-check [--sam|--services] [--record] [--region REGION] [--program PROGRAM] [DIR...]
                                            render templates with our library and with the reference tools
cargo xtask schema KUBECONFIG               read the built-in kinds off a real API server again";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["floors"] => floors::check(),
        ["peers", rest @ ..] => peers::run(rest),
        ["kustomize-check", rest @ ..] => kustomize_check::run(rest),
        ["templates-check", rest @ ..] => templates_check::run(rest),
        ["schema", ..] => schema::run(&arguments[1..]),
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A line for people.
#[expect(clippy::print_stderr, reason = "this is a command")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// A line of data.
#[expect(clippy::print_stdout, reason = "this is a command")]
fn print(line: &str) {
    println!("{line}");
}
