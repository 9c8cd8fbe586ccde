//! PIN commands under each kind of LMK: what they answer, what they refuse and in which order.
//!
//! The clear keys and PIN blocks are those of pins.md 5.4 and 11, so the answers do not depend on the LMK that the keys are wrapped under.
#![allow(clippy::unwrap_used, clippy::panic, reason = "what a helper of a test cannot do fails the test")]

use hsm_core::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Scope, Usage,
};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::thales;
use hsm_core::key_type::KeyType;
use hsm_core::lmk::{Lmk, LmkId, LmkScheme};
use hsm_core::lmk_pin::{PinAlgorithm, PinMode};
use hsm_core::pin_verify::{DecimalisationTable, ValidationData, natural_pin, pvv};
use hsm_core::scheme::KeyScheme;
use hsm_core::user_storage::SlotSize;
use hsm_core::variant::{LmkUse, encrypt_under_lmk};
use hsm_core::{ClearKey, Clock, FraudLimits, LmkSlots, SecurityModule, Session, Settings, hex, lmk_table};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

const CODES: [&str; 30] = [
    "BA", "BC", "BE", "BG", "BK", "BM", "BQ", "CA", "CC", "CE", "CG", "CU", "DA", "DC", "DE", "DG", "DU", "EA", "EC",
    "EE", "EG", "FW", "GA", "JA", "JC", "JE", "JG", "LO", "NG", "QK",
];

const TPK: &str = "D3DCC7EA9BCB755D254620B376B3D007";
const ZPK: &str = "C7152C20BC2C830EA7EC9E8334ABE3FE";
const PVK_PAIR: &str = "86190176866EC17FB32685ADB6ADA83B";
const PVK_SINGLE: &str = "1C1C1C1C1C1C1C1C";
const AES_ZPK: &str = "00112233445566778899AABBCCDDEEFF";
const ACCOUNT: &str = "400000123456";
const TABLE: &[u8; 16] = b"0123456789012345";

/// What a key is to be wrapped as: variant key type, key block usage.
type Kind = (&'static str, &'static str);
const AS_TPK: Kind = ("TPK", "71");
const AS_ZPK: Kind = ("ZPK", "P0");
const AS_PVK: Kind = ("PVK", "V0");
const AS_BDK: Kind = ("BDK", "B0");

struct Device {
    lmk: Arc<Lmk>,
    module: SecurityModule,
}

impl Device {
    fn new(lmk: Lmk, settings: Settings) -> Self {
        Self::with_clock(lmk, settings, Arc::new(Ticks::default()))
    }

    fn with_clock(lmk: Lmk, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let lmk = Arc::new(lmk);
        let mut slots = LmkSlots::default();
        slots.slots.insert(0, lmk.clone());
        Self { lmk, module: SecurityModule::with_seed(slots, settings, [7; 32], clock) }
    }

    fn variant(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self::new(Lmk::test_variant(), settings)
    }

    /// One device for each kind of LMK.
    fn each(change: impl Fn(&mut Settings)) -> [Self; 3] {
        [Lmk::test_variant(), Lmk::test_keyblock_tdes(), Lmk::test_keyblock_aes()].map(|lmk| {
            let mut settings = Settings::default();
            change(&mut settings);
            Self::new(lmk, settings)
        })
    }

    fn is_key_block(&self) -> bool {
        self.lmk.scheme() == LmkScheme::KeyBlock
    }

    fn wrap(&self, (key_type, usage): Kind, key: &ClearKey) -> String {
        if self.is_key_block() {
            return self.block(usage, b'N', key);
        }
        let key_type = match key_type {
            "TPK" => KeyType::tpk(false),
            "ZPK" => KeyType::ZPK,
            "PVK" => KeyType::PVK,
            _ => KeyType::BDK,
        };
        let scheme = match key.len() {
            8 => KeyScheme::Single,
            16 => KeyScheme::U,
            _ => KeyScheme::T,
        };
        scheme.write(&encrypt_under_lmk(&self.lmk, LmkUse::from(key_type), scheme, key).unwrap())
    }

    fn block(&self, usage: &str, mode: u8, key: &ClearKey) -> String {
        let algorithm = match (key.algorithm(), key.len()) {
            (hsm_core::Algorithm::Aes, _) => BlockAlgorithm::Aes,
            (_, 8) => BlockAlgorithm::Des,
            _ => BlockAlgorithm::Tdes,
        };
        let attributes = Attributes {
            usage: Usage::new(usage.as_bytes().try_into().unwrap()).unwrap(),
            algorithm,
            mode: ModeOfUse::from_id(Family::Thales, mode).unwrap(),
            key_version: KeyVersion::NONE,
            exportability: Exportability::from_id(b'E').unwrap(),
        };
        let scope = Scope::Lmk(LmkId::new(0).unwrap());
        let keys = self.lmk.protection_keys().unwrap();
        let block = thales::wrap(keys, scope, attributes, &OptionalBlocks::NONE, key, &mut |to| to.fill(0x5A)).unwrap();
        format!("S{}", String::from_utf8(block).unwrap())
    }

    fn des(&self, kind: Kind, clear: &str) -> String {
        self.wrap(kind, &ClearKey::des(&hex::decode(clear.as_bytes()).unwrap()).unwrap())
    }

    fn table(&self) -> String {
        let table = DecimalisationTable::from_digits(TABLE).unwrap();
        if self.module.settings().encrypted_decimalisation_tables {
            String::from_utf8(lmk_table::encrypt(&self.lmk, &table).unwrap()).unwrap()
        } else {
            String::from_utf8(TABLE.to_vec()).unwrap()
        }
    }

    /// Fills the names in braces in a body. Key fields with a wrong parity or MAC have a `!`.
    fn fill(&self, template: &str) -> String {
        let mut body = template.to_owned();
        for (name, kind, clear) in [
            ("tpk", AS_TPK, TPK),
            ("zpk", AS_ZPK, ZPK),
            ("pvk", AS_PVK, PVK_PAIR),
            ("pvk1", AS_PVK, PVK_SINGLE),
            ("pvk3", AS_PVK, &format!("{PVK_PAIR}{PVK_SINGLE}")),
        ] {
            if body.contains(&format!("{{{name}")) {
                let field = self.des(kind, clear);
                let (head, tail) = field.split_at(field.len() - 4);
                let wrong = format!("{head}{}", if tail == "1111" { "2222" } else { "1111" });
                body = body.replace(&format!("{{{name}!}}"), &wrong).replace(&format!("{{{name}}}"), &field);
            }
        }
        body = body.replace("{type}", if self.is_key_block() { "FFF" } else { "001" });
        body = body.replace("{ibm}", &format!("{ACCOUNT}{}4000001N3456", self.table()));
        body = body.replace("{table}", &self.table()).replace("{a}", ACCOUNT);
        body = body.replace("{tb}", "CBEBF6660BB10D26").replace("{zb}", "97793852608C59BF");
        body = body.replace("{zb5}", "204D6DA80E6B5C90");
        if body.contains("{pin}") {
            body = body.replace("{pin}", &self.stored("1234", ACCOUNT));
        }
        body
    }

    /// A PIN under the LMK.
    fn stored(&self, pin: &str, account: &str) -> String {
        let digits = usize::from(self.module.settings().pin_length) + 1;
        let answer = self.raw("BA", format!("{pin:F<digits$}{account}").as_bytes());
        answer.strip_prefix("00").unwrap_or_else(|| panic!("BA answered {answer}")).to_owned()
    }

    fn ask(&self, code: &str, template: &str) -> String {
        self.raw(code, self.fill(template).as_bytes())
    }

    fn raw(&self, code: &str, body: &[u8]) -> String {
        self.explained(code, body).0
    }

    /// The answer, and what the log says of a refusal.
    fn explained(&self, code: &str, body: &[u8]) -> (String, String) {
        let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == code.as_bytes()).unwrap();
        let mut session = Session::new(self.module.clone());
        session.begin(command.code, None);
        let answer = String::from_utf8_lossy(&command.respond(body, &mut session, true)).into_owned();
        let why = session.transcript().explanation.as_ref().map(|e| e.text.clone()).unwrap_or_default();
        (answer, why)
    }
}

/// A clock that stands still until it is moved.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + self.0.load(Ordering::Relaxed))
    }
}

