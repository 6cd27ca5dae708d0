//! Instances: DescribeInstances, DescribeInstanceStatus, StartInstances, StopInstances,
//! RebootInstances.

use std::sync::Arc;
use std::time::SystemTime;

use super::Answer;
use super::describe_interface::{interface_elements, private_dns, public_dns, public_of};
use super::volume::ROOT_DEVICE;
use crate::ec2::error::ApiError;
use crate::ec2::events::Happening;
use crate::ec2::ids::InstanceId;
use crate::ec2::query::{Call, passes};
use crate::ec2::state::{Attachment, AttachmentState, Instance, InstanceState, Interface, State};
use crate::ec2::transition::StopMode;
use crate::ec2::xml::{Element, done, group, list, moment, text};
use crate::ec2::{Ec2, OWNER, locked};
use crate::site;

const INSTANCE_TYPE: &str = "c5.xlarge";

/// API reference, StartInstances.
pub(super) fn start(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["InstanceId", "AdditionalInfo"])?;
    begin_start(ec2, &asked(call, true)?).map(change_elements)
}

fn begin_start(ec2: &Arc<Ec2>, ids: &[InstanceId]) -> Result<Vec<Change>, ApiError> {
    let changes = locked(&ec2.state).start(ids)?;
    let begins: Vec<_> = began(&changes, InstanceState::Pending);
    for instance in &begins {
        ec2.instance_changed(instance, InstanceState::Pending);
        ec2.spawn(ec2.clone().start(instance.clone()));
    }
    // A started instance is lent another public address.
    if !begins.is_empty() {
        ec2.addresses_changed();
    }
    Ok(changes)
}

impl Ec2 {
    /// StartInstances by the owner of the account, who needs no credentials: the lab's person.
    ///
    /// # Errors
    /// As the call.
    pub fn start_instance(self: &Arc<Self>, instance: &str) -> Result<(), ApiError> {
        begin_start(self, &[InstanceId::parse(instance)?]).map(drop)
    }
}

/// API reference, StopInstances.
pub(super) fn stop(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["InstanceId", "Force", "Hibernate", "SkipOsShutdown"])?;
    if call.flag("Hibernate")? == Some(true) {
        return Err(ApiError::client(
            "UnsupportedHibernationConfiguration",
            "The instance is not enabled for hibernation",
        ));
    }
    let mode = if call.flag("SkipOsShutdown")? == Some(true) {
        StopMode::PowerCut
    } else if call.flag("Force")? == Some(true) {
        StopMode::Forced
    } else {
        StopMode::Graceful
    };
    let changes = locked(&ec2.state).stop(&asked(call, true)?)?;
    for instance in began(&changes, InstanceState::Stopping) {
        ec2.instance_changed(&instance, InstanceState::Stopping);
        ec2.spawn(ec2.clone().stop(instance, mode));
    }
    Ok(change_elements(changes))
}

/// API reference, RebootInstances: "This operation is asynchronous; it only queues a request to
/// reboot the specified instances." The state stays `running`.
pub(super) fn reboot(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["InstanceId"])?;
    let asked = asked(call, true)?;
    let mut state = locked(&ec2.state);
    for id in &asked {
        if state.instance(id)?.state != InstanceState::Running {
            return Err(incorrect_state(id, "rebooted"));
        }
    }
    for id in asked {
        state.instance_mut(&id)?.rebooting = true;
        ec2.events.add(Happening::Guest {
            instance: id.to_string(),
            did: "is told to reboot".to_owned(),
        });
        ec2.spawn(ec2.clone().reboot(id));
    }
    Ok(done())
}

/// API reference, DescribeInstances.
pub(super) fn describe(state: &State, call: &Call) -> Answer {
    call.only(&["InstanceId", "Filter", "MaxResults", "NextToken"])?;
    let reservations = found(state, call)?
        .into_iter()
        .map(|(id, instance, interface)| {
            let number = id.as_str().replacen("i-", "r-", 1);
            let instance = instance_elements(state, id, instance, interface);
            vec![
                text("reservationId", number),
                text("ownerId", OWNER),
                list("groupSet", Vec::new()),
                list("instancesSet", vec![instance]),
            ]
        })
        .collect();
    Ok(vec![list("reservationSet", reservations)])
}

