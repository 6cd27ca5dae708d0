//! Stock nodes with an operator on them, `ha-ctl deploy`, and what every deployment has to end in, however it went.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lab::demo::operator::{self as own, DEPLOY};
use lab::demo::{aws, cluster};
use lab::lab::{Lab, Options};
use lab::progress::Stderr;
use lab::site::INSTANCES;

use crate::RESOURCES;
use crate::operator::{Operator, Ran};

/// The nodes, removed at the end, whatever happens.
pub(crate) struct Stock {
    pub(crate) lab: Lab,
}

impl Drop for Stock {
    fn drop(&mut self) {
        if std::env::var_os("PORTSIP_HA_KEEP").is_some() {
            return;
        }
        if let Err(error) = Lab::down() {
            eprintln!("lab down: {error}");
        }
    }
}

impl Stock {
    /// With an operator on the first two, who has the key of vars.yml, the package and vars.yml.
    pub(crate) fn up() -> Self {
        let deb = PathBuf::from(
            std::env::var_os("PORTSIP_HA_DEB").expect("PORTSIP_HA_DEB names a package"),
        );
        let lab = Lab::up(&Options::default(), &Stderr::new()).unwrap();
        let stock = Self { lab };
        for operator in stock.operators() {
            own::equip(operator.lab, operator.node, &deb, &aws::vars_yml()).unwrap();
        }
        aws::put_policy(&stock.lab, &INSTANCES[0], "p/usr/bin/cib-gen").unwrap();
        stock
    }

    /// Those on the first two nodes.
    pub(crate) fn operators(&self) -> [Operator<'_>; 2] {
        [0, 1].map(|node| Operator {
            lab: &self.lab,
            node: &INSTANCES[node],
        })
    }

    /// Deploys to the end, from the second node, and looks at everything.
    pub(crate) fn ends_in_the_same_cluster(&self, options: &str) {
        let operators = self.operators();
        let [first, second] = &operators;
        let ran = deploy(second, &format!("--yes {options}"));
        eprintln!("{ran}");
        let printed = ran.succeeded();
        assert!(printed.contains("the PBX answers"), "{ran}");
        assert!(printed.contains("https://54.151.30.9:8887"), "{ran}");
        was_announced(&ran);
        let active = the_cluster_is_as_it_has_to_be(&self.lab, first);
        match options.contains(CERTIFICATE_MANAGER) {
            true => the_certificate_manager_runs(&self.lab, &active),
            false => assert!(!ran.stdout.contains("443/tcp"), "{ran}"),
        }
        no_secret_is_anywhere_but_where_it_is_needed(&operators);
        let again = deploy(first, "--yes");
        assert!(
            again.succeeded().starts_with("nothing to change"),
            "{again}"
        );
        let dry = deploy(second, "--dry-run");
        assert_eq!(dry.status, 0, "{dry}");
    }
}

/// With the vendor's certificate manager.
pub(crate) const CERTIFICATE_MANAGER: &str = "-c";

fn the_certificate_manager_runs(lab: &Lab, active: &str) {
    let node = lab::site::instance(active).unwrap();
    let ran = Operator { lab, node }.as_root(
        "docker inspect --format '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}' portsip.certmanager
         stat -c '%u:%g' /var/lib/portsip/certmanager; grep -c started /var/lib/portsip/certmanager/log/certmanager.log",
    );
    assert_eq!(ran.succeeded(), "true no\n888:888\n1\n", "{ran}");
}

pub(crate) fn deploy(operator: &Operator, arguments: &str) -> Ran {
    operator.as_user(&format!("{DEPLOY} {arguments} </dev/null"))
}

/// Every change that was made was in the plan.
#[track_caller]
pub(crate) fn was_announced(ran: &Ran) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!all.contains("this was not in the plan"), "{ran}");
}

fn the_cluster_is_as_it_has_to_be(lab: &Lab, operator: &Operator) -> String {
    let limit = Duration::from_secs(120);
    let active = cluster::wait_until_active(lab, operator.node, limit, |_| true).unwrap();
    let shown = operator.json("show --json");
    // A machine that has more to do than it can do is slow for a monitor too, which then only warns.
    let mut notices = shown["notices"].as_array().unwrap().iter();
    let is_quiet = notices.all(|it| it["name"] == "resource.degraded");
    assert!(is_quiet, "{shown:#}");
    let names: Vec<&str> = shown["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| !it["agent"].as_str().unwrap().starts_with("stonith:"))
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, RESOURCES, "on {active}");
    for node in INSTANCES.iter() {
        let node = Operator { lab, node };
        let policies = node.as_root(
            "docker ps --all --quiet --filter label=com.docker.compose.project=portsip | \
             xargs docker inspect --format '{{.HostConfig.RestartPolicy.Name}} {{.Name}}' | grep -v /portsip.certmanager | \
             cut -d' ' -f1 | sort | uniq --count",
        );
        assert_eq!(policies.succeeded().trim(), "17 no", "{policies}");
        let modes = node.as_root(
            "stat -c '%a %U %n' /etc/portsip/vars.yml /etc/portsip/pbx/.env /etc/portsip/pbx/database_password",
        );
        let modes = modes.succeeded();
        assert!(
            modes.lines().all(|line| line.starts_with("600 root")),
            "{modes}"
        );
        let passwords = node.as_root("sha256sum </etc/portsip/pbx/database_password");
        let of_first = operator.as_root("sha256sum </etc/portsip/pbx/database_password");
        assert_eq!(passwords.succeeded(), of_first.succeeded());
    }
    // One file system, made once.
    operator
        .as_user("sudo cib-gen apply --dry-run /etc/portsip/vars.yml")
        .succeeded();
    operator
        .ha_ctl("check --only apt.unattended,apt.needrestart,os.unprivileged-ports")
        .succeeded();
    active
}

/// The database's password is in one file, and hacluster's is nowhere any more.
fn no_secret_is_anywhere_but_where_it_is_needed(operators: &[Operator; 2]) {
    for operator in operators {
        let found = operator.as_root(
            "password=$(cat /etc/portsip/pbx/database_password)
             [ ${#password} = 32 ] || echo 'it is short'
             journalctl --since -1h | grep -cF -- \"$password\"
             grep -rlF -- \"$password\" /var/lib/portsip-ha /etc/portsip /home /tmp 2>/dev/null
             ls /var/lib/portsip-ha/hacluster 2>/dev/null
             exit 0",
        );
        assert_eq!(
            found.succeeded(),
            "0\n/etc/portsip/pbx/database_password\n",
            "{found}"
        );
    }
}

/// A number of milliseconds below a limit, another one in each run.
pub(crate) fn random(below: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_millis(u64::from(now.subsec_micros()) % below.as_millis() as u64)
}
