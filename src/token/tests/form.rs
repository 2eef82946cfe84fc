//! The compact form and the payload: what is wrong with them however true the signature.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::config::Algorithm;
use crate::token::TokenError;
use crate::token::tests::forge::{FAMILIES, NOW, claims, forge};

/// 1.1-09, 1.1-10, 1.1-20.
#[test]
fn another_form_of_a_good_token_is_refused() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let good = forge.good();
        assert!(forge.tokens.verify(&good, NOW).is_ok());
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let raw = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
        let (cut, flipped) = (&signature[..signature.len() - 4], flip(&raw(signature)));
        let other = forge.with(&[("sub", "\"43\"")]);
        let other: Vec<&str> = other.split('.').collect();
        let rows = [
            ("empty", String::new()),
            ("one part", header.to_owned()),
            ("two parts", format!("{header}.{payload}")),
            ("signature empty", format!("{header}.{payload}.")),
            ("signature cut", format!("{header}.{payload}.{cut}")),
            ("signature longer", format!("{header}.{payload}.{signature}AAAA")),
            ("signature twice", format!("{header}.{payload}.{signature}{signature}")),
            ("signature flipped", format!("{header}.{payload}.{flipped}")),
            ("signature of zeroes", format!("{header}.{payload}.{}", "A".repeat(signature.len()))),
            ("payload of another", format!("{header}.{}.{signature}", other[1])),
            ("signature of another", format!("{header}.{payload}.{}", other[2])),
            ("payload empty", format!("{header}..{signature}")),
            ("header empty", format!(".{payload}.{signature}")),
            ("leading dot", format!(".{good}")),
            ("trailing dot", format!("{good}.")),
            ("four parts", format!("{good}.{signature}")),
            ("five parts", format!("{header}.{payload}.{signature}.{payload}.{signature}")),
            ("five parts, JWE", format!("{header}....{signature}")),
            ("header padded", format!("{header}=.{payload}.{signature}")),
            ("payload padded", format!("{header}.{payload}=.{signature}")),
            ("signature padded", format!("{header}.{payload}.{signature}=")),
            (
                "signature padded as it should",
                format!("{header}.{payload}.{}", URL_SAFE.encode(raw(signature)) + "=="),
            ),
            (
                "standard alphabet",
                format!("{header}.{payload}.{}+/", &signature[..signature.len() - 2]),
            ),
            ("standard signature", format!("{header}.{payload}.{}", STANDARD.encode([0xfb; 64]))),
            ("space before", format!(" {good}")),
            ("space after", format!("{good} ")),
            (
                "newline within",
                format!("{header}.{payload}.{}\n{}", &signature[..4], &signature[4..]),
            ),
            ("tab after a dot", format!("{header}.\t{payload}.{signature}")),
            ("junk after", format!("{good}~")),
            ("percent encoded dot", format!("{header}%2e{payload}.{signature}")),
            ("quoted", format!("\"{good}\"")),
            ("NUL", format!("{good}\0")),
            ("a letter beyond ASCII", format!("{good}é")),
            ("two tokens", format!("{good},{good}")),
        ];

        for (name, token) in rows {
            let result = forge.tokens.verify(&token, NOW);
            assert!(result.is_err(), "{algorithm}: {name} passed");
        }
    }
}

/// 1.1-10: every other spelling of the last character decodes to the same bytes.
#[test]
fn non_zero_trailing_bits_are_refused_in_every_part() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        for good in
            [forge.good(), forge.with(&[("pad", "\"x\"")]), forge.with(&[("pad", "\"xx\"")])]
        {
            let parts: Vec<&str> = good.split('.').collect();
            for at in 0..3 {
                for spelling in respellings(parts[at]) {
                    let mut changed = parts.clone();
                    changed[at] = &spelling;
                    let result = forge.tokens.verify(&changed.join("."), NOW);
                    assert!(result.is_err(), "{algorithm}: part {at} respelt passed");
                    // Truly signed over the respelt bytes as well.
                    let signed = forge.sign_parts(changed[0], changed[1]);
                    if at < 2 {
                        let result = forge.tokens.verify(&signed, NOW);
                        assert!(matches!(result, Err(TokenError::Malformed(_))), "{result:?}");
                    }
                }
            }
        }
    }
}

/// 1.1-11, 1.1-12, 1.1-20 for the payload.
#[test]
fn a_payload_that_is_no_plain_object_is_refused_though_truly_signed() {
    for algorithm in FAMILIES {
        let forge = forge(algorithm);
        let good = claims(&[]);
        let open = good.trim_end_matches('}');
        let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let rows: Vec<(&str, Vec<u8>)> = vec![
            ("nested JWT", forge.good().into_bytes()),
            ("array", format!("[{good}]").into_bytes()),
            ("string", b"\"a\"".to_vec()),
            ("number", b"1".to_vec()),
            ("cut", open.as_bytes().to_vec()),
            ("junk after", format!("{good}x").into_bytes()),
            ("two objects", format!("{good}{good}").into_bytes()),
            ("NUL after", format!("{good}\0").into_bytes()),
            ("byte order mark", format!("\u{feff}{good}").into_bytes()),
            ("comment", format!("{open}/* */}}").into_bytes()),
            ("NaN", format!("{open},\"a\":NaN}}").into_bytes()),
            ("trailing comma", format!("{open},}}").into_bytes()),
            ("UTF-16", utf16),
            ("invalid UTF-8", [open.as_bytes(), b",\"a\":\"\xff\"}"].concat()),
            ("exp twice, future first", format!("{open},\"exp\":1}}").into_bytes()),
            ("exp twice, the same", format!("{open},\"exp\":1800000900}}").into_bytes()),
            ("sub twice", format!("{open},\"sub\":\"1\"}}").into_bytes()),
            ("sub twice, escaped", format!("{open},\"s\\u0075b\":\"1\"}}").into_bytes()),
            ("another claim twice", format!("{open},\"a\":1,\"a\":2}}").into_bytes()),
            ("nested twice", format!("{open},\"a\":{{\"b\":1,\"b\":2}}}}").into_bytes()),
            (
                "1,500 levels",
                format!("{open},\"a\":{}{}}}", "[".repeat(1500), "]".repeat(1500)).into_bytes(),
            ),
        ];

        for (name, payload) in rows {
            let result = forge.tokens.verify(&forge.sign(forge.header(), payload), NOW);
            assert!(
                matches!(result, Err(TokenError::Malformed(_))),
                "{algorithm}: {name}: {result:?}"
            );
        }
    }
}

/// 1.1-19.
#[test]
fn a_token_over_the_limit_is_not_looked_at() {
    let forge = forge(Algorithm::Hs256);
    for size in [8193, 65_536, 1 << 20] {
        let result = forge.tokens.verify(&"a".repeat(size), NOW);
        assert_eq!(result.err(), Some(TokenError::TooLong { limit: 8192 }));
    }
}

fn flip(bytes: &[u8]) -> String {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The part with other characters at its end that mean the same bytes to a lenient decoder.
fn respellings(part: &str) -> Vec<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (spare, last) = match part.len() % 4 {
        2 => (4, part.len() - 1),
        3 => (2, part.len() - 1),
        _ => return Vec::new(),
    };
    let index = ALPHABET.find(&part[last..]).unwrap();
    (1..1 << spare)
        .map(|bits| format!("{}{}", &part[..last], &ALPHABET[index + bits..=index + bits]))
        .collect()
}
