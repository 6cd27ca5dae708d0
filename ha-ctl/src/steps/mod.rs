//! Long steps on a node: named transient units of systemd. The end of a connection or of ha-ctl does not end a step.
//! Its script and how it ended lie root-only in [`DIRECTORY`], so that a second run finds a step that goes on, or has
//! ended. What watches a step is in `watch.rs`.

mod watch;

pub(crate) use watch::look;
pub use watch::watch;

use std::time::Duration;

use crate::commands::quoted;
use crate::reach::Command;

/// Where the scripts and the results of the steps are, on every node.
pub const DIRECTORY: &str = "/var/lib/portsip-ha/steps";

/// A long step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name, which is the same in every run: `package`.
    pub name: &'static str,
    /// What it does, for messages: `install the package`.
    pub what: String,
    /// The script, for sh(1). Everything that it depends on is in it, so a script that is the same has the same inputs.
    /// Secrets are not: it reads them from root-only files.
    pub script: String,
    /// After how long systemd ends it.
    pub limit: Duration,
    /// Whether it is skipped where it has succeeded with the same script before. Not where facts of the node have
    /// shown that it has to be done.
    pub once: bool,
}

/// How a step is on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It was never begun, or with another script.
    New,
    /// It runs.
    Running {
        /// Whether it does what it would do now.
        same: bool,
    },
    /// It has succeeded with the same script.
    Done,
    /// It has failed.
    Failed {
        /// Its exit status; nothing where the node went down in the middle.
        status: Option<i32>,
        /// Whether with the script that it has now.
        same: bool,
    },
}

/// A look at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How it is.
    pub state: State,
    /// The last lines that it has printed.
    pub lines: Vec<String>,
}

impl Step {
    /// The unit.
    pub fn unit(&self) -> String {
        format!("portsip-ha-step-{}.service", self.name)
    }

    /// How the step is on a node; while it runs, after so many seconds. The script is on the standard input, for its
    /// digest.
    pub fn look(&self, lines: u8, wait: u8) -> Command {
        let (unit, name) = (self.unit(), self.name);
        let script = format!(
            r#"echo "wanted $(sha256sum | cut -c1-64)"
for second in $(seq {wait}); do
    case $(systemctl is-active {unit}) in active | activating | deactivating) sleep 1 ;; *) break ;; esac
done
echo "active $(systemctl is-active {unit})"
cd {DIRECTORY} 2>/dev/null || exit 0
[ -e {name} ] && echo "begun $(sha256sum <{name} | cut -c1-64)"
[ -e {name}.result ] && echo "result $(cat {name}.result)"
since=$(cat {name}.since 2>/dev/null) &&
    journalctl --quiet --unit={unit} --identifier=portsip-ha-step-{name} --since="@$since" --output=cat --lines={lines} |
    sed 's/^/line /'
exit 0"#
        );
        Command::look("looking at the step", script).reading(self.script.clone())
    }

    /// Begins the step, unless it runs. A step can be begun again at any time, so this can be sent again.
    pub fn start(&self) -> Command {
        let (unit, name) = (self.unit(), self.name);
        // What systemd runs has no character that means something to systemd: it reads its own unit again when it
        // reloads its configuration.
        let script = format!(
            r#"umask 077
install -d -m 0700 {DIRECTORY} && cd {DIRECTORY} || exit
case $(systemctl is-active {unit}) in active | activating | deactivating | reloading) exit 0 ;; esac
systemctl reset-failed {unit} 2>/dev/null
rm -f {name}.result && cat >{name}.new && mv {name}.new {name} && date +%s >{name}.since || exit
cat >{name}.run <<'END' || exit
export LC_ALL=C HOME=/root
(umask 022; sh ./{name})
status=$?
echo "$status $(sha256sum <{name} | cut -c1-64)" >{name}.ended
mv {name}.ended {name}.result
sync {name}.result
exit $status
END
systemd-run --quiet --unit={unit} --description={what} --property=Type=exec \
    --property=RuntimeMaxSec={limit} --property=WorkingDirectory={DIRECTORY} \
    --property=SyslogIdentifier=portsip-ha-step-{name} --property=UMask=0077 /bin/sh {name}.run"#,
            what = quoted(&format!("PortSIP HA: {}", self.what)),
            limit = self.limit.as_secs(),
        );
        Command::change(self.what.clone(), script)
            .reading(self.script.clone())
            .repeatable()
    }
}

