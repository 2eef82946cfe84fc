//! `auth-api` against the bytes of its document.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Algorithm;
use crate::contract::tests::{
    JSON, Sent, body, built_in, context, decode, encode, endpoint, header, refuse, refused, tokens,
    user,
};
use crate::operation::{
    Command, ErrorCode, Identifier, Language, LogoutScope, Operation, Outcome, Problem,
    ProblemKind, Provider, Rejection, TokenSet, UserId, UserView,
};
use crate::secret::Secret;
use crate::token::RefreshFormat;

/// 2026-02-10T10:00:00Z, the login of the document.
const LOGIN: Timestamp = Timestamp::from_seconds(1_770_717_600);
/// Seven days later.
const END: Timestamp = Timestamp::from_seconds(1_771_322_400);

fn json(body: &str) -> Sent<'_> {
    Sent { headers: &[JSON], body: body.as_bytes(), ..Sent::default() }
}

fn account(phone: Option<&str>) -> UserView {
    let phone = phone.map(|phone| ("phone".to_owned(), phone.into()));
    UserView {
        id: UserId(1),
        roles: vec!["user".to_owned()],
        attributes: phone.into_iter().collect::<BTreeMap<_, _>>(),
        last_login_at: Some(LOGIN),
        ..user()
    }
}

fn logged_in(user: UserView) -> Outcome {
    let refresh_token = Some(Secret::from("8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001"));
    let tokens = TokenSet { issued_at: LOGIN, access_expires_at: END, refresh_token, ..tokens() };
    Outcome::TokensIssued { user, tokens, is_new_user: false }
}

#[test]
fn the_documented_sign_up_is_read() {
    let sent = r#"{"email": "user@example.com", "password": "Pass123!", "phone": "01012345678",
                   "role": "user", "provider": "email"}"#;

    let command = decode(&built_in("auth-api"), Operation::SignUp, json(sent)).unwrap();

    let Command::SignUp { email, username: None, password, role, attributes } = command else {
        panic!("{command:?}");
    };
    assert_eq!(email.unwrap().as_str(), "user@example.com");
    assert_eq!(password.text.expose(), "Pass123!");
    assert!(!password.may_be_hashed);
    assert_eq!(role.as_deref(), Some("user"));
    assert_eq!(attributes, BTreeMap::from([("phone".to_owned(), "01012345678".into())]));
}

#[test]
fn phone_and_role_may_be_left_out() {
    for sent in [
        r#"{"email":"a@b.co","password":"Pass123!","provider":"email"}"#,
        r#"{"email":"a@b.co","password":"Pass123!","provider":"email","phone":null,"role":""}"#,
    ] {
        let command = decode(&built_in("auth-api"), Operation::SignUp, json(sent)).unwrap();

        let Command::SignUp { role: None, attributes, .. } = command else { panic!("{sent}") };
        assert!(attributes.is_empty(), "{sent}");
    }
}

