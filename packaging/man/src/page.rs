//! The page of an agent, in roff for man(7). What is the same for all agents is written here;
//! the rest is the agent's own.

use roff::{Inline, Roff, bold, italic, roman};

use crate::agent::{Action, Agent, Parameter};

/// The actions as the OCF contract has them. What an agent adds is in its description.
const ACTIONS: &[(&str, &str)] = &[
    (
        "start",
        "Starts it, and returns when a monitor would find it running. If it runs here already, nothing is done.",
    ),
    (
        "stop",
        "Stops it. If it does not run here, nothing is done.",
    ),
    (
        "reload-agent",
        "Called by Pacemaker instead of a stop and a start when only parameters have changed that may change while the resource runs. Checks the parameters; the next action uses them.",
    ),
    (
        "validate-all",
        "Checks the parameters. With OCF_CHECK_LEVEL=10 it also checks what the resource needs on this node and around it, and changes nothing.",
    ),
    (
        "meta-data",
        "Prints what this page was made from, as XML. Needs neither parameters nor privileges.",
    ),
];

const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "Done. A monitor: it runs here."),
    (
        "1",
        "Failed, or it runs here and is broken. Pacemaker recovers it; a failed stop is fenced.",
    ),
    ("2", "Called without an action."),
    ("3", "There is no such action."),
    (
        "5",
        "Something that it needs is not on this node, or not allowed to it. Pacemaker tries another node.",
    ),
    (
        "6",
        "The configuration is wrong, on whichever node. Pacemaker tries no other.",
    ),
    ("7", "It does not run here."),
    (
        "190",
        "Degraded: it runs as far as can be seen from this node, and who could say more does not answer. Pacemaker shows it and lets it run.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("OCF_RESKEY_<parameter>", "The value of a parameter."),
    (
        "OCF_RESOURCE_INSTANCE",
        "The name of the resource; without it, the agent's own.",
    ),
    ("OCF_CHECK_LEVEL", "The depth of a monitor; without it, 0."),
    (
        "OCF_RESKEY_CRM_meta_timeout",
        "How many milliseconds the action may take. It ends with a reason shortly before. Without it, the timeout advised above.",
    ),
    (
        "HA_LOGFACILITY",
        "Set by Pacemaker: what is changed, and why, goes to the system log under the name of the agent and of the resource. Without it, to standard error.",
    ),
    (
        "HA_debug, PCMK_debug",
        "Above 0, or yes, as Pacemaker's PCMK_debug is set in its configuration: also what is being waited for.",
    ),
];

/// The name of the page, without its section.
pub(crate) fn title(agent: &Agent) -> String {
    format!("ocf_portsip_{}", agent.name)
}

/// The name of the page's file.
pub(crate) fn file_name(agent: &Agent) -> String {
    format!("{}.7", title(agent))
}

/// The page. `date` stands at its foot.
pub(crate) fn page(agent: &Agent, date: &str) -> String {
    let mut page = Roff::new();
    let source = format!("portsip-ha {}", agent.version);
    page.control(
        "TH",
        [
            &*title(agent).to_uppercase(),
            "7",
            date,
            &source,
            "Resource agents of portsip-ha",
        ],
    );
    // A word such as OCF_CHECK_LEVEL is not broken, and lines need not end together.
    page.control("nh", []).control("ad", ["l"]);
    section(&mut page, "NAME");
    page.text([roman(format!("{} - {}", title(agent), agent.short))]);
    section(&mut page, "SYNOPSIS");
    synopsis(&mut page, agent);
    section(&mut page, "DESCRIPTION");
    paragraphs(&mut page, &agent.long);
    section(&mut page, "PARAMETERS");
    for parameter in &agent.parameters {
        describe_parameter(&mut page, parameter);
    }
    section(&mut page, "ACTIONS");
    for action in &agent.actions {
        describe_action(&mut page, action);
    }
    section(&mut page, "EXAMPLE");
    example(&mut page, agent);
    section(&mut page, "EXIT STATUS");
    page.text([roman(
        "Every status but 0 comes with a line on standard error that begins with ocf-exit-reason: and says why. Pacemaker shows it beside the failed operation.",
    )]);
    list(&mut page, EXIT_CODES);
    section(&mut page, "ENVIRONMENT");
    list(&mut page, ENVIRONMENT);
    section(&mut page, "FILES");
    files(&mut page, agent);
    section(&mut page, "SEE ALSO");
    see_also(&mut page);
    page.render()
}

