//! Known-answer tests of the algorithms: every row of the vector files in `testdata`.
//!
//! A row is either checked or listed in a table of skipped ids with the reason; each test asserts how many rows it
//! checked, so that a file that shrinks or is not read fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test: helpers may fail as tests do")]

use hsm_core::card::{self, Cvk};
use hsm_core::cipher::BlockCipher;
use hsm_core::dukpt::{self, AesKeyType, AesKsn, AesUse, Ksn, TdesBdk, TdesUse};
use hsm_core::emv::{self, CardKeyOption, Confidentiality, PanPsn, Tree};
use hsm_core::kcv;
use hsm_core::mac::{HashAlgorithm, MacAlgorithm, MacKey, Padding, Segment};
use hsm_core::pin_verify::{self, DecimalisationTable, Offset, ValidationData};
use hsm_core::{Algorithm, ClearKey};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn mac() {
    const ALG2: &str = "ISO 9797-1 algorithm 2: no command offers it";
    run("mac", &[("mac-098", ALG2), ("mac-099", ALG2), ("mac-100", ALG2)], 91, |row| {
        let message = row.hex("message");
        match row.text("algorithm") {
            "padding" => {
                let block = row.inputs()["block_size"].as_u64().unwrap() as usize;
                let method = method(row.inputs()["method"].as_u64().unwrap());
                row.expect("padded", &method.pad(&message, block).unwrap());
            }
            "X9.19 chained" => {
                let key = MacKey::new(MacAlgorithm::Alg3, &des(&row.hex("key"))).unwrap();
                let running = row.hex("iv");
                let (segment, name) = match row.text("mode") {
                    "next" => (Segment::Middle(&running), "iv_out"),
                    "final" => (Segment::Last(&running), "mac"),
                    other => panic!("{}: mode {other}", row.id()),
                };
                row.expect(name, &key.segment(segment, Padding::Method1, &message).unwrap());
            }
            algorithm if algorithm.starts_with("HMAC-") => {
                let hash = hash_named(&algorithm[5..]);
                row.expect("mac", &hash.hmac(&row.hex("key"), &message).unwrap());
            }
            algorithm => {
                let (algorithm, kind) = match algorithm {
                    "AES-CMAC" => (MacAlgorithm::Cmac, Algorithm::Aes),
                    "TDES-CMAC" => (MacAlgorithm::Cmac, Algorithm::Des),
                    "ISO9797-1 alg 1 (DES)" | "ISO9797-1 alg 1 (TDES)" => (MacAlgorithm::Alg1, Algorithm::Des),
                    "ISO9797-1 alg 3" => (MacAlgorithm::Alg3, Algorithm::Des),
                    other => panic!("{}: algorithm {other}", row.id()),
                };
                let padding = row.inputs()["padding"].as_u64().map_or(Padding::None, method);
                let key = MacKey::new(algorithm, &ClearKey::new(kind, &row.hex("key")).unwrap()).unwrap();
                let mac = key.mac(padding, &message).unwrap();
                let len = row.inputs()["length"].as_u64().map_or(mac.len(), |len| len as usize);
                row.expect("mac", &mac[..len]);
            }
        }
    });
}

#[test]
fn block_ciphers() {
    const MODE: &str = "CFB, OFB and CTR are modes of the data encryption commands, not of the cipher";
    let skipped = ["010", "011", "012", "013", "068", "069"].map(|n| format!("block_ciphers-{n}"));
    let skipped: Vec<_> = skipped.iter().map(|id| (id.as_str(), MODE)).collect();
    run("block_ciphers", &skipped, 58, |row| {
        let algorithm = row.text("algorithm");
        if let Some(hash) = algorithm.strip_prefix("HASH-") {
            row.expect("digest", &hash_named(hash).digest(row.text("message_ascii").as_bytes()));
            return;
        }
        let (kind, mode) = algorithm.split_once('-').unwrap();
        let key = row.hex("key");
        let cipher = if kind == "AES" { BlockCipher::aes(&key) } else { BlockCipher::des(&key) }.unwrap();
        let plaintext = row.hex("plaintext");
        let mut data = plaintext.clone();
        if mode == "ECB" {
            cipher.ecb_encrypt(&mut data).unwrap();
            row.expect("ciphertext", &data);
            cipher.ecb_decrypt(&mut data).unwrap();
        } else {
            assert_eq!(mode, "CBC", "{}", row.id());
            cipher.cbc_encrypt(&mut row.hex("iv"), &mut data).unwrap();
            row.expect("ciphertext", &data);
            cipher.cbc_decrypt(&mut row.hex("iv"), &mut data).unwrap();
        }
        assert_eq!(data, plaintext, "{}", row.id());
    });
}

