//! Writes the generated files of the package: a manual page for each agent (`agent_page.rs`), and the
//! manual pages and completions of cib-gen, as clap makes them from its command line.

mod agent_page;

use std::error::Error;
use std::path::{Path, PathBuf};

use cib_gen::cli::Cli;
use clap::{CommandFactory, Parser};
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
    /// The manual pages (1) of cib-gen and of its subcommands.
    Command {
        /// The date on the pages, such as 2026-11-20.
        #[arg(long)]
        date: String,
        /// The directory for the pages. It is made if it is missing.
        directory: PathBuf,
    },
    /// The completions of cib-gen for bash and zsh.
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
        Arguments::Command { date, directory } => {
            for (file, page) in command_pages(&date)? {
                write(&directory, &file, &page)?;
            }
        }
        Arguments::Completions { directory } => {
            write(&directory, "cib-gen.bash", &bash_completion()?)?;
            write(&directory, "_cib-gen", &completion(Shell::Zsh, "cib-gen")?)?;
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

/// File name and text of each page of cib-gen.
fn command_pages(date: &str) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().cloned();
    let subcommands = subcommands.map(|c| c.after_long_help("cib-gen(1) has the exit status."));
    let mut pages = Vec::new();
    for command in std::iter::once(command.clone()).chain(subcommands) {
        let page = Man::new(command)
            .date(date)
            .source(concat!("portsip-ha ", env!("CARGO_PKG_VERSION")))
            .manual("Commands of portsip-ha");
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push((page.get_filename(), String::from_utf8(text)?));
    }
    Ok(pages)
}

fn completion(shell: Shell, name: &str) -> Result<String, Box<dyn Error>> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), name, &mut text);
    Ok(String::from_utf8(text)?)
}

/// With a hyphen in the command's name, clap_complete 4.6 writes a function that completes nothing of a
/// subcommand. The function is made for another name, and registered for the command.
fn bash_completion() -> Result<String, Box<dyn Error>> {
    let function = completion(Shell::Bash, "cib_gen")?;
    Ok(function + "complete -F _cib_gen -o bashdefault -o default cib-gen\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cib_gen_and_each_subcommand_have_a_page_with_every_option() {
        let pages = command_pages("2026-11-20").unwrap();
        let mut command = Cli::command();
        command.build();
        assert_eq!(pages.len(), 1 + Cli::command().get_subcommands().count());
        for (file, page) in pages {
            let subcommand = file.strip_suffix(".1").unwrap().strip_prefix("cib-gen-");
            let command = subcommand.map_or(&command, |s| command.find_subcommand(s).unwrap());
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
            function=$(complete -p cib-gen | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" cib-gen "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}""#;
        let output = std::process::Command::new("bash")
            .args(["--norc", "-c", &(bash_completion().unwrap() + ask), "bash"])
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
    }

    #[test]
    fn zsh_has_every_format() {
        let zsh = completion(Shell::Zsh, "cib-gen").unwrap();
        for format in [
            "pcs",
            "cib",
            "corosync",
            "iam-policy",
            "security-group",
            "json",
        ] {
            assert!(zsh.contains(format), "{format}");
        }
    }
}
