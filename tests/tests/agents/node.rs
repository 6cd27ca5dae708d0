//! The model with three nodes. A node is a /dev and a /run of its own in which the agents run,
//! and a metadata service that knows which instance it is. There is no cluster: stand-ins answer for Pacemaker.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use lab::ec2::{Ec2, Timing, server};
use lab::world::{Detach, Error, Network, World};
use lab::{imds, site};

const KEY: (&str, &str) = ("AKIDLAB", "secret");

/// What Pacemaker gives each action here, unless a test sets `OCF_RESKEY_CRM_meta_timeout` itself.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Long enough that an agent which does not wait is found out. Volumes come and go faster than on EC2, and
/// instances much faster.
pub(crate) fn timing() -> Timing {
    let moment = Duration::from_millis(300);
    Timing {
        attach: Duration::from_millis(1500),
        detach: Duration::from_secs(1),
        detach_stopped: Duration::from_secs(1),
        forced_stop: moment,
        forced_grace: moment,
        stop: moment,
        start: moment,
        ..Timing::ec2_like()
    }
}

/// The machines: their devices appear and go, and a test says whether one still holds the volume.
pub(crate) struct Machines {
    directory: tempfile::TempDir,
    disk: String,
    /// The holder has it mounted and does not let go.
    pub(crate) held: AtomicBool,
    /// How often the device is to get another name than it had.
    renumbered: AtomicUsize,
    /// Every detachment that took the device away, and whether by force.
    pub(crate) detached: Mutex<Vec<(String, bool)>>,
}

impl Machines {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let disk = run(Command::new("losetup")
            .args(["--find", "--show"])
            .arg(&image));
        run(Command::new("mkfs.ext4").args(["-q", &disk]));
        let machines = Self {
            directory,
            disk,
            held: AtomicBool::new(false),
            renumbered: AtomicUsize::new(0),
            detached: Mutex::default(),
        };
        for instance in site::INSTANCES {
            let dev = machines.path(instance.id, "dev");
            fs::create_dir_all(dev.join("disk/by-id")).unwrap();
            fs::create_dir_all(machines.path(instance.id, "run")).unwrap();
            fs::create_dir_all(machines.path(instance.id, "data")).unwrap();
            run(Command::new("cp")
                .args(["-a", "/dev/null", "/dev/urandom", &machines.disk])
                .arg(dev));
        }
        machines
    }

    fn path(&self, instance: &str, what: &str) -> PathBuf {
        self.directory.path().join(instance).join(what)
    }

    fn link(&self, instance: &str, volume: &str) -> PathBuf {
        let serial = volume.replacen("vol-", "vol", 1);
        self.path(instance, "dev").join(format!(
            "disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"
        ))
    }

    /// The node's name for the disk.
    fn device(&self, instance: &str) -> String {
        match self.renumbered.load(Ordering::SeqCst) {
            0 => self.disk.clone(),
            times => {
                let name = format!("nvme{times}n1");
                let node = self.path(instance, "dev").join(&name);
                run(Command::new("cp").args(["-a", &self.disk]).arg(node));
                format!("/dev/{name}")
            }
        }
    }

    pub(crate) fn has_device(&self, instance: &str) -> bool {
        self.link(instance, site::VOLUME_ID).is_symlink()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .args(["--detach", &self.disk])
            .status();
    }
}

