//! All renderers of this build, put together.

use std::sync::Arc;

use tidegate_kustomize::{
    BuildOptions, KustomizeRenderer, RemoteBase, RemoteBases, RepositoryAddress,
};
use tidegate_manifest::KustomizeSettings;
use tidegate_render::{DirectoryRenderer, Renderers};
use tidegate_serverless::TemplateReader;

use crate::{Error, Repository};

/// Plain directories with templates and services in them, and kustomizations without what is outside of their tree.
pub fn renderers() -> Renderers {
    with_options(BuildOptions::default())
}

/// As [`renderers`], with an operator's settings; bases of other repositories come from where `repository` has its files.
///
/// # Errors
/// The build options are none.
pub(crate) fn renderers_of(
    settings: &KustomizeSettings,
    repository: &Arc<Repository>,
) -> Result<Renderers, Error> {
    let options = BuildOptions {
        remote: Some(Arc::new(GitBases {
            repository: Arc::clone(repository),
            allowed: settings.remote_bases.clone(),
        })),
        ..BuildOptions::default()
    };
    let options = options
        .with_flags(&settings.build_options)
        .map_err(|said| {
            let flags = &settings.build_options;
            Error::Refused(format!(
                "kustomize.buildOptions {flags:?} of the settings cannot be used: {said}"
            ))
        })?;
    Ok(with_options(options))
}

fn with_options(options: BuildOptions) -> Renderers {
    let directories = DirectoryRenderer {
        readers: vec![Arc::new(TemplateReader)],
        ..DirectoryRenderer::default()
    };
    Renderers::none()
        .with(Arc::new(directories))
        .with(Arc::new(KustomizeRenderer { options }))
}

/// Bases through the mirrors of a session.
#[derive(Debug)]
struct GitBases {
    repository: Arc<Repository>,
    allowed: Vec<String>,
}

impl RemoteBases for GitBases {
    fn fetch(&self, address: &RepositoryAddress) -> Result<RemoteBase, String> {
        let found = self.repository.base(address, &self.allowed);
        found.map_err(|error| error.to_string())
    }
}
