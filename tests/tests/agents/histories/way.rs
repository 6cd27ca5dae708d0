//! What lies between a node and EC2's API and its metadata: it can be cut, and an agent can die
//! there, before its call arrives or before the answer is back.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;

/// Far more than any call.
const LIMIT: usize = 1 << 20;

/// The ways of the three nodes.
#[derive(Default)]
pub(super) struct Ways([Mutex<Way>; 3]);

#[derive(Default)]
struct Way {
    cut: bool,
    /// Calls since the plan was made.
    calls: usize,
    plan: Option<Plan>,
}

/// A call of EC2 or the metadata.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// By its number, from 1.
    Number(usize),
    /// The first of this action of EC2.
    Named(&'static str),
}

/// What is to happen at a call.
struct Plan {
    call: Which,
    /// Whether the call is lost too.
    lost: bool,
    strike: Box<dyn FnOnce() + Send>,
}

impl Ways {
    /// The service as `node` reaches it.
    pub(super) fn lay(self: &Arc<Self>, node: usize, service: Router) -> Router {
        let ways = Arc::clone(self);
        service.layer(from_fn(move |request: Request, next: Next| {
            let ways = Arc::clone(&ways);
            async move { ways.pass(node, request, next).await }
        }))
    }

    async fn pass(&self, node: usize, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LIMIT).await.unwrap_or_default();
        let is = |name: &str| {
            form_urlencoded::parse(&body).any(|(key, value)| key == "Action" && value == name)
        };
        let (cut, plan) = {
            let way = &mut *self.0[node].lock().unwrap();
            if !way.cut {
                way.calls += 1;
            }
            let calls = way.calls;
            let meets = |plan: &mut Plan| match plan.call {
                Which::Number(number) => number == calls,
                Which::Named(name) => is(name),
            };
            (way.cut, way.plan.take_if(meets))
        };
        let request = Request::from_parts(parts, Body::from(body));
        if cut {
            // A lost packet is not answered; the caller gives up by itself.
            return std::future::pending().await;
        }
        let Some(plan) = plan else {
            return next.run(request).await;
        };
        if plan.lost {
            (plan.strike)();
            return std::future::pending().await;
        }
        let answer = next.run(request).await;
        (plan.strike)();
        answer
    }

    pub(super) fn cut(&self, node: usize, cut: bool) {
        self.0[node].lock().unwrap().cut = cut;
    }

    pub(super) fn is_cut(&self, node: usize) -> bool {
        self.0[node].lock().unwrap().cut
    }

    /// Has `strike` called at a call from now on.
    pub(super) fn plan(
        &self,
        node: usize,
        call: Which,
        lost: bool,
        strike: impl FnOnce() + Send + 'static,
    ) {
        let mut way = self.0[node].lock().unwrap();
        way.calls = 0;
        way.plan = Some(Plan {
            call,
            lost,
            strike: Box::new(strike),
        });
    }

    /// Forgets the plan.
    pub(super) fn unplan(&self, node: usize) {
        self.0[node].lock().unwrap().plan = None;
    }

    /// How many calls there were since this was asked last.
    pub(super) fn count(&self, node: usize) -> usize {
        std::mem::take(&mut self.0[node].lock().unwrap().calls)
    }
}
