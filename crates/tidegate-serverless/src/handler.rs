//! Whether an archive holds the module that a function's handler names.
//!
//! The rules are those of Lambda's own runtimes for Python and Node.js. Nothing is said where something
//! beside the archive may bring the module: layers, wrappers, search paths of the environment.

use std::io::Cursor;

use serde_json::{Map, Value};
use tidegate_render::Artifact;
use zip::ZipArchive;

/// Names of the archive that a message shows.
const SHOWN: usize = 5;
/// Variables by which modules come from elsewhere, or by which something else runs.
const ELSEWHERE: &[&str] = &[
    "AWS_LAMBDA_EXEC_WRAPPER",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_PATH",
    "NODE_OPTIONS",
];

/// What is wrong with a handler, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) message: String,
    pub(crate) help: String,
}

/// Checks the handler of an evaluated `AWS::Lambda::Function` against its archive.
pub(crate) fn check(
    function: &str,
    properties: &Map<String, Value>,
    artifact: &Artifact,
) -> Option<Missing> {
    let handler = properties.get("Handler")?.as_str()?;
    let runtime = properties.get("Runtime")?.as_str()?;
    let layers = properties.get("Layers");
    let has_layers =
        layers.is_some_and(|layers| layers.as_array().is_none_or(|all| !all.is_empty()));
    if has_layers || comes_from_elsewhere(properties) || handler.starts_with('/') {
        return None;
    }
    let wanted = if runtime.starts_with("python") {
        python(handler)
    } else if runtime.starts_with("nodejs") {
        node(handler)
    } else {
        return None;
    };
    let Some(wanted) = wanted else {
        return Some(Missing {
            message: format!(
                "function {function}: the handler {handler:?} has no function: Lambda splits it at the last dot into a module and a function"
            ),
            help: "write the module and the function, for example app.handler".to_owned(),
        });
    };
    let archive = ZipArchive::new(Cursor::new(&artifact.bytes[..])).ok()?;
    let names: Vec<_> = archive.file_names().filter_map(Result::ok).collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.iter().any(|name| wanted.is_met_by(name)) {
        return None;
    }
    Some(Missing {
        message: format!(
            "function {function}: the handler {handler:?} needs {}, which {} not in its archive ({})",
            wanted.files.join(" or "),
            if wanted.files.len() == 1 { "is" } else { "are" },
            held(&names),
        ),
        help: wanted.help(&names),
    })
}

fn comes_from_elsewhere(properties: &Map<String, Value>) -> bool {
    let Some(environment) = properties.get("Environment") else {
        return false;
    };
    match environment.get("Variables").and_then(Value::as_object) {
        // A function that is not evaluated may hold any of them.
        Some(variables) if variables.keys().any(|name| name.starts_with("Fn::")) => true,
        Some(variables) => ELSEWHERE.iter().any(|name| variables.contains_key(*name)),
        None => environment
            .get("Variables")
            .is_some_and(|variables| !variables.is_null()),
    }
}

/// The files that would do: exact names for messages, and the stem that compiled modules share.
struct Wanted {
    files: Vec<String>,
    /// `a/mod.`: what a compiled module of Python begins with.
    compiled: Option<String>,
    /// `node_modules/mod`: what Node.js looks for at last.
    package: Option<String>,
    /// Source files that are built into what is wanted.
    sources: Vec<String>,
}

impl Wanted {
    fn is_met_by(&self, name: &str) -> bool {
        let is_compiled = self.compiled.as_ref().is_some_and(|stem| {
            name.strip_prefix(stem.as_str()).is_some_and(|rest| {
                !rest.contains('/') && (rest == "pyc" || rest == "so" || rest.ends_with(".so"))
            })
        });
        let is_packaged = self.package.as_ref().is_some_and(|package| {
            name.strip_prefix(package.as_str()).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('/') || rest.starts_with('.')
            })
        });
        is_compiled || is_packaged || self.files.iter().any(|file| file == name)
    }

    fn help(&self, names: &[&str]) -> String {
        if let Some(source) = names
            .iter()
            .find(|name| self.sources.iter().any(|source| source == *name))
        {
            return format!(
                "{source} must be built first: commit what is built and point the code at it; nothing is built on the way"
            );
        }
        let folder = names.iter().find_map(|name| {
            let file = self
                .files
                .iter()
                .find(|file| name.ends_with(&format!("/{file}")))?;
            Some(name[..name.len() - file.len()].trim_end_matches('/'))
        });
        match folder {
            Some(folder) => format!(
                "it lies in {folder}/ of the archive: point the code at that folder, or put the folder into the handler"
            ),
            None => "correct the handler, or commit the module: the paths of a handler begin at the root of the archive".to_owned(),
        }
    }
}

/// `pkg/mod.func` and `pkg.mod.func` are `pkg/mod.py`, or the package `pkg/mod`.
fn python(handler: &str) -> Option<Wanted> {
    let (module, function) = handler.rsplit_once('.')?;
    if module.is_empty() || function.is_empty() {
        return None;
    }
    let stem = module.replace('.', "/");
    Some(Wanted {
        files: vec![format!("{stem}.py"), format!("{stem}/__init__.py")],
        compiled: Some(format!("{stem}.")),
        package: None,
        sources: Vec::new(),
    })
}