#[test]
fn check_values_and_key_operations() {
    const VARIANT: &str = "a key variant, which is the business of LMK and ZMK encipherment";
    let skipped = ["030", "031", "033", "034", "035"].map(|n| format!("kcv_keyops-{n}"));
    let skipped: Vec<_> = skipped.iter().map(|id| (id.as_str(), VARIANT)).collect();
    run("kcv_keyops", &skipped, 23, |row| {
        if row.expected().get("odd").is_some() {
            row.expect("odd", des(&row.hex("key")).with_odd_parity().bytes());
            return;
        }
        if row.expected().get("key").is_some() {
            let mut key = vec![0; 16];
            for component in row.inputs()["components"].as_array().unwrap() {
                hsm_core::cipher::xor_in_place(&mut key, &hex(component.as_str().unwrap()));
            }
            row.expect("key", &key);
            return;
        }
        let value = match (row.text("algorithm"), row.text("method")) {
            ("TDES", "ECB of 8 zero bytes") => kcv::check_value(&des(&row.hex("key"))).unwrap(),
            ("AES", "CMAC over the empty message") => kcv::aes_lmk_check_value(&aes(&row.hex("key"))).unwrap(),
            ("AES", method) if method.starts_with("CMAC over 16 zero bytes") => {
                kcv::check_value(&aes(&row.hex("key"))).unwrap()
            }
            other => panic!("{}: {other:?}", row.id()),
        };
        row.expect_prefix("kcv", &value);
    });
}

#[test]
fn card_verification() {
    const BAD: &str = "the published value could not be reproduced";
    run("card_verification", &[("card_verification-037", BAD)], 31, |row| {
        let ascii = |name: &str| row.text(name).as_bytes();
        let option = || card_option(row);
        match row.text("type") {
            "decimalisation" => {
                let digits = row.inputs()["digits"].as_u64().unwrap() as usize;
                row.expect_digits("result", card::decimalise(&row.hex("hex")).take(digits));
            }
            "CAVV" => {
                let code = [row.text("auth_result"), row.text("second_factor")].concat();
                let cavv = cvk(row, "cvk").cvv(ascii("pan"), ascii("upn"), code.as_bytes()).unwrap();
                row.expect_ascii("cavv", &cavv);
            }
            "dCVV" => {
                let udk = card_key_of(row, "issuer_mk", option());
                row.expect("udk", udk.bytes());
                let atc = row.text("atc").parse().unwrap();
                let dcvv = Cvk::new(&udk).unwrap().dcvv(ascii("pan"), ascii("expiry"), ascii("service_code"), atc);
                row.expect_ascii("dcvv", &dcvv.unwrap());
            }
            "CVC3" => cvc3(row, &card_key_of(row, "issuer_mk_cvc3", option())),
            _ => {
                let key = cvk(row, "cvk");
                let (pan, expiry, code) = (ascii("pan"), ascii("expiry"), ascii("service_code"));
                if row.expected().get("cvv").is_some() {
                    row.expect_ascii("cvv", &key.cvv(pan, expiry, code).unwrap());
                    assert!(key.verify_cvv(pan, expiry, code, row.expected_text("cvv").as_bytes()).unwrap());
                } else {
                    let block = key.cvv_block(pan, expiry, code).unwrap();
                    row.expect("step3", block.as_slice());
                    row.expect_digits("digits", card::decimalise(block.as_slice()).take(4));
                }
            }
        }
    });
}

fn cvc3(row: &Row, key: &ClearKey) {
    let track_text = ["track2", "track_data", "track_data_or_ivcvc3"].into_iter().find_map(|name| row.try_text(name));
    let track_text = track_text.unwrap();
    let track = if row.inputs().get("track2_blanked").is_some() {
        let blanked = card::blank_track2(track_text.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&blanked).unwrap(), row.text("track2_blanked"), "{}", row.id());
        card::pack_track2(&blanked).unwrap().to_vec()
    } else if track_text.starts_with("42") {
        hex(track_text) // track 1, ASCII in hexadecimal
    } else {
        card::pack_track2(track_text.as_bytes()).unwrap().to_vec()
    };
    let atc = match row.try_text("atc_decimal") {
        Some(decimal) => decimal.parse().unwrap(),
        None => u16::from_be_bytes(row.array("atc")),
    };
    let ivcvc3 = card::ivcvc3(key, &track).unwrap();
    if row.expected().get("ivcvc3").is_some() {
        row.expect("ivcvc3", &ivcvc3);
    }
    let cvc3 = card::cvc3(&key.cipher().unwrap(), ivcvc3, row.array("un"), atc).unwrap();
    let expected = row.expected().get("cvc3").or(row.expected().get("cvc3_last3")).unwrap().as_str().unwrap();
    assert_eq!(std::str::from_utf8(&cvc3[5 - expected.len()..]).unwrap(), expected, "{}", row.id());
}

