//! How long EC2 takes between its answer and the fact, and where each figure is from.
//! EC2 promises none of them: they are typical values, so that an agent which does not wait fails here.

use std::time::Duration;

/// The durations of EC2's transitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// `attaching` until `attached`. EBS User Guide: the volume is attached "in a few seconds";
    /// the EBS CSI driver starts to look after 1 s and mostly finds it within 2 s.
    pub attach: Duration,
    /// `attached` until the guest sees the device: it "can appear seconds after" (EBS User Guide,
    /// device names); mostly at once.
    pub device: Duration,
    /// `detaching` until the device is gone and the volume `available`, if nothing holds it.
    /// Same source as `attach`; detaching is the faster of the two.
    pub detach: Duration,
    /// How often a `busy` volume is looked at again: EC2 detaches soon after the last unmount.
    pub busy_retry: Duration,
    /// An address call's answer until packets and instance metadata follow. The API reference
    /// of AssignPrivateIpAddresses calls the move asynchronous and says how to see it in the metadata.
    pub address: Duration,
    /// How long a guest may take for its own shutdown in a StopInstances without Force. EC2
    /// gives "a few minutes" before it cuts the power; shortened here, no test waits for minutes.
    pub shutdown_grace: Duration,
    /// How long a guest may take when Force is given: EC2 still asks it to shut down first
    /// (API reference, StopInstances, Force), and names no figure.
    pub forced_grace: Duration,
    /// From the call to `stopped` with Force, with SkipOsShutdown, or when the guest is dead already.
    /// A round figure of what operators see for stops of hung instances; EC2 names none.
    pub forced_stop: Duration,
    /// From the guest being down to `stopped`, without Force. As `forced_stop`.
    pub stop: Duration,
    /// `pending` until `running`. Operators see 2 to 10 s; EC2 names none.
    pub start: Duration,
    /// How long a guest may take for a reboot before the power is cut. EC2 waits four minutes
    /// (API reference, RebootInstances); shortened here.
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
