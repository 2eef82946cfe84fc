//! `zdm` against the bytes of its document.

use std::time::Duration;

use crate::config::Algorithm;
use crate::contract::tests::{
    Headers, JSON, Sent, body, built_in, context, decode, encode, endpoint, header, issued, refuse,
    refused,
};
use crate::operation::{Command, ErrorCode, Identifier, Operation, Rejection};

#[test]
fn the_documented_request_is_a_login_whose_password_may_be_hashed() {
    let contract = built_in("zdm");
    let sent = Sent {
        headers: &[JSON],
        body: br#"{"email": "User@Example.com", "password": "your_password"}"#,
        ..Sent::default()
    };

    let command = decode(&contract, Operation::Login, sent).unwrap();

    let Command::Login { identifier: Identifier::Email(email), password } = command else {
        panic!("{command:?}");
    };
    assert_eq!(email.as_str(), "user@example.com");
    assert_eq!(password.text.expose(), "your_password");
    assert!(password.may_be_hashed);
}

#[test]
fn the_documented_answer_byte_for_byte() {
    let contract = built_in("zdm");

    let response = encode(&contract, Operation::Login, &issued());

    assert_eq!(response.status(), 201);
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(
        body(&response),
        concat!(
            r#"{"success":true,"requestID":"req-abc123","#,
            r#""data":{"token":"eyJh.eyJz.c2ln","expiresAt":"2025-01-16T10:30:00Z"},"#,
            r#""message":"Token issued successfully.","timestamp":"2025-01-15T10:30:00Z"}"#
        )
    );
}

