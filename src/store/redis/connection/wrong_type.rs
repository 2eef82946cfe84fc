//! Names keys of the wrong type, which were overwritten by hand.
//!
//! A server that refuses a command on such a key does not name it.

use crate::store::redis::connection::call::Call;
use crate::store::redis::connection::topology::Route;
use crate::store::redis::keyspace::Keyspace;

/// A description of the keys of the wrong type; `None` where none is found.
pub(in crate::store::redis) async fn wrong_types<'a>(
    route: &Route,
    space: &Keyspace,
    keys: impl IntoIterator<Item = &'a [u8]>,
) -> Option<String> {
    let mut found = Vec::new();
    for key in keys {
        let name = String::from_utf8_lossy(key);
        let Some(wanted) = space.type_of(&name) else { continue };
        let question = redis::cmd("TYPE").arg(key).to_owned();
        let held: String = route.ask(Call::command(&question)).await.ok()?;
        if held != wanted && held != "none" {
            found.push(format!("key `{name}` is a {held}, not a {wanted}"));
        }
    }
    (!found.is_empty()).then(|| found.join("; "))
}
