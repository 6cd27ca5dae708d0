//! The types of volumes, what each may have of size, IOPS and throughput, and how many of its snapshots may be pending.
//!
//! Source, unless another one is given: API reference, CreateVolume.

use std::ops::RangeInclusive;

use super::error::ApiError;

/// The throughput of a gp3 volume, in MiB/s.
const THROUGHPUT: RangeInclusive<u32> = 125..=2000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VolumeType {
    Gp2,
    Gp3,
    Io1,
    Io2,
    Sc1,
    St1,
    Standard,
}

/// A volume's type, and what comes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Performance {
    pub(super) kind: VolumeType,
    pub(super) iops: Option<u32>,
    /// In MiB/s.
    pub(super) throughput: Option<u32>,
}

impl VolumeType {
    const ALL: [Self; 7] = [
        Self::Gp2,
        Self::Gp3,
        Self::Io1,
        Self::Io2,
        Self::Sc1,
        Self::St1,
        Self::Standard,
    ];

    /// Error codes, UnknownVolumeType.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            ApiError::client(
                "UnknownVolumeType",
                format!("Unsupported volume type '{text}' for volume creation."),
            )
        })
    }

    /// EC2's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gp2 => "gp2",
            Self::Gp3 => "gp3",
            Self::Io1 => "io1",
            Self::Io2 => "io2",
            Self::Sc1 => "sc1",
            Self::St1 => "st1",
            Self::Standard => "standard",
        }
    }

    /// In GiB.
    pub(super) fn sizes(self) -> RangeInclusive<u32> {
        match self {
            Self::Gp2 => 1..=16384,
            Self::Gp3 => 1..=65536,
            Self::Io1 => 4..=16384,
            Self::Io2 => 4..=65536,
            Self::Sc1 | Self::St1 => 125..=16384,
            Self::Standard => 1..=1024,
        }
    }

    /// The IOPS that can be asked for, and how many for each GiB (EBS User Guide, "Amazon EBS volume types"); nothing
    /// where they cannot be.
    fn iops(self) -> Option<(RangeInclusive<u32>, u32)> {
        match self {
            Self::Gp3 => Some((3000..=80_000, 500)),
            Self::Io1 => Some((100..=64_000, 50)),
            Self::Io2 => Some((100..=256_000, 1000)),
            Self::Gp2 | Self::Sc1 | Self::St1 | Self::Standard => None,
        }
    }

    /// How many snapshots of one volume may be pending at once (EBS User Guide, "Quotas for Amazon EBS", "Concurrent
    /// snapshots per ... volume").
    pub(super) fn concurrent_snapshots(self) -> usize {
        match self {
            Self::Sc1 | Self::St1 => 1,
            Self::Gp2 | Self::Gp3 | Self::Io1 | Self::Io2 | Self::Standard => 5,
        }
    }
}

impl Performance {
    /// What a new volume of this type and size has, if that much is asked for.
    pub(super) fn of(
        kind: VolumeType,
        gib: u32,
        iops: Option<u32>,
        throughput: Option<u32>,
    ) -> Result<Self, ApiError> {
        if !kind.sizes().contains(&gib) {
            return Err(ApiError::invalid_value(format!(
                "Volume size of {gib} GiB is not supported for {} volumes.",
                kind.name()
            )));
        }
        let iops = provisioned_iops(kind, gib, iops)?;
        let throughput = provisioned_throughput(kind, iops, throughput)?;
        Ok(Self {
            kind,
            iops,
            throughput,
        })
    }
}

