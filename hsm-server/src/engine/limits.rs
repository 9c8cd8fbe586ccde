//! What a guest may use, enforced by the compiler and the memories it gets.
#![allow(
    unsafe_code,
    reason = "wasmer's Tunables has two unsafe functions, and so has loading of what was just compiled"
)]

use std::{ptr::NonNull, sync::Arc, time::Duration};
use wasmer::sys::vm::{
    MemoryError, MemoryStyle, TableStyle, VMConfig, VMMemory, VMMemoryDefinition, VMTable, VMTableDefinition,
};
use wasmer::sys::{
    BaseTunables, CompilerConfig, Cranelift, CraneliftOptLevel, EngineBuilder, FunctionMiddleware, MiddlewareError,
    ModuleMiddleware, NativeEngineExt, Tunables, wasmparser::Operator,
};
use wasmer::{ExportIndex, MemoryType, ModuleInfo, Pages, TableType};
use wasmer_middlewares::Metering;

/// The limits of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest module in bytes.
    pub module_size: usize,
    /// Largest memory in pages of 64 KiB.
    pub memory_pages: u32,
    /// Instructions per request, roughly; ten million are a few milliseconds.
    pub fuel: u64,
    /// Host operations per request.
    pub host_calls: u32,
    /// Time for a request, looked at with every 16th host operation; an operation that runs is not cut short. Plugins with operations that
    /// generate keys have ten times as much.
    pub deadline: Duration,
    /// Imports that no plugin may use.
    pub denied_imports: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_size: 1024 * 1024,
            memory_pages: 16,
            fuel: 20_000_000,
            host_calls: 10_000,
            deadline: Duration::from_millis(500),
            denied_imports: Vec::new(),
        }
    }
}

/// Prefix of the exports that give the host access to a guest's own mutable globals.
pub(super) const GLOBAL_EXPORT: &str = "hsm_restore_global_";

/// Stack of a guest's calls, which is the host's memory. A guest's own stack is part of its memory.
const NATIVE_STACK: usize = 256 * 1024;

const TABLE_ELEMENTS: u32 = 4096;

/// Compiles a module, and loads it into an engine of its own: a metering middleware serves one module, and an engine never gives
/// back code.
///
/// What the compiler leaves behind is several times larger than the code (it holds the address of every instruction twice), so
/// the module goes over to an engine without a compiler in its serialized form.
pub(super) fn compile(wasm: &[u8], limits: &Limits) -> Result<(wasmer::Engine, wasmer::Module), String> {
    let mut compiler = Cranelift::new();
    compiler.opt_level(CraneliftOptLevel::Speed);
    compiler.push_middleware(Arc::new(RestorableGlobals));
    compiler.push_middleware(Arc::new(Metering::new(limits.fuel, cost)));
    let fresh = wasmer::Module::new(&clamped(EngineBuilder::new(compiler), limits), wasm).map_err(|e| e.to_string())?;
    let serialized = fresh.serialize().map_err(|e| e.to_string())?;
    drop(fresh);
    let engine = clamped(EngineBuilder::headless(), limits);
    // SAFETY: the bytes are those of a module that was validated and compiled above, by this version and for this machine.
    let module = unsafe { wasmer::Module::deserialize(&engine, serialized) }.map_err(|e| e.to_string())?;
    Ok((engine, module))
}

fn clamped(builder: EngineBuilder, limits: &Limits) -> wasmer::Engine {
    let mut engine: wasmer::Engine = builder.engine().into();
    engine.set_tunables(Clamp {
        base: BaseTunables::new(),
        pages: Pages(limits.memory_pages),
        config: VMConfig { wasm_stack_size: Some(NATIVE_STACK) },
    });
    engine
}

/// Instructions that can move a whole memory cost more than one that moves a word.
fn cost(op: &Operator<'_>) -> u64 {
    match op {
        Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. } => 2_000,
        Operator::MemoryGrow { .. } => 10_000,
        Operator::Call { .. } | Operator::CallIndirect { .. } => 4,
        _ => 1,
    }
}

/// Exports a guest's mutable globals under names of ours, so that they can be restored after every request.
#[derive(Debug)]
struct RestorableGlobals;

impl ModuleMiddleware for RestorableGlobals {
    fn generate_function_middleware<'a>(&self, _: wasmer::LocalFunctionIndex) -> Box<dyn FunctionMiddleware<'a> + 'a> {
        #[derive(Debug)]
        struct Pass;
        impl FunctionMiddleware<'_> for Pass {}
        Box::new(Pass)
    }

    fn transform_module_info(&self, module: &mut ModuleInfo) -> Result<(), MiddlewareError> {
        let mutable: Vec<_> =
            module.globals.iter().filter(|(_, ty)| ty.mutability.is_mutable()).map(|(index, _)| index).collect();
        for (n, index) in mutable.into_iter().enumerate() {
            module.exports.insert(format!("{GLOBAL_EXPORT}{n}"), ExportIndex::Global(index));
        }
        Ok(())
    }
}

/// Caps memories, tables and the native stack.
struct Clamp {
    base: BaseTunables,
    pages: Pages,
    config: VMConfig,
}

impl Clamp {
    fn memory(&self, ty: &MemoryType) -> MemoryType {
        let mut ty = *ty;
        ty.maximum = Some(ty.maximum.map_or(self.pages, |max| max.min(self.pages)));
        ty
    }

    fn table(&self, ty: &TableType) -> Result<TableType, String> {
        let mut ty = *ty;
        if ty.minimum > TABLE_ELEMENTS {
            return Err(format!("a table of {} elements is larger than {TABLE_ELEMENTS}", ty.minimum));
        }
        ty.maximum = Some(ty.maximum.map_or(TABLE_ELEMENTS, |max| max.min(TABLE_ELEMENTS)));
        Ok(ty)
    }
}

impl Tunables for Clamp {
    fn memory_style(&self, memory: &MemoryType) -> MemoryStyle {
        self.base.memory_style(&self.memory(memory))
    }

    fn table_style(&self, table: &TableType) -> TableStyle {
        self.base.table_style(table)
    }

    fn create_host_memory(&self, ty: &MemoryType, style: &MemoryStyle) -> Result<VMMemory, MemoryError> {
        self.base.create_host_memory(&self.memory(ty), style)
    }

    unsafe fn create_vm_memory(
        &self,
        ty: &MemoryType,
        style: &MemoryStyle,
        location: NonNull<VMMemoryDefinition>,
    ) -> Result<VMMemory, MemoryError> {
        // SAFETY: `location` is the caller's promise, passed on unchanged.
        unsafe { self.base.create_vm_memory(&self.memory(ty), style, location) }
    }

    fn create_host_table(&self, ty: &TableType, style: &TableStyle) -> Result<VMTable, String> {
        self.base.create_host_table(&self.table(ty)?, style)
    }

    unsafe fn create_vm_table(
        &self,
        ty: &TableType,
        style: &TableStyle,
        location: NonNull<VMTableDefinition>,
    ) -> Result<VMTable, String> {
        // SAFETY: `location` is the caller's promise, passed on unchanged.
        unsafe { self.base.create_vm_table(&self.table(ty)?, style, location) }
    }

    fn vmconfig(&self) -> &VMConfig {
        &self.config
    }
}