fn section(page: &mut Roff, name: &str) {
    page.control("SH", [name]);
}

/// A term, and what follows is said about it.
fn item(page: &mut Roff, term: impl Into<Vec<Inline>>) {
    page.control("TP", []).text(term);
}

fn list(page: &mut Roff, items: &[(&str, &str)]) {
    for (term, text) in items {
        item(page, [bold(*term)]);
        page.text([roman(*text)]);
    }
}

/// Another paragraph of what is said about a term.
fn indented(page: &mut Roff, text: impl Into<Vec<Inline>>) {
    page.control("IP", []).text(text);
}

fn paragraphs(page: &mut Roff, text: &str) {
    for (n, paragraph) in text.split("\n\n").enumerate() {
        if n > 0 {
            page.control("PP", []);
        }
        page.text([roman(paragraph)]);
    }
}

/// Lines as they are written, in the style of a terminal.
fn verbatim(page: &mut Roff, lines: &[Vec<Inline>]) {
    page.control("PP", []).control("nf", []);
    for line in lines {
        page.text(line.clone());
    }
    page.control("fi", []);
}

fn synopsis(page: &mut Roff, agent: &Agent) {
    let mut words = vec![];
    for (n, action) in agent.actions.iter().enumerate() {
        // A monitor of another depth is the same word.
        if agent.actions[..n].iter().any(|a| a.name == action.name) {
            continue;
        }
        if n > 0 {
            words.push(roman(" | "));
        }
        words.push(bold(&action.name));
    }
    let binary = format!("/usr/lib/ocf/resource.d/portsip/{}", agent.name);
    page.text([bold(binary)]);
    page.text(
        [roman("{ ")]
            .into_iter()
            .chain(words)
            .chain([roman(" }")])
            .collect::<Vec<_>>(),
    );
    page.control("PP", []);
    let mut command = vec![bold("pcs resource create"), roman(" "), italic("name")];
    command.extend([roman(" "), bold(format!("ocf:portsip:{}", agent.name))]);
    command.extend([
        roman(" ["),
        italic("parameter"),
        roman("="),
        italic("value"),
        roman("]..."),
    ]);
    page.text(command);
}

fn describe_parameter(page: &mut Roff, parameter: &Parameter) {
    item(page, [bold(&parameter.name)]);
    page.text([roman(&parameter.long)]);
    let mut facts = vec![parameter.content.clone()];
    facts.push(
        if parameter.required {
            "required"
        } else {
            "optional"
        }
        .to_owned(),
    );
    if parameter.unique {
        facts.push("unique: no two resources may have the same".to_owned());
    }
    if parameter.reloadable {
        facts.push("may change while the resource runs".to_owned());
    }
    let mut line = vec![roman(format!("({}", facts.join(", ")))];
    if let Some(default) = &parameter.default {
        line.extend([roman("; default "), bold(default)]);
    }
    line.push(roman(")"));
    indented(page, line);
}

fn describe_action(page: &mut Roff, action: &Action) {
    let mut term = vec![bold(&action.name)];
    let text = match (action.name.as_str(), action.depth.as_deref()) {
        ("monitor", None | Some("0")) => {
            "Looks whether it runs here and is well, from what this node knows.".to_owned()
        }
        ("monitor", Some(depth)) => {
            term.push(roman(format!(" (depth {depth})")));
            format!("With OCF_CHECK_LEVEL={depth}, looks closer, as the description says.")
        }
        (name, _) => ACTIONS
            .iter()
            .find(|(action, _)| *action == name)
            .map(|(_, text)| (*text).to_owned())
            .unwrap_or_default(),
    };
    item(page, term);
    let mut advice = format!("Timeout {}", action.timeout);
    if let Some(interval) = &action.interval {
        advice.push_str(&format!(", interval {interval}"));
    }
    page.text([roman(format!("{text} {advice}.").trim_start())]);
}

