//! What is printed, and where: what was asked for on standard output, everything else on standard error, each event
//! a plain line. What goes on is in `progress.rs`.

mod progress;

use std::io::{self, Write as _};

use crate::exit::Failure;
use crate::log;

use progress::aside;
pub use progress::{Progress, Still};

/// Says something on standard error. A terminal that is gone must not end a change in the middle.
pub fn say(text: &str) {
    log::line(text);
    let _ = aside(|| writeln!(io::stderr(), "{text}"));
}

/// Prints a line of what was asked for. As with [`say`], nobody may be there to read it.
pub fn tell(line: &str) {
    log::line(line);
    let mut stdout = io::stdout();
    let _ = aside(|| writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Prints all of what was asked for.
///
/// # Errors
/// It could not be written. A reader that has seen enough (`| head`) is none.
pub fn print(text: &str) -> Result<(), Failure> {
    log::line(text);
    let mut stdout = io::stdout();
    let written = aside(|| {
        let written = stdout.write_all(text.as_bytes());
        written.and_then(|()| stdout.flush())
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::failed(format!(
            "could not write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Prints something as JSON.
///
/// # Errors
/// It could not be written.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::failed(format!("could not make JSON: {error}")))?;
    print(&format!("{text}\n"))
}
