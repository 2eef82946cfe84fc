//! HTTP/2 by frames that no good client sends: one connection ends, the others are served.

use std::time::Duration;

use crate::harness::{Frames, Gateway, Setup, Version, kind, request};

const REFUSED_STREAM: u32 = 7;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const OVERFLOW: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
const ENHANCE_YOUR_CALM: u32 = 11;

async fn start(limits: &str) -> Gateway {
    Gateway::start(Setup { tables: format!("[limits]\n{limits}\n"), ..Setup::default() }).await
}

/// A good client is served within two seconds, whatever another one does.
async fn assert_serves(gateway: &Gateway, row: &str) {
    let served = async {
        let mut client = gateway.client(Version::H2).await;
        request("GET", "/public/x").send(&mut client).await.status
    };
    let served = tokio::time::timeout(Duration::from_secs(2), served).await;
    assert_eq!(served.ok(), Some(http::StatusCode::OK), "{row}");
}

/// hyper says no 100 over HTTP/2: whoever waits for one is told to ask without (RFC 9110 §10.1.1).
#[tokio::test(flavor = "multi_thread")]
async fn a_client_does_not_wait_in_vain_for_100_continue() {
    let gateway = start("body_idle_timeout = \"300ms\"").await;
    let mut client = gateway.client(Version::H2).await;
    for path in ["/public/x", "/auth/login"] {
        let expecting = || request("POST", path).header("expect", "100-continue");

        let held_back = expecting().endless(b"").send(&mut client).await;
        let sent = expecting().json("{}").send(&mut client).await;

        assert_eq!(held_back.status, 417, "{path}");
        assert_ne!(sent.status, 417, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_opened_and_reset_at_once_hold_nobody_up() {
    let gateway = start("http2_resets = 20\nkeep_alive = \"1s\"").await;
    let mut flood = Frames::connect(gateway.address(), &gateway.trust()).await;
    let flooding = async {
        for stream in (1..2000).step_by(2) {
            flood.get(stream, "/public/stall").await;
            if !flood.write(kind::RST_STREAM, 0, stream, &CANCEL).await {
                return;
            }
        }
    };

    tokio::join!(flooding, assert_serves(&gateway, "meanwhile"));

    // Resets that overtake their streams are counted; a server that keeps pace only idles in the
    // end.
    let code = flood.end().await;
    assert!(matches!(code, Some(0 | ENHANCE_YOUR_CALM)), "{code:?}");
    assert_serves(&gateway, "afterwards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_the_server_is_made_to_reset_end_their_connection() {
    let gateway = start("").await;
    let mut flood = Frames::connect(gateway.address(), &gateway.trust()).await;
    let flooding = async {
        for stream in (1..4000).step_by(2) {
            flood.get(stream, "/public/stall").await;
            // A window that overflows is an error of the stream alone (RFC 9113 §6.9.1).
            if !flood.write(kind::WINDOW_UPDATE, 0, stream, &OVERFLOW).await {
                return;
            }
        }
    };

    tokio::join!(flooding, assert_serves(&gateway, "meanwhile"));

    assert_eq!(flood.end().await, Some(ENHANCE_YOUR_CALM));
    assert_serves(&gateway, "afterwards").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_allowed_are_refused_and_the_others_served() {
    let gateway = start("http2_streams = 2").await;
    let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;

    frames.get(1, "/public/stall").await;
    frames.get(3, "/public/stall").await;
    frames.get(5, "/public/x").await;
    let refused = frames.next_of(kind::RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.number(0)), (5, REFUSED_STREAM));

    frames.write(kind::RST_STREAM, 0, 1, &CANCEL).await;
    frames.get(7, "/public/x").await;
    assert_eq!(frames.next_of(kind::DATA).await.unwrap().stream, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_over_the_limits_is_431_and_the_connection_goes_on() {
    let gateway = start("header_bytes = \"8KiB\"\nheader_count = 20").await;
    for (name, lines) in [("bytes", vec!["v".repeat(900); 12]), ("lines", vec!["v".into(); 21])] {
        for version in Version::BOTH {
            let mut client = gateway.client(version).await;
            let mut fat = request("GET", "/public/x");
            for (number, value) in lines.iter().enumerate() {
                fat = fat.header(&format!("x-{number}"), value);
            }

            let reply = client.try_send(fat.build()).await.unwrap();

            assert_eq!(reply.status, 431, "{name} {version:?}");
            if version == Version::H2 {
                let next = request("GET", "/public/x").send(&mut client).await;
                assert_eq!(next.status, 200, "{name}");
            }
        }
    }
    assert!(gateway.upstream.seen().iter().all(|seen| seen["headers"]["x-1"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_ends_its_connection() {
    let gateway = start("").await;
    let line = Frames::line("x", &"v".repeat(16_000));
    for (row, part) in [("bytes", line.as_slice()), ("nothing", b"".as_slice())] {
        let mut flood = Frames::connect(gateway.address(), &gateway.trust()).await;
        flood.write(kind::HEADERS, Frames::END_STREAM, 1, &Frames::head("/public/x")).await;
        let flooding = async {
            for _ in 0..10_000 {
                if !flood.write(kind::CONTINUATION, 0, 1, part).await {
                    return;
                }
            }
        };

        tokio::join!(flooding, assert_serves(&gateway, row));

        assert_eq!(flood.end().await, Some(ENHANCE_YOUR_CALM), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_break_the_protocol_end_their_connection_alone() {
    let gateway = start("").await;
    let head = Frames::head("/public/x");
    let rows: [(&str, u8, u8, u32, &[u8]); 15] = [
        ("data on no stream", kind::DATA, 0, 0, b"x"),
        ("data on an idle stream", kind::DATA, 0, 1, b"x"),
        ("a head on no stream", kind::HEADERS, Frames::WHOLE, 0, &head),
        ("a head on a stream of the server's", kind::HEADERS, Frames::WHOLE, 2, &head),
        ("an index that does not exist", kind::HEADERS, Frames::WHOLE, 1, &[0xff, 0xff, 0x7f]),
        ("a string that is cut off", kind::HEADERS, Frames::WHOLE, 1, &[0x04, 0x7f]),
        ("padding that is too long", kind::HEADERS, Frames::WHOLE | 8, 1, &[200, 0x82]),
        ("a reset of an idle stream", kind::RST_STREAM, 0, 1, &CANCEL),
        ("settings of an odd size", kind::SETTINGS, 0, 0, b"12345"),
        ("settings of a stream", kind::SETTINGS, 0, 1, b""),
        ("an acknowledgement with settings", kind::SETTINGS, 1, 0, b"123456"),
        ("a ping of seven bytes", kind::PING, 0, 0, b"1234567"),
        ("a promise", kind::PUSH_PROMISE, Frames::END_HEADERS, 1, b"1234"),
        ("a window that overflows", kind::WINDOW_UPDATE, 0, 0, &OVERFLOW),
        ("a continuation of nothing", kind::CONTINUATION, Frames::END_HEADERS, 1, &head),
    ];

    for (row, kind, flags, stream, payload) in rows {
        let mut frames = Frames::connect(gateway.address(), &gateway.trust()).await;
        frames.write(kind, flags, stream, payload).await;
        assert_ne!(frames.end().await, Some(0), "{row}");
        assert_serves(&gateway, row).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_small_frames_hold_nobody_else_up() {
    let gateway = start("keep_alive = \"1s\"").await;
    let rows: [(&str, u8, u32, &[u8]); 3] = [
        ("settings", kind::SETTINGS, 0, b""),
        ("pings", kind::PING, 0, b"12345678"),
        ("priorities", kind::PRIORITY, 1, &[0, 0, 0, 0, 15]),
    ];
    for (row, kind, stream, payload) in rows {
        let mut flood = Frames::connect(gateway.address(), &gateway.trust()).await;
        let flooding = async {
            for _ in 0..5000 {
                if !flood.write(kind, 0, stream, payload).await {
                    return;
                }
            }
        };

        tokio::join!(flooding, assert_serves(&gateway, row));

        flood.end().await;
        assert_serves(&gateway, row).await;
    }
}
