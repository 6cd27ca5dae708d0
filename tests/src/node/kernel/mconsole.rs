//! The management console of a user-mode-Linux kernel: one datagram asks, one or more answer.
//! What is asked is the machine's business. Layout: the kernel's arch/um/drivers/mconsole.h.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Room for a command in a request.
const COMMAND: usize = 512;
/// Error, "more follows" and length, each a u32, in front of an answer's text.
const ANSWER_HEADER: usize = 12;
/// A guest answers from its interrupt handler or a work queue: at once, or when the host lets it run.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The kernel refused it. Its message.
    #[error("the kernel answered: {0}")]
    Refused(String),
    /// No answer: the kernel does not run yet, or no longer.
    #[error("no answer at {socket}: {source}")]
    Unreachable {
        /// The kernel's socket.
        socket: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Sends `command` to the kernel whose socket is `socket` and returns its answer.
pub(super) fn ask(socket: &Path, command: &str) -> Result<String, Failure> {
    converse(socket, command).map_err(|source| Failure::Unreachable {
        socket: socket.to_owned(),
        source,
    })?
}

fn converse(socket: &Path, command: &str) -> io::Result<Result<String, Failure>> {
    let request = request(command)?;
    let own = ReplySocket::beside(socket)?;
    own.datagram.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    own.datagram.send_to(&request, socket)?;
    let mut text = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let size = own.datagram.recv(&mut buffer)?;
        let answer = Answer::parse(&buffer[..size])?;
        text.extend_from_slice(answer.text);
        if answer.more {
            continue;
        }
        let said = String::from_utf8_lossy(&text).into_owned();
        return Ok(if answer.error {
            Err(Failure::Refused(said))
        } else {
            Ok(said)
        });
    }
}

fn request(command: &str) -> io::Result<Vec<u8>> {
    if command.len() >= COMMAND {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{command}` is longer than the {COMMAND} bytes of a request"),
        ));
    }
    let length = command.len() as u32;
    let mut bytes = Vec::with_capacity(ANSWER_HEADER + COMMAND);
    for field in [MAGIC, VERSION, length] {
        bytes.extend_from_slice(&field.to_ne_bytes());
    }
    bytes.extend_from_slice(command.as_bytes());
    bytes.resize(ANSWER_HEADER + COMMAND, 0);
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
struct Answer<'a> {
    error: bool,
    more: bool,
    text: &'a [u8],
}

impl<'a> Answer<'a> {
    fn parse(bytes: &'a [u8]) -> io::Result<Self> {
        let field = |index: usize| {
            let at = index * 4;
            bytes
                .get(at..at + 4)
                .and_then(|b| <[u8; 4]>::try_from(b).ok())
                .map(u32::from_ne_bytes)
        };
        let (Some(error), Some(more), Some(length)) = (field(0), field(1), field(2)) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an answer of {} bytes, which is no answer", bytes.len()),
            ));
        };
        let text = &bytes[ANSWER_HEADER..];
        let text = &text[..text.len().min(length as usize)];
        // The kernel counts the terminating zero as part of the text.
        let text = text.strip_suffix(&[0]).unwrap_or(text);
        Ok(Self {
            error: error != 0,
            more: more != 0,
            text,
        })
    }
}

/// A socket with a name, which the kernel answers to; gone when dropped.
struct ReplySocket {
    datagram: UnixDatagram,
    path: PathBuf,
}

impl ReplySocket {
    fn beside(socket: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "answer.{}.{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = socket.with_file_name(name);
        let datagram = UnixDatagram::bind(&path)?;
        Ok(Self { datagram, path })
    }
}

impl Drop for ReplySocket {
    fn drop(&mut self) {
        // The directory may have gone with its kernel.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn answer(error: u32, more: u32, length: u32, text: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [error, more, length] {
            bytes.extend_from_slice(&field.to_ne_bytes());
        }
        bytes.extend_from_slice(text);
        bytes
    }

    /// A kernel that answers one request with `answers`, and what it was asked.
    fn ask_a_kernel(answers: Vec<Vec<u8>>, command: &str) -> (Result<String, Failure>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("mconsole");
        let kernel = UnixDatagram::bind(&socket).unwrap();
        let thread = std::thread::spawn(move || {
            let mut request = [0; 1024];
            let (size, from) = kernel.recv_from(&mut request).unwrap();
            for bytes in answers {
                kernel.send_to(&bytes, from.as_pathname().unwrap()).unwrap();
            }
            request[..size].to_vec()
        });
        let result = ask(&socket, command);
        (result, thread.join().unwrap())
    }

    #[test]
    fn a_request_is_magic_version_length_and_a_padded_command() {
        let (result, request) = ask_a_kernel(vec![answer(0, 0, 3, b"ok\0")], "version");
        assert_eq!(result.unwrap(), "ok");
        assert_eq!(request.len(), 524);
        assert_eq!(request[..4], 0xcafe_babe_u32.to_ne_bytes());
        assert_eq!(request[4..8], 2_u32.to_ne_bytes());
        assert_eq!(request[8..12], 7_u32.to_ne_bytes());
        assert_eq!(&request[12..20], b"version\0");
    }

    #[test]
    fn an_answer_in_parts_is_put_together() {
        let parts = vec![answer(0, 1, 5, b"conf\0"), answer(0, 0, 4, b"igs\0")];
        assert_eq!(ask_a_kernel(parts, "help").0.unwrap(), "configs");
    }

    #[test]
    fn a_refusal_carries_the_kernels_words() {
        let busy = answer(-16_i32 as u32, 0, 25, b"Device is currently open\0");
        match ask_a_kernel(vec![busy], "remove ubdb").0 {
            Err(Failure::Refused(said)) => assert_eq!(said, "Device is currently open"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_kernel_that_is_not_there_is_unreachable_and_not_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let result = ask(&dir.path().join("mconsole"), "version");
        assert!(
            matches!(result, Err(Failure::Unreachable { .. })),
            "{result:?}"
        );
    }

    #[test]
    fn a_command_that_does_not_fit_is_not_cut_short() {
        assert!(request(&"x".repeat(512)).is_err());
        assert_eq!(request(&"x".repeat(511)).unwrap().len(), 524);
    }

    #[test]
    fn a_short_answer_is_an_error() {
        assert!(Answer::parse(&[0; 11]).is_err());
    }
}
