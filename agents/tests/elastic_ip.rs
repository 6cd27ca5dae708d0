//! awseip's default monitor and stop, with a metadata service and without EC2.
#![allow(clippy::unwrap_used)]

mod call;

use call::{Answer, Call, Metadata};

const MAC: &str = "06:1f:3c:5e:7b:01";

/// The metadata of an instance with a virtual address, and an Elastic IP for it.
fn metadata(local: &str, associations: &[(&str, &str)]) -> Metadata {
    let service = Metadata::with(&[]);
    set(&service, local, associations);
    service
}

fn set(service: &Metadata, local: &str, associations: &[(&str, &str)]) {
    let under = |item: &str| format!("network/interfaces/macs/{MAC}/{item}");
    let mut items = vec![
        ("mac".to_owned(), MAC.to_owned()),
        (under("interface-id"), "eni-0a1f3c5e7b9d2f401".to_owned()),
        (under("local-ipv4s"), local.to_owned()),
    ];
    let publics: Vec<&str> = associations.iter().map(|(public, _)| *public).collect();
    if !publics.is_empty() {
        items.push((under("ipv4-associations/"), publics.join("\n")));
    }
    for (public, private) in associations {
        items.push((
            under(&format!("ipv4-associations/{public}")),
            (*private).to_owned(),
        ));
    }
    let items: Vec<(&str, &str)> = items
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    service.set(&items);
}

/// One resource, whose record under /run goes with it.
struct Resource(String);

impl Resource {
    fn new(name: &str) -> Self {
        Self(format!("test-{}-{name}", std::process::id()))
    }

    fn call(&self, service: &Metadata, action: &str) -> Call {
        Call::of("awseip", action)
            .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.endpoint)
            .set("OCF_RESOURCE_INSTANCE", &self.0)
            .parameter("allocation_id", "eipalloc-02c7cf64a5cd449cf")
            .parameter("private_ip_address", "172.31.16.130")
            .parameter("CRM_meta_interval", "10000")
            // EC2 cannot be reached.
            .parameter("region", "us-west-1")
            .set("AWS_ENDPOINT_URL_EC2", call::NOBODY)
            .set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .set("AWS_SECRET_ACCESS_KEY", "secret")
    }

    fn monitor(&self, service: &Metadata) -> Answer {
        self.call(service, "monitor").run()
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(format!("/run/portsip-ha/awseip-{}.json", self.0));
    }
}

const HERE: &str = "172.31.16.133\n172.31.16.130";

#[test]
fn it_runs_where_the_metadata_shows_the_association() {
    let service = metadata(
        HERE,
        &[
            ("54.183.20.133", "172.31.16.133"),
            ("54.151.30.9", "172.31.16.130"),
        ],
    );
    let resource = Resource::new("runs");
    resource.monitor(&service).expect(0);
    resource
        .call(&service, "monitor")
        .parameter("elastic_ip", "54.151.30.9")
        .run()
        .expect(0);
    resource.call(&service, "start").run().expect(0);
}

#[test]
fn another_address_or_another_elastic_ip_is_not_it() {
    let resource = Resource::new("other");
    // A probe: to a recurring monitor, a silent EC2 proves nothing while nothing tells when it was last seen here.
    let probe = |service: &Metadata| {
        let probe = resource.call(service, "monitor");
        probe.parameter("CRM_meta_interval", "0")
    };
    let service = metadata("172.31.16.133", &[("54.183.20.133", "172.31.16.133")]);
    probe(&service).run().expect(7);
    let degraded = resource.monitor(&service).expect(190).reason();
    assert!(degraded.contains("nothing tells when"), "{degraded}");
    // 172.31.16.130 is not 172.31.16.13, nor is 54.151.30.9 the same as 54.151.30.99.
    set(
        &service,
        "172.31.16.133\n172.31.16.13",
        &[("54.151.30.9", "172.31.16.13")],
    );
    probe(&service).run().expect(7);
    set(&service, HERE, &[("54.151.30.99", "172.31.16.130")]);
    probe(&service)
        .parameter("elastic_ip", "54.151.30.9")
        .run()
        .expect(7);
}

#[test]
fn metadata_that_fails_degrades_what_was_seen_to_run_and_fails_nothing() {
    let service = metadata(HERE, &[("54.151.30.9", "172.31.16.130")]);
    let resource = Resource::new("degraded");
    resource.monitor(&service).expect(0);
    service.fail();
    assert!(
        resource
            .monitor(&service)
            .expect(190)
            .reason()
            .contains("503")
    );
    // For longer than it should, which is a reason to complain and none to stop it.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let long = resource
        .call(&service, "monitor")
        .parameter("doubt_limit", "0")
        .run()
        .expect(190);
    assert!(
        long.reason().contains("longer than doubt_limit"),
        "{long:?}"
    );
}

#[test]
fn metadata_that_fails_is_no_failure_of_what_nobody_has_noted_either() {
    let service = metadata(HERE, &[]);
    let resource = Resource::new("unnoted");
    service.fail();
    for level in ["0", "10"] {
        let recurring = resource.call(&service, "monitor");
        recurring.set("OCF_CHECK_LEVEL", level).run().expect(190);
        let probe = resource.call(&service, "monitor");
        let probe = probe.parameter("CRM_meta_interval", "0");
        probe.set("OCF_CHECK_LEVEL", level).run().expect(7);
    }
}

/// The metadata has been seen to forget addresses for a moment.
#[test]
fn what_the_metadata_forgets_while_ec2_is_silent_is_believed_to_be_here_for_a_while() {
    let service = metadata(HERE, &[("54.151.30.9", "172.31.16.130")]);
    let resource = Resource::new("forgotten");
    resource.monitor(&service).expect(0);
    set(&service, HERE, &[]);
    let answer = resource.monitor(&service).expect(190);
    assert!(
        answer.reason().contains("it was here 0 s ago"),
        "{answer:?}"
    );
    assert!(answer.reason().contains("cannot be reached"), "{answer:?}");
    let note = format!("/run/portsip-ha/awseip-{}.json", resource.0);
    let touched = std::process::Command::new("touch")
        .args(["-d", "3 minutes ago", &note])
        .status();
    assert!(touched.unwrap().success());
    resource.monitor(&service).expect(7);
}

#[test]
fn a_stop_without_ec2_warns_and_succeeds_and_is_remembered() {
    let service = metadata(HERE, &[("54.151.30.9", "172.31.16.130")]);
    let resource = Resource::new("stop");
    resource.monitor(&service).expect(0);
    let stopped = resource.call(&service, "stop").run().expect(0);
    assert!(stopped.stderr.contains("WARN"), "{stopped:?}");
    service.fail();
    let probe = resource
        .call(&service, "monitor")
        .parameter("CRM_meta_interval", "0")
        .run();
    probe.expect(7);
}
