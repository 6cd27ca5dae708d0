//! A person at a node of the lab, and what their commands came to.

use std::fmt;

use lab::demo::cluster::{MINUTES, VARS};
use lab::ec2::Principal;
use lab::lab::Lab;
use lab::site::{self, Instance, Site};

/// A person who is logged in on a node as the user of the vendor's guide.
pub(crate) struct Operator<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) node: &'static Instance,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) command: String,
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Operator<'_> {
    /// Runs ha-ctl without a terminal.
    pub(crate) fn ha_ctl(&self, arguments: &str) -> Ran {
        self.as_user(&format!("ha-ctl {arguments} </dev/null"))
    }

    /// What ha-ctl prints as JSON, whatever its status is.
    pub(crate) fn json(&self, arguments: &str) -> serde_json::Value {
        let ran = self.ha_ctl(arguments);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
    }

    /// Runs a script as the user.
    pub(crate) fn as_user(&self, script: &str) -> Ran {
        let user = Site::Ec2.user();
        let script = script.replace('\'', r"'\''");
        self.as_root(&format!("cd /home/{user}; runuser -u {user} -- env HOME=/home/{user} USER={user} bash -c '{script}'"))
    }

    /// Gives root a profile `operator` of EC2, with the rights that cib-gen has for it.
    pub(crate) fn has_a_profile(&self) {
        let (id, secret) = site::OPERATOR_KEY;
        let credentials = format!(
            "umask 077; mkdir -p ~/.aws
             printf '[operator]\\naws_access_key_id=%s\\naws_secret_access_key=%s\\n' {id} {secret} >~/.aws/credentials
             cib-gen --format iam-policy-operator {VARS}"
        );
        let policy = self.as_root(&credentials).succeeded();
        let operator = Principal::User(id.to_owned());
        self.lab.put_policy(operator, &policy).unwrap();
    }

    /// Runs a script as the user, with an administrator's credentials.
    pub(crate) fn as_admin(&self, script: &str) -> Ran {
        let (id, secret) = site::ADMIN_KEY;
        self.as_user(&format!(
            "export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}; {script}"
        ))
    }

    /// Runs a script as root.
    pub(crate) fn as_root(&self, script: &str) -> Ran {
        let output = self.lab.ssh(self.node, script, MINUTES).unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            command: format!("{} on {}", script, self.node.hostname),
            status: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Ran {
    /// What it printed, if it has succeeded.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> String {
        assert_eq!(self.status, 0, "{self}");
        self.stdout.clone()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ran {
            command,
            status,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "{command}\nended with {status} and printed:\n{stdout}\nand on standard error:\n{stderr}"
        )
    }
}
