//! As whom ha-ctl logs in, with which keys and which known hosts: decided once, and written as a small ssh
//! configuration in front of the operator's own, which stays in force (jump hosts, agents, certificates).

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nix::unistd::{Uid, User, chown};

use super::cause::Cause;

/// Where deploy writes the host keys of all nodes, on each of them.
pub const NODES_KNOWN_HOSTS: &str = "/etc/portsip/known_hosts";

/// Which options of the command line say how to log in.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--user`.
    pub user: Option<String>,
    /// `--identity`.
    pub identity: Option<PathBuf>,
    /// The key that vars.yml names.
    pub key_of_vars: Option<PathBuf>,
}

/// As whom, and with what.
#[derive(Debug, Clone)]
pub struct Account {
    /// The key, where one was named and is on this machine.
    pub(crate) key: Option<PathBuf>,
    /// The key that vars.yml names, where this machine does not have it.
    pub(crate) missing_key: Option<String>,
    /// Why the key cannot be used, where it is on this machine and cannot be read.
    pub(crate) unreadable_key: Option<Cause>,
    /// The user of `--user`.
    pub(crate) user: Option<String>,
    /// The user where the operator's configuration names none.
    default_user: Option<String>,
    /// The operator behind sudo, whose ssh configuration counts.
    operator: Option<Operator>,
    /// Only root can read the key, so ssh runs as root, and without the operator's configuration.
    as_root: bool,
}

/// Who has called sudo. ssh runs as this person: root's ssh refuses files that belong to neither root nor itself.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// From the options and from who runs this.
    pub fn of(options: &Options) -> Account {
        let operator = operator();
        Account::with(options, operator)
    }

    fn with(options: &Options, operator: Option<Operator>) -> Account {
        let named = options.identity.as_ref().or(options.key_of_vars.as_ref());
        let (key, missing) = match named {
            // An --identity that is missing is ssh's to complain of. What cannot be looked for is not missing.
            Some(key) if options.identity.is_some() || !matches!(key.try_exists(), Ok(false)) => {
                (Some(key.clone()), None)
            }
            Some(key) => (None, Some(key.display().to_string())),
            None => (None, None),
        };
        let unreadable = key.as_deref().and_then(unreadable);
        let as_root = match (&operator, &key) {
            (Some(operator), Some(key)) => key.exists() && !operator.can_read(key),
            _ => false,
        };
        // The vendor's file has the key in the home directory of the user that logs in.
        let of_key = options.key_of_vars.as_deref().and_then(user_of_home);
        let default_user = of_key.or_else(|| operator.as_ref().map(|it| it.name.clone()));
        Account {
            key,
            missing_key: missing,
            unreadable_key: unreadable,
            user: options.user.clone(),
            default_user,
            operator,
            as_root,
        }
    }

    /// As whom ssh runs, if not as who runs this.
    pub(crate) fn runs_as(&self) -> Option<&Operator> {
        self.operator.as_ref().filter(|_| !self.as_root)
    }

    /// What the operator should know before anything is connected.
    pub(crate) fn remark(&self) -> Option<String> {
        let operator = self.operator.as_ref().filter(|_| self.as_root)?;
        let key = self.key.as_ref()?.display();
        Some(format!(
            "only root can read the key {key}, so ssh runs as root, without ~/.ssh/config of {}",
            operator.name
        ))
    }

    /// The ssh configuration: what ha-ctl needs, then the operator's own, then the defaults.
    pub(crate) fn configuration(&self) -> String {
        let mut text =
            "# Made by ha-ctl for one run.\nLogLevel INFO\nServerAliveCountMax 3\n".to_owned();
        if !self.as_root {
            text += "Include ~/.ssh/config\n";
        }
        text += "Include /etc/ssh/ssh_config\nHost *\n";
        if let Some(user) = &self.default_user {
            text += &format!("  User {user}\n");
        }
        if let Some(operator) = self.operator.as_ref().filter(|_| self.as_root) {
            let known = operator.home.join(".ssh/known_hosts");
            text += &format!("  UserKnownHostsFile {}\n", known.display());
        }
        // The first two are ssh's own.
        text += &format!(
            "  GlobalKnownHostsFile /etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2 {NODES_KNOWN_HOSTS}\n"
        );
        text
    }

    /// A known_hosts that ssh would make as root belongs to the operator.
    pub(crate) fn own_known_hosts(&self) -> io::Result<()> {
        let Some(operator) = self.operator.as_ref().filter(|_| self.as_root) else {
            return Ok(());
        };
        let directory = operator.home.join(".ssh");
        let file = directory.join("known_hosts");
        if file.exists() {
            return Ok(());
        }
        let (uid, gid) = (Some(operator.uid.into()), Some(operator.gid.into()));
        if !directory.exists() {
            fs::create_dir(&directory)?;
            fs::set_permissions(
                &directory,
                std::os::unix::fs::PermissionsExt::from_mode(0o700),
            )?;
            chown(&directory, uid, gid)?;
        }
        fs::File::create_new(&file)?;
        chown(&file, uid, gid)?;
        Ok(())
    }

    /// The ssh command that a person would type to see the same failure.
    pub(crate) fn by_hand(&self, host: &str) -> String {
        let key = self
            .key
            .as_ref()
            .map(|key| format!("-i {} ", key.display()));
        let user = self.user.as_ref().or(self.default_user.as_ref());
        let user = user.map(|user| format!("{user}@"));
        let part = |part: Option<String>| part.unwrap_or_default();
        format!("ssh {}{}{host}", part(key), part(user))
    }
}

