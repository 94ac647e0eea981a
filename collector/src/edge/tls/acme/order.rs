//! One order from its beginning to its end (RFC 8555, section 7.4): names, proofs, signing request,
//! chain. It keeps nothing and tries nothing twice.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};

use super::AcmeError;
use super::challenges::{Answering, Challenges};

/// How long the authority may take to look at our proofs, and then to sign.
const STEP_MAX: Duration = Duration::from_secs(120);
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// Later looks are further and further apart.
const LOOKS_APART: f32 = 1.5;

/// A new certificate for `domains`: its key and its chain, PEM.
pub(super) async fn obtain(
    account: &Account,
    domains: &[String],
    challenges: &Challenges,
) -> Result<String, AcmeError> {
    let identifiers: Vec<_> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
    let looks = RetryPolicy::new()
        .initial_delay(FIRST_LOOK)
        .backoff(LOOKS_APART)
        .timeout(STEP_MAX);
    let answering = challenges.begin();
    // What was proven lately need not be proven again.
    if prove(&mut order, &answering).await? {
        let proven = order.poll_ready(&looks).await.map_err(AcmeError::from);
        let unproven = |why| AcmeError::Unproven {
            domains: domains.join(", "),
            why,
        };
        match proven {
            Ok(OrderStatus::Ready) => {}
            Ok(status) => return Err(unproven(format!("the order is {status:?}"))),
            Err(AcmeError::Refused(problem)) => return Err(unproven(problem.to_string())),
            Err(other) => return Err(other),
        }
    }
    drop(answering);
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&looks).await?;
    Ok(key + &chain)
}

/// Lays out the proof of each name and says so; true where any was asked for.
async fn prove(order: &mut Order, answering: &Answering<'_>) -> Result<bool, AcmeError> {
    let mut asked = false;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let Some(mut challenge) = challenge else {
            return Err(AcmeError::NotOffered(name));
        };
        let digest = challenge.key_authorization().digest();
        let Ok(digest) = <&[u8; 32]>::try_from(digest.as_ref()) else {
            return Err(AcmeError::NotOffered(name));
        };
        answering.prove(&name, digest)?;
        challenge.set_ready().await?;
        asked = true;
    }
    Ok(asked)
}
