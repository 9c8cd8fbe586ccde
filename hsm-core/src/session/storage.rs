//! Operations on user storage.

use super::Session;
use hsm_plugin_sdk::abi::StorageOps;

impl StorageOps for Session {}
