//! Why a node cannot be used, told from what ssh and sudo say (with LC_ALL=C). Each cause has a name, a sentence,
//! and what to do; none of them is a time-out that could be any other.

use super::command::one_line;

/// Why a node cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No answer, or the machine refuses the connection.
    Unreachable {
        /// What ssh said.
        said: String,
    },
    /// The name cannot be resolved.
    NoSuchName {
        /// What ssh said.
        said: String,
    },
    /// Nobody has said yet that this machine's host key is right.
    NewHostKey,
    /// The machine has another host key than before.
    ChangedHostKey {
        /// Where the old key is.
        file: String,
        /// On which line.
        line: String,
        /// What ssh-keygen -R needs to hear.
        host: String,
    },
    /// The machine accepts none of the keys.
    KeyRefused {
        /// What ssh said.
        said: String,
        /// The key of vars.yml, if this machine does not have it.
        missing: Option<String>,
    },
    /// The key has a passphrase, and no agent has it.
    KeyEncrypted {
        /// The file.
        key: String,
    },
    /// The file cannot be read by this user.
    KeyUnreadable {
        /// The file.
        key: String,
        /// The directory on the way to it that this user may not enter.
        directory: Option<String>,
    },
    /// The image's own user has to log in, not root.
    OtherUser {
        /// What the machine said.
        said: String,
    },
    /// sudo wants a password, and there is none.
    SudoAsks,
    /// sudo does not accept the password.
    SudoPasswordWrong,
    /// The user may not use sudo for this.
    SudoNotAllowed {
        /// What sudo said.
        said: String,
    },
    /// There is no sudo.
    NoSudo,
    /// The connection was lost, or did not answer in time.
    Lost {
        /// What was being done.
        what: String,
        /// What came back.
        said: String,
    },
    /// The connection was cut, and could not be made again.
    Cut {
        /// What was being done.
        what: String,
        /// Whether the command may have been carried out.
        sent: bool,
        /// What came back.
        said: String,
    },
    /// The ssh command cannot be run here.
    NoSsh {
        /// Why.
        said: String,
    },
}

