//! Obtaining peers: Go modules built from a module of our own, PyPI and npm packages, Maven artifacts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{
    ETCD, HELM, KAFKA, KUBERNETES, KUSTOMIZE, KWOK, announce, bin, cache, need, output, run_to_end,
};

/// Obtains one peer unless it is there already.
pub(super) fn install(name: &str) -> Result<()> {
    fs::create_dir_all(bin()).context("making the cache of peers")?;
    match name {
        "kubernetes" => kubernetes(),
        "helm" => go_install("helm", &format!("helm.sh/helm/v4/cmd/helm@v{HELM}")),
        "kustomize" => go_install(
            "kustomize",
            &format!("sigs.k8s.io/kustomize/kustomize/v5@v{KUSTOMIZE}"),
        ),
        "kafka" => kafka(),
        "aws" => aws(),
        "serverless" => serverless(),
        other => {
            bail!("unknown peer {other:?}: kubernetes, helm, kustomize, kafka, aws or serverless")
        }
    }
}

fn kubernetes() -> Result<()> {
    if bin().join("kube-apiserver").exists() && bin().join("kwok").exists() {
        return Ok(());
    }
    need("go")?;
    announce(&format!(
        "building etcd {ETCD} and Kubernetes {KUBERNETES} (about 8 minutes of CPU, once)"
    ));
    let server = "go.etcd.io/etcd/server/v3";
    build_module("etcd", server, ETCD, &[server], "")?;
    let minor = KUBERNETES
        .split('.')
        .nth(1)
        .expect("a version has three parts");
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1 -X {version}.gitMinor={minor}"
    );
    let programs = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ];
    let packages: Vec<String> = programs
        .iter()
        .map(|p| format!("k8s.io/kubernetes/cmd/{p}"))
        .collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    build_module(
        "kubernetes",
        "k8s.io/kubernetes",
        KUBERNETES,
        &packages,
        &flags,
    )?;
    go_install("kwok", &format!("sigs.k8s.io/kwok/cmd/kwok@v{KWOK}"))?;
    let built = cache().join("build");
    let etcd = built.join(format!("etcd-{ETCD}/bin"));
    // The program is named after the last part of its package's path, which Go versions read differently.
    let from = ["v3", "server"]
        .iter()
        .map(|n| etcd.join(n))
        .find(|p| p.exists());
    copy(
        &from.context("etcd was built but its program is not there")?,
        "etcd",
    )?;
    for program in programs {
        copy(
            &built.join(format!("kubernetes-{KUBERNETES}/bin/{program}")),
            program,
        )?;
    }
    Ok(())
}

