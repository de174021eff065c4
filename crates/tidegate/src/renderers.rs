//! All renderers of this build, put together.

use std::sync::Arc;

use tidegate_kustomize::{
    BuildOptions, KustomizeRenderer, RemoteBase, RemoteBases, RepositoryAddress,
};
use tidegate_manifest::KustomizeSettings;
use tidegate_render::{DirectoryRenderer, Renderers};
use tidegate_serverless::TemplateReader;

use crate::helm::{Helm, NoHelm};
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
    let mut options = options(settings)?;
    options.remote = Some(Arc::new(GitBases {
        repository: Arc::clone(repository),
        allowed: settings.remote_bases.clone(),
    }));
    Ok(with_options(options))
}

/// As [`renderers`], with an operator's settings for kustomizations. Bases of other repositories need a session: they
/// are refused here.
///
/// # Errors
/// The build options are none.
pub fn renderers_with(settings: &KustomizeSettings) -> Result<Renderers, Error> {
    Ok(with_options(options(settings)?))
}

fn options(settings: &KustomizeSettings) -> Result<BuildOptions, Error> {
    let flags = &settings.build_options;
    let mut options = BuildOptions::default().with_flags(flags).map_err(|said| {
        Error::Refused(format!(
            "the build options {flags:?} of kustomizations cannot be used: {said}"
        ))
    })?;
    options.charts = Some(match &settings.helm {
        Some(helm) => Arc::new(Helm::new(helm, &options.helm_command)),
        None => Arc::new(NoHelm),
    });
    Ok(options)
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
