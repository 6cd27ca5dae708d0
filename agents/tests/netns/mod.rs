//! Network namespaces for tests, changed and read with iproute2. Needs root. Each of the tests that
//! include it uses a part of it, hence `dead_code`.
#![allow(dead_code, clippy::unwrap_used)]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// What a DHCP client writes on EC2.
pub(crate) const DHCP: &str = "route replace default via 172.31.16.1 dev ens5 proto dhcp src 172.31.16.133 metric 100 mtu 9001";

/// A namespace with the interface ens5 that has the primary address; removed when dropped.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("portsip-src-{}-{number}", std::process::id());
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace.add_interface("ens5", "172.31.16.133/20");
        namespace
    }

    pub(crate) fn add_interface(&self, name: &str, address: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-peer"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-peer up"));
        self.ip(&format!("address add {address} dev {name}"));
    }

    pub(crate) fn ip(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.0))
    }

    /// The routes of the main table that `ip route show WHICH` writes.
    pub(crate) fn routes(&self, which: &str) -> Vec<String> {
        self.ip(&format!("-4 route show {which}"))
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    }

    /// The source address that the kernel chooses.
    pub(crate) fn source_towards(&self, destination: &str) -> String {
        let way = self.ip(&format!("-4 route get {destination}"));
        let mut words = way.split_whitespace().skip_while(|word| *word != "src");
        words.nth(1).unwrap_or_else(|| panic!("{way}")).to_owned()
    }

    /// Runs what an agent would do, on a thread inside the namespace.
    pub(crate) fn inside<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap()
                        .block_on(work())
                })
                .join()
                .unwrap()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "delete", &self.0])
            .status();
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "ip {arguments} (these tests need root): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
