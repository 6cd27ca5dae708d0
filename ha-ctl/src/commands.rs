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
for daemon in corosync pacemaker pcsd sbd; do
    enabled=$(systemctl is-enabled $daemon 2>/dev/null)
    active=$(systemctl is-active $daemon)
    [ $daemon = sbd ] && [ $active = inactive ] && continue
    echo "  $daemon: $active/${enabled:-unknown}"
done
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

/// What is on a node: versions, daemons, containers, how full the data is. Each line is a word and its values.
pub fn facts() -> Command {
    let mut command = Command::look("looking at the node", FACTS);
    command.limit = Duration::from_secs(5);
    command
}

const FACTS: &str = r#"
dpkg-query -W -f='package ${Package} ${db:Status-Abbrev} ${Version}\n' \
    portsip-ha pacemaker corosync pcs docker.io docker-ce 2>/dev/null
echo "docker $(systemctl is-active docker)"
data=$(crm_resource --resource datapath_fs --get-parameter directory 2>/dev/null) || data=
if [ "$data" ] && mountpoint -q "$data"; then
    timeout 1 df -B1 --output=size,used,itotal,iused "$data" | sed -n "2s|^|data $data |p"
fi
timeout 2 docker ps --all --filter label=com.docker.compose.project=portsip \
    --format 'container {{.Names}} {{.State}} {{.Image}}' 2>/dev/null ||
    { [ "$(systemctl is-active docker)" = active ] && echo 'docker silent'; }
exit 0"#;

/// Asks that a resource stops, and stays stopped.
pub fn disable(resource: &str) -> Command {
    change(
        format!("disable resource {resource}"),
        format!("pcs resource disable {}", quoted(resource)),
    )
}

/// Asks that a resource runs.
pub fn enable(resource: &str) -> Command {
    change(
        format!("enable resource {resource}"),
        format!("pcs resource enable {}", quoted(resource)),
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
    change(
        format!("note {name}: {text}"),
        format!(
            "crm_attribute --type crm_config --set-name {NOTES} --name {} --update {}",
            quoted(name),
            quoted(text)
        ),
    )
}

/// Removes a note.
pub fn delete_note(name: &str) -> Command {
    change(
        format!("remove the note {name}"),
        format!(
            "crm_attribute --type crm_config --set-name {NOTES} --name {} --delete",
            quoted(name)
        ),
    )
}

fn change(what: String, script: String) -> Command {
    let mut command = Command::look(&what, script);
    command.limit = Duration::from_secs(60);
    command
}

/// A word for sh(1).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_whatever_is_in_it() {
        assert_eq!(
            disable("pbx; reboot 'now'").script,
            r"pcs resource disable 'pbx; reboot '\''now'\'''"
        );
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
            settled(),
        ] {
            for word in changing {
                assert!(!command.script.contains(word), "{}: {word}", command.what);
            }
        }
    }

    #[test]
    fn every_script_is_one_that_sh_can_read() {
        let commands = [
            state(),
            listing(),
            resources(),
            configuration(),
            facts(),
            disable("pbx"),
            enable("pbx"),
            settled(),
            write_note("restart.pbx", "by 'me'"),
            delete_note("restart.pbx"),
        ];
        for command in commands {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &command.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?}");
        }
    }
}
