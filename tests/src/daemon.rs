//! The lab's background process: owns the machines, runs the EC2 model and the metadata service
//! inside the VPC's namespace, and answers the control socket.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::cgroup::Cgroup;
use crate::control::{self, Moment, NodeStatus, Reply, Request, Status};
use crate::dhcp::Dhcp;
use crate::ec2::{Ec2, Timing};
use crate::hypervisor::{Hypervisor, Model};
use crate::image;
use crate::lab::Options;
use crate::progress::Silent;
use crate::site::{self, INSTANCES, Instance};
use crate::world::{Error, World as _};
use crate::{endpoints, netns, paths, resolver, vpc};

/// How long nodes may take from power to a working sshd and pcsd.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// How often the machines are searched for the volume: much shorter than a detach and an attach.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

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
    let image = image::node_image(&Silent)?;
    note("disks", &disks)?;
    note("image", image.dir())?;
    fs::create_dir_all(&disks)?;

    let start = Arc::new(Start::default());
    let control = Arc::new(ControlServer {
        start: Arc::clone(&start),
        lab: OnceLock::new(),
        moments: Mutex::default(),
    });
    let listener = UnixListener::bind(control::socket())?;

    start.step("VPC and Internet");
    vpc::build()?;
    netns::enter(&netns::vpc())?;
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
    start.step("disks");
    let model: Model = Arc::new(OnceLock::new());
    let kernel: Vec<&'static Instance> = options
        .kernel
        .iter()
        .filter_map(|name| site::instance(name))
        .collect();
    let world = Arc::new(Hypervisor::new(image, disks, group, &kernel, &model)?);

    start.step("EC2 and instance metadata");
    let timing = if options.fast {
        Timing::fast()
    } else {
        Timing::ec2_like()
    };
    let ec2 = Ec2::new(timing, Arc::clone(&world) as Arc<dyn crate::world::World>);
    let _ = model.set(Arc::downgrade(&ec2));
    endpoints::serve_ec2(&ec2, image)?;
    let dhcp = Dhcp::default();
    for instance in &INSTANCES {
        endpoints::serve_metadata(&ec2, instance)?;
        dhcp.serve(instance)?;
    }
    resolver::serve()?;
    world.set_network(&ec2.network())?;
    let watched = Arc::clone(&world);
    std::thread::spawn(move || {
        loop {
            watched.look_for_the_volume();
            std::thread::sleep(POLL_INTERVAL);
        }
    });

    start.step("three nodes");
    let (booting, start) = (Arc::clone(&world), Arc::clone(&control.start));
    tokio::task::spawn_blocking(move || boot_all(&booting, &start)).await??;
    let _ = control.lab.set(Running { world, ec2, dhcp });
    Ok(())
}

fn boot_all(world: &Hypervisor, start: &Start) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let boots: Vec<_> = INSTANCES
            .iter()
            .map(|instance| scope.spawn(|| world.power_on(instance.id)))
            .collect();
        boots.into_iter().try_for_each(|boot| {
            boot.join()
                .unwrap_or_else(|_| Err("booting a node panicked".into()))
        })
    })?;
    start.step("waiting for sshd and pcsd");
    let deadline = Instant::now() + UP_WITHIN;
    for instance in &INSTANCES {
        for (port, what) in [(22, "sshd"), (2224, "pcsd")] {
            wait_for_port(instance, port, what, deadline)?;
        }
    }
    Ok(())
}

