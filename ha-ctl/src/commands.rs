//! Every command that runs on a node, built by a pure function. Nothing here runs anything.

use std::time::Duration;

use crate::reach::Command;

/// The cluster as this node sees it, for programs.
pub fn state() -> Command {
    Command::look(
        "reading the cluster's status",
        "crm_mon --one-shot --output-as=xml",
    )
}

/// The cluster as pcs(8) shows it, without what ha-ctl says better.
pub fn listing() -> Command {
    Command::look("listing the cluster", LISTING)
}

/// `pcs status` takes a second to say the same, most of which is Python's start.
const LISTING: &str = r#"
sed -n 's/^[[:space:]]*cluster_name:[[:space:]]*/Cluster name: /p' /etc/corosync/corosync.conf
crm_mon --one-shot --inactive --include=none,summary,nodes,resources || exit
echo
echo 'Daemon Status:'
systemctl show --property=Id,ActiveState,UnitFileState corosync pacemaker pcsd sbd | awk -F= '
    function daemon() {
        if (!("Id" in is)) return
        sub(/\.service$/, "", is["Id"])
        if (is["Id"] != "sbd" || is["ActiveState"] != "inactive")
            print "  " is["Id"] ": " is["ActiveState"] "/" (is["UnitFileState"] ? is["UnitFileState"] : "unknown")
        delete is
    }
    /^$/ { daemon() }
    { is[$1] = $2 }
    END { daemon() }'
exit 0"#;

/// The list of resources alone.
pub fn resources() -> Command {
    Command::look(
        "listing the resources",
        "crm_mon --one-shot --inactive --include=none,resources",
    )
}

/// The configuration of the cluster.
pub fn configuration() -> Command {
    Command::look(
        "reading the cluster's configuration",
        "cibadmin --query --local --scope configuration",
    )
}

/// Since when nodes are lost, as this node's Pacemaker has written it into the journal: the time now, and a line for
/// each node with the time of the latest loss.
pub fn lost(nodes: &[&str]) -> Command {
    let nodes: Vec<String> = nodes.iter().map(|node| quoted(node)).collect();
    let script = format!(
        r#"date +%s
for node in {}; do
    journalctl --quiet --unit=pacemaker --since=-1day --reverse --lines=1 --output=short-unix         --grep="Node $node state is now (lost|member)" | sed -n "/now lost/s/^\([0-9.]*\) .*/$node \1/p"
done"#,
        nodes.join(" ")
    );
    let mut command = Command::look("asking since when nodes are lost", script);
    command.limit = Duration::from_secs(5);
    command
}

/// What is on a node: versions, daemons, containers, how full the data is. Each line is a word and its values.
pub fn facts() -> Command {
    let mut command = Command::look("looking at the node", FACTS);
    command.limit = Duration::from_secs(5);
    command
}

/// What starts a program that takes its time runs beside the rest, and prints what it has found in one piece.
const FACTS: &str = r#"
docker=$(systemctl is-active docker)
echo "docker $docker"
lock=portsip-ha-lock.scope
(
    # One that is given back just now is gone a moment later.
    systemctl is-active --quiet $lock && sleep 0.3 && systemctl is-active --quiet $lock &&
        echo "lock $(systemctl show --property=Description --value $lock)"
) &
(
    if containers=$(timeout 2 docker ps --all --filter label=com.docker.compose.project=portsip \
        --format 'container {{.Names}} {{.State}} {{.Image}}' 2>/dev/null); then
        echo "$containers"
    elif [ "$docker" = active ]; then
        echo 'docker silent'
    fi
) &
(
    data=$(crm_resource --resource datapath_fs --get-parameter directory 2>/dev/null) || data=
    if [ "$data" ] && mountpoint -q "$data"; then
        echo "data $data $(timeout 1 df -B1 --output=size,used,itotal,iused "$data" | sed -n 2p)"
    fi
) &
packages=$(dpkg-query -W -f='package ${Package} ${db:Status-Abbrev} ${Version}\n' \
    portsip-ha pacemaker corosync pcs docker.io docker-ce 2>/dev/null)
echo "$packages"
wait
# DRBD 8.4 says it in /proc/drbd, and DRBD 9 by its tool.
if grep -q '^version: 8' /proc/drbd 2>/dev/null; then
    sed -n 's|^ *[0-9]*: cs:\([A-Za-z]*\) .* ds:\([A-Za-z]*\)/.*|drbd-disk \2\ndrbd-peer - \1|p
        s|^ *[0-9]*: cs:Unconfigured.*|drbd-disk Unconfigured|p' /proc/drbd
