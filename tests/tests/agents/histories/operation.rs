//! What can happen in a history, and how it is done.

use std::time::Duration;

use lab::ec2::CallFault;
use lab::site::INSTANCES;
use nix::sys::signal::Signal;
use proptest::prelude::*;

use super::action::{Action, At, Death, Ended, Victim};
use super::way::Which;
use super::world::World;

/// For an action that is to get its chance.
const LONG: Duration = Duration::from_secs(60);
/// For one that is not: a node that is cut off uses up all of it.
const SHORT: Duration = Duration::from_secs(3);

/// A step of a history. Nodes are numbers from 0.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Start(usize, Option<Death>),
    Stop(usize, Option<Death>),
    Monitor(usize, Option<Death>),
    Mount(usize),
    Unmount(usize),
    Reboot(usize),
    PowerOff(usize),
    PowerOn(usize),
    /// Neither EC2 nor the metadata can be reached from the node.
    CutOff(usize),
    Heal(usize),
    /// From now on descriptions are so many milliseconds old for the node: all, or those of one action.
    Lag(usize, u64, &'static [&'static str]),
    /// So many calls of the node fail so.
    Trouble(usize, CallFault, u32),
    /// By an operator, as the next one.
    Attach(usize),
    Detach,
    /// Nothing happens for so many milliseconds, and what is described gets older.
    Pause(u64),
    /// At once.
    Both(Box<Operation>, Box<Operation>),
}
use Operation::*;

fn death() -> impl Strategy<Value = Death> {
    let at = prop_oneof![
        3 => (1..20_usize).prop_map(|call| At::Before(Which::Number(call))),
        3 => (1..20_usize).prop_map(|call| At::After(Which::Number(call))),
        2 => (0..2500_u64).prop_map(At::Milliseconds),
    ];
    let of = prop_oneof![Just(Victim::Supervisor), Just(Victim::Worker)];
    let by = prop_oneof![Just(Signal::SIGKILL), Just(Signal::SIGTERM)];
    (at, of, by).prop_map(|(at, of, by)| Death { at, of, by })
}

fn fault() -> impl Strategy<Value = CallFault> {
    prop_oneof![
        Just(CallFault::Throttled),
        Just(CallFault::Unavailable),
        Just(CallFault::Reset),
        Just(CallFault::AnswerLost),
    ]
}

fn lag() -> impl Strategy<Value = Operation> {
    let by = prop_oneof![1 => Just(0), 3 => 100..3000_u64];
    let of: [&[&str]; 3] = [&[], &["DescribeVolumes"], &["DescribeInstances"]];
    (node(), by, prop::sample::select(of.to_vec())).prop_map(|(node, by, of)| Lag(node, by, of))
}

/// Rather the first: what happens to one node after another matters less than what happens to the one.
fn node() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 0, 0, 0, 1, 1, 2])
}

/// Of the agent.
fn action() -> impl Strategy<Value = Operation> {
    let death = || prop::option::weighted(0.4, death());
    prop_oneof![
        6 => (node(), death()).prop_map(|(node, death)| Start(node, death)),
        5 => (node(), death()).prop_map(|(node, death)| Stop(node, death)),
        1 => (node(), death()).prop_map(|(node, death)| Monitor(node, death)),
    ]
}

/// Of EC2, an operator, the network.
fn event() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => node().prop_map(Reboot),
        2 => node().prop_map(PowerOff),
        2 => node().prop_map(PowerOn),
        1 => node().prop_map(Attach),
        1 => Just(Detach),
        1 => (200..1500_u64).prop_map(Pause),
        2 => node().prop_map(Unmount),
    ]
}

fn alone() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => action(),
        6 => event(),
        4 => node().prop_map(Mount),
        3 => node().prop_map(CutOff),
        2 => node().prop_map(Heal),
        2 => lag(),
        1 => (node(), fault(), 1..4_u32).prop_map(|(node, fault, times)| Trouble(node, fault, times)),
    ]
}

/// Any operation.
pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let two_nodes = (action(), action()).prop_filter("one action a node", |(one, other)| {
        one.node() != other.node()
    });
    let both = |(one, other)| Both(Box::new(one), Box::new(other));
    prop_oneof![
        8 => alone(),
        2 => two_nodes.prop_map(both),
        2 => (action(), event()).prop_filter("not into a stop", |(action, event)| {
            // That a stop does not see what an operator attaches meanwhile says nothing.
            !matches!(event, Attach(node) if action.node() == Some(*node))
        }).prop_map(both),
    ]
}

impl Operation {
    /// The node whose agent acts.
    fn node(&self) -> Option<usize> {
        match self {
            Start(node, _) | Stop(node, _) | Monitor(node, _) => Some(*node),
            _ => None,
        }
    }
}

impl World {
    pub(super) fn action(&self, node: usize, name: &'static str) -> Action {
        Action {
            agent: "awsebs",
            name,
            timeout: if self.ways.is_cut(node) { SHORT } else { LONG },
            force: self.force_asked,
            level: 0,
        }
    }

