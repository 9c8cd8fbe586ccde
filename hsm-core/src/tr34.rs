//! TR-34 key tokens: the CMS structures of ASC X9 TR 34 with which a key distribution host (KDH) sends a key to a key receiving
//! device (KRD). What is encrypted and signed here goes into a `SignedData` that the host assembles.

use crate::asymmetric::object_identifier;
use crate::clear_key::ClearKey;
use crate::mac::HashAlgorithm;
use crate::rsa_encoding::{INTEGER, OCTET_STRING, SEQUENCE, element, put_element};
use zeroize::Zeroizing;

/// Octets of a key receiving device's random number: at least these many (TR 34, random number token).
pub const MIN_NONCE: usize = 8;
/// At most these many.
pub const MAX_NONCE: usize = 16;

const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// `[0] IMPLICIT`, primitive: the encrypted content.
const CONTENT: u8 = 0x80;

// OBJECT IDENTIFIER elements.
const DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 1];
const ENVELOPED_DATA: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 3];
const CONTENT_TYPE: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 4];
const RANDOM_NONCE: &[u8] = &[6, 10, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 25, 3];
const RSAES_OAEP: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 7];
const MGF1: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 8];
const P_SPECIFIED: &[u8] = &[6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 9];
const DES_EDE3_CBC: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 3, 7];

/// How the structures are encoded where the standard's printed samples differ from what its ASN.1 modules and CMS say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 5652 and RFC 8017: what CMS libraries read.
    Cms,
    /// The samples of TR 34 (2012), annex B: OAEP parameters without their tags, the encrypted content within the content encryption
    /// algorithm, signed attributes in the order content type, nonce, header, digest.
    Samples,
}

/// A certificate as CMS names it: the DER of an `IssuerAndSerialNumber`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a>(&'a [u8]);

impl<'a> Credential<'a> {
    /// Takes `SEQUENCE{issuer Name, serialNumber INTEGER}`, with nothing behind it. `None` for other bytes.
    #[must_use]
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut whole = Elements(der);
        let mut fields = Elements(whole.next(SEQUENCE)?);
        let mut issuer = Elements(fields.next(SEQUENCE)?);
        let serial = fields.next(INTEGER)?;
        while !issuer.0.is_empty() {
            let mut name = Elements(issuer.next(SET)?);
            loop {
                let mut attribute = Elements(name.next(SEQUENCE)?);
                attribute.next(OBJECT_IDENTIFIER)?;
                attribute.next(*attribute.0.first()?)?;
                if !attribute.0.is_empty() {
                    return None;
                }
                if name.0.is_empty() {
                    break;
                }
            }
        }
        (whole.0.is_empty() && fields.0.is_empty() && !serial.is_empty()).then_some(Self(der))
    }
}

/// DER elements one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (contents, len) = element(tag, self.0).ok()?;
        self.0 = self.0.get(len..)?;
        Some(contents)
    }
}

/// The key block that is encrypted for the receiver: version 1, the sender, the key, and the header as an attribute.
#[must_use]
pub fn key_block(kdh: &Credential<'_>, key: &ClearKey, header: &[u8]) -> Zeroizing<Vec<u8>> {
    let header = header_attribute(header);
    // Room for everything, so that no copy of the key is left behind by growing.
    let capacity = kdh.0.len() + key.len() + header.len() + 16;
    let mut fields = Zeroizing::new(Vec::with_capacity(capacity));
    put_element(&mut fields, INTEGER, &[1]);
    fields.extend_from_slice(kdh.0);
    put_element(&mut fields, OCTET_STRING, key.bytes());
    fields.extend_from_slice(&header);
    let mut block = Zeroizing::new(Vec::with_capacity(capacity + 8));
    put_element(&mut block, SEQUENCE, &fields);
    block
}

/// A key block padded to whole cipher blocks of `len` bytes, as RFC 5652 6.3 says.
#[must_use]
pub fn padded(block: &[u8], len: usize) -> Zeroizing<Vec<u8>> {
    let total = (block.len() + 1).next_multiple_of(len);
    let mut out = Zeroizing::new(Vec::with_capacity(total));
    out.extend_from_slice(block);
    out.resize(total, (total - block.len()) as u8);
    out
}

/// What is encrypted for the receiver, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The receiver.
    pub krd: Credential<'a>,
    /// The TDES key that encrypts the content, under the receiver's public key (OAEP with SHA-256).
    pub encrypted_key: &'a [u8],
    /// The initial vector of the content.
    pub iv: [u8; 8],
    /// The encrypted key block.
    pub content: &'a [u8],
}

