//! Keys for another party: TR-34 key tokens (B8), opened and verified as a key receiving device would, and keys agreed on (IG).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use cipher::{Array, BlockCipherDecrypt, KeyInit};
use common::asymmetric::{Pair, answer, generate, good, hex, join, module, refused};
use des::TdesEde3;
use hsm_core::key_block::header::{Attributes, BlockAlgorithm, Exportability, KeyVersion, ModeOfUse, Scope, Usage};
use hsm_core::key_block::optional::OptionalBlocks;
use hsm_core::key_block::thales;
use hsm_core::lmk::{Lmk, LmkId};
use hsm_core::{Algorithm, ClearKey, SecurityModule, Settings};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rsa::hazmat::rsa_encrypt;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep};
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// `IssuerAndSerialNumber` of KDH 1 and KRD 1 (TR 34-2019, annex B.2.2.1).
const KDH: &str = "304A3041310B300906035504061302555331153013060355040A130C545233342053616D706C6573311B301906035504031312\
                   545233342053616D706C65204341204B444802053400000006";
const KRD: &str = "304A3041310B300906035504061302555331153013060355040A130C545233342053616D706C6573311B301906035504031312\
                   545233342053616D706C65204341204B524402053400000007";

/// The ZMK of the golden table under U (keys.md 1.4), and its value.
const ZMK: &str = "U42BBE7D9A0A55D0EBDE055DE2791ACCD";
const ZMK_CLEAR: &str = "0123456789ABCDEFFEDCBA9876543210";

/// The encoding of the standard's samples, which is the default.
const SAMPLES: bool = true;

/// Contents of a DER element and what follows it.
fn der(tag: u8, input: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(input[0], tag);
    let (len, header) = match input[1] {
        len @ ..=0x7F => (usize::from(len), 2),
        0x81 => (usize::from(input[2]), 3),
        0x82 => (usize::from(input[2]) << 8 | usize::from(input[3]), 4),
        _ => panic!("length"),
    };
    (&input[header..header + len], &input[header + len..])
}

/// A DER element and what follows it.
fn whole(tag: u8, input: &[u8]) -> (&[u8], &[u8]) {
    let (_, rest) = der(tag, input);
    (&input[..input.len() - rest.len()], rest)
}

/// The receiver, in another implementation than the one under test.
struct Receiver {
    key: rsa::PrivateKey,
    /// PKCS#1 `RSAPublicKey`.
    public: Vec<u8>,
}

fn receiver() -> &'static Receiver {
    static RECEIVER: OnceLock<Receiver> = OnceLock::new();
    RECEIVER.get_or_init(|| {
        let key = rsa::PrivateKey::new(&mut ChaCha20Rng::from_seed([34; 32]), 2048).unwrap();
        let modulus = key.n_bytes();
        let public = join(&[&hex("3082010A0282010100"), &modulus, &hex("0203010001")]);
        Receiver { key, public }
    })
}

/// A sender's key pair for signatures under the variant LMK, and under the AES key-block LMK.
fn senders() -> &'static [Pair; 2] {
    static SENDERS: OnceLock<[Pair; 2]> = OnceLock::new();
    SENDERS.get_or_init(|| ["0204802", "0204802%01#0000&N"].map(|fields| generate(&module(), fields)))
}

/// What a response holds, taken apart.
struct Token {
    attributes: Vec<u8>,
    check_value: Vec<u8>,
    envelope: Vec<u8>,
    signature: Vec<u8>,
}

fn token(response: &[u8]) -> Token {
    let (attributes, rest) = whole(0x31, response);
    let (check_value, rest) = rest.split_at(3);
    let (envelope, rest) = whole(0x30, rest);
    let (len, signature) = rest.split_at(4);
    assert_eq!(len, b"0256");
    assert_eq!(signature.len(), 256);
    Token {
        attributes: attributes.to_vec(),
        check_value: check_value.to_vec(),
        envelope: envelope.to_vec(),
        signature: signature.to_vec(),
    }
}

