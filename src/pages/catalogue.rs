//! The texts of the pages, by language and key.

use std::collections::BTreeMap;

use crate::operation::Language;

const ENGLISH: &str = include_str!("../../config/pages/texts.en.toml");
const KOREAN: &str = include_str!("../../config/pages/texts.ko.toml");

/// The texts of a language.
pub(crate) type Texts = BTreeMap<String, String>;

/// The texts of every language.
#[derive(Debug)]
pub(crate) struct Catalogue {
    english: Texts,
    korean: Texts,
}

impl Catalogue {
    /// Reads the built-in texts.
    ///
    /// # Errors
    /// When one of the files is no table of texts, which tests rule out.
    pub(crate) fn built_in() -> Result<Self, toml::de::Error> {
        Ok(Self { english: toml::from_str(ENGLISH)?, korean: toml::from_str(KOREAN)? })
    }

    /// The texts of a language.
    pub(crate) const fn texts(&self, language: Language) -> &Texts {
        match language {
            Language::English => &self.english,
            Language::Korean => &self.korean,
        }
    }
}

/// A text with values in its places.
pub(crate) fn fill(text: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::{Catalogue, fill};
    use crate::operation::Language;

    #[test]
    fn every_text_stands_in_every_language_with_the_same_places() {
        let catalogue = Catalogue::built_in().unwrap();
        let [english, korean] = [Language::English, Language::Korean].map(|l| catalogue.texts(l));
        let places = |text: &str| {
            let mut places: Vec<String> = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.to_owned()))
                .collect();
            places.sort();
            places
        };
        assert!(english.keys().eq(korean.keys()));
        for (key, text) in english {
            assert_eq!(places(text), places(&korean[key]), "{key}");
            assert!(!text.trim().is_empty() && !korean[key].trim().is_empty(), "{key}");
        }
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(fill("at least {n}, {m}", &[("n", "8"), ("m", "9")]), "at least 8, 9");
    }
}
