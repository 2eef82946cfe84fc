//! The password pool, by itself.

use std::time::Duration;

use futures_util::FutureExt;

use super::{cheap_passwords, plain};
use crate::auth::passwords::PasswordError;
use crate::auth::passwords::pool::PasswordPool;
use crate::config::{ByteSize, PasswordConfig};
use crate::operation::{ErrorCode, Input, Password, ProblemKind};
use crate::secret::Secret;

const TEXT: &str = "correct horse";
/// `printf 'correct horse' | sha256sum`
const SHA256: &str = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631";

fn pool(change: impl FnOnce(&mut PasswordConfig)) -> PasswordPool {
    let mut config = cheap_passwords();
    change(&mut config);
    PasswordPool::new(&config).unwrap()
}

fn hashed(text: &str) -> Password {
    Password { text: Secret::from(text), may_be_hashed: true }
}

async fn accepts(pool: &PasswordPool, password: &Password, verifier: &str) -> bool {
    pool.verify(password, Some(verifier)).await.unwrap().is_some()
}

#[tokio::test]
async fn one_verifier_serves_the_password_and_its_hash() {
    let pool = pool(|_| ());
    let verifier = pool.hash(&plain(TEXT), Input::Password).await.unwrap();
    assert!(verifier.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{verifier}");

    let rows = [
        ("the password", plain(TEXT), true),
        ("another", plain("correct Horse"), false),
        ("its hash, allowed", hashed(SHA256), true),
        ("its hash in upper case, allowed", hashed(&SHA256.to_uppercase()), true),
        ("its hash, not allowed", plain(SHA256), false),
        ("the password where a hash is allowed", hashed(TEXT), true),
        ("another hash", hashed(&SHA256.replace('0', "1")), false),
        ("a cut hash", hashed(&SHA256[..63]), false),
        ("nothing", plain(""), false),
    ];
    for (name, password, expected) in rows {
        assert_eq!(accepts(&pool, &password, &verifier).await, expected, "{name}");
    }
}

#[tokio::test]
async fn a_password_of_64_hex_digits_is_tried_as_itself_too() {
    let pool = pool(|_| ());
    let verifier = pool.hash(&plain(SHA256), Input::Password).await.unwrap();

    assert!(accepts(&pool, &hashed(SHA256), &verifier).await);
}

#[tokio::test]
async fn two_verifiers_of_one_password_differ() {
    let pool = pool(|_| ());

    let first = pool.hash(&plain(TEXT), Input::Password).await.unwrap();
    let second = pool.hash(&plain(TEXT), Input::Password).await.unwrap();

    assert_ne!(first, second);
}

#[tokio::test]
async fn a_verifier_needs_its_pepper() {
    let peppered = pool(|config| config.pepper = Secret::from("pepper"));
    let verifier = peppered.hash(&plain(TEXT), Input::Password).await.unwrap();

    assert!(accepts(&peppered, &plain(TEXT), &verifier).await);
    assert!(!accepts(&pool(|_| ()), &plain(TEXT), &verifier).await);
}

#[tokio::test]
async fn no_verifier_proves_nothing() {
    let pool = pool(|_| ());

    assert!(pool.verify(&plain(TEXT), None).await.unwrap().is_none());
}

#[tokio::test]
async fn an_absurd_or_foreign_verifier_is_not_computed() {
    let pool = pool(|_| ());
    let good = pool.hash(&plain(TEXT), Input::Password).await.unwrap();
    let rows = [
        ("memory", good.replace("m=8,", "m=4194304,")),
        ("iterations", good.replace("t=1,", "t=51,")),
        ("lanes", good.replace("m=8,t=1,p=1", "m=4096,t=1,p=65")),
        ("argon2i", good.replace("argon2id", "argon2i")),
        ("short output", good.rsplit_once('$').unwrap().0.to_owned() + "$AAAAAAAA"),
        ("no output", good.rsplit_once('$').unwrap().0.to_owned()),
        ("bcrypt", "$2b$12$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzab".to_owned()),
        ("the password itself", TEXT.to_owned()),
        ("empty", String::new()),
    ];
    for (name, verifier) in rows {
        assert!(!accepts(&pool, &plain(TEXT), &verifier).await, "{name}");
        assert!(!pool.is_outdated(&verifier), "{name}");
    }
}

#[tokio::test]
async fn a_verifier_of_other_parameters_is_good_but_outdated() {
    let (old, new) = (pool(|_| ()), pool(|config| config.iterations = 2));
    let verifier = old.hash(&plain(TEXT), Input::Password).await.unwrap();
    assert!(!old.is_outdated(&verifier));
    assert!(new.is_outdated(&verifier));

    let proof = new.verify(&plain(TEXT), Some(&verifier)).await.unwrap().unwrap();
    let renewed = new.renew(proof).await.unwrap();

    assert!(!new.is_outdated(&renewed));
    assert!(accepts(&new, &plain(TEXT), &renewed).await);
}

#[tokio::test]
async fn lengths_are_checked_before_anything_is_computed() {
    // Without slots, anything that gets past the checks is 503.
    let pool = pool(|config| (config.concurrency, config.queue, config.max_length) = (1, 0, 64));
    let _slot = pool.slots.try_acquire().unwrap();
    let rows = [
        ("seven characters", plain("1234567"), false),
        ("seven characters of two bytes", plain("ééééééé"), false),
        ("eight characters", plain("12345678"), true),
        ("64 bytes", plain(&"x".repeat(64)), true),
        ("65 bytes", plain(&"x".repeat(65)), false),
        ("22 characters of three bytes", plain(&"한".repeat(22)), false),
        ("a hash", hashed(SHA256), true),
    ];
    for (name, password, taken) in rows {
        let refusal = pool.hash(&password, Input::NewPassword).await.unwrap_err();
        if taken {
            assert_eq!(refusal.code, ErrorCode::ServiceUnavailable, "{name}");
        } else {
            let problem = refusal.problem.unwrap();
            assert_eq!(problem.field, "new_password", "{name}");
            assert_eq!(problem.kind, ProblemKind::Length, "{name}");
        }
    }
    let refusal = pool.verify(&plain(&"x".repeat(65)), None).await.unwrap_err();
    assert_eq!(refusal.problem.unwrap().field, "password");
    let refusal = pool.verify(&plain("short"), None).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ServiceUnavailable, "a short one is merely wrong");
}

