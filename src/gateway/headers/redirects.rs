//! Rewrites `Location` and its like from the backend's address to the client's.
//!
//! A backend knows neither its public host nor the prefix that its route cuts off. What names the
//! backend's own authority is always rewritten; absolute paths and cookies' paths, which may be
//! meant as they are, only on a route with `rewrite_paths`. What is rewritten stays on this host.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::UpstreamUrl;
use crate::gateway::request::framing::split_authority;
use crate::message::only;

/// The ways in which one backend's addresses differ from the client's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redirects<'a> {
    /// The authority that the client asked for.
    pub(crate) client: &'a str,
    /// The backend's address.
    pub(crate) upstream: &'a UpstreamUrl,
    /// The prefix cut from the path; empty if none was.
    pub(crate) prefix: &'a str,
    /// Whether paths that lack the prefix get it.
    pub(crate) rewrite_paths: bool,
}

impl Redirects<'_> {
    /// Rewrites `Location`, `Content-Location` (RFC 9110 §10.2.2, §8.7), `Refresh`, and the `Path`
    /// of cookies (RFC 6265 §5.2.4).
    pub(crate) fn rewrite(self, headers: &mut HeaderMap) {
        // Most answers have no such header: one pass over their few names is enough.
        let leads = |name: &HeaderName| {
            name == header::LOCATION || name == header::CONTENT_LOCATION || name == header::REFRESH
        };
        if headers.keys().any(leads) {
            for name in [header::LOCATION, header::CONTENT_LOCATION] {
                self.replace(headers, name, |text| self.reference(text));
            }
            self.replace(headers, header::REFRESH, |text| self.refresh(text));
        }
        if self.rewrite_paths && headers.contains_key(header::SET_COOKIE) {
            let lines = headers.get_all(header::SET_COOKIE).iter();
            let lines: Vec<HeaderValue> = lines.map(|line| self.cookie(line)).collect();
            headers.remove(header::SET_COOKIE);
            for line in lines {
                headers.append(header::SET_COOKIE, line);
            }
        }
    }

    fn replace(
        self,
        headers: &mut HeaderMap,
        name: HeaderName,
        write: impl FnOnce(&str) -> Option<String>,
    ) {
        let text = only(headers, &name).and_then(|value| value.to_str().ok());
        if let Some(Ok(value)) = text.and_then(write).map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }

    /// The replacement of a URI reference (RFC 3986 §4.1); `None`: it stays.
    fn reference(self, text: &str) -> Option<String> {
        match self.own_path(text) {
            // Without its authority, a path of two slashes would name another (RFC 3986 §4.2).
            Some(path) if self.prefix.is_empty() && names_authority(path) => {
                Some(format!("/.{path}"))
            }
            Some(path) if path.starts_with('/') => Some(format!("{}{path}", self.prefix)),
            Some(rest) => Some(format!("{}/{rest}", self.prefix)),
            None => self.path(text),
        }
    }

    /// The part after the authority, if that is the backend's own, or the client's host with the
    /// backend's port.
    fn own_path(self, text: &str) -> Option<&str> {
        let (scheme, rest) = text.split_once("//")?;
        let default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case("http:") => 80,
            _ if scheme.is_empty() || scheme.eq_ignore_ascii_case("https:") => 443,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(default_port);
        let (client_host, client_port) = split_authority(self.client)?;
        let is_public = host.eq_ignore_ascii_case(client_host);
        if port != self.upstream.address.port || (is_public && port == client_port.unwrap_or(443)) {
            return None;
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        (is_public || bare.eq_ignore_ascii_case(&self.upstream.address.host)).then_some(path)
    }

    /// An absolute path with the prefix that it lacks.
    fn path(self, text: &str) -> Option<String> {
        let lacks = |rest: &str| !(rest.is_empty() || rest.starts_with(['/', '?', '#']));
        let is_path = text.starts_with('/') && !names_authority(text);
        let adds =
            self.rewrite_paths && is_path && text.strip_prefix(self.prefix).is_none_or(lacks);
        adds.then(|| format!("{}{text}", self.prefix))
    }

    /// `5; url=/x`, as browsers read it.
    fn refresh(self, text: &str) -> Option<String> {
        let at = text.to_ascii_lowercase().find("url=")? + "url=".len();
        let (before, url) = text.split_at_checked(at)?;
        let url = url.trim_matches([' ', '"', '\'']);
        Some(format!("{before}{}", self.reference(url)?))
    }

    fn cookie(self, line: &HeaderValue) -> HeaderValue {
        let Ok(text) = line.to_str() else { return line.clone() };
        // Browsers take this name with `Path=/` only.
        if text.get(..7).is_some_and(|name| name.eq_ignore_ascii_case("__Host-")) {
            return line.clone();
        }
        let parts = text.split(';').map(|part| match part.split_once('=') {
            Some((name, path)) if name.trim().eq_ignore_ascii_case("path") => {
                let path = path.trim();
                let longer = self.path(path).unwrap_or_else(|| path.to_owned());
                format!("{name}={}", if path == "/" { self.prefix } else { &longer })
            }
            _ => part.to_owned(),
        });
        HeaderValue::try_from(parts.collect::<Vec<_>>().join(";")).unwrap_or_else(|_| line.clone())
    }
}

