//! `extend start|stop|restart`: on all servers that are meant, at once.

use super::contact::{Contact, all};
use super::outcome::{How, Outcome, summary};
use crate::cli::{SelectArgs, ServersArgs};
use crate::exit::{Exit, Failure};
use crate::extend::{Action, Selection, State, look_live};
use crate::output::print;
use crate::run::Run;
use crate::verbs::deploy::left;
use crate::verbs::signals::Signals;

/// Which servers are meant.
pub(super) fn selection(args: &SelectArgs) -> Selection {
    Selection {
        kind: args.kind,
        address: args.address,
    }
}

/// Starts or stops servers.
///
/// # Errors
/// There is none that is meant, or nothing could be done.
pub(super) async fn control(args: &ServersArgs, action: Action) -> Result<Exit, Failure> {
    let what = format!("extend {}", action.verb());
    let change = (!args.dry_run).then_some(what.as_str());
    let contact = Contact::new(&args.site, change).await?;
    let meant = contact.register.select(selection(&args.select))?;
    let found = contact.reach(meant, look_live).await;
    let run = &Run::new(args.dry_run);
    let working = found.into_iter().map(|(entry, found)| async move {
        let how = match found {
            Err(missing) => How::Unreachable(missing),
            Ok((_, facts)) if is_so(action, facts.state()) => {
                How::Done(format!("is {} already", action.past()))
            }
            Ok((node, _)) => match run.step(&node, &action.step(&entry)).await {
                Ok(()) => How::Done(format!("was {}", action.past())),
                Err(failure) => How::Failed(failure),
            },
        };
        Outcome::new(&entry.server, how)
    });
    let mut signals = Signals::new();
    let outcomes = tokio::select! {
        outcomes = all(working) => outcomes,
        () = signals.received() => return Err(left(run)),
    };
    if args.dry_run {
        let (text, exit) = run.plan();
        print(&text)?;
        return Ok(exit);
    }
    summary(&outcomes, run, false)
}

/// Whether there is nothing to do.
fn is_so(action: Action, state: State) -> bool {
    match action {
        Action::Start => state == State::Answers,
        Action::Stop => matches!(state, State::Stopped | State::Missing),
        Action::Restart => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_runs_but_does_not_answer_is_started_and_can_be_stopped() {
        assert!(is_so(Action::Start, State::Answers));
        assert!(!is_so(Action::Start, State::Silent));
        assert!(!is_so(Action::Stop, State::Unhealthy));
        assert!(is_so(Action::Stop, State::Stopped));
        assert!(!is_so(Action::Restart, State::Answers));
    }
}
