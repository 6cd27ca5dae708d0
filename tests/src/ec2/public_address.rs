//! The auto-assigned public address of an instance: when EC2 assigns it, when EC2 releases it, and when EC2
//! assigns no other one. Elastic IPs are in `action::address`.
//!
//! Source: EC2 User Guide, "Amazon EC2 instance IP addressing", "Public IPv4 addresses".

use std::net::Ipv4Addr;

use super::ids::InterfaceId;
use super::state::State;

impl State {
    /// A started instance gets another address than it had, from EC2's pool. None if it has an Elastic IP
    /// at its primary address, or has lost the last one for good.
    pub(super) fn assign_public(&mut self, id: &InterfaceId) {
        let Some(interface) = self.interfaces.get(id) else {
            return;
        };
        if interface.no_public_address || self.association_of(interface.primary).is_some() {
            return;
        }
        // Low bytes, on purpose: 65,000 starts are more than a lab sees.
        let [.., high, low] = self.number().to_be_bytes();
        if let Some(interface) = self.interfaces.get_mut(id) {
            interface.auto_public = Some(Ipv4Addr::new(54, 193, high, low));
        }
    }

    /// EC2 releases the address when the instance is stopped, and when an Elastic IP takes its place. If a
    /// secondary address has an Elastic IP at that moment, the instance gets no other public address. Fencing stops
    /// a node exactly then. No document says when this ends, so it lasts here.
    pub(super) fn release_public(&mut self, id: &InterfaceId) {
        let Some(interface) = self.interfaces.get(id) else {
            return;
        };
        if interface.auto_public.is_none() {
            return;
        }
        let mut secondary = interface.secondary.iter();
        let no_public_address = secondary.any(|address| self.association_of(*address).is_some());
        if let Some(interface) = self.interfaces.get_mut(id) {
            interface.auto_public = None;
            interface.no_public_address = no_public_address;
        }
    }
}
