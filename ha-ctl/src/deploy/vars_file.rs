//! vars.yml on every node, for root alone: cib-gen reads it there, and ha-ctl on any of them knows the site.

use super::{Deployment, Facts, all};
use crate::exit::Failure;
use crate::reach::Command;
use crate::run::Run;

/// Where vars.yml lies on every node.
pub(super) const FILE: &str = "/etc/portsip/vars.yml";

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let copy = &copy(&deployment.vars);
    let differing = deployment
        .each()
        .filter(|(_, facts)| differs(facts, &deployment.vars));
    let copying = differing.map(|(node, _)| async move { run.change(node, copy).await.map(drop) });
    all(copying).await
}

fn differs(facts: &Facts, vars: &str) -> bool {
    let same = facts
        .vars()
        .is_some_and(|there| there.lines().eq(vars.lines()));
    !same || !facts.vars_is_private()
}

pub(crate) fn copy(vars: &str) -> Command {
    Command::change(
        format!("copy vars.yml to {FILE}"),
        format!(
            "umask 077; mkdir -p -m 0755 /etc/portsip && cat >{FILE}.new || exit\n\
             if [ -e {FILE} ] && ! cmp -s {FILE} {FILE}.new; then install -m 600 {FILE} {FILE}.old || exit; fi\n\
             mv {FILE}.new {FILE}"
        ),
    )
    .reading(vars)
    .repeatable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_copied_where_it_differs_or_others_can_read_it() {
        let vars = "pbx_image: portsip/pbx:22\n";
        let facts = |mode: &str, text: &str| {
            Facts::parse(&format!("vars-mode {mode}\nvars pbx_image: {text}\n"))
        };
        assert!(!differs(&facts("600", "portsip/pbx:22"), vars));
        assert!(differs(&facts("600", "portsip/pbx:23"), vars));
        assert!(differs(&facts("644", "portsip/pbx:22"), vars));
        assert!(differs(&Facts::parse(""), vars));
    }
}
