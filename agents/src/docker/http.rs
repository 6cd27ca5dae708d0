//! HTTP over Docker's socket: one request on a connection of its own. The paths and answers mean nothing here.

use std::error::Error;
use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Sends a request and returns the answer's HTTP status and body, or why there is no answer. `body` is JSON.
pub(super) async fn request(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<(u16, Bytes), String> {
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        _ => error.to_string(),
    })?;
    let answer = exchange(stream, method, path, body).await;
    answer.map_err(|error| root_cause(error.as_ref()))
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<(u16, Bytes), Box<dyn Error>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "docker")
        .header("Connection", "close")
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    };
    // The connection has to be polled too: it carries the bytes of the exchange.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        closed = connection => {
            closed?;
            exchange.await
        }
    }
}

/// Escapes a value for a path or a query.
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The last cause of an error. hyper's own text is only "client error".
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
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
