//! What a guess at a passphrase costs.

use sprag::vault::VaultError;

/// The cost of Argon2id (RFC 9106): what opening a vault takes, and what each guess takes of whoever has
/// its file.
///
/// The default is what the RFC recommends where memory is scarce: 64 MiB, 3 passes, 4 lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The greatest memory, 1 GiB, in KiB.
    pub const MAX_MEMORY_KIB: u32 = 1 << 20;
    /// The greatest number of passes over the memory.
    pub const MAX_PASSES: u32 = 16;
    /// The greatest number of lanes.
    pub const MAX_LANES: u32 = 16;

    /// A cost of `memory_kib` KiB, at least 8 for each lane, and so many passes and lanes; `None` if one is 0 or
    /// above its maximum. A vault file that asks for more is refused before anything is spent on it.
    ///
    /// Less than the default is for tests alone.
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let sane = lanes >= 1
            && lanes <= Self::MAX_LANES
            && passes >= 1
            && passes <= Self::MAX_PASSES
            && memory_kib >= 8 * lanes
            && memory_kib <= Self::MAX_MEMORY_KIB;
        if sane {
            Some(Self {
                memory_kib,
                passes,
                lanes,
            })
        } else {
            None
        }
    }

    /// The memory in KiB.
    #[must_use]
    pub const fn memory_kib(&self) -> u32 {
        self.memory_kib
    }

    /// How often the memory is gone over.
    #[must_use]
    pub const fn passes(&self) -> u32 {
        self.passes
    }

    /// How many lanes could be gone over at once.
    #[must_use]
    pub const fn lanes(&self) -> u32 {
        self.lanes
    }

    /// Whether a guess takes less memory, or fewer passes, than at another cost.
    #[must_use]
    pub const fn is_below(&self, other: &Self) -> bool {
        self.memory_kib < other.memory_kib || self.passes < other.passes
    }

    pub(super) const LENGTH: usize = 12;

    pub(super) fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let numbers = [self.memory_kib, self.passes, self.lanes];
        for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Result<Self, VaultError> {
        let number = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self::new(number(0), number(4), number(8)).ok_or_else(|| VaultError::Tampered {
            detail: "it asks for a derivation that is out of range".to_owned(),
        })
    }
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            memory_kib: 64 << 10,
            passes: 3,
            lanes: 4,
        }
    }
}
