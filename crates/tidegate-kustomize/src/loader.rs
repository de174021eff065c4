//! Files and directories as one kustomization sees them: relative to its own directory, files in or
//! below it, bases anywhere in the tree but never around it.

use std::sync::Arc;

use tidegate_render::walk::{Resolved, join, resolve};
use tidegate_render::{FileTree, TreeError};

use crate::fault::{CODE_LIMIT, CODE_LOAD, CODE_UNSUPPORTED, Fault, Outcome};
use crate::outside::{NetworkFiles, RemoteBases};
use crate::repository::RepositoryAddress;

/// Largest file in bytes.
pub(crate) const MAX_FILE: u64 = 32 << 20;
/// Directories that may be nested in one another.
pub(crate) const MAX_NESTING: usize = 64;

/// Which files a kustomization may load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadRestrictions {
    /// Those in or below its own directory.
    #[default]
    RootOnly,
    /// Any of the tree.
    None,
}

/// The view of one directory.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    tree: Arc<dyn FileTree>,
    root: String,
    /// The directories on the way here, of this tree.
    visited: Vec<String>,
    restrictions: LoadRestrictions,
    outside: Outside,
    depth: usize,
}

/// Who gets what is not in the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    pub(crate) remote: Option<Arc<dyn RemoteBases>>,
    pub(crate) network: Option<Arc<dyn NetworkFiles>>,
}

impl Loader {
    pub(crate) fn new(
        tree: Arc<dyn FileTree>,
        directory: &str,
        restrictions: LoadRestrictions,
        outside: Outside,
    ) -> Outcome<Self> {
        let root = match resolve(&*tree, directory) {
            Ok(Resolved::Directory(root)) => root,
            Ok(_) => return Err(not_a_directory(directory)),
            Err(error) => return Err(Fault::new(CODE_LOAD, error.to_string()).at(directory)),
        };
        Ok(Self {
            tree,
            root,
            visited: Vec::new(),
            restrictions,
            outside,
            depth: 0,
        })
    }

    /// The tree that the directory is in.
    pub(crate) fn tree(&self) -> Arc<dyn FileTree> {
        Arc::clone(&self.tree)
    }

    /// What tells the trees of a build apart.
    pub(crate) fn tree_id(&self) -> usize {
        Arc::as_ptr(&self.tree).cast::<()>().addr()
    }

    /// Whether none of these directories is around one on the way here, this one included.
    pub(crate) fn may_enter_all(&self, roots: &[String]) -> bool {
        let mut around = [&self.root].into_iter().chain(&self.visited);
        !around.any(|visited| roots.iter().any(|root| is_in_or_below(visited, root)))
    }

    /// The directory, from the tree's root.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The directory as messages show it.
    pub(crate) fn shown(&self) -> String {
        if self.root.is_empty() {
            ".".to_owned()
        } else {
            self.root.clone()
        }
    }

    /// The view of another directory.
    pub(crate) fn enter(&self, path: &str) -> Outcome<Loader> {
        if path.is_empty() {
            return Err(Fault::new(CODE_LOAD, "new root cannot be empty"));
        }
        if self.depth >= MAX_NESTING {
            let message =
                format!("more than {MAX_NESTING} kustomizations are nested in one another");
            return Err(Fault::new(CODE_LIMIT, message));
        }
        if let Some(address) = RepositoryAddress::parse(path) {
            return self.enter_remote(path, &address);
        }
        if path.starts_with('/') {
            let message = format!("new root '{path}' cannot be absolute");
            return Err(Fault::new(CODE_LOAD, message));
        }
        let root = match resolve(&*self.tree, &join(&self.root, path)) {
            Ok(Resolved::Directory(root)) => root,
            Ok(Resolved::File(file)) => {
                let message = format!("must build at directory: '{file}': file is not directory");
                return Err(Fault::new(CODE_LOAD, message));
            }
            Ok(Resolved::Missing(_) | Resolved::Submodule(_)) => return Err(not_a_directory(path)),
            Err(error) => {
                let message = format!("must build at directory: not a valid directory: {error}");
                return Err(Fault::new(CODE_LOAD, message));
            }
        };
        let around = [&self.root].into_iter().chain(self.visited.iter().rev());
        for visited in around {
            if is_in_or_below(visited, &root) {
                let message = format!(
                    "cycle detected: candidate root '{root}' contains visited root '{visited}'"
                );
                return Err(Fault::new(CODE_LOAD, message));
            }
        }
        let mut visited = self.visited.clone();
        visited.push(self.root.clone());
        Ok(Loader {
            root,
            visited,
            depth: self.depth + 1,
            ..self.clone()
        })
    }

