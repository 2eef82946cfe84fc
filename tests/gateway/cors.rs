//! CORS: the origins that may read a site's answers and use its cookie.

use serde_json::json;

use crate::harness::{Client, Gateway, Reply, Setup, Version, raw, request};

const APP: &str = "https://app.example";
const ACCOUNT: &str =
    r#"{"email": "you@example.com", "password": "correct horse 1", "nickname": "you"}"#;

/// Endpoints, an open route, one behind a token; every other path is nobody's.
fn setup(contract: &str, site: &str) -> Setup {
    Setup {
        contract: contract.to_owned(),
        site: site.to_owned(),
        routes: "{ path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                 { path = \"/read\", upstream = \"{upstream}\", methods = [\"GET\"] },\n\
                 { path = \"/api/*\", upstream = \"{upstream}\" },"
            .to_owned(),
        tables: "[limits]\nbody = \"1KiB\"\n".to_owned(),
        ..Setup::default()
    }
}

fn with_cors(contract: &str) -> Setup {
    let site = format!("cors = {{ origins = [\"http://localhost:5173\", \"{APP}\"] }}");
    setup(contract, &site)
}

/// The CORS headers of an answer.
fn said(reply: &Reply) -> Vec<String> {
    let mut said: Vec<String> = reply
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-"))
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    said.sort_unstable();
    said
}

