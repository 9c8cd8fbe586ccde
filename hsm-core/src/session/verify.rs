//! Operations on PIN verification values, offsets and PINs under the LMK.

use super::Session;
use hsm_plugin_sdk::abi::VerifyOps;

impl VerifyOps for Session {}
