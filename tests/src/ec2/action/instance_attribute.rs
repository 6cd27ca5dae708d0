//! Attributes of an instance: ModifyInstanceAttribute, DescribeInstanceAttribute. Of EC2's attributes there
//! are those that forbid to stop or to terminate it; any other is refused.

use std::sync::Arc;

use super::Answer;
use super::describe_instance::tokens;
use crate::ec2::error::ApiError;
use crate::ec2::ids::InstanceId;
use crate::ec2::query::Call;
use crate::ec2::state::{Instance, State};
use crate::ec2::states::InstanceState;
use crate::ec2::xml::{done, group, text};
use crate::ec2::{Ec2, locked};

/// An attribute that is there.
#[derive(Clone, Copy)]
enum Attribute {
    DisableApiStop,
    DisableApiTermination,
}

impl Attribute {
    fn parse(text: &str) -> Result<Self, ApiError> {
        match text {
            "disableApiStop" => Ok(Self::DisableApiStop),
            "disableApiTermination" => Ok(Self::DisableApiTermination),
            other => Err(ApiError::invalid_value(format!(
                "Value ({other}) for parameter attribute is invalid. This model has disableApiStop and disableApiTermination."
            ))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::DisableApiStop => "disableApiStop",
            Self::DisableApiTermination => "disableApiTermination",
        }
    }

    fn of(self, instance: &mut Instance) -> &mut bool {
        match self {
            Self::DisableApiStop => &mut instance.disable_api_stop,
            Self::DisableApiTermination => &mut instance.disable_api_termination,
        }
    }

    fn is_set(self, instance: &Instance) -> bool {
        match self {
            Self::DisableApiStop => instance.disable_api_stop,
            Self::DisableApiTermination => instance.disable_api_termination,
        }
    }
}

/// API reference, ModifyInstanceAttribute: either `Attribute` with `Value`, or the attribute as a parameter of
/// its own, `DisableApiStop.Value`. One at a time.
pub(super) fn modify(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&[
        "InstanceId",
        "Attribute",
        "Value",
        "DisableApiStop",
        "DisableApiTermination",
    ])?;
    let id = InstanceId::parse(call.required("InstanceId")?)?;
    let mut asked = Vec::new();
    if let Some(name) = call.optional("Attribute") {
        call.required("Value")?;
        asked.extend(
            call.flag("Value")?
                .map(|value| (Attribute::parse(name), value)),
        );
    }
    for (parameter, attribute) in [
        ("DisableApiStop.Value", Attribute::DisableApiStop),
        (
            "DisableApiTermination.Value",
            Attribute::DisableApiTermination,
        ),
    ] {
        asked.extend(call.flag(parameter)?.map(|value| (Ok(attribute), value)));
    }
    let mut asked = asked.into_iter();
    let (attribute, value) = match (asked.next(), asked.next()) {
        (Some((attribute, value)), None) => (attribute?, value),
        (None, _) => return Err(ApiError::missing("Attribute")),
        (Some(_), Some(_)) => {
            return Err(ApiError::client(
                "InvalidParameterCombination",
                "Fields for multiple attribute types specified",
            ));
        }
    };
    let mut state = locked(&ec2.state);
    let instance = state.instance_mut(&id)?;
    // Refused with this code, as who clears it before a termination has seen
    // (<https://github.com/cloud-custodian/cloud-custodian/pull/7598>).
    if matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated
    ) {
        return Err(ApiError::client(
            "IncorrectInstanceState",
            format!(
                "The instance '{id}' is in the '{}' state.",
                instance.state.name()
            ),
        ));
    }
    *attribute.of(instance) = value;
    Ok(done())
}

/// API reference, ModifyInstanceMetadataOptions, for tokens alone.
pub(super) fn modify_metadata(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["InstanceId", "HttpTokens"])?;
    let id = InstanceId::parse(call.required("InstanceId")?)?;
    let required = match call.required("HttpTokens")? {
        "required" => true,
        "optional" => false,
        other => {
            return Err(ApiError::invalid_value(format!(
                "Value ({other}) for parameter httpTokens is invalid."
            )));
        }
    };
    let mut state = locked(&ec2.state);
    let instance = state.instance_mut(&id)?;
    instance.tokens_required = required;
    let options = vec![
        text("state", "pending"),
        text("httpTokens", tokens(instance)),
    ];
    Ok(vec![
        text("instanceId", &id),
        group("instanceMetadataOptions", options),
    ])
}

/// API reference, DescribeInstanceAttribute.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["InstanceId", "Attribute"])?;
    let id = InstanceId::parse(call.required("InstanceId")?)?;
    let attribute = Attribute::parse(call.required("Attribute")?)?;
    let value = attribute.is_set(state.instance(&id)?);
    Ok(vec![
        text("instanceId", id),
        group(attribute.name(), vec![text("value", value)]),
    ])
}
