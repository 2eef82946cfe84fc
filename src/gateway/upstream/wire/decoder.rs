//! The body of an answer, taken out of its framing (RFC 9112 §6 and §7).
//!
//! Every line of the chunked coding ends with CRLF: a bare LF or CR would be a second reading.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use super::malformed;

/// The rest of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway::upstream) enum Decoder {
    /// Nothing, and another answer may follow.
    Over,
    /// Nothing, and where another answer would begin is in doubt.
    OverInDoubt,
    /// This many bytes.
    Length(u64),
    /// All until the other end closes.
    UntilClose,
    /// Chunks.
    Chunked(Chunked),
}

/// A position within the chunked coding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::gateway::upstream) struct Chunked {
    at: At,
    /// Bytes of chunk extensions that may still come.
    extensions: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the size, of which so much was read; `None`: no digit yet.
    Size(Option<u64>),
    /// After the size: what follows is blank, an extension or the line's end.
    AfterSize(u64),
    /// In an extension.
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// After the last chunk: an empty line, or trailers.
    Trailers,
    LastLf,
    Over,
    /// At trailers. They are dropped, for they come after the head was decided on, and so is the
    /// connection: where trailers end has been read in two ways before.
    OverInDoubt,
    Broken(&'static str),
}

/// Most bytes of chunk extensions in one body.
const EXTENSIONS: u16 = 16 << 10;

/// The longest part of a body that is copied; it would keep the whole read buffer otherwise.
const SMALL: usize = 4 << 10;

impl Decoder {
    /// The chunked coding, from its beginning.
    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunked { at: At::Size(None), extensions: EXTENSIONS })
    }

    /// A body of a known length.
    pub(super) const fn of_length(length: u64) -> Self {
        if length == 0 { Self::Over } else { Self::Length(length) }
    }

    /// Whether nothing of the body is to come.
    pub(in crate::gateway::upstream) const fn is_over(&self) -> bool {
        matches!(self, Self::Over | Self::OverInDoubt)
    }

    /// The bytes still to come, where that is known.
    pub(in crate::gateway::upstream) const fn left(&self) -> Option<u64> {
        match self {
            Self::Over | Self::OverInDoubt => Some(0),
            Self::Length(left) => Some(*left),
            Self::UntilClose | Self::Chunked(_) => None,
        }
    }

    /// Takes the next part of the body from the bytes so far; `None`: it is over, or needs more
    /// bytes.
    ///
    /// # Errors
    /// When the bytes are no chunked coding.
    pub(in crate::gateway::upstream) fn decode(
        &mut self,
        came: &mut BytesMut,
    ) -> io::Result<Option<Bytes>> {
        let data = match self {
            Self::Over | Self::OverInDoubt => return Ok(None),
            Self::Length(left) => {
                let data = take(came, *left);
                *self = Self::of_length(*left - length(&data));
                data
            }
            Self::UntilClose => take(came, u64::MAX),
            Self::Chunked(chunked) => {
                let data = chunked.decode(came)?;
                match chunked.at {
                    At::Over => *self = Self::Over,
                    At::OverInDoubt => *self = Self::OverInDoubt,
                    _ => {}
                }
                data
            }
        };
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    /// Takes note that the other end has closed.
    ///
    /// # Errors
    /// When the body is not whole.
    pub(in crate::gateway::upstream) fn closed(&mut self) -> io::Result<()> {
        match self {
            Self::Over | Self::OverInDoubt | Self::UntilClose => {
                *self = Self::OverInDoubt;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before its body did"))
            }
        }
    }
}

impl Chunked {
    fn decode(&mut self, came: &mut BytesMut) -> io::Result<Bytes> {
        self.skip_framing(came);
        if let At::Broken(reason) = self.at {
            return Err(malformed(reason));
        }
        let At::Data(left) = self.at else { return Ok(Bytes::new()) };
        let data = take(came, left);
        self.at = match left - length(&data) {
            0 => At::DataCr,
            left => At::Data(left),
        };
        // An end that has come already shows now, so that a small body is written with its head;
        // a fault shows when more is asked for.
        self.skip_framing(came);
        Ok(data)
    }

    /// Goes on to the next data, or to the end.
    fn skip_framing(&mut self, came: &mut BytesMut) {
        while !matches!(self.at, At::Data(_) | At::Over | At::OverInDoubt | At::Broken(_)) {
            let Some(byte) = came.first().copied() else { return };
            came.advance(1);
            self.at = self.after(byte);
        }
    }

    fn after(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Size(size), _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size =
                    size.unwrap_or_default().checked_mul(16).map(|size| size | u64::from(digit));
                size.map_or(At::Broken("a chunk is too large"), |size| At::Size(Some(size)))
            }
            (At::Size(Some(size)) | At::AfterSize(size), b' ' | b'\t') => At::AfterSize(size),
            (At::Size(Some(size)) | At::AfterSize(size), b';') => At::Extension(size),
            (At::Size(Some(size)) | At::AfterSize(size) | At::Extension(size), b'\r') => {
                At::SizeLf(size)
            }
            (At::Size(_) | At::AfterSize(_), _) => At::Broken("a chunk has no size"),
            (At::Extension(_), b'\n') => At::Broken("a chunk's extension ends with a bare LF"),
            (At::Extension(size), _) => match self.extensions.checked_sub(1) {
                Some(left) => {
                    self.extensions = left;
                    At::Extension(size)
                }
                None => At::Broken("the chunks' extensions are too long"),
            },
            (At::SizeLf(0), b'\n') => At::Trailers,
            (At::SizeLf(size), b'\n') => At::Data(size),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size(None),
            (At::Trailers, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => At::Over,
            (At::Trailers | At::LastLf, _) => At::OverInDoubt,
            (At::SizeLf(_) | At::DataCr | At::DataLf, _) => {
                At::Broken("a chunk does not end with CRLF")
            }
            (at @ (At::Data(_) | At::Over | At::OverInDoubt | At::Broken(_)), _) => at,
        }
    }
}

/// Takes at most so many bytes.
fn take(came: &mut BytesMut, most: u64) -> Bytes {
    let length = came.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    if length > SMALL {
        return came.split_to(length).freeze();
    }
    let data = came.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
    came.advance(length);
    data
}

fn length(data: &Bytes) -> u64 {
    u64::try_from(data.len()).unwrap_or(u64::MAX)
}
