//! Elastic IPs and private addresses: on which interface they are, and moving them.

use std::net::Ipv4Addr;

use crate::{AllocationId, AssociationId, AwsError, Ec2, ErrorKind, InstanceId, InterfaceId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElasticIp {
    pub public: Option<Ipv4Addr>,
    pub association: Option<Association>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    pub id: AssociationId,
    /// The interface, if EC2 shows one.
    pub interface: Option<InterfaceId>,
    /// The instance; none for an interface of a NAT gateway, for example.
    pub instance: Option<InstanceId>,
    pub private: Option<Ipv4Addr>,
}

impl Association {
    /// Whether this is the association with `private` on `interface`.
    pub fn is(&self, interface: &InterfaceId, private: Ipv4Addr) -> bool {
        self.interface.as_ref() == Some(interface) && self.private == Some(private)
    }
}

/// Each call fails with EC2's error.
impl Ec2 {
    pub async fn elastic_ip(&self, allocation: &AllocationId) -> Result<ElasticIp, AwsError> {
        let operation = format!("look up {allocation} in {}", self.region);
        let call = (self.sdk.describe_addresses())
            .allocation_ids(allocation.as_str())
            .send();
        let answer = self.call(call, &operation).await?;
        let mut addresses = answer.addresses().iter();
        let address = addresses
            .find(|address| address.allocation_id() == Some(allocation.as_str()))
            .ok_or_else(|| AwsError::not_found(&operation))?;
        let association = (address.association_id()).and_then(AssociationId::from_answer);
        let interface = (address.network_interface_id()).and_then(InterfaceId::from_answer);
        Ok(ElasticIp {
            public: address.public_ip().and_then(|ip| ip.parse().ok()),
            association: association.map(|id| Association {
                id,
                interface,
                instance: address.instance_id().and_then(InstanceId::from_answer),
                private: address.private_ip_address().and_then(|ip| ip.parse().ok()),
            }),
        })
    }

    /// Associates the Elastic IP with a private address of an interface, wherever it was associated before.
    /// `InvalidValue` while the private address is not on that interface.
    pub async fn associate(
        &self,
        allocation: &AllocationId,
        interface: &InterfaceId,
        private: Ipv4Addr,
    ) -> Result<(), AwsError> {
        let call = (self.sdk.associate_address())
            .allocation_id(allocation.as_str())
            .network_interface_id(interface.as_str())
            .private_ip_address(private.to_string())
            .allow_reassociation(true)
            .set_dry_run(self.dry_run)
            .send();
        let operation = format!("associate {allocation} with {private} on {interface}");
        self.call(call, &operation).await.map(drop)
    }

    /// Ends an association. It is no error if the association does not exist any more.
    pub async fn disassociate(&self, association: &AssociationId) -> Result<(), AwsError> {
        let call = (self.sdk.disassociate_address())
            .association_id(association.as_str())
            .set_dry_run(self.dry_run)
            .send();
        let operation = format!("disassociate {association}");
        match self.call(call, &operation).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Whether `address` is one of the private addresses of `interface`.
    pub async fn has_address(
        &self,
        interface: &InterfaceId,
        address: Ipv4Addr,
    ) -> Result<bool, AwsError> {
        let operation = format!("look up {interface} in {}", self.region);
        let call = (self.sdk.describe_network_interfaces())
            .network_interface_ids(interface.as_str())
            .send();
        let answer = self.call(call, &operation).await?;
        let found = (answer.network_interfaces().iter())
            .find(|found| found.network_interface_id() == Some(interface.as_str()))
            .ok_or_else(|| AwsError::not_found(&operation))?;
        let mut addresses = found.private_ip_addresses().iter();
        Ok(addresses.any(|private| {
            let text = private.private_ip_address();
            text.is_some_and(|text| text.parse() == Ok(address))
        }))
    }

    /// Assigns `address` to `interface`, wherever it was before. Its Elastic IP moves with it. `InvalidValue`
    /// for an address outside the subnet and for another interface's primary address; `NoRoom`.
    pub async fn assign(&self, interface: &InterfaceId, address: Ipv4Addr) -> Result<(), AwsError> {
        let call = (self.sdk.assign_private_ip_addresses())
            .network_interface_id(interface.as_str())
            .private_ip_addresses(address.to_string())
            .allow_reassignment(true)
            .send();
        let operation = format!("assign {address} to {interface}");
        self.call(call, &operation).await.map(drop)
    }

    /// Removes `address` from `interface`. It is no error if the address is not there.
    pub async fn unassign(
        &self,
        interface: &InterfaceId,
        address: Ipv4Addr,
    ) -> Result<(), AwsError> {
        let call = (self.sdk.unassign_private_ip_addresses())
            .network_interface_id(interface.as_str())
            .private_ip_addresses(address.to_string())
            .send();
        let operation = format!("take {address} from {interface}");
        match self.call(call, &operation).await {
            Err(error) if error.kind == ErrorKind::InvalidValue => Ok(()),
            answer => answer.map(drop),
        }
    }
}
