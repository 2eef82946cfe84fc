//! Names that are older than the rule for names, and accounts that share one by it.

use std::collections::{BTreeSet, HashMap};

use crate::operation::{Email, Identifier, UserId, Username};
use crate::store::{Lookup, Record, Store, StoreError};

/// Accounts by realm and by their name under the current rule, if that differs.
#[derive(Debug, Default)]
pub(super) struct OlderNames(HashMap<(String, Identifier), BTreeSet<UserId>>);

impl OlderNames {
    /// Adds the accounts of a page.
    pub(super) fn add(&mut self, page: &[Record]) {
        let users = page.iter().filter_map(|record| match record {
            Record::User(user) => Some(user),
            _ => None,
        });
        for user in users {
            let emails = user.email.iter().filter_map(|kept| {
                let email = kept.as_str().parse::<Email>().ok().filter(|email| email != kept)?;
                Some(Identifier::Email(Email::stored(email.as_str())))
            });
            let usernames = user.username.iter().filter_map(|kept| {
                let name = kept.as_str().parse::<Username>().ok().filter(|name| name != kept)?;
                Some(Identifier::Username(Username::stored(name.as_str())))
            });
            for name in emails.chain(usernames) {
                self.0.entry((user.realm.clone(), name)).or_default().insert(user.id);
            }
        }
    }

    /// Whether every name follows the rule.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names the accounts that share a name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn shared(self, store: &dyn Store) -> Result<Vec<String>, StoreError> {
        let mut shared = Vec::new();
        for ((realm, name), mut users) in self.0 {
            let found = store.find_user(&realm, &name, Lookup::Routine).await?;
            users.extend(found.map(|user| user.id));
            if users.len() > 1 {
                let ids: Vec<String> = users.iter().map(ToString::to_string).collect();
                let ids = ids.join(", ");
                shared.push(format!("accounts {ids} of realm {realm} share the name {name}"));
            }
        }
        shared.sort();
        Ok(shared)
    }
}