impl World for Machines {
    fn power_on(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
    fn shut_down(&self, instance: &str, _: Duration) -> Result<(), Error> {
        self.power_off(instance)
    }
    fn power_off(&self, _: &str) -> Result<(), Error> {
        // Without power nothing holds anything.
        self.held.store(false, Ordering::SeqCst);
        Ok(())
    }
    fn attach(&self, instance: &str, volume: &str, _: &str) -> Result<(), Error> {
        if !self.has_device(instance) {
            symlink(self.device(instance), self.link(instance, volume))?;
        }
        Ok(())
    }
    fn renumber(&self, _: &str) -> Result<(), Error> {
        self.renumbered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn detach(&self, instance: &str, volume: &str, force: bool) -> Result<Detach, Error> {
        if self.held.load(Ordering::SeqCst) && !force {
            return Ok(Detach::Busy);
        }
        if fs::remove_file(self.link(instance, volume)).is_ok() {
            self.detached
                .lock()
                .unwrap()
                .push((instance.to_owned(), force));
        }
        Ok(Detach::Done)
    }
    fn set_network(&self, _: &Network) -> Result<(), Error> {
        Ok(())
    }
}

/// The site.
pub(crate) struct Site<W = Machines> {
    pub(crate) ec2: Arc<Ec2>,
    pub(crate) machines: Arc<W>,
    api: SocketAddr,
    /// Where each node finds EC2's API and its metadata.
    services: Vec<[SocketAddr; 2]>,
    /// Where Pacemaker's tools are.
    tools: tempfile::TempDir,
    end: Option<(
        tokio::sync::oneshot::Sender<()>,
        std::thread::JoinHandle<()>,
    )>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::of(Machines::new(), timing(), |_, service| service)
    }
}

impl<W: World + 'static> Site<W> {
    /// A site of these machines. `way` is what lies between a node and a service.
    pub(crate) fn of(
        machines: W,
        timing: Timing,
        way: impl Fn(usize, axum::Router) -> axum::Router + Send + 'static,
    ) -> Self {
        let machines = Arc::new(machines);
        let tools = tempfile::tempdir().unwrap();
        crate::pacemaker::stand_in(tools.path());
        let bind = || TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let api = bind();
        let listeners = site::INSTANCES.map(|_| [bind(), bind()]);
        let (end, ended) = tokio::sync::oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let address = api.local_addr().unwrap();
        let services = listeners
            .iter()
            .map(|pair| pair.each_ref().map(|l| l.local_addr().unwrap()))
            .collect();
        let world = Arc::clone(&machines);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let ec2 = Ec2::new(timing, world);
                ec2.add_access_key(KEY.0, KEY.1);
                let serve = |listener: TcpListener, router| {
                    listener.set_nonblocking(true).unwrap();
                    tokio::spawn(server::serve_plain(listener, router));
                };
                serve(api, ec2.router());
                for (node, [api, metadata]) in listeners.into_iter().enumerate() {
                    serve(api, way(node, ec2.router()));
                    let instance = site::INSTANCES[node].id;
                    serve(
                        metadata,
                        way(node, imds::router(Arc::clone(&ec2), instance)),
                    );
                }
                tell.send(ec2).unwrap();
                let _ = ended.await;
            });
        });
        Self {
            ec2: told.recv().unwrap(),
            machines,
            api: address,
            services,
            tools,
            end: Some((end, thread)),
        }
    }

    /// What the environment of an agent on a node says.
    pub(crate) fn environment(&self, node: usize) -> Vec<(&'static str, String)> {
        let [api, metadata] = &self.services[node];
        vec![
            (
                "PATH",
                format!(
                    "{}:{}",
                    self.tools.path().display(),
                    std::env::var("PATH").unwrap()
                ),
            ),
            (
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                format!("http://{metadata}"),
            ),
            ("AWS_ENDPOINT_URL_EC2", format!("http://{api}")),
            (
                "OCF_RESKEY_CRM_meta_on_node",
                site::INSTANCES[node].hostname.to_owned(),
            ),
            ("OCF_RESKEY_volume_id", site::VOLUME_ID.to_owned()),
            (
                "OCF_RESKEY_cluster_instances",
                site::INSTANCES.map(|instance| instance.id).join(" "),
            ),
            ("OCF_RESKEY_allocation_id", site::EIP_ALLOCATION.to_owned()),
            ("OCF_RESKEY_elastic_ip", site::EIP.to_string()),
            ("OCF_RESKEY_private_ip_address", site::VIP.to_string()),
            ("OCF_RESKEY_secondary_private_ip", site::VIP.to_string()),
        ]
    }

    /// A call of the API by an administrator.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> String {
        self.try_call(action, parameters).unwrap()
    }

    /// The same; an error is what EC2 said.
    pub(crate) fn try_call(
        &self,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, String> {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--aws-sigv4",
            "aws:amz:us-west-1:ec2",
        ])
        .args(["--user", &format!("{}:{}", KEY.0, KEY.1)])
        .args([
            "--data-urlencode",
            &format!("Action={action}"),
            "--data-urlencode",
            "Version=2016-11-15",
        ]);
        for (name, value) in parameters {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let output = curl.arg(format!("http://{}/", self.api)).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }

    pub(crate) fn stop_instance(&self, instance: &str) {
        self.call(
            "StopInstances",
            &[("InstanceId.1", instance), ("Force", "true")],
        );
        self.wait("the instance stops", || {
            self.call("DescribeInstances", &[("InstanceId.1", instance)])
                .contains("<name>stopped</name>")
        });
    }

    pub(crate) fn assign_vip(&self, interface: &str) {
        let vip = site::VIP.to_string();
        self.call(
            "AssignPrivateIpAddresses",
            &[
                ("NetworkInterfaceId", interface),
                ("PrivateIpAddress.1", &vip),
                ("AllowReassignment", "true"),
            ],
        );
    }

    pub(crate) fn wait(&self, what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !condition() {
            assert!(Instant::now() < end, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How often an action was called since the start.
    pub(crate) fn calls(&self, action: &str) -> usize {
        let asked = |event: &lab::ec2::Event| format!("{event:?}").contains(action);
        self.ec2
            .events()
            .iter()
            .filter(|event| asked(event))
            .count()
    }
}

impl Site {
    /// The agent's answer on a node. `around` is a shell script in which `$AGENT` is the agent.
    pub(crate) fn inside(&self, node: usize, agent: &str, around: &str) -> Answer {
        let instance = site::INSTANCES[node].id;
        let script = format!(
            "set -e; mkdir -p /run/portsip-ha; mount --bind {run} /run/portsip-ha; mount --bind {dev} /dev; date +%s%N >&2; {around}",
            run = self.machines.path(instance, "run").display(),
            dev = self.machines.path(instance, "dev").display(),
        );
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .env_clear()
            .envs(self.environment(node))
            .env("AGENT", binaries().join(agent))
            .env("DISK", &self.machines.disk)
            .env("DATA", self.machines.path(instance, "data"))
            .env(
                "OCF_RESKEY_CRM_meta_timeout",
                TIMEOUT.as_millis().to_string(),
            )
            .output()
            .unwrap();
        let ended = SystemTime::now();
        let stderr = String::from_utf8(stderr).unwrap();
        // What the node itself took is no time of the agent's.
        let (began, stderr) = stderr.split_once('\n').unwrap_or_default();
        let began = Duration::from_nanos(began.parse().expect("the node was not made"));
        Answer {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: stderr.to_owned(),
            took: ended
                .duration_since(SystemTime::UNIX_EPOCH + began)
                .unwrap_or_default(),
            timeout: TIMEOUT,
        }
    }

    pub(crate) fn agent(&self, node: usize, agent: &str, action: &str) -> Answer {
        self.inside(node, agent, &format!("exec $AGENT {action}"))
    }
}

impl<W> Drop for Site<W> {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(());
            // The model holds the machines, and with them the loop device.
            let _ = thread.join();
        }
    }
}

/// What became of a call of an agent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
    /// What the action was given.
    pub(crate) timeout: Duration,
}

impl Answer {
    /// For a call with an `OCF_RESKEY_CRM_meta_timeout` of its own.
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Of a call that began then and was given `timeout`.
    pub(crate) fn of(output: Output, began: Instant, timeout: Duration) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: began.elapsed(),
            timeout,
        }
    }

    /// What is said to Pacemaker.
    pub(crate) fn reason(&self) -> String {
        let reasons = self
            .stderr
            .lines()
            .filter_map(|line| line.strip_prefix("ocf-exit-reason:"));
        reasons.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    pub(crate) fn says(&self, what: &str) -> bool {
        self.reason().contains(what)
    }
}

/// Where the agents are: built beside this test, or what the package is made of.
pub(crate) fn binaries() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let beside = beside.ancestors().nth(2).unwrap();
    if beside.join("awsebs").is_file() {
        return beside.to_owned();
    }
    let built = std::env::var_os("PORTSIP_HA_BIN").expect("the agents: cargo build --workspace");
    Path::new(&built).to_owned()
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?} (these tests need root): {output:?}"
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
