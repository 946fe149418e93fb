//! The server certificates that sender certificates may name by a number. Source: sheet 07 section 2.
//!
//! 2 belongs to Signal's staging service and 3 to its production. The third is for tests: anybody has its private key, so
//! it is worth nothing unless somebody trusts its root. Which root is trusted is always the caller's word.

/// Bytes of the certificate with the number `id`.
pub(super) fn certificate(id: u32) -> Option<&'static [u8]> {
    match id {
        2 => Some(&STAGING),
        3 => Some(&PRODUCTION),
        TEST_ID => Some(&TEST),
        _ => None,
    }
}

const TEST_ID: u32 = 0x7357_C357;

const STAGING: [u8; 105] = bytes(
    "0a25080212210539450d63ebd0752c0fd4038b9d07a916f5e174b756d409b5ca79f4c97400631e\
     124064c5a38b1e927497d3d4786b101a623ab34a7da3954fae126b04dba9d7a3604e\
     d88cdc8550950f0d4a9134ceb7e19b94139151d2c3d6e1c81e9d1128aafca806",
);

const PRODUCTION: [u8; 105] = bytes(
    "0a250803122105bc9d1d290be964810dfa7e94856480a3f7060d004c9762c24c575a1522353a5a\
     1240c11ec3c401eb0107ab38f8600e8720a63169e0e2eb8a3fae24f63099f85ea319\
     c3c1c46d3454706ae2a679d1fee690a488adda98a2290b66c906bb60295ed781",
);

const TEST: [u8; 109] = bytes(
    "0a2908d786df9a07122105847c0d2c375234f365e660955187a3735a0f7613d1609d3a6a4d8c53aeaa5a22\
     1240e0b9ebacdfc3aa2827f7924b697784d1c25e44ca05dd433e1a38dc6382eb2730\
     d419ca9a250b1be9d5a9463e61efd6781777a91b83c97b844d014206e2829785",
);

/// Bytes written in hex; anything else does not compile.
const fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let hex = hex.as_bytes();
    assert!(hex.len() == 2 * N);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}

const fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => unreachable!(),
    }
}

/// The roots that signed them.
#[cfg(test)]
pub(super) const TRUST_ROOTS: &[(u32, [u8; 33])] = &[
    (
        2,
        bytes("058854ead3e3a8fe3a286644cd1b3538be14dfd5797653c9fd7d3d85ae2b12b926"),
    ),
    (
        3,
        bytes("054918d08fbdfa83e00c29f8f8073a22ef35df2bea903aff81af03ccbc45c6e93a"),
    ),
    (
        TEST_ID,
        bytes("052fe57da347cd62431528daac5fbb290730fff684afc4cfc2ed90995f58cb3b74"),
    ),
];
