//! The command: reads its arguments, runs one verb, and ends with the status that says what became of it.

use std::process::ExitCode;

use clap::Parser as _;

use ha_ctl::cli::Cli;
use ha_ctl::exit::Exit;
use ha_ctl::output::say;
use ha_ctl::{log, verbs};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: could not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    log::begin();
    let ended = runtime.block_on(verbs::run(cli.verb));
    // A question on the terminal that nobody answers must not keep the process.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => {
            if matches!(exit, Exit::NodesMissing | Exit::Incomplete) {
                name_log();
            }
            exit.into()
        }
        Err(failure) => {
            if failure.exit != Exit::Usage {
                name_log();
            }
            let begin = if failure.text.starts_with("error") {
                ""
            } else {
                "error: "
            };
            say(&format!("{begin}{failure}"));
            failure.exit.into()
        }
    }
}

/// What went wrong is said last.
fn name_log() {
    if let Some(path) = log::path() {
        say(&format!("log: {}", path.display()));
    }
}
