//! The legacy key-management commands: one command for each kind of key and direction, all of the same few shapes (keys.md 7).
//!
//! | Function | Commands |
//! |---|---|
//! | [`import`]: ZMK to LMK | AW BY DW FA FC FK MI |
//! | [`export`]: LMK to ZMK | AU DY FE FM GC MG |
//! | [`under_terminal_key`]: LMK to TMK | AE AG |
//! | [`generate`]: new under the LMK | AS BI |
//! | [`generate_for_zone`]: new under ZMK and LMK | FG FI IA |
//! | [`generate_for_terminal`]: new under TMK and LMK | HA HC |
//! | [`from_old_lmk`]: old LMK to new | AA AC AY GE KC |
//! | [`form_zmk`]: from components | GG GY |
//!
//! Where the request names no key scheme, a key keeps the one it came in, and a new key is untagged. Under a key-block LMK the key
//! scheme (LMK) is `S` or `0`, a new key is of double length unless its key scheme (ZMK) says otherwise, and a group `#` may give its
//! attributes.

use hsm_plugin_sdk::prelude::*;

/// A kind of key: its purpose, what its fields are called, and its lengths and check values.
#[derive(Debug, Clone, Copy)]
pub struct LegacyKey {
    /// What the key is opened and made for.
    pub purpose: KeyPurpose,
    /// Name of the field with the key under the LMK.
    pub under_lmk: &'static str,
    /// Name of the field with the key under a ZMK or TMK.
    pub under_kek: &'static str,
    /// Lengths and check values.
    pub form: Form,
}

/// How long keys of a kind are, and how their check values look by check value type (keys.md 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Any length, untagged single. Type 0 16H, type 1 6H.
    Any,
    /// As [`Form::Any`], but the untagged length is a security setting.
    Zmk,
    /// A CVK pair, of double length. Type 0 6H for each half, type 1 6H for the whole.
    CvkPair,
    /// A PVK pair, of double length. Type 0 16H for each half, type 2 6H for each, type 1 6H for the whole.
    PvkPair,
    /// A BDK, of double or triple length, untagged double. Types 0 and 2 8H, type 1 6H.
    Bdk,
}

/// BY, GE, GG, GY.
pub const ZMK: LegacyKey = key(KeyPurpose::ZMK, "ZMK under the LMK", "ZMK under the ZMK", Form::Zmk);
/// FA, GC, IA, KC.
pub const ZPK: LegacyKey = key(KeyPurpose::ZPK, "ZPK under the LMK", "ZPK under the ZMK", Form::Any);
/// AA, AE, FC, FE, HC: a TMK, TPK or PVK.
pub const TERMINAL: LegacyKey =
    key(KeyPurpose::TERMINAL, "TMK, TPK or PVK under the LMK", "TMK, TPK or PVK under the ZMK or TMK", Form::Any);
/// FG.
pub const PVK_PAIR: LegacyKey = key(KeyPurpose::PVK, "PVK pair under the LMK", "PVK pair under the ZMK", Form::PvkPair);
/// AS, AU, AW, AY.
pub const CVK_PAIR: LegacyKey = key(KeyPurpose::CVK, "CVK pair under the LMK", "CVK pair under the ZMK", Form::CvkPair);
/// AC, AG, HA, MG, MI.
pub const TAK: LegacyKey = key(KeyPurpose::TAK, "TAK under the LMK", "TAK under the ZMK or TMK", Form::Any);
/// BI, DW, DY.
pub const BDK: LegacyKey = key(KeyPurpose::BDK_1, "BDK under the LMK", "BDK under the ZMK", Form::Bdk);
/// FI, FK, FM with flag 0.
pub const ZEK: LegacyKey = key(KeyPurpose::ZEK, "ZEK under the LMK", "ZEK under the ZMK", Form::Any);
/// FI, FK, FM with flag 1.
pub const ZAK: LegacyKey = key(KeyPurpose::ZAK, "ZAK under the LMK", "ZAK under the ZMK", Form::Any);

