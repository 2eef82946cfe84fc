//! `fame` against the bytes of its document.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::contract::tests::{
    Headers, JSON, Sent, body, built_in, decode, encode, header, issued, refuse, refused,
};
use crate::operation::{Command, ErrorCode, Operation, Outcome};
use crate::secret::Secret;
use crate::token::RefreshFormat;

const FORM: Headers<'_> = &[("content-type", "application/x-www-form-urlencoded")];
const UTF_8_FORM: Headers<'_> =
    &[("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
const OLD_TOKEN: Headers<'_> =
    &[("content-type", "application/x-www-form-urlencoded"), ("authorization", "eyJh.old.one")];

fn sent<'a>(headers: Headers<'a>, body: &'a str) -> Sent<'a> {
    Sent { headers, body: body.as_bytes(), ..Sent::default() }
}

#[test]
fn a_login_comes_as_a_form_as_json_and_as_json_under_the_forms_type() {
    let contract = built_in("fame");
    let json = r#"{"email": "user@example.com", "password": "your&password"}"#;
    let form = "email=user%40example.com&password=your%26password";
    let rows: [(Headers<'_>, &str); 8] = [
        (FORM, form),
        (UTF_8_FORM, form),
        (FORM, json),
        (UTF_8_FORM, json),
        (OLD_TOKEN, json),
        (&[JSON], json),
        (&[], json),
        (&[], form),
    ];
    for (headers, text) in rows {
        let command = decode(&contract, Operation::Login, sent(headers, text)).unwrap();

        let Command::Login { identifier, password } = command else { panic!("{command:?}") };
        assert_eq!(identifier.to_string(), "user@example.com", "{headers:?} {text}");
        assert_eq!(password.text.expose(), "your&password", "{headers:?} {text}");
    }
}

#[test]
fn a_refresh_token_has_three_names() {
    let contract = built_in("fame");
    let rows: [(Headers<'_>, &str); 8] = [
        (FORM, "refreshToken=eyJh.a.b"),
        (FORM, "refresh_token=eyJh.a.b"),
        (FORM, "refresh+token=eyJh.a.b"),
        (FORM, "refresh%20token=eyJh.a.b&refreshToken=+"),
        (FORM, r#"{"refreshToken": "eyJh.a.b"}"#),
        (&[JSON], r#"{"refresh_token": "eyJh.a.b"}"#),
        (&[JSON], r#"{"refresh token": "eyJh.a.b", "refreshToken": null}"#),
        (&[JSON], r#"{"refreshToken": "eyJh.a.b", "refresh_token": "eyJh.c.d"}"#),
    ];
    for (headers, text) in rows {
        let command = decode(&contract, Operation::Refresh, sent(headers, text)).unwrap();

        let Command::Refresh { refresh_tokens, previous_access_token: None } = command else {
            panic!("{command:?}");
        };
        assert_eq!(refresh_tokens[0].expose(), "eyJh.a.b", "{text}");
    }
}

#[test]
fn a_token_is_checked_and_proves_nothing_of_who_asks() {
    let contract = built_in("fame");
    for text in ["token=eyJh.a.b", r#"{"token": "eyJh.a.b"}"#] {
        let command = decode(&contract, Operation::CheckToken, sent(OLD_TOKEN, text)).unwrap();

        let Command::CheckToken { token } = command else { panic!("{command:?}") };
        assert_eq!(token.expose(), "eyJh.a.b");
    }
    assert!(contract.endpoints().iter().all(|endpoint| !endpoint.needs_principal()));
}

#[test]
fn the_documented_answers_byte_for_byte() {
    let contract = built_in("fame");
    let checked = |seconds| Outcome::TokenChecked {
        token: Secret::from("eyJh.eyJz.c2ln"),
        expires_at: Timestamp::from_seconds(seconds),
    };
    let tokens = r#"{"token":"eyJh.eyJz.c2ln","refreshToken":"r3fr3sh"}"#;
    let rows = [
        (Operation::Login, issued(), tokens),
        (Operation::Refresh, issued(), tokens),
        // 2024-04-01T14:59:59Z
        (
            Operation::CheckToken,
            checked(1_711_983_599),
            r#"{"token":"eyJh.eyJz.c2ln","valid-until":"2024-04-01 23:59:59"}"#,
        ),
        // The document's 24:00:00 of the first is 00:00:00 of the second, as all that parse it say.
        (
            Operation::CheckToken,
            checked(1_711_983_600),
            r#"{"token":"eyJh.eyJz.c2ln","valid-until":"2024-04-02 00:00:00"}"#,
        ),
    ];
    for (operation, outcome, expected) in rows {
        let response = encode(&contract, operation, &outcome);

        assert_eq!(response.status(), 200);
        assert_eq!(body(&response), expected);
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
    }
}

fn error(code: &str, message: &str) -> String {
    format!(r#"{{"error":"{code}","message":"{message}"}}"#)
}

#[test]
fn input_at_fault_is_400_with_the_field() {
    let contract = built_in("fame");
    let unreadable = "body: 요청 본문을 읽을 수 없습니다";
    let rows: [(Operation, Headers<'_>, &str, &str); 14] = [
        (Operation::Login, FORM, "", "email: 필수 입력값입니다"),
        (Operation::Login, FORM, "password=p", "email: 필수 입력값입니다"),
        (Operation::Login, FORM, "email=a%40b.co&password=", "password: 필수 입력값입니다"),
        (Operation::Login, FORM, "email=a%40b.co", "password: 필수 입력값입니다"),
        (Operation::Login, FORM, "email=a&password=p", "email: 형식이 올바르지 않습니다"),
        (Operation::Login, &[JSON], r#"{"email":"a@b.co"}"#, "password: 필수 입력값입니다"),
        (Operation::Login, &[JSON], r#"{"email":1}"#, "email: 형식이 올바르지 않습니다"),
        (Operation::Login, FORM, r#"{"email":"#, unreadable),
        (Operation::Login, FORM, "email=%FF", unreadable),
        (Operation::Login, &[JSON], "email=a%40b.co&password=p", unreadable),
        (Operation::Login, &[("content-type", "text/plain")], "{}", unreadable),
        (Operation::CheckToken, FORM, "x=1", "token: 필수 입력값입니다"),
        (Operation::CheckToken, FORM, r#"{"token": ""}"#, "token: 필수 입력값입니다"),
        (Operation::Refresh, FORM, "token=x", "refreshToken: 필수 입력값입니다"),
    ];
    for (operation, headers, text, message) in rows {
        let response = refused(&contract, operation, sent(headers, text));

        assert_eq!(response.status(), 400, "{text}");
        assert_eq!(body(&response), error("INVALID_INPUT", message), "{text}");
    }
}

#[test]
fn refusals_have_a_code_and_a_message() {
    let contract = built_in("fame");
    let rows = [
        (
            ErrorCode::InvalidCredentials,
            401,
            "INVALID_CREDENTIALS",
            "이메일 또는 패스워드가 올바르지 않습니다",
        ),
        (ErrorCode::InvalidGrant, 401, "INVALID_REFRESH_TOKEN", "갱신토큰이 유효하지 않습니다"),
        (ErrorCode::LookupTimeout, 503, "SERVICE_UNAVAILABLE", "사용자 조회 시간이 초과되었습니다"),
        (ErrorCode::MissingToken, 401, "UNAUTHORIZED", "인증 토큰이 필요합니다"),
        (ErrorCode::InvalidToken, 401, "INVALID_TOKEN", "토큰이 만료되었거나 유효하지 않습니다"),
        (ErrorCode::BadRequest, 400, "BAD_REQUEST", "잘못된 요청입니다"),
        (ErrorCode::Forbidden, 403, "FORBIDDEN", "접근 권한이 없습니다"),
        (ErrorCode::NotFound, 404, "NOT_FOUND", "요청한 경로를 찾을 수 없습니다"),
        (ErrorCode::MethodNotAllowed, 405, "METHOD_NOT_ALLOWED", "허용되지 않은 메서드입니다"),
        (ErrorCode::RequestTimeout, 408, "REQUEST_TIMEOUT", "요청 수신 시간이 초과되었습니다"),
        (
            ErrorCode::PayloadTooLarge,
            413,
            "PAYLOAD_TOO_LARGE",
            "요청 본문이 허용 크기를 초과했습니다",
        ),
        (ErrorCode::UriTooLong, 414, "URI_TOO_LONG", "요청 주소가 허용 길이를 초과했습니다"),
        (
            ErrorCode::ExpectationFailed,
            417,
            "EXPECTATION_FAILED",
            "지원하지 않는 Expect 헤더입니다",
        ),
        (ErrorCode::RateLimited, 429, "RATE_LIMITED", "요청 횟수가 허용 한도를 초과했습니다"),
        (
            ErrorCode::HeadersTooLarge,
            431,
            "HEADERS_TOO_LARGE",
            "요청 헤더가 허용 크기를 초과했습니다",
        ),
        (ErrorCode::Internal, 500, "INTERNAL_ERROR", "요청 처리 중 내부 오류가 발생했습니다"),
        (
            ErrorCode::UpstreamUnavailable,
            502,
            "UPSTREAM_UNAVAILABLE",
            "백엔드 서버에 연결할 수 없습니다",
        ),
        (
            ErrorCode::ServiceUnavailable,
            503,
            "SERVICE_UNAVAILABLE",
            "일시적으로 요청을 처리할 수 없습니다",
        ),
        (
            ErrorCode::UpstreamTimeout,
            504,
            "UPSTREAM_TIMEOUT",
            "백엔드 서버의 응답 시간이 초과되었습니다",
        ),
    ];
    for (code, status, name, message) in rows {
        let response = refuse(&contract, code);

        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(body(&response), error(name, message), "{code:?}");
    }
}

#[test]
fn its_settings_are_those_of_the_document() {
    let contract = built_in("fame");
    let tokens = contract.tokens();

    assert_eq!(tokens.algorithm, Algorithm::Hs256);
    assert_eq!(tokens.access_ttl, Duration::from_secs(86_400));
    assert_eq!(tokens.refresh_ttl, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(tokens.refresh_format, RefreshFormat::Jwt);
    assert!(tokens.bare_tokens);
    let paths: Vec<_> =
        contract.endpoints().iter().map(|own| format!("{} {}", own.method(), own.path())).collect();
    assert_eq!(
        paths,
        [
            "POST /api/v1/auth/login",
            "POST /api/v1/auth/checkTokenValidity",
            "POST /api/v1/auth/tokenRefresh",
        ]
    );
}
