//! Operations on DUKPT keys.

use super::Session;
use hsm_plugin_sdk::abi::DukptOps;

impl DukptOps for Session {}
