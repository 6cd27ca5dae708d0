//! Writes a manual page for each agent from what the agent says about itself. How an agent is
//! read is in `agent.rs`, what the page says in `page.rs`.

mod agent;
mod page;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use agent::Agent;

/// Writes the manual pages of OCF resource agents from their meta-data.
#[derive(Debug, Parser)]
struct Arguments {
    /// The date that the pages bear, such as 2026-11-20.
    #[arg(long)]
    date: String,
    /// The directory that the pages are written to; made if it is missing.
    directory: PathBuf,
    /// The agents' binaries. Each is asked for its meta-data.
    #[arg(required = true)]
    agents: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match write(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Arguments) -> Result<(), String> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory)
        .map_err(|error| format!("make {}: {error}", directory.display()))?;
    for binary in &arguments.agents {
        let agent = Agent::of(binary)?;
        let path = directory.join(page::file_name(&agent));
        std::fs::write(&path, page::page(&agent, &arguments.date))
            .map_err(|error| format!("write {}: {error}", path.display()))?;
    }
    Ok(())
}