/// One exchange per command on success, the same under every LMK.
const GOLDEN: &[(&str, &str, &str)] = &[
    ("BC", "{tpk}{tb}01{a}{pin}", "00"),
    ("BE", "{zpk}{zb}01{a}{pin}", "00"),
    ("CA", "{tpk}{zpk}12{tb}0101{a}", "0004{zb}01"),
    ("CC", "{zpk}{zpk}12{zb}0103{a}", "000482206CCD872229C203"),
    ("DC", "{tpk}{pvk}{tb}01{a}18697", "00"),
    ("EC", "{zpk}{pvk}{zb}01{a}18697", "00"),
    ("DG", "{pvk}{pin}{a}1", "008697"),
    ("FW", "{type}{zpk}{pvk}{zb}01{a}1", "008697"),
    ("CU", "{type}{zpk}{pvk}{zb}01{a}18697{zb}", "008697"),
    ("BK", "{type}{zpk}{pvk1}{zb5}0105{ibm}", "0078570FFFFFFF"),
    ("BK", "{type}{zpk}{pvk1}{zb5}0104{ibm}", "0078570FFFFFFF"),
    ("DA", "{tpk}{pvk1}12{tb}0104{ibm}9853FFFFFFFF", "00"),
    ("EA", "{zpk}{pvk1}12{zb}0104{ibm}9853FFFFFFFF", "00"),
    ("EA", "{zpk}{pvk1}12{zb5}0104{ibm}7857FFFFFFFF", "00"),
    ("DE", "{pvk1}{pin}04{ibm}", "009853FFFFFFFF"),
    ("DE", "{pvk1}{pin}04{a}{table}P4000001234563456", "009853FFFFFFFF"),
    ("DU", "{type}{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb5}", "0078570FFFFFFF"),
    ("EE", "{pvk1}9853FFFFFFFF04{ibm}", "00{pin}"),
    ("JC", "{tpk}{tb}01{a}", "00{pin}"),
    ("JE", "{zpk}{zb}01{a}", "00{pin}"),
    ("JG", "{zpk}01{a}{pin}", "00{zb}"),
    ("BM", "0241234999", "03"),
    ("BM", "010500000", "00"),
];

#[test]
fn every_command_answers_under_every_lmk() {
    for mode in [PinMode::Clear, PinMode::Native] {
        for device in Device::each(|settings| settings.lmk_pin_mode = mode) {
            for (code, body, answer) in GOLDEN {
                assert_eq!(device.ask(code, body), device.fill(answer), "{code} {body} {:?}", device.lmk);
            }
        }
    }
}

#[test]
fn trailers_and_lmk_identifiers_end_every_command() {
    for device in Device::each(|_| ()) {
        for (code, body, answer) in GOLDEN {
            let body = format!("{body}%00\x19trailer");
            assert_eq!(device.ask(code, &body), format!("{}\x19trailer", device.fill(answer)), "{code}");
            assert_eq!(device.ask(code, &body.replace("%00", "%17")), "13\x19trailer", "{code}");
        }
    }
}

#[test]
fn clear_pins_go_in_and_out() {
    for mode in [PinMode::Clear, PinMode::Native] {
        for device in Device::each(|settings| (settings.lmk_pin_mode, settings.pin_length) = (mode, 6)) {
            let stored = device.stored("12345", ACCOUNT);
            let answer = device.raw("NG", format!("{ACCOUNT}{stored}").as_bytes());
            assert!(answer.starts_with("0012345FF"), "{answer}");
            let (_, reference) = answer.split_at(9);
            assert!(reference.len() == 12 && reference.bytes().all(|c| c.is_ascii_digit()), "{reference}");
            assert_ne!(reference, ACCOUNT);
        }
    }
    let device = Device::variant(|_| ());
    for (body, answer) in [
        ("1234F{a}", "0001234"),
        ("1234f{a}", "0001234"),
        ("12345{a}", "15"), // no room for the redundancy digit
        ("123FF{a}", "24"),
        ("FFFFF{a}", "24"),
        ("1F34F{a}", "15"),
        ("12A4F{a}", "15"),
        ("12 4F{a}", "15"),
        ("1234F40000012345X", "15"),
    ] {
        assert_eq!(device.ask("BA", body), answer, "{body}");
    }
    for change in [|s: &mut Settings| s.clear_pins = false, |s: &mut Settings| s.authorise_all = false] {
        let device = Device::variant(change);
        assert_eq!(device.ask("BA", "1234F{a}"), "17");
        assert_eq!(device.ask("NG", "{a}01234"), "17");
        assert_eq!(device.ask("NG", "{a}0123"), "15", "syntax comes before the settings");
    }
}

