//! Tokens with any one character changed, claims of any JSON, and no tokens at all.

use proptest::prelude::Strategy;
use proptest::sample::{Index, select};
use proptest::{prop_oneof, proptest};

use crate::config::Algorithm;
use crate::token::tests::forge::{FAMILIES, ISSUER, NOW, claims, forge};

#[derive(Clone, Debug)]
enum Change {
    Set(char),
    Insert(char),
    Remove,
}

fn change() -> impl Strategy<Value = Change> {
    let character = || prop_oneof![proptest::char::range('\0', '\u{7f}'), proptest::char::any()];
    prop_oneof![
        character().prop_map(Change::Set),
        character().prop_map(Change::Insert),
        proptest::strategy::Just(Change::Remove),
    ]
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    select(FAMILIES.to_vec())
}

proptest! {
    #[test]
    fn a_token_with_one_character_changed_is_refused(
        algorithm in algorithm(),
        at in proptest::prelude::any::<Index>(),
        change in change(),
    ) {
        let forge = forge(algorithm);
        let good = forge.good();
        let mut characters: Vec<char> = good.chars().collect();
        let at = at.index(characters.len());
        match change {
            Change::Set(character) => characters[at] = character,
            Change::Insert(character) => characters.insert(at, character),
            Change::Remove => {
                characters.remove(at);
            }
        }
        let changed: String = characters.into_iter().collect();

        let result = forge.tokens.verify(&changed, NOW);

        proptest::prop_assert!(changed == good || result.is_err(), "{} passed", changed);
    }

    #[test]
    fn signed_claims_of_any_json_are_refused_or_read_as_others_read_them(
        name in select(vec!["iss", "aud", "sub", "jti", "sid", "gen", "iat", "exp", "roles", "x"]),
        text in "([\\[{]{0,20}|(\"[a-z\\\\u0-9]{0,8}\"[:,]?|-?[0-9.e]{1,20},?|null|[\\[\\]{},]){0,4})",
    ) {
        let forge = forge(Algorithm::Hs256);
        let claims = claims(&[(name, &text)]);

        if let Ok(verified) = forge.tokens.verify(&forge.sign(forge.header(), &claims), NOW) {
            let read: serde_json::Value = serde_json::from_str(&claims).unwrap();
            proptest::prop_assert_eq!(&read["iss"], ISSUER);
            proptest::prop_assert_eq!(&read["sub"], verified.principal.subject.as_str());
        }
    }

    #[test]
    fn no_text_at_all_is_taken_or_brings_it_down(text in "\\PC{0,300}", part in "[A-Za-z0-9_.-]{0,300}") {
        let forge = forge(Algorithm::Hs256);

        proptest::prop_assert!(forge.tokens.verify(&text, NOW).is_err());
        proptest::prop_assert!(forge.tokens.verify(&part, NOW).is_err());
    }
}