impl Envelope<'_> {
    /// `EnvelopedData`, version 0, with one `KeyTransRecipientInfo` and des-ede3-cbc.
    #[must_use]
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        let mut recipient = vec![INTEGER, 1, 0];
        recipient.extend_from_slice(self.krd.0);
        let parameters = sequence(&oaep_parameters(encoding));
        put_element(&mut recipient, SEQUENCE, &[RSAES_OAEP, &parameters].concat());
        put_element(&mut recipient, OCTET_STRING, self.encrypted_key);
        let mut algorithm = DES_EDE3_CBC.to_vec();
        put_element(&mut algorithm, OCTET_STRING, &self.iv);
        let mut content = Vec::new();
        put_element(&mut content, CONTENT, self.content);
        let content = match encoding {
            Encoding::Cms => [DATA, &sequence(&algorithm), &content].concat(),
            Encoding::Samples => [DATA, &sequence(&[algorithm, content].concat())].concat(),
        };
        let mut fields = vec![INTEGER, 1, 0];
        put_element(&mut fields, SET, &sequence(&recipient));
        fields.extend(sequence(&content));
        sequence(&fields)
    }
}

/// The attributes that the sender signs, as the SET that is signed: content type, random nonce, key block header, message digest.
///
/// The digest (SHA-256) is over the contents of `envelope`, an `EnvelopedData`, without its tag and length: they are what the host puts
/// into `eContent`, and what PKCS#7 has a digest over. `None` if `envelope` is no SEQUENCE.
#[must_use]
pub fn signed_attributes(nonce: &[u8], header: &[u8], envelope: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    let contents = Elements(envelope).next(SEQUENCE)?;
    let mut octets = [nonce, &HashAlgorithm::Sha256.digest(contents)].map(|value| {
        let mut element = Vec::new();
        put_element(&mut element, OCTET_STRING, value);
        element
    });
    let [nonce, digest] = &mut octets;
    let mut attributes = [
        attribute(CONTENT_TYPE, ENVELOPED_DATA),
        attribute(RANDOM_NONCE, nonce),
        header_attribute(header),
        attribute(MESSAGE_DIGEST, digest),
    ];
    if encoding == Encoding::Cms {
        // DER has the elements of a SET OF in ascending order.
        attributes.sort_unstable();
    }
    let mut out = Vec::new();
    put_element(&mut out, SET, &attributes.concat());
    Some(out)
}

/// The key block header as an attribute, whose type TR 34 has as id-data.
fn header_attribute(header: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    put_element(&mut value, OCTET_STRING, header);
    attribute(DATA, &value)
}

fn attribute(identifier: &[u8], value: &[u8]) -> Vec<u8> {
    let mut values = Vec::new();
    put_element(&mut values, SET, value);
    sequence(&[identifier, &values].concat())
}

/// The parameters of RSAES-OAEP: SHA-256, MGF1 with SHA-256, no label.
fn oaep_parameters(encoding: Encoding) -> Vec<u8> {
    let hash = object_identifier(HashAlgorithm::Sha256);
    let null: &[u8] = &[5, 0];
    let empty: &[u8] = &[OCTET_STRING, 0];
    let source = sequence(&[P_SPECIFIED, empty].concat());
    match encoding {
        Encoding::Cms => {
            let hash = sequence(&[hash, null].concat());
            let mask = sequence(&[MGF1, &hash].concat());
            let mut out = Vec::new();
            for (tag, value) in [(0xA0, hash), (0xA1, mask), (0xA2, source)] {
                put_element(&mut out, tag, &value);
            }
            out
        }
        Encoding::Samples => {
            let mask = sequence(&[MGF1, &sequence(hash)].concat());
            [sequence(&[hash, null].concat()), mask, source].concat()
        }
    }
}

