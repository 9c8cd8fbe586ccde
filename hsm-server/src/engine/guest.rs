//! One running plugin: a store, an instance and the session it works for.

use super::limits::{GLOBAL_EXPORT, Limits};
use super::memory::{self, Image};
use hsm_core::Session;
use hsm_plugin_sdk::abi::{self, ErrorCode, OpInfo};
use std::time::Instant;
use wasmer::{
    Function, FunctionEnv, FunctionEnvMut, Global, Imports, Instance, Memory, Module, RuntimeError, Store,
    TypedFunction, Value,
};
use zeroize::Zeroize;

/// Why a plugin failed a request. The client sees error 41; the operator sees this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Too many instructions.
    #[error("it used up its {0} points of fuel (an endless loop?)")]
    OutOfFuel(u64),
    /// The guest trapped.
    #[error("it trapped: {0}")]
    Trap(String),
    /// A pointer or length outside the guest's memory.
    #[error("it passed a pointer outside its memory")]
    BadPointer,
    /// Too many host operations.
    #[error("it made more than {0} host operations")]
    TooManyCalls(u32),
    /// Too much time.
    #[error("it took longer than its deadline")]
    Deadline,
    /// The response is too short, too long or has a bad error code.
    #[error("its response is malformed: {0}")]
    BadResponse(&'static str),
    /// The instance could not be made.
    #[error("it did not start: {0}")]
    Start(String),
}

/// Largest response of a plugin: what fits a message with its header and codes.
const MAX_RESPONSE: usize = 32 * 1024;

/// Operations between two looks at the clock.
const CLOCK_INTERVAL: u32 = 16;

/// Sees a guest's memory whenever the host has control; for tests that hunt secrets.
pub type Probe = Box<dyn FnMut(&[u8]) + Send>;

/// What the host functions of a guest work on.
struct HostEnv {
    memory: Option<Memory>,
    session: Option<Box<Session>>,
    /// An operation's result, and the last one that was too long for the guest's buffer.
    result: Vec<u8>,
    pending: Vec<u8>,
    calls: u32,
    /// When the clock was first looked at for this request.
    started: Option<Instant>,
    limits: Limits,
    slow: bool,
    probe: Option<Probe>,
}

/// A plugin's instance, ready for the next request.
pub(super) struct Guest {
    store: Store,
    env: FunctionEnv<HostEnv>,
    memory: Memory,
    call: TypedFunction<(u32, u32, u32), u64>,
    alloc: TypedFunction<u32, u32>,
    buffer: u32,
    image: Image,
    globals: Vec<(Global, Value)>,
    fuel: Global,
    exhausted: Global,
    fuel_per_call: u64,
    probed: bool,
}

impl Guest {
    /// Makes an instance of a compiled module and takes its pristine image.
    pub(super) fn start(
        engine: &wasmer::Engine,
        module: &Module,
        limits: &Limits,
        slow: bool,
        probe: Option<Probe>,
    ) -> Result<Self, Fault> {
        let fault = |e: &dyn core::fmt::Display| Fault::Start(e.to_string());
        let probed = probe.is_some();
        let mut store = Store::new(engine.clone());
        let env = FunctionEnv::new(
            &mut store,
            HostEnv {
                memory: None,
                session: None,
                result: Vec::with_capacity(256),
                pending: Vec::new(),
                calls: 0,
                started: None,
                limits: limits.clone(),
                slow,
                probe,
            },
        );
        let imports = host_functions(&mut store, &env, module);
        let instance = Instance::new(&mut store, module, &imports).map_err(|e| fault(&e))?;
        let memory = instance.exports.get_memory(abi::EXPORT_MEMORY).map_err(|e| fault(&e))?.clone();
        env.as_mut(&mut store).memory = Some(memory.clone());
        let call = instance.exports.get_typed_function(&store, abi::EXPORT_CALL).map_err(|e| fault(&e))?;
        let alloc = instance.exports.get_typed_function(&store, abi::EXPORT_ALLOC).map_err(|e| fault(&e))?;
        let init: TypedFunction<(), u32> =
            instance.exports.get_typed_function(&store, abi::EXPORT_INIT).map_err(|e| fault(&e))?;
        let buffer = init.call(&mut store).map_err(|e| fault(&e))?;
        let size = memory.view(&store).data_size() as usize;
        if memory::range(buffer, abi::REQUEST_BUFFER, size).is_none() {
            return Err(Fault::Start("its request buffer lies outside its memory".to_owned()));
        }
        let image = memory::with(&memory, &store, |bytes| Image::take(bytes));
        let mut globals = Vec::new();
        while let Ok(global) = instance.exports.get_global(&format!("{GLOBAL_EXPORT}{}", globals.len())) {
            let value = global.get(&mut store);
            globals.push((global.clone(), value));
        }
        let fuel = instance.exports.get_global("wasmer_metering_remaining_points").map_err(|e| fault(&e))?.clone();
        let exhausted = instance.exports.get_global("wasmer_metering_points_exhausted").map_err(|e| fault(&e))?.clone();
        Ok(Self {
            store,
            env,
            memory,
            call,
            alloc,
            buffer,
            image,
            globals,
            fuel,
            exhausted,
            fuel_per_call: limits.fuel,
            probed,
        })
    }

