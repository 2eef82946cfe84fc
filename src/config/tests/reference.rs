//! `config/munjigi.toml` says what the code does.

use std::collections::BTreeMap;
use std::path::Path;

use crate::config::tests::{SECRET, read};
use crate::config::{
    CorsConfig, IdentityConfig, LimitsConfig, LogConfig, LoginConfig, MailConfig, PagesConfig,
    PasswordConfig, ProviderConfig, REFERENCE, RevocationConfig, RouteAuth, RouteConfig,
    ServerConfig, SignupConfig, SocialConfig, StoreConfig, StoreUrl, TlsConfig, TokensConfig,
    UiConfig, UpstreamConfig, parse,
};
use crate::document::Reader;

/// The reference with its settings in force: `#key` is a setting, `# word` a sentence.
fn in_force() -> String {
    REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|first: char| !first.is_whitespace()) => setting,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A folder with the files that the reference names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("keys")).expect("a folder");
    for (name, text) in [
        ("hs256.secret", SECRET),
        ("es256.pem", "-----BEGIN PRIVATE KEY-----\n"),
        ("old.pem", "-----BEGIN PUBLIC KEY-----\n"),
    ] {
        std::fs::write(folder.path().join("keys").join(name), text).expect("a file");
    }
    folder
}

#[test]
fn every_setting_is_commented_out() {
    for line in REFERENCE.lines() {
        assert!(line.is_empty() || line.starts_with('#'), "{line}");
    }
}

#[test]
fn the_defaults_are_those_of_the_code() {
    let folder = folder();

    let config = parse(&in_force(), &folder.path().join("munjigi.toml"), &BTreeMap::new())
        .unwrap_or_else(|faults| panic!("{faults}"));

    assert_eq!(config.server, ServerConfig::default());
    assert_eq!(config.tls, TlsConfig::default());
    let url = StoreUrl::Sqlite(folder.path().join("munjigi.db"));
    assert_eq!(config.store, StoreConfig { url, ..StoreConfig::default() });
    let journal = Some(folder.path().join("munjigi.journal"));
    assert_eq!(config.revocation, RevocationConfig { journal, ..RevocationConfig::default() });
    assert_eq!(config.password, PasswordConfig::default());
    assert_eq!(config.login, LoginConfig::default());
    let (google, kakao) = (Some(ProviderConfig::google()), Some(ProviderConfig::kakao()));
    assert_eq!(config.social, SocialConfig { google, kakao, ..SocialConfig::default() });
    assert_eq!(config.mail, MailConfig::default());
    assert_eq!(config.ui, UiConfig::default());
    assert_eq!(config.limits, LimitsConfig::default());
    assert_eq!(config.log, LogConfig::default());
    let upstream = &config.upstreams["orders"];
    assert_eq!(*upstream, UpstreamConfig::at(upstream.targets[0].clone()));
    let site = &config.sites[0];
    assert_eq!(site.signup, SignupConfig::default());
    assert_eq!(site.cors, CorsConfig::default());
    let pages = site.pages.clone().expect("a table of them");
    assert_eq!(pages, PagesConfig { spot: pages.spot.clone(), ..PagesConfig::default() });
    assert_eq!(site.identity, IdentityConfig::default());
    let keys = site.tokens.keys.clone();
    assert_eq!(keys.len(), 3);
    assert_eq!(site.tokens, TokensConfig { keys, ..TokensConfig::default() });
}

#[test]
fn what_is_left_out_of_a_site_is_as_the_reference_says() {
    let folder = folder();
    let path = folder.path().join("munjigi.toml");
    let whole = parse(&in_force(), &path, &BTreeMap::new()).expect("the reference");
    let least = read(
        "[upstream.orders]\ntargets = [\"http://127.0.0.1:3000\"]\n\
         [site.\"api.example.com\"]\ncontract = \"standard\"\n\
         routes = [{ path = \"/orders/*\", upstream = \"orders\" }]\n",
    )
    .expect("a good configuration");

    let (whole, mut least) = (whole.sites[0].clone(), least.sites[0].clone());
    let route = RouteConfig { spot: whole.routes[0].spot.clone(), ..least.routes[0].clone() };
    assert_eq!(route.auth, RouteAuth::Required);
    assert_eq!(route, whole.routes[0]);
    least.routes = whole.routes.clone();
    least.tokens.keys = whole.tokens.keys.clone();
    least.pages = whole.pages.clone();
    least.spot = whole.spot.clone();
    least.contract_spot = whole.contract_spot.clone();
    least.mfa_spot = whole.mfa_spot.clone();
    assert_eq!(least, whole);
}

#[test]
fn every_key_that_is_read_stands_in_the_reference() {
    let folder = folder();
    let (text, path, environment) =
        (in_force(), folder.path().join("munjigi.toml"), BTreeMap::new());
    let reader = Reader::new(&text, Path::new(&path), &environment);

    let _config = crate::config::read(&reader);

    let absent: Vec<_> = reader
        .asked()
        .into_iter()
        .filter(|(_, is_present)| !is_present)
        .map(|(key, _)| key)
        .collect();
    let in_a_comment = [("a certificate".to_owned(), "cert"), ("a certificate".to_owned(), "key")];
    assert!(absent.iter().all(|key| in_a_comment.contains(key)), "{absent:?}");
    assert!(reader.asked().len() > 80);
}
