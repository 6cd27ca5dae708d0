//! The watchdog on every node, where SBD fences: one that is there is used; where there is none, the kernel's own.

use super::{Deployment, all};
use crate::commands::quoted;
use crate::exit::Failure;
use crate::reach::Command;
use crate::run::Run;

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let Some(device) = deployment.site.watchdog() else {
        return Ok(());
    };
    let lacking = deployment.each().filter(|(_, facts)| !facts.has_watchdog());
    let load = &load(device);
    all(lacking.map(|(node, _)| async move { run.change(node, load).await.map(drop) })).await
}

/// Nothing here may open the device: that starts its clock, and the machine is reset.
fn load(device: &str) -> Command {
    Command::change(
        "have the kernel's software watchdog (softdog), now and at every boot, because no other one is loaded",
        format!(
            "systemctl enable --now portsip-ha-softdog.service || exit\n\
             timeout 10 sh -c 'until [ -e \"$1\" ]; do sleep 0.5; done' sh {device} || \
             {{ echo softdog is loaded, and {device} does not appear >&2; exit 1; }}",
            device = quoted(device)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_never_opened() {
        let script = load("/dev/watchdog").script;
        assert!(script.contains("[ -e \"$1\" ]"), "{script}");
        for opening in [
            "wdctl",
            "query-watchdog",
            ">/dev/watchdog",
            "</dev/watchdog",
        ] {
            assert!(!script.contains(opening), "{script}");
        }
    }
}