fn error(code: &str, message: &str) -> String {
    let head = r#"{"success":false,"requestID":"req-abc123","error":{"#;
    let tail = r#""},"timestamp":"2025-01-15T10:30:00Z"}"#;
    format!(r#"{head}"code":"{code}","message":"{message}{tail}"#)
}

#[test]
fn the_documented_errors_byte_for_byte() {
    let contract = built_in("zdm");
    let issue = endpoint(&contract, Operation::Login);
    let rows = [
        (
            ErrorCode::InvalidCredentials,
            404,
            error("USER_NOT_FOUND", "등록되지 않은 사용자이거나 비밀번호가 일치하지 않습니다."),
        ),
        (
            ErrorCode::LookupTimeout,
            408,
            error("TIMEOUT_ERROR", "사용자 조회 시간이 초과되었습니다"),
        ),
    ];
    for (code, status, expected) in rows {
        let response = contract.refuse(Some(issue), &Rejection::new(code, "secret"), context());

        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(body(&response), expected, "{code:?}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "retry-after"), None);
    }
}

#[test]
fn input_at_fault_is_the_validation_error() {
    let contract = built_in("zdm");
    let email = "유효한 이메일 형식이 아닙니다";
    let password = "유효한 비밀번호 형식이 아닙니다";
    let unreadable = "유효한 요청 본문 형식이 아닙니다";
    let rows: [(&str, Headers<'_>, &[u8], &str); 16] = [
        ("no body", &[JSON], b"", email),
        ("no email", &[JSON], br#"{"password":"p"}"#, email),
        ("null email", &[JSON], br#"{"email":null,"password":"p"}"#, email),
        ("blank email", &[JSON], br#"{"email":" ","password":"p"}"#, email),
        ("email of another type", &[JSON], br#"{"email":["a@b.co"],"password":"p"}"#, email),
        ("no address", &[JSON], br#"{"email":"a@b","password":"p"}"#, email),
        ("both missing", &[JSON], b"{}", email),
        ("no password", &[JSON], br#"{"email":"a@b.co"}"#, password),
        ("empty password", &[JSON], br#"{"email":"a@b.co","password":""}"#, password),
        ("password is a number", &[JSON], br#"{"email":"a@b.co","password":12345678}"#, password),
        ("no JSON", &[JSON], b"{", unreadable),
        ("no object", &[JSON], b"[]", unreadable),
        ("no UTF-8", &[JSON], b"{\"email\":\"\xff\"}", unreadable),
        ("other media type", &[("content-type", "text/plain")], b"{}", unreadable),
        ("form", &[("content-type", "application/x-www-form-urlencoded")], b"email=a", unreadable),
        ("two media types", &[JSON, JSON], b"{}", unreadable),
    ];
    for (name, headers, sent, message) in rows {
        let sent = Sent { headers, body: sent, ..Sent::default() };

        let response = refused(&contract, Operation::Login, sent);

        assert_eq!(response.status(), 400, "{name}");
        assert_eq!(body(&response), error("VALIDATION_ERROR", message), "{name}");
    }
}

#[test]
fn deep_json_is_refused_not_followed() {
    let contract = built_in("zdm");
    let deep = "[".repeat(100_000);

    let sent = Sent { headers: &[JSON], body: deep.as_bytes(), ..Sent::default() };

    assert_eq!(refused(&contract, Operation::Login, sent).status(), 400);
}

#[test]
fn json_is_taken_whatever_its_type_is_called() {
    let contract = built_in("zdm");
    let rows: [Headers<'_>; 4] = [
        &[],
        &[("content-type", "Application/JSON; charset=utf-8")],
        &[("content-type", "application/vnd.api+json")],
        &[JSON],
    ];
    for headers in rows {
        let sent = br#"{"email":"a@b.co","password":"p","more":{"x":[1]},"password":"last"}"#;
        let sent = Sent { headers, body: sent, ..Sent::default() };

        let command = decode(&contract, Operation::Login, sent);

        let Ok(Command::Login { password, .. }) = command else { panic!("{headers:?}") };
        assert_eq!(password.text.expose(), "last");
    }
}

#[test]
fn the_proxys_own_refusals_speak_the_same_style() {
    let contract = built_in("zdm");
    let rows = [
        (ErrorCode::BadRequest, 400, "BAD_REQUEST"),
        (ErrorCode::MissingToken, 401, "UNAUTHORIZED"),
        (ErrorCode::InvalidToken, 401, "UNAUTHORIZED"),
        (ErrorCode::Forbidden, 403, "FORBIDDEN"),
        (ErrorCode::NotFound, 404, "NOT_FOUND"),
        (ErrorCode::MethodNotAllowed, 405, "METHOD_NOT_ALLOWED"),
        (ErrorCode::RequestTimeout, 408, "REQUEST_TIMEOUT"),
        (ErrorCode::PayloadTooLarge, 413, "PAYLOAD_TOO_LARGE"),
        (ErrorCode::UriTooLong, 414, "URI_TOO_LONG"),
        (ErrorCode::ExpectationFailed, 417, "EXPECTATION_FAILED"),
        (ErrorCode::RateLimited, 429, "RATE_LIMITED"),
        (ErrorCode::HeadersTooLarge, 431, "HEADERS_TOO_LARGE"),
        (ErrorCode::Internal, 500, "INTERNAL_ERROR"),
        (ErrorCode::UpstreamUnavailable, 502, "UPSTREAM_UNAVAILABLE"),
        (ErrorCode::ServiceUnavailable, 503, "SERVICE_UNAVAILABLE"),
        (ErrorCode::UpstreamTimeout, 504, "UPSTREAM_TIMEOUT"),
    ];
    for (code, status, name) in rows {
        let response = refuse(&contract, code);

        assert_eq!(response.status(), status, "{code:?}");
        let json: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(json["success"], false, "{code:?}");
        assert_eq!(json["requestID"], "req-abc123", "{code:?}");
        assert_eq!(json["error"]["code"], name, "{code:?}");
        assert_eq!(json["timestamp"], "2025-01-15T10:30:00Z", "{code:?}");
        assert!(!body(&response).contains("for the log"), "{code:?}");
    }
}

#[test]
fn its_settings_are_those_of_the_document() {
    let contract = built_in("zdm");

    let tokens = contract.tokens();

    assert_eq!(contract.name(), "zdm");
    assert_eq!(tokens.algorithm, Algorithm::Hs256);
    assert_eq!(tokens.access_ttl, Duration::from_secs(86_400));
    assert_eq!(tokens.refresh_ttl, None);
    assert!(tokens.one_session);
    assert_eq!(contract.endpoints().len(), 1);
    assert_eq!(endpoint(&contract, Operation::Login).method(), "POST");
    assert_eq!(endpoint(&contract, Operation::Login).path(), "/api/v1/auth/issue");
    assert!(!endpoint(&contract, Operation::Login).needs_principal());
}

#[test]
fn request_ids_are_the_prefix_and_random_letters_and_digits() {
    let contract = built_in("zdm");

    let (first, second) = (contract.make_request_id([7; 16]), contract.make_request_id([8; 16]));

    for id in [&first, &second, &contract.make_request_id([0; 16])] {
        let random = id.strip_prefix("req-").unwrap();
        assert!(random.len() >= 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
    assert_ne!(first, second);
}
