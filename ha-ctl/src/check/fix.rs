//! What `--fix` does. All of it is safe on a node that runs the PBX: it restarts neither a container nor what
//! Pacemaker runs, touches no disk and nobody's routes, and takes away nothing that anybody has written.

use super::Inspection;
use crate::commands::{DRBD_AT_BOOT, NEEDRESTART, UNATTENDED, UNPRIVILEGED_PORTS};
use crate::reach::Command;
use cib_gen::render::SAMPLE;

/// How a finding is mended.
#[derive(Clone, Copy)]
pub struct Fix {
    /// What is done on the node.
    pub command: fn() -> Command,
    /// Whether that mends what was found on the node. A check can find what only a person may mend.
    pub(super) mends: fn(&Inspection) -> bool,
}

impl Fix {
    const fn always(command: fn() -> Command) -> Fix {
        Fix {
            command,
            mends: |_| true,
        }
    }
}

pub(super) const PORTS: Fix = Fix::always(|| UNPRIVILEGED_PORTS.write());
pub(super) const UPGRADES: Fix = Fix::always(|| UNATTENDED.write());
pub(super) const RESTARTS: Fix = Fix::always(|| NEEDRESTART.write());
pub(super) const DRBD: Fix = Fix::always(|| DRBD_AT_BOOT.write());

pub(super) const SAMPLE_CLUSTER: Fix = Fix {
    command: leave_sample,
    mends: |it| it.one("sample") == Some("empty"),
};

pub(super) const PCSD: Fix = Fix {
    command: renew_pcsd_key,
    mends: |it| {
        let mut files = it.words("pcsd-file");
        let runs = it
            .service("pcsd")
            .is_some_and(|(active, _)| active == "active");
        !runs && files.all(|words| words.last() == Some(&"empty"))
    },
};

pub(super) const SOFTDOG: Fix = Fix {
    command: softdog,
    mends: |it| {
        it.service("portsip-ha-softdog")
            .is_some_and(|(_, enabled)| !enabled.is_empty())
    },
};

/// As the script of `cib-gen --format corosync` does it, and only where that would: another cluster, or a sample in
/// which somebody has configured resources, stays.
fn leave_sample() -> Command {
    Command::change(
        "remove the distribution's sample cluster, which is empty",
        format!(
            r#"set -eu
fail() {{
    printf '%s. %s\n' "$1" "$2" >&2
    exit 1
}}
{SAMPLE}[ -e "$corosync_conf" ] || exit 0
sample <"$corosync_conf" || fail "$corosync_conf is not the distribution's sample" 'Nothing was changed'
leave_sample_here"#
        ),
    )
}

/// Neither Corosync nor Pacemaker needs pcsd: it carries out what pcs asks of other nodes, and with empty files it
/// cannot do even that. Who may ask is in other files, which stay, and pcs compares no certificates.
fn renew_pcsd_key() -> Command {
    Command::change(
        "have pcsd write a new key and certificate, in the place of empty ones",
        r#"set -eu
cd /var/lib/pcsd
for file in pcsd.key pcsd.crt; do
    [ ! -s $file ] || { echo "/var/lib/pcsd/$file is not empty. Nothing was changed" >&2; exit 1; }
done
# It hangs in its start and does not end by itself.
systemctl kill -s KILL pcsd 2>/dev/null || :
rm -f pcsd.key pcsd.crt
timeout 50 systemctl restart pcsd"#,
    )
}

