//! A page: which one, and what it shows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::operation::Language;

/// A hosted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// Asks for account and password.
    SignIn,
    /// Makes an account.
    SignUp,
    /// Asks for the code that proves an address.
    Verify,
    /// Asks for the address that gets a code.
    Reset,
    /// Asks for that code and a new password.
    ResetCode,
    /// Lists the sessions.
    Sessions,
    /// Asks for the old and a new password.
    Password,
    /// Asks for the second factor.
    SecondFactor,
    /// Shows the second factor, or sets it up.
    SecondFactorSetUp,
    /// Shows new recovery codes.
    RecoveryCodes,
    /// Asks whether to sign out.
    SignOut,
    /// Says why a page is not shown.
    Error,
}

/// A site, as its pages show it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SiteLook {
    /// The name shown; empty: the host that was asked for.
    pub(crate) name: String,
    /// The prefix of the pages.
    pub(crate) prefix: String,
    /// URL of the privacy policy, or empty.
    pub(crate) privacy: String,
    /// URL of help, or empty.
    pub(crate) help: String,
    /// How accounts are named at a sign-in: `email`, `username` or `either`.
    pub(crate) names: &'static str,
    /// Whether accounts can be made.
    pub(crate) sign_up: bool,
    /// The inputs of a sign-up, in order.
    pub(crate) sign_up_inputs: Vec<SignUpInput>,
    /// Whether a forgotten password can be reset.
    pub(crate) reset: bool,
    /// Whether mails are sent, so that an address can be proven.
    pub(crate) mails: bool,
    /// Whether sessions are listed.
    pub(crate) sessions: bool,
    /// Whether the password can be changed.
    pub(crate) password: bool,
    /// Whether there is a second factor.
    pub(crate) second_factor: bool,
    /// Fewest characters of a new password.
    pub(crate) password_min: u64,
    /// Most bytes of a password.
    pub(crate) password_max: u64,
}

/// An input of a sign-up.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SignUpInput {
    /// `email`, `username`, `password` or `attribute`.
    pub(crate) kind: &'static str,
    /// Its name in the form.
    pub(crate) name: String,
    /// Its label, for an attribute.
    pub(crate) label: String,
    /// Whether it may be left out.
    pub(crate) required: bool,
    /// Most characters.
    pub(crate) max: usize,
}

/// A text of the catalogue, with the values of its places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its key.
    pub(crate) key: &'static str,
    /// The values.
    pub(crate) values: Vec<(&'static str, String)>,
}

/// A notice above a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// `good`, `warn` or `bad`.
    pub(crate) kind: &'static str,
    /// The text.
    pub(crate) text: Said,
    /// A second sentence.
    pub(crate) more: Option<Said>,
}

/// The content of a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// The notice.
    pub(crate) notice: Option<Notice>,
    /// The faults of fields, by their names.
    pub(crate) faults: BTreeMap<String, Said>,
    /// The values of fields that are kept, by their names; never passwords.
    pub(crate) kept: BTreeMap<String, String>,
    /// The field that gets the focus.
    pub(crate) focus: &'static str,
    /// The address that a code went to.
    pub(crate) email: String,
    /// The seconds until a code can be sent again.
    pub(crate) wait: u64,
    /// The seconds until a form that was refused may be sent again (RFC 9110 §10.2.3).
    pub(crate) retry_after: Option<u64>,
    /// The account that is signed in.
    pub(crate) who: String,
    /// Its sessions.
    pub(crate) sessions: Vec<SessionRow>,
    /// The second factor.
    pub(crate) factor: FactorText,
    /// The error.
    pub(crate) error: ErrorText,
}

/// The second factor, as its pages show it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FactorText {
    /// Whether a recovery code is asked for.
    pub(crate) recovery: bool,
    /// Whether it is set up before the first session, so that nobody is signed in yet.
    pub(crate) first: bool,
    /// The text that confirms the secret.
    pub(crate) setup: String,
    /// The secret, in groups.
    pub(crate) secret: String,
    /// The QR code: its size in modules, and their outline.
    pub(crate) qr: Option<QrCode>,
    /// Since when it is on (RFC 3339); empty: it is off.
    pub(crate) since: String,
    /// In words.
    pub(crate) since_shown: String,
    /// Recovery codes that are left.
    pub(crate) left: usize,
    /// Whether the account has a password.
    pub(crate) has_password: bool,
    /// Remembered devices.
    pub(crate) devices: Vec<DeviceRow>,
    /// New recovery codes.
    pub(crate) codes: Vec<String>,
}

