//! awsebs.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::ec2::{CallFault, Injection, VolumeFault};
use lab::site::INSTANCES;

use crate::node::Site;

const N1: &str = INSTANCES[0].host.id;
const N2: &str = INSTANCES[1].host.id;

#[test]
fn a_life_of_the_volume_on_one_node() {
    let site = Site::new();
    site.agent(0, "awsebs", "monitor").expect(7);
    site.agent(0, "awsebs", "start").expect(0);
    assert!(site.machines.has_device(N1));
    site.agent(0, "awsebs", "monitor").expect(0);
    for level in [5, 10] {
        let monitor = format!("export OCF_CHECK_LEVEL={level}; exec $AGENT monitor");
        site.inside(0, "awsebs", &monitor).expect(0);
    }
    site.agent(0, "awsebs", "start").expect(0);
    site.agent(0, "awsebs", "stop").expect(0);
    assert!(!site.machines.has_device(N1));
    site.agent(0, "awsebs", "monitor").expect(7);
    site.agent(0, "awsebs", "stop").expect(0);
}

#[test]
fn a_volume_of_a_stopped_instance_is_taken_in_time_and_without_force() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    site.stop_instance(N1);
    let answer = site.agent(1, "awsebs", "start").expect(0);
    assert!(site.machines.has_device(N2));
    // 1.0 s to detach and 1.7 s until the device is there, in the model; twice that on a busy machine.
    assert!(answer.took < Duration::from_millis(6400), "{answer:?}");
    eprintln!("taken over in {:.2} s", answer.took.as_secs_f32());
}

#[test]
fn a_volume_that_a_running_instance_uses_is_not_taken() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    site.machines.held.store(true, Ordering::SeqCst);
    let answer = site.agent(1, "awsebs", "start").expect(1);
    assert!(answer.says("busy") && answer.says(N1), "{answer:?}");
    assert!(
        site.machines.has_device(N1),
        "the volume was taken from {N1}"
    );
    assert!(answer.took < Duration::from_secs(12), "{answer:?}");
}

#[test]
fn a_volume_that_a_running_instance_lets_go_is_taken() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    site.agent(1, "awsebs", "start").expect(0);
    assert!(!site.machines.has_device(N1) && site.machines.has_device(N2));
    assert_eq!(
        *site.machines.detached.lock().unwrap(),
        [(N1.to_owned(), false)]
    );
}

#[test]
fn force_is_for_those_who_ask_for_it() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    site.machines.held.store(true, Ordering::SeqCst);
    site.inside(
        1,
        "awsebs",
        "export OCF_RESKEY_force_detach=true; exec $AGENT start",
    )
    .expect(0);
    assert_eq!(
        *site.machines.detached.lock().unwrap(),
        [(N1.to_owned(), true)]
    );
}

#[test]
fn a_stop_unmounts_before_it_detaches() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    let script = "mount $DISK $DATA; code=0; $AGENT stop || code=$?; grep -c $DATA /proc/self/mountinfo || true; exit $code";
    let answer = site.inside(0, "awsebs", script).expect(0);
    assert_eq!(answer.stdout.trim(), "0", "{answer:?}");
    assert!(!site.machines.has_device(N1));
}

#[test]
fn a_stop_where_another_node_has_the_volume_takes_nothing_from_it() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    site.agent(1, "awsebs", "stop").expect(0);
    assert!(site.machines.has_device(N1));
}

#[test]
fn a_device_that_does_not_appear_fails_the_start_with_a_reason_in_time() {
    let site = Site::new();
    site.ec2.inject(Injection::of(VolumeFault::NoDevice));
    // Of 20 s the agent keeps back 2, which a busy machine may need to end a process.
    let script = "export OCF_RESKEY_CRM_meta_timeout=20000; exec $AGENT start";
    let answer = site.inside(0, "awsebs", script).expect(1);
    assert!(answer.says("vol0e06e1e9da3c49b67"), "{answer:?}");
    assert!(answer.took < Duration::from_secs(20), "{answer:?}");
    site.agent(0, "awsebs", "stop").expect(0);
}

#[test]
fn a_taken_device_name_is_not_fought_over() {
    let site = Site::new();
    another_volume_as_sdf(&site);
    site.agent(0, "awsebs", "start").expect(0);
    assert!(
        site.call("DescribeVolumes", &[("VolumeId.1", lab::site::VOLUME_ID)])
            .contains("/dev/sdg")
    );
}

#[test]
fn only_a_parameter_that_is_wrong_everywhere_is_a_configuration_error() {
    let site = Site::new();
    let script = "export OCF_RESKEY_volume_id=vol-0b0b0b0b0b0b0b0b0; exec $AGENT start";
    let answer = site.inside(0, "awsebs", script).expect(5);
    assert!(answer.says("InvalidVolume.NotFound"), "{answer:?}");
    site.ec2
        .add_volume("vol-0a0a0a0a0a0a0a0a0", "us-west-1a")
        .unwrap();
    let script = "export OCF_RESKEY_volume_id=vol-0a0a0a0a0a0a0a0a0; exec $AGENT start";
    site.inside(0, "awsebs", script).expect(5);
    for wrong in [
        "volume_id=vol-x",
        "device=/dev/nvme1n1",
        "cluster_instances=pbx01",
    ] {
        let script = format!("export OCF_RESKEY_{wrong}; exec $AGENT start");
        site.inside(0, "awsebs", &script).expect(6);
    }
}

