//! Values from variables and files.

use std::time::Duration;

use crate::config::tests::{faults, read_with, with_site};
use crate::config::{ServerConfig, StoreUrl, parse};

#[test]
fn variables_override_the_file() {
    let text = with_site("[server]\nshutdown_grace = \"bad\"\n[log]\naccess = true");
    let config = read_with(
        &text,
        &[
            ("MUNJIGI_SERVER__SHUTDOWN_GRACE", "5s"),
            ("MUNJIGI_SERVER__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("MUNJIGI_SERVER__ADMIN", ""),
            ("MUNJIGI_SERVER__WORKERS", "3"),
            ("MUNJIGI_LOG__ACCESS", "false"),
            ("MUNJIGI_LOG__LEVEL", "info,munjigi=debug"),
            ("MUNJIGI_STORE__URL", "redis://h"),
            ("MUNJIGI_STORE__PASSWORD", "${REDIS_PASSWORD}"),
            ("REDIS_PASSWORD", "${LITERAL}"),
            ("MUNJIGI_TOKEN", "no setting"),
            ("OTHER__NAME", "no setting"),
        ],
    )
    .expect("a good configuration");

    assert_eq!(
        config.server,
        ServerConfig {
            shutdown_grace: Duration::from_secs(5),
            listen: vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
            admin: None,
            workers: 3,
            ..ServerConfig::default()
        }
    );
    assert!(!config.log.access);
    assert_eq!(config.log.level, "info,munjigi=debug");
    assert_eq!(config.store.url, StoreUrl::Redis("redis://h".into()));
    assert_eq!(config.store.password.expose(), "${LITERAL}");
}

#[test]
fn what_a_variable_gets_wrong_names_the_variable() {
    for (variable, value, title, hint) in [
        (
            "MUNJIGI_SERVER__SHUTDOWN_GRACE",
            "canary",
            "bad value for `MUNJIGI_SERVER__SHUTDOWN_GRACE`",
            "expected a duration such as 30s, 15m, 2h",
        ),
        (
            "MUNJIGI_SERVER__WORKERS",
            "canary",
            "bad value for `MUNJIGI_SERVER__WORKERS`",
            "expected a whole number from 0 to 1024",
        ),
        (
            "MUNJIGI_LOG__ACCESS",
            "yes",
            "bad value for `MUNJIGI_LOG__ACCESS`",
            "expected `true` or `false`",
        ),
        (
            "MUNJIGI_STORE__PASSWORD",
            "${NOT_SET}",
            "bad value for `MUNJIGI_STORE__PASSWORD`",
            "the environment variable `NOT_SET` is not set",
        ),
        (
            "MUNJIGI_TLS__CERTS",
            "a.pem",
            "bad value for `MUNJIGI_TLS__CERTS`",
            "this setting is no single value; set it in the file",
        ),
        (
            "MUNJIGI_SERVER__SHUTDOWN_GRASE",
            "5s",
            "unknown environment variable `MUNJIGI_SERVER__SHUTDOWN_GRASE`",
            "did you mean `MUNJIGI_SERVER__SHUTDOWN_GRACE`?",
        ),
        (
            "MUNJIGI_SERVR__LISTEN",
            "[::1]:1",
            "unknown environment variable `MUNJIGI_SERVR__LISTEN`",
            "did you mean `MUNJIGI_SERVER__LISTEN`?",
        ),
        (
            "MUNJIGI_LOG__COLOUR",
            "no",
            "unknown environment variable `MUNJIGI_LOG__COLOUR`",
            "[log] has access, audit, format, level",
        ),
        (
            "MUNJIGI_SITE__REALM",
            "a",
            "unknown environment variable `MUNJIGI_SITE__REALM`",
            "MUNJIGI_SECTION__KEY sets a key of a fixed table",
        ),
    ] {
        let found = faults(&with_site(""), &[(variable, value)]);

        assert_eq!(found, [(title.to_owned(), 0, hint.to_owned())], "{variable}");
    }
}

#[test]
fn any_string_may_come_from_the_environment() {
    let text = "[site.\"*\"]\ncontract = \"${CONTRACT}\"\n\
                routes = [{ path = \"${ROUTE}\", upstream = \"${UP}\", claims = { t = \"${T}\" } }]\n";
    let variables = [("CONTRACT", "zdm"), ("ROUTE", "/a/*"), ("UP", "http://a"), ("T", "acme")];

    let config = read_with(text, &variables).expect("a good configuration");

    let route = &config.sites[0].routes[0];
    assert_eq!(route.path.as_str(), "/a/*");
    assert_eq!(route.claims["t"], serde_json::json!("acme"));
    assert_eq!(faults(text, &[]).len(), 4);
}

#[test]
fn files_are_read_from_the_folder_without_the_last_line_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("munjigi.toml");
    for (name, bytes) in [("a", &b"one\n\n"[..]), ("b", b"two\r\n"), ("c", b"\xff")] {
        std::fs::write(folder.path().join(name), bytes).expect("a file");
    }
    let password = |value: &str| {
        let text = with_site(&format!("[store]\npassword = \"{value}\""));
        let config = parse(&text, &path, &[].into());
        config.map(|config| config.store.password.expose().clone()).map_err(|faults| faults.0)
    };

    assert_eq!(password("file:a"), Ok("one\n".to_owned()));
    assert_eq!(password("file:b"), Ok("two".to_owned()));
    for name in ["file:c", "file:absent", "file:", "file:."] {
        let faults = password(name).expect_err(name);

        assert_eq!(faults[0].title, "bad value for `password`", "{name}");
        assert!(
            faults[0].hint.starts_with("cannot read this file: "),
            "{name}: {}",
            faults[0].hint
        );
    }
}
