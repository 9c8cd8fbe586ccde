//! What a format may need besides the PIN, as options that the subcommands share.

use crate::exit::usage;
use crate::keys::{NamedType, Source};
use crate::lmks::{LmkArgs, Lmks};
use crate::secret;
use hsm_core::Algorithm;
use hsm_core::cipher::BlockCipher;
use hsm_core::key_type::KeyType;
use hsm_pinblock::{Account, Account12, Context, Format, Pad, Pan, Pin, PlusField, UdkA};
use zeroize::Zeroizing;

/// Account number, card key, old PIN and pad.
#[derive(Debug, clap::Args)]
pub(super) struct CardArgs {
    /// Account number with its check digit; it serves every format, and ISO-4 takes no other
    #[arg(long, conflicts_with = "account")]
    pan: Option<String>,

    /// Account field as host commands have it: 12 digits, or 18 characters for format 04
    #[arg(long, value_name = "FIELD")]
    account: Option<String>,

    /// Left half of the card's UDK-A for formats 41 and 42, in hexadecimal; - reads it from standard input
    #[arg(long, value_name = "HEX")]
    udk: Option<String>,

    /// PIN that is replaced, for format 42; - reads it from standard input
    #[arg(long, value_name = "PIN")]
    old_pin: Option<String>,

    /// Pad digit of VISA-3, OEM-1, IBM 3624 and IBM 3621 [default: F]
    #[arg(long, value_name = "DIGIT")]
    pad: Option<String>,

    /// Sequence number of IBM 3621 and IBM 4704-EPP blocks [default: random]
    #[arg(long, value_name = "N")]
    sequence: Option<u16>,
}

/// [`CardArgs`] that were read.
pub(super) struct Card {
    account: Option<Account>,
    pan: Option<Pan>,
    udk: Option<UdkA>,
    old_pin: Option<Pin>,
    pad: Option<Pad>,
    sequence: Option<u16>,
}

impl CardArgs {
    pub(super) fn read(&self) -> anyhow::Result<Card> {
        let pan = self.pan.as_ref().map(|pan| Pan::from_digits(pan.as_bytes()));
        let pan = pan.transpose().map_err(|e| usage(format!("--pan: {e}")))?;
        let account = match &self.account {
            Some(field) => Some(account(field)?),
            None => pan.map(Account::from),
        };
        let udk = match secret::get_optional("UDK-A", self.udk.as_deref())? {
            Some(digits) => {
                let bytes = secret::hex("UDK-A", &digits)?;
                let left = bytes.first_chunk::<8>().filter(|_| matches!(bytes.len(), 8 | 16));
                Some(UdkA::from_left_half(*left.ok_or_else(|| usage("--udk: 16 or 32 hexadecimal digits are needed"))?))
            }
            None => None,
        };
        let old_pin = secret::get_optional("old PIN", self.old_pin.as_deref())?;
        let old_pin = old_pin.map(|pin| Pin::from_digits(pin.as_bytes())).transpose();
        let old_pin = old_pin.map_err(|e| usage(format!("--old-pin: {e}")))?;
        let pad = match self.pad.as_ref().map(|pad| pad.as_bytes()) {
            None => None,
            Some(&[digit]) if digit.is_ascii_hexdigit() => Pad::from_hex_digit(digit),
            Some(_) => return Err(usage("--pad: one hexadecimal digit is needed")),
        };
        Ok(Card { account, pan, udk, old_pin, pad, sequence: self.sequence })
    }
}

fn account(field: &str) -> anyhow::Result<Account> {
    let account = if field.len() == 18 {
        PlusField::from_field(field.as_bytes()).map(Account::from)
    } else {
        Account12::from_digits(field.as_bytes()).map(Account::from)
    };
    account.map_err(|e| usage(format!("--account: {e}")))
}

