//! Settings from the environment: `MUNJIGI_SERVER__SHUTDOWN_GRACE=5s`.

use std::collections::BTreeMap;

use crate::document::nearest;

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
        self.by_setting
            .iter()
            .filter(|((section, key), _)| !settings.contains(&(section, key)))
            .map(|((section, key), found)| (found.variable, hint(section, key, settings)))
            .collect()
    }
}

/// Section and key are compared apart: together, any two keys of one section look alike.
fn hint(section: &str, key: &str, settings: &[(&str, &str)]) -> String {
    let Some(section) = nearest(section, settings.iter().map(|(section, _)| *section)) else {
        return "MUNJIGI_SECTION__KEY sets a key of a fixed table".to_owned();
    };
    let keys = || settings.iter().filter(|(of, _)| *of == section).map(|(_, key)| *key);
    match nearest(key, keys()) {
        Some(key) => {
            let meant = format!("{PREFIX}{section}__{key}").to_uppercase();
            format!("did you mean `{meant}`?")
        }
        None => format!("[{section}] has {}", keys().collect::<Vec<_>>().join(", ")),
    }
}

const PREFIX: &str = "MUNJIGI_";
