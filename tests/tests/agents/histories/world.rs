//! Site, machines and ways of one history, and what an operator does there. Says at the end what
//! was seen that must not be.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lab::ec2::{CallFault, Happening, HolderSnapshot, Injection, Timing};
use lab::site::{INSTANCES, VOLUME_ID};

use super::machines::Machines;
use super::way::Ways;
use crate::node::Site;

/// How long anything may take that must happen.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long descriptions lag at most.
const EVENTUAL_CONSISTENCY_WINDOW: Duration = Duration::from_secs(3);

/// All of it.
pub(super) struct World {
    pub(super) site: Site<Machines>,
    pub(super) ways: Arc<Ways>,
    pub(super) force_asked: bool,
    /// Whether the agents are told that the cluster fences: the cluster's instances.
    pub(super) fenced: bool,
    /// The number of the fault by which descriptions lag for a node, and by how much.
    lags: [Mutex<Option<(u64, Duration)>>; 3],
    troubles: Mutex<Vec<u64>>,
}

/// Short, but longer than the pauses of an agent, so that it sees what is between.
pub(super) fn timing() -> Timing {
    let moment = Duration::from_millis(400);
    Timing {
        attach: moment,
        device: moment,
        detach: moment,
        detach_stopped: moment,
        busy_retry: Duration::from_millis(100),
        forced_stop: moment,
        stop: moment,
        start: moment,
        ..Timing::fast()
    }
}

impl World {
    pub(super) fn new(force_asked: bool) -> Self {
        Self::with(timing(), force_asked)
    }

    pub(super) fn with(timing: Timing, force_asked: bool) -> Self {
        let ways = Arc::new(Ways::default());
        let laid = Arc::clone(&ways);
        let machines = Machines::new(force_asked);
        Self {
            site: Site::of(machines, timing, move |node, service| {
                laid.lay(node, service)
            }),
            ways,
            force_asked,
            fenced: true,
            lags: Default::default(),
            troubles: Mutex::default(),
        }
    }

    /// EC2's truth about the volume.
    pub(super) fn holder(&self) -> Option<HolderSnapshot> {
        let snapshot = self.site.ec2.snapshot();
        let volume = snapshot.volumes.into_iter().find(|v| v.id == VOLUME_ID);
        volume.and_then(|volume| volume.holder)
    }

    fn state(&self, node: usize) -> String {
        let snapshot = self.site.ec2.snapshot();
        let own = snapshot
            .instances
            .into_iter()
            .find(|i| i.id == INSTANCES[node].id);
        own.unwrap().state
    }

