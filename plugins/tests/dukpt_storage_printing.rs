//! DUKPT, user storage, the virtual printer and the small commands beside them: golden exchanges, errors, round trips.
#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use hsm_core::cipher::BlockCipher;
use hsm_core::clear_key::ClearKey;
use hsm_core::dukpt::{self, Ksn, TdesBdk};
use hsm_core::key_block::header::{Attributes, BlockAlgorithm, Exportability, KeyVersion, ModeOfUse, Scope, Usage};
use hsm_core::key_block::{optional::OptionalBlocks, thales};
use hsm_core::key_type::KeyType;
use hsm_core::lmk::{Lmk, LmkId};
use hsm_core::lmk_pin::PinMode;
use hsm_core::printer::{Document, MemoryPrinter, PrintSink};
use hsm_core::scheme::KeyScheme;
use hsm_core::user_storage::{SlotSize, UserStorage};
use hsm_core::variant::{LmkUse, decrypt_under_lmk, encrypt_under_lmk};
use hsm_core::{FraudLimits, LmkSlots, SecurityModule, Session, Settings};
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

// Keys of the variant test LMK (pins.md 11).
const BDK: &str = "U8E3D3E2FD5919657F05A1AA90D32A014";
const ZPK: &str = "U1EF828AA8F6B80EB83E19FBC373F3A85";
const TPK: &str = "U8463435FC4B4DAA0C49025272C29B12C";
const PVK_PAIR: &str = "U183DF6EA5EDFF7D5C91C8F2BA6451884";
const PVK_SINGLE: &str = "56C1DC7F3A899043";
const CVK: &str = "0A61E674E88C6A7EEABC38C2B2BB492F";
const CLEAR_BDK: [u8; 16] = 0x0123456789ABCDEF_FEDCBA9876543210_u128.to_be_bytes();

// PIN 1234 for account 400000123456 under counter 8 (pin_commands.tsv, computed independently).
const KSN: &str = "906FFFF9876543210E00008";
const BLOCK: &str = "FAE657793662FFDD";
const ACCOUNT: &str = "400000123456";
const TABLE: &str = "FD64FC3FAD504BB3";

struct Hsm {
    session: Session,
    module: SecurityModule,
}

