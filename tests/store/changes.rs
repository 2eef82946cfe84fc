//! Changes of an account: what each ends, and what it leaves.

use std::sync::Arc;

use munjigi::clock::Timestamp;
use munjigi::operation::{Email, Identifier, UserId};
use munjigi::store::{Lookup, Rotation, SecondFactor, Store, User, UserChange};

use crate::fixture::{
    ISSUER, OTHER_ISSUER, REALM, at, change, hash, new_user, of_session, of_user, open, open_at,
    rotate, second_factor, sessions, stands, until, user, user_now, without_attributes,
};

fn new_password() -> UserChange {
    UserChange::SetPassword { verifier: "$new".to_owned() }
}

/// The change answers `expected`, has ended all sessions, and has revoked the generation before.
async fn ends_all(store: &Arc<dyn Store>, user: &User, what: UserChange, expected: User) {
    open(store, user, "here").await;
    open_at(store, user, "there", OTHER_ISSUER).await;
    let before = user_now(store, user.id).await;

    let (answered, revocations) = change(store, user, what).await;

    let expected = User { last_login_at: before.last_login_at, ..expected };
    assert_eq!(answered, without_attributes(&expected));
    assert_eq!(user_now(store, user.id).await, expected);
    let revoked = of_user(user.id, expected.generation);
    assert_eq!(revocations, std::slice::from_ref(&revoked));
    assert_eq!(stands(store, &revoked).await, Some(expected.generation));
    assert_eq!(sessions(store, user).await, []);
    for (issuer, token) in [(ISSUER, "here"), (OTHER_ISSUER, "there")] {
        let found = store.find_session_by_refresh(issuer, &hash(token), at(0)).await;
        assert_eq!(found.expect("a look-up"), None, "{token}");
    }
}

/// The change answers `expected`, and has ended and revoked nothing.
async fn ends_nothing(store: &Arc<dyn Store>, user: &User, what: UserChange, expected: User) {
    let session = open(store, user, "here").await;
    let before = user_now(store, user.id).await;

    let (answered, revocations) = change(store, user, what).await;

    let expected = User { last_login_at: before.last_login_at, ..expected };
    assert_eq!(answered, without_attributes(&expected));
    assert_eq!(user_now(store, user.id).await, expected);
    assert_eq!(revocations, []);
    assert_eq!(stands(store, &of_user(user.id, 0)).await, None);
    assert_eq!(sessions(store, user).await, [session.id]);
}

pub(crate) async fn a_change_of_an_unknown_account_is_none(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;

    for (realm, id) in [(REALM, UserId(ann.id.0 + 1)), ("other", ann.id)] {
        for what in [new_password(), UserChange::EndSessions, UserChange::Remove] {
            let changed = store.change_user(realm, id, what.clone(), at(0), until()).await;
            assert_eq!(changed.expect("an answer"), None, "{what:?} of {id:?} in {realm}");
        }
    }
    assert_eq!(user_now(store, ann.id).await, ann);
}

pub(crate) async fn a_new_password_ends_sessions_and_tokens(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let expected =
        User { verifier: Some("$new".to_owned()), generation: ann.generation + 1, ..ann.clone() };

    ends_all(store, &ann, new_password(), expected).await;
}

pub(crate) async fn a_reset_password_ends_sessions_and_tokens_and_proves_the_address(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let reset = UserChange::ResetPassword { verifier: "$reset".to_owned() };
    let verifier = Some("$reset".to_owned());
    let expected =
        User { verifier, email_verified: true, generation: ann.generation + 1, ..ann.clone() };

    ends_all(store, &ann, reset, expected).await;
}

pub(crate) async fn a_reset_proves_no_address_where_there_is_none(store: &Arc<dyn Store>) {
    let new = User { email: None, ..new_user("ann") };
    let ann = store.create_user(new).await.expect("an account");

    let reset = UserChange::ResetPassword { verifier: "$reset".to_owned() };
    let (answered, _) = change(store, &ann, reset).await;

    assert!(!answered.email_verified);
    assert_eq!(without_attributes(&user_now(store, ann.id).await), answered);
}

