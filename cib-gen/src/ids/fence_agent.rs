//! Fence agents and their options.

use std::fmt;
use std::str::FromStr;

use super::{Malformed, accept, listed, only};
use crate::mistake::Code;

checked_text!(
    /// A fence agent: `fence_ipmilan`.
    FenceAgent,
    |text| {
        let name = text.strip_prefix("fence_").unwrap_or_default();
        let help = "write `sbd` (the default: a watchdog), the name of a fence agent such as `fence_ipmilan`, \
                    or `none` for a cluster that can lose data";
        accept(!name.is_empty() && only(name, "_-"), text, "is not a way of fencing", help)
    }
);

/// How a fencing device knows which machine is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It has one: the machine at its address. Whatever plug it is told, it switches that one.
    Address,
    /// The device numbers or names its plugs itself.
    Plug,
    /// The device knows its machines by name, as a hypervisor does: a node's own name will do.
    Name,
    Unknown,
}

/// Management boards. All that begin with `fence_ilo` are such, but for [`PLUGS`].
const BOARDS: &str = "fence_amt fence_amt_ws fence_drac fence_idrac fence_imm fence_ipmilan \
    fence_ipmilanplus fence_redfish fence_rsa fence_rsb";

/// Power strips, chassis and switches.
const PLUGS: &str = "fence_apc fence_apc_snmp fence_bladecenter fence_brocade fence_cisco_mds \
    fence_cisco_ucs fence_cyberpower_ssh fence_eaton_snmp fence_eaton_ssh fence_eps \
    fence_hds_cb fence_hpblade fence_ibmblade fence_ifmib fence_ilo_moonshot \
    fence_intelmodular fence_ipdu fence_lindypdu fence_netio fence_powerman fence_pve \
    fence_raritan fence_raritan_px3 fence_sanbox2 fence_tripplite_snmp fence_wti";

/// Hypervisors, clouds, and disks with a place for each node.
const NAMES: &str = "fence_docker fence_kubevirt fence_ldom fence_lpar fence_nutanix_ahv fence_openstack \
    fence_rhevm fence_sbd fence_scsi fence_vbox fence_virsh fence_virt fence_vmware \
    fence_vmware_rest fence_vmware_soap fence_vmware_vcloud fence_xenapi fence_xvm \
    fence_zvm fence_zvmip";

impl FenceAgent {
    /// How its devices know which machine is meant. Source: the agents of ClusterLabs/fence-agents.
    pub fn target(&self) -> Target {
        let name = self.0.as_str();
        if listed(PLUGS, name) {
            Target::Plug
        } else if listed(BOARDS, name) || name.starts_with("fence_ilo") {
            Target::Address
        } else if listed(NAMES, name) {
            Target::Name
        } else {
            Target::Unknown
        }
    }
}

/// Options of a fence agent: `NAME=VALUE` words with spaces between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FencingOptions(Vec<(String, String)>);

impl FencingOptions {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.0.iter()).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Options of fence agents that hold a secret, by the names of fence-agents' library.
const SECRETS: &str = "password passwd passphrase secret_key snmp_priv_passwd token api_key \
    pve_token_secret";

/// Options that cib-gen writes.
const OWN: &str =
    "pcmk_host_argument pcmk_host_list pcmk_host_map pcmk_host_check pcmk_reboot_action";

impl FromStr for FencingOptions {
    type Err = Malformed;
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut options = FencingOptions::default();
        for word in text.split_whitespace() {
            let (name, value) = option(word)?;
            if options.has(name) {
                let found = format!("`{name}` is written twice");
                return Err(Malformed::new(found, "delete one of the two"));
            }
            options.0.push((name.to_owned(), value.to_owned()));
        }
        Ok(options)
    }
}

fn option(word: &str) -> Result<(&str, &str), Malformed> {
    let example = "write NAME=VALUE words with spaces between them, such as `ip=192.168.1.231 \
                   username=fencing password_script=/etc/portsip-ha/bmc-password lanplus=1`";
    let Some((name, value)) = word.split_once('=') else {
        return Err(Malformed::new(format!("`{word}` has no `=`"), example));
    };
    let named = only(name, "_-") && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let unsafe_in_shell = |c: char| c.is_control() || "'\"\\`".contains(c);
    if !named || value.is_empty() || value.chars().any(unsafe_in_shell) {
        let found = format!("`{word}` is not NAME=VALUE");
        return Err(Malformed::new(found, example));
    }
    if listed(SECRETS, name) {
        let found = format!("`{name}` would be readable in the cluster's configuration");
        let help =
            format!("write {name}_script=PATH: a program, mode 0700, that prints it on every node");
        return Err(Malformed::coded(Code::Secret, found, help));
    }
    if name == "port" {
        let help = format!("write plug={value}");
        return Err(Malformed::new("`port` is the old name of `plug`", help));
    }
    if listed(OWN, name) {
        let found = format!("`{name}` is written by cib-gen");
        let help = "delete it; `plug` in pbx01_fencing_options and so on says what the device calls a node, \
                    and `fencing_action` what the device does to it";
        return Err(Malformed::new(found, help));
    }
    // It goes into pcmk_host_map, which `:` and `;` divide.
    if name == "plug" && !only(value, "._-/") {
        let found =
            format!("`{value}` cannot be a plug: it has more than letters, digits and ._-/");
        let help = "write the number or name that the device has for the node";
        return Err(Malformed::new(found, help));
    }
    Ok((name, value))
}
