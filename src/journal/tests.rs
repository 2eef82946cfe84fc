//! The file through damage, locks, failures and compaction.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::file::JournalFile;
use super::record::{JournalRecord, LastContact};
use super::state::JournalState;
use super::writer::JournalWriter;
use super::{Journal, JournalError, OnDamage, file};
use crate::clock::{BootId, Now, Timestamp};
use crate::config::Algorithm;
use crate::operation::{RevocationKey, TokenId};
use crate::revocation::{Freshness, RevocationList};
use crate::store::FeedEntry;
use crate::token::StoredKey;

const PREFIX: &str = "munjigi:";
const ISSUER: &str = "https://api.example.com";

fn until() -> Timestamp {
    Timestamp::from_seconds(4_000_000_000)
}

fn entry(number: usize) -> FeedEntry {
    let key = RevocationKey::of_token(ISSUER, &TokenId(number.to_string()));
    FeedEntry { key, floor: 0, expires_at: until() }
}

fn place(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("munjigi.journal")
}

fn open(path: &Path) -> Result<(Journal, Arc<RevocationList>), JournalError> {
    open_on(path, OnDamage::Refuse)
}

fn open_on(
    path: &Path,
    on_damage: OnDamage,
) -> Result<(Journal, Arc<RevocationList>), JournalError> {
    let list = Arc::new(RevocationList::new(10_000_000));
    Ok((Journal::open(path, PREFIX, on_damage, &list)?, list))
}

/// Takes revocations into the list, then keeps them.
async fn keep(journal: &Journal, numbers: impl Iterator<Item = usize>) {
    let entries: Vec<_> = numbers.map(entry).collect();
    journal.list.apply(&entries);
    let records: Vec<_> = entries.into_iter().map(JournalRecord::Revoked).collect();
    journal.keep(&records).await.unwrap();
}

/// Which of the first revocations a list holds.
fn held(list: &RevocationList, of: usize) -> Vec<usize> {
    (0..of).filter(|number| list.holds(&entry(*number).key, Timestamp::default())).collect()
}

/// A journal of these revocations, one frame each; closed.
async fn journal_of(path: &Path, revocations: usize) -> Vec<u8> {
    let (journal, _) = open(path).unwrap();
    for number in 0..revocations {
        keep(&journal, number..number + 1).await;
    }
    journal.close().await;
    fs::read(path).unwrap()
}

fn contact(boot_id: [u8; 16]) -> JournalRecord {
    let Now { wall, boot } = Now::read();
    JournalRecord::Contact(LastContact { wall, boot, boot_id })
}

#[tokio::test]
async fn what_was_kept_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let key = StoredKey::generate(Algorithm::Es256, until()).unwrap();
    let records = [
        JournalRecord::Keys { issuer: ISSUER.to_owned(), keys: vec![key.clone()] },
        JournalRecord::Site { issuer: ISSUER.to_owned(), generation: 3 },
        JournalRecord::Number(17),
        JournalRecord::Lineage("a/b".to_owned()),
    ];
    let (journal, _) = open(&place(&folder)).unwrap();
    keep(&journal, 0..3).await;
    journal.keep(&records).await.unwrap();
    journal.close().await;

    let (journal, list) = open(&place(&folder)).unwrap();

    assert_eq!(held(&list, 4), [0, 1, 2]);
    let state = journal.state();
    assert_eq!(state.keys[ISSUER], [key]);
    assert_eq!(state.sites[ISSUER], 3);
    assert_eq!((state.number, state.lineage.as_deref()), (17, Some("a/b")));
    let mode = fs::metadata(place(&folder)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds signing keys");
}

#[tokio::test]
async fn more_than_one_frame_takes_is_kept_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&place(&folder)).unwrap();

    keep(&journal, 0..60_000).await;
    journal.close().await;

    assert_eq!(open(&place(&folder)).unwrap().1.len(), 60_000);
}

#[tokio::test]
async fn a_last_record_torn_at_any_byte_is_cut_and_appended_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let whole = journal_of(&path, 3).await;
    let two = journal_of(&folder.path().join("two"), 2).await.len();
    for length in two..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();

        let (journal, list) = open(&path).unwrap();
        assert_eq!(held(&list, 4), [0, 1], "cut to {length}");
        keep(&journal, 3..4).await;
        journal.close().await;

        let (journal, list) = open(&path).unwrap();
        assert_eq!(held(&list, 4), [0, 1, 3], "cut to {length}");
        journal.close().await;
    }
}