fn wait_for_port(
    instance: &Instance,
    port: u16,
    what: &str,
    deadline: Instant,
) -> Result<(), Error> {
    let address = SocketAddr::V4(SocketAddrV4::new(instance.private_ip, port));
    loop {
        match TcpStream::connect_timeout(&address, Duration::from_secs(1)) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > deadline => {
                return Err(format!(
                    "{} is not up after {} s: {what} does not answer ({e}); `lab logs {}` shows its console",
                    instance.hostname,
                    UP_WITHIN.as_secs(),
                    instance.short
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

/// How far the start has got, for any number of followers.
#[derive(Default)]
struct Start {
    progress: Mutex<StartProgress>,
    news: Condvar,
}

#[derive(Default)]
struct StartProgress {
    steps: Vec<String>,
    end: Option<Result<(), String>>,
}

impl Start {
    fn step(&self, what: &str) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.steps.push(what.to_owned());
        self.news.notify_all();
    }

    fn end(&self, result: Result<(), String>) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.end = Some(result);
        self.news.notify_all();
    }

    /// Hands every step to `each`, those of the past too, and returns how it ended.
    fn follow(&self, mut each: impl FnMut(String) -> std::io::Result<()>) -> Result<(), Error> {
        let mut seen = 0;
        loop {
            let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
            let progress = self
                .news
                .wait_while(progress, |t| t.steps.len() == seen && t.end.is_none())
                .unwrap_or_else(PoisonError::into_inner);
            let steps: Vec<String> = progress.steps.iter().skip(seen).cloned().collect();
            let end = progress.end.clone();
            drop(progress);
            seen += steps.len();
            for step in steps {
                each(step)?;
            }
            if let Some(end) = end {
                return end.map_err(Into::into);
            }
        }
    }
}

struct Running {
    world: Arc<Hypervisor>,
    ec2: Arc<Ec2>,
    dhcp: Dhcp,
}

/// Answers the requests of clients.
struct ControlServer {
    start: Arc<Start>,
    lab: OnceLock<Running>,
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
            Request::Status => return lab.status().map(Reply::Status),
            Request::Events => {
                let mut moments = self.moments().clone();
                moments.extend(lab.world.watch.findings().violations);
                return Ok(Reply::Events {
                    ec2: lab.ec2.events(),
                    lab: moments,
                });
            }
            Request::PowerOff(instance) => {
                // The moment that counts is when the power goes, not when the last process is gone.
                self.note(format!("power of {instance} cut"));
                lab.world.power_off(instance)?;
            }
            Request::PowerOn(instance) => {
                lab.power_on(instance)?;
                self.note(format!("power of {instance} back"));
            }
            Request::Partition(instance) => {
                let instance = known(instance)?;
                lab.world.vpc.set_partitioned(instance.short, true)?;
                self.note(format!("{} cut off from the other nodes", instance.id));
            }
            Request::Heal => {
                for short in lab.world.vpc.partitioned() {
                    lab.world.vpc.set_partitioned(&short, false)?;
                }
                self.note("all partitions healed".to_owned());
            }
            Request::Inject(injection) => {
                let number = lab.ec2.inject(injection.clone());
                let mut faults = lab.ec2.faults();
                faults.retain(|fault| fault.number == number);
                return Ok(Reply::Faults(faults));
            }
            Request::Lease(lease) => {
                lab.dhcp.set_lease(*lease);
                self.note(format!("DHCP gives {lease:?} from now on"));
            }
            Request::Faults => return Ok(Reply::Faults(lab.ec2.faults())),
            Request::ClearFaults(None) => drop(lab.ec2.clear_faults()),
            Request::ClearFaults(Some(number)) => {
                if !lab.ec2.clear_fault(*number) {
                    return Err(
                        format!("there is no fault {number}; `lab fault list` shows them").into(),
                    );
                }
            }
        }
        Ok(Reply::Done)
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

impl Running {
    fn status(&self) -> Result<Status, Error> {
        let partitioned = self.world.vpc.partitioned();
        let nodes = INSTANCES
            .iter()
            .map(|instance| {
                Ok(NodeStatus {
                    instance: instance.id.to_owned(),
                    on: self.world.machine(instance.id)?.is_on(),
                    partitioned: partitioned.contains(instance.short),
                    metadata_requests: self.ec2.metadata_requests(instance.id),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Status {
            nodes,
            ec2: self.ec2.snapshot(),
            watch: self.world.watch.findings(),
        })
    }

    /// Powers a node on after a power cut; if EC2 has stopped the instance, EC2 starts it.
    fn power_on(&self, instance: &str) -> Result<(), Error> {
        let instance = known(instance)?;
        let state = self
            .ec2
            .snapshot()
            .instances
            .into_iter()
            .find(|i| i.id == instance.id)
            .map(|i| i.state)
            .unwrap_or_default();
        match state.as_str() {
            "running" => self.world.power_on(instance.id),
            "stopped" => self
                .ec2
                .start_instance(instance.id)
                .map_err(|e| format!("EC2 does not start {}: {e}", instance.id).into()),
            other => Err(format!(
                "EC2 says {} is {other}: wait until it is stopped or running",
                instance.id
            )
            .into()),
        }
    }
}

fn known(instance: &str) -> Result<&'static Instance, Error> {
    site::instance(instance).ok_or_else(|| format!("no node {instance}").into())
}

fn send(mut stream: &UnixStream, reply: &Reply) -> std::io::Result<()> {
    let mut line = serde_json::to_string(reply)?;
    line.push('\n');
    stream.write_all(line.as_bytes())
}
