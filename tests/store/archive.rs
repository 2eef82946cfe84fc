//! Everything out of one store, into another, and the same again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use munjigi::clock::Timestamp;
use munjigi::config::{Algorithm, Rate};
use munjigi::operation::{Identifier, Revocation, Revoked};
use munjigi::secret::Secret;
use munjigi::store::{
    Archive, Bound, Lookup, Page, Record, Rotation, Store, Tally, TrySubject, User, UserChange,
};
use munjigi::token::StoredKey;
use tokio::sync::mpsc;

use crate::backend::Backend;
use crate::fixture::{
    DAY, GRACE, HOUR, ISSUER, REALM, at, before, change, code, hash, login, mail, new_user,
    new_user_with_image, of_site, of_token, open, sealed, second_factor, session_of, successor,
    until, user,
};

async fn exported(store: &dyn Archive, now: Timestamp) -> Vec<Record> {
    let (sender, mut pages) = mpsc::channel::<Page>(1);
    let mut records = Vec::new();
    let gathering = async {
        while let Some(page) = pages.recv().await {
            records.extend(page);
        }
    };
    let (exported, ()) = tokio::join!(store.export(now, sender), gathering);
    exported.expect("an export");
    records
}

async fn copy(from: &dyn Archive, to: &dyn Archive, now: Timestamp) {
    let (sender, mut pages) = mpsc::channel::<Page>(1);
    let importing = async {
        while let Some(page) = pages.recv().await {
            to.import(page, now).await.expect("an import");
        }
    };
    let (exported, ()) = tokio::join!(from.export(now, sender), importing);
    exported.expect("an export");
}

/// By kind, whatever the order of each.
fn by_kind(records: &[Record]) -> BTreeMap<&'static str, Vec<String>> {
    let mut kinds: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for record in records {
        let material = match record {
            Record::Key { key, .. } => key.material.expose().clone(),
            _ => Vec::new(),
        };
        kinds.entry(record.kind()).or_default().push(format!("{record:?} {material:?}"));
    }
    kinds.values_mut().for_each(|records| records.sort());
    kinds
}

fn tally(records: &[Record]) -> Tally {
    let mut tally = Tally::default();
    tally.add(records);
    tally
}

struct Kept {
    ann: User,
    rotated: munjigi::operation::SessionId,
}

fn tried() -> TrySubject {
    TrySubject::codes("a:b", &"ann@example.com".parse().expect("an address"))
}