/// The refusals of each command, in the order of the checks: each body has one more thing right than the one before. Variant LMK.
const REFUSALS: &[(&str, &[(&str, &str)])] = &[
    (
        "BC",
        &[
            ("{tpk!}{tb}9940000012345X91234!", "15"),
            ("{tpk!}{tb}9940000012345X91234", "15"),
            ("{tpk!}{tb}99{a}91234", "10"),
            ("{tpk}{tb}99{a}91234", "23"),
            ("{tpk}{tb}46{a}91234", "69"),
            ("{tpk}0000000000000000 01{a}91234", "15"),
            ("{tpk}000000000000000001{a}91234", "14"),
            ("{tpk}{tb}0140000012345701234", "20"),
            ("{tpk}{tb}01{a}01235", "01"),
        ],
    ),
    (
        "CA",
        &[
            ("{tpk!}{zpk!}13{tb}9999{a}", "15"),
            ("{tpk!}{zpk!}12{tb}9999{a}", "10"),
            ("{tpk}{zpk!}12{tb}9999{a}", "11"),
            ("{tpk}{zpk}12{tb}9901{a}", "23"),
            ("{tpk}{zpk}12{tb}0199{a}", "23"),
            ("{tpk}{zpk}12{tb}3401{a}", "23"),
            ("{tpk}{zpk}12{tb}0135{a}", "23"),
            ("{tpk}{zpk}12{tb}0148{a}", "23"), // no AES key
            ("{tpk}{zpk}12{tb}0101A00000123456", "22"),
            ("{tpk}{zpk}12{tb}0101400000123457", "20"),
            ("Q0406FBB23A5214DF{zpk}12{tb}0101{a}", "26"),
        ],
    ),
    (
        "CC",
        &[
            ("{zpk!}K01213{zb}0101{a}", "12"),
            ("{zpk!}UKFFF13{zb}0101{a}", "21"),
            ("{zpk!}{zpk!}12{zb}0101{a}", "10"),
            ("{zpk}{zpk!}12{zb}0101{a}", "11"),
            ("{zpk}{tpk}12{zb}0101{a}", "11"),
        ],
    ),
    (
        "DC",
        &[
            ("{tpk!}{pvk!}{tb}99A000001234561869", "15"),
            ("{tpk!}{pvk!}K01299A000001234561869", "12"),
            ("K012{pvk!}{tb}99A000001234561869", "12"),
            ("{tpk!}{pvk!}{tb}99A0000012345618698", "10"),
            ("{tpk}{pvk!}{tb}99A0000012345618698", "11"),
            ("{tpk}{pvk3}{tb}99A0000012345618698", "27"),
            ("{tpk}{pvk}{tb}99A0000012345618698", "23"),
            ("{tpk}{pvk}{tb}03A0000012345618698", "22"),
            ("{tpk}{pvk}{tb}0140000012345718698", "20"),
            ("{tpk}{pvk}{tb}01{a}18698", "01"),
        ],
    ),
    (
        "DA",
        &[
            ("{tpk!}{pvk1!}13{tb}0104{ibm}9853FFFFFFFF", "15"),
            ("{tpk!}{pvk1!}12{tb}9904{ibm}9853FFFF1FFF", "15"),
            ("{tpk!}{pvk1!}12{tb}9904{ibm}FFFFFFFFFFFF", "15"),
            ("{tpk!}{pvk1!}12{tb}9903{a}K0014000001N34569853FFFF1FFF", "12"),
            ("{tpk!}{pvk1!}12{tb}9903{ibm}9853FFFFFFFF", "10"),
            ("{tpk}{pvk1!}12{tb}9903{ibm}9853FFFFFFFF", "11"),
            ("{tpk}{pvk1}12{tb}9903{ibm}9853FFFFFFFF", "23"),
            ("{tpk}{pvk1}12{tb}0103A0000012345601234567890123454000001N34569853FFFFFFFF", "22"),
            ("{tpk}{pvk1}12{tb}0103{a}01234567890123454000001N34569853FFFFFFFF", "25"),
            ("{tpk}{pvk1}12{tb}0103{ibm}9853FFFFFFFF", "15"),
            ("{tpk}{pvk1}12{tb}0113{ibm}9853FFFFFFFF", "15"),
            ("{tpk}{pvk1}12{tb}0104{a}{table}4000001234569853FFFFFFFF", "15"),
            ("{tpk}{pvk1}12{tb}0104{a}{table}400N001N34569853FFFFFFFF", "15"),
            ("{tpk}{pvk1}12000000000000000001 04{ibm}9853FFFFFFFF", "15"),
            ("{tpk}{pvk1}12{tb}0104400000123457{table}4000001N34569853FFFFFFFF", "20"),
            ("{tpk}{pvk1}12{tb}0104{ibm}9854FFFFFFFF", "01"),
            ("{tpk}{pvk1}12{tb}0105{ibm}98531FFFFFFF", "01"), // PIN shorter than the check length
            ("{tpk}{pvk}12{tb}0104{ibm}9854FFFFFFFF", "01"),  // a failure hides the warning
        ],
    ),
    (
        "BK",
        &[
            ("003{zpk!}{pvk1!}{zb}0105{ibm}*0141234", "15"),
            ("001{zpk!}{pvk1!}{zb}0105{ibm}*0A041234", "15"),
            ("001{zpk!}{pvk1!}{zb}0105{ibm}*02041234", "10"),
            ("001{zpk}{pvk1!}{zb}0105{ibm}*02041234", "11"),
            ("001{zpk}{pvk1}{zb}0105{ibm}*02041234", "24"),
            ("001{zpk}{pvk1}{zb}0104{ibm}*02041234", "03"),
            ("001{zpk}{pvk1}{zb}0104{ibm}*010512345", "81"),
            ("001{zpk}{pvk1}{zb}0104{ibm}*020499991234", "86"),
            ("001{zpk}{pvk1}{zb}0104{ibm}*020499991235", "009853FFFFFFFF"),
            ("002{tpk}{pvk1}{tb}0104{ibm}", "009853FFFFFFFF"),
            ("70D{tpk}{pvk1}{tb}0104{ibm}", "009853FFFFFFFF"),
            ("FFF{zpk}{pvk1}{zb}0104{ibm}", "28"),
        ],
    ),
    (
        "DU",
        &[
            ("001{zpk!}{pvk1!}{zb}0104{ibm}9854FFFFFFFF0000000000000000", "10"),
            ("001{zpk}{pvk1!}{zb}0104{ibm}9854FFFFFFFF0000000000000000", "11"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9854FFFFFFFF0000000000000000", "01"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{tb}", "20"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF0000000000000000", "24"), // decrypts to a wrong PIN length
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb5}*010492389", "03"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb5}*020592389", "03"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb5}*01049238", "81"),
            ("001{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb5}*010592389", "86"),
        ],
    ),
    (
        "CU",
        &[
            ("001{zpk!}{pvk!}{zb}0140000012345X18698{zb5}", "15"),
            ("001{zpk!}{pvk!}{zb}01{a}18698{zb5}", "10"),
            ("001{zpk}{pvk!}{zb}01{a}18698{zb5}", "11"),
            ("001{zpk}{pvk3}{zb}01{a}18698{zb5}", "27"),
            ("001{zpk}{pvk}{zb}99{a}18698{zb5}", "23"),
            ("001{zpk}{pvk}{zb}01{a}18698{zb5}", "01"),
            ("001{zpk}{pvk}{zb}01{a}18697{tb}", "20"),
            ("001{zpk}{pvk}{zb}01{a}186970000000000000000", "24"),
            ("001{zpk}{pvk}{zb}01{a}18697{zb5}*0204123", "03"),
            ("001{zpk}{pvk}{zb}01{a}18697{zb5}*01041234", "81"),
            ("001{zpk}{pvk}{zb}01{a}18697{zb5}*010592389", "86"),
        ],
    ),
    (
        "FW",
        &[
            ("001{zpk!}{pvk!}{zb}01{a}1", "10"),
            ("001{zpk}{pvk!}{zb}01{a}1", "11"),
            ("001{zpk}{pvk3}{zb}01{a}1", "27"),
            ("001{zpk}{pvk}{zb}47{a}1", "20"),
            ("001{zpk}{pvk}{zb}01{a}1*01041234", "86"),
        ],
    ),
    (
        "DE",
        &[
            ("{pvk1!}9123404{ibm}", "10"),
            ("{pvk1}9123403{ibm}", "15"),
            ("{pvk1}9123404{ibm}", "14"),
            ("{pvk1}{pin}05{ibm}", "24"),
            ("{pvk1}{pin}04{ibm}*01041234", "86"),
            ("{pvk}{pin}04{ibm}*01041235", "02"),
        ],
    ),
    (
        "DG",
        &[
            ("{pvk!}9123440000012345X1", "15"),
            ("{pvk!}91234{a}1", "10"),
            ("{pvk3}91234{a}1", "27"),
            ("{pvk}91234{a}1", "14"),
            ("{pvk}{pin}{a}1*01041234", "86"),
            ("{pvk}{pin}{a}1*010512345", "81"),
            ("{pvk}{pin}{a}1*02041234", "03"),
            ("{pvk}{pin}{a}1*", "15"),
        ],
    ),
    (
        "EE",
        &[
            ("{pvk1!}9853FFFFFFFF05{ibm}", "10"),
            ("{pvk1}9853FFFFFFFF05{ibm}", "15"),
            ("{pvk1}98531FFFFFFF04{ibm}", "15"), // longer than the device's PIN length
            ("{pvk1}9853FFFFFFFF04{a}FFFFFFFFFFFFFFFF4000001N3456", "25"),
            ("{pvk1}9853FFFFFFFF04{ibm}*01041234", "86"),
            ("{pvk1}9853FFFFFFFF04{ibm}*010512345", "81"),
        ],
    ),
    (
        "JA",
        &[
            ("40000012345X", "15"),
            ("{a}03", "24"),
            ("{a}05", "24"), // the device's PIN length is 4
            ("{a}0", "15"),
            ("{a}04*010512345", "81"),
            ("{a}04*02041234", "03"),
            ("{a}04*01041", "03"),
        ],
    ),
    (
        "JC",
        &[
            ("{tpk!}{tb}01{a}", "10"),
            ("{tpk}{tb}01{a}0", "15"),
            ("{tpk}{tb}47{a}", "20"),
            ("{tpk}{tb}02{a}", "24"),
            ("{tpk}{tb}0140000012345X", "22"),
        ],
    ),
    (
        "JE",
        &[
            ("{zpk!}{zb}01{a}", "10"),
            ("{zpk}{zb5}01{a}", "15"), // longer than the device's PIN length
        ],
    ),
    (
        "JG",
        &[
            ("{zpk!}9940000012345X91234", "15"),
            ("{zpk!}99{a}91234", "11"),
            ("{zpk}99{a}91234", "23"),
            ("{zpk}41{a}91234", "23"),
            ("{zpk}01{a}91234", "14"),
            ("{zpk}01{a}J00000000000000000000000000000000", "46"),
            ("{zpk}01{a}0123", "15"),
            ("{zpk}01{a}0123G", "15"),
        ],
    ),
    ("QK", &[("91234{a}40000012345X", "15"), ("91234{a}{a}", "14"), ("01234{a}{a}", "0001234")]),
    ("BG", &[("{a}", "15"), ("40000012345X0123456", "15"), ("{a}0123456", "33"), ("{a}0123G", "15")]),
    ("LO", &[("{table}", "33"), ("0123", "15"), ("01234567890123GG", "15")]),
    ("BM", &[("0004", "00"), ("01031234", "03"), ("0103123", "81"), ("0113 ", "15"), ("01041234X", "15"), ("1", "15")]),
    ("BQ", &[("{a}01234", "17"), ("{a}0123", "15")]),
    ("CE", &[("K01225{pin}{a}FFFFFF1234567890", "12"), ("012K25{pin}{a}FFFFFF1234567890", "15")]),
    ("GA", &[("K012251234{a}FFFFFF123456789", "12"), ("K100251234{a}FFFFFF123456789", "15")]),
    (
        "CG",
        &[
            ("{tpk!}KFE125{tb}99{a}FFFFFF1234567890X234", "21"),
            ("{tpk!}K01225{tb}99{a}FFFFFF1234567890X234", "12"),
            ("{tpk!}K10025{tb}9940000012345XFFFFFF12345678901234", "15"),
            ("{tpk!}K10025{tb}99{a}FFFFFF12345678901234", "10"),
            ("{tpk}K10025{tb}99{a}FFFFFF12345678901234", "23"),
            ("{tpk}K10025{tb}01{a}FFFFFF12345678901234", "19"),
        ],
    ),
    ("EG", &[("{zpk!}K01225{zb}01{a}FFFFFF12345678901234", "12")]),
];

/// A device with the variant LMK and nothing in user storage but a Diebold table at 100.
fn device_for_refusals() -> Device {
    let device = Device::variant(|_| ());
    load_diebold_table(&device);
    device
}

#[test]
fn refusals_come_in_the_order_of_the_checks() {
    let device = device_for_refusals();
    for (code, cases) in REFUSALS {
        for (body, answer) in *cases {
            let got = device.ask(code, body);
            // A response of 02 carries fields.
            let got = if *answer == "02" { &got[..2] } else { &got };
            assert_eq!(got, *answer, "{code} {body}");
        }
    }
}

#[test]
fn terminal_and_interchange_commands_differ_in_the_key_only() {
    let device = device_for_refusals();
    for (terminal, interchange) in [("BC", "BE"), ("DA", "EA"), ("DC", "EC"), ("CG", "EG")] {
        let (_, cases) = REFUSALS.iter().find(|(code, _)| *code == terminal).unwrap();
        for (body, answer) in *cases {
            let body = body.replace("{tpk", "{zpk").replace("{tb}", "{zb}");
            assert_eq!(device.ask(interchange, &body), *answer, "{interchange} {body}");
        }
    }
}

