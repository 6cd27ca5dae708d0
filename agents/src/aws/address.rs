//! Elastic IPs: where one is associated, and moving it.

use std::net::Ipv4Addr;

use super::client::Ec2;
use super::error::{AwsError, Meaning};
use super::ids::{AllocationId, AssociationId, InterfaceId};

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
            .ok_or_else(|| AwsError::new(Meaning::NotFound, &doing, "EC2 knows none of that id"))?;
        let association = match address.association_id() {
            None => None,
            Some(id) => Some(Association {
                id: id
                    .parse()
                    .map_err(|error| AwsError::new(Meaning::Unknown, &doing, format!("{error}")))?,
                interface: address
                    .network_interface_id()
                    .and_then(|id| id.parse().ok()),
                private: address.private_ip_address().and_then(|ip| ip.parse().ok()),
            }),
        };
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
            .send();
        match self
            .once(call, &format!("disassociate {association}"))
            .await
        {
            Err(error) if error.meaning == Meaning::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}
