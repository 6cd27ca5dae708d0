use super::*;

const TESTED: [(&str, Kind); 3] = [
    ("vip", Kind::Service),
    ("pbx", Kind::Service),
    ("attr", Kind::Optional),
];

fn tested() -> Vec<Tested> {
    let one = |(id, kind): (&str, Kind)| Tested {
        id: id.to_owned(),
        kind,
        promotable: false,
        monitors: Vec::new(),
        stop_ignored: false,
        never_banned: false,
    };
    TESTED.into_iter().map(one).collect()
}

/// Everything on a node; what is on none is stopped.
fn on(nodes: [&str; 3]) -> Vec<Instance> {
    let instance = |((id, _), node): (&(&str, Kind), &str)| Instance {
        resource: (*id).to_owned(),
        role: if node.is_empty() {
            "Stopped"
        } else {
            "Started"
        }
        .to_owned(),
        node: (!node.is_empty()).then(|| node.to_owned()),
        blocked: false,
    };
    TESTED.iter().zip(nodes).map(instance).collect()
}

/// From one to the other by these actions: `start pbx n2`, `fence n1`.
fn outcome(from: [&str; 3], actions: &[&str], to: [&str; 3]) -> Outcome {
    let action = |text: &&str| {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        match words.as_slice() {
            [operation, resource, node] => Action::Operation {
                resource: resource.clone(),
                operation: operation.clone(),
                node: node.clone(),
            },
            [_, node] => Action::Fence {
                node: node.clone(),
                how: "off".to_owned(),
            },
            _ => panic!("{text}"),
        }
    };
    let transition = Transition {
        actions: actions.iter().map(action).collect(),
        before: on(from).into_iter().filter(|i| i.node.is_some()).collect(),
        after: on(to),
        online: ["n1", "n2"].map(str::to_owned).into(),
        cib: String::new(),
    };
    Outcome {
        steps: vec![transition],
        rest: true,
        expired: None,
    }
}

fn judged(outcome: &Outcome, expected: &Expected<'_>) -> (String, Option<String>) {
    let tested = &tested();
    let judge = Judge {
        tested,
        voters: &["voter"],
        outcome,
    };
    (judge.summary(), judge.fault(expected))
}

const MOVED: [&str; 4] = ["stop pbx n1", "stop vip n1", "start vip n2", "start pbx n2"];

#[test]
fn a_move_is_right_only_after_the_lost_node_was_fenced() {
    let expected = Expected {
        fenced: Some("n1"),
        ..Expected::at(Place::NotOn("n1"))
    };
    let of = |actions: &[&str]| judged(&outcome(["n1"; 3], actions, ["n2"; 3]), &expected);
    let moved = "everything moves to n2 after fencing n1".to_owned();
    assert_eq!(
        of(&["fence n1", "start vip n2", "start pbx n2"]),
        (moved.clone(), None)
    );
    let early = "vip starts on n2 and nothing makes sure that n1 is dead".to_owned();
    assert_eq!(
        of(&["start vip n2", "fence n1", "start pbx n2"]),
        (moved, Some(early))
    );
    let other = "n2 is fenced without need";
    assert_eq!(of(&["fence n1", "fence n2"]).1.as_deref(), Some(other));
    let none = outcome(["n1"; 3], &[], ["n1"; 3]);
    assert_eq!(
        judged(&none, &expected).1.as_deref(),
        Some("n1 is not fenced")
    );
}

#[test]
fn what_moves_without_need_is_a_fault() {
    let expected = Expected::at(Place::On("n1"));
    let moved = outcome(["n1"; 3], &MOVED, ["n2"; 3]);
    let fault = "it moved away from n1 without need".to_owned();
    assert_eq!(
        judged(&moved, &expected),
        ("everything moves to n2".to_owned(), Some(fault))
    );
    let bystander = outcome(
        ["n1"; 3],
        &["stop attr n1", "start attr n2"],
        ["n1", "n1", "n2"],
    );
    let service = Expected {
        untouched: Untouched::Service,
        ..expected
    };
    assert_eq!(
        judged(&bystander, &service),
        ("attr goes to n2".to_owned(), None)
    );
    let everything = Expected {
        untouched: Untouched::Everything,
        ..expected
    };
    let fault = "stop of attr on n1 without need";
    assert_eq!(judged(&bystander, &everything).1.as_deref(), Some(fault));
}

