//! `[social]`: which providers there are, and whose tokens they may have made.

use std::path::Path;

use crate::config::tests::{read_with, with_site};
use crate::config::{ProviderConfig, SocialConfig, SocialJoin};

fn social(text: &str) -> SocialConfig {
    social_with(text, &[])
}

fn social_with(text: &str, variables: &[(&str, &str)]) -> SocialConfig {
    let read = read_with(&with_site(text), variables);
    read.unwrap_or_else(|faults| panic!("{text}: {faults}")).social
}

#[test]
fn without_its_table_a_provider_is_not_supported() {
    assert_eq!(social(""), SocialConfig::default());
    let found = social("[social.kakao]");
    assert_eq!((found.google, found.kakao), (None, Some(ProviderConfig::kakao())));
}

#[test]
fn applications_are_one_or_many() {
    for (text, ids) in [
        ("[social.google]\nclient_id = \"\"", [].as_slice()),
        ("[social.google]\nclient_id = []", &[]),
        ("[social.google]\nclient_id = \"a.example\"", &["a.example"]),
        ("[social.google]\nclient_id = [\"ios\", \"web\"]", &["ios", "web"]),
    ] {
        assert_eq!(social(text).google.unwrap().applications, ids, "{text}");
    }
    for text in ["app_id = 1234", "app_id = \"1234\"", "app_id = [1234]", "app_id = \"${APP}\""] {
        let text = format!("[social.kakao]\n{text}");

        let found = social_with(&text, &[("APP", "1234")]);

        assert_eq!(found.kakao.unwrap().applications, ["1234"], "{text}");
    }
}

#[test]
fn the_rest_is_read_as_written() {
    let found = social_with(
        "[social]\nca = \"ca.pem\"\ntimeout = \"1s\"\n\
         [social.google]\nuserinfo_url = \"https://localhost:1/me\"",
        &[("MUNJIGI_SOCIAL__JOIN", "proven-only")],
    );

    assert_eq!(found.join, SocialJoin::ProvenOnly);
    assert_eq!(found.ca.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(found.timeout.as_secs(), 1);
    let google = found.google.unwrap();
    assert_eq!(google.userinfo_url.to_string(), "https://localhost:1/me");
    assert_eq!(google.tokeninfo_url, ProviderConfig::google().tokeninfo_url);
}
