//! The audit trail of a store that is moved, saved or replaced as a whole.

use std::sync::Arc;

use anyhow::bail;

use crate::app::stores;
use crate::cli::audit_trail;
use crate::clock::Timestamp;
use crate::config::{StoreConfig, StoreUrl};
use crate::store::{MOST_EVENTS, SqliteStore, Store, StoreError};
use crate::telemetry::audit::Entry;
use crate::telemetry::{audit, causes};

/// Records an operation on a store in its audit trail.
pub(super) async fn record(store: &StoreConfig, entry: Entry) {
    audit::record(entry);
    match open_as_it_is(store).await {
        Ok(store) => audit_trail::record_held(store.as_ref()).await,
        Err(error) => audit_trail::warn_of_held(&causes(error.as_ref())),
    }
}

/// Copies the events that wait in a store to the one that takes its place.
pub(super) async fn carry(
    from: &dyn Store,
    to: &dyn Store,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Under no lease: it is recorded there as well.
    for event in from.take_events(now, now, MOST_EVENTS).await? {
        to.record_event(event).await?;
    }
    Ok(())
}

/// Opens a store, except a file of an older schema: only its gateway may migrate that,
/// which may be older as well.
pub(super) async fn open_as_it_is(store: &StoreConfig) -> anyhow::Result<Arc<dyn Store>> {
    if let StoreUrl::Sqlite(path) = &store.url
        && !SqliteStore::is_current(path)
    {
        bail!("{} has another schema", path.display());
    }
    Ok(stores::open(store).await?)
}
