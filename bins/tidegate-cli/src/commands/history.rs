//! `tidegate history` and `tidegate rollback`.

use anyhow::Result;
use tidegate::engine::{HistoryEntry, Strategy, SyncRequest, Wanted};
use tidegate::{Answer, Ask, Error, Tidegate};

use super::common::{self, Keeps, Session, end_of};
use crate::arguments::{HistoryArguments, Output, RollbackArguments, StreamOutput};
use crate::exit::Exit;
use crate::output::{self, Table, Tone};

pub(crate) async fn list(arguments: HistoryArguments) -> Result<Exit> {
    let session = Session::open(&arguments.application, Keeps::Journal, None).await?;
    let history = entries(&session).await?;
    match arguments.output {
        Output::Json => output::json(&serde_json::to_value(&history)?)?,
        Output::Yaml => output::yaml(&serde_json::to_value(&history)?)?,
        Output::Name => history
            .iter()
            .try_for_each(|entry| output::line(&entry.id.to_string()))?,
        Output::Table => {
            let mut table = Table::new(&["ID", "DEPLOYED", "REVISION", "BY"]);
            for entry in &history {
                let revisions: Vec<String> = entry
                    .revisions
                    .iter()
                    .map(|r| super::up::short(r))
                    .collect();
                let by = if entry.initiated_by.automated {
                    "automation"
                } else {
                    &entry.initiated_by.username
                };
                table.row(vec![
                    (entry.id.to_string(), None),
                    (entry.deployed_at.to_string(), None),
                    (revisions.join(","), None),
                    (by.to_owned(), Some(Tone::Dim)),
                ]);
            }
            output::raw(&table.render())?;
        }
    }
    Ok(Exit::Ok)
}

async fn entries(session: &Session) -> Result<Vec<HistoryEntry>> {
    if let Some(Answer::History(history)) = session.ask(Ask::History).await? {
        return Ok(history);
    }
    let history = session
        .tidegate
        .engine()
        .history(session.application()?)
        .await;
    Ok(history.map_err(Error::from)?)
}

pub(crate) async fn rollback(arguments: RollbackArguments) -> Result<Exit> {
    let is_json = arguments.output == StreamOutput::Json;
    let session = Session::open(
        &arguments.application,
        Keeps::Journal,
        Some(output::events(is_json)),
    )
    .await?;
    session.must_own("a rollback")?;
    let history = entries(&session).await?;
    let entry = match arguments.id {
        Some(id) => history.iter().find(|entry| entry.id == id).ok_or_else(|| {
            let known: Vec<String> = history.iter().map(|entry| entry.id.to_string()).collect();
            Error::Refused(format!(
                "{} has no sync {id}; it has {}",
                session.name,
                known.join(", ")
            ))
        })?,
        None => history.iter().rev().nth(1).ok_or_else(|| {
            Error::Refused(format!(
                "{} has no earlier sync to go back to",
                session.name
            ))
        })?,
    };
    let wanted = Wanted::Revisions(entry.revisions.clone());
    let desired = session.tidegate.render(&session.name, wanted).await?;
    let destination = session.tidegate.destination(&session.name).await?;
    let request = SyncRequest {
        prune: arguments.prune,
        strategy: Strategy::Apply { force: false },
        is_pinned: true,
        rollback_to: Some(entry.id),
        ..Tidegate::request(&desired.application)
    };
    let (control, _interrupts) = common::interruptible();
    let engine = session.tidegate.engine();
    let done = engine
        .rollback(&destination, &desired, entry.id, request, &control)
        .await
        .map_err(Error::from)?;
    if is_json {
        session.sum_up(&desired).await;
    } else {
        output::line(&format!(
            "{} {}: {}",
            session.name,
            done.phase.as_str(),
            done.message
        ))?;
    }
    Ok(end_of(&done))
}
