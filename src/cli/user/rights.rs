//! Roles and permissions: how one is typed, and a change of them in words for the audit trail.

/// Roles and permissions.
type Rights<'a> = (&'a [String], &'a [String]);

/// The name of one role or permission. A list is refused, which would be one name that no route
/// asks for.
pub(super) fn one_name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(|c: char| c == ',' || c.is_whitespace()) {
        return Err("expected one name, without commas and blanks; \
                    for several give the option again: --role editor --role admin");
    }
    Ok(text.to_owned())
}

/// Added (`+`) and removed (`-`) rights; `None` without any.
pub(super) fn difference(before: Rights<'_>, after: Rights<'_>) -> Option<String> {
    let parts = [("roles", before.0, after.0), ("permissions", before.1, after.1)];
    let parts = parts.into_iter().filter_map(|(noun, before, after)| {
        let given = after.iter().filter(|name| !before.contains(name));
        let taken = before.iter().filter(|name| !after.contains(name));
        let given = given.map(|name| format!(" +{}", word(name)));
        let changes: String = given.chain(taken.map(|name| format!(" -{}", word(name)))).collect();
        (!changes.is_empty()).then(|| format!("{noun}{changes}"))
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A name that could be read as several is quoted.
fn word(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/@".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_is_given_and_taken_is_named() {
        let owned =
            |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        let rows: [([&[&str]; 4], Option<&str>); 5] = [
            ([&[], &[], &[], &[]], None),
            ([&["a", "b"], &["p"], &["b", "a"], &["p"]], None),
            ([&["user"], &[], &["admin"], &["SMS"]], Some("roles +admin -user, permissions +SMS")),
            ([&[], &["a", "b"], &[], &[]], Some("permissions -a -b")),
            ([&[], &[], &["a -b", ""], &[]], Some("roles +\"a -b\" +\"\"")),
        ];
        for (sets, expected) in rows {
            let [roles, permissions, new_roles, new_permissions] = sets.map(owned);
            let found = difference((&roles, &permissions), (&new_roles, &new_permissions));
            assert_eq!(found.as_deref(), expected);
        }
    }
}