#[test]
fn dukpt_tdes() {
    const SPLIT: &str = "unverified: the source splits this serial number in a way of its own";
    run("dukpt_tdes", &[("dukpt_tdes-081", SPLIT)], 98, |row| {
        if row.inputs().get("counter_bits").is_some() {
            let count: u64 = (1..=dukpt::TDES_MAX_ONES).map(|ones| binomial(21, ones)).sum();
            assert_eq!(Some(count), row.expected()["transactions"].as_u64());
            return;
        }
        let bdk = TdesBdk::new(&des(&row.hex("bdk"))).unwrap();
        if let Some(ksn) = row.try_text("initial_ksn") {
            let ksn = Ksn::parse(ksn.as_bytes()).unwrap();
            row.expect("initial_key", bdk.single_des_initial_key(&ksn).unwrap().bytes());
            return;
        }
        let ksn = Ksn::parse(row.text("ksn").as_bytes()).unwrap();
        if row.try_text("variant") == Some("single DES") {
            let key = bdk.single_des_transaction_key(&ksn).unwrap();
            let block = dukpt::single_des_decrypt_pin_block(&key, row.array("encrypted_pin_block")).unwrap();
            row.expect_pin(*block, account_of_pan(row.text("pan")));
            let again = dukpt::single_des_encrypt_pin_block(&key, *block).unwrap();
            assert_eq!(*again, row.array("encrypted_pin_block"), "{}", row.id());
            return;
        }

        let key = bdk.transaction_key(&ksn).unwrap();
        let from_initial = dukpt::tdes_transaction_key(&bdk.initial_key(&ksn).unwrap(), &ksn).unwrap();
        assert_eq!(key, from_initial, "{}", row.id());
        let working = |usage| dukpt::tdes_working_key(&key, usage).unwrap();
        let retail = |usage| MacKey::new(MacAlgorithm::Alg3, &working(usage)).unwrap();
        let cmac = |usage| MacKey::new(MacAlgorithm::Cmac, &working(usage)).unwrap();
        let data = row.try_text("data_ascii").unwrap_or_default().as_bytes();
        let account = || match row.try_text("account12") {
            Some(account) => account.to_string(),
            None => account_of_pan(row.text("pan")),
        };
        for (name, expected) in row.expected().as_object().unwrap() {
            match name.as_str() {
                "transaction_key" => row.expect(name, key.bytes()),
                "pin_key" => row.expect(name, working(TdesUse::Pin).bytes()),
                "mac_request_key" => row.expect(name, working(TdesUse::MacRequest).bytes()),
                "mac_request" => {
                    row.expect(name, &retail(TdesUse::MacRequest).mac(Padding::Method1, data).unwrap()[..4]);
                }
                "mac_response" => {
                    row.expect(name, &retail(TdesUse::MacResponse).mac(Padding::Method1, data).unwrap()[..4]);
                }
                "cmac_request" => row.expect(name, &cmac(TdesUse::MacRequest).mac(Padding::None, data).unwrap()),
                "cmac_response" => row.expect(name, &cmac(TdesUse::MacResponse).mac(Padding::None, data).unwrap()),
                "mac" => {
                    let mac = retail(TdesUse::MacRequest).mac(Padding::Method1, &row.hex("data")).unwrap();
                    row.expect(name, &mac);
                }
                "encrypted_data_request" => {
                    let mut data = Padding::Method1.pad(data, 8).unwrap();
                    working(TdesUse::DataRequest).cipher().unwrap().cbc_encrypt(&mut [0; 8], &mut data).unwrap();
                    row.expect(name, &data);
                }
                "encrypted_pin_block" => {
                    let mut block = iso0(row.text("pin"), &account());
                    working(TdesUse::Pin).cipher().unwrap().ecb_encrypt(&mut block).unwrap();
                    row.expect(name, &block);
                }
                "pin" => {
                    let mut block: [u8; 8] = row.array("encrypted_pin_block");
                    working(TdesUse::Pin).cipher().unwrap().ecb_decrypt(&mut block).unwrap();
                    row.expect_pin(block, account());
                }
                "clear_pin_block" => {} // the PIN beside it says the same
                other => panic!("{}: {other} = {expected}", row.id()),
            }
        }
        for (name, expected) in row.0["derived_keys"].as_object().into_iter().flatten() {
            let usage = match name.as_str() {
                "pin_key" => TdesUse::Pin,
                "mac_request_key" => TdesUse::MacRequest,
                "mac_response_key" => TdesUse::MacResponse,
                "data_request_key" => TdesUse::DataRequest,
                "data_response_key" => TdesUse::DataResponse,
                other => panic!("{}: {other}", row.id()),
            };
            assert_eq!(upper_hex(working(usage).bytes()), expected.as_str().unwrap(), "{} {name}", row.id());
        }
    });
}