impl Operator {
    fn can_read(&self, file: &Path) -> bool {
        let mut test = std::process::Command::new("test");
        test.uid(self.uid).gid(self.gid).arg("-r").arg(file);
        test.status().is_ok_and(|status| status.success())
    }
}

/// Why this user cannot read a key that is there, or may be.
fn unreadable(key: &Path) -> Option<Cause> {
    let error = fs::File::open(key).err()?;
    if error.kind() != io::ErrorKind::PermissionDenied {
        return None;
    }
    // The file's own permission, or that of a directory on the way to it.
    let directories = key.ancestors().skip(1);
    let closed = directories.filter(|directory| directory.join(".").metadata().is_err());
    let directory = closed.last().map(|it| it.display().to_string());
    let key = key.display().to_string();
    Some(Cause::KeyUnreadable { key, directory })
}

/// `/home/ubuntu/.ssh/key.pem` is of `ubuntu`.
fn user_of_home(key: &Path) -> Option<String> {
    let below = key.strip_prefix("/home").ok()?;
    let mut parts = below.components();
    let user = parts.next()?.as_os_str().to_str()?.to_owned();
    parts.next().map(|_| user)
}

/// Who has called sudo, where this runs under it.
fn operator() -> Option<Operator> {
    if !Uid::effective().is_root() {
        return None;
    }
    let name = env::var("SUDO_USER").ok().filter(|name| name != "root")?;
    let user = User::from_name(&name).ok()??;
    Some(Operator {
        name,
        home: user.dir,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(crate) fn account(options: Options, operator: Option<Operator>) -> Account {
        Account::with(&options, operator)
    }

    fn vendors() -> Options {
        Options {
            key_of_vars: Some("/home/no-such-user/.ssh/aws-portsip-pbx-ha.pem".into()),
            ..Options::default()
        }
    }

    #[test]
    fn the_user_is_the_one_in_whose_home_the_key_of_vars_yml_is() {
        let account = account(vendors(), None);
        let text = account.configuration();
        assert!(text.contains("\nHost *\n  User no-such-user\n"), "{text}");
        assert_eq!(account.by_hand("pbx02"), "ssh no-such-user@pbx02");
        assert_eq!(user_of_home(Path::new("/root/.ssh/key")), None);
        assert_eq!(user_of_home(Path::new("/home/key.pem")), None);
    }

    #[test]
    fn a_key_that_is_not_on_this_machine_is_not_given_to_ssh_but_named() {
        let account = account(vendors(), None);
        assert_eq!(account.key, None);
        let missing = account.missing_key.as_deref();
        assert_eq!(
            missing,
            Some("/home/no-such-user/.ssh/aws-portsip-pbx-ha.pem")
        );
    }

    #[test]
    fn what_the_operators_own_configuration_says_goes_first() {
        let text = account(vendors(), None).configuration();
        let (own, user) = (
            text.find("Include ~/.ssh/config"),
            text.find("User no-such"),
        );
        assert!(own < user, "{text}");
    }

    fn operator() -> Operator {
        Operator {
            name: "pbx".to_owned(),
            home: "/home/pbx".into(),
            uid: 65_534,
            gid: 65_534,
        }
    }

    #[test]
    fn under_sudo_ssh_runs_as_the_operator_with_their_files() {
        let account = account(Options::default(), Some(operator()));
        assert_eq!(account.runs_as().unwrap().name, "pbx");
        let text = account.configuration();
        for line in ["Include ~/.ssh/config", "  User pbx"] {
            assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
        }
        assert_eq!(account.remark(), None);
    }

    #[test]
    fn a_key_that_only_root_can_read_is_used_by_root_and_that_is_said() {
        if !Uid::effective().is_root() {
            eprintln!("needs root");
            return;
        }
        let key = tempfile::NamedTempFile::new().unwrap();
        let options = Options {
            identity: Some(key.path().to_owned()),
            ..Options::default()
        };
        let account = account(options, Some(operator()));
        assert!(account.runs_as().is_none());
        let text = account.configuration();
        assert!(!text.contains(".ssh/config"), "{text}");
        assert!(
            text.contains("UserKnownHostsFile /home/pbx/.ssh/known_hosts"),
            "{text}"
        );
        let remark = account.remark().unwrap();
        assert!(remark.contains("without ~/.ssh/config of pbx"), "{remark}");
    }

    /// Root can read everything, so a root without that right looks.
    #[test]
    fn a_key_below_a_directory_that_is_closed_is_not_called_missing() {
        const CLOSED: &str = "HA_CTL_TEST_CLOSED";
        if let Ok(closed) = env::var(CLOSED) {
            let options = Options {
                key_of_vars: Some(Path::new(&closed).join("ssh/key")),
                ..Options::default()
            };
            let account = account(options, None);
            assert_eq!(account.missing_key, None);
            let found = account.unreadable_key.unwrap().found();
            assert!(
                found.contains(&format!("may not enter {closed},")),
                "{found}"
            );
            return;
        }
        if !Uid::effective().is_root() {
            eprintln!("needs root");
            return;
        }
        let closed = tempfile::tempdir().unwrap();
        fs::create_dir(closed.path().join("ssh")).unwrap();
        fs::write(closed.path().join("ssh/key"), "").unwrap();
        chown(closed.path(), Some(65_534.into()), None).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(closed.path(), mode).unwrap();
        let name =
            "reach::account::tests::a_key_below_a_directory_that_is_closed_is_not_called_missing";
        let mut again = std::process::Command::new("setpriv");
        again
            .arg("--bounding-set=-all")
            .arg(env::current_exe().unwrap());
        again.args(["--exact", name]).env(CLOSED, closed.path());
        let output = again.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
    }
}
