//! One fault of a site, a route or a key a row: its title, its line and its hint.

use crate::config::tests::faults::check;
use crate::config::tests::{SECRET, faults};

#[test]
fn sites_refuse_what_they_cannot_use() {
    for (text, title, line, hint) in SITES {
        check(text, title, *line, hint);
    }
}

#[test]
fn routes_refuse_what_they_cannot_use() {
    for (route, title, hint) in ROUTES {
        let text = format!("[site.a]\ncontract = \"none\"\nroutes = [\n{{ {route} }}\n]");
        check(&text, title, 4, hint);
    }
}

#[test]
fn routes_that_nothing_tells_apart_are_refused() {
    for (first, second, is_refused) in [
        ("path = \"/a\"", "path = \"/a\"", true),
        ("path = \"/u/{id}\"", "path = \"/u/{name}\"", true),
        ("path = \"/a\", methods = [\"GET\", \"PUT\"]", "path = \"/a\", methods = [\"PUT\"]", true),
        ("path = \"/a\", methods = [\"GET\"]", "path = \"/a\", methods = [\"PUT\"]", false),
        ("path = \"/a\", methods = [\"GET\"]", "path = \"/a\"", false),
        ("path = \"/a\"", "path = \"/a/\"", false),
        ("path = \"/a\"", "path = \"/a/*\"", false),
    ] {
        let route = |route: &str| format!("{{ {route}, upstream = \"http://a\" }},\n");
        let text = format!(
            "[site.a]\ncontract = \"none\"\nroutes = [\n{}{}]",
            route(first),
            route(second)
        );

        let found = faults(&text, &[]);

        assert_eq!(found.len(), usize::from(is_refused), "{first} {second} {found:?}");
        for (title, line, hint) in found {
            assert!(title.ends_with("stands here twice") && line == 5, "{title} {line}");
            assert_eq!(hint, "line 4 matches the same requests");
        }
    }
}

#[test]
fn keys_refuse_what_cannot_sign_or_verify() {
    let good = format!("secret = \"{SECRET}\"");
    for (key, title, hint) in [
        (format!("algorithm = \"HS256\", {good}"), "a key has no `kid`", "names its key"),
        (format!("kid = \"\", algorithm = \"HS256\", {good}"), "bad value for `kid`", "printable"),
        (format!("kid = \"a\", {good}"), "a key has no `algorithm`", "HS256"),
        (
            format!("kid = \"a\", algorithm = \"none\", {good}"),
            "bad value for `algorithm`",
            "`EdDSA`",
        ),
        ("kid = \"a\", algorithm = \"HS256\"".into(), "a key without material", "exactly one"),
        (
            format!("kid = \"a\", algorithm = \"HS256\", {good}, public = \"a\""),
            "a key with several materials",
            "exactly one",
        ),
        (
            format!("kid = \"a\", algorithm = \"ES256\", {good}"),
            "a key of the wrong kind for ES256",
            "`private` or `public`",
        ),
        (
            "kid = \"a\", algorithm = \"HS256\", public = \"a\"".into(),
            "a key of the wrong kind for HS256",
            "takes `secret`",
        ),
        (
            "kid = \"a\", algorithm = \"HS256\", secret = \"\"".into(),
            "the secret of a key is too short",
            "32 random bytes",
        ),
        (
            format!("kid = \"a\", algorithm = \"HS512\", secret = \"{}\"", &SECRET[..63]),
            "the secret of a key is too short",
            "64 random bytes",
        ),
        (
            "kid = \"a\", algorithm = \"HS256\", secret = \"changemechangemechangemechangeme\""
                .into(),
            "the secret of a key can be guessed",
            "openssl rand",
        ),
        (
            "kid = \"a\", algorithm = \"RS256\", public = \"absent.pem\"".into(),
            "bad value for `public`",
            "cannot read",
        ),
        (
            "kid = \"a\", algorithm = \"RS256\", private = \"Cargo.toml\"".into(),
            "bad value for `private`",
            "expected a PEM file",
        ),
        (
            "kid = \"a\", algorithm = \"RS256\", public = \"-----BEGIN RSA PRIVATE KEY-----\""
                .into(),
            "bad value for `public`",
            "name it as `private`",
        ),
    ] {
        let text =
            format!("[site.a]\ncontract = \"none\"\n[site.a.tokens]\nkeys = [\n{{ {key} }}\n]");
        check(&text, title, 5, hint);
    }
    let key = format!("{{ kid = \"a\", algorithm = \"HS256\", {good} }}");
    let text = format!("[site.a]\ncontract = \"none\"\n[site.a.tokens]\nkeys = [\n{key},\n{key}]");
    check(&text, "two keys are named `a`", 6, "line 5");
}

