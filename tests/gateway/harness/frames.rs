//! An HTTP/2 client that writes its frames itself, good ones and bad ones (RFC 9113 §4).

use std::net::SocketAddr;

use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::DEADLINE;
use super::client::connect;

/// Frame types (RFC 9113 §6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// A connection whose frames are written by hand.
pub(crate) struct Frames {
    stream: TlsStream<TcpStream>,
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Frames {
    /// The flag of a stream's last frame, or of an acknowledgement.
    pub(crate) const END_STREAM: u8 = 1;
    /// The flag of a head's last frame.
    pub(crate) const END_HEADERS: u8 = 4;
    /// Both.
    pub(crate) const WHOLE: u8 = 5;

    /// Connects, and sends the preface with empty settings.
    pub(crate) async fn connect(address: SocketAddr, trust: &RootCertStore) -> Self {
        let mut stream = connect(address, trust, b"h2").await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self { stream };
        assert!(frames.write(kind::SETTINGS, 0, 0, b"").await);
        frames
    }

    /// Writes a frame; false when the other side has closed.
    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Sends a whole GET.
    pub(crate) async fn get(&mut self, stream: u32, path: &str) -> bool {
        self.write(kind::HEADERS, Self::WHOLE, stream, &Self::head(path)).await
    }

    /// A GET for `https://localhost…`, no name or value compressed (RFC 7541 §6).
    pub(crate) fn head(path: &str) -> Vec<u8> {
        let mut block = vec![0x82, 0x87, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.as_bytes());
        block.extend([0x01, 9]);
        block.extend(b"localhost");
        block
    }

    /// A header line of a short name and a value of less than 16 KiB, not compressed.
    pub(crate) fn line(name: &str, value: &str) -> Vec<u8> {
        let mut line = vec![0x00, u8::try_from(name.len()).unwrap()];
        line.extend(name.as_bytes());
        match u8::try_from(value.len()) {
            Ok(length @ 0..127) => line.push(length),
            // Seven bits are full, and the rest follows in sevens, the lowest first (§5.1).
            _ => {
                let rest = value.len() - 127;
                let low = u8::try_from(rest % 128).unwrap() | 128;
                line.extend([127, low, u8::try_from(rest / 128).unwrap()]);
            }
        }
        line.extend(value.as_bytes());
        line
    }

    /// The next frame, pings being answered and passed over; nothing at the connection's end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = tokio::time::timeout(DEADLINE, self.read()).await.expect("a frame")?;
            if frame.kind != kind::PING {
                return Some(frame);
            }
            if frame.flags == 0 {
                self.write(kind::PING, Self::END_STREAM, 0, &frame.payload).await;
            }
        }
    }

    /// The next frame of a type, others being passed over; nothing at the end of the connection.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads to the end; gives the error code of the last GOAWAY, if one came.
    pub(crate) async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == kind::GOAWAY {
                code = Some(frame.number(4));
            }
        }
        code
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }
}

impl Frame {
    /// The four bytes at a place, as a number.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}
