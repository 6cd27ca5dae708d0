//! Whether SIP and the web portal answer, while all containers run: the second half of the section of the containers.

use std::time::Duration;

use lab::pbx::Behaviour;

use super::pbx::Pbx;
use super::table::Table;

/// For a start that waits for answers.
const LONG: Duration = Duration::from_secs(60);

const SIP: &str = "SIP over UDP at 172.31.16.130:5060";
const WEB: &str = "the web portal at 172.31.16.130:8887";

/// Stops or continues the processes of a container.
fn signal(pbx: &Pbx, name: &str, container: &str) {
    pbx.host.sh(&format!(
        "kill -{name} $(docker top {container} -o pid | tail -n +2)"
    ));
}

/// The containers stop, and from their next start on behave so.
fn behave(pbx: &Pbx, behaviour: &Behaviour) {
    pbx.call("stop").run().expect(0);
    pbx.host.sh(&behaviour.script());
}

pub(super) fn hang(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    for (container, fault, service) in [
        ("portsip.callmanager", "the SIP server hangs", SIP),
        ("portsip.webserver", "the web portal hangs", WEB),
    ] {
        let meaning = format!("{service} answers no more: no answer in");
        signal(pbx, "STOP", container);
        let answers = [("monitor", 0, ""), ("monitor 10", 1, meaning.as_str())];
        pbx.rows(table, fault, &answers);
        signal(pbx, "CONT", container);
    }
}

pub(super) fn no_address(pbx: &mut Pbx, table: &mut Table) {
    pbx.call("start").run().expect(0);
    pbx.host.sh("ip address delete 172.31.16.130/32 dev lo");
    let meaning = format!("{SIP} answers no more: no answer in ... Network is unreachable");
    let answers = [
        ("monitor", 0, ""),
        ("monitor 10", 1, meaning.as_str()),
        ("stop", 0, ""),
    ];
    pbx.rows(table, "the virtual address is not here", &answers);
    pbx.host.sh("ip address add 172.31.16.130/32 dev lo");
}

pub(super) fn late(pbx: &mut Pbx, table: &mut Table) {
    let fault = "SIP and the web portal answer five seconds after their containers run";
    let answers_after = Duration::from_secs(5);
    behave(
        pbx,
        &Behaviour {
            answers_after,
            ..Behaviour::default()
        },
    );
    let answer = pbx.call("start").timeout(LONG).run().expect(0);
    assert!(
        answer.took > answers_after,
        "it has not waited for the answers: {answer:?}"
    );
    table.row(fault, "pbx", "start", &answer, "");
    pbx.rows(table, fault, &[("monitor 10", 0, "")]);
    behave(pbx, &Behaviour::default());
}

/// An answer counts from the first monitor on that has had it.
pub(super) fn never(pbx: &mut Pbx, table: &mut Table) {
    behave(
        pbx,
        &Behaviour {
            sip_udp: None,
            ..Behaviour::default()
        },
    );
    let not_yet = format!("{SIP} has not answered since the start: no answer in");
    let refused = format!("{not_yet} ... refused");
    let answers = [
        // Its timeout is shorter than `answer_wait`.
        ("start", 0, ""),
        ("monitor", 0, ""),
        ("monitor 10", 190, refused.as_str()),
    ];
    let fault = "nothing listens on SIP, as before the setup wizard";
    pbx.rows(table, fault, &answers);
    pbx.host.sh(&Behaviour::default().script());
    pbx.host.sh("docker restart portsip.callmanager");
    pbx.call("probe 10").run().expect(0);
    signal(pbx, "STOP", "portsip.callmanager");
    let fault = "the SIP server hangs, and only a probe has had an answer";
    pbx.rows(table, fault, &[("monitor 10", 190, not_yet.as_str())]);
    signal(pbx, "CONT", "portsip.callmanager");
    pbx.call("monitor 10").run().expect(0);
    signal(pbx, "STOP", "portsip.callmanager");
    let fault = "the SIP server hangs, and a monitor has had an answer";
    let no_more = format!("{SIP} answers no more: no answer in");
    pbx.rows(table, fault, &[("monitor 10", 1, no_more.as_str())]);
    signal(pbx, "CONT", "portsip.callmanager");
    pbx.call("stop").run().expect(0);
}

/// At the ports that the vendor gives them.
pub(super) fn over_each_transport(pbx: &mut Pbx, table: &mut Table) {
    let none = Behaviour {
        sip_udp: None,
        sip_tcp: None,
        sip_tls: None,
        ..Behaviour::default()
    };
    let usual = Behaviour::default();
    for (transport, fault, behaviour) in [
        (
            "tcp",
            "SIP is there over TCP only",
            Behaviour {
                sip_tcp: usual.sip_tcp,
                ..none.clone()
            },
        ),
        (
            "tls",
            "SIP is there over TLS only",
            Behaviour {
                sip_tls: usual.sip_tls,
                ..none.clone()
            },
        ),
        ("none", "SIP is not there, and is not asked", none.clone()),
    ] {
        behave(pbx, &behaviour);
        for action in ["start", "monitor 10"] {
            let call = pbx.call(action).timeout(LONG);
            let answer = call.parameter("sip_transport", transport).run().expect(0);
            table.row(fault, "pbx", action, &answer, "");
        }
    }
    behave(pbx, &usual);
}

pub(super) fn elsewhere(pbx: &mut Pbx, table: &mut Table) {
    let fault = "SIP and the web portal are at other ports";
    behave(
        pbx,
        &Behaviour {
            sip_udp: Some(5070),
            web: Some(8890),
            ..Behaviour::default()
        },
    );
    for action in ["start", "monitor 10"] {
        let call = pbx.call(action).timeout(LONG);
        let call = call.parameter("sip_port", "5070");
        let answer = call.parameter("web_port", "8890").run().expect(0);
        table.row(fault, "pbx", action, &answer, "");
    }
    behave(pbx, &Behaviour::default());
}
