//! The scenarios: what is made to happen to the cluster, and what is right then. Each begins with everything
//! on one node, the active one, and all the others online.

use super::judge::{Expected, Judge, Outcome, Place, Untouched};
use super::report::{Case, NODES, QUORUM, START};
use super::state;
use super::tested::{Kind, Monitor, Tested};
use crate::scheduler::{Event, Scheduler, Task};

/// A cluster that still does something after so many transitions does not come to rest.
const MOST_TRANSITIONS: usize = 8;
/// Seconds after which every failure has expired.
const A_DAY: u64 = 24 * 3600;

/// The scenarios of one active node.
pub(super) struct Scenarios<'a, S> {
    pub(super) scheduler: &'a S,
    pub(super) tested: &'a [Tested],
    pub(super) nodes: &'a [&'a str],
    /// The nodes that can run what is tested.
    pub(super) hosts: &'a [&'a str],
    /// The nodes that only vote.
    pub(super) voters: &'a [&'a str],
    /// The host where everything runs, by its place.
    pub(super) active: usize,
    /// The CIB before anything has started.
    pub(super) fresh: &'a str,
    /// What came of them.
    pub(super) cases: Vec<Case>,
}

type Asked<T, S> = Result<T, <S as Scheduler>::Error>;

impl<'a, S: Scheduler> Scenarios<'a, S> {
    /// The first start, which is of no node in particular.
    pub(super) fn start(mut self) -> Asked<Vec<Case>, S> {
        let name = "all nodes at once";
        let expected = Expected::at(Place::Anywhere);
        self.run(START, name, self.fresh, &[&[]], expected)?;
        Ok(self.cases)
    }

    pub(super) fn all(mut self) -> Asked<Vec<Case>, S> {
        let node = self.active();
        let alone = self.others(Event::NodeDown);
        let (name, on_node) = (format!("{node} alone"), Expected::at(Place::On(node)));
        let first = self.run(START, &name, self.fresh, &[&alone], on_node)?;
        let name = format!("{node} alone, and the others come");
        let joined = [&self.others(Event::NodeUp)[..]];
        let base = self.run(START, &name, first.cib(), &joined, undisturbed(node))?;
        let base = base.cib();
        self.lost_nodes(base)?;
        self.orderly_nodes(base)?;
        self.quorum(base)?;
        self.two_at_once(base)?;
        for tested in self.tested {
            for monitor in &tested.monitors {
                self.monitor(tested, monitor, base)?;
            }
            self.failed_start(tested)?;
            self.failed_stop(tested, base)?;
        }
        Ok(self.cases)
    }

