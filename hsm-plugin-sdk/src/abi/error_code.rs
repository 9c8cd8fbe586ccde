//! The two-character error codes of the host interface (host.md section 2, keys.md section 8).

/// A two-character error code as it stands in a response.
///
/// The type is open: any two bytes are a code, so a plugin may answer one that this table does not name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode([u8; 2]);

macro_rules! error_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")]
            pub const $name: Self = Self::new($code);)*

            /// Every code the device documents, in the order of the manual's table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What the code means when the command's own page says nothing else; `None` for codes the device does not have.
            #[must_use]
            pub fn description(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    OK = "00", "no error";
    VERIFICATION_FAILED = "01", "verification failed, or the imported key did not have odd parity (advice)";
    KEY_LENGTH_WARNING = "02", "key length unsuitable for the algorithm";
    COMPONENT_COUNT = "03", "number of components invalid";
    KEY_TYPE_CODE = "04", "key type code invalid";
    KEY_LENGTH_FLAG = "05", "key length flag invalid";
    COMMAND_06 = "06", "command specific (see the command's page)";
    COMMAND_07 = "07", "command specific (see the command's page)";
    COMMAND_08 = "08", "command specific (see the command's page)";
    COMMAND_09 = "09", "command specific (see the command's page)";
    SOURCE_KEY_PARITY = "10", "source key parity error";
    DESTINATION_KEY_PARITY = "11", "destination key parity error or key all zero";
    USER_STORAGE_EMPTY = "12", "user storage is empty";
    LMK_INVALID = "13", "LMK identifier invalid, or master key parity error";
    LMK_PIN_INVALID = "14", "PIN encrypted under the LMK is invalid";
    INPUT_DATA = "15", "input data invalid: format, characters or length";
    DEVICE_NOT_READY = "16", "console or printer not ready";
    NOT_AUTHORISED = "17", "not authorised, or forbidden by a security setting";
    PRINT_FORMAT_MISSING = "18", "document format not loaded";
    DIEBOLD_TABLE = "19", "Diebold table invalid";
    PIN_BLOCK = "20", "PIN block does not contain valid values";
    INDEX = "21", "index out of range";
    ACCOUNT_NUMBER = "22", "account number invalid";
    PIN_BLOCK_FORMAT = "23", "PIN block format code invalid or not allowed";
    PIN_LENGTH = "24", "PIN is shorter than 4 or longer than 12 digits";
    DECIMALISATION_TABLE = "25", "decimalisation table error";
    KEY_SCHEME = "26", "key scheme invalid";
    KEY_LENGTH = "27", "key length incompatible";
    KEY_TYPE = "28", "key type invalid";
    KEY_FUNCTION = "29", "key function not permitted";
    REFERENCE_NUMBER = "30", "reference number invalid";
    SOLICITATION_ENTRIES = "31", "not enough solicitation entries for the batch";
    AES_NOT_LICENSED = "32", "AES not licensed";
    KEY_CHANGE_STORAGE = "33", "key change storage corrupted or empty";
    AUDIT_EMPTY = "35", "no audit records, or illegal message format";
    AUDIT_RETRIEVED = "36", "all audit records already retrieved or archived";
    AUDIT_MODE = "37", "audit mode invalid";
    FRAUD_DETECTED = "39", "fraud detection limit reached";
    FIRMWARE_CHECKSUM = "40", "firmware checksum invalid";
    INTERNAL = "41", "internal hardware or software error";
    DES_FAILURE = "42", "DES failure";
    RSA_GENERATION = "43", "RSA key generation failure";
    MIGRATION = "44", "migration not allowed";
    MIGRATION_TYPE = "45", "bad destination key type for migration";
    LMK_PIN_TAG = "46", "invalid tag for an encrypted PIN";
    ALGORITHM_NOT_LICENSED = "47", "algorithm not licensed";
    KEY_TOO_STRONG = "48", "key too strong for this LMK";
    PRIVATE_KEY = "49", "private key error";
    HEADER_FLAG = "51", "message header invalid";
    COMMAND_COUNT = "52", "number of commands invalid";
    NO_TRANSACTION_SCHEME = "65", "transaction key scheme is set to none";
    NOT_LICENSED = "67", "command not licensed";
    COMMAND_DISABLED = "68", "command disabled";
    FORMAT_DISABLED = "69", "PIN block format disabled";
    MODE_OR_LENGTH = "70", "command specific: mode or length invalid";
    DIGEST_INFO = "74", "digest info syntax error";
    SINGLE_LENGTH_POSING = "75", "single-length key posing as double or triple length";
    PUBLIC_KEY_LENGTH = "76", "RSA public key or encrypted data length error";
    CLEAR_DATA_BLOCK = "77", "clear data block error";
    PRIVATE_KEY_LENGTH = "78", "private key length error";
    HASH_OID = "79", "hash algorithm object identifier error";
    DATA_LENGTH = "80", "data length error";
    CERTIFICATE_HEADER = "81", "certificate header invalid";
    CHECK_VALUE_LENGTH = "82", "check value length invalid";
    KEY_BLOCK_FORMAT = "83", "key block format error";
    KEY_BLOCK_CHECK = "84", "key block check value error";
    OAEP_MGF = "85", "OAEP mask generation function invalid";
    OAEP_HASH = "86", "OAEP hash invalid, or PIN in the excluded PIN table";
    OAEP_PARAMETERS = "87", "OAEP parameter error";
    DATA_PARITY = "90", "data parity error in the request";
    LRC = "91", "longitudinal parity character mismatch";
    COUNT = "92", "count value wrong";
    LMK_SCHEMES = "A1", "LMK schemes incompatible";
    LMK_IDENTIFIERS = "A2", "LMK identifiers incompatible";
    KEY_BLOCK_LMK_IDENTIFIERS = "A3", "key block LMK identifiers incompatible";
    KEY_BLOCK_AUTHENTICATION = "A4", "key block authentication failed";
    KEY_BLOCK_KEY_LENGTH = "A5", "key length incompatible";
    KEY_USAGE = "A6", "key usage invalid";
    ALGORITHM = "A7", "algorithm invalid";
    MODE_OF_USE = "A8", "mode of use invalid";
    KEY_VERSION = "A9", "key version number invalid";
    EXPORTABILITY = "AA", "exportability invalid";
    OPTIONAL_BLOCK_COUNT = "AB", "number of optional blocks invalid";
    OPTIONAL_BLOCK = "AC", "optional header block error";
    KEY_STATUS = "AD", "key status optional block error";
    START_DATE = "AE", "key start date or time invalid";
    END_DATE = "AF", "key end date or time invalid";
    ENCRYPTION_MODE = "B0", "encryption mode invalid";
    AUTHENTICATION_MODE = "B1", "authentication mode invalid";
    KEY_BLOCK_MISC = "B2", "key block error";
    OPTIONAL_BLOCKS = "B3", "number of optional blocks invalid";
    OPTIONAL_BLOCK_DATA = "B4", "optional block data error";
    COMPONENTS = "B5", "key components incompatible";
    KEY_STATUS_BLOCKS = "B6", "key status blocks incompatible";
    CHANGE_FIELD = "B7", "change field invalid";
    OLD_VALUE = "B8", "old value invalid";
    NEW_VALUE = "B9", "new value invalid";
    NO_KEY_STATUS = "BA", "no key status optional block";
    WRAPPING_KEY = "BB", "wrapping key invalid";
    REPEATED_BLOCK = "BC", "repeated optional block";
    KEY_TYPES = "BD", "key types incompatible";
    HEADER_ID = "BE", "key block header identifier invalid";
    FPE_KEY = "D1", "format-preserving encryption needs an AES key block";
    CURVE = "D2", "elliptic curve reference invalid";
    KEY_ENCODING = "D3", "key encoding invalid";
    COMMAND_VERSION = "E0", "command version invalid";
}