fn vary(reply: &Reply) -> String {
    let lines: Vec<&str> =
        reply.headers.get_all("vary").iter().map(|line| line.to_str().unwrap()).collect();
    lines.join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_site_is_for_configured_origins_alone() {
    let gateway = Gateway::start(with_cors("zipcheck")).await;
    let big = "x".repeat(2000);
    let wrong = r#"{"email": "you@example.com", "password": "wrong horse 1"}"#;
    let rows = [
        ("POST", "/auth/login", wrong, "", 400),
        ("POST", "/auth/signup", "{", "", 400),
        ("POST", "/auth/reissue", "", "", 401),
        ("POST", "/auth/logout", "", "", 401),
        ("GET", "/auth/login", "", "", 405),
        ("GET", "/.well-known/jwks.json", "", "", 200),
        ("GET", "/public/x", "", "", 200),
        ("HEAD", "/public/x", "", "", 200),
        ("GET", "/public/status/500", "", "", 500),
        ("GET", "/public/status/304", "", "", 304),
        ("GET", "/public/early", "", "", 413),
        ("GET", "/public/reset", "", "", 502),
        ("POST", "/public/x", &big, "", 413),
        ("GET", "/api/x", "", "", 401),
        ("OPTIONS", "/api/x", "", "", 401),
        ("POST", "/read", "", "", 405),
        ("GET", "/nowhere", "", "", 404),
        ("GET", "/public/%zz", "", "", 400),
        ("GET", "/public/x", "", "magic", 417),
    ];
    let foreign = ["https://app.example.evil.example", "null", "http://app.example"];
    for version in Version::BOTH {
        for (method, path, body, expects, status) in rows {
            for origin in [Some(APP), None].into_iter().chain(foreign.map(Some)) {
                let case = format!("{version:?} {method} {path} {origin:?}");
                // A refused reissue is 403 to a foreign page, which has a test of its own.
                if path == "/auth/reissue" && origin.is_some_and(|origin| origin != APP) {
                    continue;
                }
                let mut request = request(method, path);
                if !body.is_empty() {
                    request = request.json(body);
                }
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                if !expects.is_empty() {
                    request = request.header("expect", expects);
                }
                let reply = request.send(&mut gateway.client(version).await).await;

                assert_eq!(reply.status, status, "{case}");
                assert_eq!(vary(&reply), "Origin", "{case}");
                let expected: &[&str] = match origin {
                    Some(APP) => &[
                        "access-control-allow-credentials: true",
                        "access-control-allow-origin: https://app.example",
                        "access-control-expose-headers: authorization",
                    ],
                    _ => &[],
                };
                assert_eq!(said(&reply), expected, "{case}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_refused_is_answered_as_its_site_answers() {
    let gateway = Gateway::start(with_cors("standard")).await;
    let head = "GET /public/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\
                Origin: https://app.example\r\n\r\n";
    let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.contains("\r\naccess-control-allow-origin: https://app.example\r\n"),
        "{answer}"
    );

    let mut client = gateway.client(Version::H2).await;
    let two_hosts = request("GET", "/public/x").header("host", "other").header("origin", APP);
    let reply = two_hosts.send(&mut client).await;
    assert_eq!(reply.status, 400);
    assert_eq!(said(&reply), ["access-control-allow-origin: https://app.example"]);

    let mut client = gateway.client(Version::H1).await;
    let stranger = request("GET", "/public/x").header("host", "other").header("origin", APP);
    let reply = stranger.send(&mut client).await;
    assert_eq!((reply.status.as_u16(), said(&reply), vary(&reply)), (421, vec![], String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backend_says_of_cors_is_replaced() {
    let gateway = Gateway::start(with_cors("standard")).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let ours: &[&str] = &["access-control-allow-origin: https://app.example"];
        for (origin, expected) in [(APP, ours), ("https://evil.example", &[]), ("null", &[])] {
            let from = request("GET", "/public/cors").header("origin", origin);
            let reply = from.send(&mut client).await;
            assert_eq!(reply.header("x-upstream"), "yes", "{origin}");
            assert_eq!(said(&reply), expected, "{origin}");
            assert_eq!(vary(&reply), "Accept-Encoding, Origin", "{origin}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_read_what_the_backend_exposes_or_what_is_configured() {
    for (expose, expected) in [("", "x-total-count, link"), (", expose = [\"X-Page\"]", "x-page")] {
        let cors = format!("cors = {{ origins = [\"{APP}\"]{expose} }}");
        let gateway = Gateway::start(setup("standard", &cors)).await;
        let mut client = gateway.client(Version::H1).await;
        for (origin, expected) in [(APP, expected), ("https://evil.example", "")] {
            let reply = request("GET", "/public/answer")
                .header("origin", origin)
                .header("x-answer", "access-control-expose-headers: X-Total-Count, a b")
                .header("x-answer", "access-control-expose-headers: link")
                .header("x-answer", "access-control-allow-origin: *")
                .send(&mut client)
                .await;
            let exposed = reply.headers.get("access-control-expose-headers");
            assert_eq!(exposed.map_or("", |value| value.to_str().unwrap()), expected, "{origin}");
            assert_eq!(reply.headers.contains_key("access-control-allow-origin"), origin == APP);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_origins_leaves_cors_to_its_backend() {
    let gateway = Gateway::start(setup("standard", "")).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;

        let reply = preflight("/public/cors", "PUT", APP).send(&mut client).await;
        assert_eq!(reply.header("x-upstream"), "yes");
        let backends = ["access-control-allow-credentials: true", "access-control-allow-origin: *"];
        assert_eq!(said(&reply), backends);
        assert_eq!(vary(&reply), "Accept-Encoding");

        let reply = preflight("/auth/login", "POST", APP).send(&mut client).await;
        assert_eq!(
            (reply.status.as_u16(), said(&reply), vary(&reply)),
            (405, vec![], String::new())
        );
    }
}

fn preflight(path: &str, method: &str, origin: &str) -> crate::harness::client::RequestBuilder {
    request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type")
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_are_answered_here_without_a_token() {
    let gateway = Gateway::start(with_cors("standard")).await;
    let rows = [
        ("/auth/login", "POST", "POST"),
        ("/auth/login", "GET", "POST"),
        ("/api/x", "DELETE", "DELETE"),
        ("/api/stall", "GET", "GET"),
        ("/public/x", "PATCH", "PATCH"),
        ("/read", "PUT", "GET, HEAD"),
        ("/nowhere", "PUT", "PUT"),
        ("/public/%zz", "PUT", "PUT"),
    ];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (path, method, allowed) in rows {
            let reply = preflight(path, method, APP).send(&mut client).await;

            assert_eq!((reply.status.as_u16(), reply.body.len()), (204, 0), "{method} {path}");
            let expected = [
                "access-control-allow-headers: authorization,content-type".to_owned(),
                format!("access-control-allow-methods: {allowed}"),
                "access-control-allow-origin: https://app.example".to_owned(),
                "access-control-max-age: 600".to_owned(),
            ];
            assert_eq!(said(&reply), expected, "{method} {path}");
            assert_eq!(vary(&reply), "Origin", "{method} {path}");
        }
    }
    assert!(gateway.upstream.seen().is_empty(), "{:?}", gateway.upstream.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_options_goes_its_usual_way() {
    let gateway = Gateway::start(with_cors("standard")).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for origin in ["https://evil.example", "null", ""] {
            for (path, status) in [("/api/x", 401), ("/auth/login", 405), ("/public/x", 200)] {
                let reply = preflight(path, "POST", origin).send(&mut client).await;
                assert_eq!(reply.status, status, "{origin} {path}");
                assert!(said(&reply).is_empty(), "{origin} {path}");
            }
        }
        let no_question = request("OPTIONS", "/api/x").header("origin", APP);
        assert_eq!(no_question.send(&mut client).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_and_age_are_as_the_site_says() {
    let site = format!("cors = {{ origins = [\"{APP}\"], credentials = true, max_age = \"1h\" }}");
    let gateway = Gateway::start(setup("standard", &site)).await;
    let mut client = gateway.client(Version::H1).await;

    let reply = preflight("/api/x", "GET", APP).send(&mut client).await;

    assert_eq!(reply.header("access-control-allow-credentials"), "true");
    assert_eq!(reply.header("access-control-max-age"), "3600");
}

/// The refresh cookie of a new session, as a browser sends it back.
async fn log_in(client: &mut Client) -> (String, String) {
    let login = request("POST", "/auth/login").json(ACCOUNT).send(client).await;
    assert_eq!(login.status, 200, "{}", login.text());
    let set = login.header("set-cookie").to_owned();
    let (pair, attributes) = set.split_once("; ").expect("a cookie with attributes");
    (pair.to_owned(), attributes.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_cannot_use_the_cookie() {
    let gateway = Gateway::start(with_cors("zipcheck")).await;
    let mut client = gateway.client(Version::H1).await;
    let made = request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    assert_eq!(made.status, 200);
    let rows: [(&[(&str, &str)], u16); 14] = [
        (&[], 200),
        (&[("origin", APP)], 200),
        (&[("origin", "http://localhost:5173")], 200),
        (&[("origin", "https://localhost")], 200),
        (&[("origin", APP), ("sec-fetch-site", "cross-site")], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "http://localhost")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", APP), ("origin", APP)], 403),
        (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
    ];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        let (mut cookie, _) = log_in(&mut client).await;
        for (lines, status) in rows {
            let mut reissue = request("POST", "/auth/reissue").header("cookie", &cookie);
            for (name, value) in lines {
                reissue = reissue.header(name, value);
            }
            let reply = reissue.send(&mut client).await;

            assert_eq!(reply.status, status, "{version:?} {lines:?}: {}", reply.text());
            if status == 200 {
                cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
            } else {
                assert_eq!(reply.json()["success"], false, "{lines:?}");
                assert!(!reply.headers.contains_key("set-cookie"), "{lines:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_logs_a_user_in_with_a_form() {
    let gateway = Gateway::start(with_cors("zipcheck")).await;
    let mut client = gateway.client(Version::H1).await;
    let made = request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
    assert_eq!(made.status, 200);
    // The headers of a form, or of a request without a preflight (Fetch §2.2.2).
    let simple =
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    for media_type in simple {
        let login = request("POST", "/auth/login")
            .header("content-type", media_type)
            .header("origin", "https://evil.example")
            .body(ACCOUNT.into());
        let reply = login.send(&mut client).await;
        assert_eq!(reply.status, 400, "{media_type}");
        assert!(!reply.headers.contains_key("set-cookie"), "{media_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_gets_every_cookie_but_the_contracts() {
    let gateway = Gateway::start(setup("zipcheck", "")).await;
    let rows: [(&[&str], Option<&str>); 7] = [
        (&["theme=dark;lang=ko ; a=\"b, c\""], Some("theme=dark;lang=ko ; a=\"b, c\"")),
        (&["refresh=t"], None),
        (&["theme=dark; refresh=t; lang=ko"], Some("theme=dark; lang=ko")),
        (&["refresh=t;theme=dark;refresh=u"], Some("theme=dark")),
        (&["Refresh=t; refresh2=u"], Some("Refresh=t; refresh2=u")),
        (&["theme=dark", "refresh=t", "lang=ko"], Some("theme=dark; lang=ko")),
        (&["refresh=t", "refresh=u"], None),
    ];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (lines, expected) in rows {
            let with_cookies = |request, line: &&str| {
                crate::harness::client::RequestBuilder::header(request, "cookie", line)
            };
            let request = lines.iter().fold(request("GET", "/public/x"), with_cookies);
            let seen = request.send(&mut client).await.json();
            let expected = expected.map_or(json!(null), |line| json!([line]));
            assert_eq!(seen["headers"]["cookie"], expected, "{version:?} {lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_cookie_is_of_the_sites_same_site() {
    let rows = [("", "Lax"), ("\"strict\"", "Strict"), ("\"none\"", "None"), ("\"lax\"", "Lax")];
    for (value, expected) in rows {
        let site =
            if value.is_empty() { String::new() } else { format!("cookie_same_site = {value}") };
        let gateway = Gateway::start(setup("zipcheck", &site)).await;
        let mut client = gateway.client(Version::H1).await;
        let made = request("POST", "/auth/signup").json(ACCOUNT).send(&mut client).await;
        assert_eq!(made.status, 200);

        let (_, attributes) = log_in(&mut client).await;

        let expected = format!("HttpOnly; Path=/; Secure; SameSite={expected}");
        assert_eq!(attributes, expected, "{value}");
    }
}
