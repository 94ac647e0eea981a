//! Checks Standard Webhooks signatures, as a receiver of Tidegate's callbacks has to.
//!
//! Written apart from the code that signs, from the specification: that is what makes it a check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;
use tidegate_event::Timestamp;

/// Seconds that a signature stays good; the specification's advice against replays.
const TOLERANCE_S: i64 = 300;

/// Why a callback was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// One of the three headers is missing or unreadable.
    #[error("webhook-id, webhook-timestamp or webhook-signature is missing")]
    Header,
    /// Sent too long ago, or from the future.
    #[error("the timestamp is more than five minutes away")]
    Stale,
    /// No signature of the list is the right one.
    #[error("no signature matches")]
    Mismatch,
}

/// A receiver's copy of the shared secret.
#[derive(Clone)]
pub(crate) struct Verifier {
    key: Hmac<Sha256>,
}

impl Verifier {
    /// From `whsec_` and base64; None for anything else.
    pub(crate) fn new(secret: &str) -> Option<Self> {
        let bytes = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
        let key = Hmac::new_from_slice(&bytes).ok()?;
        Some(Self { key })
    }

    /// The callback's `webhook-id`, where its signature is good.
    pub(crate) fn check<'a>(
        &self,
        headers: &'a HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Result<&'a str, SignatureError> {
        let header = |name| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or(SignatureError::Header)
        };
        let id = header("webhook-id")?;
        let sent = header("webhook-timestamp")?;
        let sent_s: i64 = sent.parse().map_err(|_| SignatureError::Header)?;
        if (now.0.div_euclid(1000)).abs_diff(sent_s) > TOLERANCE_S.unsigned_abs() {
            return Err(SignatureError::Stale);
        }
        let mut signed = self.key.clone();
        for part in [id.as_bytes(), b".", sent.as_bytes(), b".", body] {
            signed.update(part);
        }
        // Several stand side by side while a secret is being rotated.
        let good = header("webhook-signature")?
            .split(' ')
            .filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok())
            .any(|signature| signed.clone().verify_slice(&signature).is_ok());
        good.then_some(id).ok_or(SignatureError::Mismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const GOOD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const NOW: Timestamp = Timestamp(1_614_265_330_000);

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    fn check(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<(), SignatureError> {
        let verifier = Verifier::new(SECRET).unwrap();
        verifier.check(headers, body, now).map(|_| ())
    }

    #[test]
    fn the_specifications_own_example_is_good() {
        assert_eq!(check(&headers(GOOD), BODY, NOW), Ok(()));
    }

    #[test]
    fn one_good_signature_among_several_is_enough() {
        let rotated = format!("v1,AAAA v2,x {GOOD}");
        assert_eq!(check(&headers(&rotated), BODY, NOW), Ok(()));
    }

    #[test]
    fn a_changed_body_id_or_time_is_refused() {
        let mismatch = Err(SignatureError::Mismatch);
        assert_eq!(check(&headers(GOOD), b"{}", NOW), mismatch);
        for (name, value) in [("webhook-id", "msg_2"), ("webhook-timestamp", "1614265331")] {
            let mut changed = headers(GOOD);
            changed.insert(name, value.parse().unwrap());
            assert_eq!(check(&changed, BODY, NOW), mismatch, "{name}");
        }
        for signature in ["", "v1", "v1,", "v1,!!!", "v1a,AAAA"] {
            assert_eq!(
                check(&headers(signature), BODY, NOW),
                mismatch,
                "{signature}"
            );
        }
    }

    #[test]
    fn an_old_or_missing_header_is_refused() {
        let later = NOW.plus_ms(301_000);
        assert_eq!(
            check(&headers(GOOD), BODY, later),
            Err(SignatureError::Stale)
        );
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut fewer = headers(GOOD);
            fewer.remove(name);
            assert_eq!(
                check(&fewer, BODY, NOW),
                Err(SignatureError::Header),
                "{name}"
            );
        }
    }

    #[test]
    fn a_secret_without_its_prefix_is_none() {
        assert!(Verifier::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
        assert!(Verifier::new("whsec_***").is_none());
    }
}
