use super::*;
use proptest::prelude::*;

fn bdk() -> TdesBdk {
    let key = ClearKey::des(b"\x01\x23\x45\x67\x89\xAB\xCD\xEF\xFE\xDC\xBA\x98\x76\x54\x32\x10").unwrap();
    TdesBdk::new(&key).unwrap()
}

#[test]
fn descriptors_give_the_length_and_the_parts() {
    for (field, len) in [(b"605", 16), (b"609", 20), (b"906", 20), (b"A05", 20), (b"a05", 20), (b"708", 20)] {
        assert_eq!(KsnDescriptor::parse(field).unwrap().ksn_len(), len, "{field:?}");
    }
    for field in [&b"A0"[..], b"A055", b"G05", b"006", b"B05", b""] {
        assert_eq!(KsnDescriptor::parse(field), Err(DukptError::Descriptor), "{field:?}");
    }
    let parts = KsnDescriptor::parse(b"609").unwrap().split(b"123456ABCDEF98700001").unwrap();
    assert_eq!((parts.key_set, parts.sub_key), (&b"123456"[..], &b""[..]));
    assert_eq!((parts.device, parts.counter), (&b"ABCDEF987"[..], &b"00001"[..]));
    assert_eq!(KsnDescriptor::parse(b"609").unwrap().split(b"123"), Err(DukptError::KsnLength(3)));
}

