//! A node in a network namespace of its own, and calls of awsipsrcaddr there.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::faults::table::Table;
use crate::node::{Answer, TIMEOUT, binaries};

/// What a DHCP client writes on EC2.
pub(super) const DHCP: &str = "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 mtu 9001";

/// A node with its primary address, a route by DHCP and, by default, the virtual address.
pub(super) struct Node {
    name: String,
    interface: Option<&'static str>,
}

impl Node {
    pub(super) fn new() -> Self {
        let node = Self::without_address();
        node.ip("address add 172.31.16.130/32 dev ens5");
        node
    }

    pub(super) fn without_address() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let node = Self {
            name: format!("faults-{}-{number}", std::process::id()),
            interface: None,
        };
        ip(&format!("netns add {}", node.name));
        node.ip("link set lo up");
        node.add_interface("ens5", "172.31.16.133/20");
        node.ip(DHCP);
        node
    }

    pub(super) fn add_interface(&self, name: &str, address: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-peer"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-peer up"));
        self.ip(&format!("address add {address} dev {name}"));
    }

    pub(super) fn of_interface(mut self, name: &'static str) -> Self {
        self.interface = Some(name);
        self
    }

    pub(super) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.name))
    }

    /// Of the agent: what it has made.
    pub(super) fn ours(&self) -> String {
        self.ip("-4 route show proto 145")
    }

    /// All other routes, which the agent never changes.
    pub(super) fn others(&self) -> String {
        let all = self.ip("-4 route show");
        let others = all.lines().filter(|route| !route.contains("proto 145"));
        others.collect::<Vec<_>>().join("\n")
    }

    /// The source that the kernel chooses for a destination.
    #[track_caller]
    pub(super) fn sends_from(&self, source: &str, destination: &str) {
        let way = self.ip(&format!("-4 route get {destination}"));
        assert!(
            way.contains(&format!(" src {source} ")),
            "not from {source}: {way}"
        );
    }

    /// `probe` is a monitor before anything runs, `monitor` that of a resource that runs.
    pub(super) fn spawn(&self, action: &str) -> Child {
        let (action, level) = action.split_once(' ').unwrap_or((action, "0"));
        let (action, interval) = match action {
            "probe" => ("monitor", "0"),
            "monitor" => ("monitor", "10000"),
            other => (other, "0"),
        };
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name])
            .arg(binaries().join("awsipsrcaddr"))
            .arg(action)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("OCF_CHECK_LEVEL", level)
            .env("OCF_RESOURCE_INSTANCE", &self.name)
            .env("OCF_RESKEY_CRM_meta_interval", interval)
            .env(
                "OCF_RESKEY_CRM_meta_timeout",
                TIMEOUT.as_millis().to_string(),
            )
            .env("OCF_RESKEY_ipaddress", "172.31.16.130");
        if let Some(interface) = self.interface {
            command.env("OCF_RESKEY_interface", interface);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    pub(super) fn call(&self, action: &str) -> Answer {
        let began = Instant::now();
        finish(self.spawn(action), began)
    }

    /// One row for each of `answers`: the action, its exit code, words of the reason.
    #[track_caller]
    pub(super) fn rows(&self, table: &mut Table, fault: &str, answers: &[(&str, i32, &str)]) {
        for (action, code, meaning) in answers {
            let answer = self.call(action).expect(*code);
            table.row(fault, "awsipsrcaddr", action, &answer, meaning);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.name])
            .status();
    }
}

pub(super) fn finish(child: Child, began: Instant) -> Answer {
    let output = child.wait_with_output().unwrap();
    Answer::of(output, began, TIMEOUT)
}

fn ip(arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    lab::run::run("ip", &words).unwrap_or_else(|e| panic!("these tests need root: {e}"))
}
