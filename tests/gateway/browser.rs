//! A front end in a real browser, on another origin: log-in, 401 → reissue → retry, log-out.
//!
//! The page (`browser/page.js`) works as axios does. Chromium itself decides what CORS, `SameSite`
//! and `HttpOnly` mean.

use serde_json::json;

use crate::harness::browser::pin_of;
use crate::harness::{Browser, Pages, Setup};
use crate::lifecycle::{Running, plain_get, start};

/// A gateway whose front end lives at `origin`, and whose access tokens are soon over.
async fn gateway(origin: &str, site: &str) -> Running {
    let setup = Setup {
        site: format!("cors = {{ origins = [\"{origin}\"] }}\n{site}"),
        routes: "{ path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                 { path = \"/api/*\", upstream = \"{upstream}\" },"
            .to_owned(),
        tables: "[site.\"localhost\".tokens]\naccess_ttl = \"3s\"\n".to_owned(),
        ..Setup::contract("zipcheck")
    };
    start(&setup).await
}

fn api(gateway: &Running) -> String {
    format!("https://localhost:{}", gateway.process.address.port())
}

/// The keys that a browser is to trust.
fn pins(gateway: &Running, servers: &[&Pages]) -> Vec<String> {
    let own = pin_of(&gateway.folder.path().join("certs/dev/key.pem"));
    let pages = servers.iter().filter_map(|pages| pages.pin.clone());
    pages.chain([own]).collect()
}

/// A whole session, seen from a page and from behind the gateway.
async fn session(mut pages: Pages, gateway: Running) {
    let browser =
        Browser::open(&pages.page("whole", &api(&gateway), None), &pins(&gateway, &[&pages]));

    let found = pages.report(&browser).await;

    let expected = json!({
        "signup": 200,
        "login": 200,
        "bodyHasTheHeadersToken": true,
        "scriptSeesCookie": false,
        "before": [200],
        "expired": true,
        "after": [401, 200, 200],
        "logout": 200,
        "reissueAfterLogout": [401, "리프레시 토큰이 없습니다."],
        "unknownPath": 404,
    });
    assert_eq!(found, expected);
    let seen = gateway.upstream.seen();
    assert!(!seen.is_empty());
    for seen in seen {
        assert_eq!(seen["method"], "GET", "a preflight reached the backend");
        assert_eq!(seen["headers"]["cookie"], json!(null), "the cookie reached the backend");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_on_another_port_keeps_its_session() {
    let pages = Pages::https().await;
    let gateway = gateway(&pages.origin, "").await;
    session(pages, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_keeps_its_session_where_cookies_may_cross() {
    // Another scheme is another site (RFC 6265bis §5.2).
    let pages = Pages::http().await;
    let gateway = gateway(&pages.origin, "cookie_same_site = \"none\"").await;
    session(pages, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_unknown_origin_reads_nothing_and_uses_no_cookie() {
    let (mut home, mut strange) = (Pages::https().await, Pages::https().await);
    let gateway = gateway(&home.origin, "").await;
    let api = api(&gateway);
    let back = home.page("stay", &api, None);
    let there = strange.page("intrude", &api, Some(&back));
    let browser =
        Browser::open(&home.page("enter", &api, Some(&there)), &pins(&gateway, &[&home, &strange]));

    let entered = home.report(&browser).await;
    assert_eq!((&entered["signup"], &entered["login"]), (&json!(200), &json!(200)), "{entered}");

    let found = strange.report(&browser).await;
    let expected = json!({
        "login": 0,
        "reissue": 0,
        "read": 0,
        "blindReissue": "opaque",
        "form": "answered",
    });
    assert_eq!(found, expected);
    let stayed = home.report(&browser).await;
    assert_eq!(stayed, json!({ "reissue": 200, "read": 200 }));

    // Only now: the page goes on by itself, to the one that stays.
    let metrics = plain_get(&format!("http://{}/metrics", gateway.process.admin)).await;
    let reissues = |status: u16| {
        let label = format!("route=\"/auth/reissue\",status=\"{status}\"");
        metrics
            .lines()
            .find(|line| line.contains(&label))
            .and_then(|line| line.split(' ').next_back())
    };
    assert_eq!((reissues(403), reissues(200)), (Some("3"), Some("1")), "{metrics}");
    browser.close().await;
}
