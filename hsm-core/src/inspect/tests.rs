use super::*;
use crate::module::SecurityModule;
use hsm_pinblock::{Account12, Pan};
use proptest::prelude::*;

const CVK: &str = "U9B4934384B19946B040CD702B4D58145";
const KCV: [u8; 3] = [0x08, 0xD7, 0xB4];
const ZPK_BLOCK: &str = "S00072P0TB00E0001EA421618B34F5FA1A77F7CF6480111B97CF0FAE7BD77D589EC921EF9";

fn clear(len: usize) -> ClearKey {
    const BYTES: [u8; 24] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10, 0x89, 0x67,
        0x45, 0x23, 0x01, 0xEF, 0xCD, 0xAB,
    ];
    ClearKey::des(&BYTES[..len]).unwrap()
}

/// Inspects with the test LMKs; `check` says whether with the check value of [`CVK`].
fn look(text: &str, check: bool, wrapping_keys: &[WrappingKey]) -> Report {
    let lmks = SecurityModule::with_test_lmks().lmks();
    inspect(&Query {
        text,
        lmks: &lmks.slots,
        wrapping_keys,
        check_value: check.then_some(&KCV),
        key_type: None,
        all: false,
    })
}

fn first_type(report: &Report) -> Option<String> {
    report.candidates.first().and_then(|c| c.reading.key_type).map(|t| t.to_string())
}

#[test]
fn every_listed_type_is_recognised_in_every_scheme() {
    let lmk = Lmk::test_variant();
    let scheme_of = |len| if len == 16 { KeyScheme::U } else { KeyScheme::T };
    for info in KEY_TYPES {
        for len in [16, 24] {
            for scheme in [scheme_of(len), if len == 16 { KeyScheme::X } else { KeyScheme::Y }] {
                let cryptogram = variant::encrypt_under_lmk(&lmk, info.key_type.into(), scheme, &clear(len)).unwrap();
                let report = look(&scheme.write(&cryptogram), false, &[]);
                let found = report.candidates.first().unwrap();
                // Types whose pairs and variants coincide in the test set cannot be told apart.
                let same =
                    variant::decrypt_under_lmk(&lmk, found.reading.key_type.unwrap().into(), scheme, &cryptogram);
                assert_eq!(same.unwrap().key, clear(len), "{}", info.key_type);
                assert!(found.odd_parity() && found.reading.as_written && !found.reading.component);
            }
        }
    }
}

#[test]
fn a_good_key_has_no_repairs() {
    let report = look(CVK, true, &[]);
    assert_eq!(first_type(&report).as_deref(), Some("402"));
    assert_eq!(report.candidates[0].check_match, Some(CheckMatch::Whole));
    assert_eq!(report.candidates[0].reading.under, Under::Lmk(0));
    assert!(report.repairs.is_empty() && report.remarks.is_empty());
}

#[test]
fn check_values_of_halves_are_told_apart() {
    let lmks = SecurityModule::with_test_lmks().lmks();
    let query = |check_value| Query {
        text: CVK,
        lmks: &lmks.slots,
        wrapping_keys: &[],
        check_value: Some(check_value),
        key_type: None,
        all: false,
    };
    let found = |check_value| inspect(&query(check_value)).candidates[0].check_match;
    assert_eq!(found(&[0xD5, 0xD4, 0x4F, 0xA6, 0x8C, 0xDC]), Some(CheckMatch::Parts));
    assert_eq!(found(&[0xD5, 0xD4, 0x4F]), Some(CheckMatch::FirstPart));
    assert_eq!(found(&[0x00, 0x00, 0x00]), None);
    assert!(!inspect(&query(&[0, 0, 0])).is_plausible(&query(&[0, 0, 0])));
}

#[test]
fn no_clear_key_is_in_debug_output() {
    let text = format!("{:?}", look(CVK, true, &[]));
    assert!(!text.contains("0123456789ABCDEF") && !text.contains("1, 35, 69"), "{text}");
}

