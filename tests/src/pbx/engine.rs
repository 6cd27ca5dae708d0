//! The node image's dockerd on its own, without a node around it: to load images, and to try them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::run::run;
use crate::world::Error;

/// Host network for containers, so no bridge and no packet filter; no systemd here, so control
/// groups made by dockerd itself.
const DOCKERD: &str = r#"
echo '{"iptables": false, "ip-forward": false, "bridge": "none", "exec-opts": ["native.cgroupdriver=cgroupfs"]}' >/run/dockerd.json
while dockerd --config-file=/run/dockerd.json >>/run/dockerd.log 2>&1; [ -e /run/dockerd.outlived ]; do
    until [ -e /run/dockerd.again ]; do sleep 0.05; done
    rm /run/dockerd.again
done
"#;

const UP_WITHIN: Duration = Duration::from_secs(60);
const DOWN_WITHIN: Duration = Duration::from_secs(60);
/// A script that takes longer waits for something that will not happen: a dockerd that is stuck.
const SCRIPT_WITHIN: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// A running dockerd. Dropping it is a power cut.
#[derive(Debug)]
pub struct Engine {
    name: String,
    nspawn: Child,
    group: Cgroup,
    leader: Option<u32>,
}

impl Engine {
    /// Starts dockerd of the root directory `rootfs`, which is not written to, on the Docker data
    /// `data`. `binds` are more directories of this machine, as systemd-nspawn's option `--bind` takes them.
    ///
    /// # Errors
    /// systemd-nspawn is missing or dockerd does not come up; with its log.
    pub fn start(rootfs: &Path, data: &Path, binds: &[String]) -> Result<Self, Error> {
        let unique = format!("pbx-{}-{}", std::process::id(), unique_number());
        let group = Cgroup::of_lone_dockers()?.child(&unique)?;
        let nspawn = Command::new("sh")
            // systemd-nspawn makes the container's group below the one it is started in.
            .args([
                "-c",
                "echo 0 > \"$0/cgroup.procs\" && exec systemd-nspawn \"$@\"",
            ])
            .arg(group.path())
            .arg("--directory")
            .arg(rootfs)
            .args([
                "--volatile=overlay",
                "--as-pid2",
                "--private-network",
                "--quiet",
            ])
            .args([
                "--register=no",
                "--keep-unit",
                "--settings=no",
                "--console=pipe",
            ])
            .args(["--link-journal=no", "--resolv-conf=off", "--timezone=off"])
            .args([
                "--capability=CAP_IPC_LOCK",
                "--system-call-filter=@keyring bpf",
            ])
            .arg(format!("--machine={unique}"))
            .arg(format!("--bind={}:/var/lib/docker", data.display()))
            .args(binds.iter().map(|bind| format!("--bind={bind}")))
            .args(["/bin/sh", "-c", DOCKERD])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| {
                format!("cannot run systemd-nspawn: {e}; `lab check` says what to install")
            })?;
        let mut engine = Self {
            name: unique,
            nspawn,
            group,
            leader: None,
        };
        engine.wait_until_up()?;
        Ok(engine)
    }

    fn wait_until_up(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + UP_WITHIN;
        let mut last = String::from("systemd-nspawn made no container");
        while Instant::now() < deadline {
            if let Some(status) = self.nspawn.try_wait()? {
                return Err(format!("dockerd of the node image ended ({status}): {last}").into());
            }
            self.leader = self.leader.or_else(|| self.find_leader());
            if self.leader.is_some() {
                match self.sh("docker version >/dev/null 2>&1 || { cat /run/dockerd.log; exit 1; }")
                {
                    Ok(_) => return Ok(()),
                    Err(e) => last = e.to_string(),
                }
            }
            std::thread::sleep(POLL);
        }
        Err(format!(
            "dockerd of the node image is not up after {} s: {last}",
            UP_WITHIN.as_secs()
        )
        .into())
    }

    /// The first process of the container, once it has left this machine's root directory.
    fn find_leader(&self) -> Option<u32> {
        let id = self.nspawn.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        children
            .split_whitespace()
            .filter_map(|child| child.parse().ok())
            .find(|child: &u32| {
                PathBuf::from(format!("/proc/{child}/root/run/dockerd.json")).exists()
            })
    }

    /// Runs a shell script beside dockerd and returns what it wrote to stdout.
    ///
    /// # Errors
    /// The script hangs or ended with another status than 0; with what it said.
    pub fn sh(&self, script: &str) -> Result<String, Error> {
        let limit = format!(
            "timeout --verbose --kill-after=5 {} ",
            SCRIPT_WITHIN.as_secs()
        );
        let words = self.arguments(&limit, script)?;
        run("nsenter", &words)
    }

    /// A shell script beside dockerd that is the caller's to run, with an environment of his own.
    ///
    /// # Errors
    /// dockerd is not running.
    pub fn command(&self, script: &str) -> Result<Command, Error> {
        let mut command = Command::new("nsenter");
        command.args(self.arguments("", script)?);
        Ok(command)
    }

    /// A path of the container, as this machine sees it.
    ///
    /// # Errors
    /// dockerd is not running.
    pub fn path(&self, path: &str) -> Result<PathBuf, Error> {
        let leader = self.leader.ok_or("dockerd is not running")?;
        Ok(PathBuf::from(format!("/proc/{leader}/root{path}")))
    }

    /// `limit` is a command, with its arguments, that runs the shell.
    fn arguments(&self, limit: &str, script: &str) -> Result<Vec<String>, Error> {
        let leader = self.leader.ok_or("dockerd is not running")?;
        // No cgroup namespace: a process that enters one stays in its own group all the same.
        let words = format!(
            "--target {leader} --mount --uts --ipc --net --pid --root --wd {limit}/bin/bash -c"
        );
        let words = words.split(' ').chain([script]);
        Ok(words.map(str::to_owned).collect())
    }

    /// Sends dockerd a signal. When that ends it, it stays away until [`Engine::start_again`].
    ///
    /// # Errors
    /// dockerd does not run, or has not ended a minute after a SIGTERM or SIGKILL.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        let ends = matches!(name, "TERM" | "KILL");
        self.sh(&format!(
            "touch /run/dockerd.outlived; pid=$(pidof dockerd) && kill -{name} $pid && \
             if {ends}; then timeout {} tail --pid=$pid -f /dev/null; fi",
            DOWN_WITHIN.as_secs()
        ))
        .map(drop)
    }

    /// Starts dockerd again after a signal has ended it, and waits until it answers.
    ///
    /// # Errors
    /// It does not come up; with its log.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.sh("pidof dockerd >/dev/null || touch /run/dockerd.again")?;
        self.wait_until_up()
    }

    /// Ends dockerd and its containers in order.
    ///
    /// # Errors
    /// It is still there after a minute.
    pub fn stop(mut self) -> Result<(), Error> {
        self.sh("sync -f /var/lib/docker; kill $(cat /run/docker.pid)")?;
        let deadline = Instant::now() + DOWN_WITHIN;
        while self.nspawn.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err("dockerd of the node image does not stop".into());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The container's first process takes everything with it, and systemd-nspawn tidies up.
        if let Some(leader) = self.leader.and_then(|pid| i32::try_from(pid).ok()) {
            if self.nspawn.try_wait().is_ok_and(|status| status.is_none()) {
                let _ = kill(Pid::from_raw(leader), Signal::SIGKILL);
            }
        } else {
            let _ = self.group.kill(DOWN_WITHIN);
        }
        let _ = self.nspawn.wait();
        self.group.remove();
        let _ = fs::remove_dir(Path::new("/run/systemd/nspawn/propagate").join(&self.name));
    }
}

fn unique_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
