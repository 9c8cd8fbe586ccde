//! What a plugin says of itself and what it can do, read from the module without compiling or running it.

use hsm_plugin_sdk::abi;
use std::collections::BTreeSet;
use wasmer::wasmparser::{self, ExternalKind, Operator, Parser, Payload, TypeRef, ValType};

/// Why a module is not taken as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The file is larger than the limit.
    #[error("the module has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// Not a valid WASM module, or one with features that plugins may not use.
    #[error("not a valid module: {0}")]
    Invalid(String),
    /// The custom section with the metadata is missing or incomplete.
    #[error("no metadata: {0} (was the module built with the SDK's command! macro?)")]
    Metadata(String),
    /// Built for another version of the ABI.
    #[error(
        "built for ABI version {found}, this server has version {}; rebuild it with a matching hsm-plugin-sdk",
        abi::ABI_VERSION
    )]
    AbiVersion {
        /// The version in the module's metadata.
        found: String,
    },
    /// An import that is no host operation, or has another type.
    #[error("imports `{0}`, which is no host operation of this server")]
    UnknownImport(String),
    /// An import that the policy denies.
    #[error("imports `{0}`, which the policy denies")]
    DeniedImport(String),
    /// An export of the ABI is missing or has another type.
    #[error("does not export `{0}` with the ABI's type")]
    MissingExport(&'static str),
    /// An instruction that would keep something from one request to the next.
    #[error("uses `{0}`, which would let state survive a request")]
    Stateful(&'static str),
    /// The module needs more memory than it may have.
    #[error("needs {pages} pages of memory, more than the limit of {limit}")]
    Memory {
        /// Initial memory in pages of 64 KiB.
        pages: u64,
        /// Limit in pages.
        limit: u32,
    },
    /// Two plugins of one directory serve the same command.
    #[error("serves {code}, which {other} serves too")]
    Duplicate {
        /// The command code.
        code: String,
        /// The other plugin.
        other: String,
    },
    /// The module did not compile or start.
    #[error("does not start: {0}")]
    Start(String),
    /// The file or directory cannot be read.
    #[error("{0}")]
    Io(String),
}

/// A plugin's metadata and capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// The command it serves.
    pub code: [u8; 2],
    /// Title of the command.
    pub title: String,
    /// The plugin's version.
    pub version: String,
    /// The plugin's author.
    pub author: String,
    /// The plugin's description.
    pub description: String,
    /// Where it came from: `bundled` or a file name.
    pub origin: String,
    /// Size of the module in bytes.
    pub size: usize,
    /// The host operations it imports: all that it can do.
    pub imports: Vec<&'static str>,
    /// Whether it imports an operation that can take milliseconds, so that it runs on the worker pool.
    pub slow: bool,
}

impl PluginInfo {
    /// The command code as text.
    #[must_use]
    pub fn code_text(&self) -> String {
        String::from_utf8_lossy(&self.code).into_owned()
    }

