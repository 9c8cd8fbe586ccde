//! Key separation: a key of each purpose and of each key usage is offered to every host operation that takes a key, and serves those
//! of its own kind only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use hsm_core::config::{Config, LmkSpec, TestLmk};
use hsm_core::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::{rules, thales};
use hsm_core::lmk::LmkId;
use hsm_core::printer::MemoryPrinter;
use hsm_core::rsa_encoding::{PublicKeyEncoding, RsaPublicKey};
use hsm_core::{Algorithm, ClearKey, SecurityModule, Session, purpose};
use hsm_plugin_sdk::abi::{
    AccountField, AccountForm, Agreement, AsymmetricOps, CardOps, CertificateParts, DukptMac, DukptOps, EmvOps,
    EmvTransaction, ErrorCode, IbmFields, ImportedKey, KeyAttributes, KeyHandle, KeyOps, KeyPurpose, KsnField,
    LmkPinOps, MigrationOps, PinOps, PrintOps, RsaPadding, SignatureAlgorithm, SignatureMethod, Tr34Exchange,
    Tr34Token, VerifyOps, operations,
};
use std::collections::BTreeSet;

/// What an operation does besides taking the key is of no interest.
type Outcome = Result<(), ErrorCode>;

/// Which keys an operation takes. A key under a variant LMK goes by its purpose, a key in a key block by its usage, other keys by
/// the names in [`kinds`].
enum Takes {
    Only(&'static [&'static [&'static str]]),
    AllBut(&'static [&'static [&'static str]]),
}

impl Takes {
    fn has(&self, tag: &str) -> bool {
        let listed = |lists: &[&[&str]]| lists.iter().any(|list| list.contains(&tag));
        match self {
            Self::Only(lists) => listed(lists),
            Self::AllBut(lists) => !listed(lists),
        }
    }
}

/// An operation, or one of the keys that it takes.
struct Operation {
    name: &'static str,
    takes: Takes,
    /// What it may answer about anything else than the kind of the key.
    beyond: &'static [&'static str],
    call: fn(&mut Session, KeyHandle, &Fixture) -> Outcome,
}

const BDKS: &[&str] = &["BDK", "009", "609", "809", "909", "B0", "41", "42", "43", "44"];
const SINGLE_DES: &[&str] = &["DUKPT single-DES key"];
const PIN_KEYS: &[&str] = &["001", "TPK", "71", "72", "P0", "DUKPT PIN key"];
const CVKS: &[&str] = &["402", "C0", "12", "13"];
const MK_AC: &[&str] = &["109", "E0"];
const MK_SMI: &[&str] = &["209", "E2"];
const MK_ZKA: &[&str] = &["607", "53"];
const ANY_PVK: &[&str] = &["002", "V0"];
const IBM_PVK: &[&str] = &["V1"];
const VISA_PVK: &[&str] = &["V2"];
const WRAPPING: &[&str] = &["000", "TMK", "TMT", "WRP", "52", "K0"];
const EXPORT_ONLY: &[&str] = &["51", "DUKPT update key"];
const TMKS: &[&str] = &["TMK", "51", "K0"];
const PRIVATE: &[&str] = &["00C", "03", "new private key"];
const OTHER_PRIVATE: &[&str] = &["04", "05", "06"];
const PUBLIC: &[&str] = &["00D", "02", "new public key"];
const NEW: &[&str] = &["new private key", "new public key"];
const COMPONENT: &[&str] = &["component"];
const TRANSIENT: &[&str] = &["DUKPT PIN key", "DUKPT single-DES key", "DUKPT update key"];
/// Types that payShield does not list for export.
const STAYING: &[&str] = &["00B"];
/// Keys of variant LMKs: what has a key block has its attributes already.
const VARIANT: &[&str] = &[
    "000", "100", "001", "002", "TPK", "TMK", "TMT", "302", "402", "003", "006", "008", "00A", "00B", "30B", "BDK",
    "009", "609", "809", "909", "109", "209", "309", "409", "509", "709", "607", "WRP",
];

const ACCOUNT: AccountField<'static> = AccountField { form: AccountForm::Twelve, digits: b"400000123456" };
const PKCS1: SignatureMethod = SignatureMethod { hash: *b"06", algorithm: SignatureAlgorithm::RsaPkcs1 };
const DEVICE: &[u8] = b"FFFF9876543210E";
const KSN: KsnField<'_> = KsnField { descriptor: *b"605", digits: b"FFFF9876543210E00001" };
const DUKPT_MAC: DukptMac<'_> = DukptMac { ksn: KSN, direction: 0, method: 1, message: b"message" };
const TRANSACTION: EmvTransaction<'_> =
    EmvTransaction { scheme: 0, pan_psn: [0; 8], atc: [0; 2], un: [0; 4], data: b"data" };
const IBM: IbmFields<'_> =
    IbmFields { check_length: *b"04", account: ACCOUNT, table: b"0123456789012345", validation_data: b"4000001234N5" };

fn done<T>(result: Result<T, ErrorCode>) -> Outcome {
    result.map(drop)
}

macro_rules! table {
    ($($name:literal $takes:ident [$($list:expr),*] $([$($beyond:literal),*])? |$s:ident, $key:ident, $f:pat_param| $call:expr;)*) => {
        const OPERATIONS: &[Operation] = &[$(Operation {
            name: $name,
            takes: Takes::$takes(&[$($list),*]),
            beyond: &[$($($beyond),*)?],
            call: |$s, $key, $f| done($call),
        }),*];
    };
}

table! {
    "public_key_of" Only [PRIVATE, OTHER_PRIVATE] |s, key, _| s.public_key_of(key, *b"01");
    "private_key_wrap" Only [PRIVATE, OTHER_PRIVATE] ["A1"] |s, key, _| s.private_key_wrap(key);
    "key_block_wrap" Only [NEW] ["A1"] |s, key, _| s.key_block_wrap(key, KeyAttributes::default());
    "public_key_certified" Only [PUBLIC] ["02"] |s, key, _| {
        let parts = CertificateParts { signed: (0, 8), signature: (8, 128), key: 0 };
        s.public_key_certified(key, PKCS1, &[0x30; 136], parts, *b"01")
    };
    "public_key_encoding" Only [PUBLIC] |s, key, _| s.public_key_encoding(key);
    "public_key_mac" Only [PUBLIC] ["A1"] |s, key, _| s.public_key_mac(key, b"");
    "signature_generate" Only [PRIVATE] |s, key, _| s.signature_generate(key, PKCS1, b"data");
    "signature_verify" Only [PUBLIC] |s, key, _| s.signature_verify(key, PKCS1, b"data", &[1; 128]);
    "certificate_request" Only [PRIVATE] |s, key, _| {
        let public = s.public_key_of(key, *b"01").unwrap_or_default();
        s.certificate_request(key, *b"01", &public, PKCS1, &[0x30, 0])
    };
    "key_encrypt" AllBut [PRIVATE, OTHER_PRIVATE, PUBLIC, COMPONENT, TRANSIENT, STAYING] |s, key, f| {
        let public = f.open_public(s);
        s.key_encrypt(key, public, RsaPadding::Pkcs1, true)
    };
    "key_encrypt" Only [PUBLIC] |s, key, f| {
        let zpk = f.open(s, KeyPurpose::ZPK);
        s.key_encrypt(zpk, key, RsaPadding::Pkcs1, true)
    };
    "key_decrypt" Only [PRIVATE] ["77"] |s, key, f| {
        let attributes = f.key_block.then_some((*b"72", b'N'));
        let imported = ImportedKey { purpose: KeyPurpose::ZPK, attributes, aes: false, der: true };
        s.key_decrypt(key, RsaPadding::Pkcs1, &[1; 128], imported)
    };
    "tr34_export" Only [&["000", "52", "K0", "K1", "51"]] ["A7", "27"] |s, key, f| {
        let private = f.open_private(s);
        f.send(s, key, private)
    };
    "tr34_export" Only [PRIVATE] |s, key, f| {
        let sent = f.open_sent(s);
        f.send(s, sent, key)
    };
    // The private keys here are RSA keys.
    "key_agree" Only [PRIVATE] ["A1", "A7"] |s, key, _| {
        let agreement = Agreement { public: &[0x30, 0], derivation: 1, hash: *b"06", information: b"", bits: 128 };
        let attributes = KeyAttributes { algorithm: Some(*b"T2"), ..DESCRIBED };
        s.key_agree(key, agreement, attributes)
    };
    "hmac_key_wrap" Only [&["61", "62", "63", "64", "65"]] ["A1"] |s, key, _| s.hmac_key_wrap(key);
    "cvv" Only [CVKS] |s, key, _| s.cvv(key, b"4000001234567899", *b"9912", *b"101");
    "cvv_verify" Only [CVKS] |s, key, _| s.cvv_verify(key, b"4000001234567899", *b"9912", *b"101", *b"000");
    "dukpt_single_des_key" Only [BDKS] |s, key, _| s.dukpt_single_des_key(key, KSN);
    "dukpt_single_des_decode" Only [SINGLE_DES] ["20", "22", "24"] |s, key, _| {
        s.dukpt_single_des_decode(key, [7; 8], ACCOUNT)
    };
    "dukpt_mac" Only [BDKS] |s, key, _| s.dukpt_mac(key, DUKPT_MAC);
    "dukpt_mac_verify" Only [BDKS] |s, key, _| s.dukpt_mac_verify(key, DUKPT_MAC, &[0; 8], false);
    "arqc_verify" Only [MK_AC] |s, key, _| s.arqc_verify(key, TRANSACTION, [0; 8]);
    "arqc_diagnostic" Only [MK_AC] |s, key, _| s.arqc_diagnostic(key, TRANSACTION);
    "arpc" Only [MK_AC] |s, key, _| s.arpc(key, [0; 8], [0; 8], *b"00");
    "discretionary_mac_verify" Only [MK_SMI] |s, key, _| s.discretionary_mac_verify(key, [0; 8], [0; 2], b"data", [0; 4]);
    // What these tell of a key is public, of a component too.
    "key_may_show_check_value" AllBut [] |s, key, _| s.key_may_show_check_value(key);
    "key_check_value" AllBut [] ["A7"] |s, key, _| s.key_check_value(key);
    "key_part_check_values" AllBut [] ["A7"] |s, key, _| s.key_part_check_values(key);
    "key_length" AllBut [] |s, key, _| s.key_length(key);
    "key_dukpt_initial" Only [BDKS] |s, key, f| s.key_dukpt_initial(key, DEVICE, f.attributes(*b"B1"));
    "key_dukpt_update" Only [BDKS] ["BB"] |s, key, _| s.key_dukpt_update(key, b"1234567890123456");
    "key_zka_session" Only [MK_ZKA] |s, key, f| s.key_zka_session(key, KeyPurpose::ZPK, None, f.attributes(*b"72"));
    "key_form" Only [COMPONENT] |s, key, f| s.key_form(KeyPurpose::ZPK, vec![key], f.attributes(*b"72"));
    "key_describe" Only [VARIANT] ["A7", "BD"] |s, key, _| s.key_describe(key, usage(*b"72"));
    // An RSA key under a variant LMK has another form than key_wrap's, and may not leave by key_export.
    "key_wrap" AllBut [COMPONENT, TRANSIENT] ["A1"] |s, key, f| s.key_wrap(key, f.scheme());
    "key_export" AllBut [COMPONENT, TRANSIENT, STAYING] ["AA"] |s, key, f| {
        let zmk = f.open(s, KeyPurpose::ZMK);
        s.key_export(key, zmk, f.scheme(), 0)
    };
    "key_export" Only [WRAPPING, EXPORT_ONLY] |s, key, f| {
        let zpk = f.open(s, KeyPurpose::ZPK);
        s.key_export(zpk, key, f.scheme(), 0)
    };
    "key_export_block" AllBut [COMPONENT, TRANSIENT, STAYING] ["AA"] |s, key, f| {
        let zmk = f.open(s, KeyPurpose::ZMK);
        s.key_export_block(key, zmk, f.scheme(), 0, KeyAttributes::default(), None)
    };
    "key_export_block" Only [WRAPPING, EXPORT_ONLY] |s, key, f| {
        let zpk = f.open(s, KeyPurpose::ZPK);
        s.key_export_block(zpk, key, f.scheme(), 0, KeyAttributes::default(), None)
    };
    "key_import" Only [WRAPPING] |s, key, _| s.key_import(KeyPurpose::ZPK, key, b"U0123456789ABCDEFFEDCBA9876543210", 0);
    "key_import_block" Only [WRAPPING] |s, key, f| {
        s.key_import_block(KeyPurpose::ZPK, key, b"U0123456789ABCDEFFEDCBA9876543210", 0, f.attributes(*b"72"))
    };
    "pin_format" Only [PIN_KEYS, SINGLE_DES] |s, key, _| s.pin_format(key, *b"01");
    "pin_output_format" Only [PIN_KEYS, SINGLE_DES] |s, key, _| s.pin_output_format(key, *b"34");
    "pin_translation" Only [PIN_KEYS, SINGLE_DES] |s, key, f| {
        let zpk = f.open(s, KeyPurpose::ZPK);
        s.pin_translation(key, *b"01", zpk, *b"05")
    };
    "pin_translation" Only [PIN_KEYS, SINGLE_DES] |s, key, f| {
        let zpk = f.open(s, KeyPurpose::ZPK);
        s.pin_translation(zpk, *b"01", key, *b"05")
    };
    "pin_decode" Only [PIN_KEYS] ["20", "24"] |s, key, _| s.pin_decode(key, *b"01", &[7; 8], ACCOUNT);
    "pin_encode" Only [PIN_KEYS] |s, key, _| {
        let pin = s.pin_from_clear(b"1234F").unwrap();
        s.pin_encode(pin, key, *b"01", ACCOUNT)
    };
    "pin_dukpt_key" Only [BDKS] |s, key, _| s.pin_dukpt_key(key, KSN);
    "pvv_verify" Only [ANY_PVK, VISA_PVK] |s, key, _| {
        let pin = s.pin_from_clear(b"1234F").unwrap();
        s.pvv_verify(pin, key, ACCOUNT, b'1', *b"0000")
    };
    "pvk_pair_check" Only [ANY_PVK, VISA_PVK] |s, key, _| s.pvk_pair_check(key);
    "pvv" Only [ANY_PVK, VISA_PVK] |s, key, _| {
        let pin = s.pin_from_clear(b"1234F").unwrap();
        s.pvv(pin, key, ACCOUNT, b'1')
    };
    "ibm_natural_pin" Only [ANY_PVK, IBM_PVK] |s, key, _| {
        s.ibm_natural_pin(key, IBM)
    };
    "print_terminal_key" Only [TMKS] |s, key, _| s.print_terminal_key(key, b"");
}

fn usage(usage: [u8; 2]) -> KeyAttributes<'static> {
    KeyAttributes {
        usage: Some(usage),
        algorithm: Some(*b"T2"),
        mode: Some(b'N'),
        key_version: Some(*b"00"),
        exportability: Some(b'S'),
        ..KeyAttributes::default()
    }
}

/// A module with one LMK, and what operations need besides the key in question.
struct Fixture {
    module: SecurityModule,
    lmk: TestLmk,
    key_block: bool,
    /// RSA key pair of 1024 bits: DER of the public key, and the private key as the LMK protects it.
    public: Vec<u8>,
    private: Vec<u8>,
}

/// Attributes of a key that wraps others.
const DESCRIBED: KeyAttributes<'static> = KeyAttributes {
    usage: Some(*b"K0"),
    algorithm: None,
    mode: Some(b'B'),
    key_version: Some(*b"00"),
    exportability: Some(b'S'),
    optional_count: 0,
    optional_blocks: b"",
};

/// A key, by the name that the table knows it by.
struct Kind {
    tag: String,
    opened: String,
    open: Box<dyn Fn(&mut Session) -> KeyHandle>,
}

impl Fixture {
    fn new(lmk: TestLmk) -> Self {
        let mut config = Config::default();
        config.lmk.lmks = vec![LmkSpec { id: 0, lmk }];
        config.settings.authorise_diagnostics = true;
        config.settings.encrypted_decimalisation_tables = false;
        let lmks = config.load_lmks(|_, _| Err("no secret is needed")).unwrap();
        let module = config.module(lmks).unwrap();
        module.set_printer(Some(Box::new(MemoryPrinter::default())));
        let mut session = Session::new(module.clone());
        session.print_format_load(b"^P", false).unwrap();
        let key_block = lmk != TestLmk::Variant;
        let pair = session.rsa_generate(2, 1024, &[1, 0, 1]).unwrap();
        let public = session.public_key_of(pair, *b"01").unwrap();
        let private = if key_block {
            session.key_block_wrap(pair, KeyAttributes::default()).unwrap()
        } else {
            session.private_key_wrap(pair).unwrap()
        };
        Self { module, lmk, key_block, public, private }
    }

