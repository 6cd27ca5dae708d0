//! What the AWS agents do in a life with a fault in it, and what they answered. Which answers
//! are right is said where a fault is, not here.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use lab::ec2::{Injection, Life};
use lab::site;

use super::table::Table;
use crate::node::{Answer, Site};

/// The agents that talk to EC2.
pub(crate) const AGENTS: [&str; 3] = ["awsvip", "awseip", "awsebs"];
/// What an action is given while there is a fault: little, since many answers come when it is nearly over.
pub(crate) const SHORT: Duration = Duration::from_secs(6);
/// Enough to try again after a call that was never answered, or until descriptions have caught up.
pub(crate) const LONG: Duration = Duration::from_secs(12);
/// What a machine that is busy with other tests may take to start an agent and to tell of its end.
pub(crate) const NOISE: Duration = Duration::from_secs(1);
/// How many lives are led at once. Most of each is waiting.
const AT_ONCE: usize = 18;

/// What was answered: the action and the answer.
pub(crate) type Seen = Vec<(&'static str, Answer)>;

/// A fault by the name that the table gives it.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) injection: Injection,
    /// What each action is given.
    pub(crate) timeout: Duration,
}

pub(crate) fn named(name: &'static str, injection: Injection) -> Named {
    Named {
        name,
        injection,
        timeout: SHORT,
    }
}

/// An action as Pacemaker calls it; ` 10` is its check level.
pub(crate) fn act(
    site: &Site,
    node: usize,
    agent: &str,
    action: &str,
    timeout: Duration,
) -> Answer {
    let (verb, level) = action.split_once(' ').unwrap_or((action, "0"));
    let recurring = if verb == "monitor" { "10000" } else { "0" };
    let script = format!(
        "export OCF_RESKEY_CRM_meta_timeout={} OCF_CHECK_LEVEL={level} OCF_RESKEY_CRM_meta_interval={recurring}; exec $AGENT {verb}",
        timeout.as_millis()
    );
    site.inside(node, agent, &script).timeout(timeout + NOISE)
}

/// A site on which the agent's resource can be started on the first node.
pub(crate) fn site_for(agent: &str) -> Site {
    let site = Site::new();
    if agent == "awseip" {
        site.assign_vip(site::INSTANCES[0].eni);
    }
    site
}

/// Every action under a fault: of a resource that runs when the fault begins, and a start.
/// In between there is none, and everything has to be as if there never had been one.
fn life(agent: &'static str, fault: &Named) -> Seen {
    let site = site_for(agent);
    let under_fault = |actions: &[&'static str]| -> Seen {
        site.ec2.inject(fault.injection.clone());
        let seen = std::thread::scope(|scope| {
            let running: Vec<_> = actions
                .iter()
                .map(|action| {
                    let call = || act(&site, 0, agent, action, fault.timeout);
                    (*action, scope.spawn(call))
                })
                .collect();
            running
                .into_iter()
                .map(|(action, call)| (action, call.join().unwrap()))
                .collect()
        });
        site.ec2.clear_faults();
        seen
    };
    site.agent(0, agent, "start").expect(0);
    // What only looks can look at the same time, unless the fault is for the first who calls.
    let looks = ["monitor", "monitor 10", "validate-all 10"];
    let at_once = match fault.injection.life {
        Life::Times(_) => 1,
        Life::UntilCleared | Life::For(_) => looks.len(),
    };
    let mut seen: Seen = looks.chunks(at_once).flat_map(under_fault).collect();
    seen.extend(under_fault(&["stop"]));
    site.agent(0, agent, "start").expect(0);
    site.agent(0, agent, "monitor").expect(0);
    site.agent(0, agent, "stop").expect(0);
    seen.extend(under_fault(&["start"]));
    site.agent(0, agent, "start").expect(0);
    site.agent(0, agent, "monitor").expect(0);
    seen
}

/// What is right: the exit code, and words of the reason as [`Table::row`] wants them.
pub(crate) type Right = (i32, &'static str);

/// Leads the life of each agent under each fault and puts the answers into the table. Says of
/// every answer that is not right what it is, and not only of the first.
pub(crate) fn lives(
    table: &mut Table,
    faults: &[Named],
    right: impl Fn(&str, &str, &str) -> Right,
) {
    let jobs: Vec<_> = faults
        .iter()
        .flat_map(|fault| AGENTS.map(|agent| (fault, agent)))
        .map(|(fault, agent)| move || (fault.name, agent, life(agent, fault)))
        .collect();
    let seen = in_parallel(jobs);
    let rows = seen.iter().flat_map(|(fault, agent, seen)| {
        seen.iter()
            .map(move |(action, answer)| (*fault, *agent, *action, answer))
    });
    note(table, rows, right);
}

/// Puts answers into the table, if all are right.
pub(crate) fn note<'a>(
    table: &mut Table,
    rows: impl Iterator<Item = (&'a str, &'a str, &'a str, &'a Answer)> + Clone,
    right: impl Fn(&str, &str, &str) -> Right,
) {
    let wrong: Vec<String> = rows
        .clone()
        .filter(|(fault, agent, action, answer)| {
            let (code, meaning) = right(fault, agent, action);
            answer.code != code || !meaning.split(" ... ").all(|words| answer.says(words))
        })
        .map(|(fault, agent, action, answer)| {
            format!(
                "{fault}: {agent} {action}: {} after {:.1} s, {:?} instead of {:?}",
                answer.code,
                answer.took.as_secs_f64(),
                answer.reason(),
                right(fault, agent, action)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (fault, agent, action, answer) in rows {
        table.row(fault, agent, action, answer, right(fault, agent, action).1);
    }
}

/// What each job gives, in their order.
pub(crate) fn in_parallel<T: Send, J: FnOnce() -> T + Send>(jobs: Vec<J>) -> Vec<T> {
    let waiting: Mutex<VecDeque<_>> = Mutex::new(jobs.into_iter().enumerate().collect());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((place, job)) = waiting.lock().unwrap().pop_front() else {
                        return;
                    };
                    let result = job();
                    done.lock().unwrap().push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
