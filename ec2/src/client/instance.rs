//! Instances: whether one runs, and the device names that it has in use.

use aws_sdk_ec2::types::{Instance, InstanceStateName};

use crate::{AwsError, Ec2, ErrorKind, InstanceId};

/// Whether an instance can still write to its volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It runs, or starts.
    Running,
    /// It is being stopped or terminated, and may still write.
    Stopping,
    /// `stopped` or `terminated`, or EC2 does not know it (any more).
    Stopped,
}

/// Each call fails with EC2's error.
impl Ec2 {
    pub async fn instance_state(&self, instance: &InstanceId) -> Result<InstanceState, AwsError> {
        let answer = match self.instance(instance).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(InstanceState::Stopped),
            Err(error) => return Err(error),
        };
        Ok(match answer.state().and_then(|state| state.name()) {
            Some(InstanceStateName::Stopped | InstanceStateName::Terminated) => {
                InstanceState::Stopped
            }
            Some(InstanceStateName::Stopping | InstanceStateName::ShuttingDown) => {
                InstanceState::Stopping
            }
            // `pending`, `running`, and states that EC2 may add.
            _ => InstanceState::Running,
        })
    }

    pub async fn device_names(&self, instance: &InstanceId) -> Result<Vec<String>, AwsError> {
        let answer = self.instance(instance).await?;
        let mappings = answer.block_device_mappings.unwrap_or_default();
        Ok(mappings.into_iter().filter_map(|m| m.device_name).collect())
    }

    async fn instance(&self, id: &InstanceId) -> Result<Instance, AwsError> {
        let operation = format!("look up {id} in {}", self.region);
        // By id and not by a filter: that EC2 does not know the id is then its own word.
        let call = (self.sdk.describe_instances())
            .instance_ids(id.as_str())
            .send();
        let answer = self.call(call, &operation).await?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        reservations
            .flat_map(|reservation| reservation.instances.unwrap_or_default())
            .find(|instance| instance.instance_id() == Some(id.as_str()))
            .ok_or_else(|| AwsError::not_found(&operation))
    }
}
