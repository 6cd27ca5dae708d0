//! EC2's API goes wrong: throttled, down, silent, refusing, behind.

use lab::ec2::{CallFault, Injection};

use super::scenario::{LONG, Named, Right, act, lives, named, site_for};
use super::table::Table;

/// The calls that change something.
const CHANGES: [&str; 6] = [
    "AttachVolume",
    "DetachVolume",
    "AssociateAddress",
    "DisassociateAddress",
    "AssignPrivateIpAddresses",
    "UnassignPrivateIpAddresses",
];

fn faults() -> Vec<Named> {
    use CallFault::{
        AnswerLost, AuthFailure, Denied, ExpiredToken, Hanging, InternalError, RequestExpired,
        Reset, ServiceUnavailable, Stale, Throttled, Unavailable,
    };
    let all = |name, fault: CallFault| named(name, Injection::of(fault));
    vec![
        all("throttled (503 RequestLimitExceeded)", Throttled),
        all("500 InternalError", InternalError),
        all("503 Unavailable", Unavailable),
        all("503 ServiceUnavailable", ServiceUnavailable),
        Named {
            timeout: LONG,
            ..all("no answer", Hanging)
        },
        all("connections are reset", Reset),
        Named {
            timeout: LONG,
            ..named(
                "the first change is done, its answer lost",
                Injection::of(AnswerLost).on(&CHANGES).times(1),
            )
        },
        all("credentials expired (RequestExpired)", RequestExpired),
        all("credentials expired (ExpiredToken)", ExpiredToken),
        all("credentials unknown (AuthFailure)", AuthFailure),
        all("not allowed (UnauthorizedOperation)", Denied),
        Named {
            timeout: LONG,
            ..all("descriptions are 3 s behind", Stale)
        },
    ]
}

const DENIED: &str = "EC2 says UnauthorizedOperation to the access key ... of the instance role";

/// The answer table of the design: what could not be found out never fails what is seen to run.
fn right(fault: &str, agent: &str, action: &str) -> Right {
    let said = match fault {
        "descriptions are 3 s behind" | "the first change is done, its answer lost" => {
            return (0, "");
        }
        "no answer" => "EC2 did not answer in time",
        "connections are reset" => "cannot be reached",
        fault => [
            "RequestLimitExceeded",
            "InternalError",
            "Unavailable",
            "ServiceUnavailable",
        ]
        .into_iter()
        .chain([
            "RequestExpired",
            "ExpiredToken",
            "AuthFailure",
            "UnauthorizedOperation",
        ])
        .rfind(|code| fault.contains(code))
        .unwrap(),
    };
    let denied = said == "UnauthorizedOperation";
    // Whose credentials they were: the answer of the model names no user.
    let said = if denied { DENIED } else { said };
    match (action, agent) {
        ("monitor", _) => (0, ""),
        ("monitor 10", _) => (190, said),
        ("stop", "awsebs") => (1, said),
        ("stop", _) => (0, ""),
        _ if denied => (5, said),
        _ => (1, said),
    }
}

#[test]
fn an_api_that_fails_fails_nothing_that_runs() {
    let mut table = Table::of("ec2");
    lives(&mut table, &faults(), right);
    not_yet_allowed(&mut table);
    elsewhere(&mut table);
    table.hold();
}

/// IAM is eventually consistent: what was allowed a moment ago may be denied for a while.
fn not_yet_allowed(table: &mut Table) {
    for agent in ["awsvip", "awseip"] {
        let site = site_for(agent);
        site.ec2.inject(Injection::of(CallFault::Denied).times(2));
        let answer = act(&site, 0, agent, "start", LONG).expect(0);
        table.row("not allowed at first", agent, "start", &answer, "");
    }
}

/// What this node, its region and account, or this moment says is no wrong configuration (6), which would
/// stop the resource on all nodes.
fn elsewhere(table: &mut Table) {
    let unknown = "allocation_id=eipalloc-0a0a0a0a0a0a0a0a0";
    let other = "secondary_private_ip=10.0.0.7";
    let primary = "secondary_private_ip=172.31.16.134";
    let unknown_fault = "there is no such Elastic IP in this region and account";
    let other_fault = "the address is of another subnet than this instance";
    let primary_fault = "the address is the primary one of another instance";
    let subnet = "is not in the subnet of this instance";
    for (fault, agent, parameter, action, code, said) in [
        (
            unknown_fault,
            "awseip",
            unknown,
            "start",
            5,
            "InvalidAllocationID.NotFound",
        ),
        (
            unknown_fault,
            "awseip",
            unknown,
            "validate-all 10",
            5,
            "InvalidAllocationID.NotFound",
        ),
        (other_fault, "awsvip", other, "start", 5, subnet),
        (other_fault, "awsvip", other, "validate-all 10", 5, subnet),
        (
            primary_fault,
            "awsvip",
            primary,
            "start",
            1,
            "InvalidParameterValue",
        ),
    ] {
        let site = site_for(agent);
        let (verb, level) = action.split_once(' ').unwrap_or((action, "0"));
        let script =
            format!("export OCF_RESKEY_{parameter} OCF_CHECK_LEVEL={level}; exec $AGENT {verb}");
        let answer = site.inside(0, agent, &script).expect(code);
        table.row(fault, agent, action, &answer, said);
    }
}
