//! One kustomization and all below it: what is read, made and changed, in the original's order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidegate_render::KUSTOMIZATION_FILES;

use crate::build::BuildOptions;
use crate::charts;
use crate::config::Config;
use crate::fault::{CODE_KUSTOMIZATION, CODE_LIMIT, CODE_LOAD, CODE_TRANSFORMER, Fault, Outcome};
use crate::generators::{self, Made};
use crate::id::Scopes;
use crate::kustomization::{Kustomization, ReplacementField, Var, parse_replacements};
use crate::loader::Loader;
use crate::merge_schema::{Layer, MergeSchema};
use crate::patches;
use crate::plugins;
use crate::resource::{Known, Mark, Resource, Source, absorb_all, append_all, append_known};
use crate::resources::{self, Reading};
use crate::transformers::{self, End, Namespacing};

/// Kustomizations that one build may read, each time it reads one.
pub(crate) const MAX_TARGETS: usize = 10_000;
/// Objects that one build may hold.
pub(crate) const MAX_RESOURCES: usize = 100_000;
/// Bytes that one build may load.
pub(crate) const MAX_LOADED: usize = 256 << 20;

/// What a whole build shares.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) options: BuildOptions,
    targets: usize,
    loaded: usize,
    /// The schema that `openapi` chose; the built-in one without.
    schema: Option<Arc<MergeSchema>>,
    schema_is_set: bool,
    /// Something was merged by the built-in schema.
    merged: bool,
    /// Why the schema of `openapi` cannot be read; said when it is needed.
    bad_schema: Option<Fault>,
    /// An object of a kind that the built-in schema does not know was read.
    read_unknown: bool,
    scopes: Scopes,
    /// Whether where objects are from is noted.
    marks: bool,
    pub(crate) warnings: Vec<Fault>,
    /// Bases by tree and directory: those that were needed once, and what came of those that were
    /// needed again.
    bases: HashMap<(usize, String), Option<Shared>>,
    /// The directories that were opened, in order.
    opened: Vec<String>,
}

/// What came of a base, for whoever needs it again.
#[derive(Clone, Debug)]
struct Shared {
    accumulated: Accumulated,
    warnings: Vec<Fault>,
    /// The directories below it in the tree of kustomizations.
    roots: Vec<String>,
}

/// A directory with its kustomization.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) loader: Loader,
    pub(crate) file: Kustomization,
    file_name: String,
    /// The kustomization file, from the tree's root.
    path: String,
    /// The directory relative to the one that is built.
    origin: String,
    /// The namespace of the nearest kustomization that includes it, for charts that have none.
    outer_namespace: String,
}

impl Target {
    /// The namespace of charts that name none.
    fn chart_namespace(&self) -> &str {
        match self.file.namespace.as_str() {
            "" => &self.outer_namespace,
            own => own,
        }
    }
}

/// What was accumulated so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accumulated {
    pub(crate) resources: Vec<Resource>,
    known: Known,
    pub(crate) config: Arc<Config>,
    pub(crate) vars: BTreeMap<String, Var>,
}

impl Build {
    pub(crate) fn new(options: BuildOptions) -> Self {
        Self {
            options,
            targets: 0,
            loaded: 0,
            schema: None,
            schema_is_set: false,
            merged: false,
            bad_schema: None,
            read_unknown: false,
            scopes: Scopes::default(),
            marks: false,
            warnings: Vec::new(),
            bases: HashMap::new(),
            opened: Vec::new(),
        }
    }

    pub(crate) fn note_origins(&mut self) {
        self.marks = true;
    }

    fn schema(&self) -> &MergeSchema {
        self.schema
            .as_deref()
            .unwrap_or_else(|| MergeSchema::builtin())
    }

    /// Loads a file within the build's limit.
    pub(crate) fn load(&mut self, loader: &Loader, path: &str) -> Outcome<(Vec<u8>, String)> {
        let (bytes, file) = loader.load(path)?;
        self.loaded = self.loaded.saturating_add(bytes.len());
        if self.loaded > MAX_LOADED {
            let message = format!("more than {MAX_LOADED} bytes are loaded");
            return Err(Fault::new(CODE_LIMIT, message).at(&file));
        }
        Ok((bytes, file))
    }

    /// Reads the objects of a text.
    pub(crate) fn read(&self, text: &[u8], path: &str, reading: Reading) -> Outcome<Vec<Resource>> {
        let mut found = resources::read(text, path, reading)?;
        for resource in &mut found {
            resource.scopes = self.scopes.clone();
        }
        Ok(found)
    }

