//! The machines and the VPC behind the EC2 model: what the model decides is done here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use fuser::BackgroundSession;

use crate::cgroup::Cgroup;
use crate::ec2::Ec2;
use crate::image::Image;
use crate::node::Machine;
use crate::node::container::{ContainerNode, Parts};
use crate::node::kernel::disk::kernel_disk;
use crate::node::kernel::program::Kernel;
use crate::node::kernel::{self, KernelMachine};
use crate::progress::Silent;
use crate::site::{self, Host, INSTANCES, Instance};
use crate::vpc::{self, Vpc};
use crate::watch::{Presence, Watch};
use crate::world::{Detach, Error, Network, World};
use crate::{first_access, volume};

/// How often a volume is copied again because its file was written to meanwhile: the kernel of this machine writes
/// for a container that stands still.
const COPIES: usize = 10;
/// How long that kernel may take with what the container had begun.
const SETTLING: Duration = Duration::from_millis(50);
/// How long a machine runs between two copies, so that its cluster does not lose it.
const RUNNING: Duration = Duration::from_millis(500);

/// The model, once it exists: machines tell it when a guest powers itself off.
pub type Model = Arc<OnceLock<Weak<Ec2>>>;

/// Everything that has power or carries packets.
pub struct Hypervisor {
    machines: BTreeMap<&'static str, Box<dyn Machine>>,
    /// A file for each volume, under its id; those of the snapshots are beside.
    volumes: PathBuf,
    snapshots: PathBuf,
    /// The volumes that were made from a snapshot.
    served: Mutex<Vec<BackgroundSession>>,
    /// What the VPC delivers.
    pub vpc: Vpc,
    /// That no volume is at two machines.
    pub watch: Watch,
}

impl Hypervisor {
    /// Three machines and others `besides` without power on an existing VPC, and an empty volume. `kernel` says which
    /// get a kernel of their own.
    ///
    /// # Errors
    /// A port or a disk cannot be made.
    pub fn new(
        image: &Image,
        disks: &Path,
        cgroup: &Cgroup,
        kernel: &[&'static Instance],
        besides: &'static [Instance],
        model: &Model,
    ) -> Result<Self, Error> {
        let (volumes, snapshots) = (disks.join("volumes"), disks.join("snapshots"));
        for dir in [&volumes, &snapshots] {
            fs::create_dir_all(dir).map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
        }
        volume::create(
            &volumes.join(site::VOLUME_ID),
            u64::from(site::VOLUME_GIB) << 30,
        )?;
        let mut machines: BTreeMap<&'static str, Box<dyn Machine>> = BTreeMap::new();
        for instance in INSTANCES.iter().chain(besides) {
            let disk = disks.join(instance.short);
            fs::create_dir_all(&disk)
                .map_err(|e| format!("cannot make {}: {e}", disk.display()))?;
            if kernel.contains(&instance) {
                let kernel = Kernel::of(None, &Silent)?;
                let node = KernelMachine::new(kernel::Parts {
                    host: &instance.host,
                    tap: vpc::add_tap(instance)?,
                    data: None,
                    base: kernel_disk(image, &kernel, &Silent)?,
                    program: kernel.program,
                    disk,
                    group: cgroup.child(instance.short)?,
                    on_guest_off: tell(model),
                })?;
                machines.insert(instance.id, Box::new(node));
                continue;
            }
            vpc::add_cable(instance)?;
            let docker = disk.join("docker");
            match INSTANCES.contains(instance) {
                true => crate::pbx::copy_docker_data(image, &docker)?,
                // A stock machine has no image, and the lab has no registry.
                false => fs::create_dir_all(&docker)?,
            }
            let node = ContainerNode::new(Parts {
                host: &instance.host,
                image: image.clone(),
                disk,
                cgroup: cgroup.clone(),
                on_guest_off: tell(model),
            });
            machines.insert(instance.id, Box::new(node));
        }
        Ok(Self {
            machines,
            volumes,
            snapshots,
            served: Mutex::default(),
            vpc: Vpc::default(),
            watch: Watch::default(),
        })
    }

    /// Looks once where each volume is, in the machines themselves.
    pub fn look_for_the_volumes(&self) {
        let files = fs::read_dir(&self.volumes).into_iter().flatten().flatten();
        for file in files.map(|entry| entry.path()) {
            self.watch.look(|| {
                INSTANCES
                    .iter()
                    .map(|node| Ok((node.short, self.machine(node.id)?.presence(&file)?)))
                    .collect()
            });
        }
    }

    /// The machines that have the volume in `file`.
    fn holders(&self, file: &Path) -> Result<Vec<&dyn Machine>, Error> {
        let mut holders = Vec::new();
        for machine in self.machines.values() {
            if machine.presence(file)? != Presence::Absent {
                holders.push(machine.as_ref());
            }
        }
        Ok(holders)
    }

    /// The machine behind an instance.
    ///
    /// # Errors
    /// There is none.
    pub fn machine(&self, instance: &str) -> Result<&dyn Machine, Error> {
        self.machines
            .get(instance)
            .map(AsRef::as_ref)
            .ok_or_else(|| format!("no machine behind {instance}").into())
    }
}

/// Does something while all of these machines stand still.
fn while_still(
    machines: &[&dyn Machine],
    work: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    match machines.split_first() {
        None => work(),
        Some((first, others)) => first.while_still(&mut || while_still(others, work)),
    }
}

/// Tells the model that a guest has powered itself off.
fn tell(model: &Model) -> Box<dyn Fn(&'static Host) + Send + Sync> {
    let model = Arc::clone(model);
    Box::new(move |host| {
        if let Some(ec2) = model.get().and_then(Weak::upgrade) {
            ec2.guest_powered_off(host.id);
        }
    })
}

impl World for Hypervisor {
    fn power_on(&self, instance: &str) -> Result<(), Error> {
        self.machine(instance)?.power_on()
    }

