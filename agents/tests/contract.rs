//! The OCF contract, kept by every agent: actions, exit codes, meta-data, reasons, deadlines.
#![allow(clippy::unwrap_used)]

mod call;

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use call::{AGENTS, Call, Metadata, binary};

const VOLUME: &str = "vol-0e06e1e9da3c49b67";

/// An action's timeout where a test asks that the agent is not killed by it. An agent keeps back a tenth
/// to end in time: 2 s, where a busy machine was seen to need 1.2 s to end a process.
const TIMEOUT: Duration = Duration::from_secs(20);

/// All that the agents need to know.
fn with_parameters(call: Call) -> Call {
    call.parameter("volume_id", VOLUME)
        .parameter("allocation_id", "eipalloc-02c7cf64a5cd449cf")
        .parameter("private_ip_address", "172.31.16.130")
        .parameter("secondary_private_ip", "172.31.16.130")
        .parameter("ipaddress", "172.31.16.130")
        .parameter("project", "portsip-no-such-project")
        .parameter("docker_socket", "/nonexistent/docker.sock")
}

#[test]
fn meta_data_is_valid_and_bears_the_agents_name() {
    for (agent, _) in AGENTS {
        let answer = Call::of(agent, "meta-data").run().expect(0);
        assert!(
            answer
                .stdout
                .contains(&format!("<resource-agent name=\"{agent}\""))
        );
        let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ra-api-1.1.rng");
        let mut xmllint = Command::new("xmllint")
            .args(["--noout", "--relaxng", schema, "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        xmllint
            .stdin
            .take()
            .unwrap()
            .write_all(answer.stdout.as_bytes())
            .unwrap();
        let verdict = xmllint.wait_with_output().unwrap();
        assert!(
            verdict.status.success(),
            "{agent}: {}",
            String::from_utf8_lossy(&verdict.stderr)
        );
    }
}

/// Three copies of one program are in the package.
#[test]
fn a_program_with_the_aws_sdk_is_the_agent_that_it_is_called_by() {
    let called = |program, name: &str| {
        let mut command = Command::new(binary(program));
        command.arg0(name).arg("meta-data").output().unwrap()
    };
    for program in ["awsebs", "awseip", "awsvip"] {
        for name in ["awsebs", "awseip", "awsvip"] {
            let path = format!("/usr/lib/ocf/resource.d/portsip/{name}");
            let output = called(program, &path);
            let said = String::from_utf8_lossy(&output.stdout);
            let agent = format!("<resource-agent name=\"{name}\"");
            assert!(said.contains(&agent), "{program} as {name}: {output:?}");
        }
        let output = called(program, "/tmp/awsebs.old");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said.contains("'/tmp/awsebs.old'"), "{said}");
        assert!(said.contains("awsebs, awseip or awsvip"), "{said}");
    }
}

#[test]
fn meta_data_names_every_action_and_needs_no_parameters() {
    for (agent, _) in AGENTS {
        let document = Call::of(agent, "meta-data").run().stdout;
        for action in [
            "start",
            "stop",
            "monitor",
            "reload-agent",
            "validate-all",
            "meta-data",
        ] {
            assert!(
                document.contains(&format!("<action name=\"{action}\"")),
                "{agent} {action}"
            );
        }
    }
}

/// The parameters that may change while the resource runs. What names a resource is none of them.
#[test]
fn parameters_that_only_say_how_can_be_reloaded_and_those_that_say_what_cannot() {
    for (agent, _) in AGENTS {
        let document = Call::of(agent, "meta-data").run().stdout;
        let parameters = document.split("<parameter ").skip(1);
        let mut reloadable = Vec::new();
        for parameter in parameters {
            let opening = parameter.split('>').next().unwrap();
            let name = opening.split('"').nth(1).unwrap();
            if opening.contains("reloadable=\"1\"") {
                reloadable.push(name);
                assert!(!opening.contains("unique-group"), "{agent} {name}");
                assert!(!opening.contains("required=\"1\""), "{agent} {name}");
            }
        }
        let of_the_agent: &[&str] = match agent {
            "awseip" | "awsvip" => &["doubt_limit"],
            "pbx" => &["stop_grace", "sip_transport", "sip_port", "web_port"],
            _ => &[],
        };
        for name in of_the_agent {
            assert!(reloadable.contains(name), "{agent} {name}: {reloadable:?}");
        }
        for name in ["volume_id", "interface", "project", "data_path", "device"] {
            assert!(!reloadable.contains(&name), "{agent} {name}");
        }
    }
}

#[test]
fn a_reload_asks_nobody_and_refuses_what_is_no_value() {
    for (agent, _) in AGENTS {
        let answer = with_parameters(Call::of(agent, "reload-agent"))
            .run()
            .expect(0);
        assert!(answer.took < Duration::from_secs(2), "{agent}: {answer:?}");
    }
    for (agent, parameter, value) in [
        ("awseip", "doubt_limit", "an hour"),
        ("awsvip", "doubt_limit", "-1"),
        ("pbx", "sip_port", "0"),
    ] {
        let call = with_parameters(Call::of(agent, "reload-agent")).parameter(parameter, value);
        let answer = call.run().expect(6);
        assert!(answer.reason().contains(parameter), "{answer:?}");
    }
}

#[test]
fn usage_is_no_failure_but_no_action_and_an_unknown_one_are() {
    for (agent, _) in AGENTS {
        assert!(
            Call::of(agent, "usage")
                .run()
                .expect(0)
                .stdout
                .contains("start|stop|monitor")
        );
        assert!(
            Call::of(agent, "")
                .run()
                .expect(2)
                .reason()
                .contains("usage")
        );
        assert!(
            Call::of(agent, "promote")
                .run()
                .expect(3)
                .reason()
                .contains("promote")
        );
    }
}

#[test]
fn wrong_parameters_are_a_configuration_error_that_names_each() {
    let answer = Call::of("awseip", "monitor")
        .parameter("private_ip_address", "172.31.16")
        .run()
        .expect(6);
    let reason = answer.reason();
    assert!(
        reason.contains("allocation_id is missing") && reason.contains("`172.31.16`"),
        "{reason}"
    );
    for (agent, parameter, value) in [
        ("awsebs", "volume_id", "vol-1"),
        ("awsvip", "secondary_private_ip", "172.31.16.0/20"),
        ("awsipsrcaddr", "ipaddress", ""),
        ("pbx", "sip_port", "70000"),
        ("pbx", "sip_transport", "sctp"),
    ] {
        for action in ["start", "monitor", "validate-all"] {
            let answer = Call::of(agent, action)
                .parameter(parameter, value)
                .run()
                .expect(6);
            assert!(
                answer.reason().contains(parameter),
                "{agent} {action}: {answer:?}"
            );
        }
    }
}

#[test]
fn what_has_no_valid_name_cannot_run_and_its_stop_succeeds() {
    for (agent, parameter) in [
        ("awsebs", "volume_id"),
        ("awseip", "allocation_id"),
        ("awsvip", "secondary_private_ip"),
        ("awsipsrcaddr", "ipaddress"),
    ] {
        Call::of(agent, "stop")
            .parameter(parameter, "nonsense")
            .run()
            .expect(0);
    }
}

#[test]
fn a_probe_on_a_node_that_never_had_it_says_not_running() {
    for (agent, _) in AGENTS {
        for level in ["0", "10"] {
            let call = with_parameters(Call::of(agent, "monitor")).set("OCF_CHECK_LEVEL", level);
            let answer = call.parameter("CRM_meta_interval", "0").run().expect(7);
            assert!(answer.took < Duration::from_secs(10), "{agent}: {answer:?}");
        }
    }
}

#[test]
fn a_stop_on_a_node_that_never_had_it_succeeds_even_if_nobody_can_be_asked() {
    for (agent, _) in AGENTS {
        with_parameters(Call::of(agent, "stop")).run().expect(0);
    }
}

#[test]
fn a_start_that_can_ask_nobody_fails_with_a_reason_before_its_timeout() {
    std::thread::scope(|scope| {
        for (agent, _) in AGENTS {
            scope.spawn(move || {
                let answer = with_parameters(Call::of(agent, "start"))
                    .parameter("CRM_meta_timeout", "20000")
                    .run()
                    .expect(1);
                assert!(!answer.reason().is_empty(), "{agent}: {answer:?}");
                assert!(answer.took < TIMEOUT, "{agent}: {answer:?}");
            });
        }
    });
}

#[test]
fn an_action_whose_call_never_returns_says_what_it_was_doing() {
    let metadata = Metadata::with(&[("instance-id", "i-08807c762627239b8")]);
    let directory = tempfile::tempdir().unwrap();
    // Reading the configuration waits for one who writes to the pipe, for ever.
    let pipe = directory.path().join("config");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let answer = with_parameters(Call::of("awsebs", "start"))
        .set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint)
        .set("AWS_CONFIG_FILE", pipe.to_str().unwrap())
        .parameter("CRM_meta_timeout", "20000")
        .run()
        .expect(1);
    assert!(answer.reason().contains(VOLUME), "{answer:?}");
    assert!(answer.took < TIMEOUT, "{answer:?}");
}

