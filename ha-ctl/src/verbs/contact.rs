//! The node that speaks for the cluster while a verb works, and another one where it is lost.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::gather::{Gathered, state_from};
use crate::output::say;
use crate::reach::{Fleet, Node};

/// How long another node is looked for.
const LOOKED_FOR: Duration = Duration::from_secs(30);

/// The node that is asked.
#[derive(Debug)]
pub(super) struct Contact {
    fleet: Fleet,
    node: RefCell<Arc<Node>>,
}

impl Contact {
    pub(super) fn new(fleet: Fleet, node: Arc<Node>) -> Contact {
        Contact {
            fleet,
            node: RefCell::new(node),
        }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node.borrow())
    }

    /// Takes another node of the part of the cluster that has a majority, or else connects to the same one again.
    /// Where none can be reached, everything stays as it is.
    pub(super) async fn take_another(&self) {
        let lost = self.node().name.clone();
        let all = self.fleet.machines().iter();
        let (same, others): (Vec<_>, Vec<_>) = all.partition(|machine| machine.name == lost);
        for machines in [others, same] {
            let looking = state_from(&self.fleet, &machines);
            match tokio::time::timeout(LOOKED_FOR, looking).await {
                Ok(Ok(Gathered { node, state, .. })) if state.quorum => {
                    if node.name != lost {
                        say(&format!(
                            "{lost} does not answer any more; {} is asked now",
                            node.name
                        ));
                    }
                    *self.node.borrow_mut() = node;
                    return;
                }
                _ => {}
            }
        }
    }
}
