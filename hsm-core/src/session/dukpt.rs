//! Operations on DUKPT keys.

use super::Session;
use super::keys::{KeyUse, OpenKey};
use super::pins::BDKS;
use crate::clear_key::{Algorithm, ClearKey};
use crate::dukpt::{self, AesKeyType, AesKsn, AesUse, DukptError, Ksn, KsnDescriptor, TdesBdk, TdesUse};
use crate::mac::{MacAlgorithm, MacKey, Padding};
use hsm_pinblock::{Context, Format, decode};
use hsm_plugin_sdk::abi::{AccountField, DukptMac, DukptOps, ErrorCode, KeyHandle, KeyPurpose, KsnField, PinHandle};
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A single-DES DUKPT transaction key: not a PIN key like others, as its PIN blocks are whitened.
pub(super) const SINGLE_DES_KEY: KeyPurpose = KeyPurpose::from_code(*b"DK1");

/// Digits of the key serial number of an AES BDK.
const AES_KSN_DIGITS: usize = 24;

/// What a transaction key is made into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DukptUse {
    /// PIN encipherment.
    Pin,
    /// MAC of a request.
    MacRequest,
    /// MAC in both directions.
    MacBoth,
    /// MAC of a response.
    MacResponse,
}

impl DukptUse {
    fn of_direction(direction: u8) -> Result<Self, ErrorCode> {
        match direction {
            0 => Ok(Self::MacRequest),
            1 => Ok(Self::MacBoth),
            2 => Ok(Self::MacResponse),
            _ => Err(ErrorCode::INTERNAL),
        }
    }

    fn tdes(self) -> TdesUse {
        match self {
            Self::Pin => TdesUse::Pin,
            Self::MacRequest | Self::MacBoth => TdesUse::MacRequest,
            Self::MacResponse => TdesUse::MacResponse,
        }
    }

    fn aes(self) -> AesUse {
        match self {
            Self::Pin => AesUse::Pin,
            Self::MacRequest => AesUse::MacGeneration,
            Self::MacBoth => AesUse::MacBoth,
            Self::MacResponse => AesUse::MacVerification,
        }
    }
}

/// A key serial number, and by which standard keys come of it.
#[derive(Clone, Copy)]
enum Serial {
    Tdes(Ksn),
    SingleDes(Ksn),
    Aes(AesKsn),
}

/// A device as the cache knows it: address of its BDK, which the entry keeps alive, and serial number without the counter.
type Device = (usize, u8, [u8; 10]);

impl Serial {
    fn counter(self) -> u32 {
        match self {
            Self::Tdes(ksn) | Self::SingleDes(ksn) => ksn.counter(),
            Self::Aes(ksn) => ksn.counter(),
        }
    }

    fn with_counter(self, counter: u32) -> Self {
        match self {
            Self::Tdes(ksn) => Self::Tdes(ksn.with_counter(counter)),
            Self::SingleDes(ksn) => Self::SingleDes(ksn.with_counter(counter)),
            Self::Aes(ksn) => Self::Aes(AesKsn::new(*ksn.initial_key_id(), counter)),
        }
    }

    fn device(self, bdk: &Arc<OpenKey>) -> Device {
        let (kind, id) = match self.with_counter(0) {
            Self::Tdes(ksn) => (0, *ksn.bytes()),
            Self::SingleDes(ksn) => (1, *ksn.bytes()),
            Self::Aes(ksn) => {
                let [a, b, c, d, e, f, g, h] = *ksn.initial_key_id();
                (2, [a, b, c, d, e, f, g, h, 0, 0])
            }
        };
        (Arc::as_ptr(bdk) as usize, kind, id)
    }

    fn initial_key(self, bdk: &ClearKey) -> Result<ClearKey, DukptError> {
        match self {
            Self::Tdes(ksn) => TdesBdk::new(bdk)?.initial_key(&ksn),
            Self::SingleDes(ksn) => TdesBdk::new(bdk)?.single_des_initial_key(&ksn),
            Self::Aes(ksn) => dukpt::aes_initial_key(bdk, ksn.initial_key_id()),
        }
    }

    fn child_key(self, parent: &ClearKey) -> Result<ClearKey, DukptError> {
        match self {
            Self::Tdes(ksn) => dukpt::tdes_child_key(parent, &ksn),
            Self::SingleDes(ksn) => dukpt::single_des_child_key(parent, &ksn),
            Self::Aes(ksn) => dukpt::aes_child_key(parent, &ksn),
        }
    }
}

/// The keys of a device: from the initial key down to its last transaction, one for each one bit of the counter.
struct Derivations {
    /// Keeps the address of the BDK from becoming another key's.
    bdk: Arc<OpenKey>,
    initial: ClearKey,
    path: Vec<(u32, ClearKey)>,
}

