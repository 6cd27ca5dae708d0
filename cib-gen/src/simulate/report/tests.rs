use super::*;
use insta::assert_snapshot;

fn case(about: &str, name: &str, happened: &str, fault: Option<&str>) -> Case {
    Case {
        about: about.to_owned(),
        name: name.to_owned(),
        happened: happened.to_owned(),
        fault: fault.map(str::to_owned),
        actions: vec!["stop pbx on n1".to_owned()],
    }
}

#[test]
fn cases_stand_under_what_they_are_about_in_one_order() {
    let cases = vec![
        case(
            "pbx",
            "stop fails on n1",
            "everything stops",
            Some("n1 is not fenced"),
        ),
        case("vip", "start fails on n1", "everything starts on n2", None),
        case(NODES, "n1 fails", "nothing moves", None),
        case(START, "all nodes at once", "everything starts on n1", None),
        case("pbx", "start fails on n1", "everything starts on n2", None),
    ];
    let report = Report::new(cases, &["vip", "pbx"]);
    assert_snapshot!(report.text(false));
    assert_snapshot!(report.text(true));
}
