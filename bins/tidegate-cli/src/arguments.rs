//! The command line, as a contract: every flag and its meaning.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// GitOps for serverless data pipelines: one engine makes the world match Git.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    propagate_version = true,
    max_term_width = 120
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Log to standard error: error, warn, info, debug, trace, or directives as of RUST_LOG.
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG",
        value_name = "LEVEL",
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The main job in one go: take a directory or repository and bring all of it to Healthy.
    Up(UpArguments),
    /// Print the objects that a directory renders to.
    Render(RenderArguments),
    /// Show what a sync of one Application would do.
    Plan(PlanArguments),
    /// Sync one Application.
    Sync(SyncArguments),
    /// Show how live state differs from Git; ends 3 when it does.
    Diff(DiffArguments),
    /// Show an Application with its resources.
    Get(GetArguments),
    /// Wait until an Application is Synced and Healthy.
    Wait(WaitArguments),
    /// List the syncs of an Application.
    History(HistoryArguments),
    /// Go back to an earlier sync of an Application.
    Rollback(RollbackArguments),
    /// End the running operation of an Application.
    Terminate(ApplicationArguments),
    /// Delete an Application; its finalizers say whether its objects go too.
    Delete(DeleteArguments),
    /// Draw the dependency graph of a directory or an Application.
    Graph(GraphArguments),
    /// Judge the health of live objects in a file, offline.
    Health(HealthArguments),
    /// Run only the embedded targets, until interrupted.
    Sandbox(SandboxArguments),
}

impl Command {
    /// Whether standard output is a stream of events, which refusals belong to as well.
    pub(crate) fn tells_events_as_json(&self) -> bool {
        let output = match self {
            Command::Up(arguments) => arguments.output,
            Command::Sync(arguments) => arguments.output,
            Command::Wait(arguments) => arguments.output,
            Command::Rollback(arguments) => arguments.output,
            Command::Delete(arguments) => arguments.output,
            Command::Render(_)
            | Command::Plan(_)
            | Command::Diff(_)
            | Command::Get(_)
            | Command::History(_)
            | Command::Terminate(_)
            | Command::Graph(_)
            | Command::Health(_)
            | Command::Sandbox(_) => return false,
        };
        output == StreamOutput::Json
    }
}

/// How lists and documents are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// JSON; streaming commands print one object a line.
    Json,
    /// YAML.
    Yaml,
    /// Names only.
    Name,
}

/// Where to apply. With none of these: the sandbox.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Where to apply (default: the sandbox)")]
pub(crate) struct WhereArguments {
    /// A Settings file with destinations.
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// A kubeconfig file.
    #[arg(long, value_name = "FILE", conflicts_with = "settings")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig.
    #[arg(long, value_name = "NAME", conflicts_with = "settings")]
    pub(crate) context: Option<String>,
    /// Use the account and region of the AWS_* variables, AWS_ENDPOINT_URL included.
    #[arg(long, conflicts_with = "settings")]
    pub(crate) aws: bool,
    /// A Kafka cluster, `host:port[,host:port]`, without TLS and SASL (those stand in a Settings file).
    #[arg(long, value_name = "BOOTSTRAP", conflicts_with = "settings")]
    pub(crate) kafka: Option<String>,
}

/// Where the sandbox lives.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct DirArguments {
    /// Kubeconfig and state live here [default: a folder under the user's cache].
    #[arg(long, value_name = "DIR", env = "TIDEGATE_DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// Ports of the sandbox.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Sandbox")]
pub(crate) struct PortArguments {
    /// Port of the sandbox's Kubernetes API; 0 is any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) kubernetes_port: u16,
    /// Port of the sandbox's AWS API; 0 is any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) aws_port: u16,
    /// Port of the sandbox's Kafka broker; 0 is any free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) kafka_port: u16,
    /// Let Lambda handlers run as local processes [default: for a directory yes, for a URL no].
    #[arg(long)]
    pub(crate) run_functions: bool,
}

/// Where Applications and their sources come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct RepositoryArguments {
    /// Directory or repository with the Applications.
    #[arg(
        long,
        value_name = "DIR|URL",
        default_value = ".",
        env = "TIDEGATE_REPO"
    )]
    pub(crate) repo: String,
    /// Read the repository URL from the directory DIR; may be given again.
    #[arg(long, value_name = "URL=DIR")]
    pub(crate) map: Vec<String>,
}

/// One Application.
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplicationArguments {
    /// Name of the Application; may be left out with `-f`, or when there is only one.
    pub(crate) app: Option<String>,
    /// Read the Application from this file.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,
    #[command(flatten)]
    pub(crate) place: WhereArguments,
    #[command(flatten)]
    pub(crate) dir: DirArguments,
}

