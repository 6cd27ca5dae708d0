//! The HTTP client of the AWS SDK, over connections of `source.rs`. The SDK's own client sends from the address that
//! the kernel chooses, which is the virtual address; after EC2 has moved it away, EC2 itself could not be asked.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower_service::Service;

use super::source;

/// The client. `None` if a proxy is used for `endpoint`, or if no certificate authorities are installed: then the
/// SDK's own client is used, which reports that itself.
pub(crate) fn client(connect_timeout: Duration, endpoint: &str) -> Option<SharedHttpClient> {
    if uses_proxy(&Matcher::from_env(), endpoint) {
        return None;
    }
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
        .ok()?
        .https_or_http()
        .enable_http1()
        .wrap_connector(TcpConnector(connect_timeout));
    let client = Client::builder(TokioExecutor::new()).build(tls);
    let connector = SharedHttpConnector::new(HyperConnector(client));
    Some(http_client_fn(move |_, _| connector.clone()))
}

/// Whether the SDK would use one of these proxies. It reads the same environment variables by the same rules.
fn uses_proxy(proxies: &Matcher, endpoint: &str) -> bool {
    let endpoint = endpoint.parse::<Uri>();
    endpoint.is_ok_and(|endpoint| proxies.intercept(&endpoint).is_some())
}

/// The SDK's interface to hyper.
#[derive(Debug, Clone)]
struct HyperConnector(Client<HttpsConnector<TcpConnector>, SdkBody>);

impl HttpConnector for HyperConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let answer = client.request(request).await;
            let answer = answer.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Makes the TCP connections. The time limit is for one address of EC2.
#[derive(Debug, Clone)]
struct TcpConnector(Duration);

impl Service<Uri> for TcpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.0;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let is_http = uri.scheme_str() == Some("http");
            let port = uri.port_u16().unwrap_or(if is_http { 80 } else { 443 });
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for to in tokio::net::lookup_host((host, port)).await? {
                let connect = move || source::connect(to, Instant::now() + limit);
                match tokio::task::spawn_blocking(connect).await? {
                    Ok(stream) => {
                        stream.set_nonblocking(true)?;
                        return Ok(TokioIo::new(TcpStream::from_std(stream)?));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC2: &str = "https://ec2.us-west-1.amazonaws.com";

    fn proxies() -> hyper_util::client::proxy::matcher::Builder {
        Matcher::builder().https("http://proxy.example.com:3128")
    }

    #[test]
    fn only_a_proxy_for_the_endpoint_counts() {
        assert!(uses_proxy(&proxies().build(), EC2));
        let all = Matcher::builder().all("http://proxy.example.com:3128");
        assert!(uses_proxy(&all.build(), EC2));
        let http = Matcher::builder().http("http://proxy.example.com:3128");
        assert!(
            !uses_proxy(&http.build(), EC2),
            "HTTP_PROXY is not for https"
        );
        assert!(!uses_proxy(&Matcher::builder().build(), EC2));
    }

    #[test]
    fn no_proxy_names_exceptions() {
        for except in [
            "*",
            "amazonaws.com",
            "localhost, .amazonaws.com",
            "ec2.us-west-1.amazonaws.com",
        ] {
            assert!(!uses_proxy(&proxies().no(except).build(), EC2), "{except}");
        }
        for other in ["localhost", "169.254.169.254", "aws.com"] {
            assert!(uses_proxy(&proxies().no(other).build(), EC2), "{other}");
        }
    }
}
