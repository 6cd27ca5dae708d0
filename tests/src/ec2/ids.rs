//! The ids that EC2 hands out. Each is parsed once, where a request comes in; what is wrong
//! with one is said in EC2's words and code.

use std::fmt;

use super::error::ApiError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $malformed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads an id as a caller wrote it.
            ///
            /// # Errors
            #[doc = concat!("`", $malformed, "` when it does not have the form `", $prefix, "HEX`.")]
            pub fn parse(text: &str) -> Result<Self, ApiError> {
                let hex = text.strip_prefix($prefix).unwrap_or_default();
                // 8 digits before 2016, 17 since (EC2 User Guide, "Resource IDs").
                if matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ApiError::client(
                        $malformed,
                        format!("Invalid id: \"{text}\" (expecting \"{}...\")", $prefix),
                    ))
                }
            }

            /// An id of the site, which is known to be well formed.
            #[allow(dead_code, reason = "the site begins without associations and snapshots")]
            pub(crate) fn of_site(text: &'static str) -> Self {
                Self(text.to_owned())
            }

            /// A new one; `number` is what tells it from the others of this model.
            #[allow(dead_code, reason = "some exist from the beginning, and no others")]
            pub(crate) fn numbered(number: u64) -> Self {
                Self(format!("{}0{number:016x}", $prefix))
            }

            /// The id as EC2 writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

// The codes are those of the EC2 API Reference, "Error codes for the Amazon EC2 API".
id!(
    /// An instance: `i-08807c762627239b8`.
    InstanceId, "i-", "InvalidInstanceID.Malformed"
);
id!(
    /// A volume: `vol-0e06e1e9da3c49b67`.
    VolumeId, "vol-", "InvalidParameterValue"
);
id!(
    /// A snapshot of a volume: `snap-0e06e1e9da3c49b67`.
    SnapshotId, "snap-", "InvalidSnapshotID.Malformed"
);
id!(
    /// A network interface: `eni-0a1f3c5e7b9d2f401`.
    InterfaceId, "eni-", "InvalidNetworkInterfaceId.Malformed"
);
id!(
    /// An Elastic IP's allocation: `eipalloc-02c7cf64a5cd449cf`.
    AllocationId, "eipalloc-", "InvalidAllocationID.Malformed"
);
id!(
    /// An Elastic IP's association: `eipassoc-0123456789abcdef0`.
    AssociationId, "eipassoc-", "InvalidAssociationID.Malformed"
);
id!(
    /// A subnet: `subnet-8cadc4e8`.
    SubnetId, "subnet-", "InvalidSubnetId.Malformed"
);