    /// Reads the kustomization of a directory.
    pub(crate) fn open(&mut self, loader: Loader, origin: String) -> Outcome<Target> {
        self.targets += 1;
        if self.targets > MAX_TARGETS {
            let message = format!("more than {MAX_TARGETS} kustomizations are read");
            return Err(Fault::new(CODE_LIMIT, message));
        }
        let mut found = None;
        for name in KUSTOMIZATION_FILES {
            match self.load(&loader, name) {
                Ok(_) if found.is_some() => {
                    let message = format!(
                        "Found multiple kustomization files under: {}",
                        loader.shown()
                    );
                    return Err(Fault::new(CODE_LOAD, message).at(loader.root()));
                }
                Ok(loaded) => found = Some((loaded, *name)),
                Err(fault) if fault.code == CODE_LIMIT => return Err(fault),
                Err(_) => {}
            }
        }
        self.opened.push(loader.root().to_owned());
        let Some(((bytes, path), name)) = found else {
            let message = format!(
                "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{}'",
                loader.shown()
            );
            return Err(Fault::new(CODE_LOAD, message).at(loader.root()));
        };
        let (file, warnings) = Kustomization::parse(&bytes).map_err(|fault| fault.at(&path))?;
        for warning in warnings {
            self.warnings
                .push(Fault::new(crate::fault::CODE_WARNING, warning).at(&path));
        }
        Ok(Target {
            loader,
            file,
            file_name: name.to_owned(),
            path,
            origin,
            outer_namespace: String::new(),
        })
    }

    /// Takes the schema that a kustomization asks for; below the first one only when none is set.
    pub(crate) fn take_schema(&mut self, target: &Target, is_root: bool) -> Outcome<()> {
        let (version, path) = (
            target.file.openapi.get("version"),
            target.file.openapi.get("path"),
        );
        let bytes = match path {
            Some(path) => Some(
                self.load(&target.loader, path)
                    .map_err(|fault| fault.field("openapi"))?
                    .0,
            ),
            None => None,
        };
        if self.schema_is_set && !is_root {
            return Ok(());
        }
        let fault = |message: String| {
            Fault::new(CODE_KUSTOMIZATION, message)
                .at(&target.path)
                .field("openapi")
        };
        match (version, bytes) {
            (Some(_), Some(_)) => Err(fault(
                "builtin version and custom schema provided, cannot use both".to_owned(),
            )),
            (Some(version), None) if version == "v1.21.2" => {
                self.schema_is_set = true;
                Ok(())
            }
            (Some(version), None) if !version.is_empty() => Err(fault(
                "the specified OpenAPI version is not built in".to_owned(),
            )),
            (None | Some(_), None) => Ok(()),
            (None, Some(bytes)) => {
                let layer = if self.merged {
                    Layer::Over
                } else if self.read_unknown {
                    Layer::Under
                } else {
                    Layer::Alone
                };
                self.schema_is_set = true;
                let schema = match MergeSchema::custom(&bytes, layer) {
                    Ok(schema) => schema,
                    Err(error) => {
                        self.bad_schema = Some(fault(format!("invalid schema file: {error}")));
                        return Ok(());
                    }
                };
                let builtin = MergeSchema::builtin();
                let outside = schema.cluster_scoped();
                self.scopes
                    .set(outside.filter(|(version, kind)| !builtin.knows(version, kind)));
                self.schema = Some(Arc::new(schema));
                Ok(())
            }
        }
    }

    /// Reads, makes and changes all that a kustomization says, onto what is there.
    pub(crate) fn accumulate(
        &mut self,
        target: &Target,
        mut all: Accumulated,
    ) -> Outcome<Accumulated> {
        let at = |fault: Fault| fault.at(&target.path);
        for path in &target.file.resources {
            self.accumulate_path(target, path, &mut all)
                .map_err(|fault| at(fault.prefix("accumulating resources")).field("resources"))?;
        }
        self.configure(target, &mut all).map_err(at)?;
        self.generate(target, &mut all).map_err(at)?;
        all.known.forget();
        for path in &target.file.components {
            let loader = target.loader.enter(path).map_err(|fault| {
                at(fault.prefix("accumulating components: loader.New")).field("components")
            })?;
            let component = self.child(target, loader, path, true).map_err(|fault| {
                at(fault.prefix("accumulating components: accumulateDirectory")).field("components")
            })?;
            all = self.accumulate(&component, all).map_err(|fault| {
                let what = format!(
                    "accumulating components: accumulateDirectory: recursed accumulation of path '{}'",
                    component.loader.shown()
                );
                at(fault.prefix(&what)).field("components")
            })?;
        }
        self.transform(target, &mut all).map_err(at)?;
        all.known.forget();
        self.validate(target, &all).map_err(at)?;
        merge_vars(&mut all, &target.file.vars).map_err(|message| {
            at(Fault::new(CODE_KUSTOMIZATION, format!("merging vars: {message}")).field("vars"))
        })?;
        Ok(all)
    }