#[test]
fn every_wrong_digit_is_found_by_the_check_value() {
    for at in (1..CVK.len()).step_by(3) {
        let mut damaged: Vec<u8> = CVK.bytes().collect();
        damaged[at] = if damaged[at] == b'3' { b'4' } else { b'3' };
        let report = look(core::str::from_utf8(&damaged).unwrap(), true, &[]);
        let texts: Vec<_> = report.repairs.iter().map(|repair| repair.text.as_str()).collect();
        assert_eq!(texts, [CVK], "digit {at}");
        assert!(matches!(report.repairs[0].defect, Defect::Wrong { at: place, .. } if place == at));
    }
}

#[test]
fn the_question_mark_of_a_text_encoding_is_undone() {
    // As in a forum: binary data went through an ASCII encoder, so that a byte from 80 up became a question mark.
    let zmk = WrappingKey { name: "ZMK".to_owned(), key: ClearKey::des(&[0x13; 16]).unwrap() };
    for scheme in [KeyScheme::X, KeyScheme::U] {
        let mut cryptogram = variant::encrypt_under_zmk(&zmk.key, AtallaVariant::NONE, scheme, &clear(16)).unwrap();
        let whole = scheme.write(&cryptogram);
        let at = cryptogram.iter().position(|byte| *byte >= 0x80).unwrap();
        cryptogram[at] = b'?';
        let report = look(&scheme.write(&cryptogram), true, std::slice::from_ref(&zmk));
        assert!(report.remarks.iter().any(|r| matches!(r, Remark::QuestionMarks(marks) if marks.contains(&(at + 1)))));
        let repair = report.repairs.first().unwrap();
        assert_eq!(repair.defect, Defect::TextEncoding(vec![at + 1]), "{scheme:?}");
        assert_eq!(hex::decode(repair.text.trim_start_matches(['X', 'U'])), hex::decode(&whole[1..]));
    }
}

#[test]
fn encodings_of_the_whole_text_are_undone() {
    let bytes = hex::decode(&CVK[1..]).unwrap();
    let utf8: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let report = look(&format!("U{}", hex::encode(utf8.as_bytes())), false, &[]);
    assert_eq!((&report.repairs[0].defect, report.repairs[0].text.as_str()), (&Defect::Utf8, CVK));
    let report = look(&hex::encode(CVK.as_bytes()), false, &[]);
    assert_eq!((&report.repairs[0].defect, report.repairs[0].text.as_str()), (&Defect::TwiceHex, CVK));
    let report = look(&CVK.replace('0', "O"), false, &[]);
    assert_eq!((&report.repairs[0].defect, report.repairs[0].text.as_str()), (&Defect::LookAlikes, CVK));
    assert!(report.remarks.iter().any(|r| matches!(r, Remark::NotHex { found: 'O', .. })));
    let report = look(&CVK.to_lowercase(), false, &[]);
    assert_eq!(first_type(&report).as_deref(), Some("402"));
    assert_eq!(report.remarks, [Remark::LowerCase]);
}

#[test]
fn lengths_are_explained() {
    let says =
        |text: &str| look(text, false, &[]).remarks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    assert!(says("08D7B4").contains("check value"));
    assert!(says("U0123456789ABCDEF").contains("scheme Z or no tag"));
    assert!(says("0123456789ABCDEF0123456789ABCDE").contains("one digit is missing"));
    assert!(says("J0123456789ABCDEF").contains("no key scheme"));
    assert!(says("").contains("nothing is there"));
    assert_eq!(look("K01F", false, &[]).shape, Shape::Stored);
}