#[tokio::test]
async fn a_flipped_bit_is_refused_with_its_place_and_loses_no_more_than_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let whole = journal_of(&path, 40).await;
    let begin = journal_of(&folder.path().join("none"), 0).await.len();
    let size = (whole.len() - begin) / 40;
    let mut random = 1_u64;
    for _ in 0..200 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (random >> 20) as usize % (whole.len() * 8);
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let hit = (bit / 8).checked_sub(begin).map(|at| at / size);

        let refused = open(&path);

        let Err(JournalError::Damaged { place, .. }) = refused else { panic!("bit {bit}") };
        assert_eq!(place, hit.map_or(0, |hit| (begin + hit * size) as u64), "bit {bit}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "bit {bit}: a refused file is left alone");
        let (journal, list) = open_on(&path, OnDamage::AcceptLoss).unwrap();
        let kept: Vec<_> = (0..40).filter(|number| Some(*number) != hit).collect();
        assert_eq!(held(&list, 40), kept, "bit {bit}");
        let aside = folder.path().join("munjigi.journal.damaged");
        assert_eq!(fs::read(&aside).unwrap(), bytes, "bit {bit}");
        journal.close().await;
        let (journal, list) = open(&path).unwrap();
        assert_eq!(held(&list, 40), kept, "bit {bit}, read again");
        journal.close().await;
    }
}

#[tokio::test]
async fn a_contact_before_a_loss_vouches_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let (journal, _) = open(&path).unwrap();
    keep(&journal, 0..1).await;
    journal.keep(&[contact(BootId::read().unwrap().0)]).await.unwrap();
    journal.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(16).position(|window| window == entry(0).key.0).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();

    let (_journal, list) = open_on(&path, OnDamage::AcceptLoss).unwrap();

    assert_eq!(list.freshness(Now::read().boot, Duration::MAX), Freshness::Unread);
}

#[tokio::test]
async fn a_contact_of_this_boot_is_as_old_as_it_is_and_one_of_another_is_stale() {
    let this = BootId::read().unwrap().0;
    for (name, boot_id, fresh) in [("this", this, true), ("another", [1; 16], false)] {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(&place(&folder)).unwrap();
        journal.keep(&[contact(boot_id)]).await.unwrap();
        journal.close().await;

        let (_journal, list) = open(&place(&folder)).unwrap();

        let now = Now::read().boot;
        let patient = list.freshness(now, Duration::from_mins(1));
        assert_eq!(patient == Freshness::Fresh, fresh, "{name}: {patient:?}");
        let strict = list.freshness(now, Duration::ZERO);
        let is_known = !matches!(strict, Freshness::Unread);
        assert!(is_known, "{name}: {strict:?}");
        tokio::time::timeout(Duration::from_secs(5), list.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_journal_knows_nothing() {
    let folder = tempfile::tempdir().unwrap();

    let (_journal, list) = open(&place(&folder)).unwrap();

    assert_eq!(list.freshness(Now::read().boot, Duration::MAX), Freshness::Unread);
}

#[tokio::test]
async fn a_journal_in_use_is_refused_and_let_go_of_when_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&place(&folder)).unwrap();

    assert!(matches!(open(&place(&folder)), Err(JournalError::Locked { .. })));

    journal.close().await;
    open(&place(&folder)).unwrap();
}

#[tokio::test]
async fn what_is_no_journal_of_this_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let good = journal_of(&path, 1).await;
    let mut newer = good.clone();
    newer[12..20].copy_from_slice(&[9, 0, 0, 0, 0xf6, 0xff, 0xff, 0xff]);
    let mut half_newer = good.clone();
    half_newer[12] = 9;
    let other = folder.path().join("other");
    let list = Arc::new(RevocationList::new(1));
    let journal = Journal::open(&other, "other:", OnDamage::Refuse, &list).unwrap();
    journal.close().await;
    let rows = [
        ("a newer version", newer, "version 9"),
        ("a damaged version", half_newer, "damaged at byte 0"),
        ("another store's", fs::read(&other).unwrap(), "prefix `other:`"),
        ("empty", Vec::new(), "damaged at byte 0"),
        ("something else", b"[store]\nurl = \"redis://localhost\"\n".to_vec(), "damaged at byte 0"),
        ("cut in its header", good[..15].to_vec(), "damaged at byte 0"),
    ];
    for (name, bytes, expected) in rows {
        fs::write(&path, &bytes).unwrap();

        let error = open(&path).unwrap_err().to_string();

        assert!(error.contains(expected), "{name}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{name}");
    }
}

