//! One HTTP or HTTPS request to the lab's model and nothing else: the floor that `lab bench` shows
//! beside the agents. It trusts one certificate, and looks at the first line of the answer only.
//!
//! `bare-request http 169.254.169.254`, `bare-request https ec2.us-west-1.amazonaws.com CA.pem`

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn main() -> ExitCode {
    match request() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare-request: {error}");
            ExitCode::FAILURE
        }
    }
}

fn request() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["http", host] => ask(TcpStream::connect((host, 80))?, host)?,
        ["https", host, authority] => ask(tls(host, authority)?, host)?,
        _ => return Err("usage: bare-request http HOST | https HOST CA.pem".into()),
    }
    Ok(())
}

fn tls(
    host: &str,
    authority: &str,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned())?;
    let connection = ClientConnection::new(Arc::new(config), name)?;
    Ok(StreamOwned::new(
        connection,
        TcpStream::connect((host, 443))?,
    ))
}

/// Any status will do: it was answered.
fn ask(mut stream: impl Read + Write, host: &str) -> io::Result<()> {
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.starts_with("HTTP/1.1 ") {
        return Ok(());
    }
    Err(io::Error::other(format!("no HTTP answer: {line:?}")))
}