#[test]
fn headers_of_blocks_are_authenticated() {
    let good = look(ZPK_BLOCK, false, &[]);
    let verdicts = &good.block.as_ref().unwrap().verdicts;
    let of = |id| verdicts.iter().find(|v| v.under == Under::Lmk(id)).unwrap();
    assert_eq!(of(2).authenticated(), Some(true));
    assert_eq!(of(1).authenticated(), None);
    assert!(good.repairs.is_empty());
    // Every character of the header counts, and those that follow.
    for at in (1..17).chain((17..ZPK_BLOCK.len()).step_by(9)) {
        let mut damaged: Vec<char> = ZPK_BLOCK.chars().collect();
        damaged[at] = if damaged[at] == '1' { '2' } else { '1' };
        let damaged: String = damaged.into_iter().collect();
        let report = look(&damaged, false, &[]);
        let found = report.repairs.iter().any(|repair| repair.text == ZPK_BLOCK);
        assert!(found, "{damaged}: {:?}", report.repairs);
    }
    let moved = look(&ZPK_BLOCK.replace("E0001", "E0000"), false, &[]);
    let under = Defect::Header(vec![("the key it is under", "00".to_owned(), "01".to_owned())]);
    assert_eq!(moved.repairs[0].defect, under);
}

#[test]
fn usages_of_both_families_have_names() {
    use crate::key_block::header::Usage;
    let name = |family, id: &[u8; 2]| usage_name(family, Usage::new(*id).unwrap());
    assert_eq!(name(Family::Thales, b"72"), Some("ZPK"));
    assert_eq!(name(Family::X9143, b"72"), None);
    assert_eq!(name(Family::X9143, b"P0"), Some("PIN encryption key"));
}

#[test]
fn a_wrong_account_number_is_not_a_wrong_key() {
    // ISO-0 of PIN 2512, account 345513804937, under the double-length sample key.
    let block = hex::decode("CB4EBC0180DFED6E").unwrap();
    let keys = [WrappingKey { name: "ZPK".to_owned(), key: clear(16) }];
    let guess = |digits: &[u8]| AccountGuess {
        name: "field".to_owned(),
        account: Account12::from_digits(digits).unwrap().into(),
        pan: None,
    };
    let read = |accounts: &[AccountGuess], keys: &[WrappingKey]| read_pin_block(keys, accounts, &block);
    let found = read(&[guess(b"345513804937")], &keys);
    assert_eq!(found[0].outcome.as_ref().unwrap().digits(), [2, 5, 1, 2]);
    assert_eq!((found[0].format.name(), found[0].hint), ("ISO-0", None));
    let other = read(&[guess(b"999999999999")], &keys);
    assert!(other.iter().any(|r| r.format.name() == "ISO-0" && r.hint == Some(PinHint::OtherAccount)));
    assert!(!other.iter().any(PinReading::is_convincing));
    let unusual = read(&[guess(b"999999999999"), guess(b"345513804937")], &keys);
    assert!(unusual.iter().any(|r| r.outcome.is_ok() && r.hint == Some(PinHint::UnusualAccount)));
    // An AES key has no such blocks, a DES key no ISO-4 blocks.
    let aes = [WrappingKey { name: "AES".to_owned(), key: ClearKey::aes(&[1; 16]).unwrap() }];
    assert!(read(&[], &aes).is_empty());
    assert!(read_pin_block(&keys, &[], &[0; 16]).is_empty());
    let pan = Pan::from_digits(b"4000001234562").unwrap();
    let whole = [AccountGuess { name: "PAN".to_owned(), account: pan.into(), pan: Some(pan) }];
    assert_eq!(read_pin_block(&aes, &whole, &[0; 16]).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_looked_at(text in "\\PC{0,80}", check in any::<bool>()) {
        let report = look(&text, check, &[]);
        prop_assert!(report.repairs.len() <= 16);
    }

    #[test]
    fn any_block_is_looked_at(head in "[SR]?[01A-E][0-9]{4}[A-Z0-9]{2}[A-Z][A-Z][0-9a-z]{2}[ENSX][0-9]{2}[0-9F]{2}", rest in "[0-9A-F]{0,64}") {
        let _ = look(&format!("{head}{rest}"), false, &[]);
    }
}