    fn accumulate_path(
        &mut self,
        target: &Target,
        path: &str,
        all: &mut Accumulated,
    ) -> Outcome<()> {
        let as_file = match self.read_file(target, path) {
            Ok(resources) => match append_known(&mut all.resources, &mut all.known, resources) {
                Ok(()) => return self.check_size(all),
                Err(fault) => fault.prefix(&format!("merging resources from '{path}'")),
            },
            Err(fault) if fault.code == CODE_LIMIT => return Err(fault),
            Err(fault) => fault.prefix(&format!("accumulating resources from '{path}'")),
        };
        let loader = match target.loader.enter(path) {
            Ok(loader) => loader,
            Err(_) if as_file.message.contains("MalformedYAMLError") => return Err(as_file),
            Err(fault) => {
                // What the file says is wrong is worth more than that it is no directory.
                let message = format!("accumulation err='{}': {}", as_file.message, fault.message);
                let told = if as_file.line > 0 { as_file } else { fault };
                return Err(Fault { message, ..told });
            }
        };
        let both = |fault: Fault| fault.prefix(&format!("accumulation err='{}'", as_file.message));
        let shown = loader.shown();
        let inner = self.accumulate_base(target, loader, path).map_err(both)?;
        merge_accumulated(all, inner).map_err(|fault| {
            both(fault.prefix(&format!("recursed merging from path '{shown}'")))
        })?;
        self.check_size(all)
    }

    /// What a base gives. One that is needed a third time is copied, unless what it gives depends on
    /// who asks.
    fn accumulate_base(
        &mut self,
        parent: &Target,
        loader: Loader,
        path: &str,
    ) -> Outcome<Accumulated> {
        let key = (loader.tree_id(), loader.root().to_owned());
        let may_share =
            |build: &Self| !build.marks && !build.schema_is_set && !build.options.enable_helm;
        if may_share(self)
            && let Some(Some(shared)) = self.bases.get(&key)
            && loader.may_enter_all(&shared.roots)
        {
            self.warnings.extend(shared.warnings.iter().cloned());
            return Ok(shared.accumulated.clone());
        }
        let shown = loader.shown();
        let warned = self.warnings.len();
        let child = self.child(parent, loader, path, false)?;
        let opened = self.opened.len();
        let accumulated = self
            .accumulate(&child, Accumulated::default())
            .map_err(|fault| fault.prefix(&format!("recursed accumulation of path '{shown}'")))?;
        if may_share(self) {
            let again = self.bases.contains_key(&key);
            let shared = again.then(|| Shared {
                accumulated: accumulated.clone(),
                warnings: self.warnings[warned..].to_vec(),
                roots: self.opened[opened..].to_vec(),
            });
            self.bases.insert(key, shared);
        }
        Ok(accumulated)
    }

    fn check_size(&self, all: &Accumulated) -> Outcome<()> {
        if all.resources.len() > MAX_RESOURCES {
            let message = format!("more than {MAX_RESOURCES} objects");
            return Err(Fault::new(CODE_LIMIT, message));
        }
        Ok(())
    }

    fn child(
        &mut self,
        parent: &Target,
        loader: Loader,
        path: &str,
        is_component: bool,
    ) -> Outcome<Target> {
        let shown = loader.shown();
        let mut target = self
            .open(loader, join_origin(&parent.origin, path))
            .map_err(|fault| fault.prefix(&format!("couldn't make target for path '{shown}'")))?;
        target.outer_namespace = parent.chart_namespace().to_owned();
        self.take_schema(&target, false)?;
        let kind = &target.file.kind;
        if is_component && kind != "Component" {
            let message = format!("expected kind 'Component' for path '{shown}' but got '{kind}'");
            return Err(Fault::new(CODE_KUSTOMIZATION, message).at(&target.path));
        }
        if !is_component && kind == "Component" {
            let message = format!("expected kind != 'Component' for path '{shown}'");
            return Err(Fault::new(CODE_KUSTOMIZATION, message).at(&target.path));
        }
        Ok(target)
    }

