//! The services of a PBX, and how to ask whether they answer: SIP OPTIONS over UDP and TCP (RFC 3261, 11),
//! and the first message of a TLS handshake (RFC 5246, 7.4.1.2), which takes no certificate and no TLS library.
//! `answers` decides what an answer or its absence means for the resource.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::ocf::params::Value;

/// RFC 3261's T1: the time after which a request over UDP is sent again. It is doubled each time, up to T2.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// The backoff after an attempt that was refused. It is doubled each time, up to the maximum.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// The first bytes of every SIP response (RFC 3261, 7.2).
const RESPONSE: &[u8; 8] = b"SIP/2.0 ";

/// The values of the parameter `sip_transport`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SipTransport {
    Udp,
    Tcp,
    Tls,
    /// SIP is not asked.
    None,
}

impl Value for SipTransport {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            "tls" => Ok(Self::Tls),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` is none of udp, tcp, tls and none")),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Protocol {
    SipUdp,
    SipTcp,
    SipTls,
    WebPortal,
}

/// A service of the PBX, and its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    protocol: Protocol,
    at: SocketAddrV4,
}

impl Service {
    /// SIP, unless it is not to be asked. Without a port, the one that PortSIP gives the transport
    /// (<https://support.portsip.com/portsip-communications-solution/portsip-pbx-administration-guide/6-transport-management>).
    pub(super) fn sip(transport: SipTransport, ip: Ipv4Addr, port: Option<u16>) -> Option<Self> {
        let (protocol, default) = match transport {
            SipTransport::Udp => (Protocol::SipUdp, 5060),
            SipTransport::Tcp => (Protocol::SipTcp, 5063),
            SipTransport::Tls => (Protocol::SipTls, 5061),
            SipTransport::None => return None,
        };
        let at = SocketAddrV4::new(ip, port.unwrap_or(default));
        Some(Self { protocol, at })
    }

    pub(super) fn web_portal(ip: Ipv4Addr, port: u16) -> Self {
        let (protocol, at) = (Protocol::WebPortal, SocketAddrV4::new(ip, port));
        Self { protocol, at }
    }

    /// Asks until the service answers, for as long as `limit`. A refusal does not end it: a program that is
    /// about to listen refuses too. An error says what came back last.
    pub(super) async fn wait_for_answer(self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        let silence = format!("no answer in {:.1} s", limit.as_secs_f32());
        let mut backoff = MIN_BACKOFF;
        loop {
            let error = match timeout_at(end, self.ask()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => return Err(silence),
            };
            if timeout_at(end, sleep(backoff)).await.is_err() {
                return Err(format!("{silence}: {error}"));
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Asks once. Returns when there is an answer or an error, which may be never.
    async fn ask(self) -> io::Result<()> {
        match self.protocol {
            Protocol::SipUdp => options_over_udp(self.at).await,
            Protocol::SipTcp => options_over_tcp(self.at).await,
            Protocol::SipTls | Protocol::WebPortal => tls_hello(self.at).await,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.protocol {
            Protocol::SipUdp => "SIP over UDP",
            Protocol::SipTcp => "SIP over TCP",
            Protocol::SipTls => "SIP over TLS",
            Protocol::WebPortal => "the web portal",
        };
        write!(f, "{name} at {}", self.at)
    }
}

/// Sends OPTIONS until something answers in SIP. Any status counts: a server that refuses works.
async fn options_over_udp(to: SocketAddrV4) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(to).await?;
    let request = options("UDP", to, socket.local_addr()?);
    let mut again = T1;
    loop {
        socket.send(request.as_bytes()).await?;
        let mut answer = [0; 2048];
        match timeout(again, socket.recv(&mut answer)).await {
            Ok(Ok(length)) => return is_sip(&answer[..length]),
            Ok(Err(error)) => return Err(error),
            Err(_) => again = (again * 2).min(T2),
        }
    }
}

/// Sends OPTIONS over TCP, where the kernel retransmits.
async fn options_over_tcp(to: SocketAddrV4) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    let request = options("TCP", to, stream.local_addr()?);
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; RESPONSE.len()];
    stream.read_exact(&mut head).await?;
    is_sip(&head)
}

fn options(transport: &str, to: SocketAddrV4, from: SocketAddr) -> String {
    let tag = std::process::id();
    let parameter = transport.to_lowercase();
    format!(
        "OPTIONS sip:{to};transport={parameter} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {from};branch=z9hG4bK-monitor-{tag}-{local};rport\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:monitor@{ip}>;tag={tag}\r\n\
         To: <sip:{address}>\r\n\
         Call-ID: monitor-{tag}-{local}@{ip}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:monitor@{from};transport={parameter}>\r\n\
         Accept: application/sdp\r\n\
         Content-Length: 0\r\n\r\n",
        address = to.ip(),
        ip = from.ip(),
        local = from.port(),
    )
}

fn is_sip(answer: &[u8]) -> io::Result<()> {
    match answer.starts_with(RESPONSE) {
        true => Ok(()),
        false => Err(io::Error::other("what answers does not speak SIP")),
    }
}

/// Sends a ClientHello and waits for a TLS record. An alert counts too: it is TLS that
/// answers, and its versions and ciphers do not matter here.
async fn tls_hello(to: SocketAddrV4) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(&client_hello()).await?;
    let mut head = [0; 3];
    stream.read_exact(&mut head).await?;
    match head {
        // A handshake or an alert, of SSL 3.0 or TLS 1.x.
        [0x16 | 0x15, 3, _] => Ok(()),
        _ => Err(io::Error::other("what answers does not speak TLS")),
    }
}

/// A TLS 1.2 ClientHello without a session and with the usual suites and curves.
fn client_hello() -> Vec<u8> {
    let parts: [&[u8]; 6] = [
        // A record of 93 bytes with a handshake message of 89, of version 3.3.
        &[0x16, 3, 1, 0, 93, 1, 0, 0, 89, 3, 3],
        // The random bytes protect a secret. There is none.
        &[0x70; 32],
        // No session, six suites, no compression, 36 bytes of extensions.
        &[
            0, 0, 12, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2c, 0x00, 0x9c, 0x00, 0x9d, 1, 0,
            0, 36,
        ],
        // supported_groups: x25519, secp256r1, secp384r1
        &[0, 0x0a, 0, 8, 0, 6, 0x00, 0x1d, 0x00, 0x17, 0x00, 0x18],
        // ec_point_formats: uncompressed
        &[0, 0x0b, 0, 2, 1, 0],
        // signature_algorithms: ECDSA, RSA-PSS and RSA with SHA-256 and SHA-384
        &[0, 0x0d, 0, 14, 0, 12, 4, 3, 5, 3, 8, 4, 8, 5, 4, 1, 5, 1],
    ];
    parts.concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
    /// Nobody listens here, at a port that the test holds at the other address.
    const DESERTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
    const LIMIT: Duration = Duration::from_millis(1200);
    /// For what has to answer, on a busy machine.
    const PLENTY: Duration = Duration::from_secs(30);

    fn sip(transport: SipTransport, port: u16) -> Service {
        Service::sip(transport, HERE, Some(port)).unwrap()
    }

    async fn udp_server() -> (UdpSocket, u16) {
        let server = UdpSocket::bind((HERE, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        (server, port)
    }

    async fn tcp_server() -> (TcpListener, u16) {
        let server = TcpListener::bind((HERE, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        (server, port)
    }

    /// Answers one request, and says what it was.
    async fn answer_once(server: &TcpListener, answer: &[u8]) -> Vec<u8> {
        let (mut stream, _) = server.accept().await.unwrap();
        let mut request = vec![0; 2048];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(answer).await.unwrap();
        request.truncate(length);
        request
    }

    #[test]
    fn a_transport_has_the_port_that_the_vendor_gives_it() {
        let at = |transport, port| Service::sip(transport, HERE, port).map(|s| s.to_string());
        for (transport, port, said) in [
            (SipTransport::Udp, None, "SIP over UDP at 127.0.0.1:5060"),
            (SipTransport::Tcp, None, "SIP over TCP at 127.0.0.1:5063"),
            (SipTransport::Tls, None, "SIP over TLS at 127.0.0.1:5061"),
            (
                SipTransport::Tcp,
                Some(5070),
                "SIP over TCP at 127.0.0.1:5070",
            ),
        ] {
            assert_eq!(at(transport, port).as_deref(), Some(said));
        }
        assert_eq!(at(SipTransport::None, Some(5060)), None);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn any_sip_answer_will_do_even_to_the_second_request() {
        let (server, port) = udp_server().await;
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
        let sip = sip(SipTransport::Udp, port);
        let (asked, ()) = tokio::join!(sip.wait_for_answer(PLENTY), serve);
        asked.unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_silent_sip_server_is_an_error_after_the_limit() {
        let (_server, port) = udp_server().await;
        let began = Instant::now();
        let asked = sip(SipTransport::Udp, port).wait_for_answer(LIMIT).await;
        assert_eq!(asked.unwrap_err(), "no answer in 1.2 s");
        assert!(began.elapsed() >= LIMIT && began.elapsed() < 3 * LIMIT);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_refusal_is_an_error_only_after_the_limit() {
        let (_udp, udp) = udp_server().await;
        let (_tcp, tcp) = tcp_server().await;
        for service in [
            Service::sip(SipTransport::Udp, DESERTED, Some(udp)).unwrap(),
            Service::sip(SipTransport::Tcp, DESERTED, Some(tcp)).unwrap(),
            Service::web_portal(DESERTED, tcp),
        ] {
            let began = Instant::now();
            let said = service.wait_for_answer(LIMIT).await.unwrap_err();
            assert!(
                said.starts_with("no answer in 1.2 s: ") && said.contains("refused"),
                "{service}: {said}"
            );
            assert!(began.elapsed() >= LIMIT, "{service} was given up too early");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_begins_to_listen_after_refusals_is_heard() {
        let (_udp, udp) = udp_server().await;
        let (_tcp, tcp) = tcp_server().await;
        let serve_udp = async {
            sleep(T1).await;
            let server = UdpSocket::bind((DESERTED, udp)).await.unwrap();
            let mut request = [0; 2048];
            let (_, from) = server.recv_from(&mut request).await.unwrap();
            server.send_to(b"SIP/2.0 200 OK\r\n", from).await.unwrap();
        };
        let serve_tcp = async {
            sleep(T1).await;
            let server = TcpListener::bind((DESERTED, tcp)).await.unwrap();
            answer_once(&server, b"SIP/2.0 501 Not Implemented\r\n").await
        };
        let over_udp = Service::sip(SipTransport::Udp, DESERTED, Some(udp)).unwrap();
        let over_tcp = Service::sip(SipTransport::Tcp, DESERTED, Some(tcp)).unwrap();
        let (by_udp, (), by_tcp, request) = tokio::join!(
            over_udp.wait_for_answer(PLENTY),
            serve_udp,
            over_tcp.wait_for_answer(PLENTY),
            serve_tcp
        );
        by_udp.unwrap();
        by_tcp.unwrap();
        let request = String::from_utf8(request).unwrap();
        assert!(
            request.starts_with("OPTIONS sip:127.0.0.9") && request.contains("Via: SIP/2.0/TCP "),
            "{request}"
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn refusals_are_not_answered_with_a_flood() {
        let (server, port) = tcp_server().await;
        let sip = sip(SipTransport::Tcp, port);
        let count = async {
            let mut attempts = 0;
            while let Ok((stream, _)) = server.accept().await {
                attempts += 1;
                drop(stream);
                if attempts == 100 {
                    break;
                }
            }
            attempts
        };
        let limit = 2 * MAX_BACKOFF;
        tokio::select! {
            asked = sip.wait_for_answer(limit) => assert!(asked.is_err()),
            attempts = count => panic!("{attempts} attempts in {limit:?}"),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_answers_has_to_speak_sip() {
        let (server, port) = tcp_server().await;
        let serve = async {
            answer_once(&server, b"HTTP/1.1 400 Bad Request\r\n").await;
            std::future::pending::<()>().await
        };
        let sip = sip(SipTransport::Tcp, port);
        tokio::select! {
            asked = sip.ask() => {
                assert_eq!(asked.unwrap_err().to_string(), "what answers does not speak SIP");
            }
            () = serve => {}
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn tls_answers_in_records_and_other_servers_do_not() {
        for (answer, speaks_tls) in [
            (&b"\x16\x03\x03\x00\x31"[..], true),
            (b"\x15\x03\x01\x00\x02", true),
            (b"HTTP/1.1 400", false),
        ] {
            for protocol in [Protocol::SipTls, Protocol::WebPortal] {
                let (server, port) = tcp_server().await;
                let at = SocketAddrV4::new(HERE, port);
                let service = Service { protocol, at };
                let (asked, hello) = tokio::join!(service.ask(), answer_once(&server, answer));
                assert_eq!(asked.is_ok(), speaks_tls, "{service}: {answer:?}");
                assert_eq!(&hello[..4], &[0x16, 3, 1, 0]);
                assert_eq!(hello.len(), 5 + usize::from(hello[4]));
            }
        }
    }
}
