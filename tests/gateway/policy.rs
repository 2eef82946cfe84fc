//! A route's rules for a token, and the request's own credentials that its backend sees.

use serde_json::json;

use crate::harness::{Client, Gateway, Setup, Version, raw, request};

async fn token(gateway: &Gateway, email: &str, role: &str) -> String {
    gateway.add_user(&["--email", email, "--role", role], "correct horse 1").await;
    let issued = gateway.munjigi(&["token", "issue", "--user", email]).await;
    String::from_utf8(issued.stdout).unwrap().trim().to_owned()
}

async fn status(client: &mut Client, path: &str, authorization: Option<&str>) -> u16 {
    let mut builder = request("GET", path);
    if let Some(line) = authorization {
        builder = builder.header("authorization", line);
    }
    builder.send(client).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optional_token_that_is_bad_is_refused_all_the_same() {
    let routes = "{ path = \"/maybe/*\", upstream = \"{upstream}\", auth = \"optional\" },\n\
                  { path = \"/staff/*\", upstream = \"{upstream}\", auth = \"optional\", roles = [\"staff\"] },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    let staff = format!("Bearer {}", token(&gateway, "staff@example.com", "staff").await);
    let guest = format!("Bearer {}", token(&gateway, "guest@example.com", "guest").await);
    let cut = &staff[..staff.len() - 1];
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for bad in ["Bearer", "Bearer a.b.c", "Bearer:a.b.c", "Bearer x, Bearer y", cut] {
            assert_eq!(status(&mut client, "/maybe/x", Some(bad)).await, 401, "{bad}");
        }
        assert_eq!(status(&mut client, "/maybe/x", None).await, 200);
        assert_eq!(status(&mut client, "/maybe/x", Some(&guest)).await, 200);
        assert_eq!(status(&mut client, "/staff/x", None).await, 401, "nobody has no role");
        assert_eq!(status(&mut client, "/staff/x", Some(&guest)).await, 403);
        assert_eq!(status(&mut client, "/staff/x", Some(&staff)).await, 200);
    }
    let logout = request("POST", "/auth/logout").header("authorization", &staff);
    let mut client = gateway.client(Version::H1).await;
    assert_eq!(logout.send(&mut client).await.status, 200);
    assert_eq!(status(&mut client, "/maybe/x", Some(&staff)).await, 401, "a revoked token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_a_backend_where_that_is_wanted_and_other_schemes_where_no_token_is() {
    let route = |path: &str, auth: &str, more: &str| {
        format!("{{ path = \"{path}\", upstream = \"{{upstream}}\", auth = \"{auth}\"{more} }},\n")
    };
    for forward in [false, true] {
        let site = format!("forward_authorization = {forward}");
        let other = format!(", forward_authorization = {}", !forward);
        let routes = route("/api/*", "required", "")
            + &route("/maybe/*", "optional", "")
            + &route("/public/*", "none", "")
            + &route("/other/api/*", "required", &other)
            + &route("/other/maybe/*", "optional", &other)
            + &route("/other/public/*", "none", &other);
        let gateway = Gateway::start(Setup { site, routes, ..Setup::default() }).await;
        let bearer = format!("Bearer {}", token(&gateway, "you@example.com", "staff").await);
        let mut client = gateway.client(Version::H1).await;
        let rows = [
            ("/api/x", bearer.as_str(), forward),
            ("/maybe/x", bearer.as_str(), forward),
            ("/public/x", bearer.as_str(), forward),
            ("/other/api/x", bearer.as_str(), !forward),
            ("/other/maybe/x", bearer.as_str(), !forward),
            ("/other/public/x", bearer.as_str(), !forward),
            ("/public/x", "Bearer no.such.token", forward),
            ("/public/x", "Basic dTpw, bearer a.b.c", forward),
            ("/public/x", "Basic dTpw", true),
            ("/maybe/x", "Basic dTpw", true),
            ("/maybe/x", "ApiKey 7", true),
            ("/other/public/x", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host", true),
            ("/other/maybe/x", "7", true),
        ];
        for (path, line, is_seen) in rows {
            let seen = request("GET", path)
                .header("authorization", line)
                .header("proxy-authorization", "Basic dTpw")
                .header("auth_orization", "Bearer x")
                .send(&mut client)
                .await;
            assert_eq!(seen.status, 200, "{path} {line}: {}", seen.text());
            let seen = seen.json();
            let expected = is_seen.then(|| json!([line]));
            assert_eq!(seen["headers"].get("authorization"), expected.as_ref(), "{path} {line}");
            assert_eq!(seen["headers"].get("proxy-authorization"), None);
            assert_eq!(seen["headers"].get("auth_orization"), None);
        }
        let basic = request("GET", "/api/x").header("authorization", "Basic dTpw");
        assert_eq!(basic.send(&mut client).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_passes_without_a_token() {
    let gateway = Gateway::start(Setup::default()).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for method in
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "PROPFIND"]
        {
            let reply = request(method, "/api/x")
                .header("x-http-method-override", "OPTIONS")
                .header("x-middleware-subrequest", "middleware")
                .send(&mut client)
                .await;
            assert_eq!(reply.status, 401, "{method}");
        }
        let preflight = request("OPTIONS", "/api/x")
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "GET")
            .send(&mut client)
            .await;
        assert_eq!(preflight.status, 401, "no origin is configured");
        assert_eq!(preflight.headers.get("access-control-allow-origin"), None);
    }
    let star = b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = raw(gateway.address(), &gateway.trust(), star).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 404"), "{}", String::from_utf8_lossy(&answer));
    assert!(gateway.upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn head_goes_where_get_goes_and_trace_only_where_it_is_named() {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                  { path = \"/read\", upstream = \"{upstream}\", methods = [\"GET\"], auth = \"none\" },\n\
                  { path = \"/trace\", upstream = \"{upstream}\", methods = [\"TRACE\"], auth = \"none\" },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    for version in Version::BOTH {
        let mut client = gateway.client(version).await;
        for (method, path, status, allow) in [
            ("HEAD", "/read", 200, ""),
            ("POST", "/read", 405, "GET, HEAD"),
            ("TRACE", "/read", 405, "GET, HEAD"),
            ("TRACE", "/x", 405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            ("TRACE", "/trace", 200, ""),
            ("GET", "/trace", 405, "TRACE"),
            ("HEAD", "/auth/me", 401, ""),
            ("HEAD", "/auth/login", 405, "POST"),
        ] {
            let reply = request(method, path).send(&mut client).await;
            assert_eq!(reply.status, status, "{method} {path}");
            assert_eq!(
                reply.headers.get("allow").map_or("", |value| value.to_str().unwrap()),
                allow
            );
        }
        let methods: Vec<_> =
            gateway.upstream.seen().iter().map(|seen| seen["method"].clone()).collect();
        assert!(methods.ends_with(&[json!("HEAD"), json!("TRACE")]), "{methods:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_its_own_longest_body_and_a_refusal_names_the_key() {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },\n\
                  { path = \"/big/*\", upstream = \"{upstream}\", auth = \"none\", body = \"64KiB\" },\n\
                  { path = \"/none\", upstream = \"{upstream}\", auth = \"none\", body = \"0B\" },";
    let tables = "[limits]\nbody = \"1KiB\"\n".to_owned();
    let setup = Setup { routes: routes.to_owned(), tables, ..Setup::default() };
    let gateway = Gateway::start(setup).await;
    for version in Version::BOTH {
        for (path, size, status) in [
            ("/x", 1 << 10, 200),
            ("/x", (1 << 10) + 1, 413),
            ("/big/x", 64 << 10, 200),
            ("/big/x", (64 << 10) + 1, 413),
            ("/none", 0, 200),
            ("/none", 1, 413),
        ] {
            let mut client = gateway.client(version).await;
            let reply = request("POST", path).body(vec![b'x'; size]).send(&mut client).await;
            assert_eq!(reply.status, status, "{path} {size}");
        }
    }
    for (path, told) in [("/x", "at most 1KiB (limits.body)"), ("/big/x", "at most 64KiB (`body`")]
    {
        let url = format!("https://localhost{path}");
        let explained = gateway.munjigi(&["explain", "POST", &url]).await;
        let explained = String::from_utf8(explained.stdout).unwrap();
        assert!(explained.contains(told), "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_the_admin_listener_are_ordinary_here() {
    let gateway = Gateway::start(Setup::default()).await;
    let bearer = format!("Bearer {}", token(&gateway, "you@example.com", "staff").await);
    let mut client = gateway.client(Version::H1).await;
    for path in ["/metrics", "/livez", "/readyz", "/debug/pprof"] {
        assert_eq!(status(&mut client, path, None).await, 401, "{path}");
        let reply = request("GET", path).header("authorization", &bearer).send(&mut client).await;
        assert_eq!(reply.header("x-upstream"), "yes", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_takes_only_get_and_head() {
    let gateway = Gateway::start(Setup::default()).await;
    let admin = gateway.app().admin().expect("an admin listener");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let url = format!("http://{admin}/metrics");
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, &url])
            .output()
            .await
            .unwrap();
        assert_eq!(output.stdout, b"405", "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_a_route_sets_or_removes_have_no_other_spelling() {
    let routes = "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\", \
                    set_headers = { X-Internal-Key = \"ours\" }, remove_headers = [\"X-Debug\"] },";
    let gateway = Gateway::start(Setup { routes: routes.to_owned(), ..Setup::default() }).await;
    let mut client = gateway.client(Version::H1).await;

    let seen = request("GET", "/x")
        .header("x-internal-key", "theirs")
        .header("x_internal_key", "theirs")
        .header("x.internal-key", "theirs")
        .header("x-debug", "theirs")
        .header("x_debug", "theirs")
        .header("connection", "x-internal-key")
        .send(&mut client)
        .await
        .json();

    assert_eq!(seen["headers"]["x-internal-key"], json!(["ours"]));
    assert!(!seen.to_string().contains("theirs"), "{seen}");
}