    fn scheme(&self) -> u8 {
        if self.key_block { b'S' } else { b'U' }
    }

    fn attributes(&self, of: [u8; 2]) -> Option<KeyAttributes<'static>> {
        self.key_block.then(|| usage(of))
    }

    /// A key for the operation, not the one in question. An AES key-block LMK has an AES ZMK, which may wrap any key.
    fn open(&self, session: &mut Session, purpose: KeyPurpose) -> KeyHandle {
        match (self.key_block, purpose) {
            (false, _) => session.key_generate(purpose, b'U').unwrap(),
            (true, KeyPurpose::ZMK) if self.lmk == TestLmk::KeyBlockAes => {
                let zmk = self.block("52", BlockAlgorithm::Aes, ModeOfUse::Any, KeyVersion::NONE);
                session.key_open(purpose, &zmk).unwrap()
            }
            (true, _) => {
                let of = if purpose == KeyPurpose::ZMK { "52" } else { "72" };
                let field = self.block(of, BlockAlgorithm::Tdes, ModeOfUse::Any, KeyVersion::NONE);
                session.key_open(purpose, &field).unwrap()
            }
        }
    }

    /// A key that B8 sends.
    fn open_sent(&self, session: &mut Session) -> KeyHandle {
        if !self.key_block {
            return self.open(session, KeyPurpose::ZMK);
        }
        let field = self.block("K0", BlockAlgorithm::Tdes, ModeOfUse::Any, KeyVersion::NONE);
        session.key_open(KeyPurpose::KEY_BLOCK, &field).unwrap()
    }

