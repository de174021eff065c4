//! The annotation, label and finalizer names that manifests carry, in one place.

/// Hook types of an object, a comma list (Argo CD).
pub const HOOK: &str = "argocd.argoproj.io/hook";
/// When a hook is deleted, a comma list (Argo CD).
pub const HOOK_DELETE_POLICY: &str = "argocd.argoproj.io/hook-delete-policy";
/// The wave of an object, a decimal integer (Argo CD).
pub const SYNC_WAVE: &str = "argocd.argoproj.io/sync-wave";
/// Sync options of one object, a comma list (Argo CD).
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";
/// How one object is compared, a comma list (Argo CD).
pub const COMPARE_OPTIONS: &str = "argocd.argoproj.io/compare-options";
/// Which application manages an object (Argo CD).
pub const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// Which installation manages an object (Argo CD).
pub const INSTALLATION_ID: &str = "argocd.argoproj.io/installation-id";
/// `true`: the object's health does not count for its application (Argo CD).
pub const IGNORE_HEALTHCHECK: &str = "argocd.argoproj.io/ignore-healthcheck";
/// Asks for a refresh of an Application: `normal` or `hard` (Argo CD).
pub const REFRESH: &str = "argocd.argoproj.io/refresh";
/// Paths whose change makes an Application render again (Argo CD).
pub const MANIFEST_GENERATE_PATHS: &str = "argocd.argoproj.io/manifest-generate-paths";
/// Stops reconciling an Application (Argo CD).
pub const SKIP_RECONCILE: &str = "argocd.argoproj.io/skip-reconcile";
/// RFC 3339 time at which deletions that ask for confirmation were approved (Argo CD).
pub const DELETION_APPROVED: &str = "argocd.argoproj.io/deletion-approved";
/// Hook types in Helm's words.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Hook weight in Helm's words, read as the wave.
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// Hook delete policy in Helm's words.
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
/// `keep`: survives the cascading deletion of its application (Helm).
pub const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";
/// Declared dependencies, a comma list of `[GROUP:]KIND:[NAMESPACE/]NAME` (Tidegate).
pub const DEPENDS_ON: &str = "tidegate.dev/depends-on";
/// What `kubectl apply` remembers of the last client-side apply.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Label of the `label` tracking method (Argo CD's default key).
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Keeps a hook until its result was read (Argo CD).
pub const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";
/// Cascading deletion of an Application, foreground (Argo CD).
pub const RESOURCES_FINALIZER: &str = "resources-finalizer.argocd.argoproj.io";
/// Cascading deletion of an Application, background (Argo CD).
pub const RESOURCES_FINALIZER_BACKGROUND: &str =
    "resources-finalizer.argocd.argoproj.io/background";
/// Cascading deletion of an Application, foreground, spelt out (Argo CD).
pub const RESOURCES_FINALIZER_FOREGROUND: &str =
    "resources-finalizer.argocd.argoproj.io/foreground";
