//! Signals as Docker writes them: by name, with or without `SIG`, or by number.

use std::io;

use nix::sys::signal::Signal;

pub(super) const KILL: i32 = Signal::SIGKILL as i32;
pub(super) const TERM: i32 = Signal::SIGTERM as i32;
pub(super) const INT: i32 = Signal::SIGINT as i32;
/// The first and the last real-time signal (signal(7)), as Docker counts them.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// The signal's number, if it is one.
pub(super) fn number(text: &str) -> Option<i32> {
    let text = text.trim().to_ascii_uppercase();
    if let Ok(number) = text.parse() {
        return (1..=RTMAX).contains(&number).then_some(number);
    }
    let name = text.strip_prefix("SIG").unwrap_or(&text);
    for (real_time, number) in [("RTMIN", RTMIN), ("RTMAX", RTMAX)] {
        match name.strip_prefix(real_time) {
            Some("") => return Some(number),
            Some(offset) => return Some(number + offset.parse::<i32>().ok()?),
            None => {}
        }
    }
    Some(format!("SIG{name}").parse::<Signal>().ok()? as i32)
}

/// The stop signal of a container: SIGTERM if it has none.
pub(super) fn number_or_term(text: Option<&str>) -> i32 {
    text.and_then(number).unwrap_or(TERM)
}

/// Sends a signal to a process. It is no error that the process has ended meanwhile.
pub(super) fn send(process: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two numbers. nix knows no real-time signals, which a container may ask for.
    #[allow(unsafe_code)]
    let sent = unsafe { nix::libc::kill(process, signal) };
    match io::Error::last_os_error() {
        _ if sent == 0 => Ok(()),
        error if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_docker_are_read() {
        for (text, signal) in [
            ("SIGINT", Some(INT)),
            ("quit", Some(3)),
            ("15", Some(TERM)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGNOTHING", None),
            ("0", None),
            ("", None),
        ] {
            assert_eq!(number(text), signal, "{text}");
        }
        assert_eq!(number_or_term(None), TERM);
        assert_eq!(number_or_term(Some("")), TERM);
    }
}
