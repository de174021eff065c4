//! Starting and stopping peers: each is a process of its own on loopback; its id stands in `DIR/NAME.pid`.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{
    ETCD, KAFKA, KUBERNETES, KWOK, announce, bin, cache, install, need, output, run_to_end,
};

/// How long a peer may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long a peer may take to end before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(200);

/// Starts etcd, API server, controllers, scheduler and kwok (one node); gives the kubeconfig's path.
pub(super) fn kubernetes(dir: &Path) -> Result<String> {
    install::install("kubernetes")?;
    need("kubectl")?;
    need("openssl")?;
    let dir = made(dir)?;
    announce(&format!(
        "starting Kubernetes {KUBERNETES} with etcd {ETCD} and kwok {KWOK}"
    ));
    let (clients, peers, secure) = (free_port()?, free_port()?, free_port()?);
    let (key, public) = (dir.join("sa.key"), dir.join("sa.pub"));
    run_to_end(
        Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&key)
            .arg("2048")
            .stderr(Stdio::null()),
    )?;
    run_to_end(
        Command::new("openssl")
            .args(["rsa", "-in"])
            .arg(&key)
            .args(["-pubout", "-out"])
            .arg(&public)
            .stderr(Stdio::null()),
    )?;
    fs::write(
        dir.join("tokens.csv"),
        "admin-token,admin,admin,\"system:masters\"\n",
    )?;
    let etcd = format!("http://127.0.0.1:{clients}");
    let between = format!("http://127.0.0.1:{peers}");
    background(
        &dir,
        "etcd",
        Command::new(bin().join("etcd"))
            .arg("--data-dir")
            .arg(dir.join("etcd"))
            .args([
                "--listen-client-urls",
                &etcd,
                "--advertise-client-urls",
                &etcd,
                "--listen-peer-urls",
                &between,
                "--initial-advertise-peer-urls",
                &between,
                "--initial-cluster",
                &format!("default={between}"),
                "--unsafe-no-fsync",
            ]),
    )?;
    let show = |path: &Path| path.display().to_string();
    background(
        &dir,
        "kube-apiserver",
        Command::new(bin().join("kube-apiserver")).args([
            format!("--etcd-servers={etcd}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={secure}"),
            format!("--cert-dir={}", show(&dir.join("certs"))),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--authorization-mode=RBAC".into(),
            format!("--token-auth-file={}", show(&dir.join("tokens.csv"))),
            "--disable-admission-plugins=ServiceAccount".into(),
            format!("--service-account-issuer=https://127.0.0.1:{secure}"),
            format!("--service-account-key-file={}", show(&public)),
            format!("--service-account-signing-key-file={}", show(&key)),
            "--allow-privileged=true".into(),
        ]),
    )?;
    let kubeconfig = dir.join("kubeconfig");
    fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: real, cluster: {{server: \"https://127.0.0.1:{secure}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: admin, user: {{token: admin-token}}}}]\n\
         contexts: [{{name: real, context: {{cluster: real, user: admin}}}}]\ncurrent-context: real\n"
        ),
    )?;
    let kubectl = || {
        let mut c = Command::new("kubectl");
        c.arg("--kubeconfig").arg(&kubeconfig);
        c
    };
    wait_for("the API server", || {
        output(kubectl().args(["get", "--raw", "/readyz"])).is_ok()
    })?;
    background(&dir, "kube-controller-manager", Command::new(bin().join("kube-controller-manager")).args([
        format!("--kubeconfig={}", show(&kubeconfig)), "--leader-elect=false".into(), "--bind-address=127.0.0.1".into(),
        "--secure-port=0".into(), format!("--service-account-private-key-file={}", show(&key)),
        "--controllers=garbage-collector-controller,namespace-controller,deployment-controller,replicaset-controller,\
         statefulset-controller,daemonset-controller,job-controller,cronjob-controller,serviceaccount-controller".into(),
    ]))?;
    background(
        &dir,
        "kube-scheduler",
        Command::new(bin().join("kube-scheduler")).args([
            format!("--kubeconfig={}", show(&kubeconfig)),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            "--secure-port=0".into(),
        ]),
    )?;
    add_node(&kubeconfig)?;
    let stages = PathBuf::from(output(Command::new("go").args(["env", "GOMODCACHE"]))?)
        .join(format!("sigs.k8s.io/kwok@v{KWOK}/kustomize/stage"));
    let mut kwok = Command::new(bin().join("kwok"));
    kwok.arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--manage-all-nodes=true");
    for (kind, prefix) in [("pod/fast", "pod-"), ("node/fast", "node-")] {
        for entry in
            fs::read_dir(stages.join(kind)).context("kwok's stages are not in the module cache")?
        {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with(prefix) && name.ends_with(".yaml") {
                kwok.arg("--config").arg(path);
            }
        }
    }
    background(&dir, "kwok", &mut kwok)?;
    Ok(show(&kubeconfig))
}

