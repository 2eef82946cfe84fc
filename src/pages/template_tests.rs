//! Every page in every state and language is sound HTML, and nothing that is put into it is markup.

use std::collections::BTreeMap;

use super::Pages;
use crate::operation::Language;
use crate::pages::page::{
    Content, DeviceRow, ErrorText, FactorText, Notice, PageKind, Said, SessionRow, SignUpInput,
    SiteLook, View,
};
use crate::pages::qr;

const HOSTILE: &str = "\"><script>alert(1)</script>'&{{ page }}{% x %}";

fn look(value: &str) -> SiteLook {
    let input = |kind, name: &str, required| SignUpInput {
        kind,
        name: name.to_owned(),
        label: value.to_owned(),
        required,
        max: 50,
    };
    SiteLook {
        name: value.to_owned(),
        prefix: "/account".to_owned(),
        privacy: "https://example.com/privacy".to_owned(),
        help: "https://example.com/help".to_owned(),
        names: "either",
        sign_up: true,
        sign_up_inputs: vec![
            input("email", "email", true),
            input("username", "username", false),
            input("password", "password", true),
            input("attribute", "nickname", true),
        ],
        reset: true,
        mails: true,
        sessions: true,
        password: true,
        second_factor: true,
        password_min: 8,
        password_max: 256,
    }
}

/// A second factor that is on.
fn factor(value: &str) -> FactorText {
    let device = |current| DeviceRow {
        id: value.to_owned(),
        device: if current { String::new() } else { value.to_owned() },
        icon: "phone",
        until: value.to_owned(),
        until_shown: value.to_owned(),
        current,
    };
    FactorText {
        recovery: true,
        since: value.to_owned(),
        since_shown: value.to_owned(),
        left: 3,
        has_password: true,
        devices: vec![device(true), device(false)],
        codes: vec![value.to_owned()],
        ..FactorText::default()
    }
}

/// Contents of a page, with one value wherever a request or an account brings one.
fn contents(value: &str) -> Vec<Content> {
    let named = |value: &str| {
        let names = ["email", "username", "identifier", "nickname"];
        names.map(|name| (name.to_owned(), value.to_owned())).into_iter().collect()
    };
    let faults: BTreeMap<String, Said> = ["email", "password", "code", "new_password", "nickname"]
        .map(|name| (name.to_owned(), Said::with("too_short", "n", 8)))
        .into();
    let session = |current| SessionRow {
        id: value.to_owned(),
        device: if current { String::new() } else { value.to_owned() },
        icon: "phone",
        agent: Some(value.to_owned()),
        address: value.to_owned(),
        created_at: value.to_owned(),
        created_shown: value.to_owned(),
        last_used_at: value.to_owned(),
        last_used_shown: value.to_owned(),
        current,
    };
    let whole = Content {
        notice: Some(Notice::warning(
            Said::plain("too_many"),
            Some(Said { key: "try_in_minutes", values: vec![("minutes", value.to_owned())] }),
        )),
        faults,
        kept: named(value),
        focus: "password",
        email: value.to_owned(),
        wait: 42,
        retry_after: None,
        who: value.to_owned(),
        sessions: vec![session(true), session(false)],
        factor: factor(value),
        error: ErrorText {
            status: 403,
            gate: "shut",
            title: "title_403",
            lead: "lead_403",
            offers: "account",
            seconds: 40,
            request_id: value.to_owned(),
            at: value.to_owned(),
            at_shown: value.to_owned(),
        },
    };
    let good = Content {
        notice: Some(Notice::good(Said {
            key: "signed_out",
            values: vec![("device", value.to_owned())],
        })),
        factor: FactorText {
            first: true,
            setup: value.to_owned(),
            secret: value.to_owned(),
            qr: qr::draw("otpauth://totp/a"),
            ..FactorText::default()
        },
        error: ErrorText { offers: "again", gate: "open", ..whole.error.clone() },
        ..Content::default()
    };
    vec![Content::default(), good, whole]
}

