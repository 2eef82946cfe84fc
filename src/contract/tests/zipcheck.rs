//! `zipcheck` against the bytes of its document.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use crate::config::{Algorithm, SameSite};
use crate::contract::ReplyContext;
use crate::contract::tests::{
    Headers, JSON, Sent, body, built_in, context, decode, encode, endpoint, header, refuse,
    refused, tokens, user,
};
use crate::operation::{
    Command, ErrorCode, Operation, Outcome, Rejection, TokenSet, UserId, UserView,
};
use crate::secret::Secret;
use crate::token::RefreshFormat;

const REFRESH: &str = "8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001";
const SET: &str =
    "refresh=8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001; HttpOnly; Path=/; Secure; SameSite=Lax";
const CLEARED: &str = "refresh=; Max-Age=0; HttpOnly; Path=/; Secure; SameSite=Lax";

fn json(body: &str) -> Sent<'_> {
    Sent { headers: &[JSON], body: body.as_bytes(), ..Sent::default() }
}

fn logged_in(image: Option<&str>) -> Outcome {
    let nickname = ("nickname".to_owned(), "zipuser".into());
    let image = image.map(|image| ("profileImage".to_owned(), image.into()));
    let user = UserView {
        id: UserId(1),
        email: Some("user@email.com".to_owned()),
        roles: vec!["ROLE_USER".to_owned()],
        attributes: [nickname].into_iter().chain(image).collect::<BTreeMap<_, _>>(),
        ..user()
    };
    let tokens = TokenSet { refresh_token: Some(Secret::from(REFRESH)), ..tokens() };
    Outcome::TokensIssued { user, tokens, is_new_user: false }
}

fn set_cookies(response: &Response<Bytes>) -> Vec<&str> {
    let values = response.headers().get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn the_documented_sign_up_is_read() {
    let sent = r#"{"email": "user@email.com", "password": "password123", "nickname": "zipuser",
                   "profileImage": "iVBORw0KGgo="}"#;

    let command = decode(&built_in("zipcheck"), Operation::SignUp, json(sent)).unwrap();

    let Command::SignUp { email, password, role: None, attributes, .. } = command else {
        panic!("{command:?}");
    };
    assert_eq!(email.unwrap().as_str(), "user@email.com");
    assert_eq!(password.text.expose(), "password123");
    assert_eq!(attributes["nickname"], "zipuser");
    assert_eq!(attributes["profileImage"], "iVBORw0KGgo=");
}

#[test]
fn a_profile_image_has_at_most_five_mebibytes() {
    let contract = built_in("zipcheck");
    let sign_up = |image: &str| {
        let head = r#"{"email":"a@b.co","password":"password123","nickname":"n","profileImage":""#;
        let sent = [head, image, "\"}"].concat();
        decode(&contract, Operation::SignUp, json(&sent))
    };
    // 5,242,880 bytes are 1,747,626 groups of three and two bytes more.
    let groups = "A".repeat(1_747_626 * 4);
    let length = |image: &str| sign_up(&[&groups, image].concat());

    for (name, image) in [("exact", "AAA="), ("exact, unpadded", "AAA"), ("one less", "AA==")] {
        let command = length(image);
        assert!(matches!(command, Ok(Command::SignUp { .. })), "{name}");
    }
    let over = length("AAAA").unwrap_err();
    assert_eq!(over.code, ErrorCode::InvalidInput);
    for image in ["data:image/png;base64,AAAA", "AAAA\\r\\nAAAA", "AAAA\\nAA==\\n"] {
        let command = sign_up(image).unwrap();
        let Command::SignUp { attributes, .. } = command else { panic!("{image}") };
        let kept = serde_json::to_string(&attributes["profileImage"]).unwrap();
        assert_eq!(kept, format!("\"{image}\""), "it is kept as it came");
    }
    for image in ["a", "AAAA=", "AA-_", "data:image/png,AAAA", "AAAA AAAA"] {
        assert_eq!(sign_up(image).unwrap_err().code, ErrorCode::InvalidInput, "{image}");
    }
    for none in ["", " "] {
        let command = sign_up(none).unwrap();
        assert!(matches!(command, Command::SignUp { attributes, .. } if attributes.len() == 1));
    }
    let sign_up = endpoint(&contract, Operation::SignUp);
    let told = contract.refuse(Some(sign_up), &over, context());
    assert_eq!(told.status(), 400);
    assert_eq!(body(&told), error("profileImage: 길이가 올바르지 않습니다."));
}

