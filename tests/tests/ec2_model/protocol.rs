//! Signatures, dry runs, and calls that are none.

use lab::ec2::Happening;
use lab::site;

use crate::client::{N1, Refused, Signer, Site, VOLUME};

fn signer(id: &str, secret: &str) -> Signer {
    Signer {
        id: id.to_owned(),
        secret: secret.to_owned(),
        token: None,
    }
}

#[test]
fn only_a_known_key_with_the_right_secret_may_call() {
    let site = Site::new();
    let failure = Refused {
        status: 401,
        code: "AuthFailure".to_owned(),
    };
    let strangers = [
        None,
        Some(signer("AKIDOTHER", "secret")),
        Some(signer("AKIDLAB", "wrong")),
    ];
    for stranger in strangers {
        let answer = site.call_as(stranger.as_ref(), "DescribeVolumes", &[]);
        assert_eq!(answer.unwrap_err(), failure);
    }
    site.ok("DescribeVolumes", &[]);
}

#[test]
fn the_role_credentials_of_the_metadata_are_good_with_their_token_only() {
    let site = Site::new();
    let path = format!("meta-data/iam/security-credentials/{}", site::ROLE);
    let role: serde_json::Value = serde_json::from_str(&site.document(&path).unwrap()).unwrap();
    assert_eq!(role["Code"], "Success");
    let field = |name: &str| role[name].as_str().unwrap().to_owned();
    let mut signer = signer(&field("AccessKeyId"), &field("SecretAccessKey"));
    let without = site.call_as(Some(&signer), "DescribeVolumes", &[]);
    assert_eq!(without.unwrap_err().code, "AuthFailure");
    signer.token = Some(field("Token"));
    site.call_as(Some(&signer), "DescribeVolumes", &[]).unwrap();
    let call = site.ec2.events().pop().unwrap().what.to_string();
    assert_eq!(call, format!("DescribeVolumes called by {N1}"));
}

#[test]
fn a_call_is_noted_with_the_name_of_the_program_that_made_it() {
    let site = Site::new();
    site.ok("DescribeVolumes", &[]);
    let call = site.ec2.events().pop().unwrap().what;
    assert!(
        matches!(&call, Happening::Call { client, .. } if client == "model-test"),
        "{call:?}"
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let site = Site::new();
    let call = [("InstanceId.1", N1), ("DryRun", "true")];
    let refused = site.call("StopInstances", &call).unwrap_err();
    assert_eq!(
        (refused.status, refused.code.as_str()),
        (412, "DryRunOperation")
    );
    assert_eq!(site.instance_state(N1), "running");
}

#[test]
fn what_ec2_does_not_know_is_refused() {
    let site = Site::new();
    assert_eq!(site.refused("MakeCoffee", &[]), "InvalidAction");
    let misspelt = [("VolumeId.1", VOLUME), ("Filters.1.Name", "status")];
    assert_eq!(
        site.refused("DescribeVolumes", &misspelt),
        "UnknownParameter"
    );
    assert_eq!(site.refused("DetachVolume", &[]), "MissingParameter");
    let neither = [("VolumeId", VOLUME), ("Force", "perhaps")];
    assert_eq!(
        site.refused("DetachVolume", &neither),
        "InvalidParameterValue"
    );
}
