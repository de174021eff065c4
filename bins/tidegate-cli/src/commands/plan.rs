//! `tidegate plan`: what a sync would do.

use anyhow::{Context as _, Result};
use tidegate::Tidegate;
use tidegate::engine::{Plan, PlanAction, PlanEntry};

use super::changes;
use super::common::{Keeps, Session};
use crate::arguments::{Output, PlanArguments};
use crate::exit::Exit;
use crate::output::{self, Tone, tone};

pub(crate) async fn run(arguments: PlanArguments) -> Result<Exit> {
    let session = Session::open(&arguments.application, Keeps::Nothing, None).await?;
    let desired = session.desired(arguments.revision.as_deref()).await?;
    let mut request = Tidegate::request(&desired.application);
    request.prune |= arguments.prune;
    request.is_pinned = arguments.revision.is_some();
    let plan = session.tidegate.plan_of(&desired, &request).await?;
    if let Some(file) = &arguments.out {
        std::fs::write(file, plan.canonical())
            .with_context(|| format!("writing {}", file.display()))?;
    }
    show(&plan, arguments.output)?;
    output::refuse_all(&plan.diagnostics);
    Ok(if plan.is_invalid() {
        Exit::Failed
    } else if arguments.exit_code && plan.has_changes() {
        Exit::Differences
    } else {
        Exit::Ok
    })
}

fn show(plan: &Plan, output: Output) -> Result<()> {
    match output {
        Output::Json => output::json(&serde_json::to_value(plan)?),
        Output::Yaml => output::yaml(&serde_json::to_value(plan)?),
        Output::Name => plan
            .entries
            .iter()
            .filter(|entry| entry.action.is_change())
            .try_for_each(|entry| output::line(&entry.key.to_string())),
        Output::Table => show_table(plan),
    }
}

pub(super) fn show_table(plan: &Plan) -> Result<()> {
    let revision = plan
        .revisions
        .iter()
        .map(|r| super::up::short(r))
        .collect::<Vec<_>>()
        .join(", ");
    output::line(&format!(
        "plan of {} at {revision}",
        tone(Tone::Strong, &plan.application)
    ))?;
    let mut stage = None;
    for entry in &plan.entries {
        let here = (entry.phase, entry.wave);
        if stage != Some(here) && is_shown(entry) {
            stage = Some(here);
            output::line(&tone(
                Tone::Dim,
                &format!("{} wave {}", entry.phase.as_str(), entry.wave),
            ))?;
        }
        if is_shown(entry) {
            show_entry(entry)?;
        }
    }
    for condition in &plan.conditions {
        output::note(&format!(
            "{}: {}",
            tone(Tone::Warn, condition.kind.as_str()),
            condition.message
        ));
    }
    output::line(&count(plan))?;
    output::line(&tone(Tone::Dim, &format!("digest {}", plan.id())))
}

fn is_shown(entry: &PlanEntry) -> bool {
    entry.action != PlanAction::Nothing || entry.is_invalid
}

fn show_entry(entry: &PlanEntry) -> Result<()> {
    let (mark, colour) = match entry.action {
        PlanAction::Create => ("+", Tone::Good),
        PlanAction::Update => ("~", Tone::Warn),
        PlanAction::Replace => ("±", Tone::Warn),
        PlanAction::Delete => ("-", Tone::Bad),
        PlanAction::Hook => (">", Tone::Busy),
        PlanAction::Nothing | PlanAction::Skip => (" ", Tone::Dim),
    };
    let mark = if entry.is_invalid {
        tone(Tone::Bad, "!")
    } else {
        tone(colour, mark)
    };
    let place = entry
        .origin
        .as_ref()
        .map(tidegate::manifest::Origin::place)
        .unwrap_or_default();
    let hook = entry
        .hook
        .map(|hook| format!(" ({})", hook.as_str()))
        .unwrap_or_default();
    output::line(&format!(
        "  {mark} {} {}{hook}  {}",
        entry.action.as_str(),
        entry.key.short(),
        tone(Tone::Dim, &place)
    ))?;
    if !entry.message.is_empty() {
        output::line(&format!("      {}", entry.message))?;
    }
    if matches!(entry.action, PlanAction::Update | PlanAction::Replace) {
        for line in changes::lines(&entry.changes, "      ") {
            output::line(&line)?;
        }
    }
    entry
        .warnings
        .iter()
        .try_for_each(|warning| output::line(&format!("      {}", tone(Tone::Warn, warning))))
}

fn count(plan: &Plan) -> String {
    let number = |action: PlanAction| {
        plan.entries
            .iter()
            .filter(|entry| entry.action == action)
            .count()
    };
    let parts = [
        (PlanAction::Create, "to create"),
        (PlanAction::Update, "to update"),
        (PlanAction::Replace, "to replace"),
        (PlanAction::Delete, "to delete"),
        (PlanAction::Hook, "hooks to run"),
        (PlanAction::Nothing, "unchanged"),
    ];
    let told: Vec<String> = parts
        .into_iter()
        .map(|(action, words)| (number(action), words))
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    if told.is_empty() {
        "nothing to do".to_owned()
    } else {
        told.join(", ")
    }
}
