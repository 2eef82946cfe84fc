//! The method and path of an endpoint: `POST /auth/login`, `DELETE /auth/sessions/{id}`.

use std::ops::Range;

use http::Method;
use toml::Spanned;

use crate::contract::report::{Report, suggestion};

/// What requests an endpoint is for.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// The method.
    pub(super) method: Method,
    /// The path, with `{name}` for a segment.
    pub(super) path: String,
    /// Where it stands in the file.
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
        if let Err(hint) = check_path(path) {
            report.fault(&span, format!("`{path}` is no path of an endpoint"), hint);
            return None;
        }
        Some(Self { method: method.clone(), path: path.to_owned(), span })
    }

    /// Whether a segment of the path is `{name}`.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        parameters(&self.path).any(|own| own == name)
    }

    /// Reports addresses that others have claimed before.
    pub(super) fn check_claims(addresses: &[&Self], report: &mut Report) {
        for (index, address) in addresses.iter().enumerate() {
            for earlier in addresses.iter().take(index) {
                if address.shape() != earlier.shape() {
                    continue;
                }
                if address.path != earlier.path {
                    let hint = format!("it is `{}` above", earlier.path);
                    report.fault(&address.span, "one path, its parameters named twice", hint);
                } else if address.method == earlier.method {
                    let title = format!("`{} {}` is claimed twice", address.method, address.path);
                    report.fault(&address.span, title, "an endpoint above has it");
                }
            }
        }
    }

    fn shape(&self) -> Vec<&str> {
        let shape = |segment| if parameter(segment).is_some() { "{}" } else { segment };
        self.path.split('/').map(shape).collect()
    }
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(parameter)
}

fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(segments) = path.strip_prefix('/') else { return Err("it begins with `/`") };
    for segment in segments.split('/') {
        let name = parameter(segment);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c);
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match (segment, name) {
            ("", _) => return Err("an empty segment; canonical paths have none"),
            ("." | "..", _) => return Err("dot segments are resolved before a path is matched"),
            (_, Some(name)) if name.is_empty() || !name.chars().all(named) => {
                return Err("`{name}`: letters, digits and `_`");
            }
            (_, None) if !segment.chars().all(plain) => {
                return Err("letters, digits and -._~!$&'()*+,;=:@, or `{name}` for a segment");
            }
            _ => {}
        }
    }
    let repeated = |(index, name)| parameters(path).take(index).any(|earlier| earlier == name);
    if parameters(path).enumerate().any(repeated) {
        return Err("a parameter is named twice");
    }
    Ok(())
}
