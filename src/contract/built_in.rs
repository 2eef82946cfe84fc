//! The contracts that are compiled in.

/// A contract file, as in `config/contracts/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct BuiltIn {
    /// Its path in the project, for places in messages.
    pub(super) path: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

/// The names, in alphabetical order.
pub(super) const NAMES: [&str; 6] = ["auth-api", "fame", "standard", "username", "zdm", "zipcheck"];

/// The file of a name.
pub(super) fn find(name: &str) -> Option<BuiltIn> {
    let file = |path, text| Some(BuiltIn { path, text });
    match name {
        "auth-api" => file(
            "config/contracts/auth-api.toml",
            include_str!("../../config/contracts/auth-api.toml"),
        ),
        "fame" => {
            file("config/contracts/fame.toml", include_str!("../../config/contracts/fame.toml"))
        }
        "standard" => file(
            "config/contracts/standard.toml",
            include_str!("../../config/contracts/standard.toml"),
        ),
        "username" => file(
            "config/contracts/username.toml",
            include_str!("../../config/contracts/username.toml"),
        ),
        "zdm" => file("config/contracts/zdm.toml", include_str!("../../config/contracts/zdm.toml")),
        "zipcheck" => file(
            "config/contracts/zipcheck.toml",
            include_str!("../../config/contracts/zipcheck.toml"),
        ),
        _ => None,
    }
}
