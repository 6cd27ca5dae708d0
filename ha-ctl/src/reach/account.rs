//! As whom ha-ctl logs in, with which keys and which known hosts: decided once, and written as a small ssh
//! configuration in front of the operator's own, which stays in force (jump hosts, agents, certificates).

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nix::unistd::{Uid, User, chown};

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
    /// The user of `--user`.
    pub(crate) user: Option<String>,
    /// The user where the operator's configuration names none.
    default_user: Option<String>,
    /// The operator behind sudo, whose ssh configuration counts.
    operator: Option<Operator>,
}

#[derive(Debug, Clone)]
struct Operator {
    name: String,
    home: PathBuf,
    uid: u32,
    gid: u32,
}

/// Names that ssh(1) tries without being told, in its order.
const DEFAULT_KEYS: [&str; 3] = ["id_rsa", "id_ecdsa", "id_ed25519"];

impl Account {
    /// From the options and from who runs this.
    pub fn of(options: &Options) -> Account {
        let operator = operator();
        let named = options.identity.as_ref().or(options.key_of_vars.as_ref());
        let (key, missing) = match named {
            // An --identity that is missing is ssh's to complain of.
            Some(key) if options.identity.is_some() || key.exists() => (Some(key.clone()), None),
            Some(key) => (None, Some(key.display().to_string())),
            None => (None, None),
        };
        // The vendor's file has the key in the home directory of the user that logs in.
        let of_key = options.key_of_vars.as_deref().and_then(user_of_home);
        let default_user = of_key.or_else(|| operator.as_ref().map(|it| it.name.clone()));
        Account {
            key,
            missing_key: missing,
            user: options.user.clone(),
            default_user,
            operator,
        }
    }

    /// The ssh configuration: what ha-ctl needs, then the operator's own, then the defaults.
    pub(crate) fn configuration(&self) -> String {
        let mut text =
            "# Made by ha-ctl for one run.\nLogLevel INFO\nServerAliveCountMax 3\n".to_owned();
        let home = match &self.operator {
            Some(operator) => operator.home.display().to_string(),
            None => "~".to_owned(),
        };
        text += &format!("Include {home}/.ssh/config\nInclude /etc/ssh/ssh_config\nHost *\n");
        if let Some(user) = &self.default_user {
            text += &format!("  User {user}\n");
        }
        if let Some(operator) = &self.operator {
            let ssh = operator.home.join(".ssh");
            text += &format!(
                "  UserKnownHostsFile {}\n",
                ssh.join("known_hosts").display()
            );
            for key in DEFAULT_KEYS.map(|name| ssh.join(name)) {
                text += &format!("  IdentityFile {}\n", key.display());
            }
        }
        text
    }

    /// Under sudo, a known_hosts that ssh would make as root belongs to the operator.
    pub(crate) fn own_known_hosts(&self) -> io::Result<()> {
        let Some(operator) = &self.operator else {
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
mod tests {
    use super::*;

    fn account(options: Options, operator: Option<Operator>) -> Account {
        Account {
            operator,
            ..Account::of(&options)
        }
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
        assert!(text.ends_with("Host *\n  User no-such-user\n"), "{text}");
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

    #[test]
    fn under_sudo_the_operators_files_count_and_not_roots() {
        let operator = Operator {
            name: "pbx".to_owned(),
            home: "/home/pbx".into(),
            uid: 1000,
            gid: 1000,
        };
        let mut account = account(Options::default(), Some(operator));
        account.default_user = Some("pbx".to_owned());
        let text = account.configuration();
        for line in [
            "Include /home/pbx/.ssh/config",
            "  User pbx",
            "  UserKnownHostsFile /home/pbx/.ssh/known_hosts",
            "  IdentityFile /home/pbx/.ssh/id_ed25519",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
        }
    }
}