fn sequence(contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_element(&mut out, SEQUENCE, contents);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text.as_bytes()).unwrap().to_vec()
    }

    /// `IssuerAndSerialNumber` of KDH 1 and KRD 1 (TR 34-2019, annex B.2.2.1.4 and B.2.2.1.6).
    const KDH: &str = "304A3041310B300906035504061302555331153013060355040A130C545233342053616D706C6573311B301906035504\
                       031312545233342053616D706C65204341204B444802053400000006";

    fn kdh() -> Vec<u8> {
        bytes(KDH)
    }

    fn krd() -> Vec<u8> {
        let mut krd = kdh();
        let len = krd.len();
        krd[len - 9] = b'R';
        krd[len - 8] = b'D';
        krd[len - 1] = 7;
        krd
    }

    #[test]
    fn the_key_block_is_that_of_the_standard() {
        // TR 34-2019, B.2.2.2.1 (sample EncryptedContent).
        let (kdh, key) = (kdh(), ClearKey::des(&bytes("0123456789ABCDEFFEDCBA9876543210")).unwrap());
        let block = key_block(&Credential::parse(&kdh).unwrap(), &key, b"A0256K0TB00E0000");
        let expected = [
            &bytes("308182020101")[..],
            &kdh,
            &bytes("04100123456789ABCDEFFEDCBA9876543210301F06092A864886F70D01070131120410"),
            b"A0256K0TB00E0000",
        ];
        assert_eq!(hex::encode(&block), hex::encode(&expected.concat()));
        let sizes: Vec<usize> = [15, 16, 17].map(|len| padded(&vec![1; len], 8).len()).to_vec();
        assert_eq!(sizes, [16, 24, 24]);
        assert_eq!(padded(&[1; 16], 8)[16..], [8; 8]);
    }

    #[test]
    fn the_signed_attributes_are_those_of_the_standard() {
        // TR 34-2019, B.2.2.5 (two passes). Its digest is over other contents than ours, so only what comes before it is compared.
        let nonce = bytes("167EB0E72781E4940112233445566778");
        let ours = signed_attributes(&nonce, b"A0256K0TB00E0000", &[SEQUENCE, 1, 9], Encoding::Samples).unwrap();
        let expected = "31818E301806092A864886F70D010903310B06092A864886F70D0107033020060A2A864886F70D010919033112041016\
                        7EB0E72781E4940112233445566778301F06092A864886F70D0107013112041041303235364B305442303045303030\
                        30302F06092A864886F70D01090431220420";
        let expected = bytes(expected);
        assert_eq!(hex::encode(&ours[..expected.len()]), hex::encode(&expected));
        assert_eq!(ours[expected.len()..], HashAlgorithm::Sha256.digest(&[9]));
        // In DER the shorter attribute comes first.
        let sorted = signed_attributes(&nonce, b"A0256K0TB00E0000", &[SEQUENCE, 1, 9], Encoding::Cms).unwrap();
        assert_eq!((sorted.len(), &sorted[29..31]), (ours.len(), &[0x30, 0x1F][..]));
        // With a nonce of 8 octets there is no difference.
        let [sorted, sample] = [Encoding::Cms, Encoding::Samples]
            .map(|encoding| signed_attributes(&nonce[..8], b"A0256K0TB00E0000", &[SEQUENCE, 0], encoding));
        assert_eq!(sorted, sample);
        assert_eq!(signed_attributes(&nonce, b"", b"\x31\x00", Encoding::Cms), None);
    }

    #[test]
    fn the_envelope_is_that_of_the_standard() {
        let krd = krd();
        let envelope = Envelope {
            krd: Credential::parse(&krd).unwrap(),
            encrypted_key: &[0xAA; 256],
            iv: [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF],
            content: &[0xBB; 136],
        };
        // TR 34-2019, B.2.2.3.1 as it was first printed, but for the encrypted key and content.
        let expected = [
            &bytes("308202550201003182019E3082019A020100")[..],
            &krd,
            &bytes(
                "304506092A864886F70D0101073038300D06096086480165030402010500301806092A864886F70D010108300B06096086480165\
                 03040201300D06092A864886F70D0101090400",
            ),
            &[0x04, 0x82, 0x01, 0x00],
            &[0xAA; 256],
            &bytes("3081AD06092A864886F70D01070130819F06082A864886F70D030704080123456789ABCDEF808188"),
            &[0xBB; 136],
        ]
        .concat();
        assert_eq!(hex::encode(&envelope.encode(Encoding::Samples)), hex::encode(&expected));
    }

    #[test]
    fn credentials_are_read_whole() {
        let (kdh, krd) = (kdh(), krd());
        assert_eq!(Credential::parse(&krd).map(|credential| credential.0.len()), Some(76));
        assert_eq!(Credential::parse(&[&kdh[..], &[0]].concat()), None, "bytes behind it");
        for len in 0..kdh.len() {
            assert_eq!(Credential::parse(&kdh[..len]), None);
        }
        for other in ["3000", "30023000", "300430000200", "300630020500020100", "300630023100020100"] {
            assert_eq!(Credential::parse(&bytes(other)), None, "{other}");
        }
        // A name without parts is one.
        assert!(Credential::parse(&bytes("30053000020101")).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(der in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..76, byte: u8) {
            let _ = Credential::parse(&der);
            let mut damaged = kdh();
            damaged[at] = byte;
            if let Some(credential) = Credential::parse(&damaged) {
                prop_assert_eq!(credential.0, &damaged[..]);
            }
        }
    }
}