#[test]
fn serial_numbers_are_filled_on_the_left() {
    let ksn = Ksn::parse(b"9876543210e00001").unwrap();
    assert_eq!(ksn.bytes(), b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x01");
    assert_eq!(ksn, Ksn::parse(b"FFFF9876543210E00001").unwrap());
    assert_eq!(Ksn::parse(b"12345678901"), Err(DukptError::KsnLength(11)));
    assert_eq!(Ksn::parse(b"123456789012345678901"), Err(DukptError::KsnLength(21)));
    assert_eq!(Ksn::parse(b"FFFF9876543210E0000G"), Err(DukptError::NotHex));
    assert_eq!(AesKsn::parse(b"FFFF9876543210E00001"), Err(DukptError::KsnLength(20)));
    assert_eq!(AesKsn::parse(b"12345678901234560000000x"), Err(DukptError::NotHex));
}

#[test]
fn the_counter_has_21_bits() {
    let ksn = Ksn::parse(b"FFFF9876543210FFFFFF").unwrap();
    assert_eq!(ksn.counter(), 0x1F_FFFF);
    assert_eq!(ksn.with_counter(u32::MAX), ksn);
    assert_eq!(ksn.with_counter(0).bytes(), b"\xFF\xFF\x98\x76\x54\x32\x10\xE0\x00\x00");
}

#[test]
fn a_device_sends_2_20_less_one_tdes_counters() {
    let ksn = Ksn::new([0; 10]);
    assert_eq!((0..1 << 21).filter(|c| ksn.with_counter(*c).is_sent_by_devices()).count(), (1 << 20) - 1);
    assert!(AesKsn::new([0; 8], 0x0000_FFFF).is_sent_by_devices());
    assert!(!AesKsn::new([0; 8], 0x0001_FFFF).is_sent_by_devices());
    assert!(!AesKsn::new([0; 8], 0).is_sent_by_devices());
}

#[test]
fn counter_zero_is_the_initial_key() {
    let ksn = Ksn::parse(b"FFFF9876543210E00000").unwrap();
    assert_eq!(bdk().transaction_key(&ksn).unwrap(), bdk().initial_key(&ksn).unwrap());
    assert_eq!(bdk().single_des_initial_key(&ksn).unwrap().bytes(), &bdk().initial_key(&ksn).unwrap().bytes()[..8]);
    let initial = ClearKey::aes(&[3; 16]).unwrap();
    assert_eq!(aes_transaction_key(&initial, &AesKsn::new([1; 8], 0)).unwrap(), initial);
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let (single, double, aes) = (ClearKey::des(&[1; 8]), ClearKey::des(&[1; 16]), ClearKey::aes(&[1; 16]));
    let (single, double, aes) = (single.unwrap(), double.unwrap(), aes.unwrap());
    let ksn = Ksn::new([0; 10]);
    assert!(TdesBdk::new(&single).is_err());
    assert!(TdesBdk::new(&aes).is_err());
    assert!(TdesBdk::new(&ClearKey::des(&[1; 24]).unwrap()).is_ok());
    assert!(tdes_transaction_key(&aes, &ksn).is_err());
    assert!(tdes_working_key(&single, TdesUse::Pin).is_err());
    assert!(single_des_transaction_key(&double, &ksn).is_err());
    assert!(single_des_encrypt_pin_block(&double, [0; 8]).is_err());
    assert!(aes_initial_key(&double, &[0; 8]).is_err());
    assert!(aes_transaction_key(&double, &AesKsn::new([0; 8], 1)).is_err());
}

#[test]
fn working_keys_are_no_stronger_than_their_source() {
    use AesKeyType::*;
    let ksn = AesKsn::new([0; 8], 1);
    let allowed = |len: usize| {
        let key = ClearKey::aes(&[1; 32][..len]).unwrap();
        [Tdes2, Tdes3, Aes128, Aes192, Aes256, Hmac128, Hmac192, Hmac256].map(|key_type| {
            match aes_working_key(&key, AesUse::MacBoth, key_type, &ksn) {
                Ok(working) => Some(working.len()),
                Err(e) => {
                    assert_eq!(e, DukptError::TooStrong);
                    None
                }
            }
        })
    };
    assert_eq!(allowed(16), [Some(16), Some(24), Some(16), None, None, Some(16), None, None]);
    assert_eq!(allowed(24), [Some(16), Some(24), Some(16), Some(24), None, Some(16), Some(24), None]);
    assert_eq!(allowed(32), [Some(16), Some(24), Some(16), Some(24), Some(32), Some(16), Some(24), Some(32)]);
}

proptest! {
    #[test]
    fn parsing_is_total(field: Vec<u8>) {
        let _ = (Ksn::parse(&field), AesKsn::parse(&field));
        if let Ok(descriptor) = KsnDescriptor::parse(&field) {
            let _ = descriptor.split(&field);
        }
    }

    #[test]
    fn every_descriptor_splits_a_field_of_its_length(field in "[0-9A-F]{3}", digits in "[0-9A-F]{20}") {
        if let Ok(descriptor) = KsnDescriptor::parse(field.as_bytes()) {
            let ksn = &digits.as_bytes()[..descriptor.ksn_len()];
            let parts = descriptor.split(ksn).unwrap();
            prop_assert_eq!([parts.key_set, parts.sub_key, parts.device, parts.counter].concat(), ksn);
            prop_assert!(Ksn::parse(ksn).is_ok());
        }
    }

    #[test]
    fn any_serial_number_has_keys(bytes: [u8; 10], counter: u32, block: [u8; 8]) {
        let ksn = Ksn::new(bytes);
        prop_assert_eq!(ksn.with_counter(counter).counter(), counter & 0x1F_FFFF);
        let key = bdk().transaction_key(&ksn).unwrap();
        use TdesUse::*;
        let uses = [Pin, MacRequest, MacResponse, DataRequest, DataResponse];
        let keys = uses.map(|usage| tdes_working_key(&key, usage).unwrap());
        for (i, a) in keys.iter().enumerate() {
            prop_assert!(keys[..i].iter().all(|b| a != b));
        }
        let without_lowest = ksn.with_counter(ksn.counter() & ksn.counter().wrapping_sub(1));
        if ksn.counter() != 0 {
            let parent = bdk().transaction_key(&without_lowest).unwrap();
            prop_assert_eq!(&tdes_child_key(&parent, &ksn).unwrap(), &key);
            let parent = bdk().single_des_transaction_key(&without_lowest).unwrap();
            let child = single_des_child_key(&parent, &ksn).unwrap();
            prop_assert_eq!(child, bdk().single_des_transaction_key(&ksn).unwrap());
        }
        let single = bdk().single_des_transaction_key(&ksn).unwrap();
        let enciphered = single_des_encrypt_pin_block(&single, block).unwrap();
        prop_assert_eq!(*single_des_decrypt_pin_block(&single, *enciphered).unwrap(), block);
    }

    #[test]
    fn any_aes_serial_number_has_keys(id: [u8; 8], counter: u32, key: [u8; 32], len in 2usize..=4) {
        let bdk = ClearKey::aes(&key[..len * 8]).unwrap();
        let ksn = AesKsn::new(id, counter);
        let initial = aes_initial_key(&bdk, &id).unwrap();
        let transaction = aes_transaction_key(&initial, &ksn).unwrap();
        prop_assert_eq!(transaction.len(), len * 8);
        if counter != 0 {
            let parent = AesKsn::new(id, counter & (counter - 1));
            let parent = aes_transaction_key(&initial, &parent).unwrap();
            prop_assert_eq!(&aes_child_key(&parent, &ksn).unwrap(), &transaction);
        }
        prop_assert!(aes_working_key(&transaction, AesUse::Pin, AesKeyType::Aes128, &ksn).is_ok());
    }
}