    fn read_file(&mut self, target: &Target, path: &str) -> Outcome<Vec<Resource>> {
        let (bytes, file) = self.load(&target.loader, path)?;
        let mut found = self.read(&bytes, &file, Reading::Resources)?;
        let knows = |resource: &Resource| {
            let gvk = resource.gvk();
            MergeSchema::builtin().knows(&gvk.api_version(), &gvk.kind)
        };
        self.read_unknown = self.read_unknown || !found.iter().all(knows);
        if self.marks {
            let mark = Mark {
                path: join_origin(&target.origin, path),
                ..Mark::default()
            };
            found
                .iter_mut()
                .for_each(|resource| resource.origin = Some(mark.clone()));
        }
        Ok(found)
    }

    fn configure(&mut self, target: &Target, all: &mut Accumulated) -> Outcome<()> {
        let mut own = Config::builtin();
        let mut custom = Config::default();
        for path in &target.file.configurations {
            let (bytes, file) = self
                .load(&target.loader, path)
                .map_err(|f| f.field("configurations"))?;
            let read = Config::parse(&bytes).and_then(|config| custom.merge(&config));
            read.map_err(|message| {
                Fault::new(CODE_KUSTOMIZATION, message)
                    .at(&file)
                    .field("configurations")
            })?;
        }
        let fault =
            |message: String| Fault::new(CODE_KUSTOMIZATION, message).field("configurations");
        Config::merge_shared(&mut own, &Arc::new(custom)).map_err(fault)?;
        Config::merge_shared(&mut all.config, &own)
            .map_err(|message| fault(format!("merging config: {message}")))?;
        for path in &target.file.crds {
            let (bytes, file) = self
                .load(&target.loader, path)
                .map_err(|f| f.prefix("loading CRDs").field("crds"))?;
            let said = |message: String| {
                let message = format!(
                    "loading CRDs: unable to parse open API definition from '{path}': {message}"
                );
                Fault::new(CODE_KUSTOMIZATION, message)
                    .at(&file)
                    .field("crds")
            };
            let config = Config::of_crds(&bytes).map_err(said)?;
            Config::merge_shared(&mut all.config, &Arc::new(config)).map_err(said)?;
        }
        Ok(())
    }

    fn mark(&self, target: &Target, kind: &str) -> Option<Mark> {
        self.marks.then(|| Mark {
            path: String::new(),
            configured_in: join_origin(&target.origin, &target.file_name),
            configured_by: Some([
                "builtin".to_owned(),
                kind.to_owned(),
                String::new(),
                String::new(),
            ]),
        })
    }

    fn generate(&mut self, target: &Target, all: &mut Accumulated) -> Outcome<()> {
        let file = &target.file;
        let mut made = Vec::new();
        let lists = [
            (
                Made::ConfigMap,
                &file.config_map_generator,
                "configMapGenerator",
                "ConfigMapGenerator",
            ),
            (
                Made::Secret,
                &file.secret_generator,
                "secretGenerator",
                "SecretGenerator",
            ),
        ];
        for (what, list, field, kind) in lists {
            for args in list {
                let source = Source {
                    path: target.path.clone(),
                    ..Source::default()
                };
                let mut resource = generators::make(
                    what,
                    args,
                    file.generator_options.as_ref(),
                    &target.loader,
                    source,
                )
                .map_err(|fault| fault.field(field))?;
                resource.origin = self.mark(target, kind);
                made.push(resource);
            }
        }
        let globals = file.helm_globals.clone().unwrap_or_default();
        for chart in &file.helm_charts {
            let mut chart = chart.clone();
            if chart.namespace.is_empty() {
                target.chart_namespace().clone_into(&mut chart.namespace);
            }
            let mut found =
                charts::inflate(self, &target.loader, &globals, &chart).map_err(|fault| {
                    fault
                        .prefix("trouble configuring builtin HelmChartInflationGenerator")
                        .at(&target.path)
                        .field("helmCharts")
                })?;
            let mark = self.mark(target, "HelmChartInflationGenerator");
            for resource in &mut found {
                resource.origin.clone_from(&mark);
            }
            made.extend(found);
        }
        for resource in made {
            absorb_all(&mut all.resources, vec![resource]).map_err(|message| {
                Fault::new(
                    crate::fault::CODE_GENERATOR,
                    format!("merging from generator: {message}"),
                )
            })?;
        }
        for config in self.plugin_configs(target, &file.generators)? {
            let fault = |fault: Fault| fault.field("generators");
            let mut found = plugins::generate(self, &config, &target.loader).map_err(fault)?;
            let mark = self.plugin_mark(target, &config);
            for resource in &mut found {
                resource.origin.clone_from(&mark);
            }
            absorb_all(&mut all.resources, found)
                .map_err(|message| fault(Fault::new(crate::fault::CODE_GENERATOR, message)))?;
        }
        self.check_size(all)
    }

