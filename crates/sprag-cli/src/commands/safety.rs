//! Safety numbers, for people and for cameras.

use qrcode::{EcLevel, QrCode, Version, bits::Bits, render::unicode::Dense1x2, types::QrError};
use serde::Serialize;
use sprag::{
    Fingerprint, ProtocolAddress,
    protocol::fingerprint::{DisplayableFingerprint, ScannableFingerprint},
};

use super::place::Place;
use crate::{arguments::Look, error::CliError, formats::Base64, output};

/// `sprag safety-number --json`.
#[derive(Serialize)]
struct SafetyNumberJson {
    version: u32,
    /// 60 digits.
    displayable: String,
    scannable: Base64,
}

pub(crate) async fn show(
    place: &Place,
    peer: &ProtocolAddress,
    look: Look,
) -> Result<(), CliError> {
    let number = place.account().await?.safety_number(peer).await?;
    if look.json {
        return output::json(&SafetyNumberJson::from(&number));
    }
    if look.qr {
        output::line(&draw(&number.scannable()))?;
    }
    output::line(&lines(&number.displayable()))
}

impl From<&Fingerprint> for SafetyNumberJson {
    fn from(number: &Fingerprint) -> Self {
        Self {
            version: number.version(),
            displayable: number.displayable().to_string(),
            scannable: Base64(number.scannable().as_bytes().to_vec()),
        }
    }
}

/// Three lines of four blocks.
fn lines(number: &DisplayableFingerprint) -> String {
    let blocks: Vec<_> = number.blocks().collect();
    let lines: Vec<_> = blocks.chunks(4).map(|line| line.join(" ")).collect();
    lines.join("\n")
}

/// The code for a terminal that writes light on dark: what is dark in the code is left out.
fn draw(code: &ScannableFingerprint) -> String {
    match encode(code.as_bytes()) {
        Ok(code) => code
            .render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build(),
        Err(error) => format!("the code cannot be drawn: {error}"),
    }
}

/// A QR code in byte mode alone: others would be read back as text.
fn encode(bytes: &[u8]) -> Result<QrCode, QrError> {
    let mut bits = Bits::new(VERSION);
    bits.push_byte_data(bytes)?;
    bits.push_terminator(LEVEL)?;
    QrCode::with_bits(bits, LEVEL)
}

/// The smallest that has room for a code with any version number, 78 bytes.
const VERSION: Version = Version::Normal(5);
const LEVEL: EcLevel = EcLevel::M;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is light in the drawing, by row and column.
    fn modules(drawing: &str) -> Vec<Vec<bool>> {
        let halves = |character| match character {
            ' ' => [false, false],
            '\u{2580}' => [true, false],
            '\u{2584}' => [false, true],
            '\u{2588}' => [true, true],
            other => unreachable!("{other:?} is not drawn"),
        };
        let rows = drawing.lines().flat_map(|line| {
            let row = |half: usize| line.chars().map(|c| halves(c)[half]).collect::<Vec<_>>();
            [row(0), row(1)]
        });
        rows.collect()
    }

    /// The drawing as a camera sees it, read by another library.
    fn scan(drawing: &str) -> Vec<u8> {
        const SCALE: usize = 4;
        let modules = modules(drawing);
        let (width, height) = (modules[0].len() * SCALE, modules.len() * SCALE);
        let light = |x: usize, y: usize| {
            if modules[y / SCALE][x / SCALE] {
                255
            } else {
                0
            }
        };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, light);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        let mut read = Vec::new();
        let data = grids[0].decode_to(&mut read).expect("the code is readable");
        assert_eq!(data.version.0, 5);
        read
    }

    #[test]
    fn a_drawn_code_is_read_back() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        // Kanji, digits and letters would be shorter in modes of their own.
        let tempting = [
            b"0123456789012345678901234567890".as_slice(),
            b"ABCDEFGHIJK",
            &[0x93, 0x5f],
        ]
        .concat();
        for bytes in [
            &all[..74],
            &all[128..206],
            &all[178..],
            &tempting,
            b"",
            &[0xff; 78],
        ] {
            let drawing = draw(&ScannableFingerprint::from_bytes(bytes));
            assert_eq!(scan(&drawing), bytes);
        }
    }

    #[test]
    fn the_code_has_a_quiet_zone() {
        let modules = modules(&draw(&ScannableFingerprint::from_bytes([7; 74])));
        let width = 37 + 2 * 4;
        assert!(modules.iter().all(|row| row.len() == width));
        let quiet = |row: &[bool]| row.iter().all(|light| *light);
        assert!(modules[..4].iter().all(|row| quiet(row)));
        assert!(modules[41..45].iter().all(|row| quiet(row)));
        for row in &modules[..45] {
            assert!(quiet(&row[..4]) && quiet(&row[41..]));
        }
    }
}
