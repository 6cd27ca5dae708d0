//! Instances on and off: StartInstances, StopInstances, RebootInstances, TerminateInstances.

use std::sync::Arc;
use std::time::SystemTime;

use super::Answer;
use super::describe_instance::{asked, state_elements};
use crate::ec2::error::ApiError;
use crate::ec2::events::Happening;
use crate::ec2::ids::InstanceId;
use crate::ec2::query::Call;
use crate::ec2::state::State;
use crate::ec2::states::InstanceState;
use crate::ec2::transition::StopMode;
use crate::ec2::xml::{Element, done, group, list, text};
use crate::ec2::{Ec2, locked};

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
    // A started instance gets another public address.
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
    let mode = mode(call)?;
    let changes = locked(&ec2.state).stop(&asked(call, true)?)?;
    for instance in began(&changes, InstanceState::Stopping) {
        ec2.instance_changed(&instance, InstanceState::Stopping);
        ec2.spawn(ec2.clone().stop(instance, mode));
    }
    Ok(change_elements(changes))
}

/// API reference, TerminateInstances.
pub(super) fn terminate(ec2: &Arc<Ec2>, call: &Call) -> Answer {
    call.only(&["InstanceId", "Force", "SkipOsShutdown"])?;
    let mode = mode(call)?;
    let changes = locked(&ec2.state).terminate(&asked(call, true)?)?;
    for instance in began(&changes, InstanceState::ShuttingDown) {
        ec2.instance_changed(&instance, InstanceState::ShuttingDown);
        ec2.spawn(ec2.clone().terminate(instance, mode));
    }
    Ok(change_elements(changes))
}

/// EC2 User Guide, "Methods for stopping an instance". SkipOsShutdown has been there since July 2025
/// (<https://awsapichanges.com/archive/changes/b3ec87-ec2.html>). With or without Force, it does not ask the guest.
fn mode(call: &Call) -> Result<StopMode, ApiError> {
    Ok(if call.flag("SkipOsShutdown")? == Some(true) {
        StopMode::PowerCut
    } else if call.flag("Force")? == Some(true) {
        StopMode::Forced
    } else {
        StopMode::Graceful
    })
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
            let instance = self.instance_mut(id)?;
            let before = instance.state;
            if before == InstanceState::Stopped {
                instance.state = InstanceState::Pending;
                instance.launched = SystemTime::now();
                instance.reason = None;
                let interface = instance.interface.clone();
                self.assign_public(&interface);
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
            // EC2 User Guide, "Enable stop protection for your EC2 instances". The words are EC2's own, as in
            // <https://github.com/cloud-custodian/cloud-custodian/pull/8007>.
            if self.instance(id)?.disable_api_stop {
                return Err(protected(id, "stopped", "disableApiStop"));
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

    /// All of the instances or none: those that one call names are in one zone here, and then a protected
    /// one keeps the others too.
    fn terminate(&mut self, ids: &[InstanceId]) -> Result<Vec<Change>, ApiError> {
        for id in ids {
            let instance = self.instance(id)?;
            // Stop protection is against termination too (EC2 User Guide, "Enable stop protection for your EC2
            // instances").
            for (set, attribute) in [
                (instance.disable_api_termination, "disableApiTermination"),
                (instance.disable_api_stop, "disableApiStop"),
            ] {
                if set {
                    return Err(protected(id, "terminated", attribute));
                }
            }
        }
        let mut changes = Vec::new();
        for id in ids {
            let instance = self.instance_mut(id)?;
            let before = instance.state;
            // "This operation is idempotent; if you terminate an instance more than once, each call succeeds."
            if !matches!(
                before,
                InstanceState::ShuttingDown | InstanceState::Terminated
            ) {
                instance.state = InstanceState::ShuttingDown;
                instance.reason = Some("User initiated");
            }
            changes.push((id.clone(), before, instance.state));
        }
        Ok(changes)
    }

    /// Its start has ended in `state`, unless it is being terminated meanwhile, which is said.
    pub(in crate::ec2) fn started(&mut self, id: &InstanceId, state: InstanceState) -> bool {
        match self.instance_mut(id) {
            Ok(instance) if instance.state == InstanceState::Pending => {
                instance.state = state;
                true
            }
            _ => false,
        }
    }

    /// It is down, unless it is being terminated meanwhile, which is said. The auto-assigned public address is released; an
    /// Elastic IP stays, as the private addresses and the volumes do.
    pub(in crate::ec2) fn stopped(&mut self, id: &InstanceId) -> bool {
        let Ok(instance) = self.instance_mut(id) else {
            return false;
        };
        if instance.state != InstanceState::Stopping {
            return false;
        }
        instance.state = InstanceState::Stopped;
        let interface = instance.interface.clone();
        self.release_public(&interface);
        true
    }

    /// It is down for good. Its interface is deleted, since `deleteOnTermination` is true for the one that
    /// comes with an instance, and with it go the private addresses. Its Elastic IPs lead nowhere (EC2 User
    /// Guide, "How instance termination works").
    pub(in crate::ec2) fn terminated(&mut self, id: &InstanceId) {
        let Ok(instance) = self.instance_mut(id) else {
            return;
        };
        instance.state = InstanceState::Terminated;
        let interface = instance.interface.clone();
        self.interfaces.remove(&interface);
        for address in self.addresses.values_mut() {
            let held = address.association.as_ref();
            if held.is_some_and(|association| association.interface == interface) {
                address.association = None;
            }
        }
    }
}

fn protected(id: &InstanceId, verb: &str, attribute: &str) -> ApiError {
    ApiError::client(
        "OperationNotPermitted",
        format!(
            "The instance '{id}' may not be {verb}. Modify its '{attribute}' instance attribute and try again."
        ),
    )
}

fn incorrect_state(id: &InstanceId, verb: &str) -> ApiError {
    ApiError::client(
        "IncorrectInstanceState",
        format!("The instance '{id}' is not in a state from which it can be {verb}."),
    )
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
