//! The path that was matched is the path that is sent; one with two readings is refused.

use serde_json::json;

use crate::harness::{Gateway, Setup, Version, raw, request};

/// Sends a request line as it stands, without a token; gives the status and what the upstream saw.
async fn target(gateway: &Gateway, target: &str) -> (u16, Option<String>) {
    let before = gateway.upstream.seen().len();
    let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = raw(gateway.address(), &gateway.trust(), head.as_bytes()).await;
    let answer = answer.expect("the connection ends");
    let status =
        String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse().ok());
    let seen = gateway.upstream.seen();
    let forwarded = seen.get(before).and_then(|seen| seen["target"].as_str().map(str::to_owned));
    (status.unwrap_or(0), forwarded)
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_paths_are_refused_and_never_forwarded() {
    let gateway = Gateway::start(Setup::default()).await;
    for path in [
        "/public//x",
        "//public/x",
        "/public/%2Fapi",
        "/public%2f..%2fapi",
        "/public/%5Capi",
        "/public\\..\\api",
        "/public/%00",
        "/public/%0d%0a",
        "/public/%7F",
        "/public/%EF%BC%8F",
        "/public/%252e%252e/api",
        "/public/%25%32%65",
        "/public/%c0%ae%c0%ae/api",
        "/public/%zz",
        "/public/%",
        "/public/..;/api",
        "/public/.;/api",
        "/public/..%3B/api",
        "/public/.%3bx/api",
        "/public/..%20/api/x",
        "/public/..%09/api/x",
        "/public/..%00/api/x",
        "/public/%20../api/x",
        "/public/..%20;x/api/x",
        "/public/.../api/x",
        "/public/%EF%BC%8E%EF%BC%8E/api/x",
        "/public/#/api",
        "/public/\u{e9}",
    ] {
        let (status, forwarded) = target(&gateway, path).await;

        assert_eq!(forwarded, None, "{path} reached the upstream");
        assert_eq!(status, 400, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canonical_path_is_matched_and_forwarded() {
    let gateway = Gateway::start(Setup::default()).await;
    for (sent, forwarded) in [
        ("/public/x", "/public/x"),
        ("/public", "/public"),
        ("/public/", "/public/"),
        ("/public/a/../x", "/public/x"),
        ("/public/./x", "/public/x"),
        ("/api/../public/x", "/public/x"),
        ("/api/%2e%2e/public/x", "/public/x"),
        ("/%70ublic/x", "/public/x"),
        ("/public/%7euser", "/public/~user"),
        ("/public/a%20b%c3%a9", "/public/a%20b%C3%A9"),
        ("/public/x?next=/api/../..//%2F&a=%zz", "/public/x?next=/api/../..//%2F&a=%zz"),
        ("/public/a;b=c", "/public/a;b=c"),
        ("https://localhost/public/x", "/public/x"),
    ] {
        assert_eq!(target(&gateway, sent).await, (200, Some(forwarded.to_owned())), "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_resolves_to_a_protected_path_needs_a_token() {
    let gateway = Gateway::start(Setup::default()).await;
    for path in [
        "/public/../api",
        "/public/%2e%2e/api",
        "/public/.%2e/api",
        "/publicx",
        "/PUBLIC/x",
        "/public.json",
        "/public%20/x",
        "/api?x=/public/",
        "/api%3f/public/",
        "/api/%23/public/",
    ] {
        assert_eq!(target(&gateway, path).await, (401, None), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_keeps_reaches_its_backend_as_it_was_sent() {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\", encoded_slash = \"keep\", \
                    encoded_percent = \"keep\", empty_segments = \"keep\", non_utf8 = \"keep\" },\n\
                  { path = \"/secret/*\", upstream = \"{upstream}\" },\n\
                  { path = \"/public/*\", upstream = \"{upstream}\", auth = \"none\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    for path in ["/@scope%2Fname", "/100%2525", "/a%2520b", "/%B0%A1.txt", "/a//b///c", "//a?b=//"]
    {
        assert_eq!(target(&gateway, path).await, (200, Some(path.to_owned())), "{path}");
    }
    for path in [
        "/public/%252e%252e/secret/x",
        "/a/.%252e/secret/x",
        "/a/..%252fsecret/x",
        "/a/..%2fsecret/x",
        "/a/%c0%ae%c0%ae/secret/x",
        "/a%c0%af..%c0%afsecret/x",
        "/a/..%2520/secret/x",
        "/%2573ecret/x",
        "/%252573ecret/x",
        "//secret/x",
        "/%252fsecret/x",
        "/.well-known//jwks.json",
        "//auth/login",
    ] {
        assert_eq!(target(&gateway, path).await, (400, None), "{path}");
    }
    for (path, key) in [
        ("a%2Fb", "encoded_slash"),
        ("a%2525", "encoded_percent"),
        ("a//b", "empty_segments"),
        ("%B0%A1", "non_utf8"),
    ] {
        let refused = target(&gateway, &format!("/public/{path}")).await;
        assert_eq!(refused, (400, None), "{path}");
        let url = format!("https://localhost/public/{path}");
        let explained = gateway.munjigi(&["explain", "GET", &url]).await;
        let explained = String::from_utf8(explained.stdout).unwrap();
        assert!(explained.contains(&format!("{key} = \"keep\"")), "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_exact_route_wins_whatever_the_order() {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\" },\n\
                  { path = \"/a/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                  { path = \"/a/{id}\", upstream = \"{upstream}\", methods = [\"GET\"] },\n\
                  { path = \"/a/b\", upstream = \"{upstream}\", auth = \"none\", strip_prefix = \"/a\", set_headers = { X-Route = \"exact\" }, remove_headers = [\"accept\"], host = \"upstream\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;

    let exact = request("GET", "/a/b").header("accept", "x/y").send(&mut client).await.json();
    assert_eq!(exact["target"], "/b");
    assert_eq!(exact["headers"]["x-route"], json!(["exact"]));
    assert_eq!(exact["headers"].get("accept"), None);
    assert_eq!(exact["headers"]["host"], json!([gateway.upstream.url().replace("http://", "")]));
    assert_eq!(request("GET", "/a/c").send(&mut client).await.status, 401, "/a/{{id}}");
    let method = request("POST", "/a/c").send(&mut client).await;
    assert_eq!((method.status.as_u16(), method.header("allow")), (405, "GET, HEAD"));
    assert_eq!(request("GET", "/a/c/d").send(&mut client).await.status, 200, "/a/*");
    assert_eq!(request("GET", "/b").send(&mut client).await.status, 401, "/*");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_behind_a_prefix_is_told_it_and_its_redirects_come_back() {
    let routes = "{ path = \"/shop/*\", upstream = \"{upstream}\", auth = \"none\", strip_prefix = \"/shop\" },\n\
                  { path = \"/app/*\", upstream = \"{upstream}\", auth = \"none\", strip_prefix = \"/app\", \
                    rewrite_paths = true },\n\
                  { path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    let own = gateway.upstream.url();
    let port = own.rsplit_once(':').unwrap().1;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (path, prefix) in [("/shop/x", json!(["/shop"])), ("/x", json!(null))] {
            let spoofed = request("GET", path).header("x-forwarded-prefix", "/evil");
            let seen = spoofed.send(&mut client).await.json();
            assert_eq!(seen["headers"]["x-forwarded-prefix"], prefix, "{path}");
        }
        for (path, name, sent, expected) in [
            ("/shop/answer", "location", format!("{own}/who?a"), "/shop/who?a"),
            ("/shop/answer", "content-location", format!("http://localhost:{port}/x"), "/shop/x"),
            ("/shop/answer", "refresh", format!("1; url={own}/x"), "1; url=/shop/x"),
            ("/shop/answer", "location", "/who".to_owned(), "/who"),
            ("/shop/answer", "set-cookie", "a=b; Path=/".to_owned(), "a=b; Path=/"),
            ("/answer", "location", format!("{own}/who"), "/who"),
            ("/app/answer", "location", "/who".to_owned(), "/app/who"),
            ("/app/answer", "location", "/app/who".to_owned(), "/app/who"),
            ("/app/answer", "set-cookie", "a=b; Path=/".to_owned(), "a=b; Path=/app"),
            ("/app/answer", "location", "//other.example/".to_owned(), "//other.example/"),
        ] {
            let asked = request("GET", path).header("x-answer", &format!("{name}: {sent}"));
            let reply = asked.send(&mut client).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header(name)),
                (201, expected),
                "{path}: {sent}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_route_it_is_404_token_or_not_and_without_a_site_421() {
    let routes = "{ path = \"/only/*\", upstream = \"{upstream}\" },".to_owned();
    let gateway = Gateway::start(Setup { routes, ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;

    let reply = request("GET", "/other").send(&mut client).await;
    assert_eq!((reply.status.as_u16(), reply.json()["code"].clone()), (404, json!("not_found")));
    let reply = request("GET", "/other").bearer("x").send(&mut client).await;
    assert_eq!(reply.status, 404);
    let unknown = request("GET", "/only/x").header("host", "other.example").send(&mut client).await;
    assert_eq!((unknown.status.as_u16(), unknown.body.len()), (421, 0));
}
