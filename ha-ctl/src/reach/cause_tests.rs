//! What OpenSSH 9.2 and 9.6 and sudo 1.9.13 said, as it was printed.

use super::*;

const CHANGED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r
It is also possible that a host key has just been changed.\r
The fingerprint for the ED25519 key sent by the remote host is\n\
SHA256:5Mz8nVtEGqPu3vCsrKl6hJ4zvTzsZdXL8u0ZbmbhB2w.\r
Please contact your system administrator.\r
Add correct host key in /home/ubuntu/.ssh/known_hosts to get rid of this message.\r
Offending ED25519 key in /home/ubuntu/.ssh/known_hosts:3\r
  remove with:\r
  ssh-keygen -f \"/home/ubuntu/.ssh/known_hosts\" -R \"172.31.16.134\"\r
Host key for 172.31.16.134 has changed and you have requested strict checking.\r
Host key verification failed.\r
";

#[test]
fn a_changed_host_key_names_file_line_and_command() {
    let cause = Cause::of_connection(CHANGED, "172.31.16.134");
    assert_eq!(
        cause.found(),
        "has another host key than before (/home/ubuntu/.ssh/known_hosts, line 3)"
    );
    assert!(
        cause
            .help("ssh x")
            .contains("ssh-keygen -f '/home/ubuntu/.ssh/known_hosts' -R '172.31.16.134'"),
        "{}",
        cause.help("ssh x")
    );
}

#[test]
fn each_failure_of_ssh_is_told_from_the_others() {
    let of = |said: &str| Cause::of_connection(said, "172.31.16.134");
    assert_eq!(
        of(
            "No ED25519 host key is known for 172.31.16.134 and you have requested strict checking.\r\nHost key \
             verification failed.\r\n"
        ),
        Cause::NewHostKey
    );
    for (said, name) in [
        (
            "connect to host 172.31.16.134 port 22: Connection timed out",
            "ssh.reach",
        ),
        (
            "connect to host 172.31.16.134 port 22: No route to host",
            "ssh.reach",
        ),
        (
            "connect to host 172.31.16.134 port 22: Connection refused",
            "ssh.reach",
        ),
        (
            "Connection timed out during banner exchange\r\nConnection to 172.31.16.134 port 22 timed out",
            "ssh.reach",
        ),
        (
            "Could not resolve hostname pbx02: Name or service not known",
            "ssh.reach",
        ),
        (
            "ubuntu@172.31.16.134: Permission denied (publickey).",
            "ssh.key",
        ),
        (
            "Received disconnect from 172.31.16.134 port 22:2: Too many authentication failures\r\nDisconnected",
            "ssh.key",
        ),
    ] {
        assert_eq!(of(said).name(), name, "{said}");
    }
}

#[test]
fn each_failure_of_sudo_is_told_from_the_others() {
    let of = |stderr: &str| Cause::of_sudo("", stderr, "looking");
    assert_eq!(of("sudo: a password is required\n"), Cause::SudoAsks);
    assert_eq!(
        of("sudo: no password was provided\nsudo: 1 incorrect password attempt\n"),
        Cause::SudoPasswordWrong
    );
    assert_eq!(
        of("Sorry, try again.\nsudo: no password was provided\n"),
        Cause::SudoPasswordWrong
    );
    assert_eq!(of("guest is not in the sudoers file.\n").name(), "ssh.sudo");
    assert!(
        of("Sorry, user guest is not allowed to execute '/usr/bin/true' as root on pbx01.\n")
            .found()
            .contains("not allowed to execute")
    );
    assert_eq!(
        of("env: 'sudo': No such file or directory\n"),
        Cause::NoSudo
    );
    let lost = of("Connection to 172.31.16.134 closed by remote host.\r\n");
    assert_eq!(lost.name(), "ssh.reach");
    assert!(lost.found().contains("while looking"), "{}", lost.found());
}

#[test]
fn an_image_that_lets_only_its_own_user_in_says_which() {
    let said = "Please login as the user \"ubuntu\" rather than the user \"root\".\n";
    let cause = Cause::of_sudo(said, "", "looking");
    assert!(cause.found().contains("\"ubuntu\""), "{cause:?}");
    assert!(cause.help("").contains("--user"));
}

/// sshd lets in only so many at once (MaxStartups), and says nothing to the others.
#[test]
fn a_machine_that_turns_a_connection_away_is_asked_again() {
    let of = |said: &str| Cause::of_connection(said, "172.31.16.134");
    for (said, again) in [
        (
            "kex_exchange_identification: read: Connection reset by peer\r\n",
            true,
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 172.31.16.134 \
             port 22\r\n",
            true,
        ),
        (
            "connect to host 172.31.16.134 port 22: Connection refused",
            false,
        ),
        (
            "ubuntu@172.31.16.134: Permission denied (publickey).",
            false,
        ),
        (CHANGED, false),
    ] {
        assert_eq!(of(said).is_turned_away(), again, "{said}");
    }
}