/// Something of every kind, and of every kind something that has ended.
async fn fill(store: &Arc<dyn Store>) -> Kept {
    let ann = user(store, "ann").await;
    let bob = user(store, "bob").await;
    let only_named = User { email: None, ..new_user("carl") };
    store.create_user(only_named).await.expect("an account");
    let elsewhere = User { realm: "a:b {c}".to_owned(), ..new_user_with_image("ann") };
    store.create_user(elsewhere).await.expect("an account");
    change(store, &bob, UserChange::SetEnabled(false)).await;
    let factor = UserChange::ReplaceSecondFactor { from: None, to: Some(second_factor()) };
    change(store, &ann, factor).await;
    let gone = user(store, "gone").await;
    open(store, &gone, "gone's").await;
    change(store, &gone, UserChange::Remove).await;

    let session = open(store, &ann, "first").await;
    for (presented, next) in [("first", "second"), ("second", "third")] {
        let next = successor(next, at(5));
        let rotation = store.rotate(session.id, &hash(presented), next, GRACE, until()).await;
        assert!(matches!(rotation, Ok(Rotation::Rotated(_))), "{rotation:?}");
    }
    let bare = login(&ann, session_of(&ann, ISSUER), None);
    store.open_session(bare, until()).await.expect("a login").expect("a session");
    let past = munjigi::store::Session { expires_at: before(1), ..session_of(&ann, ISSUER) };
    let past = login(&ann, past, Some("past"));
    store.open_session(past, until()).await.expect("a login").expect("a session");

    let key = Revoked::Key { issuer: ISSUER.to_owned(), key: "leaked".to_owned() };
    let expired = Revocation { expires_at: before(1), ..of_token("expired") };
    let for_ever = Revocation { revoked: key, expires_at: Revocation::NEVER_ENDS };
    let all = [of_token("a"), of_token("b"), of_site(ISSUER, 3), expired, for_ever];
    store.revoke(&all).await.expect("revocations");
    for (issuer, kid) in [(ISSUER, "k1"), ("urn:munjigi:vault", "v"), ("https://[::1]:8/%7B", "k")]
    {
        let key = StoredKey {
            kid: kid.to_owned(),
            algorithm: Algorithm::Hs256,
            material: Secret::new(b"\0\xff material".to_vec()),
            created_at: at(1),
        };
        store.add_signing_key(issuer, key).await.expect("keys");
    }
    store.put_code(code("ann", "123456"), mail(0)).await.expect("a code");
    store.put_code(code("ann", "123457"), mail(0)).await.expect("a code");
    let ended = Bound::window("ended", 2, Duration::from_secs(5));
    let rate = Rate { count: 1, period: Duration::from_secs(60), burst: 3 };
    let day = Duration::from_secs(86_400);
    let bounds = [Bound::window("d", 2, day), Bound::rate("rate", rate), ended];
    store.take_try(&tried(), &bounds, at(0)).await.expect("a try");
    store.mark_as_backup(Some(at(3))).await.expect("a mark");
    let dead = munjigi::store::NewCode { expires_at: before(1), ..code("bob", "654321") };
    let sent = munjigi::store::NewMail { expires_at: before(1), ..mail(0) };
    store.put_code(dead, sent).await.expect("a code");
    store.queue_mail(mail(60)).await.expect("a mail");
    store.take_mails(at(0), at(30), 1).await.expect("a mail");
    Kept { ann, rotated: session.id }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_copied_round_every_kind_of_store_is_the_same() {
    let now = at(10);
    let first = Backend::sqlite().await;
    let kept = fill(&first.store).await;
    let original = exported(first.archive.as_ref(), now).await;
    let counts = tally(&original);
    let found: Vec<_> = Tally::KINDS.into_iter().map(|kind| (kind, counts.of(kind))).collect();
    assert_eq!(
        found,
        [
            ("users", 4),
            ("sessions", 2),
            ("refresh tokens", 3),
            // Two tokens, a site, a key, bob, gone.
            ("revocations", 6),
            ("site generations", 1),
            ("signing keys", 2),
            ("vault secrets", 1),
            ("codes", 2),
            ("counts of tries", 2),
            ("mails", 3),
        ]
    );
    assert_eq!(counts.highest_number, 5, "its account is gone, its number is not given again");

    let mut passed = vec![first];
    for to in [
        Backend::redis().await,
        Backend::sqlite().await,
        Backend::cluster().await,
        Backend::sentinel().await,
        Backend::in_memory().await,
    ] {
        let from = passed.last().expect("a store");
        assert!(to.archive.is_empty().await.expect("an answer"));
        copy(from.archive.as_ref(), to.archive.as_ref(), now).await;

        let again = exported(to.archive.as_ref(), now).await;

        assert_eq!(by_kind(&again), by_kind(&original));
        assert_eq!(tally(&again), counts);
        assert!(!to.archive.is_empty().await.expect("an answer"));
        passed.push(to);
    }
    for copy in passed {
        lives_on(&copy.store, &kept).await;
    }
}

/// A copy is a store like any other.
async fn lives_on(store: &Arc<dyn Store>, kept: &Kept) {
    let email = Identifier::Email(kept.ann.email.clone().expect("an address"));
    let ann = store.find_user(REALM, &email, Lookup::Whole).await.expect("a look-up");
    assert_eq!(ann.expect("ann").attributes, kept.ann.attributes);
    let taken = store.create_user(new_user("ann")).await;
    assert!(matches!(taken, Err(munjigi::store::StoreError::Taken)), "{taken:?}");
    let new = user(store, "dora").await;
    assert_eq!(new.id.0, 6);
    let next = successor("fourth", at(7));
    let repeated = store.rotate(kept.rotated, &hash("second"), next, GRACE, until()).await;
    let repeated = repeated.expect("a rotation");
    assert!(
        matches!(&repeated, Rotation::Repeated { sealed: kept, .. } if *kept == sealed("third")),
        "{repeated:?}"
    );
    let guessed = store
        .try_code(
            munjigi::store::CodePurpose::Reset,
            REALM,
            &"ann@example.com".parse().expect("an address"),
            &hash("123456").0,
            at(20),
        )
        .await;
    assert!(guessed.expect("a guess"));
    assert_eq!(store.site_generation(ISSUER).await.expect("a generation"), 3);
    let mails = store.take_mails(at(60), at(90), 10).await.expect("mails");
    let attempts: u32 = mails.iter().map(|mail| mail.attempts).sum();
    assert_eq!((mails.len(), attempts), (3, 1));
    let bounds = [Bound::window("d", 2, Duration::from_secs(86_400))];
    assert_eq!(store.backup_mark().await.expect("a mark"), Some(at(3)));
    store.mark_as_backup(None).await.expect("no mark");
    assert_eq!(store.backup_mark().await.expect("a mark"), None);
    let taken = store.take_try(&tried(), &bounds, at(20)).await.expect("a try");
    assert_eq!(taken, munjigi::store::Taking::Taken { left: 0 });
    let next = successor("fifth", at(20));
    let stolen = store.rotate(kept.rotated, &hash("first"), next, GRACE, until()).await;
    assert!(matches!(stolen, Ok(Rotation::Reused(_))), "{stolen:?}");
    store.purge(at(2 * DAY + HOUR)).await.expect("a purge");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_differs_is_seen() {
    let store = Backend::in_memory().await;
    fill(&store.store).await;
    let records = exported(store.archive.as_ref(), at(10)).await;
    let whole = tally(&records);
    for (number, record) in records.iter().enumerate() {
        if matches!(record, Record::Backup(_)) {
            continue;
        }
        let mut without = records.clone();
        without.remove(number);
        assert_eq!(whole.differences(&tally(&without)), [record.kind()]);
    }
    let altered = records.iter().cloned().map(|record| match record {
        Record::Key { issuer, key } => {
            let material = Secret::new(vec![1; 32]);
            Record::Key { issuer, key: StoredKey { material, ..key } }
        }
        other => other,
    });
    let altered: Vec<_> = altered.collect();
    assert_eq!(whole.differences(&tally(&altered)), ["signing keys", "vault secrets"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_nobody_reads_ends() {
    for store in [Backend::sqlite().await, Backend::redis().await] {
        fill(&store.store).await;
        let (sender, pages) = mpsc::channel::<Page>(1);
        drop(pages);

        let export = store.archive.export(at(10), sender);

        tokio::time::timeout(Duration::from_secs(10), export).await.expect("it ends").expect("ok");
    }
}
