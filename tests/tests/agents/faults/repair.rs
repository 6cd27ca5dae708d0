//! One container ends while the others run: when the monitor starts it again, and when not.

use super::pbx::Pbx;
use super::table::Table;

const GATEWAY: &str = "16 containers run, but not portsip.gateway (Exited (137)";

pub(super) fn crashed(pbx: &mut Pbx, table: &mut Table) {
    pbx.pacemaker(Some(true));
    pbx.call("start").run().expect(0);
    let started = || {
        let format = "docker inspect --format '{{.State.StartedAt}}' portsip.database";
        pbx.host.sh(format)
    };
    let before = started();
    pbx.crash("portsip.gateway");
    let again = "portsip.gateway had ended with code 137 and was started again";
    pbx.rows(
        table,
        "a container that no other needs has crashed",
        &[
            ("probe", 1, GATEWAY),
            ("monitor", 190, again),
            ("monitor", 0, ""),
        ],
    );
    pbx.crash("portsip.gateway");
    let second = format!("{GATEWAY} ... not started again: it has ended for the second time in");
    pbx.rows(
        table,
        "the same container has crashed again within ten minutes",
        &[("monitor", 1, second.as_str()), ("start", 0, "")],
    );
    assert_eq!(before, started(), "the other containers have to run on");
    pbx.crash("portsip.ai");
    let again = "portsip.ai had ended with code 137 and was started again";
    let answers = [("monitor 10", 190, again), ("monitor 10", 0, "")];
    pbx.rows(table, "another container has crashed", &answers);
    pbx.crash("portsip.ai");
    pbx.crash("portsip.callpark");
    let answers = [
        ("monitor", 1, "15 containers run, but not portsip."),
        ("stop", 0, ""),
    ];
    pbx.rows(table, "two containers have crashed", &answers);
}

pub(super) fn needed_by_others(pbx: &mut Pbx, table: &mut Table) {
    pbx.pacemaker(Some(true));
    let fault = "a container that others need has crashed";
    for container in ["portsip.callmanager", "portsip.nats", "portsip.database"] {
        pbx.call("start").run().expect(0);
        pbx.crash(container);
        let meaning = format!("but not {container} (Exited ... not started again: it is needed by");
        pbx.rows(table, fault, &[("monitor", 1, meaning.as_str())]);
    }
    pbx.call("stop").run().expect(0);
}

pub(super) fn not_ours_to_repair(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.crash("portsip.gateway");
    for (fault, manages, why) in [
        (
            "a container has crashed, and Pacemaker does not manage the PBX",
            Some(false),
            "pbx is not managed by Pacemaker now",
        ),
        (
            "a container has crashed, and Pacemaker cannot be asked",
            None,
            "Pacemaker does not tell whether it manages pbx",
        ),
    ] {
        pbx.pacemaker(manages);
        let meaning = format!("{GATEWAY} ... not started again: {why}");
        pbx.rows(table, fault, &[("monitor", 1, meaning.as_str())]);
    }
    pbx.call("stop").run().expect(0);
}

pub(super) fn after_a_signal_that_ends_nothing(pbx: &mut Pbx, table: &mut Table) {
    pbx.pacemaker(Some(true));
    pbx.call("start").run().expect(0);
    pbx.host.sh("docker kill --signal HUP portsip.gateway");
    pbx.crash("portsip.gateway");
    pbx.rows(
        table,
        "a container has crashed after a `docker kill --signal HUP`",
        &[(
            "monitor",
            190,
            "portsip.gateway had ended with code 137 and was started again",
        )],
    );
    pbx.call("stop").run().expect(0);
}
