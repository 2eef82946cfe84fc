//! The address that a page leads to when its work is done.
//!
//! Addresses that look harmless and lead elsewhere are too many to list. So the address is read as a
//! browser reads it (WHATWG URL), and what is kept is written anew from what was read.

use url::{Position, Url};

use crate::config::Origin;
use crate::encoding::percent_decode;

/// The longest address, as given and as it is kept.
const MOST_BYTES: usize = 2048;

/// Where nothing better is known.
const HOME: &str = "/";

/// An address that a browser may safely be sent to: a path of `own_origin`, with its query and
/// fragment, or a URL of an `allowed` origin; `/` in place of anything else, and of the sign-out.
pub(crate) fn checked(
    given: Option<&str>,
    own_origin: &str,
    allowed: &[Origin],
    sign_out_path: &str,
) -> String {
    given
        .and_then(|given| read(given, own_origin, allowed, sign_out_path))
        .unwrap_or_else(|| HOME.to_owned())
}

fn read(given: &str, own_origin: &str, allowed: &[Origin], sign_out_path: &str) -> Option<String> {
    let is_odd = |character: char| character.is_control() || character == '\\';
    if given.len() > MOST_BYTES || given.contains(is_odd) {
        return None;
    }
    let own = Url::parse(own_origin).ok()?;
    let url = own.join(given).ok()?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    // `blob:https://…` has the origin of what is in it.
    if !matches!(url.scheme(), "https" | "http") || has_user {
        return None;
    }
    let written = if url.origin() == own.origin() {
        // `/.//x` is the path `//x`, which alone names a host.
        let path = url[Position::BeforePath..].to_owned();
        (!path.starts_with("//") && !is_path(&url, sign_out_path)).then_some(path)?
    } else {
        let origin = url.origin().ascii_serialization();
        let is_allowed = allowed.iter().any(|allowed| allowed.header_value() == origin.as_str());
        is_allowed.then(|| url.to_string())?
    };
    let leads_there = own.join(&written).is_ok_and(|again| again == url);
    (leads_there && written.len() <= MOST_BYTES).then_some(written)
}

