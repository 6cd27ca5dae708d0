//! `extend`: machines beside the cluster that run one service of the PBX each. What is decided is in
//! [`crate::extend`].

mod contact;
mod control;
mod list;
mod outcome;
mod portal;
mod remove;
mod run;
mod upgrade;

use crate::cli::{ExtendArgs, ExtendVerb};
use crate::exit::{Exit, Failure};
use crate::extend::Action;

use super::grow::grow;

/// Does something with extended servers.
///
/// # Errors
/// What was being done, to what, what came back, and what to do.
pub(super) async fn extend(args: &ExtendArgs) -> Result<Exit, Failure> {
    match &args.verb {
        ExtendVerb::Run(args) if args.servers.is_disk() => grow(&args.into()).await,
        ExtendVerb::Run(args) => run::run(args).await,
        ExtendVerb::List(args) => list::list(args).await,
        ExtendVerb::Start(args) => control::control(args, Action::Start).await,
        ExtendVerb::Stop(args) => control::control(args, Action::Stop).await,
        ExtendVerb::Restart(args) => control::control(args, Action::Restart).await,
        ExtendVerb::Upgrade(args) => upgrade::upgrade(args).await,
        ExtendVerb::Rm(args) => remove::remove(args).await,
    }
}
