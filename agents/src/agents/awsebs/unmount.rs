//! The first half of a stop: the volume is unmounted and flushed. Here is also what a stop says about who uses the
//! volume, and when it is useless to wait for them.

use std::fmt::Display;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::AwsEbs;
use crate::device::Device;
use crate::holders::{self, User};
use crate::mounts;
use crate::ocf::Failure;

const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a holder that does not end by itself is still waited for: somebody may just be ending it (a mapping whose
/// removal is deferred, swap that is being turned off).
const GRACE: Duration = Duration::from_secs(2);
/// When the processes are first searched for users of the volume, how often then, and how long a search may take.
const FIRST_SEARCH: Duration = Duration::from_millis(500);
const SEARCH_INTERVAL: Duration = Duration::from_secs(5);
const SEARCH_TIMEOUT: Duration = Duration::from_secs(2);

/// What keeps the volume from being detached: what is not possible ("unmounting /data"), and why.
type Obstacle = (String, Box<dyn Display>);

/// A wait for an obstacle to go away, and who was seen to hold the volume.
struct Wait {
    action: String,
    next_search: Instant,
    users: Vec<User>,
    /// Since when a driver, swap or loop device holds the volume.
    driver_since: Option<Instant>,
    /// Since when a process holds the volume that is started again whenever it ends.
    restarted_since: Option<Instant>,
}

impl AwsEbs {
    /// Unmounts the file systems of the device, waits until nothing holds it (a mount in another namespace, another
    /// driver), and writes out what the kernel has in memory.
    pub(super) async fn unmount_and_flush(&self, device: &Device) -> Result<(), Failure> {
        let (id, path, call) = (self.id(), device.path.display(), &self.call);
        let mut wait: Option<Wait> = None;
        while let Some((action, error)) = self.unmount_all(device)? {
            wait.take_if(|wait| wait.action != action);
            let wait = wait.get_or_insert_with(|| Wait {
                action,
                next_search: Instant::now() + FIRST_SEARCH,
                users: Vec::new(),
                driver_since: None,
                restarted_since: None,
            });
            self.look_who_holds(device, wait)?;
            if !call.deadline.sleep(RETRY_INTERVAL).await {
                let (action, users) = (&wait.action, names_of(&wait.users));
                let seconds = call.deadline.limit().as_secs();
                return Err(Failure::generic(format!(
                    "{id} is held by {users}: {action} ({path}): {error} after {seconds} s"
                )));
            }
        }
        call.steps.doing(format!("flushing {path}"));
        match device.flush() {
            Err(error) if device.is_live() => {
                Err(Failure::generic(format!("flush {path} ({id}): {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Unmounts what can be unmounted now. None if nothing holds the device any more.
    fn unmount_all(&self, device: &Device) -> Result<Option<Obstacle>, Failure> {
        let numbers = device.numbers();
        loop {
            // Read again each time: with one mount the kernel may remove others.
            let mounts = mounts::mounts()
                .map_err(|error| Failure::generic(format!("read the list of mounts: {error}")))?;
            let Some(mount) = mounts.iter().rfind(|mount| mount.is_on(&numbers)) else {
                break;
            };
            let action = format!("unmounting {}", mount.point.display());
            self.call.steps.acting(format!("{action} ({})", self.id()));
            if let Err(error) = mounts::unmount(&mount.point) {
                return Ok(Some((action, Box::new(error))));
            }
        }
        let path = device.path.display();
        match device.is_held() {
            // A loop device does not hold what it writes to.
            Ok(false) if holders::drivers(device).is_empty() => Ok(None),
            Ok(_) => Ok(Some((
                "detaching the volume".to_owned(),
                Box::new(Errno::EBUSY),
            ))),
            // The disk has gone meanwhile, so nothing is held.
            Err(_) if !device.is_live() => Ok(None),
            Err(error) => Err(Failure::generic(format!(
                "open {path} ({}): {error}",
                self.id()
            ))),
        }
    }

    /// Looks who holds the volume, and gives up where waiting is useless.
    fn look_who_holds(&self, device: &Device, wait: &mut Wait) -> Result<(), Failure> {
        let drivers = holders::drivers(device);
        if lasts(&mut wait.driver_since, !drivers.is_empty()) {
            return Err(self.held_for_good(&drivers.join("; "), wait));
        }
        if Instant::now() < wait.next_search {
            return Ok(());
        }
        let limit = SEARCH_TIMEOUT.min(self.call.deadline.remaining() / 2);
        let users = holders::users(device, limit);
        if users != wait.users {
            tracing::warn!("{} waits for {}", wait.action, names_of(&users));
        }
        wait.users = users;
        let restarted = wait.users.iter().find_map(|user| {
            let remedy = user.remedy.as_ref()?;
            Some(format!("{} ({remedy})", user.name))
        });
        if lasts(&mut wait.restarted_since, restarted.is_some()) {
            return Err(self.held_for_good(&restarted.unwrap_or_default(), wait));
        }
        let pause = restarted.map_or(SEARCH_INTERVAL, |_| GRACE);
        wait.next_search = Instant::now() + pause;
        let (id, users) = (self.id(), names_of(&wait.users));
        let step = format!("waiting until {id} is no longer used by {users}");
        self.call.steps.doing(step);
        Ok(())
    }

    fn held_for_good(&self, holder: &str, wait: &Wait) -> Failure {
        let (id, action) = (self.id(), &wait.action);
        Failure::generic(format!(
            "{id} is held by {holder}, which does not go by itself: {action} is not possible"
        ))
    }
}

/// Whether a holder has been seen for `GRACE` without a break.
fn lasts(since: &mut Option<Instant>, is_seen: bool) -> bool {
    if !is_seen {
        *since = None;
        return false;
    }
    since.get_or_insert_with(Instant::now).elapsed() >= GRACE
}

fn names_of(users: &[User]) -> String {
    if users.is_empty() {
        return "nobody who can be seen (look at lsblk and /proc/*/mountinfo)".to_owned();
    }
    let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
    names.join("; ")
}
