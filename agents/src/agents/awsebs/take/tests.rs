use super::*;

/// What `decide` says. A row is a holder, for how long it has been so, and how far the attachment is; a column is
/// what became of the detach request. The last column says the same with force_detach; `=` is "as without".
const TABLE: &str = "
holder      for-long  attachment  none    pending  pending-force  overdue  with-force_detach
off         no        attached    detach  wait     detach         detach   =
off         no        detaching   detach  wait     detach         detach   =
off         no        busy        detach  wait     detach         detach   =
off         yes       attached    detach  wait     detach         force    =
off         yes       detaching   detach  wait     detach         force    =
off         yes       busy        force   force    wait           force    =
going-down  any       any         wait    wait     wait           wait     =
busy        no        any         wait    wait     wait           wait     force
busy        yes       any         refuse  refuse   refuse         refuse   force
may-write   no        any         wait    wait     wait           wait     =
may-write   yes       attached    refuse  refuse   refuse         refuse   =
may-write   yes       detaching   wait    wait     wait           wait     =
may-write   yes       busy        refuse  refuse   refuse         refuse   =
released    any       any         detach  wait     detach         detach   =
";

const HOLDERS: [(&str, Holder); 5] = [
    ("off", Holder::Off),
    ("going-down", Holder::GoingDown),
    ("busy", Holder::Busy),
    ("may-write", Holder::MayWrite),
    ("released", Holder::Released),
];
const ATTACHMENTS: [(&str, AttachmentState); 4] = [
    ("attached", AttachmentState::Attached),
    ("attached", AttachmentState::Attaching),
    ("detaching", AttachmentState::Detaching),
    ("busy", AttachmentState::Busy),
];
const REQUESTS: [(&str, RequestState); 4] = [
    ("none", RequestState::None),
    ("pending", RequestState::Pending { force: false }),
    ("pending-force", RequestState::Pending { force: true }),
    ("overdue", RequestState::Overdue),
];

fn expected(names: [&str; 3], request: &str, seen: &Observation) -> Step {
    let mut rows = TABLE
        .trim()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let columns = rows.next().unwrap_or_default();
    let is_row = |row: &Vec<&str>| {
        let same = |(cell, name): (&&str, &str)| *cell == name || *cell == "any";
        row.iter().zip(names).all(same)
    };
    let row = rows
        .find(is_row)
        .unwrap_or_else(|| panic!("no row for {names:?}"));
    let column = columns.iter().position(|name| *name == request);
    let cell = match row.last() {
        Some(cell) if seen.force_detach && *cell != "=" => Some(*cell),
        _ => column.map(|column| row[column]),
    };
    match cell {
        // The same request is not sent twice.
        Some("force") if seen.request == (RequestState::Pending { force: true }) => Step::Wait,
        Some("force") => Step::Detach { force: true },
        Some("detach") => Step::Detach { force: false },
        Some("wait") => Step::Wait,
        Some("refuse") => Step::Refuse,
        other => panic!("{names:?} {request}: {other:?}"),
    }
}

#[test]
fn each_observation_leads_to_the_step_in_the_table() {
    let mut count = 0;
    for (holder_name, holder) in HOLDERS {
        for (long, for_long) in [("no", false), ("yes", true)] {
            for (attachment_name, attachment) in ATTACHMENTS {
                for (request_name, request) in REQUESTS {
                    for force_detach in [false, true] {
                        let seen = Observation {
                            holder,
                            for_long,
                            attachment,
                            request,
                            force_detach,
                        };
                        let names = [holder_name, long, attachment_name];
                        let step = decide(&seen);
                        assert_eq!(step, expected(names, request_name, &seen), "{seen:?}");
                        let may_lose = !matches!(holder, Holder::Off) && !force_detach;
                        assert!(
                            step != (Step::Detach { force: true }) || !may_lose,
                            "by force from a running instance: {seen:?}"
                        );
                        count += 1;
                    }
                }
            }
        }
    }
    assert_eq!(count, 5 * 2 * 4 * 4 * 2);
}