fn provisioned_iops(
    kind: VolumeType,
    gib: u32,
    asked: Option<u32>,
) -> Result<Option<u32>, ApiError> {
    let name = kind.name();
    let combination = |text: String| Err(ApiError::client("InvalidParameterCombination", text));
    let Some((range, for_a_gib)) = kind.iops() else {
        // Seen on EC2, as kubernetes-sigs/aws-ebs-csi-driver knows it.
        if asked.is_some() {
            return combination(format!(
                "The parameter iops is not supported for {name} volumes."
            ));
        }
        // EBS User Guide, "General Purpose SSD volumes": a gp2 volume has 3 IOPS for each GiB.
        let gp2 = (3 * gib).clamp(100, 16_000);
        return Ok((kind == VolumeType::Gp2).then_some(gp2));
    };
    let Some(iops) = asked else {
        // "Required for io1 and io2 volumes. Optional for gp3 volumes." The code as seen in
        // <https://github.com/velero-io/velero-plugin-for-aws/pull/119>.
        return match kind {
            VolumeType::Gp3 => Ok(Some(*range.start())),
            _ => combination(format!(
                "The parameter iops must be specified for {name} volumes."
            )),
        };
    };
    if !range.contains(&iops) {
        return Err(ApiError::invalid_value(format!(
            "Volume iops of {iops} is not between {} and {}, as {name} volumes have it.",
            range.start(),
            range.end()
        )));
    }
    // A gp3 volume has its first 3,000 whatever its size. The codes as seen in
    // <https://github.com/rocicorp/mono/pull/4410> (gp3),
    // <https://github.com/ministryofjustice/cloud-platform-terraform-monitoring/pull/110> (io1) and
    // <https://github.com/kubernetes-sigs/aws-ebs-csi-driver/pull/2475> (io2).
    let given = kind == VolumeType::Gp3 && iops == *range.start();
    if iops > gib * for_a_gib && !given {
        return match kind {
            VolumeType::Io2 => combination(
                "io2 volumes configured with greater than 64 TiB or 256K IOPS or 1000:1 IOPS:GB ratio are not \
                 supported."
                    .to_owned(),
            ),
            _ => Err(ApiError::invalid_value(format!(
                "Iops to volume size ratio of {:.6} is too high; maximum is {for_a_gib}",
                f64::from(iops) / f64::from(gib)
            ))),
        };
    }
    Ok(Some(iops))
}

fn provisioned_throughput(
    kind: VolumeType,
    iops: Option<u32>,
    asked: Option<u32>,
) -> Result<Option<u32>, ApiError> {
    // "Supported for gp3 volumes only." The code is that of IOPS.
    if kind != VolumeType::Gp3 {
        return match asked {
            None => Ok(None),
            Some(_) => Err(ApiError::client(
                "InvalidParameterCombination",
                format!(
                    "The throughput parameter is not supported for {} volumes.",
                    kind.name()
                ),
            )),
        };
    }
    let throughput = asked.unwrap_or(*THROUGHPUT.start());
    if !THROUGHPUT.contains(&throughput) {
        return Err(ApiError::invalid_value(format!(
            "Throughput of {throughput} MiBps is not between {} and {}.",
            THROUGHPUT.start(),
            THROUGHPUT.end()
        )));
    }
    // 0.25 MiB/s for each of the IOPS (EBS User Guide, "General Purpose SSD volumes").
    if 4 * throughput > iops.unwrap_or_default() {
        return Err(ApiError::invalid_value(
            "Throughput (MiBps) to iops ratio is too high; maximum is 0.250000 MiBps per iops",
        ));
    }
    Ok(Some(throughput))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn code(kind: &str, gib: u32, iops: Option<u32>, throughput: Option<u32>) -> String {
        let kind = VolumeType::parse(kind).unwrap();
        match Performance::of(kind, gib, iops, throughput) {
            Ok(made) => panic!("{made:?}"),
            Err(error) => error.code,
        }
    }

    #[test]
    fn a_type_has_its_own_iops_and_throughput() {
        let of = |kind, gib, iops| Performance::of(kind, gib, iops, None).unwrap();
        let io2 = of(VolumeType::Io2, 4, Some(500));
        assert_eq!((io2.iops, io2.throughput), (Some(500), None));
        let gp3 = of(VolumeType::Gp3, 1, None);
        assert_eq!((gp3.iops, gp3.throughput), (Some(3000), Some(125)));
        assert_eq!(of(VolumeType::Gp2, 100, None).iops, Some(300));
        assert_eq!(of(VolumeType::St1, 125, None).iops, None);
    }

    #[test]
    fn what_a_type_does_not_have_is_refused() {
        let (value, combination) = ("InvalidParameterValue", "InvalidParameterCombination");
        assert_eq!(code("io2", 3, Some(500), None), value);
        assert_eq!(code("io2", 4, None, None), combination);
        assert_eq!(code("io2", 4, Some(4001), None), combination);
        assert_eq!(code("io1", 4, Some(201), None), value);
        assert_eq!(code("gp3", 4, Some(3001), None), value);
        assert_eq!(code("gp3", 4, Some(2999), None), value);
        assert_eq!(code("gp2", 4, Some(100), None), combination);
        assert_eq!(code("io2", 4, Some(500), Some(125)), combination);
        assert_eq!(code("gp3", 4, None, Some(124)), value);
        assert_eq!(code("gp3", 4, None, Some(751)), value);
        assert_eq!(code("st1", 4, None, None), value);
        let unknown = VolumeType::parse("io3").unwrap_err();
        assert_eq!(unknown.code, "UnknownVolumeType");
    }
}