/// Loads the module, which arms nothing: SBD does, when the cluster starts the next time.
fn softdog() -> Command {
    Command::change(
        "load softdog, now and at boot",
        "systemctl enable --now portsip-ha-softdog",
    )
    .repeatable()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::CHECKS;
    use super::*;

    fn scripts() -> Vec<String> {
        let fixes = CHECKS.iter().filter_map(|check| check.fix);
        fixes.map(|fix| (fix.command)().script).collect()
    }

    #[test]
    fn no_fix_restarts_the_pbx_or_touches_a_disk_or_a_route() {
        let never = [
            "docker",
            "mkfs",
            "wipefs",
            "pvcreate",
            "drbdadm",
            " dd ",
            "ip route",
            "ip addr",
            "pcs resource",
            "pcs stonith",
            "pcs node",
            "corosync.service",
            "reboot",
            "apt-get",
            "restart pacemaker",
            "restart corosync",
            "systemctl stop",
        ];
        for script in scripts() {
            // What a fix writes into a file is not what it does.
            let does = script
                .replace(UNATTENDED.content, "")
                .replace(NEEDRESTART.content, "");
            for word in never {
                assert!(!does.contains(word), "{word}: {does}");
            }
        }
    }

    #[test]
    fn the_scripts_are_ones_that_sh_can_read() {
        for script in scripts() {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{script}");
        }
    }

    /// Runs a script where a configuration, a CIB and pcs are played.
    fn played(script: &str, conf: Option<&str>, cib: &str) -> (bool, String) {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        if let Some(conf) = conf {
            std::fs::write(at("corosync.conf"), conf).unwrap();
        }
        let script = script.replace("/etc/corosync/corosync.conf", &at("corosync.conf"));
        let script = format!(
            "pcs() {{ echo \"pcs $*\" >>{calls}; }}\ncibadmin() {{ echo '{cib}'; }}\n{script}",
            calls = at("calls")
        );
        let mut sh = std::process::Command::new("sh");
        let ended = sh.args(["-c", &script]).output().unwrap();
        let calls = std::fs::read_to_string(at("calls")).unwrap_or_default();
        (ended.status.success(), calls)
    }

    const CONF: &str = "totem {\n\tcluster_name: debian\n}\nnodelist {\n\tnode {\n\t\tname: node1\n\t\tnodeid: 1\n\t\t\
                        ring0_addr: 127.0.0.1\n\t}\n}\n";

    #[test]
    fn only_the_sample_is_removed_and_only_while_it_is_empty() {
        let script = leave_sample().script;
        let destroyed = (true, "pcs cluster destroy\n".to_owned());
        assert_eq!(played(&script, Some(CONF), "<resources/>"), destroyed);
        let nothing = || String::new();
        let used = r#"<resources><primitive id="x"/></resources>"#;
        assert_eq!(played(&script, Some(CONF), used), (false, nothing()));
        for other in [
            CONF.replace("127.0.0.1", "10.0.0.1"),
            CONF.replace("debian", "ha_cluster"),
            CONF.replace("node1", "pbx01"),
        ] {
            let left = played(&script, Some(&other), "<resources/>");
            assert_eq!(left, (false, nothing()), "{other}");
        }
        assert_eq!(played(&script, None, ""), (true, nothing()));
    }

    #[test]
    fn pcsd_gets_new_files_only_where_none_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let path = directory.path().display().to_string();
        let script = renew_pcsd_key().script.replace("/var/lib/pcsd", &path);
        let script = format!(
            "systemctl() {{ echo \"$*\" >>{path}/calls; }}\ntimeout() {{ shift; \"$@\"; }}\n{script}"
        );
        let run = || {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &script]).output().unwrap()
        };
        std::fs::write(at("pcsd.key"), "of the operator").unwrap();
        std::fs::write(at("pcsd.crt"), "").unwrap();
        assert!(!run().status.success());
        assert!(at("pcsd.crt").exists() && !at("calls").exists());
        std::fs::write(at("pcsd.key"), "").unwrap();
        assert!(run().status.success());
        assert!(!at("pcsd.key").exists() && !at("pcsd.crt").exists());
        let calls = std::fs::read_to_string(at("calls")).unwrap();
        assert_eq!(calls, "kill -s KILL pcsd\nrestart pcsd\n");
    }

    #[test]
    fn the_manual_names_every_check_that_is_mended_and_no_other() {
        use clap::CommandFactory as _;
        let cli = crate::cli::Cli::command();
        let check = cli.find_subcommand("check").unwrap();
        let fix = check
            .get_arguments()
            .find(|it| it.get_id() == "fix")
            .unwrap();
        let help = fix.get_long_help().unwrap().to_string();
        for check in CHECKS {
            let mut words = help.split(|c: char| !c.is_alphanumeric() && !".-".contains(c));
            let is_named = words.any(|word| word.trim_end_matches('.') == check.name);
            assert_eq!(is_named, check.fix.is_some(), "{}: {help}", check.name);
        }
    }
}
