//! Accounts: unique names, numbers that are never reused, look-ups and lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use munjigi::operation::{Email, Identifier, UserId, Username};
use munjigi::store::{Lookup, Rotation, Store, StoreError, User, UserChange};

use crate::fixture::{
    REALM, at, change, new_user, new_user_with_image, open, rotate, user, without_attributes,
};

async fn find(store: &Arc<dyn Store>, who: &Identifier) -> Option<User> {
    store.find_user(REALM, who, Lookup::Whole).await.expect("a look-up")
}

fn by_email(text: &str) -> Identifier {
    Identifier::Email(text.parse().expect("an email"))
}

fn by_name(text: &str) -> Identifier {
    Identifier::Username(text.parse().expect("a user name"))
}

pub(crate) async fn an_email_is_taken_once_in_a_realm(store: &Arc<dyn Store>) {
    user(store, "ann").await;

    let second = User { username: None, ..new_user("ann") };

    assert!(matches!(store.create_user(second).await, Err(StoreError::Taken)));
}

pub(crate) async fn a_username_is_taken_once_in_a_realm(store: &Arc<dyn Store>) {
    user(store, "ann").await;

    let second = User { email: None, ..new_user("ann") };

    assert!(matches!(store.create_user(second).await, Err(StoreError::Taken)));
}

/// Accounts of older rules keep their names; new ones are folded, and take no other's spelling.
pub(crate) async fn a_name_is_found_and_taken_in_every_spelling(store: &Arc<dyn Store>) {
    const NFD: &str = "\u{1112}\u{1161}\u{11AB}";
    let older = |email: &str, username: &str| User {
        email: Some(Email::stored(email)),
        username: Some(Username::stored(username)),
        ..new_user("ann")
    };
    let new = |email: &str, username: &str| User {
        email: Some(email.parse().expect("an email")),
        username: Some(username.parse().expect("a user name")),
        ..new_user("ann")
    };
    let made = async |new| store.create_user(new).await.expect("an account");
    let grown = "i\u{307}".repeat(40);

    let shown = made(older("ann@도메인.한국", NFD)).await;
    let invisible = made(older("a\u{200B}@a.kr", "a\u{200B}b")).await;
    let too_long = made(older(&format!("{grown}@a.kr"), &grown)).await;

    for (who, account) in [
        (by_email("Ann@도메인.한국"), &shown),
        (by_email("ann@xn--hq1bm8jm9l.xn--3e0b707e"), &shown),
        (by_name(NFD), &shown),
        (by_name("한"), &shown),
        ("A\u{200B}b".parse().expect("a login"), &invisible),
        ("a\u{200B}@A.kr".parse().expect("a login"), &invisible),
        ("İ".repeat(40).parse().expect("a login"), &too_long),
        (format!("{}@a.kr", "İ".repeat(40)).parse().expect("a login"), &too_long),
        (Identifier::Id(too_long.id), &too_long),
    ] {
        assert_eq!(find(store, &who).await.as_ref(), Some(account), "{who}");
    }
    for taken in [
        new("ann@도메인.한국", "bob"),
        new("ann@xn--hq1bm8jm9l.xn--3e0b707e", "bob"),
        new("bob@a.kr", "한"),
        new("bob@a.kr", NFD),
    ] {
        let refused = store.create_user(taken.clone()).await;
        assert!(matches!(refused, Err(StoreError::Taken)), "{taken:?}");
    }

    // Two that would share a name by now: each is found by its own spelling.
    let folded = made(older("bea@xn--hq1bm8jm9l.xn--3e0b707e", "박")).await;
    let other = made(older("bea@도메인.한국", "\u{1107}\u{1161}\u{11A8}")).await;
    for (who, account) in [
        (by_email("Bea@도메인.한국"), &other),
        (by_name("\u{1107}\u{1161}\u{11A8}"), &other),
        (by_email("bea@XN--hq1bm8jm9l.xn--3e0b707e"), &folded),
        (by_name("박"), &folded),
    ] {
        assert_eq!(find(store, &who).await.as_ref(), Some(account), "{who}");
    }
}

