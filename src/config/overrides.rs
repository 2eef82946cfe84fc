//! Settings from the environment: `MUNJIGI_SERVER__SHUTDOWN_GRACE=5s`.

use std::collections::BTreeMap;

use crate::config::expected::nearest;

/// The variables that override a setting, and which settings there are to override.
#[derive(Debug, Default)]
pub(crate) struct Overrides<'e> {
    by_setting: BTreeMap<(String, String), Override<'e>>,
}

/// One variable with its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Override<'e> {
    /// The variable's name.
    pub(crate) variable: &'e str,
    /// Its value.
    pub(crate) value: &'e str,
}

impl<'e> Overrides<'e> {
    /// Collects `MUNJIGI_SECTION__KEY`; names without `__` are not settings.
    pub(crate) fn collect(environment: &'e BTreeMap<String, String>) -> Self {
        let by_setting = environment
            .iter()
            .filter_map(|(variable, value)| {
                let (section, key) = variable.strip_prefix(PREFIX)?.split_once("__")?;
                let setting = (section.to_ascii_lowercase(), key.to_ascii_lowercase());
                Some((setting, Override { variable, value }))
            })
            .collect();
        Self { by_setting }
    }

    /// The override of a setting.
    pub(crate) fn find(&self, section: &str, key: &str) -> Option<Override<'e>> {
        self.by_setting.get(&(section.to_owned(), key.to_owned())).copied()
    }

    /// The variables that name none of the settings, each with a hint.
    pub(crate) fn unknown(&self, settings: &[(&str, &str)]) -> Vec<(&'e str, String)> {
        let names: Vec<String> =
            settings.iter().map(|(section, key)| format!("{section}__{key}")).collect();
        self.by_setting
            .iter()
            .filter(|((section, key), _)| !settings.contains(&(section, key)))
            .map(|((section, key), found)| {
                let given = format!("{section}__{key}");
                let hint = match nearest(&given, names.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{PREFIX}{}`?", name.to_uppercase()),
                    None => "MUNJIGI_SECTION__KEY sets a key of a fixed table".to_owned(),
                };
                (found.variable, hint)
            })
            .collect()
    }
}

const PREFIX: &str = "MUNJIGI_";