impl Card {
    pub(super) fn context(&self) -> Context<'_> {
        let mut context = Context::default();
        if let Some(account) = self.account {
            context = context.with_account(account);
        }
        if let Some(udk) = &self.udk {
            context = context.with_udk(udk);
        }
        if let Some(old_pin) = &self.old_pin {
            context = context.with_old_pin(old_pin);
        }
        if let Some(pad) = self.pad {
            context = context.with_pad(pad);
        }
        if let Some(sequence) = self.sequence {
            context = context.with_sequence(sequence);
        }
        context
    }

    /// The whole account number, which ISO format 4 needs.
    pub(super) fn pan(&self) -> anyhow::Result<&Pan> {
        let why = "ISO-4 (format 48) enciphers the whole account number with the PIN, of any length and with its check digit, which \
                   the 12 digits of --account do not give: use --pan DIGITS";
        self.pan.as_ref().ok_or_else(|| usage(why))
    }
}

/// The format of a code or name.
///
/// # Errors
/// A line that says where the list is.
pub(super) fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| "unknown format; `hsm pinblock formats` lists codes and names".to_owned())
}

/// The key of a block.
#[derive(Debug, clap::Args)]
pub(super) struct KeyArgs {
    /// Key of the block: clear, or under an LMK; - reads it from standard input [default: the block is clear]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Key type of a cryptogram, code or name [default: ZPK or TPK, whichever gives odd parity]
    #[arg(long = "type", value_name = "TYPE")]
    key_type: Option<NamedType>,

    #[command(flatten)]
    lmk: LmkArgs,
}

impl KeyArgs {
    /// The LMKs.
    pub(super) fn lmks(&self) -> Lmks {
        self.lmk.lmks()
    }

    /// Reads the key.
    pub(super) fn read<'a>(&self, lmks: &'a Lmks) -> anyhow::Result<GivenKey<'a>> {
        let text = secret::get_optional("key", self.key.as_deref())?;
        Ok(GivenKey { name: "key", text, key_type: self.key_type, lmks })
    }
}

/// A key that was read, but not opened: the format says of which cipher it is.
pub(super) struct GivenKey<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// `None` for blocks in clear.
    pub(super) text: Option<Zeroizing<String>>,
    /// Key type of a cryptogram.
    pub(super) key_type: Option<NamedType>,
    /// The LMKs that it may be under.
    pub(super) lmks: &'a Lmks,
}

/// What a block is enciphered with.
pub(super) enum PinKey {
    /// Nothing.
    None,
    /// DES or TDES.
    Des(BlockCipher),
    /// AES, for ISO format 4.
    Aes(BlockCipher),
}

impl GivenKey<'_> {
    /// Opens the key for blocks of a format.
    ///
    /// # Errors
    /// Usage for text that is no key, or one of another cipher than the format's; failure for one that does not open.
    pub(super) fn open(&self, format: Format) -> anyhow::Result<PinKey> {
        let Some(text) = &self.text else { return Ok(PinKey::None) };
        let algorithm = if format == Format::Iso4 { Algorithm::Aes } else { Algorithm::Des };
        let usual = [Some(KeyType::ZPK), Some(KeyType::tpk(false)), Some(KeyType::tpk(true))];
        let types: Vec<KeyType> = match self.key_type {
            Some(named) => vec![named.resolve(self.lmks)?],
            None => usual.into_iter().flatten().collect(),
        };
        let source = Source::new(self.lmks, self.name, &types);
        let untagged_cryptograms = self.key_type.is_some();
        let source = Source { algorithm, untagged_cryptograms, usages: &["P0", "71", "72"], ..source };
        let key = source.open(text)?.key;
        if key.algorithm() != algorithm {
            let needed = if algorithm == Algorithm::Aes { "an AES key" } else { "a DES or TDES key" };
            return Err(usage(format!("the {}: {format} needs {needed}", self.name)));
        }
        let cipher = key.cipher().map_err(|e| usage(format!("the {}: {e}", self.name)))?;
        Ok(if algorithm == Algorithm::Aes { PinKey::Aes(cipher) } else { PinKey::Des(cipher) })
    }
}
