//! `extend rm`: removes servers, after a question.

use super::contact::{Contact, Found, all};
use super::control::selection;
use super::outcome::{How, Outcome, summary};
use super::portal;
use crate::cli::ExtendRmArgs;
use crate::exit::{Exit, Failure};
use crate::extend::{Entry, look_live, may_remove, remove as remove_step};
use crate::output::{print, say};
use crate::run::Run;
use crate::verbs::deploy::{confirmed, left};
use crate::verbs::signals::Signals;

/// Removes servers.
///
/// # Errors
/// There is none that is meant, or nothing could be done.
pub(super) async fn remove(args: &ExtendRmArgs) -> Result<Exit, Failure> {
    let servers = &args.servers;
    let change = (!servers.dry_run).then_some("extend rm");
    let contact = Contact::new(&servers.site, change).await?;
    let meant = contact.register.select(selection(&servers.select))?;
    if !args.keep_data {
        refuse_other_directories(&meant)?;
    }
    let found = contact.reach(meant, look_live).await;
    print(&text(&found, args))?;
    if servers.dry_run {
        return Ok(Exit::Problems);
    }
    if !args.yes && !confirmed()? {
        say("nothing was changed. With --yes, ha-ctl extend rm does not ask");
        return Ok(Exit::Problems);
    }
    let run = Run::new(false);
    let mut signals = Signals::new();
    let working = act(found, args, &contact, &run);
    let (outcomes, removed, missed) = tokio::select! {
        done = working => run.judge(done)?,
        () = signals.received() => return Err(left(&run)),
    };
    let exit = summary(&outcomes, &run, missed)?;
    if !removed.is_empty() {
        print(&portal::after_removal(&removed.iter().collect::<Vec<_>>()))?;
    }
    Ok(exit)
}

/// The list says which directory is removed, and a list that somebody has written into may say anything.
fn refuse_other_directories(meant: &[Entry]) -> Result<(), Failure> {
    let others = meant.iter().filter(|it| !may_remove(it));
    let others: Vec<String> = others
        .map(|it| format!("{}: {}", it.server, it.data))
        .collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "the data is in a directory that is not named for the type of the server, and is not removed: {}. Nothing \
             was changed\n  help: --keep-data, and remove it by hand",
            others.join("; ")
        ))),
    }
}

/// What will be done.
fn text(found: &[Found], args: &ExtendRmArgs) -> String {
    let mut text = "to do:\n".to_owned();
    for (entry, found) in found {
        let server = &entry.server;
        text += &match (found, args.forget) {
            (Ok(_), _) if args.keep_data => {
                format!("  remove {server}, and keep its data: {}\n", entry.data)
            }
            (Ok(_), _) => format!("  remove {server} AND ITS DATA: {}\n", entry.data),
            (Err(_), true) => format!(
                "  take {server} off the list, though it cannot be reached: what runs there goes on\n"
            ),
            (Err(_), false) => format!("  nothing with {server}: it cannot be reached\n"),
        };
    }
    text
}

/// Removes each, and then takes those that are gone off the list.
async fn act(
    found: Vec<Found>,
    args: &ExtendRmArgs,
    contact: &Contact,
    run: &Run,
) -> Result<(Vec<Outcome>, Vec<Entry>, bool), Failure> {
    let working = found.into_iter().map(|(entry, found)| async move {
        let how = match found {
            Err(missing) if args.forget => {
                say(&format!("warning: {}", missing.text()));
                How::Done("taken off the list".to_owned())
            }
            Err(missing) => How::Unreachable(missing),
            Ok((node, _)) => match run.step(&node, &remove_step(&entry, args.keep_data)).await {
                Ok(()) => How::Done("removed".to_owned()),
                Err(failure) => How::Failed(failure),
            },
        };
        (Outcome::new(&entry.server, how), entry)
    });
    let done = all(working).await;
    let removed = done.iter().filter(|(outcome, _)| outcome.is_done());
    let removed: Vec<Entry> = removed.map(|(_, entry)| entry.clone()).collect();
    let missed = match removed.is_empty() {
        true => false,
        false => {
            contact
                .write(&contact.register.without(&removed), run)
                .await?
        }
    };
    let outcomes = done.into_iter().map(|(outcome, _)| outcome).collect();
    Ok((outcomes, removed, missed))
}
