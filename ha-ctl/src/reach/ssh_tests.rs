//! With the system's own ssh.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::chown;

use super::super::Options;
use super::super::account::{Operator, tests::account};
use super::*;

/// As sudo leaves it: this is root, and the operator has files of their own.
fn under_sudo(home: &Path) -> Account {
    account(
        Options::default(),
        Some(Operator {
            name: "pbx".to_owned(),
            home: home.to_owned(),
            uid: 65_534,
            gid: 65_534,
        }),
    )
}

#[tokio::test]
async fn under_sudo_the_operators_included_file_is_no_reason_to_refuse() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let included = directory.path().join("config");
    std::fs::write(&included, "Host pbx02\n  Port 2222\n").unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(&included, Some(65_534), Some(65_534)).unwrap();
    let client = Client::new(under_sudo(directory.path()), false).unwrap();
    // The home of a user comes from passwd and cannot be made up: the file is included from another place.
    let include = format!("Include {}\n", included.display());
    let ours = std::fs::read_to_string(&client.configuration).unwrap();
    std::fs::write(&client.configuration, include.clone() + &ours).unwrap();
    let mut ssh = client.ssh();
    let output = ssh.args(["-G", "pbx02"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("port 2222"), "{printed}");
    // What root itself says of the same files.
    let mut ssh = Process::new("ssh");
    ssh.arg("-F").arg(&client.configuration);
    let output = ssh.args(["-G", "pbx02"]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Bad owner or permissions"), "{said}");
}

#[tokio::test]
async fn what_the_operator_forwards_and_runs_is_not_for_our_connections() {
    let client = Client::new(account(Options::default(), None), false).unwrap();
    let theirs = "Host *\n  RemoteCommand top\n  RequestTTY force\n  LocalForward 8887 localhost:8887\n  \
                  DynamicForward 1080\n  ForwardAgent yes\n";
    let ours = std::fs::read_to_string(&client.configuration).unwrap();
    std::fs::write(&client.configuration, theirs.to_owned() + &ours).unwrap();
    let mut ssh = client.master(Path::new("/tmp/socket"), LOGIN);
    let output = ssh.args(["-G", "--", "pbx02"]).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("requesttty false"), "{printed}");
    for not in [
        "remotecommand top",
        "localforward",
        "dynamicforward",
        "forwardagent yes",
    ] {
        assert!(!printed.contains(not), "{not} is in {printed}");
    }
}

#[test]
fn a_command_is_the_same_words_for_the_shell_on_the_node() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let connection = Connection {
        socket: directory.path().join("0"),
        _directory: directory,
    };
    let words = connection.words(&["env".to_owned(), "it's $HOME".to_owned()]);
    let at = words.iter().position(|word| word == "none").unwrap();
    assert_eq!(words[at - 1], "-F", "no configuration is read");
    let command = words[words.len() - 2..].join(" ");
    assert_eq!(command, r"'env' 'it'\''s $HOME'");
}

#[tokio::test]
async fn a_key_with_a_passphrase_is_told_from_one_without() {
    let directory = tempfile::tempdir().unwrap();
    for (name, passphrase) in [("with", "hunter22"), ("without", "")] {
        let key = directory.path().join(name);
        let mut keygen = Process::new("ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-f"])
            .arg(&key);
        assert!(keygen.status().await.unwrap().success());
        assert_eq!(is_encrypted(&key).await, !passphrase.is_empty(), "{name}");
    }
}
