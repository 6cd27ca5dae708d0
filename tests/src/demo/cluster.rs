//! The cluster as a user makes it by hand: the steps of the README, in its order, on three nodes.
//! Nothing here is known only to the lab but how to reach a node and the vendor's images.

use std::path::Path;
use std::time::{Duration, Instant};

use super::status::Status;
use crate::lab::Lab;
use crate::pbx;
use crate::progress::Progress;
use crate::site::{self, INSTANCES, Instance};
use crate::world::Error;

/// The password of the user hacluster on the lab's nodes.
pub const HACLUSTER: &str = "lab-hacluster";
/// The password of the database's superuser on the lab's nodes.
pub const DATABASE_PASSWORD: &str = "lab-database";
/// Where vars.yml lies on every node.
pub const VARS: &str = "/etc/portsip/vars.yml";

/// The vars.yml of the vendor's guide, for the lab's site.
pub fn vars_yml() -> String {
    let [one, two, three] = INSTANCES.map(|instance| instance.id);
    format!(
        "pbx01_instance_id: {one}\n\
         pbx02_instance_id: {two}\n\
         pbx03_instance_id: {three}\n\
         private_vip_address: {}\n\
         eip_address: {}\n\
         eip_allocation_id: {}\n\
         ebs_volume_id: {}\n\
         pbx_image: {}\n\
         ssh_private_key_file: /home/ubuntu/.ssh/aws-portsip-pbx-ha.pem\n",
        site::VIP,
        site::EIP,
        site::EIP_ALLOCATION,
        site::VOLUME_ID,
        pbx::PBX_IMAGE,
    )
}

/// Makes the cluster, from nodes that have nothing of ours to resources that are started.
///
/// # Errors
/// A step failed: which, on which node, and what it printed.
pub fn install(lab: &Lab, deb: &Path, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("installing the package on the three nodes");
    on_all(|node| prepare(lab, node, deb))?;

    progress.step("cib-gen --format corosync vars.yml | sh");
    let first = &INSTANCES[0];
    run(
        lab,
        first,
        "making the nodes a cluster",
        &format!(
            "set -eo pipefail
             umask 077
             echo {HACLUSTER} >/root/hacluster
             cib-gen --format corosync {VARS} | HACLUSTER_PASSWORD_FILE=/root/hacluster sh
             rm /root/hacluster"
        ),
        MINUTES,
    )?;

    progress.step("the volume: XFS and the PBX's first data, once");
    initialise_volume(lab, first)?;

    progress.step("the PBX's containers, created and not started");
    on_all(|node| {
        run(
            lab,
            node,
            "docker compose create",
            pbx::CREATE_CONTAINERS,
            MINUTES,
        )
        .map(drop)
    })?;

    progress.step("cib-gen vars.yml | sh");
    run(
        lab,
        first,
        "cib-gen",
        &format!("set -o pipefail; cib-gen {VARS} | sh"),
        MINUTES,
    )?;

    progress.step("waiting for the resources");
    wait_until_active(lab, first, MINUTES, |_| true).map(drop)
}

