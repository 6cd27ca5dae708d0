//! The lab's background process: owns the site, with its machines, inside the namespace of the site's
//! network, and answers the control socket. What is different for each site is in `cloud` and `lan`.

mod cloud;
mod lan;
mod start;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::cgroup::Cgroup;
use crate::control::{self, Moment, NodeStatus, Reply, Request, Status};
use crate::image;
use crate::lab::Options;
use crate::node::Machine;
use crate::progress::Silent;
use crate::site::{Host, Site};
use crate::world::Error;
use crate::{netns, paths, vpc};
use cloud::Cloud;
use start::Start;

/// How long nodes may take from power to a working sshd and pcsd.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// A site whose network and machines exist.
trait Running: Send + Sync {
    /// The machine with this id.
    fn machine(&self, id: &str) -> Result<&dyn Machine, Error>;
    /// Gives a machine its power back after a power cut.
    fn power_on(&self, id: &str) -> Result<(), Error> {
        self.machine(id)?.power_on()
    }
    /// Cuts a node (by its short name) off from the other nodes, or joins it again.
    fn set_partitioned(&self, short: &str, cut: bool) -> Result<(), Error>;
    /// Short names of the nodes that are cut off.
    fn partitioned(&self) -> BTreeSet<String>;
    /// What only the site on EC2 has.
    fn cloud(&self) -> Result<&Cloud, Error> {
        Err(control::no_ec2())
    }
}

/// Runs the lab until the process is killed. The caller has created the state directory and has no other thread, so
/// that all threads get this thread's namespaces.
///
/// # Errors
/// A part of the lab cannot be created; whoever follows the start gets the error, too.
pub fn serve(options: &Options) -> Result<(), Error> {
    let group = Cgroup::of_the_lab()?;
    note("cgroup", group.path())?;
    group.child("serve")?.enter()?;
    let disks = paths::disks();
    let image = image::node_image(options.site, &Silent)?;
    note("disks", &disks)?;
    note("image", image.dir())?;
    fs::create_dir_all(&disks)?;

    let start = Arc::new(Start::default());
    let control = Arc::new(ControlServer {
        site: options.site,
        hosts: options.hosts(),
        start: Arc::clone(&start),
        lab: OnceLock::new(),
        moments: Mutex::default(),
    });
    let listener = UnixListener::bind(control::socket())?;

    match options.site {
        Site::Ec2 => {
            start.step("VPC and Internet");
            vpc::build()?;
        }
        Site::Lan => {
            start.step("LAN, router and Internet");
            crate::lan::build()?;
        }
    }
    netns::enter(&options.site.namespace())?;
    keep_mounts_private(&disks)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let clients = Arc::clone(&control);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let control = Arc::clone(&clients);
            std::thread::spawn(move || control.attend(stream));
        }
    });
    runtime.block_on(async {
        let begun = begin(options, &image, &group, &disks, &control).await;
        start.end(begun.as_ref().map(drop).map_err(ToString::to_string));
        if begun.is_err() {
            // Whoever follows the start gets the reason; `lab down` gets the rest.
            tokio::time::sleep(Duration::from_secs(2)).await;
            return begun;
        }
        std::future::pending().await
    })
}

/// Notes a path for whoever asks later, perhaps with another cache directory.
fn note(name: &str, path: &Path) -> Result<(), Error> {
    fs::write(paths::state(name), path.as_os_str().as_encoded_bytes())?;
    Ok(())
}

async fn begin(
    options: &Options,
    image: &image::Image,
    group: &Cgroup,
    disks: &Path,
    control: &Arc<ControlServer>,
) -> Result<(), Error> {
    let start = &control.start;
    let running: Arc<dyn Running> = match options.site {
        Site::Ec2 => Arc::new(Cloud::begin(options, image, group, disks, start)?),
        Site::Lan => Arc::new(lan::Machines::begin(options, image, group, disks, start)?),
    };
    let hosts = options.hosts();
    start.step(match hosts.len() {
        3 => "three nodes",
        _ => "three nodes, and machines beside them",
    });
    let (booting, start) = (Arc::clone(&running), Arc::clone(start));
    tokio::task::spawn_blocking(move || boot_all(&hosts, &*booting, &start)).await??;
    let _ = control.lab.set(running);
    Ok(())
}

fn boot_all(hosts: &[&'static Host], running: &dyn Running, start: &Start) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let boots: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || running.machine(host.id)?.power_on()))
            .collect();
        boots.into_iter().try_for_each(|boot| {
            boot.join()
                .unwrap_or_else(|_| Err("booting a node panicked".into()))
        })
    })?;
    start.step("waiting for sshd and pcsd");
    let deadline = Instant::now() + UP_WITHIN;
    for host in hosts {
        for (port, what) in [(22, "sshd"), (2224, "pcsd")] {
            wait_for_port(host, port, what, deadline)?;
        }
    }
    Ok(())
}

fn wait_for_port(host: &Host, port: u16, what: &str, deadline: Instant) -> Result<(), Error> {
    let address = SocketAddr::V4(SocketAddrV4::new(host.private_ip, port));
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > deadline => {
                return Err(format!(
                    "{} is not up after {} s: {what} does not answer ({e}); `lab logs {}` shows its console",
                    host.hostname,
                    UP_WITHIN.as_secs(),
                    host.short
                )
                .into());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// From here on, what is mounted below `dir` is seen by this process and the nodes only, and is
/// gone when they are, however they end. Everything else still follows the machine's mounts.
fn keep_mounts_private(dir: &Path) -> Result<(), Error> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("cannot make a mount namespace: {e}"))?;
    let dir = dir.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| dir.starts_with(point))
        .max_by_key(|point| point.len())
        .unwrap_or("/");
    mount(
        None::<&str>,
        below,
        None::<&str>,
        MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(|e| format!("cannot make the mounts on {below} private: {e}").into())
}