pub(crate) async fn a_refused_account_takes_neither_of_its_names(store: &Arc<dyn Store>) {
    user(store, "ann").await;
    let taken = [
        User { email: new_user("bob").email, ..new_user("ann") },
        User { username: new_user("bob").username, ..new_user("ann") },
    ];
    for new in taken {
        assert!(matches!(store.create_user(new).await, Err(StoreError::Taken)));
    }

    let bob = user(store, "bob").await;

    assert_eq!(find(store, &by_email("bob@example.com")).await, Some(bob.clone()));
    assert_eq!(find(store, &by_name("bob")).await, Some(bob));
}

pub(crate) async fn two_realms_share_no_names_and_no_accounts(store: &Arc<dyn Store>) {
    let here = user(store, "ann").await;
    let there = User { realm: "other".to_owned(), ..new_user("ann") };
    let there = store.create_user(there).await.expect("the names are free in another realm");

    assert_ne!(here.id, there.id);
    assert_eq!(find(store, &by_email("ann@example.com")).await, Some(here.clone()));
    let found = store.find_user("other", &by_name("ann"), Lookup::Whole).await;
    assert_eq!(found.expect("a look-up"), Some(there.clone()));
    let found = store.find_user("other", &Identifier::Id(here.id), Lookup::Routine).await;
    assert_eq!(found.expect("a look-up"), None);
    let listed = store.list_users("other", None, 10).await.expect("a list").users;
    assert_eq!(listed, [without_attributes(&there)]);
}

pub(crate) async fn concurrent_sign_ups_of_one_email_make_one_account(store: &Arc<dyn Store>) {
    let racers = (0..8).map(|number| {
        let store = Arc::clone(store);
        let new = User { email: new_user("ann").email, ..new_user(&format!("racer{number}")) };
        tokio::spawn(async move { store.create_user(new).await })
    });
    let outcomes = futures_util::future::join_all(racers).await;

    let made = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Ok(_)))).count();
    let taken =
        outcomes.iter().filter(|outcome| matches!(outcome, Ok(Err(StoreError::Taken)))).count();

    assert_eq!((made, taken), (1, 7));
    assert_eq!(store.list_users(REALM, None, 10).await.expect("a list").users.len(), 1);
}

pub(crate) async fn an_unknown_account_is_not_found(store: &Arc<dyn Store>) {
    user(store, "ann").await;

    for who in [
        by_email("ann@example.org"),
        by_email("ann%@example.com"),
        by_name("anna"),
        by_name("an*"),
        Identifier::Id(UserId(0)),
        Identifier::Id(UserId(-1)),
        Identifier::Id(UserId(i64::MAX)),
    ] {
        for lookup in [Lookup::Login, Lookup::Routine, Lookup::Whole] {
            let found = store.find_user(REALM, &who, lookup).await.expect("a look-up");
            assert_eq!(found, None, "{who:?} was found, {lookup:?}");
        }
    }
}

pub(crate) async fn an_account_reads_back_as_it_was_made(store: &Arc<dyn Store>) {
    let new = new_user("ann");
    let made = store.create_user(new.clone()).await.expect("an account");

    let expected = User {
        id: made.id,
        realm: new.realm,
        email: new.email,
        email_verified: false,
        username: new.username,
        verifier: new.verifier,
        second_factor: None,
        roles: new.roles,
        permissions: new.permissions,
        enabled: true,
        generation: made.generation,
        attributes: new.attributes,
        created_at: at(0),
        last_login_at: None,
    };
    assert_eq!(made, expected);
    for who in [Identifier::Id(made.id), by_email("Ann@Example.com"), by_name("ANN")] {
        assert_eq!(find(store, &who).await, Some(expected.clone()), "by {who:?}");
    }

    let bare = User {
        attributes: BTreeMap::new(),
        username: None,
        verifier: None,
        roles: Vec::new(),
        permissions: Vec::new(),
        email_verified: true,
        enabled: false,
        ..new_user("bare")
    };
    let bare = store.create_user(bare).await.expect("an account");
    assert_eq!((&bare.username, &bare.verifier, bare.roles.len()), (&None, &None, 0));
    assert_eq!((bare.email_verified, bare.enabled), (true, false));
    assert_eq!(find(store, &Identifier::Id(bare.id)).await, Some(bare));
}

