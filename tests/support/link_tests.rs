//! The effect of each mode of a link on bytes on their way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Link, Mode};

/// Answers every byte with the same byte, until its listener is dropped.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    port
}

/// The result of a word sent: the answer so far, and whether the connection ended.
async fn ask(stream: &mut TcpStream, word: &[u8]) -> (Vec<u8>, bool) {
    drop(stream.write_all(word).await);
    let mut answer = vec![0; word.len()];
    let mut read = 0;
    let reading = async {
        while read < answer.len() {
            match stream.read(&mut answer[read..]).await {
                Ok(some @ 1..) => read += some,
                _ => return true,
            }
        }
        false
    };
    let ended = tokio::time::timeout(Duration::from_millis(200), reading).await;
    answer.truncate(read);
    (answer, ended.unwrap_or(false))
}

#[tokio::test]
async fn each_mode_does_what_its_name_says() {
    let delay = Mode::Delay { by: Duration::from_secs(9), jitter: Duration::from_millis(1) };
    for (mode, answer, ended) in [
        (Mode::Pass, &b"word"[..], false),
        (delay, b"", false),
        (Mode::Late { by: Duration::from_secs(9) }, b"", false),
        (Mode::Late { by: Duration::from_millis(9) }, b"word", false),
        (Mode::Lossy { percent: 0 }, b"word", false),
        (Mode::Lossy { percent: 100 }, b"", false),
        (Mode::Drip { bytes: 10_000 }, b"word", false),
        (Mode::Blackhole, b"", false),
        (Mode::Hold { bytes: b"or" }, b"", false),
        (Mode::Hold { bytes: b"ro" }, b"word", false),
        (Mode::Half { after: 0 }, b"", false),
        (Mode::Half { after: 1 }, b"word", false),
        (Mode::CutAfter { bytes: 2 }, b"wo", true),
        (Mode::Reset, b"", true),
        (Mode::Refuse, b"", true),
    ] {
        let link = Link::to(echo().await, 7).await;
        let mut stream = TcpStream::connect(link.address).await.expect("a connection");
        link.set(mode);

        assert_eq!(ask(&mut stream, b"word").await, (answer.to_vec(), ended), "{mode:?}");
    }
}

#[tokio::test]
async fn what_a_black_hole_held_back_comes_later_and_what_half_lost_ends_the_connection() {
    for (mode, answer, ended) in [
        (Mode::Blackhole, &b"onetwo"[..], false),
        (Mode::Hold { bytes: b"n" }, b"onetwo", false),
        (Mode::Half { after: 0 }, b"", true),
    ] {
        let link = Link::to(echo().await, 7).await;
        let mut stream = TcpStream::connect(link.address).await.expect("a connection");
        link.set(mode);
        assert_eq!(ask(&mut stream, b"one").await, (Vec::new(), false), "{mode:?}");

        link.set(Mode::Pass);

        let mut answers = [0; 6];
        drop(stream.write_all(b"two").await);
        let mut read = 0;
        let deadline = Duration::from_secs(5);
        let reading = async {
            while read < 6
                && let Ok(some @ 1..) = stream.read(&mut answers[read..]).await
            {
                read += some;
            }
            read < 6
        };
        assert_eq!(tokio::time::timeout(deadline, reading).await, Ok(ended), "{mode:?}");
        assert_eq!(&answers[..read], answer, "{mode:?}");
        assert_eq!(link.held(), usize::from(matches!(mode, Mode::Hold { .. })), "{mode:?}");
    }
}

#[tokio::test]
async fn a_link_that_refuses_listens_again_and_one_that_is_swapped_leads_elsewhere() {
    let (first, second) = (echo().await, echo().await);
    let link = Link::to(first, 7).await;
    let mut stream = TcpStream::connect(link.address).await.expect("a connection");
    assert_eq!(ask(&mut stream, b"one").await, (b"one".to_vec(), false));

    link.turn_to(second);
    assert_eq!(ask(&mut stream, b"one").await, (b"one".to_vec(), false));
    link.swap(second);
    assert_eq!(ask(&mut stream, b"two").await, (Vec::new(), true));
    link.set(Mode::Refuse);
    while TcpStream::connect(link.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    link.set(Mode::Pass);

    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(link.address).await {
            break stream;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ask(&mut stream, b"three").await, (b"three".to_vec(), false));
}
