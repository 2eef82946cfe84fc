//! The method and path of an endpoint: `POST /auth/login`, `DELETE /auth/sessions/{id}`.

use std::ops::Range;

use http::Method;
use toml::Spanned;

use crate::document::{Report, suggestion};
use crate::path::{PathPattern, PatternError};

/// The method and path of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The method.
    pub(super) method: Method,
    /// The path, with `{name}` for a segment.
    pub(super) path: PathPattern,
    /// Place in the file.
    pub(super) span: Range<usize>,
}

const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

impl Address {
    /// Reads a method and a path.
    pub(super) fn read(text: &Spanned<String>, report: &mut Report) -> Option<Self> {
        let span = text.span();
        let Some((name, path)) = text.get_ref().split_once(' ') else {
            report.fault(&span, "no method and path", "such as \"POST /auth/login\"");
            return None;
        };
        let Some(method) = METHODS.iter().find(|method| method.as_str() == name) else {
            let known = METHODS.iter().map(Method::as_str);
            report.fault(&span, format!("unknown method `{name}`"), suggestion(name, known));
            return None;
        };
        match read_path(path) {
            Ok(path) => Some(Self { method: method.clone(), path, span }),
            Err(hint) => {
                report.fault(&span, format!("`{path}` is no path of an endpoint"), hint);
                None
            }
        }
    }

    /// Reports addresses that others have claimed before.
    pub(super) fn check_claims(addresses: &[&Self], report: &mut Report) {
        for (index, address) in addresses.iter().enumerate() {
            for earlier in addresses.iter().take(index) {
                if address.path.shape() != earlier.path.shape() {
                    continue;
                }
                let path = address.path.as_str();
                if address.path != earlier.path {
                    let hint = format!("it is `{}` above", earlier.path.as_str());
                    report.fault(&address.span, "one path, its parameters named twice", hint);
                } else if address.method == earlier.method {
                    let title = format!("`{} {path}` is claimed twice", address.method);
                    report.fault(&address.span, title, "an endpoint above has it");
                }
            }
        }
    }
}

fn read_path(text: &str) -> Result<PathPattern, String> {
    let path: PathPattern = text.parse().map_err(|error: PatternError| error.to_string())?;
    if text.ends_with(['/', '*']) {
        return Err(
            "an endpoint has one path: neither `*` nor an empty segment at its end".to_owned()
        );
    }
    Ok(path)
}
