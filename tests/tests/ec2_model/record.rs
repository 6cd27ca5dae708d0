//! A `World` that keeps a record: which machine has power, which devices, what is mounted, what is on a volume or in a
//! snapshot. It notes when EC2's decisions would have done harm.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::Duration;

use lab::site;
use lab::world::{Detach, Error, Network, World};

#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) powered: bool,
    pub(crate) devices: BTreeSet<String>,
    pub(crate) mounted: BTreeSet<String>,
    /// Ignores requests to shut down.
    pub(crate) hangs: bool,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) network: Option<Network>,
    pub(crate) calls: Vec<String>,
    /// What was written to a volume, and what a snapshot has of it.
    pub(crate) content: BTreeMap<String, String>,
    pub(crate) harm: Vec<String>,
    /// The switch is broken: no power can be cut.
    pub(crate) power_stuck: bool,
    /// The disk is full: nothing can be copied.
    pub(crate) disk_full: bool,
}

pub(crate) struct Record(pub(crate) Mutex<Inner>);

impl Record {
    /// All machines of the site, running.
    pub(crate) fn new() -> Self {
        let machines = site::INSTANCES.iter().map(|instance| {
            let machine = Machine {
                powered: true,
                ..Machine::default()
            };
            (instance.id.to_owned(), machine)
        });
        Self(Mutex::new(Inner {
            machines: machines.collect(),
            ..Inner::default()
        }))
    }

    /// Looks at or changes a machine, as somebody at its console would.
    pub(crate) fn machine<T>(&self, id: &str, act: impl FnOnce(&mut Machine) -> T) -> T {
        act(self.0.lock().unwrap().machines.get_mut(id).unwrap())
    }

    pub(crate) fn mount(&self, instance: &str, volume: &str) {
        self.machine(instance, |machine| {
            assert!(
                machine.devices.contains(volume),
                "{volume} is not there to be mounted"
            );
            machine.mounted.insert(volume.to_owned());
        });
    }

    pub(crate) fn unmount(&self, instance: &str, volume: &str) {
        self.machine(instance, |machine| machine.mounted.remove(volume));
    }

    pub(crate) fn write(&self, volume: &str, text: &str) {
        let content = &mut self.0.lock().unwrap().content;
        content.insert(volume.to_owned(), text.to_owned());
    }

    pub(crate) fn read(&self, volume: &str) -> Option<String> {
        self.0.lock().unwrap().content.get(volume).cloned()
    }

    pub(crate) fn has_device(&self, instance: &str, volume: &str) -> bool {
        self.machine(instance, |machine| machine.devices.contains(volume))
    }

    pub(crate) fn is_on(&self, instance: &str) -> bool {
        self.machine(instance, |machine| machine.powered)
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    pub(crate) fn harm(&self) -> Vec<String> {
        self.0.lock().unwrap().harm.clone()
    }

    fn act<T>(&self, call: String, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(call);
        act(&mut inner)
    }
}

impl Inner {
    fn machine(&mut self, id: &str) -> Result<&mut Machine, Error> {
        self.machines
            .get_mut(id)
            .ok_or_else(|| format!("no machine {id}").into())
    }

    fn copy(&mut self, from: &str, to: &str) -> Result<(), Error> {
        if self.disk_full {
            return Err("the disk is full".into());
        }
        let content = self.content.get(from).cloned().unwrap_or_default();
        self.content.insert(to.to_owned(), content);
        Ok(())
    }
}

fn lose_power(machine: &mut Machine) {
    machine.powered = false;
    machine.mounted.clear();
    machine.devices.clear();
}

impl World for Record {
    fn power_on(&self, instance: &str) -> Result<(), Error> {
        self.act(format!("power_on {instance}"), |inner| {
            let machine = inner.machine(instance)?;
            if machine.powered {
                inner
                    .harm
                    .push(format!("{instance} powered on while it runs"));
                return Err("it runs already".into());
            }
            machine.powered = true;
            Ok(())
        })
    }

    fn shut_down(&self, instance: &str, grace: Duration) -> Result<(), Error> {
        let hangs = self.act(format!("shut_down {instance}"), |inner| {
            let machine = inner.machine(instance)?;
            let hangs = machine.powered && machine.hangs;
            if !hangs {
                lose_power(machine);
            }
            Ok::<_, Error>(hangs)
        })?;
        if hangs {
            std::thread::sleep(grace);
        }
        Ok(())
    }

    fn power_off(&self, instance: &str) -> Result<(), Error> {
        self.act(format!("power_off {instance}"), |inner| {
            if inner.power_stuck {
                return Err("the switch is broken".into());
            }
            lose_power(inner.machine(instance)?);
            Ok(())
        })
    }

    fn attach(&self, instance: &str, volume: &str, _device: &str) -> Result<(), Error> {
        self.act(format!("attach {volume} {instance}"), |inner| {
            for (other, machine) in &inner.machines {
                if other != instance && machine.devices.contains(volume) {
                    inner
                        .harm
                        .push(format!("{volume} at {other} and at {instance}"));
                }
            }
            let machine = inner.machine(instance)?;
            if machine.powered {
                machine.devices.insert(volume.to_owned());
            }
            Ok(())
        })
    }

    fn enlarge(&self, volume: &str, bytes: u64) -> Result<(), Error> {
        self.act(format!("enlarge {volume} {bytes}"), |_| Ok(()))
    }

    fn snapshot(&self, volume: &str, snapshot: &str) -> Result<(), Error> {
        self.act(format!("snapshot {volume} {snapshot}"), |inner| {
            inner.copy(volume, snapshot)
        })
    }

    fn create_volume(&self, volume: &str, snapshot: &str, bytes: u64) -> Result<(), Error> {
        self.act(format!("create_volume {volume} {bytes}"), |inner| {
            inner.copy(snapshot, volume)
        })
    }

    fn renumber(&self, instance: &str) -> Result<(), Error> {
        self.act(format!("renumber {instance}"), |_| Ok(()))
    }

    fn detach(&self, instance: &str, volume: &str, force: bool) -> Result<Detach, Error> {
        self.act(
            format!("detach {volume} {instance} force={force}"),
            |inner| {
                let machine = inner.machine(instance)?;
                if machine.mounted.contains(volume) && !force {
                    return Ok(Detach::Busy);
                }
                machine.mounted.remove(volume);
                machine.devices.remove(volume);
                Ok(Detach::Done)
            },
        )
    }

    fn set_network(&self, network: &Network) -> Result<(), Error> {
        self.act("set_network".to_owned(), |inner| {
            let mut seen: BTreeSet<Ipv4Addr> = BTreeSet::new();
            for address in network.private.values().flatten() {
                if !seen.insert(*address) {
                    inner
                        .harm
                        .push(format!("{address} delivered to two instances"));
                }
            }
            inner.network = Some(network.clone());
            Ok(())
        })
    }
}
