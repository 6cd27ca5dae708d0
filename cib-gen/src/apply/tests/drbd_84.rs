//! DRBD 8.4: the constraint that its fence-peer handler places, and the way from one DRBD to the other.

use super::*;
use crate::apply::node_files::{self, DrbdFile};

/// What crm-fence-peer.sh places on pbx01, as cibadmin shows it.
const BY_HANDLER: &str = "<rsc_location rsc=\"drbd_devpath-clone\" \
    id=\"drbd-fence-by-handler-pbxdata-drbd_devpath-clone\">\
    <rule role=\"Promoted\" score=\"-INFINITY\" id=\"drbd-fence-by-handler-pbxdata-rule-drbd_devpath-clone\">\
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
fn a_simulation_has_every_copy_up_to_date() {
    let cluster = stock();
    let cib = Element::parse_as(&fenced(&cluster, BY_HANDLER), "cib").unwrap();
    let fresh = crate::simulate::state::fresh(&cluster, Some(&cib));
    assert_eq!(constraints(&fresh).len() + 1, constraints(&cib).len());
    let said = drbd_fencing::until_up_to_date(&cib).unwrap();
    assert!(said.starts_with("drbd-fence-by-handler-pbxdata-"), "{said}");
    assert_eq!(drbd_fencing::until_up_to_date(&fresh), None);
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

/// What an earlier cib-gen wrote. DRBD compares the option when the nodes connect.
#[test]
fn a_file_that_decides_a_split_brain_by_itself_is_changed_by_hand_on_both_nodes() {
    let cluster = stock();
    let model = cluster.drbd.as_ref().unwrap();
    let wanted = render::drbd(model, &[]);
    let earlier = wanted.replace(
        "after-sb-1pri disconnect;",
        "after-sb-1pri discard-secondary;",
    );
    assert_ne!(earlier, wanted);
    let path = "/etc/drbd.d/pbxdata.res";
    let DrbdFile::ByHand(said) = node_files::drbd(model, path, &earlier, &wanted) else {
        panic!("it was not left to a person");
    };
    assert_snapshot!(said);
}
