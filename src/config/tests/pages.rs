//! `[site."HOST".pages]`: what it means, and what it refuses.

use crate::config::tests::faults::check;
use crate::config::tests::read;
use crate::config::{PagesConfig, SiteConfig, TokenSources};

/// The site `a`, with settings of its own and a table of pages.
fn site(own: &str, pages: &str) -> SiteConfig {
    let config = read(&format!("[site.a]\ncontract = \"none\"\n{own}\n{pages}"));
    config.unwrap_or_else(|faults| panic!("{faults}")).sites.remove(0)
}

#[test]
fn a_table_of_them_is_enough() {
    let site = site("", "[site.a.pages]");

    let pages = site.pages.expect("the table");
    assert_eq!(pages.spot.line, 4);
    assert_eq!(pages, PagesConfig { spot: pages.spot.clone(), ..PagesConfig::default() });
}

#[test]
fn they_are_read_whole() {
    let site = site(
        "",
        "[site.a.pages]\nenabled = false\nprefix = \"/_/my-account\"\nname = \"가게\"\n\
             privacy = \"https://a.example/privacy#now\"\n\
             help = \"http://help.internal\"\n\
             return_origins = [\"https://b.example\", \"http://localhost:5173\",\n\
             \"http://127.0.0.2\", \"http://[::1]:1\"]",
    );

    assert_eq!(site.hosted_prefix(), "/_/my-account");
    let pages = site.pages.expect("the table");
    assert_eq!((pages.enabled, pages.name.as_str(), pages.spot.line), (false, "가게", 6));
    assert_eq!(pages.privacy.as_deref(), Some("https://a.example/privacy#now"));
    assert_eq!(pages.help.as_deref(), Some("http://help.internal"));
    assert_eq!(pages.return_origins.len(), 4);
}

#[test]
fn sites_with_pages_take_session_cookies_unless_they_say_otherwise() {
    let cookie = |own, pages| site(own, pages).token_from.cookie;

    assert!(cookie("", "[site.a.pages]"));
    assert!(!cookie("", ""));
    assert!(!cookie("", "[site.a.pages]\nenabled = false"));
    assert!(!cookie("token_from = [\"bearer\"]", "[site.a.pages]"));
    let both = TokenSources { cookie: true, ..TokenSources::default() };
    assert_eq!(site("", "[site.a.pages]").token_from, both);
}

#[test]
fn they_refuse_what_cannot_be_used() {
    for (setting, title, hint) in [
        ("prefix = \"\"", "bad value for `prefix`", "such as /account"),
        ("prefix = \"/\"", "bad value for `prefix`", "such as /account"),
        ("prefix = \"account\"", "bad value for `prefix`", "such as /account"),
        ("prefix = \"/account/\"", "bad value for `prefix`", "no `/` at its end"),
        ("prefix = \"/a//b\"", "bad value for `prefix`", "segments"),
        ("prefix = \"/a/../b\"", "bad value for `prefix`", "letters"),
        ("prefix = \"/.well-known\"", "bad value for `prefix`", "letters"),
        ("prefix = \"/a/*\"", "bad value for `prefix`", "letters"),
        ("prefix = \"/{a}\"", "bad value for `prefix`", "letters"),
        ("prefix = \"/계정\"", "bad value for `prefix`", "letters"),
        ("prefix = \"/a?b\"", "bad value for `prefix`", "letters"),
        ("privacy = \"/privacy\"", "bad value for `privacy`", "a URL such as"),
        ("privacy = \"javascript:alert(1)\"", "bad value for `privacy`", "a URL such as"),
        ("help = \"mailto:a@b.example\"", "bad value for `help`", "a URL such as"),
        ("help = \"https://\"", "bad value for `help`", "a URL such as"),
        ("help = \"https://a@b.example\"", "bad value for `help`", "a URL such as"),
        ("help = \"https://a b.example\"", "bad value for `help`", "a URL such as"),
        ("return_origins = [\"*\"]", "bad value for `return_origins`", "name each origin"),
        ("return_origins = [\"https://a.b/\"]", "bad value for `return_origins`", "no path"),
        ("return_origins = [\"http://a.b\"]", "bad value for `return_origins`", "an https origin"),
        (
            "return_origins = [\"http://localhost.evil.example\"]",
            "bad value for `return_origins`",
            "an https origin",
        ),
        (
            "return_origins = [\"capacitor://localhost\"]",
            "bad value for `return_origins`",
            "an https origin",
        ),
        ("theme = \"\"", "unknown key `theme`", "[site.pages]"),
    ] {
        let text = format!("[site.a]\ncontract = \"none\"\n[site.a.pages]\n{setting}");
        check(&text, title, 4, hint);
    }
}