pub(crate) async fn a_proven_address_ends_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let email = ann.email.clone().expect("an email");
    let expected = User { email_verified: true, ..ann.clone() };

    ends_nothing(store, &ann, UserChange::ProveEmail { email: email.clone() }, expected).await;
    let (again, revocations) = change(store, &ann, UserChange::ProveEmail { email }).await;

    assert!(again.email_verified);
    assert_eq!(revocations, []);
}

pub(crate) async fn a_social_login_that_joins_ends_sessions_and_tokens(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let email = ann.email.clone().expect("an email");
    let expected = User { email_verified: true, generation: ann.generation + 1, ..ann.clone() };

    ends_all(store, &ann, UserChange::JoinSocial { email: email.clone() }, expected).await;

    // Another login of the same address, which found it not proven as well.
    let now = user_now(store, ann.id).await;
    let session = open(store, &now, "joined").await;
    let (again, revocations) = change(store, &ann, UserChange::JoinSocial { email }).await;
    assert_eq!(again, without_attributes(&user_now(store, ann.id).await));
    assert_eq!(again.generation, ann.generation + 1);
    assert_eq!(revocations, []);
    assert_eq!(sessions(store, &ann).await, [session.id]);
}

pub(crate) async fn an_address_that_is_not_the_accounts_changes_and_ends_nothing(
    store: &Arc<dyn Store>,
) {
    let email: Email = "ann@example.org".parse().expect("an email");
    for (name, what) in [
        ("ann", UserChange::ProveEmail { email: email.clone() }),
        ("bob", UserChange::JoinSocial { email }),
    ] {
        let owner = user(store, name).await;
        open(store, &owner, name).await;
        let before = user_now(store, owner.id).await;

        let (answered, revocations) = change(store, &owner, what.clone()).await;

        assert_eq!(answered, without_attributes(&before), "{what:?}");
        assert_eq!(user_now(store, owner.id).await, before, "{what:?}");
        assert_eq!(revocations, [], "{what:?}");
        assert_eq!(sessions(store, &owner).await.len(), 1, "{what:?}");
    }
}

pub(crate) async fn ending_refresh_tokens_ends_sessions_and_no_access_token(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "here").await;
    open_at(store, &ann, "there", OTHER_ISSUER).await;
    let before = user_now(store, ann.id).await;

    let (answered, revocations) = change(store, &ann, UserChange::EndRefreshTokens).await;

    assert_eq!(answered, without_attributes(&before));
    assert_eq!(user_now(store, ann.id).await, before);
    assert_eq!(revocations, []);
    assert_eq!(stands(store, &of_user(ann.id, 0)).await, None);
    assert_eq!(stands(store, &of_session(&session)).await, None);
    assert_eq!(sessions(store, &ann).await, []);
    let rotation = rotate(store, &session, "here", "next", at(1)).await;
    assert_eq!(rotation, Rotation::Refused);
    let found = store.find_session_by_refresh(OTHER_ISSUER, &hash("there"), at(0)).await;
    assert_eq!(found.expect("a look-up"), None);
    open(store, &ann, "again").await;
}

pub(crate) async fn an_upgraded_verifier_ends_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let from = ann.verifier.clone().expect("a verifier");
    let expected = User { verifier: Some("$better".to_owned()), ..ann.clone() };

    let upgrade = UserChange::UpgradeVerifier { from, to: "$better".to_owned() };

    ends_nothing(store, &ann, upgrade, expected).await;
}

pub(crate) async fn a_verifier_is_upgraded_only_while_the_old_one_stands(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;

    let upgrade =
        UserChange::UpgradeVerifier { from: "$gone".to_owned(), to: "$better".to_owned() };

    ends_nothing(store, &ann, upgrade, ann.clone()).await;
}

