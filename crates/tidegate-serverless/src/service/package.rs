//! Code of functions: which files of the service go into which archive.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_render::walk::{Resolved, join, resolve};
use tidegate_yaml::Node;

use super::context::{Composer, Context, Function, entries, is_truthy, items};
use super::text::s3_object;
use crate::package::{ArchiveSpec, archive, hex};
use crate::packaging::BUCKET;

/// What never goes into an archive unless a pattern says so.
const EXCLUDED: &[&str] = &[
    "!.git/**",
    "!.gitignore",
    "!.DS_Store",
    "!npm-debug.log",
    "!yarn-*.log",
    "!.serverless/**",
    "!.serverless_plugins/**",
];
/// Largest lock file that is read for development dependencies.
const LOCK_MAX: u64 = 32 << 20;

/// Where the code of a function lies.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    /// `Code` of the function.
    pub(crate) location: Value,
    /// The SHA-256 of the archive in base64; none for an object in S3.
    pub(crate) sha256: Option<String>,
}

/// Packs code; what is packed in one way is packed once.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    packed: BTreeMap<(String, Vec<String>), Option<Code>>,
    development: Option<Vec<String>>,
}

impl Packer {
    /// The code of a function; none when it cannot be had, which is told.
    pub(crate) fn pack(
        &mut self,
        context: &Context<'_>,
        function: &Function,
        template: &mut Composer,
    ) -> Option<Code> {
        let own = function.settings.get("package");
        let of = |package: Option<&Node>, key: &str| {
            package?.get(key).filter(|node| is_truthy(node)).cloned()
        };
        let service = context.root.get("package");
        let is_alone = of(own, "individually").is_some() || of(service, "individually").is_some();
        let artifact = of(own, "artifact").or_else(|| {
            let is_own = of(own, "individually").is_some();
            of(service, "artifact").filter(|_| !is_own)
        });
        if let Some(artifact) = artifact {
            return self.artifact(context, function, &artifact, template);
        }
        let mut patterns = patterns(service);
        if is_alone {
            patterns.extend(self::patterns(own));
        } else if of(own, "patterns").is_some() {
            let place = own.map_or_else(|| context.place_of(function.at), |own| context.place(own));
            template.warn(
                "TG1512",
                format!(
                    "the package patterns of function \"{}\" have no effect",
                    function.key
                ),
                place,
                "set `package.individually` for the function or for the service",
            );
        }
        let spec = ArchiveSpec {
            path: context.directory.to_owned(),
            patterns: self.all_patterns(context, patterns, true),
        };
        self.archive(context, function.at, &function.key, &spec, template)
    }

    fn artifact(
        &mut self,
        context: &Context<'_>,
        function: &Function,
        artifact: &Node,
        template: &mut Composer,
    ) -> Option<Code> {
        let given = artifact.as_str().unwrap_or_default();
        if let Some((bucket, key)) = s3_object(given) {
            return Some(Code {
                location: json!({"S3Bucket": bucket, "S3Key": key}),
                sha256: None,
            });
        }
        let path = join(context.directory, given.trim_start_matches("./"));
        if matches!(resolve(context.tree, &path), Ok(Resolved::Directory(_))) {
            template.error(
                "TG1511",
                format!(
                    "the package artifact {path:?} of \"{}\" is a folder",
                    function.key
                ),
                context.place(artifact),
                "name an archive",
            );
            return None;
        }
        let spec = ArchiveSpec {
            path,
            patterns: Vec::new(),
        };
        let subject = if function.settings.at(&["package", "artifact"]).is_some() {
            format!("\"{given}\" (for \"{}\")", function.key)
        } else {
            format!("\"{given}\"")
        };
        self.archive(context, artifact.span, &subject, &spec, template)
    }

