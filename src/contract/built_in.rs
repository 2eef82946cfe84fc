//! The contracts that are compiled in.

/// A contract file, as it stands in `config/contracts/`.
#[derive(Clone, Copy, Debug)]
pub(super) struct BuiltIn {
    /// Its path in the project, for places in messages.
    pub(super) path: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

/// The names, in alphabetical order.
pub(super) const NAMES: [&str; 2] = ["standard", "zdm"];

/// The file of a name.
pub(super) fn find(name: &str) -> Option<BuiltIn> {
    match name {
        "standard" => Some(BuiltIn {
            path: "config/contracts/standard.toml",
            text: include_str!("../../config/contracts/standard.toml"),
        }),
        "zdm" => Some(BuiltIn {
            path: "config/contracts/zdm.toml",
            text: include_str!("../../config/contracts/zdm.toml"),
        }),
        _ => None,
    }
}
