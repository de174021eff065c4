//! `tidegate diff` and `tidegate wait`: how live state stands to Git.

use anyhow::Result;
use tidegate::Error;
use tidegate::engine::{ResourceDiff, WaitFor};
use tidegate::manifest::Diagnostic;

use super::changes;
use super::common::{self, Keeps, Session};
use crate::arguments::{DiffArguments, Output, StreamOutput, WaitArguments};
use crate::exit::Exit;
use crate::output::{self, Tone, tone};

pub(crate) async fn diff(arguments: DiffArguments) -> Result<Exit> {
    let session = Session::open(&arguments.application, Keeps::Nothing, None).await?;
    let desired = session.desired(arguments.revision.as_deref()).await?;
    if desired.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(Error::Documents(desired.diagnostics).into());
    }
    output::warn_all(&desired.diagnostics);
    let found = session.tidegate.diff(&desired).await?;
    match arguments.output {
        Output::Json => output::json(&serde_json::to_value(&found)?)?,
        Output::Yaml => output::yaml(&serde_json::to_value(&found)?)?,
        Output::Name => found
            .iter()
            .try_for_each(|one| output::line(&one.key.to_string()))?,
        Output::Table => found.iter().try_for_each(show)?,
    }
    Ok(if found.is_empty() {
        Exit::Ok
    } else {
        Exit::Differences
    })
}

fn show(one: &ResourceDiff) -> Result<()> {
    let place = one
        .origin
        .as_ref()
        .map(|origin| origin.place())
        .unwrap_or_default();
    let what = match (&one.live, &one.desired) {
        (None, _) => tone(Tone::Good, "missing"),
        (Some(_), None) => tone(Tone::Bad, "not in Git"),
        (Some(_), Some(_)) => tone(Tone::Warn, "differs"),
    };
    output::line(&format!(
        "{} {what}  {}",
        tone(Tone::Strong, &one.key.short()),
        tone(Tone::Dim, &place)
    ))?;
    if one.live.is_some() && one.desired.is_some() {
        changes::lines(&one.changes, "  ")
            .iter()
            .try_for_each(|line| output::line(line))?;
    }
    Ok(())
}

pub(crate) async fn wait(arguments: WaitArguments) -> Result<Exit> {
    let is_json = arguments.output == StreamOutput::Json;
    let events = output::events(is_json);
    let session = Session::open(&arguments.application, Keeps::Nothing, Some(events)).await?;
    let desired = session.desired(None).await?;
    let destination = session.tidegate.destination(&session.name).await?;
    let (control, _interrupts) = common::interruptible();
    let engine = session.tidegate.engine();
    let waited = engine
        .wait(
            &destination,
            &desired,
            WaitFor::default(),
            arguments.timeout,
            &control,
        )
        .await;
    let comparison = match waited.map_err(Error::from) {
        Ok(comparison) => comparison,
        Err(error) if is_json => return Err(session.failed(&desired, error).await),
        Err(error) => return Err(error.into()),
    };
    if is_json {
        session.sum_up(&desired).await;
    } else {
        output::line(&format!(
            "{} is {} and {}",
            session.name, comparison.sync, comparison.health.status
        ))?;
    }
    Ok(Exit::Ok)
}
