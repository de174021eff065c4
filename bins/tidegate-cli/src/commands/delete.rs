//! `tidegate delete` and `tidegate terminate`.

use anyhow::Result;
use tidegate::engine::Event;
use tidegate::{Ask, Error};

use super::common::{self, Keeps, Session};
use crate::arguments::{ApplicationArguments, DeleteArguments, StreamOutput};
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(arguments: DeleteArguments) -> Result<Exit> {
    let is_json = arguments.output == StreamOutput::Json;
    let session = Session::open(
        &arguments.application,
        Keeps::Journal,
        Some(output::events(is_json)),
    )
    .await?;
    session.must_own("a deletion")?;
    let desired = session.desired(None).await?;
    let destination = session.tidegate.destination(&session.name).await?;
    let (control, _interrupts) = common::interruptible();
    let engine = session.tidegate.engine();
    engine
        .delete_application(&destination, &desired, &control)
        .await
        .map_err(Error::from)?;
    if is_json {
        session.tidegate.tell(Event::summary(&[]));
    } else {
        let cascades = desired
            .application
            .finalizers
            .iter()
            .any(|name| name.starts_with(tidegate::manifest::annotation::RESOURCES_FINALIZER));
        let what = if cascades {
            "and its objects are deleted"
        } else {
            "is deleted; its objects stay: it has no resources finalizer"
        };
        output::line(&format!("{} {what}", session.name))?;
    }
    Ok(Exit::Ok)
}

pub(crate) async fn terminate(arguments: ApplicationArguments) -> Result<Exit> {
    let session = Session::open(&arguments, Keeps::Journal, None).await?;
    if session.ask(Ask::Terminate).await?.is_some() {
        output::line(&format!("{}: its operation is being ended", session.name))?;
        return Ok(Exit::Ok);
    }
    let desired = session.desired(None).await?;
    let destination = session.tidegate.destination(&session.name).await?;
    let ended = session
        .tidegate
        .engine()
        .terminate(&destination, &desired)
        .await
        .map_err(Error::from)?;
    match ended {
        Some(operation) => output::line(&format!(
            "{} {}: {}",
            session.name,
            operation.phase.as_str(),
            operation.message
        ))?,
        None => output::line(&format!("{} has no running operation", session.name))?,
    }
    Ok(Exit::Ok)
}