/// Answers the requests of clients.
struct ControlServer {
    site: Site,
    hosts: Vec<&'static Host>,
    start: Arc<Start>,
    lab: OnceLock<Arc<dyn Running>>,
    moments: Mutex<Vec<Moment>>,
}

impl ControlServer {
    fn attend(&self, stream: UnixStream) {
        let mut line = String::new();
        if BufReader::new(&stream).read_line(&mut line).is_err() {
            return;
        }
        let reply = serde_json::from_str(&line)
            .map_err(Error::from)
            .and_then(|request| self.answer(&request, &stream))
            .unwrap_or_else(|e| Reply::Failed(e.to_string()));
        // A client that went away needs no answer.
        let _ = send(&stream, &reply);
    }

    fn answer(&self, request: &Request, stream: &UnixStream) -> Result<Reply, Error> {
        if *request == Request::FollowStart {
            self.start.follow(|step| send(stream, &Reply::Step(step)))?;
            return Ok(Reply::Done);
        }
        let lab = self.lab.get().ok_or("the lab is still starting")?;
        match request {
            Request::FollowStart => {}
            Request::Status => return self.status(&**lab).map(Reply::Status),
            Request::Events => return Ok(self.events(&**lab)),
            Request::PowerOff(id) => {
                // The moment that counts is when the power goes, not when the last process is gone.
                self.note(format!("power of {id} cut"));
                lab.machine(id)?.power_off()?;
            }
            Request::PowerOn(id) => {
                lab.power_on(id)?;
                self.note(format!("power of {id} back"));
            }
            Request::Freeze(id) => {
                let machine = lab.machine(id)?;
                if !machine.is_on() {
                    return Err(format!("{id} has no power: it can't be frozen").into());
                }
                machine.set_frozen(true)?;
                self.note(format!("{id} frozen"));
            }
            Request::Thaw(id) => {
                lab.machine(id)?.set_frozen(false)?;
                self.note(format!("{id} goes on"));
            }
            Request::Partition(id) => {
                let host = self.known(id)?;
                lab.set_partitioned(host.short, true)?;
                self.note(format!("{} cut off from the other nodes", host.id));
            }
            Request::Heal => {
                for short in lab.partitioned() {
                    lab.set_partitioned(&short, false)?;
                }
                self.note("all partitions healed".to_owned());
            }
            Request::PutPolicy { of, document } => {
                lab.cloud()?.ec2.put_policy(of.clone(), document)?;
            }
            Request::Inject(injection) => {
                let ec2 = &lab.cloud()?.ec2;
                let number = ec2.inject(injection.clone());
                let mut faults = ec2.faults();
                faults.retain(|fault| fault.number == number);
                return Ok(Reply::Faults(faults));
            }
            Request::Lease(lease) => {
                lab.cloud()?.dhcp.set_lease(*lease);
                self.note(format!("DHCP gives {lease:?} from now on"));
            }
            Request::Faults => return Ok(Reply::Faults(lab.cloud()?.ec2.faults())),
            Request::ClearFaults(None) => drop(lab.cloud()?.ec2.clear_faults()),
            Request::ClearFaults(Some(number)) => {
                if !lab.cloud()?.ec2.clear_fault(*number) {
                    return Err(
                        format!("there is no fault {number}; `lab fault list` shows them").into(),
                    );
                }
            }
        }
        Ok(Reply::Done)
    }

    fn status(&self, lab: &dyn Running) -> Result<Status, Error> {
        let partitioned = lab.partitioned();
        let cloud = lab.cloud().ok();
        let nodes = self
            .hosts
            .iter()
            .map(|host| {
                let machine = lab.machine(host.id)?;
                Ok(NodeStatus {
                    id: host.id.to_owned(),
                    on: machine.is_on(),
                    partitioned: partitioned.contains(host.short),
                    frozen: machine.is_frozen(),
                    metadata_requests: cloud.map_or(0, |c| c.ec2.metadata_requests(host.id)),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Status {
            site: self.site,
            nodes,
            ec2: cloud.map(|cloud| cloud.ec2.snapshot()),
            watch: cloud.map(|cloud| cloud.world.watch.findings()),
        })
    }

    fn events(&self, lab: &dyn Running) -> Reply {
        let mut moments = self.moments().clone();
        let mut events = Vec::new();
        if let Ok(cloud) = lab.cloud() {
            moments.extend(cloud.world.watch.findings().violations);
            events = cloud.ec2.events();
        }
        Reply::Events {
            ec2: events,
            lab: moments,
        }
    }

    fn known(&self, id: &str) -> Result<&'static Host, Error> {
        self.site
            .host(id)
            .ok_or_else(|| format!("no node {id}").into())
    }

    fn moments(&self) -> std::sync::MutexGuard<'_, Vec<Moment>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: String) {
        self.moments().push(Moment {
            at: SystemTime::now(),
            what,
        });
    }
}

fn send(mut stream: &UnixStream, reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_string(reply)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}
