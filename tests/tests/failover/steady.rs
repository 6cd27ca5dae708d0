//! A cluster in service that has to stay as it is while something happens to it: clients use it, and no
//! resource may start, stop, move or fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use lab::demo::sip::Phone;
use lab::demo::status::Status;
use lab::demo::writer::Writer;
use lab::demo::{Access, cluster};
use lab::netns;
use lab::site::{self, INSTANCES};

use crate::{Cluster, instance};

/// No service is missed for so long: what a busy machine may delay an answer, and no failover is as fast.
const GAP: Duration = Duration::from_secs(4);
/// How long the cluster may take until it has nothing left to do.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at the status.
const POLL: Duration = Duration::from_secs(2);
/// The fencing device, as crm_mon names it.
const FENCING: &str = "id=\"fencing\"";
/// What Pacemaker does after `pcs resource cleanup`, where the fencing device's monitor had failed: the cleanup deletes
/// the record of its start. A start that followed a stop would be found by the stop.
const CLEANED_UP: &str = "fencing_start_0";

/// The cluster, its clients, and what it was like at the beginning.
pub(crate) struct Steady<'a> {
    cluster: &'a Cluster,
    /// What happens to the cluster meanwhile, for messages.
    what: String,
    /// The node that runs the PBX, and has to go on.
    pub(crate) active: String,
    began: SystemTime,
    containers: BTreeMap<String, String>,
    phone: Phone,
    writer: Writer,
}

impl<'a> Steady<'a> {
    /// Watches from now on a cluster that has nothing to complain of and nothing to do.
    pub(crate) fn watch(cluster: &'a Cluster, what: &str) -> Self {
        let active = without_failures(cluster);
        settle(cluster);
        let containers = containers(cluster, &active);
        assert!(!containers.is_empty(), "no container on {active}");
        let phone = Phone::start(&netns::internet(), site::CLIENT, site::EIP).unwrap();
        let writer = Writer::start(&Access::through_the_vip(&cluster.lab).unwrap()).unwrap();
        Self {
            cluster,
            what: what.to_owned(),
            active,
            began: SystemTime::now(),
            containers,
            phone,
            writer,
        }
    }

    /// The cluster's status, in which nothing has failed and nothing has moved. Failures of the fencing
    /// device may be in it: fence_aws says truly when it can't reach EC2, and nothing follows from it.
    pub(crate) fn look(&self) -> Status {
        let status = cluster::status(&self.cluster.lab, instance(&self.active)).unwrap();
        assert_eq!(
            status.active(),
            Some(self.active.as_str()),
            "{}: the PBX moved or stopped: {status:#?}",
            self.what
        );
        let mut failures = status.failures.iter();
        let failed = failures.find(|failure| !failure.starts_with("fencing_"));
        assert_eq!(failed, None, "{}: a failed operation", self.what);
        status
    }

    /// Looks again and again for so long; `each` sees every status.
    pub(crate) fn look_for(&self, time: Duration, mut each: impl FnMut(Status)) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep(POLL);
            each(self.look());
        }
    }

    /// The containers of the PBX, by name; of each its id, its last start and whether it runs.
    pub(crate) fn containers_now(&self) -> BTreeMap<String, String> {
        containers(self.cluster, &self.active)
    }

    /// Lets one container be started again; what it was like.
    pub(crate) fn expect_restart_of(&mut self, container: &str) -> String {
        self.containers
            .remove(container)
            .unwrap_or_else(|| panic!("no container {container}: {:?}", self.containers))
    }

    /// The operations of these kinds (a regular expression) that the cluster has begun, on any node.
    pub(crate) fn initiated(&self, kinds: &str) -> Vec<String> {
        let since = self.began.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut initiated = Vec::new();
        for node in &INSTANCES {
            let logged = self.cluster.on(
                node.hostname,
                &format!(
                    "journalctl --quiet --no-pager -u pacemaker --since=@{} \
                     | grep -E 'Initiating ({kinds}) operation' || true",
                    since.as_secs()
                ),
            );
            let lines = logged.lines().map(|line| {
                let node = node.hostname;
                format!("{node}: {line}")
            });
            initiated.extend(lines);
        }
        initiated
    }

    /// Ends the watch: neither the clients, the cluster nor Docker may have noticed anything.
    pub(crate) fn end(self) {
        self.look();
        let what = &self.what;
        let counts = self.cluster.on(
            &self.active,
            "crm_mon --one-shot --failcounts --output-as=xml",
        );
        let counted = counts.lines().filter(|line| line.contains("fail-count="));
        let counted: Vec<&str> = counted.filter(|line| !line.contains(FENCING)).collect();
        assert!(counted.is_empty(), "{what}: {counted:?}");
        let now = self.containers_now();
        for (name, before) in &self.containers {
            assert_eq!(
                now.get(name),
                Some(before),
                "{what}: {name} was stopped, started or made again"
            );
        }
        let mut done = self.initiated("start|stop");
        done.retain(|line| !line.contains(CLEANED_UP));
        assert!(done.is_empty(), "{what}: the cluster acted: {done:#?}");
        let rows: Vec<SystemTime> = self.writer.finish().iter().map(|row| row.at).collect();
        for (seen, times) in [
            ("SIP answer", self.phone.answers()),
            ("committed row", rows),
        ] {
            let longest = longest_gap(&times, self.began);
            println!(
                "{what}: longest time without a {seen} {:.1} s",
                longest.as_secs_f32()
            );
            assert!(longest < GAP, "{what}: {longest:?} without a {seen}");
        }
        self.cluster.volume_was_never_at_two_nodes();
    }
}

/// The active node, in a cluster that has nothing to complain of.
pub(crate) fn without_failures(cluster: &Cluster) -> String {
    cluster.on(INSTANCES[0].hostname, "pcs resource cleanup");
    cluster::wait_until_active(&cluster.lab, &INSTANCES[0], SETTLES_WITHIN, |_| true).unwrap()
}

/// Waits until the cluster has nothing left to do.
pub(crate) fn settle(cluster: &Cluster) {
    let wait = format!(
        "crm_resource --wait --timeout={}s",
        SETTLES_WITHIN.as_secs()
    );
    cluster.on(INSTANCES[0].hostname, &wait);
    // The journal is read from a whole second on.
    std::thread::sleep(Duration::from_secs(1));
}

fn containers(cluster: &Cluster, node: &str) -> BTreeMap<String, String> {
    let listed = cluster.on(
        node,
        "docker ps --all --quiet --filter label=com.docker.compose.project=portsip \
         | xargs docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.State.Running}}'",
    );
    let split = |line: &str| {
        let (name, state) = line.split_once(' ').unwrap();
        (name.trim_start_matches('/').to_owned(), state.to_owned())
    };
    listed.lines().map(split).collect()
}

fn longest_gap(seen: &[SystemTime], since: SystemTime) -> Duration {
    let gaps = seen.windows(2).filter(|pair| pair[1] > since);
    let last = seen.last().map(|last| last.elapsed().unwrap_or_default());
    gaps.map(|pair| pair[1].duration_since(pair[0]).unwrap_or_default())
        .chain(last)
        .max()
        .expect("nothing was seen at all")
}