    fn enter_remote(&self, url: &str, address: &RepositoryAddress) -> Outcome<Loader> {
        let Some(remote) = &self.outside.remote else {
            let message =
                format!("'{url}' is in another repository, and remote bases are not allowed here");
            return Err(Fault::new(CODE_UNSUPPORTED, message));
        };
        let base = remote.fetch(address).map_err(|error| {
            Fault::new(CODE_LOAD, format!("'{url}' cannot be fetched: {error}"))
        })?;
        let mut loader = Loader::new(
            base.tree,
            &base.directory,
            self.restrictions,
            self.outside.clone(),
        )?;
        loader.depth = self.depth + 1;
        Ok(loader)
    }

    fn get(&self, url: &str) -> Outcome<(Vec<u8>, String)> {
        let Some(network) = &self.outside.network else {
            let message = format!("'{url}' is on the network, and files are not loaded from there");
            return Err(Fault::new(CODE_UNSUPPORTED, message));
        };
        let bytes = network
            .get(url)
            .map_err(|error| Fault::new(CODE_LOAD, format!("'{url}' cannot be had: {error}")))?;
        Ok((bytes, url.to_owned()))
    }

    /// The bytes of a file, and its path from the tree's root.
    pub(crate) fn load(&self, path: &str) -> Outcome<(Vec<u8>, String)> {
        if path.starts_with("https://") || path.starts_with("http://") {
            return self.get(path);
        }
        if path.starts_with('/') {
            let message = format!(
                "security; file '{path}' is not in or below '{}'",
                self.shown()
            );
            return Err(Fault::new(CODE_LOAD, message));
        }
        let whole = join(&self.root, path);
        let missing = |place: &str| {
            let message = format!(
                "evalsymlink failure on '{whole}' : lstat {place}: no such file or directory"
            );
            Err(Fault::new(CODE_LOAD, message))
        };
        let file = match resolve(&*self.tree, &whole) {
            Ok(Resolved::File(file)) => file,
            Ok(Resolved::Missing(place)) => return missing(&place),
            Ok(Resolved::Directory(place) | Resolved::Submodule(place)) => {
                let message = format!("'{place}' must resolve to a file");
                return Err(Fault::new(CODE_LOAD, message));
            }
            Err(TreeError::NotFound(place)) => return missing(&place),
            Err(error) => {
                let message = format!(
                    "security; file '{whole}' is not in or below '{}': {error}",
                    self.shown()
                );
                return Err(Fault::new(CODE_LOAD, message));
            }
        };
        let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
        if self.restrictions == LoadRestrictions::RootOnly && !is_in_or_below(directory, &self.root)
        {
            let message = format!(
                "security; file '{file}' is not in or below '{}'",
                self.shown()
            );
            return Err(Fault::new(CODE_LOAD, message));
        }
        let bytes = self
            .tree
            .read(&file, MAX_FILE)
            .map_err(|error| Fault::new(CODE_LOAD, error.to_string()).at(&file))?;
        Ok((bytes, file))
    }
}

fn not_a_directory(path: &str) -> Fault {
    let message = format!("must build at directory: not a valid directory: '{path}' doesn't exist");
    Fault::new(CODE_LOAD, message)
}

/// Whether a directory is another or stands below it.
fn is_in_or_below(directory: &str, other: &str) -> bool {
    other.is_empty()
        || directory
            .strip_prefix(other)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