    fn shut_down(&self, instance: &str, grace: Duration) -> Result<(), Error> {
        self.machine(instance)?.shut_down(grace)
    }

    fn power_off(&self, instance: &str) -> Result<(), Error> {
        self.machine(instance)?.power_off()
    }

    fn attach(&self, instance: &str, volume: &str, _device: &str) -> Result<(), Error> {
        let attached = self
            .machine(instance)?
            .attach(volume, &self.volumes.join(volume));
        self.look_for_the_volumes();
        attached
    }

    fn renumber(&self, instance: &str) -> Result<(), Error> {
        self.machine(instance)?.renumber();
        Ok(())
    }

    fn detach(&self, instance: &str, volume: &str, force: bool) -> Result<Detach, Error> {
        self.machine(instance)?.detach(volume, force)
    }

    fn enlarge(&self, volume: &str, bytes: u64) -> Result<(), Error> {
        volume::enlarge(&self.volumes.join(volume), bytes)?;
        for machine in self.machines.values() {
            machine.enlarged(volume)?;
        }
        Ok(())
    }

    fn snapshot(&self, volume: &str, snapshot: &str) -> Result<(), Error> {
        let (file, copy) = (self.volumes.join(volume), self.snapshots.join(snapshot));
        for _ in 0..COPIES {
            let mut of_one_moment = false;
            while_still(&self.holders(&file)?, &mut || {
                std::thread::sleep(SETTLING);
                of_one_moment = volume::copy(&file, &copy)?;
                Ok(())
            })?;
            if of_one_moment {
                return Ok(());
            }
            std::thread::sleep(RUNNING);
        }
        Err(format!("{volume} was written to each of the {COPIES} times that it was copied").into())
    }

    fn create_volume(&self, volume: &str, snapshot: &str, bytes: u64) -> Result<(), Error> {
        let file = self.volumes.join(volume);
        volume::create_from(&file, &self.snapshots.join(snapshot), bytes)?;
        let shown = first_access::serve(&file)?;
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        served.push(shown);
        Ok(())
    }

    fn set_network(&self, network: &Network) -> Result<(), Error> {
        self.vpc.set_network(network)
    }
}
