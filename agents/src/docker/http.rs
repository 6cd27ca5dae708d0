//! HTTP over Docker's socket: one request on a connection of its own. The paths and answers mean nothing here.

use std::error::Error;
use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::UnixStream;

/// Sends a request and returns the answer's HTTP status and body, or why there is no answer. `body` is JSON.
pub(super) async fn request(
    socket: &Path,
    method: Method,
    path: &str,
    body: String,
) -> Result<(u16, Bytes), String> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        _ => error.to_string(),
    })?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "docker")
        .header("Connection", "close")
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body)));
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let answer = async {
            let answer = sender.send_request(request?).await?;
            let status = answer.status().as_u16();
            Ok((status, answer.into_body().collect().await?.to_bytes()))
        };
        // The connection has to be polled too: it carries the bytes of the exchange.
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            closed = connection => {
                closed?;
                answer.await
            }
        }
    };
    exchange.await.map_err(|error: Box<dyn Error>| {
        // The last cause tells. hyper's own text is only "client error".
        let mut root: &dyn Error = error.as_ref();
        while let Some(cause) = root.source() {
            root = cause;
        }
        root.to_string()
    })
}

/// Escapes a value for a path or a query.
pub(super) fn escaped(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_a_query() {
        assert_eq!(
            escaped(r#"{"label":["a=b c"]}"#),
            "%7B%22label%22%3A%5B%22a%3Db%20c%22%5D%7D"
        );
    }
}