    fn open_private(&self, session: &mut Session) -> KeyHandle {
        session.private_key_open(&self.private).unwrap()
    }

    /// Sends a key with B8.
    fn send(&self, session: &mut Session, key: KeyHandle, private: KeyHandle) -> Result<Tr34Token, ErrorCode> {
        let credential = &[0x30, 5, 0x30, 0, 2, 1, 1];
        let (public, _) = RsaPublicKey::decode(PublicKeyEncoding::UnsignedDer, &self.public).unwrap();
        let exchange = Tr34Exchange {
            kdh_credential: credential,
            krd_credential: credential,
            krd_public_key: &public.encode(PublicKeyEncoding::Pkcs1Der),
            nonce: &[0; 8],
        };
        let attributes = if self.key_block { KeyAttributes::default() } else { DESCRIBED };
        session.tr34_export(key, private, exchange, attributes, b'B')
    }

    fn open_public(&self, session: &mut Session) -> KeyHandle {
        session.public_key_import(*b"01", &self.public).unwrap()
    }

    /// A key block under the LMK.
    fn block(&self, usage: &str, algorithm: BlockAlgorithm, mode: ModeOfUse, key_version: KeyVersion) -> Vec<u8> {
        let bytes: Vec<u8> = (0..16).map(|n| 0x13 + 2 * n).collect();
        let key = match algorithm {
            BlockAlgorithm::Aes => ClearKey::aes(&bytes).unwrap(),
            BlockAlgorithm::Des => ClearKey::des(&bytes[..8]).unwrap().with_odd_parity(),
            BlockAlgorithm::Tdes => ClearKey::des(&bytes).unwrap().with_odd_parity(),
            _ => ClearKey::new(Algorithm::Hmac, &bytes).unwrap(),
        };
        let usage = Usage::new(usage.as_bytes().try_into().unwrap()).unwrap();
        let attributes = Attributes { usage, algorithm, mode, key_version, exportability: Exportability::Sensitive };
        let (lmk, scope) = (self.lmk.lmk(), Scope::Lmk(LmkId::new(0).unwrap()));
        let mut fill = |bytes: &mut [u8]| bytes.fill(5);
        let block =
            thales::wrap(lmk.protection_keys().unwrap(), scope, attributes, &OptionalBlocks::NONE, &key, &mut fill);
        [b"S", block.unwrap().as_slice()].concat()
    }

