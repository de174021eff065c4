//! A repository, its Applications, the places they go to and the engine, put together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_applier::Applier;
use tidegate_engine::{
    Comparison, Control, Desired, Engine, EngineContext, EngineOptions, EventSink, NoEvents,
    OperationState, Plan, ResourceDiff, SyncRequest, Wanted,
};
use tidegate_git::Credentials;
use tidegate_manifest::{AppProject, Application, Diagnostic, Settings, Target};
use tidegate_render::Renderers;
use tidegate_store::{MemoryStore, Store};

use crate::discover::read_text;
use crate::source::blocking;
use crate::{
    Declared, Error, GitSource, Location, Place, Places, Repository, RepositoryOptions, StateDir,
    discover,
};

/// How many names an error shows.
const NAMES_SHOWN: usize = 8;

/// Makes a [`Tidegate`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    location: String,
    revision: Option<String>,
    maps: Vec<(String, PathBuf)>,
    file: Option<PathBuf>,
    place: Option<Place>,
    dir: Option<PathBuf>,
    store: Option<Arc<dyn Store>>,
    events: Arc<dyn EventSink>,
    credentials: Credentials,
    options: EngineOptions,
    runs_bindings: bool,
}

impl Builder {
    fn new(location: &str) -> Self {
        Self {
            location: location.to_owned(),
            revision: None,
            maps: Vec::new(),
            file: None,
            place: None,
            dir: None,
            store: None,
            events: Arc::new(NoEvents),
            credentials: Credentials::None,
            options: EngineOptions::default(),
            runs_bindings: false,
        }
    }

    /// Revision of a repository given by its address; HEAD otherwise.
    pub fn revision(mut self, revision: Option<String>) -> Self {
        self.revision = revision;
        self
    }

    /// Reads a repository URL from a directory.
    pub fn map(mut self, url: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        self.maps.push((url.into(), directory.into()));
        self
    }

    /// Runs event-source bindings in this process, for as long as it goes on; otherwise their documents are
    /// kept for a `tidegate-bridge` of their own.
    pub fn run_bindings(mut self, runs: bool) -> Self {
        self.runs_bindings = runs;
        self
    }

    /// Takes the Applications of this file instead of the repository's.
    pub fn applications_from(mut self, file: Option<PathBuf>) -> Self {
        self.file = file;
        self
    }

    /// Applies to the current context of a kubeconfig file.
    pub fn kubeconfig(self, file: impl Into<PathBuf>) -> Self {
        self.place(Place::Kubeconfig {
            file: Some(file.into()),
            context: None,
        })
    }

    /// Applies to destinations by name.
    pub fn settings(self, settings: Settings) -> Self {
        self.place(Place::Settings(settings))
    }

    /// Applies through an applier of one's own, whatever the destination.
    pub fn applier(mut self, target: Target, applier: Arc<dyn Applier>) -> Self {
        let mut appliers = match self.place.take() {
            Some(Place::Appliers(appliers)) => appliers,
            Some(
                Place::Sandbox(_)
                | Place::Kubeconfig { .. }
                | Place::Aws(_)
                | Place::Kafka(_)
                | Place::Several(_)
                | Place::Settings(_),
            )
            | None => Vec::new(),
        };
        appliers.push((target, applier));
        self.place(Place::Appliers(appliers))
    }

    /// Applies to this place.
    pub fn place(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Keeps mirrors here; a folder under the user's cache otherwise.
    pub fn dir(mut self, dir: Option<PathBuf>) -> Self {
        self.dir = dir;
        self
    }

    /// Keeps the journal here; in memory otherwise, which does not survive the process.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Tells what happens.
    pub fn events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.events = events;
        self
    }

    /// Credentials for the repository's host; no other host gets them.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Chooses what has a default.
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// Reads the repository and finds its Applications. Connects to no target yet.
    ///
    /// # Errors
    /// The repository cannot be read. What is wrong in documents is in [`Tidegate::declared`].
    pub async fn build(self) -> Result<Tidegate, Error> {
        blocking(move || self.build_blocking()).await
    }

