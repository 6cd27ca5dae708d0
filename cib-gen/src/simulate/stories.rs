//! The cases, and how each is made to happen. Those of a chapter begin with everything on the
//! one node that the chapter is about, and all the others online.

use super::judge::{self, Expected, Place, Story, Untouched};
use super::parts::{Kind, Monitor, Part};
use super::report::{Case, NODES, QUORUM, START};
use super::{Error, state};
use crate::cluster::Cluster;
use crate::scheduler::{Event, Scheduler, Task};

/// Transitions after which a cluster that still does something does not come to rest.
const LONGEST: usize = 8;
/// Seconds after which every failure has expired.
const LONG_AFTER: u64 = 24 * 3600;

/// The cases of one node.
pub(super) struct Chapter<'a, S> {
    cluster: &'a Cluster,
    scheduler: &'a S,
    parts: &'a [Part],
    nodes: &'a [&'a str],
    /// The node where everything runs.
    active: &'a str,
    /// Another.
    other: &'a str,
    fresh: &'a str,
}

type Told<T, S> = Result<T, Error<<S as Scheduler>::Error>>;

impl<'a, S: Scheduler> Chapter<'a, S> {
    pub(super) fn new(
        cluster: &'a Cluster,
        scheduler: &'a S,
        parts: &'a [Part],
        nodes: &'a [&'a str],
        active: usize,
        fresh: &'a str,
    ) -> Self {
        Chapter {
            cluster,
            scheduler,
            parts,
            nodes,
            active: nodes[active],
            other: nodes[(active + 1) % nodes.len()],
            fresh,
        }
    }

    /// The first start, which is of no node in particular.
    pub(super) fn start(&self) -> Told<Vec<Case>, S> {
        let story = self.story(self.fresh, &[&[]])?;
        let name = "all nodes at once".to_owned();
        let expected = Expected::at(Place::Anywhere);
        Ok(vec![self.case(START, name, &story, &expected)])
    }

    /// All cases.
    pub(super) fn all(&self) -> Told<Vec<Case>, S> {
        let node = self.active;
        let mut cases = Vec::new();
        let alone = self.story(self.fresh, &[&self.alone()])?;
        let expected = Expected::at(Place::On(node));
        cases.push(self.case(START, format!("{node} alone"), &alone, &expected));
        let joined = self.story(&alone.end().cib, &[&self.others(Event::NodeUp)])?;
        let name = format!("{node} alone, and the others come");
        cases.push(self.case(START, name, &joined, &undisturbed(node)));
        let base = &joined.end().cib;
        self.nodes(base, &mut cases)?;
        self.quorum(base, &mut cases)?;
        for part in self.parts {
            for monitor in &part.monitors {
                self.monitor(part, monitor, base, &mut cases)?;
            }
            self.begin(part, &mut cases)?;
            self.end(part, base, &mut cases)?;
        }
        Ok(cases)
    }

    /// Nodes that fail, leave, and come back.
    fn nodes(&self, base: &str, cases: &mut Vec<Case>) -> Told<(), S> {
        let (node, other) = (self.active, self.other);
        let fail = |node: &str| [Event::NodeFail(node.to_owned())];
        let back = |node: &str| [Event::NodeUp(node.to_owned())];

        let failed = self.story(base, &[&fail(node)])?;
        let expected = Expected {
            fenced: Some(node),
            ..Expected::at(Place::NotOn(node))
        };
        cases.push(self.case(NODES, format!("{node}, active, fails"), &failed, &expected));
        let again = self.story(&failed.end().cib, &[&back(node)])?;
        let at = failed.ends_on(self.parts).unwrap_or(other);
        let name = format!("{node} comes back after that");
        cases.push(self.case(NODES, name, &again, &undisturbed(at)));

        let failed = self.story(base, &[&fail(other)])?;
        let expected = Expected {
            fenced: Some(other),
            untouched: Untouched::Service,
            ..Expected::at(Place::On(node))
        };
        let name = format!("{other} fails beside {node}");
        cases.push(self.case(NODES, name, &failed, &expected));
        let again = self.story(&failed.end().cib, &[&back(other)])?;
        let name = format!("{other} comes back after that");
        cases.push(self.case(NODES, name, &again, &undisturbed(node)));

        let left = self.story(&state::with_standby(base, node, true)?, &[&[]])?;
        let expected = Expected {
            spared: Some(node),
            ..Expected::at(Place::NotOn(node))
        };
        cases.push(self.case(NODES, format!("{node} is put in standby"), &left, &expected));
        let cib = state::with_standby(&left.end().cib, node, false)?;
        let again = self.story(&cib, &[&[]])?;
        let at = left.ends_on(self.parts).unwrap_or(other);
        let name = format!("{node} is no longer in standby");
        cases.push(self.case(NODES, name, &again, &undisturbed(at)));
        Ok(())
    }

    /// As few nodes as are no majority, with everything on one of them, and then all again.
    fn quorum(&self, base: &str, cases: &mut Vec<Case>) -> Told<(), S> {
        let minority = (self.nodes.len() - 1) / 2;
        let others = self.nodes.iter().filter(|node| **node != self.active);
        let gone: Vec<&str> = others.skip(minority.saturating_sub(1)).copied().collect();
        let of_gone = |event: fn(String) -> Event, quorum| {
            let events = gone.iter().map(|node| event((*node).to_owned()));
            events.chain([Event::Quorum(quorum)]).collect::<Vec<_>>()
        };
        let lost = self.story(base, &[&of_gone(Event::NodeFail, false)])?;
        let node = self.active;
        let name = format!("{node}, active, is in a minority");
        cases.push(self.case(QUORUM, name, &lost, &Expected::at(Place::Nowhere)));
        let again = self.story(&lost.end().cib, &[&of_gone(Event::NodeUp, true)])?;
        let name = format!("{node} and the others are together again");
        cases.push(self.case(QUORUM, name, &again, &Expected::at(Place::Anywhere)));
        Ok(())
    }

    /// A monitor that fails once, and three times.
    fn monitor(
        &self,
        part: &Part,
        monitor: &Monitor,
        base: &str,
        cases: &mut Vec<Case>,
    ) -> Told<(), S> {
        let at = if monitor.unpromoted {
            self.other
        } else {
            self.active
        };
        let operation = if part.promotable {
            let role = if monitor.unpromoted {
                "standby's"
            } else {
                "promoted"
            };
            format!("{role} monitor")
        } else if part.monitors.len() > 1 {
            format!("monitor every {} s", monitor.interval)
        } else {
            "monitor".to_owned()
        };
        let interval = u64::from(monitor.interval) * 1000;
        let fails = Event::Failed(task(&part.id, "monitor", interval, at));
        let stays = Expected {
            untouched: Untouched::Service,
            ..Expected::at(Place::On(self.active))
        };
        let (once, thrice) = if monitor.ignored {
            let nothing = undisturbed(self.active);
            (nothing, nothing)
        } else if monitor.unpromoted {
            let (once, thrice) = (Some(part.id.as_str()), Some(at));
            (
                Expected {
                    restarted: once,
                    ..stays
                },
                Expected {
                    spared: thrice,
                    ..stays
                },
            )
        } else if part.kind == Kind::Service {
            (
                Expected {
                    restarted: Some(&part.id),
                    ..Expected::at(Place::On(self.active))
                },
                Expected {
                    spared: Some(at),
                    ..Expected::at(Place::NotOn(at))
                },
            )
        } else {
            (
                Expected {
                    restarted: Some(&part.id),
                    ..stays
                },
                Expected {
                    gone: Some((&part.id, at)),
                    ..stays
                },
            )
        };
        let story = self.story(base, &[std::slice::from_ref(&fails)])?;
        let name = format!("{operation} fails on {at}");
        cases.push(self.case(&part.id, name, &story, &once));
        let three = vec![fails; 3];
        let story = self.story(base, &[&three])?;
        let name = format!("{operation} fails on {at} three times");
        let story = self.forget(story)?;
        cases.push(self.case(&part.id, name, &story, &thrice));
        Ok(())
    }

    /// A start, and a promotion, that fails.
    fn begin(&self, part: &Part, cases: &mut Vec<Case>) -> Told<(), S> {
        let node = self.active;
        let mut first = self.alone();
        first.push(Event::WillFail(task(&part.id, "start", 0, node)));
        let story = self.story(self.fresh, &[&first, &self.others(Event::NodeUp)])?;
        let story = self.forget(story)?;
        let expected = match part.kind {
            Kind::Service => Expected {
                spared: Some(node),
                ..Expected::at(Place::NotOn(node))
            },
            Kind::Bystander | Kind::Device => Expected {
                gone: Some((&part.id, node)),
                ..Expected::at(Place::Anywhere)
            },
        };
        cases.push(self.case(
            &part.id,
            format!("start fails on {node}"),
            &story,
            &expected,
        ));
        if part.promotable {
            let mut first = self.alone();
            first.push(Event::WillFail(task(&part.id, "promote", 0, node)));
            let story = self.story(self.fresh, &[&first, &self.others(Event::NodeUp)])?;
            let expected = Expected::at(Place::Anywhere);
            let name = format!("promotion fails on {node}");
            cases.push(self.case(&part.id, name, &story, &expected));
        }
        Ok(())
    }

    /// A stop, and a demotion, that fails, when the node is put in standby. A device is stopped
    /// by Pacemaker itself, which does not fail.
    fn end(&self, part: &Part, base: &str, cases: &mut Vec<Case>) -> Told<(), S> {
        if part.kind == Kind::Device {
            return Ok(());
        }
        let node = self.active;
        let cib = state::with_standby(base, node, true)?;
        let moved = Expected {
            spared: Some(node),
            ..Expected::at(Place::NotOn(node))
        };
        let fails = |operation| [Event::WillFail(task(&part.id, operation, 0, node))];
        let story = self.story(&cib, &[&fails("stop")])?;
        // Nothing needs a bystander: it is no reason to fence a node.
        let expected = Expected {
            fenced: (part.kind == Kind::Service && !part.stop_ignored).then_some(node),
            // By then it is demoted: another node can be promoted.
            fenced_late: part.promotable,
            ..moved
        };
        cases.push(self.case(&part.id, format!("stop fails on {node}"), &story, &expected));
        if part.promotable {
            let story = self.story(&cib, &[&fails("demote")])?;
            let expected = Expected {
                may_fence: Some(node),
                ..moved
            };
            let name = format!("demotion fails on {node}");
            cases.push(self.case(&part.id, name, &story, &expected));
        }
        Ok(())
    }

    /// The active node is the only one.
    fn alone(&self) -> Vec<Event> {
        self.others(Event::NodeDown)
    }

    fn others(&self, event: fn(String) -> Event) -> Vec<Event> {
        let others = self.nodes.iter().filter(|node| **node != self.active);
        others.map(|node| event((*node).to_owned())).collect()
    }

    /// Has things happen one after the other, and waits until nothing is done any more.
    fn story(&self, cib: &str, happening: &[&[Event]]) -> Told<Story, S> {
        let starts_fail = |event: &Event| match event {
            Event::WillFail(task) => task.operation == "start",
            _ => false,
        };
        let fatal = happening.iter().copied().flatten().any(starts_fail);
        let mut cib = cib.to_owned();
        let mut steps = Vec::new();
        let mut rest = false;
        for step in 0..LONGEST {
            let events = happening.get(step).copied();
            let asked = state::with_promotion_scores(&cib, self.cluster)?;
            let scheduler = self.scheduler;
            let transition = scheduler
                .ask(&asked, events.unwrap_or_default())
                .map_err(Error::Scheduler)?;
            cib = transition.cib.clone();
            if fatal {
                cib = state::with_fatal_starts(&cib)?;
            }
            rest = events.is_none() && transition.actions.is_empty();
            steps.push(transition);
            if rest {
                break;
            }
        }
        Ok(Story {
            steps,
            rest,
            forgotten: None,
        })
    }

    /// A day later.
    fn forget(&self, mut story: Story) -> Told<Story, S> {
        let cib = state::later(&story.end().cib, LONG_AFTER)?;
        let cib = state::with_promotion_scores(&cib, self.cluster)?;
        let transition = self.scheduler.ask(&cib, &[]).map_err(Error::Scheduler)?;
        story.forgotten = Some(transition);
        Ok(story)
    }

    fn case(&self, about: &str, name: String, story: &Story, expected: &Expected<'_>) -> Case {
        let forgotten = story.forgotten.iter().flat_map(|later| &later.actions);
        let later = forgotten.map(|action| format!("a day later: {action}"));
        Case {
            about: about.to_owned(),
            name,
            happened: judge::words(self.parts, story),
            fault: judge::fault(self.parts, story, expected),
            actions: story
                .actions()
                .map(ToString::to_string)
                .chain(later)
                .collect(),
        }
    }
}

/// Everything stays where it is, and nothing is done to it.
fn undisturbed(node: &str) -> Expected<'_> {
    Expected {
        untouched: Untouched::Everything,
        ..Expected::at(Place::On(node))
    }
}

fn task(resource: &str, operation: &str, interval: u64, node: &str) -> Task {
    Task {
        resource: resource.to_owned(),
        operation: operation.to_owned(),
        interval,
        node: node.to_owned(),
        code: 1,
    }
}
