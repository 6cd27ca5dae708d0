//! Containers of others, with and without the PBX's data.

use super::pbx::Pbx;
use super::table::Table;

pub(super) fn foreign(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker run --detach --name backup --network host --volume portsip_pbx:/data portsip/pbx:22 sleep infinity",
    );
    let answers = [
        (
            "probe",
            1,
            "something uses /var/lib/portsip, although the PBX does not run: the container backup",
        ),
        (
            "start",
            1,
            "the container backup uses /var/lib/portsip and is not of project portsip",
        ),
        ("stop", 0, ""),
    ];
    pbx.rows(
        table,
        "a container of somebody else uses the data",
        &answers,
    );
    assert_eq!(pbx.host.running(), ["backup"], "it is not ours to stop");
    pbx.host.sh("docker rm --force backup");
}

pub(super) fn foreign_beside(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.sh(
        "docker run --detach --name backup --network host --volume portsip_pbx:/data portsip/pbx:22 sleep infinity",
    );
    let held = "the container backup of others has /var/lib/portsip mounted: stop it";
    let answers = [("monitor", 0, ""), ("monitor 10", 190, held)];
    let fault = "a container of somebody else came to use the data beside the PBX";
    pbx.rows(table, fault, &answers);
    pbx.host.sh("docker rm --force backup");
    pbx.rows(
        table,
        "it is gone",
        &[("monitor 10", 0, ""), ("stop", 0, "")],
    );
}

/// As what sends logs to another place.
pub(super) fn reader(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker run --detach --name shipper --network host --volume portsip_pbx:/data:ro portsip/pbx:22 sleep infinity",
    );
    let nothing = "no container of project portsip runs";
    let held = "the container shipper of others has /var/lib/portsip mounted: stop it";
    let answers = [
        ("probe", 7, nothing),
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("monitor 10", 190, held),
        ("stop", 0, ""),
        ("monitor", 7, nothing),
    ];
    let fault = "a container of somebody else reads the data";
    pbx.rows(table, fault, &answers);
    assert_eq!(pbx.host.running(), ["shipper"], "it is not ours to stop");
    pbx.host.sh("docker rm --force shipper");
}

/// As node_exporter and cadvisor are run. Docker mounts a tree that has its own data in it with `rslave`.
pub(super) fn bystander(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker run --detach --name exporter --network host --volume /:/rootfs:ro portsip/pbx:22 sleep infinity",
    );
    let answers = [
        ("probe", 7, "no container of project portsip runs"),
        ("start", 0, ""),
        ("probe", 0, ""),
        ("monitor 10", 0, ""),
        ("stop", 0, ""),
        ("probe", 7, "no container of project portsip runs"),
    ];
    pbx.rows(
        table,
        "a monitoring program has the whole tree of the node",
        &answers,
    );
    pbx.host.sh("docker rm --force exporter");
}

/// Docker mounts a tree without its own data with `rprivate`: the container keeps what is unmounted on the node.
pub(super) fn private_tree(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "mkdir --parents /srv/tree/data; mount --bind /var/lib/portsip /srv/tree/data; \
         docker run --detach --name exporter --network host --volume /srv/tree:/tree:ro portsip/pbx:22 sleep infinity",
    );
    let held =
        "the container exporter of others has /var/lib/portsip mounted: mount ... with `rslave`";
    let answers = [("start", 0, ""), ("monitor 10", 190, held), ("stop", 0, "")];
    let fault = "a monitoring program has a tree of the node that keeps the volume mounted";
    pbx.rows(table, fault, &answers);
    pbx.host
        .sh("docker rm --force exporter; umount /srv/tree/data");
}
