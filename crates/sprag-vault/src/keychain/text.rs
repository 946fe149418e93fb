//! How a secret is written into an entry: `1:` and its bytes in Base64, since some keychains keep text alone.

use base64::{Engine, engine::general_purpose::STANDARD};
use sprag::vault::{Secret, VaultError};
use zeroize::Zeroizing;

const VERSION: u32 = 1;

/// What entries hold that only have to be there.
pub(super) const MARK: &[u8] = b"1:";

pub(super) fn encode(secret: &Secret) -> Zeroizing<String> {
    // In one piece from the beginning: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str("1:");
    STANDARD.encode_string(secret.as_bytes(), &mut text);
    text
}

/// Reads a secret.
///
/// # Errors
/// [`VaultError::TooNew`] for another version, [`VaultError::Tampered`] for what is none.
pub(super) fn decode(kept: &[u8]) -> Result<Secret, VaultError> {
    let unreadable = || VaultError::Tampered {
        detail: "an entry holds no secret".to_owned(),
    };
    let text = str::from_utf8(kept).map_err(|_| unreadable())?;
    let (version, encoded) = text.split_once(':').ok_or_else(unreadable)?;
    let found = version.parse().map_err(|_| unreadable())?;
    if found > VERSION {
        return Err(VaultError::TooNew {
            found,
            supported: VERSION,
        });
    }
    // Room for what three quarters of any text of this length can be.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = STANDARD.decode_slice(encoded, &mut *bytes);
    match bytes.first_chunk() {
        Some(secret) if found == VERSION && length == Ok(32) => Ok(Secret::from_bytes(secret)),
        _ => Err(unreadable()),
    }
}

/// The value that an entry of an anchor stands for.
pub(super) fn value(user: &str) -> Result<u64, VaultError> {
    user.parse().map_err(|_| VaultError::Tampered {
        detail: "an entry of an anchor is no number".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_versioned_base64() {
        let secret = Secret::from_bytes(&[0xfb; 32]);
        let text = encode(&secret);
        assert_eq!(*text, "1:+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=");
        assert_eq!(decode(text.as_bytes()).unwrap().as_bytes(), &[0xfb; 32]);
    }

    #[test]
    fn anything_else_is_refused() {
        for (kept, code) in [
            ("", "vault-tampered"),
            ("1:", "vault-tampered"),
            (
                "+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=",
                "vault-tampered",
            ),
            (
                "0:+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=",
                "vault-tampered",
            ),
            (
                "1:+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7",
                "vault-tampered",
            ),
            (
                "1:+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+w==",
                "vault-tampered",
            ),
            ("2:whatever", "vault-too-new"),
        ] {
            assert_eq!(decode(kept.as_bytes()).unwrap_err().code(), code, "{kept}");
        }
    }

    proptest! {
        #[test]
        fn comes_back(bytes: [u8; 32]) {
            let text = encode(&Secret::from_bytes(&bytes));
            let decoded = decode(text.as_bytes()).unwrap();
            prop_assert_eq!(decoded.as_bytes(), &bytes);
        }

        #[test]
        fn nothing_panics(kept: Vec<u8>) {
            let _ = decode(&kept);
        }
    }
}
