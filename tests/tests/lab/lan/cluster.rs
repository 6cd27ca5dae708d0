//! The cluster of the LAN on a lab, with clients that note what they were told, and what may never happen to them.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, SystemTime};

use lab::demo::gap::Gap;
use lab::demo::journals::{describe, journals};
use lab::demo::lan::{self, Drbd, storage};
use lab::demo::operator;
use lab::demo::sip::Phone;
use lab::demo::timeline::{self, Logged, Moment};
use lab::demo::writer::{self, Committed, Writer};
use lab::demo::{Access, Fault, Outcome, cluster, fail_over};
use lab::lab::{Lab, Options};
use lab::netns;
use lab::progress::Stderr;
use lab::site::{Host, Site};

use super::super::{A_WHILE, OwnLab};

/// How long after its watchdog was fed last a node is reset, in seconds: cib-gen's.
pub(super) const WATCHDOG: Duration = Duration::from_secs(5);

/// How long a node that is up may take to say when it was started.
const ANSWERS: Duration = Duration::from_secs(20);

/// Longer than ha-ctl works on three kernels beside other work.
const HA_CTL: Duration = Duration::from_secs(900);

/// The cluster.
pub(super) struct Cluster {
    pub(super) own: OwnLab,
    pub(super) drbd: Drbd,
    progress: Stderr,
}

impl Cluster {
    /// Made on a lab of its own; or the one that `make demo-lan KEEP=1` has left, if PORTSIP_HA_LAN_CLUSTER says so.
    pub(super) fn up() -> Self {
        if std::env::var_os("PORTSIP_HA_LAN_CLUSTER").is_some() {
            let lab = Lab::connect().unwrap();
            return Self::of(OwnLab { lab, turn: None });
        }
        Self::on(OwnLab::of(Options {
            site: Site::Lan,
            ..Options::default()
        }))
    }

    /// Made on this lab.
    pub(super) fn on(own: OwnLab) -> Self {
        let deb = PathBuf::from(std::env::var_os("PORTSIP_HA_DEB").expect(
            "PORTSIP_HA_DEB does not name a package: run `make test`, or `make deb` and set it",
        ));
        lan::install(&own.lab, &deb, &Stderr::new()).unwrap();
        Self::of(own)
    }

    /// One that was made otherwise.
    pub(super) fn of(own: OwnLab) -> Self {
        let drbd = storage::version(&own.lab, Site::Lan.hosts()[0]).unwrap();
        Self {
            own,
            drbd,
            progress: Stderr::new(),
        }
    }

    /// The active node, once every resource is started.
    pub(super) fn active(&self) -> &'static Host {
        self.active_as_seen_by(Site::Lan.hosts()[2])
    }

    pub(super) fn active_as_seen_by(&self, ask: &Host) -> &'static Host {
        let name = cluster::wait_until_active(&self.own.lab, ask, A_WHILE, |_| true).unwrap();
        host(&name)
    }

    /// The active node, once it is another one and every resource is started there.
    pub(super) fn active_instead_of(&self, before: &Host, ask: &Host) -> &'static Host {
        let other = |name: &str| name != before.hostname;
        host(&cluster::wait_until_active(&self.own.lab, ask, A_WHILE, other).unwrap())
    }

    /// A node with a copy of the data that is not the active one.
    pub(super) fn standby(&self, active: &Host) -> &'static Host {
        let copies = storage::copies(&self.own.lab, active).unwrap();
        copies.into_iter().find(|copy| *copy != active).unwrap()
    }

    /// The active node and the standby.
    pub(super) fn active_and_standby(&self) -> (&'static Host, &'static Host) {
        let active = self.active();
        (active, self.standby(active))
    }

    /// Strikes the active node, and has all that is always asked of what follows.
    pub(super) fn strike(&self, fault: Fault) -> Outcome {
        let outcome = fail_over(&self.own.lab, fault, &self.progress).unwrap();
        println!("{fault:?}\n{}", outcome.report());
        assert_eq!(outcome.faults(), Vec::<String>::new(), "after {fault:?}");
        assert_eq!(outcome.fenced, [outcome.lost.as_str()]);
        outcome
    }

    /// The node comes back, catches up and takes nothing over.
    pub(super) fn comes_back(&self, node: &Host, active: &Host) {
        let comeback = lan::come_back(&self.own.lab, node, active, &self.progress).unwrap();
        println!("{}", comeback.report());
        assert_eq!(comeback.faults(), Vec::<String>::new());
    }

    /// What a script prints on a node, as root; it has to succeed.
    pub(super) fn sh(&self, node: &Host, script: &str) -> String {
        self.own.sh(node, script)
    }

    /// Runs ha-ctl as the user, whose sudo asks for a password, without a terminal.
    pub(super) fn ha_ctl(&self, node: &Host, arguments: &str) -> Output {
        self.ha_ctl_by(node, "", arguments)
    }

    /// The same, by another program.
    pub(super) fn ha_ctl_by(&self, node: &Host, by: &str, arguments: &str) -> Output {
        let ran = operator::with_sudo_password(&self.own.lab, node, |password| {
            let line = format!("{by} ha-ctl {arguments} {password} </dev/null");
            self.own.lab.ssh_as_user(node, &line, HA_CTL)
        });
        ran.unwrap()
    }

    /// When the node's kernel was started last, if it answers: it may be reset just now.
    pub(super) fn booted_at(&self, node: &Host) -> Option<SystemTime> {
        let ask = "cat /proc/uptime; date +%s.%N";
        let answer = self.own.lab.ssh(node, ask, ANSWERS).ok()?;
        let printed = String::from_utf8_lossy(&answer.stdout).into_owned();
        let mut numbers = printed.split_whitespace();
        let mut next = || -> Option<f64> { numbers.next()?.parse().ok() };
        let (up, _idle, now) = (next()?, next()?, next()?);
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(now - up))
    }

    /// Whether the node has booted after a moment, and answers.
    pub(super) fn is_reset_since(&self, node: &Host, moment: SystemTime) -> bool {
        self.booted_at(node).is_some_and(|booted| booted > moment)
    }

    /// Waits until the cluster, as `ask` sees it, has lost a node.
    pub(super) fn is_offline(&self, node: &Host, ask: &Host) {
        super::until(&format!("{} is offline", node.hostname), || {
            cluster::status(&self.own.lab, ask)
                .is_ok_and(|status| !status.online.iter().any(|name| name == node.hostname))
        });
    }

    /// The disk with the node's copy of the data returns errors. /root/table has what brings it back. Until DRBD has let
    /// go of it.
    pub(super) fn disk_returns_errors(&self, node: &Host) {
        self.sh(
            node,
            "set -e
             dmsetup table pbxvg-pbxlv >/root/table
             echo \"0 $(blockdev --getsz /dev/pbxvg/pbxlv) error\" | dmsetup load pbxvg-pbxlv
             dmsetup suspend --noflush --nolockfs pbxvg-pbxlv
             dmsetup resume pbxvg-pbxlv",
        );
        super::until("DRBD lets go of the disk", || {
            let state = storage::state(&self.own.lab, node);
            state.is_ok_and(|state| state.disks[0] == "Diskless")
        });
    }

    /// Every copy is connected and up to date.
    pub(super) fn copies_are_whole(&self, ask: &Host) {
        storage::wait_until(&self.own.lab, ask, "all copies are up to date", |state| {
            state.is_whole()
        })
        .unwrap();
    }
}

