//! Colours by meaning; they never are the only carrier of it.

use anstyle::{AnsiColor, Style};
use tidegate::manifest::{HealthStatus, SyncStatus};

/// What a word means to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As wanted.
    Good,
    /// On its way.
    Busy,
    /// Needs a look.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
    /// A heading.
    Strong,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Tone::Good => colour(AnsiColor::Green),
            Tone::Busy => colour(AnsiColor::Cyan),
            Tone::Warn => colour(AnsiColor::Yellow),
            Tone::Bad => colour(AnsiColor::Red).bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Strong => Style::new().bold(),
        }
    }
}

/// `text` in a tone.
pub(crate) fn tone(tone: Tone, text: &str) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// The tone of a health verdict.
impl From<HealthStatus> for Tone {
    fn from(status: HealthStatus) -> Self {
        match status {
            HealthStatus::Healthy => Tone::Good,
            HealthStatus::Progressing => Tone::Busy,
            HealthStatus::Suspended | HealthStatus::Missing | HealthStatus::Unknown => Tone::Warn,
            HealthStatus::Degraded => Tone::Bad,
        }
    }
}

/// The tone of a sync verdict.
impl From<SyncStatus> for Tone {
    fn from(status: SyncStatus) -> Self {
        match status {
            SyncStatus::Synced => Tone::Good,
            SyncStatus::OutOfSync | SyncStatus::Unknown => Tone::Warn,
        }
    }
}
