//! HTTP over Docker's socket: one request on a connection of its own. What the paths and answers mean is
//! not known here.

use std::error::Error;
use std::io;
use std::path::Path;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// The whole body.
    pub(super) body: Bytes,
}

/// Why there is no answer, in words.
#[derive(Debug)]
pub(super) struct NoAnswer(pub(super) String);

impl NoAnswer {
    fn of(error: &dyn Error) -> Self {
        Self(root_cause(error))
    }
}

/// Sends a request and reads the answer to its end. `body` is JSON.
pub(super) async fn request(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<String>,
) -> Result<Answer, NoAnswer> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NoAnswer("there is no such socket".to_owned()),
            _ => NoAnswer::of(&error),
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| NoAnswer::of(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("Host", "docker")
        .header("Connection", "close")
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(|error| NoAnswer::of(&error))?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer { status, body })
    };
    // Both at once: the connection carries what the exchange says and hears.
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        closed = connection => match closed {
            Err(error) => Err(error),
            Ok(()) => exchange.await,
        },
    }
    .map_err(|error| NoAnswer::of(&error))
}

/// A value in a path or a query.
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

/// What is at the bottom of an error. hyper says only "client error" at the top.
fn root_cause(error: &dyn Error) -> String {
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
