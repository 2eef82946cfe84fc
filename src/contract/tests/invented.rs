//! A product that nobody has: nested bodies, tokens in headers of its own, a 204, forms, times.

use std::collections::BTreeMap;

use crate::contract::Contract;
use crate::contract::tests::{
    Headers, Sent, body, context, decode, encode, endpoint, header, issued, parsed, refuse,
    refused, user,
};
use crate::operation::{Command, ErrorCode, Identifier, Operation, Outcome, Rejection};
use crate::token::RefreshFormat;

const FORM: Headers<'_> = &[("content-type", "application/x-www-form-urlencoded")];

fn acme() -> Contract {
    parsed(
        r##"
name = "acme"
about = "A product of the test's own."
not_served = [
    "me", "sessions", "end_session", "change_password", "social_login", "check_token",
    "request_reset", "confirm_reset", "request_verification", "confirm_verification",
]

[tokens]
algorithm = "HS512"
access_ttl = "30m"
refresh_ttl = "1w"
refresh_format = "jwt"
bare_tokens = true
default_role = "member"

[attributes]
nickname = { type = "text", max = 5 }
phone = { type = "text", max = 20 }

[time]
default = "korean"
korean = { pattern = "YYYY-MM-DD HH:mm:ss", offset = "+09:00" }

[envelope]
success = { ok = true, result = { payload = "{data}", note = "{message?}" }, at = "{now}" }
error = { ok = false, reason = "{message}", where = "{input.field?}", hint = "{error.hint?}" }

[errors]
invalid_input = { message = "{input.field} : must not be blank" }
invalid_credentials = { message = "{{no}}", hint = { try = ["again", "{status}"] } }
default = { message = "{error.kind}/{status}" }

[[endpoint]]
operation = "sign_up"
path = "PUT /v2/people"
status = 201
message = "welcome {user.nickname}"
require = [{ from = "body:provider", one_of = ["email"] }]
data = { who = ["{user.id}", "{user.role}", "{user.phone?}"], phone = "{user.phone}", nickname = "{user.nickname?}" }

[endpoint.input]
username = { from = "body:account.name", min = 3, max = 10 }
password = ["body:account.secret", "body:pin"]
nickname = "body:profile.nickname"
phone = { from = "body:profile.phone", required = true, message = "phone, please" }

[[endpoint]]
operation = "login"
path = "POST /v2/session"
accept = ["json", "form", "json-in-form"]
input = { identifier = "body:user name", password = "body:password" }
headers = { X-Acme-Token = "{access_token}", X-Acme-Until = "{access_expires_at:epoch_seconds}" }
data = { expires = "{access_expires_at:epoch_millis}", role = "{user.role}", pi = 3.5, none = "{null}", since = "{access_issued_at:rfc3339}", session = "{session.id}" }

[[endpoint]]
operation = "refresh"
path = "POST /v2/session/renewed"
input = { refresh_token = "header:X-Acme-Refresh" }
status = 204
headers = { X-Acme-Token = "{access_token}", X-Acme-Refresh = "{refresh_token}" }
errors = { invalid_input = { status = 401, message = "no token" }, invalid_grant = { status = 401 } }

[[endpoint]]
operation = "logout"
path = "DELETE /v2/session"
input = { access_token = "bearer" }
empty = true
"##,
    )
}

#[test]
fn a_contract_that_no_rust_knows_is_served_by_its_file_alone() {
    let contract = acme();
    let mut own = user();
    own.attributes = BTreeMap::from([("nickname".to_owned(), "Kim".into())]);

    let created = encode(&contract, Operation::SignUp, &Outcome::SignedUp { user: own });
    let session = encode(&contract, Operation::Login, &issued());
    let renewed = encode(&contract, Operation::Refresh, &issued());
    let ended = encode(&contract, Operation::Logout, &Outcome::LoggedOut);

    assert_eq!(created.status(), 201);
    assert_eq!(
        body(&created),
        concat!(
            r#"{"ok":true,"result":{"payload":{"who":[7,"editor"],"phone":null,"nickname":"Kim"},"#,
            r#""note":"welcome Kim"},"at":"2025-01-15 19:30:00"}"#
        )
    );
    assert_eq!(
        body(&session),
        concat!(
            r#"{"ok":true,"result":{"payload":{"expires":1737023400000,"role":"editor","pi":3.5,"#,
            r#""none":null,"since":"2025-01-15T10:30:00Z","#,
            r#""session":"6f1c2a4e-0d3b-4c5d-8e9f-a0b1c2d3e4f5"}},"at":"2025-01-15 19:30:00"}"#
        )
    );
    assert_eq!(header(&session, "x-acme-token"), Some("eyJh.eyJz.c2ln"));
    assert_eq!(header(&session, "x-acme-until"), Some("1737023400"));
    assert_eq!((renewed.status().as_u16(), body(&renewed)), (204, ""));
    assert_eq!(header(&renewed, "x-acme-refresh"), Some("r3fr3sh"));
    assert_eq!(header(&renewed, "content-type"), None);
    assert_eq!((ended.status().as_u16(), body(&ended)), (200, ""));
    assert_eq!(contract.tokens().refresh_format, RefreshFormat::Jwt);
    assert!(contract.tokens().bare_tokens);
    assert_eq!(contract.tokens().default_role.as_deref(), Some("member"));
}