/// What the receiver gets from a token: the key, the header, and the nonce that it had sent.
struct Received {
    key: Vec<u8>,
    header: Vec<u8>,
    nonce: Vec<u8>,
}

impl Token {
    /// Verifies signature and digest, decrypts, and takes apart. `samples` for the encoding of the standard's samples.
    fn open(&self, sender: &[u8], samples: bool) -> Received {
        let (body, _) = der(0x30, sender);
        let (modulus, rest) = der(0x02, body);
        let (exponent, _) = der(0x02, rest);
        let public = rsa::PublicKey::new(
            BoxedUint::from_be_slice_vartime(modulus.strip_prefix(&[0]).unwrap()),
            BoxedUint::from_be_slice_vartime(exponent),
        )
        .unwrap();
        let signature = BoxedUint::from_be_slice(&self.signature, public.n_bits_precision()).unwrap();
        let block = rsa_encrypt(&public, &signature).unwrap().to_be_bytes();
        let expected = join(&[
            &[0, 1],
            &[0xFF; 202],
            &hex("003031300D060960864801650304020105000420"),
            &Sha256::digest(&self.attributes),
        ]);
        assert_eq!(*block, *expected, "the signature");

        let (attributes, _) = der(0x31, &self.attributes);
        let mut rest = attributes;
        let mut values = Vec::new();
        while !rest.is_empty() {
            let (attribute, after) = der(0x30, rest);
            let (oid, value) = der(0x06, attribute);
            values.push((oid.to_vec(), der(0x31, value).0.to_vec()));
            rest = after;
        }
        let value = |oid: &str| values.iter().find(|(known, _)| *known == hex(oid)).unwrap().1.clone();
        assert_eq!(values.len(), 4);
        assert_eq!(value("2A864886F70D010903"), hex("06092A864886F70D010703"), "content type");
        let (contents, _) = der(0x30, &self.envelope);
        let digest = value("2A864886F70D010904");
        assert_eq!(der(0x04, &digest).0, &Sha256::digest(contents)[..]);
        let header = value("2A864886F70D010701");
        let nonce = value("2A864886F70D01091903");

        let rest = contents.strip_prefix(&[2, 1, 0]).unwrap();
        let (recipients, content) = der(0x31, rest);
        let (recipient, more) = der(0x30, recipients);
        assert!(more.is_empty());
        let (credential, rest) = whole(0x30, recipient.strip_prefix(&[2, 1, 0]).unwrap());
        assert_eq!(credential, hex(KRD));
        let (algorithm, rest) = der(0x30, rest);
        let (_, parameters) = der(0x06, algorithm);
        assert_eq!(der(0x30, parameters).0[0], if samples { 0x30 } else { 0xA0 });
        let (encrypted, _) = der(0x04, rest);
        let ephemeral = receiver().key.decrypt(Oaep::<Sha256>::new(), encrypted).unwrap();
        assert_eq!(ephemeral.len(), 24);

        let (content, _) = der(0x30, content);
        let rest = content.strip_prefix(&hex("06092A864886F70D010701")[..]).unwrap();
        let (algorithm, after) = der(0x30, rest);
        let (oid, rest) = der(0x06, algorithm);
        assert_eq!(oid, hex("2A864886F70D0307"), "des-ede3-cbc");
        let (iv, inside) = der(0x04, rest);
        let (encrypted, end) = der(0x80, if samples { inside } else { after });
        assert!(end.is_empty());
        let cipher = TdesEde3::new_from_slice(&ephemeral).unwrap();
        let mut previous = iv;
        let mut block = Vec::new();
        for chunk in encrypted.chunks(8) {
            let mut plain = Array::try_from(chunk).unwrap();
            cipher.decrypt_block(&mut plain);
            block.extend(plain.iter().zip(previous).map(|(a, b)| a ^ b));
            previous = chunk;
        }
        let fill = usize::from(*block.last().unwrap());
        assert!((1..=8).contains(&fill) && block.ends_with(&vec![fill as u8; fill]));
        block.truncate(block.len() - fill);

        let (fields, end) = der(0x30, &block);
        assert!(end.is_empty());
        let (credential, rest) = whole(0x30, fields.strip_prefix(&[2, 1, 1]).unwrap());
        assert_eq!(credential, hex(KDH));
        let (key, rest) = der(0x04, rest);
        let (attribute, end) = der(0x30, rest);
        assert!(end.is_empty());
        let (_, inner) = der(0x06, attribute);
        assert_eq!(der(0x31, inner).0, header, "the signed header is that of the key block");
        Received { key: key.to_vec(), header: der(0x04, &header).0.to_vec(), nonce: der(0x04, &nonce).0.to_vec() }
    }
}