const fn key(purpose: KeyPurpose, under_lmk: &'static str, under_kek: &'static str, form: Form) -> LegacyKey {
    LegacyKey { purpose, under_lmk, under_kek, form }
}

/// Reads the flag of FI, FK and FM: 0 ZEK, 1 ZAK.
///
/// # Errors
/// 15 for another flag.
pub fn zone_key(req: &mut Request<'_>) -> Result<&'static LegacyKey> {
    match req.chars("Flag", 1, |c| matches!(c, b'0' | b'1'), "must be 0 (ZEK) or 1 (ZAK)")? {
        b"0" => Ok(&ZEK),
        _ => Ok(&ZAK),
    }
}

/// AW, BY, DW, FA, FC, FK, MI: translates a key from ZMK to LMK encryption.
///
/// # Errors
/// 10 ZMK parity, 11 the key is all zero, 15, 17, 26, 27 length, 68; advice 01 if parity was forced.
pub fn import<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, kind: &LegacyKey) -> Result<Response<'h>> {
    let zmk = req.zmk("ZMK")?;
    let field = req.wrapped_key(kind.under_kek, kind.untagged(hsm)?)?;
    let variant = req.atalla_variant()?;
    let options = kind.options(req)?;
    let attributes = attributes(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let zmk = hsm.open_source(&zmk)?;
    let (key, forced) = hsm.key_import(kind.purpose, zmk, field.bytes(), variant)?;
    kind.check_length(hsm, key)?;

    let mut resp = hsm.response();
    if forced {
        resp.advice(ErrorCode::VERIFICATION_FAILED);
    }
    let scheme = match (options.given, hsm.is_key_block_lmk()?) {
        (true, _) => kind.scheme(options.scheme_lmk),
        (false, true) => b'S',
        (false, false) => scheme_of(hsm, key, &field)?,
    };
    resp.key(kind.under_lmk, wrap(hsm, key, scheme, attributes)?);
    kind.check_value(&mut resp, hsm, key, options)?;
    Ok(resp)
}

/// AU, DY, FE, FM, GC, MG: translates a key from LMK to ZMK encryption.
///
/// # Errors
/// 10 ZMK parity, 11 key parity, 15, 17, 26, 27 length, 68.
pub fn export<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, kind: &LegacyKey) -> Result<Response<'h>> {
    let zmk = req.zmk("ZMK")?;
    let field = req.sized_key(kind.under_lmk, kind.purpose, kind.untagged(hsm)?)?;
    let variant = req.atalla_variant()?;
    let options = kind.options(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let zmk = hsm.open_source(&zmk)?;
    let key = hsm.open_destination(&field)?;
    kind.check_length(hsm, key)?;

    let mut resp = hsm.response();
    let scheme = if options.given { kind.scheme(options.scheme_zmk) } else { scheme_of(hsm, key, &field)? };
    resp.key(kind.under_kek, hsm.key_export(key, zmk, scheme, variant)?);
    kind.check_value(&mut resp, hsm, key, options)?;
    Ok(resp)
}

/// AE, AG: translates a key from the LMK to a TMK. No check value.
///
/// # Errors
/// 10 TMK parity, 11 key parity, 15, 26, 68.
pub fn under_terminal_key<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    tmk: KeyPurpose,
    kind: &LegacyKey,
) -> Result<Response<'h>> {
    let tmk = req.key("TMK", tmk)?;
    let field = req.key(kind.under_lmk, kind.purpose)?;
    let options = req.legacy_options()?;
    req.end()?;

    hsm.command_permitted()?;
    let tmk = hsm.open_source(&tmk)?;
    let key = hsm.open_destination(&field)?;
    let mut resp = hsm.response();
    let scheme = if options.given { options.scheme_zmk } else { scheme_of(hsm, key, &field)? };
    resp.key(kind.under_kek, hsm.key_export(key, tmk, scheme, 0)?);
    Ok(resp)
}

