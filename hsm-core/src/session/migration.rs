//! Operations on keys and data under an old LMK, and key components.

use super::Session;
use hsm_plugin_sdk::abi::MigrationOps;

impl MigrationOps for Session {}