    /// Every kind of key that there is under the LMK.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = if self.key_block { self.block_kinds() } else { self.variant_kinds() };
        let mut add = |tag: &str, open: Box<dyn Fn(&mut Session) -> KeyHandle>| {
            kinds.push(Kind { tag: tag.to_owned(), opened: tag.to_owned(), open });
        };
        add("new private key", Box::new(|s| s.rsa_generate(2, 1024, &[1, 0, 1]).unwrap()));
        let public = self.public.clone();
        add("new public key", Box::new(move |s| s.public_key_import(*b"01", &public).unwrap()));
        let bdk = if self.key_block {
            self.block("B0", BlockAlgorithm::Tdes, ModeOfUse::Any, KeyVersion::NONE)
        } else {
            let mut session = Session::new(self.module.clone());
            let bdk = session.key_generate(KeyPurpose::BDK_1, b'U').unwrap();
            session.key_wrap(bdk, b'U').unwrap()
        };
        let (pin_bdk, single_bdk) = (bdk.clone(), bdk);
        add(
            "DUKPT PIN key",
            Box::new(move |s| {
                let bdk = s.key_open(KeyPurpose::BDK_1, &pin_bdk).unwrap();
                s.pin_dukpt_key(bdk, KSN).unwrap()
            }),
        );
        add(
            "DUKPT single-DES key",
            Box::new(move |s| {
                let bdk = s.key_open(KeyPurpose::BDK_1, &single_bdk).unwrap();
                s.dukpt_single_des_key(bdk, KSN).unwrap()
            }),
        );
        kinds
    }

    fn variant_kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let mut session = Session::new(self.module.clone());
        for &purpose in KeyPurpose::ALL {
            session.begin(*b"??", None);
            let tag = purpose.as_str().to_owned();
            let opened = format!("opened as {purpose:?}");
            let open: Box<dyn Fn(&mut Session) -> KeyHandle> = match purpose {
                KeyPurpose::RSA_PRIVATE => {
                    let private = self.private.clone();
                    Box::new(move |s| s.private_key_open(&private).unwrap())
                }
                KeyPurpose::RSA_PUBLIC => {
                    let new = self.open_public(&mut session);
                    let (mac, public) = (session.public_key_mac(new, b"").unwrap(), self.public.clone());
                    Box::new(move |s| s.public_key_open(Some(mac), &public, b"").unwrap())
                }
                // Only key blocks say what these are, new keys have kinds of their own, and HMAC keys a form.
                KeyPurpose::PIN_KEY | KeyPurpose::KEY_BLOCK | KeyPurpose::NEW_KEY | KeyPurpose::HMAC => {
                    let refused = session.key_open(purpose, b"U0123456789ABCDEFFEDCBA9876543210");
                    assert!(refused.is_err(), "{purpose:?} was opened without a key block");
                    continue;
                }
                _ => {
                    let key = session.key_generate(purpose, b'U').unwrap();
                    let field = session.key_wrap(key, b'U').unwrap();
                    Box::new(move |s| s.key_open(purpose, &field).unwrap())
                }
            };
            kinds.push(Kind { tag, opened, open });
        }
        let component = session.print_component(KeyPurpose::ZPK, b'U', None, b"").unwrap().0;
        let open = Box::new(move |s: &mut Session| s.key_component_open(KeyPurpose::ZPK, &component).unwrap());
        kinds.push(Kind { tag: "component".to_owned(), opened: "component".to_owned(), open });
        kinds
    }

    /// Every usage, opened for every purpose that takes it.
    fn block_kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let mut session = Session::new(self.module.clone());
        for rule in rules::USAGE_RULES {
            session.begin(*b"??", None);
            let Some((algorithm, mode)) = self.usual(rule) else { continue };
            let field = match algorithm {
                BlockAlgorithm::Rsa if rule.usage == "03" => self.private.clone(),
                BlockAlgorithm::Rsa if rule.usage == "02" => {
                    let new = self.open_public(&mut session);
                    session.key_block_wrap(new, KeyAttributes::default()).unwrap()
                }
                // The same key as 03, in a block that EI makes for another type.
                BlockAlgorithm::Rsa => {
                    let key_type = match rule.usage {
                        "04" => 3,
                        "05" => 4,
                        _ => continue,
                    };
                    let new = session.rsa_generate(key_type, 1024, &[1, 0, 1]).unwrap();
                    session.key_block_wrap(new, KeyAttributes::default()).unwrap()
                }
                _ => self.block(rule.usage, algorithm, mode, KeyVersion::NONE),
            };
            for &purpose in KeyPurpose::ALL {
                session.begin(*b"??", None);
                let takes = purpose::rule(purpose, false).is_ok_and(|of| of.allows(rule.usage));
                let opened = session.key_open(purpose, &field);
                assert_eq!(opened.is_ok(), takes, "usage {} as {purpose:?}: {opened:?}", rule.usage);
                if takes {
                    let field = field.clone();
                    kinds.push(Kind {
                        tag: rule.usage.to_owned(),
                        opened: format!("{} opened as {purpose:?}", rule.usage),
                        open: Box::new(move |s| s.key_open(purpose, &field).unwrap()),
                    });
                }
            }
        }
        let component = self.block("72", BlockAlgorithm::Tdes, ModeOfUse::Any, KeyVersion::of_component(1).unwrap());
        let open = Box::new(move |s: &mut Session| s.key_component_open(KeyPurpose::ZPK, &component).unwrap());
        kinds.push(Kind { tag: "component".to_owned(), opened: "component".to_owned(), open });
        if self.lmk == TestLmk::KeyBlockAes {
            let bdk = self.block("B0", BlockAlgorithm::Aes, ModeOfUse::Any, KeyVersion::NONE);
            let open = Box::new(move |s: &mut Session| {
                let bdk = s.key_open(KeyPurpose::BDK, &bdk).unwrap();
                s.key_dukpt_update(bdk, b"1234567890123456").unwrap()
            });
            kinds.push(Kind { tag: "DUKPT update key".to_owned(), opened: "DUKPT update key".to_owned(), open });
        }
        kinds
    }

    /// The algorithm for a usage that most operations can use, and the mode that permits most; `None` if the LMK is too weak for it.
    fn usual(&self, rule: &rules::UsageRule) -> Option<(BlockAlgorithm, ModeOfUse)> {
        let algorithms: String = rule.permitted.iter().map(|(algorithms, _)| *algorithms).collect();
        let id = b"TDRHA".iter().find(|id| algorithms.as_bytes().contains(id)).unwrap();
        if *id == b'A' && self.lmk != TestLmk::KeyBlockAes {
            return None;
        }
        let modes = rule.permitted.iter().find(|(algorithms, _)| algorithms.as_bytes().contains(id)).unwrap().1;
        let mode = if modes.contains('N') { b'N' } else { modes.as_bytes()[0] };
        Some((BlockAlgorithm::from_id(*id).unwrap(), ModeOfUse::from_id(Family::Thales, mode).unwrap()))
    }
}

