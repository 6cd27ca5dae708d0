//! Writes what is generated of the package: a manual page for each agent from what the agent
//! says about itself (`agent.rs`, `page.rs`), and for the command cib-gen, from its own
//! definition, manual pages (`command.rs`) and completions (`completions.rs`).

mod agent;
mod command;
mod completions;
mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use agent::Agent;

/// Writes the manual pages and the completions of the package.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A manual page (7) for each OCF resource agent, from its meta-data.
    Agents {
        /// The date that the pages bear, such as 2026-11-20.
        #[arg(long)]
        date: String,
        /// The directory that the pages are written to; made if it is missing.
        directory: PathBuf,
        /// The agents' binaries. Each is asked for its meta-data.
        #[arg(required = true)]
        agents: Vec<PathBuf>,
    },
    /// The manual pages (1) of cib-gen and of its subcommands.
    Command {
        /// The date that the pages bear, such as 2026-11-20.
        #[arg(long)]
        date: String,
        /// The directory that the pages are written to; made if it is missing.
        directory: PathBuf,
    },
    /// The completions of cib-gen for bash, zsh and fish.
    Completions {
        /// The directory that they are written to; made if it is missing.
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match write(&Arguments::parse().what) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(what: &What) -> Result<(), String> {
    match what {
        What::Agents {
            date,
            directory,
            agents,
        } => {
            for binary in agents {
                let agent = Agent::of(binary)?;
                let name = page::file_name(&agent);
                save(directory, &name, &page::page(&agent, date))?;
            }
            Ok(())
        }
        What::Command { date, directory } => command::pages(date)?
            .iter()
            .try_for_each(|(name, page)| save(directory, name, page)),
        What::Completions { directory } => completions::completions()?
            .iter()
            .try_for_each(|(name, text)| save(directory, name, text)),
    }
}

fn save(directory: &Path, name: &str, text: &str) -> Result<(), String> {
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("make {}: {error}", directory.display()))?;
    let path = directory.join(name);
    std::fs::write(&path, text).map_err(|error| format!("write {}: {error}", path.display()))
}
