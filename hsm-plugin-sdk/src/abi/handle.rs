//! What a guest holds instead of a key or a PIN, and what a key is opened for.

use super::wire::{Reader, Wire};

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(u32);

        impl $name {
            /// The handle of entry `index` of a session's table. Only a host makes handles that mean something.
            #[must_use]
            pub const fn from_index(index: u32) -> Self {
                Self(index)
            }

            /// The entry of the session's table.
            #[must_use]
            pub const fn index(self) -> u32 {
                self.0
            }
        }

        impl Wire<'_> for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn get(from: &mut Reader<'_>) -> Option<Self> {
                u32::get(from).map(Self)
            }
        }
    };
}

handle! {
    /// A key that the host holds for this request. It knows its purpose and is void when the request ends.
    KeyHandle
}
handle! {
    /// A PIN that the host holds for this request. It is void when the request ends.
    PinHandle
}

handle! {
    /// A natural PIN of the IBM method that the host holds for this request. It is void when the request ends.
    NaturalPinHandle
}

impl Wire<'_> for Vec<KeyHandle> {
    fn put(&self, out: &mut Vec<u8>) {
        // A session holds far fewer handles than 32 bits can count.
        (self.len() as u32).put(out);
        self.iter().for_each(|handle| handle.put(out));
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        (0..u32::get(from)?).map(|_| KeyHandle::get(from)).collect()
    }
}

/// What a key is opened, generated or imported for: a key type code of the variant LMK, or a role that a security setting or
/// a key block decides.
///
/// The three characters are the key type code (`001` for a ZPK) where there is one (keys.md section 2). Which LMK pair and
/// variant, or which key usages of a key block, that means is the host's knowledge.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPurpose([u8; 3]);

macro_rules! purposes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl KeyPurpose {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")]
            pub const $name: Self = Self(*match $code.as_bytes().first_chunk::<3>() {
                Some(code) => code,
                None => b"???",
            });)*

            /// Every purpose with a name.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

purposes! {
    ZMK = "000", "zone master key";
    ZMK_COMPONENT = "100", "zone master key component";
    ZPK = "001", "zone PIN key";
    PVK = "002", "PIN verification key";
    TPK = "TPK", "terminal PIN key: 002, or 70D where key type 002 is separated";
    TMK = "TMK", "terminal master key: 002, or 80D where key type 002 is separated";
    TERMINAL = "TMT", "any key of LMK pair 14-15 variant 0: TMK, TPK or PVK (legacy commands)";
    PIN_KEY = "PIN", "a ZPK or TPK whose key block says which";
    IKEY = "302", "DUKPT initial key";
    CVK = "402", "card verification key pair";
    TAK = "003", "terminal authentication key";
    WWK = "006", "watchword key";
    ZAK = "008", "zone authentication key";
    ZEK = "00A", "zone encryption key";
    DEK = "00B", "data encryption key";
    TEK = "30B", "terminal encryption key";
    BDK = "BDK", "base derivation key of any type, as its key block says";
    BDK_1 = "009", "base derivation key type 1";
    BDK_2 = "609", "base derivation key type 2";
    BDK_3 = "809", "base derivation key type 3";
    BDK_4 = "909", "base derivation key type 4";
    MK_AC = "109", "issuer master key for application cryptograms";
    MK_SMI = "209", "issuer master key for secure messaging with integrity";
    MK_SMC = "309", "issuer master key for secure messaging with confidentiality";
    MK_DAC = "409", "issuer master key for data authentication codes";
    MK_DN = "509", "issuer master key for ICC dynamic numbers";
    MK_CVC3 = "709", "issuer master key for CVC3";
    HMAC = "10C", "HMAC key";
    RSA_PRIVATE = "00C", "RSA private key";
    MK_ZKA = "607", "ZKA master key";
    WRAPPING_KEY = "WRP", "ZMK or TMK that a key is exported under";
    RSA_PUBLIC = "00D", "RSA public key, which a MAC protects";
    NEW_KEY = "NEW", "a key made or imported in this request, not yet in a key block";
    KEY_BLOCK = "FFF", "whatever the key block says";
}

impl KeyPurpose {
    /// The purpose with this key type code, in either case of letters. The host refuses codes it does not know.
    #[must_use]
    pub const fn from_code(code: [u8; 3]) -> Self {
        let [a, b, c] = code;
        Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()])
    }

    /// The three characters.
    #[must_use]
    pub const fn code(self) -> [u8; 3] {
        self.0
    }

    /// The three characters as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl core::fmt::Debug for KeyPurpose {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Wire<'_> for KeyPurpose {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn get(from: &mut Reader<'_>) -> Option<Self> {
        <[u8; 3]>::get(from).map(Self::from_code)
    }
}