    fn plugin_mark(&self, target: &Target, config: &Resource) -> Option<Mark> {
        self.marks.then(|| Mark {
            path: String::new(),
            configured_in: config.origin.as_ref().map_or_else(
                || join_origin(&target.origin, &target.file_name),
                |origin| origin.path.clone(),
            ),
            configured_by: Some([
                config.gvk().api_version(),
                config.kind().to_owned(),
                config.name().to_owned(),
                config.namespace().to_owned(),
            ]),
        })
    }

    /// The objects that configure plugins: inline, in files, or built by kustomizations.
    fn plugin_configs(&mut self, target: &Target, entries: &[String]) -> Outcome<Vec<Resource>> {
        let mut all = Accumulated::default();
        let mut paths = Vec::new();
        for entry in entries {
            match self.read(entry.as_bytes(), "", Reading::Patch) {
                Ok(mut inline) => {
                    if self.marks {
                        let mark = Mark {
                            path: join_origin(&target.origin, &target.file_name),
                            ..Mark::default()
                        };
                        inline
                            .iter_mut()
                            .for_each(|config| config.origin = Some(mark.clone()));
                    }
                    append_all(&mut all.resources, inline)?;
                }
                Err(_) => paths.push(entry),
            }
        }
        for path in paths {
            self.accumulate_path(target, path, &mut all)?;
        }
        Ok(all.resources)
    }

