//! Files on every node that keep others from stopping the PBX: packages that restart at night, Docker, networkd. Each
//! is written where it is missing; what is there already is left to a person.

use std::time::Duration;

use super::facts::SETTINGS;
use super::{Deployment, all};
use crate::commands::{LIVE_RESTORE, quoted};
use crate::exit::Failure;
use crate::reach::Command;
use crate::run::Run;

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let writing = deployment.each().map(|(node, facts)| async move {
        let runs_pbx = deployment.site.can_run_pbx(&node.name);
        // What tells Docker of its settings needs one that runs.
        if runs_pbx && !facts.runs_at_boot("docker") {
            run.change(node, &start_docker()).await?;
        }
        for setting in SETTINGS {
            let is_wanted = runs_pbx || setting.path != LIVE_RESTORE.path;
            if is_wanted && !facts.has_file(setting.path) {
                run.change(node, &setting.write()).await?;
            }
        }
        if let Some(file) = facts.network() {
            run.change(node, &keep_addresses(file)).await?;
        }
        Ok(())
    });
    all(writing).await
}

/// It may have to read all its images.
fn start_docker() -> Command {
    let mut command = Command::change(
        "have Docker run, now and at every boot",
        "systemctl enable --now docker.service",
    );
    command.limit = Duration::from_secs(300);
    command
}

/// systemd-networkd removes addresses that it did not set when it is restarted, and the virtual address is one.
fn keep_addresses(file: &str) -> Command {
    let directory = format!("/etc/systemd/network/{file}.d");
    Command::change(
        format!("have systemd-networkd keep the virtual address ({directory}/portsip-ha.conf)"),
        format!(
            "umask 022; mkdir -p {directory} && printf '[Network]\\nKeepConfiguration=static\\n' \
             >{directory}/portsip-ha.conf && systemctl restart systemd-networkd",
            directory = quoted(&directory)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_networkd_is_the_one_of_the_readme() {
        let command = keep_addresses("10-netplan-ens5.network");
        assert!(
            command
                .script
                .contains(">'/etc/systemd/network/10-netplan-ens5.network.d'/portsip-ha.conf"),
            "{}",
            command.script
        );
    }
}
