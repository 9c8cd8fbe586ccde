//! The table of settings.

use super::Config;
use super::field::{Field, Given};

/// One setting.
pub struct Key {
    /// Section of the file; empty for what stands before the first section.
    pub section: &'static str,
    /// What the section is about.
    pub section_title: &'static str,
    /// Name, unique over all sections.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    kind: fn() -> String,
    set: fn(&mut Config, &Given<'_>) -> Result<(), String>,
    show: fn(&Config) -> String,
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Key {{ [{}] {} }}", self.section, self.name)
    }
}

impl Key {
    /// What values it takes.
    #[must_use]
    pub fn kind(&self) -> String {
        (self.kind)()
    }

    /// Its value, as in a settings file.
    #[must_use]
    pub fn show(&self, config: &Config) -> String {
        (self.show)(config)
    }

    /// The environment variable that gives it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("HSM_{}", self.name.to_ascii_uppercase())
    }

    /// Whether it can be changed while the emulator runs.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.section, "security" | "commands")
    }

    pub(super) fn set(&self, config: &mut Config, given: &Given<'_>) -> Result<(), String> {
        (self.set)(config, given)
    }
}

/// All settings, in the order of the file.
#[must_use]
pub fn keys() -> &'static [Key] {
    KEYS
}

/// The setting of a name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The setting whose name differs least, if it differs little: in no more than three letters, nor half of them.
pub(super) fn nearest(name: &str) -> Option<&'static Key> {
    let near = KEYS.iter().map(|key| (distance(key.name, name), key)).min_by_key(|(distance, _)| *distance)?;
    (near.0 <= (name.len() / 2).min(3)).then_some(near.1)
}

