//! The SDK's way to EC2, over connections of `source`: the one that the SDK would make is bound to the address that
//! the kernel chooses, and when EC2 has moved that address away, EC2 itself can not be asked for it.

use std::future::Future;
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

use crate::source;

/// The client; none when a proxy is to be asked for `endpoint`, or when there are no certificate authorities: the SDK
/// has its own words for that.
pub(crate) fn client(connect: Duration, endpoint: &str) -> Option<SharedHttpClient> {
    if is_behind(&Matcher::from_env(), endpoint) {
        return None;
    }
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
        .ok()?
        .https_or_http()
        .enable_http1()
        .wrap_connector(FromAnySource { limit: connect });
    let over = Over(Client::builder(TokioExecutor::new()).build(tls));
    let over = SharedHttpConnector::new(over);
    Some(http_client_fn(move |_, _| over.clone()))
}

/// Whether the SDK would ask one of these proxies: it takes them from the environment by the same rules.
fn is_behind(proxies: &Matcher, endpoint: &str) -> bool {
    let endpoint = endpoint.parse::<Uri>();
    endpoint.is_ok_and(|endpoint| proxies.intercept(&endpoint).is_some())
}

#[derive(Debug, Clone)]
struct Over(Client<HttpsConnector<FromAnySource>, SdkBody>);

impl HttpConnector for Over {
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

/// Makes the TCP connections.
#[derive(Debug, Clone)]
struct FromAnySource {
    /// For one address of EC2's.
    limit: Duration,
}

impl Service<Uri> for FromAnySource {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_matches(['[', ']']);
            let usual = if uri.scheme_str() == Some("http") {
                80
            } else {
                443
            };
            let port = uri.port_u16().unwrap_or(usual);
            let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for to in tokio::net::lookup_host((host, port)).await? {
                let connected = move || source::connect(to, Instant::now() + limit);
                match tokio::task::spawn_blocking(connected).await? {
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
    fn only_a_proxy_that_is_for_the_endpoint_counts() {
        assert!(is_behind(&proxies().build(), EC2));
        let all = Matcher::builder().all("http://proxy.example.com:3128");
        assert!(is_behind(&all.build(), EC2));
        let http = Matcher::builder().http("http://proxy.example.com:3128");
        assert!(
            !is_behind(&http.build(), EC2),
            "HTTP_PROXY is not for https"
        );
        assert!(!is_behind(&Matcher::builder().build(), EC2));
    }

    #[test]
    fn no_proxy_excepts_the_endpoint() {
        for except in [
            "*",
            "amazonaws.com",
            "localhost, .amazonaws.com",
            "ec2.us-west-1.amazonaws.com",
        ] {
            assert!(!is_behind(&proxies().no(except).build(), EC2), "{except}");
        }
        for other in ["localhost", "169.254.169.254", "aws.com"] {
            assert!(is_behind(&proxies().no(other).build(), EC2), "{other}");
        }
    }
}