    fn build_blocking(self) -> Result<Tidegate, Error> {
        let location = Location::parse(&self.location)?;
        let dir = StateDir::open(self.dir.as_deref())?;
        let repository = Arc::new(Repository::open(RepositoryOptions {
            location,
            revision: self.revision,
            maps: self.maps,
            mirrors: dir.mirrors(),
            credentials: self.credentials,
        })?);
        let declared = match &self.file {
            Some(file) => read_applications(file)?,
            None => discover(
                &repository.snapshot()?,
                &implicit_name(repository.location()),
            ),
        };
        let place = self
            .place
            .unwrap_or_else(|| Place::Sandbox(dir.kubeconfig()));
        let store = self.store.unwrap_or_else(|| Arc::new(MemoryStore::new()));
        let mut context = EngineContext::new(store);
        context.events = Arc::clone(&self.events);
        let kustomize = place.kustomize();
        let renderers = crate::renderers::renderers_of(&kustomize, &repository)?;
        let renderers = Arc::new(renderers);
        let places = Arc::new(Places::new(place, &dir, self.runs_bindings));
        let sources = sources(&declared, &repository, &renderers, &places);
        Ok(Tidegate {
            repository,
            places,
            renderers,
            engine: Engine::new(context, self.options),
            events: self.events,
            declared,
            sources,
            is_from_file: self.file.is_some(),
        })
    }
}

/// One source per Application, by name.
fn sources(
    declared: &Declared,
    repository: &Arc<Repository>,
    renderers: &Arc<Renderers>,
    places: &Arc<Places>,
) -> BTreeMap<String, GitSource> {
    let make = |application: &Application| {
        let own = format!("Application {}", application.name);
        let mut findings: Vec<Diagnostic> = declared
            .diagnostics
            .iter()
            .filter(|found| !found.is_error() && found.object.as_deref() == Some(&own))
            .cloned()
            .collect();
        let project = project(application, declared).unwrap_or_else(|missing| {
            findings.push(*missing);
            AppProject::permissive(application.project_name())
        });
        let source = GitSource::new(
            Arc::new(application.clone()),
            Arc::new(project),
            Arc::clone(repository),
            Arc::clone(renderers),
            Arc::clone(places),
            findings,
        );
        (application.name.clone(), source)
    };
    declared.applications.iter().map(make).collect()
}

/// The project of an Application; `default` need not be declared and then allows everything.
fn project(application: &Application, declared: &Declared) -> Result<AppProject, Box<Diagnostic>> {
    let name = application.project_name();
    if let Some(project) = declared.projects.get(name) {
        return Ok(project.clone());
    }
    if name == "default" {
        return Ok(AppProject::permissive(name));
    }
    let known: Vec<&str> = declared.projects.keys().map(String::as_str).collect();
    let message = format!(
        "Application {} names project {name:?}, which is not declared",
        application.name
    );
    let help = match known.as_slice() {
        [] => "declare the AppProject beside the Application, or use project: default".to_owned(),
        known => format!("declare it, or use one of {}", known.join(", ")),
    };
    let missing = Diagnostic::error("TG0404", message, application.origin.clone())
        .object(format!("Application {}", application.name))
        .field(".spec.project")
        .help(help);
    Err(Box::new(missing))
}

/// A repository with its Applications, ready to plan and apply.
///
/// ```no_run
/// # async fn example() -> Result<(), tidegate::Error> {
/// use tidegate::Tidegate;
///
/// let tidegate = Tidegate::open("./gitops").kubeconfig("./kubeconfig").build().await?;
/// let plan = tidegate.plan("clickstream").await?;
/// for entry in plan.entries.iter().filter(|entry| entry.action.is_change()) {
///     println!("{} {}", entry.action.as_str(), entry.key.short());
/// }
/// let done = tidegate.apply(&plan).await?;
/// println!("{}", done.message);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tidegate {
    repository: Arc<Repository>,
    places: Arc<Places>,
    renderers: Arc<Renderers>,
    engine: Engine,
    events: Arc<dyn EventSink>,
    declared: Declared,
    sources: BTreeMap<String, GitSource>,
    is_from_file: bool,
}

impl Tidegate {
    /// Begins with a directory or the address of a repository.
    pub fn open(location: &str) -> Builder {
        Builder::new(location)
    }

