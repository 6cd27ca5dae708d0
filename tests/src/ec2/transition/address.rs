//! Transitions of an address: the VPC and the metadata follow the API's answer after a while.

use std::sync::Arc;

use tokio::time::sleep;

use crate::ec2::events::Happening;
use crate::ec2::{Ec2, locked};

impl Ec2 {
    /// Notes what moved, and has the VPC and the metadata follow after a while.
    pub(in crate::ec2) fn addresses_changed(self: &Arc<Self>) {
        let (wanted, order) = {
            let mut network_state = locked(&self.network_state);
            let wanted = locked(&self.state).deliverable();
            self.note_moves(&network_state.delivered, &wanted);
            network_state.delivered = wanted.clone();
            network_state.order += 1;
            (wanted, network_state.order)
        };
        let ec2 = self.clone();
        self.spawn(async move {
            sleep(ec2.timing.address).await;
            let mut last = ec2.delivering.lock().await;
            if *last >= order {
                return;
            }
            *last = order;
            let network = locked(&ec2.state).network(&wanted);
            let delivered = ec2
                .world(
                    || "deliver the new addresses".to_owned(),
                    move |world| world.set_network(&network),
                )
                .await;
            // The metadata confirms a move, so it follows the packets and is never ahead of them.
            if delivered.is_some() {
                locked(&ec2.state).delivered = wanted;
                ec2.events.add(Happening::Delivered);
            }
        });
    }
}
