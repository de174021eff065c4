//! How to read a text: which resolver, which limits. Values only.

/// How plain scalars become values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Resolver {
    /// As `sigs.k8s.io/yaml` reads: YAML 1.1, `yes` is a boolean, `0644` is octal, dates are text.
    #[default]
    Kubernetes,
    /// As kustomize reads resources: only `true` and `false` are booleans, dates are rewritten to
    /// RFC 3339, `0o17` is octal too.
    Kyaml,
}

/// What to do with a key that stands twice in one mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DuplicateKeys {
    /// The document is refused.
    Error,
    /// The later one wins, as in non-strict `sigs.k8s.io/yaml`; each one is a warning.
    #[default]
    LastWins,
}

/// Upper bounds on what one stream may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the input, and bytes of text after alias expansion.
    pub bytes: usize,
    /// Nesting of collections.
    pub depth: usize,
    /// Nodes of the whole stream after alias expansion.
    pub nodes: usize,
    /// Documents of the stream.
    pub documents: usize,
}

impl Limits {
    /// Default for [`Limits::bytes`]: 32 MiB, three times Argo CD's cap on a whole directory.
    pub const BYTES: usize = 32 << 20;
    /// Default for [`Limits::depth`]; the deepest CRD schemas known stay under 60, and this many
    /// levels fit half of a 2 MiB thread stack even without optimisation.
    pub const DEPTH: usize = 128;
    /// Default for [`Limits::nodes`].
    pub const NODES: usize = 2_000_000;
    /// Default for [`Limits::documents`].
    pub const DOCUMENTS: usize = 50_000;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: Limits::BYTES,
            depth: Limits::DEPTH,
            nodes: Limits::NODES,
            documents: Limits::DOCUMENTS,
        }
    }
}

/// What a local tag (`!Name`) means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LocalTags {
    /// Nothing: the node is read as if it had none.
    #[default]
    Ignored,
    /// CloudFormation's short forms: `!Sub x` is `{Fn::Sub: x}`, `!Ref x` is `{Ref: x}`,
    /// `!GetAtt a.b` is `{Fn::GetAtt: [a, b]}`.
    CloudFormation,
}

/// How to read one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The scalar rules.
    pub resolver: Resolver,
    /// The bounds.
    pub limits: Limits,
    /// The rule for repeated keys.
    pub duplicate_keys: DuplicateKeys,
    /// The meaning of local tags.
    pub local_tags: LocalTags,
}

impl ParseOptions {
    /// As CloudFormation templates are read: YAML 1.1 with short forms of functions.
    pub fn cloudformation() -> Self {
        ParseOptions {
            local_tags: LocalTags::CloudFormation,
            ..ParseOptions::default()
        }
    }

    /// As kustomize reads resources: its resolver, and repeated keys are an error.
    pub fn kyaml() -> Self {
        ParseOptions {
            resolver: Resolver::Kyaml,
            duplicate_keys: DuplicateKeys::Error,
            ..ParseOptions::default()
        }
    }

    /// As `sigs.k8s.io/yaml` reads strictly: repeated keys are an error.
    pub fn strict() -> Self {
        ParseOptions {
            duplicate_keys: DuplicateKeys::Error,
            ..ParseOptions::default()
        }
    }
}
