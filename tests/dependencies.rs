//! Holds what the gateway is built of to `deny.toml`: licences, bans and sources.
//!
//! `cargo deny check` reads the same file and says more; this needs nothing but cargo.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    source: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    license: Option<String>,
}

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_crate_is_from_the_public_registry() {
    let lock: Lock = read("Cargo.lock");
    let sources: BTreeSet<String> =
        lock.package.into_iter().filter_map(|locked| locked.source).collect();
    assert_eq!(sources, BTreeSet::from([CRATES_IO.to_owned()]));
}

#[test]
fn no_banned_crate_is_built_in() {
    let banned: BTreeSet<String> = deny().bans.deny.into_iter().map(|ban| ban.name).collect();
    let tree = cargo(&["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let built = tree.lines().filter_map(|line| line.split(' ').next());
    let wrong: Vec<&str> = built.filter(|name| banned.contains(*name)).collect();
    assert!(tree.contains("rustls v") && wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_licence_is_allowed() {
    let allowed = deny().licenses.allow;
    let wrong: Vec<String> = metadata()
        .packages
        .into_iter()
        .filter(|package| {
            !package.license.as_deref().is_some_and(|license| is_allowed(license, &allowed))
        })
        .map(|package| format!("{}: {:?}", package.name, package.license))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_expression_is_read_as_spdx_says() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "ISC".to_owned()]);
    let rows = [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("MIT AND ISC", true),
        ("ISC AND (GPL-3.0 OR MIT)", true),
        ("(ISC OR MIT) AND GPL-3.0", false),
        ("MIT OR GPL-3.0 AND X", true),
    ];
    for (expression, is_fine) in rows {
        assert_eq!(is_allowed(expression, &allowed), is_fine, "{expression}");
    }
}

/// Whether a licence expression can be met (SPDX 2.3, annex D; `/` is how crates once wrote OR).
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    any_of(&mut words, allowed)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut any = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        any |= all_of(words, allowed);
    }
    any
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut all = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        all &= one(words, allowed);
    }
    all
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let inner = any_of(words, allowed);
        return words.next_if_eq(&")").is_some() && inner;
    }
    let license = words.next().unwrap_or_default();
    // An exception permits more than the licence alone.
    if words.next_if_eq(&"WITH").is_some() {
        words.next();
    }
    allowed.contains(license)
}

fn deny() -> Deny {
    read("deny.toml")
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What cargo knows of the crates that are built on this machine.
fn metadata() -> Metadata {
    let said = Command::new("rustc").arg("-vV").output().unwrap().stdout;
    let said = String::from_utf8(said).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let text = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    serde_json::from_str(&text).unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
