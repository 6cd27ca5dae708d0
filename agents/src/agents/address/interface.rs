//! The network interface that carries an address, as the user names it.

use std::fs;

use crate::ocf::params::Value;
use ec2::{AwsError, ErrorKind, Interface, Metadata};

/// The kernel's longest name of a network interface (IFNAMSIZ, include/uapi/linux/if.h).
const LONGEST_NAME: usize = 15;

/// A network interface by the kernel's name: `ens6`.
pub(crate) struct InterfaceName(String);

impl Value for InterfaceName {
    /// The kernel's own rule (`dev_valid_name`, net/core/dev.c), and no `:`, which begins an alias.
    fn parse(text: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_graphic() && !"/:".contains(c);
        let is_name = !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_plain);
        if is_name && ![".", ".."].contains(&text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is not the name of a network interface, such as ens6 (`ip link` lists them)"
            ))
        }
    }
}

/// The interface of that name in the instance metadata, or the primary one. `NotFound` if this node does not have it.
pub(super) fn in_metadata<'a>(
    metadata: &'a Metadata,
    name: Option<&InterfaceName>,
) -> Result<Interface<'a>, AwsError> {
    let Some(name) = name else {
        return metadata.interface();
    };
    let mac = fs::read_to_string(format!("/sys/class/net/{}/address", name.0));
    let mac = mac.map_err(|_| {
        let doing = "find the interface (parameter interface)";
        let said = format!("this node has no network interface {}", name.0);
        AwsError::new(ErrorKind::NotFound, doing, said)
    })?;
    Ok(metadata.interface_of(mac.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_interface_is_one_that_the_kernel_takes() {
        for name in ["ens6", "eth1", "enp0s31f6", "br-lan.100"] {
            assert!(InterfaceName::parse(name).is_ok(), "{name}");
        }
        for wrong in ["", "..", "../eth0", "a b", "eth0:1", "an-interface-16c"] {
            assert!(InterfaceName::parse(wrong).is_err(), "{wrong}");
        }
    }
}
