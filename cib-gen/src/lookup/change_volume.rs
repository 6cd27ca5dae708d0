//! Has EC2 make the volume of a site larger, keep its content in a snapshot, or make another volume from one.

use std::time::Duration;

use cib_gen::Vars;
use cib_gen::cli::{Ec2RestoreArgs, Ec2SnapshotArgs};
use cib_gen::ec2_facts::{Enlarged, Kept, Restored};
use cib_gen::ids::{Region, VolumeId};
use cib_gen::nodes::Known;
use cib_gen::vars::Topology;
use ec2::{Keep, Restore, enlarge, keep, may_keep, restore};

use super::{Error, ids, runtime};

/// How long the new size is waited for. It takes seconds (EBS User Guide, "Monitor the progress of volume
/// modifications").
const LIMIT: Duration = Duration::from_secs(300);

/// Makes the volume so large. Fails if EC2 refuses, and not where it has begun and takes longer.
pub(crate) fn enlarge_volume(
    known: &Known,
    vars: &Vars,
    profile: Option<&str>,
    gib: i32,
) -> Result<Enlarged, Error> {
    let (region, volume) = volume(known, vars)?;
    let enlarging = enlarge(region, profile, volume, gib, LIMIT);
    runtime()?.block_on(enlarging).map_err(Error::Volume)
}

/// The snapshot of a name, which is begun where there is none.
pub(crate) fn keep_volume(
    known: &Known,
    vars: &Vars,
    args: &Ec2SnapshotArgs,
) -> Result<Kept, Error> {
    let (region, wanted) = wanted(known, vars, args)?;
    let keeping = keep(region, args.site.profile.as_deref(), &wanted);
    runtime()?.block_on(keeping).map_err(Error::Snapshot)
}

/// Whether the credentials may make it.
pub(crate) fn may_keep_volume(
    known: &Known,
    vars: &Vars,
    args: &Ec2SnapshotArgs,
) -> Result<(), Error> {
    let (region, wanted) = wanted(known, vars, args)?;
    let asking = may_keep(region, args.site.profile.as_deref(), &wanted);
    runtime()?.block_on(asking).map_err(Error::Snapshot)
}

fn wanted<'a>(
    known: &'a Known,
    vars: &'a Vars,
    args: &'a Ec2SnapshotArgs,
) -> Result<(Option<&'a Region>, Keep<'a>), Error> {
    let (region, volume) = volume(known, vars)?;
    let wanted = Keep {
        volume,
        name: &args.name,
        description: &args.description,
        id: args.id.as_ref(),
    };
    Ok((region, wanted))
}

/// The volume of a name, which is begun where there is none.
pub(crate) fn restore_volume(
    known: &Known,
    vars: &Vars,
    args: &Ec2RestoreArgs,
) -> Result<Restored, Error> {
    let (region, like) = volume(known, vars)?;
    let wanted = Restore {
        snapshot: &args.snapshot,
        like,
        name: &args.name,
    };
    let restoring = restore(region, args.site.profile.as_deref(), &wanted);
    runtime()?.block_on(restoring).map_err(Error::Restore)
}

fn volume<'a>(
    known: &'a Known,
    vars: &'a Vars,
) -> Result<(Option<&'a Region>, &'a VolumeId), Error> {
    let Topology::Aws(written) = &vars.topology else {
        return Err(Error::NoVolume);
    };
    let region = vars.region().or(known.region.as_ref());
    Ok((region, ids(vars, written).volume))
}