    /// The same with what the repository declares now; Applications whose documents did not change keep what they know.
    ///
    /// Applications that were read from a file of their own stay as they are.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub(crate) async fn reloaded(&self) -> Result<Self, Error> {
        let (repository, renderers) = (Arc::clone(&self.repository), Arc::clone(&self.renderers));
        let places = Arc::clone(&self.places);
        let read = move || {
            let declared = discover(
                &repository.snapshot()?,
                &implicit_name(repository.location()),
            );
            let sources = sources(&declared, &repository, &renderers, &places);
            Ok((declared, sources))
        };
        let (declared, mut sources) = blocking(read).await?;
        for (name, source) in &mut sources {
            if let Some(known) = self.sources.get(name).filter(|known| known.is_same(source)) {
                *source = known.clone();
            }
        }
        Ok(Self {
            repository: Arc::clone(&self.repository),
            places: Arc::clone(&self.places),
            renderers: Arc::clone(&self.renderers),
            engine: self.engine.clone(),
            events: Arc::clone(&self.events),
            declared,
            sources,
            is_from_file: self.is_from_file,
        })
    }

    /// What the repository looks like now; when this changes, what it declares may have changed.
    pub(crate) async fn look(&self) -> Result<String, Error> {
        let repository = Arc::clone(&self.repository);
        blocking(move || repository.look()).await
    }

    /// Whether the Applications are of a file and not of the repository.
    pub(crate) fn is_from_file(&self) -> bool {
        self.is_from_file
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What the repository declares, and what is wrong with it.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// The engine, for what has no shorthand here.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Who is told what happens.
    pub fn events(&self) -> &Arc<dyn EventSink> {
        &self.events
    }

    /// Tells an event, with the time at which it is told.
    pub fn tell(&self, mut event: tidegate_engine::Event) {
        event.time = event.time.or_else(|| Some(jiff::Timestamp::now()));
        self.events.emit(event);
    }

    /// The Applications by name.
    pub fn applications(&self) -> BTreeMap<String, Arc<Application>> {
        let all = self.sources.iter();
        all.map(|(name, source)| (name.clone(), Arc::clone(source.application())))
            .collect()
    }

    /// The names of the Applications.
    pub fn names(&self) -> Vec<&str> {
        self.sources.keys().map(String::as_str).collect()
    }

    /// The one Application that a name stands for; with no name, the only one there is.
    ///
    /// # Errors
    /// [`Error::UnknownApplication`], or [`Error::Refused`] when several could be meant.
    pub fn find(&self, name: Option<&str>) -> Result<&str, Error> {
        let unknown = |name: &str| Error::UnknownApplication {
            name: name.to_owned(),
            repository: self.repository.location().to_string(),
            known: nearest(name, self.names()),
        };
        match name {
            Some(name) => match self.sources.get_key_value(name) {
                Some((name, _)) => Ok(name),
                None => Err(unknown(name)),
            },
            None => match self.names().as_slice() {
                [only] => Ok(only),
                [] => Err(Error::Documents(self.declared.diagnostics.clone())),
                several => Err(Error::Refused(format!(
                    "name one of {}",
                    several.join(", ")
                ))),
            },
        }
    }

    /// The source of an Application.
    ///
    /// # Errors
    /// [`Error::UnknownApplication`].
    pub fn source(&self, name: &str) -> Result<&GitSource, Error> {
        let name = self.find(Some(name))?;
        Ok(&self.sources[name])
    }

    /// The Application of a name.
    ///
    /// # Errors
    /// [`Error::UnknownApplication`].
    pub fn application(&self, name: &str) -> Result<&Arc<Application>, Error> {
        Ok(self.source(name)?.application())
    }

    /// The targets of an Application.
    ///
    /// # Errors
    /// Nothing stands for its destination, or it cannot be reached.
    pub async fn destination(&self, name: &str) -> Result<tidegate_engine::Destination, Error> {
        self.places.destination(self.application(name)?).await
    }

    /// Ends what runs in this process: bindings finish what they have begun.
    pub async fn shutdown(&self) {
        self.places.stop().await;
    }

    /// What an Application renders to; `wanted` pins revisions.
    ///
    /// # Errors
    /// A revision cannot be read. What is wrong in documents is in the result's diagnostics.
    pub async fn render(&self, name: &str, wanted: Wanted) -> Result<Desired, Error> {
        self.source(name)?.clone().render(wanted).await
    }

    /// What a sync by a person would do, pruning as the Application's automation does.
    ///
    /// # Errors
    /// A revision or a target cannot be read.
    pub async fn plan(&self, name: &str) -> Result<Plan, Error> {
        let desired = self.render(name, Wanted::Newest).await?;
        let request = Self::request(&desired.application);
        self.plan_of(&desired, &request).await
    }

    /// What a sync would do with what was rendered and asked for.
    ///
    /// # Errors
    /// A target cannot be read.
    pub async fn plan_of(&self, desired: &Desired, request: &SyncRequest) -> Result<Plan, Error> {
        let destination = self.destination(&desired.application.name).await?;
        Ok(self.engine.plan(&destination, desired, request).await?)
    }

    /// Applies exactly what a plan says, and waits until it is done.
    ///
    /// # Errors
    /// The plan no longer holds, or the operation could not be run.
    ///
    /// # Cancel safety
    /// As [`Engine::sync`].
    pub async fn apply(&self, plan: &Plan) -> Result<OperationState, Error> {
        let wanted = Wanted::Revisions(plan.revisions.clone());
        let desired = self.render(&plan.application, wanted).await?;
        let request = Self::request_of(plan, &desired.application)?;
        self.sync(&desired, request, Some(plan), &Control::none())
            .await
    }

    /// Runs a sync to its end.
    ///
    /// # Errors
    /// The operation could not be run. That it failed is in its phase.
    ///
    /// # Cancel safety
    /// As [`Engine::sync`].
    pub async fn sync(
        &self,
        desired: &Desired,
        request: SyncRequest,
        approved: Option<&Plan>,
        control: &Control,
    ) -> Result<OperationState, Error> {
        let destination = self.destination(&desired.application.name).await?;
        Ok(self
            .engine
            .sync(&destination, desired, request, approved, control)
            .await?)
    }

    /// Compares an Application with its live state.
    ///
    /// # Errors
    /// A revision or a target cannot be read.
    pub async fn compare(&self, name: &str) -> Result<Comparison, Error> {
        let desired = self.render(name, Wanted::Newest).await?;
        let destination = self.destination(name).await?;
        Ok(self.engine.compare(&destination, &desired).await?)
    }

    /// How each object of what was rendered differs from its live state.
    ///
    /// # Errors
    /// A target cannot be read, or documents are wrong.
    pub async fn diff(&self, desired: &Desired) -> Result<Vec<ResourceDiff>, Error> {
        let destination = self.destination(&desired.application.name).await?;
        Ok(self.engine.diff(&destination, desired).await?)
    }

    /// The sync that a plan was made for.
    ///
    /// # Errors
    /// The plan names a sync option that is not known.
    pub fn request_of(plan: &Plan, application: &Application) -> Result<SyncRequest, Error> {
        let mut request = Self::request(application);
        request.prune = plan.request.prune;
        request.strategy = plan.request.strategy;
        request.resources.clone_from(&plan.request.resources);
        for option in &plan.request.options {
            if !request.option_list.contains(option) {
                request = request.option(option).map_err(Error::Refused)?;
            }
        }
        request.is_pinned = true;
        Ok(request)
    }

    /// A sync that a person asks for; it prunes where the Application's automation does.
    pub fn request(application: &Application) -> SyncRequest {
        let prune = application
            .sync_policy
            .automated
            .is_some_and(|automated| automated.prune);
        SyncRequest {
            prune,
            ..SyncRequest::manual(application, whoami())
        }
    }
}

