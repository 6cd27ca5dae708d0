//! The API's HTTP endpoint: who calls, what, past the gate to the action, and the answer as XML.

use std::io;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;

use super::action;
use super::credentials::random;
use super::error::ApiError;
use super::events::Happening;
use super::query::Call;
use super::{Ec2, locked, xml};

/// Far more than any call of ours.
const BODY_LIMIT: usize = 1 << 20;

/// The API.
pub(super) fn router(ec2: &Arc<Ec2>) -> axum::Router {
    axum::Router::new().fallback(answer).with_state(ec2.clone())
}

async fn answer(State(ec2): State<Arc<Ec2>>, request: Request) -> Response {
    let request_id = random(36);
    let (status, body) = match handle(&ec2, request, &request_id).await {
        Ok(body) => (200, Ok(body)),
        Err(error) => (error.status, xml::refusal(&error, &request_id)),
    };
    respond(status, body).unwrap_or_else(|error| {
        tracing::error!("could not write an answer of the EC2 model: {error}");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn respond(status: u16, body: io::Result<Vec<u8>>) -> Result<Response, Box<dyn std::error::Error>> {
    Ok(Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/xml;charset=UTF-8")
        .header(header::SERVER, "AmazonEC2")
        .body(body?.into())?)
}

async fn handle(ec2: &Arc<Ec2>, request: Request, request_id: &str) -> Result<Vec<u8>, ApiError> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|error| ApiError::client("MalformedQueryString", error.to_string()))?;
    let call = if parts.method == Method::GET {
        Call::parse(parts.uri.query().unwrap_or_default().as_bytes())?
    } else {
        Call::parse(&body)?
    };
    let began = ec2.events.now();
    let caller = locked(&ec2.keys).caller(&parts, &body);
    let outcome = caller.clone().and_then(|_| {
        ec2.pass_gate(&call)?;
        action::handle(ec2, &call)
    });
    ec2.events.add_at(
        began,
        Happening::Call {
            action: call.action.clone(),
            parameters: call.parameters.into_iter().collect(),
            caller: caller.unwrap_or_else(|_| "unknown".to_owned()),
            client: client(&parts.headers),
            refused: outcome.as_ref().err().map(|error| error.code.clone()),
        },
    );
    xml::answer(&call.action, request_id, outcome?)
        .map_err(|error| ApiError::new(500, "InternalError", error.to_string()))
}

/// The first product of the `User-Agent`, without its version (RFC 9110, 10.1.5).
fn client(headers: &HeaderMap) -> String {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok()?.split(['/', ' ']).next())
        .unwrap_or("unknown")
        .to_owned()
}
