//! The public keys of a site as a JWK Set (RFC 7517 §5).

use serde_json::{Value, json};

use crate::token::KeyRing;
use crate::token::key::Key;

/// Lists the public halves, without revoked keys; a secret has none.
pub(super) fn set(ring: &KeyRing) -> Value {
    let living = ring.keys.iter().filter(|key| !ring.is_revoked(key));
    let keys: Vec<Value> = living.filter_map(|key| public(key)).collect();
    json!({ "keys": keys })
}

fn public(key: &Key) -> Option<Value> {
    let parameters = key.material.public.as_ref()?;
    let mut jwk = serde_json::to_value(parameters).ok()?;
    let members = jwk.as_object_mut()?;
    members.insert("kid".to_owned(), key.kid.as_str().into());
    members.insert("use".to_owned(), "sig".into());
    members.insert("alg".to_owned(), key.algorithm.name().into());
    Some(jwk)
}