/// The parts of a request that a test may replace.
#[derive(Clone)]
struct Request {
    version: &'static str,
    key: Vec<u8>,
    kdh: Vec<u8>,
    first: &'static str,
    krd: Vec<u8>,
    public: Vec<u8>,
    second: &'static str,
    private: Vec<u8>,
    third: &'static str,
    nonce: Vec<u8>,
    tail: &'static str,
}

impl Request {
    /// As a public client sends it under a variant LMK, and under a key-block LMK.
    fn new(key: &str, key_block: bool) -> Self {
        Self {
            version: "0",
            key: key.into(),
            kdh: hex(KDH),
            first: "000001",
            krd: hex(KRD),
            public: receiver().public.clone(),
            second: "00",
            private: join(&[b"99", &senders()[usize::from(key_block)].private]),
            third: "010",
            nonce: join(&[b"08", &hex("ABCDABCDABCDABCD")]),
            tail: if key_block { "%01!B" } else { "%00&K1B00S00!B" },
        }
    }

    fn body(&self) -> Vec<u8> {
        join(&[
            self.version.as_bytes(),
            &self.key,
            &self.kdh,
            self.first.as_bytes(),
            &self.krd,
            &self.public,
            self.second.as_bytes(),
            &self.private,
            self.third.as_bytes(),
            &self.nonce,
            self.tail.as_bytes(),
        ])
    }
}

/// A key-block key from A0: `FFF`, the block; and its check value.
fn generated(module: &SecurityModule, attributes: &str) -> (String, Vec<u8>) {
    let response = good(module, "A0", format!("0FFFS%01#{attributes}").as_bytes());
    let (block, check_value) = response.split_at(response.len() - 6);
    (format!("FFF{}", String::from_utf8(block.to_vec()).unwrap()), check_value.to_vec())
}

#[test]
fn the_receiver_opens_what_b8_makes() {
    let module = module();
    for (tail, header) in [
        ("%00&K1B00S00!B", &b"B0256K1TB00S0000"[..]),
        ("&K0E00N00", b"B0256K0TE00N0000"),
        ("%00&K1B00S00!D", b"D0256K1TB00S0000"),
        ("&K0N12S00!A", b"A0256K0TN12S0000"),
        ("&K0B00S01KS08ABCD!C", b"C0256K0TB00S0100KS08ABCD"),
    ] {
        let request = Request { tail, ..Request::new(&format!("000{ZMK}"), false) };
        let token = token(&good(&module, "B8", &request.body()));
        let received = token.open(&senders()[0].public, SAMPLES);
        assert_eq!(received.key, hex(ZMK_CLEAR));
        assert_eq!(received.header, header, "{}", received.header.escape_ascii());
        assert_eq!(received.nonce, hex("ABCDABCDABCDABCD"));
        assert_eq!(token.check_value, hex("08D7B4"));
    }
}

