//! The Compose project of an extended server: one service, with the vendor's command line.

use super::cluster::Cluster;
use super::facts::Facts;
use super::kind::Kind;
use super::register::Entry;
use crate::commands::quoted;
use crate::reach::Command;

/// Where the data is in the container.
const INSIDE: &str = "/var/lib/portsip/pbx";

/// Where the project is on the server.
pub(super) fn directory(kind: Kind) -> String {
    format!("/etc/portsip/{kind}")
}

/// The command line of the server's program, as the vendor has it.
pub(super) fn command_line(entry: &Entry, cluster: &Cluster) -> Vec<String> {
    let server = &entry.server;
    let program = format!("/usr/local/bin/{}", server.kind.service());
    let (vip, own) = (cluster.vip.to_string(), server.address.to_string());
    let name = server.name.to_string();
    let words = [
        program.as_str(),
        "-D",
        INSIDE,
        "-E",
        "-a",
        &vip,
        "-x",
        &own,
        "-n",
        &name,
        "start",
    ];
    words.map(str::to_owned).to_vec()
}

/// A word or a list for YAML, which JSON is too.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The compose file. Pacemaker does not run an extended server, so Docker starts it again after a reboot.
pub(super) fn compose_file(entry: &Entry, cluster: &Cluster, facts: &Facts) -> String {
    let kind = entry.server.kind;
    let localtime = match facts.has_localtime() {
        true => {
            "      - {type: bind, source: /etc/localtime, target: /etc/localtime, read_only: true}\n"
        }
        false => "",
    };
    format!(
        "# Written by ha-ctl extend, which writes it anew.\n\
         name: {kind}\n\
         services:\n\
         \x20 {service}:\n\
         \x20   image: {image}\n\
         \x20   container_name: {container}\n\
         \x20   command: {command}\n\
         \x20   user: \"888:888\"\n\
         \x20   network_mode: host\n\
         \x20   restart: unless-stopped\n\
         \x20   stop_grace_period: 300s\n\
         \x20   cap_add: [SYS_PTRACE]\n\
         \x20   environment: {{LD_LIBRARY_PATH: /usr/local/lib}}\n\
         \x20   volumes:\n\
         \x20     - {{type: bind, source: {data}, target: {INSIDE}, bind: {{create_host_path: false}}}}\n\
         {localtime}",
        service = kind.service(),
        image = json(&cluster.image),
        container = kind.container(),
        command = json(&command_line(entry, cluster)),
        data = json(&entry.data),
    )
}

/// Whether the container that is there does what is wanted. One that the vendor's script has made does.
pub(super) fn is_as_wanted(entry: &Entry, cluster: &Cluster, facts: &Facts) -> bool {
    let command: Option<Vec<String>> = facts
        .command()
        .and_then(|json| serde_json::from_str(json).ok());
    command.is_some_and(|command| command == command_line(entry, cluster)) && facts.starts_again()
}

/// Writes the compose file.
pub(super) fn write(kind: Kind, content: &str) -> Command {
    let directory = directory(kind);
    let file = quoted(&format!("{directory}/docker-compose.yml"));
    Command::change(
        format!("write {directory}/docker-compose.yml"),
        format!(
            "umask 022; mkdir -p {} && cat >{file}.new && mv {file}.new {file}",
            quoted(&directory)
        ),
    )
    .reading(content)
}

/// The directory of the data, with those below it that the vendor's script makes.
pub(super) fn make_data(data: &str) -> Command {
    let directory = quoted(data);
    Command::change(
        format!("make {data} for the user 888"),
        format!(
            "set -e\numask 022\nmkdir -p \"$(dirname {directory})\"\ninstall -d -m 0755 -o 888 -g 888 {directory}\n\
             cd {directory}\ninstall -d -m 0755 -o 888 -g 888 callqueue dump log mcu mcu/record"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::cluster::tests::cluster;
    use super::super::kind::KINDS;
    use super::super::register::tests::entry;
    use super::*;

    #[test]
    fn each_type_has_the_vendors_program_container_and_command_line() {
        let facts = Facts::parse("localtime yes\n", 0.0);
        let files = KINDS.map(|kind| {
            let entry = entry(kind, &format!("{kind}-1"), "192.168.1.21");
            compose_file(&entry, &cluster(), &facts)
        });
        insta::assert_snapshot!(files.join("\n"));
    }

    #[test]
    fn a_container_that_the_vendors_script_made_is_as_wanted_and_one_of_another_name_is_not() {
        let entry = entry(Kind::Ivr, "vr-server-1", "192.168.1.24");
        let made = |name: &str, policy: &str| {
            let command = format!(
                r#"["/usr/local/bin/vr","-D","/var/lib/portsip/pbx","-E","-a","192.168.1.130","-x","192.168.1.24","-n","{name}","start"]"#
            );
            let printed = format!("container running 0 -\ncommand {command}\npolicy {policy}\n");
            is_as_wanted(&entry, &cluster(), &Facts::parse(&printed, 0.0))
        };
        assert!(made("vr-server-1", "unless-stopped"));
        assert!(!made("vr-server-2", "unless-stopped"));
        assert!(!made("vr-server-1", "no"));
        assert!(!is_as_wanted(&entry, &cluster(), &Facts::default()));
    }

    #[test]
    fn the_data_belongs_to_the_user_of_the_program() {
        let directory = tempfile::tempdir().unwrap();
        if !nix::unistd::geteuid().is_root() {
            eprintln!("needs root");
            return;
        }
        let data = directory.path().join("it's/media-server-only");
        let mut sh = std::process::Command::new("sh");
        let command = make_data(data.to_str().unwrap());
        assert!(sh.args(["-c", &command.script]).status().unwrap().success());
        use std::os::unix::fs::MetadataExt as _;
        for made in [data.clone(), data.join("mcu/record")] {
            let made = made.metadata().unwrap();
            assert_eq!(
                (made.uid(), made.gid(), made.mode() & 0o777),
                (888, 888, 0o755)
            );
        }
    }
}
