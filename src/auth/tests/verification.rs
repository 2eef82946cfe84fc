//! Proof of an address.

use super::code::{another, confirm_proof, mailing, request_proof};
use super::{EMAIL, NOW};
use crate::operation::{ErrorCode, Outcome};

#[tokio::test]
async fn a_wrong_code_proves_nothing() {
    let node = mailing().await;
    let code = node.mailed_code(request_proof(EMAIL)).await;

    let wrong = confirm_proof(EMAIL, &another(&code));

    assert_eq!(node.refused(wrong, NOW).await, ErrorCode::InvalidCode);
    assert!(!node.account(EMAIL).await.email_verified);
}

#[tokio::test]
async fn the_mailed_code_proves_the_address_and_ends_nothing() {
    let node = mailing().await;
    let tokens = node.login().await;
    let code = node.mailed_code(request_proof(EMAIL)).await;

    let outcome = node.run(confirm_proof(EMAIL, &code), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::EmailVerified { .. })), "{outcome:?}");
    assert!(node.account(EMAIL).await.email_verified);
    assert!(node.accepts(&tokens, NOW));
    node.refresh(&tokens, NOW).await;
    node.login().await;
}

#[tokio::test]
async fn a_proven_address_is_answered_alike_and_not_mailed() {
    let node = mailing().await;
    let code = node.mailed_code(request_proof(EMAIL)).await;
    node.run(confirm_proof(EMAIL, &code), NOW).await.unwrap();

    let outcome = node.run(request_proof(EMAIL), NOW).await;

    assert!(matches!(outcome, Ok(Outcome::CodeRequested)), "{outcome:?}");
    let mails = node.mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, None);
}
