//! Where a webhook goes and how it is signed: the checked form of its entry.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use tidegate_event::Timestamp;
use tidegate_event::id::fnv1a_64;

use super::answers;
use super::body::{self, BODY_BYTES_MAX, webhook_id};
use super::sign::{SigningKey, signatures};
use crate::destinations::target::{Target, TooLarge};
use crate::intent::Intent;
use crate::retry::Verdict;

/// A webhook that passed its checks.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    uri: Uri,
    keys: Vec<SigningKey>,
}

impl Webhook {
    pub(super) fn new(uri: Uri, keys: Vec<SigningKey>) -> Self {
        Self { uri, keys }
    }

    fn post(&self, id: &str, body: Vec<u8>, now: Timestamp) -> Request<Full<Bytes>> {
        let timestamp_s = now.0.div_euclid(1_000);
        let signature = signatures(&self.keys, id, timestamp_s, &body);
        Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(body)))
            .expect("a checked URI and ASCII headers make a request")
    }
}

impl Target for Webhook {
    fn delivery_id(&self, destination: &str, intent: &Intent) -> String {
        webhook_id(destination, intent)
    }

    fn request(
        &self,
        destination: &str,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, TooLarge> {
        let body = body::body(destination, intent);
        if body.len() >= BODY_BYTES_MAX {
            return Err(TooLarge);
        }
        Ok(self.post(&webhook_id(destination, intent), body, now))
    }

    fn test_request(&self, destination: &str, now: Timestamp) -> Request<Full<Bytes>> {
        let id = format!(
            "msg_test_{:x}",
            fnv1a_64(format!("{destination}|{}", now.0).as_bytes())
        );
        self.post(&id, body::test(destination, now), now)
    }

    fn redacted(&self, destination: &str, intent: &Intent) -> (&'static str, String, String) {
        let mut body = body::body(destination, intent);
        // What was too large to send is cut, so that a row's size stays bounded.
        body.truncate(BODY_BYTES_MAX);
        let host = self
            .uri
            .authority()
            .map_or("", |authority| authority.as_str());
        let scheme = self.uri.scheme_str().unwrap_or("http");
        let url = format!("{scheme}://{host}{}", self.uri.path());
        ("POST", url, String::from_utf8_lossy(&body).into_owned())
    }

    fn judge(&self, status: u16, not_before: Option<Timestamp>) -> Verdict {
        answers::judge(status, not_before)
    }

    fn fingerprint(&self) -> u64 {
        fnv1a_64(self.uri.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::tests::{change, intent};
    use http_body_util::BodyExt as _;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn target(url: &str) -> Webhook {
        let key = SigningKey::parse(SECRET).unwrap();
        Webhook::new(url.parse().unwrap(), vec![key])
    }

    #[tokio::test]
    async fn a_request_carries_headers_that_verify() {
        let now = Timestamp(1_614_265_330_999);
        let request = target("https://h/p?q=1")
            .request("ads", &intent(1, 1, 1), now)
            .unwrap();
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (id, signature) = (header("webhook-id"), header("webhook-signature"));
        assert_eq!(id, webhook_id("ads", &intent(1, 1, 1)));
        assert_eq!(header("webhook-timestamp"), "1614265330");
        assert_eq!(request.uri(), "https://h/p?q=1");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert!(
            SigningKey::parse(SECRET)
                .unwrap()
                .verify(&id, 1_614_265_330, &body, &signature)
        );
    }

    #[test]
    fn a_body_of_20_kb_is_refused() {
        let mut big = change(1, 1, 1);
        big.head.user_id = Some("x".repeat(BODY_BYTES_MAX));
        let big = Intent::AudienceChange(big);
        assert!(
            target("https://h/")
                .request("ads", &big, Timestamp(0))
                .is_err()
        );
        assert!(target("https://h/").redacted("ads", &big).2.len() <= BODY_BYTES_MAX);
    }

    #[test]
    fn what_people_see_has_no_query_and_no_signature() {
        let (method, url, body) =
            target("https://h:8/p?token=secret").redacted("a", &intent(1, 1, 1));
        assert_eq!((method, url.as_str()), ("POST", "https://h:8/p"));
        assert!(!body.contains("v1,"));
    }
}