fn copy(from: &Path, name: &str) -> Result<()> {
    fs::copy(from, bin().join(name)).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

fn go_install(program: &str, package: &str) -> Result<()> {
    if bin().join(program).exists() {
        return Ok(());
    }
    need("go")?;
    run_to_end(
        Command::new("go")
            .args(["install", package])
            .env("GOBIN", bin())
            .env("CGO_ENABLED", "0"),
    )
}

/// Builds programs of a module that `go install` refuses because it has replace directives: a module of
/// our own requires it and repeats its replaces.
fn build_module(
    name: &str,
    module: &str,
    version: &str,
    packages: &[&str],
    flags: &str,
) -> Result<()> {
    let dir = cache().join(format!("build/{name}-{version}"));
    fs::create_dir_all(dir.join("bin"))?;
    let mut go_mod = format!("module peers/{name}\ngo 1.26\nrequire {module} v{version}\n");
    fs::write(dir.join("go.mod"), &go_mod)?;
    let about = output(
        Command::new("go")
            .args(["mod", "download", "-json", &format!("{module}@v{version}")])
            .current_dir(&dir),
    )?;
    let about: serde_json::Value =
        serde_json::from_str(&about).context("reading go mod download")?;
    let path = about["GoMod"]
        .as_str()
        .context("go mod download names no go.mod")?;
    let theirs = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    go_mod.push_str(&replaces(&theirs, name == "kubernetes", version));
    fs::write(dir.join("go.mod"), &go_mod)?;
    let mut tools = String::from("//go:build tools\n\npackage tools\n\n");
    for package in packages {
        writeln!(tools, "import _ \"{package}\"").expect("writing to a string");
    }
    fs::write(dir.join("tools.go"), tools)?;
    run_to_end(Command::new("go").args(["mod", "tidy"]).current_dir(&dir))?;
    let flags = format!("-s -w {flags}");
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=mod", "-ldflags", &flags, "-o", "bin/"])
        .args(packages);
    run_to_end(build.current_dir(&dir).env("CGO_ENABLED", "0"))
}

/// The replace lines of a go.mod that hold outside it; Kubernetes' staging modules get their release.
fn replaces(go_mod: &str, is_kubernetes: bool, version: &str) -> String {
    let staging = version.strip_prefix("1.").unwrap_or(version);
    let mut lines = String::new();
    for line in go_mod.lines().map(str::trim) {
        let line = line.strip_prefix("replace ").unwrap_or(line);
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [from, "=>", to, at] if !to.starts_with('.') && at.starts_with('v') => {
                writeln!(lines, "replace {from} => {to} {at}").expect("writing to a string");
            }
            [module, "v0.0.0", ..] if is_kubernetes && module.starts_with("k8s.io/") => {
                writeln!(lines, "replace {module} => {module} v0.{staging}")
                    .expect("writing to a string");
            }
            _ => {}
        }
    }
    lines
}

fn kafka() -> Result<()> {
    let home = cache().join(format!("kafka-{KAFKA}"));
    if home.exists() {
        return Ok(());
    }
    need("mvn")?;
    let dir = cache().join("build/kafka");
    fs::create_dir_all(&dir)?;
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
         <groupId>peers</groupId><artifactId>kafka</artifactId><version>1</version>\n\
         <dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>\
         <version>{KAFKA}</version></dependency></dependencies></project>\n"
    );
    fs::write(dir.join("pom.xml"), pom)?;
    let lib = dir.join("lib");
    run_to_end(
        Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(dir.join("pom.xml"))
            .args([
                "dependency:copy-dependencies",
                &format!("-DoutputDirectory={}", lib.display()),
                "-DincludeScope=runtime",
            ]),
    )?;
    fs::rename(lib, home).context("moving Kafka into the cache")
}

fn aws() -> Result<()> {
    let venv = cache().join("aws");
    if venv.join("bin/moto_server").exists() {
        return Ok(());
    }
    need("python3")?;
    run_to_end(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    run_to_end(Command::new(venv.join("bin/pip")).args([
        "install",
        "-q",
        "moto[server]==5.2.5",
        "aws-sam-translator==1.115.0",
        "awscli",
        "boto3",
        "cfn-lint",
    ]))
}

fn serverless() -> Result<()> {
    need("npm")?;
    for (folder, package) in [
        ("serverless", "osls@4.3.1"),
        ("serverless3", "serverless@3.40.0"),
    ] {
        let dir = cache().join(folder);
        if dir.join("node_modules").exists() {
            continue;
        }
        fs::create_dir_all(&dir)?;
        run_to_end(
            Command::new("npm")
                .args(["install", "--silent", "--prefix"])
                .arg(&dir)
                .arg(package),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::replaces;

    #[test]
    fn replaces_that_hold_outside_are_repeated() {
        let go_mod = "module x\nrequire (\n\tk8s.io/api v0.0.0\n\tk8s.io/utils v0.0.0-2025\n)\nreplace a/b => c/d v1.2.3\n\
                      replace (\n\tk8s.io/api => ./staging/api\n\te/f => g/h v0.1.0\n)\n";
        assert_eq!(
            replaces(go_mod, true, "1.36.3"),
            "replace k8s.io/api => k8s.io/api v0.36.3\nreplace a/b => c/d v1.2.3\nreplace e/f => g/h v0.1.0\n"
        );
        assert_eq!(replaces("require k8s.io/api v0.0.0", false, "3.6.1"), "");
    }
}