/// Who asks, for the history.
fn whoami() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_default()
}

/// Names, the most similar first.
fn nearest(name: &str, mut names: Vec<&str>) -> Vec<String> {
    let distance = |other: &str| {
        let common = name
            .bytes()
            .zip(other.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let contains = other.contains(name) || name.contains(other);
        (!contains, std::cmp::Reverse(common))
    };
    names.sort_by_key(|other| distance(other));
    names
        .into_iter()
        .take(NAMES_SHOWN)
        .map(str::to_owned)
        .collect()
}

/// Reads Applications and projects of a file that a person named.
fn read_applications(file: &std::path::Path) -> Result<Declared, Error> {
    let bytes = std::fs::read(file).map_err(Error::io("reading", file))?;
    let origin = tidegate_manifest::Origin {
        path: file.display().to_string(),
        ..<_>::default()
    };
    let declared = read_text(&bytes, &origin);
    if declared.applications.is_empty() && declared.diagnostics.is_empty() {
        return Err(Error::Refused(format!(
            "{} has no Application",
            file.display()
        )));
    }
    Ok(declared)
}

/// The name of the one Application of a repository without any: that of its folder or address.
fn implicit_name(location: &Location) -> String {
    let text = location.to_string();
    let last = text
        .trim_end_matches('/')
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default();
    let last = last.strip_suffix(".git").unwrap_or(last);
    let name: String = last
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() {
        "application".to_owned()
    } else {
        name.to_owned()
    }
}
