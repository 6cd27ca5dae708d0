//! How long EC2 takes between its answer and the fact. EC2 promises no figures; each of these says
//! whether it is documented, measured by whom, or chosen here. Most important: none is zero, so an agent that does not
//! wait for the transition fails against the model.

use std::time::Duration;

/// The durations of EC2's transitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// `attaching` until `attached`. Measured by others on EC2: 3.7 to 4.1 s on average
    /// (<https://github.com/kubernetes/kubernetes/pull/84181>).
    pub attach: Duration,
    /// `attached` until the guest sees the device. Chosen. That the device can come later than
    /// `attached` is known to the EBS CSI driver, which waits for it separately.
    pub device: Duration,
    /// `detaching` until the device is gone and the volume `available`, at an instance that runs and
    /// does not hold the volume. Measured by others on EC2: 8.0 to 8.1 s on average
    /// (<https://github.com/kubernetes/kubernetes/pull/84181>).
    pub detach: Duration,
    /// The same at an instance that is stopped. An assumption: nobody has published a figure. It may
    /// be less, since no guest has to release the device; the longer time of `detach` is assumed.
    pub detach_stopped: Duration,
    /// How often a `busy` volume is looked at again. Chosen; EBS User Guide, "Detach an Amazon EBS
    /// volume": detaching goes on once the volume is unmounted.
    pub busy_retry: Duration,
    /// A modification's `modifying` until `optimizing`: seconds, for a change of the size (EBS User Guide, "Monitor the
    /// progress of volume modifications").
    pub modify: Duration,
    /// `optimizing` until `completed`: minutes to a day on EC2, by the size (same page). Chosen, shorter than that: no
    /// test waits for hours.
    pub optimize: Duration,
    /// The first snapshot of a volume, `pending` until `completed`: up to hours on EC2, by what there is to transfer (EBS
    /// User Guide, "Create Amazon EBS snapshots"). Chosen, shorter than that, as `optimize`.
    pub snapshot: Duration,
    /// The same of a volume of which another snapshot is `completed`: only what has changed since is transferred. Chosen.
    pub later_snapshot: Duration,
    /// For how long after a CreateSnapshot another one of the same volume is refused: "Wait at least 15 seconds between
    /// concurrent volume snapshots" (API reference, "Error codes", SnapshotCreationPerVolumeRateExceeded).
    pub snapshot_interval: Duration,
    /// `creating` until `available`, of a volume that is made from a snapshot. Chosen: seconds, because it does not wait
    /// for the blocks (EBS User Guide, "Initialize Amazon EBS volumes").
    pub create_volume: Duration,
    /// An address call's answer until packets and instance metadata follow. Chosen; API
    /// reference, AssignPrivateIpAddresses: the move is asynchronous, `local-ipv4s` confirms it.
    pub address: Duration,
    /// How long a guest may take for its own shutdown in a StopInstances or TerminateInstances
    /// without Force. Chosen, shorter than EC2's, which is minutes: no test waits for minutes.
    pub shutdown_grace: Duration,
    /// The same with Force, which tries a default stop first (EC2 User Guide, "Methods for
    /// stopping an instance"), so EC2 gives the guest its minutes here too. Chosen: long enough for
    /// a guest that obeys (20 s in <https://github.com/aws/karpenter-provider-aws/issues/7019>).
    pub forced_grace: Duration,
    /// From the call to `stopped` with SkipOsShutdown, and at least with Force, also if the guest
    /// is dead. Chosen as the lower end of the tens of seconds that a stop takes on EC2.
    pub forced_stop: Duration,
    /// From the guest being down to `stopped` or `terminated`, unless SkipOsShutdown is asked for.
    /// Chosen, as `forced_stop`.
    pub stop: Duration,
    /// `pending` until `running`. Chosen.
    pub start: Duration,
    /// How long a guest may take to go down for RebootInstances before a hard reboot. Chosen,
    /// shorter than EC2's few minutes (API reference, RebootInstances).
    pub reboot_grace: Duration,
    /// How long a terminated instance can still be described: about an hour (API reference,
    /// TerminateInstances).
    pub terminated_visible: Duration,
}

impl Timing {
    /// As on EC2, near enough for failover times to mean something.
    pub fn ec2_like() -> Self {
        Self {
            attach: Duration::from_secs(4),
            device: Duration::from_millis(200),
            detach: Duration::from_secs(8),
            detach_stopped: Duration::from_secs(8),
            busy_retry: Duration::from_millis(500),
            modify: Duration::from_secs(4),
            optimize: Duration::from_secs(20),
            snapshot: Duration::from_secs(12),
            later_snapshot: Duration::from_secs(4),
            snapshot_interval: Duration::from_secs(15),
            create_volume: Duration::from_secs(3),
            address: Duration::from_millis(400),
            shutdown_grace: Duration::from_secs(90),
            forced_grace: Duration::from_secs(30),
            forced_stop: Duration::from_secs(10),
            stop: Duration::from_secs(10),
            start: Duration::from_secs(3),
            reboot_grace: Duration::from_secs(15),
            terminated_visible: Duration::from_secs(3600),
        }
    }

    /// For tests: every transition takes a moment, so that it can be seen, and no longer.
    pub fn fast() -> Self {
        Self {
            attach: Duration::from_millis(30),
            device: Duration::from_millis(10),
            detach: Duration::from_millis(20),
            detach_stopped: Duration::from_millis(20),
            busy_retry: Duration::from_millis(10),
            modify: Duration::from_millis(30),
            optimize: Duration::from_millis(60),
            snapshot: Duration::from_millis(80),
            later_snapshot: Duration::from_millis(40),
            snapshot_interval: Duration::from_millis(100),
            create_volume: Duration::from_millis(30),
            address: Duration::from_millis(20),
            shutdown_grace: Duration::from_millis(200),
            forced_grace: Duration::from_millis(20),
            forced_stop: Duration::from_millis(50),
            stop: Duration::from_millis(30),
            start: Duration::from_millis(30),
            reboot_grace: Duration::from_millis(50),
            terminated_visible: Duration::from_secs(1),
        }
    }
}
