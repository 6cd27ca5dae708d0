//! EC2's API goes wrong: throttled, down, silent, refusing, behind.

use lab::ec2::{CallFault, Injection};

use super::scenario::{LONG, Named, Right, lives, named};
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

/// The answer table of the design: what could not be found out never fails what is seen to run.
fn right(fault: &str, agent: &str, action: &str) -> Right {
    let said = match fault {
        "descriptions are 3 s behind" | "the first change is done, its answer lost" => {
            return (0, "");
        }
        "no answer" => "EC2 did not answer in time",
        "connections are reset" => "can not be reached",
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
    table.hold();
}