    /// Runs one request and appends error code, fields and trailer to `out`.
    ///
    /// `Ok(true)` means that the instance is pristine again. After `Ok(false)` or an error it must be thrown away.
    pub(super) fn run(
        &mut self,
        session: &mut Option<Box<Session>>,
        body: &[u8],
        trace: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let env = self.env.as_mut(&mut self.store);
        env.session = session.take();
        env.calls = 0;
        env.started = None;
        let result = self.request(body, trace, out);
        let env = self.env.as_mut(&mut self.store);
        *session = env.session.take();
        // A result may be a clear PIN, where that is the command's answer.
        env.pending.zeroize();
        env.result.zeroize();
        result.map(|()| self.restore())
    }

    fn request(&mut self, body: &[u8], trace: bool, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.set_fuel();
        let len = u32::try_from(body.len()).map_err(|_| Fault::BadPointer)?;
        let at = if len <= abi::REQUEST_BUFFER {
            self.buffer
        } else {
            self.alloc.call(&mut self.store, len).map_err(|e| self.fault(&e))?
        };
        memory::with(&self.memory, &self.store, |bytes| {
            let range = memory::range(at, len, bytes.len()).ok_or(Fault::BadPointer)?;
            bytes.get_mut(range).ok_or(Fault::BadPointer).map(|room| room.copy_from_slice(body))
        })?;
        let flags = if trace { abi::FLAG_TRACE } else { 0 };
        let answer = self.call.call(&mut self.store, at, len, flags).map_err(|e| self.fault(&e))?;
        let (ptr, len) = ((answer >> 32) as u32, answer as u32);
        memory::with(&self.memory, &self.store, |bytes| {
            let response =
                memory::range(ptr, len, bytes.len()).and_then(|range| bytes.get(range)).ok_or(Fault::BadPointer)?;
            if response.len() > MAX_RESPONSE {
                return Err(Fault::BadResponse("it is longer than a message"));
            }
            let Some(code) = response.get(..2) else { return Err(Fault::BadResponse("it has no error code")) };
            if !code.iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
                return Err(Fault::BadResponse("its error code is not two upper-case letters or digits"));
            }
            out.extend_from_slice(response);
            Ok(())
        })?;
        if self.probed {
            let image = self.memory.view(&self.store).copy_to_vec().unwrap_or_default();
            if let Some(probe) = &mut self.env.as_mut(&mut self.store).probe {
                probe(&image);
            }
        }
        Ok(())
    }

    /// Puts memory and globals back to what initialisation left.
    fn restore(&mut self) -> bool {
        for (global, value) in &self.globals {
            if global.set(&mut self.store, value.clone()).is_err() {
                return false;
            }
        }
        memory::with(&self.memory, &self.store, |bytes| self.image.restore(bytes))
    }

    fn set_fuel(&mut self) {
        // The global is an i64 that wasmer's metering owns; setting it cannot fail, and if it did the old limit would hold.
        let _ = self.fuel.set(&mut self.store, Value::I64(self.fuel_per_call as i64));
    }

    fn fault(&mut self, error: &RuntimeError) -> Fault {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.clone();
        }
        // Exhaustion and a panic are the same trap; only metering's own flag tells them apart.
        match self.exhausted.get(&mut self.store) {
            Value::I32(0) => Fault::Trap(error.message()),
            _ => Fault::OutOfFuel(self.fuel_per_call),
        }
    }
}

