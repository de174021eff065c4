//! The flags of `kustomize build`, as Argo CD's `kustomize.buildOptions` writes them.

use crate::build::{BuildOptions, Reorder};
use crate::loader::LoadRestrictions;

/// Flags with a value that changes nothing here.
const IGNORED_WITH_VALUE: &[&str] = &[
    "--env",
    "-e",
    "--mount",
    "--network-name",
    "--output",
    "-o",
    "--stack-trace-depth",
];
/// Flags without a value that change nothing here: programs run only where an operator gives them.
const IGNORED: &[&str] = &[
    "--as-current-user",
    "--enable-alpha-plugins",
    "--enable-exec",
    "--enable-star",
    "--helm-debug",
    "--network",
    "--stack-trace",
];

impl BuildOptions {
    /// These options with flags added, as a shell would split them at spaces.
    ///
    /// ```
    /// use tidegate_kustomize::{BuildOptions, LoadRestrictions};
    /// let flags = "--load-restrictor LoadRestrictionsNone --enable-helm";
    /// let options = BuildOptions::default().with_flags(flags).unwrap();
    /// assert_eq!(options.restrictions, LoadRestrictions::None);
    /// assert!(options.enable_helm);
    /// ```
    ///
    /// # Errors
    /// Flags and values that `kustomize build` does not know.
    pub fn with_flags(mut self, flags: &str) -> Result<Self, String> {
        let mut words = flags.split_whitespace();
        while let Some(word) = words.next() {
            let (name, mut given) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let mut value = || {
                given
                    .take()
                    .or_else(|| words.next())
                    .ok_or_else(|| format!("flag needs an argument: {name}"))
            };
            match name {
                "--load-restrictor" => self.restrictions = restrictions(value()?)?,
                "--reorder" => self.reorder = reorder(value()?)?,
                "--enable-helm" => self.enable_helm = flag(given)?,
                "--enable-managedby-label" => self.managed_by_label = flag(given)?,
                "--helm-command" => value()?.clone_into(&mut self.helm_command),
                "--helm-kube-version" => value()?.clone_into(&mut self.helm_kube_version),
                "--helm-api-versions" => {
                    let versions = value()?.split(',').map(str::to_owned);
                    self.helm_api_versions.extend(versions);
                }
                name if IGNORED_WITH_VALUE.contains(&name) => {
                    value()?;
                }
                name if IGNORED.contains(&name) => {
                    flag(given)?;
                }
                _ => return Err(format!("unknown flag: {word}")),
            }
        }
        Ok(self)
    }
}

fn flag(given: Option<&str>) -> Result<bool, String> {
    match given {
        None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(format!("invalid argument {other:?}: no boolean")),
    }
}

fn restrictions(word: &str) -> Result<LoadRestrictions, String> {
    match word {
        "LoadRestrictionsRootOnly" | "rootOnly" => Ok(LoadRestrictions::RootOnly),
        "LoadRestrictionsNone" | "none" => Ok(LoadRestrictions::None),
        _ => Err(format!(
            "illegal flag value --load-restrictor {word}; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]"
        )),
    }
}

fn reorder(word: &str) -> Result<Reorder, String> {
    match word {
        "legacy" => Ok(Reorder::Legacy),
        "none" => Ok(Reorder::None),
        _ => Err(format!(
            "illegal flag value --reorder {word}; legal values: [legacy none]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read() {
        let options = BuildOptions::default()
            .with_flags("--reorder=none -e A=B --enable-helm=false --helm-api-versions a,b --helm-kube-version v1.30 --helm-command helm4 --enable-managedby-label")
            .unwrap();
        assert_eq!(options.reorder, Reorder::None);
        assert!(!options.enable_helm && options.managed_by_label);
        assert_eq!(options.helm_api_versions, ["a", "b"]);
        assert_eq!(options.helm_kube_version, "v1.30");
        assert_eq!(options.helm_command, "helm4");
        for (flags, expected) in [
            ("--bogus", "unknown flag: --bogus"),
            ("--reorder", "flag needs an argument: --reorder"),
            (
                "--load-restrictor x",
                "illegal flag value --load-restrictor x; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]",
            ),
            (
                "--enable-helm=maybe",
                "invalid argument \"maybe\": no boolean",
            ),
        ] {
            let refused = BuildOptions::default().with_flags(flags).unwrap_err();
            assert_eq!(refused, expected);
        }
    }
}