impl Derivations {
    fn transaction_key(&mut self, serial: Serial) -> Result<ClearKey, DukptError> {
        let counter = serial.counter();
        // A key on the path serves every counter that begins with the same one bits.
        let kept = self.path.iter().take_while(|(prefix, _)| {
            let lower = (1u32 << prefix.trailing_zeros()) - 1;
            counter & !lower == *prefix
        });
        self.path.truncate(kept.count());
        let mut prefix = self.path.last().map_or(0, |(prefix, _)| *prefix);
        while prefix != counter {
            let rest = counter & !prefix;
            prefix |= 1 << rest.ilog2();
            let parent = self.path.last().map_or(&self.initial, |(_, key)| key);
            let key = serial.with_counter(prefix).child_key(parent)?;
            self.path.push((prefix, key));
        }
        Ok(self.path.last().map_or(&self.initial, |(_, key)| key).clone())
    }
}

/// Keys that were derived before. Bounded by two generations of [`DukptCache::GENERATION`] devices; what is not used for a while
/// is erased.
#[derive(Default)]
pub(super) struct DukptCache {
    recent: HashMap<Device, Derivations>,
    older: HashMap<Device, Derivations>,
}

impl DukptCache {
    const GENERATION: usize = 512;

    fn transaction_key(&mut self, bdk: &Arc<OpenKey>, serial: Serial) -> Result<ClearKey, DukptError> {
        let device = serial.device(bdk);
        if let Some(known) = self.recent.get_mut(&device) {
            return known.transaction_key(serial);
        }
        let mut derivations = match self.older.remove(&device) {
            Some(known) => known,
            None => {
                let initial = serial.initial_key(bdk.key())?;
                Derivations { bdk: bdk.clone(), initial, path: Vec::new() }
            }
        };
        debug_assert!(Arc::ptr_eq(&derivations.bdk, bdk), "an entry's BDK is the one of its address");
        let key = derivations.transaction_key(serial);
        if self.recent.len() >= Self::GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(device, derivations);
        key
    }
}

impl DukptOps for Session {
    fn dukpt_single_des_key(&mut self, bdk: KeyHandle, ksn: KsnField<'_>) -> Result<KeyHandle, ErrorCode> {
        let bdk = self.key_for_use(bdk, BDKS, KeyUse::Derive)?;
        if bdk.algorithm() != Algorithm::Des || bdk.key().len() != 16 {
            return self.refuse(ErrorCode::KEY_LENGTH, "the BDK must be of double length");
        }
        let digits = self.ksn_digits(&bdk, ksn)?;
        let serial = Ksn::parse(&digits).map(Serial::SingleDes);
        let key = serial.and_then(|serial| self.dukpt.transaction_key(&bdk, serial));
        let key = self.derived(key)?;
        self.hold_key(Arc::new(OpenKey::new(key, SINGLE_DES_KEY, None).into_transient()))
    }

    fn dukpt_single_des_decode(
        &mut self,
        key: KeyHandle,
        block: [u8; 8],
        account: AccountField<'_>,
    ) -> Result<PinHandle, ErrorCode> {
        let key = self.key_for(key, &[SINGLE_DES_KEY])?;
        let context = Context::account(self.account(account)?);
        let clear = dukpt::single_des_decrypt_pin_block(key.key(), block).map_err(|_| ErrorCode::INTERNAL)?;
        match decode(Format::Iso0, &*clear, &context) {
            Ok(pin) => self.hold_pin(pin),
            Err(error) => self.refuse(ErrorCode::new(error.class().host_error()), format!("ISO-0 PIN block: {error}")),
        }
    }

    fn dukpt_mac(&mut self, bdk: KeyHandle, data: DukptMac<'_>) -> Result<[u8; 8], ErrorCode> {
        let DukptMac { ksn, direction, method, message } = data;
        let usage = DukptUse::of_direction(direction)?;
        let algorithm = match method {
            1 => MacAlgorithm::Alg3,
            2 => MacAlgorithm::Alg1,
            3 => MacAlgorithm::Cmac,
            _ => return self.refuse(ErrorCode::INPUT_DATA, "there is no MAC method with this number"),
        };
        let bdk = self.key_for_use(bdk, BDKS, KeyUse::Derive)?;
        // Algorithm 3 is defined for DES only, so an AES BDK gives a TDES key for it.
        let tdes = algorithm == MacAlgorithm::Alg3;
        let key = self.dukpt_working_key(&bdk, ksn, usage, tdes)?;
        let mac = MacKey::new(algorithm, &key).and_then(|key| key.mac(Padding::Method1, message));
        mac.ok().and_then(|mac| mac.first_chunk::<8>().copied()).ok_or(ErrorCode::INTERNAL)
    }

    fn dukpt_mac_verify(
        &mut self,
        bdk: KeyHandle,
        data: DukptMac<'_>,
        mac: &[u8],
        right: bool,
    ) -> Result<bool, ErrorCode> {
        let expected = Zeroizing::new(self.dukpt_mac(bdk, data)?);
        let (left_half, right_half) = expected.split_at(4);
        let expected = match (mac.len(), right) {
            (8, _) => expected.as_slice(),
            (4, false) => left_half,
            (4, true) => right_half,
            _ => return Err(ErrorCode::INPUT_DATA),
        };
        Ok(bool::from(expected.ct_eq(mac)))
    }
}

