//! Renews browsers' sessions on the way: one refresh, however many requests of a page come at once.

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::auth::{Auth, AuthSite};
use crate::clock::Now;
use crate::operation::{Caller, Command, Outcome, RefreshHash, Rejection, TokenSet};
use crate::secret::Secret;

/// The refreshes under way.
#[derive(Clone, Default)]
pub(crate) struct Renewals {
    /// By issuer and refresh token.
    flights: Arc<DashMap<(String, RefreshHash), Flight>>,
}

type Flight = Shared<BoxFuture<'static, Result<TokenSet, Rejection>>>;

impl Renewals {
    /// Exchanges a refresh token as the client's own refresh would. Requests that bring the same
    /// one meanwhile get the same tokens.
    ///
    /// # Errors
    /// As [`Command::Refresh`].
    pub(crate) async fn renew(
        &self,
        auth: &Auth,
        site: &AuthSite,
        caller: Caller,
        refresh_token: &str,
        now: Now,
    ) -> Result<TokenSet, Rejection> {
        let issuer = site.tokens.policy().issuer.clone();
        let flight = match self.flights.entry((issuer, RefreshHash::of(refresh_token))) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(place) => {
                let landing = Landing { renewals: self.clone(), key: place.key().clone() };
                let (auth, site) = (auth.clone(), site.clone());
                let command = Command::Refresh {
                    refresh_tokens: vec![Secret::from(refresh_token)],
                    previous_access_token: None,
                };
                let refreshing = async move {
                    let _landing = landing;
                    match auth.run(&site, &caller, command, now).await? {
                        Outcome::TokensIssued { tokens, .. } => Ok(tokens),
                        _ => Err(Rejection::internal("a refresh issued no tokens")),
                    }
                };
                // A task of its own: it ends even if the client leaves, whose other requests wait
                // for it as well.
                let task = tokio::spawn(refreshing);
                let flight = task
                    .map(|ended| ended.unwrap_or_else(|_| Err(Rejection::internal("it panicked"))));
                place.insert(flight.boxed().shared()).clone()
            }
        };
        flight.await
    }
}

/// Removes a refresh that has ended, however it ended.
struct Landing {
    renewals: Renewals,
    key: (String, RefreshHash),
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.renewals.flights.remove(&self.key);
    }
}

impl std::fmt::Debug for Renewals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Renewals").field("under_way", &self.flights.len()).finish()
    }
}
