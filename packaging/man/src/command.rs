//! The pages of cib-gen and of its subcommands, in roff for man(7). Synopsis, description and
//! options come from the definition of the command line; examples and exit status are the
//! sections of the same names in its long help.

use std::io;

use cib_gen::cli::Cli;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

/// Name and text of each page. `date` stands at their foot.
///
/// # Errors
/// The long help has no examples or no exit status.
pub(crate) fn pages(date: &str) -> Result<Vec<(String, String)>, String> {
    // `cib-gen help` has no page.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let help = command.get_after_long_help().map(ToString::to_string);
    let help = Help::read(&help.unwrap_or_default())?;
    let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
    let names: Vec<&str> = subcommands.iter().map(Command::get_name).collect();

    // What goes with a subcommand is described on its page.
    let usage = |name: &str| format!("cib-gen {name}[OPTIONS] VARS_FILE");
    let forms = names.iter().map(|name| usage(&format!("{name} ")));
    let forms: Vec<String> = std::iter::once(usage("")).chain(forms).collect();
    let whole = command.clone().override_usage(forms.join("\n"));
    let mut pages = vec![page(whole, &help, &names, date)];
    for sub in &subcommands {
        let name = sub.get_name();
        let others: Vec<&str> = names.iter().copied().filter(|n| *n != name).collect();
        let sub = sub.clone().override_usage(usage(&format!("{name} ")));
        pages.push(page(sub, &help, &others, date));
    }
    pages
        .into_iter()
        .map(|page| page.map_err(|error| format!("write a page: {error}")))
        .collect()
}

/// The long help's sections.
struct Help {
    /// Command and what it does.
    examples: Vec<(String, String)>,
    /// Status and what it says.
    statuses: Vec<(String, String)>,
}

impl Help {
    /// Reads `Examples:` with a command and an explanation further to the right on the next
    /// lines, and `Exit status:` with a number and its meaning on each line.
    fn read(text: &str) -> Result<Help, String> {
        let mut help = Help {
            examples: Vec::new(),
            statuses: Vec::new(),
        };
        let mut section = "";
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            match (indent, section) {
                (0, _) => section = line,
                (1..=2, "Examples:") => help.examples.push((line.to_owned(), String::new())),
                (_, "Examples:") => {
                    let (_, what) = help.examples.last_mut().ok_or("an example of nothing")?;
                    if !what.is_empty() {
                        what.push(' ');
                    }
                    what.push_str(line);
                }
                (_, "Exit status:") => {
                    let (status, what) = line.split_once(' ').ok_or("a status without text")?;
                    let what = what.trim_start();
                    help.statuses.push((status.to_owned(), what.to_owned()));
                }
                (_, section) => return Err(format!("no page has the section {section}")),
            }
        }
        if help.examples.is_empty() || help.statuses.is_empty() {
            return Err("the long help of cib-gen has no examples or no exit status".to_owned());
        }
        Ok(help)
    }
}