const SITES: &[(&str, &str, usize, &str)] = &[
    ("[site]", "no site is configured", 0, "add [site.\"*\"]"),
    ("[site.\"a:1\"]\ncontract = \"none\"", "bad name `a:1`", 1, "no port"),
    ("[site.a]", "[site] has no `contract`", 1, "contract = \"standard\""),
    ("[site.a]\ncontract = \"\"", "bad value for `contract`", 2, "name of a contract"),
    ("[site.a]\ncontract = \"none\"\nrealm = \"\"", "bad value for `realm`", 3, "letters"),
    ("[site.a]\ncontract = \"none\"\naliases = []", "unknown key `aliases`", 3, "[site]"),
    (
        "[site.a]\ncontract = \"none\"\ncors = { origin = \"\" }",
        "unknown key `origin`",
        3,
        "origins",
    ),
    (
        "[site.a]\ncontract = \"none\"\ncors = { origins = [\"*\"] }",
        "bad value for `origins`",
        3,
        "name each origin",
    ),
    (
        "[site.a]\ncontract = \"none\"\ncookie_same_site = \"Lax\"",
        "bad value for `cookie_same_site`",
        3,
        "did you mean `lax`?",
    ),
    (
        "[site.a]\ncontract = \"none\"\n[site.A]\ncontract = \"none\"",
        "site `A` stands here twice",
        3,
        "line 1 is for the same host",
    ),
    ("[site.a]\ncontract = \"none\"\nsignup = { open = true }", "unknown key `open`", 3, "signup"),
    (
        "[site.a]\ncontract = \"none\"\nidentity = { user_id = \"Host\" }",
        "bad value for `user_id`",
        3,
        "meaning of its own",
    ),
    (
        "[site.a]\ncontract = \"none\"\nidentity = { email = \"x_user_id\" }",
        "bad value for `email`",
        3,
        "another identity header",
    ),
    (
        "[site.a]\ncontract = \"none\"\nidentity = { claims = { X-User-Id = \"a\" } }",
        "bad name `X-User-Id`",
        3,
        "another identity header",
    ),
    (
        "[site.a]\ncontract = \"none\"\nidentity = { claims = { Cookie = \"a\" } }",
        "bad name `Cookie`",
        3,
        "meaning of its own",
    ),
    (
        "[site.a]\ncontract = \"none\"\nidentity = { claims = { X-A = \"\" } }",
        "bad value for `X-A`",
        3,
        "name of a claim",
    ),
    (
        "[site.a]\ncontract = \"none\"\ntokens = { algorithm = \"HS25\" }",
        "bad value for `algorithm`",
        3,
        "did you mean `HS256`?",
    ),
    (
        "[site.a]\ncontract = \"none\"\ntokens = { leeway = \"5m\" }",
        "bad value for `leeway`",
        3,
        "at most 60s",
    ),
    (
        "[site.a]\ncontract = \"none\"\ntokens = { access_ttl = \"1500ms\" }",
        "bad value for `access_ttl`",
        3,
        "whole seconds",
    ),
    (
        "[site.a]\ncontract = \"none\"\ntokens = { trust = [] }",
        "unknown key `trust`",
        3,
        "[site.tokens]",
    ),
];