/// API reference, DescribeInstanceStatus: running instances only, unless IncludeAllInstances.
pub(super) fn describe_status(state: &State, call: &Call) -> Answer {
    call.only(&[
        "InstanceId",
        "Filter",
        "MaxResults",
        "NextToken",
        "IncludeAllInstances",
    ])?;
    let all = call.flag("IncludeAllInstances")?.unwrap_or_default();
    let statuses = found(state, call)?
        .into_iter()
        .filter(|(_, instance, _)| all || instance.state == InstanceState::Running)
        .map(|(id, instance, _)| {
            // The checks need a guest that answers; the model does not look into guests.
            let (status, check) = match instance.state {
                InstanceState::Running => ("ok", "passed"),
                _ => ("not-applicable", "not-applicable"),
            };
            let details = vec![vec![text("name", "reachability"), text("status", check)]];
            let summary = || vec![text("status", status), list("details", details.clone())];
            vec![
                text("instanceId", id),
                text("availabilityZone", site::ZONE),
                group("instanceState", state_elements(instance.state)),
                group("systemStatus", summary()),
                group("instanceStatus", summary()),
            ]
        })
        .collect();
    Ok(vec![list("instanceStatusSet", statuses)])
}

/// An instance, its state before the call, its state now.
type Change = (InstanceId, InstanceState, InstanceState);

impl State {
    /// All of the instances or none.
    fn start(&mut self, ids: &[InstanceId]) -> Result<Vec<Change>, ApiError> {
        for id in ids {
            // Starting what runs is no error; what is on its way down has to arrive first
            // (error codes, IncorrectInstanceState).
            match self.instance(id)?.state {
                InstanceState::Stopped | InstanceState::Running | InstanceState::Pending => {}
                InstanceState::Stopping
                | InstanceState::ShuttingDown
                | InstanceState::Terminated => return Err(incorrect_state(id, "started")),
            }
        }
        let mut changes = Vec::new();
        for id in ids {
            let public = self.lend_public();
            let instance = self.instance_mut(id)?;
            let before = instance.state;
            if before == InstanceState::Stopped {
                instance.state = InstanceState::Pending;
                instance.launched = SystemTime::now();
                instance.reason = None;
                let interface = instance.interface.clone();
                let primary = self.interface(&interface)?.primary;
                if self.association_of(primary).is_none() {
                    self.interface_mut(&interface)?.lent_public = Some(public);
                }
            }
            changes.push((id.clone(), before, self.instance(id)?.state));
        }
        Ok(changes)
    }

    /// All of the instances or none.
    fn stop(&mut self, ids: &[InstanceId]) -> Result<Vec<Change>, ApiError> {
        for id in ids {
            // Stopping what is stopped, or on its way, is no error.
            match self.instance(id)?.state {
                InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => {}
                InstanceState::Pending
                | InstanceState::ShuttingDown
                | InstanceState::Terminated => return Err(incorrect_state(id, "stopped")),
            }
        }
        let mut changes = Vec::new();
        for id in ids {
            let instance = self.instance_mut(id)?;
            let before = instance.state;
            if before == InstanceState::Running {
                instance.state = InstanceState::Stopping;
                instance.reason = Some("User initiated");
            }
            changes.push((id.clone(), before, instance.state));
        }
        Ok(changes)
    }
}

fn incorrect_state(id: &InstanceId, verb: &str) -> ApiError {
    ApiError::client(
        "IncorrectInstanceState",
        format!("The instance '{id}' is not in a state from which it can be {verb}."),
    )
}

fn asked(call: &Call, required: bool) -> Result<Vec<InstanceId>, ApiError> {
    let mut ids = call
        .list("InstanceId")
        .into_iter()
        .map(InstanceId::parse)
        .collect::<Result<Vec<_>, _>>()?;
    if required && ids.is_empty() {
        return Err(ApiError::missing("InstanceId"));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn began(changes: &[Change], state: InstanceState) -> Vec<InstanceId> {
    changes
        .iter()
        .filter(|(_, before, now)| before != now && *now == state)
        .map(|(id, ..)| id.clone())
        .collect()
}

fn change_elements(changes: Vec<Change>) -> Vec<Element> {
    let members = changes
        .into_iter()
        .map(|(id, before, now)| {
            vec![
                text("instanceId", id),
                group("currentState", state_elements(now)),
                group("previousState", state_elements(before)),
            ]
        })
        .collect();
    vec![list("instancesSet", members)]
}

type Found<'a> = (&'a InstanceId, &'a Instance, &'a Interface);

fn found<'a>(state: &'a State, call: &Call) -> Result<Vec<Found<'a>>, ApiError> {
    let asked = asked(call, false)?;
    for id in &asked {
        state.instance(id)?;
    }
    let filters = call.filters();
    let mut found = Vec::new();
    for (id, instance) in &state.instances {
        let interface = state.interface(&instance.interface)?;
        if (asked.is_empty() || asked.contains(id))
            && passes(&filters, |name| {
                field(state, (id, instance, interface), name)
            })?
        {
            found.push((id, instance, interface));
        }
    }
    Ok(found)
}

