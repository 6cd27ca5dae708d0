//! The instance metadata goes wrong: down, slow, silent, refusing, behind.

use lab::ec2::{CallFault, Injection, MetadataFault};
use lab::site::{EIP_ALLOCATION, INSTANCES, VIP};

use super::scenario::{
    AGENTS, Named, Right, SHORT, act, in_parallel, lives, named, note, site_for,
};
use super::table::Table;
use crate::node::{Answer, Site};

fn faults() -> Vec<Named> {
    use MetadataFault::{Down, Hanging, Slow, StaleAddresses, TokenVoid, TurnedOff, Unavailable};
    let all = |name, fault: MetadataFault| named(name, Injection::of(fault));
    vec![
        all("down (connections are reset)", Down),
        all("slow (3 s an answer)", Slow),
        all("no answer", Hanging),
        all("503", Unavailable),
        all("403 (turned off)", TurnedOff),
        named("401 until a new token", Injection::of(TokenVoid).times(1)),
        all("401 to every token", TokenVoid),
        all("addresses stay as they were", StaleAddresses),
    ]
}

fn right(fault: &str, agent: &str, action: &str) -> Right {
    let volume = agent == "awsebs";
    match fault {
        // Where the metadata does not follow, EC2's word counts.
        "401 until a new token" | "addresses stay as they were" => return (0, ""),
        _ => {}
    }
    match action {
        "monitor" if volume => (0, ""),
        "monitor" => (190, "it was here"),
        "monitor 10" if volume => (190, "the device is here"),
        "monitor 10" => (190, "it was here"),
        "stop" if volume => (1, "may still be attached"),
        "stop" => (0, ""),
        _ => (1, "metadata"),
    }
}

#[test]
fn a_silent_metadata_service_fails_nothing_that_was_seen_to_run() {
    let mut table = Table::of("metadata");
    lives(&mut table, &faults(), right);
    probes(&mut table);
    for agent in ["awsvip", "awseip"] {
        behind(&mut table, agent);
    }
    table.hold();
}

