//! The command: reads vars.yml, asks EC2 where it must, prints a rendering.

mod lookup;

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use cib_gen::cli::{Cli, Format};
use cib_gen::nodes::Known;
use cib_gen::{Cluster, Mistakes, Site, Vars, render};

/// Why nothing was printed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The user can correct it.
    #[error("{0}")]
    Mistakes(#[from] Mistakes),
    /// The file could not be read.
    #[error("error: could not read {name}: {error}\n")]
    Read {
        /// The file.
        name: String,
        /// What came back.
        error: io::Error,
    },
    /// EC2 could not be asked.
    #[error("error: {0}\n")]
    LookUp(#[from] lookup::Error),
    /// Standard output is gone.
    #[error("error: could not write to standard output: {0}\n")]
    Write(io::Error),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            match failure {
                Failure::Mistakes(_) => ExitCode::from(2),
                Failure::Read { .. } | Failure::LookUp(_) | Failure::Write(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let (name, text) = read(&cli.vars_file)?;
    let vars = Vars::parse(&name, &text)?;
    let site = resolve(cli, &vars)?;
    let cluster = Cluster::of(&site);
    let rendering = match cli.format {
        Format::Pcs => render::pcs(&cluster),
        Format::Cib => render::cib(&cluster).map_err(Failure::Write)?,
    };
    io::stdout()
        .write_all(rendering.as_bytes())
        .map_err(Failure::Write)
}

fn read(file: &Path) -> Result<(String, String), Failure> {
    let name = file.display().to_string();
    let text = if name == "-" {
        io::read_to_string(io::stdin())
    } else {
        std::fs::File::open(file).and_then(|mut file| {
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text)
        })
    };
    let name = if name == "-" {
        "<stdin>".to_owned()
    } else {
        name
    };
    match text {
        Ok(text) => Ok((name, text)),
        Err(error) => Err(Failure::Read { name, error }),
    }
}

/// Asks EC2 only where something is missing that it knows.
fn resolve(cli: &Cli, vars: &Vars) -> Result<Site, Failure> {
    let mut known = Known {
        given: cli.nodes.clone(),
        region: cli.region.clone(),
        ..Known::default()
    };
    if vars.lacks_nodes() && known.given.is_empty() && !cli.offline {
        lookup::look_up(
            &mut known,
            vars.region(),
            cli.profile.as_deref(),
            &vars.instances(),
        )?;
    }
    Ok(vars.resolve(&known)?)
}