fn state_elements(state: InstanceState) -> Vec<Element> {
    vec![text("code", state.code()), text("name", state.name())]
}

fn instance_elements(
    state: &State,
    id: &InstanceId,
    instance: &Instance,
    interface: &Interface,
) -> Vec<Element> {
    let mut elements = vec![
        text("instanceId", id),
        text("imageId", "ami-0d53d72369335a9d6"),
        group("instanceState", state_elements(instance.state)),
        text("privateDnsName", private_dns(interface.primary)),
    ];
    if let Some(public) = public_of(state, interface, interface.primary) {
        elements.push(text("dnsName", public_dns(public)));
        elements.push(text("ipAddress", public));
    }
    let volumes = state
        .held_by(id)
        .map(|(volume, attachment)| {
            let ebs = vec![
                text("volumeId", volume),
                text("status", mapping_status(attachment)),
                text("attachTime", moment(attachment.since)),
                text("deleteOnTermination", false),
            ];
            vec![text("deviceName", &attachment.device), group("ebs", ebs)]
        })
        .collect();
    let tag = vec![text("key", "Name"), text("value", instance.hostname)];
    elements.extend([
        text("reason", instance.reason.unwrap_or_default()),
        text("instanceType", INSTANCE_TYPE),
        text("launchTime", moment(instance.launched)),
        group(
            "placement",
            vec![
                text("availabilityZone", site::ZONE),
                text("groupName", ""),
                text("tenancy", "default"),
            ],
        ),
        group("monitoring", vec![text("state", "disabled")]),
        text("subnetId", &state.subnet.id),
        text("vpcId", site::VPC_ID),
        text("privateIpAddress", interface.primary),
        text("sourceDestCheck", true),
        text("architecture", "x86_64"),
        text("rootDeviceType", "ebs"),
        text("rootDeviceName", ROOT_DEVICE),
        list("blockDeviceMapping", volumes),
        text("virtualizationType", "hvm"),
        text("hypervisor", "xen"),
        list("tagSet", vec![tag]),
        list(
            "networkInterfaceSet",
            vec![interface_elements(state, &instance.interface, interface)],
        ),
    ]);
    elements
}

/// EbsInstanceBlockDevice has no `busy` (API reference); what is busy is being detached.
fn mapping_status(attachment: &Attachment) -> &'static str {
    match attachment.state {
        AttachmentState::Busy => AttachmentState::Detaching.name(),
        other => other.name(),
    }
}

fn field(state: &State, (id, instance, interface): Found<'_>, name: &str) -> Option<Vec<String>> {
    let public = || public_of(state, interface, interface.primary);
    Some(match name {
        "instance-id" => vec![id.to_string()],
        "instance-state-name" => vec![instance.state.name().to_owned()],
        "instance-state-code" => vec![instance.state.code().to_string()],
        // The primary one; `network-interface.addresses...` finds secondary ones too.
        "private-ip-address" => vec![interface.primary.to_string()],
        "network-interface.addresses.private-ip-address" => interface
            .private()
            .map(|address| address.to_string())
            .collect(),
        "network-interface.network-interface-id" => vec![instance.interface.to_string()],
        "ip-address" => public().iter().map(ToString::to_string).collect(),
        "private-dns-name" => vec![private_dns(interface.primary)],
        "dns-name" => public().into_iter().map(public_dns).collect(),
        "subnet-id" => vec![state.subnet.id.to_string()],
        "vpc-id" => vec![site::VPC_ID.to_owned()],
        "availability-zone" => vec![site::ZONE.to_owned()],
        "instance-type" => vec![INSTANCE_TYPE.to_owned()],
        "tag:Name" => vec![instance.hostname.to_owned()],
        "block-device-mapping.volume-id" => state
            .held_by(id)
            .map(|(volume, _)| volume.to_string())
            .collect(),
        _ => return None,
    })
}
