//! Operations on the virtual printer.

use super::Session;
use hsm_plugin_sdk::abi::PrintOps;

impl PrintOps for Session {}
