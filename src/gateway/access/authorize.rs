//! Authorization: whether a verified identity may take a route.

use crate::auth::recent_login::check_recent;
use crate::clock::Timestamp;
use crate::config::RouteConfig;
use crate::operation::{ErrorCode, Principal, Rejection};

/// Checks an identity against a route's rules: any of its roles, all of its permissions, all of its
/// claims, and a recent login. A route without rules lets everybody in, with an identity or without.
///
/// # Errors
/// 403 with the rule in the reason; 401 when there are rules and no identity, or the login is too
/// old.
pub(crate) fn authorize(
    route: &RouteConfig,
    principal: Option<&Principal>,
    now: Timestamp,
) -> Result<(), Rejection> {
    let names_nobody =
        route.roles.is_empty() && route.permissions.is_empty() && route.claims.is_empty();
    if names_nobody && route.auth_age.is_none() {
        return Ok(());
    }
    let Some(principal) = principal else {
        return Err(Rejection::new(ErrorCode::MissingToken, "no token, and the route has rules"));
    };
    let has_role = |role| principal.roles.contains(role);
    if !route.roles.is_empty() && !route.roles.iter().any(has_role) {
        return Err(forbidden(format!("needs one of the roles {}", route.roles.join(", "))));
    }
    let lacks = |permission: &&String| !principal.permissions.contains(permission);
    if let Some(permission) = route.permissions.iter().find(lacks) {
        return Err(forbidden(format!("needs the permission {permission}")));
    }
    let differs = |(name, value): &(&String, &serde_json::Value)| {
        principal.claims.get(name.as_str()) != Some(*value)
    };
    if let Some((name, value)) = route.claims.iter().find(differs) {
        return Err(forbidden(format!("needs the claim {name} = {value}")));
    }
    // Last: whoever may not pass anyway is not asked to log in again.
    route.auth_age.map_or(Ok(()), |max_age| check_recent(principal, max_age, now))
}

fn forbidden(reason: String) -> Rejection {
    Rejection::new(ErrorCode::Forbidden, reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::authorize;
    use crate::clock::Timestamp;
    use crate::config::RouteConfig;
    use crate::gateway::fixtures::{principal, route};
    use crate::operation::ErrorCode;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    fn rules(
        roles: &[&str],
        permissions: &[&str],
        claim: Option<serde_json::Value>,
    ) -> RouteConfig {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let mut route = route("/*", &[]);
        route.roles = owned(roles);
        route.permissions = owned(permissions);
        route.claims = claim.map(|value| ("tenant".to_owned(), value)).into_iter().collect();
        route
    }

    #[test]
    fn a_route_lets_in_whom_its_rules_name() {
        let mut principal = principal();
        principal.roles = vec!["editor".to_owned()];
        principal.permissions = vec!["SMS".to_owned(), "FAME".to_owned()];
        principal.claims.insert("tenant".to_owned(), json!("acme"));
        let rows = [
            ("no rules", rules(&[], &[], None), None),
            ("one of the roles", rules(&["admin", "editor"], &[], None), None),
            ("none of the roles", rules(&["admin"], &[], None), Some("one of the roles admin")),
            ("roles are case-sensitive", rules(&["Editor"], &[], None), Some("roles Editor")),
            ("all permissions", rules(&[], &["SMS", "FAME"], None), None),
            ("one lacks", rules(&[], &["SMS", "MMS"], None), Some("permission MMS")),
            ("claim equal", rules(&[], &[], Some(json!("acme"))), None),
            ("claim differs", rules(&[], &[], Some(json!("evil"))), Some("tenant = \"evil\"")),
            ("claim of another type", rules(&[], &[], Some(json!(["acme"]))), Some("tenant")),
            ("role but not permission", rules(&["editor"], &["MMS"], None), Some("MMS")),
        ];
        for (name, route, refusal) in rows {
            match (authorize(&route, Some(&principal), NOW), refusal) {
                (Ok(()), None) => {}
                (Err(rejection), Some(reason)) => {
                    assert_eq!(rejection.code, ErrorCode::Forbidden, "{name}");
                    assert!(rejection.reason.contains(reason), "{name}: {}", rejection.reason);
                }
                (result, _) => panic!("{name}: {result:?}"),
            }
        }
    }

    #[test]
    fn a_login_must_be_as_recent_as_the_route_says() {
        let mut route = rules(&["admin"], &[], None);
        route.auth_age = Some(Duration::from_secs(300));
        let mut principal = principal();
        principal.roles = vec!["admin".to_owned()];
        for (at, passes) in
            [(None, false), (Some(699), false), (Some(700), true), (Some(1_000), true)]
        {
            principal.authenticated_at = at.map(Timestamp::from_seconds);
            let result = authorize(&route, Some(&principal), NOW).map_err(|it| it.code);
            let refused = Err(ErrorCode::ReauthenticationRequired);
            assert_eq!(result, if passes { Ok(()) } else { refused }, "{at:?}");
        }
        principal.roles.clear();
        let refused = authorize(&route, Some(&principal), NOW).unwrap_err();
        assert_eq!(refused.code, ErrorCode::Forbidden);
    }

    #[test]
    fn nobody_passes_no_rule() {
        assert!(authorize(&rules(&[], &[], None), None, NOW).is_ok());
        let refused = authorize(&rules(&["admin"], &[], None), None, NOW).unwrap_err();
        assert_eq!(refused.code, ErrorCode::MissingToken);
    }
}
