//! What `check` needs of vars.yml.

use std::net::Ipv4Addr;

use cib_gen::vars::{DrbdVersion, LanFencingWord, Topology};

use crate::check::Site;
use crate::cluster::Configuration;
use crate::exit::Failure;
use crate::inventory::{self, Inventory, Machine};

/// What checks need of vars.yml.
#[derive(Default)]
pub(super) struct OfVars {
    file: Option<String>,
    /// The file itself, if it is of a site on EC2.
    pub(super) aws: Option<String>,
    image: Option<String>,
    disk: Option<String>,
    pub(super) volume: Option<String>,
    instances: Vec<(String, Option<String>)>,
    lan: Option<(Ipv4Addr, DrbdVersion, u64)>,
    is_fenced_by_sbd: bool,
}

impl OfVars {
    /// Reads the file again, because cib-gen on the nodes reads it too.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub(super) fn of(inventory: &Inventory) -> Result<OfVars, Failure> {
        let Some((file, vars)) = &inventory.vars else {
            return Ok(OfVars::default());
        };
        let mut this = OfVars {
            file: Some(file.display().to_string()),
            image: Some(vars.shared.pbx_image.value.to_string()),
            ..OfVars::default()
        };
        match &vars.topology {
            Topology::Lan(lan) => {
                this.disk = Some(lan.pbx_datapath_disk.value.to_string());
                let drbd = lan.drbd.as_ref().map_or(DrbdVersion::Nine, |it| it.value);
                // Where vars.yml names no other fencing.
                let fencing = lan.fencing.as_ref().map(|it| &it.value);
                this.is_fenced_by_sbd = matches!(fencing, None | Some(LanFencingWord::Sbd));
                this.lan = Some((lan.vip.value, drbd, lan.pbx_datapath_size.value.bytes()));
            }
            Topology::Aws(aws) => {
                let text = inventory::text(file)?;
                this.aws = Some(String::from_utf8_lossy(&text).into_owned());
                this.volume = Some(aws.ebs_volume_id.value.to_string());
                let names = vars.shared.hostnames.iter();
                let names = names.map(|name| name.as_ref().map(|name| name.value.to_string()));
                let ids = vars.instances().into_iter().map(|id| id.to_string());
                this.instances = ids.zip(names).collect();
            }
        }
        Ok(this)
    }

    pub(super) fn site<'a>(&'a self, machines: &'a [Machine]) -> Site<'a> {
        Site {
            machines,
            image: self.image.as_deref(),
            data_disk: self.disk.as_deref(),
            data_size: self.lan.map(|(_, _, bytes)| bytes),
            vip: self.lan.map(|(vip, ..)| vip),
            drbd: self.lan.map(|(_, drbd, _)| drbd),
            instances: &self.instances,
            volume: self.volume.as_deref(),
            vars_file: self.file.as_deref(),
            is_fenced_by_sbd: self.is_fenced_by_sbd,
            notices: &[],
            away: &[],
        }
    }
}

/// EC2 is asked to do something with the volume that vars.yml names. After a way back the cluster has another one.
pub(super) fn refuse_other_volume(
    written: Option<&str>,
    configuration: &Configuration,
) -> Result<(), Failure> {
    let configured = configuration.parameter("ebs", "volume_id");
    match (written, configured) {
        (Some(written), Some(configured)) if written != configured => Err(Failure::usage(format!(
            "vars.yml names the volume {written}, and the cluster has {configured}. Nothing was changed\n  help: write \
             ebs_volume_id: {configured}; or use the nodes' own file, /etc/portsip/vars.yml"
        ))),
        _ => Ok(()),
    }
}
