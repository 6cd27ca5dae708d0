//! Instances that must not be stopped or terminated through the API.

use crate::client::{N1, N2, Refused, Site, wait};

fn one(instance: &str) -> [(&str, &str); 1] {
    [("InstanceId.1", instance)]
}

fn protect(site: &Site, attribute: &str, value: &str) {
    let parameters = [
        ("InstanceId", N1),
        ("Attribute", attribute),
        ("Value", value),
    ];
    site.ok("ModifyInstanceAttribute", &parameters);
}

fn described(site: &Site, attribute: &str) -> String {
    let parameters = [("InstanceId", N1), ("Attribute", attribute)];
    let xml = site.ok("DescribeInstanceAttribute", &parameters);
    assert_eq!(xml.one("instanceId"), N1);
    xml.one(attribute)
}

#[test]
fn an_instance_with_stop_protection_is_neither_stopped_nor_terminated() {
    let site = Site::new();
    protect(&site, "disableApiStop", "true");
    let forced = [("InstanceId.1", N1), ("Force", "true")];
    let skipped = [("InstanceId.1", N1), ("SkipOsShutdown", "true")];
    for (action, parameters) in [
        ("StopInstances", &one(N1)[..]),
        ("StopInstances", &forced),
        ("StopInstances", &skipped),
        ("TerminateInstances", &one(N1)),
    ] {
        let refused = site.call(action, parameters).unwrap_err();
        let expected = Refused {
            status: 400,
            code: "OperationNotPermitted".to_owned(),
        };
        assert_eq!(refused, expected, "{action} {parameters:?}");
    }
    assert_eq!(site.instance_state(N1), "running");
    assert!(site.world.calls().is_empty(), "{:?}", site.world.calls());
    protect(&site, "disableApiStop", "false");
    site.stop(N1);
}

#[test]
fn an_instance_with_termination_protection_can_be_stopped() {
    let site = Site::new();
    protect(&site, "disableApiTermination", "true");
    assert_eq!(
        site.refused("TerminateInstances", &one(N1)),
        "OperationNotPermitted"
    );
    site.stop(N1);
}

#[test]
fn a_protected_instance_keeps_the_others_of_the_call() {
    let site = Site::new();
    protect(&site, "disableApiStop", "true");
    let both = [("InstanceId.1", N2), ("InstanceId.2", N1)];
    for action in ["StopInstances", "TerminateInstances"] {
        assert_eq!(
            site.refused(action, &both),
            "OperationNotPermitted",
            "{action}"
        );
    }
    assert_eq!(site.instance_state(N2), "running");
}

#[test]
fn protection_does_not_keep_a_guest_from_shutting_itself_down() {
    let site = Site::new();
    protect(&site, "disableApiStop", "true");
    site.world.machine(N1, |machine| machine.powered = false);
    site.ec2.guest_powered_off(N1);
    wait("it is stopped", || site.instance_state(N1) == "stopped");
}

#[test]
fn an_attribute_is_described_as_it_was_set_in_either_form() {
    let site = Site::new();
    for attribute in ["disableApiStop", "disableApiTermination"] {
        assert_eq!(described(&site, attribute), "<value>false</value>");
    }
    protect(&site, "disableApiStop", "true");
    let own = [("InstanceId", N1), ("DisableApiTermination.Value", "true")];
    site.ok("ModifyInstanceAttribute", &own);
    for attribute in ["disableApiStop", "disableApiTermination"] {
        assert_eq!(described(&site, attribute), "<value>true</value>");
    }
    let off = [("InstanceId", N1), ("DisableApiStop.Value", "false")];
    site.ok("ModifyInstanceAttribute", &off);
    assert_eq!(described(&site, "disableApiStop"), "<value>false</value>");
}

#[test]
fn a_change_of_attributes_names_one_that_there_is_and_an_instance_that_is_there() {
    let site = Site::new();
    let id = ("InstanceId", N1);
    let stop = ("DisableApiStop.Value", "true");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[id], "MissingParameter"),
        (&[stop], "MissingParameter"),
        (
            &[id, stop, ("DisableApiTermination.Value", "true")],
            "InvalidParameterCombination",
        ),
        (
            &[id, ("Attribute", "shoeSize"), ("Value", "true")],
            "InvalidParameterValue",
        ),
        (
            &[id, ("DisableApiStop.Value", "perhaps")],
            "InvalidParameterValue",
        ),
        (
            &[("InstanceId", "i-0123456789abcdef0"), stop],
            "InvalidInstanceID.NotFound",
        ),
    ];
    for (parameters, code) in cases {
        assert_eq!(
            site.refused("ModifyInstanceAttribute", parameters),
            code,
            "{parameters:?}"
        );
    }
    assert_eq!(described(&site, "disableApiStop"), "<value>false</value>");
    site.ok("TerminateInstances", &one(N1));
    assert_eq!(
        site.refused("ModifyInstanceAttribute", &[id, stop]),
        "IncorrectInstanceState"
    );
}
