//! Service ids: the account (ACI) and phone-number (PNI) identifiers that Signal uses as names.
//! Source: sheet 01 section 2.

use std::fmt;

pub use uuid::Uuid;

/// Which of an account's two identities a service id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceIdKind {
    /// Account identifier.
    Aci = 0,
    /// Phone-number identifier.
    Pni = 1,
}

/// A service id. Ordered by kind, then by the bytes of the UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    kind: ServiceIdKind,
    uuid: Uuid,
}

impl ServiceId {
    /// The account identifier with this UUID. No version or variant is asked for.
    pub fn aci(uuid: Uuid) -> Self {
        Self {
            kind: ServiceIdKind::Aci,
            uuid,
        }
    }

    /// The phone-number identifier with this UUID.
    pub fn pni(uuid: Uuid) -> Self {
        Self {
            kind: ServiceIdKind::Pni,
            uuid,
        }
    }

    /// Parses the text form: a hyphenated UUID of 36 characters, with the exact prefix `PNI:` for a
    /// phone-number identifier. Digits may be of either case.
    pub fn parse_string(text: &str) -> Option<Self> {
        let (kind, uuid) = match text.strip_prefix("PNI:") {
            Some(uuid) => (ServiceIdKind::Pni, uuid),
            None => (ServiceIdKind::Aci, text),
        };
        // 36 characters leave the hyphenated form as the only one that the parser takes.
        if uuid.len() != 36 {
            return None;
        }
        Some(Self {
            kind,
            uuid: Uuid::try_parse(uuid).ok()?,
        })
    }

    /// Parses the variable-width form: 16 bytes for an ACI, `01` and 16 bytes for a PNI.
    pub fn parse_binary(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [1, uuid @ ..] if uuid.len() == 16 => Some(Self::pni(Uuid::from_slice(uuid).ok()?)),
            uuid => Some(Self::aci(Uuid::from_slice(uuid).ok()?)),
        }
    }

    /// Parses the fixed-width form: `00` (ACI) or `01` (PNI) and 16 bytes.
    pub fn parse_fixed_width_binary(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, uuid) => Some(Self::aci(Uuid::from_slice(uuid).ok()?)),
            (1, uuid) => Some(Self::pni(Uuid::from_slice(uuid).ok()?)),
            _ => None,
        }
    }

    /// Which identity it names.
    pub fn kind(&self) -> ServiceIdKind {
        self.kind
    }

    /// The UUID, whose 16 bytes are [`Uuid::as_bytes`].
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The variable-width form, 16 or 17 bytes.
    pub fn to_binary(&self) -> Vec<u8> {
        match self.kind {
            ServiceIdKind::Aci => self.uuid.as_bytes().to_vec(),
            ServiceIdKind::Pni => self.to_fixed_width_binary().to_vec(),
        }
    }

    /// The fixed-width form, 17 bytes.
    pub fn to_fixed_width_binary(&self) -> [u8; 17] {
        let mut bytes = [0; 17];
        bytes[0] = self.kind as u8;
        bytes[1..].copy_from_slice(self.uuid.as_bytes());
        bytes
    }

    /// The fixed-width forms of several ids, one after the other.
    pub fn concatenate_fixed_width(ids: impl IntoIterator<Item = Self>) -> Vec<u8> {
        let forms = ids.into_iter().map(|id| id.to_fixed_width_binary());
        forms.flatten().collect()
    }
}

/// The text form that [`ServiceId::parse_string`] reads.
impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.kind {
            ServiceIdKind::Aci => "",
            ServiceIdKind::Pni => "PNI:",
        };
        write!(f, "{prefix}{}", self.uuid.hyphenated())
    }
}

/// The form for logs, `<ACI:…>` or `<PNI:…>`.
impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ServiceIdKind::Aci => "ACI",
            ServiceIdKind::Pni => "PNI",
        };
        write!(f, "<{kind}:{}>", self.uuid.hyphenated())
    }
}