    fn active(&self) -> &'a str {
        self.hosts[self.active]
    }

    /// The host after the active one.
    fn other(&self) -> &'a str {
        self.hosts[(self.active + 1) % self.hosts.len()]
    }

    /// Nodes that fail, and come back.
    fn lost_nodes(&mut self, base: &str) -> Asked<(), S> {
        let (node, other) = (self.active(), self.other());
        let beside = [other].into_iter().chain(self.voters.iter().copied());
        let fail = |node: &str| [Event::NodeFail(node.to_owned())];
        let back = |node: &str| [Event::NodeUp(node.to_owned())];

        let expected = Expected::at(Place::NotOn(node)).fenced(node);
        let name = format!("{node}, active, fails");
        let failed = self.run(NODES, &name, base, &[&fail(node)], expected)?;
        let at = failed.ends_on(self.tested).unwrap_or(other);
        let name = format!("{node} comes back after that");
        self.run(NODES, &name, failed.cib(), &[&back(node)], undisturbed(at))?;

        for other in beside {
            let expected = Expected::at(Place::On(node)).fenced(other);
            let expected = expected.untouched(Untouched::Service);
            let name = format!("{other} fails beside {node}");
            let failed = self.run(NODES, &name, base, &[&fail(other)], expected)?;
            let name = format!("{other} comes back after that");
            let back = back(other);
            self.run(NODES, &name, failed.cib(), &[&back], undisturbed(node))?;
        }
        Ok(())
    }

    /// The active node is put in standby, and rebooted.
    fn orderly_nodes(&mut self, base: &str) -> Asked<(), S> {
        let (node, other) = (self.active(), self.other());
        let moves = Expected::at(Place::NotOn(node)).spared(node);
        let standby = state::with_standby(base, node, true)?;
        let name = format!("{node} is put in standby");
        let left = self.run(NODES, &name, &standby, &[&[]], moves)?;
        let cib = state::with_standby(left.cib(), node, false)?;
        let at = left.ends_on(self.tested).unwrap_or(other);
        let name = format!("{node} is no longer in standby");
        self.run(NODES, &name, &cib, &[&[]], undisturbed(at))?;

        // Pacemaker stops what runs on a node that asks to shut down; then the node leaves.
        let asks = state::with_shutdown(base, node, true)?;
        let name = format!("{node}, active, is rebooted");
        let down = [Event::NodeDown(node.to_owned())];
        let left = self.run(NODES, &name, &asks, &[&[], &down], moves)?;
        let cib = state::with_shutdown(left.cib(), node, false)?;
        let at = left.ends_on(self.tested).unwrap_or(other);
        let name = format!("{node} comes back after its reboot");
        let up = [Event::NodeUp(node.to_owned())];
        self.run(NODES, &name, &cib, &[&up], undisturbed(at))?;
        Ok(())
    }

    /// As few nodes as are no majority, with everything on one of them, and then all again.
    fn quorum(&mut self, base: &str) -> Asked<(), S> {
        let node = self.active();
        let minority = (self.nodes.len() - 1) / 2;
        let others = self.nodes.iter().filter(|other| **other != node);
        let gone: Vec<&str> = others.skip(minority.saturating_sub(1)).copied().collect();
        let of_gone = |event: fn(String) -> Event, quorum| {
            let events = gone.iter().map(|node| event((*node).to_owned()));
            events.chain([Event::Quorum(quorum)]).collect::<Vec<_>>()
        };
        let name = format!("{node}, active, is in a minority");
        let lost = of_gone(Event::NodeFail, false);
        let lost = self.run(QUORUM, &name, base, &[&lost], Expected::at(Place::Nowhere))?;
        let name = format!("{node} and the others are together again");
        let (again, expected) = (of_gone(Event::NodeUp, true), Expected::at(Place::Anywhere));
        self.run(QUORUM, &name, lost.cib(), &[&again], expected)?;
        Ok(())
    }

    /// Two failures at once: two nodes, a standby and a resource, two resources.
    fn two_at_once(&mut self, base: &str) -> Asked<(), S> {
        let (node, other) = (self.active(), self.other());
        let fails = |node: &str| Event::NodeFail(node.to_owned());
        let mut both = vec![fails(node), fails(other)];
        let mut expected = Expected::at(Place::NotOn(node)).fenced(node);
        expected.may_fence = Some(other);
        if (self.nodes.len() - 2) * 2 <= self.nodes.len() {
            both.push(Event::Quorum(false));
            expected = Expected::at(Place::Nowhere);
        }
        let name = format!("{node}, active, and {other} fail at once");
        self.run(NODES, &name, base, &[&both], expected)?;

        let service = self.tested.iter().filter(|tested| tested.is_service());
        let failures: Vec<(&str, Event)> = service
            .filter_map(|tested| {
                let mut monitors = tested.monitors.iter();
                let monitor = monitors.find(|monitor| !monitor.ignored && !monitor.unpromoted)?;
                let interval = u64::from(monitor.interval) * 1000;
                let failed = Event::Failed(task(&tested.id, "monitor", interval, node));
                Some((tested.id.as_str(), failed))
            })
            .collect();
        let [(first, one), .., (last, two)] = &failures[..] else {
            return Ok(());
        };
        let expected = Expected::at(Place::On(node)).restarted(last);
        let name = format!("{first} and {last} fail on {node} at once");
        self.run(NODES, &name, base, &[&[one.clone(), two.clone()]], expected)?;
        let name = format!("{other} fails, and {last} on {node} at once");
        let events = [fails(other), two.clone()];
        self.run(NODES, &name, base, &[&events], expected.fenced(other))?;
        Ok(())
    }

    /// A monitor that fails once, and three times.
    fn monitor(&mut self, tested: &'a Tested, monitor: &Monitor, base: &str) -> Asked<(), S> {
        let active = self.active();
        let id = tested.id.as_str();
        let at = if monitor.unpromoted {
            self.other()
        } else {
            active
        };
        let operation = match (tested.promotable, monitor.unpromoted) {
            (true, true) => "standby's monitor".to_owned(),
            (true, false) => "promoted monitor".to_owned(),
            _ if tested.monitors.len() > 1 => format!("monitor every {} s", monitor.interval),
            _ => "monitor".to_owned(),
        };
        let stays = Expected::at(Place::On(active));
        let others_stay = stays.untouched(Untouched::Service);
        let (once, thrice) = if monitor.ignored {
            (undisturbed(active), undisturbed(active))
        } else if monitor.unpromoted {
            (others_stay.restarted(id), others_stay.spared(at))
        } else if tested.never_banned {
            (stays.restarted(id), stays.restarted(id))
        } else if tested.kind == Kind::Service {
            let moves = Expected::at(Place::NotOn(at)).spared(at);
            (stays.restarted(id), moves)
        } else {
            (others_stay.restarted(id), others_stay.gone(id, at))
        };
        let interval = u64::from(monitor.interval) * 1000;
        let fails = Event::Failed(task(id, "monitor", interval, at));
        let name = format!("{operation} fails on {at}");
        self.run(id, &name, base, &[std::slice::from_ref(&fails)], once)?;
        let name = format!("{operation} fails on {at} three times");
        self.run(id, &name, base, &[&vec![fails; 3]], thrice.expires())?;
        Ok(())
    }

    /// A start, and a promotion, that fails.
    fn failed_start(&mut self, tested: &'a Tested) -> Asked<(), S> {
        let (node, id) = (self.active(), tested.id.as_str());
        let others = self.others(Event::NodeUp);
        let alone_and = |operation: &str| {
            let mut events = self.others(Event::NodeDown);
            events.push(Event::WillFail(task(id, operation, 0, node)));
            events
        };
        let (start, promote) = (alone_and("start"), alone_and("promote"));
        let expected = match tested.kind {
            Kind::Service => Expected::at(Place::NotOn(node)).spared(node),
            Kind::Optional | Kind::Device => Expected::at(Place::Anywhere).gone(id, node),
        };
        let name = format!("start fails on {node}");
        let expires = expected.expires();
        self.run(id, &name, self.fresh, &[&start, &others], expires)?;
        if tested.promotable {
            let name = format!("promotion fails on {node}");
            let expected = Expected::at(Place::Anywhere);
            self.run(id, &name, self.fresh, &[&promote, &others], expected)?;
        }
        Ok(())
    }

    /// A stop, and a demotion, that fails when the node is put in standby. Pacemaker itself stops a fencing
    /// device, and that does not fail.
    fn failed_stop(&mut self, tested: &'a Tested, base: &str) -> Asked<(), S> {
        if tested.kind == Kind::Device {
            return Ok(());
        }
        let (node, id) = (self.active(), tested.id.as_str());
        let cib = state::with_standby(base, node, true)?;
        let moves = Expected::at(Place::NotOn(node)).spared(node);
        let fails = |operation| [Event::WillFail(task(id, operation, 0, node))];
        let expected = Expected {
            // Nothing needs an optional resource: it is no reason to fence a node.
            fenced: (tested.kind == Kind::Service && !tested.stop_ignored).then_some(node),
            // By then it is demoted: another node can be promoted.
            fenced_late: tested.promotable,
            ..moves
        };
        let name = format!("stop fails on {node}");
        self.run(id, &name, &cib, &[&fails("stop")], expected)?;
        if tested.promotable {
            let name = format!("demotion fails on {node}");
            self.run(id, &name, &cib, &[&fails("demote")], moves.may_fence(node))?;
        }
        Ok(())
    }

    fn others(&self, event: fn(String) -> Event) -> Vec<Event> {
        let others = self.nodes.iter().filter(|node| **node != self.active());
        others.map(|node| event((*node).to_owned())).collect()
    }

    /// Runs a scenario, and judges what came of it.
    fn run(
        &mut self,
        about: &str,
        name: &str,
        cib: &str,
        events: &[&[Event]],
        expected: Expected<'_>,
    ) -> Asked<Outcome, S> {
        let mut outcome = self.happen(cib, events)?;
        if expected.expires {
            let cib = state::later(outcome.cib(), A_DAY)?;
            let cib = state::with_promotion_scores(&cib, self.tested)?;
            outcome.expired = Some(self.scheduler.ask(&cib, &[])?);
        }
        let expired = outcome.expired.iter().flat_map(|later| &later.actions);
        let later = expired.map(|action| format!("a day later: {action}"));
        let actions = outcome.actions().map(ToString::to_string);
        let judge = Judge {
            tested: self.tested,
            voters: self.voters,
            outcome: &outcome,
        };
        self.cases.push(Case {
            about: about.to_owned(),
            name: name.to_owned(),
            happened: judge.summary(),
            fault: judge.fault(&expected),
            actions: actions.chain(later).collect(),
        });
        Ok(outcome)
    }

    /// Has things happen one after the other, and waits until nothing is done any more.
    fn happen(&self, cib: &str, happening: &[&[Event]]) -> Asked<Outcome, S> {
        let starts_fail =
            |event: &Event| matches!(event, Event::WillFail(task) if task.operation == "start");
        let fatal = happening.iter().copied().flatten().any(starts_fail);
        let mut cib = cib.to_owned();
        let (mut steps, mut rest) = (Vec::new(), false);
        while !rest && steps.len() < MOST_TRANSITIONS {
            let events = happening.get(steps.len()).copied();
            let asked = state::with_promotion_scores(&cib, self.tested)?;
            let transition = self.scheduler.ask(&asked, events.unwrap_or_default())?;
            cib = transition.cib.clone();
            if fatal {
                cib = state::with_fatal_starts(&cib)?;
            }
            rest = events.is_none() && transition.actions.is_empty();
            steps.push(transition);
        }
        Ok(Outcome {
            steps,
            rest,
            expired: None,
        })
    }
}

/// Everything stays where it is, and nothing is done to it.
fn undisturbed(node: &str) -> Expected<'_> {
    Expected::at(Place::On(node)).untouched(Untouched::Everything)
}

const OCF_ERR_GENERIC: u8 = 1;

fn task(resource: &str, operation: &str, interval: u64, node: &str) -> Task {
    Task {
        resource: resource.to_owned(),
        operation: operation.to_owned(),
        interval,
        node: node.to_owned(),
        code: OCF_ERR_GENERIC,
    }
}