/// What an operation answers to a key that is not one of its own.
fn refuses_the_kind(code: ErrorCode) -> bool {
    [b"29", b"A6", b"BB"].iter().any(|known| code == ErrorCode::from_bytes(**known))
}

fn separated(lmk: TestLmk) {
    let fixture = Fixture::new(lmk);
    let mut session = Session::new(fixture.module.clone());
    let mut wrong = Vec::new();
    let (mut served, mut refused) = (0, 0);
    for kind in fixture.kinds() {
        for operation in OPERATIONS {
            session.begin(*b"??", None);
            let key = (kind.open)(&mut session);
            let outcome = (operation.call)(&mut session, key, &fixture);
            let takes = operation.takes.has(&kind.tag);
            let right = match outcome {
                Ok(()) => takes,
                Err(code) if takes => operation.beyond.iter().any(|known| code == ErrorCode::new(known)),
                Err(code) => refuses_the_kind(code),
            };
            if takes {
                served += 1
            } else {
                refused += 1
            }
            if !right {
                let why = session.transcript().explanation.as_ref().map(|explanation| explanation.text.clone());
                let should = if takes { "should take" } else { "should refuse" };
                wrong.push(format!("{} {should} {}: {outcome:?} {why:?}", operation.name, kind.opened));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), served + refused, wrong.join("\n"));
    assert!(served > 100 && refused > 500, "{served} served, {refused} refused");
}

#[test]
fn keys_under_a_variant_lmk_are_separated() {
    separated(TestLmk::Variant);
}

#[test]
fn keys_under_an_aes_key_block_lmk_are_separated() {
    separated(TestLmk::KeyBlockAes);
}

#[test]
fn keys_under_a_tdes_key_block_lmk_are_separated() {
    separated(TestLmk::KeyBlockTdes);
}

#[test]
fn every_operation_that_takes_a_key_is_tried() {
    let takes_key = |of: &&&str| **of == "KeyHandle" || **of == "Vec<KeyHandle>";
    let keys = |operation: &hsm_plugin_sdk::abi::OpInfo| operation.arguments.iter().filter(takes_key).count();
    let expected: BTreeSet<(&str, usize)> =
        operations().map(|operation| (operation.name, keys(operation))).filter(|(_, keys)| *keys > 0).collect();
    let tried: BTreeSet<(&str, usize)> = OPERATIONS
        .iter()
        .map(|operation| (operation.name, OPERATIONS.iter().filter(|other| other.name == operation.name).count()))
        .collect();
    assert!(expected.len() > 30, "{expected:?}");
    assert_eq!(expected, tried, "operations and how many keys they take");
}

/// RSA and HMAC keys have forms of their own under a variant LMK. Parts of one must not become DES keys, whose export would give them away.
#[test]
fn des_keys_are_no_rsa_or_hmac_keys() {
    let mut session = Session::new(Fixture::new(TestLmk::Variant).module);
    for purpose in [KeyPurpose::RSA_PRIVATE, KeyPurpose::RSA_PUBLIC, KeyPurpose::HMAC] {
        assert_eq!(session.key_generate(purpose, b'U').unwrap_err(), ErrorCode::KEY_FUNCTION);
        let opened = session.key_open(purpose, b"U0123456789ABCDEFFEDCBA9876543210");
        assert_eq!(opened.unwrap_err(), ErrorCode::KEY_FUNCTION);
        let component = session.key_component_open(purpose, b"U0123456789ABCDEFFEDCBA9876543210");
        assert_eq!(component.unwrap_err(), ErrorCode::KEY_FUNCTION);
    }
}
