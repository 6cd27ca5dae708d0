//! How long EC2 takes between its answer and the fact. EC2 promises no figures; each of these says
//! whether it is documented, measured by whom, or chosen here. What matters first is that none is zero:
//! an agent that does not wait for the fact fails against the model.

use std::time::Duration;

/// The durations of EC2's transitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// `attaching` until `attached`. Chosen; API reference, AttachVolume, and the EBS User Guide
    /// say only that it takes time.
    pub attach: Duration,
    /// `attached` until the guest sees the device. Chosen. That the device can come later than
    /// `attached` is known to the EBS CSI driver, which waits for it separately.
    pub device: Duration,
    /// `detaching` until the device is gone and the volume `available`, if nothing holds it. Chosen.
    pub detach: Duration,
    /// How often a `busy` volume is looked at again. Chosen; EBS User Guide, "Detach an Amazon EBS
    /// volume": detaching goes on once the volume is unmounted.
    pub busy_retry: Duration,
    /// An address call's answer until packets and instance metadata follow. Chosen; API
    /// reference, AssignPrivateIpAddresses: the move is asynchronous, `local-ipv4s` confirms it.
    pub address: Duration,
    /// How long a guest may take for its own shutdown in a StopInstances without Force. Chosen,
    /// shorter than EC2's, which is minutes: no test waits for minutes.
    pub shutdown_grace: Duration,
    /// The same with Force: EC2 asks the guest first here too (API reference, StopInstances,
    /// Force: graceful first, then forcibly "within the timeout period", no figure). Chosen.
    pub forced_grace: Duration,
    /// From the call to `stopped` with Force or SkipOsShutdown, or with a dead guest. Chosen as
    /// the lower end of the tens of seconds that a stop takes on EC2.
    pub forced_stop: Duration,
    /// From the guest being down to `stopped`, without Force. Chosen, as `forced_stop`.
    pub stop: Duration,
    /// `pending` until `running`. Chosen.
    pub start: Duration,
    /// How long a guest may take to go down for RebootInstances before a hard reboot. Chosen,
    /// shorter than EC2's few minutes (API reference, RebootInstances).
    pub reboot_grace: Duration,
}

impl Timing {
    /// As on EC2, near enough for failover times to mean something.
    pub fn ec2_like() -> Self {
        Self {
            attach: Duration::from_millis(1500),
            device: Duration::from_millis(200),
            detach: Duration::from_millis(1000),
            busy_retry: Duration::from_millis(500),
            address: Duration::from_millis(400),
            shutdown_grace: Duration::from_secs(90),
            forced_grace: Duration::from_secs(6),
            forced_stop: Duration::from_secs(10),
            stop: Duration::from_secs(10),
            start: Duration::from_secs(3),
            reboot_grace: Duration::from_secs(15),
        }
    }

    /// For tests: every transition takes a moment, so that it can be seen, and no longer.
    pub fn fast() -> Self {
        Self {
            attach: Duration::from_millis(30),
            device: Duration::from_millis(10),
            detach: Duration::from_millis(20),
            busy_retry: Duration::from_millis(10),
            address: Duration::from_millis(20),
            shutdown_grace: Duration::from_millis(200),
            forced_grace: Duration::from_millis(20),
            forced_stop: Duration::from_millis(50),
            stop: Duration::from_millis(30),
            start: Duration::from_millis(30),
            reboot_grace: Duration::from_millis(50),
        }
    }
}