#[test]
fn the_device_name_that_is_asked_for_is_the_one_in_the_parameter() {
    let site = Site::new();
    let script = "export OCF_RESKEY_device=/dev/xvdg; exec $AGENT start";
    site.inside(0, "awsebs", script).expect(0);
    let volume = site.call("DescribeVolumes", &[("VolumeId.1", lab::site::VOLUME_ID)]);
    assert!(volume.contains("<device>/dev/sdg</device>"), "{volume}");
}

/// What a node on Xen has: `/dev/xvdf`, and nothing that says which volume it is.
const XEN: &str = "mount -t tmpfs tmpfs /sys; mkdir /sys/hypervisor; echo xen > /sys/hypervisor/type; \
                   mount -t tmpfs tmpfs /dev/disk; cp -a $DISK /dev/xvdf;";

/// Another volume gets the device name `/dev/sdf` of the first node.
fn another_volume_as_sdf(site: &Site) {
    let other = "vol-0a0a0a0a0a0a0a0a0";
    site.ec2.add_volume(other, lab::site::ZONE).unwrap();
    let parameters = [
        ("VolumeId", other),
        ("InstanceId", N1),
        ("Device", "/dev/sdf"),
    ];
    site.call("AttachVolume", &parameters);
    site.wait("the other volume is attached", || {
        site.call("DescribeVolumes", &[("VolumeId.1", other)])
            .contains("<status>attached</status>")
    });
}

#[test]
fn on_xen_the_device_is_the_name_under_which_ec2_has_attached_the_volume() {
    let site = Site::new();
    let script = "$AGENT start; $AGENT monitor; (sleep 2; rm /dev/xvdf) & $AGENT stop";
    site.inside(0, "awsebs", &format!("{XEN} {script}"))
        .expect(0);
    // Before a start has heard it from EC2, the name says nothing.
    let probe = site.inside(0, "awsebs", &format!("{XEN} exec $AGENT monitor"));
    probe.expect(7);
}

#[test]
fn on_xen_a_volume_is_not_attached_under_another_name_than_that_by_which_it_is_mounted() {
    let site = Site::new();
    another_volume_as_sdf(&site);
    let answer = site.inside(0, "awsebs", &format!("{XEN} exec $AGENT start"));
    let answer = answer.expect(5);
    assert!(answer.says("has the device name /dev/sdf"), "{answer:?}");
}

#[test]
fn on_xen_a_stop_leaves_the_volume_alone_that_has_the_name_by_now() {
    let site = Site::new();
    let start = site.inside(0, "awsebs", &format!("{XEN} exec $AGENT start"));
    start.expect(0);
    site.call("DetachVolume", &[("VolumeId", lab::site::VOLUME_ID)]);
    site.wait("the volume is detached", || !site.machines.has_device(N1));
    another_volume_as_sdf(&site);
    let script = "mount $DISK $DATA; $AGENT stop; grep -c $DATA /proc/self/mountinfo";
    let stop = site.inside(0, "awsebs", &format!("{XEN} {script}"));
    assert_eq!(stop.expect(0).stdout.trim(), "1");
}

#[test]
fn on_nitro_a_device_without_identity_is_not_taken_for_the_volume() {
    let site = Site::new();
    site.ec2.inject(Injection::of(VolumeFault::NoDevice));
    let script =
        "cp -a $DISK /dev/xvdf; export OCF_RESKEY_CRM_meta_timeout=6000; exec $AGENT start";
    let answer = site.inside(0, "awsebs", script).expect(1);
    assert!(answer.says("no device"), "{answer:?}");
    site.agent(0, "awsebs", "monitor").expect(7);
}

#[test]
fn a_right_that_is_given_late_is_waited_for() {
    let site = Site::new();
    let late = Injection::of(CallFault::Denied).lasting(Duration::from_secs(4));
    site.ec2.inject(late);
    let answer = site.agent(0, "awsebs", "start").expect(0);
    assert!(answer.took > Duration::from_secs(3), "{answer:?}");
}

#[test]
fn a_stop_after_a_start_that_was_not_allowed_does_not_wait_for_rights_again() {
    let site = Site::new();
    site.ec2.inject(Injection::of(CallFault::Denied));
    let answer = site.agent(0, "awsebs", "stop").expect(0);
    assert!(answer.took < Duration::from_secs(4), "{answer:?}");
}

#[test]
fn a_clean_stop_that_is_not_described_yet_is_no_reason_to_refuse() {
    let site = Site::new();
    site.agent(0, "awsebs", "start").expect(0);
    let stale = Injection::of(CallFault::Stale)
        .on(&["DescribeVolumes"])
        .at(N2);
    site.ec2.inject(stale);
    site.agent(0, "awsebs", "stop").expect(0);
    site.inside(
        1,
        "awsebs",
        "unset OCF_RESKEY_cluster_instances; exec $AGENT start",
    )
    .expect(0);
}

#[test]
fn a_profile_in_roots_home_is_found_without_home_being_set() {
    let site = Site::new();
    let script = "cp $AGENT /run/portsip-ha/awsebs; home=$(getent passwd 0 | cut -d: -f6); mount -t tmpfs tmpfs $home; \
                  mkdir $home/.aws; printf '[ha]\\naws_access_key_id=%s\\naws_secret_access_key=secret\\n' $ID > $home/.aws/credentials; \
                  printf '[profile ha]\\nregion=us-west-1\\n' > $home/.aws/config; \
                  export OCF_RESKEY_profile=ha OCF_RESKEY_CRM_meta_timeout=8000; exec /run/portsip-ha/awsebs start";
    let with = |id: &str| site.inside(0, "awsebs", &format!("ID={id}; {script}"));
    let wrong = with("AKIDWRONG").expect(1);
    assert!(wrong.says("AuthFailure"), "{wrong:?}");
    with("AKIDLAB").expect(0);
}
