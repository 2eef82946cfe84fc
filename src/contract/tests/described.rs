//! Cookies, constants, pictures and languages of a contract file, right and wrong.

use crate::contract::Contract;
use crate::contract::tests::faulty::faults;
use crate::contract::tests::{Headers, Sent, body, decode, encode, issued, parsed, refused};
use crate::operation::{Command, ErrorCode, Language, LogoutScope, Operation, Outcome};

const OWN: &str = r#"name = "own"
about = "Both tokens in cookies, a picture, constants."
language = "ko"
not_served = ["me", "sessions", "end_session", "change_password", "check_token", "social_login"]
[tokens]
algorithm = "HS256"
access_ttl = "30m"
refresh_ttl = "1d"
[attributes]
picture = { type = "base64", max = "6B" }
[cookies.access]
value = "v1.{access_token}"
attributes = "secure; Path=/api; Max-Age=1800; SameSite=Strict"
[cookies.__Host-fresh]
value = "{refresh_token}"
attributes = "Path=/; Secure; HttpOnly"
[cors]
expose = ["X-Own", "Authorization"]
[envelope]
error = { reason = "{error.kind}", where = "{input.field?}" }
[errors]
default = {}
[[endpoint]]
operation = "sign_up"
path = "POST /new"
input = { email = "body:email", password = "body:password", picture = "body:picture" }
require = [{ from = "query:terms", required = false, one_of = ["yes"] }]
body = { picture = "{user.picture}" }
[[endpoint]]
operation = "login"
path = "POST /in"
input = { email = { from = "body:email", malformed = "invalid_credentials" }, password = "body:password" }
set_cookies = ["access", "__Host-fresh"]
empty = true
[[endpoint]]
operation = "refresh"
path = "POST /again"
input = { refresh_token = ["cookie:__Host-fresh", "body:token"], previous_access_token = "cookie:access" }
set_cookies = ["access"]
clear_cookies = ["__Host-fresh"]
empty = true
[[endpoint]]
operation = "logout"
path = "POST /out"
input = { access_token = "bearer", scope = ["query:scope", "fixed:global"] }
clear_cookies = ["access", "__Host-fresh"]
empty = true
[[endpoint]]
operation = "request_reset"
path = "POST /forgot"
input = { email = "body:email" }
body = {}
[[endpoint]]
operation = "confirm_reset"
path = "POST /forgot/confirm"
input = { email = "body:email", code = "body:code", new_password = "body:password" }
body = {}
[[endpoint]]
operation = "request_verification"
path = "POST /prove"
input = { email = "body:email" }
body = {}
[[endpoint]]
operation = "confirm_verification"
path = "POST /prove/confirm"
input = { email = "body:email", code = "body:code" }
body = {}
"#;

fn own() -> Contract {
    parsed(OWN)
}