/// Waits until every resource is started on one node for which `accept` holds, and the fencing
/// device somewhere.
///
/// # Errors
/// After `limit`: what is started where, and which operations failed.
pub fn wait_until_active(
    lab: &Lab,
    ask: &Instance,
    limit: Duration,
    accept: impl Fn(&str) -> bool,
) -> Result<String, Error> {
    let deadline = Instant::now() + limit;
    loop {
        let seen = status(lab, ask);
        if let Ok(status) = &seen
            && status.can_fence()
            && let Some(node) = status.active().filter(|node| accept(node))
        {
            return Ok(node.to_owned());
        }
        if Instant::now() > deadline {
            let state = match seen {
                Ok(status) => format!("{status:#?}"),
                Err(error) => error.to_string(),
            };
            return Err(format!(
                "the resources were not started on one node within {} s; the cluster as {} sees it: {state}",
                limit.as_secs(),
                ask.hostname
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The cluster as `node` sees it.
///
/// # Errors
/// The node does not answer, or Pacemaker does not run there.
pub fn status(lab: &Lab, node: &Instance) -> Result<Status, Error> {
    Status::parse(&run(
        lab,
        node,
        "crm_mon",
        "crm_mon --output-as=xml -1",
        SECONDS,
    )?)
}

/// The status as an operator sees it.
///
/// # Errors
/// The node does not answer, or there is no cluster.
pub fn pcs_status(lab: &Lab, node: &Instance) -> Result<String, Error> {
    run(lab, node, "pcs status", "pcs status", MINUTES)
}

/// Runs a script on a node and returns what it printed.
///
/// # Errors
/// With the step, the node, and what the script printed.
pub fn run(
    lab: &Lab,
    node: &Instance,
    step: &str,
    script: &str,
    limit: Duration,
) -> Result<String, Error> {
    let output = lab
        .ssh(node, script, limit)
        .map_err(|error| format!("{step} on {}: {error}", node.hostname))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{step} on {} failed ({}):\n{}{}",
        node.hostname,
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// The interface keeps addresses that systemd-networkd has not set; the README's words for it.
const NETWORK: &str = r#"
interface=$(ip -o -4 route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
file=$(networkctl status "$interface" | sed -n 's/^ *Network File: *//p')
case $file in
/*) install -d "/etc/systemd/network/${file##*/}.d"
    printf '[Network]\nKeepConfiguration=static\n' >"/etc/systemd/network/${file##*/}.d/portsip-ha.conf"
    systemctl restart systemd-networkd ;;
*)  echo "systemd-networkd does not manage $interface" >&2
    exit 1 ;;
esac
"#;

/// Containers outlive a restart of the Docker daemon.
const LIVE_RESTORE: &str = r#"
install -d /etc/docker
echo '{ "live-restore": true }' >/etc/docker/daemon.json
systemctl reload docker
"#;

/// For a command that has to do something.
pub const MINUTES: Duration = Duration::from_secs(300);
/// For a command that only has to look.
pub const SECONDS: Duration = Duration::from_secs(20);

/// Installs the package on a node, and puts there what the PBX's containers are made from.
///
/// # Errors
/// A step failed: which, and what it printed.
pub fn prepare(lab: &Lab, node: &Instance, deb: &Path) -> Result<(), Error> {
    let files = tempfile::tempdir()?;
    let put = |name: &str, content: &str, remote: &str| -> Result<(), Error> {
        let local = files.path().join(name);
        std::fs::write(&local, content)?;
        lab.copy_to(node, &local, Path::new(remote))
    };
    run(
        lab,
        node,
        "making directories",
        &format!("install -d -m 0755 /etc/portsip {}", pbx::PROJECT_DIR),
        SECONDS,
    )?;
    lab.copy_to(node, deb, Path::new("/root/portsip-ha.deb"))?;
    put("vars.yml", &vars_yml(), VARS)?;
    let project = pbx::PROJECT_DIR;
    put(
        "compose",
        pbx::compose_yaml(),
        &format!("{project}/docker-compose.yml"),
    )?;
    let env = pbx::compose_env(pbx::PBX_IMAGE, site::VIP);
    put("env", &env, &format!("{project}/.env"))?;
    put("password", DATABASE_PASSWORD, pbx::DATABASE_PASSWORD_FILE)?;
    run(
        lab,
        node,
        "installing the package",
        &format!(
            "set -e
             chmod 600 {}
             DEBIAN_FRONTEND=noninteractive apt-get install -y /root/portsip-ha.deb
             aws configure set region {}
             echo hacluster:{HACLUSTER} | chpasswd
             {NETWORK}
             {LIVE_RESTORE}",
            pbx::DATABASE_PASSWORD_FILE,
            site::REGION,
        ),
        MINUTES,
    )
    .map(drop)
}

/// Attaches the volume, formats it, lets the PBX lay down its first data, and detaches it.
///
/// # Errors
/// With what the steps printed.
pub fn initialise_volume(lab: &Lab, node: &Instance) -> Result<(), Error> {
    let volume = site::VOLUME_ID;
    let device = format!(
        "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{}",
        volume.replace('-', "")
    );
    let data = pbx::DATA_DIR;
    let initialise = pbx::INITIALISE_DATA.join("\n");
    run(
        lab,
        node,
        "preparing the volume",
        &format!(
            "set -e
             aws ec2 attach-volume --volume-id {volume} --instance-id {id} --device /dev/sdf
             timeout 60 sh -c 'until [ -b {device} ]; do sleep 0.1; done'
             mkfs.xfs {device}
             mkdir -p {data}
             mount {device} {data}
             {initialise}
             umount {data}
             aws ec2 detach-volume --volume-id {volume}
             aws ec2 wait volume-available --volume-ids {volume}",
            id = node.id,
        ),
        MINUTES,
    )
    .map(drop)
}

/// Does the same on the three nodes at once.
fn on_all(work: impl Fn(&'static Instance) -> Result<(), Error> + Sync) -> Result<(), Error> {
    let nodes: &'static [Instance] = &INSTANCES;
    std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(|| work(node)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err("a thread of the installation panicked".into()))
        })
    })
}
