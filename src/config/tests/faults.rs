//! One fault a row: its title, its line and its hint.

use crate::config::tests::{faults, with_site};

pub(super) fn check(text: &str, title: &str, line: usize, hint: &str) {
    let found = faults(text, &[]);
    let is_it = |(found, at, why): &(String, usize, String)| {
        found == title && *at == line && why.contains(hint)
    };
    assert!(
        found.len() == 1 && found.iter().all(is_it),
        "{text}\n{title} {line} {hint}\n{found:#?}"
    );
}

#[test]
fn sections_refuse_what_they_cannot_use() {
    for (text, title, line, hint) in SECTIONS {
        check(&with_site(text), title, *line, hint);
    }
}

#[test]
fn one_reading_finds_every_fault() {
    let text = "\
[server]
listn = [\"127.0.0.1:1\"]
shutdown_grace = \"30
workers = many
[limits]
body = 10
[site.a]
contract = \"none\"
routes = [
  { path = \"/a\", upstream = \"http://a\" },
  { path = \"/a\", upstream = \"http://a/b\", auth = \"no\" },
  { path \"/b\" },
]
[site.a.tokens]
leeway = \"long\"
keys = [{ kid = \"a\", algorithm = \"HS256\", secret = \"short\" }]
";

    let found = faults(text, &[("MUNJIGI_LOG__LEVL", "info")]);

    let places: Vec<(usize, &str)> =
        found.iter().map(|(title, line, _)| (*line, title.as_str())).collect();
    assert_eq!(
        places,
        [
            (2, "unknown key `listn`"),
            (3, "syntax error"),
            (4, "syntax error"),
            (6, "bad value for `body`"),
            (11, "route `/a` stands here twice"),
            (11, "bad value for `upstream`"),
            (11, "bad value for `auth`"),
            (12, "syntax error"),
            (15, "bad value for `leeway`"),
            (16, "the secret of a key is too short"),
            (0, "unknown environment variable `MUNJIGI_LOG__LEVL`"),
        ]
    );
}

const SECTIONS: &[(&str, &str, usize, &str)] = &[
    ("[sever]", "unknown key `sever`", 1, "did you mean `server`?"),
    ("[users]", "unknown key `users`", 1, "not a setting of this file"),
    ("server = 1", "bad value for `server`", 1, "expected a table, found a whole number"),
    ("[server]\nhttp_redirect = \"\"", "unknown key `http_redirect`", 2, "[server]"),
    ("[server]\nlisten = []", "bad value for `listen`", 2, "at least one"),
    ("[server]\nlisten = \"127.0.0.1:1\"", "bad value for `listen`", 2, "found a string"),
    ("[server]\nlisten = [\n\"localhost:1\"]", "bad value for `listen`", 3, "address and a port"),
    ("[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "bad value for `listen`", 2, "twice"),
    ("[server]\nlisten = [\"127.0.0.1:9901\"]", "bad value for `listen`", 2, "admin"),
    (
        "[server]\nlisten = [\"127.0.0.1:0\", \"[::]:8443\"]",
        "a listener beyond loopback has no certificate",
        2,
        "made only for loopback; name yours in [tls] certs",
    ),
    ("[server]\nadmin = 1", "bad value for `admin`", 2, "found a whole number"),
    ("[server]\nworkers = -1", "bad value for `workers`", 2, "from 0 to 1024"),
    ("[server]\nworkers = \"2\"", "bad value for `workers`", 2, "found a string"),
    (
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "bad value for `trusted_proxies`",
        2,
        "10.0.0.0/8",
    ),
    ("[server]\nshutdown_grace = 30", "bad value for `shutdown_grace`", 2, "found a whole number"),
    (
        "[server]\nshutdown_grace = \"30\"",
        "bad value for `shutdown_grace`",
        2,
        "such as 30s, 15m, 2h",
    ),
    ("[tls]\nmin_version = \"1.1\"", "bad value for `min_version`", 2, "`1.2` or `1.3`"),
    ("[tls]\ncerts = [{ cert = \"a\" }]", "a certificate has no `key`", 2, "cert = \"a.pem\""),
    ("[tls]\ncerts = [{ cert = \"\", key = \"a\" }]", "bad value for `cert`", 2, "path"),
    ("[store]\nurl = \"postgres://a\"", "bad value for `url`", 2, "sqlite:FILE"),
    ("[store]\nurl = \"redis+sentinel://a,b\"", "bad value for `url`", 2, "/NAME"),
    ("[store]\nurl = \"redis+cluster://a/1\"", "bad value for `url`", 2, "no databases"),
    ("[store]\nurl = \"redis://a\"\nca = \"ca.pem\"", "`ca` without TLS", 3, "rediss…"),
    (
        "[store]\nurl = \"rediss://a\"\ncert = \"a.pem\"",
        "a client certificate is `cert` and `key`",
        1,
        "both or neither",
    ),
    ("[store]\nwait_replicas = -1", "bad value for `wait_replicas`", 2, "from 0 to 100"),
    ("[store]\nprefix = \"{a}\"", "bad value for `prefix`", 2, "other than"),
    ("[store]\ndurability = \"ful\"", "bad value for `durability`", 2, "did you mean `full`?"),
    ("[store]\ntimeout = \"0s\"", "bad value for `timeout`", 2, "longer than zero"),
    ("[store]\npassword = \"${NOT_SET}\"", "bad value for `password`", 2, "`NOT_SET` is not set"),
    ("[revocation]\nwhen_stale = \"no\"", "bad value for `when_stale`", 2, "`ask`"),
    ("[revocation]\ncapacity = 0", "bad value for `capacity`", 2, "from 1"),
    ("[password]\nmemory = \"19MB\"", "bad value for `memory`", 2, "such as 512B, 64KiB"),
    ("[password]\nmemory = \"8KiB\"\nparallelism = 2", "bad value for `memory`", 2, "from 16KiB"),
    ("[password]\nmin_length = 300", "bad value for `min_length`", 2, "less than"),
    ("[login]\nrate_limit = \"60\"", "bad value for `rate_limit`", 2, "60/m burst 30, or `off`"),
    ("[login]\nlock_after = -1", "bad value for `lock_after`", 2, "from 0"),
    ("[login]\nlock_for = \"0s\"", "bad value for `lock_for`", 2, "longer than zero"),
    ("[social]\njoin = \"proven\"", "bad value for `join`", 2, "`proven-only`"),
    ("[social]\ntimeout = \"0s\"", "bad value for `timeout`", 2, "expected a duration"),
    ("[social]\nnaver = {}", "unknown key `naver`", 2, "[social]"),
    ("[social]\ngoogle = true", "bad value for `google`", 2, "expected a table"),
    ("[social.google]\napp_id = \"1\"", "unknown key `app_id`", 2, "[social.google]"),
    ("[social.google]\nclient_id = [\"\"]", "bad value for `client_id`", 2, "list of ids"),
    ("[social.kakao]\napp_id = -1", "bad value for `app_id`", 2, "list of ids"),
    (
        "[social.kakao]\nuserinfo_url = \"http://kapi.kakao.com/v2/user/me\"",
        "bad value for `userinfo_url`",
        2,
        "expected an https URL",
    ),
    ("[mail]\nurl = \"mail.example\"", "bad value for `url`", 2, "smtps://"),
    ("[mail]\nurl = \"smtp://u@h\"", "bad value for `url`", 2, "USER:PASSWORD"),
    ("[mail]\nfrom = \"Munjigi\"", "bad value for `from`", 2, "no-reply@example.com"),
    ("[mail]\nfrom = \"a@b.example\\r\\nBcc: c@d.example\"", "bad value for `from`", 2, "a sender"),
    ("[mail]\ntimeout = \"0s\"", "bad value for `timeout`", 2, "longer than zero"),
    ("[ui]\ntemplates = \"absent\"", "bad value for `templates`", 2, "a folder that exists"),
    ("[limits]\nbody_rate = \"256B\"", "bad value for `body_rate`", 2, "256B/s"),
    ("[limits]\nheader_bytes = \"1KiB\"", "bad value for `header_bytes`", 2, "from 8KiB"),
    ("[limits]\nhttp2_streams = 1.5", "bad value for `http2_streams`", 2, "found a number"),
    ("[log]\naudit = \"file:\"", "bad value for `audit`", 2, "file:PATH"),
    ("[log]\naudit = \"syslog\"", "bad value for `audit`", 2, "file:PATH"),
    ("[log]\nformat = \"yaml\"", "bad value for `format`", 2, "`json`"),
    ("[log]\nlevel = \"a b=info\"", "bad value for `level`", 2, "info,munjigi=debug"),
    ("[upstream.\"a b\"]\ntargets = [\"http://a\"]", "bad name `a b`", 1, "letters"),
    ("[upstream.a]", "[upstream] has no `targets`", 1, "targets = [\"http://"),
    ("[upstream.a]\ntargets = []", "bad value for `targets`", 2, "http://127.0.0.1:3000"),
    ("[upstream.a]\ntargets = [\"http://a/b\"]", "bad value for `targets`", 2, "no path"),
    (
        "[upstream.a]\ntargets = [\"http://a\",\n\"http://b\"]",
        "more than one target",
        3,
        "several targets come with balancing; name one",
    ),
    (
        "[upstream.a]\ntargets = [{ url = \"http://a\", weight = 2 }]",
        "bad value for `targets`",
        2,
        "expected a string, found a table",
    ),
    (
        "[upstream.a]\ntargets = [\"http://a\"]\nretries = 1",
        "unknown key `retries`",
        3,
        "[upstream]",
    ),
];