/// The host's functions for the imports that the module has. The loader has checked that all of them are known.
fn host_functions(store: &mut Store, env: &FunctionEnv<HostEnv>, module: &Module) -> Imports {
    let mut imports = Imports::new();
    for import in module.imports() {
        let function = if import.name() == abi::TAKE_RESULT {
            Function::new_typed_with_env(store, env, take_result)
        } else if let Some(op) = abi::operations().find(|op| op.name == import.name()) {
            Function::new_typed_with_env(store, env, move |env: FunctionEnvMut<'_, HostEnv>, args, len, result, cap| {
                operate(env, op, args, len, result, cap)
            })
        } else {
            continue;
        };
        imports.define(abi::IMPORT_MODULE, import.name(), function);
    }
    imports
}

/// Runs one host operation for a guest.
fn operate(
    mut env: FunctionEnvMut<'_, HostEnv>,
    op: &OpInfo,
    args: u32,
    args_len: u32,
    result: u32,
    cap: u32,
) -> Result<i32, RuntimeError> {
    let (host, store) = env.data_and_store_mut();
    host.charge().map_err(trap)?;
    let Some(memory) = &host.memory else { return Err(trap(Fault::BadPointer)) };
    let (session, output) = (&mut host.session, &mut host.result);
    output.clear();
    if let Some(probe) = &mut host.probe {
        memory::with(memory, &store, |bytes| probe(bytes));
    }
    memory::with(memory, &store, |bytes| {
        let args =
            memory::range(args, args_len, bytes.len()).and_then(|range| bytes.get(range)).ok_or(Fault::BadPointer)?;
        let Some(session) = session else { return Ok(ErrorCode::INTERNAL.to_abi()) };
        if let Err(code) = (op.call)(&mut **session, args, output) {
            return Ok(code.to_abi());
        }
        let len = u32::try_from(output.len()).map_err(|_| Fault::BadResponse("an operation's result is too long"))?;
        if len <= cap {
            let room = memory::range(result, len, bytes.len()).and_then(|range| bytes.get_mut(range));
            room.ok_or(Fault::BadPointer)?.copy_from_slice(output);
        } else {
            host.pending.clone_from(output);
        }
        i32::try_from(len).map_err(|_| Fault::BadResponse("an operation's result is too long"))
    })
    .map_err(trap)
}

/// Hands over a result that did not fit.
fn take_result(mut env: FunctionEnvMut<'_, HostEnv>, result: u32) -> Result<(), RuntimeError> {
    let (host, store) = env.data_and_store_mut();
    host.charge().map_err(trap)?;
    let Some(memory) = &host.memory else { return Err(trap(Fault::BadPointer)) };
    let pending = &host.pending;
    memory::with(memory, &store, |bytes| {
        let len = u32::try_from(pending.len()).map_err(|_| Fault::BadPointer)?;
        let room = memory::range(result, len, bytes.len()).and_then(|range| bytes.get_mut(range));
        room.ok_or(Fault::BadPointer).map(|room| room.copy_from_slice(pending))
    })
    .map_err(trap)
}

impl HostEnv {
    /// Counts a host operation against the limits.
    fn charge(&mut self) -> Result<(), Fault> {
        self.calls += 1;
        if self.calls > self.limits.host_calls {
            return Err(Fault::TooManyCalls(self.limits.host_calls));
        }
        if self.calls.is_multiple_of(CLOCK_INTERVAL) {
            let deadline = if self.slow { self.limits.deadline * 10 } else { self.limits.deadline };
            if self.started.get_or_insert_with(Instant::now).elapsed() > deadline {
                return Err(Fault::Deadline);
            }
        }
        Ok(())
    }
}

fn trap(fault: Fault) -> RuntimeError {
    RuntimeError::user(Box::new(fault))
}
