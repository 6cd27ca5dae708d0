//! Validate: the volume and this instance fit together, and EC2 would do what is needed.

use super::AwsEbs;
use crate::ocf::Failure;
use ec2::ErrorKind;
use ec2::{AwsError, Metadata, retry_transient};

impl AwsEbs {
    pub(super) async fn could_be_attached(&self) -> Result<(), Failure> {
        let deadline = self.call.deadline;
        let steps = &self.call.steps;
        steps.doing("asking which instance this is");
        let known = async {
            let here = self.instance(deadline).await?;
            let zone =
                retry_transient(deadline, async || Metadata::connect_by(deadline)?.zone()).await?;
            let ec2 = self.connect(deadline).await?;
            steps.doing(&format!("asking EC2 about {}", self.id()));
            let volume = retry_transient(deadline, async || ec2.volume(self.id()).await).await?;
            Ok::<_, AwsError>((here, zone, ec2, volume))
        };
        let (here, zone, ec2, volume) = known.await.map_err(|error| self.failed(&error))?;
        if volume.multi_attach {
            return Err(self.multi_attach());
        }
        if volume.zone != zone {
            return Err(Failure::installed(format!(
                "{} is in {}, this instance in {zone}: a volume can only be attached within its zone",
                self.id(),
                volume.zone
            )));
        }
        steps.doing("asking EC2 whether the volume may be attached and detached");
        let rehearsal = async {
            retry_transient(deadline, async || ec2.power(&here).await).await?;
            let ec2 = ec2.dry_run();
            let device = self.parameters.device.to_string();
            let attached = async || ec2.attach(self.id(), &here, &device).await;
            permitted(retry_transient(deadline, attached).await)?;
            let detached = async || ec2.detach(self.id(), &here, false).await;
            permitted(retry_transient(deadline, detached).await)
        };
        rehearsal
            .await
            .map_err(|error: AwsError| self.failed(&error))
    }
}

/// That the volume is attached, or is not, stands against neither: a start and a stop see to that.
fn permitted(rehearsal: Result<(), AwsError>) -> Result<(), AwsError> {
    match AwsError::from_dry_run(rehearsal) {
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::InUse | ErrorKind::WrongState | ErrorKind::InvalidValue
            ) =>
        {
            Ok(())
        }
        answer => answer,
    }
}