impl Hsm {
    /// The published test LMKs: 00 variant, 01 AES key block, 02 TDES key block.
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let slots = [(0, Lmk::test_variant()), (1, Lmk::test_keyblock_aes()), (2, Lmk::test_keyblock_tdes())];
        let slots = slots.into_iter().map(|(id, lmk)| (id, Arc::new(lmk))).collect();
        let mut settings = Settings::default();
        change(&mut settings);
        let module = SecurityModule::new(LmkSlots { slots, ..LmkSlots::default() }, settings);
        Self { session: Session::new(module.clone()), module }
    }

    fn printing(format: &str) -> (Self, MemoryPrinter) {
        let (mut hsm, printer) = (Self::new(|_| {}), MemoryPrinter::default());
        hsm.module.set_printer(Some(Box::new(printer.clone())));
        hsm.ok(&format!("PA{format}"));
        (hsm, printer)
    }

    fn send_bytes(&mut self, message: &[u8]) -> String {
        let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == message[..2]).unwrap();
        self.session.begin(command.code, None);
        let answer = command.respond(&message[2..], &mut self.session, false);
        String::from_utf8(answer.iter().map(|b| if b.is_ascii() { *b } else { b'?' }).collect()).unwrap()
    }

    fn send(&mut self, message: &str) -> String {
        self.send_bytes(message.as_bytes())
    }

    /// The fields of an answer with 00.
    fn ok(&mut self, message: &str) -> String {
        let answer = self.send(message);
        assert!(answer.starts_with("00"), "{message}\n  {answer}: {:?}", self.session.transcript().explanation);
        answer[2..].to_owned()
    }

    #[track_caller]
    fn refuses(&mut self, code: &str, message: &str) {
        let answer = self.send(message);
        assert_eq!(answer, code, "{message}: {:?}", self.session.transcript().explanation);
    }

    fn later(&self) -> Vec<String> {
        let later = self.session.transcript().later.iter();
        later.map(|(code, body)| String::from_utf8([code, body.as_slice()].concat()).unwrap()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

fn under_lmk(key_type: &str, key: &[u8]) -> String {
    let key = ClearKey::des(key).unwrap().with_odd_parity();
    let under = LmkUse::from(KeyType::parse(key_type.as_bytes()).unwrap());
    KeyScheme::U.write(&encrypt_under_lmk(&Lmk::test_variant(), under, KeyScheme::U, &key).unwrap())
}

fn block_under(
    lmk: &Lmk,
    id: u8,
    usage: &[u8; 2],
    mode: ModeOfUse,
    key: &ClearKey,
    algorithm: BlockAlgorithm,
) -> String {
    let attributes = Attributes {
        usage: Usage::new(*usage).unwrap(),
        algorithm,
        mode,
        key_version: KeyVersion::NONE,
        exportability: Exportability::NonExportable,
    };
    let scope = Scope::Lmk(LmkId::new(id).unwrap());
    let keys = lmk.protection_keys().unwrap();
    let block = thales::wrap(keys, scope, attributes, &OptionalBlocks::NONE, key, &mut |fill| fill.fill(7)).unwrap();
    format!("S{}", String::from_utf8(block).unwrap())
}

fn aes_block(usage: &[u8; 2], mode: ModeOfUse, key: &[u8]) -> String {
    let key = ClearKey::aes(key).unwrap();
    block_under(&Lmk::test_keyblock_aes(), 1, usage, mode, &key, BlockAlgorithm::Aes)
}

fn tdes_block(usage: &[u8; 2], mode: ModeOfUse, key: &[u8]) -> String {
    let key = ClearKey::des(key).unwrap();
    block_under(&Lmk::test_keyblock_tdes(), 2, usage, mode, &key, BlockAlgorithm::Tdes)
}

// ---------------------------------------------------------------------------------------------------------------- DUKPT

#[test]
fn g0_translates_under_variant_and_key_block_lmks() {
    let mut hsm = Hsm::new(|_| {});
    for flag in ["", "*"] {
        let answer = hsm.ok(&format!("G0{flag}{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}"));
        assert_eq!(answer, "0497793852608C59BF01");
    }
    let zpk = tdes_block(b"72", ModeOfUse::Any, &0x13F10E5D868A529E_13F10E5D868A529D_u128.to_be_bytes());
    let bdk = tdes_block(b"B0", ModeOfUse::Derive, &CLEAR_BDK);
    let answer = hsm.ok(&format!("G0{bdk}{zpk}{KSN}{BLOCK}0101{ACCOUNT}%02"));
    let mut block = 0x0412_74FF_FFED_CBA9_u64.to_be_bytes();
    let cipher = BlockCipher::des(&0x13F10E5D868A529E_13F10E5D868A529D_u128.to_be_bytes()).unwrap();
    cipher.ecb_encrypt(&mut block).unwrap();
    assert_eq!(answer, format!("04{}01", hex(&block)));
}

#[test]
fn g0_goes_from_bdk_to_bdk_and_back() {
    let mut hsm = Hsm::new(|_| {});
    let other = under_lmk("609", &core::array::from_fn::<u8, 16, _>(|i| 0x31 ^ i as u8));
    let ksn = "605111122223333E7FF";
    let there = hsm.ok(&format!("G0{BDK}~{other}{KSN}{ksn}{BLOCK}0101{ACCOUNT}"));
    assert_eq!((&there[..2], &there[18..]), ("04", "01"));
    assert_ne!(&there[2..18], BLOCK);
    let back = hsm.ok(&format!("G0~{other}*{BDK}{ksn}{KSN}{}0101{ACCOUNT}", &there[2..18]));
    assert_eq!(back, format!("04{BLOCK}01"));
    // The other BDK is of type 2: as one of type 1 it has no parity.
    hsm.refuses("10", &format!("G0{other}*{BDK}{ksn}{KSN}{}0101{ACCOUNT}", &there[2..18]));
    hsm.refuses("11", &format!("G0{BDK}*{other}{KSN}{ksn}{BLOCK}0101{ACCOUNT}"));
}

#[test]
fn g0_knows_aes_dukpt_and_format_48() {
    // X9.24-3: BDK, initial key id and counter 1, PIN 1234, PAN 4111111111111111.
    let bdk = aes_block(b"B0", ModeOfUse::Derive, &0xFEDCBA9876543210_F1F1F1F1F1F1F1F1_u128.to_be_bytes());
    let mut hsm = Hsm::new(|settings| settings.tokens_in_translation = true);
    let key = ClearKey::des(&CLEAR_BDK).unwrap();
    let zpk = block_under(&Lmk::test_keyblock_aes(), 1, b"P0", ModeOfUse::Any, &key, BlockAlgorithm::Tdes);
    let block = "A912150391AB65A67E52883D81CE2D15";
    let ksn = "A05123456789012345600000001";
    let answer = hsm.ok(&format!("G0{bdk}{zpk}{ksn}{block}48014111111111111111;%01"));
    let mut expected = [0x04, 0x12, 0x34 ^ 0x11, 0xEE, 0xEE, 0xEE, 0xEE, 0xEE];
    BlockCipher::des(&CLEAR_BDK).unwrap().ecb_encrypt(&mut expected).unwrap();
    assert_eq!(answer, format!("04{}01", hex(&expected)));
    // The next counters, one of them far away; and to an AES ZPK and back to DUKPT.
    let aes_zpk = aes_block(b"P0", ModeOfUse::Any, &[0x42; 32]);
    for counter in ["00000002", "00000003", "0000FFFF", "00000001"] {
        let ksn = format!("A051234567890123456{counter}");
        let there = hsm.ok(&format!("G0{bdk}{aes_zpk}A05123456789012345600000001{block}48484111111111111111;%01"));
        let dukpt = hsm.ok(&format!("CA{aes_zpk}{bdk}{ksn}12{}48484111111111111111;%01", &there[2..34]));
        let back = hsm.ok(&format!("G0{bdk}{zpk}{ksn}{}48014111111111111111;%01", &dukpt[2..34]));
        assert_eq!(back, answer, "{counter}");
    }
    hsm.refuses("15", &format!("G0{bdk}{zpk}A0512345678901234560000000{block}48014111111111111111;%01"));
    hsm.refuses("23", &format!("G0{bdk}{zpk}{ksn}{block}0101111111111111%01"));
}

#[test]
fn g0_puts_a_token_in_place_of_the_pan_where_the_setting_says() {
    let message = format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT};555566667777");
    let mut hsm = Hsm::new(|settings| settings.tokens_in_translation = true);
    let token = hsm.ok(&message);
    let back = hsm.ok(&format!("CC{ZPK}{ZPK}12{}0101555566667777;{ACCOUNT}", &token[2..18]));
    assert_eq!(back, "0497793852608C59BF01");
    let mut hsm = Hsm::new(|settings| settings.tokens_in_translation = false);
    hsm.refuses("15", &message);
}

#[test]
fn g0_checks_an_account_that_no_format_uses() {
    let mut hsm = Hsm::new(|_| {});
    for (formats, account) in [("0505", "!!!!????...."), ("0501", "40000012345F")] {
        hsm.refuses("22", &format!("G0{BDK}{ZPK}{KSN}0000000000000000{formats}{account}"));
    }
}

/// pins.md 1.4: 22 where the command's page lists it, otherwise 15. Keys and formats are right.
#[test]
fn a_bad_account_is_22_where_the_page_lists_it_and_otherwise_15() {
    let (mut hsm, _) = Hsm::printing(">L^0>L>F");
    hsm.ok(&format!("LAK10020{}", diebold_table()));
    let (ibm, data) = (format!("{ACCOUNT}{TABLE}4000001N3456"), "FFFFFF1234567890");
    let (b, offset) = (BLOCK, "9853FFFFFFFF");
    for (code, messages) in [
        (
            "22",
            vec![
                format!("CA{TPK}{ZPK}12{b}0101{ACCOUNT}"),
                format!("CC{ZPK}{ZPK}12{b}0101{ACCOUNT}"),
                format!("DA{TPK}{PVK_SINGLE}12{b}0104{ibm}{offset}"),
                format!("EA{ZPK}{PVK_SINGLE}12{b}0104{ibm}{offset}"),
                format!("DC{TPK}{PVK_PAIR}{b}01{ACCOUNT}18697"),
                format!("EC{ZPK}{PVK_PAIR}{b}01{ACCOUNT}18697"),
                format!("G0{BDK}{ZPK}{KSN}{b}0101{ACCOUNT}"),
                format!("JC{TPK}{b}01{ACCOUNT}"),
                format!("JE{ZPK}{b}01{ACCOUNT}"),
            ],
        ),
        (
            "15",
            vec![
                format!("BA1234F{ACCOUNT}"),
                format!("BC{TPK}{b}01{ACCOUNT}01234"),
                format!("BE{ZPK}{b}01{ACCOUNT}01234"),
                format!("BG{ACCOUNT}01234"),
                format!("BK001{ZPK}{PVK_SINGLE}{b}0104{ibm}"),
                format!("BQ{ACCOUNT}01234"),
                format!("CEK1002501234{ACCOUNT}{data}"),
                format!("CG{TPK}K10025{b}01{ACCOUNT}{data}1234"),
                format!("EG{ZPK}K10025{b}01{ACCOUNT}{data}1234"),
                format!("CI{BDK}{ZPK}{KSN}{b}01{ACCOUNT}"),
                format!("CK{BDK}{PVK_SINGLE}{KSN}{b}04{ibm}{offset}"),
                format!("CM{BDK}{PVK_PAIR}{KSN}{b}{ACCOUNT}18697"),
                format!("CO{BDK}K10025{KSN}{b}{ACCOUNT}{data}1234"),
                format!("CQ{BDK}{KSN}{b}{ACCOUNT}01234"),
                format!("CU001{ZPK}{PVK_PAIR}{b}01{ACCOUNT}18697{b}"),
                format!("DE{PVK_SINGLE}0123404{ibm}"),
                format!("DG{PVK_PAIR}01234{ACCOUNT}1"),
                format!("DU001{ZPK}{PVK_SINGLE}{b}0104{ibm}{offset}{b}"),
                format!("EE{PVK_SINGLE}{offset}04{ibm}"),
                format!("FW001{ZPK}{PVK_PAIR}{b}01{ACCOUNT}1"),
                format!("GAK100251234{ACCOUNT}{data}"),
                format!("GO0{BDK}{PVK_SINGLE}{KSN}{b}0104{ibm}{offset}"),
                format!("GQ0{BDK}{PVK_PAIR}{KSN}{b}01{ACCOUNT}18697"),
                format!("GS0{BDK}K10025{KSN}{b}01{ACCOUNT}{data}1234"),
                format!("GU0{BDK}{KSN}{b}01{ACCOUNT}01234"),
                format!("JA{ACCOUNT}04"),
                format!("JG{ZPK}01{ACCOUNT}01234"),
                format!("NG{ACCOUNT}01234"),
                format!("OAC{ACCOUNT}NAME"),
                format!("PEC{ACCOUNT}01234NAME"),
                format!("PG{ACCOUNT}0123400000123456789012"),
                format!("QK01234{ACCOUNT}{ACCOUNT}"),
                format!("RC{ACCOUNT}123456789012"),
            ],
        ),
    ] {
        for message in messages {
            assert_ne!(hsm.send(&message), "15", "{message}");
            hsm.refuses(code, &message.replace(ACCOUNT, "40000012345A"));
        }
    }
}

#[test]
fn references_to_key_blocks_are_what_the_blocks_say() {
    let mut hsm = Hsm::new(|settings| settings.user_storage = SlotSize::Variable);
    let clear_zpk = 0x13F10E5D868A529E_13F10E5D868A529D_u128.to_be_bytes();
    let (zpk, bdk) = (tdes_block(b"72", ModeOfUse::Any, &clear_zpk), tdes_block(b"B0", ModeOfUse::Derive, &CLEAR_BDK));
    let aes_zpk = aes_block(b"P0", ModeOfUse::Any, &[0x42; 32]);
    for (index, block) in [("017", &bdk), ("018", &aes_zpk), ("019", &zpk)] {
        hsm.ok(&format!("LAK{index}{:04}{block}", block.len()));
    }
    let there = hsm.ok(&format!("G0{bdk}{zpk}{KSN}{BLOCK}0101{ACCOUNT}%02"));
    assert_eq!(hsm.ok(&format!("G0K017K019{KSN}{BLOCK}0101{ACCOUNT}%02")), there);
    // From a BDK to a BDK, both of them stored.
    assert_eq!(hsm.ok(&format!("G0K017K017{KSN}{KSN}{BLOCK}0101{ACCOUNT}%02")), format!("04{BLOCK}01"));
    let aes_bdk = aes_block(b"B0", ModeOfUse::Derive, &0xFEDCBA9876543210_F1F1F1F1F1F1F1F1_u128.to_be_bytes());
    let (ksn, block) = ("A05123456789012345600000001", "A912150391AB65A67E52883D81CE2D15");
    let aes = hsm.ok(&format!("G0{aes_bdk}K018{ksn}{block}48484111111111111111;%01"));
    // The ISO-4 block differs each time; its length is that of an AES block.
    let again = hsm.ok(&format!("CCK018K01812{}48484111111111111111;%01", &aes[2..34]));
    assert_eq!((&again[..2], &again[34..]), ("04", "48"));
    hsm.refuses("12", &format!("G0K01AK019{KSN}{BLOCK}0101{ACCOUNT}%02"));
}

#[test]
fn a_token_has_the_form_of_the_destination_format() {
    let mut hsm = Hsm::new(|settings| settings.tokens_in_translation = true);
    let block = hsm.ok(&format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}"))[2..18].to_owned();
    let plus = hsm.ok(&format!("CC{ZPK}{ZPK}12{block}0104FFFFFF{ACCOUNT};FF2283123456789012"));
    let back = hsm.ok(&format!("CC{ZPK}{ZPK}12{}0401FF2283123456789012;{ACCOUNT}", &plus[2..18]));
    assert_eq!(back, format!("04{block}01"));
}

#[test]
fn g0_refuses_in_the_documented_order() {
    let mut hsm = Hsm::new(|settings| settings.disabled_formats = vec![*b"05"]);
    let single = "406FBB23A5214DF0".repeat(2);
    for (code, message) in [
        ("15", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}0")),
        ("15", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{}", &ACCOUNT[1..])),
        ("15", format!("G0{BDK}{ZPK}F0F{}{BLOCK}0101{ACCOUNT}", &KSN[3..])),
        ("15", format!("G0{BDK}{ZPK}{KSN}{}G0101{ACCOUNT}", &BLOCK[1..])),
        ("26", format!("G0J{BDK}")),
        ("12", format!("G0UK000{ZPK}{KSN}{BLOCK}0101{ACCOUNT}")),
        ("13", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}%07")),
        ("10", format!("G0U{single}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}")),
        ("11", format!("G0{BDK}U{single}{KSN}{BLOCK}0101{ACCOUNT}")),
        ("23", format!("G0{BDK}{ZPK}{KSN}{BLOCK}3401{ACCOUNT}")),
        ("23", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0301{ACCOUNT}")),
        ("23", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0199{ACCOUNT}")),
        ("23", format!("G0{BDK}*{BDK}{KSN}{KSN}{BLOCK}010340000012345A")),
        ("23", format!("CA{TPK}*{BDK}{KSN}12{BLOCK}010340000012345A")),
        ("69", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0105{ACCOUNT}")),
        ("22", format!("G0{BDK}{ZPK}{KSN}{BLOCK}010140000012345A")),
        ("20", format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101400000123457")),
        ("20", format!("G0{BDK}{ZPK}{}9{BLOCK}0101{ACCOUNT}", &KSN[..KSN.len() - 1])),
    ] {
        hsm.refuses(code, &message);
    }
    let block_bdk = tdes_block(b"B0", ModeOfUse::Derive, &CLEAR_BDK);
    hsm.refuses("A1", &format!("G0{block_bdk}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}"));
    let zpk = tdes_block(b"72", ModeOfUse::Any, &CLEAR_BDK);
    hsm.refuses("A6", &format!("G0{zpk}{zpk}{KSN}{BLOCK}0101{ACCOUNT}%02"));
}

#[test]
fn verification_under_dukpt_keys_by_all_methods() {
    let mut hsm = Hsm::new(|settings| settings.diebold_test_algorithm = true);
    let natural = |offset: &str| format!("GO0{BDK}{PVK_SINGLE}{KSN}{BLOCK}0104{ACCOUNT}{TABLE}4000001N3456{offset}");
    assert_eq!(hsm.ok(&natural("9853FFFFFFFF")), "");
    hsm.refuses("01", &natural("9854FFFFFFFF"));
    let pvv = hsm.ok(&format!("DG{PVK_PAIR}01234{ACCOUNT}1"));
    assert_eq!(hsm.ok(&format!("GQ0{BDK}{PVK_PAIR}{KSN}{BLOCK}01{ACCOUNT}1{pvv}")), "");
    hsm.refuses("01", &format!("GQ0{BDK}{PVK_PAIR}{KSN}{BLOCK}01{ACCOUNT}2{pvv}"));
    hsm.refuses("27", &format!("GQ0{BDK}{}{KSN}{BLOCK}01{ACCOUNT}1{pvv}", triple(KeyType::PVK)));
    assert_eq!(hsm.ok(&format!("GU0{BDK}{KSN}{BLOCK}01{ACCOUNT}01234")), "");
    hsm.refuses("01", &format!("GU0{BDK}{KSN}{BLOCK}01{ACCOUNT}01235"));
    hsm.refuses("14", &format!("GU0{BDK}{KSN}{BLOCK}01{ACCOUNT}91235"));

    let (data, alg) = ("FFFFFF1234567890", "25");
    let message = |offset: &str| format!("GS0{BDK}K100{alg}{KSN}{BLOCK}01{ACCOUNT}{data}{offset}");
    hsm.refuses("12", &message("0000"));
    hsm.ok(&format!("LAK10020{}", diebold_table()));
    let offset = hsm.ok(&format!("CEK100{alg}01234{ACCOUNT}{data}"));
    assert_eq!(hsm.ok(&message(&offset)), "");
    let wrong = format!("{:04}", (offset.parse::<u32>().unwrap() + 1) % 10_000);
    hsm.refuses("01", &message(&wrong));
    hsm.refuses("23", &message(&offset).replace(&format!("{BLOCK}01"), &format!("{BLOCK}03")));
    hsm.refuses("15", "GO2");
}

fn triple(key_type: KeyType) -> String {
    let key = ClearKey::des(&core::array::from_fn::<u8, 24, _>(|i| 3 * i as u8)).unwrap().with_odd_parity();
    let lmk = Lmk::test_variant();
    KeyScheme::T.write(&encrypt_under_lmk(&lmk, LmkUse::from(key_type), KeyScheme::T, &key).unwrap())
}

fn diebold_table() -> String {
    hex(&(0..=255u8).map(|n| n.wrapping_mul(167).wrapping_add(13)).collect::<Vec<_>>())
}

#[test]
fn a_long_pvk_is_warned_of_with_02() {
    let mut hsm = Hsm::new(|_| {});
    let offset = hsm.send(&format!("DE{PVK_PAIR}0123404{ACCOUNT}{TABLE}4000001N3456"));
    assert_eq!(&offset[..2], "02");
    let message = format!("GO0{BDK}{PVK_PAIR}{KSN}{BLOCK}0104{ACCOUNT}{TABLE}4000001N3456{}", &offset[2..]);
    assert_eq!(hsm.send(&message), "02");
    assert_eq!(hsm.send(&message.replace(&offset[2..], "0000FFFFFFFF")), "01");
}

#[test]
fn the_mac_that_follows_a_pin_has_its_own_result() {
    let mut hsm = Hsm::new(|_| {});
    let mac = hsm.ok(&format!("GW41{BDK}{KSN}0011HELLO WORLD"));
    let message =
        |mode: &str, mac: &str, pin: &str| format!("GU1{mode}1{BDK}{KSN}{BLOCK}01{ACCOUNT}{pin}{mac}0011HELLO WORLD");
    assert_eq!(hsm.send(&message("1", &mac, "01234")), "0000");
    assert_eq!(hsm.send(&message("2", &mac[..8], "01234")), "0000");
    assert_eq!(hsm.send(&message("3", &mac[8..], "01234")), "0000");
    assert_eq!(hsm.send(&message("2", &mac[8..], "01234")), "0001");
    assert_eq!(hsm.send(&message("1", &mac, "01235")), "0100");
    assert_eq!(hsm.send(&message("1", "0000000000000000", "01235")), "0101");
    hsm.refuses("15", &message("4", &mac, "01234"));
    hsm.refuses("15", &message("1", &mac[1..], "01234"));
    let pvv = hsm.ok(&format!("DG{PVK_PAIR}01234{ACCOUNT}1"));
    let message = format!("GQ111{BDK}{PVK_PAIR}{KSN}{BLOCK}01{ACCOUNT}1{pvv}{mac}0011HELLO WORLD");
    assert_eq!(hsm.send(&message), "0000");
    let natural = format!("{TABLE}4000001N34569853FFFFFFFF");
    let message = format!("GO111{BDK}{PVK_SINGLE}{KSN}{BLOCK}0104{ACCOUNT}{natural}{mac}0011HELLO WORLD");
    assert_eq!(hsm.send(&message), "0000");
}

#[test]
fn gq_verifies_with_another_account_where_the_setting_says() {
    let mut hsm = Hsm::new(|settings| settings.tokens_in_verification = true);
    let pvv = hsm.ok(&format!("DG{PVK_PAIR}012345555666677771"));
    let message = format!("GQ0{BDK}{PVK_PAIR}{KSN}{BLOCK}01{ACCOUNT};5555666677771{pvv}");
    assert_eq!(hsm.ok(&message), "");
    let mut hsm = Hsm::new(|settings| settings.tokens_in_verification = false);
    hsm.refuses("15", &message);
}

#[test]
fn gw_makes_and_verifies_the_published_macs() {
    // X9.24-1: MAC of 4012345678909D987 under counter 1.
    let mut hsm = Hsm::new(|_| {});
    let ksn = "906FFFF9876543210E00001";
    let text = "00174012345678909D987";
    let bdk_2 = under_lmk("609", &CLEAR_BDK);
    assert_eq!(hsm.ok(&format!("GW41{BDK}{ksn}{text}")), "9CCC78173FC4FB64");
    assert_eq!(hsm.ok(&format!("GW51{BDK}{ksn}{text}")), "9CCC7817");
    assert_eq!(hsm.ok(&format!("GW61{BDK}{ksn}{text}")), "3FC4FB64");
    assert_eq!(hsm.ok(&format!("GWD1{bdk_2}{ksn}{text}")), "9CCC78173FC4FB64");
    assert_eq!(hsm.ok(&format!("GWJ1{bdk_2}{ksn}{text}")), "20364223C1FF00FA");
    assert_eq!(hsm.ok(&format!("GWL1{bdk_2}{ksn}{text}")), "C1FF00FA");
    for (mode, mac, bdk) in [
        ("1", "9CCC78173FC4FB64", BDK),
        ("2", "9CCC7817", BDK),
        ("3", "3FC4FB64", BDK),
        ("A", "9CCC78173FC4FB64", &bdk_2),
        ("H", "20364223", &bdk_2),
        ("I", "C1FF00FA", &bdk_2),
    ] {
        assert_eq!(hsm.ok(&format!("GW{mode}1{bdk}{ksn}{mac}{text}")), "");
        let wrong = format!("0{}", &mac[1..]);
        hsm.refuses("01", &format!("GW{mode}1{bdk}{ksn}{wrong}{text}"));
    }
    hsm.refuses("10", &format!("GWD1{BDK}{ksn}{text}"));
    for bad in ["GW01", "GWM1", "GW40", "GW44"] {
        hsm.refuses("15", &format!("{bad}{BDK}{ksn}{text}"));
    }
    hsm.refuses("15", &format!("GW41{BDK}{ksn}0018{}", &text[4..]));
    let other_methods: Vec<String> = (1..=3).map(|method| hsm.ok(&format!("GW4{method}{BDK}{ksn}{text}"))).collect();
    assert!(other_methods[0] != other_methods[1] && other_methods[1] != other_methods[2]);
    let aes = aes_block(b"B0", ModeOfUse::Derive, &0xFEDCBA9876543210_F1F1F1F1F1F1F1F1_u128.to_be_bytes());
    let ksn = "A05123456789012345600000001";
    for method in 1..=3 {
        let mac = hsm.ok(&format!("GW4{method}{aes}{ksn}{text}%01"));
        assert_eq!(hsm.ok(&format!("GW1{method}{aes}{ksn}{mac}{text}%01")), "");
    }
}

/// A block of the single-DES method, for a counter.
fn legacy_block(ksn: &str, clear: u64) -> String {
    let ksn = Ksn::parse(ksn.as_bytes()).unwrap();
    let bdk = TdesBdk::new(&ClearKey::des(&CLEAR_BDK).unwrap()).unwrap();
    let key = bdk.single_des_transaction_key(&ksn).unwrap();
    hex(&*dukpt::single_des_encrypt_pin_block(&key, clear.to_be_bytes()).unwrap())
}

#[test]
fn the_single_des_commands_verify_and_translate() {
    let mut hsm = Hsm::new(|settings| settings.diebold_test_algorithm = true);
    for counter in ["00001", "00003", "EFC00"] {
        let ksn = format!("FFFF9876543210E{counter}");
        let (part, block) = (format!("906{ksn}"), legacy_block(&ksn, 0x0412_74FF_FFED_CBA9));
        assert_eq!(hsm.ok(&format!("CI{BDK}{ZPK}{part}{block}01{ACCOUNT}")), "0497793852608C59BF01");
        let plus = hsm.ok(&format!("CI{BDK}{ZPK}{part}{block}04FF2283{ACCOUNT}"));
        assert_eq!((&plus[..2], &plus[18..]), ("04", "04"));
        let message = format!("CK{BDK}{PVK_SINGLE}{part}{block}04{ACCOUNT}{TABLE}4000001N3456");
        assert_eq!(hsm.ok(&format!("{message}9853FFFFFFFF")), "");
        hsm.refuses("01", &format!("{message}9852FFFFFFFF"));
        let pvv = hsm.ok(&format!("DG{PVK_PAIR}01234{ACCOUNT}1"));
        assert_eq!(hsm.ok(&format!("CM{BDK}{PVK_PAIR}{part}{block}{ACCOUNT}1{pvv}")), "");
        hsm.refuses("01", &format!("CM{BDK}{PVK_PAIR}{part}{block}{ACCOUNT}2{pvv}"));
        assert_eq!(hsm.ok(&format!("CQ{BDK}{part}{block}{ACCOUNT}01234")), "");
        hsm.refuses("01", &format!("CQ{BDK}{part}{block}{ACCOUNT}01233"));
        hsm.refuses("14", &format!("CQ{BDK}{part}{block}{ACCOUNT}11233"));
        let data = "1234567890FFFFFF";
        let message = format!("CO{BDK}K3E025{part}{block}{ACCOUNT}{data}");
        if counter == "00001" {
            hsm.refuses("12", &format!("{message}0000"));
            hsm.ok(&format!("LAK3E020{}", diebold_table()));
        }
        let offset = hsm.ok(&format!("CEK3E02501234{ACCOUNT}{data}"));
        assert_eq!(hsm.ok(&format!("{message}{offset}")), "");
        let wrong = format!("{:04}", (offset.parse::<u32>().unwrap() + 1) % 10_000);
        hsm.refuses("01", &format!("{message}{wrong}"));
        // The TDES block of the same transaction is none of theirs.
        hsm.refuses("20", &format!("CI{BDK}{ZPK}{KSN}{BLOCK}01{ACCOUNT}"));
    }
    let (part, block) = ("906FFFF9876543210E00001", legacy_block("FFFF9876543210E00001", 0x0412_74FF_FFED_CBA9));
    hsm.refuses("23", &format!("CI{BDK}{ZPK}{part}{block}05{ACCOUNT}"));
    hsm.refuses("15", &format!("CI{BDK}{ZPK}{part}{block}01{}A", &ACCOUNT[1..]));
    hsm.refuses("11", &format!("CI{BDK}{TPK}{part}{block}01{ACCOUNT}"));
    hsm.refuses("10", &format!("CI{TPK}{ZPK}{part}{block}01{ACCOUNT}"));
    let triple = triple(KeyType::BDK);
    for message in [
        format!("CI{triple}{ZPK}{part}{block}01{ACCOUNT}"),
        format!("CK{triple}{PVK_SINGLE}{part}{block}04{ACCOUNT}{TABLE}4000001N34569853FFFFFFFF"),
        format!("CM{triple}{PVK_PAIR}{part}{block}{ACCOUNT}10000"),
        format!("CQ{triple}{part}{block}{ACCOUNT}01234"),
    ] {
        hsm.refuses("27", &message);
    }
    // Their blocks are of 16 digits whatever the key.
    let aes = aes_block(b"B0", ModeOfUse::Derive, &CLEAR_BDK);
    hsm.refuses("27", &format!("CQ{aes}605123456789012345600000001{block}{ACCOUNT}J{}%01", "0".repeat(32)));
    hsm.refuses("15", &format!("CQ{BDK}{part}{block}{block}{ACCOUNT}01234"));
    assert_eq!(hsm.ok(&format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}")), "0497793852608C59BF01");
}

#[test]
fn fraud_detection_stops_every_verification() {
    let limits = FraudLimits { per_minute: 1, per_hour: 1, attacks: 9 };
    let mut hsm = Hsm::new(|settings| settings.fraud_limits = Some(limits));
    hsm.refuses("01", &format!("GU0{BDK}{KSN}{BLOCK}01{ACCOUNT}01235"));
    for _ in 0..2 {
        hsm.send(&format!("GU0{BDK}{KSN}{BLOCK}01{ACCOUNT}01235"));
    }
    for command in ["GO", "GQ", "GS", "GU", "CK", "CM", "CO", "CQ"] {
        hsm.refuses("39", command);
    }
    assert!(hsm.send(&format!("G0{BDK}{ZPK}{KSN}{BLOCK}0101{ACCOUNT}")).starts_with("00"));
}

// ---------------------------------------------------------------------------------------------------------- user storage

#[test]
fn storage_is_loaded_read_and_ranged() {
    for (size, digits) in [(SlotSize::Single, 16), (SlotSize::Double, 32), (SlotSize::Triple, 48)] {
        let mut hsm = Hsm::new(|settings| settings.user_storage = size);
        let blocks: String = (0..2 * digits).map(|n| char::from_digit(n as u32 % 16, 16).unwrap()).collect();
        hsm.refuses("12", "LEK00501");
        assert_eq!(hsm.ok(&format!("LAK00502{blocks}")), "");
        assert_eq!(hsm.ok("LEK00502"), blocks.to_uppercase());
        assert_eq!(hsm.ok("LEK00601"), blocks[digits..].to_uppercase());
        assert_eq!(hsm.ok("LEK00600"), "");
        hsm.refuses("12", "LEK00503");
        hsm.refuses("21", &format!("LAKFFF02{blocks}"));
        hsm.refuses("12", "LEKFFF01");
        hsm.refuses("21", "LEKFFF02");
        for bad in ["LA00502", "LAK005", "LAK00521", "LAKG0500", "LAK00502", "LAK005010", "LEK00521", "LEK005", "LCK05"]
        {
            hsm.refuses("15", bad);
        }
        hsm.refuses("15", &format!("LAK00502{}G", &blocks[1..]));
    }
}

#[test]
fn variable_slots_keep_characters() {
    let mut hsm = Hsm::new(|settings| settings.user_storage = SlotSize::Variable);
    hsm.ok("LAK07F0005hello");
    hsm.ok("LAB07E0003abc");
    assert_eq!(hsm.ok("LEB07E"), hsm.ok("LEK07E"));
    hsm.ok("LAB0000003abc");
    assert_eq!(hsm.ok("LEK07F"), "0005hello");
    assert_eq!(hsm.ok("LEK000"), "0003abc");
    hsm.refuses("12", "LEK001");
    hsm.refuses("21", "LAK0800001x");
    hsm.refuses("15", "LAK00000");
    hsm.refuses("15", &format!("LAK0001001{}", "A".repeat(1001)));
    assert_eq!(hsm.ok("LAK0000003abc\u{19}trailer"), "\u{19}trailer");
}

#[test]
fn lc_wants_the_whole_diebold_table() {
    let mut hsm = Hsm::new(|_| {});
    hsm.refuses("12", "LCK3E0");
    hsm.ok(&format!("LAK3E01F{}", &diebold_table()[..31 * 16]));
    hsm.refuses("19", "LCK3E0");
    hsm.ok(&format!("LAK3FF01{}", &diebold_table()[31 * 16..]));
    assert_eq!(hsm.ok("LCK3E0"), "");
    hsm.refuses("21", "LCKFE1");
}

#[test]
fn keys_are_taken_from_storage_wherever_a_key_may_be() {
    for size in [SlotSize::Single, SlotSize::Double, SlotSize::Triple, SlotSize::Variable] {
        let mut hsm = Hsm::new(|settings| settings.user_storage = size);
        let single = "0406FBB23A5214DF";
        let mut load = |index: &str, digits: &str| {
            let message = match size.bytes() {
                None => format!("LAK{index}{:04}{digits}", digits.len()),
                Some(slot) => {
                    let count = digits.len().div_ceil(2 * slot);
                    format!("LAK{index}{count:02X}{digits:F<width$}", width = 2 * slot * count)
                }
            };
            hsm.ok(&message);
        };
        load("001", single);
        load("010", CVK);
        load("020", &ZPK[1..]);
        load("030", &BDK[1..]);
        load("040", BLOCK);
        load("050", &KSN[3..]);
        load("060", TABLE);
        let cvv = hsm.ok(&format!("CW{CVK}4123456789012345;8701101"));
        assert_eq!(cvv, "561");
        for reference in match size {
            SlotSize::Single => vec!["K010K011", "XK010"],
            _ => vec!["K010", "XK010"],
        } {
            assert_eq!(hsm.ok(&format!("CW{reference}4123456789012345;8701101")), cvv, "{size:?} {reference}");
        }
        let direct = format!("CA{single}{ZPK}12AE7A708F877571A90101550000025321");
        let translated = hsm.ok(&direct);
        assert_eq!(hsm.ok(&direct.replace(single, "K001").replace(ZPK, "UK020")), translated, "{size:?}");
        let g0 = "0497793852608C59BF01";
        assert_eq!(hsm.ok(&format!("G0UK030UK020906K050K0400101{ACCOUNT}")), g0, "{size:?}");
        let go = format!("GO0UK030{PVK_SINGLE}906K050K0400104{ACCOUNT}K0604000001N34569853FFFFFFFF");
        assert_eq!(hsm.ok(&go), "", "{size:?}");
        hsm.refuses("12", &direct.replace(single, "K002"));
        if size == SlotSize::Variable {
            hsm.refuses("21", &direct.replace(single, "K080"));
        }
        hsm.refuses("15", &direct.replace(single, "K00G"));
        hsm.refuses("26", &direct.replace(single, "WK001"));
    }
}

#[test]
fn a_reference_follows_what_is_loaded_last() {
    let mut hsm = Hsm::new(|settings| settings.user_storage = SlotSize::Double);
    let message = format!("G0UK030{ZPK}{KSN}{BLOCK}0101{ACCOUNT}");
    hsm.ok(&format!("LAK03001{}", &BDK[1..]));
    hsm.ok(&message);
    hsm.ok(&format!("LAK03001{}", &ZPK[1..]));
    hsm.refuses("10", &message);
    hsm.ok(&format!("LAK03001{}", &BDK[1..]));
    hsm.ok(&message);
}

#[test]
fn variable_slots_hold_key_blocks() {
    let mut hsm = Hsm::new(|settings| settings.user_storage = SlotSize::Variable);
    let bdk = tdes_block(b"B0", ModeOfUse::Derive, &CLEAR_BDK);
    let zpk = tdes_block(b"72", ModeOfUse::Any, &0x13F10E5D868A529E_13F10E5D868A529D_u128.to_be_bytes());
    let direct = hsm.ok(&format!("G0{bdk}{zpk}{KSN}{BLOCK}0101{ACCOUNT}%02"));
    hsm.ok(&format!("LAK030{:04}{bdk}", bdk.len()));
    hsm.ok(&format!("LAK031{:04}{zpk}", zpk.len()));
    hsm.ok(&format!("LAK033{:04}{}", bdk.len() - 1, &bdk[1..]));
    for (bdk, zpk) in [("K030", "K031"), ("SK030", "SK031"), ("SK033", "K031")] {
        assert_eq!(hsm.ok(&format!("G0{bdk}{zpk}{KSN}{BLOCK}0101{ACCOUNT}%02")), direct, "{bdk}");
    }
    // A block without its tag is not known for one.
    hsm.refuses("A1", &format!("G0K033K031{KSN}{BLOCK}0101{ACCOUNT}%02"));
    hsm.refuses("12", &format!("G0SK034K031{KSN}{BLOCK}0101{ACCOUNT}%02"));
    Hsm::new(|_| {}).refuses("26", &format!("G0SK030K031{KSN}{BLOCK}0101{ACCOUNT}%02"));
    hsm.refuses("A1", &format!("G0K030{ZPK}{KSN}{BLOCK}0101{ACCOUNT}"));
    hsm.ok("LAK0320004K032");
    hsm.refuses("15", &format!("G0K032{ZPK}{KSN}{BLOCK}0101{ACCOUNT}"));
}

#[test]
fn storage_is_the_modules_and_a_hook_may_save_it() {
    let mut hsm = Hsm::new(|_| {});
    let saved: Arc<Mutex<Vec<UserStorage>>> = Arc::default();
    let to = saved.clone();
    hsm.module.set_storage_hook(Some(Box::new(move |storage| to.lock().unwrap().push(storage.clone()))));
    hsm.ok("LAK001010123456789ABCDEF");
    hsm.refuses("21", "LAKFFF020123456789ABCDEF0123456789ABCDEF");
    let saved = saved.lock().unwrap();
    assert_eq!(saved.len(), 1);
    let mut second = Hsm { session: Session::new(hsm.module.clone()), module: hsm.module.clone() };
    assert_eq!(second.ok("LEK00101"), "0123456789ABCDEF");
    let mut other = Hsm::new(|_| {});
    other.refuses("12", "LEK00101");
    other.module.set_user_storage(saved[0].clone());
    assert_eq!(other.ok("LEK00101"), "0123456789ABCDEF");
}

// ---------------------------------------------------------------------------------------------------------------- printing

fn text(document: &Document) -> String {
    String::from_utf8(document.text().to_vec()).unwrap()
}

#[test]
fn a_pin_mailer_is_printed_and_answered_twice() {
    let (mut hsm, printer) = Hsm::printing(">L>013^0>L>013^1>041^P>L>005^V>L>F");
    let value = hsm.ok("PEC40000012345601234M DUPONT;12 RUE X~\u{19}T1");
    let (value, trailer) = value.split_at(5 + 12);
    assert!(value.bytes().all(|c| c.is_ascii_digit()));
    assert_eq!(trailer, "\u{19}T1");
    assert_eq!(hsm.later(), ["PZ00\u{19}T1"]);
    let documents = printer.take();
    let lines = format!("\n{0:12}M DUPONT\n{0:12}12 RUE X{0:20}1234\n{0:4}ONE TWO THREE FOUR\n\x0C", "");
    assert_eq!(documents.iter().map(text).collect::<Vec<_>>(), [lines]);
    assert_eq!(documents[0].name(), "000001-PE");
    assert_eq!(hsm.ok(&format!("PG40000012345601234{value}")), "");
    hsm.refuses("01", &format!("PG40000012345701234{value}"));
    hsm.refuses("01", &format!("PG40000012345601235{value}"));
    hsm.refuses("14", &format!("PG40000012345691235{value}"));
    hsm.refuses("15", &format!("PG40000012345601234{}", &value[1..]));
    // Another module with the same LMK agrees, another LMK does not.
    assert_eq!(Hsm::new(|_| {}).ok(&format!("PG40000012345601234{value}")), "");
    hsm.refuses("01", &format!("PG40000012345601234{value}%02"));
}

#[test]
fn print_fields_and_the_sample_of_the_manual() {
    let (mut hsm, printer) = Hsm::printing("[^0][^1][^2][^3]");
    hsm.module.set_settings(Settings { pin_length: 6, ..Settings::default() });
    let value = hsm.ok("PEC5400089000090302477;Krasi;;Kolev~");
    assert_eq!(value.len(), 7 + 12);
    assert_eq!(text(&printer.take()[0]), "[][Krasi][][Kolev]");
    for (sent, printed) in [
        ("", "[][][][]"),
        ("a;b", "[a][b][][]"),
        ("a%01;b~%02", "[a%01][b][][]"),
        ("%02", "[][][][]"),
        ("~%02", "[][][][]"),
    ] {
        hsm.ok(&format!("PEC5400089000090302477{sent}"));
        assert_eq!(text(&printer.take()[0]), printed, "{sent}");
    }
    hsm.refuses("13", "PEC5400089000090302477%05");
    hsm.refuses("15", "PEC5400089000090302477a~b");
    hsm.refuses("15", "PED5400089000090302477a");
}

#[test]
fn two_up_forms_wait_for_the_second_mailer() {
    let (mut hsm, printer) = Hsm::printing("^0 ^1 ^P/^2 ^3 ^Q");
    hsm.ok("PEA40000012345601234A;B");
    assert_eq!(hsm.later(), ["PZ00"]);
    assert!(printer.take().is_empty());
    hsm.ok("PEB40000012345605678C;D");
    assert_eq!(printer.take().iter().map(text).collect::<Vec<_>>(), ["A B 1234/C D 5678"]);
    hsm.ok("PEB40000012345605678C;D");
    assert_eq!(printer.take().iter().map(text).collect::<Vec<_>>(), ["C D /  5678"]);
}

#[test]
fn two_up_forms_take_mailers_of_one_kind() {
    let (mut hsm, printer) = Hsm::printing("[^0 ^P][^1 ^Q][^R]");
    let number = |hsm: &mut Hsm, account: &str| hsm.ok(&format!("NG{account}01234"))[5..].to_owned();
    let (one, two) = (number(&mut hsm, "400000123456"), number(&mut hsm, "400000123457"));
    hsm.ok("OAA400000123456A");
    hsm.ok("OAB400000123457B");
    assert_eq!(printer.take().iter().map(text).collect::<Vec<_>>(), [format!("[A {one}][B {two}][{two}]")]);
    // What waits is for a mailer of its kind, the next one.
    for (first, second, printed) in [
        ("OAA400000123456A", "PEB40000012345605678B", "[B ][ 5678][]".to_owned()),
        ("PEA40000012345601234A", "OAB400000123457B", format!("[B ][ {two}][{two}]")),
        ("PEA40000012345601234A", "PEC40000012345605678B", "[B 5678][ ][]".to_owned()),
    ] {
        hsm.ok(first);
        hsm.ok(second);
        assert_eq!(printer.take().iter().map(text).collect::<Vec<_>>(), [printed], "{first} {second}");
    }
}

#[test]
fn clear_text_is_in_the_document_and_nowhere_else() {
    use hsm_core::lmk_pin::PinMode;
    let (mut hsm, printer) = Hsm::printing("PIN ^P");
    let settings = Settings { lmk_pin_mode: PinMode::Native, pin_length: 6, ..Settings::default() };
    hsm.module.set_settings(settings);
    let pin = hsm.ok(&format!("BA938274F{ACCOUNT}"));
    assert!(!pin.contains("938274"));
    let command = hsm_plugins::COMMANDS.iter().find(|c| c.code == *b"PE").unwrap();
    hsm.session.begin(*b"PE", None);
    let answer = command.respond(format!("C{ACCOUNT}{pin}NAME").as_bytes(), &mut hsm.session, true);
    assert!(answer.starts_with(b"00"));
    let documents = printer.take();
    assert_eq!(text(&documents[0]), "PIN 938274");
    let seen = format!(
        "{:?} {:?} {documents:?} {:?}",
        answer.escape_ascii().to_string(),
        hsm.session.transcript(),
        hsm.session
    );
    assert!(!seen.contains("938274"));
    hsm.refuses("14", &format!("PEC{}{pin}NAME", ACCOUNT.replace('4', "5")));
    assert!(hsm.later().is_empty() && printer.take().is_empty());
}

#[test]
fn printing_refuses_without_authority_printer_or_format() {
    let requests = ["PEC40000012345601234", "OAC400000123456", "A2001U", "NE001U", "OC", "OE"];
    let tmk = under_lmk("002", &CLEAR_BDK);
    let requests: Vec<String> = requests.iter().map(ToString::to_string).chain([format!("TA{tmk}")]).collect();
    for request in &requests {
        let mut hsm = Hsm::new(|settings| settings.authorise_all = false);
        hsm.refuses("17", request);
        let mut hsm = Hsm::new(|_| {});
        hsm.refuses("16", request);
        let printer = MemoryPrinter::default();
        hsm.module.set_printer(Some(Box::new(printer.clone())));
        hsm.refuses("18", request);
        assert!(hsm.later().is_empty());
        hsm.ok("PA^P");
        assert!(hsm.send(request).starts_with("00"), "{request}");
        assert_eq!(hsm.later().len(), 1);
        assert_eq!(printer.take().len(), 1);
        hsm.module.set_printer(Some(Box::new(Jammed)));
        assert!(hsm.send(request).starts_with("00"), "{request}");
        assert!(hsm.later()[0].ends_with("Z16"), "{:?}", hsm.later());
        hsm.module.set_printer(None);
        hsm.refuses("16", request);
    }
}

#[test]
fn printed_keys_need_the_activity_of_a_component() {
    let tmk = under_lmk("002", &CLEAR_BDK);
    for (request, activity) in [
        ("A2001U".to_owned(), "component.001.host"),
        ("NE001U".to_owned(), "component.001.host"),
        ("A2FFFS~%02#72T2N00E00".to_owned(), "component.72.host"),
        ("NEFFFS~%02#72T2N00E00".to_owned(), "component.72.host"),
        ("OC".to_owned(), "component.000.host"),
        ("OE".to_owned(), "component.002.host"),
        (format!("TA{tmk}"), "command.ta.host"),
    ] {
        let mut hsm = Hsm::new(|settings| settings.authorise_all = false);
        hsm.module.set_printer(Some(Box::new(MemoryPrinter::default())));
        hsm.ok("PA^P");
        hsm.refuses("17", &request);
        let lmk = if request.contains("%02") { 2 } else { 0 };
        hsm.module.authorise(lmk, &activity.parse().unwrap()).unwrap();
        hsm.ok(&request);
    }
}

struct Jammed;

impl PrintSink for Jammed {
    fn print(&mut self, _: Document) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Other.into())
    }
}

#[test]
fn print_formats_are_checked_and_continued() {
    let (mut hsm, printer) = Hsm::printing(">005^P>");
    assert_eq!(hsm.ok("PCL|21B31Bye\u{19}x"), "\u{19}x");
    hsm.ok("PEC40000012345601234");
    assert_eq!(text(&printer.take()[0]), "    1234\n\x1B1Bye");
    // The LMK of the request is no part of the format, and half a symbol is no format.
    hsm.ok("PA^P%00");
    hsm.ok("PEC40000012345601234");
    assert_eq!(text(&printer.take()[0]), "1234");
    hsm.refuses("13", "PA^P%07");
    hsm.ok("PA^P|4AB");
    hsm.refuses("18", "PEC40000012345601234");
    hsm.ok("PCCDEF01");
    hsm.ok("PEC40000012345601234");
    assert_eq!(printer.take()[0].text().len(), 8);
    for bad in ["PA^X", "PA>9A9", "PC^X", "PA\x01", "PA|2XX"] {
        hsm.refuses("15", bad);
    }
    hsm.refuses("15", &format!("PA{}", "A".repeat(300)));
    hsm.ok(&format!("PA{}", "A".repeat(299)));
    hsm.refuses("15", "PCB");
    hsm.ok("PEC40000012345601234");
    assert_eq!(
        text(&printer.take()[0]),
        "A".repeat(255),
        "the refused formats changed nothing; a line has 255 columns"
    );
}

#[test]
fn li_loads_the_words() {
    let (mut hsm, printer) = Hsm::printing("^V");
    let words = ["null", "eins", "zwei", "drei", "vier", "five and more", "sechs", "sieben", "acht", "neun"];
    let body: String = words.iter().map(|w| format!("{:X}{w}", w.len())).collect();
    assert_eq!(hsm.ok(&format!("LI{body}")), "");
    hsm.ok("PEC40000012345601590");
    assert_eq!(text(&printer.take()[0]), "eins five and more neun null");
    let sixteen = format!("LI0{}{}", "S".repeat(16), "1x".repeat(9));
    hsm.ok(&sixteen);
    hsm.ok("PEC40000012345600001");
    assert_eq!(text(&printer.take()[0]), format!("{0} {0} {0} x", "S".repeat(16)));
    hsm.refuses("15", &format!("LI{}", &body[..body.len() - 1]));
    hsm.refuses("15", &format!("LI{body}1"));
    hsm.refuses("15", "LIG");
}

#[test]
fn solicitation_mailers_are_verified_by_rc() {
    let (mut hsm, printer) = Hsm::printing("^0 ^R");
    let value = hsm.ok("OAC400000123456NAME");
    assert_eq!(hsm.later(), ["OZ00"]);
    assert_eq!(value.len(), 12);
    let reference = hsm.ok("NG40000012345601234")[5..].to_owned();
    assert_eq!(text(&printer.take()[0]), format!("NAME {reference}"));
    assert_eq!(hsm.ok(&format!("RC400000123456{value}")), "");
    hsm.refuses("01", &format!("RC400000123457{value}"));
    hsm.refuses("15", &format!("RC400000123456{}", &value[1..]));
    hsm.refuses("15", &format!("RC40000012345A{value}"));
    hsm.refuses("15", "OAC40000012345ANAME");
}

/// The reference number that a solicitation mailer shows for an account.
fn reference(hsm: &mut Hsm, printer: &MemoryPrinter, account: &str, lmk: &str) -> String {
    hsm.ok(&format!("OAC{account}{}{lmk}", if lmk.is_empty() { "" } else { "~" }));
    text(&printer.take()[0])
}

/// The processed records of QC: of the first response, and of those that followed it, whose trailer is given.
fn processed(hsm: &mut Hsm, message: &str, trailer: &str) -> Vec<String> {
    let mut responses = vec![hsm.ok(message)];
    responses.extend(hsm.later().iter().map(|later| later.strip_prefix("QD00").unwrap().to_owned()));
    responses.iter().map(|response| response.strip_suffix(trailer).unwrap().to_owned()).collect()
}

#[test]
fn chosen_pins_go_under_the_lmk_for_the_accounts_of_their_reference_numbers() {
    let chosen = [("400000123456", "1234"), ("999999999999", "123456"), ("310000000001", "98765")];
    for (lmk, digits) in [("", 6), ("%01", 33), ("%02", 6)] {
        for mode in [PinMode::Clear, PinMode::Native] {
            let (mut hsm, printer) =
                (Hsm::new(|s| (s.pin_length, s.lmk_pin_mode) = (5, mode)), MemoryPrinter::default());
            hsm.module.set_printer(Some(Box::new(printer.clone())));
            hsm.ok("PA^R");
            let record = |hsm: &mut Hsm, (account, pin): (&str, &str)| {
                format!("{}{pin};", reference(hsm, &printer, account, lmk))
            };
            let records = chosen.map(|chosen| record(&mut hsm, chosen));
            assert_eq!(hsm.ok(&format!("QA{}{}{lmk}\u{19}T", records[0], records[1])), "\u{19}T");
            let answer = hsm.ok(&format!("QC{}{lmk}", records[2]));
            assert!(hsm.later().is_empty());
            let filled = digits + digits % 2;
            assert_eq!(answer.len(), 3 * (10 + filled), "{answer}");
            let mut accounts = Vec::new();
            for record in answer.as_bytes().chunks(10 + filled) {
                let (last, field) = std::str::from_utf8(record).unwrap().split_at(10);
                let (account, pin) = chosen.iter().find(|(account, _)| account.ends_with(last)).unwrap();
                let (stored, fill) = field.split_at(digits);
                assert_eq!(fill, "F".repeat(filled - digits));
                // Under an AES LMK a PIN of any length has room; under the others the device's PIN length is all.
                let pin = if lmk == "%01" { pin } else { &pin[..pin.len().min(5)] };
                let clear = hsm.ok(&format!("NG{account}{stored}{lmk}"));
                assert!(clear.starts_with(pin), "{account}: {clear} is not {pin}");
                assert!(!clear[pin.len()..].starts_with(|c: char| c.is_ascii_digit()) || pin.len() == 6, "{clear}");
                accounts.push(last.to_owned());
            }
            assert!(accounts.is_sorted(), "{accounts:?}");
        }
    }
}

#[test]
fn a_batch_is_processed_when_it_is_large_enough() {
    let record = |n: usize| format!("{n:012}1234;");
    let records = |from: usize, to: usize| (from..to).map(record).collect::<String>();
    let mut hsm = Hsm::new(|settings| settings.solicitation_batch_size = 30);
    hsm.ok(&format!("QA{}", records(0, 20)));
    hsm.refuses("31", &format!("QC{}", records(20, 29)));
    // The refused records are not in the batch, those before them still are.
    let responses = processed(&mut hsm, &format!("QC{}\u{19}T", records(20, 30)), "\u{19}T");
    assert_eq!(responses.iter().map(|response| response.len() / 16).collect::<Vec<_>>(), [25, 5]);
    hsm.refuses("31", &format!("QC{}", record(0)));
    // As many responses as the setting makes of it, with the same records in the same order.
    let all = responses.concat();
    for (per_response, count) in [(1, 30), (7, 5), (30, 1), (512, 1)] {
        let mut hsm = Hsm::new(|settings| settings.solicitation_response_records = per_response);
        hsm.ok(&format!("QA{}", records(0, 25)));
        let responses = processed(&mut hsm, &format!("QC{}", records(25, 30)), "");
        assert_eq!((responses.len(), responses.concat()), (count, all.clone()));
    }
    let mut loaded = Hsm::new(|settings| settings.solicitation_sorted = false);
    loaded.ok(&format!("QA{}", records(0, 25)));
    let in_order = processed(&mut loaded, &format!("QC{}", records(25, 30)), "").concat();
    assert_ne!(in_order, all);
    let sort = |text: &str| {
        let mut records: Vec<_> = text.as_bytes().chunks(16).map(<[u8]>::to_vec).collect();
        records.sort();
        records
    };
    assert_eq!(sort(&in_order), sort(&all));
    let first = processed(&mut Hsm::new(|_| {}), &format!("QC{}", record(0)), "").concat();
    assert!(in_order.starts_with(&first), "{first}");
}

#[test]
fn a_batch_has_room_for_1024_records() {
    let mut hsm = Hsm::new(|settings| settings.solicitation_batch_size = 1024);
    let records = |count: usize| "0000000000001234;".repeat(count);
    (0..40).for_each(|_| drop(hsm.ok(&format!("QA{}", records(25)))));
    hsm.refuses("31", &format!("QC{}%01", records(23)));
    hsm.refuses("15", &format!("QC{}%01", records(25)));
    hsm.refuses("15", &format!("QA{}", records(25)));
    // The last place is for the message that finishes the batch: there is always a way on.
    hsm.refuses("15", &format!("QA{}", records(24)));
    let responses = processed(&mut hsm, &format!("QC{}%01\u{19}{}", records(24), "T".repeat(32)), &"T".repeat(32));
    let bytes: usize = responses.iter().map(|response| response.strip_suffix('\u{19}').unwrap().len()).sum();
    assert_eq!((responses.len(), bytes), (41, 1024 * 44));
}

#[test]
fn solicitation_data_is_refused_by_record() {
    let mut hsm = Hsm::new(|_| {});
    for code in ["QA", "QC"] {
        for (refusal, body) in [
            ("15", String::new()),
            ("15", "0000000000001234".to_owned()),
            ("15", "000000000000123;".to_owned()),
            ("15", "0000000000001234567890123;".to_owned()),
            ("15", "000000000000123X;".to_owned()),
            ("30", "00000000000X1234;".to_owned()),
            ("30", "0000000000001234;X000000000001234;".to_owned()),
            ("15", "0000000000001234;;".to_owned()),
            ("15", "0000000000001234;0000".to_owned()),
            ("15", "0000000000001234;".repeat(26)),
            ("13", "0000000000001234;%17".to_owned()),
        ] {
            hsm.refuses(refusal, &format!("{code}{body}"));
        }
    }
    // Nothing of what was refused is in the batch.
    assert_eq!(hsm.ok("QC0000000000001234;").len(), 16);
}

#[test]
fn solicitation_data_takes_the_memory_of_user_storage() {
    let saved: Arc<Mutex<Vec<usize>>> = Arc::default();
    let mut hsm = Hsm::new(|settings| settings.solicitation_batch_size = 2);
    let to = saved.clone();
    hsm.module.set_storage_hook(Some(Box::new(move |slots| to.lock().unwrap().push(slots.items().count()))));
    hsm.ok("LAK001010123456789ABCDEF");
    hsm.refuses("30", "QAX000000000001234;");
    hsm.refuses("31", "QC0000000000001234;");
    assert_eq!(hsm.ok("LEK00101"), "0123456789ABCDEF", "what is refused erases nothing");
    hsm.ok("QA0000000000001234;");
    hsm.refuses("12", "LEK00101");
    assert_eq!(*saved.lock().unwrap(), [1, 0]);
    // Another session goes on with the batch.
    let mut second = Hsm { session: Session::new(hsm.module.clone()), module: hsm.module.clone() };
    assert_eq!(second.ok("QC0000000000001234;").len(), 32);
    second.ok("QA0000000000001234;");
    hsm.ok("LAK001010123456789ABCDEF");
    hsm.refuses("31", "QC0000000000001234;");
}

#[test]
fn components_are_printed_and_form_keys() {
    let (mut hsm, printer) = Hsm::printing("^0 ^P ^T");
    let (one, two) = (hsm.ok("A20012UONE"), hsm.ok("A2001UTWO"));
    assert_eq!(hsm.later(), ["AZ00"]);
    let documents = printer.take();
    let (first, second) = (text(&documents[0]), text(&documents[1]));
    let clear = |text: &str| text.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(&one[33..], first.split(' ').nth(2).unwrap(), "check value in the answer and on paper");
    let formed = hsm.ok(&format!("A42001U{}{two}", &one[..33]));
    let sum: Vec<u8> = (0..32).step_by(2).map(|i| byte(&clear(&first), i) ^ byte(&clear(&second), i)).collect();
    let key = ClearKey::des(&sum).unwrap().with_odd_parity();
    let under = LmkUse::from(KeyType::ZPK);
    let expected = KeyScheme::U.write(&encrypt_under_lmk(&Lmk::test_variant(), under, KeyScheme::U, &key).unwrap());
    assert_eq!(&formed[..33], expected);

    let (block, again) = (hsm.ok("A2FFFS~%02#72T2N00E00"), hsm.ok("A2FFFS~%02#72T2Nc2E00"));
    assert_eq!(&block[..16], "S0007272TNc1E000");
    let formed = hsm.ok(&format!("A42FFFS{block}{again}%02#0000"));
    assert!(formed.starts_with("S0007272TN00"), "{formed}");
    assert_eq!(&hsm.ok("A2FFFS~%02#72T2Nc3E00")[..16], "S0007272TNc3E000");
    hsm.refuses("28", "A2FFFU");
    hsm.refuses("15", "A2FFFS~%02");
    hsm.refuses("28", "A2001S~%02");
    hsm.refuses("26", "A2001S");
    hsm.refuses("04", "A20FFU");
    hsm.refuses("15", "A2001");
    hsm.refuses("A6", "A2FFFS~%02#ZZT2N00E00");
}

fn byte(digits: &str, at: usize) -> u8 {
    u8::from_str_radix(&digits[at..at + 2], 16).unwrap()
}

#[test]
fn split_keys_are_printed_in_parts() {
    let (mut hsm, printer) = Hsm::printing("^P-^Q-^R-^T");
    for (request, scheme, len) in
        [("NE0012Z", KeyScheme::Single, 8), ("NE0012U", KeyScheme::U, 16), ("NE0012T", KeyScheme::T, 24)]
    {
        let answer = hsm.ok(request);
        assert_eq!(hsm.later(), ["NZ00"]);
        let digits = answer.len() - 6 - 2 * len;
        let cryptogram: Vec<u8> = (0..2 * len).step_by(2).map(|i| byte(&answer[digits..], i)).collect();
        let key = decrypt_under_lmk(&Lmk::test_variant(), KeyType::ZPK.into(), scheme, &cryptogram).unwrap();
        assert!(key.odd_parity);
        let printed = text(&printer.take()[0]);
        let parts: Vec<&str> = printed.split('-').collect();
        assert_eq!(parts[..3].concat(), hex(key.key.bytes()), "{request}");
        assert_eq!(parts[3], &answer[answer.len() - 6..]);
        assert_eq!(parts[0].len(), if len == 8 { 8 } else { 16 });
    }
    let block = hsm.ok("NEFFFS~%01#71A3N00E00");
    assert_eq!(&block[..8], "S1012871");
    // An AES-256 key has two halves: every part has a symbol.
    let printed = text(&printer.take()[0]);
    let keys = Lmk::test_keyblock_aes();
    let opened = thales::unwrap(keys.protection_keys().unwrap(), None, &block.as_bytes()[1..block.len()]).unwrap();
    let parts: Vec<&str> = printed.split('-').collect();
    assert_eq!(parts[..3].concat(), hex(opened.key.bytes()));
    assert_eq!((parts[0].len(), parts[2]), (32, ""));
    hsm.refuses("28", "NEFFFU");
    hsm.refuses("15", "NEFFFS~%01");
    hsm.refuses("15", "NE001");
}

#[test]
fn legacy_key_mailers() {
    let (mut hsm, printer) = Hsm::printing("^0:^P");
    let component = hsm.ok("OCNAME");
    assert_eq!((component.len(), hsm.later()), (32, vec!["OZ00".to_owned()]));
    let clear = text(&printer.take()[0])[5..].to_owned();
    let cryptogram: Vec<u8> = (0..32).step_by(2).map(|i| byte(&component, i)).collect();
    let under = LmkUse::component_of(KeyType::ZMK);
    let key = decrypt_under_lmk(&Lmk::test_variant(), under, KeyScheme::Double, &cryptogram).unwrap();
    assert_eq!(hex(key.key.bytes()), clear);
    assert!(hsm.ok("OCNAME|0U0").starts_with('U'));
    assert_eq!(text(&printer.take()[0]).len(), 5 + 32);

    let key = hsm.ok("OENAME");
    assert_eq!((key.len(), hsm.later()), (16, vec!["OZ00".to_owned()]));
    assert_eq!(text(&printer.take()[0]).len(), 5 + 16);
    let key = hsm.ok("OENAME|0U1");
    let clear = text(&printer.take()[0])[5..].to_owned();
    hsm.ok(&format!("TA{key}OTHER"));
    assert_eq!(hsm.later(), ["TZ00"]);
    assert_eq!(text(&printer.take()[0]), format!("OTHER:{clear}"));
    hsm.refuses("10", &format!("TA{ZPK}OTHER"));
    hsm.refuses("15", "OCNAME|0U");
    hsm.refuses("26", "OENAME|0W0");
    let tmk = tdes_block(b"51", ModeOfUse::Any, &CLEAR_BDK);
    hsm.ok(&format!("TA{tmk}BLOCK~%02"));
    assert_eq!(text(&printer.take()[0]), format!("BLOCK:{}", hex(&CLEAR_BDK)));
    let mut separated = Hsm::new(|settings| settings.separate_002 = true);
    separated.module.set_printer(Some(Box::new(printer)));
    separated.ok("PA^P");
    separated.refuses("68", "OENAME");
}

// ------------------------------------------------------------------------------------------------------------------ the rest

#[test]
fn n0_gives_as_many_random_bytes_as_asked() {
    let mut hsm = Hsm::new(|_| {});
    assert_eq!(hsm.ok("N0008").len(), 8);
    assert_eq!(hsm.ok("N0256").len(), 256);
    assert_ne!(hsm.ok("N0032"), hsm.ok("N0032"));
    for bad in ["N0000", "N0257"] {
        hsm.refuses("01", bad);
    }
    for bad in ["N0", "N00A8", "N00080"] {
        hsm.refuses("15", bad);
    }
}

#[test]
fn no_tells_status_and_pci_state() {
    let mut hsm = Hsm::new(|_| {});
    let status = hsm.ok("NO00");
    assert_eq!((&status[..4], status.len()), ("3164", 18), "22 bytes with response code and error code");
    assert_eq!(&status[4..13], "1500-EMU1");
    assert_eq!(hsm.ok("NO01"), "0");
    assert_eq!(Hsm::new(|settings| settings.separate_002 = true).ok("NO01"), "2");
    let mut strict = Hsm::new(|settings| {
        (settings.separate_002, settings.restrict_pin_blocks, settings.restrict_kcv) = (true, true, true);
        (settings.refuse_single_posing, settings.single_des) = (true, false);
    });
    assert_eq!(strict.ok("NO01"), "1");
    for (translations, state) in [("01>01 same-pan", "1"), ("05>01", "1"), ("01>01", "2"), ("01>05 same-pan", "2")] {
        let mut settings = (*strict.module.settings()).clone();
        settings.pin_block_translations = vec![translations.parse().unwrap()];
        strict.module.set_settings(settings);
        assert_eq!(strict.ok("NO01"), state, "{translations}");
    }
    for bad in ["NO", "NO02", "NO0", "NO001"] {
        hsm.refuses("15", bad);
    }
}

const COMMANDS: [&str; 30] = [
    "G0", "GO", "GQ", "GS", "GU", "GW", "CI", "CK", "CM", "CO", "CQ", "LA", "LE", "LC", "PA", "PC", "PE", "PG", "OA",
    "RC", "A2", "NE", "OC", "OE", "TA", "LI", "N0", "NO", "QA", "QC",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any bytes are answered: by a code, never by a panic.
    #[test]
    fn any_bytes_are_answered(
        body: Vec<u8>,
        pieces in prop::collection::vec(prop::sample::select(vec![
            BDK, ZPK, PVK_SINGLE, KSN, BLOCK, ACCOUNT, TABLE, "0", "1", "01", "04", "K000", "UK010", "*", "~", ";", "%01", "\u{19}x",
            "01234", "4000001N3456", "9853FFFFFFFF", "0008", "S00072B0TN00E0001", "A", "C", "001", "U", "|", "^P", ">L", ">0",
        ]), 0..12),
        at: usize, byte: u8, variable: bool,
    ) {
        let printer = MemoryPrinter::default();
        let mut hsm = Hsm::new(|settings| {
            settings.user_storage = if variable { SlotSize::Variable } else { SlotSize::Single };
            settings.diebold_test_algorithm = true;
        });
        hsm.module.set_printer(Some(Box::new(printer)));
        hsm.ok("PA^0^P^V>L");
        let mut structured = pieces.concat().into_bytes();
        if !structured.is_empty() {
            let at = at % structured.len();
            structured[at] = byte;
        }
        for command in COMMANDS {
            for body in [body.as_slice(), structured.as_slice(), pieces.concat().as_bytes()] {
                let answer = hsm.send_bytes(&[command.as_bytes(), body].concat());
                prop_assert!(answer.len() >= 2);
                prop_assert_ne!(&answer[..2], "41");
            }
        }
    }
}