/// `tidegate up`.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// Directory or repository.
    #[arg(value_name = "DIR|URL")]
    pub(crate) repo: String,
    /// Branch, tag, semver range or commit of the repository; a source without targetRevision follows it.
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// Read the repository URL from the directory DIR; may be given again.
    #[arg(long, value_name = "URL=DIR")]
    pub(crate) map: Vec<String>,
    /// Keep reconciling until interrupted.
    #[arg(long)]
    pub(crate) keep: bool,
    /// How often Git is asked [default: 3s for a local repository, 30s otherwise].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) poll_interval: Option<Duration>,
    /// Give up after this long.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Do only what the Applications declare: no sync of those without automation.
    #[arg(long)]
    pub(crate) as_declared: bool,
    /// `json` prints one event a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
    #[command(flatten)]
    pub(crate) place: WhereArguments,
    #[command(flatten)]
    pub(crate) dir: DirArguments,
    #[command(flatten)]
    pub(crate) ports: PortArguments,
}

/// How streaming commands print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamOutput {
    /// For people: live on a terminal, plain lines in a pipe.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

/// What a directory is rendered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RenderAs {
    /// Plain manifests.
    Directory,
    /// A kustomization.
    Kustomize,
    /// A Helm chart.
    Helm,
    /// An AWS SAM template.
    Sam,
    /// A serverless.yml.
    Serverless,
    /// A CloudFormation template.
    Cloudformation,
}

/// What AWS templates are read against.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "AWS templates")]
pub(crate) struct AwsArguments {
    /// `AWS::Region` [default: us-east-1].
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// `AWS::AccountId` [default: 123456789012].
    #[arg(long, value_name = "ID")]
    pub(crate) account_id: Option<String>,
    /// The stage of a serverless.yml.
    #[arg(long, value_name = "NAME")]
    pub(crate) stage: Option<String>,
    /// A template parameter, or a `${param:KEY}`; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) parameter: Vec<String>,
}

/// `tidegate render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    /// Directory or file.
    pub(crate) path: PathBuf,
    /// What it is [default: detect].
    #[arg(long = "as", value_enum, value_name = "TYPE")]
    pub(crate) as_type: Option<RenderAs>,
    /// Go into folders (plain directories).
    #[arg(long)]
    pub(crate) recurse: bool,
    /// Take only files that match (plain directories).
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Option<String>,
    /// Leave out files that match (plain directories).
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Option<String>,
    /// Flags of `kustomize build` (kustomizations); with `--enable-helm` charts are rendered by running helm.
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub(crate) kustomize_options: Option<String>,
    #[command(flatten)]
    pub(crate) aws: AwsArguments,
    /// `json` prints one array.
    #[arg(short = 'o', long, value_enum, default_value = "yaml")]
    pub(crate) output: Output,
}

/// `tidegate plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// Write the plan to this file, for `sync --plan`.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// End 3 when the plan changes something.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Plan to delete what is no longer in Git.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Plan this revision instead of the one the Application names.
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// What hooks do in a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// Hooks run.
    Hook,
    /// Hooks do not run.
    Apply,
}

/// `tidegate sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// Delete what is no longer in Git.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Delete and create what cannot be changed in place.
    #[arg(long)]
    pub(crate) force: bool,
    /// Change nothing; show what would be.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Sync this revision instead of the one the Application names.
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// Sync only this object (hooks do not run); may be given again.
    #[arg(long, value_name = "GROUP:KIND:NAME")]
    pub(crate) resource: Vec<String>,
    /// A sync option, for example Replace=true; may be given again.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) sync_option: Vec<String>,
    /// Whether hooks run.
    #[arg(long, value_enum, default_value = "hook")]
    pub(crate) strategy: Strategy,
    /// Apply exactly this plan; refused when the world has moved on.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["revision", "dry_run", "resource"])]
    pub(crate) plan: Option<PathBuf>,
    /// Give up after this long; the sync goes on when it is called again.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// `json` prints one event a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// `tidegate diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// Compare with this revision instead of the one the Application names.
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `tidegate get`.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `tidegate wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// Give up after this long.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// `json` prints one event a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// `tidegate history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// `tidegate rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// The sync to go back to, an id of `history` [default: the one before the last].
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<u64>,
    /// Delete what that sync did not have.
    #[arg(long)]
    pub(crate) prune: bool,
    /// `json` prints one event a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// `tidegate delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    pub(crate) application: ApplicationArguments,
    /// `json` prints one event a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphOutput {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
    /// A picture.
    Svg,
    /// A document.
    Json,
}

/// `tidegate graph`.
#[derive(Debug, Args)]
pub(crate) struct GraphArguments {
    /// Directory, or name of an Application in `--repo`.
    #[arg(value_name = "PATH|APP")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) repository: RepositoryArguments,
    #[arg(short = 'o', long, value_enum, default_value = "svg")]
    pub(crate) output: GraphOutput,
}

/// `tidegate health`.
#[derive(Debug, Args)]
pub(crate) struct HealthArguments {
    /// File with live objects, YAML or JSON; `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Give Argo CD's verdict even where Tidegate's is more exact.
    #[arg(long)]
    pub(crate) compatible: bool,
    /// `json` prints one object a line.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// `tidegate sandbox`.
#[derive(Debug, Args)]
pub(crate) struct SandboxArguments {
    #[command(flatten)]
    pub(crate) dir: DirArguments,
    #[command(flatten)]
    pub(crate) ports: PortArguments,
    /// `json` prints one line once ready.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: StreamOutput,
}

/// A Go duration; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    tidegate::parse_duration(text)
        .ok_or_else(|| format!("{text:?} is no duration; write for example 90s or 5m"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