/// Whether the URL has this path, however it is written.
fn is_path(url: &Url, path: &str) -> bool {
    let decoded = percent_decode(url.path()).unwrap_or_default();
    decoded.strip_suffix(b"/").unwrap_or(&decoded) == path.as_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::{MOST_BYTES, checked};
    use crate::config::Origin;

    const OWN: &str = "https://shop.example:8443";

    fn allowed() -> Vec<Origin> {
        ["https://app.example", "http://localhost:5173"]
            .map(|origin| origin.parse().unwrap())
            .into()
    }

    fn of(given: &str) -> String {
        checked(Some(given), OWN, &allowed(), "/account/sign-out")
    }

    const ELSEWHERE: &[&str] = &[
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "/a\\b",
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        "/\r\n/evil.example",
        "/a\r\nSet-Cookie: a=b",
        "/a\0b",
        "/a\u{7f}",
        "/a\u{85}",
        " //evil.example",
        "/.//evil.example",
        "/a/..//evil.example",
        "/%2e//evil.example",
        "/a/%2E%2e//evil.example",
        "https://shop.example:8443//evil.example",
        "https://evil.example",
        "https:///evil.example",
        "https:////evil.example",
        "http://shop.example:8443/",
        "http:evil.example",
        "http:///evil.example",
        "https://shop.example/",
        "https://shop.example:8444/",
        "https://shop.example:8443.evil.example/",
        "https://shop.example:8443@evil.example/",
        "https://you@shop.example:8443/",
        "https://you:me@shop.example:8443/",
        "https://:me@app.example/",
        "https://app.example@evil.example/",
        "https://app.example.evil.example/",
        "https://app.example./",
        "https://app。example.evil.example/",
        "https://evil.example／app.example/",
        "https://evil.example%2fapp.example/",
        "https://evil.example?app.example",
        "https://evil.example#app.example",
        "http://app.example/",
        "https://localhost:5173/",
        "//evil。example",
        "//%65vil.example",
        "//0x7f.1/",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        " javascript:alert(1)",
        "javascript://shop.example:8443/%0aalert(1)",
        "data:text/html,x",
        "blob:https://shop.example:8443/x",
        "blob:https://app.example/x",
        "filesystem:https://app.example/x",
        "file:///etc/passwd",
        "ftp://app.example/",
        "wss://app.example/",
        "mailto:a@app.example",
        "/account/sign-out",
        "/account/sign-out/",
        "/account/sign-out?x",
        "/account/sign%2dout",
        "/%61ccount/x/../sign-out#a",
        "https://shop.example:8443/account/sign-out",
    ];

    #[test]
    fn paths_of_the_site_are_kept() {
        for (given, expected) in [
            ("/", "/"),
            ("/orders", "/orders"),
            ("/orders/7?a=1&b=//x#top", "/orders/7?a=1&b=//x#top"),
            ("/?q=https://evil.example", "/?q=https://evil.example"),
            ("/a//b", "/a//b"),
            ("/a/../b/./c", "/b/c"),
            ("/주문?이름=가", "/%EC%A3%BC%EB%AC%B8?%EC%9D%B4%EB%A6%84=%EA%B0%80"),
            ("https://shop.example:8443/orders", "/orders"),
            ("HTTPS://SHOP.example:8443", "/"),
            ("//shop.example:8443/orders", "/orders"),
            ("orders", "/orders"),
            ("?a=1", "/?a=1"),
            ("#top", "/#top"),
            ("/account/sign-in", "/account/sign-in"),
            ("/account/sign-outs", "/account/sign-outs"),
            ("/%2f%2fevil.example", "/%2f%2fevil.example"),
            ("/%5cevil.example", "/%5cevil.example"),
            ("/%09/evil.example", "/%09/evil.example"),
            ("/@evil.example", "/@evil.example"),
            ("/／evil.example", "/%EF%BC%8Fevil.example"),
            ("  /orders ", "/orders"),
            ("https:evil.example", "/evil.example"),
            ("https:/evil.example", "/evil.example"),
        ] {
            assert_eq!(of(given), expected, "{given}");
        }
    }

    #[test]
    fn allowed_origins_are_kept_whole() {
        for (given, expected) in [
            ("https://app.example", "https://app.example/"),
            ("https://app.example:443/a?b#c", "https://app.example/a?b#c"),
            ("https://APP.example/a", "https://app.example/a"),
            ("//app.example/a", "https://app.example/a"),
            ("http://localhost:5173/a", "http://localhost:5173/a"),
            ("https://app.example//evil.example", "https://app.example//evil.example"),
        ] {
            assert_eq!(of(given), expected, "{given}");
        }
    }

    #[test]
    fn whatever_leads_elsewhere_is_the_start_page() {
        for given in ELSEWHERE {
            assert_eq!(of(given), "/", "{given:?}");
        }
        assert_eq!(checked(None, OWN, &allowed(), "/account/sign-out"), "/");
        assert_eq!(checked(Some("/a"), "not an origin", &allowed(), "/account/sign-out"), "/");
    }

    #[test]
    fn long_addresses_are_the_start_page() {
        let longest = format!("/{}", "a".repeat(MOST_BYTES - 1));

        assert_eq!(of(&longest), longest);
        assert_eq!(of(&format!("{longest}a")), "/");
        // Short as given, long as it would be kept.
        assert_eq!(of(&format!("/{}", "가".repeat(MOST_BYTES / 4))), "/");
        assert_eq!(of(&"/".repeat(1 << 20)), "/");
    }

    /// Pieces that the usual ways around such a check are made of, with commas between them.
    const PIECES: &str = "/,//,\\,:,@,?,#,.,..,%2f,%5C,%2e,%09,%00,\t,\n,\r,\0, ,https:,http:,https://,\
        http://,HTTPS:,blob:,javascript:,data:,evil.example,shop.example:8443,app.example,\
        localhost:5173,:8443,:443,。,．,／,＼,\u{ad},\u{200b},[::1],0x7f.1,account/sign-out,;,xn--";

    fn piece() -> impl Strategy<Value = String> {
        let known: Vec<String> = PIECES.split(',').map(str::to_owned).collect();
        prop_oneof![9 => prop::sample::select(known), 1 => "\\PC{0,3}"]
    }

    proptest! {
        #[test]
        fn a_browser_stays_on_the_site_or_an_allowed_origin(
            pieces in prop::collection::vec(piece(), 0..10),
        ) {
            let given = pieces.concat();

            let kept = of(&given);

            let own = Url::parse(OWN).unwrap();
            let origin = own.join(&kept).unwrap().origin().ascii_serialization();
            let is_own = kept.starts_with('/') && !kept.starts_with("//") && origin == OWN;
            let is_allowed = allowed().iter().any(|allowed| {
                let allowed = allowed.header_value().to_str().unwrap();
                origin == allowed && kept.starts_with(&format!("{allowed}/"))
            });
            prop_assert!(is_own || is_allowed, "{given:?} {kept:?}");
            prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()), "{given:?} {kept:?}");
            prop_assert!(!kept.contains('\\'), "{given:?} {kept:?}");
            prop_assert_eq!(of(&kept), kept, "{:?}", given);
        }
    }
}