impl Seen {
    /// From what [`Step::look`] printed.
    pub fn parse(printed: &str) -> Seen {
        let one = |word: &str| -> Option<&str> {
            let mut lines = printed.lines();
            lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
        };
        let wanted = one("wanted");
        let begun = one("begun");
        let same = begun.is_some() && begun == wanted;
        let active = one("active").unwrap_or_default();
        let result = one("result").and_then(|result| result.split_once(' '));
        let result = result.filter(|(_, digest)| Some(*digest) == begun);
        let state = match (begun, result) {
            _ if ["active", "activating", "deactivating", "reloading"].contains(&active) => {
                State::Running { same }
            }
            (None, _) => State::New,
            (Some(_), Some(("0", _))) if same => State::Done,
            (Some(_), Some(("0", _))) => State::New,
            (Some(_), result) => State::Failed {
                status: result.and_then(|(status, _)| status.parse().ok()),
                same,
            },
        };
        let lines = printed
            .lines()
            .filter_map(|line| line.strip_prefix("line "));
        Seen {
            state,
            lines: lines.map(str::to_owned).collect(),
        }
    }

    /// What a step that has failed has said, for a message.
    pub fn said(&self) -> String {
        let lines = self.lines.iter().filter(|line| !line.trim().is_empty());
        lines.map(|line| format!("\n    {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step {
            name: "package",
            what: "install the package".to_owned(),
            script: "apt-get install -y it's\n".to_owned(),
            limit: Duration::from_secs(3600),
            once: false,
        }
    }

    #[test]
    fn a_step_is_a_unit_whose_script_is_in_no_argument() {
        let start = step().start();
        assert!(!start.script.contains("apt-get"));
        insta::assert_snapshot!(start.script);
    }

    #[test]
    fn its_scripts_are_ones_that_sh_can_read() {
        for command in [step().start(), step().look(3, 5)] {
            let mut sh = std::process::Command::new("sh");
            let status = sh.args(["-n", "-c", &command.script]).status();
            assert!(status.is_ok_and(|status| status.success()), "{command:?}");
        }
    }

    #[test]
    fn how_a_step_is() {
        for (printed, state) in [
            ("wanted a\nactive inactive", State::New),
            (
                "wanted a\nactive active\nbegun a",
                State::Running { same: true },
            ),
            (
                "wanted a\nactive active\nbegun b",
                State::Running { same: false },
            ),
            (
                "wanted a\nactive inactive\nbegun a\nresult 0 a",
                State::Done,
            ),
            // It has succeeded with other inputs.
            ("wanted a\nactive inactive\nbegun b\nresult 0 b", State::New),
            (
                "wanted a\nactive failed\nbegun a\nresult 7 a",
                State::Failed {
                    status: Some(7),
                    same: true,
                },
            ),
            // The node went down in the middle.
            (
                "wanted a\nactive inactive\nbegun a",
                State::Failed {
                    status: None,
                    same: true,
                },
            ),
        ] {
            assert_eq!(Seen::parse(printed).state, state, "{printed}");
        }
    }

    #[test]
    fn what_a_failed_step_said_is_kept() {
        let seen = Seen::parse(
            "wanted a\nactive failed\nbegun a\nresult 1 a\nline E: no space\nline  on device",
        );
        assert_eq!(seen.said(), "\n    E: no space\n     on device");
    }
}