/// Whether browsers read the text as a URL without a scheme.
fn names_authority(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("/\\")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::Redirects;
    use crate::config::UpstreamUrl;

    fn rewritten(redirects: Redirects<'_>, name: &'static str, value: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        redirects.rewrite(&mut headers);
        headers[name].to_str().unwrap().to_owned()
    }

    #[test]
    fn only_what_names_the_backend_is_rewritten_by_default() {
        let upstream: UpstreamUrl = "http://10.0.0.7:3000".parse().unwrap();
        let of = |prefix| Redirects {
            client: "api.example.com",
            upstream: &upstream,
            prefix,
            rewrite_paths: false,
        };
        let rows = [
            ("http://10.0.0.7:3000/x?a#b", "/shop/x?a#b", "/x?a#b"),
            ("HTTP://10.0.0.7:3000", "/shop/", "/"),
            ("https://10.0.0.7:3000?q", "/shop/?q", "/?q"),
            ("//10.0.0.7:3000/x", "/shop/x", "/x"),
            ("http://API.example.com:3000/x", "/shop/x", "/x"),
            ("http://10.0.0.7:3000//evil/x", "/shop//evil/x", "/.//evil/x"),
            ("http://10.0.0.7:3000/\\evil", "/shop/\\evil", "/./\\evil"),
            ("http://10.0.0.7/x", "", ""),
            ("http://10.0.0.7:3001/x", "", ""),
            ("http://a@10.0.0.7:3000/x", "", ""),
            ("https://api.example.com/x", "", ""),
            ("http://other.example:3000/x", "", ""),
            ("ftp://10.0.0.7:3000/x", "", ""),
            ("/x", "", ""),
            ("x//y", "", ""),
            ("//other.example/x", "", ""),
        ];
        for (sent, behind_prefix, without) in rows {
            let kept = |text: &str| if text.is_empty() { sent.to_owned() } else { text.to_owned() };
            for name in ["location", "content-location"] {
                assert_eq!(rewritten(of("/shop"), name, sent), kept(behind_prefix), "{sent}");
                assert_eq!(rewritten(of(""), name, sent), kept(without), "{sent}");
            }
        }
        let refresh = "0; URL='http://10.0.0.7:3000/x'";
        assert_eq!(rewritten(of("/shop"), "refresh", refresh), "0; URL=/shop/x");
        assert_eq!(rewritten(of("/shop"), "refresh", "5"), "5");
        assert_eq!(rewritten(of("/shop"), "set-cookie", "a=b; Path=/"), "a=b; Path=/");
    }

    #[test]
    fn paths_get_the_prefix_that_they_lack_where_the_route_says_so() {
        let upstream: UpstreamUrl = "https://[::1]:443".parse().unwrap();
        let redirects = Redirects {
            client: "[::1]:8443",
            upstream: &upstream,
            prefix: "/shop",
            rewrite_paths: true,
        };
        let rows = [
            ("location", "/x", "/shop/x"),
            ("location", "/shopping", "/shop/shopping"),
            ("location", "/shop", "/shop"),
            ("location", "/shop?x", "/shop?x"),
            ("location", "/shop/x", "/shop/x"),
            ("location", "//other/x", "//other/x"),
            ("location", "x", "x"),
            ("location", "https://[::1]/x", "/shop/x"),
            ("location", "https://[::1]:8443/x", "https://[::1]:8443/x"),
            ("refresh", "3;url=/x", "3;url=/shop/x"),
            ("set-cookie", "a=/; Path=/; Secure", "a=/; Path=/shop; Secure"),
            ("set-cookie", "a=b;path=/x", "a=b;path=/shop/x"),
            ("set-cookie", "a=b; Path=/shop/x", "a=b; Path=/shop/x"),
            ("set-cookie", "__Host-a=b; Path=/", "__Host-a=b; Path=/"),
            ("set-cookie", "a=b", "a=b"),
        ];
        for (name, sent, expected) in rows {
            assert_eq!(rewritten(redirects, name, sent), expected, "{name}: {sent}");
        }
    }
}
