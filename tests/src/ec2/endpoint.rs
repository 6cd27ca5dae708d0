//! The API's HTTP endpoint: reads a call, checks its caller, applies a fault if one is injected, runs the action and
//! writes the answer as XML.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;

use super::action;
use super::credentials::random;
use super::error::ApiError;
use super::events::Happening;
use super::fault::CallFault;
use super::query::Call;
use super::xml::Element;
use super::{Ec2, locked, xml};
use crate::connection::Connections;

/// Far more than any call of ours.
const BODY_LIMIT: usize = 1 << 20;

/// The API.
pub(super) fn router(ec2: &Arc<Ec2>) -> axum::Router {
    axum::Router::new().fallback(answer).with_state(ec2.clone())
}

async fn answer(State(ec2): State<Arc<Ec2>>, request: Request) -> Response {
    let request_id = random(36);
    let (parts, body) = request.into_parts();
    let outcome = match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => handle(&ec2, &parts, &body).await,
        Err(error) => Err(ApiError::client("MalformedQueryString", error.to_string())),
    };
    let (status, body) = match outcome {
        Ok(Outcome::Reset) => return Connections::reset(&parts.extensions),
        Ok(Outcome::Answer(action, elements)) => (200, xml::answer(&action, &request_id, elements)),
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

/// What a call came to.
enum Outcome {
    Answer(String, Vec<Element>),
    Reset,
}

/// Carries a call out, unless a fault prevents it. Never returns if the fault is that nothing is answered.
async fn handle(ec2: &Arc<Ec2>, parts: &Parts, body: &[u8]) -> Result<Outcome, ApiError> {
    let call = if parts.method == Method::GET {
        Call::parse(parts.uri.query().unwrap_or_default().as_bytes())?
    } else {
        Call::parse(body)?
    };
    let began = ec2.events.now();
    let caller = locked(&ec2.keys).caller(parts, body);
    let struck = ec2.faults.of_call(&call.action, caller.as_deref().ok());
    let fault = struck.map(|struck| struck.fault);
    let as_of = struck
        .filter(|struck| struck.fault == CallFault::Stale)
        .and_then(|struck| Instant::now().checked_sub(struck.by));
    let outcome = match (fault.and_then(CallFault::refusal), fault) {
        (Some(refusal), _) => Err(refusal),
        (None, Some(CallFault::Hanging | CallFault::Reset)) => Ok(Vec::new()),
        (None, _) => match &caller {
            Ok(caller) => action::handle(ec2, caller, &call, as_of).await,
            Err(stranger) => Err(stranger.clone()),
        },
    };
    ec2.events.add_at(
        began,
        Happening::Call {
            action: call.action.clone(),
            parameters: call.parameters.into_iter().collect(),
            caller: caller.unwrap_or_else(|_| "unknown".to_owned()),
            client: client(&parts.headers),
            refused: outcome.as_ref().err().map(|error| error.code.clone()),
            fault,
        },
    );
    match fault {
        Some(CallFault::Hanging | CallFault::AnswerLost) => std::future::pending().await,
        Some(CallFault::Reset) => Ok(Outcome::Reset),
        _ => Ok(Outcome::Answer(call.action, outcome?)),
    }
}

/// The first product of the `User-Agent`, without its version (RFC 9110, 10.1.5).
fn client(headers: &HeaderMap) -> String {
    headers
        .get(header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok()?.split(['/', ' ']).next())
        .unwrap_or("unknown")
        .to_owned()
}