/// What a command has printed, and how it has ended.
pub(super) fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A node by its name.
pub(super) fn host(name: &str) -> &'static Host {
    Site::Lan.host(name).unwrap()
}

/// Clients of the cluster: rows through the virtual address, and a telephone.
pub(super) struct Clients<'a> {
    cluster: &'a Cluster,
    access: Access,
    writer: Writer,
    phone: Phone,
}

impl<'a> Clients<'a> {
    pub(super) fn start(cluster: &'a Cluster) -> Self {
        let site = Site::Lan;
        let began = SystemTime::now();
        let access = Access::through_the_vip(&cluster.own.lab).unwrap();
        let writer = Writer::start(&access).unwrap();
        let internet = netns::internet();
        let phone = Phone::start(&internet, site.telephone(), site.public_address()).unwrap();
        let clients = Self {
            cluster,
            access,
            writer,
            phone,
        };
        clients.are_served_after(began);
        clients
    }

    /// Waits for a row and a SIP answer after `moment`.
    pub(super) fn are_served_after(&self, moment: SystemTime) {
        super::until("a row was committed", || {
            self.writer.first_after(moment).is_some()
        });
        super::until("SIP is answered", || {
            self.phone.first_after(moment).is_some()
        });
    }

    /// What they saw since `fault`. No acknowledged row may be gone, and no node may have written beside another.
    pub(super) fn finish(self, what: &str, fault: SystemTime, lost: &Host) -> Seen {
        let Self {
            cluster,
            access,
            writer,
            phone,
        } = self;
        let answers = phone.answers();
        let rows = writer.finish();
        let missing = writer::missing(&access, &rows).unwrap();
        assert_eq!(
            missing,
            Vec::<i64>::new(),
            "{what}: acknowledged rows are gone"
        );
        assert_eq!(writer::alternations(&rows), Vec::<String>::new(), "{what}");
        let commits: Vec<SystemTime> = rows.iter().map(|row| row.at).collect();
        let logged = journals(&cluster.own.lab, lost, fault).unwrap();
        let is_fenced =
            |logged: &Logged| matches!(logged, Logged::Fenced { node } if *node == lost.hostname);
        let fenced = logged.iter().filter(|(_, logged)| is_fenced(logged));
        let seen = Seen {
            fenced: fenced.map(|(at, _)| *at).min(),
            without_rows: Gap::longest(&commits, fault),
            without_sip: Gap::longest(&answers, fault),
            rows,
        };
        let mut moments: Vec<Moment> = logged.iter().filter_map(describe).collect();
        moments.push(Moment::new(
            seen.without_rows.start,
            "last row before the pause",
        ));
        moments.push(Moment::new(seen.without_rows.end, "first row after it"));
        println!(
            "{what} (seconds since the fault)\n{}  rows acknowledged                  {}\n\
             \x20 acknowledged rows now missing      0\n\
             \x20 seconds without SIP answer         {:.1}\n\
             \x20 seconds without committed row      {:.1}\n",
            timeline::render(moments, fault),
            seen.rows.len(),
            seen.without_sip.length().as_secs_f64(),
            seen.without_rows.length().as_secs_f64(),
        );
        seen
    }
}

/// What clients saw.
pub(super) struct Seen {
    /// When the lost node was first declared fenced.
    pub(super) fenced: Option<SystemTime>,
    pub(super) rows: Vec<Committed>,
    pub(super) without_rows: Gap,
    pub(super) without_sip: Gap,
}
