//! Elastic IPs: AssociateAddress, DisassociateAddress, DescribeAddresses.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::Answer;
use crate::ec2::error::ApiError;
use crate::ec2::ids::{AllocationId, AssociationId, InstanceId, InterfaceId};
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{Address, Association, State, no_allocation};
use crate::ec2::states::InstanceState;
use crate::ec2::xml::{Element, done, list, text};
use crate::ec2::{Ec2, OWNER, locked};

/// API reference, AssociateAddress.
pub(super) fn associate(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "AllocationId",
        "InstanceId",
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "AllowReassociation",
        "PublicIp",
    ])?;
    let allocation = AllocationId::parse(call.required("AllocationId")?)?;
    let request = AssociationRequest {
        instance: call
            .optional("InstanceId")
            .map(InstanceId::parse)
            .transpose()?,
        interface: call
            .optional("NetworkInterfaceId")
            .map(InterfaceId::parse)
            .transpose()?,
        private: call
            .optional("PrivateIpAddress")
            .map(|text| parse_address("PrivateIpAddress", text))
            .transpose()?,
        // "In a VPC, reassociation is automatic, therefore you can specify false to ensure the
        // operation fails if the Elastic IP address is already associated with another resource."
        may_move: call.flag("AllowReassociation")?.unwrap_or(true),
    };
    let association = locked(&ec2.state).associate(&allocation, &request)?;
    ec2.addresses_changed();
    let mut answer = done();
    answer.push(text("associationId", association));
    Ok(answer)
}

/// API reference, DisassociateAddress.
pub(super) fn disassociate(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["AssociationId", "PublicIp"])?;
    // In a VPC it goes by association: an address alone does not say which one is meant.
    let association = AssociationId::parse(call.required("AssociationId")?)?;
    locked(&ec2.state).disassociate(&association)?;
    ec2.addresses_changed();
    Ok(done())
}

/// API reference, DescribeAddresses.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["AllocationId", "PublicIp", "Filter"])?;
    let allocations = call
        .list("AllocationId")
        .into_iter()
        .map(AllocationId::parse)
        .collect::<Result<Vec<_>, _>>()?;
    let publics = call
        .list("PublicIp")
        .into_iter()
        .map(|text| parse_address("PublicIp", text))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = allocations
        .iter()
        .find(|id| !state.addresses.contains_key(id))
    {
        return Err(no_allocation(missing));
    }
    if let Some(missing) = publics
        .iter()
        .find(|public| !state.addresses.values().any(|a| a.public == **public))
    {
        return Err(ApiError::client(
            "InvalidAddress.NotFound",
            format!("Address '{missing}' not found."),
        ));
    }
    let filters = call.filters();
    let mut addresses = Vec::new();
    for (id, address) in &state.addresses {
        if (allocations.is_empty() || allocations.contains(id))
            && (publics.is_empty() || publics.contains(&address.public))
            && passes(&filters, |name| field(state, id, address, name))?
        {
            addresses.push(address_elements(state, id, address));
        }
    }
    Ok(vec![list("addressesSet", addresses)])
}

/// What an AssociateAddress asks for.
struct AssociationRequest {
    instance: Option<InstanceId>,
    interface: Option<InterfaceId>,
    private: Option<Ipv4Addr>,
    may_move: bool,
}