impl ErrorCode {
    /// The code of the two characters in `text`; longer or shorter text is a compile-time error in constants.
    #[must_use]
    #[allow(clippy::panic, reason = "only reachable with a wrong literal, at compile time")]
    pub const fn new(text: &str) -> Self {
        match text.as_bytes() {
            &[a, b] => Self([a, b]),
            _ => panic!("an error code has two characters"),
        }
    }

    /// The code of two bytes.
    #[must_use]
    pub const fn from_bytes(code: [u8; 2]) -> Self {
        Self(code)
    }

    /// The two characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 2] {
        &self.0
    }

    /// The two characters as text; `??` where they are not printable.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// How a host operation returns the code to a guest: minus its 16-bit value.
    #[must_use]
    pub const fn to_abi(self) -> i32 {
        -(u16::from_be_bytes(self.0) as i32)
    }

    /// Reads a negative return value of a host operation.
    #[must_use]
    pub fn from_abi(value: i32) -> Self {
        u16::try_from(value.unsigned_abs()).map_or(Self::INTERNAL, |v| Self(v.to_be_bytes()))
    }
}

impl core::fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{self}")
    }
}

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())?;
        if let Some(text) = self.description() { write!(f, " ({text})") } else { Ok(()) }
    }
}

impl core::error::Error for ErrorCode {}