fn example(page: &mut Roff, agent: &Agent) {
    page.text([roman(
        "The resource alone, with the parameters that it needs and the operations advised:",
    )]);
    let mut lines = vec![vec![roman(format!(
        "pcs resource create my-{0} ocf:portsip:{0}",
        agent.name
    ))]];
    for parameter in agent.parameters.iter().filter(|p| p.required) {
        let value = italic(parameter.name.to_uppercase());
        lines.push(vec![roman(format!("    {}=", parameter.name)), value]);
    }
    let mut operations = "    op".to_owned();
    for action in &agent.actions {
        let wanted = match action.name.as_str() {
            "start" | "stop" => true,
            "monitor" => action.depth.as_deref().is_none_or(|depth| depth == "0"),
            _ => false,
        };
        if wanted {
            operations.push_str(&format!(" {}", action.name));
            if let Some(interval) = &action.interval {
                operations.push_str(&format!(" interval={interval}"));
            }
            operations.push_str(&format!(" timeout={}", action.timeout));
        }
    }
    lines.push(vec![roman(operations)]);
    let last = lines.len() - 1;
    for line in &mut lines[..last] {
        line.push(roman(" \\"));
    }
    verbatim(page, &lines);
    page.control("PP", []);
    page.text([
        roman("It needs its place among the others: "),
        bold("cib-gen"),
        roman(
            " writes the configuration of the whole cluster, with order, colocation and fencing.",
        ),
    ]);
}

fn files(page: &mut Roff, agent: &Agent) {
    item(
        page,
        [
            bold(format!("/run/portsip-ha/{}-", agent.name)),
            italic("resource"),
            bold(".json"),
        ],
    );
    page.text([roman(
        "What the agent has to know at its next call, if there is anything. Gone after a reboot, and it may be removed while the resource is stopped.",
    )]);
    item(page, [bold("/usr/share/doc/portsip-ha/README.md")]);
    page.text([roman(
        "How the cluster is made and what to do after a failover.",
    )]);
}

fn see_also(page: &mut Roff) {
    let pages = [("crm_resource", "8"), ("pacemaker", "7"), ("pcs", "8")];
    let mut line = vec![];
    for (n, (name, section)) in pages.into_iter().enumerate() {
        if n > 0 {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(format!("({section})"))]);
    }
    page.text(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> Agent {
        let action = |name: &str, interval: Option<&str>, depth: Option<&str>| Action {
            name: name.into(),
            timeout: "30s".into(),
            interval: interval.map(Into::into),
            depth: depth.map(Into::into),
        };
        Agent {
            name: "sample".into(),
            version: "0.1.0".into(),
            short: "a sample".into(),
            long: "Does things.".into(),
            parameters: vec![
                Parameter {
                    name: "volume_id".into(),
                    content: "string".into(),
                    required: true,
                    unique: true,
                    ..Parameter::default()
                },
                Parameter {
                    name: "grace".into(),
                    content: "integer".into(),
                    default: Some("20".into()),
                    reloadable: true,
                    ..Parameter::default()
                },
            ],
            actions: vec![
                action("start", None, None),
                action("monitor", Some("10s"), Some("0")),
                action("monitor", Some("60s"), Some("10")),
            ],
        }
    }

    #[test]
    fn the_page_is_named_as_those_of_the_stock_agents_are() {
        assert_eq!(file_name(&agent()), "ocf_portsip_sample.7");
        let page = page(&agent(), "2026-11-20");
        assert!(page.contains(
            ".TH OCF_PORTSIP_SAMPLE 7 2026-11-20 \"portsip-ha 0.1.0\" \"Resource agents of portsip-ha\"\n"
        ), "{page}");
    }

    #[test]
    fn the_example_gives_what_is_required_and_the_monitor_of_every_day() {
        let page = page(&agent(), "2026-11-20");
        let example = page.split(".SH EXAMPLE").nth(1).unwrap_or_default();
        let example = example.split(".SH").next().unwrap_or_default();
        assert!(example.contains("volume_id=\\fIVOLUME_ID\\fR"), "{example}");
        assert!(!example.contains("grace"), "{example}");
        assert!(
            example.contains("op start timeout=30s monitor interval=10s timeout=30s\n"),
            "{example}"
        );
    }

    #[test]
    fn a_parameter_says_whether_it_has_to_be_given_and_what_it_is_without() {
        let page = page(&agent(), "2026-11-20");
        assert!(page.contains("(string, required, unique"), "{page}");
        assert!(
            page.contains(
                "(integer, optional, may change while the resource runs; default \\fB20\\fR)"
            ),
            "{page}"
        );
    }
}