#[test]
fn the_refresh_token_travels_in_the_cookie_alone() {
    let contract = built_in("zipcheck");
    let reissue = |headers| {
        let body = br#"{"refresh":"x","refreshToken":"y"}"#;
        decode(&contract, Operation::Refresh, Sent { headers, body, ..Sent::default() })
    };

    let rows: [Headers<'_>; 3] = [
        &[("cookie", "refresh=8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001")],
        &[("cookie", "a=1; refresh=8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001; Refresh=x")],
        &[("cookie", "a=1"), ("cookie", "refresh=8d5f1c8e-5b0a-4a57-9f0c-3a1c6de0c001")],
    ];
    for headers in rows {
        let command = reissue(headers).unwrap();
        let Command::Refresh { refresh_tokens, .. } = command else { panic!("{command:?}") };
        assert_eq!(refresh_tokens[0].expose(), REFRESH);
    }
    let rows: [(Headers<'_>, &[&str]); 3] = [
        (&[("cookie", "refresh=a; refresh=a")], &["a"]),
        (&[("cookie", "refresh=a"), ("cookie", "refresh=; refresh=b")], &["a", "b"]),
        (&[("cookie", "refresh=a;refresh=b;refresh=c;refresh=d;refresh=e")], &["a", "b", "c", "d"]),
    ];
    for (headers, expected) in rows {
        let command = reissue(headers).unwrap();
        let Command::Refresh { refresh_tokens, .. } = command else { panic!("{command:?}") };
        let found: Vec<_> = refresh_tokens.iter().map(|token| token.expose().as_str()).collect();
        assert_eq!(found, expected, "{headers:?}");
    }
    let rows: [(Headers<'_>, ErrorCode); 3] = [
        (&[], ErrorCode::RefreshMissing),
        (&[("cookie", "refresh=")], ErrorCode::RefreshMissing),
        (&[("cookie", "REFRESH=a; xrefresh=b")], ErrorCode::RefreshMissing),
    ];
    for (headers, expected) in rows {
        assert_eq!(reissue(headers).unwrap_err().code, expected, "{headers:?}");
    }
}

#[test]
fn cookies_are_told_to_the_gateway() {
    let contract = built_in("zipcheck");

    let resting: Vec<_> = contract
        .endpoints()
        .iter()
        .filter(|endpoint| endpoint.reads_cookie())
        .map(|endpoint| endpoint.operation())
        .collect();

    assert_eq!(contract.cookie_names().collect::<Vec<_>>(), ["refresh"]);
    assert_eq!(resting, [Operation::Refresh]);
    assert_eq!(contract.exposed_headers(), ["authorization"]);
    assert_eq!(contract.without_endpoints().cookie_names().count(), 0);
}

#[test]
fn other_requests_are_read() {
    let contract = built_in("zipcheck");
    let read = |operation, sent| decode(&contract, operation, json(sent)).unwrap();

    let login = r#"{"email": "user@email.com", "password": "password123"}"#;
    let login = read(Operation::Login, login);
    let reset = read(Operation::RequestReset, r#"{"email": "User@Email.com"}"#);
    let confirm = r#"{"email": "user@email.com", "code": "123456", "new_password": "ignored!"}"#;
    let confirm = read(Operation::ConfirmReset, confirm);

    assert!(matches!(login, Command::Login { .. }));
    assert!(matches!(reset, Command::RequestReset { email } if email.as_str() == "user@email.com"));
    let Command::ConfirmReset { email, code, new: None } = confirm else { panic!("{confirm:?}") };
    assert_eq!(email.as_str(), "user@email.com");
    assert_eq!(code.expose(), "123456");
}

#[test]
fn a_login_answers_in_body_header_and_cookie() {
    let contract = built_in("zipcheck");
    for (image, shown) in [(Some("iVBORw0KGgo="), "\"iVBORw0KGgo=\""), (None, "null")] {
        let response = encode(&contract, Operation::Login, &logged_in(image));

        let expected = concat!(
            r#"{"success":true,"data":{"userId":1,"email":"user@email.com","nickname":"zipuser","#,
            r#""role":"ROLE_USER","accessToken":"eyJh.eyJz.c2ln","profileImage":"#
        );
        assert_eq!(response.status(), 200);
        assert_eq!(body(&response), format!("{expected}{shown}}}}}"));
        assert_eq!(header(&response, "authorization"), Some("Bearer eyJh.eyJz.c2ln"));
        assert_eq!(set_cookies(&response), [SET]);
        assert!(response.headers()["set-cookie"].is_sensitive());
    }
}

#[test]
fn other_answers_byte_for_byte() {
    let contract = built_in("zipcheck");
    let done = |message: &str| format!(r#"{{"success":true,"message":"{message}","data":null}}"#);
    let signed_up = Outcome::SignedUp { user: user() };
    let rows: [(Operation, Outcome, &str, &[&str]); 5] = [
        (Operation::SignUp, signed_up, "회원가입 완료", &[]),
        (Operation::Refresh, logged_in(None), "토큰이 재발급되었습니다.", &[SET]),
        (Operation::Logout, Outcome::LoggedOut, "로그아웃 완료", &[CLEARED]),
        (
            Operation::RequestReset,
            Outcome::CodeRequested,
            "이메일로 인증 코드가 발송되었습니다.",
            &[],
        ),
        (
            Operation::ConfirmReset,
            Outcome::PasswordReset { user: UserId(1) },
            "임시 비밀번호가 이메일로 전송되었습니다.",
            &[],
        ),
    ];
    for (operation, outcome, message, cookies) in rows {
        let response = encode(&contract, operation, &outcome);

        assert_eq!(response.status(), 200, "{operation:?}");
        assert_eq!(body(&response), done(message), "{operation:?}");
        assert_eq!(set_cookies(&response), cookies, "{operation:?}");
        let bearer = (operation == Operation::Refresh).then_some("Bearer eyJh.eyJz.c2ln");
        assert_eq!(header(&response, "authorization"), bearer, "{operation:?}");
    }
}

#[test]
fn same_site_is_what_the_site_says() {
    let contract = built_in("zipcheck");
    let reissue = endpoint(&contract, Operation::Refresh);
    for (same_site, name) in
        [(SameSite::Lax, "Lax"), (SameSite::Strict, "Strict"), (SameSite::None, "None")]
    {
        let context = ReplyContext { same_site, ..context() };

        let response = contract.encode(reissue, &logged_in(None), context);

        let expected = format!("refresh={REFRESH}; HttpOnly; Path=/; Secure; SameSite={name}");
        assert_eq!(set_cookies(&response), [expected.as_str()]);
    }
}

fn error(message: &str) -> String {
    format!(r#"{{"success":false,"message":"{message}","data":null}}"#)
}

#[test]
fn input_at_fault_is_400() {
    let contract = built_in("zipcheck");
    let wrong = "이메일 또는 비밀번호가 올바르지 않습니다.";
    let unreadable = "body: 요청 본문을 읽을 수 없습니다.";
    let rows = [
        (Operation::SignUp, "{}", "email: 필수 입력값입니다."),
        (
            Operation::SignUp,
            r#"{"email":"a","password":"password123","nickname":"n"}"#,
            "email: 형식이 올바르지 않습니다.",
        ),
        (
            Operation::SignUp,
            r#"{"email":"a@b.co","password":"password123"}"#,
            "nickname: 필수 입력값입니다.",
        ),
        (Operation::Login, "{}", "email: 필수 입력값입니다."),
        (Operation::Login, r#"{"email":"a@b.co"}"#, "password: 필수 입력값입니다."),
        (Operation::Login, r#"{"email":"a","password":"password123"}"#, wrong),
        (Operation::Login, r#"{"email":1}"#, "email: 형식이 올바르지 않습니다."),
        (Operation::Login, "{", unreadable),
        (Operation::RequestReset, "{}", "email: 필수 입력값입니다."),
        (Operation::ConfirmReset, r#"{"email":"a@b.co"}"#, "code: 필수 입력값입니다."),
        (
            Operation::ConfirmReset,
            r#"{"email":"a@b.co","code":123456}"#,
            "code: 형식이 올바르지 않습니다.",
        ),
    ];
    for (operation, sent, message) in rows {
        let response = refused(&contract, operation, json(sent));

        assert_eq!(response.status(), 400, "{operation:?} {sent}");
        assert_eq!(body(&response), error(message), "{operation:?} {sent}");
    }
}

#[test]
fn a_cookie_that_is_missing_or_came_twice_is_401_and_the_second_is_cleared() {
    let contract = built_in("zipcheck");
    let missing = refused(&contract, Operation::Refresh, Sent::default());
    let twice = Rejection::new(ErrorCode::DuplicateCookie, "two live ones");
    let twice = contract.refuse(Some(endpoint(&contract, Operation::Refresh)), &twice, context());
    let spent = Rejection::new(ErrorCode::InvalidGrant, "reused");
    let spent = contract.refuse(Some(endpoint(&contract, Operation::Refresh)), &spent, context());

    assert_eq!(
        (missing.status().as_u16(), body(&missing)),
        (401, &*error("리프레시 토큰이 없습니다."))
    );
    assert_eq!(set_cookies(&missing), [""; 0]);
    let refused = error("리프레시 토큰이 유효하지 않습니다.");
    assert_eq!((twice.status().as_u16(), body(&twice)), (401, refused.as_str()));
    assert_eq!(set_cookies(&twice), [CLEARED]);
    assert_eq!((spent.status().as_u16(), body(&spent)), (401, refused.as_str()));
    assert_eq!(set_cookies(&spent), [""; 0]);
}

#[test]
fn refusals_have_their_message() {
    let contract = built_in("zipcheck");
    let rows = [
        (ErrorCode::InvalidCredentials, 400, "이메일 또는 비밀번호가 올바르지 않습니다."),
        (ErrorCode::AccountExists, 409, "이미 사용 중인 이메일입니다."),
        (ErrorCode::SignupClosed, 403, "회원가입이 허용되지 않습니다."),
        (ErrorCode::InvalidCode, 400, "인증 코드가 올바르지 않습니다."),
        (ErrorCode::LookupTimeout, 503, "사용자 조회 시간이 초과되었습니다."),
        (ErrorCode::MissingToken, 401, "인증이 필요합니다."),
        (ErrorCode::InvalidToken, 401, "액세스 토큰이 유효하지 않습니다."),
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
    for (code, status, message) in rows {
        let response = refuse(&contract, code);

        assert_eq!(response.status(), status, "{code:?}");
        assert_eq!(body(&response), error(message), "{code:?}");
        assert_eq!(set_cookies(&response), [""; 0], "{code:?}");
    }
}

#[test]
fn its_settings_are_those_of_the_document() {
    let contract = built_in("zipcheck");
    let tokens = contract.tokens();

    assert_eq!(tokens.algorithm, Algorithm::Hs256);
    assert_eq!(tokens.access_ttl, Duration::from_secs(1800));
    assert_eq!(tokens.refresh_ttl, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(tokens.refresh_format, RefreshFormat::Uuid);
    assert_eq!(tokens.default_role.as_deref(), Some("ROLE_USER"));
    let paths: Vec<_> =
        contract.endpoints().iter().map(|own| format!("{} {}", own.method(), own.path())).collect();
    assert_eq!(
        paths,
        [
            "POST /auth/signup",
            "POST /auth/login",
            "POST /auth/reissue",
            "POST /auth/logout",
            "POST /auth/password/reset",
            "POST /auth/password/reset-confirm",
        ]
    );
}