    pub(super) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + ANSWER_TIMEOUT;
        while !condition() {
            assert!(
                Instant::now() < end,
                "waited in vain until {what}: {:#?}\n{}",
                self.site.ec2.snapshot(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A call of the API by an operator; false when it is refused.
    fn call(&self, action: &str, parameters: &[(&str, &str)]) -> bool {
        self.site.try_call(action, parameters).is_ok()
    }

    /// From now on what EC2 describes to the node is so many milliseconds old, in these calls or in all.
    pub(super) fn lag(&self, node: usize, by: u64, calls: &[&str]) {
        let mut lag = self.lags[node].lock().unwrap();
        let behind = Duration::from_millis(by);
        let stale = Injection::of(CallFault::Stale).by(behind);
        let new = (by > 0).then(|| {
            let stale = stale.at(INSTANCES[node].id).on(calls);
            (self.site.ec2.inject(stale), behind)
        });
        if let Some((old, _)) = lag.take() {
            self.site.ec2.clear_fault(old);
        }
        *lag = new;
    }

    /// The next calls of the node come to this.
    pub(super) fn trouble(&self, node: usize, fault: CallFault, times: u32) {
        let injection = Injection::of(fault).at(INSTANCES[node].id).times(times);
        self.troubles
            .lock()
            .unwrap()
            .push(self.site.ec2.inject(injection));
    }

    pub(super) fn has_trouble(&self) -> bool {
        !self.troubles.lock().unwrap().is_empty()
    }

    pub(super) fn no_trouble(&self) {
        for number in self.troubles.lock().unwrap().drain(..) {
            self.site.ec2.clear_fault(number);
        }
    }

    /// A boot takes longer than an attachment, and longer than descriptions lag.
    fn booted(&self, node: usize) {
        self.until("what was on its way to the node is there", || {
            let machines = &self.site.machines;
            let coming = self.holder().is_some_and(|holder| {
                holder.instance == INSTANCES[node].id && holder.state.starts_with("attach")
            });
            !coming || machines.has_device(node) || !machines.has_power(node)
        });
        let lag = *self.lags[node].lock().unwrap();
        std::thread::sleep(lag.map_or(Duration::ZERO, |(_, by)| by));
    }

    pub(super) fn reboot(&self, node: usize) {
        let boots = self.site.machines.boots(node);
        if self.call("RebootInstances", &[("InstanceId.1", INSTANCES[node].id)]) {
            self.until("the node is up again", || {
                self.site.machines.boots(node) > boots
            });
            self.booted(node);
        }
    }

    pub(super) fn stop(&self, node: usize) {
        let instance = [("InstanceId.1", INSTANCES[node].id), ("Force", "true")];
        if self.call("StopInstances", &instance) {
            self.until("the instance is stopped", || self.state(node) == "stopped");
        }
    }

    pub(super) fn start(&self, node: usize) {
        if self.call("StartInstances", &[("InstanceId.1", INSTANCES[node].id)]) {
            self.until("the instance runs", || self.state(node) == "running");
            self.booted(node);
        }
    }

    /// An operator attaches the volume, and waits until it is there.
    pub(super) fn attach(&self, node: usize) {
        let id = INSTANCES[node].id;
        let parameters = [
            ("VolumeId", VOLUME_ID),
            ("InstanceId", id),
            ("Device", "/dev/sdf"),
        ];
        if self.site.machines.has_power(node) && self.call("AttachVolume", &parameters) {
            self.site.machines.expect_volume(node);
            self.until("the volume is there or on its way elsewhere", || {
                let holder = self.holder();
                let coming = holder.is_some_and(|h| {
                    h.instance == id && !["detaching", "busy"].contains(&h.state.as_str())
                });
                self.site.machines.has_device(node) || !coming
            });
        }
    }

    /// An operator detaches the volume from wherever it is, without force.
    pub(super) fn detach(&self) {
        if self.call("DetachVolume", &[("VolumeId", VOLUME_ID)]) {
            self.until("the volume is gone or busy", || {
                self.holder()
                    .is_none_or(|holder| holder.state != "detaching")
            });
        }
    }

    /// Whether the last detaching that EC2 took on was asked for by `node` itself.
    pub(super) fn detached_by(&self, node: usize) -> bool {
        let events = self.site.ec2.events();
        let last = events.iter().rev().find_map(|event| match &event.what {
            Happening::Call {
                action,
                caller,
                refused: None,
                ..
            } if action == "DetachVolume" => Some(caller == INSTANCES[node].id),
            _ => None,
        });
        last.unwrap_or(true)
    }

    /// Everything that must not be and was.
    pub(super) fn wrong(&self) -> Vec<String> {
        let mut wrong = self.site.machines.wrong();
        if !self.force_asked {
            wrong.extend(self.taken_from_running());
        }
        wrong
    }

    /// Detachments that were asked for while EC2 said that the instance runs: by force, or without fencing by another
    /// instance.
    fn taken_from_running(&self) -> Vec<String> {
        let mut state = std::collections::BTreeMap::new();
        let running = ("running".to_owned(), Duration::ZERO);
        let mut wrong = Vec::new();
        for event in self.site.ec2.events() {
            match event.what {
                Happening::Instance {
                    instance,
                    state: new,
                } => drop(state.insert(instance, (new, event.since_start))),
                Happening::Call {
                    action,
                    parameters,
                    caller,
                    refused: None,
                    ..
                } if action == "DetachVolume" => {
                    let value = |name: &str| {
                        let found = parameters.iter().find(|(own, _)| own == name);
                        found.map(|(_, value)| value.as_str()).unwrap_or_default()
                    };
                    let holder = value("InstanceId");
                    let (is, since) = state.get(holder).unwrap_or(&running);
                    if value("Force") == "true" && is != "stopped" && is != "terminated" {
                        wrong.push(format!("a detaching by force from {holder}, which is {is}"));
                    }
                    // That it was started just now may not be described yet, and it has not mounted anything so soon.
                    let known = *since == Duration::ZERO
                        || *since + EVENTUAL_CONSISTENCY_WINDOW < event.since_start;
                    let by_another =
                        caller != holder && INSTANCES.iter().any(|other| other.id == caller);
                    if !self.fenced && is == "running" && known && by_another {
                        wrong.push(format!(
                            "without fencing, {caller} has detached from {holder}, which runs"
                        ));
                    }
                }
                _ => {}
            }
        }
        wrong
    }

    /// What EC2 was asked and did.
    pub(super) fn log(&self) -> String {
        let described = |what: &Happening| matches!(what, Happening::Call { action, .. } if action.starts_with("Describe"));
        let events = self.site.ec2.events();
        let lines = events
            .iter()
            .filter(|event| !described(&event.what))
            .map(|event| format!("{:7.3} {}", event.since_start.as_secs_f64(), event.what));
        lines.collect::<Vec<_>>().join("\n")
    }
}