elif [ -e /proc/drbd ]; then
    timeout 2 drbdsetup status 2>/dev/null | awk '
        match($0, /^  (volume:[0-9]+ )?disk:[A-Za-z]+/) { sub(/.* disk:/, ""); sub(/ .*/, ""); print "drbd-disk", $0; next }
        /^  [^ ]+ connection:/ { sub(/.*:/, "", $2); print "drbd-peer", $1, $2; next }
        /^  [^ ]+ role:/ { print "drbd-peer", $1, "Connected" }'
fi
exit 0"#;

/// Asks that a resource stops, and stays stopped.
pub fn disable(resource: &str) -> Command {
    Command::change(
        format!("disable resource {resource}"),
        format!("pcs resource disable {}", quoted(resource)),
    )
    .repeatable()
}

/// Asks that a resource runs.
pub fn enable(resource: &str) -> Command {
    Command::change(
        format!("enable resource {resource}"),
        format!("pcs resource enable {}", quoted(resource)),
    )
    .repeatable()
}

/// Has the cluster run nothing on a node, until it is told otherwise. The node still votes.
pub fn standby(node: &str) -> Command {
    Command::change(
        format!("put {node} in standby"),
        format!("pcs node standby {}", quoted(node)),
    )
    .repeatable()
}

/// Ends that.
pub fn unstandby(node: &str) -> Command {
    Command::change(
        format!("take {node} out of standby"),
        format!("pcs node unstandby {}", quoted(node)),
    )
    .repeatable()
}

/// Which other resources the cluster would stop with this one, each on a line. pcs asks the scheduler, and changes
/// nothing (pcs(8), `--simulate --brief`).
pub fn stops_too(resource: &str) -> Command {
    Command::look(
        &format!("asking what stops with {resource}"),
        format!(
            "pcs resource disable {} --simulate --brief",
            quoted(resource)
        ),
    )
}

/// Whether the cluster has nothing left to do. It ends with 124 while something is still going on.
pub fn settled() -> Command {
    Command::look(
        "asking whether the cluster still has something to do",
        "crm_resource --wait --timeout=1s",
    )
}

/// The set of properties that has the notes, which Pacemaker does not read.
pub const NOTES: &str = "portsip-ha-notes";

/// Writes a note of something temporary into the configuration.
pub fn write_note(name: &str, text: &str) -> Command {
    Command::change(
        format!("note {name}: {text}"),
        format!(
            "crm_attribute --type crm_config --set-name {NOTES} --name {} --update {}",
            quoted(name),
            quoted(text)
        ),
    )
    .repeatable()
}

/// Removes a note.
pub fn delete_note(name: &str) -> Command {
    Command::change(
        format!("remove the note {name}"),
        format!(
            "crm_attribute --type crm_config --set-name {NOTES} --name {} --delete",
            quoted(name)
        ),
    )
}

/// A file that sets something which is safe to set on every node: it restarts nothing and takes nothing away.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Where it lies. Nobody else has a file of this name.
    pub path: &'static str,
    /// What is in it.
    pub content: &'static str,
    /// The command that makes it count at once, if one has to.
    pub then: Option<&'static str>,
}

/// The PBX's containers run as the user 888 and listen on ports 80 and 443.
pub const UNPRIVILEGED_PORTS: Setting = Setting {
    path: "/etc/sysctl.d/60-portsip-ha.conf",
    content: "net.ipv4.ip_unprivileged_port_start=0",
    then: Some("sysctl --quiet --load=/etc/sysctl.d/60-portsip-ha.conf"),
};

/// An upgrade of these stops the PBX on the node.
pub const UNATTENDED: Setting = Setting {
    path: "/etc/apt/apt.conf.d/52portsip-ha",
    content: r#"Unattended-Upgrade::Package-Blacklist { "corosync"; "pacemaker"; "pcs"; "sbd"; "docker"; "containerd"; };"#,
    then: None,
};

/// A restart of these stops the PBX on the node.
pub const NEEDRESTART: Setting = Setting {
    path: "/etc/needrestart/conf.d/portsip-ha.conf",
    content: "$nrconf{override_rc}{qr(^(corosync|pacemaker|pcsd|sbd|docker|containerd))} = 0;",
    then: None,
};

