//! What an answer means, whoever gave it: EC2, the instance metadata, the kernel or Docker. The
//! only place that knows their codes. What an agent then does is the agent's; how a start
//! that can not go on ends is here too.

use nix::errno::Errno;

use crate::ocf::Exit;

/// The few things that an answer can mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing was learned about what was asked for: throttled, a server error, no answer in
    /// time, no valid credentials. Asking again may help.
    Unknown,
    /// What was asked for does not exist.
    NotFound,
    /// The volume is attached, or the address associated, elsewhere.
    InUse,
    /// Not possible in the state that it is in now.
    WrongState,
    /// A value is refused; by EC2 also for "that device name is taken" and "that address is not (yet)
    /// on that interface".
    InvalidValue,
    /// The volume and the instance are in different zones.
    WrongZone,
    /// The instance can hold no more volumes or addresses.
    NoRoom,
    /// Who asks is known and not allowed to.
    Forbidden,
    /// It would have been allowed and possible: the answer to a dry run.
    WouldSucceed,
}

impl Meaning {
    /// Of an error code of EC2. <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>
    pub fn of_ec2(code: &str) -> Self {
        match code {
            "DryRunOperation" => Self::WouldSucceed,
            "UnauthorizedOperation"
            | "AccessDenied"
            | "AccessDeniedException"
            | "OperationNotPermitted" => Self::Forbidden,
            "VolumeInUse" | "Resource.AlreadyAssociated" | "InvalidIPAddress.InUse" => Self::InUse,
            "IncorrectState" | "IncorrectInstanceState" => Self::WrongState,
            "InvalidVolume.ZoneMismatch" => Self::WrongZone,
            "AttachmentLimitExceeded"
            | "PrivateIpAddressLimitExceeded"
            | "InsufficientFreeAddressesInSubnet" => Self::NoRoom,
            "InvalidParameterValue"
            | "InvalidParameterCombination"
            | "InvalidParameter"
            | "MissingParameter"
            | "InvalidDevice.InUse" => Self::InvalidValue,
            _ if code.ends_with(".NotFound") || code.ends_with(".Malformed") => Self::NotFound,
            // Throttled, 5xx, expired or unknown credentials, and whatever EC2 may say one day:
            // none of it says anything about the resource.
            _ => Self::Unknown,
        }
    }

    /// Of an HTTP status of the instance metadata; none if there was no answer.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>
    pub fn of_metadata(status: Option<u16>) -> Self {
        match status {
            Some(404) => Self::NotFound,
            // 401 is a token that has ended, 403 a service that was turned off: neither tells of the address.
            _ => Self::Unknown,
        }
    }

    /// Of an error of the kernel to a netlink request (netlink(7), rtnetlink(7)).
    pub fn of_kernel(errno: Errno) -> Self {
        match errno {
            Errno::ENODEV | Errno::ENXIO => Self::NotFound,
            Errno::EEXIST => Self::InUse,
            // Somebody else changed the routes meanwhile, or took the link down.
            Errno::ESRCH | Errno::ENETDOWN | Errno::ENETUNREACH => Self::WrongState,
            Errno::EINVAL | Errno::EADDRNOTAVAIL => Self::InvalidValue,
            Errno::EPERM | Errno::EACCES => Self::Forbidden,
            _ => Self::Unknown,
        }
    }

    /// Of an HTTP status of the Docker Engine; none if there was no answer.
    /// <https://docs.docker.com/reference/api/engine/version/v1.41/>
    pub fn of_docker(status: Option<u16>) -> Self {
        match status {
            Some(404) => Self::NotFound,
            Some(400) => Self::InvalidValue,
            Some(401 | 403) => Self::Forbidden,
            // 409 is a conflict, and 500 is what Docker answers when a container does not start.
            Some(_) => Self::WrongState,
            None => Self::Unknown,
        }
    }

    /// How a start ends that can not go on because of it. Never as a wrong configuration (6), which stops the
    /// resource on all nodes: whoever answers sees this node, its region and account, and this moment.
    pub fn of_start(self) -> Exit {
        match self {
            Self::NotFound | Self::Forbidden | Self::WrongZone | Self::NoRoom => Exit::Installed,
            Self::Unknown
            | Self::InUse
            | Self::WrongState
            | Self::InvalidValue
            | Self::WouldSucceed => Exit::Generic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_about_the_resource_is_unknown() {
        for code in [
            "RequestLimitExceeded",
            "InternalError",
            "Unavailable",
            "ServiceUnavailable",
            "RequestExpired",
            "ExpiredToken",
            "AuthFailure",
            "NoSuchCodeYet",
        ] {
            assert_eq!(Meaning::of_ec2(code), Meaning::Unknown, "{code}");
        }
        for status in [None, Some(401), Some(403), Some(429), Some(500), Some(503)] {
            assert_eq!(Meaning::of_metadata(status), Meaning::Unknown, "{status:?}");
        }
        assert_eq!(Meaning::of_docker(None), Meaning::Unknown);
        assert_eq!(Meaning::of_kernel(Errno::EINTR), Meaning::Unknown);
    }

    #[test]
    fn codes_that_agents_act_on() {
        let of = Meaning::of_ec2;
        assert_eq!(of("InvalidVolume.NotFound"), Meaning::NotFound);
        assert_eq!(of("InvalidAssociationID.NotFound"), Meaning::NotFound);
        assert_eq!(of("VolumeInUse"), Meaning::InUse);
        assert_eq!(of("UnauthorizedOperation"), Meaning::Forbidden);
        assert_eq!(of("DryRunOperation"), Meaning::WouldSucceed);
        assert_eq!(Meaning::of_kernel(Errno::ESRCH), Meaning::WrongState);
        assert_eq!(Meaning::of_docker(Some(404)), Meaning::NotFound);
    }

    #[test]
    fn no_answer_is_a_configuration_error_and_what_may_pass_is_tried_again_here() {
        for meaning in [
            Meaning::Unknown,
            Meaning::InUse,
            Meaning::WrongState,
            Meaning::InvalidValue,
        ] {
            assert_eq!(meaning.of_start(), Exit::Generic, "{meaning:?}");
        }
        for meaning in [
            Meaning::NotFound,
            Meaning::Forbidden,
            Meaning::WrongZone,
            Meaning::NoRoom,
        ] {
            assert_eq!(meaning.of_start(), Exit::Installed, "{meaning:?}");
        }
    }
}
