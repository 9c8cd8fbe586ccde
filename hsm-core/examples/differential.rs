//! Random cases for a differential test: what our algorithms make of random inputs, for other implementations to check.
//!
//! `differential generate SEED COUNT` prints COUNT JSON lines per family; the same seed gives the same lines.
//! `differential open` reads JSON lines and prints, for each, what the block has in it or why it does not open: `{"kbpk": hex,
//! "block": text}`, a TR-31 block with a key and a header; `{"format": name, "block": hex, "pan": digits, "key": hex}`, a PIN
//! block with a PIN, clear but for ISO 4, the only format that needs the key.
//!
//! `examples/interop/differential.py` checks one and feeds the other.

use hsm_core::asymmetric::{CryptoSource, Curve, EcPrivate, KeyDerivation, RsaPrivate, shared_secret};
use hsm_core::card::{Cvk, cvc3, ivcvc3};
use hsm_core::dukpt::{
    AesKeyType, AesKsn, AesUse, Ksn, TdesBdk, TdesUse, aes_initial_key, aes_transaction_key, aes_working_key,
    tdes_working_key,
};
use hsm_core::emv::{self, CardKeyOption, Confidentiality, PanPsn, Tree};
use hsm_core::hex;
use hsm_core::key_block::header::{
    Attributes, BlockAlgorithm, Exportability, Family, KeyVersion, ModeOfUse, Usage, Version,
};
use hsm_core::key_block::optional::{OptionalBlock, OptionalBlocks};
use hsm_core::key_block::tr31;
use hsm_core::lmk::Lmk;
use hsm_core::mac::{HashAlgorithm, MacAlgorithm, MacKey, Padding};
use hsm_core::pin_verify::{DecimalisationTable, Offset, ValidationData, natural_pin, pvv};
use hsm_core::rsa_encoding::PublicKeyEncoding;
use hsm_core::{Algorithm, ClearKey, LmkSlots, SecurityModule, Session, Settings, SystemClock};
use hsm_pinblock::{Context, Format, Pan, Pin, UdkA, decipher_iso4, decode, encipher_iso4, encode};
use hsm_plugin_sdk::abi::{
    AsymmetricOps, ErrorCode, KeyAttributes, KeyHandle, KeyOps, KeyPurpose, Tr34Exchange, Tr34Token,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead, BufWriter, Write};
use std::sync::Arc;

type Outcome<T> = Result<T, Box<dyn Error>>;
type MakeCase = fn(&mut Random) -> Outcome<Value>;

/// A family of cases: its name and what makes one.
const FAMILIES: &[(&str, MakeCase)] = &[
    ("pinblock-iso0", |r| pin_block(r, Format::Iso0)),
    ("pinblock-iso1", |r| pin_block(r, Format::Iso1)),
    ("pinblock-iso2", |r| pin_block(r, Format::Iso2)),
    ("pinblock-iso3", |r| pin_block(r, Format::Iso3)),
    ("pinblock-iso4", iso4),
    ("pinblock-visa-new-pin", |r| pin_block(r, Format::VisaNewPin)),
    ("pinblock-visa-old-pin", |r| pin_block(r, Format::VisaNewAndOldPin)),
    ("pvv", visa_pvv),
    ("ibm-offset", ibm_offset),
    ("ibm-natural-pin", ibm_natural),
    ("dukpt-tdes", dukpt),
    ("dukpt-aes", aes_dukpt),
    ("cvv", cvv),
    ("cvc3", dynamic_cvc3),
    ("mac", mac),
    ("cmac", cmac),
    ("emv-card-key", card_key),
    ("emv-session-key", session_key),
    ("arqc", arqc),
    ("arpc", arpc),
    ("emv-script", script),
    ("tr31", tr31_block),
    ("tr34", tr34_token),
    ("agreement", agreement),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["generate", seed, count] => generate(seed.parse()?, count.parse()?, &mut out)?,
        ["open"] => {
            for line in std::io::stdin().lock().lines() {
                writeln!(out, "{}", open(&serde_json::from_str(&line?)?)?)?;
            }
        }
        _ => return Err("usage: differential generate SEED COUNT | differential open".into()),
    }
    Ok(out.flush()?)
}

