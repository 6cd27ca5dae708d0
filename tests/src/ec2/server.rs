//! HTTPS for the API, under EC2's real name: a certificate authority that lives as long as the
//! lab, a certificate for the endpoint, and the server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::connection::Connections;

/// What a server shows its clients, as PEM.
#[derive(Clone)]
pub struct ServerTls {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
}

/// The lab's own certificate authority. Nodes get its certificate into their trust store.
pub struct Ca {
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new one, with a new key that is never written down.
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "PortSIP HA lab");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = params.self_signed(&key)?.pem();
        Ok(Self {
            ca_pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate, for trust stores.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate for a server with these names (DNS names or addresses).
    ///
    /// # Errors
    /// When a name is not one, or the certificate cannot be made.
    pub fn leaf(&self, names: &[&str]) -> Result<ServerTls, rcgen::Error> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerTls {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// Serves `router` over HTTPS on a listener that is bound already (wherever: the lab binds it
/// in the VPC's network namespace). Returns only with an error.
///
/// # Errors
/// When the certificate is not usable or the listener fails.
pub async fn serve(listener: TcpListener, tls: ServerTls, router: axum::Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let config = RustlsConfig::from_pem(tls.cert_pem.into(), tls.key_pem.into()).await?;
    // EC2 speaks HTTP/1.1 only; the server's default would offer HTTP/2, where a signed request
    // has no Host header any more.
    let mut http1 = config.get_inner().as_ref().clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.reload_from_config(Arc::new(http1));
    let connections = Connections::default();
    let router = router.layer(connections.extension());
    axum_server::from_tcp_rustls(listener, config)?
        .map(|tls| tls.acceptor(connections))
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}

/// Serves `router` over plain HTTP: the metadata service, and tests.
///
/// # Errors
/// When the listener fails.
pub async fn serve_plain(listener: TcpListener, router: axum::Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let connections = Connections::default();
    let router = router.layer(connections.extension());
    axum_server::from_tcp(listener)?
        .acceptor(connections)
        .serve(router.into_make_service_with_connect_info::<SocketAddr>())
        .await
}