    fn transform(&mut self, target: &Target, all: &mut Accumulated) -> Outcome<()> {
        let file = &target.file;
        let in_field = |field: &'static str| move |fault: Fault| fault.field(field);
        let said = |field: &'static str| {
            move |message: String| Fault::new(CODE_TRANSFORMER, message).field(field)
        };
        // All patches are read before any is applied, as in the original.
        let merges = self
            .strategic_patches(target)
            .map_err(in_field("patchesStrategicMerge"))?;
        let patches = self.patches(target).map_err(in_field("patches"))?;
        let operations = self
            .json_patches(target)
            .map_err(in_field("patchesJson6902"))?;
        let replacements = self
            .replacements(target, &file.replacements)
            .map_err(in_field("replacements"))?;
        let configs = self
            .plugin_configs(target, &file.transformers)
            .map_err(in_field("transformers"))?;
        let mut externals = Vec::with_capacity(configs.len());
        for config in configs {
            let plugin = plugins::Transformer::new(&config, self, &target.loader)
                .map_err(in_field("transformers"))?;
            externals.push((plugin, self.plugin_mark(target, &config)));
        }
        let merges_any = !merges.is_empty() || patches.iter().any(patches::Ready::is_strategic);
        self.merged = self.merged || merges_any;
        if merges_any && let Some(fault) = &self.bad_schema {
            return Err(fault.clone());
        }
        let list = &mut all.resources;
        let config = &*all.config;
        if !merges.is_empty() {
            patches::merge_each(list, &merges, self.schema())
                .map_err(said("patchesStrategicMerge"))?;
            self.note(list, target, "PatchStrategicMergeTransformer");
        }
        for patch in &patches {
            patch.apply(list, self.schema()).map_err(said("patches"))?;
            self.note(list, target, "PatchTransformer");
        }
        if !file.namespace.is_empty() {
            let namespacing = Namespacing {
                namespace: &file.namespace,
                ..Namespacing::default()
            };
            namespacing
                .apply(list, &config.namespace)
                .map_err(said("namespace"))?;
            self.note(list, target, "NamespaceTransformer");
        }
        if !file.name_prefix.is_empty() {
            transformers::add_to_names(list, &file.name_prefix, End::Front, &config.name_prefix)
                .map_err(said("namePrefix"))?;
            self.note(list, target, "PrefixTransformer");
        }
        if !file.name_suffix.is_empty() {
            transformers::add_to_names(list, &file.name_suffix, End::Back, &config.name_suffix)
                .map_err(said("nameSuffix"))?;
            self.note(list, target, "SuffixTransformer");
        }
        self.set_labels(target, list, config)
            .map_err(said("labels"))?;
        if !file.common_annotations.is_empty() {
            transformers::set_texts(list, &file.common_annotations, &config.common_annotations)
                .map_err(said("commonAnnotations"))?;
            self.note(list, target, "AnnotationsTransformer");
        }
        for patch in &operations {
            patch
                .apply(list, self.schema())
                .map_err(said("patchesJson6902"))?;
            self.note(list, target, "PatchJson6902Transformer");
        }
        for replica in &file.replicas {
            transformers::set_replicas(list, replica, &config.replicas)
                .map_err(said("replicas"))?;
            self.note(list, target, "ReplicaCountTransformer");
        }
        for image in &file.images {
            transformers::set_images(list, image, &config.images).map_err(said("images"))?;
            self.note(list, target, "ImageTagTransformer");
        }
        if !file.replacements.is_empty() {
            crate::replacements::apply(list, &replacements).map_err(said("replacements"))?;
            self.note(list, target, "ReplacementTransformer");
        }
        for (plugin, mark) in externals {
            plugin
                .apply(list, self.schema())
                .map_err(said("transformers"))?;
            note_mark(list, mark.as_ref());
        }
        Ok(())
    }

    fn set_labels(
        &self,
        target: &Target,
        list: &mut [Resource],
        config: &Config,
    ) -> Result<(), String> {
        let file = &target.file;
        if file.labels.is_empty() && file.common_labels.is_empty() {
            return Ok(());
        }
        let merging = |error: String| format!("failed to merge labels: {error}");
        for label in &file.labels {
            let mut specs = label.fields.clone();
            crate::field_spec::merge_all(&mut specs, &config.labels).map_err(merging)?;
            if label.include_selectors {
                crate::field_spec::merge_all(&mut specs, &config.common_labels).map_err(merging)?;
            } else {
                if label.include_templates {
                    crate::field_spec::merge_all(&mut specs, &config.template_labels)
                        .map_err(|error| format!("failed to merge template fieldSpec: {error}"))?;
                }
                let own = crate::field_spec::FieldSpec {
                    path: "metadata/labels".to_owned(),
                    create: true,
                    ..Default::default()
                };
                crate::field_spec::merge_one(&mut specs, &own).map_err(merging)?;
            }
            transformers::set_texts(list, &label.pairs, &specs)?;
            self.note(list, target, "LabelTransformer");
        }
        transformers::set_texts(list, &file.common_labels, &config.common_labels)?;
        self.note(list, target, "LabelTransformer");
        Ok(())
    }

    /// Notes what changed all objects; the original notes it on each, changed or not.
    fn note(&self, list: &mut [Resource], target: &Target, kind: &str) {
        note_mark(list, self.mark(target, kind).as_ref());
    }

    fn strategic_patches(&mut self, target: &Target) -> Outcome<Vec<Resource>> {
        plugins::strategic_patches(&target.file.patches_strategic_merge, self, &target.loader)
    }

    fn patches(&mut self, target: &Target) -> Outcome<Vec<patches::Ready>> {
        let mut ready = Vec::new();
        for entry in &target.file.patches {
            ready.push(plugins::patch(entry, self, &target.loader)?);
        }
        Ok(ready)
    }

    fn json_patches(&mut self, target: &Target) -> Outcome<Vec<patches::Ready>> {
        let mut ready = Vec::new();
        for entry in &target.file.patches_json6902 {
            ready.push(plugins::json_patch(entry, self, &target.loader)?);
        }
        Ok(ready)
    }

    /// The replacements of a list, those in files read.
    pub(crate) fn replacements(
        &mut self,
        target: &Target,
        fields: &[ReplacementField],
    ) -> Outcome<Vec<crate::kustomization::Replacement>> {
        self.replacements_of(&target.loader, fields)
    }

    pub(crate) fn replacements_of(
        &mut self,
        loader: &Loader,
        fields: &[ReplacementField],
    ) -> Outcome<Vec<crate::kustomization::Replacement>> {
        let mut all = Vec::new();
        for field in fields {
            let inline = &field.replacement;
            if field.path.is_empty() {
                all.push(inline.clone());
                continue;
            }
            if inline.source.is_some()
                || inline
                    .targets
                    .as_ref()
                    .is_some_and(|targets| !targets.is_empty())
            {
                let message = "cannot specify both path and inline replacement";
                return Err(Fault::new(CODE_TRANSFORMER, message));
            }
            let (bytes, file) = self.load(loader, &field.path)?;
            let read = parse_replacements(&bytes)
                .map_err(|message| Fault::new(CODE_TRANSFORMER, message).at(&file))?;
            all.extend(read);
        }
        Ok(all)
    }

    fn validate(&mut self, target: &Target, all: &Accumulated) -> Outcome<()> {
        let configs = self
            .plugin_configs(target, &target.file.validators)
            .map_err(|fault| fault.field("validators"))?;
        for config in configs {
            let in_field = |fault: Fault| fault.field("validators");
            let plugin =
                plugins::Transformer::new(&config, self, &target.loader).map_err(in_field)?;
            let mut copy = all.resources.clone();
            plugin
                .apply(&mut copy, self.schema())
                .map_err(|message| in_field(Fault::new(CODE_TRANSFORMER, message)))?;
            let nodes = |list: &[Resource]| list.iter().map(|r| r.node.clone()).collect::<Vec<_>>();
            for resource in &mut copy {
                let mut labels = resource.texts("labels");
                if labels.remove("validated-by").is_some() {
                    resource.set_texts("labels", &labels);
                }
            }
            if nodes(&copy) != nodes(&all.resources) {
                let message = "validator shouldn't modify the resource map";
                return Err(in_field(Fault::new(CODE_TRANSFORMER, message)));
            }
        }
        Ok(())
    }
}

