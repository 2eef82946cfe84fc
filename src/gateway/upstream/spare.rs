//! What is kept of a request while it is sent, so that it can be sent once more.
//!
//! The head stands in one piece, line by line: to clone the map costs several times as much for
//! every request, and what is kept of one in many thousands is ever needed.

use http::header::UPGRADE;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body::Body;

use crate::gateway::body::upload::ClientBody;

/// A request without a body.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    /// `name:value\n` each; neither a name nor a value holds a line end, nor a name a colon.
    lines: Vec<u8>,
}

/// Most heads fit in it; it grows for the others.
const ROOM: usize = 1000;

impl Spare {
    /// Keeps a request's head; `None` where it must not be sent twice (RFC 9110 §9.2.2).
    pub(super) fn of<B: Body>(request: &Request<B>) -> Option<Self> {
        let method = request.method();
        let has_body = !request.body().is_end_stream();
        let may_repeat = method.is_idempotent() && method != Method::CONNECT && !has_body;
        if !may_repeat || request.headers().contains_key(UPGRADE) {
            return None;
        }
        let mut lines = Vec::with_capacity(ROOM);
        for (name, value) in request.headers() {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.push(b':');
            lines.extend_from_slice(value.as_bytes());
            lines.push(b'\n');
        }
        Some(Self { method: method.clone(), uri: request.uri().clone(), lines })
    }

    /// The request once more.
    pub(super) fn request(self) -> Option<Request<ClientBody>> {
        let mut request = Request::new(ClientBody::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        for line in self.lines.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(line.get(..colon)?).ok()?;
            let value = HeaderValue::from_bytes(line.get(colon + 1..)?).ok()?;
            request.headers_mut().append(name, value);
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Method, Request};
    use http_body_util::{Empty, Full};

    use super::Spare;

    #[test]
    fn a_request_comes_back_line_for_line() {
        let odd = HeaderValue::from_bytes(b" a:b\t\xff: ").unwrap();
        let request = Request::put("/a?b=c")
            .header("host", "a.example:8443")
            .header("x-odd", odd)
            .header("x-none", "")
            .header("accept", "text/html")
            .header("accept", "*/*")
            .body(Empty::<Bytes>::new())
            .unwrap();

        let again = Spare::of(&request).unwrap().request().unwrap();

        assert_eq!(again.method(), request.method());
        assert_eq!(again.uri(), request.uri());
        assert_eq!(again.version(), request.version());
        assert!(again.headers().iter().eq(request.headers().iter()));
    }

    #[test]
    fn what_must_not_be_sent_twice_is_not_kept() {
        let rows = [
            ("get", Method::GET, "", None, true),
            ("delete", Method::DELETE, "", None, true),
            ("post", Method::POST, "", None, false),
            ("connect", Method::CONNECT, "", None, false),
            ("a body", Method::PUT, "body", None, false),
            ("an upgrade", Method::GET, "", Some("websocket"), false),
        ];
        for (name, method, body, upgrade, kept) in rows {
            let mut request = Request::builder().method(method).uri("/");
            if let Some(upgrade) = upgrade {
                request = request.header("upgrade", upgrade);
            }

            let spare = Spare::of(&request.body(Full::new(Bytes::from(body))).unwrap());

            assert_eq!(spare.is_some(), kept, "{name}");
        }
    }
}
