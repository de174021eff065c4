//! One manifest file to objects: YAML streams, JSON with exactly one object, lists taken apart.

use tidegate_manifest::{Diagnostic, Object, Origin};
use tidegate_yaml::{Document, Node, ParseOptions, Value, YamlError, parse_stream};

/// A file that says this anywhere is passed over.
const SKIP_MARKER: &[u8] = b"+argocd:skip-file-rendering";
/// A broken file with all of these is a manifest and not somebody's settings.
const MANIFEST_WORDS: &[&[u8]] = &[b"apiVersion:", b"kind:", b"metadata:"];
/// How a Git LFS pointer begins, which stands in for a file kept elsewhere.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
/// Git LFS pointers are shorter than this.
const LFS_POINTER_MAX: usize = 1024;
/// JSON that Argo CD passes over in silence.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Lists inside lists.
const LIST_DEPTH_MAX: usize = 8;

/// What one file gave.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) objects: Vec<Object>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// JSON that does not mean to be a manifest: it says neither `apiVersion` nor `kind`.
    pub(super) is_foreign: bool,
}

/// Reads a file; `origin` names it. What it is follows from its name.
pub(super) fn read(bytes: &[u8], origin: &Origin) -> Manifest {
    let mut manifest = Manifest::default();
    if bytes.len() < LFS_POINTER_MAX && bytes.starts_with(LFS_POINTER) {
        manifest.diagnostics.push(
            Diagnostic::error(
                "TG0513",
                "this is a Git LFS pointer, not a manifest",
                origin.clone(),
            )
            .help(
                "keep manifests out of Git LFS: change .gitattributes and commit the file itself",
            ),
        );
    } else if !mentions(bytes, SKIP_MARKER) {
        if origin.path.ends_with(".json") {
            read_json(bytes, origin, &mut manifest);
        } else {
            read_yaml(bytes, origin, &mut manifest);
        }
    }
    manifest
}

/// Whether a text holds some ASCII words, in UTF-8 or UTF-16.
fn mentions(bytes: &[u8], word: &[u8]) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    holds(bytes)
        || (bytes.contains(&0) && {
            let narrow: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
            holds(&narrow)
        })
}

fn read_yaml(bytes: &[u8], origin: &Origin, manifest: &mut Manifest) {
    let stream = parse_stream(bytes, &ParseOptions::default());
    let (objects, others): (Vec<&Document>, Vec<&Document>) = stream
        .documents
        .iter()
        .partition(|document| has_kind(&document.root));
    let broken = !stream.errors.is_empty() || !others.is_empty();
    // Somebody's settings, a template, a compose file: not a manifest, and nobody's mistake.
    if broken && objects.is_empty() && !MANIFEST_WORDS.iter().all(|word| mentions(bytes, word)) {
        return;
    }
    for error in &stream.errors {
        manifest.diagnostics.push(yaml_error(error, origin));
    }
    for warning in &stream.warnings {
        let place = at(origin, warning.span.line, warning.span.column);
        manifest.diagnostics.push(
            Diagnostic::warning(
                "TG0515",
                format!("{}; the last one counts", warning.message),
                place,
            )
            .help("remove or rename one of the two keys"),
        );
    }
    for document in &stream.documents {
        add(&document.root, origin, 0, manifest);
    }
    manifest
        .diagnostics
        .sort_by_key(|found| (found.origin.line, found.origin.column));
}

/// Exactly one object, and JSON in earnest: a YAML text by the name of JSON is refused.
fn read_json(bytes: &[u8], origin: &Origin, manifest: &mut Manifest) {
    let mut refuse = |message: String, line: usize, column: usize, help: &str| {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let place = at(origin, clamp(line), clamp(column));
        manifest
            .diagnostics
            .push(Diagnostic::error("TG0514", message, place).help(help));
    };
    let unicode = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if !unicode.contains(&0)
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(unicode)
    {
        let several = error.to_string().starts_with("trailing characters");
        let message = if several {
            "found multiple objects: only single objects are allowed in JSON files".to_owned()
        } else {
            let reason = error.to_string();
            let reason = reason
                .rsplit_once(" at line")
                .map_or(&*reason, |(reason, _)| reason);
            format!("invalid JSON: {reason}")
        };
        let help = "write one JSON object, a List with items, or YAML in a .yaml file";
        return refuse(message, error.line(), error.column(), help);
    }
    let stream = parse_stream(bytes, &ParseOptions::default());
    if !stream.errors.is_empty() {
        manifest
            .diagnostics
            .extend(stream.errors.iter().map(|error| yaml_error(error, origin)));
        return;
    }
    let Some(document) = stream.documents.first() else {
        return refuse(
            "the file holds no object".to_owned(),
            1,
            1,
            "remove the file or exclude it",
        );
    };
    let root = &document.root;
    if root.get("mediaType").and_then(Node::as_str) == Some(OCI_MANIFEST) && !has_kind(root) {
        return;
    }
    if matches!(root.value, Value::Sequence(_)) {
        let (line, column) = (root.span.line as usize, root.span.column as usize);
        let help =
            "wrap the objects as {\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": […]}";
        return refuse(
            "expected one object, found a list".to_owned(),
            line,
            column,
            help,
        );
    }
    add(root, origin, 0, manifest);
    if !has_kind(root) {
        manifest.is_foreign = manifest.objects.is_empty() && root.get("apiVersion").is_none();
        let hint = "if the file is no manifest, leave it out with directory.exclude";
        for found in &mut manifest.diagnostics {
            let help = found.help.take().unwrap_or_default();
            found.help = Some(
                format!("{help}; {hint}")
                    .trim_start_matches("; ")
                    .to_owned(),
            );
        }
    }
}

fn at(origin: &Origin, line: u32, column: u32) -> Origin {
    Origin {
        line,
        column,
        ..origin.clone()
    }
}

fn yaml_error(error: &YamlError, origin: &Origin) -> Diagnostic {
    let place = at(origin, error.span.line, error.span.column);
    let help = error
        .help()
        .unwrap_or("mend the YAML; the other documents of the file were read");
    Diagnostic::error("TG0514", error.message.clone(), place).help(help)
}

fn has_kind(node: &Node) -> bool {
    node.get("kind")
        .and_then(Node::as_str)
        .is_some_and(|kind| !kind.is_empty())
}

/// Adds an object, or the items of a list. A list is what has `items` as a sequence, whatever its
/// kind; one with `items: null` and neither spec nor status is nothing.
fn add(node: &Node, origin: &Origin, depth: usize, manifest: &mut Manifest) {
    let items = node.get("items").map(|items| &items.value);
    match items {
        Some(Value::Sequence(items)) if has_kind(node) && depth < LIST_DEPTH_MAX => {
            for item in items {
                add(item, origin, depth + 1, manifest);
            }
            return;
        }
        Some(Value::Null)
            if has_kind(node) && node.get("spec").is_none() && node.get("status").is_none() =>
        {
            return;
        }
        _ => {}
    }
    let (object, diagnostics) = Object::from_node(node, origin);
    manifest.objects.extend(object);
    manifest.diagnostics.extend(diagnostics);
}