/// Letters to insert, delete or replace to make one word of another.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (n, x) in a.bytes().enumerate() {
        let mut diagonal = n;
        let mut left = n + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            left = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = core::mem::replace(cell, left);
        }
        if let Some(first) = row.first_mut() {
            *first = n + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn kind_of<T: Field>(_: fn(&Config) -> &T) -> String {
    T::kind()
}

macro_rules! table {
    ($([$section:literal] $title:literal { $($doc:literal $name:ident = $($path:ident).+ $(in $range:expr)?;)* })*) => {
        static KEYS: &[Key] = &[$($(Key {
            section: $section,
            section_title: $title,
            name: stringify!($name),
            doc: $doc,
            kind: || {
                let kind = kind_of(|config: &Config| &config.$($path).+);
                $(let kind = format!("{kind}, {} to {}", ($range).start(), ($range).end());)?
                kind
            },
            set: |config, given| {
                let value = Field::read(given)
                    $(.map_err(|must| format!("{must}, {} to {}", ($range).start(), ($range).end())))?
                    ?;
                $(if !($range).contains(&value) {
                    return Err(format!("must be {} to {}", ($range).start(), ($range).end()));
                })?
                config.$($path).+ = value;
                Ok(())
            },
            show: |config| config.$($path).+.write(),
        }),*),*];
    };
}

table! {
    [""] "The whole" {
        "Which values hold where no other is given: developer allows all that a device can be set to allow, strict only what PCI asks for."
        profile = profile;
    }
    ["network"] "Ports and limits of the host interface" {
        "Address or name to listen on."
        host = network.host;
        "The well-known port, for the default LMK or the one that a request names. 0 lets the system choose."
        port = network.port in 0..=65_535u16;
        "Whether host may be an address that other machines can reach."
        allow_remote = network.allow_remote;
        "Whether there are ports for single LMKs too: port + 1 for LMK 00, port + 2 for LMK 01 and so on."
        lmk_ports = network.lmk_ports;
        "Characters of the message header."
        header_length = network.header_length in 1..=255u8;
        "Longest message in bytes, header included. Longer ones are answered with error 80."
        max_message = network.max_message in 3..=65_535u32;
        "Connections at the same time."
        max_connections = network.max_connections in 1..=65_536u32;
        "Time without a byte after which a connection is closed; 0 for never."
        idle_timeout = network.idle_timeout;
        "Time that a message may take from its first byte to its last; 0 for any."
        frame_timeout = network.frame_timeout;
        "Time for which a client may leave responses unread; 0 for any."
        write_timeout = network.write_timeout;
        "The answer to a command that no plugin serves: an error code, the response code ZZ, or closing the connection."
        unknown_command = network.unknown_command;
        "Threads for commands that take long, such as the generation of RSA keys."
        workers = network.workers in 1..=256u16;
        "Socket for hsm ctl, for the owner only: a path, off, or auto for one named after the port, in XDG_RUNTIME_DIR/hsm or in .hsm at home."
        control_socket = network.control_socket;
    }
    ["lmk"] "Local Master Keys" {
        "Published test LMKs and their slots; none if there is an LMK store and nothing is said here. Public samples of key blocks have either key-block LMK in slot 01."
        lmks = lmk.lmks;
        "The LMK of requests that name none. auto is the default of the store, or else the first slot in use."
        default_lmk = lmk.default_lmk;
        "File of the LMK store (hsm lmk). Its LMKs come over those of lmks."
        lmk_store = lmk.lmk_store;
        "File whose first line is the passphrase of the LMK store. Without it HSM_LMK_PASSPHRASE counts, or the passphrase is asked for."
        lmk_passphrase_file = lmk.lmk_passphrase_file;
        "Key file of the LMK store, if it has one instead of a passphrase."
        lmk_key_file = lmk.lmk_key_file;
        "Whether an LMK of status live may be used: this emulator protects nothing as a device does."
        allow_live_lmk = lmk.allow_live_lmk;
    }
    ["security"] "Security settings of the device" {
        "PIN length: a PIN under a variant LMK has one digit more."
        pin_length = settings.pin_length in 4..=12u8;
        "Whether an untagged ZMK has 32 digits, not 16."
        double_length_zmk = settings.double_length_zmk;
        "Whether the Atalla variant field is accepted; otherwise it is refused with 15."
        atalla_variants = settings.atalla_variants;
        "Whether single-length DES keys may be generated, imported and exported: otherwise 17."
        single_des = settings.single_des;
        "Whether keys may be exported in the X9.17 schemes."
        x917_export = settings.x917_export;
        "Whether keys may be imported in the X9.17 schemes."
        x917_import = settings.x917_import;
        "Whether a double- or triple-length key with equal parts is refused with 75."
        refuse_single_posing = settings.refuse_single_posing;
        "Whether check values have 6 significant digits, followed by zeros where there is room for 16."
        restrict_kcv = settings.restrict_kcv;
        "Whether NC shows all 16 digits of an LMK's check value, not 6 and zeros. restrict_kcv counts more."
        long_lmk_check_value = settings.long_lmk_check_value;
        "Whether TPK, TMK and PVK are separate key types: 70D, 80D and 002, as PCI wants it."
        separate_002 = settings.separate_002;
        "Whether PIN blocks are translated only as pin_block_translations allows: otherwise 23."
        restrict_pin_blocks = settings.restrict_pin_blocks;
        "Translations of PIN blocks that restrict_pin_blocks allows: the codes of both formats, and same-pan where the account must not change. At first those of PCI PIN requirement 3-3."
        pin_block_translations = settings.pin_block_translations;
        "Whether key components are encrypted under a variant of the LMK of their own."
        component_variant = settings.component_variant;
        "What a slot of user storage holds."
        user_storage = settings.user_storage;
        "Whether BY may translate ZMKs: otherwise 17."
        zmk_translation = settings.zmk_translation;
        "How PINs are stored under a variant or TDES LMK: encrypted as on a device, or clear as a public simulator does it."
        lmk_pin_mode = settings.lmk_pin_mode;
        "Whether PINs under the LMK are decimal digits (A, Visa) or hexadecimal digits (B, Racal)."
        pin_algorithm = settings.pin_algorithm;
        "Whether PINs may enter and leave in clear (BA, NG): otherwise 17."
        clear_pins = settings.clear_pins;
        "Whether the account of a PIN under the LMK may be changed (QK)."
        lmk_pin_account_change = settings.lmk_pin_account_change;
        "Whether decimalisation tables in requests are encrypted under the LMK."
        encrypted_decimalisation_tables = settings.encrypted_decimalisation_tables;
        "Whether a decimalisation table must have 8 different digits and none more than 4 times: otherwise 25."
        decimalisation_table_checks = settings.decimalisation_table_checks;
        "Whether a PVK of more than single length in an IBM command is answered with 02 under key-block LMKs too."
        key_block_pvk_warning = settings.key_block_pvk_warning;
        "Whether a PIN that is chosen must not be among those that the request excludes: otherwise 86."
        weak_pins_local = settings.weak_pin_checks.local;
        "Whether a PIN that is chosen must not be among those that BM loaded: otherwise 86."
        weak_pins_global = settings.weak_pin_checks.global;
        "Whether a PIN that is chosen must not be one repeated digit, nor digits that count up or down: otherwise 86."
        weak_pins_rules = settings.weak_pin_checks.rules;
        "Failed PIN verifications within a minute and within an hour, and how often these may be exceeded, before PINs are verified no more: 39."
        fraud_limits = settings.fraud_limits;
        "Whether a translated PIN block may be for another account, given behind a semicolon."
        tokens_in_translation = settings.tokens_in_translation;
        "Whether a PIN may be verified with another account than its PIN block has, given behind a semicolon."
        tokens_in_verification = settings.tokens_in_verification;
        "Whether PIN blocks may be made in format 34."
        format_34_output = settings.format_34_output;
        "Whether the Diebold commands compute with an algorithm of this emulator's own; the real one is not public, and without this they answer 19."
        diebold_test_algorithm = settings.diebold_test_algorithm;
        "Fewest records of a batch of PIN solicitation data: QC answers 31 if it has fewer."
        solicitation_batch_size = settings.solicitation_batch_size in 1..=1024u16;
        "Most records in a response of QC. The response is repeated until all records of the batch have been returned."
        solicitation_response_records = settings.solicitation_response_records in 1..=512u16;
        "Whether QC returns records in ascending order of their account digits, not in the order in which they were loaded."
        solicitation_sorted = settings.solicitation_sorted;
        "Whether keys of exportability S may leave a key-block LMK: otherwise AA."
        sensitive_export = settings.sensitive_export;
        "Whether keys may leave a key-block LMK in key blocks only: 17 for other schemes."
        trusted_export_only = settings.trusted_export_only;
        "Whether keys may come to a key-block LMK in key blocks only: 17 for other schemes."
        trusted_import_only = settings.trusted_import_only;
        "Whether ZMKs (type 000, usages 52 and K0) may be exported: otherwise 17."
        zmk_export = settings.zmk_export;
        "Whether ZMKs (type 000, usages 52 and K0) may be imported with A6: otherwise 17."
        zmk_import = settings.zmk_import;
        "Whether private RSA and elliptic-curve keys may be exported in key blocks: otherwise 17."
        private_key_export = settings.private_key_export;
        "Whether private RSA and elliptic-curve keys may be imported in key blocks: otherwise 17."
        private_key_import = settings.private_key_import;
        "Whether import under an RSA key (GI) needs the activity that import under a ZMK needs: otherwise it needs none."
        rsa_import_authorised = settings.rsa_import_authorised;
        "Whether keys in TR-31 blocks are padded to the longest key of their algorithm."
        hide_key_length = settings.hide_key_length;
        "Whether key blocks may name another LMK than the one that protects them: otherwise A3."
        ignore_block_lmk_id = settings.ignore_block_lmk_id;
        "Whether the validity dates of key blocks are checked against the clock when a key is used: AE, AF."
        check_key_validity = settings.check_key_validity;
        "Whether a double-length variant LMK may protect triple-length keys: otherwise 48."
        strong_keys_under_weak_lmk = settings.strong_keys_under_weak_lmk;
        "Whether B0 may bring a key from scheme U or T back to X9.17 form: otherwise 26."
        scheme_downgrade = settings.scheme_downgrade;
        "Whether B8 encodes EnvelopedData and signed attributes as the printed samples of TR-34 (2012): otherwise as CMS."
        tr34_sample_encoding = settings.tr34_sample_encoding;
        "Whether a request on the port of an LMK may name that LMK only: otherwise 13."
        require_port_lmk = settings.require_port_lmk;
        "Whether activities are authorised one by one. Otherwise there is one authorised state for each LMK."
        multiple_activities = settings.multiple_activities;
        "Whether every activity but diag is authorised from the start, until RA or hsm ctl cancels it."
        authorise_all = settings.authorise_all;
        "Whether diag is authorised from the start: failed verifications of cryptograms then tell the value that was expected."
        authorise_diagnostics = settings.authorise_diagnostics;
        "Firmware number in NC and NO."
        firmware = settings.firmware;
    }
    ["commands"] "Enabled commands and PIN block formats" {
        "Commands that are disabled; * stands for any character. They are answered with 68."
        disabled_commands = settings.disabled_commands;
        "PIN block formats that are disabled. They are answered with 69."
        disabled_formats = settings.disabled_formats;
    }
    ["authorisation"] "Activities that are authorised from the start" {
        "Activities, category[.sub][.interface][:minutes]: \"generate..host\" for all LMKs, \"01 pin.clear.host:60\" for LMK 01."
        authorised_activities = authorisation.authorised_activities;
        "File that keeps activities authorised with :p over a restart, for the LMKs that they were authorised for."
        authorisation_file = authorisation.authorisation_file;
    }
    ["storage"] "User storage" {
        "File that keeps user storage over a restart. Without it, what LA loaded is lost when the emulator ends."
        user_storage_file = storage.user_storage_file;
    }
    ["plugins"] "Plugins" {
        "Directory of plugins that add commands or replace bundled ones."
        plugin_dir = plugins.plugin_dir;
        "Largest memory of a plugin, in pages of 64 KiB."
        plugin_memory_pages = plugins.plugin_memory_pages in 2..=1024u32;
        "Instructions that a plugin may execute for a request, roughly."
        plugin_fuel = plugins.plugin_fuel in 1_000_000..=100_000_000_000u64;
        "Host operations that a plugin may use for a request."
        plugin_host_calls = plugins.plugin_host_calls in 16..=10_000_000u32;
        "Time of a plugin for a request, looked at with every 16th host operation: one that takes long, such as the generation of a key, ends after it, and plugin_fuel bounds what runs between. Commands that generate keys have ten times as much."
        plugin_deadline = plugins.plugin_deadline;
    }
    ["printing"] "Printing" {
        "Where printing commands print: a directory for a file per document, or a file that all are appended to. Without it they answer 16."
        printer = printing.printer;
        "Form of the documents in a directory: a file that all are appended to is always text."
        printer_form = printing.printer_form;
    }
    ["logging"] "Logging" {
        "Least severe messages that are logged. What is authorised and cancelled is logged down to warn."
        log_level = logging.log_level;
        "Form of the log on standard error."
        log_format = logging.log_format;
        "Whether every request and response is logged field by field, without secrets."
        trace = logging.trace;
    }
}
