//! Mailed codes: guessed right once, wrong a few times, and not for long.

use std::sync::Arc;

use munjigi::clock::Timestamp;
use munjigi::operation::Email;
use munjigi::store::{CodePurpose, NewCode, Store};

use crate::fixture::{REALM, at, code, hash, mail};

const MINUTE: u64 = 60;

fn ann() -> Email {
    "ann@example.com".parse().expect("an email")
}

/// Keeps the code `text` for ann.
async fn put(store: &Arc<dyn Store>, text: &str) {
    store.put_code(code("ann", text), mail(0)).await.expect("a code");
}

/// Guesses `text` at ann's code for a reset.
async fn guess_at(store: &Arc<dyn Store>, text: &str, now: Timestamp) -> bool {
    let guessed = store.try_code(CodePurpose::Reset, REALM, &ann(), &hash(text).0, now).await;
    guessed.expect("an answer")
}

async fn guess(store: &Arc<dyn Store>, text: &str) -> bool {
    guess_at(store, text, at(1)).await
}

/// How many of these guesses, all made at once, are right.
async fn guess_at_once(store: &Arc<dyn Store>, texts: impl Iterator<Item = String>) -> usize {
    let racers = texts.map(|text| {
        let store = Arc::clone(store);
        tokio::spawn(async move { guess(&store, &text).await })
    });
    let answers = futures_util::future::join_all(racers).await;
    answers.into_iter().filter(|answer| *answer.as_ref().expect("no panic")).count()
}

pub(crate) async fn a_code_is_used_up_by_a_right_guess(store: &Arc<dyn Store>) {
    put(store, "right").await;

    assert!(!guess(store, "wrong").await);
    assert!(guess(store, "right").await);
    assert!(!guess(store, "right").await, "a second time");
}

pub(crate) async fn no_code_is_guessed_where_none_was_kept(store: &Arc<dyn Store>) {
    assert!(!guess(store, "right").await);
}

pub(crate) async fn a_code_is_dead_after_its_guesses(store: &Arc<dyn Store>) {
    for (wrong, expected) in [(4, true), (5, false), (6, false)] {
        let right = format!("right{wrong}");
        put(store, &right).await;
        for _ in 0..wrong {
            assert!(!guess(store, "wrong").await);
        }

        assert_eq!(guess(store, &right).await, expected, "after {wrong} wrong guesses");
    }
}

pub(crate) async fn of_two_hundred_guesses_at_once_five_are_judged(store: &Arc<dyn Store>) {
    put(store, "right").await;

    let right = guess_at_once(store, (0..200).map(|number| format!("wrong{number}"))).await;

    assert_eq!(right, 0);
    assert!(!guess(store, "right").await, "a sixth guess was judged");
}

pub(crate) async fn of_two_hundred_right_guesses_at_once_one_is_right(store: &Arc<dyn Store>) {
    put(store, "right").await;

    let right = guess_at_once(store, (0..200).map(|_| "right".to_owned())).await;

    assert_eq!(right, 1);
}

pub(crate) async fn a_code_opens_nothing_but_what_it_is_for(store: &Arc<dyn Store>) {
    put(store, "right").await;
    let bob: Email = "bob@example.com".parse().expect("an email");

    for (what, purpose, realm, email) in [
        ("another purpose", CodePurpose::Verification, REALM, &ann()),
        ("another realm", CodePurpose::Reset, "other", &ann()),
        ("another address", CodePurpose::Reset, REALM, &bob),
    ] {
        // More often than the code may be guessed: none of these counts.
        for _ in 0..6 {
            let guessed = store.try_code(purpose, realm, email, &hash("right").0, at(1)).await;
            assert!(!guessed.expect("an answer"), "{what}");
        }
    }

    assert!(guess(store, "right").await);
}

pub(crate) async fn codes_of_two_purposes_stand_side_by_side(store: &Arc<dyn Store>) {
    put(store, "reset").await;
    let proof = NewCode { purpose: CodePurpose::Verification, ..code("ann", "proof") };
    store.put_code(proof, mail(0)).await.expect("a code");

    assert!(guess(store, "reset").await);
    let purpose = CodePurpose::Verification;
    let guessed = store.try_code(purpose, REALM, &ann(), &hash("proof").0, at(1)).await;
    assert!(guessed.expect("an answer"));
}

pub(crate) async fn an_expired_code_is_refused(store: &Arc<dyn Store>) {
    for (now, expected) in
        [(at(10 * MINUTE - 1), true), (at(10 * MINUTE), false), (at(11 * MINUTE), false)]
    {
        let right = format!("right at {now:?}");
        put(store, &right).await;

        assert_eq!(guess_at(store, &right, now).await, expected, "at {now:?}");
    }
}

pub(crate) async fn codes_of_one_address_live_side_by_side(store: &Arc<dyn Store>) {
    for right in ["older", "newer"] {
        put(store, "older").await;
        put(store, "newer").await;

        assert!(guess(store, right).await, "{right}");
        for used in ["older", "newer"] {
            assert!(!guess(store, used).await, "{used} outlives the use of {right}");
        }
    }
    put(store, "older").await;
    for _ in 0..3 {
        assert!(!guess(store, "wrong").await);
    }
    put(store, "newer").await;
    for _ in 0..2 {
        assert!(!guess(store, "wrong").await);
    }
    assert!(!guess(store, "older").await, "five guesses were at it");
    assert!(guess(store, "newer").await, "three guesses were at it");
}

pub(crate) async fn a_code_comes_with_its_mail(store: &Arc<dyn Store>) {
    let mails = [mail(0), mail(1)];
    for mail in &mails {
        store.put_code(code("ann", "right"), mail.clone()).await.expect("a code");
    }

    let taken = store.take_mails(at(1), at(MINUTE), 10).await.expect("mails");

    let taken: Vec<_> = taken.into_iter().map(|mail| mail.id).collect();
    assert_eq!(taken, mails.map(|mail| mail.id));
}

pub(crate) async fn a_code_of_one_gateway_is_guessed_at_the_other(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    put(one, "right").await;

    for _ in 0..2 {
        assert!(!guess(one, "wrong").await);
        assert!(!guess(other, "wrong").await);
    }

    assert!(guess(other, "right").await);
    assert!(!guess(one, "right").await, "a second time");
}