#[test]
fn key_blocks_say_what_a_key_is() {
    for device in Device::each(|_| ()).into_iter().filter(Device::is_key_block) {
        let key = |usage, clear: &str| {
            device.block(usage, b'N', &ClearKey::des(&hex::decode(clear.as_bytes()).unwrap()).unwrap())
        };
        let ask = |tpk: &str, pvk: &str| device.ask("DC", &format!("{tpk}{pvk}{{tb}}01{{a}}18697"));
        for usage in ["71", "P0"] {
            for pvk in ["V0", "V2"] {
                assert_eq!(ask(&key(usage, TPK), &key(pvk, PVK_PAIR)), "00", "{usage} {pvk}");
            }
        }
        assert_eq!(ask(&key("72", TPK), &key("V2", PVK_PAIR)), "A6", "a ZPK is no TPK");
        assert_eq!(ask(&key("71", TPK), &key("P0", PVK_PAIR)), "A6", "a PIN key is no PVK");
        assert_eq!(ask(&device.fill("{tpk!}"), &key("V2", PVK_PAIR)), "A4");
        for usage in ["71", "72", "P0"] {
            let body = format!("FFF{}{{pvk}}{{tb}}01{{a}}1", key(usage, TPK));
            assert_eq!(device.ask("FW", &body), "008697", "{usage}");
        }
        let body = format!("001{}{{pvk}}{{tb}}01{{a}}1", key("71", TPK));
        assert_eq!(device.ask("FW", &body), "A6", "001 says ZPK");
    }
}

#[test]
fn a_long_pvk_is_a_warning_under_variant_lmks() {
    for device in Device::each(|_| ()) {
        let code = if device.is_key_block() { "00" } else { "02" };
        let expected = |rest: &str| format!("{code}{rest}");
        let offset = device.ask("DE", "{pvk}{pin}04{ibm}")[2..].to_owned();
        assert_eq!(device.ask("DE", "{pvk}{pin}04{ibm}"), expected(&offset));
        assert_eq!(device.ask("DA", &format!("{{tpk}}{{pvk}}12{{tb}}0104{{ibm}}{offset}")), code);
        assert_eq!(device.ask("EE", &format!("{{pvk}}{offset}04{{ibm}}")), expected(&device.stored("1234", ACCOUNT)));
        assert_eq!(device.ask("BK", "{type}{zpk}{pvk}{zb}0104{ibm}"), expected(&offset));
        assert_eq!(
            device.ask("DU", &format!("{{type}}{{zpk}}{{pvk}}{{zb}}0104{{ibm}}{offset}{{zb}}")),
            expected(&offset)
        );
        let triple = device.ask("DE", "{pvk3}{pin}04{ibm}");
        assert!(triple.starts_with(code) && triple.len() == 14, "{triple}");
    }
    for device in Device::each(|settings| settings.key_block_pvk_warning = true) {
        assert_eq!(&device.ask("DE", "{pvk}{pin}04{ibm}")[..2], "02");
    }
}

#[test]
fn a_pvk_pair_may_come_without_scheme_or_in_x917() {
    let device = Device::variant(|_| ());
    let pair = ClearKey::des(&hex::decode(PVK_PAIR.as_bytes()).unwrap()).unwrap();
    for scheme in [KeyScheme::Double, KeyScheme::X, KeyScheme::U] {
        let field = scheme.write(&encrypt_under_lmk(&device.lmk, LmkUse::from(KeyType::PVK), scheme, &pair).unwrap());
        assert_eq!(device.ask("DC", &format!("{{tpk}}{field}{{tb}}01{{a}}18697")), "00", "{field}");
    }
}

#[test]
fn a_pvk_pair_of_16_digits_is_hinted_at() {
    let device = Device::variant(|_| ());
    let ask = |code: &str, template: &str| {
        let (answer, why) = device.explained(code, device.fill(template).as_bytes());
        assert_eq!(answer, "15", "{code} {template}: {why}");
        why.ends_with("; is the PVK pair too short? It is 32 digits, or U and 32 digits")
    };
    for (code, body) in [
        ("DC", "{tpk}{pvk1}{tb}01{a}18697"),
        ("EC", "{zpk}{pvk1}{zb}01{a}18697"),
        ("DG", "{pvk1}{pin}{a}1"),
        ("FW", "001{zpk}{pvk1}{zb}01{a}1"),
    ] {
        assert!(ask(code, body) && ask(code, &format!("{body}%00")), "{code}");
    }
    // Where the fields do not run out, or the pair has its scheme, something else is wrong.
    assert!(!ask("DC", "{tpk}{pvk1}{pvk1}{tb}01{a}X8697"));
    assert!(!ask("DC", "{tpk}{pvk}{tb}01{a}"));
}

#[test]
fn separation_of_key_type_002() {
    let device = Device::variant(|settings| settings.separate_002 = true);
    let key = ClearKey::des(&hex::decode(TPK.as_bytes()).unwrap()).unwrap();
    let wrap = |key_type| {
        KeyScheme::U.write(&encrypt_under_lmk(&device.lmk, LmkUse::from(key_type), KeyScheme::U, &key).unwrap())
    };
    let (old, new) = (wrap(KeyType::PVK), wrap(KeyType::tpk(true)));
    assert_eq!(device.ask("DC", &format!("{old}{{pvk}}{{tb}}01{{a}}18697")), "10");
    assert_eq!(device.ask("DC", &format!("{new}{{pvk}}{{tb}}01{{a}}18697")), "00");
    assert_eq!(device.ask("FW", &format!("70D{new}{{pvk}}{{tb}}01{{a}}1")), "008697");
}

#[test]
fn pin_blocks_of_every_format() {
    for device in Device::each(|_| ()) {
        for format in ["01", "02", "03", "05", "47"] {
            let answer = device.ask("CC", &format!("{{zpk}}{{zpk}}12{{zb}}01{format}{{a}}"));
            let block = answer.strip_prefix("0004").and_then(|rest| rest.strip_suffix(format)).unwrap();
            assert_eq!(device.ask("JE", &format!("{{zpk}}{block}{format}{{a}}")), device.fill("00{pin}"), "{format}");
        }
        let plus = device.ask("CC", "{zpk}{zpk}12{zb5}0104FF2283400000123456");
        assert_eq!(plus, "00058FC36E989ED7CE7504");
        assert_eq!(device.ask("CC", "{zpk}{zpk}128FC36E989ED7CE750401FF2283400000123456"), "0005204D6DA80E6B5C9001");
        assert_eq!(device.ask("CC", "{zpk}{zpk}12{zb}0104FFFFFFFFFFFFFFFFFF"), "22");
        assert_eq!(device.ask("CC", "{zpk}{zpk}12{zb}0204{a}FFFFFF"), "22", "F is fill on the left only");
        assert_eq!(device.ask("JG", "{zpk}04FFFFFF{a}{pin}").len(), 18);
    }
}

#[test]
fn format_34_is_for_output_and_a_setting() {
    let device = Device::variant(|_| ());
    let answer = device.ask("JG", "{zpk}34{a}{pin}");
    assert!(answer.starts_with("00") && answer.len() == 18, "{answer}");
    assert_eq!(device.ask("JE", &format!("{{zpk}}{}34{{a}}", &answer[2..])), "23");
    let device = Device::variant(|settings| settings.format_34_output = false);
    assert_eq!(device.ask("JG", "{zpk}34{a}{pin}"), "23");
    assert_eq!(device.ask("CC", "{zpk}{zpk}12{zb}0134{a}"), "23");
}

#[test]
fn format_48_takes_an_aes_key_and_a_pan() {
    let [_, _, device] = Device::each(|settings| settings.lmk_pin_mode = PinMode::Native);
    let aes = device.wrap(AS_ZPK, &ClearKey::aes(&hex::decode(AES_ZPK.as_bytes()).unwrap()).unwrap());
    let pan = "4000001234562;";
    let answer = device.ask("CC", &format!("{{zpk}}{aes}12{{zb}}0148{pan}"));
    // The PIN block in format 01 is for the account 400000123456, which is that PAN without its check digit.
    assert_eq!((&answer[..4], answer.len()), ("0004", 38));
    let block = &answer[4..36];
    assert_eq!(device.ask("CC", &format!("{aes}{{zpk}}12{block}4801{pan}")), device.fill("0004{zb}01"));
    assert_eq!(device.ask("JE", &format!("{aes}{block}48{pan}")), device.fill("00{pin}"));
    assert_eq!(device.ask("EC", &format!("{aes}{{pvk}}{block}48{pan}18697")), "00");
    assert_eq!(device.ask("EC", &format!("{aes}{{pvk}}{block}48{pan}18698")), "01");
    assert_eq!(device.ask("BE", &format!("{aes}{block}48{pan}{{pin}}")), "00");
    assert_eq!(device.ask("JE", &format!("{aes}{block}01{{a}}")), "23");
    assert_eq!(device.ask("JG", &format!("{aes}48{pan}{{pin}}")).len(), 34);
}

