//! Validate: the volume and this instance fit together, and EC2 would do what is needed.

use super::AwsEbs;
use crate::ocf::Failure;
use ec2::{AwsError, ErrorKind, Metadata, retry_transient};

impl AwsEbs {
    pub(super) async fn could_be_attached(&self) -> Result<(), Failure> {
        let (deadline, id) = (self.call.deadline, self.id());
        let known = async {
            let (here, ec2) = self.locate(deadline).await?;
            let ask_zone = async || Metadata::connect_by(deadline)?.zone();
            let zone = retry_transient(deadline, ask_zone).await?;
            let volume = retry_transient(deadline, async || ec2.volume(id).await).await?;
            Ok::<_, AwsError>((here, zone, ec2, volume))
        };
        let (here, zone, ec2, volume) = known.await.map_err(|error| self.failed(&error))?;
        self.refuse_multi_attach(&volume)?;
        if volume.zone != zone {
            return Err(Failure::installed(format!(
                "{id} is in {}, this instance in {zone}: a volume can only be attached within its zone",
                volume.zone
            )));
        }
        let step = "asking EC2 whether the volume may be attached and detached";
        self.call.steps.doing(step);
        let rehearsal = async {
            retry_transient(deadline, async || ec2.instance_state(&here).await).await?;
            let ec2 = ec2.dry_run();
            let device = self.parameters.device.to_string();
            let attached = async || ec2.attach(id, &here, &device).await;
            permitted(retry_transient(deadline, attached).await)?;
            let detached = async || ec2.detach(id, &here, false).await;
            permitted(retry_transient(deadline, detached).await)
        };
        rehearsal.await.map_err(|error| self.failed(&error))
    }
}

/// That the volume is attached, or is not, stands against neither: a start and a stop see to that.
fn permitted(rehearsal: Result<(), AwsError>) -> Result<(), AwsError> {
    use ErrorKind::{InUse, InvalidValue, WrongState};
    AwsError::from_dry_run(rehearsal).or_else(|error| match error.kind {
        InUse | WrongState | InvalidValue => Ok(()),
        _ => Err(error),
    })
}
