//! Which of our agents have to be asked before a change: whether they could run with their new parameters. Pure: the
//! command runs what is asked.

use super::Plan;
use super::changes::{Values, values};
use super::commands::{self, Invocation};
use super::merge::{agent_of, find};
use super::pairs::section;

const PBX: &str = "ocf:portsip:pbx";

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The resource.
    pub resource: String,
    /// The agent, as people write it.
    pub agent: String,
    /// The command that asks it on this node.
    pub command: Invocation,
    /// Whether the containers may have been made for another address: those of the vendor's cluster run with it.
    pub any_address: bool,
}

/// The note where the agents are not asked.
pub fn not_asked(questions: &[Question]) -> Option<String> {
    let ids: Vec<&str> = questions.iter().map(|it| it.resource.as_str()).collect();
    (!ids.is_empty()).then(|| {
        format!(
            "the agents were not asked whether they could run so, because the CIB is one of a file: {}",
            ids.join(", ")
        )
    })
}

impl Question {
    /// The note where the agent of this node has nothing against it, but the other nodes have what it looked at too.
    pub fn of_other_nodes(&self) -> Option<String> {
        let address = match self.any_address {
            true => {
                "\n  their IP_ADDRESS was not compared with ip_address: they go on with what they were made for"
            }
            false => "",
        };
        (self.agent == PBX).then(|| {
            format!(
                "{}: only the containers of this node were looked at. Before this change, on every other node:\n    \
                 sudo {}{address}",
                self.resource, self.command
            )
        })
    }
}

impl Plan {
    /// A question for each resource of our own agents that is new, or of which the agent or a parameter changes.
    pub fn questions(&self) -> Vec<Question> {
        let [old, new] =
            [&self.old, &self.new].map(|cib| section(section(cib, "configuration"), "resources"));
        let parameters = |of| -> Values { values(of, "instance_attributes") };
        let ours = new.all().into_iter();
        let ours = ours.filter(|it| it.name == "primitive" && it.is("provider", "portsip"));
        let changed = ours.filter_map(|it| {
            let id = it.get("id")?;
            let mut now = (agent_of(it), parameters(it));
            let before = find(old, id).map(|old| (agent_of(old), parameters(old)));
            let name = it.get("type")?;
            if before.as_ref() == Some(&now) {
                return None;
            }
            let any_address = self.takeover.is_some() && now.0 == PBX;
            if any_address {
                now.1.remove("ip_address");
            }
            Some(Question {
                resource: id.to_owned(),
                command: commands::validate(name, &now.1),
                agent: now.0,
                any_address,
            })
        });
        changed.collect()
    }
}