#[test]
fn pci_restricts_translations() {
    let device = Device::variant(|settings| settings.restrict_pin_blocks = true);
    let translate = |from, to| device.ask("CC", &format!("{{zpk}}{{zpk}}12{{zb}}{from}{to}{{a}}"))[..2].to_owned();
    for (from, to, code) in [
        ("01", "01", "00"),
        ("01", "47", "00"),
        ("01", "05", "23"),
        ("01", "34", "23"),
        ("01", "03", "23"),
        ("03", "01", "23"),
        ("05", "01", "20"), // allowed; the block is of another format
    ] {
        assert_eq!(translate(from, to), code, "{from} to {to}");
    }
    let other = "{zpk}{zpk}12{zb}0101{a};400000123457";
    assert_eq!(device.ask("CC", other), "23", "the account may not change");
    assert_eq!(device.ask("CC", "{zpk}{zpk}12{zb}0101{a};{a}"), device.fill("0004{zb}01"));
    let free = Device::variant(|_| ());
    let answer = free.ask("CC", other);
    assert_eq!(free.ask("JE", &format!("{{zpk}}{}01400000123457", &answer[4..20])), "0001234");
    assert_eq!(free.ask("CC", "{zpk}{zpk}12{zb}0101{a};40000012345X"), "22");
    let plain = Device::variant(|settings| settings.tokens_in_translation = false);
    assert_eq!(plain.ask("CC", other), "15");
    assert_eq!(plain.ask("CA", "{tpk}{zpk}12{tb}0101{a};{a}"), "15");
}

/// The list of the settings, at first that of PCI PIN, decides which blocks are translated and whether the account may change.
#[test]
fn the_settings_say_which_translations_are_allowed() {
    let device = Device::variant(|settings| settings.restrict_pin_blocks = true);
    let free = Device::variant(|_| ());
    for from in ["01", "02", "03", "05", "47"] {
        let block = free.ask("JG", &format!("{{zpk}}{from}{{a}}{{pin}}"))[2..].to_owned();
        for to in ["01", "02", "03", "05", "34", "47"] {
            let ask = |device: &Device, token: &str| {
                device.ask("CC", &format!("{{zpk}}{{zpk}}12{block}{from}{to}{{a}}{token}"))[..2].to_owned()
            };
            let (same, other) = match (from, to) {
                ("01" | "47", "01" | "47") => ("00", "23"),
                ("05", "01" | "05" | "47") => ("00", "00"),
                _ => ("23", "23"),
            };
            let answers = (ask(&device, ""), ask(&device, ";{a}"), ask(&device, ";400000123457"));
            assert_eq!(answers, (same.to_owned(), same.to_owned(), other.to_owned()), "{from} to {to}");
            assert_eq!((ask(&free, ""), ask(&free, ";400000123457")), ("00".to_owned(), "00".to_owned()));
        }
    }

    let translate = |settings: &Settings, from: &str, rest: &str| {
        device.module.set_settings(settings.clone());
        device.ask("CC", &format!("{{zpk}}{{zpk}}12{{zb}}{from}{rest}"))[..2].to_owned()
    };
    let mut settings = (*device.module.settings()).clone();
    settings.pin_block_translations = ["01>03", "01>34 same-pan"].map(|text| text.parse().unwrap()).to_vec();
    for (rest, code) in [
        ("03{a}", "00"),
        ("03{a};400000123457", "00"),
        ("34{a}", "00"),
        ("34{a};{a}", "00"),
        ("34{a};400000123457", "23"),
        ("01{a}", "23"),
        ("47{a}", "23"),
    ] {
        assert_eq!(translate(&settings, "01", rest), code, "{rest}");
    }
    settings.pin_block_translations.clear();
    assert_eq!(translate(&settings, "01", "01{a}"), "23");
    settings.restrict_pin_blocks = false;
    assert_eq!(translate(&settings, "01", "01{a}"), "00");
}

/// A trace has the fields of the reading that counts, and no others: what the other took for plain fields may be secret.
#[test]
fn a_second_reading_is_traced_alone() {
    let [_, _, device] = Device::each(|_| ());
    let aes = device.wrap(AS_ZPK, &ClearKey::aes(&hex::decode(AES_ZPK.as_bytes()).unwrap()).unwrap());
    let command = hsm_plugins::COMMANDS.iter().find(|command| command.code == *b"EC").unwrap();
    let mut session = Session::new(device.module.clone());
    session.begin(command.code, None);
    let body = device.fill(&format!("{aes}{{pvk}}0123456789ABCDEF0198765432109819876"));
    assert_eq!(command.respond(body.as_bytes(), &mut session, true), b"23");
    let fields: Vec<(&str, usize)> =
        session.transcript().fields.iter().map(|field| (field.name.as_str(), field.len)).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["PIN key", "PVK pair", "PIN block", "PIN block format", "Account number", "PVKI", "PVV"]);
    assert_eq!(fields[2].1, 16);
}

/// Where the account must stay, all of a PAN must, not only the digits that other formats have of it.
#[test]
fn a_pan_that_must_stay_stays_whole() {
    let [_, _, device] = Device::each(|settings| settings.restrict_pin_blocks = true);
    let zpk = device.wrap(AS_ZPK, &ClearKey::aes(&hex::decode(AES_ZPK.as_bytes()).unwrap()).unwrap());
    let pan = "4123456789012345";
    let pin = device.ask("BA", "1234F345678901234");
    assert!(pin.starts_with("00"), "{pin}");
    let block = device.ask("JG", &format!("{zpk}48{pan};{}", &pin[2..]));
    assert!(block.starts_with("00"), "{block}");
    let translate =
        |to: &str| device.ask("CC", &format!("{zpk}{zpk}12{}4848{pan};;{to};", &block[2..]))[..2].to_owned();
    assert_eq!(translate(pan), "00");
    for other in ["9993456789012345", "4123456789012346", "9994123456789012345"] {
        assert_eq!(translate(other), "23", "{other}");
    }
}

