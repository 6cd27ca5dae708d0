//! The host keys of all nodes on every node, so that ha-ctl on any of them knows the others without a question. Each
//! node has said its own over a connection that was known already. ssh outside of ha-ctl does not read the file.

use super::{Deployment, Facts, all};
use crate::exit::Failure;
use crate::reach::{Command, NODES_KNOWN_HOSTS as FILE};
use crate::run::Run;

pub(super) async fn run(deployment: &Deployment, run: &Run) -> Result<(), Failure> {
    let nodes = &deployment.site.nodes;
    let text = text(nodes.iter().zip(&deployment.facts));
    let copy = &copy(&text);
    let differing = deployment
        .each()
        .filter(|(_, facts)| !facts.known_hosts().eq(text.lines()));
    let copying = differing.map(|(node, _)| async move { run.change(node, copy).await.map(drop) });
    all(copying).await
}

/// As sshd(8) describes ssh_known_hosts.
fn text<'a>(nodes: impl Iterator<Item = (&'a (String, String), &'a Facts)>) -> String {
    let mut text = "# The nodes' host keys, written by ha-ctl deploy for ha-ctl.\n".to_owned();
    for ((name, address), facts) in nodes {
        for key in facts.host_keys() {
            text += &format!("{address},{name} {key}\n");
        }
    }
    text
}

fn copy(text: &str) -> Command {
    Command::change(
        format!("write the nodes' host keys to {FILE}"),
        format!(
            "umask 022; mkdir -p -m 0755 /etc/portsip && cat >{FILE}.new && mv {FILE}.new {FILE}"
        ),
    )
    .reading(text)
    .repeatable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_the_address_and_the_name_of_its_node() {
        let node = |n| (format!("n{n}"), format!("10.0.0.{n}"));
        let facts = |key| Facts::parse(&format!("host-key ssh-ed25519 {key}\n"));
        let (nodes, facts) = ([node(1), node(2)], [facts("AAA"), Facts::parse("")]);
        let text = text(nodes.iter().zip(&facts));
        assert_eq!(text.lines().last(), Some("10.0.0.1,n1 ssh-ed25519 AAA"));
        assert_eq!(text.lines().count(), 2);
    }
}
