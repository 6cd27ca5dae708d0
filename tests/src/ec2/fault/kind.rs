//! The kinds of faults, each with its source.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::ec2::error::ApiError;

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// In calls of the API.
    Call(CallFault),
    /// Between EC2's state and the device.
    Volume(VolumeFault),
    /// In snapshots of volumes.
    Snapshot(SnapshotFault),
    /// In the metadata service.
    Metadata(MetadataFault),
}

/// What becomes of a call. The codes are those of the API reference, "Error codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CallFault {
    /// `RequestLimitExceeded`, 503 ("Request throttling for the Amazon EC2 API").
    Throttled,
    /// `InternalError`, 500.
    InternalError,
    /// `Unavailable`, 503: the server is overloaded.
    Unavailable,
    /// `ServiceUnavailable`, 503: a temporary failure.
    ServiceUnavailable,
    /// The connection is accepted and never answered, not even after the fault has ended. Chosen: a lost route or a
    /// dead load balancer looks like this to a client.
    Hanging,
    /// The connection is reset once the request is there. Chosen, as `Hanging`.
    Reset,
    /// The call is carried out and nothing is ever answered. Chosen: of a call without an answer
    /// a client can't know whether it was carried out, so both happen.
    AnswerLost,
    /// `RequestExpired`, 400.
    RequestExpired,
    /// `ExpiredToken`, 400 ("Common errors"; that of a role's session that has ended).
    ExpiredToken,
    /// `AuthFailure`, 401.
    AuthFailure,
    /// `UnauthorizedOperation`, 403: what IAM does not allow. Answered to a DryRun too.
    Denied,
    /// Describe calls answer as of a while ago; other calls are not affected (EC2 Developer Guide, "Eventual
    /// consistency in the Amazon EC2 API", no figure).
    Stale,
}

/// What goes wrong with a volume at an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeFault {
    /// The attachment stays `attaching` (EBS User Guide, "Troubleshoot": stuck in the attaching
    /// state) until the fault ends or it is detached by force.
    StaysAttaching,
    /// `attached`, and the guest sees no device until the fault ends or the instance is started
    /// again. Known to the EBS CSI driver, which waits for the device separately.
    NoDevice,
    /// A detaching stays `busy` until the fault ends, it is forced, or the instance goes down (EBS
    /// User Guide, "Detach an Amazon EBS volume"); whether the guest has it mounted is not asked.
    StaysBusy,
    /// The guest's name for the device is another than the last time (EBS User Guide, "NVMe device
    /// names": the order in which they are found can differ).
    OtherName,
    /// A volume that the guest has mounted is taken away from it, instead of becoming `busy`: a guest
    /// cannot veto the hot-unplug of an NVMe device. Both were seen on EC2:
    /// <https://github.com/gardenlinux/gardenlinux/issues/263> (unplugged, ext4 errors) and
    /// <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/issues/1032> (`busy`).
    Vanishes,
    /// An attachment ends in `available` again, without an error. Seen with an encrypted volume and a role without
    /// kms:CreateGrant
    /// (<https://github.com/kubernetes/kubernetes/issues/62171>).
    FallsBack,
    /// DetachVolume is refused with `IncorrectState` while the instance is `stopping` or
    /// `shutting-down`. Without this fault it is accepted, and carried out once the instance is down.
    /// No document says which of the two EC2 does, so the agents must handle both.
    RefusedWhileStopping,
}

/// What goes wrong with a snapshot, whoever makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotFault {
    /// It ends in `error` (API reference, Snapshot, `status`), and counts as one that is incomplete from then on.
    Fails,
    /// It stays `pending` close to 100% until the fault ends
    /// (<https://repost.aws/knowledge-center/ebs-snapshot-stuck>).
    StaysPending,
}

/// Faults of the metadata service. Chosen, except the status codes: EC2's documents describe no outage of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MetadataFault {
    /// Every connection is reset.
    Down,
    /// Every answer comes a while late.
    Slow,
    /// The connection is accepted and never answered.
    Hanging,
    /// 401 to a GET, whose token is void from then on: another has to be fetched ("401:
    /// the GET request uses an invalid token").
    TokenVoid,
    /// 503 ("the request could not be completed. Retry").
    Unavailable,
    /// 403 to every request, also for a token: somebody has turned the service off, with
    /// ModifyInstanceMetadataOptions and `HttpEndpoint` `disabled`
    /// (<https://repost.aws/knowledge-center/ec2-linux-metadata-retrieval>).
    TurnedOff,
    /// `local-ipv4s`, `ipv4-associations` and the rest stay as they were when the fault began.
    StaleAddresses,
}

impl CallFault {
    /// The refusal that it is; nothing for those that are none.
    pub(in crate::ec2) fn refusal(self) -> Option<ApiError> {
        let (status, code, message) = match self {
            Self::Throttled => (503, "RequestLimitExceeded", "Request limit exceeded."),
            Self::InternalError => (500, "InternalError", "An internal error has occurred"),
            Self::Unavailable => (
                503,
                "Unavailable",
                "The server is overloaded and can't handle the request.",
            ),
            Self::ServiceUnavailable => (
                503,
                "ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.",
            ),
            Self::RequestExpired => (400, "RequestExpired", "Request has expired."),
            Self::ExpiredToken => (
                400,
                "ExpiredToken",
                "The security token included in the request is expired",
            ),
            Self::AuthFailure => return Some(ApiError::auth_failure()),
            Self::Denied => return Some(ApiError::unauthorized()),
            Self::Hanging | Self::Reset | Self::AnswerLost | Self::Stale => return None,
        };
        Some(ApiError::new(status, code, message))
    }
}

impl From<CallFault> for Fault {
    fn from(fault: CallFault) -> Self {
        Self::Call(fault)
    }
}

impl From<VolumeFault> for Fault {
    fn from(fault: VolumeFault) -> Self {
        Self::Volume(fault)
    }
}

impl From<SnapshotFault> for Fault {
    fn from(fault: SnapshotFault) -> Self {
        Self::Snapshot(fault)
    }
}

impl From<MetadataFault> for Fault {
    fn from(fault: MetadataFault) -> Self {
        Self::Metadata(fault)
    }
}
