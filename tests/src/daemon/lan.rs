//! The site on a LAN: three kernel nodes with a disk for the data each, and a resolver.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{Running, Start};
use crate::cgroup::Cgroup;
use crate::image::Image;
use crate::lab::Options;
use crate::lan::{self, Lan};
use crate::node::Machine;
use crate::node::kernel::disk::kernel_disk;
use crate::node::kernel::program::Kernel;
use crate::node::kernel::{KernelMachine, Parts};
use crate::progress::Silent;
use crate::site::Site;
use crate::world::Error;
use crate::{resolver, volume};

/// Size of the disk for the data. DRBD's first synchronisation reads all of what is used of it.
const DATA_BYTES: u64 = 4 << 30;

/// The site.
pub(super) struct Machines {
    machines: BTreeMap<&'static str, KernelMachine>,
    lan: Lan,
}

impl Machines {
    /// Makes the machines, without power. The LAN exists; the caller's thread is in its namespace.
    pub(super) fn begin(
        options: &Options,
        image: &Image,
        group: &Cgroup,
        disks: &Path,
        start: &Start,
    ) -> Result<Self, Error> {
        start.step("disks");
        let kernel = Kernel::of(options.drbd_modules.as_deref(), &Silent)?;
        let base = kernel_disk(image, &kernel, &Silent)?;
        let mut machines = BTreeMap::new();
        for host in Site::Lan.hosts() {
            let disk = disks.join(host.short);
            fs::create_dir_all(&disk)
                .map_err(|e| format!("cannot make {}: {e}", disk.display()))?;
            let data = disk.join("data");
            volume::create(&data, DATA_BYTES)?;
            let machine = KernelMachine::new(Parts {
                host,
                tap: lan::add_tap(host)?,
                data: Some(data),
                program: kernel.program.clone(),
                base: base.clone(),
                disk,
                group: group.child(host.short)?,
                // Nobody but the operator gives it its power back.
                on_guest_off: Box::new(|host| tracing::info!("{} is off", host.hostname)),
            })?;
            machines.insert(host.id, machine);
        }
        resolver::serve(Site::Lan)?;
        Ok(Self {
            machines,
            lan: Lan::default(),
        })
    }
}

impl Running for Machines {
    fn machine(&self, id: &str) -> Result<&dyn Machine, Error> {
        self.machines
            .get(id)
            .map(|machine| machine as &dyn Machine)
            .ok_or_else(|| format!("no machine {id}").into())
    }

    fn set_partitioned(&self, short: &str, cut: bool) -> Result<(), Error> {
        self.lan.set_partitioned(short, cut)
    }

    fn partitioned(&self) -> BTreeSet<String> {
        self.lan.partitioned()
    }
}