/// A block that is as long as its format says, under a key for the other formats, is refused for its format, and not for its length. Bodies with
/// the number of digits of the block before the rest; `{tdes}` and `{aes}` are ZPK, TPK or BDK.
#[test]
fn a_format_that_does_not_suit_the_key_is_refused_as_such() {
    const KSN: &str = "906FFFF9876543210E00008";
    const AES_KSN: &str = "000123456789012345600000001";
    let [_, _, device] = Device::each(|_| ());
    load_diebold_table(&device);
    let aes = |kind| device.wrap(kind, &ClearKey::aes(&hex::decode(AES_ZPK.as_bytes()).unwrap()).unwrap());
    let (tdes_bdk, aes_bdk) = (device.des(AS_BDK, AES_ZPK), aes(AS_BDK));
    let pan = "4000001234562;";
    let mut refused = 0;
    for (code, body) in [
        ("BC", "{tpk}{block}{a}{pin}"),
        ("BE", "{zpk}{block}{a}{pin}"),
        ("CA", "{tpk}{zpk}12{block}01{a}"),
        ("CA", "{tpk}{zpk}12{block}01{a};{a12}"),
        ("CC", "{zpk}{zpk}12{block}01{a}"),
        ("DC", "{tpk}{pvk}{block}{a}18697"),
        ("EC", "{zpk}{pvk}{block}{a}18697"),
        ("EC", "{zpk}{pvk}{block}{a};{a12}18697"),
        ("DA", "{tpk}{pvk1}12{block}04{ibma}9853FFFFFFFF"),
        ("EA", "{zpk}{pvk1}12{block}04{ibma}9853FFFFFFFF"),
        ("BK", "FFF{zpk}{pvk1}{block}04{ibma}*01049999"),
        ("FW", "FFF{zpk}{pvk}{block}{a}1"),
        ("CU", "FFF{zpk}{pvk}{block}{a}18697{again}"),
        ("DU", "FFF{zpk}{pvk1}{block}04{ibma}9853FFFFFFFF{again}"),
        ("CG", "{tpk}K10025{block}{a}FFFFFF12345678901234"),
        ("EG", "{zpk}K10025{block}{a}FFFFFF12345678901234"),
        ("JC", "{tpk}{block}{a}"),
        ("JE", "{zpk}{block}{a}"),
        ("G0", "{bdk}{zpk!}{ksn}{block}01{a}"),
        ("GO", "0{bdk}{pvk1}{ksn}{block}04{ibma}9853FFFFFFFF"),
        ("GO", "112{bdk}{pvk1}{ksn}{block}04{ibma}9853FFFFFFFF{again16}0008{eight}"),
        ("GQ", "0{bdk}{pvk}{ksn}{block}{a}18697"),
        ("GS", "0{bdk}K10025{ksn}{block}{a}FFFFFF12345678901234"),
        ("GU", "0{bdk}{ksn}{block}{a}{pin}"),
    ] {
        for (with_aes, digits, format) in [(false, 32, "48"), (true, 16, "01"), (true, 16, "47"), (true, 16, "05")] {
            // Second halves whose digits could be formats by themselves.
            for half in ["0123456789ABCDEF", "0101400000123456", "4800000000000000", "FEDCBA9876543210"] {
                let block = &half.repeat(2)[..digits];
                let account = if format == "48" { pan } else { ACCOUNT };
                let mut filled = body.replace("{zpk!}", "{zpk}").replace("{block}", &format!("{block}{format}"));
                if with_aes {
                    filled = filled.replacen("{tpk}", &aes(AS_TPK), 1).replacen("{zpk}", &aes(AS_ZPK), 1);
                    if code == "G0" {
                        filled = body.replace("{zpk!}", "{zpk}").replace("{block}", &format!("{block}{format}"));
                    }
                }
                let (bdk, ksn) = if with_aes { (&aes_bdk, AES_KSN) } else { (&tdes_bdk, KSN) };
                for (name, value) in [
                    ("{bdk}", bdk.as_str()),
                    ("{ksn}", ksn),
                    ("{again}", block),
                    ("{again16}", half),
                    ("{eight}", "12345678"),
                    ("{a12}", ACCOUNT),
                    ("{a}", account),
                    ("{ibma}", &format!("{account}{{table}}4000001N3456")),
                ] {
                    filled = filled.replace(name, value);
                }
                let whole = format!("{filled}%00\x19T");
                assert_eq!(device.ask(code, &whole), "23\x19T", "{code} {body} {format} {half}");
                // What makes no sense in either length is what it was: a syntax error.
                assert_eq!(device.ask(code, &format!("{filled}!")), "15", "{code} {body} {format} {half}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 24 * 16);
    // The format goes before the account and the decimalisation table, and after the keys.
    let zpk = aes(AS_ZPK);
    assert_eq!(device.ask("JE", &format!("{zpk}{{zb}}0140000012345X")), "23");
    assert_eq!(device.ask("JE", &format!("{zpk}{{zb}}99{{a}}")), "23");
    assert_eq!(device.ask("JG", &format!("{zpk}01{{a}}91234")), "23");
    assert_eq!(device.ask("CC", &format!("{zpk}{{tpk}}12{{zb}}0101{{a}}")), "A6");
    assert_eq!(device.ask("CC", &format!("{{zpk}}{zpk}120000000000000000{}", "0101{a}")), "23");
    // A block of another length than its own format has is not told by its format.
    for body in ["{zb}48{a}", "{zb}{zb}01{a}"] {
        assert_eq!(device.ask("JE", &format!("{zpk}{body}")), if body.contains("48") { "15" } else { "23" });
        assert_eq!(device.ask("JE", &format!("{{zpk}}{body}")), if body.contains("48") { "23" } else { "15" });
    }
}

#[test]
fn a_pvv_may_be_for_another_account_than_the_block() {
    let device = Device::variant(|_| ());
    let other = "123412341234";
    let pvv = device.ask("DG", &format!("{{pvk}}{}{other}1", device.stored("1234", other)))[2..].to_owned();
    assert_ne!(pvv, "8697");
    for (code, key) in [("DC", "{tpk}{pvk}{tb}"), ("EC", "{zpk}{pvk}{zb}")] {
        assert_eq!(device.ask(code, &format!("{key}01{{a}};{other}1{pvv}")), "00");
        assert_eq!(device.ask(code, &format!("{key}01{{a}};{other}18697")), "01");
        assert_eq!(device.ask(code, &format!("{key}01{{a}};12341234123X1{pvv}")), "22");
        assert_eq!(device.ask(code, &format!("{key}0540000012345F;{other}1{pvv}")), "22", "the account of the block");
        let off = Device::variant(|settings| settings.tokens_in_verification = false);
        assert_eq!(off.ask(code, &format!("{key}01{{a}};{other}1{pvv}")), "15");
    }
}

#[test]
fn disabled_formats() {
    let device = Device::variant(|settings| settings.disabled_formats = vec![*b"01"]);
    for (code, body) in [
        ("CC", "{zpk}{zpk}12{zb}0103{a}"),
        ("CC", "{zpk}{zpk}12{zb}0301{a}"),
        ("EC", "{zpk}{pvk}{zb}01{a}18697"),
        ("JG", "{zpk}01{a}{pin}"),
        ("JE", "{zpk}{zb}01{a}"),
    ] {
        assert_eq!(device.ask(code, body), "69", "{code}");
    }
}

#[test]
fn decimalisation_tables_are_plain_by_setting_only() {
    for device in Device::each(|settings| settings.encrypted_decimalisation_tables = false) {
        assert_eq!(device.ask("DE", "{pvk1}{pin}04{ibm}"), "009853FFFFFFFF");
        for (table, code) in [
            ("709F26B22464E96A", "15"),
            ("L7E852B114933025E9389968E16B8CAAB", "15"),
            ("0000000000000000", "25"),
            ("0123456701234567", "00"),
        ] {
            let answer = device.ask("DE", &format!("{{pvk1}}{{pin}}04{{a}}{table}4000001N3456"));
            assert_eq!(&answer[..2], code, "{table}");
        }
    }
    let device = Device::variant(|settings| {
        (settings.encrypted_decimalisation_tables, settings.decimalisation_table_checks) = (false, false);
    });
    assert_eq!(device.ask("DE", "{pvk1}{pin}04{a}00000000000000004000001N3456"), "001234FFFFFFFF");
    let [variant, tdes, aes] = Device::each(|_| ());
    for (device, table, code) in [
        (&variant, "L7E852B114933025E9389968E16B8CAAB", "15"),
        (&tdes, "709F26B22464E96A", "00"),
        (&tdes, "FD64FC3FAD504BB3", "25"),
        (&aes, "L7E852B114933025E9389968E16B8CAAB", "00"),
        (&aes, "709F26B22464E96A", "15"),
    ] {
        let answer = device.ask("DE", &format!("{{pvk1}}{{pin}}04{{a}}{table}4000001N3456"));
        assert_eq!(&answer[..2], code, "{table}");
    }
    let variable = Settings { user_storage: SlotSize::Variable, ..Settings::default() };
    let storing = Device::new(Lmk::test_keyblock_aes(), variable);
    for (index, table) in [("019", "L7E852B114933025E9389968E16B8CAAB"), ("01A", "7E852B114933025E9389968E16B8CAAB")] {
        assert_eq!(storing.ask("LA", &format!("K{index}{:04}{table}", table.len())), "00");
        let answer = storing.ask("DE", &format!("{{pvk1}}{{pin}}04{{a}}K{index}4000001N3456"));
        assert_eq!(&answer[..2], "00", "{table}");
    }
}

#[test]
fn random_pins_are_of_the_length_asked_for_and_not_excluded() {
    for device in Device::each(|settings| settings.pin_length = 12) {
        let mut pins = std::collections::HashSet::new();
        for length in 4..=12 {
            let answer = device.ask("JA", &format!("{{a}}{length:02}"));
            let clear = device.raw("NG", format!("{ACCOUNT}{}", &answer[2..]).as_bytes());
            assert_eq!(clear[2..15].trim_end_matches('F').len(), length, "{clear}");
            pins.insert(clear);
        }
        assert_eq!(pins.len(), 9);
        let answer = device.ask("JA", "{a}");
        assert_eq!(
            device.raw("NG", format!("{ACCOUNT}{}", &answer[2..]).as_bytes())[2..15].trim_end_matches('F').len(),
            4
        );
    }
    // Every session of a seeded module draws the same PINs, so excluding the first shows the second.
    for device in Device::each(|settings| settings.lmk_pin_mode = PinMode::Native) {
        let draw = |excluded: &str| device.ask("JA", &format!("{{a}}04{excluded}"))[2..].to_owned();
        let clear = |stored: &str| device.raw("NG", format!("{ACCOUNT}{stored}").as_bytes())[2..6].to_owned();
        let first = draw("");
        assert_eq!(draw(""), first);
        let second = draw(&format!("*0104{}", clear(&first)));
        assert_ne!(second, first);
        let third = draw(&format!("*0204{}{}", clear(&first), clear(&second)));
        assert!(third != first && third != second);
    }
}

#[test]
fn weak_pins_may_not_be_chosen() {
    let device = Device::variant(|settings| settings.pin_length = 5);
    let ask = |device: &Device| device.ask("FW", "{type}{zpk}{pvk}{zb}01{a}1");
    assert_eq!(ask(&device), "008697");
    assert_eq!(device.ask("BM", "020499991234"), "00");
    assert_eq!(ask(&device), "86");
    assert_eq!(device.ask("DG", "{pvk}{pin}{a}1"), "86");
    assert_eq!(device.ask("DE", "{pvk1}{pin}04{ibm}"), "86");
    assert_eq!(device.ask("EE", "{pvk1}9853FFFFFFFF04{ibm}"), "86");
    assert_eq!(device.ask("CU", "{type}{zpk}{pvk}{zb}01{a}18697{zb}"), "86");
    assert_eq!(device.ask("DU", "{type}{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb}"), "86");
    assert_eq!(device.ask("EC", "{zpk}{pvk}{zb}01{a}18697"), "00", "a PIN that was chosen before is still a PIN");
    assert_eq!(device.ask("BM", "01049999"), "00");
    assert_eq!(ask(&device), "008697");

    let lax =
        Device::variant(|settings| (settings.weak_pin_checks.local, settings.weak_pin_checks.global) = (false, false));
    assert_eq!(lax.ask("BM", "01041234"), "00");
    assert_eq!(lax.ask("FW", "{type}{zpk}{pvk}{zb}01{a}1*01041234"), "008697");
    let strict = Device::variant(|settings| settings.weak_pin_checks.rules = true);
    assert_eq!(ask(&strict), "86", "1234 counts up");
    let locked = Device::variant(|settings| settings.authorise_all = false);
    assert_eq!(locked.ask("BM", "01041234"), "17");
}

#[test]
fn accounts_of_stored_pins_can_be_changed() {
    for mode in [PinMode::Clear, PinMode::Native] {
        for device in Device::each(|settings| settings.lmk_pin_mode = mode) {
            let answer = device.ask("QK", "{pin}{a}550000025321");
            assert_eq!(answer[2..], device.stored("1234", "550000025321"));
            let longer = device.ask("QK", "{pin}FFFFFF{a}FFF123550000025321");
            assert_eq!(longer, answer, "accounts of 18 characters as with format 04");
            assert_eq!(device.ask("QK", "{pin}FFFFFF{a}F1F123550000025321"), "15");
        }
        let off = Device::variant(|settings| (settings.lmk_pin_mode, settings.lmk_pin_account_change) = (mode, false));
        assert_eq!(off.ask("QK", "{pin}{a}550000025321"), "17");
    }
}

#[test]
fn stored_pins_are_bound_to_their_account() {
    for device in Device::each(|settings| (settings.lmk_pin_mode, settings.pin_length) = (PinMode::Native, 6)) {
        let stored = device.stored("123456", ACCOUNT);
        let answers: Vec<_> = (0..200).map(|n| device.raw("NG", format!("{n:012}{stored}").as_bytes())).collect();
        let refused = answers.iter().filter(|answer| *answer == "14").count();
        assert!(refused > 150, "{refused} of 200 wrong accounts were refused");
        assert!(!answers.iter().any(|answer| answer.starts_with("00123456")));
    }
}

#[test]
fn algorithm_b_writes_hexadecimal_digits() {
    let a = Device::variant(|settings| settings.lmk_pin_mode = PinMode::Native);
    let b = Device::variant(|settings| {
        (settings.lmk_pin_mode, settings.pin_algorithm) = (PinMode::Native, PinAlgorithm::B);
    });
    let (in_a, in_b) = (a.stored("1234", ACCOUNT), b.stored("1234", ACCOUNT));
    assert_eq!(b.raw("BQ", format!("{ACCOUNT}{in_a}").as_bytes()), format!("00{in_b}"));
    let letters = (0..50).any(|n| b.stored("1234", &format!("{n:012}")).bytes().any(|c| c.is_ascii_uppercase()));
    assert!(letters);
    let refused = (0..50).filter(|n| b.raw("BQ", format!("{n:012}{in_a}").as_bytes()) == "14").count();
    assert!(refused > 35, "{refused}");
    let locked =
        Device::variant(|settings| (settings.pin_algorithm, settings.authorise_all) = (PinAlgorithm::B, false));
    assert_eq!(locked.ask("BQ", "{a}01234"), "17");
}

#[test]
fn fraud_detection_stops_verification() {
    let clock = Arc::new(Ticks::default());
    let limits = FraudLimits { per_minute: 2, per_hour: 5, attacks: 3 };
    let settings = Settings { fraud_limits: Some(limits), ..Settings::default() };
    let device = Device::with_clock(Lmk::test_variant(), settings.clone(), clock.clone());
    let (good, bad) = ("{zpk}{pvk}{zb}01{a}18697", "{zpk}{pvk}{zb}01{a}18698");
    let failing = [("EC", bad), ("BE", "{zpk}{zb5}01{a}{pin}"), ("EA", "{zpk}{pvk1}12{zb}0104{ibm}9854FFFFFFFF")];
    for (code, body) in failing {
        assert_eq!(device.ask(code, body), "01", "{code}");
    }
    assert!(device.module.pin_verification_locked());
    for (code, body) in [
        ("EC", good),
        ("EC", ""),
        ("DC", "{tpk}{pvk}{tb}01{a}18697"),
        ("BC", "{tpk}{tb}01{a}{pin}"),
        ("DA", "{tpk}{pvk1}12{tb}0104{ibm}9853FFFFFFFF"),
        ("CU", "{type}{zpk}{pvk}{zb}01{a}18697{zb}"),
        ("DU", "{type}{zpk}{pvk1}{zb}0104{ibm}9853FFFFFFFF{zb}"),
        ("CG", "{tpk}K01225{tb}01{a}FFFFFF12345678901234"),
    ] {
        assert_eq!(device.ask(code, body), "39", "{code}");
    }
    assert_eq!(device.ask("JE", "{zpk}{zb}01{a}"), "0001234", "only verification stops");
    assert!(device.module.unlock_pin_verification());
    assert_eq!(device.ask("EC", good), "00");

    // Slowly enough for the minute, too often for the hour.
    for _ in 0..6 {
        clock.0.fetch_add(61, Ordering::Relaxed);
        assert_eq!(device.ask("EC", bad), "01");
    }
    assert_eq!(device.ask("EC", good), "39");
    assert!(device.module.unlock_pin_verification());
    for _ in 0..3 {
        assert_eq!(device.ask("EC", bad), "01");
    }
    assert!(!device.module.unlock_pin_verification(), "the third attack is the last");
    assert_eq!(device.ask("EC", good), "39");
    // Other LMKs undo it, the same LMKs do not.
    let lmks = (*device.module.lmks()).clone();
    device.module.set_lmks(lmks.clone());
    assert_eq!(device.ask("EC", good), "39");
    device.module.set_lmks(LmkSlots::default());
    device.module.set_lmks(lmks);
    assert_eq!(device.ask("EC", good), "00");

    let off = Device::variant(|_| ());
    for _ in 0..100 {
        assert_eq!(off.ask("EC", bad), "01");
    }
}

#[test]
fn translation_to_a_bdk_needs_its_key_serial_number() {
    let bdk = "0123456789ABCDEFFEDCBA9876543210";
    for device in Device::each(|_| ()) {
        let flag = if device.is_key_block() { "" } else { "*" };
        let field = format!("{flag}{}", device.des(AS_BDK, bdk));
        let answer = device.ask("CA", &format!("{{tpk}}{field}906FFFF9876543210E0000812{{tb}}0101{{a}}"));
        assert_eq!(answer, "0004FAE657793662FFDD01", "{:?}", device.lmk);
        assert_eq!(device.ask("CA", &format!("{{tpk}}{field}12{{tb}}0101{{a}}")), "15");
    }
}

fn load_diebold_table(device: &Device) {
    let table: String = (0..256u32).map(|i| format!("{:02X}", i * 167 % 256)).collect();
    assert_eq!(device.ask("LA", &format!("K10020{table}")), "00");
}

/// What a device has in user storage: a Diebold table at 100, a decimalisation table at 001, a PIN block at 012.
fn load_storage(device: &Device) {
    load_diebold_table(device);
    for (index, count, data) in [
        (0x001, device.table().len().div_ceil(17), device.table().trim_start_matches('L').to_owned()),
        (0x012, 1, device.fill("{zb}")),
    ] {
        let loaded = device.raw("LA", format!("K{index:03X}{count:02X}{data}").as_bytes());
        assert_eq!(loaded, "00", "{index:03X}");
    }
}

#[test]
fn tables_and_pin_blocks_from_user_storage() {
    for device in Device::each(|_| ()) {
        load_storage(&device);
        assert_eq!(device.ask("DE", "{pvk1}{pin}04{a}K0014000001N3456"), "009853FFFFFFFF", "{:?}", device.lmk);
        assert_eq!(device.ask("DE", "{pvk1}{pin}04{a}K0024000001N3456"), "12");
        // A PIN block is no table; under an AES LMK a table takes two slots, and the second is empty.
        let code = if device.table().starts_with('L') { "12" } else { "25" };
        assert_eq!(device.ask("DE", "{pvk1}{pin}04{a}K0124000001N3456"), code);
        assert_eq!(device.ask("EC", "{zpk}{pvk}K01201{a}18697"), "00");
        assert_eq!(device.ask("CC", "{zpk}{zpk}12K0120101{a}"), device.fill("0004{zb}01"));
        assert_eq!(device.ask("EC", "{zpk}{pvk}K01301{a}18697"), "12");
    }
}

#[test]
fn the_diebold_commands_agree_with_each_other_in_test_mode() {
    for device in Device::each(|settings| settings.diebold_test_algorithm = true) {
        load_storage(&device);
        let data = "FFFFFF1234567890";
        let offset = device.ask("CE", &format!("K10025{{pin}}{{a}}{data}"))[2..].to_owned();
        assert!(offset.len() == 4 && offset.bytes().all(|c| c.is_ascii_digit()), "{offset}");
        assert_eq!(device.ask("GA", &format!("K10025{offset}{{a}}{data}")), device.fill("00{pin}"));
        assert_eq!(device.ask("CG", &format!("{{tpk}}K10025{{tb}}01{{a}}{data}{offset}")), "00");
        assert_eq!(device.ask("EG", &format!("{{zpk}}K10025{{zb}}01{{a}}{data}{offset}")), "00");
        assert_eq!(device.ask("EG", &format!("{{zpk}}K10026{{zb}}01{{a}}{data}{offset}")), "01");
        assert_eq!(device.ask("EG", &format!("{{zpk}}K10025{{zb}}47{{a}}{data}{offset}")), "20");
        assert_eq!(device.ask("CE", &format!("K10025{{pin}}{{a}}{data}*01041234")), "86");
        assert_eq!(device.ask("CE", &format!("K10125{{pin}}{{a}}{data}")), "19", "one block of the table is missing");
    }
    let device = Device::variant(|_| ());
    load_storage(&device);
    for (code, body) in [
        ("CE", "K10025{pin}{a}FFFFFF1234567890"),
        ("GA", "K100251234{a}FFFFFF1234567890"),
        ("CG", "{tpk}K10025{tb}01{a}FFFFFF12345678901234"),
        ("EG", "{zpk}K10025{zb}01{a}FFFFFF12345678901234"),
    ] {
        assert_eq!(device.ask(code, body), "19", "{code}: the algorithm is not public");
        assert_eq!(device.ask(code, &body.replace("K100", "KFFF")), "21", "{code}");
    }
}

#[test]
fn modes_of_use_are_kept() {
    for device in Device::each(|_| ()).into_iter().filter(Device::is_key_block) {
        let key = |usage, mode, clear: &str| {
            device.block(usage, mode, &ClearKey::des(&hex::decode(clear.as_bytes()).unwrap()).unwrap())
        };
        for (mode, verifies, generates) in [(b'C', true, true), (b'V', true, false), (b'G', false, true)] {
            let (pair, single) = (key("V2", mode, PVK_PAIR), key("V1", mode, PVK_SINGLE));
            for (code, body, allowed, answer) in [
                ("EC", format!("{{zpk}}{pair}{{zb}}01{{a}}18697"), verifies, "00"),
                ("DG", format!("{pair}{{pin}}{{a}}1"), generates, "008697"),
                ("FW", format!("FFF{{zpk}}{pair}{{zb}}01{{a}}1"), generates, "008697"),
                ("CU", format!("FFF{{zpk}}{pair}{{zb}}01{{a}}18697{{zb}}"), verifies && generates, "008697"),
                ("EA", format!("{{zpk}}{single}12{{zb}}0104{{ibm}}9853FFFFFFFF"), verifies, "00"),
                ("DE", format!("{single}{{pin}}04{{ibm}}"), generates, "009853FFFFFFFF"),
                ("EE", format!("{single}9853FFFFFFFF04{{ibm}}"), generates, "00{pin}"),
            ] {
                let answer = if allowed { device.fill(answer) } else { "A8".to_owned() };
                assert_eq!(device.ask(code, &body), answer, "{code} with mode {}", char::from(mode));
            }
        }
        let (encrypts, decrypts) = (key("P0", b'E', ZPK), key("P0", b'D', ZPK));
        assert_eq!(device.ask("JE", &format!("{encrypts}{{zb}}01{{a}}")), "A8");
        assert_eq!(device.ask("JE", &format!("{decrypts}{{zb}}01{{a}}")), device.fill("00{pin}"));
        assert_eq!(device.ask("JG", &format!("{encrypts}01{{a}}{{pin}}")), device.fill("00{zb}"));
        assert_eq!(device.ask("CC", &format!("{decrypts}{decrypts}12{{zb}}0101{{a}}")), "A8");
        assert_eq!(device.ask("CC", &format!("{decrypts}{encrypts}12{{zb}}0101{{a}}")), device.fill("0004{zb}01"));
    }
}

/// The PVV and offset that hsm-core computes for clear values.
fn expected(pin: &str, account: &str) -> (String, String) {
    let digits: Vec<u8> = pin.bytes().map(|c| c - b'0').collect();
    let text = |digits: &[u8]| digits.iter().map(|d| char::from(b'0' + d)).collect::<String>();
    let cipher = |clear: &str| ClearKey::des(&hex::decode(clear.as_bytes()).unwrap()).unwrap().cipher().unwrap();
    let pvv = pvv(&cipher(PVK_PAIR), account.as_bytes(), 3, &digits).unwrap();
    let table = DecimalisationTable::from_digits(TABLE).unwrap();
    let data = ValidationData::parse(b"12345N789012", account.as_bytes()).unwrap();
    let natural = natural_pin(&cipher(PVK_SINGLE), &table, &data).unwrap();
    let offset: Vec<u8> = digits.iter().zip(natural.iter()).map(|(p, n)| (p + 10 - n) % 10).collect();
    (text(&pvv), format!("{:F<12}", text(&offset)))
}

/// Devices for property tests: made once, their state does not change.
static DEVICES: LazyLock<Vec<Device>> = LazyLock::new(|| {
    let modes =
        [(PinMode::Clear, PinAlgorithm::A), (PinMode::Native, PinAlgorithm::A), (PinMode::Native, PinAlgorithm::B)];
    let devices = modes.into_iter().flat_map(|(mode, algorithm)| {
        Device::each(|settings| {
            (settings.lmk_pin_mode, settings.pin_algorithm, settings.pin_length) = (mode, algorithm, 12);
        })
    });
    devices.collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pins_survive_a_round_trip(pin in "[0-9]{4,12}", account in "[0-9]{12}", format in "01|03|05|47") {
        for device in DEVICES.iter() {
            let stored = device.stored(&pin, &account);
            let block = device.ask("JG", &format!("{{zpk}}{format}{account}{stored}"));
            prop_assert_eq!(&block[..2], "00");
            let block = &block[2..];
            prop_assert_eq!(&device.ask("JE", &format!("{{zpk}}{block}{format}{account}"))[2..], &stored);
            prop_assert_eq!(device.ask("BE", &format!("{{zpk}}{block}{format}{account}{stored}")), "00");
            let translated = device.ask("CC", &format!("{{zpk}}{{zpk}}12{block}{format}01{account}"));
            prop_assert_eq!(&translated[2..4], &format!("{:02}", pin.len()));
            prop_assert_eq!(&device.ask("JE", &format!("{{zpk}}{}01{account}", &translated[4..20]))[2..], &stored);
        }
    }

    #[test]
    fn values_are_those_of_the_core(pin in "[0-9]{4,12}", account in "[0-9]{12}") {
        let (pvv, offset) = expected(&pin, &account);
        for device in &DEVICES[..3] {
            let (stored, table) = (device.stored(&pin, &account), device.table());
            let data = format!("04{account}{table}12345N789012");
            let block = device.ask("JG", &format!("{{zpk}}01{account}{stored}"))[2..].to_owned();
            prop_assert_eq!(device.ask("DG", &format!("{{pvk}}{stored}{account}3")), format!("00{pvv}"));
            prop_assert_eq!(device.ask("FW", &format!("{{type}}{{zpk}}{{pvk}}{block}01{account}3")), format!("00{pvv}"));
            prop_assert_eq!(device.ask("EC", &format!("{{zpk}}{{pvk}}{block}01{account}3{pvv}")), "00");
            prop_assert_eq!(device.ask("DE", &format!("{{pvk1}}{stored}{data}")), format!("00{offset}"));
            prop_assert_eq!(device.ask("BK", &format!("{{type}}{{zpk}}{{pvk1}}{block}01{data}")), format!("00{offset}"));
            prop_assert_eq!(device.ask("EA", &format!("{{zpk}}{{pvk1}}12{block}01{data}{offset}")), "00");
            prop_assert_eq!(device.ask("EE", &format!("{{pvk1}}{offset}{data}")), format!("00{stored}"));
        }
    }
}

type Bodies = Vec<Vec<u8>>;

/// Bodies to damage: at least one of every command.
static BODIES: LazyLock<[(&str, Bodies); 30]> = LazyLock::new(|| {
    let golden = GOLDEN.iter().map(|(code, body, _)| (*code, *body));
    let refusals = REFUSALS.iter().flat_map(|(code, cases)| cases.iter().map(|(body, _)| (*code, *body)));
    let others = [("BA", "123456789012F{a}"), ("NG", "{a}{pin}"), ("QK", "{pin}{a}{a}*")];
    let bodies: Vec<_> = golden.chain(refusals).chain(others).collect();
    CODES.map(|code| {
        let bodies = bodies.iter().filter(|(of, _)| *of == code);
        let bodies = bodies.flat_map(|(_, body)| DEVICES[..3].iter().map(|device| device.fill(body).into_bytes()));
        (code, bodies.collect())
    })
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_a_command(
        random in proptest::collection::vec(any::<u8>(), 0..200),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        for (code, bodies) in BODIES.iter() {
            let mut damaged = which.get(bodies).clone();
            let (at, cut) = (at.index(damaged.len() + 1), cut.index(damaged.len() + 1));
            match byte % 3 {
                0 => damaged.truncate(cut),
                1 => damaged.insert(at, byte),
                _ => if let Some(c) = damaged.get_mut(at) { *c = byte },
            }
            for body in [&random, &damaged] {
                for device in &DEVICES[..6] {
                    let answer = device.raw(code, body);
                    prop_assert!(answer.len() >= 2 && !answer.starts_with("41"), "{} {:?}: {}", code, body, answer);
                }
            }
        }
    }
}
