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

/// As node_exporter and cadvisor are run.
pub(super) fn bystander(pbx: &mut Pbx, table: &mut Table) {
    pbx.host.sh(
        "docker run --detach --name exporter --network host --volume /:/rootfs:ro portsip/pbx:22 sleep infinity",
    );
    let answers = [
        ("probe", 7, "no container of project portsip runs"),
        ("start", 0, ""),
        ("probe", 0, ""),
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
