//! The instance metadata goes wrong: down, slow, silent, refusing, behind.

use lab::ec2::{Injection, MetadataFault};

use super::scenario::{
    AGENTS, Named, Right, SHORT, act, in_parallel, lives, named, note, site_for,
};
use super::table::Table;

fn faults() -> Vec<Named> {
    use MetadataFault::{Down, Hanging, Slow, StaleAddresses, TokenVoid, Unavailable};
    let all = |name, fault: MetadataFault| named(name, Injection::of(fault));
    vec![
        all("down (connections are reset)", Down),
        all("slow (3 s an answer)", Slow),
        all("no answer", Hanging),
        all("503", Unavailable),
        named("401 until a new token", Injection::of(TokenVoid).times(1)),
        all("401 to every token", TokenVoid),
        all("addresses stay as they were", StaleAddresses),
    ]
}

fn right(fault: &str, agent: &str, action: &str) -> Right {
    let volume = agent == "awsebs";
    match fault {
        "401 until a new token" => return (0, ""),
        "addresses stay as they were" => {
            return match (action, volume) {
                ("start", false) => (1, "the instance metadata did not show it"),
                _ => (0, ""),
            };
        }
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
    table.hold();
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
