//! The verbs, each in a file of its name, and what they share: the cluster that the command line means.

mod check;
mod contact;
mod deploy;
mod extend;
mod gather;
mod grow;
mod guard;
mod master;
mod of_vars;
mod resource;
mod restart;
mod running;
mod show;
mod signals;
mod status;
mod target;
mod update;
mod vendor_scripts;
mod wait;

use crate::cli::{SiteArgs, Verb};
use crate::exit::{Exit, Failure};
use crate::inventory::{Here, Inventory};
use crate::reach::{Account, Fleet, Options, Password};

use signals::Signals;

/// Runs a verb.
///
/// # Errors
/// What was being done, to what, what came back, and what to do.
pub async fn run(verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Check(args) => check::check(&args).await,
        Verb::Deploy(args) => deploy::deploy(&args).await,
        Verb::Show(args) => looking(show::show(&args)).await,
        Verb::Status(args) => looking(status::status(&args)).await,
        Verb::Master(args) => looking(master::master(&args)).await,
        Verb::Start(args) => resource::start(&args).await,
        Verb::Stop(args) => resource::stop(&args).await,
        Verb::Restart(args) => restart::restart(&args).await,
        Verb::Extend(args) => extend::extend(&args).await,
        Verb::Grow(args) => grow::grow(&args).await,
        Verb::Update(args) => update::update(&args).await,
        Verb::VendorScripts(args) => vendor_scripts::vendor_scripts(&args),
    }
}

/// A verb that changes nothing is given up at once when somebody interrupts it, and leaves the terminal as it was.
async fn looking(verb: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    Signals::new().end_what_looks(verb).await
}

/// The machines that the command line means, and how they are reached.
fn fleet(args: &SiteArgs) -> Result<Fleet, Failure> {
    fleet_of(&inventory(args)?, args)
}

fn inventory(args: &SiteArgs) -> Result<Inventory, Failure> {
    Inventory::find(args.vars_file.as_deref(), &args.nodes, &Here::look())
}

fn fleet_of(inventory: &Inventory, args: &SiteArgs) -> Result<Fleet, Failure> {
    let account = Account::of(&Options {
        user: args.user.clone(),
        identity: args.identity.clone(),
        key_of_vars: inventory.key(),
    });
    let password = Password::from(args.sudo_password_file.as_deref());
    password.check()?;
    Fleet::new(inventory, account, args.accept_new_host_keys, password)
}
