//! `tidegate sync`: one operation on one Application, to its end.

use anyhow::{Context as _, Result, anyhow};
use tidegate::engine::{
    Desired, EngineError, Event, OperationState, Plan, Reason, Strategy, SyncRequest, Wanted,
};
use tidegate::{Answer, Ask, Error, Tidegate};

use super::common::{self, Keeps, Session, end_of};
use crate::arguments::{Strategy as StrategyName, StreamOutput, SyncArguments};
use crate::exit::{Exit, Usage};
use crate::output::{self, Tone, tone};

pub(crate) async fn run(arguments: SyncArguments) -> Result<Exit> {
    let is_json = arguments.output == StreamOutput::Json;
    let plan = arguments.plan.as_deref().map(read_plan).transpose()?;
    let mut application = arguments.application.clone();
    if let Some(plan) = &plan
        && application.app.is_none()
    {
        application.app = Some(plan.application.clone());
    }
    let session =
        Session::open(&application, Keeps::Journal, Some(output::events(is_json))).await?;
    let (desired, request) = match &plan {
        Some(plan) => of_plan(&session, plan).await?,
        None => {
            let desired = session.desired(arguments.revision.as_deref()).await?;
            let request = request(&desired, &arguments)?;
            refuse_other_revision(&desired, &arguments)?;
            (desired, request)
        }
    };
    if arguments.dry_run {
        return dry_run(&session, &desired, &request, is_json).await;
    }
    if session.owner.is_some() {
        if plan.is_some() || arguments.revision.is_some() {
            session.must_own("a sync to a plan or to another revision")?;
        }
        if let Some(Answer::Synced(done)) = session.ask(Ask::Sync(Box::new(request))).await? {
            return conclude(&done, is_json, &session, &desired).await;
        }
        return Ok(Exit::Failed);
    }
    let (control, _interrupts) = common::interruptible();
    let run = session
        .tidegate
        .sync(&desired, request, plan.as_ref(), &control);
    let done = match arguments.timeout {
        None => run.await,
        Some(limit) => tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
            Err(Error::Engine(EngineError::TimedOut {
                application: session.name.clone(),
                wanted: "Synced".to_owned(),
                now: format!("its sync has not ended after {limit:?}"),
            }))
        }),
    };
    match done {
        Ok(done) => conclude(&done, is_json, &session, &desired).await,
        Err(error) if is_json => Err(session.failed(&desired, error).await),
        Err(error) => Err(error.into()),
    }
}

/// Shows what would be done, to programs as the details of one event.
async fn dry_run(
    session: &Session,
    desired: &Desired,
    request: &SyncRequest,
    is_json: bool,
) -> Result<Exit> {
    let plan = session.tidegate.plan_of(desired, request).await?;
    if is_json {
        output::warn_all(&plan.diagnostics);
        for finding in plan.diagnostics.iter().filter(|finding| finding.is_error()) {
            session
                .tidegate
                .tell(Event::of_diagnostic(session.name.clone(), finding));
        }
        let mut event = Event::new(Reason::Planned, session.name.clone())
            .message("dry run: nothing is changed");
        event
            .details
            .insert("plan".to_owned(), serde_json::to_value(&plan)?);
        session.tidegate.tell(event);
        session.sum_up(desired).await;
    } else {
        output::refuse_all(&plan.diagnostics);
        super::plan::show_table(&plan)?;
    }
    Ok(if plan.is_invalid() {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

/// The last words; for programs the summary line.
async fn conclude(
    operation: &OperationState,
    is_json: bool,
    session: &Session,
    desired: &Desired,
) -> Result<Exit> {
    let end = end_of(operation);
    if is_json {
        session.sum_up(desired).await;
        return Ok(end);
    }
    let colour = if end == Exit::Ok {
        Tone::Good
    } else {
        Tone::Bad
    };
    output::line(&format!(
        "{} {}: {}",
        tone(Tone::Strong, &session.name),
        tone(colour, operation.phase.as_str()),
        operation.message
    ))?;
    for result in operation
        .results
        .iter()
        .filter(|result| result.hook_phase.is_unsuccessful())
    {
        output::line(&format!("  {} {}", result.key.short(), result.message))?;
    }
    Ok(end)
}

fn request(desired: &Desired, arguments: &SyncArguments) -> Result<SyncRequest> {
    let mut request = SyncRequest {
        prune: arguments.prune,
        ..Tidegate::request(&desired.application)
    };
    request.strategy = match arguments.strategy {
        StrategyName::Hook => Strategy::Hook {
            force: arguments.force,
        },
        StrategyName::Apply => Strategy::Apply {
            force: arguments.force,
        },
    };
    request.dry_run = arguments.dry_run;
    request.is_pinned = arguments.revision.is_some();
    request.resources = arguments
        .resource
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, String>>()
        .map_err(|why| Usage(format!("--resource {why}")))?;
    for option in &arguments.sync_option {
        request = request
            .option(option)
            .map_err(|why| Usage(format!("--sync-option {why}")))?;
    }
    Ok(request)
}

/// Argo CD refuses this too: automation would take it back at once.
fn refuse_other_revision(desired: &Desired, arguments: &SyncArguments) -> Result<()> {
    let application = &desired.application;
    let Some(revision) = arguments.revision.as_deref().filter(|_| !arguments.dry_run) else {
        return Ok(());
    };
    let is_own = application
        .sources
        .iter()
        .all(|source| source.target_revision == revision);
    if application.sync_policy.automated.is_some() && !is_own {
        return Err(Error::Refused(format!(
            "{} syncs automatically and would go back to its own revision at once\nhelp: change targetRevision in Git, or switch spec.syncPolicy.automated off",
            application.name
        ))
        .into());
    }
    Ok(())
}

fn read_plan(file: &std::path::Path) -> Result<Plan> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is no plan of `tidegate plan --out`", file.display()))
}

async fn of_plan(session: &Session, plan: &Plan) -> Result<(Desired, SyncRequest)> {
    if plan.application != session.name {
        return Err(anyhow!(
            "the plan is for {}, not for {}",
            plan.application,
            session.name
        ));
    }
    let wanted = Wanted::Revisions(plan.revisions.clone());
    let desired = session.tidegate.render(&session.name, wanted).await?;
    let request = Tidegate::request_of(plan, &desired.application)?;
    Ok((desired, request))
}