impl Cause {
    /// From what ssh said when it could not connect.
    pub fn of_connection(said: &str, host: &str) -> Cause {
        let all = one_line(said);
        let has = |text: &str| all.contains(text);
        if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Offending") {
            let (file, line) = offending(said);
            let host = host.to_owned();
            return Cause::ChangedHostKey { file, line, host };
        }
        // What the machine's profile said comes before; ssh's own words are at the end.
        let last = last_line(said);
        if has("host key is known for") || has("Host key verification failed") {
            Cause::NewHostKey
        } else if has("Could not resolve hostname") {
            Cause::NoSuchName { said: last }
        } else if has("Permission denied (") || has("Too many authentication failures") {
            Cause::KeyRefused {
                said: last,
                missing: None,
            }
        } else {
            Cause::Unreachable { said: last }
        }
    }

    /// From what a command printed that should have become root by sudo, and has not run.
    pub fn of_sudo(stdout: &str, stderr: &str, what: &str) -> Cause {
        let all = format!("{stdout}\n{stderr}");
        let has = |texts: &[&str]| texts.iter().any(|text| all.contains(text));
        let said = || last_line(stderr);
        if has(&["lease login as the user"]) {
            Cause::OtherUser {
                said: one_line(stdout),
            }
        } else if has(&[
            "incorrect password attempt",
            "Sorry, try again",
            // sudo-rs, Ubuntu's since 25.10.
            "ncorrect authentication attempt",
        ]) {
            Cause::SudoPasswordWrong
        } else if has(&["not in the sudoers", "not allowed to", "may not run sudo"]) {
            Cause::SudoNotAllowed { said: said() }
        } else if has(&[
            "a password is required",
            "no password was provided",
            "a terminal is required",
            "nteractive authentication is required",
            "nteraction is required",
        ]) {
            Cause::SudoAsks
        } else if has(&[
            "sudo: not found",
            "sudo: No such file",
            "‘sudo’: No such file",
            "'sudo': No such file",
        ]) {
            Cause::NoSudo
        } else {
            let what = what.to_owned();
            let said = match one_line(&all) {
                said if said.is_empty() => "nothing came back".to_owned(),
                said => said,
            };
            Cause::Lost { what, said }
        }
    }

    /// Whether the machine has turned away a connection that it would take a moment later.
    pub(crate) fn is_turned_away(&self) -> bool {
        let Cause::Unreachable { said } = self else {
            return false;
        };
        said.contains("kex_exchange_identification") || said.contains("Connection closed by")
    }

    /// Whether the connection was cut, so that another one may do.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self, Cause::Cut { .. })
    }

    /// Whether it is certain that the command was not carried out.
    pub(crate) fn was_not_sent(&self) -> bool {
        !matches!(self, Cause::Lost { .. } | Cause::Cut { sent: true, .. })
    }

    /// The stable name, as `check` has it.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Unreachable { .. }
            | Cause::NoSuchName { .. }
            | Cause::Lost { .. }
            | Cause::Cut { .. } => "ssh.reach",
            Cause::NoSsh { .. } => "ssh.client",
            Cause::NewHostKey | Cause::ChangedHostKey { .. } => "ssh.host-key",
            Cause::KeyRefused { .. }
            | Cause::KeyEncrypted { .. }
            | Cause::KeyUnreadable { .. }
            | Cause::OtherUser { .. } => "ssh.key",
            Cause::SudoAsks
            | Cause::SudoPasswordWrong
            | Cause::SudoNotAllowed { .. }
            | Cause::NoSudo => "ssh.sudo",
        }
    }

    /// What was found, in one sentence without the node.
    pub fn found(&self) -> String {
        match self {
            Cause::Unreachable { said } => format!("does not answer: {said}"),
            Cause::NoSuchName { said } => format!("has a name that leads nowhere: {said}"),
            Cause::NewHostKey => {
                "has a host key that nobody has accepted on this machine yet".to_owned()
            }
            Cause::ChangedHostKey { file, line, .. } => {
                format!("has another host key than before ({file}, line {line})")
            }
            Cause::KeyRefused {
                said,
                missing: None,
            } => format!("accepts none of the keys: {said}"),
            Cause::KeyRefused {
                said,
                missing: Some(key),
            } => format!(
                "accepts none of the keys, and the key of vars.yml, {key}, is not on this machine: {said}"
            ),
            Cause::KeyEncrypted { key } => {
                format!(
                    "cannot be logged in to: the key {key} has a passphrase, and no SSH agent has the key"
                )
            }
            Cause::KeyUnreadable {
                key,
                directory: None,
            } => format!("cannot be logged in to: this user cannot read the key {key}"),
            Cause::KeyUnreadable {
                key,
                directory: Some(directory),
            } => format!(
                "cannot be logged in to: this user may not enter {directory}, where the key {key} is looked for"
            ),
            Cause::OtherUser { said } => format!("wants another user to log in: {said}"),
            Cause::SudoAsks => "has a sudo that asks for a password".to_owned(),
            Cause::SudoPasswordWrong => "does not accept the password for sudo".to_owned(),
            Cause::SudoNotAllowed { said } => {
                format!("does not allow the user to become root: {said}")
            }
            Cause::NoSudo => "has no sudo, and the user is not root".to_owned(),
            Cause::Lost { what, said } | Cause::Cut { what, said, .. } => {
                format!("was lost while {what}: {said}")
            }
            Cause::NoSsh { said } => {
                format!("cannot be reached, because ssh cannot be run here: {said}")
            }
        }
    }

    /// What the operator can do, where `by_hand` is the ssh command that does the same as ha-ctl.
    pub fn help(&self, by_hand: &str) -> String {
        match self {
            Cause::Unreachable { .. }
            | Cause::NoSuchName { .. }
            | Cause::Lost { .. }
            | Cause::Cut { .. } => {
                format!("try by hand: {by_hand}")
            }
            Cause::NewHostKey => format!(
                "log in once and compare the fingerprint: {by_hand}. Or have ha-ctl accept it: --accept-new-host-keys"
            ),
            Cause::ChangedHostKey { file, host, .. } => {
                let sudo = if file.starts_with("/etc/") { "sudo " } else { "" };
                format!(
                    "if the machine was installed anew, remove the old key: {sudo}ssh-keygen -f '{file}' -R '{host}'. If \
                     not, another machine answers in its place: do not go on"
                )
            }
            Cause::KeyRefused {
                missing: Some(_), ..
            } => format!("give the key's file on this machine: --identity FILE. By hand: {by_hand}"),
            Cause::KeyRefused { missing: None, .. } => {
                format!("try by hand: {by_hand}. --identity FILE gives another key, --user NAME another user")
            }
            Cause::KeyEncrypted { key } => format!("ssh-add {key}"),
            Cause::KeyUnreadable { .. } => {
                "run ha-ctl as the key's owner or with sudo, or give another key: --identity FILE".to_owned()
            }
            Cause::OtherUser { .. } => "--user NAME names it".to_owned(),
            Cause::SudoAsks => {
                "run ha-ctl in a terminal, where it asks for the password once; or give it a file: \
                 --sudo-password-file FILE"
                    .to_owned()
            }
            Cause::SudoPasswordWrong => {
                "the same user and password have to be right on every node. Run ha-ctl again".to_owned()
            }
            Cause::SudoNotAllowed { .. } => {
                "as an administrator of that node, add the user to the group: usermod -aG sudo NAME. Or log in as \
                 another user: --user NAME"
                    .to_owned()
            }
            Cause::NoSudo => "as root on that node: apt install sudo".to_owned(),
            Cause::NoSsh { .. } => "sudo apt install openssh-client".to_owned(),
        }
    }
}

fn last_line(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.next_back().unwrap_or("ssh said nothing").to_owned()
}

/// `Offending ED25519 key in /home/ubuntu/.ssh/known_hosts:3`
fn offending(said: &str) -> (String, String) {
    let line = said.lines().find(|line| line.contains("Offending"));
    let place = line.and_then(|line| line.split_once(" in "));
    let parts = place.and_then(|(_, place)| place.trim().rsplit_once(':'));
    let (file, line) = parts.unwrap_or(("~/.ssh/known_hosts", "?"));
    (file.to_owned(), line.to_owned())
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
