//! `tidegate get`: Applications, or one of them with its resources.

use anyhow::Result;
use serde_json::Value;
use tidegate::engine::Comparison;
use tidegate::manifest::SyncStatus;
use tidegate::{Answer, Ask};

use super::common::{Keeps, Session};
use crate::arguments::{GetArguments, Output};
use crate::exit::Exit;
use crate::output::{self, Table, Tone, tone};

pub(crate) async fn run(arguments: GetArguments) -> Result<Exit> {
    let session = Session::open(&arguments.application, Keeps::Journal, None).await?;
    let desired = session.desired(None).await?;
    let destination = session.tidegate.destination(&session.name).await?;
    let engine = session.tidegate.engine();
    let comparison = engine
        .compare(&destination, &desired)
        .await
        .map_err(tidegate::Error::from)?;
    let document = match session.ask(Ask::Status).await? {
        Some(Answer::Status(document)) => document,
        Some(_) | None => engine
            .status_document(&desired.application)
            .await
            .map_err(tidegate::Error::from)?,
    };
    match arguments.output {
        Output::Json => output::json(&document)?,
        Output::Yaml => output::yaml(&document)?,
        Output::Name => comparison
            .resources
            .iter()
            .try_for_each(|one| output::line(&one.key.to_string()))?,
        Output::Table => show(&comparison, &document)?,
    }
    output::refuse_all(&comparison.diagnostics);
    Ok(Exit::Ok)
}

fn show(comparison: &Comparison, document: &Value) -> Result<()> {
    let revision: Vec<String> = comparison
        .revisions
        .iter()
        .map(|r| super::up::short(r))
        .collect();
    output::line(&format!(
        "{}  {}  {}  {}",
        tone(Tone::Strong, &comparison.application),
        tone(comparison.sync.into(), comparison.sync.as_str()),
        tone(
            comparison.health.status.into(),
            comparison.health.status.as_str()
        ),
        revision.join(",")
    ))?;
    if !comparison.health.message.is_empty() {
        output::line(&format!("  {}", comparison.health.message))?;
    }
    if let Some(operation) = document.pointer("/status/operationState") {
        let text = |key: &str| operation[key].as_str().unwrap_or_default();
        output::line(&format!(
            "  last operation: {} {}",
            text("phase"),
            text("message")
        ))?;
    }
    for condition in &comparison.conditions {
        output::line(&format!(
            "  {}: {}",
            tone(Tone::Warn, condition.kind.as_str()),
            condition.message
        ))?;
    }
    let mut table = Table::new(&[
        "WAVE",
        "KIND",
        "NAMESPACE",
        "NAME",
        "SYNC",
        "HEALTH",
        "MESSAGE",
    ]);
    for one in &comparison.resources {
        let sync = match one.status {
            Some(status) if one.requires_pruning => format!("{status} (to prune)"),
            Some(status) => status.to_string(),
            None if one.is_hook => "hook".to_owned(),
            None => String::new(),
        };
        let health = one.health.as_ref();
        table.row(vec![
            (one.sync_wave.to_string(), None),
            (one.key.group_kind().to_string(), None),
            (one.key.namespace.clone(), None),
            (one.key.name.clone(), None),
            (sync, one.status.map(|status: SyncStatus| status.into())),
            (
                health.map(|h| h.status.to_string()).unwrap_or_default(),
                health.map(|h| h.status.into()),
            ),
            (
                health.map(|h| h.message.clone()).unwrap_or_default(),
                Some(Tone::Dim),
            ),
        ]);
    }
    if table.is_empty() {
        Ok(())
    } else {
        output::raw(&table.render())
    }
}