#[tokio::test]
async fn a_journal_that_is_mostly_dead_is_compacted_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let key = StoredKey::generate(Algorithm::Hs256, until()).unwrap();
    let keys = JournalRecord::Keys { issuer: ISSUER.to_owned(), keys: vec![key] };
    let (journal, _) = open(&path).unwrap();
    journal.keep(std::slice::from_ref(&keys)).await.unwrap();
    let mut largest = 0;
    let mut shrank = false;
    for round in 0..100 {
        keep(&journal, 0..2_000).await;
        keep(&journal, 2_000 + round..2_001 + round).await;
        let size = fs::metadata(&path).unwrap().len();
        shrank |= size < largest;
        largest = largest.max(size);
    }
    journal.close().await;

    assert!(shrank && largest < 3 << 20, "{largest} bytes at most");
    let (journal, list) = open(&path).unwrap();
    assert_eq!(list.len(), 2_100);
    assert_eq!(journal.state().keys.len(), 1);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_is_in_use_after_a_compaction_is_still_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    let (journal, _) = open(&path).unwrap();
    let before = fs::metadata(&path).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata));
    let begun = Instant::now();
    loop {
        keep(&journal, 0..2_000).await;
        let now =
            fs::metadata(&path).map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata));
        if now.unwrap() != *before.as_ref().unwrap() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it is never compacted");
    }

    assert!(matches!(open(&path), Err(JournalError::Locked { .. })));
    keep(&journal, 2_000..2_001).await;
    journal.close().await;
    assert_eq!(open(&path).unwrap().1.len(), 2_001);
}

/// A writer whose file takes no more writes.
fn broken_writer(path: &Path) -> JournalWriter {
    let list = Arc::new(RevocationList::new(100));
    list.apply(&[entry(0), entry(1)]);
    JournalWriter {
        path: path.to_owned(),
        prefix: PREFIX.to_owned(),
        list,
        state: Arc::new(Mutex::new(JournalState { number: 9, ..JournalState::default() })),
        failure: Arc::default(),
        journal: JournalFile { file: fs::File::open(path).unwrap(), end: 100 },
        broken: None,
        compaction: None,
        compact_after: Instant::now(),
    }
}

fn record(number: usize) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    JournalRecord::Revoked(entry(number)).write(&mut bytes);
    vec![bytes]
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_given_up_and_made_anew_from_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    journal_of(&path, 1).await;
    let mut writer = broken_writer(&path);

    writer.write(&record(1), true).unwrap_err();
    writer.write(&record(1), true).unwrap_err();
    let (_, retry_at) = writer.broken.as_mut().unwrap();
    *retry_at = Instant::now();
    writer.write(&record(1), true).unwrap();
    writer.write(&record(2), true).unwrap();
    drop(writer);

    let (journal, list) = open(&path).unwrap();
    assert_eq!(held(&list, 4), [0, 1, 2]);
    assert_eq!(journal.state().number, 9);
}

#[tokio::test]
async fn a_journal_whose_folder_is_gone_stays_broken_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    journal_of(&path, 1).await;
    let mut writer = broken_writer(&path);
    folder.close().unwrap();

    writer.write(&record(1), true).unwrap_err();
    writer.broken.as_mut().unwrap().1 = Instant::now();
    let error = writer.write(&record(1), true).unwrap_err();

    assert!(error.to_string().contains("munjigi.journal"), "{error}");
}

#[tokio::test]
async fn a_closed_journal_acknowledges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&place(&folder)).unwrap();
    journal.close().await;

    let refused = journal.keep(&[JournalRecord::Number(1)]).await;

    assert!(matches!(refused, Err(JournalError::Closed)), "{refused:?}");
}

#[test]
fn a_file_that_another_renamed_onto_the_place_is_the_one_that_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder);
    fs::write(&path, "old").unwrap();
    fs::write(folder.path().join("new"), "new").unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();

    let file = file::open(&path).unwrap().unwrap();

    assert_eq!(std::io::read_to_string(file).unwrap(), "new");
}