/// AS, BI: generates a key under the LMK. AS answers its check values, BI does not.
///
/// # Errors
/// 15, 26.
pub fn generate<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    kind: &LegacyKey,
    shows_check_value: bool,
) -> Result<Response<'h>> {
    let at = req.offset();
    let options = if shows_check_value { kind.options(req)? } else { req.legacy_options()? };
    let attributes = attributes(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let new = NewKey::generate(req, at, hsm, kind, LegacyOptions { scheme_zmk: b'0', ..options })?;
    let mut resp = hsm.response();
    resp.key(kind.under_lmk, wrap(hsm, new.key, new.scheme_lmk, attributes)?);
    if shows_check_value {
        kind.check_value(&mut resp, hsm, new.key, options)?;
    }
    Ok(resp)
}

/// FG, FI, IA: generates a key under a ZMK and the LMK. FG answers the key under the LMK first.
///
/// # Errors
/// 10 ZMK parity, 15, 17, 26.
pub fn generate_for_zone<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    kind: &LegacyKey,
    lmk_first: bool,
) -> Result<Response<'h>> {
    let zmk = req.zmk("ZMK")?;
    let variant = req.atalla_variant()?;
    let at = req.offset();
    let options = kind.options(req)?;
    let attributes = attributes(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let zmk = hsm.open_source(&zmk)?;
    let new = NewKey::generate(req, at, hsm, kind, options)?;
    let key = described(hsm, new.key, attributes)?;
    let under_zmk = hsm.key_export(key, zmk, new.scheme_zmk, variant)?;
    let under_lmk = hsm.key_wrap(key, new.scheme_lmk)?;
    let mut resp = hsm.response();
    if lmk_first {
        resp.key(kind.under_lmk, under_lmk);
        resp.key(kind.under_kek, under_zmk);
    } else {
        resp.key(kind.under_kek, under_zmk);
        resp.key(kind.under_lmk, under_lmk);
    }
    kind.check_value(&mut resp, hsm, new.key, options)?;
    Ok(resp)
}

/// HA, HC: generates a key under a TMK and the LMK. No check value.
///
/// # Errors
/// 10 TMK parity, 15, 26, 68.
pub fn generate_for_terminal<'h>(
    req: &mut Request<'h>,
    hsm: &Hsm<'h>,
    tmk: KeyPurpose,
    kind: &LegacyKey,
) -> Result<Response<'h>> {
    let tmk = req.key("TMK", tmk)?;
    let at = req.offset();
    let options = req.legacy_options()?;
    let attributes = attributes(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let tmk = hsm.open_source(&tmk)?;
    let new = NewKey::generate(req, at, hsm, kind, options)?;
    let mut resp = hsm.response();
    let key = described(hsm, new.key, attributes)?;
    resp.key(kind.under_kek, hsm.key_export(key, tmk, new.scheme_zmk, 0)?);
    resp.key(kind.under_lmk, hsm.key_wrap(key, new.scheme_lmk)?);
    Ok(resp)
}

/// AA, AC, AY, GE, KC: translates a key from the old LMK to the new one. The key and nothing else.
///
/// # Errors
/// 10 key parity, 13 nothing in key change storage, 15, 26, 27 length, 68, A1.
pub fn from_old_lmk<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, kind: &LegacyKey) -> Result<Response<'h>> {
    let field = req.sized_key(kind.under_lmk, kind.purpose, kind.untagged(hsm)?)?;
    let options = req.legacy_options()?;
    let attributes = attributes(req)?;
    req.end()?;

    hsm.command_permitted()?;
    let scheme = translated_scheme(&field, options, attributes);
    let translated = hsm.old_lmk_translate(kind.purpose, None, field.bytes(), scheme, attributes);
    let (translated, key) = translated.map_err(|code| match code {
        ErrorCode::KEY_CHANGE_STORAGE => ErrorCode::LMK_INVALID,
        other => other,
    })?;
    kind.check_length(hsm, key)?;
    let mut resp = hsm.response();
    resp.key(kind.under_lmk, translated);
    Ok(resp)
}

/// The scheme of a key that goes from the old LMK to the new one: as the request says, else a key block if it is one or has
/// attributes for one, else as it came.
#[must_use]
pub fn translated_scheme(field: &KeyField<'_>, options: LegacyOptions, attributes: Option<KeyAttributes<'_>>) -> u8 {
    match field.scheme() {
        _ if options.given => options.scheme_lmk,
        _ if attributes.is_some() => b'S',
        scheme => scheme.unwrap_or(b'0'),
    }
}

