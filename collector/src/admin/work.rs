//! How many requests may be at work at once. Some wait for others than their client, a test for its
//! destination, a reload for a file: were there as many of them as connections, probes would find no
//! place.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::reply::{Reply, error};

/// Tests of destinations at once, where there are connections enough.
const TESTS_MAX: usize = 8;

/// Counts them.
#[derive(Debug)]
pub(super) struct Work {
    all: Semaphore,
    all_max: usize,
    tests: Semaphore,
    tests_max: usize,
    reload: Semaphore,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct AtWork<'w> {
    _of_all: SemaphorePermit<'w>,
    _of_kind: Option<SemaphorePermit<'w>>,
}

impl Work {
    /// For a listener of so many connections: half of them, of tests an eighth.
    pub(super) fn new(connections_max: usize) -> Self {
        let all_max = (connections_max / 2).max(1);
        let tests_max = (connections_max / 8).clamp(1, TESTS_MAX);
        Self {
            all: Semaphore::new(all_max),
            all_max,
            tests: Semaphore::new(tests_max),
            tests_max,
            reload: Semaphore::new(1),
        }
    }

    /// One more request to `route`.
    ///
    /// # Errors
    /// The answer, where there are as many as may be.
    pub(super) fn begin(&self, route: &str) -> Result<AtWork<'_>, Box<Reply>> {
        let of_kind = match route {
            "/admin/v1/reload" => Some(self.reload.try_acquire().map_err(|_full| {
                let message = "a reload is at work; ask again when it has ended";
                Box::new(error(StatusCode::CONFLICT, "conflict", message))
            })?),
            "/admin/v1/destinations/{name}/test" => {
                let place = self.tests.try_acquire();
                Some(place.map_err(|_full| too_many(self.tests_max, "tests of destinations"))?)
            }
            _ => None,
        };
        let of_all = self.all.try_acquire();
        Ok(AtWork {
            _of_all: of_all.map_err(|_full| too_many(self.all_max, "requests"))?,
            _of_kind: of_kind,
        })
    }
}

fn too_many(max: usize, what: &str) -> Box<Reply> {
    let message =
        format!("{max} {what} are at work, as many as may be; ask again when one has ended");
    let mut reply = error(StatusCode::TOO_MANY_REQUESTS, "busy", &message);
    let second = HeaderValue::from_static("1");
    reply.headers_mut().insert(RETRY_AFTER, second);
    Box::new(reply)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use prometheus_client::registry::Registry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::fake::Fake;
    use super::super::{Admin, serve};
    use super::*;
    use crate::settings::Settings;

    async fn asking(address: SocketAddr, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    /// The first bytes of the answer.
    async fn answer(mut client: TcpStream) -> String {
        let mut bytes = vec![0; 4_096];
        let read = tokio::time::timeout(Duration::from_secs(20), client.read(&mut bytes)).await;
        let length = read.expect("an answer in time").unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Asks more often than there are connections for what does not end; gives the answer to one that
    /// is too many. Probes are answered meanwhile, and so is the same request when there is room again.
    async fn probes_beside(request: &str) -> String {
        let fake = Fake::new();
        fake.hangs.send_replace(true);
        let settings = Settings::default().admin;
        let many = settings.connections_max + 8;
        let registry = Arc::new(Registry::default());
        let admin = Admin::new(Arc::clone(&fake), registry, None, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(serve(
            listener,
            None,
            Arc::new(admin),
            std::future::pending(),
        ));
        let mut clients = Vec::new();
        for _ in 0..many {
            clients.push(asking(address, request).await);
        }
        for probe in ["GET /healthz", "GET /readyz", "GET /metrics"] {
            let answered = answer(asking(address, probe).await).await;
            assert!(answered.starts_with("HTTP/1.1 200 "), "{probe}: {answered}");
        }
        let refused = answer(asking(address, request).await).await;
        fake.hangs.send_replace(false);
        let first = answer(clients.swap_remove(0)).await;
        assert!(first.starts_with("HTTP/1.1 200 "), "{first}");
        let again = answer(asking(address, request).await).await;
        assert!(again.starts_with("HTTP/1.1 200 "), "{again}");
        served.abort();
        refused
    }

    #[tokio::test]
    async fn probes_are_answered_beside_many_hanging_tests() {
        let refused = probes_beside("POST /admin/v1/destinations/ads/test").await;
        assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
        assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
        assert!(
            refused.contains("8 tests of destinations are at work"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn probes_are_answered_beside_many_hanging_reloads() {
        let refused = probes_beside("POST /admin/v1/reload").await;
        assert!(refused.starts_with("HTTP/1.1 409 "), "{refused}");
        assert!(refused.contains("a reload is at work"), "{refused}");
    }

    #[test]
    fn half_of_the_connections_are_kept_for_probes() {
        let work = Work::new(64);
        let route = "/admin/v1/destinations/{name}/replay";
        let mut begun = Vec::new();
        while let Ok(at_work) = work.begin(route) {
            begun.push(at_work);
        }
        assert_eq!(begun.len(), 32);
        begun.pop();
        assert!(work.begin(route).is_ok());
    }
}
