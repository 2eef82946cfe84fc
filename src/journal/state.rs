//! The state of the journal besides the revocation list, and the newest revocations.

use std::collections::{BTreeMap, VecDeque};

use crate::journal::record::{JournalRecord, LastContact};
use crate::store::FeedEntry;
use crate::token::StoredKey;

/// The content of the journal without older revocations.
#[derive(Clone, Debug, Default)]
pub(super) struct JournalState {
    /// Signing keys by issuer, and the gateway's own secret, as the store last had them.
    pub(super) keys: BTreeMap<String, Vec<StoredKey>>,
    /// Generations of sites, above zero, by issuer.
    pub(super) sites: BTreeMap<String, u64>,
    /// The highest number of an account that was seen.
    pub(super) number: i64,
    /// The last contact with the store.
    pub(super) contact: Option<LastContact>,
    /// The lineage of the store that has everything in this journal.
    pub(super) lineage: Option<String>,
    /// The newest revocations, oldest first: the likeliest to be lost by a fail-over.
    pub(super) newest: VecDeque<FeedEntry>,
}

/// The number of newest revocations.
const NEWEST: usize = 4096;

impl JournalState {
    /// Applies a record; returns whether it changed anything.
    pub(super) fn take(&mut self, record: &JournalRecord) -> bool {
        match record {
            JournalRecord::Revoked(entry) => {
                if self.newest.len() == NEWEST {
                    self.newest.pop_front();
                }
                self.newest.push_back(*entry);
                true
            }
            JournalRecord::Site { issuer, generation } => {
                let held = self.sites.entry(issuer.clone()).or_default();
                let rises = generation > held;
                *held = (*held).max(*generation);
                rises
            }
            JournalRecord::Keys { issuer, keys } => {
                let held = self.keys.insert(issuer.clone(), keys.clone());
                held.as_ref() != Some(keys)
            }
            JournalRecord::Number(number) => {
                let rises = *number > self.number;
                self.number = self.number.max(*number);
                rises
            }
            JournalRecord::Contact(contact) => self.contact.replace(*contact) != Some(*contact),
            JournalRecord::Lineage(lineage) => {
                self.lineage.replace(lineage.clone()).as_ref() != Some(lineage)
            }
        }
    }

    /// Its records. The contact comes last, since it covers all before.
    pub(super) fn records(&self) -> Vec<JournalRecord> {
        let keys = self.keys.iter().map(|(issuer, keys)| JournalRecord::Keys {
            issuer: issuer.clone(),
            keys: keys.clone(),
        });
        let sites = self.sites.iter().map(|(issuer, generation)| JournalRecord::Site {
            issuer: issuer.clone(),
            generation: *generation,
        });
        let number = (self.number > 0).then_some(JournalRecord::Number(self.number));
        let lineage = self.lineage.clone().map(JournalRecord::Lineage);
        let contact = self.contact.map(JournalRecord::Contact);
        let newest = self.newest.iter().copied().map(JournalRecord::Revoked);
        newest.chain(keys).chain(sites).chain(number).chain(lineage).chain(contact).collect()
    }
}