impl Session {
    /// The PIN key that a BDK gives for a key serial number.
    pub(super) fn dukpt_pin_key(&mut self, bdk: KeyHandle, ksn: KsnField<'_>) -> Result<ClearKey, ErrorCode> {
        let bdk = self.key_for_use(bdk, BDKS, KeyUse::Derive)?;
        self.dukpt_working_key(&bdk, ksn, DukptUse::Pin, false)
    }

    /// The working key of a use: as long as an AES BDK, double-length TDES for a TDES BDK or where `tdes` asks for it.
    fn dukpt_working_key(
        &mut self,
        bdk: &Arc<OpenKey>,
        ksn: KsnField<'_>,
        usage: DukptUse,
        tdes: bool,
    ) -> Result<ClearKey, ErrorCode> {
        let digits = self.ksn_digits(bdk, ksn)?;
        let key = if bdk.algorithm() == Algorithm::Aes {
            let key_type = if tdes { AesKeyType::Tdes2 } else { AesKeyType::aes(bdk.key().len()) };
            AesKsn::parse(&digits).and_then(|ksn| {
                let transaction = self.dukpt.transaction_key(bdk, Serial::Aes(ksn))?;
                dukpt::aes_working_key(&transaction, usage.aes(), key_type, &ksn)
            })
        } else {
            Ksn::parse(&digits).and_then(|ksn| {
                let transaction = self.dukpt.transaction_key(bdk, Serial::Tdes(ksn))?;
                dukpt::tdes_working_key(&transaction, usage.tdes())
            })
        };
        self.derived(key)
    }

    fn derived(&mut self, key: Result<ClearKey, DukptError>) -> Result<ClearKey, ErrorCode> {
        match key {
            Ok(key) => Ok(key),
            Err(DukptError::Cipher(error)) => self.refuse(ErrorCode::KEY_LENGTH, format!("the BDK: {error}")),
            Err(error) => self.refuse(ErrorCode::INPUT_DATA, format!("key serial number: {error}")),
        }
    }

    /// The digits of a key serial number, from user storage where the field refers to it.
    fn ksn_digits(&mut self, bdk: &OpenKey, field: KsnField<'_>) -> Result<Vec<u8>, ErrorCode> {
        let Some(index) = field.digits.strip_prefix(b"K") else { return Ok(field.digits.to_vec()) };
        let index = core::str::from_utf8(index).ok().and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let index = index.ok_or(ErrorCode::INPUT_DATA)?;
        let len = if bdk.algorithm() == Algorithm::Aes {
            AES_KSN_DIGITS
        } else {
            let descriptor = KsnDescriptor::parse(&field.descriptor);
            descriptor.or_else(|error| self.refuse(ErrorCode::INPUT_DATA, error.to_string()))?.ksn_len()
        };
        self.stored_item(index, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_derivations_are_those_of_the_standards() {
        let bdk = |key: ClearKey| Arc::new(OpenKey::new(key, KeyPurpose::BDK, None));
        let (tdes, aes) = (bdk(ClearKey::des(&[0x13; 16]).unwrap()), bdk(ClearKey::aes(&[0x31; 16]).unwrap()));
        let mut cache = DukptCache::default();
        let ksn = Ksn::parse(b"FFFF9876543210E00000").unwrap();
        // Up, down, repeated, all ones, zero.
        for counter in [1, 2, 3, 4, 5, 3, 0x1F_FFFF, 0x10_0000, 0x10_0001, 0, 7, 7, 6] {
            let serial = ksn.with_counter(counter);
            let standard = TdesBdk::new(tdes.key()).unwrap();
            let key = cache.transaction_key(&tdes, Serial::Tdes(serial)).unwrap();
            assert_eq!(key, standard.transaction_key(&serial).unwrap(), "{counter:X}");
            let key = cache.transaction_key(&tdes, Serial::SingleDes(serial)).unwrap();
            assert_eq!(key, standard.single_des_transaction_key(&serial).unwrap(), "{counter:X}");
            let serial = AesKsn::new([9; 8], counter << 11 | 1);
            let initial = dukpt::aes_initial_key(aes.key(), &[9; 8]).unwrap();
            let key = cache.transaction_key(&aes, Serial::Aes(serial)).unwrap();
            assert_eq!(key, dukpt::aes_transaction_key(&initial, &serial).unwrap(), "{counter:X}");
        }
        assert_eq!(cache.recent.len(), 3);
    }

    #[test]
    fn the_cache_is_bounded_and_tells_devices_and_keys_apart() {
        let mut cache = DukptCache::default();
        for n in 0..1500u16 {
            let bdk = Arc::new(OpenKey::new(ClearKey::des(&[n as u8; 16]).unwrap(), KeyPurpose::BDK, None));
            let mut bytes = [0; 10];
            bytes[..2].copy_from_slice(&n.to_be_bytes());
            bytes[9] = 1;
            let ksn = Ksn::new(bytes);
            let key = cache.transaction_key(&bdk, Serial::Tdes(ksn)).unwrap();
            assert_eq!(key, TdesBdk::new(bdk.key()).unwrap().transaction_key(&ksn).unwrap());
        }
        assert!(cache.recent.len() + cache.older.len() <= 2 * DukptCache::GENERATION);
    }
}
