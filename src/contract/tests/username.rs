//! `username` against the bytes of its document.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::contract::tests::{
    JSON, Sent, body, built_in, decode, encode, header, refuse, refused, tokens, user,
};
use crate::operation::{Command, ErrorCode, Identifier, LogoutScope, Operation, Outcome, TokenSet};
use crate::secret::Secret;
use crate::token::RefreshFormat;

const TOKENS: &str = concat!(
    r#"{"accessToken":"eyJhbGciOiJIUzUxMiJ9.e30.c2ln","#,
    r#""refreshToken":"eyJhbGciOiJIUzUxMiJ9.e30.cmVm","accessTokenExpiresIn":1719581967093}"#
);

fn json(body: &str) -> Sent<'_> {
    Sent { headers: &[JSON], body: body.as_bytes(), ..Sent::default() }
}

#[test]
fn the_documented_login_is_read() {
    let contract = built_in("username");
    let rows = [
        (r#"{"username": "user", "password": "password"}"#, "user"),
        (r#"{"username": "User@Example.com", "password": "password"}"#, "user@example.com"),
        (r#"{"username": "홍길동", "password": "password"}"#, "홍길동"),
    ];
    for (sent, name) in rows {
        let command = decode(&contract, Operation::Login, json(sent)).unwrap();

        let Command::Login { identifier, password } = command else { panic!("{command:?}") };
        assert_eq!(identifier.to_string(), name);
        assert_eq!(matches!(identifier, Identifier::Email(_)), name.contains('@'));
        assert_eq!(password.text.expose(), "password");
    }
}

#[test]
fn a_reissue_takes_both_tokens() {
    let sent = r#"{"accessToken": "eyJh.a.b", "refreshToken": "eyJh.c.d"}"#;

    let command = decode(&built_in("username"), Operation::Refresh, json(sent)).unwrap();

    let Command::Refresh { refresh_tokens, previous_access_token: Some(access_token) } = command
    else {
        panic!("{command:?}");
    };
    assert_eq!(access_token.expose(), "eyJh.a.b");
    assert_eq!(refresh_tokens[0].expose(), "eyJh.c.d");
}

#[test]
fn a_log_out_ends_all_refresh_tokens() {
    let contract = built_in("username");
    for sent in [Sent::default(), json("{}"), Sent { body: b"no JSON", ..Sent::default() }] {
        let command = decode(&contract, Operation::Logout, sent).unwrap();

        assert!(matches!(command, Command::Logout { scope: LogoutScope::RefreshTokens, .. }));
    }
}

#[test]
fn the_documented_answers_byte_for_byte() {
    let contract = built_in("username");
    let tokens = TokenSet {
        access_token: Secret::from("eyJhbGciOiJIUzUxMiJ9.e30.c2ln"),
        access_expires_at: Timestamp::from_millis(1_719_581_967_093),
        refresh_token: Some(Secret::from("eyJhbGciOiJIUzUxMiJ9.e30.cmVm")),
        ..tokens()
    };
    let issued = Outcome::TokensIssued { user: user(), tokens, is_new_user: false };
    for operation in [Operation::Login, Operation::Refresh] {
        let response = encode(&contract, operation, &issued);

        assert_eq!(response.status(), 200);
        assert_eq!(body(&response), TOKENS);
        assert_eq!(header(&response, "content-type"), Some("application/json"));
    }

    let ended = encode(&contract, Operation::Logout, &Outcome::LoggedOut);

    assert_eq!((ended.status().as_u16(), body(&ended)), (200, ""));
    assert_eq!(header(&ended, "content-type"), None);
}

#[test]
fn input_at_fault_names_the_first_field_in_documented_order() {
    let contract = built_in("username");
    let rows = [
        (Operation::Login, "{}", "username : must not be blank"),
        (Operation::Login, "", "username : must not be blank"),
        (Operation::Login, r#"{"password":"p"}"#, "username : must not be blank"),
        (Operation::Login, r#"{"username":null,"password":""}"#, "username : must not be blank"),
        (Operation::Login, r#"{"username":" \t","password":"p"}"#, "username : must not be blank"),
        (Operation::Login, r#"{"username":"user"}"#, "password : must not be blank"),
        (
            Operation::Login,
            r#"{"username":"user","password":"  "}"#,
            "password : must not be blank",
        ),
        (Operation::Login, r#"{"username":1,"password":"p"}"#, "username : must be a string"),
        (Operation::Login, r#"{"username":"user","password":[]}"#, "password : must be a string"),
        (Operation::Login, "{", "body : must be a JSON object"),
        (Operation::Login, "[]", "body : must be a JSON object"),
        (Operation::Refresh, "{}", "accessToken : must not be blank"),
        (Operation::Refresh, r#"{"refreshToken":"a"}"#, "accessToken : must not be blank"),
        (Operation::Refresh, r#"{"accessToken":"a"}"#, "refreshToken : must not be blank"),
    ];
    for (operation, sent, reason) in rows {
        let response = refused(&contract, operation, json(sent));

        assert_eq!(response.status(), 400, "{sent}");
        assert_eq!(body(&response), format!(r#"{{"reason":"{reason}"}}"#), "{sent}");
    }
}

#[test]
fn what_can_be_no_name_is_a_wrong_one() {
    let contract = built_in("username");
    let long = format!(r#"{{"username":"{}","password":"p"}}"#, "a".repeat(65));
    for sent in [
        r#"{"username":"'  or 1=1 --","password":"p"}"#,
        r#"{"username":"user\u0000","password":"p"}"#,
        r#"{"username":"a@","password":"p"}"#,
        long.as_str(),
    ] {
        let response = refused(&contract, Operation::Login, json(sent));

        assert_eq!(response.status(), 401, "{sent}");
        assert_eq!(body(&response), r#"{"reason":"잘못된 자격증명입니다."}"#, "{sent}");
    }
}

#[test]
fn refusals_have_a_reason() {
    let contract = built_in("username");
    let rows = [
        (ErrorCode::InvalidCredentials, 401, "잘못된 자격증명입니다."),
        (ErrorCode::InvalidGrant, 401, "유효하지 않은 토큰입니다."),
        (ErrorCode::LookupTimeout, 503, "사용자 조회 시간이 초과되었습니다."),
        (ErrorCode::MissingToken, 401, "인증이 필요합니다."),
        (ErrorCode::InvalidToken, 401, "유효하지 않은 토큰입니다."),
        (ErrorCode::BadRequest, 400, "잘못된 요청입니다."),
        (ErrorCode::Forbidden, 403, "접근 권한이 없습니다."),
        (ErrorCode::NotFound, 404, "요청한 경로를 찾을 수 없습니다."),
        (ErrorCode::MethodNotAllowed, 405, "허용되지 않은 메서드입니다."),
        (ErrorCode::RequestTimeout, 408, "요청 수신 시간이 초과되었습니다."),
        (ErrorCode::PayloadTooLarge, 413, "요청 본문이 허용 크기를 초과했습니다."),
        (ErrorCode::UriTooLong, 414, "요청 주소가 허용 길이를 초과했습니다."),
        (ErrorCode::ExpectationFailed, 417, "지원하지 않는 Expect 헤더입니다."),
        (ErrorCode::RateLimited, 429, "요청 횟수가 허용 한도를 초과했습니다."),
        (ErrorCode::HeadersTooLarge, 431, "요청 헤더가 허용 크기를 초과했습니다."),
        (ErrorCode::Internal, 500, "요청 처리 중 내부 오류가 발생했습니다."),
        (ErrorCode::UpstreamUnavailable, 502, "백엔드 서버에 연결할 수 없습니다."),
        (ErrorCode::ServiceUnavailable, 503, "일시적으로 요청을 처리할 수 없습니다."),
        (ErrorCode::UpstreamTimeout, 504, "백엔드 서버의 응답 시간이 초과되었습니다."),
    ];
    for (code, status, reason) in rows {
        let response = refuse(&contract, code);

        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(body(&response), format!(r#"{{"reason":"{reason}"}}"#), "{code:?}");
    }
}

#[test]
fn its_settings_are_those_of_the_document() {
    let contract = built_in("username");
    let tokens = contract.tokens();

    assert_eq!(tokens.algorithm, Algorithm::Hs512);
    assert_eq!(tokens.access_ttl, Duration::from_secs(1800));
    assert_eq!(tokens.refresh_ttl, Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(tokens.refresh_format, RefreshFormat::Jwt);
    let paths: Vec<_> =
        contract.endpoints().iter().map(|own| format!("{} {}", own.method(), own.path())).collect();
    assert_eq!(
        paths,
        ["POST /api/auth/login", "POST /api/auth/reissue-token", "POST /api/auth/logout"]
    );
}