fn note_mark(list: &mut [Resource], mark: Option<&Mark>) {
    let Some(mark) = mark else {
        return;
    };
    for resource in list {
        if resource.origin.is_none() {
            resource.origin = Some(mark.clone());
        } else {
            resource.transformations.push(mark.clone());
        }
    }
}

/// A path from where the build began, without `.` and `..` where they cancel out.
fn join_origin(origin: &str, path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in origin.split('/').chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

fn merge_accumulated(all: &mut Accumulated, inner: Accumulated) -> Outcome<()> {
    append_known(&mut all.resources, &mut all.known, inner.resources)?;
    let fault = |message: String| Fault::new(CODE_KUSTOMIZATION, message);
    Config::merge_shared(&mut all.config, &inner.config).map_err(fault)?;
    for (name, var) in inner.vars {
        if all.vars.contains_key(&name) {
            return Err(fault(format!("var '{name}' already encountered")));
        }
        all.vars.insert(name, var);
    }
    Ok(())
}

/// Notes on the objects which variables are taken from them.
fn merge_vars(all: &mut Accumulated, vars: &[Var]) -> Result<(), String> {
    for var in vars {
        let id = var_target(var);
        let exact = !id.namespace.is_empty() || id.cluster_scoped;
        let fits = |other: &crate::id::ResId| {
            if exact {
                id.equals(other)
            } else {
                id.name == other.name && id.gvk == other.gvk
            }
        };
        let mut matches: Vec<&mut Resource> = all
            .resources
            .iter_mut()
            .filter(|resource| resource.has_id(fits))
            .collect();
        match matches.as_mut_slice() {
            [] => {}
            [one] => one.vars.push(var.name.clone()),
            many => {
                return Err(format!(
                    "found {} resId matches for var {} (unable to disambiguate)",
                    many.len(),
                    var.name
                ));
            }
        }
    }
    for var in vars {
        if all.vars.contains_key(&var.name) {
            return Err(format!("var '{}' already encountered", var.name));
        }
        all.vars.insert(var.name.clone(), var.clone());
    }
    Ok(())
}

fn var_target(var: &Var) -> crate::id::ResId {
    let target = &var.objref;
    let mut gvk = crate::id::Gvk {
        group: target.group.clone(),
        version: target.version.clone(),
        kind: target.kind.clone(),
    };
    match target.api_version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => {}
        [version] => (*version).clone_into(&mut gvk.version),
        [group, version] => {
            (*group).clone_into(&mut gvk.group);
            (*version).clone_into(&mut gvk.version);
        }
        _ => {}
    }
    crate::id::ResId::new(gvk, &target.name, &target.namespace)
}
