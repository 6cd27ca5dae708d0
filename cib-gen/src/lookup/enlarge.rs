//! Has EC2 make the volume of a site larger.

use std::time::Duration;

use cib_gen::Vars;
use cib_gen::ec2_facts::Enlarged;
use cib_gen::nodes::Known;
use cib_gen::vars::Topology;
use ec2::enlarge;

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
    let Topology::Aws(written) = &vars.topology else {
        return Err(Error::NoVolume);
    };
    let region = vars.region().or(known.region.as_ref());
    let volume = ids(vars, written).volume;
    let enlarging = enlarge(region, profile, volume, gib, LIMIT);
    runtime()?.block_on(enlarging).map_err(Error::Volume)
}