const ROUTES: &[(&str, &str, &str)] = &[
    ("path = \"/\"", "a route has no `upstream`", "[upstream.NAME]"),
    ("upstream = \"http://a\"", "a route has no `path`", "path = \"/*\""),
    ("path = \"a\", upstream = \"http://a\"", "bad value for `path`", "begins with `/`"),
    ("path = \"/a//b\", upstream = \"http://a\"", "bad value for `path`", "never matched"),
    ("path = \"/*/b\", upstream = \"http://a\"", "bad value for `path`", "last segment"),
    ("path = \"/{a}x\", upstream = \"http://a\"", "bad value for `path`", "whole segment"),
    ("path = \"/a?b\", upstream = \"http://a\"", "bad value for `path`", "query"),
    ("path = \"/../b\", upstream = \"http://a\"", "bad value for `path`", "resolved"),
    ("path = \"/한\", upstream = \"http://a\"", "bad value for `path`", "%ED%95%9C"),
    ("path = \"/\", upstream = \"http://a/b\"", "bad value for `upstream`", "no path"),
    (
        "path = \"/\", upstream = \"a\"",
        "route `/` names an upstream that does not exist",
        "no [upstream.NAME] is set",
    ),
    (
        "path = \"/\", upstream = \"http://a\", auth = \"non\"",
        "bad value for `auth`",
        "did you mean `none`?",
    ),
    (
        "path = \"/\", upstream = \"http://a\", auth = \"none\", roles = [\"a\"]",
        "route `/` has a rule but looks at no token",
        "`roles` needs auth",
    ),
    (
        "path = \"/\", upstream = \"http://a\", auth = \"none\", claims = { a = 1 }",
        "route `/` has a rule but looks at no token",
        "`claims` needs auth",
    ),
    (
        "path = \"/\", upstream = \"http://a\", claims = { a = 1979-05-27 }",
        "bad value for `a`",
        "found a date",
    ),
    ("path = \"/\", upstream = \"http://a\", claims = { a = nan }", "bad value for `a`", "finite"),
    (
        "path = \"/\", upstream = \"http://a\", methods = [\"get\"]",
        "bad value for `methods`",
        "did you mean `GET`?",
    ),
    (
        "path = \"/\", upstream = \"http://a\", methods = [\"CONNECT\"]",
        "bad value for `methods`",
        "never forwarded",
    ),
    (
        "path = \"/ab/*\", upstream = \"http://a\", strip_prefix = \"/a\"",
        "bad value for `strip_prefix`",
        "first segments",
    ),
    (
        "path = \"/{a}/*\", upstream = \"http://a\", strip_prefix = \"/{a}\"",
        "bad value for `strip_prefix`",
        "first segments",
    ),
    (
        "path = \"/a/*\", upstream = \"http://a\", strip_prefix = \"/a/\"",
        "bad value for `strip_prefix`",
        "first segments",
    ),
    (
        "path = \"/\", upstream = \"http://a\", set_headers = { Host = \"a\" }",
        "bad name `Host`",
        "says which Host",
    ),
    (
        "path = \"/\", upstream = \"http://a\", set_headers = { X-A = \"a\\nb\" }",
        "bad value for `X-A`",
        "on one line",
    ),
    (
        "path = \"/\", upstream = \"http://a\", remove_headers = [\"Content-Length\"]",
        "bad value for `remove_headers`",
        "gateway itself",
    ),
    (
        "path = \"/\", upstream = \"http://a\", timeout = \"1s\"",
        "unknown key `timeout`",
        "not a setting of a route",
    ),
    (
        "path = \"/\", upstream = \"http://a\", when_stale = \"acept\"",
        "bad value for `when_stale`",
        "did you mean `accept`?",
    ),
];
