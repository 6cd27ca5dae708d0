//! Whose credentials the agents use: in the order of the AWS CLI, past what is broken, and never
//! through a proxy where the metadata is concerned. awsvip stands for all that ask EC2.

use lab::ec2::{Happening, Injection, MetadataFault};
use lab::site::INSTANCES;

use crate::node::{Answer, Site};

const ROLE: &str = INSTANCES[0].host.id;
const KEY: &str = "AKIDLAB";

/// Starts awsvip after a shell script.
fn start(site: &Site, script: &str) -> Answer {
    let short = "export OCF_RESKEY_CRM_meta_timeout=6000";
    site.inside(
        0,
        "awsvip",
        &format!("{short}; {script}; exec $AGENT start"),
    )
}

/// Who assigned the address last.
fn caller(site: &Site) -> String {
    let calls = site.ec2.events().into_iter().rev();
    let mut callers = calls.filter_map(|event| match event.what {
        Happening::Call { action, caller, .. } if action == "AssignPrivateIpAddresses" => {
            Some(caller)
        }
        _ => None,
    });
    callers.next().expect("nobody has assigned it")
}

/// A file under /run of the node, which no other node sees.
fn file(name: &str, text: &str) -> String {
    format!("cat > /run/portsip-ha/{name} <<'END'\n{text}\nEND\n")
}

/// A program that prints credentials, since a profile may name one.
fn process(key: &str) -> String {
    let json = format!(r#"{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "secret"}}"#);
    file("print", &format!("#!/bin/sh\necho '{json}'")) + "chmod 755 /run/portsip-ha/print\n"
}

#[test]
fn the_order_is_the_environment_then_the_shared_configuration_then_the_role() {
    let keys = format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = secret");
    let shared = file("credentials", &keys)
        + "export AWS_SHARED_CREDENTIALS_FILE=/run/portsip-ha/credentials";
    let environment =
        |key: &str| format!("export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY=secret");
    let by_program = process(KEY)
        + &file(
            "config",
            "[default]\ncredential_process = /run/portsip-ha/print",
        )
        + "export AWS_CONFIG_FILE=/run/portsip-ha/config";
    for (script, expected) in [
        ("true".to_owned(), ROLE),
        (environment(KEY), KEY),
        (shared.clone(), KEY),
        (by_program, KEY),
    ] {
        let site = Site::new();
        start(&site, &script).expect(0);
        assert_eq!(caller(&site), expected, "{script}");
    }
    let site = Site::new();
    let answer = start(&site, &format!("{shared}; {}", environment("AKIDWRONG"))).expect(1);
    assert!(
        answer.says("EC2 says AuthFailure to the access key ...RONG of the environment"),
        "{answer:?}"
    );
}

#[test]
fn a_source_that_is_broken_is_passed_over_and_all_of_them_are_told_at_the_end() {
    let unreadable = file("config", "[default\nregion us-west-1")
        + "export AWS_CONFIG_FILE=/run/portsip-ha/config OCF_RESKEY_region=us-west-1";
    let half = "export AWS_ACCESS_KEY_ID=AKIDHALF";
    let failing = file("failing", "[default]\ncredential_process = /bin/false")
        + "export AWS_CONFIG_FILE=/run/portsip-ha/failing OCF_RESKEY_region=us-west-1";
    for script in [unreadable.as_str(), half, failing.as_str()] {
        let site = Site::new();
        start(&site, script).expect(0);
        assert_eq!(caller(&site), ROLE, "{script}");
    }
    let site = Site::new();
    let none = "export AWS_EC2_METADATA_DISABLED=true HOME=/nonexistent";
    let answer = start(&site, &format!("{half}; {none}")).expect(1);
    for words in [
        "AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY",
        "the instance role: AWS_EC2_METADATA_DISABLED is set",
        "none in /nonexistent/.aws/config and /nonexistent/.aws/credentials",
    ] {
        assert!(answer.says(words), "{words}: {answer:?}");
    }
    assert!(
        answer.reason().starts_with("no AWS credentials: "),
        "{answer:?}"
    );
}

#[test]
fn metadata_is_asked_past_every_proxy_and_ec2_through_it() {
    for names in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let site = Site::new();
        // It passes on what is EC2's, and knows no metadata.
        start(&site, &format!("export {names}=$AWS_ENDPOINT_URL_EC2")).expect(0);
        assert_eq!(caller(&site), ROLE, "{names}");
        let monitor = format!("export {names}=http://127.0.0.1:9; exec $AGENT monitor");
        site.inside(0, "awsvip", &monitor).expect(0);
    }
}

#[test]
fn a_turned_off_metadata_service_is_named_as_the_cause() {
    let site = Site::new();
    site.ec2.inject(Injection::of(MetadataFault::TurnedOff));
    let answer = start(&site, "true").expect(1);
    let cause = "the instance metadata answers 403";
    assert!(answer.reason().starts_with(cause), "{answer:?}");
}