/// A QR code (ISO/IEC 18004) as an SVG draws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct QrCode {
    /// Modules of a side, margin included.
    pub(crate) size: usize,
    /// The path of the dark modules.
    pub(crate) path: String,
}

/// A remembered device in the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceRow {
    /// Its id.
    pub(crate) id: String,
    /// The device in words, or empty.
    pub(crate) device: String,
    /// `phone` or `computer`.
    pub(crate) icon: &'static str,
    /// Until when (RFC 3339).
    pub(crate) until: String,
    /// In words.
    pub(crate) until_shown: String,
    /// Whether it is this one.
    pub(crate) current: bool,
}

/// A session in the list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SessionRow {
    /// Its id.
    pub(crate) id: String,
    /// The device in words, or empty.
    pub(crate) device: String,
    /// `phone` or `computer`.
    pub(crate) icon: &'static str,
    /// `User-Agent`, where it is no browser's.
    pub(crate) agent: Option<String>,
    /// The address it was opened from.
    pub(crate) address: String,
    /// When it was opened (RFC 3339), and in words.
    pub(crate) created_at: String,
    /// In words.
    pub(crate) created_shown: String,
    /// When it was last used (RFC 3339).
    pub(crate) last_used_at: String,
    /// In words.
    pub(crate) last_used_shown: String,
    /// Whether it is this one.
    pub(crate) current: bool,
}

/// The words of an error.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ErrorText {
    /// The status.
    pub(crate) status: u16,
    /// The gate of the mark: `shut`, `open` or `none`.
    pub(crate) gate: &'static str,
    /// Key of the title.
    pub(crate) title: &'static str,
    /// Key of the sentence below it; empty: none.
    pub(crate) lead: &'static str,
    /// `account`, `again` or `start`.
    pub(crate) offers: &'static str,
    /// Seconds until a retry makes sense.
    pub(crate) seconds: u64,
    /// The request's id.
    pub(crate) request_id: String,
    /// The instant (RFC 3339), and in words.
    pub(crate) at: String,
    /// In words.
    pub(crate) at_shown: String,
}

/// The circumstances in which a page is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The site.
    pub(crate) look: &'a SiteLook,
    /// The host that was asked for.
    pub(crate) host: &'a str,
    /// The language.
    pub(crate) language: Language,
    /// The token of its forms.
    pub(crate) form_token: &'a str,
    /// The address to go back to.
    pub(crate) return_to: &'a str,
    /// Path and query of the page itself.
    pub(crate) here: &'a str,
}

impl Said {
    /// A text without places.
    pub(crate) const fn plain(key: &'static str) -> Self {
        Self { key, values: Vec::new() }
    }

    /// A text with a number in its one place.
    pub(crate) fn with(key: &'static str, name: &'static str, value: u64) -> Self {
        Self { key, values: vec![(name, value.to_string())] }
    }
}

impl Notice {
    /// A success.
    pub(crate) const fn good(text: Said) -> Self {
        Self { kind: "good", text, more: None }
    }

    /// A fault of a form.
    pub(crate) const fn bad(text: Said) -> Self {
        Self { kind: "bad", text, more: None }
    }

    /// A refusal that time mends.
    pub(crate) const fn warning(text: Said, more: Option<Said>) -> Self {
        Self { kind: "warn", text, more }
    }
}

impl PageKind {
    /// Every page.
    pub(crate) const ALL: [Self; 12] = [
        Self::SignIn,
        Self::SignUp,
        Self::Verify,
        Self::Reset,
        Self::ResetCode,
        Self::Sessions,
        Self::Password,
        Self::SecondFactor,
        Self::SecondFactorSetUp,
        Self::RecoveryCodes,
        Self::SignOut,
        Self::Error,
    ];

    /// The name of its template.
    pub(crate) const fn template(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in.html",
            Self::SignUp => "sign_up.html",
            Self::Verify => "verify.html",
            Self::Reset => "reset.html",
            Self::ResetCode => "reset_code.html",
            Self::Sessions => "sessions.html",
            Self::Password => "password.html",
            Self::SecondFactor => "second_factor.html",
            Self::SecondFactorSetUp => "second_factor_setup.html",
            Self::RecoveryCodes => "recovery_codes.html",
            Self::SignOut => "sign_out.html",
            Self::Error => "error.html",
        }
    }
}