#[test]
fn dukpt_aes() {
    run("dukpt_aes", &[], 59, |row| {
        if row.inputs().get("counter_bits").is_some() {
            let count: u64 = (1..=dukpt::AES_MAX_ONES).map(|ones| binomial(32, ones)).sum();
            assert_eq!(Some(count), row.expected()["transactions"].as_u64());
            return;
        }
        let key_type = || match row.text("working_key_type") {
            "2TDEA" => AesKeyType::Tdes2,
            "3TDEA" => AesKeyType::Tdes3,
            "AES128" => AesKeyType::Aes128,
            "AES256" => AesKeyType::Aes256,
            other => panic!("{}: {other}", row.id()),
        };
        if row.expected().get("update_key").is_some() {
            let initial = aes(&row.hex("initial_key"));
            let key = dukpt::aes_update_key(&initial, &row.array("ikid"), key_type()).unwrap();
            row.expect("update_key", key.bytes());
            return;
        }
        let bdk = aes(&row.hex("bdk"));
        if row.expected().get("initial_key").is_some() {
            row.expect("initial_key", dukpt::aes_initial_key(&bdk, &row.array("ikid")).unwrap().bytes());
            return;
        }
        let ksn = AesKsn::parse(row.text("ksn").as_bytes()).unwrap();
        let initial = dukpt::aes_initial_key(&bdk, ksn.initial_key_id()).unwrap();
        let key = dukpt::aes_transaction_key(&initial, &ksn).unwrap();
        let working = |usage, key_type| dukpt::aes_working_key(&key, usage, key_type, &ksn).unwrap();
        for (name, expected) in row.expected().as_object().unwrap() {
            match name.as_str() {
                "transaction_key" => row.expect(name, key.bytes()),
                "pin_key" => {
                    let key_type = if row.inputs().get("data").is_some() { AesKeyType::Aes128 } else { key_type() };
                    row.expect(name, working(AesUse::Pin, key_type).bytes());
                }
                "mac_generation_key" => row.expect(name, working(AesUse::MacGeneration, key_type()).bytes()),
                "data_encryption_key" => row.expect(name, working(AesUse::DataEncryption, key_type()).bytes()),
                "encrypted_pin_block" => {
                    // Format 4: the PIN field enciphered, the account number added, enciphered again.
                    let cipher = working(AesUse::Pin, key_type()).cipher().unwrap();
                    let mut block = row.hex("pin_field");
                    cipher.ecb_encrypt(&mut block).unwrap();
                    let pan = row.text("pan");
                    let pan_field = format!("{}{pan:0<31}", pan.len() - 12);
                    hsm_core::cipher::xor_in_place(&mut block, &hex(&pan_field));
                    cipher.ecb_encrypt(&mut block).unwrap();
                    row.expect(name, &block);
                }
                "encrypted" => {
                    let mut block = row.hex("data");
                    working(AesUse::Pin, AesKeyType::Aes128).cipher().unwrap().ecb_encrypt(&mut block).unwrap();
                    row.expect(name, &block);
                }
                other => panic!("{}: {other} = {expected}", row.id()),
            }
        }
    });
}

#[test]
fn pin_verification() {
    run("pin_verification", &[], 30, |row| {
        if row.text("method") == "VISA PVV" {
            let pvk = BlockCipher::des(&row.hex("pvk")).unwrap();
            let account = row.try_text("account12").map_or_else(|| account_of_pan(row.text("pan")), str::to_string);
            let (pvki, pin) = (digits(row.text("pvki"))[0], digits(row.text("pin")));
            let pvv = pin_verify::pvv(&pvk, account.as_bytes(), pvki, &pin).unwrap();
            row.expect_digits("pvv", pvv.into_iter());
            assert!(pin_verify::verify_pvv(&pvk, account.as_bytes(), pvki, &pin, &pvv).unwrap());
            return;
        }
        let table = DecimalisationTable::from_digits(row.text("decimalisation_table").as_bytes()).unwrap();
        assert_eq!(table.check(), Ok(()), "{}", row.id());
        if row.inputs().get("encrypted").is_some() {
            let all = table.decimalise(&row.array("encrypted"));
            row.expect_digits("digits", all.iter().copied());
            row.expect_digits("a_pin6", all.iter().copied().take(6));
            return;
        }
        let pvk = BlockCipher::des(&row.hex("pvk")).unwrap();
        let data = match row.try_text("validation_data_template") {
            Some(template) => ValidationData::parse(template.as_bytes(), row.text("account12").as_bytes()).unwrap(),
            None => ValidationData::parse(format!("P{}", row.text("validation_data")).as_bytes(), b"").unwrap(),
        };
        assert_eq!(upper_hex(data.packed()), row.text("validation_data"), "{}", row.id());
        let natural = pin_verify::natural_pin(&pvk, &table, &data).unwrap();
        if let Some(offset) = row.try_text("offset") {
            let offset = Offset::parse(format!("{offset:F<12}").as_bytes()).unwrap();
            row.expect_digits("pin", offset.to_pin(&natural).unwrap().iter().copied());
            return;
        }
        let pin = digits(row.text("pin"));
        let offset = Offset::of_pin(&natural, &pin).unwrap();
        row.expect_digits("offset", offset.digits().iter().copied());
        assert!(pin_verify::verify_offset(&natural, &pin, &offset, pin.len()).unwrap());
        if row.expected().get("natural_pin").is_some() {
            row.expect_digits("natural_pin", natural.iter().copied().take(pin.len()));
        }
    });
}