/// GG, GY: forms a ZMK from components. A component is untagged, or under a key-block LMK a key block, and may be in user storage.
///
/// # Errors
/// 10 parity of the first component, 11 of another, 12, 15, 17, 26, 27 lengths differ, A9 no component, B5, B6.
pub fn form_zmk<'h>(req: &mut Request<'h>, hsm: &Hsm<'h>, components: usize) -> Result<Response<'h>> {
    let mut fields = Vec::with_capacity(components);
    for _ in 0..components {
        let at = req.offset();
        let field = req.zmk("ZMK component")?;
        if !matches!(field.scheme(), None | Some(b'S')) {
            return Err(req.refuse("ZMK component", at, "must be untagged or a key block"));
        }
        fields.push(field);
    }
    let options = ZMK.options(req)?;
    req.lmk_identifier()?;
    let attributes = req.attributes(&AttributeGroup::VERSION)?;
    req.end()?;

    hsm.command_permitted()?;
    let mut components = Vec::with_capacity(fields.len());
    for field in &fields {
        let component = hsm.key_component_open(KeyPurpose::ZMK, field.bytes()).map_err(|code| match code {
            ErrorCode::SOURCE_KEY_PARITY if !components.is_empty() => ErrorCode::DESTINATION_KEY_PARITY,
            other => other,
        })?;
        components.push(component);
    }
    let key = hsm.key_form(KeyPurpose::ZMK, components, attributes)?;
    let mut resp = hsm.response();
    resp.key(ZMK.under_lmk, hsm.key_wrap(key, options.scheme_lmk)?);
    ZMK.check_value(&mut resp, hsm, key, options)?;
    Ok(resp)
}

impl LegacyKey {
    /// Number of hexadecimal digits of an untagged key.
    fn untagged(&self, hsm: &Hsm<'_>) -> Result<usize> {
        Ok(match self.form {
            Form::Any => 16,
            Form::Zmk if !hsm.double_length_zmk()? => 16,
            Form::Zmk | Form::CvkPair | Form::PvkPair | Form::Bdk => 32,
        })
    }

    /// Reads the legacy option group of a command that answers check values of this kind.
    ///
    /// # Errors
    /// 15 for a group that is not three characters or a check value type that the kind does not have.
    pub fn options(&self, req: &mut Request<'_>) -> Result<LegacyOptions> {
        let options = req.legacy_options()?;
        match (options.kcv_type, self.form) {
            (b'0' | b'1', _) | (b'2', Form::PvkPair | Form::Bdk) => Ok(options),
            _ => {
                Err(req.refuse("Key check value type", req.offset().saturating_sub(1), "is not one of this command's"))
            }
        }
    }

    /// The scheme of a letter. In `Z`, a CVK pair is two single-length keys, which is its untagged form.
    fn scheme(&self, letter: u8) -> u8 {
        if letter == b'Z' && self.form == Form::CvkPair { b'0' } else { letter }
    }

    fn check_length(&self, hsm: &Hsm<'_>, key: KeyHandle) -> Result<()> {
        match (self.form, hsm.key_length(key)?) {
            (Form::Any | Form::Zmk, _) | (Form::CvkPair | Form::PvkPair | Form::Bdk, 16) | (Form::Bdk, 24) => Ok(()),
            _ => Err(ErrorCode::KEY_LENGTH.into()),
        }
    }

    fn check_value(
        &self,
        resp: &mut Response<'_>,
        hsm: &Hsm<'_>,
        key: KeyHandle,
        options: LegacyOptions,
    ) -> Result<()> {
        let shown = match (self.form, options.kcv_type) {
            (_, b'1') | (Form::CvkPair, _) | (Form::PvkPair, b'2') => 3,
            (Form::Bdk, _) => 4,
            _ => 8,
        };
        if matches!(self.form, Form::CvkPair | Form::PvkPair) && options.kcv_type != b'1' {
            for (part, name) in hsm.key_part_check_values(key)?.chunks(8).zip(["Check value A", "Check value B"]) {
                resp.hex(name, part.get(..shown).unwrap_or(part));
            }
        } else {
            resp.hex("Key check value", &hsm.key_check_value(key)?[..shown]);
        }
        Ok(())
    }
}

