//! The time of a refused login, with and without such an account: it must not show which.
//!
//! Wrong passwords for a known and an unknown user, by turns, under the default parameters of
//! `[password]` and without limits, on SQLite: the medians and their ratio are printed. Nothing is
//! asserted: a busy machine is no fault of the code.

#![expect(clippy::print_stdout, reason = "a bench says what it found")]
#![expect(clippy::expect_used, reason = "a bench that cannot start must stop")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use munjigi::app::reload_state::ReloadState;
use munjigi::app::{assemble, keys, stores};
use munjigi::auth::{Auth, AuthSite};
use munjigi::clock::Now;
use munjigi::config;
use munjigi::operation::{Caller, Command, ErrorCode, Password};
use munjigi::revocation::RevocationList;
use munjigi::secret::Secret;

const TRIES: usize = 200;
const KNOWN: &str = "known@example.com";
const UNKNOWN: &str = "nobody@example.com";

fn main() {
    munjigi::token::install_crypto();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let (auth, site) = gateway(folder.path()).await;
    let sign_up = Command::SignUp {
        email: Some(KNOWN.parse().expect("an address")),
        username: None,
        password: password("correct horse"),
        role: None,
        attributes: BTreeMap::new(),
    };
    run(&auth, &site, sign_up).await.expect("an account");
    for user in [KNOWN, UNKNOWN] {
        refused(&auth, &site, user).await;
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..TRIES {
        known.push(refused(&auth, &site, KNOWN).await);
        unknown.push(refused(&auth, &site, UNKNOWN).await);
    }
    let (known, unknown) = (median(known), median(unknown));
    println!("refused_login_known    median of {TRIES}: {known:?}");
    println!("refused_login_unknown  median of {TRIES}: {unknown:?}");
    println!("known / unknown: {:.3}", known.as_secs_f64() / unknown.as_secs_f64());
}

/// The operations of a site as the gateway builds them.
async fn gateway(folder: &std::path::Path) -> (Auth, AuthSite) {
    let text = "[store]\nurl = \"sqlite:munjigi.db\"\n\
                [login]\nrate_limit = \"off\"\nlock_after = 0\n\
                [site.\"localhost\"]\ncontract = \"standard\"\n\
                routes = [{ path = \"/*\", upstream = \"http://127.0.0.1:1\" }]\n";
    let config = config::parse(text, &folder.join("munjigi.toml"), &BTreeMap::new());
    let config = config.expect("a configuration");
    let now = Now::read().wall;
    let contracts = assemble::contracts(&config).expect("contracts");
    let store = stores::open(&config.store).await.expect("a store");
    let kept = ReloadState::new(&config).expect("the parts");
    let own_keys = keys::own_keys(store.as_ref(), now).await.expect("own keys");
    let settings = assemble::settings(&config, &contracts, &kept, &own_keys).expect("settings");
    let sites = assemble::sites(&config, &contracts, &settings, store.as_ref(), now).await;
    let site = sites.expect("sites").pop().expect("a site").auth;
    (Auth { store, revocations: Arc::new(RevocationList::new(1_000)), own_keys }, site)
}

/// The time of a login with a wrong password.
async fn refused(auth: &Auth, site: &AuthSite, user: &str) -> Duration {
    let identifier = user.parse().expect("an address");
    let login = Command::Login { identifier, password: password("wrong horse") };
    let started = Instant::now();
    let refusal = run(auth, site, login).await.expect_err("a refusal");
    let took = started.elapsed();
    assert_eq!(refusal, ErrorCode::InvalidCredentials);
    took
}

async fn run(auth: &Auth, site: &AuthSite, command: Command) -> Result<(), ErrorCode> {
    let caller =
        Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), agent: None, devices: Vec::new() };
    let done = auth.run(site, &caller, command, Now::read()).await;
    done.map(|_| ()).map_err(|rejection| rejection.code)
}

fn password(text: &str) -> Password {
    Password { text: Secret::from(text), may_be_hashed: false }
}

fn median(mut figures: Vec<Duration>) -> Duration {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