    /// Does it; `alone` when nothing else happens meanwhile.
    pub(super) fn perform(&self, operation: &Operation, alone: bool) {
        let machines = &self.site.machines;
        match operation {
            Start(node, death) => {
                machines.expect_volume(*node);
                let free = alone && death.is_none() && self.is_well(*node);
                let free = free && !machines.is_used_elsewhere(*node) && self.may_take(*node);
                let ended = self.act(*node, self.action(*node, "start"), *death);
                if alone && ended.is(0) {
                    self.started(*node);
                }
                self.should(free, *node, "start", &ended);
            }
            Stop(node, death) => {
                let free = alone && death.is_none() && self.is_well(*node);
                let ended = self.act(*node, self.action(*node, "stop"), *death);
                if ended.is(0) {
                    machines.let_go(*node);
                }
                self.should(free, *node, "stop", &ended);
            }
            Monitor(node, death) => {
                let before = machines.has_device(*node);
                let ended = self.act(*node, self.action(*node, "monitor"), *death);
                let settled = before == machines.has_device(*node);
                if alone && settled && death.is_none() {
                    self.monitored(*node, &ended);
                }
            }
            Mount(node) => machines.mount(*node),
            Unmount(node) => machines.unmount(*node),
            Reboot(node) => self.reboot(*node),
            PowerOff(node) => self.stop(*node),
            PowerOn(node) => self.start(*node),
            CutOff(node) => self.ways.cut(*node, true),
            Heal(node) => self.ways.cut(*node, false),
            Lag(node, by, of) => self.lag(*node, *by, of),
            Trouble(node, fault, times) => self.trouble(*node, *fault, *times),
            Attach(node) => self.attach(*node),
            Detach => self.detach(),
            Pause(time) => std::thread::sleep(Duration::from_millis(*time)),
            Both(one, other) => std::thread::scope(|scope| {
                scope.spawn(|| self.perform(one, false));
                self.perform(other, false);
            }),
        }
    }

    /// Whether nothing keeps an agent on the node from its work.
    fn is_well(&self, node: usize) -> bool {
        self.site.machines.has_power(node) && !self.ways.is_cut(node) && !self.has_trouble()
    }

    /// Whether the volume may be taken from whoever has it: without fencing not from an instance that runs.
    fn may_take(&self, node: usize) -> bool {
        let elsewhere = self
            .holder()
            .filter(|holder| holder.instance != INSTANCES[node].id);
        self.fenced
            || self.force_asked
            || elsewhere.is_none_or(|holder| {
                let other = INSTANCES.iter().position(|i| i.id == holder.instance);
                other.is_some_and(|other| !self.site.machines.has_power(other))
            })
    }

    /// An action that nothing stood against has come to this.
    fn should(&self, nothing: bool, node: usize, name: &str, ended: &Ended) {
        if nothing && !ended.is(0) {
            self.site.machines.is_wrong(format!(
                "nothing stood against a {name} on {}, and it came to {ended:?}",
                INSTANCES[node].short
            ));
        }
    }

    /// A start has answered 0: the volume is here, and does not leave by itself.
    fn started(&self, node: usize) {
        let name = INSTANCES[node].short;
        if !self.site.machines.has_device(node) {
            let wrong = format!("a start on {name} answered 0, and the device is not there");
            self.site.machines.is_wrong(wrong);
        }
        // What others asked EC2 for, this node can't know.
        let holder = self.holder();
        let stays = holder.is_some_and(|holder| {
            holder.instance == INSTANCES[node].id
                && ["attached", "attaching"].contains(&holder.state.as_str())
        });
        if !stays && self.detached_by(node) {
            let wrong = format!("a start on {name} answered 0, and the volume is leaving");
            self.site.machines.is_wrong(wrong);
        }
    }

    fn monitored(&self, node: usize, ended: &Ended) {
        let right = if self.site.machines.has_device(node) {
            0
        } else {
            7
        };
        if let Ended::Code(code, said) = ended
            && *code != right
        {
            let wrong = format!(
                "a monitor on {} answered {code} instead of {right}: {said}",
                INSTANCES[node].short
            );
            self.site.machines.is_wrong(wrong);
        }
    }

    /// Whatever has happened: when everything works again, the volume is let go everywhere, and one node gets it.
    pub(super) fn converges(&self, on: usize) {
        let nodes = 0..INSTANCES.len();
        self.no_trouble();
        for node in nodes.clone() {
            self.ways.cut(node, false);
            self.lag(node, 0, &[]);
            self.start(node);
        }
        let expect = |node: usize, name: &'static str, code: i32| -> bool {
            let timeout = Duration::from_secs(60);
            let action = Action {
                timeout,
                ..self.action(node, name)
            };
            let ended = self.act(node, action, None);
            if !ended.is(code) {
                self.site.machines.is_wrong(format!(
                    "in the end a {name} on {} came to {ended:?} instead of {code}",
                    INSTANCES[node].short
                ));
            }
            ended.is(code)
        };
        std::thread::scope(|scope| {
            for node in nodes.clone() {
                let expect = &expect;
                scope.spawn(move || {
                    if expect(node, "stop", 0) {
                        self.site.machines.let_go(node);
                    }
                });
            }
        });
        self.site.machines.expect_volume(on);
        expect(on, "start", 0);
        self.started(on);
        self.site.machines.mount(on);
        for node in nodes {
            expect(node, "monitor", if node == on { 0 } else { 7 });
        }
        if expect(on, "stop", 0) {
            self.site.machines.let_go(on);
        }
    }
}
