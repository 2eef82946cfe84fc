//! Sites, routes, tokens and keys that are read whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, Method};

use crate::config::tests::{SECRET, read, with_site};
use crate::config::{
    Algorithm, ContractName, HostHeader, HostPattern, KeyUse, RouteAuth, UpstreamRef, WhenStale,
    parse, restart_only_changes,
};
use crate::path::PathForms;
use crate::secret::Secret;

#[test]
fn the_least_configuration_is_three_lines() {
    let config = read(
        "[site.\"*\"]\ncontract = \"standard\"\n\
         routes = [{ path = \"/*\", upstream = \"http://127.0.0.1:3000\" }]\n",
    )
    .expect("a good configuration");

    let site = &config.sites[0];
    assert_eq!(site.host, HostPattern::Any);
    assert_eq!(site.contract, ContractName::BuiltIn("standard".into()));
    assert_eq!((site.spot.line, site.contract_spot.line), (1, 2));
    assert_eq!(site.routes[0].spot.line, 3);
    assert_eq!(config.folder, PathBuf::from("."));
}

#[test]
fn a_route_is_read_whole() {
    let config = read(
        r#"
[upstream.orders]
targets = ["https://orders.internal/"]
tls = { ca = "ca.pem" }
[site."B.example.com"]
contract = "none"
[site."a.example.com"]
contract = "contracts/own.toml"
[[site."a.example.com".routes]]
path = "/orders/{id}/*"
methods = ["GET", "PATCH"]
auth = "optional"
roles = ["admin", "owner"]
permissions = ["orders:read"]
claims = { tenant = "acme", level = 2, ok = true, list = [1.5], deep = { a = "b" } }
upstream = "orders"
strip_prefix = "/orders"
set_headers = { X-From = "gateway" }
remove_headers = ["Cookie"]
host = "upstream"
encoded_slash = "keep"
non_utf8 = "keep"
empty_segments = "refuse"
when_stale = "ask"
[[site."a.example.com".routes]]
path = "/orders/{id}/*"
upstream = "orders"
[site."a.example.com".identity]
email = ""
claims = { X-Plan = "plan" }
"#,
    )
    .expect("a good configuration");

    let hosts: Vec<String> = config.sites.iter().map(|site| site.host.to_string()).collect();
    assert_eq!(hosts, ["b.example.com", "a.example.com"]);
    let site = &config.sites[1];
    assert_eq!(site.contract, ContractName::File("contracts/own.toml".into()));
    assert_eq!(site.identity.email, None);
    let plan = (HeaderName::from_static("x-plan"), "plan".to_owned());
    assert_eq!(site.identity.claims, [plan]);
    let route = &site.routes[0];
    assert_eq!(route.methods, [Method::GET, Method::PATCH]);
    assert_eq!(route.auth, RouteAuth::Optional);
    assert_eq!(route.claims["level"], serde_json::json!(2));
    assert_eq!(route.claims["list"], serde_json::json!([1.5]));
    assert_eq!(route.claims["deep"], serde_json::json!({"a": "b"}));
    assert_eq!(route.upstream, UpstreamRef::Named("orders".into()));
    assert_eq!(route.strip_prefix.as_deref(), Some("/orders"));
    assert_eq!(route.set_headers[0].1, "gateway");
    assert_eq!(route.host, HostHeader::Upstream);
    let keeps = PathForms { encoded_slash: true, non_utf8: true, ..PathForms::default() };
    assert_eq!(route.keeps, keeps);
    assert_eq!(route.when_stale, Some(WhenStale::Ask));
    assert_eq!(config.upstreams["orders"].ca, Some("ca.pem".into()));
    assert_eq!(config.upstreams["orders"].targets[0].address.port, 443);
}

#[test]
fn tokens_and_keys_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
    std::fs::write(folder.path().join("old.pem"), pem).expect("a file");
    let text = with_site(&format!(
        "[site.\"*\".tokens]\naccess_ttl = \"5m\"\nalgorithm = \"HS256\"\nkeys = [\n\
         {{ kid = \"a\", algorithm = \"HS256\", secret = \"{SECRET}\" }},\n\
         {{ kid = \"b\", algorithm = \"RS256\", public = \"old.pem\" }},\n]\n"
    ));

    let config = parse(&text, &folder.path().join("munjigi.toml"), &[].into())
        .unwrap_or_else(|faults| panic!("{faults}"));

    let tokens = &config.sites[0].tokens;
    assert_eq!(tokens.access_ttl, Some(Duration::from_secs(300)));
    assert_eq!(tokens.algorithm, Some(Algorithm::Hs256));
    assert_eq!(tokens.keys[0].material, KeyUse::Secret(Secret::new(SECRET.as_bytes().to_vec())));
    assert_eq!(tokens.keys[1].material, KeyUse::Public(pem.to_owned()));
}

#[test]
fn a_restart_is_asked_for_by_name() {
    let base = read(&with_site("")).expect("a good configuration");
    for (text, changes) in [
        ("[server]\nshutdown_grace = \"1s\"", vec![]),
        (
            "[server]\nlisten = [\"127.0.0.1:1\"]\nworkers = 2",
            vec!["server.listen", "server.workers"],
        ),
        ("[server]\nadmin = \"\"", vec!["server.admin"]),
        ("[log]\naudit = \"off\"", vec!["log.audit"]),
        ("[store]\nurl = \"sqlite::memory:\"\nprefix = \"x:\"", vec!["store.url", "store.prefix"]),
    ] {
        let new = read(&with_site(text)).expect(text);

        assert_eq!(restart_only_changes(&base, &new), changes, "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, b"\xff").expect("a file");

    for path in [folder.path().join("absent.toml").as_path(), bad.as_path(), Path::new("")] {
        let faults = crate::config::load(path).expect_err("a fault");

        assert_eq!(faults.0.len(), 1);
        assert!(faults.0[0].title.starts_with("cannot read "), "{}", faults.0[0].title);
    }
}