fn generate(seed: u64, count: usize, out: &mut impl Write) -> Outcome<()> {
    let mut random = Random(ChaCha20Rng::seed_from_u64(seed));
    for (name, make) in FAMILIES {
        for _ in 0..count {
            let mut case = make(&mut random).map_err(|error| format!("{name}: {error}"))?;
            case["family"] = json!(name);
            writeln!(out, "{case}")?;
        }
    }
    Ok(())
}

fn open(case: &Value) -> Outcome<Value> {
    if case["format"].is_string() { open_pin_block(case) } else { open_key_block(case) }
}

fn text<'a>(case: &'a Value, name: &str) -> Outcome<&'a str> {
    Ok(case[name].as_str().ok_or_else(|| format!("no field {name}"))?)
}

fn bytes(case: &Value, name: &str) -> Outcome<Vec<u8>> {
    Ok(hex::decode(text(case, name)?).ok_or_else(|| format!("{name} is no hex"))?.to_vec())
}

fn open_pin_block(case: &Value) -> Outcome<Value> {
    let format = Format::from_name(text(case, "format")?).ok_or("no such format")?;
    let (block, pan) = (bytes(case, "block")?, Pan::from_digits(text(case, "pan")?.as_bytes())?);
    let opened = if format == Format::Iso4 {
        let block = block.as_slice().try_into().map_err(|_| "the block does not have 16 bytes")?;
        decipher_iso4(block, &pan, &ClearKey::aes(&bytes(case, "key")?)?.cipher()?)
    } else {
        decode(format, &block, &Context::account(pan))
    };
    Ok(match opened {
        Ok(pin) => json!({ "pin": ascii(pin.digits()) }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}

fn open_key_block(case: &Value) -> Outcome<Value> {
    let block = text(case, "block")?;
    let kbpk = bytes(case, "kbpk")?;
    let kbpk = if block.starts_with('D') { ClearKey::aes(&kbpk)? } else { ClearKey::des(&kbpk)? };
    Ok(match tr31::unwrap(&kbpk, block.as_bytes()) {
        Ok(opened) => {
            let header = opened.header.to_bytes(block.len(), opened.optional.count())?;
            let optional: Vec<_> = opened
                .optional
                .iter()
                .map(|b| json!([String::from_utf8_lossy(&b.id()), String::from_utf8_lossy(b.data())]))
                .collect();
            json!({
                "key": hex::encode(opened.key.bytes()),
                "header": String::from_utf8_lossy(&header),
                "optional": optional,
            })
        }
        Err(error) => json!({ "error": error.code(), "why": error.to_string() }),
    })
}

/// The source of all cases.
struct Random(ChaCha20Rng);

impl Random {
    /// A number below `end`, which is small.
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    fn digits(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from(b'0' + self.below(10) as u8)).collect()
    }

    fn pin(&mut self) -> String {
        let len = self.between(4, 12);
        self.digits(len)
    }

    fn pan(&mut self, least: usize) -> String {
        let len = self.between(least, 19);
        self.digits(len)
    }

    /// A DES key of one of the lengths, with odd parity.
    fn des(&mut self, lengths: &[usize]) -> Outcome<ClearKey> {
        let len = self.one_of(lengths);
        Ok(ClearKey::des(&self.bytes(len))?.with_odd_parity())
    }

    fn aes(&mut self) -> Outcome<ClearKey> {
        let len = self.one_of(&[16, 24, 32]);
        Ok(ClearKey::aes(&self.bytes(len))?)
    }
}

fn key_hex(key: &ClearKey) -> String {
    hex::encode(key.bytes())
}

fn ascii(values: &[u8]) -> String {
    values.iter().map(|d| char::from(b'0' + d)).collect()
}

// ------------------------------------------------------------------------------------------------------- PIN blocks

/// A block we made and the PIN we read from it.
fn pin_block(r: &mut Random, format: Format) -> Outcome<Value> {
    let (pin, old, pan, udk) = (r.pin(), r.pin(), r.pan(13), r.des(&[16])?);
    let old_pin = Pin::from_digits(old.as_bytes())?;
    let left_half = UdkA::from_left_half(*udk.bytes().first_chunk().ok_or("a short key")?);
    let context = Context::account(Pan::from_digits(pan.as_bytes())?).with_udk(&left_half).with_old_pin(&old_pin);
    let block = encode(format, &Pin::from_digits(pin.as_bytes())?, &context, &mut |to: &mut [u8]| r.0.fill_bytes(to))?;
    let read = decode(format, block.as_bytes(), &context)?;
    Ok(json!({
        "pin": pin, "old_pin": old, "pan": pan, "udk": key_hex(&udk),
        "block": hex::encode(block.as_bytes()), "decoded": ascii(read.digits()),
    }))
}

fn iso4(r: &mut Random) -> Outcome<Value> {
    let (key, pin, digits) = (r.aes()?, r.pin(), r.pan(12));
    let (pan, cipher) = (Pan::from_digits(digits.as_bytes())?, key.cipher()?);
    let block =
        encipher_iso4(&Pin::from_digits(pin.as_bytes())?, &pan, &cipher, &mut |to: &mut [u8]| r.0.fill_bytes(to));
    let read = decipher_iso4(&block, &pan, &cipher)?;
    Ok(json!({
        "pin": pin, "pan": digits, "key": key_hex(&key), "block": hex::encode(&block), "decoded": ascii(read.digits()),
    }))
}

// ------------------------------------------------------------------------------------------------- PIN verification

fn values(digits: &str) -> Vec<u8> {
    digits.bytes().map(|c| c - b'0').collect()
}

/// The 12 account digits of the commands: the rightmost without the check digit.
fn account(pan: &str) -> &[u8] {
    let digits = pan.as_bytes();
    digits.get(digits.len().saturating_sub(13)..digits.len().saturating_sub(1)).unwrap_or_default()
}

fn visa_pvv(r: &mut Random) -> Outcome<Value> {
    let (pvk, pan, pvki, pin) = (r.des(&[16])?, r.pan(13), r.below(10) as u8, r.digits(4));
    let out = pvv(&pvk.cipher()?, account(&pan), pvki, &values(&pin))?;
    Ok(json!({ "pvk": key_hex(&pvk), "pan": pan, "pvki": pvki.to_string(), "pin": pin, "pvv": ascii(&out) }))
}

/// Key, table, validation data and natural PIN of an IBM case.
fn ibm(r: &mut Random) -> Outcome<(Value, [u8; 16])> {
    let (pvk, table, data) = (r.des(&[8, 16, 24])?, r.digits(16), r.digits(16));
    let parsed = ValidationData::parse(format!("P{data}").as_bytes(), b"")?;
    let natural = natural_pin(&pvk.cipher()?, &DecimalisationTable::from_digits(table.as_bytes())?, &parsed)?;
    Ok((json!({ "pvk": key_hex(&pvk), "table": table, "data": data }), *natural))
}

fn ibm_offset(r: &mut Random) -> Outcome<Value> {
    let (mut case, natural) = ibm(r)?;
    let pin = r.pin();
    let offset = Offset::of_pin(&natural, &values(&pin))?;
    case["pin"] = json!(pin);
    case["offset"] = json!(ascii(offset.digits()));
    case["pin_of_offset"] = json!(ascii(&offset.to_pin(&natural)?));
    Ok(case)
}

fn ibm_natural(r: &mut Random) -> Outcome<Value> {
    let (mut case, natural) = ibm(r)?;
    case["natural"] = json!(ascii(&natural));
    Ok(case)
}

// ------------------------------------------------------------------------------------------------------------ DUKPT

/// The initial key of a device and all keys of one transaction.
fn dukpt(r: &mut Random) -> Outcome<Value> {
    let (bdk, identifiers) = (r.des(&[16])?, r.array());
    // Half of the counters are small: one of the other implementations knows only nine bits of counter.
    let bits = if r.below(2) == 0 { 9 } else { 21 };
    let counter = loop {
        let counter = r.0.next_u32() & ((1 << bits) - 1);
        if Ksn::new(identifiers).with_counter(counter).is_sent_by_devices() {
            break counter;
        }
    };
    let ksn = Ksn::new(identifiers).with_counter(counter);
    let device = TdesBdk::new(&bdk)?;
    let transaction = device.transaction_key(&ksn)?;
    let working = |usage| tdes_working_key(&transaction, usage).map(|key| key_hex(&key));
    Ok(json!({
        "bdk": key_hex(&bdk), "ksn": hex::encode(ksn.bytes()), "counter": counter,
        "ipek": key_hex(&device.initial_key(&ksn)?), "transaction": key_hex(&transaction),
        "pin": working(TdesUse::Pin)?, "mac": working(TdesUse::MacRequest)?,
        "mac_response": working(TdesUse::MacResponse)?, "data": working(TdesUse::DataRequest)?,
        "data_response": working(TdesUse::DataResponse)?,
    }))
}

/// All keys of an AES transaction of one length, and the key under which the device is sent its next initial key.
fn aes_dukpt(r: &mut Random) -> Outcome<Value> {
    let (bdk, id, counter) = (r.aes()?, r.array(), u32::from_be_bytes(r.array()));
    // Half of the counters are those of a young device. An even one is never the last, which is no transaction's.
    let ksn = AesKsn::new(id, if r.below(2) == 0 { counter & 0xFF } else { counter & !1 });
    let len = r.one_of(&[16, 24, 32]).min(bdk.len());
    let initial = aes_initial_key(&bdk, &id)?;
    let key = |usage, len, ksn: &AesKsn| -> Outcome<String> {
        Ok(key_hex(&aes_working_key(&aes_transaction_key(&initial, ksn)?, usage, AesKeyType::aes(len), ksn)?))
    };
    let update = key(AesUse::KeyEncryption, bdk.len(), &AesKsn::new(id, u32::MAX))?;
    let mut case = json!({
        "bdk": key_hex(&bdk), "ksn": format!("{}{:08X}", hex::encode(&id), ksn.counter()), "length": len,
        "initial": key_hex(&initial), "update": update,
    });
    for (name, usage) in [
        ("key_encryption", AesUse::KeyEncryption),
        ("pin", AesUse::Pin),
        ("mac_generation", AesUse::MacGeneration),
        ("mac_verification", AesUse::MacVerification),
        ("mac_both", AesUse::MacBoth),
        ("data_encryption", AesUse::DataEncryption),
        ("data_decryption", AesUse::DataDecryption),
        ("data_both", AesUse::DataBoth),
    ] {
        case[name] = json!(key(usage, len, &ksn)?);
    }
    Ok(case)
}

// ----------------------------------------------------------------------------------------------- cards, MACs and EMV

fn cvv(r: &mut Random) -> Outcome<Value> {
    let (cvk, pan, expiry, service) = (r.des(&[16])?, r.pan(12), r.digits(4), r.digits(3));
    let out = Cvk::new(&cvk)?.cvv(pan.as_bytes(), expiry.as_bytes(), service.as_bytes())?;
    Ok(json!({
        "cvk": key_hex(&cvk), "pan": pan, "expiry": expiry, "service": service, "cvv": String::from_utf8_lossy(&out),
    }))
}

fn dynamic_cvc3(r: &mut Random) -> Outcome<Value> {
    let len = r.between(1, 40);
    let (key, track, un, atc) = (r.des(&[16])?, r.bytes(len), r.array(), r.array());
    let out = cvc3(&key.cipher()?, ivcvc3(&key, &track)?, un, u16::from_be_bytes(atc))?;
    Ok(json!({
        "key": key_hex(&key), "track": hex::encode(&track), "un": hex::encode(&un), "atc": hex::encode(&atc),
        "cvc3": String::from_utf8_lossy(&out),
    }))
}

fn mac(r: &mut Random) -> Outcome<Value> {
    let algorithm = r.one_of(&[MacAlgorithm::Alg1, MacAlgorithm::Alg3]);
    let key = match algorithm {
        MacAlgorithm::Alg1 if r.below(2) == 0 => r.aes()?,
        MacAlgorithm::Alg1 => r.des(&[8, 16, 24])?,
        _ => r.des(&[16])?,
    };
    let (number, padding) = r.one_of(&[(1, Padding::Method1), (2, Padding::Method2), (3, Padding::Method3)]);
    let len = r.between(1, 80);
    let data = r.bytes(len);
    let out = MacKey::new(algorithm, &key)?.mac(padding, &data)?;
    Ok(json!({
        "key": key_hex(&key), "algorithm": if algorithm == MacAlgorithm::Alg1 { 1 } else { 3 }, "padding": number,
        "aes": key.algorithm() == Algorithm::Aes, "data": hex::encode(&data), "mac": hex::encode(&out),
    }))
}

fn cmac(r: &mut Random) -> Outcome<Value> {
    let key = if r.below(2) == 0 { r.aes()? } else { r.des(&[16, 24])? };
    let len = r.between(0, 80);
    let data = r.bytes(len);
    let out = MacKey::new(MacAlgorithm::Cmac, &key)?.mac(Padding::None, &data)?;
    Ok(json!({
        "key": key_hex(&key), "aes": key.algorithm() == Algorithm::Aes, "data": hex::encode(&data),
        "mac": hex::encode(&out),
    }))
}

fn card_key(r: &mut Random) -> Outcome<Value> {
    let (master, pan, psn) = (r.des(&[16])?, r.pan(12), r.digits(2));
    let (name, option) = r.one_of(&[("A", CardKeyOption::A), ("B", CardKeyOption::B)]);
    let psn_digits: &[u8; 2] = psn.as_bytes().try_into()?;
    let out = emv::card_key(&master.cipher()?, option, &PanPsn::from_digits(pan.as_bytes(), psn_digits)?)?;
    Ok(json!({
        "master": key_hex(&master), "option": name, "pan": pan, "psn": psn,
        "key": key_hex(&out.with_odd_parity()),
    }))
}

fn session_key(r: &mut Random) -> Outcome<Value> {
    let (card, atc, block): (_, [u8; 2], [u8; 8]) = (r.des(&[16])?, r.array(), r.array());
    let emv2000 = |tree| emv::emv2000_session_key(&card, tree, &[0; 16], atc);
    let (kind, out) = match r.below(4) {
        0 => ("common", emv::common_session_key(&card.cipher()?, block)?),
        1 => ("visa-script", emv::visa_script_key(&card, atc)?),
        2 => ("tree-4-8", emv2000(Tree::Branch4Height8)?),
        _ => ("tree-2-16", emv2000(Tree::Branch2Height16)?),
    };
    Ok(json!({
        "card": key_hex(&card), "kind": kind, "atc": hex::encode(&atc), "r": hex::encode(&block),
        "key": key_hex(&out.with_odd_parity()),
    }))
}

fn arqc(r: &mut Random) -> Outcome<Value> {
    let (number, padding) = r.one_of(&[(1, Padding::Method1), (2, Padding::Method2)]);
    let len = r.between(1, 80);
    let (key, data) = (r.des(&[16])?, r.bytes(len));
    let out = emv::application_cryptogram(&key, padding, &data)?;
    Ok(json!({
        "key": key_hex(&key), "padding": number, "data": hex::encode(&data), "arqc": hex::encode(&out),
    }))
}

fn arpc(r: &mut Random) -> Outcome<Value> {
    let (key, arqc, response_code, csu) = (r.des(&[16])?, r.array(), r.array(), r.array());
    let len = r.between(0, 8);
    let proprietary = r.bytes(len);
    Ok(json!({
        "key": key_hex(&key), "arqc": hex::encode(&arqc), "response_code": hex::encode(&response_code),
        "csu": hex::encode(&csu), "proprietary": hex::encode(&proprietary),
        "method1": hex::encode(&emv::arpc_method1(&key.cipher()?, arqc, response_code)?),
        "method2": hex::encode(&emv::arpc_method2(&key, arqc, csu, &proprietary)?),
    }))
}

fn script(r: &mut Random) -> Outcome<Value> {
    let (name, kind) = r.one_of(&[
        ("VISA", Confidentiality::Visa),
        ("MASTERCARD", Confidentiality::Mastercard),
        ("EMV", Confidentiality::Emv),
    ]);
    let len = r.between(1, 48);
    let (key, data) = (r.des(&[16])?, r.bytes(len));
    Ok(json!({
        "key": key_hex(&key), "kind": name, "data": hex::encode(&data),
        "mac": hex::encode(&emv::script_mac(&key, &data)?),
        "enciphered": hex::encode(&emv::encipher_script_data(&key.cipher()?, kind, &data)?),
    }))
}

// --------------------------------------------------------------------------------- key blocks and key establishment

/// A ZMK in a TR-34 key token, under the variant test LMK.
fn tr34_token(r: &mut Random) -> Outcome<Value> {
    let krd = RsaPrivate::generate(&mut CryptoSource(&mut r.0), 1024, &[1, 0, 1])?;
    let krd_public_key = krd.public().numbers()?.encode(PublicKeyEncoding::Pkcs1Der);
    let crt = krd.to_crt()?;
    let credential = |serial: u8| {
        // The name CN=CA.
        let name = [0x30, 0x0D, 0x31, 0x0B, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0C, 0x02, b'C', b'A'];
        [&[0x30, 18][..], &name, &[0x02, 0x01, serial]].concat()
    };
    let (kdh_credential, krd_credential) = (credential(6), credential(7));
    let nonce_len = r.between(8, 16);
    let (nonce, seed) = (r.bytes(nonce_len), r.array());
    let mut slots = LmkSlots::default();
    slots.slots.insert(0, Arc::new(Lmk::test_variant()));
    // CMS libraries cannot read the encoding of the standard's samples.
    let settings = Settings { tr34_sample_encoding: false, ..Settings::default() };
    let module = SecurityModule::with_seed(slots, settings, seed, Arc::new(SystemClock));
    let mut session = Session::new(module);
    session.begin(*b"B8", None);
    let scheme = r.one_of(b"UT");
    let version = r.one_of(b"ABC");
    let mode = r.one_of(b"BDEN");
    let mut send = || -> Result<(Tr34Token, Vec<u8>, [u8; 8]), ErrorCode> {
        let made = session.rsa_generate(0, 1024, &[1, 0, 1])?;
        let kdh_public_key = session.public_key_of(made, *b"02")?;
        let key: KeyHandle = session.key_generate(KeyPurpose::ZMK, scheme)?;
        let attributes = KeyAttributes {
            usage: Some(*b"K0"),
            mode: Some(mode),
            key_version: Some(*b"00"),
            exportability: Some(b'S'),
            ..KeyAttributes::default()
        };
        let exchange = Tr34Exchange {
            kdh_credential: &kdh_credential,
            krd_credential: &krd_credential,
            krd_public_key: &krd_public_key,
            nonce: &nonce,
        };
        let token = session.tr34_export(key, made, exchange, attributes, version)?;
        Ok((token, kdh_public_key, session.key_check_value(key)?))
    };
    let (token, kdh_public_key, check_value) = send().map_err(|code| format!("refused: {code:?}"))?;
    let header = format!("{}0256K0T{}00S0000", char::from(version), char::from(mode));
    Ok(json!({
        "p": hex::encode(&crt.p), "q": hex::encode(&crt.q), "kdh_public_key": hex::encode(&kdh_public_key),
        "kdh": hex::encode(&kdh_credential), "krd": hex::encode(&krd_credential),
        "nonce": hex::encode(&nonce), "header": header, "check_value": hex::encode(&check_value),
        "attributes": hex::encode(&token.attributes), "envelope": hex::encode(&token.envelope),
        "signature": hex::encode(&token.signature),
    }))
}

/// A key derived from the keys of two parties.
fn agreement(r: &mut Random) -> Outcome<Value> {
    let curve = r.one_of(&Curve::ALL);
    let own = EcPrivate::generate(&mut CryptoSource(&mut r.0), curve);
    let peer = EcPrivate::generate(&mut CryptoSource(&mut r.0), curve).public()?;
    let derivation = r.one_of(&[KeyDerivation::Sp800_56a, KeyDerivation::X963]);
    let (hash, name) = r.one_of(&[
        (HashAlgorithm::Sha224, "SHA224"),
        (HashAlgorithm::Sha256, "SHA256"),
        (HashAlgorithm::Sha384, "SHA384"),
        (HashAlgorithm::Sha512, "SHA512"),
    ]);
    let (information_len, len) = (r.below(60), r.one_of(&[16, 24, 32, 100]));
    let information = r.bytes(information_len);
    let secret = shared_secret(&own, &peer).ok_or("keys of one curve")?;
    let key = derivation.derive(hash, &secret, &information, len);
    Ok(json!({
        "private": hex::encode(&own.encode()?), "public": hex::encode(&peer.encode()),
        "derivation": if derivation == KeyDerivation::X963 { "X963" } else { "SP800-56A" }, "hash": name,
        "information": hex::encode(&information), "key": hex::encode(&key),
    }))
}

/// A block with up to four optional blocks, some with the key's length hidden.
fn tr31_block(r: &mut Random) -> Outcome<Value> {
    let version = r.one_of(&[Version::A, Version::B, Version::C, Version::D]);
    let kbpk = if version.is_aes() { r.aes()? } else { r.des(&[16, 24])? };
    let (algorithm, key) = match r.below(2) {
        0 if version.is_aes() => (b'A', r.aes()?),
        _ => (b'T', r.des(&[16, 24])?),
    };
    let version_number = r.digits(2);
    let attributes = Attributes {
        usage: Usage::new(r.one_of(&[*b"P0", *b"K0", *b"B0", *b"M3", *b"V2", *b"D0", *b"E0"]))?,
        algorithm: BlockAlgorithm::from_id(algorithm)?,
        mode: ModeOfUse::from_id(Family::X9143, r.one_of(b"BCDEGNVX"))?,
        key_version: KeyVersion::new(version_number.as_bytes().try_into()?)?,
        exportability: Exportability::from_id(r.one_of(b"ENS"))?,
    };
    let mut blocks = Vec::new();
    for id in [*b"TS", *b"10", *b"LB", *b"99"].into_iter().take(r.below(5)) {
        // Up to the longest that has no extended length, which psec reads otherwise than the examples of X9.143.
        let len = if r.below(4) == 0 { r.between(200, 251) } else { r.between(1, 40) };
        blocks.push(OptionalBlock::new(id, r.digits(len).as_bytes())?);
    }
    let optional = OptionalBlocks::new(blocks)?;
    let mask_to = r.one_of(&[0, 24, 32]);
    let block =
        tr31::wrap(&kbpk, version, attributes, &optional, &key, mask_to, &mut |to: &mut [u8]| r.0.fill_bytes(to))?;
    let blocks: Vec<_> =
        optional.iter().map(|b| json!([String::from_utf8_lossy(&b.id()), String::from_utf8_lossy(b.data())])).collect();
    Ok(json!({
        "kbpk": key_hex(&kbpk), "key": key_hex(&key), "block": String::from_utf8(block)?, "optional": blocks,
    }))
}
