//! Kakao: token info names the app of a token, `user/me` its account.

use serde::Deserialize;

use crate::config::ProviderConfig;
use crate::operation::Provider;
use crate::secret::Secret;
use crate::social::client::{Client, ProviderReply};
use crate::social::{Profile, SocialError, TokenRefusal};

#[derive(Deserialize)]
struct TokenInfo {
    id: i64,
    app_id: AppId,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum AppId {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct User {
    id: i64,
    /// Left out where the user consented to nothing in it.
    kakao_account: Option<KakaoAccount>,
}

#[derive(Deserialize)]
struct KakaoAccount {
    email: Option<String>,
    /// False where the address belongs to another Kakao account by now.
    is_email_valid: Option<bool>,
    is_email_verified: Option<bool>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: i64,
}

pub(super) async fn profile(
    client: &Client,
    config: &ProviderConfig,
    token: &Secret<String>,
) -> Result<Profile, SocialError> {
    let answer = client.get(config.tokeninfo_url.clone(), Some(token)).await?;
    refuse_outage(&answer)?;
    let made: TokenInfo = answer.accepted()?;
    if !made.app_id.is_among(&config.applications) {
        return Err(SocialError::Refused(TokenRefusal::Application));
    }
    let answer = client.get(config.userinfo_url.clone(), Some(token)).await?;
    refuse_outage(&answer)?;
    let user: User = answer.accepted()?;
    if user.id != made.id {
        return Err(SocialError::Refused(TokenRefusal::TwoUsers));
    }
    let verified_email = user.kakao_account.and_then(KakaoAccount::verified_email);
    let verified_email = verified_email.and_then(|email| email.parse().ok());
    Ok(Profile { provider: Provider::Kakao, id: user.id.to_string(), verified_email })
}

/// Kakao answers 400 for outages of its own as well: only the code tells.
fn refuse_outage(answer: &ProviderReply) -> Result<(), SocialError> {
    match answer.json::<ErrorBody>() {
        Some(ErrorBody { code }) if OUTAGES.contains(&code) && !answer.is_ok() => {
            Err(answer.outage())
        }
        _ => Ok(()),
    }
}

impl AppId {
    fn is_among(&self, applications: &[String]) -> bool {
        let id = match self {
            Self::Number(id) => &id.to_string(),
            Self::Text(id) => id,
        };
        applications.is_empty() || applications.contains(id)
    }
}

impl KakaoAccount {
    fn verified_email(self) -> Option<String> {
        let is_good = self.is_email_valid == Some(true) && self.is_email_verified == Some(true);
        self.email.filter(|_| is_good)
    }
}

/// An internal error, maintenance, quotas, a time-out, maintenance again (Kakao's "Error code").
const OUTAGES: [i64; 6] = [-1, -7, -10, -11, -603, -9798];