impl State {
    fn associate(
        &mut self,
        allocation: &AllocationId,
        request: &AssociationRequest,
    ) -> Result<AssociationId, ApiError> {
        if !self.addresses.contains_key(allocation) {
            return Err(no_allocation(allocation));
        }
        // "You can specify either the instance ID or the network interface ID, but not both."
        let interface_id = match (&request.interface, &request.instance) {
            (Some(interface), None) => interface.clone(),
            (None, Some(instance)) => {
                let found = self.instance(instance)?;
                // Error codes, InvalidInstanceID: an instance that is still pending. That one which is being
                // terminated is refused in the same way is assumed.
                if matches!(
                    found.state,
                    InstanceState::Pending
                        | InstanceState::ShuttingDown
                        | InstanceState::Terminated
                ) {
                    return Err(ApiError::client(
                        "InvalidInstanceID",
                        format!(
                            "The {} instance '{instance}' is not in a valid state for this operation.",
                            found.state.name()
                        ),
                    ));
                }
                found.interface.clone()
            }
            (Some(_), Some(_)) => {
                return Err(ApiError::client(
                    "InvalidParameterCombination",
                    "You may specify either the network interface or the instance, but not both",
                ));
            }
            (None, None) => return Err(ApiError::missing("NetworkInterfaceId")),
        };
        let interface = self.interface(&interface_id)?;
        // "The primary or secondary private IP address to associate with the Elastic IP address.
        // If no private IP address is specified, the Elastic IP address is associated with the
        // primary private IP address." It has to be on the interface.
        let private = request.private.unwrap_or(interface.primary);
        if !interface.holds(private) {
            return Err(ApiError::invalid_value(format!(
                "The private IP address {private} is not assigned to the network interface {interface_id}"
            )));
        }
        // "This is an idempotent operation. If you perform the operation more than once, Amazon
        // EC2 doesn't return an error."
        let current = self
            .addresses
            .get(allocation)
            .and_then(|a| a.association.clone());
        if let Some(current) = &current
            && current.interface == interface_id
            && current.private == private
        {
            return Ok(current.id.clone());
        }
        let target_taken = self.association_of(private).is_some();
        if !request.may_move && (current.is_some() || target_taken) {
            return Err(ApiError::client(
                "Resource.AlreadyAssociated",
                format!(
                    "resource {allocation} is already associated with another resource, or {private} with another address"
                ),
            ));
        }
        // "If the Elastic IP address is already associated with a different instance, it is
        // disassociated from that instance and associated with the specified instance. If you
        // associate an Elastic IP address with an instance that has an existing Elastic IP
        // address, the existing address is disassociated from the instance."
        self.drop_associations_of(private);
        let association = Association {
            id: AssociationId::numbered(self.number()),
            interface: interface_id.clone(),
            private,
        };
        let id = association.id.clone();
        if let Some(address) = self.addresses.get_mut(allocation) {
            address.association = Some(association);
        }
        // EC2 User Guide, "Elastic IP addresses": the auto-assigned address goes back to the
        // pool when an Elastic IP takes its place at the primary private address.
        if private == self.interface(&interface_id)?.primary {
            self.release_public(&interface_id);
        }
        Ok(id)
    }

    fn disassociate(&mut self, id: &AssociationId) -> Result<(), ApiError> {
        let address = self
            .addresses
            .values_mut()
            .find(|address| address.association.as_ref().is_some_and(|a| &a.id == id));
        // An association that has moved on has another id: the old one does not exist.
        let address = address.ok_or_else(|| {
            ApiError::client(
                "InvalidAssociationID.NotFound",
                format!("The association ID '{id}' does not exist"),
            )
        })?;
        address.association = None;
        Ok(())
    }

    /// The Elastic IP of a private address.
    pub(in crate::ec2) fn association_of(
        &self,
        private: Ipv4Addr,
    ) -> Option<(&AllocationId, Ipv4Addr, &Association)> {
        self.addresses.iter().find_map(|(id, address)| {
            let association = address.association.as_ref()?;
            (association.private == private).then_some((id, address.public, association))
        })
    }

    /// Takes the Elastic IP away from a private address.
    pub(super) fn drop_associations_of(&mut self, private: Ipv4Addr) {
        for address in self.addresses.values_mut() {
            if address
                .association
                .as_ref()
                .is_some_and(|a| a.private == private)
            {
                address.association = None;
            }
        }
    }
}

/// An address as a caller wrote it.
pub(super) fn parse_address(parameter: &str, text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid_value(format!(
            "Value ({text}) for parameter {parameter} is invalid. Invalid IPv4 address."
        ))
    })
}

fn holder_of(state: &State, association: &Association) -> Option<String> {
    let interface = state.interfaces.get(&association.interface)?;
    Some(interface.instance.to_string())
}

fn address_elements(state: &State, id: &AllocationId, address: &Address) -> Vec<Element> {
    let mut elements = vec![
        text("publicIp", address.public),
        text("allocationId", id),
        text("domain", "vpc"),
    ];
    if let Some(association) = &address.association {
        elements.push(text("associationId", &association.id));
        elements.extend(holder_of(state, association).map(|holder| text("instanceId", holder)));
        elements.push(text("networkInterfaceId", &association.interface));
        elements.push(text("networkInterfaceOwnerId", OWNER));
        elements.push(text("privateIpAddress", association.private));
    }
    elements
}

fn field(state: &State, id: &AllocationId, address: &Address, name: &str) -> Option<Vec<String>> {
    let association = address.association.as_ref();
    let value = match name {
        "allocation-id" => Some(id.to_string()),
        "public-ip" => Some(address.public.to_string()),
        "domain" => Some("vpc".to_owned()),
        "association-id" => association.map(|a| a.id.to_string()),
        "network-interface-id" => association.map(|a| a.interface.to_string()),
        "private-ip-address" => association.map(|a| a.private.to_string()),
        "instance-id" => association.and_then(|a| holder_of(state, a)),
        _ => return None,
    };
    Some(value.into_iter().collect())
}