/// Every page in every state and language.
fn every(value: &str) -> Vec<(String, String)> {
    let pages = Pages::built_in().unwrap();
    let mut rendered = Vec::new();
    for language in Language::ALL {
        for kind in PageKind::ALL {
            for (state, content) in contents(value).iter().enumerate() {
                let look = look(value);
                let view = View {
                    look: &look,
                    host: value,
                    language,
                    form_token: value,
                    return_to: value,
                    here: value,
                };
                let html = pages.render(kind, view, content).unwrap();
                rendered.push((format!("{kind:?} {state} {}", language.tag()), html));
            }
        }
    }
    rendered
}

#[test]
fn every_page_is_sound() {
    for (name, html) in every("plain") {
        let count = |what: &str| html.matches(what).count();
        assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\""), "{name}: {html}");
        for (what, times) in [("<h1>", 1), ("<title>", 1), ("<main ", 1), ("</html>", 1)] {
            assert_eq!(count(what), times, "{name}: {what}");
        }
        for tag in ["div", "form", "label", "p", "svg", "ul", "li", "span", "details", "button"] {
            let open = count(&format!("<{tag} ")) + count(&format!("<{tag}>"));
            assert_eq!(open, count(&format!("</{tag}>")), "{name}: <{tag}>\n{html}");
        }
        for banned in ["style=", "<style", "data:", "javascript:", "undefined", "{{"] {
            assert!(!html.contains(banned), "{name}: {banned}\n{html}");
        }
        let handlers = html.split(" on").skip(1).filter(|rest| {
            rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).starts_with('=')
        });
        assert_eq!(handlers.count(), 0, "{name}: {html}");
        for (index, _) in html.match_indices("<input class=\"input") {
            let id = html[index..].split("id=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(html.contains(&format!("<label for=\"{id}\">")), "{name}: {id}");
        }
        for (index, _) in html.match_indices("aria-describedby=\"") {
            let ids = html[index..].split('"').nth(1).unwrap();
            for id in ids.split_whitespace() {
                assert!(html.contains(&format!("id=\"{id}\"")), "{name}: {id}");
            }
        }
        let script = "<script src=\"/account/assets/pages.";
        assert_eq!((count("<script"), count(script)), (1, 1), "{name}");
    }
}

#[test]
fn nothing_that_is_shown_is_markup() {
    for (name, html) in every(HOSTILE) {
        assert!(!html.contains("<script>"), "{name}: {html}");
        assert!(!html.contains("'&{"), "{name}: {html}");
    }
}

#[test]
fn a_first_sign_in_page_is_small() {
    let pages = Pages::built_in().unwrap();
    let longest = every("plain").iter().map(|(_, html)| html.len()).max().unwrap();
    let assets = [&pages.assets.sheet, &pages.assets.script, &pages.assets.mark];
    let loaded: usize = assets.iter().map(|asset| asset.content.len()).sum();

    assert!(longest + loaded < 60_000, "{longest} + {loaded}");
}

#[test]
fn a_failed_form_says_so_first_in_its_title() {
    let pages = Pages::built_in().unwrap();
    let look = look("Shop");
    let view = View {
        look: &look,
        host: "a.example",
        language: Language::English,
        form_token: "t",
        return_to: "/orders?a=1&b=2",
        here: "/account/sign-in?return_to=%2Forders&lang=en",
    };
    let render = |content: &Content| pages.render(PageKind::SignIn, view, content).unwrap();
    let [plain, good, failed] = contents("x").try_into().unwrap();

    assert!(render(&plain).contains("<title>Sign in – Shop</title>"));
    assert!(render(&good).contains("<title>Sign in – Shop</title>"));
    assert!(render(&failed).contains("<title>Error: Sign in – Shop</title>"));
    let html = render(&plain);
    assert!(html.contains("/account/reset?return_to=/orders%3Fa%3D1%26b%3D2"), "{html}");
    assert!(html.contains("/account/sign-in?return_to=%2Forders&amp;lang=ko"), "{html}");
}
