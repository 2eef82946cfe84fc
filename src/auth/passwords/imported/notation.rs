//! Reads hashes as their origins write them: PHC strings, crypt's, passlib's, Django's, Spring's.

use std::num::NonZero;

use argon2::{Algorithm, PasswordHash, Version};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};

use crate::auth::passwords::imported::scheme::{BcryptOver, HashFault, Pbkdf2Digest, Scheme};
use crate::encoding::decode_hex;

/// Padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest text that is read.
const LONGEST: usize = 1024;

const ARGON2: HashFault = HashFault::Malformed("a hash of Argon2");
const BCRYPT: HashFault = HashFault::Malformed("a hash of bcrypt");
const SCRYPT: HashFault = HashFault::Malformed("a hash of scrypt");
const PBKDF2: HashFault = HashFault::Malformed("a hash of PBKDF2");

pub(super) fn read(text: &str) -> Result<Scheme, HashFault> {
    if text.len() > LONGEST {
        return Err(HashFault::Unknown);
    }
    if let Some((id, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return spring(id, rest);
    }
    match text.split_once('$') {
        Some(("", rest)) => modular(text, rest),
        Some((algorithm, rest)) => django(algorithm, rest),
        None => Err(bare(text)),
    }
}

/// `$id$…`
fn modular(text: &str, rest: &str) -> Result<Scheme, HashFault> {
    let (id, rest) = rest.split_once('$').ok_or(HashFault::Unknown)?;
    match id {
        "argon2i" | "argon2d" | "argon2id" => argon2(text),
        "2a" | "2b" | "2y" => bcrypt(text, BcryptOver::Password),
        "scrypt" => phc_scrypt(rest),
        "pbkdf2" | "pbkdf2-sha1" => phc_pbkdf2(Pbkdf2Digest::Sha1, rest),
        "pbkdf2-sha256" => phc_pbkdf2(Pbkdf2Digest::Sha256, rest),
        "pbkdf2-sha512" => phc_pbkdf2(Pbkdf2Digest::Sha512, rest),
        "1" | "apr1" | "md5" => Err(HashFault::Weak),
        _ => Err(HashFault::Unknown),
    }
}

/// `algorithm$…`
fn django(algorithm: &str, rest: &str) -> Result<Scheme, HashFault> {
    match algorithm {
        "argon2" => argon2(&format!("${rest}")),
        "bcrypt" => bcrypt(rest, BcryptOver::Password),
        "bcrypt_sha256" => bcrypt(rest, BcryptOver::HexSha256),
        "scrypt" => django_scrypt(rest),
        "pbkdf2_sha1" => django_pbkdf2(Pbkdf2Digest::Sha1, rest),
        "pbkdf2_sha256" => django_pbkdf2(Pbkdf2Digest::Sha256, rest),
        "md5" | "sha1" | "unsalted_md5" | "unsalted_sha1" | "crypt" => Err(HashFault::Weak),
        _ => Err(HashFault::Unknown),
    }
}

/// `{id}…`; what the ids leave open is as Spring Security's factory methods have it.
fn spring(id: &str, rest: &str) -> Result<Scheme, HashFault> {
    match id {
        "bcrypt" => bcrypt(rest, BcryptOver::Password),
        "argon2" | "argon2@SpringSecurity_v5_8" => argon2(rest),
        "scrypt" | "scrypt@SpringSecurity_v5_8" => spring_scrypt(rest),
        "pbkdf2" => spring_pbkdf2(Pbkdf2Digest::Sha1, 185_000, 8, rest),
        "pbkdf2@SpringSecurity_v5_8" => spring_pbkdf2(Pbkdf2Digest::Sha256, 310_000, 16, rest),
        "noop" | "ldap" | "MD4" | "MD5" | "SHA-1" | "SHA-256" | "sha256" => Err(HashFault::Weak),
        _ => Err(HashFault::Unknown),
    }
}

/// The fault of a text without a marker: hex digits are a fast hash, and any other text may be the
/// password itself.
fn bare(text: &str) -> HashFault {
    let is_hex = text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { HashFault::Weak } else { HashFault::Unknown }
}

fn argon2(text: &str) -> Result<Scheme, HashFault> {
    let mut hash = PasswordHash::new(text).or(Err(ARGON2))?;
    Algorithm::try_from(hash.algorithm.as_str()).or(Err(ARGON2))?;
    // A string without a version is of the first one.
    let version = hash.version.unwrap_or_else(|| Version::V0x10.into());
    Version::try_from(version).or(Err(ARGON2))?;
    hash.version = Some(version);
    Ok(Scheme::Argon2(Box::new(hash)))
}

fn bcrypt(text: &str, over: BcryptOver) -> Result<Scheme, HashFault> {
    let known = ["$2a$", "$2b$", "$2y$"].iter().any(|id| text.starts_with(id));
    if !known || text.parse::<bcrypt::HashParts>().is_err() {
        return Err(BCRYPT);
    }
    Ok(Scheme::Bcrypt { text: text.to_owned(), over })
}

/// `ln=16,r=8,p=1$salt$hash`
fn phc_scrypt(rest: &str) -> Result<Scheme, HashFault> {
    let [params, salt, output] = fields(rest).ok_or(SCRYPT)?;
    let log_n = parameter(params, "ln").ok_or(SCRYPT)?;
    let (r, p) = parameter(params, "r").zip(parameter(params, "p")).ok_or(SCRYPT)?;
    scrypt(log_n, r, p, base64(salt).zip(base64(output)))
}

/// `N$salt$r$p$hash`, the salt as text.
fn django_scrypt(rest: &str) -> Result<Scheme, HashFault> {
    let [n, salt, r, p, output] = fields(rest).ok_or(SCRYPT)?;
    let n: u64 = n.parse().or(Err(SCRYPT))?;
    if !n.is_power_of_two() {
        return Err(SCRYPT);
    }
    let (r, p) = (r.parse().or(Err(SCRYPT))?, p.parse().or(Err(SCRYPT))?);
    let salt = salt.as_bytes().to_vec();
    scrypt(n.trailing_zeros(), r, p, base64(output).map(|output| (salt, output)))
}

/// `$params$salt$hash`: log2 N, r and p in one hexadecimal number.
fn spring_scrypt(rest: &str) -> Result<Scheme, HashFault> {
    let ["", params, salt, output] = fields(rest).ok_or(SCRYPT)? else { return Err(SCRYPT) };
    let params = u32::from_str_radix(params, 16).or(Err(SCRYPT))?;
    let (log_n, r, p) = (params >> 16, (params >> 8) & 0xff, params & 0xff);
    scrypt(log_n, r, p, base64(salt).zip(base64(output)))
}

fn scrypt(
    log_n: u32,
    r: u32,
    p: u32,
    parts: Option<(Vec<u8>, Vec<u8>)>,
) -> Result<Scheme, HashFault> {
    // The crate multiplies these without a check.
    if log_n == 0 || log_n > 30 || r > 1 << 20 || p > 1 << 8 {
        return Err(HashFault::Cost("scrypt takes up to 1 GiB, and p up to 16"));
    }
    let log_n = u8::try_from(log_n).or(Err(SCRYPT))?;
    let params = scrypt::Params::new(log_n, r, p).or(Err(SCRYPT))?;
    let (salt, output) = parts.ok_or(SCRYPT)?;
    Ok(Scheme::Scrypt { params, salt, output })
}

/// `i=600000,l=32$salt$hash`, or passlib's `600000$salt$hash`.
fn phc_pbkdf2(digest: Pbkdf2Digest, rest: &str) -> Result<Scheme, HashFault> {
    let [params, salt, output] = fields(rest).ok_or(PBKDF2)?;
    let rounds = match params.parse() {
        Ok(rounds) => rounds,
        Err(_) => parameter(params, "i").ok_or(PBKDF2)?,
    };
    let (salt, output) = base64(salt).zip(base64(output)).ok_or(PBKDF2)?;
    let length = parameter::<usize>(params, "l");
    if length.is_some_and(|length| length != output.len()) {
        return Err(PBKDF2);
    }
    pbkdf2(digest, rounds, salt, output)
}

/// `rounds$salt$hash`, the salt as text.
fn django_pbkdf2(digest: Pbkdf2Digest, rest: &str) -> Result<Scheme, HashFault> {
    let [rounds, salt, output] = fields(rest).ok_or(PBKDF2)?;
    let rounds = rounds.parse().or(Err(PBKDF2))?;
    pbkdf2(digest, rounds, salt.as_bytes().to_vec(), base64(output).ok_or(PBKDF2)?)
}

/// Salt and hash in hexadecimal digits, without a border between them.
fn spring_pbkdf2(
    digest: Pbkdf2Digest,
    rounds: u32,
    salt_bytes: usize,
    rest: &str,
) -> Result<Scheme, HashFault> {
    let bytes = decode_hex(rest).ok_or(PBKDF2)?;
    let (salt, output) = bytes.split_at_checked(salt_bytes).ok_or(PBKDF2)?;
    pbkdf2(digest, rounds, salt.to_vec(), output.to_vec())
}

fn pbkdf2(
    digest: Pbkdf2Digest,
    rounds: u32,
    salt: Vec<u8>,
    output: Vec<u8>,
) -> Result<Scheme, HashFault> {
    let rounds = NonZero::new(rounds).ok_or(PBKDF2)?;
    Ok(Scheme::Pbkdf2 { digest, rounds, salt, output })
}

/// The `N` fields between dollar signs, if there are as many.
fn fields<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

/// One of `name=number,…`.
fn parameter<T: std::str::FromStr>(params: &str, name: &str) -> Option<T> {
    let mut pairs = params.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// Reads base64, also as passlib writes it: with `.` for `+`.
fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('.', "+")).ok()
}