    /// Checks a module and reads what it says of itself.
    ///
    /// # Errors
    /// The first rule that the module breaks.
    pub fn read(wasm: &[u8], origin: &str, limits: &super::Limits) -> Result<Self, PluginError> {
        if wasm.len() > limits.module_size {
            return Err(PluginError::TooLarge { size: wasm.len(), limit: limits.module_size });
        }
        let invalid = |e: wasmparser::BinaryReaderError| PluginError::Invalid(e.to_string());
        wasmparser::Validator::new_with_features(allowed_features()).validate_all(wasm).map_err(invalid)?;

        let mut metadata = None;
        let mut imports = BTreeSet::new();
        let mut exports = BTreeSet::new();
        let mut types = Vec::new();
        let mut functions: Vec<u32> = Vec::new();
        let mut pages = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(invalid)? {
                Payload::CustomSection(section) if section.name() == abi::METADATA_SECTION => {
                    metadata = Some(String::from_utf8_lossy(section.data()).into_owned());
                }
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        types.push(ty.map_err(invalid)?);
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(invalid)?;
                        let TypeRef::Func(ty) = import.ty else {
                            return Err(PluginError::UnknownImport(import.name.to_owned()));
                        };
                        functions.push(ty);
                        imports.insert(known_import(import.module, import.name, types.get(ty as usize))?);
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(ty.map_err(invalid)?);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        pages = memory.map_err(invalid)?.initial;
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(invalid)?;
                        let ty = functions.get(export.index as usize).and_then(|ty| types.get(*ty as usize));
                        exports.insert(match export.kind {
                            ExternalKind::Memory => (export.name, vec![], vec![]),
                            ExternalKind::Func => (
                                export.name,
                                ty.map_or(vec![], |t| t.params().to_vec()),
                                ty.map_or(vec![], |t| t.results().to_vec()),
                            ),
                            _ => continue,
                        });
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for op in body.get_operators_reader().map_err(invalid)? {
                        stateless(&op.map_err(invalid)?)?;
                    }
                }
                _ => {}
            }
        }
        if pages > u64::from(limits.memory_pages) {
            return Err(PluginError::Memory { pages, limit: limits.memory_pages });
        }
        for (name, params, results) in required_exports() {
            if !exports.contains(&(name, params, results)) {
                return Err(PluginError::MissingExport(name));
            }
        }
        let imports: Vec<_> = imports.into_iter().filter(|name| *name != abi::TAKE_RESULT).collect();
        if let Some(denied) = imports.iter().find(|name| limits.denied_imports.iter().any(|d| d == *name)) {
            return Err(PluginError::DeniedImport((*denied).to_owned()));
        }
        let metadata =
            metadata.ok_or_else(|| PluginError::Metadata(format!("no section `{}`", abi::METADATA_SECTION)))?;
        Self::describe(&metadata, origin, wasm.len(), imports)
    }

    fn describe(metadata: &str, origin: &str, size: usize, imports: Vec<&'static str>) -> Result<Self, PluginError> {
        let value =
            |key: &str| metadata.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or("");
        if value("abi") != abi::ABI_VERSION.to_string() {
            return Err(PluginError::AbiVersion { found: value("abi").to_owned() });
        }
        let code = value("code");
        let &[first, second] = code.as_bytes() else {
            return Err(PluginError::Metadata(format!("command code `{code}` does not have two characters")));
        };
        if !code.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
            return Err(PluginError::Metadata(format!("command code `{code}` must be upper-case letters and digits")));
        }
        let slow = abi::operations().any(|op| op.slow && imports.contains(&op.name));
        Ok(Self {
            code: [first, second],
            title: value("title").to_owned(),
            version: value("version").to_owned(),
            author: value("author").to_owned(),
            description: value("description").to_owned(),
            origin: origin.to_owned(),
            size,
            imports,
            slow,
        })
    }
}

/// What rustc emits for wasm32-unknown-unknown, and no more: no threads, SIMD, second memory or 64-bit memory.
fn allowed_features() -> wasmparser::WasmFeatures {
    use wasmparser::WasmFeatures as F;
    F::MUTABLE_GLOBAL
        | F::SATURATING_FLOAT_TO_INT
        | F::SIGN_EXTENSION
        | F::REFERENCE_TYPES
        | F::MULTI_VALUE
        | F::BULK_MEMORY
        | F::FLOATS
        | F::GC_TYPES
}

fn required_exports() -> [(&'static str, Vec<ValType>, Vec<ValType>); 4] {
    use ValType::{I32, I64};
    [
        (abi::EXPORT_MEMORY, vec![], vec![]),
        (abi::EXPORT_INIT, vec![], vec![I32]),
        (abi::EXPORT_ALLOC, vec![I32], vec![I32]),
        (abi::EXPORT_CALL, vec![I32, I32, I32], vec![I64]),
    ]
}

fn known_import(module: &str, name: &str, ty: Option<&wasmparser::FuncType>) -> Result<&'static str, PluginError> {
    let unknown = || PluginError::UnknownImport(format!("{module}.{name}"));
    let ty = ty.ok_or_else(unknown)?;
    if module != abi::IMPORT_MODULE {
        return Err(unknown());
    }
    if name == abi::TAKE_RESULT && ty.params() == [ValType::I32] && ty.results().is_empty() {
        return Ok(abi::TAKE_RESULT);
    }
    let op = abi::operations().find(|op| op.name == name).ok_or_else(unknown)?;
    if ty.params() == [ValType::I32; 4] && ty.results() == [ValType::I32] { Ok(op.name) } else { Err(unknown()) }
}

/// Refuses instructions whose effect the restored memory and globals would not undo.
fn stateless(op: &Operator<'_>) -> Result<(), PluginError> {
    Err(PluginError::Stateful(match op {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::DataDrop { .. } => "data.drop",
        _ => return Ok(()),
    }))
}
