//! The question of `cib-gen apply` on a terminal, which script(1) makes.

use crate::apply_command::{apply, ends, running};
use crate::bench::{Bench, Suite, in_both_suites};
use crate::simulate::simulate;
use crate::{VENDOR, cluster};

in_both_suites!(
    no_changes_nothing_and_yes_makes_the_change,
    a_cluster_that_changed_after_the_question_is_shown_and_asked_about_again,
);

/// Runs `apply` for another address on a terminal on which somebody types. `types` is shell code, in which `asked
/// N` waits until the question was asked N times. What was on the terminal, after a run with that status.
fn on_a_terminal(bench: &Bench, types: &str, code: i32) -> String {
    let other = VENDOR.replace("54.151.30.9", "54.151.30.10");
    bench.write("apply.sh", &apply(bench, &other, &[]));
    let script = format!(
        "asked() {{ for try in $(seq 600); do\n\
         [ $(grep -o 'Go on?' screen 2>/dev/null | wc -l) -lt $1 ] || return 0; sleep 0.1\ndone; exit 1; }}\n\
         rm -f screen; ( {types} ) | script --quiet --flush --return --command 'sh apply.sh' screen"
    );
    ends(&bench.try_run(&["sh", "-c", &script]), code)
}

fn no_changes_nothing_and_yes_makes_the_change(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let up = bench.read("up.xml");
    bench.write("live.xml", &up);
    for answer in ["n", "", "yess"] {
        let said = on_a_terminal(&bench, &format!("asked 1; echo {answer}"), 3);
        assert!(
            said.contains("would restart: eip") && said.contains("not changed"),
            "{said}"
        );
        assert_eq!(bench.read("live.xml"), up, "{answer}");
    }
    let said = on_a_terminal(&bench, "asked 1; echo y", 0);
    assert!(said.ends_with("done\r\n"), "{said}");
    assert!(bench.read("live.xml").contains("54.151.30.10"));
}

fn a_cluster_that_changed_after_the_question_is_shown_and_asked_about_again(suite: Suite) {
    let bench = running(suite, &cluster(""));
    let leaves = ["--node-down=ip-172-31-16-133"];
    let moved = simulate(&bench, "up.xml", &leaves, "moved.xml");
    assert_eq!(moved.nodes["pbx"], "ip-172-31-16-134", "{}", moved.text);
    let moves = "asked 1; cp moved.xml live.xml; echo y; asked 2; echo";

    bench.write("live.xml", &bench.read("up.xml"));
    let said = on_a_terminal(&bench, &format!("{moves} n"), 3);
    let (before, after) = said
        .split_once("the cluster has changed since the question")
        .unwrap_or_else(|| panic!("{said}"));
    assert!(
        before.contains("pbx on ip-172-31-16-133") && after.contains("pbx on ip-172-31-16-134"),
        "{said}"
    );
    assert_eq!(bench.read("live.xml"), bench.read("moved.xml"));

    bench.write("live.xml", &bench.read("up.xml"));
    let said = on_a_terminal(&bench, &format!("{moves} y"), 0);
    assert_eq!(said.matches("Go on?").count(), 2, "{said}");
    assert!(bench.read("live.xml").contains("54.151.30.10"));
}