/// A new key and the schemes it is to be written in.
struct NewKey {
    key: KeyHandle,
    scheme_lmk: u8,
    scheme_zmk: u8,
}

impl NewKey {
    /// Generates a key of the length that its key scheme (LMK) implies. `at` is where the option group begins.
    fn generate(req: &Request<'_>, at: usize, hsm: &Hsm<'_>, kind: &LegacyKey, options: LegacyOptions) -> Result<Self> {
        let LegacyOptions { scheme_lmk, scheme_zmk, .. } = options;
        let key_block = hsm.is_key_block_lmk()?;
        let double = key_block || !matches!(kind.form, Form::Any | Form::Zmk);
        let length = match (key_block, scheme_lmk, scheme_zmk) {
            // A key block has a key of any length.
            (true, _, b'0' | b'S' | b'R') => b'0',
            (true, ..) => scheme_zmk,
            (false, ..) => scheme_lmk,
        };
        let length = match length {
            b'0' if double => b'X',
            b'0' => b'Z',
            letter => letter,
        };
        let fits = match kind.form {
            Form::Any | Form::Zmk => true,
            Form::CvkPair | Form::PvkPair => matches!(length, b'U' | b'X'),
            Form::Bdk => matches!(length, b'U' | b'X' | b'T' | b'Y'),
        };
        if !fits {
            return Err(req.refuse_with(
                ErrorCode::KEY_SCHEME,
                "Key scheme (LMK)",
                at + 2,
                "is not for keys of this length",
            ));
        }
        if scheme_zmk != b'0' && bytes(scheme_zmk).is_some_and(|zmk| bytes(length).is_some_and(|lmk| lmk != zmk)) {
            return Err(req.refuse("Key scheme (ZMK)", at + 1, "is for another key length than that of the LMK"));
        }
        Ok(Self { key: hsm.key_generate(kind.purpose, length)?, scheme_lmk, scheme_zmk })
    }
}

/// Length of the keys of a scheme, in bytes.
fn bytes(scheme: u8) -> Option<usize> {
    match scheme {
        b'Z' => Some(8),
        b'U' | b'X' => Some(16),
        b'T' | b'Y' => Some(24),
        _ => None,
    }
}

/// The scheme a key came in; for a key block the one of its length.
fn scheme_of(hsm: &Hsm<'_>, key: KeyHandle, field: &KeyField<'_>) -> Result<u8> {
    Ok(match (field.scheme(), hsm.key_length(key)?) {
        (None, _) => b'0',
        (Some(scheme @ (b'U' | b'X' | b'T' | b'Y' | b'Z')), _) => scheme,
        (Some(_), 8) => b'0',
        (Some(_), 24) => b'T',
        (Some(_), _) => b'U',
    })
}

/// Reads the LMK identifier, and the group `#` of a key that comes without a key block, if it is there.
///
/// # Errors
/// 13, 15, and as [`Request::attributes`].
pub fn attributes<'h>(req: &mut Request<'h>) -> Result<Option<KeyAttributes<'h>>> {
    req.lmk_identifier()?;
    req.attributes(&AttributeGroup::DESCRIBE)
}

/// The key under the LMK, with attributes if the request gives them.
fn wrap(hsm: &Hsm<'_>, key: KeyHandle, scheme: u8, attributes: Option<KeyAttributes<'_>>) -> Result<Vec<u8>> {
    Ok(hsm.key_wrap(described(hsm, key, attributes)?, scheme)?)
}

/// The key with attributes, if the request gives them.
fn described(hsm: &Hsm<'_>, key: KeyHandle, attributes: Option<KeyAttributes<'_>>) -> Result<KeyHandle> {
    Ok(match attributes {
        Some(attributes) => hsm.key_describe(key, attributes)?,
        None => key,
    })
}
