//! `restart` of one resource. From the moment when it is told to stop, every way out tells it to start again: an
//! error, a signal, a lost node, and a stop that does not end. Pacemaker finishes a stop that it has begun, and then
//! starts the resource.
//!
//! One way is left: ha-ctl itself is killed (SIGKILL, power). The note in the cluster says so, `show` shows it with
//! the command that starts the resource again, and so does every next `start` and `restart`. A `target-role` that
//! ends by itself would be a rule with a date in a set of meta attributes of its own. It is left out: pcs writes and
//! shows no rules there, `cib-gen apply` would take the set for a difference, Pacemaker looks at dates only when it
//! has something to do or after its recheck interval, and the date would be that of the node that decides.

use super::signals::Signals;
use super::target::{Target, in_the_way, not_running};
use super::wait::{Ended, Goal};
use crate::caller::{caller, now};
use crate::cli::ResourceArgs;
use crate::cluster::State;
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::output::say;

/// How often it is tried to have the resource started again, each time by another node if there is one.
const TRIES: u32 = 3;

/// Stops a resource and starts it again.
///
/// # Errors
/// It was not restarted, or not to its end.
pub(super) async fn restart(args: &ResourceArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::new();
    let target = signals
        .end_what_looks(Target::find_to_stop(args, "restart"))
        .await?;
    refuse_while_unclean(&target.state, &args.resource)?;
    let restarted = restarted(&target, &mut signals).await;
    target.run.judge(restarted)
}

/// While a node is lost and not fenced, the cluster stops what it is told to stop, and starts nothing.
fn refuse_while_unclean(state: &State, resource: &str) -> Result<(), Failure> {
    match &state.unclean()[..] {
        [] => Ok(()),
        unclean => Err(Failure::failed(format!(
            "{} is UNCLEAN and not fenced yet. Until it is, the cluster starts nothing, so that {resource} would \
             stop and stay stopped. Nothing was changed\n  help: ha-ctl show   says since when, and what to look at",
            unclean.join(", ")
        ))),
    }
}

async fn restarted(target: &Target<'_>, signals: &mut Signals) -> Result<Exit, Failure> {
    let resource = &target.args.resource;
    target.line(&format!("try to restart resource {resource}"));
    if let Some(note) = target.note() {
        say(&format!(
            "an earlier restart has not ended ({note}); it is ended now"
        ));
    }
    let note = commands::write_note(&target.note_name(), &format!("{} at {}", caller(), now()));
    target.run.change(&target.contact.node(), &note).await?;
    if target.run.is_dry() {
        target.disable().await?;
        target.enable().await?;
        target.forget_note().await?;
        return target.planned();
    }
    if signals.have_come() {
        target.forget_note().await?;
        return Err(Failure::failed(format!(
            "interrupted. {resource} was not told to stop"
        )));
    }
    // A signal that comes during the change waits until the change has ended.
    let stopped = match target.disable().await {
        Ok(()) => target.wait(Goal::Stopped).run(signals).await,
        Err(failure) => Err(failure),
    };
    if let Ok(Ended::Reached(_)) = stopped {
        target.line(&not_running(resource));
    }
    let why = not_stopped(target, &stopped);
    start_again(target, why.as_deref()).await?;
    let forgotten = target.forget_note().await;
    let Some(why) = why else {
        forgotten?;
        return target.ended(Goal::Started, "restarted", signals).await;
    };
    if let Err(failure) = forgotten {
        say(&failure.text);
    }
    let help = match stopped {
        Ok(Ended::Settled(_)) => {
            format!("{}; then ha-ctl start -s {resource}", in_the_way(resource))
        }
        _ => format!(
            "look again: ha-ctl status. If {resource} does not start: ha-ctl start -s {resource}"
        ),
    };
    Err(Failure::incomplete(format!(
        "{why}. {resource} was told to start again: the cluster finishes a stop that it has begun, and then starts \
         it\n  help: {help}"
    )))
}

/// Why the resource is not stopped, if it is not.
fn not_stopped(target: &Target<'_>, stopped: &Result<Ended, Failure>) -> Option<String> {
    match stopped {
        Ok(Ended::Reached(_)) => None,
        Ok(Ended::Settled(state)) => Some(target.not_reached(Goal::Stopped, state)),
        Ok(Ended::Late(state)) => Some(target.still_going(Goal::Stopped, state)),
        Ok(Ended::Interrupted) => Some("interrupted".to_owned()),
        Err(failure) => Some(without_help(&failure.text)),
    }
}

/// Tells the resource to start again, whatever has happened before.
async fn start_again(target: &Target<'_>, why: Option<&str>) -> Result<(), Failure> {
    let resource = &target.args.resource;
    let mut tried = 0;
    loop {
        let Err(failure) = target.enable().await else {
            return Ok(());
        };
        tried += 1;
        if tried == TRIES {
            let why = why.map(|why| format!("{why}. ")).unwrap_or_default();
            return Err(Failure::incomplete(format!(
                "{why}{}\n{resource} IS STILL DISABLED\n  help: ha-ctl start -s {resource}",
                without_help(&failure.text)
            )));
        }
        say(&format!("{}; once more", without_help(&failure.text)));
        target.contact.take_another().await;
    }
}

/// What was found, without what to do.
fn without_help(text: &str) -> String {
    let found = text.split("\n  help:").next().unwrap_or(text);
    found.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn with_a_node_that_is_not_fenced_yet_nothing_would_start_again() {
        let recorded = include_str!("../../tests/recorded/one-node-dead.xml");
        let mut state = State::parse(recorded).unwrap();
        refuse_while_unclean(&state, "pbx").unwrap();
        state.nodes[0].unclean = true;
        let failure = refuse_while_unclean(&state, "pbx").unwrap_err();
        assert_eq!(failure.exit, crate::exit::Exit::Failed);
        assert!(
            failure.text.starts_with("ip-172-31-16-133 is UNCLEAN"),
            "{failure}"
        );
    }
}
