//! Security settings of the device that change what host commands do (host.md section 6).

/// The security settings. [`Settings::default`] is the developer profile: everything works that a device can be set to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// PIN length 4 to 12: a PIN under the LMK has one character more.
    pub pin_length: u8,
    /// Whether an untagged ZMK has 32 hexadecimal digits instead of 16.
    pub double_length_zmk: bool,
    /// Whether the Atalla variant field is accepted; without it, the field is refused with 15.
    pub atalla_variants: bool,
    /// Whether single-length DES keys may be generated, imported and exported.
    pub single_des: bool,
    /// Whether keys may be exported in the X9.17 schemes X, Y, Z and untagged.
    pub x917_export: bool,
    /// Whether keys may be imported in the X9.17 schemes X, Y, Z and untagged.
    pub x917_import: bool,
    /// Whether a double- or triple-length key with equal parts is refused with 75.
    pub refuse_single_posing: bool,
    /// Whether check values have 6 significant digits, zero-filled where a field has 16.
    pub restrict_kcv: bool,
    /// Whether the LMK check value of NC has all 16 digits instead of 6 and zeros.
    pub long_lmk_check_value: bool,
    /// Whether TPK, TMK and PVK are separate key types (70D, 80D, 002) and legacy commands that cannot tell are disabled (PCI).
    pub separate_002: bool,
    /// Whether PIN blocks may change format only as PCI PIN requirement 3-3 allows.
    pub restrict_pin_blocks: bool,
    /// Whether components are encrypted under their own variant of the LMK (keys.md 1.1 item 2).
    pub component_variant: bool,
    /// PIN block formats that are disabled (two digits each): 69.
    pub disabled_formats: Vec<[u8; 2]>,
    /// Commands that are disabled, `*` for any character: 68.
    pub disabled_commands: Vec<[u8; 2]>,
    /// Whether every activity is authorised, `diag.host` excepted.
    pub authorise_all: bool,
    /// Whether `diag.host` is authorised: failed verifications of cryptograms then tell the value that was expected.
    pub authorise_diagnostics: bool,
    /// Whether activities are authorised one by one, instead of one authorised state for all.
    pub multiple_activities: bool,
    /// Whether a `%nn` selector must name the LMK of the port that a request came to, on ports of LMKs: 13.
    pub require_port_lmk: bool,
    /// Firmware number in NC and NO: 9 characters `xxxx-xxxx`.
    pub firmware: [u8; 9],
}

impl Settings {
    /// The strict profile: what a device has that was set up as PCI asks for, and nothing authorised.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            atalla_variants: false,
            single_des: false,
            x917_export: false,
            x917_import: false,
            refuse_single_posing: true,
            restrict_kcv: true,
            separate_002: true,
            restrict_pin_blocks: true,
            authorise_all: false,
            require_port_lmk: true,
            ..Self::default()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pin_length: 4,
            double_length_zmk: true,
            atalla_variants: true,
            single_des: true,
            x917_export: true,
            x917_import: true,
            refuse_single_posing: false,
            restrict_kcv: false,
            long_lmk_check_value: false,
            separate_002: false,
            restrict_pin_blocks: false,
            component_variant: true,
            disabled_formats: Vec::new(),
            disabled_commands: Vec::new(),
            authorise_all: true,
            authorise_diagnostics: false,
            multiple_activities: true,
            require_port_lmk: false,
            firmware: FIRMWARE,
        }
    }
}

/// `EMU` in the revision says what this is: no device has letters there.
const FIRMWARE: [u8; 9] = *b"1500-EMU1";