/// A node for kwok to play; nobody else would take its first taint off.
fn add_node(kubeconfig: &Path) -> Result<()> {
    let mut create = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["create", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("running kubectl create")?;
    let node = br#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}"#;
    create
        .stdin
        .take()
        .context("kubectl has no input")?
        .write_all(node)?;
    if !create.wait()?.success() {
        bail!("the node could not be created");
    }
    output(
        Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args([
                "taint",
                "node",
                "node-1",
                "node.kubernetes.io/not-ready:NoSchedule-",
            ]),
    )?;
    Ok(())
}

/// Starts one Kafka broker (KRaft, authorizer on); gives its address.
pub(super) fn kafka(dir: &Path, port: u16) -> Result<String> {
    install::install("kafka")?;
    need("java")?;
    let dir = made(dir)?;
    let controller = free_port()?;
    let settings = dir.join("server.properties");
    fs::write(
        &settings,
        format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs={}\n\
         offsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n",
            dir.join("data").display()
        ),
    )?;
    let classes = format!("{}/*", cache().join(format!("kafka-{KAFKA}")).display());
    let tool = |words: &[&str]| {
        let mut c = Command::new("java");
        c.args(["-cp", &classes]).args(words);
        c
    };
    let id = output(&mut tool(&["kafka.tools.StorageTool", "random-uuid"]))?;
    let id = id.lines().last().unwrap_or_default().to_owned();
    output(tool(&["kafka.tools.StorageTool", "format", "-t", &id, "-c"]).arg(&settings))?;
    background(
        &dir,
        "kafka",
        tool(&["-Xmx512m", "kafka.Kafka"]).arg(&settings),
    )?;
    wait_for("Kafka", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(format!("127.0.0.1:{port}"))
}

/// Starts moto's AWS server; gives its URL.
pub(super) fn moto(dir: &Path, port: u16) -> Result<String> {
    install::install("aws")?;
    let dir = made(dir)?;
    let server = cache().join("aws/bin/moto_server");
    background(
        &dir,
        "moto",
        Command::new(server).args(["-H", "127.0.0.1", "-p", &port.to_string()]),
    )?;
    wait_for("moto", || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
    Ok(format!("http://127.0.0.1:{port}"))
}

/// Ends what was started in `dir`, the newest first: an API server does not end while its etcd is gone.
pub(super) fn stop(dir: &Path) -> Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "pid") {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    for (_, path) in files.into_iter().rev() {
        let pid = fs::read_to_string(&path)?.trim().to_owned();
        let alive = || {
            Command::new("kill")
                .args(["-0", &pid])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
        };
        let signal = |which: &str| {
            Command::new("kill")
                .args([which, &pid])
                .stderr(Stdio::null())
                .status()
        };
        signal("-TERM").context("running kill")?;
        let until = Instant::now() + STOP_WITHIN;
        while alive() && Instant::now() < until {
            sleep(POLL);
        }
        if alive() {
            signal("-KILL").context("running kill")?;
        }
        fs::remove_file(&path)?;
    }
    Ok(())
}

fn made(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    dir.canonicalize()
        .with_context(|| format!("finding {}", dir.display()))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("finding a free port")?;
    Ok(listener.local_addr()?.port())
}

fn background(dir: &Path, name: &str, command: &mut Command) -> Result<()> {
    let log = File::create(dir.join(format!("{name}.log")))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    let child = child.with_context(|| format!("starting {name}"))?;
    fs::write(dir.join(format!("{name}.pid")), child.id().to_string())?;
    Ok(())
}

fn wait_for(what: &str, mut is_ready: impl FnMut() -> bool) -> Result<()> {
    let until = Instant::now() + READY_WITHIN;
    while !is_ready() {
        if Instant::now() > until {
            bail!("{what} did not become ready; see the log files");
        }
        sleep(POLL);
    }
    Ok(())
}
