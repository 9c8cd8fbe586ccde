//! A0: generate or derive a key, and optionally export it.
//!
//! | Field | Length | Modes | Notes |
//! |---|---|---|---|
//! | Mode | 1H | | 0 generate, 1 generate and export, A derive, B derive and export |
//! | Key type | 3H | | keys.md section 2; `FFF` for a key-block LMK |
//! | Key scheme (LMK) | 1A | | decides the key length; `S` for a key-block LMK |
//! | Derive mode | 1A | A B | 0 DUKPT, 1 ZKA |
//! | Master key type | 1H | DUKPT | 1 to 4: BDK-1 to BDK-4; a key block says it by its usage |
//! | Master key | key | DUKPT | |
//! | Key serial number | 15H, 16H | DUKPT | 16H for an AES BDK: initial key identifier |
//! | ZKA master key type | 3H | ZKA | 607, or `FFF` |
//! | ZKA master key | key | ZKA | |
//! | ZKA option | 1N | ZKA | 0 RNDI follows, 1 the HSM makes it |
//! | RNDI | 32H | ZKA | option 0 |
//! | `;` ZMK/TMK flag | 1N | 1 B | variant LMK, optional: 0 ZMK, 1 TMK |
//! | ZMK, TMK or current BDK | key | 1 B | a BDK when deriving an initial key under a key-block LMK |
//! | Current BDK's initial key identifier | 16H | B | with a current BDK |
//! | Key scheme (ZMK) | 1A | 1 B | `R` and `S` for key blocks |
//! | Atalla variant | 1–2N | 1 B | optional |
//! | `%` LMK identifier | 2N | | optional |
//! | `#` usage, algorithm, mode, version, exportability, optional blocks | | | key-block LMK |
//! | `&` exportability | 1A | 1 B | key-block LMK, scheme `S` or `R`, optional |
//! | `&` usage, mode, version, exportability, optional blocks | | 1 B | variant LMK, scheme `R` |
//! | `!` TR-31 version | 1A | 1 B | scheme `R`, optional |
//!
//! Response: key under the LMK, key under the ZMK or TMK (modes 1 B), check value 6H, RNDI 32H (ZKA option 1). Errors: 04 28 key
//! type, 07 ZKA master key type, 10 parity of ZMK, TMK or master key, 17, 26 scheme, 29 not permitted for the key type, 48, A1 to BE
//! for key blocks. Source: keys.md 7 (A0).
#![cfg_attr(target_family = "wasm", no_main)]

use hsm_plugin_sdk::prelude::*;
use hsm_plugins::transport::{goes_into_block, read_terminal_flag};

command! {
    code: "A0",
    title: "Generate a key",
    run: generate,
}

const ZKA_MASTER_KEY_TYPE: ErrorCode = ErrorCode::COMMAND_07;

fn generate<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>) -> Result<Response<'h>> {
    let mode = req.chars("Mode", 1, |c| matches!(c, b'0' | b'1' | b'A' | b'B'), "must be 0, 1, A or B")?;
    let (exports, derives) = (matches!(mode, b"1" | b"B"), matches!(mode, b"A" | b"B"));
    let purpose = req.key_type("Key type")?;
    let scheme = req.scheme("Key scheme (LMK)")?;
    let derivation = if derives { Some(Derivation::read(req, purpose)?) } else { None };
    let export = if exports { Some(Export::read(req, purpose, derivation.as_ref())?) } else { None };
    req.lmk_identifier()?;
    let at = req.offset();
    let in_block = goes_into_block(hsm, purpose, scheme)?;
    let attributes = if in_block { req.attributes(&AttributeGroup::GENERATE)? } else { None };
    let export = match export {
        Some(export) => Some(export.read_block(req, in_block)?),
        None => None,
    };
    req.end()?;

    hsm.key_type_fits(purpose)?;
    if hsm.is_key_block_lmk()? != in_block {
        return Err(ErrorCode::KEY_SCHEME.into());
    }
    if in_block && attributes.is_none() {
        return Err(missing(req, at));
    }
    if attributes.is_none() {
        hsm.key_may_generate(purpose)?;
        if exports {
            hsm.key_may_export(purpose)?;
        }
    }
    let export = match export {
        Some(export) => Some((export.open(hsm)?, export)),
        None => None,
    };
    let (key, random) = match (&derivation, attributes) {
        (Some(derivation), attributes) => derivation.derive(hsm, purpose, attributes)?,
        (None, Some(attributes)) => (hsm.key_generate_block(attributes)?, None),
        (None, None) => (hsm.key_generate(purpose, scheme)?, None),
    };

    let mut resp = hsm.response();
    resp.key("Key under the LMK", hsm.key_wrap(key, scheme)?);
    if let Some((wrapping_key, Export { scheme, variant, attributes, version, .. })) = export {
        let exported = hsm.key_export_block(key, wrapping_key, scheme, variant, attributes, version)?;
        resp.key("Key under the ZMK", exported);
    }
    resp.hex("Key check value", &hsm.key_check_value(key)?[..3]);
    if let Some(random) = random {
        resp.hex("RNDI", random);
    }
    Ok(resp)
}

/// Refuses a request without the attribute group that must be there.
fn missing(req: &Request<'_>, at: usize) -> Refusal {
    req.refuse("Key block attributes", at, "are missing")
}

/// What the key is derived from.
enum Derivation<'h> {
    Dukpt { bdk: KeyField<'h>, ksn: &'h [u8] },
    Zka { master: KeyField<'h>, random: Option<[u8; 16]> },
}