/// So that a kernel without DRBD is noticed at boot, and not at a failover.
pub const DRBD_AT_BOOT: Setting = Setting {
    path: "/etc/modules-load.d/portsip-ha-drbd.conf",
    content: "drbd",
    then: None,
};

/// Without it, all containers end when the Docker daemon ends.
pub const LIVE_RESTORE: Setting = Setting {
    path: "/etc/docker/daemon.json",
    content: r#"{ "live-restore": true }"#,
    then: Some("systemctl reload docker"),
};

impl Setting {
    /// Writes the file where there is none; what is there already is left to a person. A file that cannot be made to
    /// count is removed again, so that the next run does not take it for done; a connection that is cut does not come
    /// in between.
    pub fn write(&self) -> Command {
        let (path, content) = (quoted(self.path), quoted(self.content));
        let then = self
            .then
            .map(|then| format!("{then} || {{ rm -f \"$file\"; exit 1; }}"))
            .unwrap_or_default();
        Command::change(
            format!("write {}", self.path),
            format!(
                "umask 022; file={path}\n[ ! -e \"$file\" ] || {{ echo \"$file is there already\" >&2; exit 1; }}\n\
                 mkdir -p \"$(dirname \"$file\")\" && printf '%s\\n' {content} >\"$file.new\" || exit\n\
                 trap '' HUP PIPE; trap 'rm -f \"$file\"; exit 1' TERM\n\
                 mv --no-clobber \"$file.new\" \"$file\" || exit\n{then}"
            ),
        )
    }

    /// The same, as a person types it.
    pub fn by_hand(&self) -> String {
        let then = self
            .then
            .map(|then| format!(" && sudo {then}"))
            .unwrap_or_default();
        format!(
            "echo {} | sudo tee {}{then}   (there)",
            quoted(self.content),
            self.path
        )
    }
}

/// A word for sh(1).
pub fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_name_is_one_word_whatever_is_in_it() {
        assert_eq!(
            disable("pbx; reboot 'now'").script,
            r"pcs resource disable 'pbx; reboot '\''now'\'''"
        );
    }

    #[test]
    fn a_setting_that_could_not_be_applied_is_written_by_the_next_run() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("setting.conf");
        for (then, is_there) in [("false", false), ("true", true)] {
            let setting = Setting {
                path: path.to_str().unwrap().to_owned().leak(),
                content: "a = b",
                then: Some(then),
            };
            let mut shell = std::process::Command::new("sh");
            let status = shell.args(["-c", &setting.write().script]).status();
            assert_eq!(status.unwrap().success(), is_there);
            assert_eq!(path.exists(), is_there);
        }
    }

    #[test]
    fn who_has_the_lock_is_asked_of_its_unit() {
        let lock = format!("lock={}\n", crate::lock::UNIT);
        assert!(facts().script.contains(&lock));
    }

    #[test]
    fn what_stops_too_is_only_simulated() {
        assert!(stops_too("vip").script.ends_with("--simulate --brief"));
    }

    #[test]
    fn what_looks_changes_nothing() {
        let changing = [
            "pcs resource",
            "--update",
            "--delete",
            "--replace",
            "systemctl start",
            "rm ",
        ];
        for command in [
            state(),
            listing(),
            resources(),
            configuration(),
            facts(),
            lost(&["n1"]),
            settled(),
        ] {
            for word in changing {
                assert!(!command.script.contains(word), "{}: {word}", command.what);
            }
        }
    }

    #[test]
    fn a_setting_is_written_once_and_what_is_there_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it's ours.conf");
        let setting = Setting {
            path: Box::leak(path.display().to_string().into_boxed_str()),
            ..UNATTENDED
        };
        let run = || {
            let mut sh = std::process::Command::new("sh");
            sh.args(["-c", &setting.write().script]).output().unwrap()
        };
        assert!(run().status.success());
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("{}\n", UNATTENDED.content));
        std::fs::write(&path, "of the operator").unwrap();
        let again = run();
        assert!(!again.status.success());
        assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of the operator");
    }

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        let commands = [
            state(),
            listing(),
            resources(),
            configuration(),
            facts(),
            stops_too("vip"),
            disable("pbx"),
            enable("pbx"),
            settled(),
            write_note("restart.pbx", "by 'me'"),
            delete_note("restart.pbx"),
            UNPRIVILEGED_PORTS.write(),
            UNATTENDED.write(),
            NEEDRESTART.write(),
            DRBD_AT_BOOT.write(),
        ];
        for command in commands {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &command.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?}");
        }
    }
}