#[test]
fn nested_members_and_attributes_are_read() {
    let sent = br#"{"account":{"name":"Kim"},"pin":"12345678","provider":"email",
                    "profile":{"nickname":"Kim","phone":"010"}}"#;

    let command = decode(&acme(), Operation::SignUp, Sent { body: sent, ..Sent::default() });

    let Ok(Command::SignUp { email: None, username: Some(name), password, role, attributes }) =
        command
    else {
        panic!("{command:?}");
    };
    assert_eq!(name.as_str(), "kim");
    assert_eq!(password.text.expose(), "12345678");
    assert_eq!(role, None);
    assert_eq!(attributes["nickname"], "Kim");
    assert_eq!(attributes["phone"], "010");
}

#[test]
fn a_login_comes_as_json_as_a_form_and_as_json_under_the_forms_type() {
    let contract = acme();
    let rows: [(Headers<'_>, &[u8]); 4] = [
        (FORM, b"user+name=Kim&password=a%26b"),
        (FORM, br#" {"user name": "kim", "password": "a&b"}"#),
        (&[], br#"{"user name": "kim", "password": "a&b"}"#),
        (&[("content-type", "application/json")], br#"{"user name": "kim", "password": "a&b"}"#),
    ];
    for (headers, sent) in rows {
        let sent = Sent { headers, body: sent, ..Sent::default() };

        let command = decode(&contract, Operation::Login, sent);

        let Ok(Command::Login { identifier: Identifier::Username(name), password }) = command
        else {
            panic!("{command:?}");
        };
        assert_eq!((name.as_str(), password.text.expose().as_str()), ("kim", "a&b"));
    }
}

#[test]
fn a_token_is_read_from_a_header_of_its_own() {
    let contract = acme();
    let token =
        |headers| decode(&contract, Operation::Refresh, Sent { headers, ..Sent::default() });

    let read = token(&[("x-acme-refresh", "r3fr3sh")]);
    let twice = token(&[("x-acme-refresh", "a"), ("x-acme-refresh", "b")]);
    let none = refused(&contract, Operation::Refresh, Sent::default());

    assert!(
        matches!(read, Ok(Command::Refresh { refresh_tokens, .. }) if refresh_tokens[0].expose() == "r3fr3sh")
    );
    assert_eq!(twice.unwrap_err().code, ErrorCode::InvalidInput);
    assert_eq!(none.status(), 401);
    assert_eq!(header(&none, "www-authenticate"), Some("Bearer realm=\"a.example\""));
    assert_eq!(body(&none), r#"{"ok":false,"reason":"no token","where":"x-acme-refresh"}"#);
}

#[test]
fn the_first_input_at_fault_is_told_in_the_order_of_the_file() {
    let contract = acme();
    let rows = [
        ("{}", "account.name", "account.name : must not be blank"),
        (r#"{"account":{"name":"ab"}}"#, "account.name", "account.name : must not be blank"),
        (r#"{"account":{"name":"abc"}}"#, "account.secret", "account.secret : must not be blank"),
        (r#"{"account":{"name":"abc"},"pin":"p"}"#, "profile.phone", "phone, please"),
        (
            r#"{"account":{"name":"abc"},"pin":"p","profile":{"nickname":"toolong"}}"#,
            "profile.nickname",
            "profile.nickname : must not be blank",
        ),
        (
            r#"{"account":{"name":"abc"},"pin":"p","profile":{"phone":"1\u0000"}}"#,
            "profile.phone",
            "phone, please",
        ),
        (
            r#"{"account":{"name":"abc"},"pin":"p","profile":{"phone":"1"},"provider":"google"}"#,
            "provider",
            "provider : must not be blank",
        ),
    ];
    for (sent, field, reason) in rows {
        let sent = Sent { body: sent.as_bytes(), ..Sent::default() };

        let response = refused(&contract, Operation::SignUp, sent);

        assert_eq!(response.status(), 400);
        let expected = format!(r#"{{"ok":false,"reason":"{reason}","where":"{field}"}}"#);
        assert_eq!(body(&response), expected);
    }
}

#[test]
fn errors_take_their_own_words_then_the_defaults() {
    let contract = acme();
    let refresh = endpoint(&contract, Operation::Refresh);

    let wrong = refuse(&contract, ErrorCode::InvalidCredentials);
    let absent = refuse(&contract, ErrorCode::NotFound);
    let spent = Rejection::new(ErrorCode::InvalidGrant, "reused");
    let spent = contract.refuse(Some(refresh), &spent, context());

    assert_eq!(body(&wrong), r#"{"ok":false,"reason":"{no}","hint":{"try":["again",401]}}"#);
    assert_eq!(body(&absent), r#"{"ok":false,"reason":"not_found/404"}"#);
    assert_eq!(body(&spent), r#"{"ok":false,"reason":"invalid_grant/401"}"#);
}

#[test]
fn what_a_user_wrote_stays_data() {
    let contract = acme();
    let mut own = user();
    let nickname = "\"},\"ok\":false,{user.id}\n";
    own.attributes = BTreeMap::from([("nickname".to_owned(), nickname.into())]);

    let response = encode(&contract, Operation::SignUp, &Outcome::SignedUp { user: own });

    let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(json["result"]["payload"]["nickname"], nickname);
    assert_eq!(json["result"]["note"], format!("welcome {nickname}"));
    assert_eq!(json["ok"], true);
}