fn cookies(contract: &Contract, operation: Operation, outcome: &Outcome) -> Vec<String> {
    let response = encode(contract, operation, outcome);
    let values = response.headers().get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn cookies_are_set_and_cleared_as_the_file_says() {
    let contract = own();
    let access = "access=v1.eyJh.eyJz.c2ln; secure; Path=/api; Max-Age=1800; SameSite=Strict";
    let no_access = "access=; Max-Age=0; secure; Path=/api; SameSite=Strict";
    let fresh = "__Host-fresh=r3fr3sh; Path=/; Secure; HttpOnly";
    let no_fresh = "__Host-fresh=; Max-Age=0; Path=/; Secure; HttpOnly";

    assert_eq!(cookies(&contract, Operation::Login, &issued()), [access, fresh]);
    assert_eq!(cookies(&contract, Operation::Refresh, &issued()), [access, no_fresh]);
    assert_eq!(cookies(&contract, Operation::Logout, &Outcome::LoggedOut), [no_access, no_fresh]);
    assert_eq!(contract.cookie_names().collect::<Vec<_>>(), ["access", "__Host-fresh"]);
    assert_eq!(contract.exposed_headers(), ["x-own", "authorization"]);
    assert_eq!(contract.language(), Language::Korean);
}

#[test]
fn a_cookie_with_a_domain_goes_with_its_host_only_twin() {
    let contract = parsed(&OWN.replace("Path=/api;", "Path=/api; Domain=example.com;"));
    let set = "access=v1.eyJh.eyJz.c2ln; secure; Path=/api; Domain=example.com; Max-Age=1800; \
               SameSite=Strict";
    let cleared = "access=; Max-Age=0; secure; Path=/api; Domain=example.com; SameSite=Strict";
    let twin = "access=; Max-Age=0; secure; Path=/api; SameSite=Strict";

    let login = cookies(&contract, Operation::Login, &issued());
    let logout = cookies(&contract, Operation::Logout, &Outcome::LoggedOut);

    assert_eq!(login[..2], [twin, set]);
    assert_eq!(logout[..2], [cleared, twin]);
}

#[test]
fn a_token_comes_by_cookie_or_by_body_and_what_is_mapped_is_needed() {
    let contract = own();
    let rows: [(&str, Headers<'_>, &str, Result<&str, ErrorCode>); 6] = [
        ("cookies", &[("cookie", "access=a; __Host-fresh=b")], "", Ok("b")),
        ("body", &[("cookie", "access=a")], r#"{"token":"c"}"#, Ok("c")),
        ("cookie first", &[("cookie", "__Host-fresh=b;access=a")], r#"{"token":"c"}"#, Ok("b")),
        ("nowhere", &[("cookie", "access=a")], "{}", Err(ErrorCode::InvalidInput)),
        ("no access", &[("cookie", "__Host-fresh=b")], "", Err(ErrorCode::InvalidInput)),
        (
            "another twice",
            &[("cookie", "__Host-fresh=b; access=a; access=c")],
            "",
            Err(ErrorCode::DuplicateCookie),
        ),
    ];
    for (name, headers, text, expected) in rows {
        let sent = Sent { headers, body: text.as_bytes(), ..Sent::default() };

        let command = decode(&contract, Operation::Refresh, sent);

        match (command, expected) {
            (Ok(Command::Refresh { refresh_tokens, previous_access_token }), Ok(token)) => {
                assert_eq!(refresh_tokens[0].expose(), token, "{name}");
                assert_eq!(previous_access_token.unwrap().expose(), "a", "{name}");
            }
            (Err(rejection), Err(code)) => assert_eq!(rejection.code, code, "{name}"),
            (command, _) => panic!("{name}: {command:?}"),
        }
    }
    let cookies: Headers<'_> = &[("cookie", "__Host-fresh=b; access=a; access=c")];
    let twice = Sent { headers: cookies, ..Sent::default() };
    let response = refused(&contract, Operation::Refresh, twice);
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
}

#[test]
fn a_constant_counts_where_no_place_before_it_has_a_value() {
    let contract = own();
    let rows = [
        (None, LogoutScope::Global),
        (Some("scope="), LogoutScope::Global),
        (Some("scope=session"), LogoutScope::Session),
        (Some("scope=refresh_tokens"), LogoutScope::RefreshTokens),
    ];
    for (query, expected) in rows {
        let command = decode(&contract, Operation::Logout, Sent { query, ..Sent::default() });

        let Ok(Command::Logout { scope, .. }) = command else { panic!("{command:?}") };
        assert_eq!(scope, expected, "{query:?}");
    }
}

#[test]
fn what_may_be_left_out_is_checked_when_it_is_there() {
    let contract = own();
    let head = r#"{"email":"a@b.co","password":"12345678""#;
    let rows = [
        (None, "}", Ok(0)),
        (Some("terms=yes"), r#","picture":"AAAAAAAA"}"#, Ok(1)),
        (Some("terms=no"), "}", Err(r#"{"reason":"invalid_input","where":"terms"}"#)),
        (
            None,
            r#","picture":"AAAAAAAAAA=="}"#,
            Err(r#"{"reason":"invalid_input","where":"picture"}"#),
        ),
        (None, r#","picture":"AAAA AAA"}"#, Err(r#"{"reason":"invalid_input","where":"picture"}"#)),
    ];
    for (query, tail, expected) in rows {
        let text = [head, tail].concat();
        let sent = Sent { query, body: text.as_bytes(), ..Sent::default() };

        match expected {
            Ok(count) => {
                let command = decode(&contract, Operation::SignUp, sent);
                let Ok(Command::SignUp { attributes, .. }) = command else { panic!("{text}") };
                assert_eq!(attributes.len(), count, "{text}");
            }
            Err(told) => assert_eq!(body(&refused(&contract, Operation::SignUp, sent)), told),
        }
    }
}

#[test]
fn codes_and_passwords_are_read() {
    let contract = own();
    let text = br#"{"email":"A@b.co","code":"123456","password":"new password"}"#;
    let sent = Sent { body: text, ..Sent::default() };

    let reset = decode(&contract, Operation::ConfirmReset, sent).unwrap();
    let proof = decode(&contract, Operation::ConfirmVerification, sent).unwrap();
    let asked = decode(&contract, Operation::RequestVerification, sent).unwrap();
    let bare = Sent { body: br#"{"email":"a@b.co","code":"1"}"#, ..Sent::default() };
    let bare = refused(&contract, Operation::ConfirmReset, bare);

    let Command::ConfirmReset { email, code, new: Some(new) } = reset else { panic!("{reset:?}") };
    assert_eq!((email.as_str(), code.expose().as_str()), ("a@b.co", "123456"));
    assert_eq!(new.text.expose(), "new password");
    assert!(
        matches!(proof, Command::ConfirmVerification { code, .. } if code.expose() == "123456")
    );
    assert!(matches!(asked, Command::RequestVerification { .. }));
    assert_eq!(body(&bare), r#"{"reason":"invalid_input","where":"password"}"#);
}

#[test]
fn a_malformed_name_is_answered_as_the_file_says() {
    let sent = Sent { body: br#"{"email":"nobody","password":"p"}"#, ..Sent::default() };

    let response = refused(&own(), Operation::Login, sent);

    assert_eq!(
        (response.status().as_u16(), body(&response)),
        (401, r#"{"reason":"invalid_credentials"}"#)
    );
}

/// The text in the file, its replacement, and the fault: title and hint.
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: [Row; 38] = [
    ("\"ko\"", "\"kr\"", "unknown language `kr`", "ko"),
    ("type = \"base64\"", "type = \"base46\"", "unknown attribute type `base46`", "`base64`"),
    ("max = \"6B\"", "max = \"6 apples\"", "`6 apples` is no size", "5MiB"),
    ("max = \"6B\"", "max = 6", "an integer where a string belongs", ""),
    (", max = \"6B\"", "", "an attribute without `max`", "bytes of base64"),
    ("[cookies.access]", "[cookies.\"a b\"]", "`a b` is no cookie's name", ""),
    ("value = \"{refresh_token}\"\n", "", "`value` is missing", ""),
    ("attributes = \"secure;", "attribute = \"secure;", "`attributes` is missing", ""),
    ("v1.{access_token}", "v1 {access_token}", "a value that may not fit a cookie", "tokens"),
    ("v1.{access_token}", "{access_expires_at}", "a value that may not fit a cookie", "tokens"),
    ("v1.{access_token}", "{user.email}", "a value that may not fit a cookie", "tokens"),
    ("v1.{access_token}", "{acess_token}", "unknown slot `{acess_token}`", "`access_token`"),
    ("secure; Path", "sekure; Path", "unknown cookie attribute `sekure`", ""),
    ("secure; Path", "Path", "a cookie without `Secure`", "HTTPS"),
    ("secure; Path=/api", "secure", "a cookie without `Path`", "`Path=/`"),
    ("Path=/api", "Path=api", "`Path=api` is no cookie attribute", ""),
    ("Path=/api", "Path=/;; HttpOnly", "unknown cookie attribute ``", ""),
    ("secure;", "secure; Secure;", "`Secure` stands twice", ""),
    ("secure;", "secure=1;", "`secure=1` is no cookie attribute", "no value"),
    ("Max-Age=1800", "Max-Age=-1", "`Max-Age=-1` is no cookie attribute", "seconds"),
    ("Max-Age=1800", "Expires=0", "unknown cookie attribute `Expires`", ""),
    ("SameSite=Strict", "SameSite=Lex", "`SameSite=Lex` is no cookie attribute", "`Lax`"),
    (
        "Path=/api",
        "Path=/{site.cookie_same_site}",
        "`Path=/{site.cookie_same_site}` is no cookie attribute",
        "",
    ),
    ("\"Path=/; Secure", "\"Path=/a; Secure", "attributes that do not go with `__Host-`", ""),
    ("[\"access\", \"__Host-fresh\"]", "[\"acess\"]", "unknown cookie `acess`", "`access`"),
    (
        "set_cookies = [\"access\"]",
        "set_cookies = [\"__Host-fresh\"]",
        "`__Host-fresh` is named twice",
        "",
    ),
    (
        "set_cookies = [\"access\", \"__Host-fresh\"]",
        "set_cookies = [\"access\"]",
        "no endpoint sets the cookie `__Host-fresh`",
        "set_cookies",
    ),
    ("cookie:access", "cookie:acces", "unknown cookie `acces`", "`access`"),
    ("cookie:access", "cookie:", "`cookie:` is no place of a request", "`cookie:NAME`"),
    ("\"X-Own\"", "\"X Own\"", "`X Own` is no header name", "Authorization"),
    ("\"X-Own\"", "\"Set-Cookie\"", "`Set-Cookie` cannot be exposed", ""),
    ("expose =", "exposes =", "unknown key `exposes`", "`expose`"),
    ("fixed:global", "fixed:globe", "`fixed:globe` does not do here", "`global`"),
    ("fixed:global", "fixed:", "`fixed:` is no place of a request", "`fixed:TEXT`"),
    (
        "[\"query:scope\", \"fixed:global\"]",
        "[\"fixed:global\", \"query:scope\"]",
        "places after a `fixed:…`",
        "the last",
    ),
    ("from = \"query:terms\"", "from = \"fixed:no\"", "`fixed:no` does not do here", ""),
    (
        "malformed = \"invalid_credentials\"",
        "malformed = \"invalid_credential\"",
        "`invalid_credential` is no error kind of a client's",
        "`invalid_credentials`",
    ),
    (
        "malformed = \"invalid_credentials\"",
        "malformed = \"internal_error\"",
        "`internal_error` is no error kind of a client's",
        "",
    ),
];

#[test]
fn each_fault_is_told_at_its_line_with_a_hint() {
    assert_eq!(faults(OWN), []);
    for (from, to, title, hint) in ROWS {
        assert!(OWN.contains(from), "{from}");
        let faults = faults(&OWN.replacen(from, to, 1));

        let told = faults.iter().any(|(line, own_title, own_hint)| {
            *line > 1 && own_title == title && own_hint.contains(hint)
        });
        assert!(told, "{to}: {faults:?}");
    }
}
