//! DRBD 8.4: the constraint that its fence-peer handler places, and the way from one DRBD to the other.

use super::*;

/// What crm-fence-peer.sh places on pbx01, as cibadmin shows it.
const BY_HANDLER: &str = "<rsc_location rsc=\"drbd_devpath-clone\" \
    id=\"drbd-fence-by-handler-pbxdata-drbd_devpath-clone\">\
    <rule role=\"Master\" score=\"-INFINITY\" id=\"drbd-fence-by-handler-pbxdata-rule-drbd_devpath-clone\">\
    <expression attribute=\"#uname\" operation=\"ne\" value=\"pbx01\" \
    id=\"drbd-fence-by-handler-pbxdata-expr-drbd_devpath-clone\"/></rule></rsc_location>";

fn stock() -> Cluster {
    lan_with("drbd: 8.4\n")
}

fn fenced(cluster: &Cluster, constraint: &str) -> String {
    made(cluster).replace("</constraints>", &format!("{constraint}</constraints>"))
}

fn constraints(cib: &Element) -> Vec<&str> {
    let all = cib.need("configuration").unwrap();
    let all = all.need("constraints").unwrap().children.iter();
    all.filter_map(|one| one.get("id")).collect()
}

#[test]
fn the_handlers_constraint_stays_and_is_explained() {
    let cluster = stock();
    let plan = changed(&cluster, &fenced(&cluster, BY_HANDLER));
    assert!(plan.is_empty(), "{:?}", plan.changes);
    assert_snapshot!(plan.text(None));
    // A change of something else leaves it too.
    let other = fenced(&cluster, BY_HANDLER).replace("192.168.1.130", "192.168.1.129");
    let plan = changed(&cluster, &other);
    let id = "drbd-fence-by-handler-pbxdata-drbd_devpath-clone";
    assert!(constraints(&plan.new).contains(&id));
    assert!(plan.changes.iter().all(|change| !change.contains(id)));
    // That of other data is no business of ours.
    let theirs = BY_HANDLER.replace("drbd_devpath-clone", "other-clone");
    let plan = changed(&cluster, &fenced(&cluster, &theirs));
    assert_eq!(plan.notes, Vec::<String>::new());
}

#[test]
fn the_voter_is_kept_free_and_with_drbd_9_it_is_not() {
    let bans = ["portsip-voter-storage", "portsip-voter-attributes"];
    let to_stock = changed(&stock(), &made(&lan()));
    assert!(
        bans.iter()
            .all(|ban| constraints(&to_stock.new).contains(ban))
    );
    assert_snapshot!(to_stock.changes.join("\n"));
    let to_nine = changed(&lan(), &made(&stock()));
    assert!(
        !bans
            .iter()
            .any(|ban| constraints(&to_nine.new).contains(ban))
    );
    for ban in bans {
        let said = format!("constraint {ban}: deleted");
        assert!(to_nine.changes.contains(&said), "{:?}", to_nine.changes);
    }
}
