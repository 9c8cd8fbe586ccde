//! Security settings of the device that change what host commands do (host.md section 6).

use crate::lmk_pin::{PinAlgorithm, PinMode};
use crate::pin_guard::{FraudLimits, WeakPinChecks};
use crate::pin_translation::PinTranslation;
use crate::user_storage::SlotSize;

/// The security settings. [`Settings::default`] is the developer profile: everything works that a device can be set to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// PIN length 4 to 12: a PIN under the LMK has one character more.
    pub pin_length: u8,
    /// Whether an untagged ZMK has 32 hexadecimal digits instead of 16.
    pub double_length_zmk: bool,
    /// Whether the Atalla variant field is accepted; without it, the field is refused with 15.
    pub atalla_variants: bool,
    /// Whether single-length DES keys may be generated, imported and exported; without it 17.
    pub single_des: bool,
    /// Whether keys may be exported in the X9.17 schemes X, Y, Z and untagged.
    pub x917_export: bool,
    /// Whether keys may be imported in the X9.17 schemes X, Y, Z and untagged.
    pub x917_import: bool,
    /// Whether a double- or triple-length key with equal parts is refused with 75.
    pub refuse_single_posing: bool,
    /// Whether check values have 6 significant digits, zero-filled where a field has 16.
    pub restrict_kcv: bool,
    /// Whether the LMK check value of NC has all 16 digits instead of 6 and zeros; not while `restrict_kcv` is on.
    pub long_lmk_check_value: bool,
    /// Whether TPK, TMK and PVK are separate key types (70D, 80D, 002) and legacy commands that cannot tell are disabled (PCI).
    pub separate_002: bool,
    /// Whether PIN blocks are translated only as `pin_block_translations` allows: 23.
    pub restrict_pin_blocks: bool,
    /// The translations of PIN blocks that are allowed while they are restricted. Normally those of PCI PIN requirement 3-3.
    pub pin_block_translations: Vec<PinTranslation>,
    /// Whether components are encrypted under their own variant of the LMK (keys.md 1.1 item 2).
    pub component_variant: bool,
    /// What a slot of user storage holds.
    pub user_storage: SlotSize,
    /// Whether BY, which translates ZMKs, is enabled; without it, it is refused with 17.
    pub zmk_translation: bool,
    /// PIN block formats that are disabled (two digits each): 69.
    pub disabled_formats: Vec<[u8; 2]>,
    /// How PINs are encrypted under the LMK: in clear as a public simulator does it, or really.
    pub lmk_pin_mode: PinMode,
    /// Whether PINs under the LMK are decimal digits ("A", Visa) or hexadecimal digits ("B", Racal).
    pub pin_algorithm: PinAlgorithm,
    /// Whether PINs may enter and leave in clear (BA, NG).
    pub clear_pins: bool,
    /// Whether the account of a PIN under the LMK may be changed (QK).
    pub lmk_pin_account_change: bool,
    /// Whether decimalisation tables in requests are encrypted under the LMK.
    pub encrypted_decimalisation_tables: bool,
    /// Whether a decimalisation table must have 8 different digits and none more than 4 times: 25.
    pub decimalisation_table_checks: bool,
    /// Whether a PVK of more than single length in an IBM command is answered with 02 under key-block LMKs too.
    pub key_block_pvk_warning: bool,
    /// What is checked of a PIN that is chosen: 86.
    pub weak_pin_checks: WeakPinChecks,
    /// Limits of failed PIN verifications, after which PINs are verified no more: 39.
    pub fraud_limits: Option<FraudLimits>,
    /// Whether a translated PIN block may be for another account, given behind `;`.
    pub tokens_in_translation: bool,
    /// Whether a PIN may be verified with another account than its PIN block has, given behind `;`.
    pub tokens_in_verification: bool,
    /// Whether PIN blocks may be made in format 34.
    pub format_34_output: bool,
    /// Whether the Diebold commands compute with an algorithm of the emulator's own. The real one is not public: without this, 19.
    pub diebold_test_algorithm: bool,
    /// Commands that are disabled, `*` for any character: 68.
    pub disabled_commands: Vec<[u8; 2]>,
    /// Fewest records of a batch of PIN solicitation data, 1 to 1024; with fewer, QC answers 31.
    pub solicitation_batch_size: u16,
    /// Most records in one response of QC, 1 to 512.
    pub solicitation_response_records: u16,
    /// Whether QC gives its records in the order of their account digits, so that theirs does not tell which PIN came with which reference
    /// number; without it in the order in which they were loaded.
    pub solicitation_sorted: bool,
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
    /// Whether keys of exportability `S` may leave a key-block LMK; without it AA.
    pub sensitive_export: bool,
    /// Whether keys may leave a key-block LMK in key blocks only: 17 for other schemes.
    pub trusted_export_only: bool,
    /// Whether keys may come to a key-block LMK in key blocks only: 17 for other schemes.
    pub trusted_import_only: bool,
    /// Whether ZMKs (type 000, usages 52 and K0) may be exported; without it 17.
    pub zmk_export: bool,
    /// Whether ZMKs (type 000, usages 52 and K0) may be imported with A6; without it 17.
    pub zmk_import: bool,
    /// Whether private RSA and elliptic-curve keys may be exported in key blocks; without it 17.
    pub private_key_export: bool,
    /// Whether private RSA and elliptic-curve keys may be imported in key blocks; without it 17.
    pub private_key_import: bool,
    /// Whether import under an RSA key (GI) needs the authorised activity that import under a ZMK needs: 17.
    pub rsa_import_authorised: bool,
    /// Whether keys in TR-31 blocks are padded to the longest key of their algorithm.
    pub hide_key_length: bool,
    /// Whether key blocks may name another LMK than the one that protects them; without it A3.
    pub ignore_block_lmk_id: bool,
    /// Whether the validity dates of key blocks are checked against the module's clock when a key is used: AE, AF.
    pub check_key_validity: bool,
    /// Whether a double-length variant LMK may protect triple-length keys; without it 48.
    pub strong_keys_under_weak_lmk: bool,
    /// Whether B0 may bring a key from scheme U or T back to X9.17 form; without it 26.
    pub scheme_downgrade: bool,
    /// Whether B8 encodes as the printed samples of TR-34 do; without it as CMS.
    pub tr34_sample_encoding: bool,
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
            zmk_translation: false,
            lmk_pin_mode: PinMode::Native,
            clear_pins: false,
            lmk_pin_account_change: false,
            weak_pin_checks: WeakPinChecks { local: true, global: true, rules: true },
            tokens_in_translation: false,
            tokens_in_verification: false,
            format_34_output: false,
            solicitation_batch_size: 1024,
            authorise_all: false,
            require_port_lmk: true,
            trusted_export_only: true,
            trusted_import_only: true,
            zmk_export: false,
            zmk_import: false,
            private_key_export: false,
            private_key_import: false,
            strong_keys_under_weak_lmk: false,
            ..Self::default()
        }
    }

    /// Whether PIN blocks are restricted to no more than PCI PIN requirement 3-3 allows.
    #[must_use]
    pub fn restricts_pin_blocks_as_pci(&self) -> bool {
        self.restrict_pin_blocks && self.pin_block_translations.iter().all(|translation| translation.is_pci())
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
            pin_block_translations: PinTranslation::pci(),
            component_variant: true,
            user_storage: SlotSize::Single,
            zmk_translation: true,
            disabled_formats: Vec::new(),
            lmk_pin_mode: PinMode::Clear,
            pin_algorithm: PinAlgorithm::A,
            clear_pins: true,
            lmk_pin_account_change: true,
            encrypted_decimalisation_tables: true,
            decimalisation_table_checks: true,
            key_block_pvk_warning: false,
            weak_pin_checks: WeakPinChecks { local: true, global: true, rules: false },
            fraud_limits: None,
            tokens_in_translation: true,
            tokens_in_verification: true,
            format_34_output: true,
            diebold_test_algorithm: false,
            disabled_commands: Vec::new(),
            solicitation_batch_size: 1,
            solicitation_response_records: 25,
            solicitation_sorted: true,
            authorise_all: true,
            authorise_diagnostics: false,
            multiple_activities: true,
            require_port_lmk: false,
            firmware: FIRMWARE,
            sensitive_export: true,
            trusted_export_only: false,
            trusted_import_only: false,
            zmk_export: true,
            zmk_import: true,
            private_key_export: true,
            private_key_import: true,
            rsa_import_authorised: true,
            hide_key_length: false,
            ignore_block_lmk_id: false,
            check_key_validity: false,
            strong_keys_under_weak_lmk: true,
            scheme_downgrade: false,
            tr34_sample_encoding: true,
        }
    }
}

/// `EMU` in the revision says what this is: no device has letters there.
const FIRMWARE: [u8; 9] = *b"1500-EMU1";
