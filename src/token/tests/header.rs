//! Headers that say anything but what they should, over truly signed tokens.

use crate::config::Algorithm;
use crate::token::tests::forge::{FAMILIES, Forge, NOW, claims, forge};

fn refuse(forge: &Forge, header: impl AsRef<[u8]>) {
    let shown = String::from_utf8_lossy(header.as_ref()).into_owned();
    let result = forge.tokens.verify(&forge.sign(header, claims(&[])), NOW);
    assert!(result.is_err(), "{}: {shown:.200} passed", forge.stored.algorithm);
}

/// 1.1-01, 1.1-03.
#[test]
fn an_algorithm_other_than_the_keys_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let (name, kid) = (algorithm.name(), &forge.stored.kid);
        let lower = format!("\"{}\"", name.to_lowercase());
        let other = if algorithm == Algorithm::Hs256 { "\"HS512\"" } else { "\"HS256\"" };
        let rows = [
            r#""none""#,
            r#""None""#,
            r#""NONE""#,
            r#""nOnE""#,
            r#""""#,
            "null",
            "[]",
            "{}",
            "0",
            "true",
            r#"["none"]"#,
            other,
            &lower,
            &format!("\" {name}\""),
            &format!("\"{name}\\u0000\""),
            &format!("[\"{name}\"]"),
        ];

        for alg in rows {
            refuse(forge, format!(r#"{{"alg":{alg},"kid":"{kid}"}}"#));
            refuse(forge, format!(r#"{{"alg":{alg}}}"#));
        }
        refuse(forge, format!(r#"{{"kid":"{kid}"}}"#));
        refuse(forge, format!(r#"{{"alg":"none","alg":"{name}","kid":"{kid}"}}"#));
        refuse(forge, format!(r#"{{"alg":"{name}","alg":"none","kid":"{kid}"}}"#));
        refuse(forge, format!(r#"{{"alg":"{name}","\u0061lg":"{name}","kid":"{kid}"}}"#));
    }
}

/// 1.1-06.
#[test]
fn a_kid_that_names_no_key_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let kid = &forge.stored.kid;
        let rows = [
            r#""../../../../dev/null""#,
            r#""' OR 1=1 --""#,
            r#""|id""#,
            r#""a\u0000b""#,
            r#""a\r\nX: y""#,
            &format!("\"{}\"", "k".repeat(3000)),
            r#""""#,
            "null",
            "1",
            "[]",
            "{}",
            "true",
            &format!("[\"{kid}\"]"),
            &format!("\"{kid} \""),
            &format!("\"{kid}\\u0000\""),
            &format!("\"{kid}\",\"kid\":\"{kid}\""),
        ];

        for kid in rows {
            refuse(forge, format!(r#"{{"alg":"{algorithm}","kid":{kid}}}"#));
        }
    }
}

/// 1.1-04, 1.1-05, 1.1-07, 1.1-20.
#[test]
fn a_parameter_that_would_choose_the_key_or_change_the_meaning_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for more in [
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":["alg"]"#,
            r#""crit":"exp""#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""b64":false,"crit":["b64"]"#,
            r#""jwk":{"kty":"oct","k":"AAAA"}"#,
            r#""jwk":{"kty":"RSA","n":"AQ","e":"AQAB"}"#,
            r#""jku":"http://127.0.0.1:1/jwks""#,
            r#""x5u":"http://127.0.0.1:1/x""#,
            r#""x5c":["MIIB"]"#,
            r#""zip":"DEF""#,
            r#""enc":"A256GCM""#,
            r#""cty":"JWT""#,
            r#""cty":1"#,
            r#""typ":"JWE""#,
            r#""typ":"logout+jwt""#,
            r#""typ":null"#,
            r#""typ":["JWT"]"#,
            r#""typ":"""#,
        ] {
            let kid = &forge.stored.kid;
            refuse(forge, format!(r#"{{"alg":"{algorithm}","kid":"{kid}",{more}}}"#));
            refuse(forge, format!(r#"{{{more},"alg":"{algorithm}","kid":"{kid}"}}"#));
        }
    }
}

/// 1.1-11.
#[test]
fn a_header_that_is_no_plain_object_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let good = forge.header();
        let open = good.trim_end_matches('}');
        let deep = format!("{}{}", "[".repeat(1500), "]".repeat(1500));
        for header in [
            "{}",
            "[]",
            "null",
            "\"HS256\"",
            "",
            " ",
            open,
            &format!("[{good}]"),
            &format!("{good}x"),
            &format!("{good}{good}"),
            &format!("\u{feff}{good}"),
            &format!("{good}\0"),
            &format!("{open}/**/}}"),
            &format!("{open},}}"),
            &format!("{open},\"a\":NaN}}"),
            &format!("{open},\"a\":{deep}}}"),
            &format!("{open},\"a\":1,\"a\":1}}"),
        ] {
            refuse(forge, header);
        }
        refuse(forge, [open.as_bytes(), b",\"a\":\"\xff\"}"].concat());
        refuse(forge, good.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>());
    }
}

#[test]
fn a_header_may_say_what_kind_of_token_it_is() {
    for algorithm in FAMILIES {
        let (forge, kid) = (forge(algorithm), &forge(algorithm).stored.kid);
        for more in [r#""typ":"JWT""#, r#""typ":"jwt""#, r#""typ":"at+JWT""#, r#""x5t":"abc""#] {
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}",{more}}}"#);
            let result = forge.tokens.verify(&forge.sign(header, claims(&[])), NOW);
            assert!(result.is_ok(), "{more}: {result:?}");
        }
    }
}