/// `dir/file.export` is `dir/file.js`, `.mjs` or `.cjs`; the export may hold dots.
fn node(handler: &str) -> Option<Wanted> {
    let (directory, last) = match handler.rsplit_once('/') {
        Some((directory, last)) => (directory, last),
        None => ("", handler),
    };
    let (file, export) = last.split_once('.')?;
    if file.is_empty() || export.is_empty() {
        return None;
    }
    let directory = directory.trim_start_matches("./");
    let stem = if directory.is_empty() || directory == "." {
        file.to_owned()
    } else {
        format!("{directory}/{file}")
    };
    let of = |extensions: &[&str]| -> Vec<String> {
        let names = extensions.iter();
        names
            .map(|extension| format!("{stem}{extension}"))
            .collect()
    };
    Some(Wanted {
        files: of(&[".js", ".mjs", ".cjs"]),
        compiled: None,
        package: Some(format!("node_modules/{file}")),
        sources: of(&[".ts", ".mts", ".cts", ".tsx"]),
    })
}

/// What an archive holds, shortly.
fn held(names: &[&str]) -> String {
    let mut files: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !name.ends_with('/'))
        .collect();
    // What lies at the root is what a handler most often means.
    files.sort_by_key(|name| (name.matches('/').count(), *name));
    let rest = files.len().saturating_sub(SHOWN);
    files.truncate(SHOWN);
    match (files.is_empty(), rest) {
        (true, _) => "it is empty".to_owned(),
        (false, 0) => format!("it holds {}", files.join(", ")),
        (false, rest) => format!("it holds {} and {rest} more", files.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_render::MemoryTree;

    use super::*;
    use crate::package::{ArchiveSpec, archive};

    fn found(properties: &Value, files: &[&str]) -> Option<Missing> {
        let mut tree = MemoryTree::default();
        for name in files {
            tree = tree.with_file(&format!("src/{name}"), "x");
        }
        let spec = ArchiveSpec {
            path: "src".to_owned(),
            ..ArchiveSpec::default()
        };
        let artifact = archive(&tree, &spec).expect("the files are there");
        let properties = properties.as_object().expect("a mapping").clone();
        check("F", &properties, &artifact)
    }

    fn check_all(runtime: &str, handler: &str, files: &[&str], is_there: bool) {
        let missing = found(&json!({"Handler": handler, "Runtime": runtime}), files);
        assert_eq!(
            missing.is_none(),
            is_there,
            "{handler} in {files:?}: {missing:?}"
        );
    }

    #[test]
    fn python_modules_and_packages() {
        check_all("python3.12", "app.handler", &["app.py"], true);
        check_all("python3.12", "app.handler", &["other.py"], false);
        check_all("python3.12", "app.handler", &["src/app.py"], false);
        check_all("python3.12", "pkg/mod.handler", &["pkg/mod.py"], true);
        check_all("python3.12", "pkg.mod.handler", &["pkg/mod.py"], true);
        check_all(
            "python3.12",
            "pkg.mod.handler",
            &["pkg/mod/__init__.py"],
            true,
        );
        check_all(
            "python3.12",
            "pkg.mod.handler",
            &["pkg/mod/other.py"],
            false,
        );
        check_all("python3.12", "app.handler", &["app.pyc"], true);
        check_all(
            "python3.12",
            "app.handler",
            &["app.cpython-312-x86_64-linux-gnu.so"],
            true,
        );
        check_all("python3.12", "app.handler", &["app.txt"], false);
        check_all("python3.12", "handler", &["handler.py"], false);
    }

    #[test]
    fn files_of_node() {
        for extension in ["js", "mjs", "cjs"] {
            check_all(
                "nodejs22.x",
                "index.handler",
                &[&format!("index.{extension}")],
                true,
            );
        }
        check_all("nodejs22.x", "index.handler", &["index.ts"], false);
        check_all("nodejs22.x", "src/index.handler", &["src/index.js"], true);
        check_all("nodejs22.x", "./src/index.handler", &["src/index.js"], true);
        check_all("nodejs22.x", "index.api.get", &["index.js"], true);
        check_all("nodejs22.x", "index.api.get", &["index.api.js"], false);
        check_all(
            "nodejs22.x",
            "kit.handler",
            &["node_modules/kit/package.json"],
            true,
        );
        check_all(
            "nodejs22.x",
            "kit.handler",
            &["node_modules/kitten/package.json"],
            false,
        );
    }

    #[test]
    fn nothing_is_said_of_what_may_come_from_elsewhere() {
        check_all("java21", "com.x.Y::handle", &["a.class"], true);
        check_all("provided.al2023", "bootstrap", &["bootstrap"], true);
        let with = |name: &str, value: Value| {
            let mut properties = json!({"Handler": "app.handler", "Runtime": "python3.12"});
            properties[name] = value;
            found(&properties, &["other.py"])
        };
        assert_eq!(with("Layers", json!(["arn:aws:lambda:x"])), None);
        assert!(with("Layers", json!([])).is_some());
        let wrapped = json!({"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/run"}});
        assert_eq!(with("Environment", wrapped), None);
        let plain = json!({"Variables": {"STAGE": "dev"}});
        assert!(with("Environment", plain).is_some());
    }

    #[test]
    fn messages_say_what_to_do() {
        let missing = |runtime: &str, handler: &str, files: &[&str]| {
            found(&json!({"Handler": handler, "Runtime": runtime}), files).expect("missing")
        };
        let one = missing("python3.12", "app.run", &["src/app.py", "README.md"]);
        assert_eq!(
            one.message,
            "function F: the handler \"app.run\" needs app.py or app/__init__.py, which are not in its archive (it holds README.md, src/app.py)"
        );
        assert!(one.help.contains("it lies in src/"), "{}", one.help);
        let two = missing("nodejs22.x", "app.run", &["app.ts"]);
        assert!(
            two.help.contains("app.ts must be built first"),
            "{}",
            two.help
        );
    }
}
