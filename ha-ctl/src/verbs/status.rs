//! `status`: the resources, and where they run.

use super::gather::{Ask, gather};
use super::show::answer;
use crate::cli::ShowArgs;
use crate::commands;
use crate::exit::{Exit, Failure};
use crate::output::{print, print_json};

/// Lists the resources.
///
/// # Errors
/// No node could be reached, or the cluster runs on none.
pub(super) async fn status(args: &ShowArgs) -> Result<Exit, Failure> {
    let fleet = super::fleet(&args.site)?;
    let gathered = gather(&fleet, Ask::State).await?;
    if args.json {
        print_json(&gathered.state)?;
        return Ok(Exit::Done);
    }
    let listed = answer(&gathered.node, commands::resources()).await?;
    print(without_heading(&listed.stdout))?;
    Ok(Exit::Done)
}

/// The lines of the resources alone, as the vendor's `status` has them.
fn without_heading(listed: &str) -> &str {
    let after = listed.split_once(" List of Resources:\n");
    after.map_or(listed, |(_, list)| list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_resources_are_listed() {
        let listed = "Full List of Resources:\n  * eip\t(ocf:portsip:awseip):\t Started n1\n";
        assert_eq!(
            without_heading(listed),
            "  * eip\t(ocf:portsip:awseip):\t Started n1\n"
        );
        assert_eq!(without_heading("No resources\n"), "No resources\n");
    }
}
