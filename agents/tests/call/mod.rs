//! Calling an agent as Pacemaker does, and a metadata service for it to ask.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const AGENTS: [(&str, &str); 5] = [
    ("awseip", env!("CARGO_BIN_EXE_awseip")),
    ("awsvip", env!("CARGO_BIN_EXE_awsvip")),
    ("awsebs", env!("CARGO_BIN_EXE_awsebs")),
    ("awsipsrcaddr", env!("CARGO_BIN_EXE_awsipsrcaddr")),
    ("pbx", env!("CARGO_BIN_EXE_pbx")),
];

/// A port of this host where nobody listens.
pub(crate) const NOBODY: &str = "http://127.0.0.1:9";

pub(crate) fn binary(agent: &str) -> &'static str {
    AGENTS.iter().find(|(name, _)| *name == agent).unwrap().1
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Answer {
    /// What is said to Pacemaker.
    pub(crate) fn reason(&self) -> String {
        self.stderr
            .lines()
            .filter_map(|line| line.strip_prefix("ocf-exit-reason:"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A call of an agent with an environment of its own, without HOME, and with nobody behind
/// the metadata service's address.
pub(crate) struct Call {
    command: Command,
}

impl Call {
    pub(crate) fn of(agent: &str, action: &str) -> Self {
        Self::through(&[binary(agent)], action)
    }

    /// A call by way of another program.
    pub(crate) fn through(words: &[&str], action: &str) -> Self {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args((!action.is_empty()).then_some(action))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOBODY)
            .env("OCF_RESKEY_CRM_meta_timeout", "20000");
        Self { command }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn parameter(self, name: &str, value: &str) -> Self {
        self.set(&format!("OCF_RESKEY_{name}"), value)
    }

    pub(crate) fn run(mut self) -> Answer {
        let began = Instant::now();
        let Output {
            status,
            stdout,
            stderr,
        } = self.command.output().unwrap();
        Answer {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            took: began.elapsed(),
        }
    }
}

/// A metadata service, version 2, that answers with what it is given.
pub(crate) struct Metadata {
    pub(crate) endpoint: String,
    items: Arc<Mutex<Option<BTreeMap<String, String>>>>,
}

impl Metadata {
    pub(crate) fn with(items: &[(&str, &str)]) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap(), items)
    }

    pub(crate) fn at(listener: TcpListener, items: &[(&str, &str)]) -> Self {
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = Self {
            endpoint,
            items: Arc::default(),
        };
        service.set(items);
        let items = Arc::clone(&service.items);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let items = Arc::clone(&items);
                std::thread::spawn(move || {
                    let _ = serve(stream, &items);
                });
            }
        });
        service
    }

    pub(crate) fn set(&self, items: &[(&str, &str)]) {
        let items = items
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        *self.items.lock().unwrap() = Some(items);
    }

    /// From now on every request fails with 503.
    pub(crate) fn fail(&self) {
        *self.items.lock().unwrap() = None;
    }
}

fn serve(
    stream: TcpStream,
    items: &Mutex<Option<BTreeMap<String, String>>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut token = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            token |= header.to_ascii_lowercase().trim() == "x-aws-ec2-metadata-token: sesame";
            if header.trim().is_empty() {
                break;
            }
        }
        let (status, body) = match (&*items.lock().unwrap(), request.split_whitespace().nth(1)) {
            (None, _) => (503, String::new()),
            (_, Some("/latest/api/token")) if request.starts_with("PUT ") => {
                (200, "sesame".to_owned())
            }
            _ if !token => (401, String::new()),
            (Some(items), Some(path)) => {
                match items.get(path.trim_start_matches("/latest/meta-data/")) {
                    Some(item) => (200, item.clone()),
                    None => (404, String::new()),
                }
            }
            _ => (400, String::new()),
        };
        write!(
            writer,
            "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
