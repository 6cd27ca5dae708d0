//! Addresses: where an Elastic IP is associated and on which interface a private address is, and moving them.

use std::net::Ipv4Addr;

use crate::client::Ec2;
use crate::error::AwsError;
use crate::ids::{AllocationId, AssociationId, InterfaceId};
use crate::error::ErrorKind;

/// An Elastic IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElasticIp {
    /// The public address.
    pub public: Option<Ipv4Addr>,
    /// Where it is associated.
    pub association: Option<Association>,
}

/// What an Elastic IP is associated with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// The association.
    pub id: AssociationId,
    /// The interface; none for what EC2 does not show one.
    pub interface: Option<InterfaceId>,
    /// The private address on it.
    pub private: Option<Ipv4Addr>,
}

impl Association {
    /// Whether this is the association with `private` on `interface`.
    pub fn is(&self, interface: &InterfaceId, private: Ipv4Addr) -> bool {
        self.interface.as_ref() == Some(interface) && self.private == Some(private)
    }
}

impl Ec2 {
    /// The Elastic IP of an allocation.
    ///
    /// # Errors
    /// EC2's; `NotFound` when there is no such allocation.
    pub async fn elastic_ip(&self, allocation: &AllocationId) -> Result<ElasticIp, AwsError> {
        let doing = format!("look up {allocation} in {}", self.region);
        let call = self
            .sdk
            .describe_addresses()
            .allocation_ids(allocation.as_str())
            .send();
        let answer = self.once(call, &doing).await?;
        let address = answer
            .addresses()
            .iter()
            .find(|address| address.allocation_id() == Some(allocation.as_str()))
            .ok_or_else(|| AwsError::new(ErrorKind::NotFound, &doing, "EC2 knows none of that id"))?;
        let id = address.association_id();
        let association = id
            .and_then(AssociationId::from_answer)
            .map(|id| Association {
                id,
                interface: address
                    .network_interface_id()
                    .and_then(InterfaceId::from_answer),
                private: address.private_ip_address().and_then(|ip| ip.parse().ok()),
            });
        Ok(ElasticIp {
            public: address.public_ip().and_then(|ip| ip.parse().ok()),
            association,
        })
    }

    /// Associates the Elastic IP with a private address of an interface, wherever it was.
    ///
    /// # Errors
    /// EC2's; `InvalidValue` while the private address is not on that interface.
    pub async fn associate(
        &self,
        allocation: &AllocationId,
        interface: &InterfaceId,
        private: Ipv4Addr,
    ) -> Result<(), AwsError> {
        let call = self
            .sdk
            .associate_address()
            .allocation_id(allocation.as_str())
            .network_interface_id(interface.as_str())
            .private_ip_address(private.to_string())
            .allow_reassociation(true)
            .set_dry_run(self.dry_run)
            .send();
        let doing = format!("associate {allocation} with {private} on {interface}");
        self.once(call, &doing).await.map(drop)
    }

    /// Ends an association. That it has ended or moved on already is no error.
    ///
    /// # Errors
    /// EC2's.
    pub async fn disassociate(&self, association: &AssociationId) -> Result<(), AwsError> {
        let call = self
            .sdk
            .disassociate_address()
            .association_id(association.as_str())
            .set_dry_run(self.dry_run)
            .send();
        match self
            .once(call, &format!("disassociate {association}"))
            .await
        {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Whether `address` is one of the private addresses of `interface`.
    ///
    /// # Errors
    /// EC2's; `NotFound` when there is no such interface.
    pub async fn has_address(
        &self,
        interface: &InterfaceId,
        address: Ipv4Addr,
    ) -> Result<bool, AwsError> {
        let doing = format!("look up {interface} in {}", self.region);
        let call = self
            .sdk
            .describe_network_interfaces()
            .network_interface_ids(interface.as_str())
            .send();
        let answer = self.once(call, &doing).await?;
        let found = answer
            .network_interfaces()
            .iter()
            .find(|found| found.network_interface_id() == Some(interface.as_str()))
            .ok_or_else(|| AwsError::new(ErrorKind::NotFound, &doing, "EC2 knows none of that id"))?;
        Ok(found.private_ip_addresses().iter().any(|private| {
            private
                .private_ip_address()
                .is_some_and(|text| text.parse() == Ok(address))
        }))
    }

    /// Assigns `address` to `interface`, wherever it was. An Elastic IP of it comes along.
    ///
    /// # Errors
    /// EC2's: `InvalidValue` for an address that is not of the subnet or is the primary one of
    /// another interface, `NoRoom`.
    pub async fn assign(&self, interface: &InterfaceId, address: Ipv4Addr) -> Result<(), AwsError> {
        let call = self
            .sdk
            .assign_private_ip_addresses()
            .network_interface_id(interface.as_str())
            .private_ip_addresses(address.to_string())
            .allow_reassignment(true)
            .send();
        let doing = format!("assign {address} to {interface}");
        self.once(call, &doing).await.map(drop)
    }

    /// Takes `address` from `interface`. That it is not there is no error.
    ///
    /// # Errors
    /// EC2's.
    pub async fn unassign(
        &self,
        interface: &InterfaceId,
        address: Ipv4Addr,
    ) -> Result<(), AwsError> {
        let call = self
            .sdk
            .unassign_private_ip_addresses()
            .network_interface_id(interface.as_str())
            .private_ip_addresses(address.to_string())
            .send();
        match self
            .once(call, &format!("take {address} from {interface}"))
            .await
        {
            Err(error) if error.kind == ErrorKind::InvalidValue => Ok(()),
            answer => answer.map(drop),
        }
    }
}
