//! Operations on RSA and elliptic-curve keys.

use super::Session;
use hsm_plugin_sdk::abi::AsymmetricOps;

impl AsymmetricOps for Session {}