#[test]
fn a_repair_in_place_restarts_what_has_failed() {
    let expected = Expected {
        restarted: Some("pbx"),
        ..Expected::at(Place::On("n1"))
    };
    let repaired = outcome(["n1"; 3], &["stop pbx n1", "start pbx n1"], ["n1"; 3]);
    assert_eq!(
        judged(&repaired, &expected),
        ("repaired in place: pbx".to_owned(), None)
    );
    let nothing = outcome(["n1"; 3], &[], ["n1"; 3]);
    assert_eq!(
        judged(&nothing, &expected),
        (
            "nothing moves".to_owned(),
            Some("pbx is not restarted".to_owned())
        )
    );
}

#[test]
fn what_is_apart_stopped_given_up_or_restless_is_a_fault() {
    let expected = Expected::at(Place::Anywhere);
    let apart = outcome([""; 3], &[], ["n1", "n2", "n1"]);
    assert_eq!(
        judged(&apart, &expected),
        (
            "vip on n1; pbx on n2".to_owned(),
            Some("it is not all on one node".to_owned())
        )
    );
    let half = outcome(["n1"; 3], &[], ["n1", "", "n1"]);
    assert_eq!(
        judged(&half, &expected),
        (
            "pbx stopped; vip on n1".to_owned(),
            Some("pbx does not run".to_owned())
        )
    );
    let mut blocked = outcome(["n1"; 3], &[], ["n1"; 3]);
    blocked.steps[0].after[1].blocked = true;
    let fault = "pbx on n1 is blocked: nothing is done about it until a person does";
    assert_eq!(judged(&blocked, &expected).1.as_deref(), Some(fault));
    let mut restless = outcome(["n1"; 3], &[], ["n1"; 3]);
    restless.rest = false;
    let fault = "it does not come to rest";
    assert_eq!(judged(&restless, &expected).1.as_deref(), Some(fault));
}

#[test]
fn on_a_node_that_only_votes_nothing_may_start() {
    let strays = outcome(["n1"; 3], &["start vip voter"], ["n1"; 3]);
    assert_eq!(
        judged(&strays, &Expected::at(Place::On("n1"))).1.as_deref(),
        Some("vip starts on voter, which only votes")
    );
}

#[test]
fn without_quorum_nothing_may_run() {
    let expected = Expected::at(Place::Nowhere);
    let stopped = outcome(["n1"; 3], &[], [""; 3]);
    assert_eq!(
        judged(&stopped, &expected),
        ("everything stops".to_owned(), None)
    );
    let runs = outcome(["n1"; 3], &[], ["", "n1", ""]);
    assert_eq!(
        judged(&runs, &expected).1.as_deref(),
        Some("something still runs")
    );
}

/// Without quorum Pacemaker does not fence a lost node, and counts what it ran as running.
#[test]
fn what_a_lost_node_ran_does_not_run() {
    let mut lost = outcome(["n1"; 3], &[], ["n1"; 3]);
    lost.steps[0].online.remove("n1");
    assert_eq!(
        judged(&lost, &Expected::at(Place::Nowhere)),
        ("nothing starts while n1 is lost".to_owned(), None)
    );
}

#[test]
fn what_moves_when_a_failure_has_expired_is_a_fault() {
    let mut back = outcome(["n1"; 3], &MOVED, ["n2"; 3]);
    let later = outcome(["n2"; 3], &["stop pbx n2"], ["n1"; 3]);
    back.expired = Some(later.steps[0].clone());
    assert_eq!(
        judged(&back, &Expected::at(Place::NotOn("n1")))
            .1
            .as_deref(),
        Some("when the failure has expired, stop of pbx on n2 without need")
    );
}