fn page(
    command: Command,
    help: &Help,
    others: &[&str],
    date: &str,
) -> io::Result<(String, String)> {
    let whole = command.has_subcommands();
    let man = Man::new(unrepeated(command.clone()));
    let file = man.get_filename();
    let name = file.strip_suffix(".1").unwrap_or(&file).to_owned();
    let mut text = Vec::new();

    let mut top = Roff::new();
    let source = format!("portsip-ha {}", env!("CARGO_PKG_VERSION"));
    let title = name.to_uppercase();
    top.control(
        "TH",
        [&*title, "1", date, &source, "Commands of portsip-ha"],
    );
    // As on the pages of the agents.
    top.control("nh", []).control("ad", ["l"]);
    top.to_writer(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if whole {
        man.render_subcommands_section(&mut text)?;
    }

    let mut rest = Roff::new();
    let subcommand = format!("cib-gen {} ", command.get_name());
    let examples: Vec<_> = (help.examples.iter())
        .filter(|(example, _)| whole || example.contains(&subcommand))
        .collect();
    if !examples.is_empty() {
        rest.control("SH", ["EXAMPLES"]);
    }
    for (example, what) in examples {
        item(&mut rest, [bold(example)], what);
    }
    rest.control("SH", ["EXIT STATUS"]);
    for (status, what) in &help.statuses {
        item(&mut rest, [bold(status)], what);
    }
    rest.control("SH", ["FILES"]);
    for (file, what) in [
        (
            "/usr/share/doc/portsip-ha/examples/vars-aws.yml, vars-lan.yml",
            "A vars.yml with every key, and what each means.",
        ),
        (
            "/usr/share/doc/portsip-ha/README.md",
            "How the cluster is made and what to do after a failover.",
        ),
    ] {
        item(&mut rest, [bold(file)], what);
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text(see_also(whole, others));
    rest.to_writer(&mut text)?;

    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok((file, dressed(&text)))
}

/// The command with a description that does not begin with what its name section says.
fn unrepeated(command: Command) -> Command {
    let about = command.get_about().map(ToString::to_string);
    let long = command.get_long_about().map(ToString::to_string);
    let rest = long.and_then(|long| Some(long.strip_prefix(&about?)?.trim_start().to_owned()));
    match rest {
        Some(rest) if !rest.is_empty() => command.long_about(rest),
        _ => command,
    }
}

fn item(page: &mut Roff, term: impl Into<Vec<Inline>>, text: &str) {
    page.control("TP", []).text(term).text([roman(text)]);
}

fn see_also(whole: bool, others: &[&str]) -> Vec<Inline> {
    let own = (!whole).then(|| "cib-gen".to_owned());
    let own = own
        .into_iter()
        .chain(others.iter().map(|o| format!("cib-gen-{o}")));
    let stock = [("cibadmin", "8"), ("crm_simulate", "8"), ("pcs", "8")];
    let pages = own
        .map(|name| (name, "1"))
        .chain(stock.map(|(name, section)| (name.to_owned(), section)));
    let mut line = Vec::new();
    for (n, (name, section)) in pages.enumerate() {
        if n > 0 {
            line.push(roman(", "));
        }
        line.extend([bold(name), roman(format!("({section})"))]);
    }
    line
}

/// The page without what a reader or mandoc would stumble over: what a help text has between
/// backquotes is bold, its blank lines are space, a list may be broken after a comma, and the
/// definition of an apostrophe, which every section brings along, is there once.
fn dressed(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let apostrophe = |line: &str| line.starts_with(".ie ") || line.starts_with(".el ");
    for (n, line) in page.lines().map(str::trim_end).enumerate() {
        let last = lines.last().map(String::as_str);
        match line {
            line if n > 1 && apostrophe(line) => {}
            "" if last == Some(".br") => {
                lines.pop();
                lines.push(".sp".to_owned());
            }
            "" => lines.push(".sp".to_owned()),
            ".br" if last == Some(".sp") => {}
            line if line.starts_with('.') => lines.push(line.to_owned()),
            line => lines.push(bold_between_backquotes(line)),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn bold_between_backquotes(line: &str) -> String {
    let mut text = String::new();
    for (n, part) in line.split('`').enumerate() {
        text.push_str(match n {
            0 => "",
            n if n % 2 == 1 => "\\fB",
            _ => "\\fR",
        });
        text.push_str(part);
    }
    text.replace(",", ",\\:").replace(",\\: ", ", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn section<'a>(page: &'a str, name: &str) -> &'a str {
        let page = page.split_once(".SH NAME").unwrap().1;
        let mut sections = page.split(".SH ").skip(1);
        let titled = |s: &&str| s.lines().next().unwrap().trim_matches('"') == name;
        let rest = sections.find(titled);
        rest.unwrap_or_else(|| panic!("no {name} in {page}"))
    }

    #[test]
    fn there_is_a_page_for_the_command_and_one_for_each_subcommand() {
        let pages = pages("2026-11-20").unwrap();
        let files: Vec<&str> = pages.iter().map(|(file, _)| file.as_str()).collect();
        assert_eq!(
            files,
            ["cib-gen.1", "cib-gen-apply.1", "cib-gen-simulate.1"]
        );
        let first = pages[0].1.lines().find(|line| line.starts_with(".TH"));
        assert_eq!(
            first.unwrap(),
            ".TH CIB-GEN 1 2026-11-20 \"portsip-ha 0.1.0\" \"Commands of portsip-ha\""
        );
    }

    #[test]
    fn each_page_says_what_the_help_says_of_options_and_statuses() {
        let mut command = Cli::command();
        command.build();
        for (file, page) in pages("2026-11-20").unwrap() {
            let sub = file.strip_suffix(".1").unwrap().strip_prefix("cib-gen-");
            let command = sub.map_or(&command, |sub| command.find_subcommand(sub).unwrap());
            let options = section(&page, "OPTIONS").replace('\\', "");
            for option in command.get_arguments().filter_map(|a| a.get_long()) {
                assert!(options.contains(&format!("--{option}")), "{file}: {option}");
            }
            let statuses = section(&page, "EXIT STATUS").matches(".TP").count();
            assert_eq!(statuses, 4, "{file}");
            assert!(section(&page, "EXAMPLES").contains(".TP"), "{file}");
        }
    }

    #[test]
    fn a_help_without_its_sections_is_an_error() {
        for text in ["", "Examples:\n  a\n      b\n", "Exit status:\n  0  done\n"] {
            assert!(Help::read(text).is_err(), "{text}");
        }
        let help = "Notes:\n  a\nExamples:\n  a\n      b\nExit status:\n  0  done\n";
        assert!(Help::read(help).is_err());
    }

    #[test]
    fn words_between_backquotes_are_bold() {
        assert_eq!(
            dressed("a `b c` d\n\n`e`"),
            "a \\fBb c\\fR d\n.sp\n\\fBe\\fR\n"
        );
    }
}
