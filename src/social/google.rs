//! Google: token info names the client of a token, OpenID Connect's user info its account.

use http::Uri;
use http::uri::PathAndQuery;
use serde::Deserialize;
use serde_json::Value;

use crate::config::ProviderConfig;
use crate::encoding::percent_encode;
use crate::operation::Provider;
use crate::secret::Secret;
use crate::social::client::Client;
use crate::social::{Profile, SocialError, TokenRefusal};

#[derive(Deserialize)]
struct TokenInfo {
    /// The application that it was made for.
    aud: String,
    /// The application that requested it, where the two differ.
    azp: Option<String>,
    /// Left out without the scope `openid` or `profile`.
    sub: Option<String>,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    email_verified: Option<Value>,
}

pub(super) async fn profile(
    client: &Client,
    config: &ProviderConfig,
    token: &Secret<String>,
) -> Result<Profile, SocialError> {
    let tokeninfo = with_token(&config.tokeninfo_url, token)?;
    let made: TokenInfo = client.get(tokeninfo, None).await?.accepted()?;
    if !made.is_for(&config.applications) {
        return Err(SocialError::Refused(TokenRefusal::Application));
    }
    let Some(id) = made.sub else { return Err(SocialError::Refused(TokenRefusal::Anonymous)) };
    let user: UserInfo = client.get(config.userinfo_url.clone(), Some(token)).await?.accepted()?;
    if user.sub != id {
        return Err(SocialError::Refused(TokenRefusal::TwoUsers));
    }
    let verified_email = match &user.email_verified {
        Some(Value::Bool(true)) => user.email,
        Some(Value::String(verified)) if verified == "true" => user.email,
        _ => None,
    };
    let verified_email = verified_email.and_then(|email| email.parse().ok());
    Ok(Profile { provider: Provider::Google, id, verified_email })
}

impl TokenInfo {
    fn is_for(&self, applications: &[String]) -> bool {
        let is_ours = |id: &String| applications.contains(id);
        applications.is_empty() || (is_ours(&self.aud) && self.azp.as_ref().is_none_or(is_ours))
    }
}

/// The URI with `access_token` in its query, where Google expects it.
fn with_token(uri: &Uri, token: &Secret<String>) -> Result<Uri, SocialError> {
    let no_token = Err(SocialError::Refused(TokenRefusal::NoToken));
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mark = if path.contains('?') { '&' } else { '?' };
    let text = format!("{path}{mark}access_token={}", percent_encoded(token.expose()));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).or(no_token)?);
    Uri::from_parts(parts).or(Err(SocialError::Refused(TokenRefusal::NoToken)))
}

/// Everything but the unreserved characters (RFC 3986 §2.3) is encoded.
fn percent_encoded(text: &str) -> String {
    percent_encode(text, b"-._~")
}

#[cfg(test)]
mod tests {
    use super::{TokenInfo, with_token};
    use crate::secret::Secret;

    #[test]
    fn a_token_cannot_add_to_the_question() {
        for (url, token, expected) in [
            ("https://a.example", "ya29.a-_~", "https://a.example/?access_token=ya29.a-_~"),
            (
                "https://a.example/t",
                "a&id_token=b#c",
                "https://a.example/t?access_token=a%26id_token%3Db%23c",
            ),
            (
                "https://a.example/t?v=3",
                "a+b/=",
                "https://a.example/t?v=3&access_token=a%2Bb%2F%3D",
            ),
        ] {
            let uri = with_token(&url.parse().unwrap(), &Secret::from(token)).unwrap();

            assert_eq!(uri.to_string(), expected);
        }
    }

    #[test]
    fn every_application_that_a_token_names_has_to_be_ours() {
        let ours = ["web".to_owned(), "ios".to_owned()];
        for (aud, azp, expected) in [
            ("web", None, true),
            ("web", Some("ios"), true),
            ("other", None, false),
            ("other", Some("web"), false),
            ("web", Some("other"), false),
            ("", None, false),
        ] {
            let azp = azp.map(str::to_owned);
            let made = TokenInfo { aud: aud.to_owned(), azp, sub: None };

            assert_eq!(made.is_for(&ours), expected, "{aud} {:?}", made.azp);
            assert!(made.is_for(&[]), "without any application configured");
        }
    }
}