#[test]
fn keys_of_key_blocks_keep_their_attributes() {
    let module = module();
    for (attributes, tail, header) in [
        ("K1T3N00E00", "%01!B", "B0256K1TN00E0000"),
        ("K0T2B11S00", "%01", "B0256K0TB11S0000"),
        ("52T2E00E00", "%01&S!A", "A0256K0TE00S0000"),
        ("51T3N00E00", "%01&N", "B0256K0TN00N0000"),
    ] {
        let (key, check_value) = generated(&module, attributes);
        let request = Request { tail, ..Request::new(&key, true) };
        let token = token(&good(&module, "B8", &request.body()));
        let received = token.open(&senders()[1].public, SAMPLES);
        assert_eq!(received.header.escape_ascii().to_string(), header);
        assert_eq!(received.key.len(), if attributes.contains("T3") { 24 } else { 16 });
        assert_eq!(hex(std::str::from_utf8(&check_value).unwrap()), token.check_value);
    }
}

#[test]
fn the_encoding_of_cms_is_a_setting() {
    let module = module();
    module.set_settings(Settings { tr34_sample_encoding: false, ..Settings::default() });
    let nonce = join(&[b"10", &[7; 16]]);
    let request = Request { nonce, ..Request::new(&format!("000{ZMK}"), false) };
    let token = token(&good(&module, "B8", &request.body()));
    let received = token.open(&senders()[0].public, !SAMPLES);
    assert_eq!((received.key, received.nonce), (hex(ZMK_CLEAR), vec![7; 16]));
    // A SET OF in DER is sorted: the header comes before the longer nonce.
    assert_eq!(token.attributes[29..31], [0x30, 0x1F]);
}

#[test]
fn b8_refuses_what_it_cannot_send() {
    let module = module();
    let good_request = Request::new(&format!("000{ZMK}"), false);
    let check = |change: &dyn Fn(&mut Request), error: &str| {
        let mut request = good_request.clone();
        change(&mut request);
        refused(&module, "B8", &request.body(), error);
    };
    good(&module, "B8", &good_request.body());
    check(&|r| r.version = "1", "15");
    check(&|r| r.key = b"001U063A0E7C0F2124E56192A4510F395ED7".to_vec(), "04");
    check(&|r| r.key = join(&[b"FFF", ZMK.as_bytes()]), "28");
    check(&|r| r.key = b"000U063A0E7C0F2124E56192A4510F395ED7".to_vec(), "10");
    check(&|r| r.key = b"000ZDA05B7A979CBD9A1".to_vec(), "27");
    check(&|r| r.first = "000002", "15");
    check(&|r| r.second = "01", "15");
    check(&|r| r.third = "011", "15");
    check(&|r| r.kdh = hex("3000"), "15");
    check(&|r| r.kdh[2] = 0x31, "15");
    check(&|r| r.krd[5] ^= 1, "15");
    check(&|r| r.krd = hex("020100"), "15");
    check(&|r| r.public[4] = 3, "04");
    check(&|r| r.public = hex("3006020103020103"), "04");
    check(&|r| r.public = join(&[&hex("3048024100"), &[0xFF; 64], &hex("0203010001")]), "76");
    check(&|r| r.private = b"20".to_vec(), "49");
    check(&|r| r.private = b"21".to_vec(), "03");
    check(&|r| r.nonce = b"07abcdefg".to_vec(), "15");
    check(&|r| r.nonce = b"11abcdefghijklmnopq".to_vec(), "15");
    check(&|r| r.nonce = b"0g".to_vec(), "15");
    check(&|r| r.tail = "", "15");
    check(&|r| r.tail = "&K1B00S00!F", "15");
    check(&|r| r.tail = "&K1B00E00", "AA");
    check(&|r| r.tail = "&P0B00S00", "BD");
    check(&|r| r.tail = "&K1Q00S00", "A8");
    check(&|r| r.tail = "&K1B00S00#", "15");
    check(&|r| r.tail = "%07&K1B00S00", "13");

    let management = generate(&module, "1102402").private;
    check(&|r| r.private = join(&[b"99", &management]), "03");
    for (attributes, error) in [("P0T2B00E00", "A6"), ("K0A1B00E00", "A7"), ("K0T2B00N00", "AA")] {
        let (key, _) = generated(&module, attributes);
        refused(&module, "B8", &Request::new(&key, true).body(), error);
    }
    let (key, _) = generated(&module, "K0T2B00S00");
    let wider = Request { tail: "%01&E", ..Request::new(&key, true) };
    refused(&module, "B8", &wider.body(), "AA");

    module.set_settings(Settings { zmk_export: false, ..Settings::default() });
    refused(&module, "B8", &good_request.body(), "17");
    // Usage K0 serves as a ZMK too, 51 does not.
    refused(&module, "B8", &Request::new(&key, true).body(), "17");
    let (key, _) = generated(&module, "51T2B00S00");
    good(&module, "B8", &Request::new(&key, true).body());
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "B8", &good_request.body(), "17");
    refused(&module, "B8", &Request::new(&key, true).body(), "17");
}

