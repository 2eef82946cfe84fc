//! QR codes, as an SVG draws them.

use qrcode::{Color, EcLevel};

use crate::pages::page::QrCode;

/// Light modules around the code that readers need (ISO/IEC 18004 §6.3.8).
const MARGIN: usize = 4;

/// The QR code of a text; `None` where it is too long for one.
pub(crate) fn draw(text: &str) -> Option<QrCode> {
    let code = qrcode::QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let colors = code.into_colors();
    let mut path = String::new();
    for (y, row) in colors.chunks(width.max(1)).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|left, right| left == right) {
            if run.first() == Some(&Color::Dark) {
                path.push_str(&format!("M{} {}.5h{}", x + MARGIN, y + MARGIN, run.len()));
            }
            x += run.len();
        }
    }
    Some(QrCode { size: width + 2 * MARGIN, path })
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn a_code_is_drawn_with_its_margin() {
        let code =
            draw("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=a").unwrap();

        // The upper edge of the first finder pattern: seven modules, below a margin of four.
        assert!(code.path.starts_with("M4 4.5h7M"), "{}", code.path);
        assert_eq!(code.size, 33 + 2 * 4);
        assert_eq!(draw(&"x".repeat(5000)), None);
    }
}
