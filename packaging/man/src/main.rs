//! Writes the generated files of the package: a manual page for each agent (`agent_page.rs`), and the
//! manual pages and completions of cib-gen and ha-ctl, as clap makes them from their command lines.

mod agent_page;

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Parser};
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes the manual pages and the completions of the package.
#[derive(Debug, Parser)]
enum Arguments {
    /// A manual page (7) for each OCF resource agent, from its meta-data.
    Agents {
        /// The date on the pages, such as 2026-11-20.
        #[arg(long)]
        date: String,
        /// The directory for the pages. It is made if it is missing.
        directory: PathBuf,
        /// The binaries of the agents.
        #[arg(required = true)]
        agents: Vec<PathBuf>,
    },
    /// The manual pages (1) of cib-gen, of ha-ctl, and of all their subcommands.
    Commands {
        /// The date on the pages, such as 2026-11-20.
        #[arg(long)]
        date: String,
        /// The directory for the pages. It is made if it is missing.
        directory: PathBuf,
    },
    /// The completions of cib-gen and ha-ctl for bash and zsh.
    Completions {
        /// The directory for the completions. It is made if it is missing.
        directory: PathBuf,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse() {
        Arguments::Agents {
            date,
            directory,
            agents,
        } => {
            for binary in agents {
                let (file, page) = agent_page::of(&binary, &date)?;
                write(&directory, &file, &page)?;
            }
        }
        Arguments::Commands { date, directory } => {
            for command in commands() {
                for (file, page) in command_pages(command, &date)? {
                    write(&directory, &file, &page)?;
                }
            }
        }
        Arguments::Completions { directory } => {
            for command in commands() {
                let name = command.get_name().to_owned();
                let bash = bash_completion(&command)?;
                write(&directory, &format!("{name}.bash"), &bash)?;
                let zsh = completion(Shell::Zsh, command, &name)?;
                write(&directory, &format!("_{name}"), &zsh)?;
            }
        }
    }
    Ok(())
}

fn write(directory: &Path, file: &str, text: &str) -> Result<(), String> {
    let path = directory.join(file);
    std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| format!("write {}: {error}", path.display()))
}

/// What the package has for the operator.
fn commands() -> [Command; 2] {
    [cib_gen::cli::Cli::command(), ha_ctl::cli::Cli::command()]
}

/// File name and text of each page of a command.
fn command_pages(command: Command, date: &str) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let exit_status = format!("{}(1) has the exit status.", command.get_name());
    let subcommands = below(&command).into_iter();
    let subcommands = subcommands.map(|c| match c.get_after_long_help() {
        Some(_) => c.clone(),
        None => c.clone().after_long_help(exit_status.clone()),
    });
    let mut pages = Vec::new();
    for command in std::iter::once(command.clone()).chain(subcommands) {
        let page = Man::new(command)
            .date(date)
            .source(concat!("portsip-ha ", env!("CARGO_PKG_VERSION")))
            .manual("Commands of portsip-ha");
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push((page.get_filename(), unbroken(&String::from_utf8(text)?)));
    }
    Ok(pages)
}

/// The subcommands, each followed by its own.
fn below(command: &Command) -> Vec<&Command> {
    let each = command.get_subcommands();
    each.flat_map(|it| std::iter::once(it).chain(below(it)))
        .collect()
}

/// A page in which no word is broken: an option is searched for as it is typed. Lines then end where words do.
fn unbroken(page: &str) -> String {
    let after_title = |line: &str| line.starts_with(".TH ").then_some(".nh\n.ad l\n");
    let lines = page.split_inclusive('\n');
    let lines = lines.flat_map(|line| [line, after_title(line).unwrap_or_default()]);
    lines.collect()
}

fn completion(shell: Shell, mut command: Command, name: &str) -> Result<String, Box<dyn Error>> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    Ok(String::from_utf8(text)?)
}

/// With a hyphen in the command's name, clap_complete 4.6 writes a function that completes nothing of a
/// subcommand. The function is made for another name, and registered for the command.
fn bash_completion(command: &Command) -> Result<String, Box<dyn Error>> {
    let name = command.get_name();
    let other = name.replace('-', "_");
    let function = completion(Shell::Bash, command.clone(), &other)?;
    Ok(format!(
        "{function}complete -F _{other} -o bashdefault -o default {name}\n"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_command_and_each_subcommand_has_a_page_with_every_option() {
        for command in commands() {
            pages_have_every_option(command);
        }
    }

    fn pages_have_every_option(command: Command) {
        let pages = command_pages(command.clone(), "2026-11-20").unwrap();
        let name = command.get_name().to_owned();
        assert_eq!(pages.len(), 1 + below(&command).len(), "{name}");
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let commands = std::iter::once(&command).chain(below(&command));
        for (file, page) in pages {
            let page_of = file.strip_suffix(".1").unwrap();
            let mut commands = commands.clone();
            let command = commands.find(|it| page_of == it.get_display_name().unwrap_or(&name));
            let command = command.unwrap_or_else(|| panic!("{file} is of no command"));
            let page = page.replace('\\', "");
            for option in command.get_arguments().filter_map(|a| a.get_long()) {
                assert!(page.contains(&format!("--{option}")), "{file}: {option}");
            }
            assert!(page.contains("2026-11-20"), "{file}: {page}");
            assert!(
                page.contains("exit status") || page.contains("Exit status"),
                "{file}"
            );
        }
    }

    /// What bash offers for the last of the words.
    fn offered(words: &[&str]) -> Vec<String> {
        let ask = r#"
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            function=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let scripts = commands().map(|command| bash_completion(&command).unwrap());
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &(scripts.concat() + ask), "bash"])
            .args(words)
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && complaint.is_empty(),
            "{complaint}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_options_values_and_subcommands() {
        assert_eq!(offered(&["cib-gen", "--for"]), ["--format"]);
        assert_eq!(offered(&["cib-gen", "--format", "s"]), ["security-group"]);
        assert_eq!(offered(&["cib-gen", "sim"]), ["simulate"]);
        assert_eq!(offered(&["cib-gen", "apply", "--ci"]), ["--cib"]);
        assert_eq!(offered(&["cib-gen", "simulate", "--ver"]), ["--verbose"]);
        assert_eq!(offered(&["ha-ctl", "ma"]), ["master"]);
        assert_eq!(
            offered(&["ha-ctl", "extend", "rm", "--ke"]),
            ["--keep-data"]
        );
        assert_eq!(offered(&["ha-ctl", "restart", "--dry"]), ["--dry-run"]);
    }

    #[test]
    fn zsh_has_every_format_and_every_verb() {
        let [cib_gen, ha_ctl] = commands();
        let zsh = completion(Shell::Zsh, cib_gen, "cib-gen").unwrap();
        for format in [
            "pcs",
            "cib",
            "corosync",
            "drbd",
            "graph",
            "iam-policy",
            "iam-policy-operator",
            "security-group",
            "json",
        ] {
            assert!(zsh.contains(format), "{format}");
        }
        let verbs: Vec<String> = ha_ctl
            .get_subcommands()
            .map(|verb| verb.get_name().to_owned())
            .collect();
        let zsh = completion(Shell::Zsh, ha_ctl, "ha-ctl").unwrap();
        for verb in verbs {
            assert!(zsh.contains(&verb), "{verb}");
        }
    }
}