#[test]
fn a_pbx_is_not_started_on_a_directory_of_the_root_disk() {
    let directory = tempfile::tempdir().unwrap();
    let answer = with_parameters(Call::of("pbx", "start"))
        .parameter("data_path", directory.path().to_str().unwrap())
        .run()
        .expect(1);
    assert!(answer.reason().contains("nothing is mounted"), "{answer:?}");
    assert!(answer.took < Duration::from_secs(2), "{answer:?}");
}

#[test]
fn a_docker_that_hangs_does_not_make_a_monitor_late() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    // Other tests run containers on this machine: here are none of their processes.
    let own = "date +%s%N; exec \"$@\"";
    let alone = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        own,
        "sh",
    ];
    let alone = [&alone[..], &[binary("pbx")]].concat();
    let answer = with_parameters(Call::through(&alone, "monitor"))
        .parameter("docker_socket", socket.to_str().unwrap())
        .parameter("CRM_meta_timeout", "20000")
        .run()
        .expect(7);
    let ended = SystemTime::now();
    assert!(
        answer.reason().contains("no process of a container"),
        "{answer:?}"
    );
    // What `unshare` takes to make the namespaces is no time of the agent's.
    let began = Duration::from_nanos(answer.stdout.trim().parse().unwrap());
    let took = ended
        .duration_since(SystemTime::UNIX_EPOCH + began)
        .unwrap();
    assert!(took < TIMEOUT, "{took:?}: {answer:?}");
}
