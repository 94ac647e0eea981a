//! Standard Webhooks 1.0.0 signatures: HMAC-SHA256 over `id.timestamp.body`.
//!
//! Signs what we send and verifies what a receiver got (for the demo's ad server and for tests).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// A secret that parsed. Never shows its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Vec<u8>);

/// The text is not `whsec_` and the base64 of 24 to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected whsec_ and the base64 of 24 to 64 bytes")]
pub struct SecretError;

impl SigningKey {
    /// Reads a configured secret.
    ///
    /// # Errors
    /// [`SecretError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix("whsec_").ok_or(SecretError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError)?;
        if (24..=64).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(SecretError)
        }
    }

    /// The `v1,<base64>` signature of one message.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let digest = self.mac(id, timestamp_s, body).finalize().into_bytes();
        let mut text = String::with_capacity(47);
        text.push_str("v1,");
        STANDARD.encode_string(digest, &mut text);
        text
    }

    /// True where `header`, a space separated list, holds this key's signature. Constant time in
    /// the signature's bytes.
    #[must_use]
    pub fn verify(&self, id: &str, timestamp_s: i64, body: &[u8], header: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        let expected = self.sign(id, timestamp_s, body);
        header
            .split(' ')
            .any(|given| given.as_bytes().ct_eq(expected.as_bytes()).into())
    }

    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// The `webhook-signature` value: one signature a key, space separated.
pub(super) fn signatures(keys: &[SigningKey], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let each: Vec<_> = keys
        .iter()
        .map(|key| key.sign(id, timestamp_s, body))
        .collect();
    each.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn vector_key() -> SigningKey {
        SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
    }

    #[test]
    fn the_published_vector_matches() {
        let signature = vector_key().sign(ID, AT, BODY);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_receiver_with_either_secret_accepts_during_rotation() {
        let old = SigningKey::parse(&format!("whsec_{}", STANDARD.encode([7; 32]))).unwrap();
        let header = signatures(&[vector_key(), old.clone()], ID, AT, BODY);
        assert!(vector_key().verify(ID, AT, BODY, &header));
        assert!(old.verify(ID, AT, BODY, &header));
    }

    #[test]
    fn a_changed_id_time_or_body_is_refused() {
        let key = vector_key();
        let header = key.sign(ID, AT, BODY);
        assert!(!key.verify("msg_other", AT, BODY, &header));
        assert!(!key.verify(ID, AT + 1, BODY, &header));
        assert!(!key.verify(ID, AT, b"{}", &header));
        assert!(!key.verify(ID, AT, BODY, "v1,AAAA v1a,x"));
    }

    #[test]
    fn secrets_of_the_wrong_shape_are_refused() {
        let of = |len: usize| format!("whsec_{}", STANDARD.encode(vec![1; len]));
        for good in [of(24), of(64)] {
            assert!(SigningKey::parse(&good).is_ok());
        }
        for bad in [
            of(23),
            of(65),
            of(0),
            "secret".to_owned(),
            "whsec_!!!".to_owned(),
        ] {
            assert_eq!(SigningKey::parse(&bad), Err(SecretError), "{bad}");
        }
        assert_eq!(format!("{:?}", vector_key()), "SigningKey(***)");
    }
}
