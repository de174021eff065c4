//! What happens, as it happens: live on a terminal, plain lines in a pipe, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tidegate::engine::{Event, EventSink, Reason};

use super::{Tone, note, refusal, tone};

/// Lines of what is waited for, per application.
const WAITS_SHOWN: usize = 3;
/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// The sink that fits the output that was asked for.
pub(crate) fn events(json: bool) -> Arc<dyn EventSink> {
    if json {
        Arc::new(JsonLines)
    } else if std::io::stderr().is_terminal() && std::env::var_os("TIDEGATE_PLAIN").is_none() {
        Arc::new(Live::new())
    } else {
        Arc::new(PlainLines)
    }
}

/// One JSON object a line, to standard output.
#[derive(Debug)]
struct JsonLines;

impl EventSink for JsonLines {
    fn emit(&self, event: Event) {
        let Ok(text) = serde_json::to_string(&event) else {
            return;
        };
        let mut out = std::io::stdout().lock();
        // A reader that went away ends the program at its next write in `main`.
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
        drop(out);
        if let Some(text) = refusal::of_event(&event) {
            note(&text);
        }
    }
}

/// One line for people, to standard error.
#[derive(Debug)]
struct PlainLines;

impl EventSink for PlainLines {
    fn emit(&self, event: Event) {
        if let Some(text) = sentence(&event) {
            note(&text);
        }
    }
}

/// Lines that stay for what was done, and a moving part for what is being done.
#[derive(Debug)]
struct Live {
    bars: MultiProgress,
    applications: Mutex<BTreeMap<String, Part>>,
}

/// The moving part of one application.
#[derive(Debug)]
struct Part {
    bar: ProgressBar,
    stage: String,
    waits: Vec<(String, String)>,
}

impl Live {
    fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            applications: Mutex::default(),
        }
    }

    fn part<'p>(&self, parts: &'p mut BTreeMap<String, Part>, name: &str) -> &'p mut Part {
        parts.entry(name.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TURN);
            Part {
                bar,
                stage: String::new(),
                waits: Vec::new(),
            }
        })
    }
}

impl Part {
    /// Takes in an event; false when nothing of the moving part changed.
    fn update(&mut self, event: &Event) {
        let object = event
            .object
            .as_ref()
            .map(|o| format!("{} {}", o.kind, o.name));
        match event.reason {
            Reason::PhaseStarted | Reason::WaveStarted => {
                self.stage = stage(event);
                self.waits.clear();
            }
            Reason::Waiting => {
                let key = object.unwrap_or_default();
                self.waits.retain(|(known, _)| *known != key);
                self.waits.push((key, event.message.clone()));
            }
            Reason::Healthy | Reason::HookSucceeded | Reason::HookFailed | Reason::Pruned => {
                let key = object.unwrap_or_default();
                self.waits.retain(|(known, _)| *known != key);
            }
            Reason::Resolved => self.stage = "resolved".to_owned(),
            Reason::Rendered => self.stage = "rendered".to_owned(),
            Reason::Planned => self.stage = "planned".to_owned(),
            Reason::SandboxReady
            | Reason::Applied
            | Reason::Unchanged
            | Reason::HookStarted
            | Reason::Degraded
            | Reason::Drifted
            | Reason::Healed
            | Reason::Failed
            | Reason::Superseded
            | Reason::SyncSucceeded
            | Reason::SyncFailed
            | Reason::Summary => {}
        }
    }

    fn show(&self, name: &str) {
        let mut text = format!("{} {}", tone(Tone::Strong, name), self.stage);
        for (_, message) in self.waits.iter().take(WAITS_SHOWN) {
            text.push_str(&format!("\n    {}", tone(Tone::Dim, message)));
        }
        if self.waits.len() > WAITS_SHOWN {
            let more = format!("and {} more", self.waits.len() - WAITS_SHOWN);
            text.push_str(&format!("\n    {}", tone(Tone::Dim, &more)));
        }
        self.bar.set_message(text);
    }
}

impl EventSink for Live {
    fn emit(&self, event: Event) {
        let mut parts = self
            .applications
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if event.reason == Reason::Summary {
            for part in parts.values() {
                part.bar.finish_and_clear();
            }
            parts.clear();
            return;
        }
        if stays(event.reason)
            && let Some(text) = sentence(&event)
        {
            // The moving part steps aside for a line that stays.
            drop(self.bars.println(text));
        }
        // The verdict on a whole application is no step of an operation.
        let is_verdict = event.object.is_none()
            && matches!(
                event.reason,
                Reason::Healthy | Reason::Degraded | Reason::Failed
            );
        if is_verdict && event.reason == Reason::Healthy {
            // Nothing of it is waited for any more.
            if let Some(part) = parts.remove(&event.application) {
                part.bar.finish_and_clear();
            }
        }
        if event.application.is_empty() || is_verdict {
            return;
        }
        let is_over = matches!(
            event.reason,
            Reason::SyncSucceeded | Reason::SyncFailed | Reason::Superseded
        );
        let part = self.part(&mut parts, &event.application);
        part.update(&event);
        if is_over {
            part.bar.finish_and_clear();
            parts.remove(&event.application);
        } else {
            part.show(&event.application);
        }
    }
}