impl<'h> Derivation<'h> {
    fn read(req: &mut Request<'h>, purpose: KeyPurpose) -> Result<Self> {
        // One published field list has the letter O for DUKPT.
        let dukpt = req.chars("Derive mode", 1, |c| matches!(c, b'0' | b'O' | b'1'), "must be 0 or 1")? != b"1";
        if !dukpt {
            return Self::read_zka(req, purpose);
        }
        let bdk = match req.chars("Master key type", 1, |c| matches!(c, b'1'..=b'4'), "must be 1 to 4")? {
            b"2" => KeyPurpose::BDK_2,
            b"3" => KeyPurpose::BDK_3,
            b"4" => KeyPurpose::BDK_4,
            _ => KeyPurpose::BDK_1,
        };
        let bdk = req.double_key("Master key", bdk)?;
        let bdk = if bdk.scheme() == Some(b'S') { bdk.with_purpose(KeyPurpose::BDK) } else { bdk };
        let digits = if bdk.is_aes() { 16 } else { 15 };
        Ok(Self::Dukpt { bdk, ksn: req.hex_digits("Key serial number", digits)? })
    }

    fn read_zka(req: &mut Request<'h>, purpose: KeyPurpose) -> Result<Self> {
        let at = req.offset();
        let in_blocks = purpose == KeyPurpose::KEY_BLOCK;
        let wanted = if in_blocks { purpose } else { KeyPurpose::MK_ZKA };
        let key_type = req.key_type_or("ZKA master key type", ZKA_MASTER_KEY_TYPE)?;
        if key_type != wanted {
            let rule = if in_blocks { "must be FFF" } else { "must be 607" };
            return Err(req.refuse_with(ZKA_MASTER_KEY_TYPE, "ZKA master key type", at, rule));
        }
        let master = req.double_key("ZKA master key", KeyPurpose::MK_ZKA)?;
        let made = req.chars("ZKA option", 1, |c| matches!(c, b'0' | b'1'), "must be 0 or 1")? == b"1";
        let random = if made { None } else { req.hex("RNDI", 16)?.first_chunk().copied() };
        Ok(Self::Zka { master, random })
    }

    /// The derived key, and the random number if it was made here.
    fn derive(
        &self,
        hsm: &Hsm<'h>,
        purpose: KeyPurpose,
        attributes: Option<KeyAttributes<'_>>,
    ) -> Result<(KeyHandle, Option<[u8; 16]>)> {
        match self {
            Self::Dukpt { bdk, ksn } => {
                if attributes.is_none() && purpose != KeyPurpose::IKEY {
                    return Err(ErrorCode::KEY_FUNCTION.into());
                }
                let bdk = hsm.open_source(bdk)?;
                Ok((hsm.key_dukpt_initial(bdk, ksn, attributes)?, None))
            }
            Self::Zka { master, random } => {
                let master = hsm.open_source(master)?;
                let (key, made) = hsm.key_zka_session(master, purpose, *random, attributes)?;
                Ok((key, random.is_none().then_some(made)))
            }
        }
    }
}

/// How the key is exported.
struct Export<'h> {
    wrapping_key: KeyField<'h>,
    /// The initial key identifier that goes with a current BDK.
    initial_key_id: Option<&'h [u8]>,
    scheme: u8,
    variant: u8,
    attributes: KeyAttributes<'h>,
    version: Option<u8>,
}

impl<'h> Export<'h> {
    fn read(req: &mut Request<'h>, purpose: KeyPurpose, derivation: Option<&Derivation<'_>>) -> Result<Self> {
        let terminal = read_terminal_flag(req, purpose)?;
        let mut wrapping_key = if terminal { req.key("TMK", KeyPurpose::TMK)? } else { req.zmk("ZMK")? };
        let mut initial_key_id = None;
        if wrapping_key.scheme() == Some(b'S') {
            let updates = wrapping_key.is_bdk() && matches!(derivation, Some(Derivation::Dukpt { .. }));
            wrapping_key = wrapping_key.with_purpose(if updates { KeyPurpose::BDK } else { KeyPurpose::WRAPPING_KEY });
            if updates {
                initial_key_id = Some(req.hex_digits("Current BDK's initial key identifier", 16)?);
            }
        }
        let scheme = req.scheme("Key scheme (ZMK)")?;
        let variant = req.atalla_variant()?;
        let (attributes, version) = (KeyAttributes::default(), None);
        Ok(Self { wrapping_key, initial_key_id, scheme, variant, attributes, version })
    }

    /// Reads what a key block needs besides, at the end of the request.
    fn read_block(mut self, req: &mut Request<'h>, from_key_block: bool) -> Result<Self> {
        if matches!(self.scheme, b'S' | b'R') {
            if from_key_block {
                self.attributes = req.attributes(&AttributeGroup::NARROW)?.unwrap_or_default();
            } else if self.scheme == b'R' {
                let at = req.offset();
                self.attributes = req.attributes(&AttributeGroup::TRANSPORT)?.ok_or_else(|| missing(req, at))?;
            }
        }
        if self.scheme == b'R' {
            self.version = req.block_version()?;
        }
        Ok(self)
    }

    fn open(&self, hsm: &Hsm<'h>) -> Result<KeyHandle> {
        let key = hsm.open_source(&self.wrapping_key)?;
        match self.initial_key_id {
            Some(id) => Ok(hsm.key_dukpt_update(key, id)?),
            None => Ok(key),
        }
    }
}
