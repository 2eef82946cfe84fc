//! Tells a person who opens an address from a program that asks for data.

use http::{HeaderMap, HeaderValue, Method, header};

use crate::message::only;

const SEC_FETCH_MODE: &str = "sec-fetch-mode";
const SEC_FETCH_DEST: &str = "sec-fetch-dest";

/// Whether a browser is about to show the answer as a page: by its own word (Fetch Metadata §2.1,
/// §2.2), or where it says none, by preferring HTML (RFC 9110 §12.5.1).
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let says = |name: &str, word: &str| headers.get(name).map(|value| value == word);
    match (says(SEC_FETCH_MODE, "navigate"), says(SEC_FETCH_DEST, "document")) {
        (None, None) => prefers_html(headers),
        (mode, destination) => mode.unwrap_or(true) && destination.unwrap_or(true),
    }
}

fn prefers_html(headers: &HeaderMap) -> bool {
    let Some(accept) = only(headers, &header::ACCEPT).map(HeaderValue::as_bytes) else {
        return false;
    };
    let quality = |kind: &str| {
        let ranges = accept.split(|byte| *byte == b',').filter_map(|range| {
            let range = std::str::from_utf8(range).ok()?;
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next()?.eq_ignore_ascii_case(kind);
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            is_it.then_some(weight.unwrap_or(1.0))
        });
        ranges.fold(0.0, f32::max)
    };
    let html = quality("text/html");
    html > 0.0 && html >= quality("application/json")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, Method};

    use super::is_navigation;

    #[test]
    fn a_page_is_told_from_data() {
        let chromes = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let (mode, dest) = ("sec-fetch-mode", "sec-fetch-dest");
        type Row<'a> = (&'a str, Method, &'a [(&'static str, &'a str)], bool);
        let rows: [Row<'_>; 15] = [
            ("a page", Method::GET, &[(mode, "navigate"), (dest, "document")], true),
            ("its head", Method::HEAD, &[(mode, "navigate"), (dest, "document")], true),
            ("a form", Method::POST, &[(mode, "navigate"), (dest, "document")], false),
            ("a frame", Method::GET, &[(mode, "navigate"), (dest, "iframe")], false),
            ("an image", Method::GET, &[(mode, "no-cors"), (dest, "image")], false),
            ("fetch", Method::GET, &[(mode, "cors"), (dest, "empty"), ("accept", chromes)], false),
            ("the mode alone", Method::GET, &[(mode, "navigate")], true),
            ("an old browser", Method::GET, &[("accept", chromes)], true),
            ("curl", Method::GET, &[("accept", "*/*")], false),
            ("nothing", Method::GET, &[], false),
            ("JSON", Method::GET, &[("accept", "application/json, text/plain, */*")], false),
            ("JSON first", Method::GET, &[("accept", "application/json,text/html;q=0.5")], false),
            ("HTML first", Method::GET, &[("accept", "application/json;q=0.5, Text/HTML")], true),
            ("no HTML", Method::GET, &[("accept", "text/html;q=0, */*")], false),
            ("odd", Method::GET, &[("accept", ";;,q=,text/html ; q=x")], true),
        ];
        for (name, method, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(is_navigation(&method, &headers), expected, "{name}");
        }
    }
}