pub(crate) async fn a_second_factor_is_replaced_only_while_it_is_as_it_was_read(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let (first, second) = (second_factor(), second_factor());
    let replace = |from: Option<&SecondFactor>, to: Option<&SecondFactor>| {
        let from = from.map(|factor| factor.revision);
        UserChange::ReplaceSecondFactor { from, to: to.cloned() }
    };
    let with = |factor: &SecondFactor| User { second_factor: Some(factor.clone()), ..ann.clone() };

    ends_nothing(store, &ann, replace(None, Some(&first)), with(&first)).await;
    for from in [None, Some(&second)] {
        let (answered, _) = change(store, &ann, replace(from, Some(&second))).await;
        assert_eq!(answered.second_factor.as_ref(), Some(&first));
    }
    let (answered, _) = change(store, &ann, replace(Some(&first), Some(&second))).await;
    assert_eq!(answered.second_factor.as_ref(), Some(&second));
    assert_eq!(user_now(store, ann.id).await.second_factor.as_ref(), Some(&second));
    let (answered, revocations) = change(store, &ann, replace(Some(&second), None)).await;
    assert_eq!((answered.second_factor, revocations), (None, Vec::new()));
    assert_eq!(user_now(store, ann.id).await.second_factor, None);
}

pub(crate) async fn remembered_devices_are_forgotten_where_all_sessions_end(
    store: &Arc<dyn Store>,
) {
    let kept = [UserChange::EndRefreshTokens, UserChange::SetEnabled(true)];
    let forgotten = [new_password(), UserChange::SetEnabled(false), UserChange::EndSessions];
    let ann = user(store, "ann").await;
    for (what, devices) in
        kept.map(|what| (what, 1)).into_iter().chain(forgotten.map(|what| (what, 0)))
    {
        let from = user_now(store, ann.id).await.second_factor.map(|factor| factor.revision);
        let to = second_factor();
        let set = UserChange::ReplaceSecondFactor { from, to: Some(to.clone()) };
        change(store, &ann, set).await;

        let (answered, _) = change(store, &ann, what.clone()).await;

        let factor = answered.second_factor.expect("the second factor");
        assert_eq!(factor.devices.len(), devices, "{what:?}");
        assert_eq!(factor.recovery_codes, to.recovery_codes, "{what:?}");
        assert_eq!(user_now(store, ann.id).await.second_factor.as_ref(), Some(&factor), "{what:?}");
        // What was begun before brings none of them back.
        let (from, late) = (Some(to.revision), Some(second_factor()));
        let late = UserChange::ReplaceSecondFactor { from, to: late };
        let (answered, _) = change(store, &ann, late).await;
        assert_eq!(answered.second_factor == Some(factor), devices == 0, "{what:?}");
    }
}

pub(crate) async fn a_social_login_that_joins_takes_the_second_factor_off(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let set = UserChange::ReplaceSecondFactor { from: None, to: Some(second_factor()) };
    change(store, &ann, set).await;
    let email = ann.email.clone().expect("an email");

    let (answered, _) = change(store, &ann, UserChange::JoinSocial { email }).await;

    assert_eq!(answered.second_factor, None);
    assert_eq!(user_now(store, ann.id).await.second_factor, None);
}

pub(crate) async fn disabling_ends_sessions_and_tokens_and_enabling_nothing(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let disabled = User { enabled: false, generation: ann.generation + 1, ..ann.clone() };
    ends_all(store, &ann, UserChange::SetEnabled(false), disabled.clone()).await;

    let (enabled, revocations) = change(store, &ann, UserChange::SetEnabled(true)).await;

    assert!(enabled.enabled);
    assert_eq!(enabled.generation, ann.generation + 1);
    assert_eq!(revocations, []);
    open(store, &enabled, "again").await;
}

pub(crate) async fn a_right_taken_ends_tokens_but_no_session(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "here").await;
    for (roles, permissions) in [
        (vec!["user".to_owned()], vec!["orders:read".to_owned()]),
        (vec!["user".to_owned()], Vec::new()),
        (vec!["admin".to_owned()], Vec::new()),
    ] {
        let before = user_now(store, ann.id).await;
        let rights =
            UserChange::SetRights { roles: roles.clone(), permissions: permissions.clone() };

        let (changed, revocations) = change(store, &ann, rights).await;

        let generation = before.generation + 1;
        let expected = User { roles, permissions, generation, ..before };
        assert_eq!(changed, without_attributes(&expected));
        assert_eq!(user_now(store, ann.id).await, expected);
        assert_eq!(revocations, [of_user(ann.id, generation)]);
        assert_eq!(stands(store, &revocations[0]).await, Some(generation));
        assert_eq!(sessions(store, &ann).await, [session.id]);
    }
}

