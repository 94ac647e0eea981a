//! From a request to the endpoint that answers it: admission, the body within its bound, the path.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prometheus_client::registry::Registry;

use super::auth::{Token, admit};
use super::control::Control;
use super::listener::{Answer, Body};
use super::reply::{self, Reply};
use super::work::Work;
use super::{bad_rows, catalog, cursors, destinations, health, metrics, outcomes, reload};
use crate::settings;

/// Entries of one list, where the request names no limit.
const LIST_DEFAULT: usize = 100;
/// Entries of one list, whatever the request names.
const LIST_MAX: usize = 10_000;

/// Every path with the methods that it takes; HEAD goes where GET does. The probes are answered
/// before anything else.
pub(crate) const ROUTES: [(&str, &str); 15] = [
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/debug/outcomes", "GET"),
    ("/admin/v1/catalog", "GET, POST"),
    ("/admin/v1/reload", "POST"),
    ("/admin/v1/stats", "GET"),
    ("/admin/v1/cursors", "GET"),
    ("/admin/v1/cursors/{name}", "DELETE"),
    ("/admin/v1/destinations", "GET"),
    ("/admin/v1/destinations/{name}/dead-letters", "GET"),
    ("/admin/v1/destinations/{name}/test", "POST"),
    ("/admin/v1/destinations/{name}/enable", "POST"),
    ("/admin/v1/destinations/{name}/replay", "POST"),
    ("/admin/v1/bad-rows", "GET"),
];

/// The part of a path that stands for a name.
const NAME: &str = "{name}";

/// A path of the table.
struct Found {
    route: &'static str,
    allow: &'static str,
    /// What stands where the route has a name.
    name: String,
}

impl Found {
    fn of(path: &str) -> Option<Self> {
        let parts: Vec<String> = path.split('/').map(unescaped).collect();
        ROUTES.into_iter().find_map(|(route, allow)| {
            let wanted = route.split('/');
            let mut name = String::new();
            let mut fits = wanted.clone().count() == parts.len();
            for (wanted, part) in wanted.zip(&parts) {
                if wanted == NAME {
                    name.clone_from(part);
                } else {
                    fits &= wanted == part;
                }
            }
            fits.then_some(Self { route, allow, name })
        })
    }
}

/// The admin listener's parts.
#[derive(Debug)]
pub struct Admin<C> {
    control: C,
    registry: Arc<Registry>,
    token: Option<Token>,
    listen: IpAddr,
    work: Work,
    settings: settings::Admin,
}

impl<C: Control> Admin<C> {
    /// Puts them together.
    #[must_use]
    pub fn new(
        control: C,
        registry: Arc<Registry>,
        token: Option<Token>,
        settings: settings::Admin,
    ) -> Self {
        Self {
            control,
            registry,
            token,
            listen: settings.listen.ip(),
            work: Work::new(settings.connections_max),
            settings,
        }
    }

    async fn route(&self, method: &Method, path: &str, query: &str, body: &Bytes) -> Reply {
        let Some(found) = Found::of(path) else {
            return reply::not_found();
        };
        let control = &self.control;
        let name = &*found.name;
        let method = match *method {
            Method::HEAD => "GET",
            _ => method.as_str(),
        };
        if (method, found.route) == ("GET", "/metrics") {
            return metrics::metrics(&self.registry);
        }
        let _at_work = match self.work.begin(found.route) {
            Ok(at_work) => at_work,
            Err(refused) => return *refused,
        };
        match (method, found.route) {
            ("GET", "/debug/outcomes") => outcomes::list(control, query),
            ("GET", "/admin/v1/catalog") => catalog::show(control).await,
            ("POST", "/admin/v1/catalog") => catalog::apply(control, query, body).await,
            ("POST", "/admin/v1/reload") => reload::reload(control).await,
            ("GET", "/admin/v1/stats") => catalog::stats(control),
            ("GET", "/admin/v1/cursors") => cursors::list(control).await,
            ("DELETE", "/admin/v1/cursors/{name}") => cursors::remove(control, name).await,
            ("GET", "/admin/v1/destinations") => destinations::list(control).await,
            ("GET", "/admin/v1/destinations/{name}/dead-letters") => {
                destinations::dead_letters(control, name, query).await
            }
            ("POST", "/admin/v1/destinations/{name}/test") => {
                destinations::test(control, name).await
            }
            ("POST", "/admin/v1/destinations/{name}/enable") => {
                destinations::enable(control, name).await
            }
            ("POST", "/admin/v1/destinations/{name}/replay") => {
                destinations::replay(control, name, body).await
            }
            ("GET", "/admin/v1/bad-rows") => bad_rows::list(control, query).await,
            _ => reply::method_not_allowed(found.allow),
        }
    }

    async fn read<B: Body>(&self, body: B) -> Result<Bytes, Reply> {
        let patience = Duration::from_millis(self.settings.timeout_ms);
        let body = Limited::new(body, self.settings.body_bytes_max);
        match tokio::time::timeout(patience, body.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(reply::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is larger than admin.body_bytes_max",
            )),
            Ok(Err(_)) => Err(reply::error(
                StatusCode::BAD_REQUEST,
                "invalid",
                "the body broke off",
            )),
            Err(_) => Err(reply::error(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "the body took longer than admin.timeout",
            )),
        }
    }
}

impl<C: Control> Answer for Admin<C> {
    fn settings(&self) -> &settings::Admin {
        &self.settings
    }

    async fn answer<B: Body>(&self, request: Request<B>) -> Reply {
        let (head, body) = request.into_parts();
        // Probes of an orchestrator carry no token and call by whatever name they like.
        match (&head.method, head.uri.path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => return health::health(&self.control),
            (&Method::GET | &Method::HEAD, "/readyz") => {
                let verbose = head.uri.query().is_some_and(health::is_verbose);
                return health::readiness(&self.control, verbose);
            }
            _ => {}
        }
        if let Err(denied) = admit(
            &head.headers,
            &head.uri,
            self.token.as_ref(),
            self.listen,
            self.settings.is_mutual(),
        ) {
            return reply::denied(denied);
        }
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let query = head.uri.query().unwrap_or("");
        self.route(&head.method, head.uri.path(), query, &body)
            .await
    }
}

/// One part of a path with its `%XX` undone; what is not UTF-8 then matches nothing.
fn unescaped(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match byte {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                &after[2..]
            }
            Some(_) | None => {
                bytes.push(first);
                after
            }
        };
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// True where the query says `name=1` or `name=true`.
pub(super) fn flag(query: &str, name: &str) -> bool {
    value(query, name).is_some_and(|value| value == "1" || value == "true")
}

/// The query's `limit`; see [`count`].
pub(super) fn limit(query: &str) -> Result<usize, Box<Reply>> {
    count(query, "limit")
}

/// How many entries the query asks for under `name`, within bounds.
///
/// # Errors
/// The answer to one that is no number.
pub(super) fn count(query: &str, name: &str) -> Result<usize, Box<Reply>> {
    let Some(given) = value(query, name) else {
        return Ok(LIST_DEFAULT);
    };
    match given.parse::<usize>() {
        Ok(count) => Ok(count.clamp(1, LIST_MAX)),
        Err(_) => Err(Box::new(reply::error(
            StatusCode::BAD_REQUEST,
            "invalid",
            &format!("{name} is a whole number, at most {LIST_MAX}, as in ?{name}={LIST_DEFAULT}"),
        ))),
    }
}

pub(super) fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, value) = pairs.find(|(key, _)| key == name)?;
    Some(value.into_owned())
}
