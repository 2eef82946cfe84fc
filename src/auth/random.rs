//! Random texts: codes and passwords.

use zeroize::Zeroizing;

use crate::operation::Rejection;
use crate::secret::Secret;

/// The characters that a text is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Decimal digits.
    Digits,
    /// Letters and digits that are not confused: no `0` and `O`, `1`, `I` and `l`, `o`.
    Unambiguous,
    /// The lower-case letters and digits among them, for texts whose case does not matter.
    UnambiguousLower,
}

impl Alphabet {
    /// Draws a text of `length` characters, each as likely as any other.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn draw(self, length: usize) -> Result<Secret<String>, Rejection> {
        let characters = self.characters();
        // Bytes at or above the last multiple would make the first characters likelier.
        let fair = 256 - 256 % characters.len();
        // With room for all of it from the start, no copy of a part is left behind.
        let mut text = Zeroizing::new(String::with_capacity(length));
        let mut bytes = Zeroizing::new([0_u8; 32]);
        while text.len() < length {
            fill(&mut *bytes)?;
            let fitting = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < fair);
            let drawn = fitting.filter_map(|byte| characters.get(byte % characters.len()));
            let missing = length - text.len();
            text.extend(drawn.take(missing).map(|byte| char::from(*byte)));
        }
        Ok(Secret::new(std::mem::take(&mut *text)))
    }

    /// All of them ASCII.
    const fn characters(self) -> &'static [u8] {
        match self {
            Self::Digits => b"0123456789",
            Self::UnambiguousLower => b"23456789abcdefghjkmnpqrstuvwxyz",
            Self::Unambiguous => b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz",
        }
    }
}

/// Fills a buffer with random bytes.
///
/// # Errors
/// When the system gives none.
pub(super) fn fill(bytes: &mut [u8]) -> Result<(), Rejection> {
    let none = |_| Rejection::internal("the system gave no random bytes");
    aws_lc_rs::rand::fill(bytes).map_err(none)
}

#[cfg(test)]
mod tests {
    use super::Alphabet;

    #[test]
    fn a_text_has_its_length_and_its_alphabet() {
        for alphabet in [Alphabet::Digits, Alphabet::Unambiguous, Alphabet::UnambiguousLower] {
            for length in [0, 1, 6, 16, 31, 32, 33, 300] {
                let text = alphabet.draw(length).unwrap();

                assert_eq!(text.expose().len(), length, "{alphabet:?}");
                let known = |byte: u8| alphabet.characters().contains(&byte);
                assert!(text.expose().bytes().all(known), "{alphabet:?} {length}");
            }
        }
    }

    #[test]
    fn every_character_is_drawn_alike() {
        const DRAWS: u32 = 600_000;
        // Chi-squared with 9 and 55 degrees of freedom: chance goes beyond these less than once in
        // ten million runs. Without the limit on bytes it is 220 and 7,500.
        for (alphabet, bound) in [(Alphabet::Digits, 52.0), (Alphabet::Unambiguous, 140.0)] {
            let text = alphabet.draw(DRAWS as usize).unwrap();
            let mut counts = [0_u32; 256];
            text.expose().bytes().for_each(|byte| counts[usize::from(byte)] += 1);

            let expected = f64::from(DRAWS) / alphabet.characters().len() as f64;
            let counts = alphabet.characters().iter().map(|byte| counts[usize::from(*byte)]);
            let squares = counts.map(|count| (f64::from(count) - expected).powi(2) / expected);
            let squares: f64 = squares.sum();

            assert!(squares < bound, "{alphabet:?}: {squares}");
        }
    }

    #[test]
    fn two_texts_differ() {
        let draw = || Alphabet::Unambiguous.draw(16).unwrap();

        assert_ne!(draw(), draw());
    }
}