/// The private key of NIST's first ECDH vector for P-256 (CAVP, SP 800-56A ECC CDH primitive) in a block under the AES key-block LMK, and
/// the other party's public key.
fn published_parties() -> (String, Vec<u8>) {
    let der = "30770201010420\
               7D7DC5F71EB29DDAF80D6214632EEAE03D9058AF1FB6D22ED80BADB62BC1A534\
               A00A06082A8648CE3D030107A14403420004\
               EAD218590119E8876B29146FF89CA61770C4EDBBF97D38CE385ED281D8A6B230\
               28AF61281FD35E2FA7002523ACC85A429CB06EE6648325389F59EDFCE1405141";
    let peer = "3059301306072A8648CE3D020106082A8648CE3D03010703420004\
                700C48F77F56584C5CC632CA65640DB91B6BACCE3A4DF6B42CE7CC838833D287\
                DB71E509E3FD9B060DDB20BA5C51DCC5948D46FBF640DFE0441782CAB85FA4AC";
    let lmk = Lmk::test_keyblock_aes();
    let attributes = Attributes {
        usage: Usage::new(*b"03").unwrap(),
        algorithm: BlockAlgorithm::Ec,
        mode: ModeOfUse::Derive,
        key_version: KeyVersion::NONE,
        exportability: Exportability::NonExportable,
    };
    let block = thales::wrap(
        lmk.protection_keys().unwrap(),
        Scope::Lmk(LmkId::new(1).unwrap()),
        attributes,
        &OptionalBlocks::NONE,
        &ClearKey::new(Algorithm::Ec, &hex(der)).unwrap(),
        &mut |fill| fill.fill(0x5A),
    );
    (format!("S{}", String::from_utf8(block.unwrap()).unwrap()), hex(peer))
}

/// A request of IG as a public client sends it, with what a test may replace.
fn agreement(public: &[u8], private: &str, derivation: &str, tail: &str) -> Vec<u8> {
    join(&[b"2103", public, private.as_bytes(), derivation.as_bytes(), b"100100123456789;01", tail.as_bytes()])
}

#[test]
fn ig_derives_the_keys_of_the_standards() {
    let (private, public) = published_parties();
    // Check values computed with pyca/cryptography: ECDH, then SP 800-56A with SHA-256, and X9.63 with SHA-512.
    for (derivation, tail, header, check_value) in [
        ("106", "00256K1A3B00E00;:%01", "K1AB00E0001", "5D4B1A"),
        ("208", "00128K0A1N12S00;:%01", "K0AN12S0001", "EA2E8F"),
    ] {
        let response = good(&module(), "IG", &agreement(&public, &private, derivation, tail));
        let (block, kcv) = response.split_at(response.len() - 3);
        assert_eq!(&block[6..17], header.as_bytes());
        assert_eq!(kcv, hex(check_value));
        let field = String::from_utf8(block.to_vec()).unwrap();
        assert_eq!(good(&module(), "BU", format!("FFF{field};FFF;001%01").as_bytes()), check_value.as_bytes());
    }
}

