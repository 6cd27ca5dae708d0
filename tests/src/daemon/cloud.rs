//! The site on EC2: machines in a VPC, the EC2 model that rules them, and the services around them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Running, Start};
use crate::cgroup::Cgroup;
use crate::dhcp::Dhcp;
use crate::ec2::{Ec2, Timing};
use crate::hypervisor::{Hypervisor, Model};
use crate::image::Image;
use crate::lab::Options;
use crate::node::Machine;
use crate::site::{self, INSTANCES, Instance, Site};
use crate::world::{Error, World};
use crate::{endpoints, resolver};

/// How often the machines are searched for the volumes: much shorter than a detach and an attach.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The site.
pub(super) struct Cloud {
    pub(super) world: Arc<Hypervisor>,
    pub(super) ec2: Arc<Ec2>,
    pub(super) dhcp: Dhcp,
}

impl Cloud {
    /// Makes the machines, without power, and starts the services. The VPC exists; the caller's thread is in
    /// its namespace, and in a tokio runtime.
    pub(super) fn begin(
        options: &Options,
        image: &Image,
        group: &Cgroup,
        disks: &Path,
        start: &Start,
    ) -> Result<Self, Error> {
        start.step("disks");
        let model: Model = Arc::new(OnceLock::new());
        let kernel: Vec<&'static Instance> = options
            .kernel
            .iter()
            .filter_map(|name| site::instance(name))
            .collect();
        let besides = site::EXTENDED.get(..options.extended).unwrap_or(&[]);
        let world = Hypervisor::new(image, disks, group, &kernel, besides, &model)?;
        let world = Arc::new(world);

        start.step("EC2 and instance metadata");
        let timing = if options.fast {
            Timing::fast()
        } else {
            Timing::ec2_like()
        };
        let ec2 = Ec2::with(timing, Arc::clone(&world) as Arc<dyn World>, besides);
        let _ = model.set(Arc::downgrade(&ec2));
        for (id, secret) in [site::OPERATOR_KEY, site::ADMIN_KEY] {
            ec2.add_access_key(id, secret);
        }
        endpoints::serve_ec2(&ec2, image)?;
        let dhcp = Dhcp::default();
        for instance in INSTANCES.iter().chain(besides) {
            endpoints::serve_metadata(&ec2, instance)?;
            dhcp.serve(instance)?;
        }
        resolver::serve(Site::Ec2)?;
        world.set_network(&ec2.network())?;
        let watched = Arc::clone(&world);
        std::thread::spawn(move || {
            loop {
                watched.look_for_the_volumes();
                std::thread::sleep(POLL_INTERVAL);
            }
        });
        Ok(Self { world, ec2, dhcp })
    }
}

impl Running for Cloud {
    fn machine(&self, id: &str) -> Result<&dyn Machine, Error> {
        self.world.machine(id)
    }

    /// If EC2 has stopped the instance, EC2 starts it.
    fn power_on(&self, id: &str) -> Result<(), Error> {
        let state = self
            .ec2
            .snapshot()
            .instances
            .into_iter()
            .find(|i| i.id == id)
            .map(|i| i.state)
            .unwrap_or_default();
        match state.as_str() {
            "running" => self.world.power_on(id),
            "stopped" => self
                .ec2
                .start_instance(id)
                .map_err(|e| format!("EC2 does not start {id}: {e}").into()),
            other => {
                Err(format!("EC2 says {id} is {other}: wait until it is stopped or running").into())
            }
        }
    }

    fn set_partitioned(&self, short: &str, cut: bool) -> Result<(), Error> {
        self.world.vpc.set_partitioned(short, cut)
    }

    fn partitioned(&self) -> BTreeSet<String> {
        self.world.vpc.partitioned()
    }

    fn cloud(&self) -> Result<&Cloud, Error> {
        Ok(self)
    }
}
