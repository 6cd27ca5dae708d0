//! Instances: whether one runs.

use aws_sdk_ec2::types::{Instance, InstanceStateName};

use crate::client::Ec2;
use crate::error::AwsError;
use crate::ids::InstanceId;
use crate::error::ErrorKind;

/// Whether an instance can still write to its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It runs, or is about to.
    On,
    /// It is about to be off, and may still write.
    GoingDown,
    /// `stopped` or `terminated`, or so long gone that EC2 does not know it any more.
    Off,
}

impl Ec2 {
    /// Whether `instance` runs.
    ///
    /// # Errors
    /// EC2's, but not that there is no such instance.
    pub async fn power(&self, instance: &InstanceId) -> Result<Power, AwsError> {
        let answer = match self.instance(instance).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(Power::Off),
            Err(error) => return Err(error),
        };
        Ok(match answer.state().and_then(|state| state.name()) {
            Some(InstanceStateName::Stopped | InstanceStateName::Terminated) => Power::Off,
            Some(InstanceStateName::Stopping | InstanceStateName::ShuttingDown) => Power::GoingDown,
            // `pending`, `running`, and what EC2 may add one day.
            _ => Power::On,
        })
    }

    pub(crate) async fn instance(&self, id: &InstanceId) -> Result<Instance, AwsError> {
        let doing = format!("look up {id} in {}", self.region);
        let call = self
            .sdk
            .describe_instances()
            .instance_ids(id.as_str())
            .send();
        let answer = self.once(call, &doing).await?;
        answer
            .reservations
            .unwrap_or_default()
            .into_iter()
            .flat_map(|reservation| reservation.instances.unwrap_or_default())
            .find(|instance| instance.instance_id() == Some(id.as_str()))
            .ok_or_else(|| AwsError::new(ErrorKind::NotFound, &doing, "EC2 knows none of that id"))
    }
}