/// Whether a line stays on a terminal; where an operation stands is in the moving part.
fn stays(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Waiting
            | Reason::Unchanged
            | Reason::Resolved
            | Reason::Rendered
            | Reason::WaveStarted
    )
}

fn stage(event: &Event) -> String {
    match (event.phase, event.wave) {
        (Some(phase), Some(wave)) => format!("{} wave {wave}", phase.as_str()),
        (Some(phase), None) => phase.as_str().to_owned(),
        (None, _) => String::new(),
    }
}

/// An event as a line for people; None for what only programs want.
fn sentence(event: &Event) -> Option<String> {
    if let Some(text) = refusal::of_event(event) {
        return Some(text);
    }
    let (mark, colour) = mark(event.reason)?;
    let mut text = String::new();
    if !event.application.is_empty() {
        text.push_str(&tone(Tone::Strong, &event.application));
        text.push(' ');
    }
    let stage = stage(event);
    if !stage.is_empty() {
        text.push_str(&tone(Tone::Dim, &format!("[{stage}] ")));
    }
    text.push_str(&tone(colour, mark));
    if let Some(object) = &event.object {
        text.push(' ');
        text.push_str(&object.kind);
        text.push(' ');
        if !object.namespace.is_empty() {
            text.push_str(&object.namespace);
            text.push('/');
        }
        text.push_str(&object.name);
    }
    let message = message(event);
    if !message.is_empty() {
        let message = if event.reason == Reason::Resolved {
            crate::commands::short(message)
        } else {
            message.to_owned()
        };
        text.push_str(": ");
        text.push_str(&message);
    }
    if matches!(
        event.reason,
        Reason::Failed | Reason::Degraded | Reason::HookFailed
    ) && let Some(origin) = &event.origin
        && !origin.path.is_empty()
    {
        let line = origin
            .line
            .map(|line| format!(":{line}"))
            .unwrap_or_default();
        text.push_str(&tone(Tone::Dim, &format!("\n --> {}{line}", origin.path)));
    }
    if let Some(help) = event
        .details
        .get("help")
        .and_then(serde_json::Value::as_str)
    {
        text.push_str(&format!("\nhelp: {help}"));
    }
    Some(text)
}

/// The message without what the line says already.
fn message(event: &Event) -> &str {
    let message = event.message.as_str();
    let Some(object) = &event.object else {
        return message;
    };
    if event.reason == Reason::Waiting {
        let place = if object.namespace.is_empty() {
            object.name.clone()
        } else {
            format!("{}/{}", object.namespace, object.name)
        };
        return message
            .strip_prefix(&format!("{} {place}: ", object.kind))
            .unwrap_or(message);
    }
    // `kafka.kafka.strimzi.io/events created`, in kubectl's form.
    match message.split_once(&format!("/{} ", object.name)) {
        Some((resource, _)) if !resource.contains(' ') && event.reason == Reason::Healthy => "",
        Some((resource, outcome)) if !resource.contains(' ') => outcome,
        Some(_) | None => message,
    }
}

fn mark(reason: Reason) -> Option<(&'static str, Tone)> {
    Some(match reason {
        Reason::SandboxReady => ("sandbox ready", Tone::Good),
        Reason::Resolved => ("resolved", Tone::Dim),
        Reason::Rendered => ("rendered", Tone::Dim),
        Reason::Planned => ("planned", Tone::Dim),
        Reason::Applied => ("applied", Tone::Good),
        Reason::Unchanged => ("unchanged", Tone::Dim),
        Reason::Pruned => ("pruned", Tone::Warn),
        Reason::HookStarted => ("hook started", Tone::Busy),
        Reason::HookSucceeded => ("hook succeeded", Tone::Good),
        Reason::HookFailed => ("hook failed", Tone::Bad),
        Reason::Healthy => ("healthy", Tone::Good),
        Reason::Waiting => ("waiting", Tone::Busy),
        Reason::Degraded => ("degraded", Tone::Bad),
        Reason::Drifted => ("drifted", Tone::Warn),
        Reason::Healed => ("healed", Tone::Good),
        Reason::Failed => ("failed", Tone::Bad),
        Reason::Superseded => ("superseded", Tone::Warn),
        Reason::SyncSucceeded => ("synced", Tone::Good),
        Reason::SyncFailed => ("sync failed", Tone::Bad),
        Reason::PhaseStarted => return None,
        Reason::WaveStarted => ("wave started", Tone::Dim),
        Reason::Summary => return None,
    })
}
