//! Answers of the admin listener: JSON or text, and one shape for every error.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;

use super::auth::Denied;
use super::control::{ApplyRefused, ControlError, FaultView, ReloadRefused};

/// An answer.
pub type Reply = Response<Full<Bytes>>;

/// A value as JSON, one line.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    text(status, "application/json", body)
}

/// Any text.
#[must_use]
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// An error: a word for programs, a sentence for people.
#[must_use]
pub fn error(status: StatusCode, code: &'static str, message: &str) -> Reply {
    json(status, &json!({ "code": code, "message": message }))
}

/// No such route.
#[must_use]
pub fn not_found() -> Reply {
    error(
        StatusCode::NOT_FOUND,
        "not_found",
        "no such route; see docs for /healthz, /readyz, /metrics and /admin/v1/",
    )
}

/// The route takes another method.
#[must_use]
pub fn method_not_allowed(allow: &'static str) -> Reply {
    let message = format!("this route takes {allow}");
    let mut reply = error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        &message,
    );
    reply
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    reply
}

/// The request is turned away.
#[must_use]
pub fn denied(denied: Denied) -> Reply {
    match denied {
        Denied::Token => {
            let mut reply = error(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                &denied.to_string(),
            );
            let challenge = HeaderValue::from_static("Bearer");
            reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            reply
        }
        Denied::Host | Denied::Origin => {
            error(StatusCode::FORBIDDEN, "forbidden", &denied.to_string())
        }
    }
}

/// The gateway's refusal.
#[must_use]
pub fn refused(refused: &ControlError) -> Reply {
    let (status, code) = match refused {
        ControlError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
        ControlError::InUse { .. } => (StatusCode::CONFLICT, "in_use"),
        ControlError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    error(status, code, &refused.to_string())
}

/// A catalog was not applied.
#[must_use]
pub fn not_applied(refused: &ApplyRefused) -> Reply {
    match refused {
        ApplyRefused::Faults(faults) => {
            let views: Vec<FaultView> = faults.iter().map(FaultView::from).collect();
            let message = format!("{} mistakes; the catalog in force stays", views.len());
            let body = json!({ "code": "invalid", "message": message, "faults": views });
            json(StatusCode::BAD_REQUEST, &body)
        }
        ApplyRefused::Conflict => error(StatusCode::CONFLICT, "conflict", &refused.to_string()),
        ApplyRefused::Failed { .. } => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            error(status, "internal", &refused.to_string())
        }
    }
}

/// A reload that found a mistake.
#[must_use]
pub fn not_reloaded(refused: &ReloadRefused) -> Reply {
    let count = refused.faults.len();
    let message = format!("{count} mistakes; everything stays as it was");
    let body = json!({ "code": "invalid", "message": message, "faults": refused.faults });
    json(StatusCode::BAD_REQUEST, &body)
}

/// What the gateway gave, or its refusal.
#[must_use]
pub fn of<T: Serialize>(result: Result<T, ControlError>) -> Reply {
    match result {
        Ok(value) => json(StatusCode::OK, &value),
        Err(error) => refused(&error),
    }
}
