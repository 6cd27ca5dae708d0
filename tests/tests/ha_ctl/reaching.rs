//! Logging in and becoming root: whatever is wrong has an answer of its own, and none is a time-out.

use crate::operator::Operator;

/// A user whose sudo asks for a password, as on the vendor's LAN.
const ASKED: &str = "pbx";
const PASSWORD: &str = "asked-for-by-sudo";
/// The same as useradd takes it, because sudo writes what this test runs into the journal.
const HASH: &str = "$6$labsalt$HoYyP0SPvEvTmCQByaNRnkPL/nCC48R99aNePJSk6MBswuk2COXh6uEDZzw48g/HKLil4I/HAlCLohTJ7RNFA/";

/// Ends with everything as it should be.
pub(crate) fn each_cause_has_its_own_answer(first: &Operator, second: &Operator) {
    // Nobody has accepted a host key.
    answers(
        first,
        "check --only ssh",
        "ssh.host-key",
        "--accept-new-host-keys",
    );
    // A key with a passphrase, and no agent.
    first
        .as_user("ssh-keygen -q -t ed25519 -N passphrase -f .ssh/encrypted")
        .succeeded();
    let accept = "check --only ssh --accept-new-host-keys";
    answers(
        first,
        &format!("{accept} --identity /home/ubuntu/.ssh/encrypted"),
        "ssh.key",
        "ssh-add /home/ubuntu",
    );
    // A key that nobody knows.
    first
        .as_user("ssh-keygen -q -t ed25519 -N '' -f .ssh/unknown")
        .succeeded();
    answers(
        first,
        &format!("{accept} --identity /home/ubuntu/.ssh/unknown"),
        "ssh.key",
        "Permission denied",
    );
    // With the key of vars.yml all is well, and the host keys are known from now on.
    first.ha_ctl(accept).succeeded();
    first.ha_ctl("check --only ssh").succeeded();
    another_host_key_stops(first);
    under_sudo_the_operators_configuration_counts(first);
    a_sudo_that_asks_gets_the_password(first, second);
    a_noisy_profile_is_not_the_output(first, second);
}

/// Root's ssh refuses an included file that belongs to the operator. What a person forwards and runs in a session of
/// their own is not for ha-ctl's.
fn under_sudo_the_operators_configuration_counts(first: &Operator) {
    first
        .as_user(
            "mkdir .ssh/config.d; echo 'Include config.d/*' >.ssh/config
             printf 'Host *\\n  RemoteCommand top\\n  RequestTTY force\\n  LocalForward 8887 localhost:8887\\n' >.ssh/config.d/own",
        )
        .succeeded();
    for sudo in ["", "sudo -n "] {
        let command = format!("{sudo}ha-ctl check --only ssh </dev/null");
        first.as_user(&command).succeeded();
    }
    let owners = "find .ssh -user root | grep . && exit 1; rm -r .ssh/config .ssh/config.d";
    first.as_user(owners).succeeded();
}

/// What `check` says of a node that is not as it should be.
#[track_caller]
fn answers(operator: &Operator, arguments: &str, name: &str, said: &str) {
    let ran = operator.ha_ctl(arguments);
    assert_eq!(ran.status, 4, "{ran}");
    assert!(ran.stdout.contains(&format!("error   {name}: ")), "{ran}");
    assert!(ran.stdout.contains(said), "{ran}");
}

fn another_host_key_stops(first: &Operator) {
    first
        .as_user(
            "cp .ssh/known_hosts known; ssh-keygen -q -f .ssh/known_hosts -R 172.31.16.134 2>/dev/null
             read -r type key rest <.ssh/unknown.pub
             { echo \"172.31.16.134 $type $key\"; cat .ssh/known_hosts; } >changed && mv changed .ssh/known_hosts",
        )
        .succeeded();
    let place = "/home/ubuntu/.ssh/known_hosts, line 1";
    answers(
        first,
        "check --only ssh --accept-new-host-keys",
        "ssh.host-key",
        place,
    );
    answers(
        first,
        "check --only ssh",
        "ssh.host-key",
        "ssh-keygen -f '/home/ubuntu/.ssh/known_hosts' -R '172.31.16.134'",
    );
    first.as_user("mv known .ssh/known_hosts").succeeded();
}

/// The user is on the second node alone. The password is in no argument there while a command runs.
fn a_sudo_that_asks_gets_the_password(first: &Operator, second: &Operator) {
    second
        .as_root(&format!(
            "useradd --create-home --shell /bin/bash --groups sudo --password '{HASH}' {ASKED}
             install -d -m 700 -o {ASKED} -g {ASKED} /home/{ASKED}/.ssh
             install -m 600 -o {ASKED} -g {ASKED} /home/ubuntu/.ssh/authorized_keys /home/{ASKED}/.ssh/"
        ))
        .succeeded();
    // Only the second node is logged in to as this user.
    first
        .as_user(&format!(
            "printf 'Host 172.31.16.134\\n  User {ASKED}\\n' >.ssh/config"
        ))
        .succeeded();
    answers(
        first,
        "check --only ssh",
        "ssh.sudo",
        "--sudo-password-file",
    );
    first
        .as_user("(umask 077; echo wrong >password)")
        .succeeded();
    let with_file = "check --only ssh --sudo-password-file password";
    answers(first, with_file, "ssh.sudo", "does not accept the password");
    first
        .as_user(&format!("echo {PASSWORD} >password"))
        .succeeded();
    first.ha_ctl(with_file).succeeded();
    let shown = first.json("show --json --sudo-password-file password");
    assert_eq!(shown["on_nodes"].as_array().unwrap().len(), 3, "{shown:#}");
    first.as_user("chmod 644 password").succeeded();
    let refused = first.ha_ctl(with_file);
    assert_eq!(refused.status, 2, "{refused}");
    // Who may not use sudo at all.
    second
        .as_root(&format!("gpasswd --delete {ASKED} sudo"))
        .succeeded();
    first.as_user("chmod 600 password").succeeded();
    answers(
        first,
        with_file,
        "ssh.sudo",
        "does not allow the user to become root",
    );
    let logged = second
        .as_root("journalctl --since -10min; ps -ef")
        .succeeded();
    assert!(
        !logged.contains(PASSWORD),
        "the password is in the journal of the node"
    );
    first.as_user("rm password .ssh/config").succeeded();
}

fn a_noisy_profile_is_not_the_output(first: &Operator, second: &Operator) {
    second
        .as_user("cp .bashrc kept; { echo 'echo Welcome to the PBX; echo maintenance at 3 >&2'; cat kept; } >.bashrc")
        .succeeded();
    let shown = first.json("show --json");
    assert_eq!(shown["on_nodes"].as_array().unwrap().len(), 3, "{shown:#}");
    assert_eq!(shown["notices"], serde_json::json!([]));
    second.as_user("mv kept .bashrc").succeeded();
}
