//! A telephone on the Internet that asks the public address for its OPTIONS (RFC 3261, section 11),
//! ten times a second, and notes when it was answered.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::netns;
use crate::world::Error;

const INTERVAL: Duration = Duration::from_millis(100);

/// The running telephone.
pub struct Phone {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<SystemTime>>>,
    thread: Option<JoinHandle<()>>,
}

impl Phone {
    /// Starts to ask `server` from `own` address, inside the network namespace.
    ///
    /// # Errors
    /// When no socket can be opened there.
    pub fn start(namespace: &str, own: Ipv4Addr, server: Ipv4Addr) -> Result<Self, Error> {
        let socket = netns::in_namespace(namespace, || Ok(UdpSocket::bind((own, 0))?))?;
        socket.set_read_timeout(Some(INTERVAL))?;
        let stop = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(Vec::new()));
        let thread = {
            let (stop, answers) = (stop.clone(), answers.clone());
            std::thread::spawn(move || ask(&socket, server, &stop, &answers))
        };
        Ok(Self {
            stop,
            answers,
            thread: Some(thread),
        })
    }

    /// When it was answered, oldest first.
    pub fn answers(&self) -> Vec<SystemTime> {
        match self.answers.lock() {
            Ok(answers) => answers.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }

    /// The first answer after `moment`.
    pub fn first_after(&self, moment: SystemTime) -> Option<SystemTime> {
        self.answers().into_iter().find(|at| *at > moment)
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn ask(socket: &UdpSocket, server: Ipv4Addr, stop: &AtomicBool, answers: &Mutex<Vec<SystemTime>>) {
    let mut sequence = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        sequence += 1;
        let call_id = format!("{sequence}-{}", std::process::id());
        let round = Instant::now();
        // While the address is nowhere, sending can fail (no route); that is no answer.
        let _ = socket.send_to(
            options(socket, server, &call_id, sequence).as_bytes(),
            (server, 5060),
        );
        let mut buffer = [0_u8; 4096];
        while let Some(left) = INTERVAL
            .checked_sub(round.elapsed())
            .filter(|l| !l.is_zero())
        {
            if socket.set_read_timeout(Some(left)).is_err() {
                break;
            }
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            if answered(&buffer[..length], from, server, &call_id)
                && let Ok(mut answers) = answers.lock()
            {
                answers.push(SystemTime::now());
            }
        }
    }
}

fn options(socket: &UdpSocket, server: Ipv4Addr, call_id: &str, sequence: u64) -> String {
    let own = socket
        .local_addr()
        .map_or_else(|_| "0.0.0.0:0".to_owned(), |address| address.to_string());
    format!(
        "OPTIONS sip:{server} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {own};branch=z9hG4bK{call_id};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:phone@{own}>;tag={sequence}\r\n\
         To: <sip:{server}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: {sequence} OPTIONS\r\n\
         Contact: <sip:phone@{own}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// An answer counts when it is a 200, to this question, from the address that was asked.
fn answered(message: &[u8], from: SocketAddr, server: Ipv4Addr, call_id: &str) -> bool {
    let text = String::from_utf8_lossy(message);
    from.ip() == server
        && text.starts_with("SIP/2.0 200 ")
        && text.lines().any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                (name.eq_ignore_ascii_case("call-id") || name.eq_ignore_ascii_case("i"))
                    && value.trim() == call_id
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(54, 151, 30, 9);

    fn from(address: Ipv4Addr) -> SocketAddr {
        (address, 5060).into()
    }

    #[test]
    fn a_200_to_this_question_is_an_answer() {
        let message = b"SIP/2.0 200 OK\r\nCall-ID: 7-1\r\n\r\n";
        assert!(answered(message, from(SERVER), SERVER, "7-1"));
    }

    #[test]
    fn anything_else_is_not() {
        let other_call = b"SIP/2.0 200 OK\r\nCall-ID: 6-1\r\n\r\n";
        assert!(!answered(other_call, from(SERVER), SERVER, "7-1"));
        let refusal = b"SIP/2.0 503 Service Unavailable\r\nCall-ID: 7-1\r\n\r\n";
        assert!(!answered(refusal, from(SERVER), SERVER, "7-1"));
        let wrong_source = b"SIP/2.0 200 OK\r\nCall-ID: 7-1\r\n\r\n";
        let private = Ipv4Addr::new(172, 31, 16, 133);
        assert!(!answered(wrong_source, from(private), SERVER, "7-1"));
    }
}