#[test]
fn emv() {
    const PIN_BLOCK: &str = "a PIN block, which hsm-pinblock makes and tests";
    let skipped = [
        ("emv-018", PIN_BLOCK),
        ("emv-022", PIN_BLOCK),
        ("emv-033", PIN_BLOCK),
        ("emv-128", PIN_BLOCK),
        ("emv-134", PIN_BLOCK),
        ("emv-137", PIN_BLOCK),
        ("emv-140", PIN_BLOCK),
    ];
    run("emv", &skipped, 193, |row| {
        if row.inputs().get("cvn").is_some() {
            emv_cryptogram_version(row);
        } else if row.inputs().get("pin_block_format").is_some() {
            emv_pin_change(row);
        } else if row.inputs().get("session_key_method").is_some() || row.id() == "emv-239" {
            emv_transaction(row);
        } else if row.inputs().get("icc_mk_cvc3").is_some() {
            cvc3(row, &des(&row.hex("icc_mk_cvc3")));
        } else {
            emv_step(row);
        }
    });
}

/// Rows that check a single derivation or cryptogram.
fn emv_step(row: &Row) {
    let key = |name: &str| des(&row.hex(name));
    let cipher = |name: &str| key(name).cipher().unwrap();
    let has = |name: &str| row.inputs().get(name).is_some();
    if row.id() == "emv-244" {
        row.expect_digits("digits", card::decimalise(&row.hex("digest")).take(16));
    } else if has("hours") {
        let digits = ["year", "hours", "counter"].map(|name| row.text(name)).concat();
        row.expect_key("luk", &emv::limited_use_key(&cipher("udk"), digits.as_bytes()).unwrap());
    } else if has("issuer_mk") && has("pan_psn") {
        let card = PanPsn::from_packed(&row.hex("pan_psn"));
        let udk = emv::card_key(&cipher("issuer_mk"), CardKeyOption::A, &card).unwrap();
        row.expect_key("udk", &udk);
    } else if has("issuer_mk") {
        let option = if row.0["description"].as_str().unwrap().to_lowercase().contains("option b") {
            CardKeyOption::B
        } else {
            CardKeyOption::A
        };
        let udk = card_key_of(row, "issuer_mk", option);
        row.expect_key("icc_mk", &udk);
        if row.expected().get("kcv").is_some() {
            row.expect_prefix("kcv", &kcv::check_value(&udk).unwrap());
        }
    } else if has("height") {
        let tree = match (row.inputs()["height"].as_u64(), row.inputs()["branch_factor"].as_u64()) {
            (Some(8), Some(4)) => Tree::Branch4Height8,
            (Some(16), Some(2)) => Tree::Branch2Height16,
            other => panic!("{}: {other:?}", row.id()),
        };
        let session = emv::emv2000_session_key(&key("icc_mk"), tree, &row.array("iv"), row.array("atc")).unwrap();
        row.expect_key("session_key", &session);
    } else if has("r") {
        if has("n") {
            let r = emv::r_for_script(row.array("ac"), row.inputs()["n"].as_u64().unwrap());
            assert_eq!(r, row.array("r"), "{}", row.id());
        }
        let card_key = if has("udk") { cipher("udk") } else { cipher("icc_mk") };
        row.expect_key("session_key", &emv::common_session_key(&card_key, row.array("r")).unwrap());
    } else if has("atc") && row.expected().get("session_key").is_some() && !has("arqc") {
        let card_key = if has("udk") { key("udk") } else { key("icc_mk") };
        row.expect_key("session_key", &emv::visa_script_key(&card_key, row.array("atc")).unwrap());
    } else if has("issuer_mk_smi") {
        let udk = card_key_of(row, "issuer_mk_smi", CardKeyOption::A);
        let session = if row.0["description"].as_str().unwrap().ends_with("VSDC") {
            emv::visa_script_key(&udk, row.array("atc"))
        } else {
            emv::common_session_key(&udk.cipher().unwrap(), row.array("arqc"))
        };
        row.expect_key("session_key", &session.clone().unwrap());
        row.expect("mac", &emv::script_mac(&session.unwrap(), &row.hex("mac_input")).unwrap());
    } else if has("command") {
        row.expect("mac", &emv::script_mac(&key("session_key"), &row.hex("command")).unwrap());
    } else if has("header") {
        let input = ["header", "atc", "ac", "data"].map(|name| row.hex(name)).concat();
        row.expect("mac", &emv::script_mac(&key("session_key"), &input).unwrap());
    } else if has("type") {
        let kind = match row.text("type") {
            "VISA" => Confidentiality::Visa,
            "MASTERCARD" => Confidentiality::Mastercard,
            "EMV" => Confidentiality::Emv,
            other => panic!("{}: {other}", row.id()),
        };
        row.expect("encrypted", &emv::encipher_script_data(&cipher("session_key"), kind, &row.hex("data")).unwrap());
    } else if has("padding") {
        let ac = emv::application_cryptogram(&key("session_key"), method_named(row), &row.hex("data")).unwrap();
        row.expect(if row.expected().get("ac").is_some() { "ac" } else { "arqc" }, &ac);
    } else if has("csu") {
        let extra = row.try_text("proprietary_auth_data").map(hex).unwrap_or_default();
        let arpc = emv::arpc_method2(&key("key"), row.array("arqc"), row.array("csu"), &extra).unwrap();
        row.expect("arpc", &arpc);
    } else if has("arc") {
        row.expect("arpc", &emv::arpc_method1(&cipher("key"), row.array("arqc"), row.array("arc")).unwrap());
    } else {
        panic!("{}: nothing to check", row.id());
    }
}

