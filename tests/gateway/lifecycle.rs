//! Start, reload, drain: no request is dropped, no bad configuration takes over.

use std::time::Duration;

use crate::harness::gateway::trust;
use crate::harness::{Client, Process, Setup, Upstream, Version, eventually, request};

/// A gateway as a process, and what it was started with.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) text: String,
}

pub(crate) async fn start(setup: &Setup) -> Running {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let text = setup.text(&upstream);
    std::fs::write(folder.path().join("munjigi.toml"), &text).unwrap();
    let process = Process::run(&folder.path().join("munjigi.toml")).await;
    Running { process, folder, upstream, text }
}

impl Running {
    pub(crate) async fn client(&self, version: Version) -> Client {
        let trust = trust(&self.folder.path().join("certs/dev/ca.pem"));
        Client::connect(self.process.address, &trust, version).await
    }

    pub(crate) async fn reload(&self, text: &str) {
        std::fs::write(self.folder.path().join("munjigi.toml"), text).unwrap();
        self.process.signal("HUP").await;
    }

    /// Waits until a reload of this result has been counted.
    pub(crate) async fn reloads(&self, result: &str, count: u64) {
        let wanted = format!("munjigi_reloads_total{{result=\"{result}\"}} {count}");
        let url = format!("http://{}/metrics", self.process.admin);
        eventually("the reload is counted", async || {
            let metrics = plain_get(&url).await;
            metrics.contains(&wanted).then_some(())
        })
        .await;
    }
}

pub(crate) async fn plain_get(url: &str) -> String {
    let output =
        tokio::process::Command::new("curl").args(["-sS", "-i", url]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_new_routes_and_drops_no_connection() {
    let running = start(&Setup::default()).await;
    let mut client = running.client(Version::H1).await;
    assert_eq!(request("GET", "/opened/x").send(&mut client).await.status, 401);

    running.reload(&running.text.replace("/public/*", "/opened/*")).await;

    eventually("the new route is in force", async || {
        let reply = request("GET", "/opened/x").send(&mut client).await;
        (reply.status == 200).then_some(())
    })
    .await;
    assert_eq!(request("GET", "/public/x").send(&mut client).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_file_or_a_key_that_needs_a_restart_changes_nothing() {
    let running = start(&Setup::default()).await;
    let mut client = running.client(Version::H2).await;
    let opened = running.text.replace("/public/*", "/opened/*");
    for (count, bad) in [
        opened.replace("contract", "contrakt"),
        opened.replace("path = \"/*\"", "path = \"no slash\""),
        opened.replace("munjigi.db", "other.db"),
        format!("{opened}\n[tls]\ncerts = [{{ cert = \"missing.pem\", key = \"missing.key\" }}]\n"),
    ]
    .iter()
    .enumerate()
    {
        running.reload(bad).await;
        running.reloads("refused", count as u64 + 1).await;

        assert_eq!(request("GET", "/public/x").send(&mut client).await.status, 200);
        assert_eq!(request("GET", "/opened/x").send(&mut client).await.status, 401);
    }
    running.reload(&opened).await;
    running.reloads("taken", 1).await;
    assert_eq!(request("GET", "/opened/x").send(&mut client).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_drop_no_request() {
    let running = start(&Setup::default()).await;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..4 {
        let version = Version::BOTH[number % 2];
        let mut client = running.client(version).await;
        clients.spawn(async move {
            for _ in 0..200 {
                let reply = request("GET", "/public/x").send(&mut client).await;
                assert_eq!(reply.status, 200);
            }
        });
    }
    for count in 1..=10 {
        running.reload(&running.text).await;
        running.reloads("taken", count).await;
    }
    clients.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_a_request_end_and_exits_zero() {
    let tables =
        "[upstream.slow]\ntargets = [\"{upstream}\"]\nresponse_timeout = \"1s\"\n".to_owned();
    let routes = "{ path = \"/*\", upstream = \"slow\", auth = \"none\" },".to_owned();
    for version in Version::BOTH {
        let setup = Setup { tables: tables.clone(), routes: routes.clone(), ..Setup::default() };
        let running = start(&setup).await;
        let mut client = running.client(version).await;
        assert_eq!(request("GET", "/x").send(&mut client).await.status, 200);
        let in_flight =
            tokio::spawn(async move { request("GET", "/stall").send(&mut client).await });
        eventually("the request is with the upstream", async || {
            running.upstream.seen().iter().any(|seen| seen["target"] == "/stall").then_some(())
        })
        .await;

        running.process.signal("TERM").await;

        assert_eq!(in_flight.await.unwrap().status, 504, "{version:?}: it ends as it would have");
        assert_eq!(running.process.wait().await.code(), Some(0), "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_at_once() {
    let running = start(&Setup {
        routes: "{ path = \"/*\", upstream = \"{upstream}\", auth = \"none\" },".to_owned(),
        ..Setup::default()
    })
    .await;
    let mut client = running.client(Version::H1).await;
    let in_flight =
        tokio::spawn(async move { client.try_send(request("GET", "/stall").build()).await });
    eventually("the request is with the upstream", async || {
        (!running.upstream.seen().is_empty()).then_some(())
    })
    .await;
    let begun = std::time::Instant::now();

    running.process.signal("TERM").await;
    let ready = format!("http://{}/readyz", running.process.admin);
    eventually("it says that it is stopping", async || {
        let answer = plain_get(&ready).await;
        (!answer.contains("200 OK")).then_some(())
    })
    .await;
    running.process.signal("TERM").await;

    running.process.wait().await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(in_flight.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_shows_health_and_metrics_and_nothing_else() {
    let running = start(&Setup::default()).await;
    let mut client = running.client(Version::H1).await;
    request("GET", "/public/x").send(&mut client).await;
    request("GET", "/api/x").send(&mut client).await;
    let at = |path: &str| format!("http://{}{path}", running.process.admin);

    assert!(plain_get(&at("/livez")).await.starts_with("HTTP/1.1 200"));
    eventually("it is ready", async || {
        plain_get(&at("/readyz")).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    let metrics = plain_get(&at("/metrics")).await;
    for line in [
        "munjigi_requests_total{",
        "status=\"200\"",
        "status=\"401\"",
        "route=\"/public/*\"",
        "munjigi_request_seconds_bucket{",
        "munjigi_upstream_seconds",
        "munjigi_connections ",
        "munjigi_revocation_entries ",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
    assert!(plain_get(&at("/debug")).await.starts_with("HTTP/1.1 404"));
    for path in ["/livez", "/readyz", "/metrics"] {
        let public = request("GET", path).send(&mut client).await;
        assert_eq!(public.status, 401, "{path} stands on the public listener");
    }
}
