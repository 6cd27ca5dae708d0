//! Whether the PBX answers: a start waits for it, and a monitor at level 10 judges by it. Before the vendor's setup
//! wizard has been completed, nothing listens on SIP, so what has never answered is shown and not acted on.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;

use super::Pbx;
use super::service::Service;
use super::start_record::StartRecord;
use crate::ocf::Health;

/// What a start that waits keeps back from its deadline, to record what has answered.
const RECORD_RESERVE: Duration = Duration::from_secs(1);

/// The name of a service, and its answer or what came back instead.
type Asked = (String, Result<(), String>);

impl Pbx {
    /// The services that are asked: none without an address.
    fn services(&self) -> Vec<Service> {
        let parameters = &self.parameters;
        let Some(address) = parameters.ip_address else {
            return Vec::new();
        };
        let sip = Service::sip(parameters.sip_transport, address, parameters.sip_port);
        let web_portal = Service::web_portal(address, parameters.web_port);
        sip.into_iter().chain([web_portal]).collect()
    }

    /// Waits for all services that a monitor will ask. Logs which answer and which do not.
    pub(super) async fn wait_for_answers(&self) -> BTreeSet<String> {
        let left = self.call.deadline.remaining();
        let limit = left.saturating_sub(RECORD_RESERVE);
        let limit = limit.min(self.parameters.answer_wait);
        if limit.is_zero() {
            return BTreeSet::new();
        }
        let step = "waiting for SIP and the web portal to answer";
        self.call.steps.doing(step);
        let asked = self.ask_all(limit, |service, answer| match answer {
            Ok(()) => tracing::info!("{service} answers"),
            Err(reason) => tracing::warn!(
                "{service}: {reason}; the containers run, so the start succeeds all the same"
            ),
        });
        names_of_answers(&asked.await)
    }

    /// Asks all services until they answer. `tell` gets each answer when it comes.
    async fn ask_all(
        &self,
        limit: Duration,
        tell: impl Fn(&Service, &Result<(), String>),
    ) -> Vec<Asked> {
        let tell = &tell;
        let asked = self.services().into_iter().map(|service| async move {
            let answer = service.wait_for_answer(limit).await;
            tell(&service, &answer);
            (service.to_string(), answer)
        });
        join_all(asked).await
    }

    /// Asks for a third of the time that is left, and records a first answer. A probe records nothing.
    pub(super) async fn ask_services(&self, mut record: StartRecord) -> Health {
        let limit = self.call.deadline.remaining() / 3;
        self.call.steps.doing("asking SIP and the web portal");
        let asked = self.ask_all(limit, |_, _| {}).await;
        let health = judge(&asked, &record.answered);
        let known = record.answered.len();
        record.answered.extend(names_of_answers(&asked));
        if record.answered.len() > known && !self.call.probe {
            self.started.save_if_possible(&record);
        }
        health
    }
}

fn names_of_answers(asked: &[Asked]) -> BTreeSet<String> {
    let answers = asked.iter().filter(|(_, answer)| answer.is_ok());
    answers.map(|(service, _)| service.clone()).collect()
}

/// What the answers mean for the PBX. The services in `answered` have answered since the start.
fn judge(asked: &[Asked], answered: &BTreeSet<String>) -> Health {
    let mut lost = Vec::new();
    let mut never = Vec::new();
    for (service, answer) in asked {
        match answer {
            Ok(()) => {}
            Err(reason) if answered.contains(service) => {
                lost.push(format!("{service} answers no more: {reason}"));
            }
            Err(reason) => {
                never.push(format!(
                    "{service} has not answered since the start: {reason}"
                ));
            }
        }
    }
    let broken = !lost.is_empty();
    // The failure comes first: Pacemaker shows only the beginning of a long reason.
    lost.append(&mut never);
    let reason = lost.join("; ");
    match (broken, reason.is_empty()) {
        (true, _) => Health::Broken(reason),
        (false, false) => Health::Degraded(reason),
        (false, true) => Health::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIP: &str = "SIP over UDP at 172.31.16.130:5060";
    const WEB: &str = "the web portal at 172.31.16.130:8887";

    fn asked(sip: Result<(), &str>, web: Result<(), &str>) -> Vec<Asked> {
        let owned = |answer: Result<(), &str>| answer.map_err(str::to_owned);
        vec![(SIP.to_owned(), owned(sip)), (WEB.to_owned(), owned(web))]
    }

    fn answered(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pbx_that_answers_runs_and_one_of_which_nothing_is_asked_too() {
        assert_eq!(
            judge(&asked(Ok(()), Ok(())), &answered(&[])),
            Health::Running
        );
        assert_eq!(judge(&[], &answered(&[SIP])), Health::Running);
    }

    #[test]
    fn what_has_never_answered_since_the_start_is_shown_and_not_acted_on() {
        let health = judge(&asked(Err("refused"), Ok(())), &answered(&[WEB]));
        let shown = format!("{SIP} has not answered since the start: refused");
        assert_eq!(health, Health::Degraded(shown));
    }

    #[test]
    fn what_has_answered_and_stopped_is_a_failure() {
        let health = judge(&asked(Ok(()), Err("silent")), &answered(&[SIP, WEB]));
        let reason = format!("{WEB} answers no more: silent");
        assert_eq!(health, Health::Broken(reason));
    }

    #[test]
    fn a_failure_is_told_before_what_is_only_shown() {
        let health = judge(&asked(Err("refused"), Err("silent")), &answered(&[WEB]));
        let reason = format!(
            "{WEB} answers no more: silent; {SIP} has not answered since the start: refused"
        );
        assert_eq!(health, Health::Broken(reason));
    }

    #[test]
    fn an_answer_at_another_port_is_none_of_this_one() {
        let elsewhere = "SIP over UDP at 172.31.16.130:5070";
        let health = judge(&asked(Err("refused"), Ok(())), &answered(&[elsewhere]));
        assert!(matches!(health, Health::Degraded(_)), "{health:?}");
    }

    #[test]
    fn only_answers_are_noted() {
        let names = names_of_answers(&asked(Ok(()), Err("silent")));
        assert_eq!(names, answered(&[SIP]));
    }
}