#[test]
fn other_requests_are_read() {
    let contract = built_in("auth-api");
    let read = |operation, sent| decode(&contract, operation, json(sent)).unwrap();

    let login = r#"{"email": "user@example.com", "password": "Pass123!"}"#;
    let login = read(Operation::Login, login);
    let refresh = read(Operation::Refresh, r#"{"refreshToken": "<UUID>"}"#);
    let social = r#"{"provider": "google", "accessToken": "<PROVIDER_ACCESS_TOKEN>"}"#;
    let social = read(Operation::SocialLogin, social);

    assert!(matches!(login, Command::Login { identifier: Identifier::Email(_), .. }));
    let Command::Refresh { refresh_tokens, previous_access_token: None } = refresh else {
        panic!("{refresh:?}");
    };
    assert_eq!(refresh_tokens[0].expose(), "<UUID>");
    let Command::SocialLogin { provider: Provider::Google, token } = social else {
        panic!("{social:?}");
    };
    assert_eq!(token.expose(), "<PROVIDER_ACCESS_TOKEN>");
}

#[test]
fn a_log_out_ends_the_tokens_session_whatever_refresh_token_its_body_names() {
    for sent in ["", "{}", r#"{"refreshToken":null}"#, r#"{"refreshToken":"of-somebody-else"}"#] {
        let command = decode(&built_in("auth-api"), Operation::Logout, json(sent)).unwrap();

        assert!(matches!(command, Command::Logout { scope: LogoutScope::Session, .. }), "{sent}");
    }
}

#[test]
fn the_documented_answers_byte_for_byte() {
    let contract = built_in("auth-api");
    let phone = || account(Some("01012345678"));
    let mut social = logged_in(UserView { id: UserId(123), ..account(None) });
    if let Outcome::TokensIssued { is_new_user, .. } = &mut social {
        *is_new_user = true;
    }
    let tail = r#""statusCode":200,"success":true}"#;
    let fresh = concat!(
        r#""accessToken":"eyJh.eyJz.c2ln","refreshToken":"8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001","#,
        r#""expiresIn":604800,"tokenType":"Bearer","expiresAt":"2026-02-17T10:00:00Z""#
    );
    let login = |phone: &str| {
        format!(
            concat!(
                r#"{{"message":"로그인 성공","data":{{"id":1,"email":"user@example.com","#,
                r#""phone":{},"role":"user","provider":"email","#,
                r#""lastLoginAt":"2026-02-10T10:00:00Z",{}}},{}"#
            ),
            phone, fresh, tail
        )
    };
    let sign_up = |phone: &str| {
        format!(
            concat!(
                r#"{{"message":"회원가입 성공","data":{{"email":"user@example.com","phone":{},"#,
                r#""role":"user","provider":"email"}},{}"#
            ),
            phone, tail
        )
    };
    let rows = [
        (Operation::SignUp, Outcome::SignedUp { user: phone() }, sign_up("\"01012345678\"")),
        (Operation::SignUp, Outcome::SignedUp { user: account(None) }, sign_up("null")),
        (Operation::Login, logged_in(phone()), login("\"01012345678\"")),
        (Operation::Login, logged_in(account(None)), login("null")),
        (
            Operation::Refresh,
            logged_in(phone()),
            format!(r#"{{"message":"Token 갱신 성공","data":{{{fresh}}},{tail}"#),
        ),
        (
            Operation::Logout,
            Outcome::LoggedOut,
            format!(r#"{{"message":"로그아웃 성공","data":null,{tail}"#),
        ),
        (
            Operation::SocialLogin,
            social,
            format!(
                concat!(
                    r#"{{"message":"로그인 성공","data":{{"userId":123,"#,
                    r#""accessToken":"eyJh.eyJz.c2ln","#,
                    r#""refreshToken":"8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001","#,
                    r#""isNewUser":true}},{}"#
                ),
                tail
            ),
        ),
    ];
    for (operation, outcome, expected) in rows {
        let response = encode(&contract, operation, &outcome);

        assert_eq!(response.status(), 200, "{operation:?}");
        assert_eq!(body(&response), expected, "{operation:?}");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert_eq!(header(&response, "set-cookie"), None);
    }
}

fn error(status: u16, message: &str) -> String {
    format!(r#"{{"message":"{message}","data":null,"statusCode":{status},"success":false}}"#)
}

#[test]
fn input_at_fault_is_400_with_the_field() {
    let contract = built_in("auth-api");
    let unreadable = "body: 요청 본문을 읽을 수 없습니다";
    let provider = "provider: `email`만 사용할 수 있습니다";
    let rows = [
        (Operation::SignUp, "{}", "email: 필수 입력값입니다"),
        (Operation::SignUp, r#"{"email":"a","password":"p"}"#, "email: 형식이 올바르지 않습니다"),
        (Operation::SignUp, r#"{"email":"a@b.co"}"#, "password: 필수 입력값입니다"),
        (Operation::SignUp, r#"{"email":"a@b.co","password":"Pass123!"}"#, provider),
        (
            Operation::SignUp,
            r#"{"email":"a@b.co","password":"Pass123!","provider":"google"}"#,
            provider,
        ),
        (
            Operation::SignUp,
            r#"{"email":"a@b.co","password":"Pass123!","provider":"email","phone":1012345678}"#,
            "phone: 형식이 올바르지 않습니다",
        ),
        (
            Operation::Login,
            r#"{"email":"a@b.co","password":1}"#,
            "password: 형식이 올바르지 않습니다",
        ),
        (Operation::Login, "{", unreadable),
        (Operation::Login, "[]", unreadable),
        (Operation::Refresh, "{}", "refreshToken: 필수 입력값입니다"),
        (Operation::Logout, "{", unreadable),
        (Operation::Logout, r#"{"refreshToken":1}"#, "refreshToken: 형식이 올바르지 않습니다"),
        (Operation::SocialLogin, "{}", "provider: 필수 입력값입니다"),
        (
            Operation::SocialLogin,
            r#"{"provider":"google","accessToken":""}"#,
            "accessToken: 필수 입력값입니다",
        ),
        (
            Operation::SocialLogin,
            r#"{"provider":"naver","accessToken":"t"}"#,
            "지원하지 않는 provider입니다",
        ),
        (
            Operation::SocialLogin,
            r#"{"provider":"GOOGLE","accessToken":"t"}"#,
            "지원하지 않는 provider입니다",
        ),
    ];
    for (operation, sent, message) in rows {
        let response = refused(&contract, operation, json(sent));

        assert_eq!(response.status(), 400, "{operation:?} {sent}");
        assert_eq!(body(&response), error(400, message), "{operation:?} {sent}");
    }
}

#[test]
fn a_short_password_is_told_by_its_field() {
    let contract = built_in("auth-api");
    let (field, kind) = ("password".to_owned(), ProblemKind::Length);
    let rejection = Rejection::invalid_input(Problem { field, kind, message: None });

    let sign_up = endpoint(&contract, Operation::SignUp);
    let response = contract.refuse(Some(sign_up), &rejection, context());

    assert_eq!(body(&response), error(400, "password: 길이가 올바르지 않습니다"));
}

#[test]
fn refusals_repeat_their_status() {
    let contract = built_in("auth-api");
    let rows = [
        (ErrorCode::InvalidCredentials, 401, "이메일 또는 비밀번호가 올바르지 않습니다"),
        (ErrorCode::InvalidGrant, 401, "유효하지 않은 Refresh Token입니다"),
        (ErrorCode::AccountExists, 409, "이미 가입된 이메일입니다"),
        (ErrorCode::SignupClosed, 403, "회원가입이 허용되지 않습니다"),
        (ErrorCode::UnsupportedProvider, 400, "지원하지 않는 provider입니다"),
        (ErrorCode::InvalidProviderToken, 401, "유효하지 않은 Access Token입니다"),
        (ErrorCode::ProviderUnavailable, 500, "소셜 로그인 처리 중 내부 오류가 발생했습니다"),
        (ErrorCode::LookupTimeout, 503, "사용자 조회 시간이 초과되었습니다"),
        (ErrorCode::MissingToken, 401, "인증 토큰이 필요합니다"),
        (ErrorCode::InvalidToken, 401, "유효하지 않은 인증 토큰입니다"),
        (ErrorCode::BadRequest, 400, "잘못된 요청입니다"),
        (ErrorCode::Forbidden, 403, "접근 권한이 없습니다"),
        (ErrorCode::NotFound, 404, "요청한 경로를 찾을 수 없습니다"),
        (ErrorCode::MethodNotAllowed, 405, "허용되지 않은 메서드입니다"),
        (ErrorCode::RequestTimeout, 408, "요청 수신 시간이 초과되었습니다"),
        (ErrorCode::PayloadTooLarge, 413, "요청 본문이 허용 크기를 초과했습니다"),
        (ErrorCode::UriTooLong, 414, "요청 주소가 허용 길이를 초과했습니다"),
        (ErrorCode::ExpectationFailed, 417, "지원하지 않는 Expect 헤더입니다"),
        (ErrorCode::RateLimited, 429, "요청 횟수가 허용 한도를 초과했습니다"),
        (ErrorCode::HeadersTooLarge, 431, "요청 헤더가 허용 크기를 초과했습니다"),
        (ErrorCode::Internal, 500, "요청 처리 중 내부 오류가 발생했습니다"),
        (ErrorCode::UpstreamUnavailable, 502, "백엔드 서버에 연결할 수 없습니다"),
        (ErrorCode::ServiceUnavailable, 503, "일시적으로 요청을 처리할 수 없습니다"),
        (ErrorCode::UpstreamTimeout, 504, "백엔드 서버의 응답 시간이 초과되었습니다"),
    ];
    for (code, status, message) in rows {
        let response = refuse(&contract, code);

        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(body(&response), error(status, message), "{code:?}");
    }
}

#[test]
fn its_settings_are_those_of_the_document() {
    let contract = built_in("auth-api");
    let tokens = contract.tokens();

    assert_eq!(contract.language(), Language::Korean);
    assert_eq!(tokens.algorithm, Algorithm::Hs256);
    assert_eq!(tokens.access_ttl, Duration::from_secs(604_800));
    assert_eq!(tokens.refresh_ttl, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(tokens.refresh_format, RefreshFormat::Uuid);
    assert_eq!(tokens.default_role.as_deref(), Some("user"));
    let paths: Vec<_> =
        contract.endpoints().iter().map(|own| format!("{} {}", own.method(), own.path())).collect();
    assert_eq!(
        paths,
        [
            "POST /api/auth/sign",
            "POST /api/auth/login",
            "POST /api/auth/refresh",
            "POST /api/auth/logout",
            "POST /api/auth/social/login",
        ]
    );
    let guarded = contract.endpoints().iter().filter(|endpoint| endpoint.needs_principal());
    assert_eq!(guarded.map(|own| own.operation()).collect::<Vec<_>>(), [Operation::Logout]);
}
