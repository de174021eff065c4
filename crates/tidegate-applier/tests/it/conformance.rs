//! A kit that passes everything proves nothing: each check must catch its own broken applier.

use tidegate_applier::conformance::{CheckOutcome, run};

use crate::memory::{Memory, Mutant};

#[tokio::test]
async fn a_sound_applier_passes_every_check() {
    let memory = Memory::new(None);
    let report = run(&*memory, &*memory).await;
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.outcome == CheckOutcome::Passed),
        "{report}"
    );
    assert_eq!(report.checks.len(), 21, "{report}");
}

#[tokio::test]
async fn each_check_catches_its_mutant() {
    for (mutant, check) in [
        (Mutant::ForgetsTarget, "describes its target"),
        (Mutant::KnowsNoKind, "knows kinds"),
        (Mutant::AbsentIsAnError, "absent is no error"),
        (Mutant::CreationIsAnUpdate, "creates"),
        (Mutant::AlwaysUpdates, "applying twice is once"),
        (Mutant::NeverUpdates, "updates"),
        (Mutant::RecreatesAgain, "recreates once per operation"),
        (Mutant::DeletesAgain, "deleting twice is once"),
        (Mutant::DryRunActs, "a dry run changes nothing"),
        (Mutant::PreviewLies, "a preview is the result"),
        (
            Mutant::IgnoresApplyPreconditions,
            "apply keeps preconditions",
        ),
        (
            Mutant::IgnoresDeletePreconditions,
            "delete keeps preconditions",
        ),
        (Mutant::AnswersBackwards, "answers stand in order"),
        (Mutant::OneBadFailsAll, "one bad item fails alone"),
        (Mutant::DeletesForAnyone, "only the owner deletes"),
        (Mutant::ListsForeign, "lists what is owned"),
        (Mutant::HidesDeletions, "tells of changes"),
        (Mutant::GivesUpWhenThrottled, "rides out throttling"),
        (Mutant::GivesUpWhenAbsent, "rides out absence"),
        (Mutant::LostRepliesAreFinal, "survives lost replies"),
        (Mutant::WaitsForever, "keeps its deadline"),
    ] {
        let memory = Memory::new(Some(mutant));
        let report = run(&*memory, &*memory).await;
        assert!(!report.passed(), "{mutant:?} passes");
        assert!(
            report.failures().any(|failed| failed.name == check),
            "{mutant:?} is not caught by {check:?}:\n{report}"
        );
    }
}