/// Rows from the issuer's master key to an ARQC or ARPC.
fn emv_transaction(row: &Row) {
    let option = match row.try_text("option") {
        Some("B") => CardKeyOption::B,
        _ => CardKeyOption::A,
    };
    let udk = card_key_of(row, "issuer_mk_ac", option);
    let atc: [u8; 2] = row.array("atc");
    let method = row.try_text("session_key_method").unwrap_or("CSK");
    let session = if method.starts_with("none") {
        udk.clone()
    } else if method.contains("CSK") {
        emv::common_session_key(&udk.cipher().unwrap(), emv::r_from_atc(atc)).unwrap()
    } else {
        assert!(method.starts_with("MasterCard SKD"), "{}", row.id());
        emv::common_session_key(&udk.cipher().unwrap(), emv::r_from_atc_and_un(atc, row.array("un"))).unwrap()
    };
    let ac = |row: &Row| emv::application_cryptogram(&session, method_named(row), &row.hex("data")).unwrap();
    if row.inputs().get("arc").is_some() {
        assert_eq!(ac(row), row.array("arqc"), "{}", row.id());
        let key = if row.0["notes"] == "ARPC key: UDK" { &udk } else { &session };
        let arpc = emv::arpc_method1(&key.cipher().unwrap(), row.array("arqc"), row.array("arc")).unwrap();
        row.expect("arpc", &arpc);
    } else if row.inputs().get("csu").is_some() {
        let arpc = emv::arpc_method2(&session, row.array("arqc"), row.array("csu"), &[]).unwrap();
        row.expect("arpc", &arpc);
    } else {
        row.expect("arqc", &ac(row));
        if row.expected().get("udk").is_some() {
            row.expect_key("udk", &udk);
            row.expect_key("session_key", &session);
        }
    }
}

/// Rows named after the cryptogram versions of a scheme.
fn emv_cryptogram_version(row: &Row) {
    let notes = row.0["notes"].as_str().unwrap();
    let option = if notes.starts_with("option B") { CardKeyOption::B } else { CardKeyOption::A };
    let card_key = |name: &str| card_key_of(row, name, option);
    let session_of_ac = || {
        let udk = card_key("issuer_mk_ac");
        if notes.contains("none") || notes.contains("icc mk") {
            return udk;
        }
        assert!(notes.contains("csk"), "{}", row.id());
        emv::common_session_key(&udk.cipher().unwrap(), emv::r_from_atc(row.array("tag_9f36"))).unwrap()
    };
    let script_key = |name: &str| {
        if notes.contains("key: visa") {
            emv::visa_script_key(&card_key(name), row.array("tag_9f36")).unwrap()
        } else {
            assert!(notes.contains("csk(arqc)"), "{}", row.id());
            let r = emv::r_for_script(row.array("tag_9f26"), 0);
            emv::common_session_key(&card_key(name).cipher().unwrap(), r).unwrap()
        }
    };
    let encipher = |data: &[u8]| {
        let kind = if notes.contains("encryption: visa") || notes.contains("encryption visa") {
            Confidentiality::Visa
        } else {
            Confidentiality::Mastercard
        };
        emv::encipher_script_data(&script_key("issuer_mk_smc").cipher().unwrap(), kind, data).unwrap().to_vec()
    };
    let mac = |header: &[u8], data: &[u8]| {
        // Interac leaves ATC and cryptogram out of the MAC.
        let input = match row.try_text("tag_9f36") {
            Some(atc) => [header, &hex(atc), &row.hex("tag_9f26"), data].concat(),
            None => [header, data].concat(),
        };
        emv::script_mac(&script_key("issuer_mk_smi"), &input).unwrap()
    };
    let description = row.0["description"].as_str().unwrap();
    match description.split_once(' ').unwrap().1 {
        "generate ac" => {
            let padding = if notes.ends_with("method 1") { Padding::Method1 } else { Padding::Method2 };
            let ac = emv::application_cryptogram(&session_of_ac(), padding, &row.hex("data")).unwrap();
            row.expect("result", &ac);
        }
        "generate arpc" if notes.contains("method 1") => {
            let key = session_of_ac().cipher().unwrap();
            let arpc = emv::arpc_method1(&key, row.array("tag_9f26"), row.array("arpc_rc")).unwrap();
            row.expect("result", &arpc);
        }
        "generate arpc" => {
            let extra = row.try_text("proprietary_auth_data").map(hex).unwrap_or_default();
            let arpc = emv::arpc_method2(&session_of_ac(), row.array("tag_9f26"), row.array("csu"), &extra).unwrap();
            row.expect("result", &arpc);
        }
        "encrypt command data" => row.expect("result", &encipher(&row.hex("command_data"))),
        "generate command mac" => row.expect("result", &mac(&row.hex("command_header"), &row.hex("command_data"))),
        "generate pin change command" => {
            let block = if notes.contains("PIN block VIS") {
                vis_block(&card_key("issuer_mk_ac"), row.text("pin"), row.try_text("current_pin"))
            } else {
                iso2(row.text("pin"))
            };
            let data = encipher(&block);
            let p2 = if row.try_text("current_pin").is_some() { 1 } else { 2 };
            let header = [0x84, 0x24, 0x00, p2, (data.len() + 8) as u8];
            row.expect("result", &[&header[..], &data, &mac(&header, &data)].concat());
        }
        other => panic!("{}: {other}", row.id()),
    }
}

