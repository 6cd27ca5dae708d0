//! Private addresses of network interfaces: AssignPrivateIpAddresses, UnassignPrivateIpAddresses.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::Answer;
use super::address::parse_address;
use crate::ec2::error::ApiError;
use crate::ec2::ids::{AssociationId, InterfaceId};
use crate::ec2::query::Call;
use crate::ec2::state::State;
use crate::ec2::xml::{done, list, text};
use crate::ec2::{Ec2, locked};

/// Of a c5.xlarge, primary included (EC2 User Guide, "Maximum IP addresses per network interface").
pub(super) const ADDRESSES_PER_INTERFACE: usize = 15;

/// API reference, AssignPrivateIpAddresses.
pub(super) fn assign(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "SecondaryPrivateIpAddressCount",
        "AllowReassignment",
    ])?;
    let interface = InterfaceId::parse(call.required("NetworkInterfaceId")?)?;
    let may_move = call.flag("AllowReassignment")?.unwrap_or_default();
    let asked = addresses(call)?;
    // "You can specify one or more specific secondary IP addresses, or you can specify the number
    // of secondary IP addresses to be automatically assigned." Not both, not neither.
    let assigned = match (
        asked.is_empty(),
        call.optional("SecondaryPrivateIpAddressCount"),
    ) {
        (false, None) => {
            locked(&ec2.state).assign(&interface, &asked, may_move)?;
            asked
        }
        (true, Some(count)) => {
            let count: usize = count.parse().map_err(|_| {
                ApiError::invalid_value(format!(
                    "Value ({count}) for parameter secondaryPrivateIpAddressCount is invalid."
                ))
            })?;
            let mut state = locked(&ec2.state);
            let free = state.free_addresses(count);
            state.assign(&interface, &free, false)?;
            free
        }
        (false, Some(_)) => {
            return Err(ApiError::client(
                "InvalidParameterCombination",
                "You may specify either privateIpAddresses or secondaryPrivateIpAddressCount, but not both",
            ));
        }
        (true, None) => return Err(ApiError::missing("PrivateIpAddress.1")),
    };
    ec2.addresses_changed();
    let members = assigned
        .into_iter()
        .map(|address| vec![text("privateIpAddress", address)])
        .collect();
    let mut answer = done();
    answer.push(text("networkInterfaceId", interface));
    answer.push(list("assignedPrivateIpAddressesSet", members));
    Ok(answer)
}

/// API reference, UnassignPrivateIpAddresses.
pub(super) fn unassign(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["NetworkInterfaceId", "PrivateIpAddress"])?;
    let interface = InterfaceId::parse(call.required("NetworkInterfaceId")?)?;
    let asked = addresses(call)?;
    if asked.is_empty() {
        return Err(ApiError::missing("PrivateIpAddress.1"));
    }
    locked(&ec2.state).unassign(&interface, &asked)?;
    ec2.addresses_changed();
    Ok(done())
}

impl State {
    /// All of the addresses or none.
    fn assign(
        &mut self,
        id: &InterfaceId,
        addresses: &[Ipv4Addr],
        may_move: bool,
    ) -> Result<(), ApiError> {
        let holds = self.interface(id)?.private().count();
        for &address in addresses {
            self.assignable(id, address, may_move)?;
        }
        let new: Vec<Ipv4Addr> = addresses
            .iter()
            .copied()
            .filter(|address| self.holder(*address) != Some(id))
            .collect();
        if holds + new.len() > ADDRESSES_PER_INTERFACE {
            return Err(ApiError::client(
                "PrivateIpAddressLimitExceeded",
                "Number of private addresses will exceed limit.",
            ));
        }
        for address in new {
            // An address is on exactly one interface: it leaves the old one in the same step.
            for interface in self.interfaces.values_mut() {
                interface.secondary.retain(|held| *held != address);
            }
            self.interface_mut(id)?.secondary.push(address);
            // "When you move a secondary private IP address to another network interface, any
            // Elastic IP address that is associated with the IP address is also moved." It is
            // another association then: the old id is not to be found any more.
            let association = AssociationId::numbered(self.number());
            for elastic in self.addresses.values_mut() {
                if let Some(current) = &mut elastic.association
                    && current.private == address
                {
                    current.interface = id.clone();
                    current.id = association.clone();
                }
            }
        }
        Ok(())
    }

    fn assignable(
        &self,
        id: &InterfaceId,
        address: Ipv4Addr,
        may_move: bool,
    ) -> Result<(), ApiError> {
        if !usable(&self.subnet.cidr, address) {
            return Err(ApiError::invalid_value(format!(
                "Address {address} does not fall within the subnet's address range, or is reserved in it"
            )));
        }
        let Some(holder) = self.holder(address) else {
            return Ok(());
        };
        // Only secondary addresses move; an interface's primary address is its own for life.
        if self.interface(holder)?.primary == address {
            return Err(ApiError::invalid_value(format!(
                "Address {address} is the primary address of interface {holder}"
            )));
        }
        // "AllowReassignment: whether to allow an IP address that is already assigned to another
        // network interface or instance to be reassigned to the specified network interface."
        if !may_move {
            return Err(ApiError::invalid_value(format!(
                "Some of [{address}] addresses are already assigned to interface {holder}{}",
                if holder == id {
                    ", which is this one"
                } else {
                    ""
                }
            )));
        }
        Ok(())
    }

    fn unassign(&mut self, id: &InterfaceId, addresses: &[Ipv4Addr]) -> Result<(), ApiError> {
        let interface = self.interface_mut(id)?;
        // Neither one that is elsewhere nor the primary one can be taken away.
        if let Some(stranger) = addresses.iter().find(|a| !interface.secondary.contains(a)) {
            return Err(ApiError::invalid_value(format!(
                "Some of the specified addresses are not assigned to interface {id} as secondary addresses: {stranger}"
            )));
        }
        interface.secondary.retain(|held| !addresses.contains(held));
        // The Elastic IP has nothing to lead to any more.
        for address in addresses {
            self.drop_associations_of(*address);
        }
        Ok(())
    }

    fn free_addresses(&self, count: usize) -> Vec<Ipv4Addr> {
        self.subnet
            .cidr
            .hosts()
            .filter(|address| {
                usable(&self.subnet.cidr, *address) && self.holder(*address).is_none()
            })
            .take(count)
            .collect()
    }
}

/// The first four addresses of a subnet and its last are EC2's (VPC User Guide, "Subnet CIDR blocks").
fn usable(cidr: &Ipv4Net, address: Ipv4Addr) -> bool {
    let reserved = u32::from(address).wrapping_sub(u32::from(cidr.network())) < 4;
    cidr.contains(&address) && !reserved && address != cidr.broadcast()
}

fn addresses(call: &Call) -> Result<Vec<Ipv4Addr>, ApiError> {
    call.list("PrivateIpAddress")
        .into_iter()
        .map(|text| parse_address("privateIpAddresses", text))
        .collect()
}