pub(crate) async fn a_change_that_finds_a_floor_above_the_generation_ends_sessions(
    store: &Arc<dyn Store>,
) {
    let ann = user(store, "ann").await;
    let session = open(store, &ann, "here").await;
    open_at(store, &ann, "there", OTHER_ISSUER).await;
    // A change that raised the generation, and may have ended the sessions, is known by its floor
    // alone.
    store.revoke(&[of_user(ann.id, ann.generation + 4)]).await.expect("a revocation");

    let fewer = UserChange::SetRights { roles: Vec::new(), permissions: Vec::new() };
    let (changed, revocations) = change(store, &ann, fewer).await;

    assert_eq!(changed.generation, ann.generation + 5);
    assert_eq!(revocations, [of_user(ann.id, ann.generation + 5)]);
    assert_eq!(sessions(store, &ann).await, []);
    let rotation = rotate(store, &session, "here", "next", at(1)).await;
    assert_eq!(rotation, Rotation::Refused);
    let again = open(store, &changed, "again").await;
    assert_eq!(sessions(store, &ann).await, [again.id]);
}

pub(crate) async fn a_right_given_ends_nothing(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let roles: Vec<_> = ["admin", "editor", "user"].map(str::to_owned).into();
    let permissions: Vec<_> = ["orders:read", "orders:write"].map(str::to_owned).into();
    let expected = User { roles: roles.clone(), permissions: permissions.clone(), ..ann.clone() };

    ends_nothing(store, &ann, UserChange::SetRights { roles, permissions }, expected).await;
}

pub(crate) async fn ending_sessions_leaves_the_rest_of_the_account(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let expected = User { generation: ann.generation + 1, ..ann.clone() };

    ends_all(store, &ann, UserChange::EndSessions, expected).await;
}

pub(crate) async fn removal_ends_everything(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    open(store, &ann, "here").await;
    let before = user_now(store, ann.id).await;

    let (answered, revocations) = change(store, &ann, UserChange::Remove).await;

    assert_eq!(answered, without_attributes(&before));
    assert_eq!(revocations, [of_user(ann.id, ann.generation + 1)]);
    assert_eq!(stands(store, &revocations[0]).await, Some(ann.generation + 1));
    let found = store.find_user(REALM, &Identifier::Id(ann.id), Lookup::Routine).await;
    assert_eq!(found.expect("a look-up"), None);
    assert_eq!(sessions(store, &ann).await, []);
    let found = store.find_session_by_refresh(ISSUER, &hash("here"), at(0)).await;
    assert_eq!(found.expect("a look-up"), None);
    let again = store.change_user(REALM, ann.id, UserChange::Remove, at(0), until()).await;
    assert_eq!(again.expect("an answer"), None);
}

pub(crate) async fn a_change_touches_no_other_user(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    let bob = user(store, "bob").await;
    let session = open(store, &bob, "bob's").await;
    let before = user_now(store, bob.id).await;

    change(store, &ann, new_password()).await;
    change(store, &ann, UserChange::Remove).await;

    assert_eq!(user_now(store, bob.id).await, before);
    assert_eq!(sessions(store, &bob).await, [session.id]);
    assert_eq!(stands(store, &of_user(bob.id, 0)).await, None);
}

pub(crate) async fn generations_come_from_the_clock_and_never_fall(store: &Arc<dyn Store>) {
    let ann = user(store, "ann").await;
    assert_eq!(ann.generation, millis(at(0)), "the tokens of an account before it are below");

    let mut last = ann.generation;
    for (now, expected) in [
        (at(60), millis(at(60)) + 1),
        (at(60), millis(at(60)) + 2),
        // A clock that was set back.
        (at(1), millis(at(60)) + 3),
        (at(61), millis(at(61)) + 1),
    ] {
        let changed = store.change_user(REALM, ann.id, UserChange::EndSessions, now, until()).await;
        let (changed, revocations) = changed.expect("an answer").expect("the account");

        assert_eq!(changed.generation, expected);
        assert!(changed.generation > last);
        assert_eq!(revocations, [of_user(ann.id, expected)]);
        assert_eq!(stands(store, &revocations[0]).await, Some(expected));
        last = changed.generation;
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).expect("after 1970")
}
