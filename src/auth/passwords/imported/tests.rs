//! Hashes of other ecosystems: bcrypt, argon2-cffi, passlib, Django and Spring made them.

use std::collections::BTreeSet;

use super::{HashFault, ImportedHash};

const PASSWORD: &str = "correct horse";

/// Each of [`PASSWORD`].
const HASHES: &[(&str, &str)] = &[
    ("bcrypt 2b", "$2b$04$5MofnDZDJjC0ufkxM9MdCujeLL9KNDzBSwrHnYcvvcvkN9HVjpDEq"),
    ("bcrypt 2a", "$2a$04$COiAI.GreqeiS7lTFNP5E.7C8Sbx2VmPslvKT67EchD4.j1Yma4/6"),
    ("bcrypt 2y", "$2y$04$hy5k1twLKNmg9qW/pjzhiuh9uXzLX/UQG63ELRpGvbDvQFpLpg4qu"),
    (
        "argon2i of version 16",
        "$argon2i$v=16$m=64,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$iKk9Z+5f4UzD8DPhH7/2nwF71KVvvC6pNPJhylJLkyM",
    ),
    (
        "argon2id",
        "$argon2id$v=19$m=64,t=2,p=1$7hy6J9ZjiTQUAhjTgJhHEg$CNeSYDHMK765CNRZVOGeoykyM0T8pC3U9CMwOE5spoY",
    ),
    (
        "argon2i",
        "$argon2i$v=19$m=64,t=2,p=1$hUL5eQe5T1lSuG3CmtKkHg$+k865xRe7GH4PJgOJqDKGkUm61nYuLeSAhFuM6Z8g64",
    ),
    (
        "argon2d",
        "$argon2d$v=19$m=64,t=2,p=1$HcLb7chRix/g9y5T1zYVmg$LMDMuAmdgi1TdV7eFaudcTm8ucDxr/oXmW4dTr0qPOw",
    ),
    (
        "passlib's pbkdf2_sha256",
        "$pbkdf2-sha256$1000$as15rzXmnFOqldJ6T0nJWQ$rD/0gzOK12J45e2AuGe4ohPDnS.Hick7.pHPCEvtEGU",
    ),
    ("passlib's pbkdf2_sha1", "$pbkdf2$1000$pVRq7X1vjbEWQqi1tvbeOw$I1ZcLIdFKvP58L65iTv1AXE3KC8"),
    (
        "passlib's pbkdf2_sha512",
        "$pbkdf2-sha512$1000$51xLaa31PieE0HrPGQOAsA$4JpJUMou0Om9wrqFYOZ/b80uF/Edq2hB31tGBVAqTJYg3UM.HErlE6uNwz5lpAYzxZRz5hjO2NX4BcPj0rejnA",
    ),
    (
        "PHC pbkdf2-sha256",
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M",
    ),
    (
        "PHC pbkdf2-sha512",
        "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$OM0FAoIqCVK1sWtxDiffVlBejtLa+ks4TP71JiecwuSZCG8iLbnlIEPOMoVX+i2B2wkSxjQ8CRGR9OkNGuIPMQ",
    ),
    (
        "PHC scrypt",
        "$scrypt$ln=10,r=8,p=1$eq+1tpbSei8FQOi9t/YeAw$j6kQZ0uqX0LAFV99QRLfoTuHChHo+E0MGlMjbQ8yXEw",
    ),
    (
        "Django's pbkdf2_sha1",
        "pbkdf2_sha1$1000$seasalt1234567890abcde$9uCJjjk0apN1bQkJa2h6pBZsK/w=",
    ),
    (
        "Django's pbkdf2_sha256",
        "pbkdf2_sha256$1000$seasalt1234567890abcde$WRCDrV/lUfwiwZ6E4g0pAfVZ/NbQbI7F/emyw9mTLBM=",
    ),
    (
        "Django's argon2",
        "argon2$argon2id$v=19$m=512,t=2,p=8$c2Vhc2FsdDEyMzQ1Njc4OTBhYmNkZQ$bPxOiGZe7ErwxvjeoPivML1+yhGKU3I5N2quzsQv1Gg",
    ),
    (
        "Django's bcrypt_sha256",
        "bcrypt_sha256$$2b$04$ItJaLeTcWPjFOXm.Q7xsf.3LKsaEAWO67OhgLX375TF4ZThS6DnUO",
    ),
    ("Django's bcrypt", "bcrypt$$2b$04$EgSE4JsAHjlTOQP9XAnRXuNS9A7VhtYxV/Ok9j8hmv5RvCJeUCmAK"),
    (
        "Django's scrypt",
        "scrypt$1024$seasalt1234567890abcde$8$5$4721ZGhinHHDzxf3xh7Qk2A2P+r9dlHHOMh3a4q6DH5/JO2V6YwrgTQU4Z6WbradLTv4tHBs1ddBhm+RLIH3gA==",
    ),
    (
        "Spring's pbkdf2, 256 bits",
        "{pbkdf2}0102030405060708e8ce648fa282262e5ef215fb148ba2f143e66d90e0f912179fa69d17e466954a",
    ),
    (
        "Spring's pbkdf2, 160 bits",
        "{pbkdf2}0102030405060708e8ce648fa282262e5ef215fb148ba2f143e66d90",
    ),
    (
        "Spring's pbkdf2 of 5.8",
        "{pbkdf2@SpringSecurity_v5_8}0102030405060708090a0b0c0d0e0f10d74a25a9210a19da17dac14247636c9a5aeaeca4ba7126b1aaa45448206f6602",
    ),
    (
        "Spring's scrypt of 5.8",
        "{scrypt@SpringSecurity_v5_8}$100801$AQIDBAUGBwgJCgsMDQ4PEA==$pNOIejdYHvzXJd29ukg7ijy3IczJ24xlaGFTnMTc0Cc=",
    ),
    (
        "Spring's scrypt",
        "{scrypt}$e0801$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$4pL4ZBfRI15oIPTo7+dRikG2g2McoIxdNciTm/VWSRI=",
    ),
    (
        "Spring's argon2",
        "{argon2}$argon2id$v=19$m=4096,t=3,p=1$AQIDBAUGBwgJCgsMDQ4PEA$DfGUDQgY5xvL+ygbFPwWCsB8rAjszWO+UEctIS79Iwg",
    ),
    ("Spring's bcrypt", "{bcrypt}$2a$10$JdhN.Lk5YhL6TZzENpcP3uyvNkmJA3vUtpU8jJU1q140AwnLgZjLm"),
];
const KOREAN: &str = "$2b$04$c/f2eSO9CJu2sdwVIf.Mb.D39Aoc9L4YdPdjDIzl.TELNPJqY2yVq";
const EIGHTY_X: &str = "$2b$04$8Rud.9OgBABevZ4eyyfefOJf6S9RoHIfG1GG3gxBb.WYI5UzPAMYi";