#[tokio::test]
async fn a_full_queue_says_come_again() {
    let pool = pool(|config| (config.concurrency, config.queue) = (1, 2));
    let _slots = pool.slots.try_acquire_many(3).unwrap();

    let refusal = pool.verify(&plain(TEXT), None).await.unwrap_err();

    assert_eq!(refusal.code, ErrorCode::ServiceUnavailable);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_free_its_place() {
    // Slow enough to be still running when the client has left.
    let pool = pool(|config| {
        (config.concurrency, config.queue) = (1, 0);
        (config.memory, config.iterations) = (ByteSize(64 << 20), 10);
    });
    let password = plain(TEXT);
    let mut leaving = Box::pin(pool.verify(&password, None));

    assert!((&mut leaving).now_or_never().is_none());
    drop(leaving);

    let refusal = pool.verify(&password, None).await.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ServiceUnavailable);
    let freed = pool.slots.acquire();
    drop(tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap());
}

#[tokio::test]
async fn a_login_that_stops_waiting_leaves_the_queue() {
    let pool = pool(|config| (config.concurrency, config.queue) = (1, 1));
    let _permit = pool.running.try_acquire().unwrap();
    let password = plain(TEXT);
    let mut waiting = Box::pin(pool.verify(&password, None));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!(pool.slots.available_permits(), 1);

    drop(waiting);

    assert_eq!(pool.slots.available_permits(), 2);
}

#[test]
fn parameters_that_are_none_of_argon2id_are_refused() {
    let make = |change: fn(&mut PasswordConfig)| {
        let mut config = cheap_passwords();
        change(&mut config);
        PasswordPool::new(&config)
    };
    assert!(matches!(make(|config| config.iterations = 0), Err(PasswordError::Parameters(_))));
    assert!(matches!(make(|config| config.parallelism = 2), Err(PasswordError::Parameters(_))));
    assert!(matches!(
        make(|config| config.memory = ByteSize(0)),
        Err(PasswordError::Parameters(_))
    ));
    assert!(matches!(make(|config| config.iterations = 51), Err(PasswordError::Cost(_))));
}