    /// The code of a layer; none when it cannot be had, which is told.
    pub(crate) fn layer(
        &mut self,
        context: &Context<'_>,
        key: &str,
        layer: &Node,
        template: &mut Composer,
    ) -> Option<Code> {
        let own = layer.get("package");
        let artifact = own
            .and_then(|own| own.get("artifact"))
            .filter(|node| is_truthy(node));
        let (node, path, patterns) = match (artifact, layer.get("path")) {
            (Some(artifact), _) => (artifact, artifact.as_str()?, Vec::new()),
            (None, Some(path)) => {
                let mut all = patterns(context.root.get("package"));
                all.extend(patterns(own));
                (path, path.as_str()?, self.all_patterns(context, all, false))
            }
            (None, None) => return None,
        };
        let subject = if artifact.is_some() {
            format!("\"{path}\" (for \"{key}\")")
        } else {
            key.to_owned()
        };
        let spec = ArchiveSpec {
            path: join(
                context.directory,
                path.trim_start_matches("./").trim_end_matches('/'),
            ),
            patterns,
        };
        self.archive(context, node.span, &subject, &spec, template)
    }

    /// Packs what a specification says, once.
    pub(crate) fn archive(
        &mut self,
        context: &Context<'_>,
        at: tidegate_yaml::Span,
        subject: &str,
        spec: &ArchiveSpec,
        template: &mut Composer,
    ) -> Option<Code> {
        let key = (spec.path.clone(), spec.patterns.clone());
        if let Some(known) = self.packed.get(&key) {
            return known.clone();
        }
        let code = match archive(context.tree, spec) {
            Ok(artifact) => {
                let name = format!("{}.zip", hex(&artifact));
                let code = Code {
                    location: json!({"S3Bucket": BUCKET, "S3Key": name}),
                    sha256: Some(artifact.sha256.clone()),
                };
                template.archives.insert(name, artifact);
                Some(code)
            }
            Err((message, help)) => {
                let message = if spec.patterns.is_empty() {
                    format!("Cannot access package artifact at {subject}: {message}")
                } else {
                    format!(
                        "No file matches include / exclude patterns (for \"{subject}\"): {message}"
                    )
                };
                template.error("TG1511", message, context.place_of(at), &help);
                None
            }
        };
        self.packed.insert(key, code.clone());
        code
    }

    /// The patterns in the order in which they count, the last ones most.
    fn all_patterns(
        &mut self,
        context: &Context<'_>,
        own: Vec<String>,
        without_layers: bool,
    ) -> Vec<String> {
        let file = context.origin.path.rsplit('/').next().unwrap_or_default();
        let mut all: Vec<String> = EXCLUDED
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect();
        all.push(format!("!{file}"));
        let local = context
            .root
            .at(&["plugins", "localPath"])
            .and_then(Node::as_str);
        all.extend(local.map(|path| format!("!{path}")));
        let layers = entries(context.root.get("layers"));
        for (_, layer) in layers.iter().filter(|_| without_layers) {
            let path = layer.get("path").and_then(Node::as_str);
            all.extend(path.map(|path| format!("!{}/**", path.trim_start_matches("./"))));
        }
        if context.root.get("useDotenv").is_some_and(is_truthy) {
            all.push("!.env*".to_owned());
        }
        all.extend(own);
        let excludes = context.root.at(&["package", "excludeDevDependencies"]);
        if excludes.is_none_or(|node| node.value != tidegate_yaml::Value::Bool(false)) {
            let development = self.development.get_or_insert_with(|| development(context));
            all.extend(development.iter().cloned());
        }
        all
    }
}

/// `exclude`, `include` and `patterns` of a `package`, in the order in which they count.
fn patterns(package: Option<&Node>) -> Vec<String> {
    let texts = |key: &str| {
        let list = package.and_then(|package| package.get(key));
        items(list)
            .iter()
            .filter_map(Node::as_str)
            .map(str::to_owned)
    };
    let mut all: Vec<String> = texts("exclude")
        .map(|pattern| match pattern.strip_prefix('!') {
            Some(rest) => rest.to_owned(),
            None => format!("!{pattern}"),
        })
        .collect();
    all.extend(texts("include"));
    all.extend(texts("patterns"));
    all
}

/// Committed npm modules that only development needs, as the lock file says.
fn development(context: &Context<'_>) -> Vec<String> {
    let file = join(context.directory, "package-lock.json");
    let Ok(bytes) = context.tree.read(&file, LOCK_MAX) else {
        return Vec::new();
    };
    let lock: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let packages = lock.get("packages").and_then(Value::as_object);
    packages
        .into_iter()
        .flatten()
        .filter(|(path, package)| {
            path.contains("node_modules/") && package.get("dev") == Some(&Value::Bool(true))
        })
        .map(|(path, _)| format!("!{path}/**"))
        .collect()
}
