//! Asking what a PBX offers: SIP OPTIONS over UDP (RFC 3261, 11), and the first message of a TLS
//! handshake (RFC 5246, 7.4.1.2), which takes no certificate and no TLS library.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// RFC 3261's T1: the time after which a request is sent again, doubled each time.
const T1: Duration = Duration::from_millis(500);

/// Sends OPTIONS until something answers in SIP. Any status will do: a server that refuses serves.
pub(super) async fn sip_options(address: Ipv4Addr, port: u16, limit: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect((address, port)).await?;
    let from = socket.local_addr()?;
    let tag = std::process::id();
    let request = format!(
        "OPTIONS sip:{address}:{port} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {from};branch=z9hG4bK-monitor-{tag};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:monitor@{ip}>;tag={tag}\r\n\
         To: <sip:{address}>\r\n\
         Call-ID: monitor-{tag}-{local}@{ip}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:monitor@{from}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n",
        ip = from.ip(),
        local = from.port(),
    );
    let end = Instant::now() + limit;
    let mut again = T1;
    loop {
        socket.send(request.as_bytes()).await?;
        let wait = again.min(end.saturating_duration_since(Instant::now()));
        let mut answer = [0; 2048];
        match timeout(wait, socket.recv(&mut answer)).await {
            Ok(Ok(length)) if answer[..length].starts_with(b"SIP/2.0 ") => return Ok(()),
            Ok(Ok(_)) => return Err(io::Error::other("what answers does not speak SIP")),
            // Nobody listens. It may in a moment, but a monitor asks about now.
            Ok(Err(error)) => return Err(error),
            Err(_) if Instant::now() >= end => {
                return Err(io::Error::other(format!(
                    "no answer in {:.1} s",
                    limit.as_secs_f32()
                )));
            }
            Err(_) => again *= 2,
        }
    }
}

/// Sends a ClientHello and waits for a TLS record. An alert will do as well: it is TLS that
/// answers, and which versions and ciphers it wants is not asked.
pub(super) async fn tls_hello(address: Ipv4Addr, port: u16, limit: Duration) -> io::Result<()> {
    let talk = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream.write_all(&client_hello()).await?;
        let mut head = [0; 3];
        stream.read_exact(&mut head).await?;
        match head {
            // A handshake or an alert, of SSL 3.0 or TLS 1.x.
            [0x16 | 0x15, 3, _] => Ok(()),
            _ => Err(io::Error::other("what answers does not speak TLS")),
        }
    };
    timeout(limit, talk).await.unwrap_or_else(|_| {
        Err(io::Error::other(format!(
            "no answer in {:.1} s",
            limit.as_secs_f32()
        )))
    })
}

/// A TLS 1.2 ClientHello without a session and with the usual suites and curves.
fn client_hello() -> Vec<u8> {
    const SUITES: [u8; 12] = [
        0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2c, 0x00, 0x9c, 0x00, 0x9d,
    ];
    const EXTENSIONS: &[u8] = &[
        // supported_groups: x25519, secp256r1, secp384r1
        0x00, 0x0a, 0x00, 0x08, 0x00, 0x06, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18,
        // ec_point_formats: uncompressed
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00,
        // signature_algorithms: ECDSA, RSA-PSS and RSA with SHA-256 and SHA-384
        0x00, 0x0d, 0x00, 0x0e, 0x00, 0x0c, 0x04, 0x03, 0x05, 0x03, 0x08, 0x04, 0x08, 0x05, 0x04,
        0x01, 0x05, 0x01,
    ];
    let mut body = vec![3, 3];
    // The random bytes protect a secret. There is none.
    body.extend([0x70; 32]);
    body.push(0);
    body.extend([0, SUITES.len() as u8]);
    body.extend(SUITES);
    body.extend([1, 0]);
    body.extend([0, EXTENSIONS.len() as u8]);
    body.extend(EXTENSIONS);
    let mut handshake = vec![1, 0, 0, body.len() as u8];
    handshake.extend(body);
    let mut record = vec![0x16, 3, 1, 0, handshake.len() as u8];
    record.extend(handshake);
    record
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
    const LIMIT: Duration = Duration::from_millis(1200);

    #[tokio::test(flavor = "current_thread")]
    async fn any_sip_answer_will_do_even_to_the_second_request() {
        let server = UdpSocket::bind((HERE, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let serve = async {
            let mut request = [0; 2048];
            server.recv(&mut request).await.unwrap();
            let (length, from) = server.recv_from(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"OPTIONS sip:127.0.0.1"));
            server
                .send_to(b"SIP/2.0 404 Not Here\r\n\r\n", from)
                .await
                .unwrap();
        };
        let (asked, ()) = tokio::join!(sip_options(HERE, port, LIMIT), serve);
        asked.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_silent_sip_server_is_an_error_after_the_limit() {
        let server = UdpSocket::bind((HERE, 0)).await.unwrap();
        let began = Instant::now();
        let port = server.local_addr().unwrap().port();
        assert!(sip_options(HERE, port, LIMIT).await.is_err());
        assert!(began.elapsed() >= LIMIT && began.elapsed() < 3 * LIMIT);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn tls_answers_in_records_and_other_servers_do_not() {
        for (answer, speaks_tls) in [
            (&b"\x16\x03\x03\x00\x31"[..], true),
            (b"\x15\x03\x01\x00\x02", true),
            (b"HTTP/1.1 400", false),
        ] {
            let listener = TcpListener::bind((HERE, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 5];
                stream.read_exact(&mut hello).await.unwrap();
                assert_eq!(&hello[..4], &[0x16, 3, 1, 0]);
                let mut rest = vec![0; hello[4].into()];
                stream.read_exact(&mut rest).await.unwrap();
                stream.write_all(answer).await.unwrap();
            };
            let (asked, ()) = tokio::join!(tls_hello(HERE, port, LIMIT), serve);
            assert_eq!(asked.is_ok(), speaks_tls, "{answer:?}");
        }
    }
}