/// Rows of the PIN change of KU: data and MAC.
fn emv_pin_change(row: &Row) {
    let notes = row.0["notes"].as_str().unwrap();
    let smi = card_key_of(row, "issuer_mk_smi", CardKeyOption::A);
    let smc = card_key_of(row, "issuer_mk_smc", CardKeyOption::A);
    let session = |udk: &ClearKey| {
        if row.0["description"].as_str().unwrap().contains("VSDC") {
            emv::visa_script_key(udk, row.array("atc")).unwrap()
        } else {
            emv::common_session_key(&udk.cipher().unwrap(), row.array("arqc")).unwrap()
        }
    };
    let block = match row.text("pin_block_format") {
        "34" => iso2(row.text("new_pin")),
        _ => {
            let udk = card_key_of(row, "issuer_mk_ac", CardKeyOption::A);
            vis_block(&udk, row.text("new_pin"), row.try_text("current_pin"))
        }
    };
    assert!(notes.contains(&format!("clear block {}", upper_hex(&block))), "{}", row.id());
    let kind = if notes.contains("length byte") { Confidentiality::Visa } else { Confidentiality::Emv };
    let data = emv::encipher_script_data(&session(&smc).cipher().unwrap(), kind, &block).unwrap();
    row.expect("encrypted_pin_block", &data);
    let input = [row.hex("apdu_header"), row.hex("atc"), row.hex("arqc"), data.to_vec()].concat();
    row.expect("mac", &emv::script_mac(&session(&smi), &input).unwrap());
}

/// Rows their collection could not verify: their derivation was found by deciphering the expected keys.
const RECOMPUTED_HERE: [&str; 2] = ["emv-267", "emv-268"];