pub(crate) async fn numbers_are_not_reused_after_removal(store: &Arc<dyn Store>) {
    let first = user(store, "ann").await;
    let second = user(store, "bob").await;
    change(store, &second, UserChange::Remove).await;

    let third = user(store, "cid").await;

    assert!(first.id.0 > 0);
    assert!(first.id < second.id);
    assert!(second.id < third.id, "{:?} after {:?}", third.id, second.id);
}

pub(crate) async fn a_removed_account_frees_its_names(store: &Arc<dyn Store>) {
    let old = user(store, "ann").await;
    change(store, &old, UserChange::Remove).await;

    let new = user(store, "ann").await;

    assert_eq!(find(store, &by_email("ann@example.com")).await, Some(new.clone()));
    assert_eq!(find(store, &by_name("ann")).await, Some(new));
    assert_eq!(find(store, &Identifier::Id(old.id)).await, None);
}

pub(crate) async fn a_list_pages_by_number(store: &Arc<dyn Store>) {
    let mut made = Vec::new();
    for number in 0..12 {
        made.push(user(store, &format!("user{number}")).await.id);
    }

    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = store.list_users(REALM, after, 5).await.expect("a list").users;
        assert!(page.len() <= 5, "a page of {}", page.len());
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page.iter().map(|user| user.id));
    }

    assert_eq!(listed, made);
    assert_eq!(store.list_users("empty", None, 5).await.expect("a list").users, []);
}

pub(crate) async fn an_account_with_megabytes_of_attributes_lives_as_any_other(
    store: &Arc<dyn Store>,
) {
    let made = store.create_user(new_user_with_image("ann")).await.expect("an account");
    user(store, "bob").await;

    let session = open(store, &made, "first").await;
    let rotation = rotate(store, &session, "first", "second", at(1)).await;
    let verifier = "$new".to_owned();
    let (changed, _) = change(store, &made, UserChange::SetPassword { verifier }).await;

    assert!(matches!(rotation, Rotation::Rotated(_)), "{rotation:?}");
    let expected = User {
        verifier: Some("$new".to_owned()),
        generation: made.generation + 1,
        last_login_at: Some(at(0)),
        ..made
    };
    assert_eq!(changed, without_attributes(&expected));
    // Not assert_eq: nobody wants to read it.
    let found = find(store, &by_name("ann")).await.expect("the account");
    assert!(found == expected, "another account is found");
    let listed = store.list_users(REALM, None, 10).await.expect("a list").users;
    let sizes: Vec<_> = listed.iter().map(|user| user.attributes.len()).collect();
    assert_eq!(sizes, [0, 0]);
    let (removed, _) = change(store, &found, UserChange::Remove).await;
    assert_eq!(removed, without_attributes(&expected));
    assert_eq!(find(store, &by_name("ann")).await, None);
}

pub(crate) async fn only_a_whole_look_up_answers_attributes(store: &Arc<dyn Store>) {
    let made = user(store, "ann").await;

    for who in [Identifier::Id(made.id), by_email("ann@example.com"), by_name("ann")] {
        for (lookup, expected) in [
            (Lookup::Login, without_attributes(&made)),
            (Lookup::Routine, without_attributes(&made)),
            (Lookup::Whole, made.clone()),
        ] {
            let found = store.find_user(REALM, &who, lookup).await.expect("a look-up");
            assert_eq!(found, Some(expected), "{who:?}, {lookup:?}");
        }
    }
}

pub(crate) async fn an_account_made_at_one_is_found_at_the_other(
    one: &Arc<dyn Store>,
    other: &Arc<dyn Store>,
) {
    let made = user(one, "ann").await;

    assert_eq!(find(other, &by_name("ann")).await, Some(made));
    assert!(matches!(other.create_user(new_user("ann")).await, Err(StoreError::Taken)));
}