#[test]
fn both_parties_derive_the_same_key() {
    let module = module();
    for curve in ["00", "01", "02"] {
        let [a, b] = ["X", "N"].map(|mode| {
            let response = good(&module, "FY", format!("01{curve}03%01#{mode}00S00").as_bytes());
            let len: usize = std::str::from_utf8(&response[..4]).unwrap().parse().unwrap();
            let (public, private) = response[4..].split_at(len);
            (public.to_vec(), String::from_utf8(private.to_vec()).unwrap())
        });
        for (derivation, tail) in [("107", "00192K1T3B00E00;:%01"), ("206", "00128K0T2B00E01KS08ABCD;:%01")] {
            let check_value = |public: &[u8], private: &str| {
                let response = good(&module, "IG", &agreement(public, private, derivation, tail));
                response[response.len() - 3..].to_vec()
            };
            assert_eq!(check_value(&a.0, &b.1), check_value(&b.0, &a.1));
            assert_ne!(check_value(&a.0, &b.1), check_value(&a.0, &a.1));
        }
    }
}

#[test]
fn ig_refuses_what_it_cannot_derive() {
    let module = module();
    let (private, public) = published_parties();
    let tail = "00256K1A3B00E00;:%01";
    let body = |derivation: &str, tail: &str| agreement(&public, &private, derivation, tail);
    let good_body = body("106", tail);
    good(&module, "IG", &good_body);
    for (derivation, tail, error) in [
        ("306", tail, "06"),
        ("103", tail, "05"),
        ("106", "00128K1A3B00E00;:%01", "A5"),
        ("106", "99999K1A3B00E00;:%01", "15"),
        ("106", "00256K1H0B00E00;:%01", "A7"),
        ("106", "00256K1A3Q00E00;:%01", "A8"),
        ("106", "00256Q1A3B00E00;:%01", "A6"),
        ("106", "00256K1A3B00E00;;%01", "15"),
        ("106", "00256K1A3B00E00;:%00", "A1"),
        ("106", "00256K1A3B00E00;:%02", "A1"),
    ] {
        refused(&module, "IG", &body(derivation, tail), error);
    }
    for (from, to, error) in [
        ("2103", "2203", "15"),
        ("2103", "2102", "D3"),
        ("106100", "106200", "15"),
        (";01", ";02", "15"),
        ("0010", "0009", "15"),
    ] {
        let at = good_body.windows(from.len()).rposition(|window| window == from.as_bytes()).unwrap();
        let changed = join(&[&good_body[..at], to.as_bytes(), &good_body[at + from.len()..]]);
        refused(&module, "IG", &changed, error);
    }
    let mut off_curve = public.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    refused(&module, "IG", &agreement(&off_curve, &private, "106", tail), "04");
    let other_curve = good(&module, "FY", b"010103%01#X00S00");
    refused(&module, "IG", &agreement(&other_curve[4..124], &private, "106", tail), "D2");
    let signing = good(&module, "FY", b"010003%01#S00S00");
    let signing = std::str::from_utf8(&signing[95..]).unwrap();
    refused(&module, "IG", &agreement(&public, signing, "106", tail), "A8");
    module.set_settings(Settings { authorise_all: false, ..Settings::default() });
    refused(&module, "IG", &good_body, "17");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_a_command_panic(at: prop::sample::Index, byte: u8, cut in 0usize..40) {
        static BODIES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
        let bodies = BODIES.get_or_init(|| {
            let (private, public) = published_parties();
            vec![
                ("B8", Request::new(&format!("000{ZMK}"), false).body()),
                ("IG", agreement(&public, &private, "106", "00256K1A3B00E00;:%01")),
            ]
        });
        for (code, body) in bodies {
            let mut body = body.clone();
            let at = at.index(body.len());
            body[at] = byte;
            body.truncate(body.len() - cut.min(at));
            prop_assert!(answer(&module(), code, &body).len() >= 2);
        }
    }
}
