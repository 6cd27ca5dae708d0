//! One node of the lab, on which one command after the other is measured.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cost::{Cost, Measured};
use super::pair::{Agent, Operation};
use crate::demo::by_hand;
use crate::demo::cluster::{self, MINUTES};
use crate::ec2::Happening;
use crate::lab::Lab;
use crate::site::{self, Instance};
use crate::world::Error;

/// Where the programs that measure are on the node.
const PROGRAMS: &str = "/root/bench";
/// What Pacemaker would allow an operation.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The lab's authority, as the node image has it.
const AUTHORITY: &str = "/usr/local/share/ca-certificates/lab.crt";

/// The node.
pub(super) struct Node<'a> {
    lab: &'a Lab,
    instance: &'static Instance,
}

/// What the lab has counted so far.
struct Counted {
    ec2: u64,
    metadata: u64,
}

impl<'a> Node<'a> {
    /// Installs the package, the PBX's compose project and the programs that measure.
    ///
    /// # Errors
    /// A program is not beside this one, or the node refuses something.
    pub(super) fn prepare(
        lab: &'a Lab,
        instance: &'static Instance,
        deb: &Path,
    ) -> Result<Self, Error> {
        let node = Self { lab, instance };
        by_hand::prepare(lab, instance, deb)?;
        node.run("making a directory", &format!("mkdir {PROGRAMS}"))?;
        for name in ["measure", "bare-request"] {
            let to = format!("{PROGRAMS}/{name}");
            lab.copy_to(instance, &beside_this_program(name)?, Path::new(&to))?;
        }
        Ok(node)
    }

    /// Runs a script that is not measured.
    ///
    /// # Errors
    /// It fails, or takes minutes.
    pub(super) fn run(&self, step: &str, script: &str) -> Result<String, Error> {
        cluster::run(self.lab, self.instance, step, script, MINUTES)
    }

    /// What an operation of an agent costs, called as Pacemaker calls it.
    ///
    /// # Errors
    /// The agent does not answer 0; with what it said.
    pub(super) fn operation(&self, agent: &Agent, operation: Operation) -> Result<Cost, Error> {
        let Agent { provider, name, .. } = agent;
        let mut command = vec![
            format!("{PROGRAMS}/measure"),
            format!("/usr/lib/ocf/resource.d/{provider}/{name}"),
            operation.action().to_owned(),
        ];
        command.splice(0..0, environment(agent, operation));
        let what = format!("ocf:{provider}:{name} {}", operation.name());
        self.measured(&what, &command)
    }

    /// What a command costs.
    ///
    /// # Errors
    /// It fails.
    pub(super) fn command(&self, command: &str) -> Result<Cost, Error> {
        let words = [&format!("{PROGRAMS}/measure"), command];
        self.measured(command, &words.map(ToOwned::to_owned))
    }

    /// One HTTP request to the instance metadata.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn bare_http(&self) -> Result<Cost, Error> {
        self.command(&format!("{PROGRAMS}/bare-request http 169.254.169.254"))
    }

    /// One HTTPS request to EC2.
    ///
    /// # Errors
    /// No answer.
    pub(super) fn bare_https(&self) -> Result<Cost, Error> {
        self.command(&format!(
            "{PROGRAMS}/bare-request https {} {AUTHORITY}",
            site::EC2_ENDPOINT
        ))
    }

    fn measured(&self, what: &str, command: &[String]) -> Result<Cost, Error> {
        let before = self.counted()?;
        let output = self.lab.ssh(self.instance, &command.join(" "), TIMEOUT)?;
        let after = self.counted()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let measured: Measured =
            serde_json::from_slice(&output.stdout).map_err(|_| format!("{what}: {said}"))?;
        if measured.status != 0 {
            return Err(format!(
                "{what} ended with status {}: {}",
                measured.status,
                said.trim()
            )
            .into());
        }
        Ok(Cost::of(
            measured,
            after.ec2 - before.ec2,
            after.metadata - before.metadata,
        ))
    }

    fn counted(&self) -> Result<Counted, Error> {
        let is_own_call = |what: &Happening| matches!(what, Happening::Call { caller, .. } if caller == self.instance.id);
        let events = self.lab.events()?;
        let nodes = self.lab.status()?.nodes;
        Ok(Counted {
            ec2: events.iter().filter(|e| is_own_call(&e.what)).count() as u64,
            metadata: nodes
                .iter()
                .filter(|node| node.id == self.instance.id)
                .map(|node| node.metadata_requests)
                .sum(),
        })
    }
}

/// `env` with the variables that Pacemaker 2.1's executor sets, and no other: no HOME among them.
fn environment(agent: &Agent, operation: Operation) -> Vec<String> {
    let interval = match operation {
        Operation::Monitor | Operation::Monitor10 => "10000",
        Operation::Start | Operation::Stop => "0",
    };
    let mut words: Vec<String> = [
        "env",
        "-i",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HA_LOGFACILITY=daemon",
        "HA_LOGFILE=/var/log/pacemaker/pacemaker.log",
        "HA_cluster_type=corosync",
        "HA_debug=0",
        "HA_logfacility=daemon",
        "HA_logfile=/var/log/pacemaker/pacemaker.log",
        "HA_mcp=true",
        "HA_use_logd=off",
        "PCMK_debug=0",
        "PCMK_logfacility=daemon",
        "PCMK_logfile=/var/log/pacemaker/pacemaker.log",
        "PCMK_service=pacemaker-execd",
        "OCF_ROOT=/usr/lib/ocf",
        "OCF_RA_VERSION_MAJOR=1",
        "OCF_RA_VERSION_MINOR=1",
        "OCF_EXIT_REASON_PREFIX=ocf-exit-reason:",
        "OCF_RESOURCE_INSTANCE=bench",
        "OCF_RESKEY_crm_feature_set=3.16.2",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    words.extend([
        format!("OCF_RESOURCE_PROVIDER={}", agent.provider),
        format!("OCF_RESOURCE_TYPE={}", agent.name),
        format!("OCF_RESKEY_CRM_meta_name={}", operation.action()),
        format!("OCF_RESKEY_CRM_meta_interval={interval}"),
        format!("OCF_RESKEY_CRM_meta_timeout={}", TIMEOUT.as_millis()),
    ]);
    if operation == Operation::Monitor10 {
        words.push("OCF_CHECK_LEVEL=10".to_owned());
    }
    words.extend(
        agent
            .parameters
            .iter()
            .map(|(name, value)| format!("OCF_RESKEY_{name}={value}")),
    );
    words
}

fn beside_this_program(name: &str) -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "the program {name} is not at {}; `cargo build -p lab` makes it",
        path.display()
    )
    .into())
}
