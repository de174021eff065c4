//! What stops a build: the words of the original, and the file it is about.

use tidegate_manifest::{Diagnostic, Origin};

/// A kustomization file, or what it says, is wrong.
pub(crate) const CODE_KUSTOMIZATION: &str = "TG0621";
/// A file, a directory or a base cannot be loaded.
pub(crate) const CODE_LOAD: &str = "TG0622";
/// A resource cannot be read or accumulated.
pub(crate) const CODE_RESOURCE: &str = "TG0623";
/// A generator cannot make its object.
pub(crate) const CODE_GENERATOR: &str = "TG0624";
/// A patch, a replacement or another transformer cannot be applied.
pub(crate) const CODE_TRANSFORMER: &str = "TG0625";
/// Something that this build does not do: programs, charts, remote bases.
pub(crate) const CODE_UNSUPPORTED: &str = "TG0626";
/// A limit was reached.
pub(crate) const CODE_LIMIT: &str = "TG0627";
/// A field is deprecated, or something has no effect.
pub(crate) const CODE_WARNING: &str = "TG0628";
/// An object that was built is no Kubernetes object.
pub(crate) const CODE_OBJECT: &str = "TG0629";

/// Why a build stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The file, from the tree's root.
    pub(crate) path: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) field: Option<String>,
}

/// The result of a step.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            path: String::new(),
            line: 0,
            column: 0,
            field: None,
        }
    }

    /// Names the file, unless a deeper one is named already.
    pub(crate) fn at(mut self, path: &str) -> Self {
        if self.path.is_empty() {
            path.clone_into(&mut self.path);
        }
        self
    }

    /// Names the place in the file.
    pub(crate) fn place(mut self, line: u32, column: u32) -> Self {
        if self.line == 0 {
            (self.line, self.column) = (line, column);
        }
        self
    }

    /// Names the field of the kustomization, unless a deeper one is named.
    pub(crate) fn field(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }

    /// Says in front what was attempted.
    pub(crate) fn prefix(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(crate) fn diagnostic(&self, base: &Origin) -> Diagnostic {
        let origin = Origin {
            path: self.path.clone(),
            line: self.line,
            column: self.column,
            ..base.clone()
        };
        let mut diagnostic =
            Diagnostic::error(self.code, self.message.clone(), origin).help(self.help());
        if let Some(field) = &self.field {
            diagnostic = diagnostic.field(field.clone());
        }
        diagnostic
    }

    fn help(&self) -> &'static str {
        match self.code {
            CODE_KUSTOMIZATION => {
                "the fields of a kustomization file are those of Kustomize 5.8; check names and types"
            }
            CODE_LOAD => {
                "paths are relative to the kustomization that names them; files must lie in or below its directory, bases in the same repository"
            }
            CODE_RESOURCE => {
                "a resource needs apiVersion, kind and metadata.name, and may stand in a build only once"
            }
            CODE_GENERATOR => "check the generator's name, behavior, literals, files and envs",
            CODE_UNSUPPORTED => "commit what it renders to, or write it with what is built in",
            CODE_LIMIT => "split the kustomization into several applications",
            CODE_OBJECT => "check the object that the build gives",
            _ => "check the patch, its target and the object it is applied to",
        }
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Fault::new(CODE_TRANSFORMER, message)
    }
}
