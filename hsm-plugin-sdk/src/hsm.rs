//! The command's way to the host.

use crate::{KeyField, KeyHandle, PinDestination, Response, abi::ErrorCode};

/// The security module as a command sees it: operations on handles, for one request.
///
/// In a guest every operation is an import; in a native build it is a call on a [`Host`](crate::Host), so a command runs under a
/// debugger without WASM.
#[derive(Clone, Copy)]
pub struct Hsm<'h> {
    trace: bool,
    #[cfg(not(target_family = "wasm"))]
    host: &'h core::cell::RefCell<&'h mut dyn crate::Host>,
    #[cfg(target_family = "wasm")]
    host: core::marker::PhantomData<&'h mut ()>,
}

impl core::fmt::Debug for Hsm<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Hsm {{ trace: {} }}", self.trace)
    }
}

impl<'h> Hsm<'h> {
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn new(host: &'h core::cell::RefCell<&'h mut dyn crate::Host>, trace: bool) -> Self {
        Self { trace, host }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn new(trace: bool) -> Self {
        Self { trace, host: core::marker::PhantomData }
    }

    /// Starts a response with error code 00.
    #[must_use]
    pub fn response(&self) -> Response<'h> {
        Response::new(*self)
    }

    /// Opens the first (source) key of a request: parity error 10.
    ///
    /// # Errors
    /// See [`Hsm::key_open`].
    pub fn open_source(&self, key: &KeyField<'_>) -> Result<KeyHandle, ErrorCode> {
        self.key_open(key.purpose(), key.bytes())
    }

    /// Opens the second (destination) key of a request: parity error 11.
    ///
    /// # Errors
    /// See [`Hsm::key_open`].
    pub fn open_destination(&self, key: &KeyField<'_>) -> Result<KeyHandle, ErrorCode> {
        self.key_open(key.purpose(), key.bytes()).map_err(|code| match code {
            ErrorCode::SOURCE_KEY_PARITY => ErrorCode::DESTINATION_KEY_PARITY,
            other => other,
        })
    }

    /// Opens the destination of a PIN translation: parity error 11; for a BDK the key that its KSN gives.
    ///
    /// # Errors
    /// See [`Hsm::key_open`] and [`Hsm::pin_dukpt_key`].
    pub fn open_pin_destination(&self, destination: &PinDestination<'_>) -> Result<KeyHandle, ErrorCode> {
        let key = self.open_destination(&destination.key)?;
        match destination.ksn {
            Some(ksn) => self.pin_dukpt_key(key, ksn),
            None => Ok(key),
        }
    }

    /// The same host, whom no fields are reported to.
    pub(crate) fn untraced(self) -> Self {
        Self { trace: false, ..self }
    }

    pub(crate) fn traces(&self) -> bool {
        self.trace
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn with_host<T>(
        &self,
        operation: impl FnOnce(&mut dyn crate::Host) -> Result<T, ErrorCode>,
    ) -> Result<T, ErrorCode> {
        // A host operation cannot call back into the command, so the cell is never borrowed twice.
        self.host.try_borrow_mut().map_err(|_| ErrorCode::INTERNAL).and_then(|mut host| operation(&mut **host))
    }
}