/// Checks every row of a file but the skipped ones, and that there are `count` of them.
fn run(file: &str, skipped: &[(&str, &str)], count: usize, check: impl Fn(&Row)) {
    let path = format!("{}/testdata/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let rows: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rows: Vec<Row> = rows.into_iter().map(Row).collect();
    let ids: BTreeSet<&str> = rows.iter().map(Row::id).collect();
    assert_eq!(ids.len(), rows.len(), "{file}: an id occurs twice");
    for (id, reason) in skipped {
        assert!(ids.contains(id), "{id} is not in the file: {reason}");
    }
    let mut checked = 0;
    for row in rows.iter().filter(|row| skipped.iter().all(|(id, _)| *id != row.id())) {
        let known = row.0["verified"] == true || RECOMPUTED_HERE.contains(&row.id());
        assert!(known, "{} is not verified and not skipped", row.id());
        check(row);
        checked += 1;
    }
    assert_eq!(checked, count, "rows checked of {file}");
}

struct Row(Value);

impl Row {
    fn id(&self) -> &str {
        self.0["id"].as_str().unwrap()
    }

    fn inputs(&self) -> &Value {
        &self.0["inputs"]
    }

    fn expected(&self) -> &Value {
        &self.0["expected"]
    }

    fn try_text(&self, name: &str) -> Option<&str> {
        self.inputs()[name].as_str()
    }

    fn text(&self, name: &str) -> &str {
        self.try_text(name).unwrap_or_else(|| panic!("{}: no {name}", self.id()))
    }

    fn hex(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    fn array<const N: usize>(&self, name: &str) -> [u8; N] {
        self.hex(name).try_into().unwrap()
    }

    fn expected_text(&self, name: &str) -> &str {
        self.expected()[name].as_str().unwrap_or_else(|| panic!("{}: no {name}", self.id()))
    }

    fn expect(&self, name: &str, actual: &[u8]) {
        assert_eq!(upper_hex(actual), self.expected_text(name), "{} {name}", self.id());
    }

    fn expect_prefix(&self, name: &str, actual: &[u8]) {
        let expected = self.expected_text(name);
        assert!(expected.len() >= 4, "{} {name}", self.id());
        assert_eq!(&upper_hex(actual)[..expected.len()], expected, "{} {name}", self.id());
    }

    /// A derived key: some sources print it before the parity is set.
    fn expect_key(&self, name: &str, actual: &ClearKey) {
        assert_eq!(actual, &des(&hex(self.expected_text(name))).with_odd_parity(), "{} {name}", self.id());
    }

    fn expect_ascii(&self, name: &str, actual: &[u8]) {
        assert_eq!(std::str::from_utf8(actual).unwrap(), self.expected_text(name), "{} {name}", self.id());
    }

    fn expect_digits(&self, name: &str, actual: impl Iterator<Item = u8>) {
        self.expect_ascii(name, &actual.map(|d| b'0' + d).collect::<Vec<_>>());
    }

    fn expect_pin(&self, block: [u8; 8], account: String) {
        assert_eq!(upper_hex(&block), upper_hex(&iso0(self.expected_text("pin"), &account)), "{} pin", self.id());
    }
}

fn card_key_of(row: &Row, master: &str, option: CardKeyOption) -> ClearKey {
    let card = PanPsn::from_digits(row.text("pan").as_bytes(), row.text("psn").as_bytes().try_into().unwrap()).unwrap();
    emv::card_key(&des(&row.hex(master)).cipher().unwrap(), option, &card).unwrap()
}

/// The option of the dCVV and CVC3 rows, whose source hashes under option B whatever the length.
fn card_option(row: &Row) -> CardKeyOption {
    match row.try_text("option") {
        Some("B") => CardKeyOption::BAlwaysHashed,
        _ => CardKeyOption::A,
    }
}

fn cvk(row: &Row, name: &str) -> Cvk {
    Cvk::new(&des(&row.hex(name))).unwrap()
}

fn method(number: u64) -> Padding {
    match number {
        1 => Padding::Method1,
        2 => Padding::Method2,
        3 => Padding::Method3,
        _ => panic!("padding method {number}"),
    }
}

fn method_named(row: &Row) -> Padding {
    method(u64::from(row.text("padding").as_bytes()[7] - b'0'))
}

fn hash_named(name: &str) -> HashAlgorithm {
    match name {
        "MD5" => HashAlgorithm::Md5,
        "SHA1" => HashAlgorithm::Sha1,
        "SHA224" => HashAlgorithm::Sha224,
        "SHA256" => HashAlgorithm::Sha256,
        "SHA384" => HashAlgorithm::Sha384,
        "SHA512" => HashAlgorithm::Sha512,
        other => panic!("hash {other}"),
    }
}

/// The 12 rightmost digits of an account number without its check digit.
fn account_of_pan(pan: &str) -> String {
    format!("{:0>12}", &pan[pan.len().saturating_sub(13)..pan.len() - 1])
}

fn iso0(pin: &str, account12: &str) -> [u8; 8] {
    let mut block: [u8; 8] = hex(&format!("0{:X}{pin:F<14}", pin.len())).try_into().unwrap();
    hsm_core::cipher::xor_in_place(&mut block, &hex(&format!("0000{account12}")));
    block
}

fn iso2(pin: &str) -> Vec<u8> {
    hex(&format!("2{:X}{pin:F<14}", pin.len()))
}

/// The Visa PIN change block (Thales 41, with the old PIN 42).
fn vis_block(udk_ac: &ClearKey, pin: &str, old_pin: Option<&str>) -> Vec<u8> {
    let mut block = hex(&format!("0{:X}{pin:F<14}", pin.len()));
    hsm_core::cipher::xor_in_place(&mut block[4..], &udk_ac.bytes()[4..8]);
    hsm_core::cipher::xor_in_place(&mut block, &hex(&format!("{:0<16}", old_pin.unwrap_or_default())));
    block
}

fn des(key: &[u8]) -> ClearKey {
    ClearKey::des(key).unwrap()
}

fn aes(key: &[u8]) -> ClearKey {
    ClearKey::aes(key).unwrap()
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|c| c - b'0').collect()
}

fn binomial(n: u32, k: u32) -> u64 {
    (1..=u64::from(k)).fold(1, |product, i| product * (u64::from(n) - i + 1) / i)
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd number of digits in {text}");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn upper_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}