fn read(text: &str) -> ImportedHash {
    ImportedHash::read(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

#[test]
fn hashes_of_every_origin_accept_their_password_and_no_other() {
    for (name, text) in HASHES {
        let hash = read(text);

        assert!(hash.accepts(PASSWORD), "{name}");
        // Spring's costs are its own, and high.
        let others = ["correct Horse", "correct horse ", "correct hors", ""];
        let most = if text.starts_with('{') { 1 } else { 4 };
        for other in others.iter().take(most) {
            assert!(!hash.accepts(other), "{name}: {other:?}");
        }
    }
    assert!(read(KOREAN).accepts("비밀번호 1234"));
    assert!(!read(KOREAN).accepts("비밀번호 1235"));
}

#[test]
fn what_is_stored_is_marked_and_reads_as_the_same_hash() {
    let mut kinds = BTreeSet::new();
    for (name, text) in HASHES {
        let hash = read(text);

        let stored = hash.stored();

        assert_eq!(ImportedHash::from_stored(&stored), Some(Ok(hash.clone())), "{name}");
        let marked = stored.strip_prefix("imported:").expect(name);
        assert!(ImportedHash::from_stored(marked).is_none(), "{name}");
        assert_eq!(read(marked), hash, "{name}");
        kinds.insert(marked.split('$').take(2).collect::<Vec<_>>().join("$"));
    }
    let expected = [
        "$2a",
        "$2b",
        "$2y",
        "$argon2d",
        "$argon2i",
        "$argon2id",
        "$pbkdf2-sha1",
        "$pbkdf2-sha256",
        "$pbkdf2-sha512",
        "$scrypt",
        "bcrypt_sha256$",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

#[test]
fn bcrypt_looks_at_72_bytes() {
    let hash = read(EIGHTY_X);

    for (length, expected) in [(80, true), (72, true), (200, true), (71, false)] {
        assert_eq!(hash.accepts(&"x".repeat(length)), expected, "{length}");
    }
}

#[test]
fn a_nul_ends_the_password_only_where_crypt_made_the_hash() {
    let with_nul = format!("{PASSWORD}\0and more");
    for (id, expected) in [("2a", false), ("2b", false), ("2y", true)] {
        let (_, text) =
            HASHES.iter().find(|(_, text)| text.starts_with(&format!("${id}$"))).expect(id);

        assert_eq!(read(text).accepts(&with_nul), expected, "{id}");
        assert!(!read(text).accepts("correct\0horse"), "{id}");
    }
}

#[test]
fn absurd_costs_are_refused() {
    let find = |name: &str| HASHES.iter().find(|(found, _)| *found == name).expect(name).1;
    let bcrypt = |cost: &str| find("bcrypt 2b").replace("$04$", cost);
    let argon2 = |params: &str| find("argon2id").replace("m=64,t=2,p=1", params);
    let scrypt = |params: &str| find("PHC scrypt").replace("ln=10,r=8,p=1", params);
    let pbkdf2 = |params: &str| find("PHC pbkdf2-sha256").replace("i=1000,l=32", params);
    let django = |rounds: &str| find("Django's pbkdf2_sha256").replace("$1000$", rounds);
    let django_scrypt = |n: &str| find("Django's scrypt").replace("$1024$", n);
    let spring_scrypt = |params: &str| find("Spring's scrypt").replace("$e0801$", params);
    let long = "A".repeat(100);
    let rows = [
        ("bcrypt 17", bcrypt("$17$")),
        ("bcrypt 31", bcrypt("$31$")),
        ("bcrypt 3", bcrypt("$03$")),
        ("Argon2 memory", argon2("m=1048577,t=2,p=1")),
        ("Argon2 passes", argon2("m=64,t=51,p=1")),
        ("Argon2 lanes", argon2("m=4096,t=2,p=65")),
        ("scrypt memory", scrypt("ln=21,r=8,p=1")),
        ("scrypt n", scrypt("ln=31,r=1,p=1")),
        ("scrypt r", scrypt("ln=4,r=1048577,p=1")),
        ("scrypt lanes", scrypt("ln=10,r=8,p=17")),
        ("scrypt lanes that overflow", scrypt("ln=10,r=8,p=4294967295")),
        ("Django's scrypt memory", django_scrypt("$2097152$")),
        ("Spring's scrypt memory", spring_scrypt("$150801$")),
        ("PBKDF2 rounds", pbkdf2("i=10000001,l=32")),
        ("PBKDF2 output", find("PHC pbkdf2-sha512").replace("l=64", "l=139") + &long),
        ("Django's rounds", django("$10000001$")),
    ];
    for (name, text) in rows {
        let fault = ImportedHash::read(&text).expect_err(name);
        assert!(matches!(fault, HashFault::Cost(_)), "{name}: {fault}");
        assert!(matches!(ImportedHash::from_stored(&format!("imported:{text}")), Some(Err(_))));
    }
}

#[test]
fn short_hashes_are_refused() {
    for (name, text) in [
        ("PBKDF2", "$pbkdf2-sha256$i=1000,l=8$MDEyMzQ1Njc4OWFiY2RlZg$AAAAAAAAAAA"),
        ("no salt", "$pbkdf2-sha256$1000$$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M"),
        ("scrypt", "$scrypt$ln=10,r=8,p=1$3BvD+P//f08JIQTg3Ntbyw$AAAAAAAAAAA"),
        ("Argon2", "$argon2id$v=19$m=64,t=2,p=1$Vx01LbRXaldPtILXDt7xYA$AAAAAAAAAAAAAAAA"),
        ("Argon2 without any", "$argon2id$v=19$m=64,t=2,p=1$Vx01LbRXaldPtILXDt7xYA"),
        ("Spring's PBKDF2", "{pbkdf2}0102030405060708e8ce648fa282262e"),
    ] {
        assert_eq!(ImportedHash::read(text), Err(HashFault::Short), "{name}");
    }
}

#[test]
fn weak_hashes_are_refused_by_name() {
    for text in [
        "{noop}correct horse",
        "{MD5}5f4dcc3b5aa765d61d8327deb882cf99",
        "{SHA-256}5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "{sha256}5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "sha1$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$apr1$salt$xxxxxxxxxxxxxxxxxxxxxx",
    ] {
        assert_eq!(ImportedHash::read(text), Err(HashFault::Weak), "{text}");
    }
}

#[test]
fn what_is_no_hash_is_refused_and_never_a_panic() {
    for (name, text) in HASHES {
        // Cut in its last part, any other is a shorter hash.
        let last = text.rfind(['$', '}']).expect("a border");
        for end in (0..text.len()).filter(|end| *end <= last || name.contains("bcrypt")) {
            assert!(ImportedHash::read(&text[..end]).is_err(), "{name}: {end}");
        }
    }
    for text in ["", "$", "$$", "{", "{}", "{}x", "correct horse", "가", "$2b$", "$2x$04$"] {
        assert!(ImportedHash::read(text).is_err(), "{text}");
    }
    for text in ["$".repeat(1024), "x".repeat(1 << 20), "0".repeat(1 << 20)] {
        assert!(ImportedHash::read(&text).is_err());
    }
    for text in ["$6$salt$hash", "pbkdf2:sha256:1000$salt$00", "{unknown}x", "$7$abc$def"] {
        assert_eq!(ImportedHash::read(text), Err(HashFault::Unknown), "{text}");
    }
    for text in [
        "$2b$04$xtDYl31Wtd8.g6Il7m8p.umyUEfAqlEt9W5UlsGwaoWtF7a001aD",
        "$2b$xx$xtDYl31Wtd8.g6Il7m8p.umyUEfAqlEt9W5UlsGwaoWtF7a001aDG",
        "bcrypt$$2x$04$xtDYl31Wtd8.g6Il7m8p.umyUEfAqlEt9W5UlsGwaoWtF7a001aDG",
        "$pbkdf2-sha256$0$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M",
        "$pbkdf2-sha256$i=1,l=31$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M",
        "pbkdf2_sha256$-1$salt$WRCDrV/lUfwiwZ6E4g0pAfVZ/NbQbI7F/emyw9mTLBM=",
        "scrypt$1000$salt$8$5$AAAA",
        "{pbkdf2}0102zz",
        "{pbkdf2}010",
        "$argon2x$v=19$m=64,t=2,p=1$Vx01LbRXaldPtILXDt7xYA$kWaxUooYfVn9wuYEtd",
        "$argon2id$v=20$m=64,t=2,p=1$Vx01LbRXaldPtILXDt7xYA$kWaxUooYfVn9wuYEtd/m3jh6enqM6ODGjugjNwtU/pg",
        "$argon2id$v=19$m=64,t=2,p=1,keyid=AAAA$Vx01LbRXaldPtILXDt7xYA$kWaxUooYfVn9wuYEtd/m3jh6enqM6ODGjugjNwtU/pg",
    ] {
        let fault = ImportedHash::read(text).expect_err(text);
        assert!(matches!(fault, HashFault::Malformed(_) | HashFault::Unknown), "{text}: {fault}");
    }
}