/// The metadata does not show what EC2 has here, or shows nothing at all: what monitors make of it.
fn behind(table: &mut Table, agent: &'static str) {
    let row = |table: &mut Table, fault: &str, action: &'static str, answer: &Answer, right| {
        let rows = [(fault, agent, action, answer)];
        note(table, rows.into_iter(), |_, _, _| right);
    };
    let site = site_for(agent);
    let fault = "it never shows what a start has brought here";
    site.ec2
        .inject(Injection::of(MetadataFault::StaleAddresses));
    for (action, interval) in [("start", "0"), ("monitor", "10000"), ("probe", "0")] {
        let verb = action.replace("probe", "monitor");
        let answer = act_every(&site, agent, &verb, interval);
        row(table, fault, action, &answer, (0, ""));
    }
    assert!(is_at(&site, agent, 0), "{agent}");

    let fault = "it does not show what is here, and EC2 is throttled";
    site.ec2.inject(Injection::of(CallFault::Throttled));
    let answer = act_every(&site, agent, "monitor", "10000");
    row(
        table,
        fault,
        "monitor",
        &answer,
        (
            190,
            "the instance metadata ... here, but it was here ... RequestLimitExceeded",
        ),
    );
    let answer = monitor_after(&site, agent, "touch -d '3 hours ago' /run/portsip-ha/*");
    let fault = "it never showed what is here, and EC2 has been throttled for hours";
    row(table, fault, "monitor", &answer, (190, "it was here"));
    let answer = monitor_after(&site, agent, "rm /run/portsip-ha/*");
    let fault =
        "it does not show what is here, EC2 is throttled, and nothing on the node tells of it";
    let right = (190, "nothing tells when it was last seen here");
    row(table, fault, "monitor", &answer, right);

    let fault = "it never showed what is stopped now";
    site.ec2.clear_faults();
    site.ec2
        .inject(Injection::of(MetadataFault::StaleAddresses));
    let answer = act_every(&site, agent, "stop", "0");
    row(table, fault, "stop", &answer, (0, ""));
    assert!(!is_at(&site, agent, 0), "{agent}");

    site.ec2.clear_faults();
    site.agent(0, agent, "start").expect(0);
    site.ec2.inject(Injection::of(MetadataFault::Down));
    let answer = monitor_after(&site, agent, "rm /run/portsip-ha/*");
    let fault = "down, and nothing on the node tells of the resource";
    row(
        table,
        fault,
        "monitor",
        &answer,
        (190, "nothing tells when it was last seen here"),
    );
    site.ec2.clear_faults();
    site.agent(0, agent, "monitor").expect(0);
    site.ec2.inject(Injection::of(MetadataFault::Down));
    let answer = monitor_after(&site, agent, "touch -d '3 hours ago' /run/portsip-ha/*");
    row(
        table,
        "down for longer than doubt_limit",
        "monitor",
        &answer,
        (190, "longer than doubt_limit"),
    );

    site.ec2.clear_faults();
    site.assign_vip(INSTANCES[1].eni);
    site.wait("the metadata follows", || {
        act_every(&site, agent, "monitor", "10000").code != 0
    });
    let answer = act_every(&site, agent, "monitor", "10000");
    let fault = "none: somebody has moved the address to another instance";
    row(table, fault, "monitor", &answer, (7, "nor has EC2 it here"));
    let fault = "it shows no more what it showed before, and EC2 is throttled";
    site.ec2.inject(Injection::of(CallFault::Throttled));
    let answer = monitor_after(&site, agent, "touch /run/portsip-ha/*");
    row(table, fault, "monitor", &answer, (190, "it was here"));
    let answer = monitor_after(&site, agent, "touch -d '3 minutes ago' /run/portsip-ha/*");
    let fault = "it has not shown what it showed before, nor has EC2 answered, for two minutes";
    let right = (
        7,
        "the instance metadata ... here; EC2 says RequestLimitExceeded",
    );
    row(table, fault, "monitor", &answer, right);
    site.ec2.clear_faults();
    site.agent(0, agent, "stop").expect(0);
    site.assign_vip(INSTANCES[0].eni);
    site.agent(0, agent, "start").expect(0);

    let fault = "it still shows what was stopped here a moment ago";
    site.ec2
        .inject(Injection::of(MetadataFault::StaleAddresses));
    site.agent(0, agent, "stop").expect(0);
    assert!(!is_at(&site, agent, 0), "{agent}");
    let again = site.agent(0, agent, "start");
    row(table, fault, "start", &again, (0, ""));
    assert!(is_at(&site, agent, 0), "{agent}");
}

fn act_every(site: &Site, agent: &str, verb: &str, interval: &str) -> Answer {
    site.inside(
        0,
        agent,
        &format!("export OCF_RESKEY_CRM_meta_interval={interval}; exec $AGENT {verb}"),
    )
}

/// A recurring monitor, after a change of what the node keeps.
fn monitor_after(site: &Site, agent: &str, change: &str) -> Answer {
    let script =
        format!("{change}; export OCF_RESKEY_CRM_meta_interval=10000; exec $AGENT monitor");
    site.inside(0, agent, &script)
}

/// Whether EC2 has the agent's address at an instance.
fn is_at(site: &Site, agent: &str, node: usize) -> bool {
    let interface = INSTANCES[node].eni;
    if agent == "awseip" {
        let answer = site.call("DescribeAddresses", &[("AllocationId.1", EIP_ALLOCATION)]);
        return answer.contains(&format!("<networkInterfaceId>{interface}<"));
    }
    let answer = site.call(
        "DescribeNetworkInterfaces",
        &[("NetworkInterfaceId.1", interface)],
    );
    answer.contains(&format!("<privateIpAddress>{VIP}<"))
}

/// A node where the resource never ran, and no metadata: it does not run there.
fn probes(table: &mut Table) {
    let probe = |agent: &'static str| {
        move || {
            let site = site_for(agent);
            site.ec2.inject(Injection::of(MetadataFault::Down));
            let answer = site.agent(1, agent, "monitor");
            assert_eq!(act(&site, 1, agent, "stop", SHORT).code, 0, "{agent}");
            answer
        }
    };
    let seen = in_parallel(AGENTS.map(probe).into());
    let rows = AGENTS
        .iter()
        .zip(&seen)
        .map(|(agent, answer)| ("down, and it never ran here", *agent, "monitor", answer));
    note(table, rows, |_, agent, _| match agent {
        "awsebs" => (7, "no device here"),
        _ => (7, "nothing says that it was started here"),
    });
}
