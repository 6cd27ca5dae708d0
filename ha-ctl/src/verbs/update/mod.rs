//! `update`: a new version of the PBX. What takes long and does no harm comes first, while the PBX runs; then one short
//! gap. What is on record in the cluster says how far an update has come, so that the same command goes on from there, on
//! any node, and `--rollback` goes back.

mod along;
mod answers;
mod back;
mod back_aws;
mod back_lan;
mod copy;
mod fetch;
mod forward;
mod found;
mod gap;
mod others;
mod plan;

use crate::cli::UpdateArgs;
use crate::exit::{Exit, Failure};
use crate::verbs::signals::Signals;

/// Updates, or goes back.
///
/// # Errors
/// It cannot be done, or not to its end.
pub(super) async fn update(args: &UpdateArgs) -> Result<Exit, Failure> {
    let wanted = args.wanted()?;
    let mut signals = Signals::new();
    let looking = found::find(&wanted);
    let found = signals.end_what_looks(looking).await?;
    match (&wanted.image, wanted.accept) {
        (_, true) => copy::accept(found, &wanted, &mut signals).await,
        (None, _) => back::go_back(found, &wanted, &mut signals).await,
        (Some(_), _) => forward::update(found, &wanted, &mut signals).await,
    }
}
