//! What interrupts a deployment besides a person: the connection of the person is cut, the network between the nodes,
//! a machine loses its power. The same command again goes on, and ends in the same cluster.

use std::time::{Duration, Instant};

use lab::demo::operator::{self as own, DEPLOY};
use lab::lab::turn;
use lab::site::{INSTANCES, Site};

use crate::operator::{Operator, Ran};
use crate::stock::{Stock, random, was_announced};

/// Longer than Corosync takes to lose a node.
const CUT: Duration = Duration::from_secs(30);
/// Longer than any boot, and any deployment; shorter than what a command on a node may take.
const LIMIT: Duration = Duration::from_secs(280);

#[test]
fn a_deployment_survives_cuts_of_the_network_and_of_the_power() {
    let _turn = turn().unwrap();
    let stock = Stock::up();
    let operators = stock.operators();
    let [first, second] = &operators;

    let package = Going::begin(first);
    if package.says("install the package") {
        loses_its_power(&stock, 2, &package);
    }
    the_persons_connection_is_cut(first, second);
    let cluster = Going::begin(second);
    if cluster.says("make the nodes the cluster") {
        cluster.after_a_moment();
        stock.lab.partition(&INSTANCES[0]).unwrap();
        cluster.ends_within(CUT);
        stock.lab.heal().unwrap();
    }
    cluster.ends();
    let data = Going::begin(second);
    if data.says("prepare the data") {
        loses_its_power(&stock, 0, &data);
    }
    data.ends();
    stock.ends_in_the_same_cluster("");
}

/// The person is logged in from another machine, on a terminal, and that connection ends. So does ha-ctl, and the nodes
/// go on with what they have begun.
fn the_persons_connection_is_cut(first: &Operator, second: &Operator) {
    let (user, address) = (Site::Ec2.user(), first.node.private_ip);
    let key = own::key(Site::Ec2);
    let ssh = format!(
        "ssh -tt -i {key} -o StrictHostKeyChecking=accept-new {user}@{address} \"{DEPLOY} --yes\""
    );
    let going = Going::begin_with(second, &ssh);
    assert!(going.says("make the nodes the cluster"), "{}", going.run());
    // The brackets keep the shell that has this in its arguments alive.
    let cut = first.as_root("pkill --signal KILL --full 'sshd.*: ubuntu@[p]ts'");
    cut.succeeded();
    assert_ne!(going.ends().status, 0, "{}", going.run());
    first
        .as_root(
            "timeout 20 sh -c 'while systemctl is-active --quiet portsip-ha-lock.scope; do sleep 0.1; done'
             systemctl is-active portsip-ha-step-cluster.service",
        )
        .succeeded();
}

/// A machine goes down in the middle of a step, and boots.
fn loses_its_power(stock: &Stock, number: usize, going: &Going) {
    going.after_a_moment();
    let node = &INSTANCES[number];
    stock.lab.power_off(node).unwrap();
    let ran = going.ends();
    assert_eq!(ran.status, 5, "{} lost its power: {ran}", node.hostname);
    assert!(ran.stdout.contains(node.hostname), "{ran}");
    stock.lab.power_on(node).unwrap();
    let deadline = Instant::now() + LIMIT;
    let answers = || {
        stock
            .lab
            .ssh(node, "systemctl is-system-running --wait", LIMIT)
    };
    while !answers().is_ok_and(|output| output.status.code() != Some(255)) {
        assert!(Instant::now() < deadline, "{} does not boot", node.hostname);
    }
}

/// A deployment that goes on while something happens.
struct Going<'a> {
    operator: &'a Operator<'a>,
}

impl<'a> Going<'a> {
    fn begin(operator: &'a Operator<'a>) -> Self {
        Self::begin_with(operator, &format!("{DEPLOY} --yes"))
    }

    fn begin_with(operator: &'a Operator<'a>, command: &str) -> Self {
        let begin = format!(
            "rm -f run run.status
             cat >run.sh <<'END'
{command} </dev/null >run 2>&1
echo $? >run.status.new; mv run.status.new run.status
END
             setsid sh run.sh </dev/null >/dev/null 2>&1 &"
        );
        operator.as_user(&begin).succeeded();
        Self { operator }
    }

    /// Waits until it has begun something; false if it has ended before, because that was done already.
    fn says(&self, what: &str) -> bool {
        let limit = LIMIT.as_secs();
        let wait = format!(
            "timeout {limit} sh -c 'until grep -qE \"^(ip-[^ ]*: )?{what}\" run; do [ ! -e run.status ] || exit 0; sleep 0.2; done'
             [ ! -e run.status ] && echo going"
        );
        self.operator.as_user(&wait).stdout.contains("going")
    }

    /// A step has begun, and has not ended: the moment in it is random.
    fn after_a_moment(&self) {
        std::thread::sleep(random(Duration::from_secs(5)));
    }

    /// Whether it has ended or not: the status of `timeout` is not this command's.
    fn ends_within(&self, limit: Duration) {
        let limit = limit.as_secs();
        self.operator.as_user(&format!(
            "timeout {limit} sh -c 'until [ -e run.status ]; do sleep 0.2; done' || true"
        ));
    }

    /// Waits for its end. It was told what would be done.
    fn ends(&self) -> Ran {
        let deadline = Instant::now() + LIMIT;
        while self.operator.as_user("cat run.status").status != 0 {
            assert!(Instant::now() < deadline, "{}", self.run());
            self.ends_within(Duration::from_secs(60));
        }
        let mut ran = self.run();
        let status = self.operator.as_user("cat run.status").succeeded();
        ran.status = status.trim().parse().unwrap();
        eprintln!("{ran}");
        was_announced(&ran);
        ran
    }

    fn run(&self) -> Ran {
        self.operator.as_user("cat run")
    }
}
